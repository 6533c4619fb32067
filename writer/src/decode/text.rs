//! From the inside of a JSON string literal to the text that it stands for.

use super::scanner::hex;

/// Appends the text of a string literal that the scanner has passed (quotation marks left out) to `out`.
pub(super) fn unescape(literal: &[u8], out: &mut Vec<u8>) {
    let mut rest = literal;
    while let Some(backslash) = rest.iter().position(|b| *b == b'\\') {
        out.extend_from_slice(&rest[..backslash]);
        rest = escape(&rest[backslash + 1..], out);
    }
    out.extend_from_slice(rest);
}

/// Appends one escape, given from behind its backslash, and returns what follows it.
fn escape<'a>(escape: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let plain = match escape.first() {
        Some(b'u') => return unicode(&escape[1..], out),
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(other) => *other,
        None => return escape,
    };
    out.push(plain);
    &escape[1..]
}

/// Appends the character of `XXXX` or `XXXX\uXXXX` and returns what follows it.
fn unicode<'a>(digits: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let unit = |from: usize| digits.get(from..from + 4).and_then(hex);
    let (code, length) = match (unit(0), unit(6)) {
        (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
            (Some(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)), 10)
        }
        (code, _) => (code, 4),
    };
    let character = code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    digits.get(length..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scanner::Scanner;
    use super::*;

    fn text(literal: &str) -> String {
        let mut out = Vec::new();
        unescape(literal.as_bytes(), &mut out);
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn every_escape_is_decoded() {
        assert_eq!(text(r#"a\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00z"#), "a\"\\/\u{8}\u{c}\n\r\tAé€😀z");
        assert_eq!(text(r"\\u0041"), "\\u0041");
    }

    proptest! {
        #[test]
        fn text_survives_serde_json_and_back(original in any::<String>()) {
            let json = serde_json::to_string(&original).expect("json");
            let literal = Scanner::new(json.as_bytes(), 0, 1).string().expect("scans").span;
            prop_assert_eq!(text(std::str::from_utf8(literal.of(json.as_bytes())).expect("utf-8")), original);
        }

        #[test]
        fn escaped_utf16_is_decoded(original in any::<String>()) {
            let literal: String = original.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            prop_assert_eq!(text(&literal), original);
        }
    }
}
