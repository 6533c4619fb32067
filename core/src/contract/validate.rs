//! Contracts applied to a parsed event without compiling them: slow, plain, and written apart from [`rules`], so
//! that tests have something to compare with.
//!
//! [`rules`]: super::rules

use std::fmt;

use serde_json::{Map, Number, Value};

use super::call::EventCall;
use super::model::{
    ArrayShape, Contract, CrossRule, EventContract, IntegerShape, Literal, ObjectShape, Policy, Shape, TextShape,
};
use super::range::Range;
use super::rules::{Broken, BrokenReason, reported_at};
use super::walk::inside;
use super::wording;
use crate::timestamp::{parse_date, parse_iso};

/// Why an event does not pass, as a quarantine row says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Contract and version.
    pub contract: String,
    /// Where (RFC 6901), from the event on.
    pub pointer: String,
    /// Why.
    pub reason: BrokenReason,
    /// What the contract asks for.
    pub expected: String,
}

impl Refusal {
    pub(super) fn of(contract: &str, pointer: String, broken: Broken) -> Refusal {
        let Broken { reason, expected } = broken;
        Refusal { contract: contract.to_owned(), pointer, reason, expected: expected.to_string() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at `{}` by {}: expected {}", self.reason, self.pointer, self.contract, self.expected)
    }
}

/// Returns everything that contracts hold against an event whose envelope is in order; nothing when it passes.
pub fn validate_value(contracts: &[Contract], event: &Value) -> Vec<Refusal> {
    let Some(call) = event["type"].as_str().and_then(EventCall::of) else { return Vec::new() };
    let name = call.name_key().and_then(|key| event[key].as_str());
    let Some((contract, description)) = description(contracts, call, name) else {
        return unknown(contracts, call).into_iter().collect();
    };
    let mut validation = Validation { contract: contract.label(), refusals: Vec::new() };
    if let Some(body) = call.body() {
        let members = event[body.key()].as_object().cloned().unwrap_or_default();
        validation.object(&description.body, &members, &format!("/{}", body.key()));
    }
    validation.refusals
}

fn description<'a>(
    contracts: &'a [Contract],
    call: EventCall,
    name: Option<&str>,
) -> Option<(&'a Contract, &'a EventContract)> {
    let all = || contracts.iter().flat_map(|contract| contract.events.iter().map(move |event| (contract, event)));
    let named = all().find(|(_, event)| event.call == call && event.name.is_some() && event.name.as_deref() == name);
    named.or_else(|| all().find(|(_, event)| event.call == call && event.name.is_none()))
}

fn unknown(contracts: &[Contract], call: EventCall) -> Option<Refusal> {
    let strict = contracts.iter().filter(|contract| {
        contract.unknown_events == Policy::Quarantine && contract.events.iter().any(|event| event.call == call)
    });
    let contract = strict.min_by_key(|contract| contract.id.clone())?;
    Some(Refusal {
        contract: contract.label(),
        pointer: call.name_key().map(|key| format!("/{key}")).unwrap_or_default(),
        reason: BrokenReason::UnknownEvent,
        expected: wording::of_known_events().to_owned(),
    })
}

struct Validation {
    contract: String,
    refusals: Vec<Refusal>,
}

impl Validation {
    fn refuse(&mut self, pointer: String, reason: BrokenReason, expected: String) {
        self.refusals.push(Refusal { contract: self.contract.clone(), pointer, reason, expected });
    }

    fn object(&mut self, shape: &ObjectShape, members: &Map<String, Value>, pointer: &str) {
        for (key, value) in members {
            let place = inside(pointer, key);
            match shape.property(key) {
                Some(property) if !value.is_null() => self.value(&property.shape, value, &place),
                None if shape.unknown == Policy::Quarantine => {
                    self.refuse(place, BrokenReason::UnknownProperty, wording::of_closed_object().to_owned());
                }
                _ => {}
            }
        }
        for property in shape.properties.iter().filter(|property| property.required) {
            if absent(members, &property.name) {
                let expected = wording::of_shape(&property.shape);
                self.refuse(inside(pointer, &property.name), BrokenReason::MissingProperty, expected);
            }
        }
        for rule in shape.rules.iter().filter(|rule| !holds(rule, shape, members)) {
            let place = inside(pointer, reported_at(rule));
            self.refuse(place, BrokenReason::RuleBroken, wording::of_rule(rule));
        }
    }

    fn value(&mut self, shape: &Shape, value: &Value, pointer: &str) {
        let broken = match (shape, value) {
            (Shape::Any, _) | (Shape::Boolean, Value::Bool(_)) => None,
            (Shape::Text(rule), Value::String(text)) => text_broken(rule, text),
            (Shape::Integer(rule), Value::Number(number)) => integer_broken(rule, number),
            (Shape::Number(range), Value::Number(number)) => {
                number.as_f64().is_none_or(|number| !range.contains(&number)).then_some(BrokenReason::OutOfRange)
            }
            (Shape::Date(range), Value::String(text)) => {
                moment_broken(parse_date(text.as_bytes()), &range.map(|moment| moment.at))
            }
            (Shape::Timestamp(range), Value::String(text)) => {
                moment_broken(parse_iso(text.as_bytes()), &range.map(|moment| moment.at))
            }
            (Shape::Object(inside), Value::Object(members)) => return self.object(inside, members, pointer),
            (Shape::Array(rule), Value::Array(elements)) => return self.array(shape, rule, elements, pointer),
            _ => Some(BrokenReason::WrongType),
        };
        if let Some(reason) = broken {
            self.refuse(pointer.to_owned(), reason, wording::of_shape(shape));
        }
    }

