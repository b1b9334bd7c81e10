//! The MD5 sums that some SDKs check: of a body, and of message attributes in the order and framing that AWS documents.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use serde_json::{Map, Value};

pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&md5_of(bytes))
}

pub(crate) fn md5_of(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

pub(super) fn attributes_md5_hex(attributes: &Map<String, Value>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut names: Vec<_> = attributes.keys().collect();
    names.sort();
    let mut sum = Md5::new();
    for name in names {
        let attribute = &attributes[name];
        framed(&mut sum, name.as_bytes());
        framed(&mut sum, text(attribute, "DataType").as_bytes());
        match attribute.get("BinaryValue").and_then(Value::as_str) {
            Some(encoded) => {
                sum.update([2]);
                framed(&mut sum, &STANDARD.decode(encoded).unwrap_or_default());
            }
            None => {
                sum.update([1]);
                framed(&mut sum, text(attribute, "StringValue").as_bytes());
            }
        }
    }
    Some(HEXLOWER.encode(&sum.finalize()))
}

/// What attributes count towards a message's size: name, type and value.
pub(super) fn attributes_len(attributes: &Map<String, Value>) -> usize {
    attributes
        .iter()
        .map(|(name, attribute)| {
            let binary = text(attribute, "BinaryValue").len() / 4 * 3;
            name.len() + text(attribute, "DataType").len() + text(attribute, "StringValue").len() + binary
        })
        .sum()
}

fn text<'a>(attribute: &'a Value, field: &str) -> &'a str {
    attribute.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn framed(sum: &mut Md5, bytes: &[u8]) {
    sum.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    sum.update(bytes);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sums_are_those_of_aws() {
        assert_eq!(md5_hex(b"This is a test message"), "fafb00f5732ab283681e124bf8747ed1");
        assert_eq!(attributes_md5_hex(&Map::new()), None);
        let Value::Object(attributes) = json!({"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}})
        else {
            unreachable!("an object was written")
        };
        assert_eq!(attributes_md5_hex(&attributes).as_deref(), Some("235c5c510d26fb653d073faed50ae77c"));
    }
}
