//! Which service a request asks, and for what, told from the request alone: its target header, its path, the form of the
//! oldest protocol, or the scope of its signature. On AWS the host says it; here there is one host for all.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, header};

use crate::text::{percent_decoded, query_decoded};
use crate::{dynamodb, event_bridge, lambda, sqs};

/// The services that answer, for whoever asks another.
pub(crate) const SERVED: &str = "DynamoDB, DynamoDB Streams, SQS, EventBridge, S3, Lambda (Invoke, ListFunctions, GetFunction) and STS (GetCallerIdentity)";

/// What is asked of which service. A JSON service's operation is what follows the prefix of its target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    DynamoDb(String),
    DynamoDbStreams(String),
    Sqs(String),
    EventBridge(String),
    Lambda,
    S3,
    /// SQS in the protocol of its older SDKs, a form.
    SqsQuery(Form),
    Sts(Form),
    /// A JSON service that is here, and no target header.
    Untold,
    /// Another service, by the name that the request has for it, and how it reads an error.
    Other {
        name: String,
        reads: Reads,
    },
}

/// What a client of an unknown service can read an error in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Json,
    Xml,
}

pub(crate) type Form = BTreeMap<String, String>;

const FORM: &str = "application/x-www-form-urlencoded";

impl Asked {
    pub(crate) fn of(head: &Parts, body: &Bytes) -> Self {
        if let Some(target) = text(&head.headers, "x-amz-target") {
            return Self::by_target(target);
        }
        if head.uri.path().starts_with(lambda::PATH) {
            return Self::Lambda;
        }
        let scope = scope(head);
        let other = |reads| {
            let name = scope.clone().unwrap_or_else(|| format!("{} {}", head.method, head.uri.path()));
            Self::Other { name, reads }
        };
        let form = form(head, body);
        if form.contains_key("Action") && scope.as_deref() != Some("s3") {
            return match scope.as_deref() {
                Some("sts") => Self::Sts(form),
                Some("sqs") => Self::SqsQuery(form),
                // Unsigned, so the operation tells.
                None if form.get("Version").is_some_and(|version| version == sqs::query::VERSION) => {
                    Self::SqsQuery(form)
                }
                None if form["Action"] == "GetCallerIdentity" => Self::Sts(form),
                _ => other(Reads::Xml),
            };
        }
        match scope.as_deref() {
            Some("s3" | "s3express") => Self::S3,
            Some("dynamodb" | "sqs" | "events" | "lambda" | "sts") => Self::Untold,
            Some(_) => other(Reads::Json),
            // Nobody posts to the front door of buckets.
            None if head.method == Method::POST && head.uri.path() == "/" => Self::Untold,
            None => Self::S3,
        }
    }

    fn by_target(target: &str) -> Self {
        let after = |prefix| target.strip_prefix(prefix).map(str::to_owned);
        after(dynamodb::TARGET_PREFIX)
            .map(Self::DynamoDb)
            .or_else(|| after(dynamodb::STREAMS_TARGET_PREFIX).map(Self::DynamoDbStreams))
            .or_else(|| after(sqs::protocol::TARGET_PREFIX).map(Self::Sqs))
            .or_else(|| after(event_bridge::TARGET_PREFIX).map(Self::EventBridge))
            .unwrap_or_else(|| Self::Other { name: target.to_owned(), reads: Reads::Json })
    }
}

/// The service that a signature is for: `AKID/20260101/eu-central-1/SERVICE/aws4_request`.
fn scope(head: &Parts) -> Option<String> {
    let of_credential = |credential: &str| credential.split('/').nth(3).map(str::to_owned);
    if let Some(authorization) = text(&head.headers, "authorization") {
        let (_, after) = authorization.split_once("Credential=")?;
        return of_credential(after.split([',', ' ']).next()?);
    }
    let credential = head.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
    of_credential(&percent_decoded(credential))
}

/// The fields of the body, if it is a form, and of the query.
fn form(head: &Parts, body: &Bytes) -> Form {
    let is_form = text(&head.headers, header::CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with(FORM));
    let body = if is_form { std::str::from_utf8(body).unwrap_or_default() } else { "" };
    [head.uri.query().unwrap_or_default(), body].into_iter().flat_map(pairs).collect()
}

/// The pairs of a query or a form, decoded.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (query_decoded(name), query_decoded(value))
    })
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(method: &str, uri: &str, headers: &[(&str, &str)], body: &'static str) -> Asked {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        Asked::of(&head, &Bytes::from_static(body.as_bytes()))
    }

    fn signed(service: &str) -> String {
        format!("AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-central-1/{service}/aws4_request, SignedHeaders=host")
    }

    #[test]
    fn a_target_header_says_it() {
        let by = |target| asked("POST", "/", &[("x-amz-target", target)], "{}");
        assert_eq!(by("DynamoDB_20120810.Scan"), Asked::DynamoDb("Scan".into()));
        assert_eq!(by("DynamoDBStreams_20120810.GetRecords"), Asked::DynamoDbStreams("GetRecords".into()));
        assert_eq!(by("AmazonSQS.SendMessage"), Asked::Sqs("SendMessage".into()));
        assert_eq!(by("AWSEvents.PutEvents"), Asked::EventBridge("PutEvents".into()));
        let name = "TrentService.ListKeys".to_owned();
        assert_eq!(by("TrentService.ListKeys"), Asked::Other { name, reads: Reads::Json });
    }

    #[test]
    fn without_one_the_path_the_form_and_the_signature_do() {
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let by = |method, uri, scope: &str, body| asked(method, uri, &[("authorization", &signed(scope)), form], body);
        assert_eq!(by("POST", "/2015-03-31/functions/F/invocations", "lambda", ""), Asked::Lambda);
        assert!(
            matches!(by("POST", "/", "sqs", "Action=ListQueues"), Asked::SqsQuery(form) if form["Action"] == "ListQueues")
        );
        assert!(matches!(by("GET", "/?Action=ListQueues", "sqs", ""), Asked::SqsQuery(_)));
        assert!(matches!(by("POST", "/", "sts", "Action=GetCallerIdentity"), Asked::Sts(_)));
        assert!(matches!(by("POST", "/", "sns", "Action=ListTopics"), Asked::Other { reads: Reads::Xml, .. }));
        assert!(matches!(by("GET", "/restapis", "apigateway", ""), Asked::Other { reads: Reads::Json, .. }));
        assert_eq!(by("GET", "/things/key?Action=x", "s3", ""), Asked::S3);
        let presigned = "/b/k?X-Amz-Credential=AKID%2F20260101%2Feu-central-1%2Fs3%2Faws4_request";
        assert_eq!(asked("GET", presigned, &[], ""), Asked::S3);
        assert_eq!(asked("GET", "/things/key", &[], ""), Asked::S3);
        assert_eq!((asked("POST", "/", &[], "{}"), by("POST", "/", "dynamodb", "{}")), (Asked::Untold, Asked::Untold));
        assert!(matches!(asked("POST", "/", &[form], "Action=SendMessage&Version=2012-11-05"), Asked::SqsQuery(_)));
    }
}
