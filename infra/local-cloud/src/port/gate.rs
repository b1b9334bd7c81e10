//! Who may ask: whoever addresses this machine by a name that is its own, and no page of another site in a browser.
//!
//! A browser lets any page send to a loopback port, and a name that leads there can be anyone's. So a request that came
//! under another name, or from a page, is refused before it is looked at; no header ever allows one.

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::asked::text;
use crate::wire::response;

/// What whoever may not ask is told.
pub(super) fn refusal(head: &Parts) -> Option<Response<Bytes>> {
    let host = head.uri.authority().map(http::uri::Authority::as_str).or_else(|| text(&head.headers, "host"));
    let Some(host) = host else {
        return Some(refused("a request needs a Host header"));
    };
    if !is_local(host) {
        return Some(refused(&format!("it is asked for by the name {host}; use localhost, 127.0.0.1 or [::1]")));
    }
    let origin = text(&head.headers, "origin");
    if origin.is_some_and(|origin| !origin.split_once("://").is_some_and(|(_, host)| is_local(host))) {
        return Some(refused("it answers no page of another site"));
    }
    if text(&head.headers, "sec-fetch-site") == Some("cross-site") {
        return Some(refused("it answers no page of another site"));
    }
    None
}

/// With or without a port.
fn is_local(host: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.chars().all(|digit| digit.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "localhost" | "127.0.0.1" | "[::1]" | "host.docker.internal")
        || name.ends_with(".localhost")
}

fn refused(why: &str) -> Response<Bytes> {
    let said = format!("This port stands in for AWS on its own machine: {why}.\n");
    response(403, "text/plain; charset=utf-8", said.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in [
            "localhost",
            "LocalHost:4566",
            "127.0.0.1:1",
            "[::1]:4566",
            "things.localhost:4566",
            "host.docker.internal",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "example.com",
            "localhost.example.com",
            "127.0.0.1.nip.io:4566",
            "192.168.0.1",
            "notlocalhost",
            "localhost:",
            "localhost:80@example.com",
            "",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