    fn array(&mut self, shape: &Shape, rule: &ArrayShape, elements: &[Value], pointer: &str) {
        for (i, element) in elements.iter().enumerate() {
            let place = format!("{pointer}/{i}");
            match element {
                Value::Null if rule.nullable => {}
                Value::Null => self.refuse(place, BrokenReason::WrongType, wording::of_shape(&rule.items)),
                element => self.value(&rule.items, element, &place),
            }
        }
        if !rule.length.contains(&(elements.len() as u64)) {
            self.refuse(pointer.to_owned(), BrokenReason::LengthOutOfRange, wording::of_shape(shape));
        }
    }
}

pub(super) fn text_broken(rule: &TextShape, text: &str) -> Option<BrokenReason> {
    if !rule.allowed.is_empty() && !rule.allowed.iter().any(|allowed| allowed == text) {
        return Some(BrokenReason::NotInEnum);
    }
    if !rule.length.contains(&(text.chars().count() as u64)) {
        return Some(BrokenReason::LengthOutOfRange);
    }
    if rule.format.is_some_and(|format| !format.matches(text.as_bytes())) {
        return Some(BrokenReason::InvalidFormat);
    }
    let matches = rule.pattern.as_ref().is_none_or(|pattern| pattern.matches(text.as_bytes()));
    (!matches).then_some(BrokenReason::PatternMismatch)
}

fn integer_broken(rule: &IntegerShape, number: &Number) -> Option<BrokenReason> {
    let Some(whole) = whole(number) else { return Some(BrokenReason::WrongType) };
    let listed = |whole| rule.allowed.iter().any(|allowed| i128::from(*allowed) == whole);
    match i64::try_from(whole) {
        Err(_) => Some(BrokenReason::OutOfRange),
        Ok(_) if !rule.allowed.is_empty() && !listed(whole) => Some(BrokenReason::NotInEnum),
        Ok(whole) => (!rule.range.contains(&whole)).then_some(BrokenReason::OutOfRange),
    }
}

/// Returns the number if it has no fraction; numbers beyond 128 bits are cut to these.
fn whole(number: &Number) -> Option<i128> {
    let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    exact.or_else(|| number.as_f64().filter(|double| double.fract() == 0.0).map(|double| double as i128))
}

fn moment_broken(read: Option<i64>, range: &Range<i64>) -> Option<BrokenReason> {
    match read {
        None => Some(BrokenReason::InvalidFormat),
        Some(at) => (!range.contains(&at)).then_some(BrokenReason::OutOfRange),
    }
}

fn absent(members: &Map<String, Value>, name: &str) -> bool {
    members.get(name).is_none_or(Value::is_null)
}

fn holds(rule: &CrossRule, shape: &ObjectShape, members: &Map<String, Value>) -> bool {
    let present = |name: &String| !absent(members, name);
    match rule {
        CrossRule::Requires { when, then } => !present(when) || present(then),
        CrossRule::AnyOf(names) => names.iter().any(present),
        CrossRule::OneOf(names) => names.iter().filter(|name| present(name)).count() == 1,
        CrossRule::AtMost(low, high) => {
            !(present(low) && present(high)) || at_most(shape, (low, high), &members[low], &members[high])
        }
        CrossRule::WhenEquals { property, value, then } => !equals(members.get(property), value) || present(then),
    }
}

/// Compares two values, integers exactly and other numbers as doubles; what has the wrong type is refused elsewhere.
fn at_most(shape: &ObjectShape, (low, high): (&str, &str), a: &Value, b: &Value) -> bool {
    let times = |read: fn(&[u8]) -> Option<i64>| {
        let at = |value: &Value| value.as_str().and_then(|text| read(text.as_bytes()));
        at(a).zip(at(b)).is_none_or(|(a, b)| a <= b)
    };
    let kind = |name: &str| shape.property(name).map(|property| &property.shape);
    match (kind(low), kind(high)) {
        (Some(Shape::Date(_)), _) => times(parse_date),
        (Some(Shape::Timestamp(_)), _) => times(parse_iso),
        (Some(Shape::Integer(_)), Some(Shape::Integer(_))) => {
            let number = |value: &Value| value.as_number().and_then(whole);
            number(a).zip(number(b)).is_none_or(|(a, b)| a <= b)
        }
        _ => a.as_f64().zip(b.as_f64()).is_none_or(|(a, b)| a <= b),
    }
}

fn equals(member: Option<&Value>, literal: &Literal) -> bool {
    match (member, literal) {
        (Some(Value::String(text)), Literal::Text(value)) => text == value,
        (Some(Value::Number(number)), Literal::Integer(value)) => whole(number) == Some(i128::from(*value)),
        (Some(Value::Bool(truth)), Literal::Boolean(value)) => truth == value,
        _ => false,
    }
}
