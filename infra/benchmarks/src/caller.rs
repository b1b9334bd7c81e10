//! Whoever calls the served edge: a plain socket in a thread of its own, so that what is timed is the system and not a
//! client's runtime.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use local_cloud::edge;
use local_system::System;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::error::{Error, ensure};

/// A caller that waits does not hold up what it waits for.
pub(crate) async fn off_the_runtime<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let called = tokio::task::spawn_blocking(call).await;
    called.unwrap_or_else(|error| Err(Error::Unexpected(format!("the caller broke off: {error}"))))
}

/// The edge on a loopback port.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(system: &System) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::io("no port can be had"))?;
        let address = listener.local_addr().map_err(Error::io("no port can be had"))?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(edge::serve(system.edge.clone(), listener, async move { drop(stopped.await) }));
        Ok(Self { address, stop, task })
    }

    pub(crate) async fn stop(self) {
        let _: Result<_, _> = self.stop.send(());
        drop(self.task.await);
    }
}

/// Callers on one connection that is kept open.
pub(crate) struct Caller {
    stream: BufReader<TcpStream>,
}

impl Caller {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).map_err(Error::io("the edge cannot be reached"))?;
        stream.set_nodelay(true).map_err(Error::io("the edge cannot be reached"))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// With every scope, which is believed here.
    pub(crate) fn call(
        &mut self,
        user: &str,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Result<(u16, Value), Error> {
        let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-User-Id: {user}\r\nX-User-Scopes: stock slots\r\n{key}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.exchange(&request).map_err(Error::io("the edge does not answer"))?;
        let (status, body) = answer;
        let body = serde_json::from_slice(&body)
            .map_err(|error| Error::Unexpected(format!("{method} {path} was answered with no JSON: {error}")))?;
        Ok((status, body))
    }

    /// What must be answered with this status.
    pub(crate) fn expect(
        &mut self,
        status: u16,
        user: &str,
        (method, path): (&str, &str),
        key: Option<&str>,
        body: &Value,
    ) -> Result<Value, Error> {
        let (answered, answer) = self.call(user, method, path, key, body)?;
        ensure(answered == status, || format!("{method} {path} was answered with {answered}: {answer}"))?;
        Ok(answer)
    }

    fn exchange(&mut self, request: &str) -> std::io::Result<(u16, Vec<u8>)> {
        let strange = |what: &str| std::io::Error::other(format!("the answer has no {what}"));
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| strange("status"))?;
        let mut length = None;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
        let mut body = vec![0; length.ok_or_else(|| strange("length"))?];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }
}
