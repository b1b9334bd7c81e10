//! What a payment gateway calls back with: that it is the gateway's own, whole, and not an old one. Nothing of a body is
//! believed, or even read, before.
//!
//! Gateways sign in one of two ways, and one verifier stands before both: an HMAC over the very bytes that came, with the
//! time in it. Several secrets are good at once, so that they can be changed without a callback being refused.

mod events;
mod standard;
mod stripe;

use std::fmt;

use data_encoding::BASE64;
use domain::payments::Gateway;
use domain::{Millis, Timestamp, planted};
use http::HeaderMap;
use ring::hmac;

pub use events::{Malformed, event};

/// How far the clock of whoever signed may be from ours, either way.
const TOLERANCE: Millis = Millis::seconds(300);
/// Signatures that are looked at. A gateway that changes its secret sends two.
const MOST_SIGNATURES: usize = 10;
/// Of a time in seconds: enough for 30,000 years, and no overflow anywhere.
const MOST_DIGITS: usize = 12;

/// How a gateway signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The headers of Standard Webhooks; what is signed is id, time and body.
    StandardWebhooks,
    /// Stripe's header `Stripe-Signature`; what is signed is time and body.
    Stripe,
}

/// Knows a gateway's callbacks by the secrets that are shared with it.
#[derive(Clone)]
pub struct Verifier {
    scheme: Scheme,
    keys: Vec<hmac::Key>,
}

/// A callback that is the gateway's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What a repeat has too, where the scheme signs it. Stripe's is in the body.
    pub id: Option<String>,
    pub signed_at: Timestamp,
}

/// Why a callback is not believed. For the log alone: whoever forges is told nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("the header {0} is missing")]
    Missing(&'static str),
    #[error("the header {0} is there twice")]
    Twice(&'static str),
    #[error("the header {0} is not of the scheme")]
    Malformed(&'static str),
    #[error("it was signed {0} seconds ago")]
    TooOld(i64),
    #[error("it was signed {0} seconds from now")]
    TooEarly(i64),
    #[error("no signature is of these bytes under a secret of ours")]
    NotOurs,
    #[error("it bears the headers of two gateways")]
    OfTwo,
    #[error("no secret is set for the gateway {}", .0.name())]
    NoSecret(Gateway),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitSecret {
    #[error("there is no secret")]
    None,
    #[error("secret {0} is not whsec_ and the base64 of 24 to 64 bytes")]
    NotStandard(usize),
    #[error("secret {0} is shorter than 16 characters")]
    TooShort(usize),
}

/// Every gateway that may call back, each by its own secrets. One whose secrets are not set may not.
#[derive(Clone, Debug, Default)]
pub struct Callbacks {
    plain: Option<Verifier>,
    stripe: Option<Verifier>,
}

impl Callbacks {
    pub const fn new(plain: Option<Verifier>, stripe: Option<Verifier>) -> Self {
        Self { plain, stripe }
    }

    /// Whose it is, as its headers say, and that it is theirs.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(Gateway, Verified), Doubt> {
        let (is_stripes, is_plain) = (stripe::is_signed(headers), standard::is_signed(headers));
        let (gateway, verifier) = match (is_stripes, is_plain) {
            (true, true) => return Err(Doubt::OfTwo),
            (true, false) => (Gateway::Stripe, &self.stripe),
            (false, _) => (Gateway::Plain, &self.plain),
        };
        let verifier = verifier.as_ref().ok_or(Doubt::NoSecret(gateway))?;
        Ok((gateway, verifier.verify(headers, body, now)?))
    }
}

impl Verifier {
    /// Secrets are separated by spaces, as they stand in a parameter; which is the older does not matter.
    pub fn new(scheme: Scheme, secrets: &str) -> Result<Self, UnfitSecret> {
        let keys: Result<Vec<_>, _> =
            secrets.split_whitespace().enumerate().map(|(place, secret)| key(scheme, secret, place + 1)).collect();
        let keys = keys?;
        if keys.is_empty() { Err(UnfitSecret::None) } else { Ok(Self { scheme, keys }) }
    }

    /// The body as it came, before anyone made sense of it.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, Doubt> {
        match self.scheme {
            Scheme::StandardWebhooks => {
                let signed = standard::Signed::read(headers)?;
                self.check(signed.head.as_bytes(), body, &signed.tags)?;
                Ok(Verified { id: Some(signed.id), signed_at: in_time(signed.seconds, now)? })
            }
            Scheme::Stripe => {
                let signed = stripe::Signed::read(headers)?;
                self.check(signed.head.as_bytes(), body, &signed.tags)?;
                Ok(Verified { id: None, signed_at: in_time(signed.seconds, now)? })
            }
        }
    }

    /// In constant time for each: a tag of any other length, or one that differs anywhere, is none.
    fn check(&self, head: &[u8], body: &[u8], tags: &[Vec<u8>]) -> Result<(), Doubt> {
        let signed = [head, body].concat();
        let is_ours = |tag: &Vec<u8>| self.keys.iter().any(|key| hmac::verify(key, &signed, tag).is_ok());
        if tags.iter().any(is_ours) { Ok(()) } else { Err(Doubt::NotOurs) }
    }
}

/// Without the keys.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("scheme", &self.scheme).field("keys", &self.keys.len()).finish()
    }
}

