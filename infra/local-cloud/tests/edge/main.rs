//! The HTTP API from request to response, one test for each rule, and the server on a real loopback socket.
//!
//! A rule of AWS has its sentence in the comment, with the page of the API Gateway developer guide that says it; where
//! AWS is silent, the comment says so, and whose word it goes by.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test that called it")]

mod authorizers;
mod cors;
mod limits;
mod odd_requests;
mod requests;
mod responses;
mod routing;
mod server;
mod support;
mod templates;
mod throttling;
