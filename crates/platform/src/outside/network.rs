//! The real outside, over the client and the TLS that the SDK brings. Every address is checked as it is connected to, after
//! its name was resolved, so that a name that stands for something else by then leads nowhere either.

use std::error::Error;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use domain::webhooks::{Answer, EndpointUrl, NoAnswer, Reach};

use super::{Call, Post, retry_after_ms};
use crate::runtime::BoxFuture;

/// With the name and TLS.
const CONNECT: Duration = Duration::from_secs(4);

pub(super) struct Network {
    reach: Reach,
    /// It reads the trusted roots, so it is made by the first call and in no function that makes none.
    connector: OnceLock<Connector>,
}

impl Network {
    pub(super) const fn new(reach: Reach) -> Self {
        Self { reach, connector: OnceLock::new() }
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| {
            let timeouts = HttpConnectorSettings::builder().connect_timeout(CONNECT).build();
            Connector::builder()
                .connector_settings(timeouts)
                // A connection is for one call: what was checked when it was made holds for that call alone.
                .pool_max_idle_per_host(0)
                .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
                .build_with_resolver(Resolver { reach: self.reach })
        })
    }

    async fn answer(&self, call: Call) -> Answer {
        // An address that stands in the url itself is asked of no resolver; what was set in another reach is not in ours.
        let Ok(url) = EndpointUrl::parse(call.url.as_str(), self.reach) else {
            return Answer::Silence(NoAnswer::NotPublic);
        };
        let call = Call { url, ..call };
        let Some(request) = request(&call) else { return Answer::Silence(NoAnswer::Unreachable) };
        match self.connector().call(request).await {
            // Of the body not a byte is asked for.
            Ok(response) => Answer::Status {
                status: response.status().as_u16(),
                retry_after_ms: response.headers().get("retry-after").and_then(|value| retry_after_ms(value, call.at)),
            },
            Err(error) => Answer::Silence(why(&error)),
        }
    }
}

impl Post for Network {
    fn post(&self, call: Call) -> BoxFuture<'_, Answer> {
        Box::pin(self.answer(call))
    }
}

fn request(call: &Call) -> Option<HttpRequest> {
    let mut request = HttpRequest::new(SdkBody::from(call.body.as_str()));
    request.set_method("POST").ok()?;
    request.set_uri(call.url.as_str()).ok()?;
    for (name, value) in &call.headers {
        request.headers_mut().try_insert(*name, value.clone()).ok()?;
    }
    Some(request)
}

fn why(error: &ConnectorError) -> NoAnswer {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.is::<NotPublic>() {
            return NoAnswer::NotPublic;
        }
        source = error.source();
    }
    if error.is_timeout() { NoAnswer::TimedOut } else { NoAnswer::Unreachable }
}

/// The system's resolver, of which only addresses within reach are heard.
#[derive(Clone, Copy, Debug)]
struct Resolver {
    reach: Reach,
}

#[derive(Debug, thiserror::Error)]
#[error("the name stands for no public address")]
struct NotPublic;

impl ResolveDns for Resolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let resolved = tokio::net::lookup_host((name, 0)).await.map_err(ResolveDnsError::new)?;
            within(self.reach, resolved.map(|address| address.ip())).map_err(ResolveDnsError::new)
        })
    }
}

fn within(reach: Reach, resolved: impl Iterator<Item = IpAddr>) -> Result<Vec<IpAddr>, NotPublic> {
    let allowed: Vec<IpAddr> = resolved.filter(|address| reach.allows(*address)).collect();
    if allowed.is_empty() { Err(NotPublic) } else { Ok(allowed) }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    #[test]
    fn only_what_is_within_reach_is_heard_of_a_name() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let mixed = addresses(&["10.0.0.1", "1.1.1.1", "::1", "2606:4700:4700::1111", "169.254.169.254"]);
        let heard = within(Reach::Public, mixed.clone().into_iter()).unwrap();
        assert_eq!(heard, addresses(&["1.1.1.1", "2606:4700:4700::1111"]));
        let heard = within(Reach::ThisMachineToo, mixed.into_iter()).unwrap();
        assert_eq!(heard, addresses(&["1.1.1.1", "::1", "2606:4700:4700::1111"]));
        assert!(within(Reach::Public, addresses(&["127.0.0.1", "fd00::1"]).into_iter()).is_err());
        assert!(within(Reach::Public, std::iter::empty()).is_err());
    }

    #[tokio::test]
    async fn a_name_that_stands_for_this_machine_leads_nowhere_from_what_is_deployed() {
        let name = Resolver { reach: Reach::Public };
        let error = name.resolve_dns("localhost").await.unwrap_err();
        assert!(error.source().is_some_and(|source| source.is::<NotPublic>()), "{error:?}");
        assert!(!Resolver { reach: Reach::ThisMachineToo }.resolve_dns("localhost").await.unwrap().is_empty());
    }

    /// Neither an address in the url, nor one that was set where it was allowed.
    #[tokio::test]
    async fn an_address_in_the_url_is_checked_though_nobody_resolves_it() {
        let deployed = Network::new(Reach::Public);
        for text in ["http://127.0.0.1:9/", "https://127.0.0.1:9443/", "https://[::1]:9443/", "https://localhost/"] {
            let url = EndpointUrl::parse(text, Reach::ThisMachineToo).unwrap();
            let call = Call { url, at: Timestamp::from_millis(0), headers: Vec::new(), body: String::new() };
            assert_eq!(deployed.answer(call).await, Answer::Silence(NoAnswer::NotPublic), "{text}");
        }
        assert!(deployed.connector.get().is_none(), "nothing was connected to");
    }

    /// Nobody takes it for granted that https is TLS: the first that is heard is its greeting, with the name that is meant.
    #[tokio::test]
    async fn https_is_spoken_over_tls() {
        use tokio::io::AsyncReadExt as _;

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let heard = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut greeting = vec![0; 1_024];
            let read = socket.read(&mut greeting).await.unwrap();
            greeting.truncate(read);
            greeting
        });
        let url = EndpointUrl::parse(&url, Reach::ThisMachineToo).unwrap();
        let call = Call { url, at: Timestamp::from_millis(0), headers: Vec::new(), body: "{}".to_owned() };
        let answer = Network::new(Reach::ThisMachineToo).answer(call).await;
        assert_eq!(answer, Answer::Silence(NoAnswer::Unreachable), "whoever greets nobody back is not spoken to");
        let greeting = heard.await.unwrap();
        assert_eq!(greeting[..2], [0x16, 3], "{greeting:?}");
        assert!(greeting.windows(9).any(|part| part == b"localhost"), "{greeting:?}");
    }
}
