//! The AWS port: every service of a cloud on one socket, as the AWS CLI and the SDKs of any language speak to them.
//!
//! The answers are the connector's. Here is what only a socket needs: who may ask at all (`gate`), that a request is
//! signed (`signature`), how long a body may be, the checksum that DynamoDB's clients check, and queue URLs that lead
//! back here. It listens where its caller says, which should be the loopback address: signatures are asked for and not
//! verified, so whoever reaches the port may do everything.

mod gate;
mod signature;

use std::future::Future;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::asked::{Asked, Reads, text};
use crate::cloud::Cloud;
use crate::connector::Connector;
use crate::http_server::{self, Unread};
use crate::wire::{JSON_1_0, JSON_1_1, ServiceError};
use crate::{lambda, s3, sts};

/// What DynamoDB takes, and no other JSON service takes more.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// An object goes in as one request, since there are no multipart uploads.
const MOST_OBJECT_BYTES: usize = 64 * 1024 * 1024;

/// The operations of SQS whose answers name queues by their URLs, and hold nothing that a client wrote.
const HAND_OUT_URLS: [&str; 4] = ["CreateQueue", "GetQueueUrl", "ListDeadLetterSourceQueues", "ListQueues"];

/// Serves until `stop` is done and what is under way has been answered.
pub async fn serve(cloud: &Cloud, listener: TcpListener, stop: impl Future<Output = ()>) {
    let connector = cloud.connector();
    let answer = move |request, _| {
        let connector = connector.clone();
        async move { respond(&connector, request).await }
    };
    http_server::serve(listener, stop, answer).await;
}

async fn respond(connector: &Connector, request: Request<Incoming>) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    if let Some(refusal) = gate::refusal(&head) {
        return http_server::closing(refusal);
    }
    let may_be_object = head.method == Method::PUT;
    let most = if may_be_object { MOST_OBJECT_BYTES } else { MOST_BYTES };
    let body = match http_server::read(body, &head.headers, most).await {
        Ok(body) => body,
        Err(reason) => return http_server::closing(unread(&head, reason, most)),
    };
    let request_id = connector.0.random.uuid();
    let asked = Asked::of(&head, &body);
    let hands_out_urls = match &asked {
        Asked::Sqs(operation) => HAND_OUT_URLS.contains(&operation.as_str()),
        Asked::SqsQuery(form) => form.get("Action").is_some_and(|action| HAND_OUT_URLS.contains(&action.as_str())),
        _ => false,
    };
    let is_checked = matches!(asked, Asked::DynamoDb(_) | Asked::DynamoDbStreams(_));
    let mut response = match signature::refusal(&asked, &head, &request_id) {
        Some(mut refusal) => {
            let id = HeaderValue::from_str(&request_id).expect("a UUID may stand in a header");
            refusal.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), id);
            refusal
        }
        None => connector.answer_asked(asked, &head, &body).await,
    };
    if hands_out_urls {
        response = with_local_urls(&head, response, connector);
    }
    if is_checked {
        let sum = s3::crc32(response.body());
        response.headers_mut().insert(HeaderName::from_static("x-amz-crc32"), HeaderValue::from(sum));
        // Both names of the protocol are understood, and the answer goes by the one that was used.
        let plain = text(&head.headers, "content-type").is_some_and(|kind| kind.starts_with("application/json"));
        if plain {
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
    }
    response
}

/// Each service has its own way to say that a body is too long. That it came too slowly, or broke off, is no service's.
fn unread(head: &Parts, reason: Unread, most: usize) -> Response<Bytes> {
    let (status, code, message) = match reason {
        Unread::TooLong => (413, "RequestEntityTooLargeException", format!("The request is longer than {most} bytes")),
        Unread::TooSlow => (408, "RequestTimeout", "The request did not arrive within 30 seconds".into()),
        Unread::Broken => (400, "IncompleteBody", "The request broke off".into()),
    };
    match Asked::of(head, &Bytes::new()) {
        Asked::S3 if reason == Unread::TooLong => {
            let message = format!("Your proposed upload exceeds the maximum allowed size, which is {most} bytes here");
            s3::error(400, "EntityTooLarge", &message, head.uri.path())
        }
        Asked::S3 => s3::error(status, code, &message, head.uri.path()),
        Asked::Lambda => lambda::refusal(status, code, &message),
        Asked::SqsQuery(_) | Asked::Sts(_) | Asked::Other { reads: Reads::Xml, .. } => {
            sts::error(status, code, &message, "")
        }
        Asked::EventBridge(_) => ServiceError::of_all_services(status, code, message).response_as(JSON_1_1),
        _ => ServiceError::of_all_services(status, code, message).response_as(JSON_1_0),
    }
}

/// A queue's URL names the host of AWS. A client that has it from here is to come back here, to the host by which it
/// came.
fn with_local_urls(head: &Parts, response: Response<Bytes>, connector: &Connector) -> Response<Bytes> {
    let Some(host) = text(&head.headers, "host") else { return response };
    let Ok(said) = std::str::from_utf8(response.body()) else { return response };
    let mut changed = None;
    for queue in &connector.0.stack.queues {
        let local = format!("http://{host}/{}/{}", connector.0.stack.account, queue.name);
        for (quote, end) in [("\"", "\""), ("<QueueUrl>", "</QueueUrl>")] {
            let (there, here) = (format!("{quote}{}{end}", queue.url), format!("{quote}{local}{end}"));
            let text: &str = changed.as_deref().unwrap_or(said);
            if text.contains(&there) {
                changed = Some(text.replace(&there, &here));
            }
        }
    }
    match changed {
        Some(text) => response.map(|_| Bytes::from(text)),
        None => response,
    }
}
