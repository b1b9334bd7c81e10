//! Servers that are started and ended, one HTTP request at a time, and waiting for what is to come true.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// Of what is promised within two seconds, tests wait longer only because they run beside each other.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The command, with nothing of the caller's environment that would change what it says.
pub(crate) fn paidonce<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidonce"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("RUST_BACKTRACE").env("NO_COLOR", "1");
    command
}

/// Runs a tool over a state directory to its end.
pub(crate) fn run(state: &Path, arguments: &[&str]) -> Output {
    paidonce(arguments.iter().copied()).arg("--state").arg(state).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Changes what a state directory says that it was last served with.
pub(crate) fn edit_served(state: &Path, field: &str, value: Value) {
    let file = state.join("served.json");
    let mut served: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    served[field] = value;
    std::fs::write(&file, served.to_string()).unwrap();
}

/// A server on a free port. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// What it has printed so far.
    said: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(state: &Path, more: &[&str]) -> Self {
        let state = state.to_str().unwrap();
        Self::start_with(&[&["serve", "--port", "0", "--aws-port", "0", "--state", state], more].concat())
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut child = paidonce(arguments.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (heard, lines) = channel();
        let out = child.stdout.take().unwrap();
        let readers = vec![
            keep(out, said.clone(), move |line| drop(heard.send(line.to_owned()))),
            keep(child.stderr.take().unwrap(), said.clone(), |_| {}),
        ];
        let mut server = Self { child, port: 0, said, readers };
        server.port = server.port_in(&lines);
        server
    }

    fn port_in(&self, lines: &Receiver<String>) -> u16 {
        let deadline = Instant::now() + STARTS_WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = lines.recv_timeout(left) else { panic!("it does not start:\n{}", self.said()) };
            if let Some(port) = line.strip_prefix("Paidonce is at http://127.0.0.1:") {
                return port.trim().parse().unwrap();
            }
        }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// Ends it where it stands.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        (status, self.said())
    }

    pub(crate) fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        call(self.port, method, path, headers, body).unwrap()
    }

    pub(crate) fn get(&self, user: &str, path: &str) -> Answer {
        self.call("GET", path, &[("x-user-id", user)], "")
    }

    pub(crate) fn post(&self, user: &str, path: &str, key: &str, body: &str) -> Answer {
        post(self.port, user, path, key, body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself or have been ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(
    from: impl Read + Send + 'static,
    into: Arc<Mutex<Vec<String>>>,
    heard: impl Fn(&str) + Send + 'static,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            into.lock().unwrap().push(line.clone());
            heard(&line);
        }
    })
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn is_replay(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }
}

pub(crate) fn post(port: u16, user: &str, path: &str, key: &str, body: &str) -> std::io::Result<Answer> {
    let headers = [("x-user-id", user), ("idempotency-key", key), ("content-type", "application/json")];
    call(port, "POST", path, &headers, body)
}

/// One request on a connection of its own. An answer that broke off is an error, never a short answer.
pub(crate) fn call(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(40)))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes())?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    read_answer(&raw).ok_or_else(|| Error::new(ErrorKind::UnexpectedEof, "the answer broke off"))
}

fn read_answer(raw: &[u8]) -> Option<Answer> {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&raw[..end]).ok()?, &raw[end + 4..]);
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let answer = Answer { status, head: head.to_owned(), body: body.to_vec() };
    let announced: usize = answer.header("content-length")?.parse().ok()?;
    (announced == body.len()).then_some(answer)
}

/// Asks again until there is an answer.
pub(crate) fn eventually<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        rest(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "another process can only be asked again")]
pub(crate) fn rest(length: Duration) {
    std::thread::sleep(length);
}
