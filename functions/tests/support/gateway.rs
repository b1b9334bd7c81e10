//! A gateway of the plain protocol that answers at once, by what it is asked for: most of it is done, and some amounts are
//! not. It is for what comes of its answers; what a gateway may do besides is tried with the stand-in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use domain::payments::NoAnswer;
use platform::gateways::{Carry, Request, Response};
use platform::runtime::BoxFuture;
use serde_json::{Value, json};

/// Of an amount, its digits but for the zeros at the end, so that it is the same in every currency.
fn digits(amount: &Value) -> String {
    amount.to_string().trim_end_matches('0').to_owned()
}

/// 66 of anything is captured as another amount, 77 is declined, 88 is pending for ever; 13 is not given back, and 11 is on
/// its way back for ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prompt {
    /// Of each charge.
    currencies: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl Carry for Prompt {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, NoAnswer>> {
        let (status, body) = self.answer(&request);
        let response = Response { status, headers: Vec::new(), body: body.to_string().into_bytes() };
        Box::pin(std::future::ready(Ok(response)))
    }
}

impl Prompt {
    fn answer(&self, request: &Request) -> (u16, Value) {
        let key = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        let (Some((_, key)), "POST") = (key, request.method) else {
            return (503, json!({ "error": { "code": "unavailable", "message": "it is not asked" } }));
        };
        let asked: Value = serde_json::from_str(&request.body).unwrap();
        let amount = &asked["amount"];
        let id: String = key.chars().rev().take(12).collect();
        let mut currencies = self.currencies.lock().unwrap();
        if request.url.ends_with("/charges") {
            currencies.insert(format!("ch_{id}"), asked["currency"].clone());
            let charge = |state: &str, amount: &Value| {
                json!({
                    "id": format!("ch_{id}"), "key": key, "reference": asked["reference"], "amount": amount,
                    "currency": asked["currency"], "state": state, "refunded": 0, "decline": null,
                })
            };
            return match digits(amount).as_str() {
                "66" => (201, charge("captured", &json!(amount.as_i64().unwrap() + 1))),
                "77" => {
                    let error = json!({ "code": "declined", "message": "no", "charge": charge("declined", amount) });
                    (402, json!({ "error": error }))
                }
                "88" => (202, charge("pending", amount)),
                _ => (201, charge("captured", amount)),
            };
        }
        let refund = |state: &str| {
            json!({
                "id": format!("re_{id}"), "key": key, "charge": asked["charge"], "amount": amount,
                "currency": currencies[asked["charge"].as_str().unwrap()], "state": state,
            })
        };
        match digits(amount).as_str() {
            "13" => {
                let error = json!({ "code": "refund_failed", "message": "no", "refund": refund("failed") });
                (402, json!({ "error": error }))
            }
            "11" => (202, refund("pending")),
            _ => (201, refund("done")),
        }
    }
}
