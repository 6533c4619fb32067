//! Forms of text that ODCS names by `format`. They are checked byte by byte: each is a few rules, no full grammar.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A form that a text must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// 8-4-4-4-12 hexadecimal digits, in either case.
    Uuid,
    /// Something, one `@` and a domain with a dot, without white space. Whether anybody reads mail there is not known.
    Email,
    /// A scheme, `:` and something, without white space.
    Uri,
    /// IPv4 address.
    Ipv4,
    /// IPv6 address.
    Ipv6,
}

impl TextFormat {
    /// Every format.
    pub const ALL: [TextFormat; 5] =
        [TextFormat::Uuid, TextFormat::Email, TextFormat::Uri, TextFormat::Ipv4, TextFormat::Ipv6];

    /// Returns the ODCS name, which JSON Schema shares.
    pub fn as_str(self) -> &'static str {
        match self {
            TextFormat::Uuid => "uuid",
            TextFormat::Email => "email",
            TextFormat::Uri => "uri",
            TextFormat::Ipv4 => "ipv4",
            TextFormat::Ipv6 => "ipv6",
        }
    }

    /// Returns whether UTF-8 text has the form.
    pub fn matches(self, text: &[u8]) -> bool {
        match self {
            TextFormat::Uuid => is_uuid(text),
            TextFormat::Email => is_email(text),
            TextFormat::Uri => is_uri(text),
            TextFormat::Ipv4 => str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv4Addr>().is_ok()),
            TextFormat::Ipv6 => str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()),
        }
    }
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_email(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'@');
    let (Some(local), Some(domain), None) = (parts.next(), parts.next(), parts.next()) else { return false };
    let labels = domain.split(|byte| *byte == b'.');
    !local.is_empty()
        && labels.clone().count() > 1
        && labels.clone().all(|label| !label.is_empty())
        && is_unbroken(text)
}

fn is_uri(text: &[u8]) -> bool {
    let Some(colon) = text.iter().position(|byte| *byte == b':') else { return false };
    let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        && !rest.is_empty()
        && is_unbroken(rest)
}

fn is_unbroken(text: &[u8]) -> bool {
    !text.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_tell_good_text_from_bad() {
        for (format, good, bad) in [
            (TextFormat::Uuid, "0b5a0f6e-3c1d-4E2f-8a9b-001122334455", "0b5a0f6e3c1d4e2f8a9b001122334455"),
            (TextFormat::Email, "jürgen@example.co.uk", "a@b@c.de"),
            (TextFormat::Email, "a+b@c.de", "a@localhost"),
            (TextFormat::Email, "a@b.c", "a b@c.de"),
            (TextFormat::Email, "a@b.c", "a@.de"),
            (TextFormat::Uri, "https://example.com/ü?q=1", "/only/a/path"),
            (TextFormat::Uri, "mailto:a@b.de", "https:"),
            (TextFormat::Uri, "app+x://y", "1a:b"),
            (TextFormat::Ipv4, "10.0.0.1", "10.0.0.256"),
            (TextFormat::Ipv6, "::1", "10.0.0.1"),
        ] {
            assert!(format.matches(good.as_bytes()), "{format:?} {good}");
            assert!(!format.matches(bad.as_bytes()), "{format:?} {bad}");
            assert!(!format.matches(b""), "{format:?}");
        }
    }
}
