//! Who may ask: whoever addresses this machine by a name that is its own, and no page in a browser, which could send to
//! any loopback port.

use http::header;
use http::request::Parts;

/// Why a request is not even looked at.
pub(super) fn objection(head: &Parts) -> Option<String> {
    let header = |name| head.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let host = head.uri.authority().map(http::uri::Authority::as_str).or_else(|| header(header::HOST));
    let Some(host) = host else { return Some("a request needs a Host header".to_owned()) };
    if !is_local(host) {
        return Some(format!("it is asked for by the name {host}; use localhost, 127.0.0.1 or [::1]"));
    }
    let origin = header(header::ORIGIN);
    let is_foreign = origin.is_some_and(|origin| !origin.split_once("://").is_some_and(|(_, host)| is_local(host)));
    is_foreign.then(|| "it answers no page of another site".to_owned())
}

/// With or without a port.
fn is_local(host: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || matches!(name, "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "127.0.0.1.nip.io:80", "192.168.0.1", "localhost:", ""] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let objects = |name: &str, value: &str| {
            let request = http::Request::get("/book").header("host", "localhost:1").header(name, value);
            objection(&request.body(()).unwrap().into_parts().0).is_some()
        };
        assert!(objects("origin", "https://example.com") && objects("origin", "null"));
        assert!(!objects("origin", "http://localhost:3000") && !objects("accept", "*/*"));
    }
}