fn key(scheme: Scheme, secret: &str, place: usize) -> Result<hmac::Key, UnfitSecret> {
    let bytes = match scheme {
        Scheme::StandardWebhooks => secret
            .strip_prefix("whsec_")
            .and_then(|encoded| BASE64.decode(encoded.as_bytes()).ok())
            .filter(|bytes| (24..=64).contains(&bytes.len()))
            .ok_or(UnfitSecret::NotStandard(place))?,
        // The text itself, with what it begins with.
        Scheme::Stripe if secret.len() >= 16 => secret.as_bytes().to_vec(),
        Scheme::Stripe => return Err(UnfitSecret::TooShort(place)),
    };
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// A header that has to be there, once.
fn header<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, Doubt> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Doubt::Missing(name))?;
    if values.next().is_some() {
        return Err(Doubt::Twice(name));
    }
    value.to_str().map_err(|_| Doubt::Malformed(name))
}

/// Seconds in their one way of writing them, since it is the text that is signed.
fn seconds(text: &str) -> Option<i64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !(text.len() > 1 && text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain && text.len() <= MOST_DIGITS)
}

fn in_time(seconds: i64, now: Timestamp) -> Result<Timestamp, Doubt> {
    let age = now.as_seconds() - seconds;
    let tolerated = TOLERANCE.in_seconds_at_least();
    match age {
        _ if age > tolerated && !planted!(OldCallbackTaken) => Err(Doubt::TooOld(age)),
        _ if age < -tolerated => Err(Doubt::TooEarly(-age)),
        _ => Ok(Timestamp::from_millis(seconds * 1_000)),
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_240_383_007);
    const SECONDS: i64 = 1_795_240_383;
    const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const STRIPE: &str = "whsec_stripe_secret_of_a_test";
    const BODY: &[u8] = br#"{"id":"evt_1","amount":150099}"#;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn tag(scheme: Scheme, secret: &str, signed: &[u8]) -> Vec<u8> {
        hmac::sign(&key(scheme, secret, 1).unwrap(), signed).as_ref().to_vec()
    }

    fn standard_tag(secret: &str, id: &str, seconds: &str, body: &[u8]) -> String {
        let signed = [id.as_bytes(), b".", seconds.as_bytes(), b".", body].concat();
        format!("v1,{}", BASE64.encode(&tag(Scheme::StandardWebhooks, secret, &signed)))
    }

    fn stripe_tag(secret: &str, seconds: &str, body: &[u8]) -> String {
        HEXLOWER.encode(&tag(Scheme::Stripe, secret, &[seconds.as_bytes(), b".", body].concat()))
    }

    fn standard(id: &str, seconds: &str, signature: &str) -> HeaderMap {
        headers(&[("webhook-id", id), ("webhook-timestamp", seconds), ("webhook-signature", signature)])
    }

    fn verify_standard(headers: &HeaderMap, body: &[u8]) -> Result<Verified, Doubt> {
        Verifier::new(Scheme::StandardWebhooks, STANDARD).unwrap().verify(headers, body, NOW)
    }

    fn verify_stripe(value: &str, body: &[u8]) -> Result<Verified, Doubt> {
        Verifier::new(Scheme::Stripe, STRIPE).unwrap().verify(&headers(&[("stripe-signature", value)]), body, NOW)
    }

    /// The example that the libraries of Standard Webhooks are tested with.
    #[test]
    fn the_vector_of_standard_webhooks_is_genuine() {
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let headers = standard("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signature);
        let verifier = Verifier::new(Scheme::StandardWebhooks, STANDARD).unwrap();
        let body = br#"{"test": 2432232314}"#;
        let at = |seconds: i64| verifier.verify(&headers, body, Timestamp::from_millis(seconds * 1_000));
        let genuine = Verified {
            id: Some("msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()),
            signed_at: Timestamp::from_millis(1_614_265_330_000),
        };
        for (now, expected) in [
            (1_614_265_330, Ok(genuine.clone())),
            (1_614_265_630, Ok(genuine.clone())),
            (1_614_265_030, Ok(genuine)),
            (1_614_265_631, Err(Doubt::TooOld(301))),
            (1_614_265_029, Err(Doubt::TooEarly(301))),
        ] {
            assert_eq!(at(now), expected, "{now}");
        }
    }

    /// The event that Stripe's own libraries are tested with.
    #[test]
    fn the_vector_of_stripe_is_genuine() {
        let body = include_bytes!("../tests/vectors/stripe-event.json");
        let signature = "t=1533204620,v1=f0bdba6d4eacbd8ad8a3bbadd7248e633ec1477f7899c124c51b39405fa36613,\
                         v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef";
        // Shorter than what is taken for a secret.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"webhook_secret");
        let verifier = Verifier { scheme: Scheme::Stripe, keys: vec![key] };
        let at = |seconds: i64, body: &[u8]| {
            let headers = headers(&[("stripe-signature", signature)]);
            verifier.verify(&headers, body, Timestamp::from_millis(seconds * 1_000)).map(|verified| verified.signed_at)
        };
        let signed_at = Timestamp::from_millis(1_533_204_620_000);
        assert_eq!(at(1_533_204_720, body), Ok(signed_at));
        assert_eq!(at(1_533_205_020, body), Err(Doubt::TooOld(400)));
        assert_eq!(at(1_533_204_220, body), Err(Doubt::TooEarly(400)));
        assert_eq!(at(1_533_204_720, body.trim_ascii_end()), Err(Doubt::NotOurs), "the last line break counts");
    }

    #[test]
    fn several_secrets_are_good_at_once_and_no_other() {
        let other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let seconds = SECONDS.to_string();
        let both = Verifier::new(Scheme::StandardWebhooks, &format!("{other} {STANDARD}")).unwrap();
        for secret in [STANDARD, other] {
            let headers = standard("msg_1", &seconds, &standard_tag(secret, "msg_1", &seconds, BODY));
            assert!(both.verify(&headers, BODY, NOW).is_ok());
        }
        let of_other = standard_tag(other, "msg_1", &seconds, BODY);
        assert_eq!(verify_standard(&standard("msg_1", &seconds, &of_other), BODY), Err(Doubt::NotOurs));
        let of_both = format!("{of_other} {}", standard_tag(STANDARD, "msg_1", &seconds, BODY));
        assert!(verify_standard(&standard("msg_1", &seconds, &of_both), BODY).is_ok(), "signed with two, one is ours");
        let (ours, others) = (stripe_tag(STRIPE, &seconds, BODY), stripe_tag("another_secret_1", &seconds, BODY));
        assert!(verify_stripe(&format!("t={seconds},v1={others},v1={ours}"), BODY).is_ok());
        assert_eq!(verify_stripe(&format!("t={seconds},v1={others}"), BODY), Err(Doubt::NotOurs));
        assert_eq!(verify_stripe(&format!("t={seconds},v0={ours}"), BODY), Err(Doubt::Malformed("stripe-signature")));
    }

    #[test]
    fn a_secret_that_cannot_be_one_is_named_by_its_place() {
        for (scheme, secrets, unfit) in [
            (Scheme::StandardWebhooks, "", UnfitSecret::None),
            (Scheme::Stripe, "  ", UnfitSecret::None),
            (Scheme::StandardWebhooks, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", UnfitSecret::NotStandard(1)),
            (Scheme::StandardWebhooks, &format!("{STANDARD} whsec_AAAA"), UnfitSecret::NotStandard(2)),
            (Scheme::StandardWebhooks, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", UnfitSecret::NotStandard(1)),
            (Scheme::Stripe, &format!("{STRIPE} short"), UnfitSecret::TooShort(2)),
        ] {
            assert_eq!(Verifier::new(scheme, secrets).unwrap_err(), unfit, "{secrets:?}");
        }
        let shown = format!("{:?}", Verifier::new(Scheme::Stripe, STRIPE).unwrap());
        assert!(!shown.contains("whsec"), "{shown}");
    }

    #[test]
    fn whose_a_callback_is_its_headers_say() {
        let seconds = SECONDS.to_string();
        let standard = standard("msg_1", &seconds, &standard_tag(STANDARD, "msg_1", &seconds, BODY));
        let stripes =
            headers(&[("stripe-signature", &format!("t={seconds},v1={}", stripe_tag(STRIPE, &seconds, BODY)))]);
        let plain = Verifier::new(Scheme::StandardWebhooks, STANDARD).unwrap();
        let stripe = Verifier::new(Scheme::Stripe, STRIPE).unwrap();
        let both = Callbacks::new(Some(plain.clone()), Some(stripe));
        let of = |callbacks: &Callbacks, headers: &HeaderMap| {
            callbacks.verify(headers, BODY, NOW).map(|(gateway, verified)| (gateway, verified.id))
        };
        assert_eq!(of(&both, &standard), Ok((Gateway::Plain, Some("msg_1".to_owned()))));
        assert_eq!(of(&both, &stripes), Ok((Gateway::Stripe, None)));
        let two: HeaderMap =
            standard.clone().into_iter().chain(stripes.clone()).map(|(k, v)| (k.unwrap(), v)).collect();
        assert_eq!(of(&both, &two), Err(Doubt::OfTwo));
        assert_eq!(of(&both, &HeaderMap::new()), Err(Doubt::Missing("webhook-id")));
        let one = Callbacks::new(Some(plain), None);
        assert_eq!(of(&one, &stripes), Err(Doubt::NoSecret(Gateway::Stripe)));
        assert_eq!(of(&Callbacks::default(), &standard), Err(Doubt::NoSecret(Gateway::Plain)));
    }

    #[test]
    fn headers_of_standard_webhooks_are_there_once_and_of_the_scheme() {
        let seconds = SECONDS.to_string();
        let good = standard_tag(STANDARD, "msg_1", &seconds, BODY);
        assert!(verify_standard(&standard("msg_1", &seconds, &good), BODY).is_ok());
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut headers = standard("msg_1", &seconds, &good);
            let value = headers.get(name).unwrap().clone();
            headers.append(name, value);
            assert_eq!(verify_standard(&headers, BODY), Err(Doubt::Twice(name)));
            headers.remove(name);
            assert_eq!(verify_standard(&headers, BODY), Err(Doubt::Missing(name)));
        }
        let malformed = |header, id: &str, seconds: &str, signature: &str| {
            let refused = verify_standard(&standard(id, seconds, signature), BODY);
            assert_eq!(refused, Err(Doubt::Malformed(header)), "{id:?} {seconds:?} {signature:?}");
        };
        for id in ["", "a b", "ü", "msg.1", &"x".repeat(256)] {
            malformed("webhook-id", id, &seconds, &standard_tag(STANDARD, id, &seconds, BODY));
        }
        for time in ["", "-1", "+1795240383", "01795240383", "1795240383.0", " 1795240383", "9999999999999", "soon"] {
            malformed("webhook-timestamp", "msg_1", time, &standard_tag(STANDARD, "msg_1", time, BODY));
        }
        let tag = good.strip_prefix("v1,").unwrap();
        let many = [good.as_str(); 11].join(" ");
        for signature in ["", " ", tag, "v2,AAAA", "v1", "v1,", "v1,!!!!", &tag.to_lowercase(), &many] {
            malformed("webhook-signature", "msg_1", &seconds, signature);
        }
    }

    /// Else what was signed under one id, at one time, would be genuine under another with a part of it as the body.
    #[test]
    fn what_was_signed_is_not_parted_elsewhere() {
        let seconds = SECONDS.to_string();
        let body = format!("{seconds}.{{}}");
        let signature = standard_tag(STANDARD, "msg_1", "1", body.as_bytes());
        let parted = verify_standard(&standard("msg_1.1", &seconds, &signature), b"{}");
        assert_eq!(parted, Err(Doubt::Malformed("webhook-id")));
    }

    #[test]
    fn the_header_of_stripe_is_there_once_and_of_the_scheme() {
        let (seconds, name) = (SECONDS.to_string(), "stripe-signature");
        let tag = stripe_tag(STRIPE, &seconds, BODY);
        assert!(verify_stripe(&format!("t={seconds},v1={tag}"), BODY).is_ok());
        assert!(verify_stripe(&format!("v1={tag},v9=,t={seconds}"), BODY).is_ok(), "in any order, and others besides");
        let verifier = Verifier::new(Scheme::Stripe, STRIPE).unwrap();
        assert_eq!(verifier.verify(&HeaderMap::new(), BODY, NOW), Err(Doubt::Missing(name)));
        let value = format!("t={seconds},v1={tag}");
        let twice = headers(&[(name, &value), (name, &value)]);
        assert_eq!(verifier.verify(&twice, BODY, NOW), Err(Doubt::Twice(name)));
        let many = format!("t={seconds}{}", format!(",v1={tag}").repeat(11));
        for value in [
            "",
            "t=",
            &tag,
            &format!("v1={tag}"),
            &format!("t={seconds}"),
            &format!("t={seconds},t={seconds},v1={tag}"),
            &format!("t=0{seconds},v1={tag}"),
            &format!("t={seconds},v1={}", tag.to_uppercase()),
            &format!("t={seconds},v1={tag}0"),
            &format!("t={seconds},v1={tag},"),
            &format!("t={seconds};v1={tag}"),
            &many,
        ] {
            assert_eq!(verify_stripe(value, BODY), Err(Doubt::Malformed(name)), "{value:?}");
        }
    }

    #[test]
    fn a_tag_that_is_cut_short_or_lengthened_or_changed_anywhere_is_none() {
        let seconds = SECONDS.to_string();
        let standard_of = |tag: &[u8]| {
            let signature = format!("v1,{}", BASE64.encode(tag));
            verify_standard(&standard("msg_1", &seconds, &signature), BODY)
        };
        let stripe_of = |tag: &[u8]| verify_stripe(&format!("t={seconds},v1={}", HEXLOWER.encode(tag)), BODY);
        let signed = [b"msg_1.", seconds.as_bytes(), b".", BODY].concat();
        let standard_tag = tag(Scheme::StandardWebhooks, STANDARD, &signed);
        let stripe_tag = tag(Scheme::Stripe, STRIPE, &[seconds.as_bytes(), b".", BODY].concat());
        assert!(standard_of(&standard_tag).is_ok() && stripe_of(&stripe_tag).is_ok());
        for (good, verify) in
            [(standard_tag, &standard_of as &dyn Fn(&[u8]) -> Result<Verified, Doubt>), (stripe_tag, &stripe_of)]
        {
            for length in 1..good.len() {
                assert_eq!(verify(&good[..length]), Err(Doubt::NotOurs), "the first {length} bytes");
            }
            for more in [&[0][..], &good] {
                assert_eq!(verify(&[&good, more].concat()), Err(Doubt::NotOurs));
            }
            for bit in 0..good.len() * 8 {
                let mut changed = good.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(verify(&changed), Err(Doubt::NotOurs), "bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_is_genuine(
            id in "[ -~]{0,40}",
            time in "[0-9+. -]{0,14}",
            signature in "(v1[,=]|t=|[ -~]){0,30}",
            body in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            prop_assert!(verify_standard(&standard(&id, &time, &signature), &body).is_err());
            prop_assert!(verify_stripe(&signature, &body).is_err());
        }

        #[test]
        fn what_is_signed_is_genuine_and_nothing_else_is(
            body in prop::collection::vec(any::<u8>(), 0..60),
            other in prop::collection::vec(any::<u8>(), 0..60),
            age in -300..=300i64,
        ) {
            let seconds = (SECONDS - age).to_string();
            let headers = standard("msg_1", &seconds, &standard_tag(STANDARD, "msg_1", &seconds, &body));
            let value = format!("t={seconds},v1={}", stripe_tag(STRIPE, &seconds, &body));
            prop_assert!(verify_standard(&headers, &body).is_ok());
            prop_assert!(verify_stripe(&value, &body).is_ok());
            prop_assert_eq!(verify_standard(&headers, &other).is_ok(), body == other);
            prop_assert_eq!(verify_stripe(&value, &other).is_ok(), body == other);
        }
    }
}
