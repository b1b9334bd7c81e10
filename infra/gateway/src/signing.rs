//! How callbacks prove where they come from: Standard Webhooks' headers, and Stripe's.

use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::book::Protocol;
use crate::settings::Settings;

/// With what, and as of when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signs {
    Rightly,
    /// With a key that nobody has.
    Wrongly,
    /// Rightly, as of an hour ago.
    Stale,
}

const STALE_S: i64 = 3_600;

/// The headers of one attempt.
pub(crate) fn headers(
    settings: &Settings,
    protocol: Protocol,
    signs: Signs,
    id: &str,
    now_ms: i64,
    body: &str,
) -> HeaderMap {
    let seconds = now_ms.div_euclid(1_000) - if signs == Signs::Stale { STALE_S } else { 0 };
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).expect("ids, numbers and encoded bytes may stand in a header");
        headers.insert(HeaderName::from_static(name), value);
    };
    put("content-type", "application/json");
    match protocol {
        Protocol::Plain => {
            let sign = |key: &[u8]| format!("v1,{}", BASE64.encode(&tag(key, &format!("{id}.{seconds}.{body}"))));
            let signatures: Vec<_> = match signs {
                Signs::Wrongly => vec![sign(b"a key that nobody has")],
                Signs::Rightly | Signs::Stale => {
                    settings.webhook_secrets.iter().map(|secret| sign(secret.bytes())).collect()
                }
            };
            put("webhook-id", id);
            put("webhook-timestamp", &seconds.to_string());
            if !signatures.is_empty() {
                put("webhook-signature", &signatures.join(" "));
            }
        }
        Protocol::Stripe => {
            let sign = |key: &[u8]| format!(",v1={}", HEXLOWER.encode(&tag(key, &format!("{seconds}.{body}"))));
            let signatures: String = match signs {
                Signs::Wrongly => sign(b"a key that nobody has"),
                Signs::Rightly | Signs::Stale => {
                    settings.stripe_secrets.iter().map(|secret| sign(secret.as_bytes())).collect()
                }
            };
            if !signatures.is_empty() {
                put("stripe-signature", &format!("t={seconds}{signatures}"));
            }
        }
    }
    headers
}

fn tag(key: &[u8], signed: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::WebhookSecret;

    fn settings() -> Settings {
        Settings {
            webhook_secrets: vec![WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()],
            stripe_secrets: vec!["whsec_test_secret".to_owned()],
            ..Settings::default()
        }
    }

    /// The example that the libraries of Standard Webhooks are tested with.
    #[test]
    fn the_plain_signature_is_that_of_the_specification() {
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let headers = headers(&settings(), Protocol::Plain, Signs::Rightly, id, 1_614_265_330_999, body);
        assert_eq!(headers["webhook-id"], id);
        assert_eq!(headers["webhook-timestamp"], "1614265330");
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn stripe_signs_time_and_body_in_hexadecimal() {
        let signed = |signs| headers(&settings(), Protocol::Stripe, signs, "evt_1", 1_700_000_000_000, "{}");
        let right = signed(Signs::Rightly)["stripe-signature"].to_str().unwrap().to_owned();
        // By `printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test_secret`.
        let expected = "ceb8863f7208fa249a6cd8f951e993c7563412aca65866f6272283debe143ab3";
        assert_eq!(right, format!("t=1700000000,v1={expected}"));
        let wrong = signed(Signs::Wrongly)["stripe-signature"].to_str().unwrap().to_owned();
        assert!(wrong.starts_with("t=1700000000,v1=") && wrong != right, "{wrong}");
        let stale = signed(Signs::Stale)["stripe-signature"].to_str().unwrap().to_owned();
        let expected = HEXLOWER.encode(&tag(b"whsec_test_secret", "1699996400.{}"));
        assert_eq!(stale, format!("t=1699996400,v1={expected}"));
    }

    #[test]
    fn while_secrets_change_each_signs() {
        let mut settings = settings();
        settings.stripe_secrets.push("whsec_another".to_owned());
        settings.webhook_secrets.push(WebhookSecret::parse("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap());
        let stripe = headers(&settings, Protocol::Stripe, Signs::Rightly, "evt_1", 0, "{}");
        assert_eq!(stripe["stripe-signature"].to_str().unwrap().matches(",v1=").count(), 2);
        let plain = headers(&settings, Protocol::Plain, Signs::Rightly, "evt_1", 0, "{}");
        assert_eq!(plain["webhook-signature"].to_str().unwrap().split(' ').count(), 2);
    }

    #[test]
    fn nothing_is_signed_without_a_secret() {
        let none = Settings::default();
        assert!(!headers(&none, Protocol::Plain, Signs::Rightly, "evt_1", 0, "{}").contains_key("webhook-signature"));
        assert!(!headers(&none, Protocol::Stripe, Signs::Rightly, "evt_1", 0, "{}").contains_key("stripe-signature"));
    }
}
