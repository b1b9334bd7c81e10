//! Percent-encoding, as URLs and forms have it, and the escapes of XML.

/// What is not a proper escape stays as it is; what is not UTF-8 shows as the replacement character.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escape = (bytes[index] == b'%').then(|| bytes.get(index + 1..index + 3)).flatten();
        match escape.and_then(|digits| Some((hex(digits[0])?, hex(digits[1])?))) {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                index += 3;
            }
            None => {
                decoded.push(bytes[index]);
                index += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A query's part, where `+` is a space.
pub(crate) fn query_decoded(text: &str) -> String {
    percent_decoded(&text.replace('+', " "))
}

/// All but what RFC 3986 leaves unreserved, and the slash.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

pub(crate) fn xml_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\r', "&#13;")
}

/// The five names, and characters by number; `None` where an escape is not one.
pub(crate) fn xml_unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, after) = after.split_once(';')?;
        plain.push_str(before);
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            name => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_what_is_unreserved_is_escaped() {
        assert_eq!(percent_encoded("a folder/ü&1.json"), "a%20folder/%C3%BC%261.json");
    }

    #[test]
    fn xml_goes_both_ways() {
        let text = "<a href=\"b\">&\r'</a>";
        assert_eq!(xml_unescaped(&xml_escaped(text)).as_deref(), Some(text));
        assert_eq!(xml_unescaped("&#x41;&#66;&apos;").as_deref(), Some("AB'"));
        assert_eq!(xml_unescaped("&nope;"), None);
        assert_eq!(xml_unescaped("a & b"), None);
    }
}
