//! The checksums that clients send with an object and check when they have it back.

use aws_smithy_checksums::ChecksumAlgorithm;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use super::Refused;
use crate::asked::text;
use crate::sqs::md5_of;

const HEADER_PREFIX: &str = "x-amz-checksum-";
const ALGORITHMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// A checksum as a header has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    pub(super) header: String,
    pub(super) value: String,
}

impl Checksum {
    /// The one that came with an upload, as a header or behind its last chunk, once it is found to be right. An upload
    /// without one gets the one that S3 gives it.
    pub(super) fn of_upload(headers: &HeaderMap, trailers: &HeaderMap, body: &[u8]) -> Result<Self, Refused> {
        check_digests(headers, body)?;
        let sent = ALGORITHMS.iter().find_map(|algorithm| {
            let header = format!("{HEADER_PREFIX}{algorithm}");
            let value = text(headers, &header).or_else(|| text(trailers, &header))?.trim().to_owned();
            Some((*algorithm, Self { header, value }))
        });
        let Some((algorithm, sent)) = sent else { return Ok(Self::computed("crc64nvme", body)) };
        if Self::computed(algorithm, body) == sent {
            return Ok(sent);
        }
        let name = algorithm.to_uppercase();
        let message = format!("The {name} you specified did not match the calculated checksum.");
        Err(Refused { status: 400, code: "BadDigest", message })
    }

    fn computed(algorithm: &str, body: &[u8]) -> Self {
        let mut sum = algorithm.parse::<ChecksumAlgorithm>().expect("each is one that is known").into_impl();
        sum.update(body);
        let value = STANDARD.encode(sum.finalize());
        Self { header: format!("{HEADER_PREFIX}{algorithm}"), value }
    }
}

fn check_digests(headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let refused = |code, message: &str| Err(Refused { status: 400, code, message: message.into() });
    if let Some(sent) = text(headers, "content-md5") {
        let Some(sent) = STANDARD.decode(sent).ok().filter(|sum| sum.len() == 16) else {
            return refused("InvalidDigest", "The Content-MD5 you specified was invalid.");
        };
        if sent != md5_of(body) {
            return refused("BadDigest", "The Content-MD5 you specified did not match what we received.");
        }
    }
    let sha256 = text(headers, "x-amz-content-sha256").filter(|sum| sum.len() == 64);
    if let Some(sent) = sha256
        && !sent.eq_ignore_ascii_case(&data_encoding::HEXLOWER.encode(&sha256_of(body)))
    {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return refused("XAmzContentSHA256Mismatch", message);
    }
    Ok(())
}

fn sha256_of(body: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(body).into()
}

/// The CRC32 of an answer, as DynamoDB's clients check it.
pub(crate) fn crc32(body: &[u8]) -> u32 {
    let mut sum = ChecksumAlgorithm::Crc32.into_impl();
    sum.update(body);
    let bytes = sum.finalize();
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_sums_are_those_that_everyone_computes() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        for (algorithm, expected) in [
            ("crc32", "y/Q5Jg=="),
            ("crc32c", "4waSgw=="),
            ("crc64nvme", "rosUhgp5mIg="),
            ("sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ] {
            assert_eq!(Checksum::computed(algorithm, b"123456789").value, expected, "{algorithm}");
        }
    }

    #[test]
    fn one_that_is_wrong_is_refused_wherever_it_stands() {
        let none = HeaderMap::new();
        let code = |headers: &HeaderMap, trailers: &HeaderMap| {
            Checksum::of_upload(headers, trailers, b"123456789").map_or_else(|refused| refused.code, |_| "taken")
        };
        let right = headers(&[("x-amz-checksum-crc32", "y/Q5Jg==")]);
        assert_eq!((code(&right, &none), code(&none, &right), code(&none, &none)), ("taken", "taken", "taken"));
        let wrong = headers(&[("x-amz-checksum-crc32", "AAAAAA==")]);
        assert_eq!((code(&wrong, &none), code(&none, &wrong)), ("BadDigest", "BadDigest"));
        assert_eq!(code(&headers(&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")]), &none), "taken");
        assert_eq!(code(&headers(&[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")]), &none), "BadDigest");
        assert_eq!(code(&headers(&[("content-md5", "no")]), &none), "InvalidDigest");
        let zeros = "0000000000000000000000000000000000000000000000000000000000000000";
        assert_eq!(code(&headers(&[("x-amz-content-sha256", zeros)]), &none), "XAmzContentSHA256Mismatch");
    }
}
