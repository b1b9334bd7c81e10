//! Calls to endpoints as Standard Webhooks has them: id, time and body signed together, so that whoever receives one
//! knows that it is ours, that it is whole, and that it is not an old one.

use data_encoding::BASE64;
use domain::events::EventId;
use domain::webhooks::{EndpointUrl, Secret};
use domain::{Timestamp, planted};
use ring::hmac;

use crate::outside::Call;

const AGENT: &str = concat!("paidonce/", env!("CARGO_PKG_VERSION"));

/// The call for one attempt. The id is the same in each, the time is its own.
pub fn call(url: &EndpointUrl, secrets: &[Secret], event: &EventId, body: String, now: Timestamp) -> Call {
    let (mut id, seconds) = (id(event), now.as_seconds());
    if planted!(IdByAttempt) {
        id = format!("{id}_{seconds}");
    }
    let signatures: Vec<_> = secrets.iter().map(|secret| signature(secret.bytes(), &id, seconds, &body)).collect();
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("user-agent", AGENT.to_owned()),
        ("webhook-id", id),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ];
    Call { url: url.clone(), at: now, headers, body }
}

/// The event's id without full stops: those part what is signed.
fn id(event: &EventId) -> String {
    event.to_string().replace('.', "_")
}

fn signature(key: &[u8], id: &str, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use domain::books::Key;
    use domain::ids::CustomerId;
    use domain::webhooks::Reach;

    use super::*;

    /// The example that the libraries of Standard Webhooks are tested with.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let key = BASE64.decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_call_is_signed_over_what_it_says() {
        let event = EventId::new(&Key::Account(CustomerId::of("i", "s")), 7, 1);
        let url = EndpointUrl::parse("https://shop.example/", Reach::Public).unwrap();
        let (secrets, now) = ([9, 8].map(|byte| Secret::of([byte; 32])), Timestamp::from_millis(1_795_240_383_999));
        let call = call(&url, &secrets, &event, "{}".to_owned(), now);
        let header = |name: &str| call.headers.iter().find(|(given, _)| *given == name).unwrap().1.as_str();
        assert!(!header("webhook-id").contains('.') && header("webhook-id").ends_with("_7_1"));
        assert_eq!(header("webhook-timestamp"), "1795240383");
        let expected = [9, 8].map(|byte| signature(&[byte; 32], header("webhook-id"), 1_795_240_383, "{}"));
        assert_eq!(header("webhook-signature"), expected.join(" "));
    }
}
