//! Serves an [`Edge`] on a socket.

use std::{future::Future, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header, request::Parts};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use super::{Edge, MOST_BODY_BYTES, answer};
use crate::http_server::{self, Unread};

/// Serves until `stop` is done and what is under way has been answered.
pub async fn serve(edge: Edge, listener: TcpListener, stop: impl Future<Output = ()>) {
    let answer = move |request, peer| {
        let edge = edge.clone();
        async move { respond(&edge, request, peer).await }
    };
    http_server::serve(listener, stop, answer).await;
}

async fn respond(edge: &Edge, request: Request<Incoming>, peer: SocketAddr) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let refusal = if names_one_host(&head) {
        match http_server::read(body, &head.headers, MOST_BODY_BYTES).await {
            Ok(body) => return edge.answer(Request::from_parts(head, body), peer.ip()).await,
            Err(Unread::TooLong) => answer::too_long(),
            Err(Unread::TooSlow) => answer::message(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
            Err(Unread::Broken) => answer::message(StatusCode::BAD_REQUEST, "Bad Request"),
        }
    } else {
        answer::message(StatusCode::BAD_REQUEST, "Bad Request")
    };
    http_server::closing(edge.refuse(refusal))
}

/// HTTP/1.1 wants exactly one `Host`.
fn names_one_host(head: &Parts) -> bool {
    let hosts = head.headers.get_all(header::HOST).iter().count();
    hosts == 1 || hosts == 0 && head.version == Version::HTTP_10
}
