//! What quarantine rows say was expected. The texts are made once, when contracts are compiled.

use std::ops::Bound;

use super::model::{CrossRule, IntegerShape, Shape, TextShape};
use super::range::Range;

/// Most values of an enumeration that are named.
const MAX_NAMED_VALUES: usize = 20;

/// Says what a value may be, as an object of "expected".
pub(super) fn of_shape(shape: &Shape) -> String {
    match shape {
        Shape::Any => "any JSON value".to_owned(),
        Shape::Text(text) => of_text(text),
        Shape::Integer(integer) => of_integer(integer),
        Shape::Number(range) => with("a number", &range.to_string()),
        Shape::Boolean => "true or false".to_owned(),
        Shape::Date(range) => with("a date like 2026-01-31", &range.to_string()),
        Shape::Timestamp(range) => with("an ISO 8601 date and time with an offset", &range.to_string()),
        Shape::Object(_) => "an object".to_owned(),
        Shape::Array(array) => with("an array", &of_length(&array.length, "elements")),
    }
}

/// Says what a rule over several properties asks for.
pub(super) fn of_rule(rule: &CrossRule) -> String {
    match rule {
        CrossRule::Requires { when, then } => format!("`{then}`, because `{when}` is there"),
        CrossRule::AnyOf(names) => format!("at least one of {}", quoted(names)),
        CrossRule::OneOf(names) => format!("exactly one of {}", quoted(names)),
        CrossRule::AtMost(low, high) => format!("`{low}` of at most `{high}`"),
        CrossRule::WhenEquals { property, value, then } => format!("`{then}`, because `{property}` is `{value}`"),
    }
}

/// Says that an object takes no other properties.
pub(super) fn of_closed_object() -> &'static str {
    "no property but those of the contract"
}

/// Says that no contract knows the event.
pub(super) fn of_known_events() -> &'static str {
    "an event that a contract describes"
}

fn of_text(text: &TextShape) -> String {
    if !text.allowed.is_empty() {
        return format!("one of {}", quoted(&text.allowed));
    }
    let mut words = with("a string", &of_length(&text.length, "characters"));
    if let Some(format) = text.format {
        words.push_str(&format!(" in the form of format `{}`", format.as_str()));
    }
    if let Some(pattern) = &text.pattern {
        words.push_str(&format!(" that matches `{}`", pattern.as_str()));
    }
    words
}

fn of_integer(integer: &IntegerShape) -> String {
    if integer.allowed.is_empty() {
        return with("an integer", &integer.range.to_string());
    }
    format!("one of {}", quoted(&integer.allowed))
}

fn of_length(length: &Range<u64>, unit: &str) -> String {
    match (length.low, length.high) {
        (Bound::Included(low), Bound::Included(high)) if low == high => format!("of {low} {unit}"),
        (Bound::Included(low), Bound::Included(high)) => format!("of {low} to {high} {unit}"),
        (Bound::Included(low), _) => format!("of at least {low} {unit}"),
        (_, Bound::Included(high)) => format!("of at most {high} {unit}"),
        _ => String::new(),
    }
}

fn with(noun: &str, rest: &str) -> String {
    if rest.is_empty() { noun.to_owned() } else { format!("{noun} {rest}") }
}

fn quoted(values: &[impl ToString]) -> String {
    let named: Vec<String> = values.iter().take(MAX_NAMED_VALUES).map(|v| format!("`{}`", v.to_string())).collect();
    let more = values.len().saturating_sub(MAX_NAMED_VALUES);
    match more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
