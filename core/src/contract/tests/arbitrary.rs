//! Contracts and events made of random bytes.

use serde_json::{Map, Value, json};
use std::ops::Bound;

use crate::contract::call::EventCall;
use crate::contract::model::{
    ArrayShape, Contract, CrossRule, EventContract, IntegerShape, Literal, Moment, ObjectShape, Policy, Property,
    Shape, TextShape,
};
use crate::contract::pattern::Pattern;
use crate::contract::range::Range;
use crate::contract::version::Version;
use crate::timestamp::{parse_date, parse_iso};

const KEYS: [&str; 5] = ["a", "b", "c", "d/e", "a_rather_long_key"];
const WORDS: [&str; 8] = ["", "a", "ab", "abc", "é", "éé", "2026-01-31", "x y"];
const DATES: [&str; 4] = ["2026-01-31", "2026-02-01", "2026-02-30", "2025-12-31"];
const TIMES: [&str; 4] =
    ["2026-01-31T00:00:00Z", "2026-01-31T00:00:00+02:00", "2026-02-30T00:00:00Z", "2026-02-01 10:00:00.5+0100"];
const PATTERNS: [&str; 3] = ["^a", "^[a-c]*$", r"\d"];

/// Choices made of bytes; when these are used up, always the first choice.
pub(crate) struct Entropy(std::vec::IntoIter<u8>);

impl Entropy {
    pub(crate) fn of(bytes: Vec<u8>) -> Entropy {
        Entropy(bytes.into_iter())
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % n
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// Happens with a chance of one in `n`.
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }
}

/// Makes a contract with one track call and, sometimes, all pages.
pub(crate) fn contract(entropy: &mut Entropy) -> Contract {
    let mut events = vec![event_contract(EventCall::Track, Some("Bought"), entropy)];
    if entropy.one_in(2) {
        events.push(event_contract(EventCall::Page, None, entropy));
        events.push(event_contract(EventCall::Page, Some("Home"), entropy));
    }
    Contract {
        id: "shop".to_owned(),
        name: "Shop".to_owned(),
        version: Version { major: 1, minor: 0, patch: 0 },
        status: "active".to_owned(),
        description: String::new(),
        owner: "shop-team".to_owned(),
        unknown_events: policy(entropy),
        events,
    }
}

fn event_contract(call: EventCall, name: Option<&str>, entropy: &mut Entropy) -> EventContract {
    EventContract {
        title: "An event".to_owned(),
        call,
        name: name.map(str::to_owned),
        description: String::new(),
        deprecated: None,
        body: object(entropy, 2),
    }
}

fn policy(entropy: &mut Entropy) -> Policy {
    if entropy.one_in(4) { Policy::Quarantine } else { Policy::Keep }
}

fn object(entropy: &mut Entropy, depth: usize) -> ObjectShape {
    let count = entropy.below(KEYS.len() + 1);
    let properties = KEYS[..count].iter().map(|key| property(key, entropy, depth)).collect();
    let mut shape = ObjectShape { properties, unknown: policy(entropy), rules: Vec::new() };
    for _ in 0..entropy.below(3) {
        add_rule(&mut shape, entropy);
    }
    shape
}

fn property(key: &str, entropy: &mut Entropy, depth: usize) -> Property {
    Property {
        name: key.to_owned(),
        description: String::new(),
        required: entropy.one_in(3),
        shape: shape(entropy, depth),
        promotion: None,
        missing: None,
        deprecated: None,
    }
}

fn add_rule(shape: &mut ObjectShape, entropy: &mut Entropy) {
    if shape.properties.len() < 2 {
        return;
    }
    let i = entropy.below(shape.properties.len());
    let j = (i + 1 + entropy.below(shape.properties.len() - 1)) % shape.properties.len();
    let (first, second) = (&shape.properties[i], &shape.properties[j]);
    let (a, b) = (first.name.clone(), second.name.clone());
    let kinds = (first.shape.logical_type(), second.shape.logical_type());
    let comparable = match kinds {
        ("integer" | "number", "integer" | "number") => true,
        (left, right) => left == right && matches!(left, "date" | "timestamp"),
    };
    let literal = match first.shape.logical_type() {
        "string" => Some(Literal::Text((*entropy.pick(&WORDS)).to_owned())),
        "integer" => Some(Literal::Integer(entropy.below(4) as i64)),
        "boolean" => Some(Literal::Boolean(entropy.one_in(2))),
        _ => None,
    };
    shape.rules.push(match (entropy.below(4), literal) {
        (0, Some(value)) => CrossRule::WhenEquals { property: a, value, then: b },
        (0 | 1, _) if comparable => CrossRule::AtMost(a, b),
        (0 | 1, _) => CrossRule::Requires { when: a, then: b },
        (2, _) => CrossRule::AnyOf(vec![a, b]),
        _ => CrossRule::OneOf(vec![a, b]),
    });
}

