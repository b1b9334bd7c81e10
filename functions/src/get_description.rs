//! `GET /openapi.json`: what this API takes and answers, as OpenAPI 3.1, for whoever asks.
//!
//! It is kept in one file, which is written for a stack in euros. For another currency its code and the digits after
//! the decimal point are put in their places, so that what is described is what this very stack takes.

use domain::ids::Digest;
use domain::{Amount, Currency};
use platform::App;
use platform::http::{Problem, Request, Response};

const IN_EUROS: &str = include_str!("../openapi.json");

#[expect(clippy::unused_async, reason = "every handler is asked in the same way")]
pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let description = of_a_stack_in(app.config.terms.currency);
    let tag = Digest::of("description", &[description.as_bytes()]).to_string();
    Ok(Response::document(&request, description, &tag))
}

fn of_a_stack_in(currency: Currency) -> String {
    let euro = Currency::from_code("EUR").expect("the euro is a currency");
    let (euro, ours) = (Phrases::of(euro).0, Phrases::of(currency).0);
    let said = |text: &str| {
        let phrases = euro.iter().zip(&ours).filter(|(euro, ours)| euro != ours);
        phrases.fold(text.to_owned(), |text, (euro, ours)| text.replace(euro, ours))
    };
    // Milliseconds are no cents.
    IN_EUROS.split(".000Z").map(said).collect::<Vec<_>>().join(".000Z")
}

/// What is said differently in each currency, as the file has it.
struct Phrases([String; 7]);

impl Phrases {
    fn of(currency: Currency) -> Self {
        let decimal = |minor| Amount::from_minor(minor).unwrap_or_default().to_decimal(currency);
        // Amounts with something in them, as they are sent: a digit that is not 0 before the point, or behind it.
        let (sent, shown, zeros) = match currency.digits() {
            0 => ("^[0-9]*[1-9][0-9]*$", "[0-9]+$", ""),
            2 => {
                (r"^([0-9]*[1-9][0-9]*(\\.[0-9]{1,2})?|[0-9]+\\.(0?[1-9]|[1-9][0-9]?))$", r"[0-9]+\\.[0-9]{2}$", ".00")
            }
            _ => (
                r"^([0-9]*[1-9][0-9]*(\\.[0-9]{1,3})?|[0-9]+\\.(0{0,2}[1-9]|0?[1-9][0-9]|[1-9][0-9]{0,2}))$",
                r"[0-9]+\\.[0-9]{3}$",
                ".000",
            ),
        };
        Self([
            format!("{} has {} digits", currency.code(), currency.digits()),
            currency.code().to_owned(),
            zeros.to_owned(),
            decimal(i64::MAX),
            decimal(1),
            sent.to_owned(),
            shown.to_owned(),
        ])
    }
}
