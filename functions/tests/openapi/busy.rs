//! A network behind which the table reads, and from some moment on turns every write away: for the sake of a rival's transaction, or because
//! there is too much to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use local_cloud::Connector;

/// The SDK tries again by itself what is throttled, and not what a rival is in the way of.
pub(crate) const WHY: [&str; 2] = ["TransactionConflictException", "ThrottlingException"];

#[derive(Clone, Debug)]
pub(crate) struct Busy {
    pub(crate) connector: Connector,
    pub(crate) why: &'static str,
    pub(crate) is_busy: Arc<AtomicBool>,
}

impl HttpConnector for Busy {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        let writes = operation.ends_with(".PutItem") || operation.ends_with(".TransactWriteItems");
        if !writes || !self.is_busy.load(Ordering::SeqCst) {
            return self.connector.call(request);
        }
        let why = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{}","message":"not now"}}"#, self.why);
        HttpConnectorFuture::ready(Ok(HttpResponse::new(400.try_into().unwrap(), SdkBody::from(why))))
    }
}

impl HttpClient for Busy {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
