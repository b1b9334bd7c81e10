//! HTTP/1.1 on a socket, for whoever answers requests: keep-alive, bodies bounded while they are read, slow senders and
//! slow readers cut off, no more connections at once than it can hold, and an end that lets what is under way finish.
//!
//! It speaks no TLS and no HTTP/2. When it is told to end it takes no new connection, and gives up on the requests under
//! way after a while.

mod patience;

use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use self::patience::Patient;

const HEADERS_WITHIN: Duration = Duration::from_secs(10);
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// More connections wait, unaccepted, until one of these ends. An idle one ends after `HEADERS_WITHIN`.
const MOST_CONNECTIONS: usize = 1_000;
/// The gateway's quota on headers counts their values only, so there may be many that are short.
const MOST_HEADERS: usize = 1_000;
/// How long a peer may take to read on, with an answer before it.
const READS_WITHIN: Duration = Duration::from_secs(30);
/// How long requests under way may take after the stop.
const STOPS_WITHIN: Duration = Duration::from_secs(35);
/// Of a body that is too long this many times more is read and thrown away, so that the sender gets to read the answer.
const DRAINED_TIMES: usize = 4;
/// After an accept that failed, as when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is done and what is under way has been answered.
pub(crate) async fn serve<A, F>(listener: TcpListener, stop: impl Future<Output = ()>, answer: A)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Bytes>> + Send + 'static,
{
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut stop = pin!(stop);
    loop {
        let accepting = async {
            let place = Arc::clone(&places).acquire_owned().await;
            listener.accept().await.map(|accepted| (accepted, place))
        };
        tokio::select! {
            () = &mut stop => break,
            accepted = accepting => match accepted {
                Ok(((stream, peer), place)) => {
                    let serving = connection(answer.clone(), stream, peer, stopped.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let all_done = async { while connections.join_next().await.is_some() {} };
    if timeout(STOPS_WITHIN, all_done).await.is_err() {
        tracing::warn!("connections were still open when the server stopped");
    }
}

async fn connection<A, F>(answer: A, stream: TcpStream, peer: SocketAddr, mut stopped: watch::Receiver<bool>)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F,
    F: Future<Output = Response<Bytes>>,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not to be had: {error}");
    }
    let service = service_fn(|request| {
        let answered = answer(request, peer);
        async move { Ok::<_, std::convert::Infallible>(answered.await.map(Full::new)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(MOST_HEADERS)
        // A caller that has said all it has to say still gets its answer.
        .half_close(true)
        .serve_connection(Patient::new(TokioIo::new(stream), READS_WITHIN), service);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = told_to_stop(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection broke off: {error}");
    }
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error is that the server is gone altogether.
    let _: Result<_, _> = stopped.wait_for(|stopped| *stopped).await.map(drop);
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLong,
    TooSlow,
    Broken,
}

/// Reads a body, never holding more of it than is allowed. A sender that waits for leave to send one that is too long
/// is told at once.
pub(crate) async fn read(mut body: Incoming, headers: &HeaderMap, most_bytes: usize) -> Result<Bytes, Unread> {
    let drained_bytes = DRAINED_TIMES * most_bytes;
    let waits_for_leave = headers.contains_key(header::EXPECT);
    let bearable = if waits_for_leave { most_bytes } else { most_bytes + drained_bytes };
    if usize::try_from(body.size_hint().lower()).map_or(true, |announced| announced > bearable) {
        return Err(Unread::TooLong);
    }
    let deadline = Instant::now() + BODY_WITHIN;
    let mut read = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = timeout_at(deadline, body.frame()).await.map_err(|_| Unread::TooSlow)? {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > most_bytes + drained_bytes {
            return Err(Unread::TooLong);
        }
        if length > most_bytes {
            read = BytesMut::new();
        } else {
            read.extend_from_slice(&data);
        }
    }
    if length > most_bytes { Err(Unread::TooLong) } else { Ok(read.freeze()) }
}

/// An answer to a request whose body was not read: what is left of it is not the next request.
pub(crate) fn closing(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
