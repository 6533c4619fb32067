//! The rule for one value: its kind, narrowed. The decoder hands it what the scanner found and gets the value for its
//! column, or what is wrong.

use std::sync::Arc;

use regex::bytes::Regex;

use super::broken::{Broken, BrokenReason};
use super::object::ObjectRules;
use super::seen::Scalar;
use super::table::KeyTable;
use crate::contract::format::TextFormat;
use crate::contract::model::{ArrayShape, IntegerShape, Moment, Shape, TextShape};
use crate::contract::number;
use crate::contract::range::Range;
use crate::contract::wording;
use crate::timestamp::{parse_date, parse_iso};

/// What a value is checked by.
#[derive(Debug, Clone)]
pub struct ValueRule {
    kind: FieldKind,
    expected: Arc<str>,
}

/// Kind of a value.
#[derive(Debug, Clone)]
pub enum FieldKind {
    /// Any JSON value.
    Any,
    /// Text.
    Text(TextRule),
    /// A whole number in 64 bits.
    Integer(IntegerRule),
    /// A number.
    Number(Range<f64>),
    /// True or false.
    Boolean,
    /// Date, as text; bounds in days since 1970.
    Date(Range<i64>),
    /// Date and time, as text; bounds in microseconds since 1970.
    Timestamp(Range<i64>),
    /// An object.
    Object(Box<ObjectRules>),
    /// An array.
    Array(ArrayRule),
}

/// Rule for text.
#[derive(Debug, Clone)]
pub struct TextRule {
    length: Range<u64>,
    pattern: Option<Regex>,
    format: Option<TextFormat>,
    allowed: Option<KeyTable>,
}

/// Rule for whole numbers.
#[derive(Debug, Clone)]
pub struct IntegerRule {
    range: Range<i64>,
    /// Sorted; empty when any will do.
    allowed: Box<[i64]>,
}

/// Rule for arrays.
#[derive(Debug, Clone)]
pub struct ArrayRule {
    length: Range<u64>,
    nullable: bool,
    item: Box<ValueRule>,
    expected: Arc<str>,
}

type Checked<T> = Result<T, Broken>;

impl ValueRule {
    pub(super) fn of(shape: &Shape) -> ValueRule {
        let expected: Arc<str> = wording::of_shape(shape).into();
        let at = |range: &Range<Moment>| range.map(|moment| moment.at);
        let kind = match shape {
            Shape::Any => FieldKind::Any,
            Shape::Text(text) => FieldKind::Text(TextRule::of(text)),
            Shape::Integer(integer) => FieldKind::Integer(IntegerRule::of(integer)),
            Shape::Number(range) => FieldKind::Number(*range),
            Shape::Boolean => FieldKind::Boolean,
            Shape::Date(range) => FieldKind::Date(at(range)),
            Shape::Timestamp(range) => FieldKind::Timestamp(at(range)),
            Shape::Object(object) => FieldKind::Object(Box::new(ObjectRules::of(object))),
            Shape::Array(array) => FieldKind::Array(ArrayRule::of(array, Arc::clone(&expected))),
        };
        ValueRule { kind, expected }
    }

    /// Returns the kind.
    pub fn kind(&self) -> &FieldKind {
        &self.kind
    }

    /// Returns what is expected, in words.
    pub fn expected(&self) -> &Arc<str> {
        &self.expected
    }

    /// Checks a text, whose escapes are decoded and whose UTF-8 is checked.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn text(&self, text: &[u8]) -> Checked<Scalar> {
        let checked = match &self.kind {
            FieldKind::Text(rule) => rule.check(text).map(|()| Scalar::AsIs),
            FieldKind::Timestamp(range) => moment(parse_iso(text), range).map(Scalar::Micros),
            // Years have four digits, so days fit 32 bits.
            FieldKind::Date(range) => moment(parse_date(text), range).map(|days| Scalar::Days(days as i32)),
            FieldKind::Any => Ok(Scalar::AsIs),
            _ => Err(BrokenReason::WrongType),
        };
        checked.map_err(|reason| self.broken(reason))
    }

    /// Checks a number as it is written in JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn number(&self, raw: &[u8]) -> Checked<Scalar> {
        let checked = match &self.kind {
            FieldKind::Integer(rule) => rule.check(raw).map(Scalar::Long),
            FieldKind::Number(range) => double(raw, range).map(Scalar::Double),
            FieldKind::Any => Ok(Scalar::AsIs),
            _ => Err(BrokenReason::WrongType),
        };
        checked.map_err(|reason| self.broken(reason))
    }

    /// Checks `true` or `false`.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn boolean(&self, truth: bool) -> Checked<Scalar> {
        match &self.kind {
            FieldKind::Boolean => Ok(Scalar::Boolean(truth)),
            FieldKind::Any => Ok(Scalar::AsIs),
            _ => Err(self.broken(BrokenReason::WrongType)),
        }
    }

    /// Returns the rules for what is inside an object; `None` when anything may be.
    ///
    /// # Errors
    /// There should be no object.
    #[inline]
    pub fn object(&self) -> Checked<Option<&ObjectRules>> {
        match &self.kind {
            FieldKind::Object(rules) => Ok(Some(rules)),
            FieldKind::Any => Ok(None),
            _ => Err(self.broken(BrokenReason::WrongType)),
        }
    }

    /// Returns the rule for an array; `None` when anything may be inside.
    ///
    /// # Errors
    /// There should be no array.
    #[inline]
    pub fn array(&self) -> Checked<Option<&ArrayRule>> {
        match &self.kind {
            FieldKind::Array(rule) => Ok(Some(rule)),
            FieldKind::Any => Ok(None),
            _ => Err(self.broken(BrokenReason::WrongType)),
        }
    }

    pub(super) fn object_mut(&mut self) -> Option<&mut ObjectRules> {
        match &mut self.kind {
            FieldKind::Object(rules) => Some(rules),
            _ => None,
        }
    }

    /// Says what is wrong; kept out of the way of what is right.
    #[cold]
    pub(super) fn broken(&self, reason: BrokenReason) -> Broken {
        Broken { reason, expected: Arc::clone(&self.expected) }
    }
}

