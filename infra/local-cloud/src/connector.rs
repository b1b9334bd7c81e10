//! The network that the SDK clients believe in: an HTTP client whose answers come from within the process.
//!
//! It tells the service by the request's target header, or takes it for S3 where there is none. It is an ordinary
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
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt;

use crate::cloud::Core;
use crate::dynamodb::{self, Capacity};
use crate::wire::{ServiceError, response};
use crate::{event_bridge, sqs};

/// Answers the requests of any number of SDK clients; cheap to clone.
#[derive(Clone)]
pub struct Connector(pub(crate) Arc<Core>);

/// One call, told when it has been answered.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// `dynamodb`, `sqs`, `events`, `s3`.
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
        let core = &self.0;
        let (parts, body) = request.into_parts();
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let (service, operation, mut response, consumed_capacity) = if let Some(target) = target {
            let after = |prefix| target.strip_prefix(prefix);
            if let Some(operation) = after(dynamodb::TARGET_PREFIX).or_else(|| after(dynamodb::STREAMS_TARGET_PREFIX)) {
                let answered = core.dynamodb.answer(operation, &body);
                let response = response(answered.status, "application/x-amz-json-1.0", answered.body.into_bytes());
                ("dynamodb", operation, response, answered.capacity)
            } else if let Some(operation) = after(sqs::protocol::TARGET_PREFIX) {
                ("sqs", operation, core.sqs.answer(operation, &body).await, None)
            } else if let Some(operation) = after(event_bridge::TARGET_PREFIX) {
                ("events", operation, core.event_bridge.answer(operation, &body), None)
            } else {
                ("unknown", target, ServiceError::unknown_operation(target).response(), None)
            }
        } else {
            let (operation, response) = core.s3.answer(&parts.method, &parts.uri, &parts.headers, &body);
            ("s3", operation, response, None)
        };
        if let Ok(id) = HeaderValue::from_str(&core.random.uuid()) {
            response.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), id);
        }
        if let Some(observer) = &core.on_call {
            let status = response.status().as_u16();
            observer(&CallRecord { service, operation: operation.into(), status, consumed_capacity });
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
