//! A network that loses things by plan: around the connector, so that the SDK clients and the functions above them
//! meet a lost request or a lost answer as they would on a bad day.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

use crate::connector::Connector;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// The request is lost: nothing happens, and the caller hears of a broken connection.
    LostBefore,
    /// It is carried out, and the caller hears of a broken connection.
    LostAfter,
    /// The caller has no right to it: a policy was changed.
    Denied,
}

/// Decides the fate of the call with this operation, such as `PutItem`, and this number, counted from 0 over all calls.
pub type Plan = Arc<dyn Fn(&str, usize) -> Fate + Send + Sync>;

#[derive(Clone)]
pub struct FaultyConnector {
    connector: Connector,
    plan: Plan,
    calls: Arc<AtomicUsize>,
}

impl FaultyConnector {
    pub fn new(connector: Connector, plan: Plan) -> Self {
        Self { connector, plan, calls: Arc::default() }
    }
}

fn denied() -> HttpResponse {
    let says = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User is not authorized."}"#;
    HttpResponse::new(StatusCode::try_from(400).expect("it is a status"), SdkBody::from(says))
}

impl HttpConnector for FaultyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = match request.headers().get("x-amz-target").and_then(|target| target.rsplit_once('.')) {
            Some((_, operation)) => operation.to_owned(),
            None => request.method().to_owned(),
        };
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let lost = || ConnectorError::io("the connection broke".into());
        match (self.plan)(&operation, number) {
            Fate::Answered => self.connector.call(request),
            Fate::LostBefore => HttpConnectorFuture::ready(Err(lost())),
            Fate::Denied => HttpConnectorFuture::ready(Ok(denied())),
            Fate::LostAfter => {
                let answered = self.connector.call(request);
                HttpConnectorFuture::new(async move {
                    let _ = answered.await;
                    Err(lost())
                })
            }
        }
    }
}

impl HttpClient for FaultyConnector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl fmt::Debug for FaultyConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyConnector")
    }
}
