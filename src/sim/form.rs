//! Urlencoded text, read as forgivingly as servers in the field read it.

/// Splits and decodes an urlencoded text. What should have been escaped and
/// was not (a space, a letter beyond ASCII, a lone percent sign) stands for
/// itself; what is not UTF-8 after decoding becomes replacement characters.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

/// Decodes one segment of a path, in which a plus is a plus.
pub(super) fn decode_path(segment: &str) -> String {
    decode(segment, false)
}

fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let escape = (byte == b'%').then(|| hex_pair(bytes.get(at + 1..at + 3))).flatten();
        match (byte, escape) {
            (_, Some(value)) => {
                decoded.push(value);
                at += 3;
            }
            (b'+', None) if plus_is_space => {
                decoded.push(b' ');
                at += 1;
            }
            (other, None) => {
                decoded.push(other);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_pair(pair: Option<&[u8]>) -> Option<u8> {
    let text = std::str::from_utf8(pair?).ok()?;
    u8::from_str_radix(text, 16).ok()
}

/// Encodes a text for a query string.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_is_undone_by_decoding() {
        let text = "state=a b&c+d/é";
        assert_eq!(decode(&encode(text), true), text);
    }

    #[test]
    fn what_is_not_escaped_stands_for_itself() {
        let read = pairs("text=hello world é&rise=5%&x=%C3%A9+b");
        let value = |index: usize| read[index].1.as_str();
        assert_eq!((value(0), value(1), value(2)), ("hello world é", "5%", "é b"));
    }
}
