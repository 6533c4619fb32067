//! Rules over several properties, compiled: each is a few bits of what was seen.

use std::sync::Arc;

use super::broken::{Broken, BrokenObject, BrokenReason};
use super::seen::{Bits, Scalar, Seen};
use crate::contract::model::{CrossRule, Literal, ObjectShape};
use crate::contract::read::names;
use crate::contract::wording;

/// One rule over several properties.
#[derive(Debug, Clone)]
pub(super) struct CrossCheck {
    test: Test,
    /// The property that a violation is reported at.
    key: Box<[u8]>,
    expected: Arc<str>,
}

#[derive(Debug, Clone)]
enum Test {
    Requires { when: usize, then: usize },
    AnyOf(Bits),
    OneOf(Bits),
    AtMost { low: Compared, high: Compared },
    Condition { bit: usize, then: usize },
}

/// A property whose value is compared, and where the value is kept.
#[derive(Debug, Clone, Copy)]
struct Compared {
    index: usize,
    slot: usize,
}

/// What a property has to note of its value.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    /// Where the value is kept.
    slot: Option<usize>,
    /// Bits that are set when the value is this one.
    conditions: Box<[(usize, Literal)]>,
}

impl Watch {
    /// Returns what the property `name` has to note for the rules of its object.
    pub(super) fn of(name: &str, shape: &ObjectShape) -> Watch {
        let watched = conditions(shape).into_iter().enumerate().filter(|(_, (property, _))| *property == name);
        Watch {
            slot: compared(shape).iter().position(|compared| *compared == name),
            conditions: watched.map(|(bit, (_, value))| (bit, value.clone())).collect(),
        }
    }

    /// Notes a value that passed; `text` is a string's.
    #[inline]
    pub(super) fn note(&self, seen: &mut Seen, scalar: Scalar, text: &[u8]) {
        if let Some(slot) = self.slot {
            seen.compared[slot] = scalar;
        }
        for (bit, value) in &self.conditions {
            let equal = match (value, scalar) {
                (Literal::Text(value), Scalar::AsIs) => value.as_bytes() == text,
                (Literal::Integer(value), Scalar::Long(number)) => *value == number,
                (Literal::Boolean(value), Scalar::Boolean(truth)) => *value == truth,
                _ => false,
            };
            seen.conditions = seen.conditions & !(1 << bit) | u64::from(equal) << bit;
        }
    }

    /// Forgets a value that another one of the same key replaces.
    pub(super) fn forget(&self, seen: &mut Seen) {
        self.conditions.iter().for_each(|(bit, _)| seen.conditions &= !(1 << bit));
    }
}

/// Compiles the rules of an object.
pub(super) fn checks(shape: &ObjectShape) -> Box<[CrossCheck]> {
    let index = |name: &str| shape.properties.iter().position(|property| property.name == name).unwrap_or_default();
    let slots = compared(shape);
    let slot = |name: &str| slots.iter().position(|compared| *compared == name).unwrap_or_default();
    let mut bits = 0..;
    let test = |rule: &CrossRule| match rule {
        CrossRule::Requires { when, then } => Test::Requires { when: index(when), then: index(then) },
        CrossRule::AnyOf(names) => Test::AnyOf(Bits::of(names.iter().map(|name| index(name)))),
        CrossRule::OneOf(names) => Test::OneOf(Bits::of(names.iter().map(|name| index(name)))),
        CrossRule::AtMost(low, high) => Test::AtMost {
            low: Compared { index: index(low), slot: slot(low) },
            high: Compared { index: index(high), slot: slot(high) },
        },
        CrossRule::WhenEquals { then, .. } => {
            Test::Condition { bit: bits.next().unwrap_or_default(), then: index(then) }
        }
    };
    let tests: Vec<Test> = shape.rules.iter().map(test).collect();
    tests.into_iter().zip(&shape.rules).map(|(test, rule)| CrossCheck::of(test, rule)).collect()
}

/// Returns the properties whose values are compared, each once.
fn compared(shape: &ObjectShape) -> Vec<&str> {
    let mut compared = Vec::new();
    for name in shape.rules.iter().filter(|rule| matches!(rule, CrossRule::AtMost(..))).flat_map(names) {
        if !compared.contains(&name) {
            compared.push(name);
        }
    }
    compared
}

/// Returns the conditions on values, in the order of their bits.
fn conditions(shape: &ObjectShape) -> Vec<(&str, &Literal)> {
    let conditions = shape.rules.iter().filter_map(|rule| match rule {
        CrossRule::WhenEquals { property, value, .. } => Some((property.as_str(), value)),
        _ => None,
    });
    conditions.collect()
}

impl CrossCheck {
    fn of(test: Test, rule: &CrossRule) -> CrossCheck {
        CrossCheck { test, key: reported_at(rule).as_bytes().into(), expected: wording::of_rule(rule).into() }
    }

    /// Looks at what was seen of an object.
    #[inline]
    pub(super) fn check(&self, seen: &Seen) -> Result<(), BrokenObject<'_>> {
        let holds = match &self.test {
            Test::Requires { when, then } => !seen.present.has(*when) || seen.present.has(*then),
            Test::AnyOf(names) => names.common(&seen.present) > 0,
            Test::OneOf(names) => names.common(&seen.present) == 1,
            Test::AtMost { low, high } => {
                let both = seen.present.has(low.index) && seen.present.has(high.index);
                !both || seen.compared[low.slot].at_most(seen.compared[high.slot])
            }
            Test::Condition { bit, then } => seen.conditions >> bit & 1 == 0 || seen.present.has(*then),
        };
        if holds { Ok(()) } else { Err(self.broken()) }
    }

    #[cold]
    fn broken(&self) -> BrokenObject<'_> {
        let broken = Broken { reason: BrokenReason::RuleBroken, expected: Arc::clone(&self.expected) };
        BrokenObject { key: &self.key, broken }
    }
}

/// Returns the property that a broken rule is reported at: the one that should be there, or the first one.
pub(in crate::contract) fn reported_at(rule: &CrossRule) -> &str {
    match rule {
        CrossRule::Requires { then, .. } | CrossRule::WhenEquals { then, .. } => then,
        CrossRule::AtMost(low, _) => low,
        CrossRule::AnyOf(names) | CrossRule::OneOf(names) => names.first().map_or("", String::as_str),
    }
}
