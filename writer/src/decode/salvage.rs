//! Keys of an event that could not be read to its end.
//!
//! Erasure finds a person's malformed events by these keys, so it is better to take one from an odd place than to miss
//! it: the text is searched for `"userId": "…"` and the like at any depth, first come, first taken.

use super::block::find_byte;
use super::contract::is_integer;
use super::fields::{Field, Fields};
use super::scanner::{Kind, Scanner, Value};

/// What is searched for: each key with its closing quotation mark.
const WANTED: [(&[u8], Field); 5] = [
    (b"anonymousId\"", Field::AnonymousId),
    (b"userId\"", Field::UserId),
    (b"messageId\"", Field::MessageId),
    (b"type\"", Field::Type),
    (b"event\"", Field::Event),
];

/// Fills in the fields that erasure and the people who look at quarantine need, as far as they are missing.
pub(super) fn salvage(bytes: &[u8], start: usize, end: usize, fields: &mut Fields) {
    let text = &bytes[..end];
    let mut at = start;
    while let Some(quote) = find_byte(text, at, b'"') {
        at = quote + 1;
        if let Some((key, field)) = WANTED.iter().find(|(key, _)| text[at..].starts_with(key))
            && fields.get(*field).is_missing()
            && let Some(value) = value_at(text, at + key.len())
        {
            fields.set(*field, value);
        }
    }
}

/// Reads the string or integer behind a colon.
fn value_at(text: &[u8], behind_key: usize) -> Option<Value> {
    let mut scanner = Scanner::new(text, behind_key, 0);
    if scanner.peek() != b':' {
        return None;
    }
    scanner.at += 1;
    match scanner.peek() {
        b'"' | b'-' | b'0'..=b'9' => {}
        _ => return None,
    }
    let value = scanner.value(0).ok()?;
    let usable = match value.kind {
        Kind::Text | Kind::EscapedText => value.span.len() > 0,
        Kind::Number => is_integer(value.span.of(text)),
        _ => false,
    };
    usable.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, field: Field) -> Option<&str> {
        let mut fields = Fields::default();
        salvage(text.as_bytes(), 0, text.len(), &mut fields);
        let value = fields.get(field);
        (value.kind != Kind::Absent).then(|| &text[value.span.start as usize..value.span.end as usize])
    }

    #[test]
    fn keys_are_found_on_both_sides_of_a_mistake() {
        let text = r#"{"anonymousId":"a1","x":tru,"context":{"userId" : 42},"messageId":"m" "#;
        assert_eq!(found(text, Field::AnonymousId), Some("a1"));
        assert_eq!(found(text, Field::UserId), Some("42"));
        assert_eq!(found(text, Field::MessageId), Some("m"));
        assert_eq!(found(text, Field::Type), None);
    }

    #[test]
    fn the_first_usable_value_counts() {
        assert_eq!(found(r#""userId":"","userId":null,"userId":"u","userId":"v""#, Field::UserId), Some("u"));
        assert_eq!(found(r#""userId":"cut"#, Field::UserId), None);
    }
}
