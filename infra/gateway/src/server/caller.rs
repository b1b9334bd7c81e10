//! Makes the callbacks, each when it is due, and tells the gateway how they were answered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use url::Url;

use super::{Shared, told_to_stop, until};
use crate::gateway::Callback;
use crate::settings::loopback;

/// What a webhook's receiver is given by most who send them.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn call_back(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut under_way = JoinSet::new();
    loop {
        let (callbacks, pause) =
            shared.with(|gateway, now_ms| (gateway.due(now_ms), until(now_ms, gateway.next_due_ms())));
        for callback in callbacks {
            let shared = Arc::clone(&shared);
            under_way.spawn(async move {
                let Callback { id, request } = callback;
                let status = match timeout(PATIENCE, post(request)).await {
                    Ok(Ok(status)) => Some(status),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a callback did not get through: {error}");
                        None
                    }
                    Err(_) => None,
                };
                shared.with(|gateway, now_ms| gateway.delivered(now_ms, &id, status));
                shared.changed.notify_one();
            });
        }
        tokio::select! {
            () = told_to_stop(&mut stopped) => break,
            () = shared.changed.notified() => {}
            () = sleep(pause) => {}
            Some(_) = under_way.join_next() => {}
        }
    }
    under_way.shutdown().await;
}

async fn post(mut request: Request<Bytes>) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
    let url = Url::parse(&request.uri().to_string())?;
    let elsewhere = || io::Error::new(io::ErrorKind::AddrNotAvailable, "callbacks stay on this machine");
    let address = (loopback(&url).ok_or_else(elsewhere)?, url.port_or_known_default().unwrap_or(80));
    let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(&host)?);
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    *request.uri_mut() = path.parse::<Uri>()?;
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answered = sender.send_request(request.map(Full::new));
    tokio::pin!(connection, answered);
    tokio::select! {
        response = &mut answered => Ok(response?.status().as_u16()),
        // That the connection ends before is in the answer too.
        ended = &mut connection => {
            ended?;
            Ok(answered.await?.status().as_u16())
        }
    }
}
