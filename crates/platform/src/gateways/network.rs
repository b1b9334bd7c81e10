//! The real way to a gateway, over the client and the TLS that the SDK brings. Connections are kept for the next call.
//!
//! Its url is the operator's and not a customer's, so it may lead anywhere; but without TLS only to a machine of one's own.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use domain::payments::NoAnswer;
use domain::webhooks::Reach;

use super::{Carry, Request, Response};
use crate::config::BaseUrl;
use crate::runtime::BoxFuture;

/// Far more than a gateway says of one charge.
const MOST_BYTES: usize = 256 * 1024;
/// Less than gateways keep a connection that nobody uses.
const IDLE: Duration = Duration::from_secs(20);

pub(super) struct Network {
    reach: Reach,
    /// It reads the trusted roots, so it is made by the first call and in no function that makes none.
    connector: OnceLock<Connector>,
}

impl Network {
    pub(super) const fn new(reach: Reach) -> Self {
        Self { reach, connector: OnceLock::new() }
    }

    fn connector(&self, connect: Duration) -> &Connector {
        self.connector.get_or_init(|| {
            // Of all timeouts only connecting has its own here, so that one that is up says that nothing was sent.
            let timeouts = HttpConnectorSettings::builder().connect_timeout(connect).build();
            Connector::builder()
                .connector_settings(timeouts)
                .pool_idle_timeout(IDLE)
                .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
                .build()
        })
    }

    async fn exchange(&self, request: Request) -> Result<Response, NoAnswer> {
        if !BaseUrl::is_within(&request.url, self.reach) {
            tracing::error!(url = request.url, "a gateway is not called without TLS");
            return Err(NoAnswer::NotReached);
        }
        let Some(sent) = sent(&request) else {
            tracing::error!(url = request.url, "a request to a gateway cannot be written down");
            return Err(NoAnswer::NotReached);
        };
        let response = self.connector(request.connect).call(sent).await.map_err(|error| {
            let no_answer = why(&error);
            tracing::warn!(error = %Chain(&error), no_answer = ?no_answer, "a gateway did not answer");
            no_answer
        })?;
        let status = response.status().as_u16();
        let headers = response.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (mut body, mut parts) = (Vec::new(), ByteStream::new(response.into_body()));
        while let Some(part) = parts.next().await {
            let part = part.map_err(|_| NoAnswer::Lost)?;
            if body.len() + part.len() > MOST_BYTES {
                tracing::error!(status, "the answer of a gateway is too long");
                return Err(NoAnswer::Lost);
            }
            body.extend_from_slice(&part);
        }
        Ok(Response { status, headers, body })
    }
}

impl Carry for Network {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, NoAnswer>> {
        Box::pin(self.exchange(request))
    }
}

fn sent(request: &Request) -> Option<HttpRequest> {
    let mut sent = HttpRequest::new(SdkBody::from(request.body.as_str()));
    sent.set_method(request.method).ok()?;
    sent.set_uri(request.url.as_str()).ok()?;
    for (name, value) in &request.headers {
        sent.headers_mut().try_insert(*name, value.clone()).ok()?;
    }
    Some(sent)
}

/// Nothing was sent if no connection came about. Of anything else nobody knows.
fn why(error: &ConnectorError) -> NoAnswer {
    if error.is_timeout() {
        return NoAnswer::NotReached;
    }
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect()) {
            return NoAnswer::NotReached;
        }
        source = error.source();
    }
    NoAnswer::Lost
}

/// An error with all that it comes from.
struct Chain<'a>(&'a dyn Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