fn shape(entropy: &mut Entropy, depth: usize) -> Shape {
    match entropy.below(if depth > 0 { 9 } else { 7 }) {
        0 => Shape::Text(text(entropy)),
        1 => Shape::Integer(IntegerShape { range: range(entropy, |n| n), allowed: allowed(entropy, &[1, 2, 3]) }),
        2 => Shape::Number(range(entropy, |n| n as f64 / 2.0)),
        3 => Shape::Boolean,
        4 => Shape::Date(range(entropy, |n| moment(DATES[n as usize % 2], parse_date))),
        5 => Shape::Timestamp(range(entropy, |n| moment(TIMES[n as usize % 2], parse_iso))),
        6 => Shape::Any,
        7 => Shape::Object(object(entropy, depth - 1)),
        _ => Shape::Array(ArrayShape {
            length: length(entropy),
            items: Box::new(shape(entropy, depth - 1)),
            nullable: entropy.one_in(2),
        }),
    }
}

fn text(entropy: &mut Entropy) -> TextShape {
    let words = WORDS.map(str::to_owned);
    TextShape {
        length: length(entropy),
        pattern: entropy.one_in(3).then(|| Pattern::new(entropy.pick::<&str>(&PATTERNS)).expect("a pattern")),
        format: None,
        allowed: allowed(entropy, &words),
    }
}

fn allowed<T: Clone>(entropy: &mut Entropy, all: &[T]) -> Vec<T> {
    if !entropy.one_in(3) {
        return Vec::new();
    }
    let start = entropy.below(all.len());
    all[start..].iter().take(1 + entropy.below(4)).cloned().collect()
}

fn length(entropy: &mut Entropy) -> Range<u64> {
    let range = range(entropy, |n| n as u64);
    // Lengths are never excluded.
    let included = |bound| match bound {
        Bound::Excluded(n) => Bound::Included(n),
        other => other,
    };
    Range { low: included(range.low), high: included(range.high) }
}

fn range<T>(entropy: &mut Entropy, value: impl Fn(i64) -> T) -> Range<T> {
    let mut bound = |add: i64| match entropy.below(4) {
        0 | 1 => Bound::Unbounded,
        2 => Bound::Included(value(add + entropy.below(2) as i64)),
        _ => Bound::Excluded(value(add + entropy.below(2) as i64)),
    };
    Range { low: bound(0), high: bound(2) }
}

fn moment(text: &str, read: fn(&[u8]) -> Option<i64>) -> Moment {
    Moment { at: read(text.as_bytes()).expect("a time"), text: text.to_owned() }
}

/// Makes an event that a contract may describe, and its body mostly fits.
pub(crate) fn event(contract: &Contract, entropy: &mut Entropy) -> Value {
    let described = &contract.events[entropy.below(contract.events.len())];
    let body = match entropy.below(12) {
        10 => Value::Null,
        11 => json!({}),
        _ => Value::Object(members(&described.body, entropy)),
    };
    let name = if entropy.one_in(8) { Some("Other") } else { described.name.as_deref() };
    json!({
        "type": described.call.as_str(),
        "messageId": "m1",
        "userId": "u1",
        "event": if described.call == EventCall::Track { json!(name.unwrap_or("x")) } else { Value::Null },
        "name": if described.call == EventCall::Page { json!(name) } else { Value::Null },
        "properties": body,
    })
}

fn members(shape: &ObjectShape, entropy: &mut Entropy) -> Map<String, Value> {
    let mut members = Map::new();
    for property in &shape.properties {
        let leave_out = if property.required { entropy.one_in(12) } else { entropy.one_in(3) };
        if !leave_out {
            members.insert(property.name.clone(), value(&property.shape, entropy));
        }
    }
    if entropy.one_in(8) {
        members.insert("undescribed~".to_owned(), anything(entropy));
    }
    members
}

