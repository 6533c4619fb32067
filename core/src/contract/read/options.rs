//! `logicalTypeOptions`: what narrows a type. An option that does not fit the type, or that nothing would enforce, is an
//! error: a rule that is written down and not kept is worse than none.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use serde_json::{Number, Value};

use crate::contract::finding::{Findings, Path};
use crate::contract::format::TextFormat;
use crate::contract::model::{Moment, TextShape};
use crate::contract::nearest::nearest;
use crate::contract::pattern::Pattern;
use crate::contract::range::Range;
use crate::timestamp::{parse_date, parse_iso};

const OF_TEXT: &[&str] = &["minLength", "maxLength", "pattern", "format"];
const OF_NUMBER: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"];
const OF_TIME: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format", "timezone"];
const OF_ARRAY: &[&str] = &["minItems", "maxItems", "uniqueItems"];

/// Whole number types that fit a 64-bit column.
const INTEGER_FORMATS: &[(&str, i64, i64)] = &[
    ("i8", i8::MIN as i64, i8::MAX as i64),
    ("i16", i16::MIN as i64, i16::MAX as i64),
    ("i32", i32::MIN as i64, i32::MAX as i64),
    ("i64", i64::MIN, i64::MAX),
    ("u8", 0, u8::MAX as i64),
    ("u16", 0, u16::MAX as i64),
    ("u32", 0, u32::MAX as i64),
];

/// The options of one property.
pub(super) struct Options<'a> {
    map: BTreeMap<String, Value>,
    path: Path,
    findings: &'a mut Findings,
}

impl<'a> Options<'a> {
    pub(super) fn of(map: Option<&BTreeMap<String, Value>>, path: &Path, findings: &'a mut Findings) -> Self {
        Options { map: map.cloned().unwrap_or_default(), path: path.clone(), findings }
    }

    /// Reads the options of a string.
    pub(super) fn text(mut self) -> TextShape {
        self.only("string", OF_TEXT);
        let length = self.lengths("minLength", "maxLength");
        let pattern = self.word("pattern").and_then(|source| self.pattern(&source));
        let format = self.word("format").and_then(|name| self.format(&name));
        TextShape { length, pattern, format, allowed: Vec::new() }
    }

    /// Reads the options of an integer; bounds that are excluded become the next number.
    pub(super) fn integer(mut self) -> Range<i64> {
        self.only("integer", OF_NUMBER);
        let read = |number: &Number| number.as_i64();
        let mut range = self.range(read, "a whole number in 64 bits");
        if let Bound::Excluded(low) = range.low {
            range.low = Bound::Included(low.saturating_add(1));
        }
        if let Bound::Excluded(high) = range.high {
            range.high = Bound::Included(high.saturating_sub(1));
        }
        if let Some(name) = self.word("format") {
            self.narrow(&mut range, &name);
        }
        self.not_empty(&range);
        range
    }

    /// Reads the options of a number.
    pub(super) fn number(mut self) -> Range<f64> {
        self.only("number", OF_NUMBER);
        let range = self.range(Number::as_f64, "a number");
        if let Some(name) = self.word("format").filter(|name| name != "f64") {
            self.error(format!("format `{name}` is not kept, columns are 64-bit: write `f64`, or leave it out"));
        }
        self.not_empty(&range);
        range
    }

    /// Reads the options of a date.
    pub(super) fn date(mut self) -> Range<Moment> {
        self.only("date", OF_TIME);
        if let Some(name) = self.word("format").filter(|name| name != "yyyy-MM-dd") {
            self.error(format!("format `{name}` is not read: dates are `yyyy-MM-dd`; use a string for others"));
        }
        self.moments(parse_date, "a date, for example `2026-01-31`")
    }

    /// Reads the options of a timestamp.
    pub(super) fn timestamp(mut self) -> Range<Moment> {
        self.only("timestamp", OF_TIME);
        if let Some(name) = self.word("format") {
            self.error(format!("format `{name}` is not read: timestamps are ISO 8601; leave it out"));
        }
        if self.map.get("timezone") == Some(&Value::Bool(false)) {
            self.error("a time without an offset is none: leave `timezone` out, or use a string".to_owned());
        }
        self.moments(parse_iso, "a time with an offset, for example `2026-01-31T00:00:00Z`")
    }

    /// Reads the options of an array.
    pub(super) fn array(mut self) -> Range<u64> {
        self.only("array", OF_ARRAY);
        if self.map.get("uniqueItems") == Some(&Value::Bool(true)) {
            self.error("`uniqueItems` is not enforced: remove it".to_owned());
        }
        self.lengths("minItems", "maxItems")
    }

    /// Finds options where none fit.
    pub(super) fn none(mut self, logical_type: &str) {
        self.only(logical_type, &[]);
    }