fn moment(read: Option<i64>, range: &Range<i64>) -> Result<i64, BrokenReason> {
    let at = read.ok_or(BrokenReason::InvalidFormat)?;
    if range.contains(&at) { Ok(at) } else { Err(BrokenReason::OutOfRange) }
}

fn double(raw: &[u8], range: &Range<f64>) -> Result<f64, BrokenReason> {
    let read = str::from_utf8(raw).ok().and_then(|text| text.parse::<f64>().ok());
    // The scanner lets only finite numbers pass.
    let number = read.filter(|number| number.is_finite()).ok_or(BrokenReason::WrongType)?;
    if range.contains(&number) { Ok(number) } else { Err(BrokenReason::OutOfRange) }
}

impl TextRule {
    fn of(text: &TextShape) -> TextRule {
        TextRule {
            length: text.length,
            pattern: text.pattern.as_ref().map(|pattern| pattern.regex().clone()),
            format: text.format,
            allowed: (!text.allowed.is_empty()).then(|| KeyTable::of(text.allowed.iter().map(|v| v.as_bytes()))),
        }
    }

    #[inline]
    fn check(&self, text: &[u8]) -> Result<(), BrokenReason> {
        if self.allowed.as_ref().is_some_and(|allowed| allowed.find(text).is_none()) {
            return Err(BrokenReason::NotInEnum);
        }
        if !self.length.is_unbounded() && !self.length.contains(&characters(text)) {
            return Err(BrokenReason::LengthOutOfRange);
        }
        if self.format.is_some_and(|format| !format.matches(text)) {
            return Err(BrokenReason::InvalidFormat);
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            return Err(BrokenReason::PatternMismatch);
        }
        Ok(())
    }
}

/// Counts the characters of UTF-8 text: bytes that do not continue one.
fn characters(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64
}

impl IntegerRule {
    fn of(integer: &IntegerShape) -> IntegerRule {
        let mut allowed = integer.allowed.clone();
        allowed.sort_unstable();
        IntegerRule { range: integer.range, allowed: allowed.into() }
    }

    #[inline]
    fn check(&self, raw: &[u8]) -> Result<i64, BrokenReason> {
        let Some(number) = number::integer(raw) else { return Err(not_an_integer(raw)) };
        if !self.allowed.is_empty() && self.allowed.binary_search(&number).is_err() {
            return Err(BrokenReason::NotInEnum);
        }
        if self.range.contains(&number) { Ok(number) } else { Err(BrokenReason::OutOfRange) }
    }
}

#[cold]
fn not_an_integer(raw: &[u8]) -> BrokenReason {
    if number::is_whole(raw) { BrokenReason::OutOfRange } else { BrokenReason::WrongType }
}

impl ArrayRule {
    fn of(array: &ArrayShape, expected: Arc<str>) -> ArrayRule {
        ArrayRule {
            length: array.length,
            nullable: array.nullable,
            item: Box::new(ValueRule::of(&array.items)),
            expected,
        }
    }

    /// Returns the rule for each element that is not null.
    pub fn item(&self) -> &ValueRule {
        &self.item
    }

    /// Checks an element that is null.
    ///
    /// # Errors
    /// There should be a value.
    pub fn null(&self) -> Checked<()> {
        if self.nullable { Ok(()) } else { Err(self.item.broken(BrokenReason::WrongType)) }
    }

    /// Checks the number of elements, once the array is read.
    ///
    /// # Errors
    /// There are too few or too many.
    #[inline]
    pub fn finish(&self, elements: u64) -> Checked<()> {
        if self.length.contains(&elements) {
            return Ok(());
        }
        Err(Broken { reason: BrokenReason::LengthOutOfRange, expected: Arc::clone(&self.expected) })
    }
}
