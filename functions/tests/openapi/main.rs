//! `GET /openapi.json` says what is so: it names the routes of the template and every code, its schemas are what is
//! answered and what is taken, and its examples are what happens when they are sent.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod answers;
mod busy;
mod description;
mod document;
mod examples;
mod goods;
mod payments;
mod requests;
#[path = "../support/mod.rs"]
mod support;

/// Whatever a stack's currency has behind its decimal point, its description is true.
const CURRENCIES: [&str; 3] = ["EUR", "JPY", "KWD"];

fn system_in(currency: &str) -> local_system::System {
    support::system_with(|mut options| {
        options.parameters.insert("Currency".to_owned(), currency.to_owned());
        options
    })
}