fn value(shape: &Shape, entropy: &mut Entropy) -> Value {
    if entropy.one_in(12) {
        return anything(entropy);
    }
    match shape {
        Shape::Any => anything(entropy),
        Shape::Text(text) if !text.allowed.is_empty() && !entropy.one_in(6) => json!(entropy.pick(&text.allowed)),
        Shape::Text(_) => json!(entropy.pick(&WORDS)),
        Shape::Integer(integer) if !integer.allowed.is_empty() => json!(entropy.pick(&integer.allowed)),
        Shape::Integer(_) => json!(entropy.below(5)),
        Shape::Number(_) => json!(entropy.below(9) as f64 / 2.0),
        Shape::Boolean => json!(entropy.one_in(2)),
        Shape::Date(_) => json!(entropy.pick(&DATES)),
        Shape::Timestamp(_) => json!(entropy.pick(&TIMES)),
        Shape::Object(inside) => Value::Object(members(inside, entropy)),
        Shape::Array(array) => (0..entropy.below(4)).map(|_| value(&array.items, entropy)).collect(),
    }
}

fn anything(entropy: &mut Entropy) -> Value {
    match entropy.below(12) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(2.0),
        3 => json!(1.5),
        4 => json!(-1),
        5 => json!(u64::MAX),
        6 => json!(1e300),
        7 => json!([null, 1, "a"]),
        8 => json!({ "a": 1 }),
        9 => json!(entropy.pick(&DATES)),
        10 => json!(entropy.pick(&TIMES)),
        _ => json!(entropy.pick(&WORDS)),
    }
}

/// Makes another version of a contract by a few changes.
pub(crate) fn mutated(contract: &Contract, entropy: &mut Entropy) -> Contract {
    let mut new = contract.clone();
    new.version.major += 1;
    for _ in 0..=entropy.below(2) {
        let at = entropy.below(new.events.len());
        match entropy.below(10) {
            8 if new.events.len() > 1 => drop(new.events.remove(at)),
            9 => new.unknown_events = policy(entropy),
            _ => mutate(&mut new.events[at].body, entropy),
        }
    }
    new
}

fn mutate(shape: &mut ObjectShape, entropy: &mut Entropy) {
    let fresh = KEYS.iter().find(|key| shape.property(key).is_none());
    if let (Some(key), true) = (fresh, shape.properties.is_empty() || entropy.one_in(4)) {
        return shape.properties.push(property(key, entropy, 1));
    }
    let at = entropy.below(shape.properties.len());
    match entropy.below(8) {
        0 => shape.properties[at].required = !shape.properties[at].required,
        1 => shape.unknown = policy(entropy),
        2 => drop(shape.rules.pop()),
        3 => add_rule(shape, entropy),
        4 => {
            let property = shape.properties.remove(at);
            shape.rules.retain(|rule| !crate::contract::read::names(rule).contains(&property.name.as_str()));
        }
        _ => {
            let name = shape.properties[at].name.clone();
            mutate_value(&mut shape.properties[at].shape, entropy);
            // A rule may not fit the new type.
            shape.rules.retain(|rule| !crate::contract::read::names(rule).contains(&name.as_str()));
        }
    }
}

fn mutate_value(old: &mut Shape, entropy: &mut Entropy) {
    match old {
        Shape::Object(inside) => mutate(inside, entropy),
        Shape::Array(array) if entropy.one_in(2) => mutate_value(&mut array.items, entropy),
        Shape::Array(array) => array.length = length(entropy),
        Shape::Text(old) => *old = text(entropy),
        Shape::Integer(integer) if !entropy.one_in(3) => integer.range = range(entropy, |n| n),
        Shape::Number(old) => *old = range(entropy, |n| n as f64 / 2.0),
        other => *other = shape(entropy, 1),
    }
}

/// Takes out what a contract does not describe.
pub(crate) fn prune(shape: &ObjectShape, value: &mut Value) {
    let Some(members) = value.as_object_mut() else { return };
    members.retain(|key, _| shape.property(key).is_some());
    for property in &shape.properties {
        if let Some(value) = members.get_mut(&property.name) {
            prune_value(&property.shape, value);
        }
    }
}

fn prune_value(shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Object(inside), value) => prune(inside, value),
        (Shape::Array(array), Value::Array(elements)) => {
            elements.iter_mut().for_each(|element| prune_value(&array.items, element));
        }
        _ => {}
    }
}
