//! One request to the controls of the stand-in at a time, over a connection of its own on this machine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::failure::Failure;
use crate::state::StateDirectory;

/// The controls never misbehave; whoever does not answer within this is gone.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Controls {
    port: u16,
    state: String,
}

impl Controls {
    /// Of the server that runs over a state.
    pub(super) fn of(directory: &StateDirectory) -> Result<Self, Failure> {
        let state = directory.path().display().to_string();
        let port = directory.served_by_somebody()?.gateway_port.ok_or_else(|| {
            Failure::Failed(format!(
                "{state} is not being served with a payment gateway beside it\nstart the server: paidonce serve --state {state}"
            ))
        })?;
        Ok(Self { port, state })
    }

    pub(super) fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let text = self.text(method, path, body)?;
        serde_json::from_str(&text).map_err(|error| self.failed(&format!("its answer is no JSON: {error}")))
    }

    pub(super) fn text(&self, method: &str, path: &str, body: Option<&Value>) -> Result<String, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let raw = self.exchange(method, path, &body).map_err(|error| {
            self.failed(&format!("nothing answers: {error}; is the server of {} still running?", self.state))
        })?;
        let (status, text) = answer(&raw).ok_or_else(|| self.failed("its answer broke off"))?;
        if (200..300).contains(&status) {
            return Ok(text);
        }
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        let why = said["error"]["message"].as_str().unwrap_or(&text);
        Err(Failure::Failed(format!("the gateway refuses it: {why}")))
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw)?;
        Ok(raw)
    }

    fn failed(&self, why: &str) -> Failure {
        Failure::Failed(format!("the payment gateway at port {}: {why}", self.port))
    }
}

/// A path with those parameters that there are.
pub(super) fn path(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded((*value)?))));
    let query = given.collect::<Vec<_>>().join("&");
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Status and body of an answer that is all there.
fn answer(raw: &[u8]) -> Option<(u16, String)> {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&raw[..end]).ok()?, &raw[end + 4..]);
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    let is_whole = length.trim().parse() == Ok(body.len());
    is_whole.then(|| String::from_utf8(body.to_vec()).ok()).flatten().map(|body| (status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_path_is_encoded() {
        let asked = path("/book", &[("key", None), ("reference", Some("order 7&8/ü"))]);
        assert_eq!(asked, "/book?reference=order%207%268%2F%C3%BC");
        assert_eq!(path("/book", &[("key", None)]), "/book");
    }

    #[test]
    fn an_answer_that_broke_off_is_none() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(answer(whole), Some((200, "{}".to_owned())));
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length]), None, "{length} bytes");
        }
    }
}
