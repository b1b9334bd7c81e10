//! How much memory an idle `serve` holds: the command itself, started as a user starts it, asked once, left alone for
//! a moment and then ended, by its id.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::error::Error;

const STARTS_WITHIN: Duration = Duration::from_secs(30);
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const IDLE_FOR: Duration = Duration::from_secs(2);

/// The resident memory of `serve`, in KiB.
pub(crate) async fn of_idle_serve(binary: &Path) -> Result<u64, Error> {
    let mut serve = Command::new(binary);
    serve.args(["serve", "--ephemeral", "--port", "0", "--aws-port", "0", "--quiet"]);
    of_idle(serve).await
}

async fn of_idle(serve: Command) -> Result<u64, Error> {
    let served = in_background(move || Served::start(serve)).await?;
    tokio::time::sleep(IDLE_FOR).await;
    served.resident_kib()
}

/// What waits for another process does so off the runtime.
async fn in_background<T: Send + 'static>(
    wait: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let waited = tokio::task::spawn_blocking(wait).await;
    waited.unwrap_or_else(|error| Err(Error::Unexpected(format!("waiting for serve broke off: {error}"))))
}

/// A process that ends with this.
struct Served(Child);

impl Served {
    /// Starts it, and returns when it has answered on the address that it says.
    fn start(mut serve: Command) -> Result<Self, Error> {
        let (says, writes) = std::io::pipe().map_err(Error::io("a pipe cannot be had"))?;
        let also_writes = writes.try_clone().map_err(Error::io("a pipe cannot be had"))?;
        serve.stdin(Stdio::null()).stdout(writes).stderr(also_writes);
        let served = Self(serve.spawn().map_err(Error::io("serve cannot be started"))?);
        // It holds the pipe's other end too: with it open, the end of what serve says would never be seen.
        drop(serve);
        let address = address_said(says)?;
        ask(&address).map_err(Error::io("serve does not answer"))?;
        Ok(served)
    }

    fn resident_kib(&self) -> Result<u64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))
            .map_err(Error::io("the memory of serve cannot be read; this needs Linux"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|rest| rest.trim().strip_suffix("kB")).and_then(|kib| kib.trim().parse().ok());
        kib.ok_or_else(|| Error::Unexpected("the memory of serve is not stated; has it ended?".to_owned()))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // An error is that it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The host and port of the first URL that is said. What comes after it is read and dropped, so that nobody has to wait
/// for a full pipe.
fn address_said(says: impl Read + Send + 'static) -> Result<String, Error> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = String::new();
        for line in BufReader::new(says).lines().map_while(Result::ok) {
            if let Some(address) = address_in(&line) {
                drop(tell.send(Ok(address)));
            }
            if said.len() < 2_000 {
                said.push_str(&line);
                said.push('\n');
            }
        }
        drop(tell.send(Err(Error::Unexpected(format!("serve ended without saying where it is: {said}")))));
    });
    told.recv_timeout(STARTS_WITHIN)
        .unwrap_or_else(|_| Err(Error::Unexpected("serve did not say in time where it is".to_owned())))
}

fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("http://")?;
    let ends = rest.find(|letter: char| letter.is_whitespace() || "/\"',)".contains(letter)).unwrap_or(rest.len());
    let address = &rest[..ends];
    address.contains(':').then(|| address.to_owned())
}

fn ask(address: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    write!(stream, "GET /account HTTP/1.1\r\nHost: {address}\r\nX-User-Id: nobody\r\nConnection: close\r\n\r\n")?;
    let mut begins = [0; 5];
    stream.read_exact(&mut begins)?;
    if &begins == b"HTTP/" { Ok(()) } else { Err(std::io::Error::other("that is no HTTP")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_what_is_said() {
        let address = Some("127.0.0.1:4711".to_owned());
        for line in
            ["http://127.0.0.1:4711", "serving on http://127.0.0.1:4711/ now", "{\"url\":\"http://127.0.0.1:4711\"}"]
        {
            assert_eq!(address_in(line), address, "{line}");
        }
        assert_eq!(address_in("no address here"), None);
        assert_eq!(address_in("http://example.com"), None);
    }

    #[test]
    fn a_serve_that_ends_says_why() {
        let said = address_said(&b"the port is taken\n"[..]).unwrap_err().to_string();
        assert!(said.contains("the port is taken"), "{said}");
    }

    #[tokio::test]
    async fn a_process_is_asked_weighed_and_ended() {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let answers = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // A connection that is closed on what was not read is reset.
            let asked = BufReader::new(&stream).lines().map_while(Result::ok);
            assert!(asked.take_while(|line| !line.is_empty()).count() > 1);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        });
        let mut stand_in = Command::new("sh");
        // It stops where it is: one that becomes another program holds next to nothing for a moment.
        stand_in.arg("-c").arg(format!("echo serving on http://{address}; kill -STOP $$"));
        let served = in_background(|| Served::start(stand_in)).await.unwrap();
        answers.join().unwrap();
        assert!((100..100_000).contains(&served.resident_kib().unwrap()));
        let process = format!("/proc/{}", served.0.id());
        assert!(Path::new(&process).exists());
        drop(served);
        assert!(!Path::new(&process).exists(), "it does not outlive the measuring");
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_an_error() {
        let missing = Path::new("no-such-command");
        assert!(matches!(of_idle_serve(missing).await, Err(Error::Io { .. })));
    }
}
