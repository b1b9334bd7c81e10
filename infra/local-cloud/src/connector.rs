//! The network that the SDK clients believe in: an HTTP client whose answers come from within the process.
//!
//! What a request asks is told by `asked`; a socket's requests come here too, by way of `port`. It is an ordinary
//! `HttpClient`, so faults are put in by wrapping it: a wrapper that implements `HttpConnector` and calls this one may
//! fail before the call (the request was lost) or after it (it was carried out, and the answer was lost).

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt;

use crate::asked::{Asked, Reads, SERVED};
use crate::cloud::Core;
use crate::dynamodb::Capacity;
use crate::wire::{JSON_1_0, JSON_1_1, ServiceError, response};
use crate::{lambda, sts};

/// Answers the requests of any number of SDK clients; cheap to clone.
#[derive(Clone)]
pub struct Connector(pub(crate) Arc<Core>);

/// One call, told when it has been answered.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// `dynamodb`, `sqs`, `events`, `s3`, `lambda`, `sts`.
    pub service: &'static str,
    pub operation: String,
    pub status: u16,
    /// What the answer says was consumed, where the request asked for it.
    pub consumed_capacity: Option<Capacity>,
}

pub type CallObserver = Arc<dyn Fn(&CallRecord) + Send + Sync>;

impl Connector {
    /// Answers one request, wherever it came from: an SDK in this process, or a socket.
    pub async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let asked = Asked::of(&head, &body);
        self.answer_asked(asked, &head, &body).await
    }

    pub(crate) async fn answer_asked(&self, asked: Asked, head: &Parts, body: &Bytes) -> Response<Bytes> {
        let core = &self.0;
        let request_id = core.random.uuid();
        let mut consumed_capacity = None;
        let (service, operation, mut response) = match asked {
            Asked::DynamoDb(operation) => {
                let answered = core.dynamodb.answer(&operation, body);
                consumed_capacity = answered.capacity;
                ("dynamodb", operation, response(answered.status, JSON_1_0, answered.body.into_bytes()))
            }
            Asked::DynamoDbStreams(operation) => {
                let answered = core.dynamodb.answer_stream(&operation, body);
                ("dynamodb", operation, response(answered.status, JSON_1_0, answered.body.into_bytes()))
            }
            Asked::Sqs(operation) => {
                let answered = core.sqs.answer(&operation, body).await;
                ("sqs", operation, answered)
            }
            Asked::SqsQuery(form) => {
                let answered = core.sqs.answer_form(head.uri.path(), &form, &request_id).await;
                ("sqs", form.get("Action").cloned().unwrap_or_default(), answered)
            }
            Asked::EventBridge(operation) => {
                let answered = core.event_bridge.answer(&operation, body);
                ("events", operation, answered)
            }
            Asked::Lambda => {
                let (operation, answered) = lambda::answer(core, head, body).await;
                ("lambda", operation.to_owned(), answered)
            }
            Asked::Sts(form) => {
                ("sts", form.get("Action").cloned().unwrap_or_default(), sts::answer(core, &form, &request_id))
            }
            Asked::S3 => {
                let (operation, answered) = core.s3.answer(&head.method, &head.uri, &head.headers, body);
                ("s3", operation.to_owned(), answered)
            }
            Asked::Untold => {
                let message = "The request has no X-Amz-Target header, which says what is asked".to_owned();
                let refusal = ServiceError::of_all_services(400, "UnknownOperationException", message);
                ("unknown", String::new(), refusal.response())
            }
            Asked::Other { name, reads } => {
                let message = format!("{name} is not served here; what is: {SERVED}");
                let answered = match reads {
                    Reads::Json => {
                        ServiceError::of_all_services(400, "UnknownOperationException", message).response_as(JSON_1_1)
                    }
                    Reads::Xml => sts::error(400, "InvalidAction", &message, &request_id),
                };
                ("unknown", name, answered)
            }
        };
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            let name = if service == "s3" { "x-amz-request-id" } else { "x-amzn-requestid" };
            response.headers_mut().insert(HeaderName::from_static(name), id);
        }
        if let Some(observer) = &core.on_call {
            let status = response.status().as_u16();
            observer(&CallRecord { service, operation, status, consumed_capacity });
        }
        response
    }

    async fn answer_sdk(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
        let response = self.answer(Request::from_parts(parts, body)).await;
        HttpResponse::try_from(response.map(SdkBody::from)).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.answer_sdk(request).await })
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