    fn error(&mut self, message: String) {
        self.findings.error(self.path.key("logicalTypeOptions"), message);
    }

    fn only(&mut self, logical_type: &str, known: &[&str]) {
        let others: Vec<String> = self.map.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
        for key in others {
            let remedy = match (nearest(&key, known), known) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, []) => "remove it".to_owned(),
                (None, known) => format!("remove it; `{}` are", known.join("`, `")),
            };
            self.error(format!("`{key}` is not enforced for type {logical_type}: {remedy}"));
        }
    }

    fn word(&mut self, key: &str) -> Option<String> {
        match self.map.get(key)? {
            Value::String(word) => Some(word.clone()),
            other => {
                let message = format!("`{key}` is `{other}`, but must be text: put it in quotation marks");
                self.error(message);
                None
            }
        }
    }

    fn pattern(&mut self, source: &str) -> Option<Pattern> {
        Pattern::new(source).map_err(|message| self.error(message)).ok()
    }

    fn format(&mut self, name: &str) -> Option<TextFormat> {
        let found = TextFormat::ALL.into_iter().find(|format| format.as_str() == name);
        if found.is_none() {
            let known = TextFormat::ALL.map(TextFormat::as_str).join("`, `");
            self.error(format!("format `{name}` is not enforced: use `pattern`, or one of `{known}`"));
        }
        found
    }

    fn narrow(&mut self, range: &mut Range<i64>, format: &str) {
        let Some((_, low, high)) = INTEGER_FORMATS.iter().find(|(name, ..)| *name == format) else {
            let known: Vec<&str> = INTEGER_FORMATS.iter().map(|(name, ..)| *name).collect();
            return self.error(format!("format `{format}` fits no 64-bit column: use one of `{}`", known.join("`, `")));
        };
        // `i64` is what every integer is, so it adds no bound.
        if format != "i64" {
            range.low = Bound::Included(bound(&range.low).map_or(*low, |old| (*old).max(*low)));
            range.high = Bound::Included(bound(&range.high).map_or(*high, |old| (*old).min(*high)));
        }
    }

    fn lengths(&mut self, low: &str, high: &str) -> Range<u64> {
        let low = self.length(low).map_or(Bound::Unbounded, Bound::Included);
        let high = self.length(high).map_or(Bound::Unbounded, Bound::Included);
        let range = Range { low, high };
        self.not_empty(&range);
        range
    }

    fn length(&mut self, key: &str) -> Option<u64> {
        let value = self.map.get(key)?;
        if value.as_u64().is_none() {
            let message = format!("`{key}` is `{value}`, but must be a whole number from 0 on: correct it");
            self.error(message);
        }
        self.map.get(key)?.as_u64()
    }

    fn moments(&mut self, read: fn(&[u8]) -> Option<i64>, example: &str) -> Range<Moment> {
        let moment = |text: &str| Some(Moment { at: read(text.as_bytes())?, text: text.to_owned() });
        let range = self.bounds(|value| moment(value.as_str()?), example);
        self.not_empty(&range);
        range
    }

    fn range<T>(&mut self, read: impl Fn(&Number) -> Option<T>, example: &str) -> Range<T> {
        self.bounds(|value| read(value.as_number()?), example)
    }

    fn bounds<T>(&mut self, read: impl Fn(&Value) -> Option<T>, example: &str) -> Range<T> {
        let low = self.side("minimum", "exclusiveMinimum", &read, example);
        let high = self.side("maximum", "exclusiveMaximum", &read, example);
        Range { low, high }
    }

    fn side<T>(
        &mut self,
        included: &str,
        excluded: &str,
        read: &impl Fn(&Value) -> Option<T>,
        example: &str,
    ) -> Bound<T> {
        if self.map.contains_key(included) && self.map.contains_key(excluded) {
            self.error(format!("`{included}` and `{excluded}` exclude each other: keep one"));
        }
        for (key, make) in [(included, Bound::Included as fn(T) -> Bound<T>), (excluded, Bound::Excluded)] {
            let Some(value) = self.map.get(key) else { continue };
            if let Some(read) = read(value) {
                return make(read);
            }
            let message = format!("`{key}` is `{value}`, but must be {example}: correct it");
            self.error(message);
        }
        Bound::Unbounded
    }

    fn not_empty<T: PartialOrd + fmt::Display>(&mut self, range: &Range<T>) {
        let (Some(low), Some(high)) = (bound(&range.low), bound(&range.high)) else { return };
        if low > high {
            self.error(format!("minimum {low} is above maximum {high}: swap them"));
        } else if range.is_empty() {
            self.error(format!("no value lies between {low} and {high}: widen the bounds"));
        }
    }
}

fn bound<T>(bound: &Bound<T>) -> Option<&T> {
    match bound {
        Bound::Included(value) | Bound::Excluded(value) => Some(value),
        Bound::Unbounded => None,
    }
}
