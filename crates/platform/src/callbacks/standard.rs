//! The headers of Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`.

use data_encoding::BASE64;
use http::HeaderMap;

use super::{Doubt, MOST_SIGNATURES, header, seconds};

const ID: &str = "webhook-id";
const TIME: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";
const LONGEST_ID: usize = 255;

pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    [ID, TIME, SIGNATURE].iter().any(|name| headers.contains_key(*name))
}

pub(super) struct Signed {
    pub(super) id: String,
    pub(super) seconds: i64,
    /// What is signed before the body.
    pub(super) head: String,
    pub(super) tags: Vec<Vec<u8>>,
}

impl Signed {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Doubt> {
        let (id, time, signature) = (header(headers, ID)?, header(headers, TIME)?, header(headers, SIGNATURE)?);
        // Full stops part what is signed, so an id with one could be read in two ways.
        let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.');
        if !(1..=LONGEST_ID).contains(&id.len()) || !is_id(id) {
            return Err(Doubt::Malformed(ID));
        }
        let seconds = seconds(time).ok_or(Doubt::Malformed(TIME))?;
        let tags = tags(signature).ok_or(Doubt::Malformed(SIGNATURE))?;
        Ok(Self { id: id.to_owned(), seconds, head: format!("{id}.{time}."), tags })
    }
}

/// Those of the version that is shared with a secret; there may be others beside them.
fn tags(signatures: &str) -> Option<Vec<Vec<u8>>> {
    let mut tags = Vec::new();
    for signature in signatures.split(' ') {
        let (version, encoded) = signature.split_once(',')?;
        if version == "v1" {
            tags.push(BASE64.decode(encoded.as_bytes()).ok().filter(|tag| !tag.is_empty())?);
        }
    }
    (1..=MOST_SIGNATURES).contains(&tags.len()).then_some(tags)
}
