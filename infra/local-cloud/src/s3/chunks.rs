//! `aws-chunked`: a body in chunks within the body, with checksums behind the last one.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::asked::text;

/// Whether a body is in chunks, which its length header does not count.
pub(super) fn is_chunked(headers: &HeaderMap) -> bool {
    text(headers, "content-encoding").is_some_and(|encodings| encodings.contains("aws-chunked"))
        || text(headers, "x-amz-content-sha256").is_some_and(|sum| sum.starts_with("STREAMING-"))
}

/// Takes the chunks apart: a size in hexadecimal, perhaps a signature, the bytes; then the trailers. `None` where they
/// do not add up.
pub(super) fn taken_apart(body: &[u8]) -> Option<(Vec<u8>, HeaderMap)> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    loop {
        let line = next_line(&mut rest)?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some((out, trailers(rest)?));
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

fn trailers(mut rest: &[u8]) -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    while !rest.is_empty() {
        let line = next_line(&mut rest)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        trailers
            .insert(HeaderName::from_bytes(name.trim().as_bytes()).ok()?, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some(trailers)
}

fn next_line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = std::str::from_utf8(&rest[..end]).ok()?;
    *rest = &rest[end + 2..];
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_taken_apart_and_broken_ones_refused() {
        let body = b"3;chunk-signature=x\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        let (whole, trailers) = taken_apart(body).unwrap();
        assert_eq!(
            (whole.as_slice(), &trailers["x-amz-checksum-crc32"]),
            (b"abcde".as_slice(), &"AAAA".parse().unwrap())
        );
        for broken in [&b"9\r\nabc\r\n0\r\n"[..], b"zz\r\n", b"3\r\nabc\r\n", b"0\r\nno trailer\r\n", b""] {
            assert!(taken_apart(broken).is_none(), "{broken:?}");
        }
    }
}
