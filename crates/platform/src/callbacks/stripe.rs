//! Stripe's header: `Stripe-Signature: t=…,v1=…`, with one `v1` for each secret that is good.

use data_encoding::HEXLOWER;
use http::HeaderMap;

use super::{Doubt, MOST_SIGNATURES, header, seconds};

const SIGNATURE: &str = "stripe-signature";

pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key(SIGNATURE)
}

pub(super) struct Signed {
    pub(super) seconds: i64,
    /// What is signed before the body.
    pub(super) head: String,
    pub(super) tags: Vec<Vec<u8>>,
}

impl Signed {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Doubt> {
        parse(header(headers, SIGNATURE)?).ok_or(Doubt::Malformed(SIGNATURE))
    }
}

fn parse(value: &str) -> Option<Signed> {
    let (mut time, mut tags) = (None, Vec::new());
    for part in value.split(',') {
        match part.split_once('=')? {
            ("t", text) => {
                let before = time.replace((text, seconds(text)?));
                if before.is_some() {
                    return None;
                }
            }
            ("v1", encoded) => tags.push(HEXLOWER.decode(encoded.as_bytes()).ok()?),
            // Of another version, such as what Stripe sends for tests.
            _ => {}
        }
    }
    let (text, seconds) = time?;
    (1..=MOST_SIGNATURES).contains(&tags.len()).then(|| Signed { seconds, head: format!("{text}."), tags })
}
