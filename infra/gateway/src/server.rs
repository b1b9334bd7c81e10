//! The gateway on a socket of this machine: requests come in over HTTP/1.1, callbacks go out to another socket of this
//! machine, and what it did is written down before it is answered.

mod caller;
mod gate;
mod journal;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::journal::Journal;
use crate::book::Unreadable;
use crate::gateway::{Gateway, Moment};
use crate::mood::Mood;
use crate::settings::{self, Settings, SettingsError};

const HEADERS_WITHIN: Duration = Duration::from_secs(10);
const BODY_WITHIN: Duration = Duration::from_secs(30);
const MOST_BYTES: usize = 1024 * 1024;
/// After an accept that failed, as when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);
/// When there is nothing to be sent, something may still change without anyone saying so: a clock that is set.
const LOOKS_AGAIN: Duration = Duration::from_secs(60);

/// Milliseconds since the epoch.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

pub struct Options {
    pub settings: Settings,
    pub mood: Mood,
    pub seed: u64,
    pub clock: Clock,
    /// Where the book is written, and read from at the start. Without one it is forgotten at the end.
    pub journal: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the gateway listens on a loopback address, not on {0}: whoever reaches it may do everything")]
    NotLoopback(SocketAddr),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the gateway's book {} cannot be used: {source}", .path.display())]
    Journal { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}; it can be deleted, and the gateway begins afresh", .path.display())]
    Unreadable { path: PathBuf, source: Unreadable },
    #[error("the gateway's socket has no address: {0}")]
    Socket(#[from] std::io::Error),
}

/// A gateway that is served. It ends when it is told to; when it is dropped, at once.
pub struct Running {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Serves a gateway on `listener`, inside the runtime that this is called in.
pub fn start(listener: TcpListener, options: Options) -> Result<Running, StartError> {
    let Options { settings, mood, seed, clock, journal } = options;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(StartError::NotLoopback(address));
    }
    if let Some(url) = &settings.callback_url {
        settings::callback_url(url.as_str())?;
    }
    let (gateway, journal) = match journal {
        None => (Gateway::new(settings, mood, seed), None),
        Some(path) => {
            let failed = |source| StartError::Journal { path: path.clone(), source };
            let text = journal::read(&path).map_err(failed)?;
            let unreadable = |source| StartError::Unreadable { path: path.clone(), source };
            let mut gateway = Gateway::restored(settings, mood, seed, &text, clock()).map_err(unreadable)?;
            let journal = Journal::begin(&path, &gateway.whole_journal()).map_err(failed)?;
            gateway.keep_journal();
            (gateway, Some(journal))
        }
    };
    let kept = Mutex::new(Kept { gateway, journal });
    let shared = Arc::new(Shared { kept, clock, changed: Notify::new() });
    let stop = watch::Sender::new(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, Arc::clone(&shared), stop.subscribe()));
    tasks.spawn(caller::call_back(Arc::clone(&shared), stop.subscribe()));
    Ok(Running { address, shared, stop, tasks })
}

impl Running {
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at the gateway, or changes it, between two requests.
    pub fn with<T>(&self, look: impl FnOnce(&mut Gateway, Moment) -> T) -> T {
        let seen = self.shared.with(look);
        self.shared.changed.notify_one();
        seen
    }

    /// What is under way is dropped: a gateway that is gone answers nobody. What was written down goes on later.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

struct Shared {
    kept: Mutex<Kept>,
    clock: Clock,
    /// Something may be due sooner than it was.
    changed: Notify,
}

struct Kept {
    gateway: Gateway,
    journal: Option<Journal>,
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Gateway, Moment) -> T) -> T {
        self.written(act).0
    }

    /// What changed is written down before anyone hears of it, if it can be.
    fn written<T>(&self, act: impl FnOnce(&mut Gateway, Moment) -> T) -> (T, bool) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = (self.clock)();
        let Kept { gateway, journal } = &mut *kept;
        let done = act(gateway, now_ms);
        let lines = gateway.take_journal();
        if let Some(journal) = journal
            && let Err(error) = journal.write(&lines, || gateway.whole_journal())
        {
            tracing::error!(%error, "the gateway's book cannot be written: {error}");
            return (done, false);
        }
        (done, true)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told_to_stop(&mut stopped) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the gateway could not be accepted: {error}");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error is that nobody is left who could tell.
    let _: Result<_, _> = stopped.wait_for(|stopped| *stopped).await.map(drop);
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { respond(&shared, request).await.map(|response| response.map(Full::new)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    // Most of them are meant to break off.
    if let Err(error) = pin!(connection).await {
        tracing::debug!(%error, "a connection to the gateway ended: {error}");
    }
}

/// The connection is to end without a word.
#[derive(Debug)]
struct Silence;

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the gateway keeps silent")
    }
}

impl std::error::Error for Silence {}

async fn respond(shared: &Shared, request: Request<Incoming>) -> Result<Response<Bytes>, Silence> {
    let (head, body) = request.into_parts();
    if let Some(why) = gate::objection(&head) {
        return Ok(refused(StatusCode::FORBIDDEN, &why));
    }
    let too_long = || Ok(refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than a mebibyte"));
    if usize::try_from(body.size_hint().lower()).map_or(true, |announced| announced > MOST_BYTES) {
        return too_long();
    }
    let body = match timeout(BODY_WITHIN, Limited::new(body, MOST_BYTES).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return too_long(),
        Ok(Err(_)) => return Ok(refused(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => return Ok(refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 30 seconds")),
    };
    let request = Request::from_parts(head, body);
    let (reply, is_written) = shared.written(|gateway, now_ms| gateway.receive(now_ms, &request));
    shared.changed.notify_one();
    if !is_written {
        // What it would say may be forgotten. So it is as if the answer were lost.
        return Err(Silence);
    }
    sleep(Duration::from_millis(reply.after_ms)).await;
    reply.response.ok_or(Silence)
}

/// What is left of such a request is not the next one.
fn refused(status: StatusCode, why: &str) -> Response<Bytes> {
    let said = serde_json::json!({"error": {"code": "refused", "message": why}});
    let mut response = Response::new(Bytes::from(said.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// For a pause until a moment, which may have passed.
fn until(now_ms: Moment, at_ms: Option<Moment>) -> Duration {
    let Some(at_ms) = at_ms else { return LOOKS_AGAIN };
    let pause_ms = u64::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(0);
    Duration::from_millis(pause_ms).min(LOOKS_AGAIN)
}
