//! That a request is signed, which AWS asks of every one. The signature itself is not verified: any key will do.
//!
//! What is looked at is whether there is one and whether it is complete, since a client that forgets it would be refused
//! by AWS, each service in its own words.

use bytes::Bytes;
use dynoxide::auth_material::{AuthMaterial, validate};
use http::Response;
use http::request::Parts;
use serde_json::Value;

use crate::asked::{Asked, text};
use crate::wire::{JSON_1_0, JSON_1_1, ServiceError};
use crate::{lambda, s3, sts};

/// What a service says of a request that is not signed, or not wholly.
pub(super) fn refusal(asked: &Asked, head: &Parts, request_id: &str) -> Option<Response<Bytes>> {
    let headers = &head.headers;
    let authorization = text(headers, "authorization");
    let query = head.uri.query().unwrap_or_default();
    // The scheme before the current one, in which some tools still sign links to objects.
    if *asked == Asked::S3
        && (authorization.is_some_and(|a| a.starts_with("AWS ")) || query.contains("AWSAccessKeyId="))
    {
        return None;
    }
    let has_date_header = headers.contains_key("x-amz-date") || headers.contains_key("date");
    let said = validate(AuthMaterial { authorization, query, has_date_header })?;
    let said: Value = serde_json::from_str(&said).unwrap_or_default();
    let kind = said["__type"].as_str().and_then(|kind| kind.rsplit('#').next()).unwrap_or_default();
    let message = said["message"].as_str().unwrap_or_default();
    let is_missing = kind == "MissingAuthenticationTokenException";
    Some(match asked {
        Asked::DynamoDb(_) | Asked::DynamoDbStreams(_) => json(400, kind, message, JSON_1_0),
        Asked::EventBridge(_) if is_missing => json(400, kind, "Missing Authentication Token", JSON_1_1),
        Asked::EventBridge(_) => json(400, kind, message, JSON_1_1),
        Asked::Sqs(_) if is_missing => {
            let message = "Access to the resource https://sqs.amazonaws.com/ is denied.";
            json(403, "AccessDeniedException", message, JSON_1_0)
        }
        Asked::Sqs(_) => json(403, kind, message, JSON_1_0),
        Asked::Lambda if is_missing => lambda::refusal(403, kind, "Missing Authentication Token"),
        Asked::Lambda => lambda::refusal(403, kind, message),
        Asked::S3 if is_missing => s3::error(403, "AccessDenied", "Access Denied", head.uri.path()),
        Asked::S3 => s3::error(400, "AuthorizationHeaderMalformed", message, head.uri.path()),
        Asked::SqsQuery(_) | Asked::Sts(_) => {
            let code = if is_missing { "MissingAuthenticationToken" } else { "IncompleteSignature" };
            sts::error(403, code, message, request_id)
        }
        // Whoever asks for what is not here is better told that.
        Asked::Untold | Asked::Other { .. } => return None,
    })
}

fn json(status: u16, kind: &str, message: &str, content_type: &'static str) -> Response<Bytes> {
    ServiceError::of_all_services(status, kind, message.to_owned()).response_as(content_type)
}
