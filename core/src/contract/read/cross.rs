//! Rules over several properties of one object: the custom property `rules`, a list of which each entry is one of
//!
//! * `requires: [a, b]`: if `a` is present, so is `b`,
//! * `anyOf: [a, b, …]`: at least one is present,
//! * `oneOf: [a, b, …]`: exactly one is present,
//! * `atMost: [a, b]`: if both are present, `a` is not above `b`,
//! * `whenEquals: {property: a, value: v, then: b}`: if `a` is `v`, `b` is present.

use serde::Deserialize;
use serde_json::Value;

use crate::contract::finding::{Findings, Path};
use crate::contract::model::{CrossRule, Literal, ObjectShape, Shape};

use super::custom::Customs;

/// Most properties of one object that are compared with each other.
pub(in crate::contract) const MAX_COMPARED: usize = 8;
/// Most conditions on values in one object: they are kept in the bits of one word.
const MAX_CONDITIONS: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Written {
    Requires([String; 2]),
    AnyOf(Vec<String>),
    OneOf(Vec<String>),
    AtMost([String; 2]),
    WhenEquals(Condition),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    property: String,
    value: Value,
    then: String,
}

/// Reads the rules of an object.
pub(super) fn rules(customs: &Customs, shape: &ObjectShape, path: &Path, findings: &mut Findings) -> Vec<CrossRule> {
    let list: Vec<Value> = customs.take("rules", findings).unwrap_or_default();
    let rules: Vec<CrossRule> = list
        .iter()
        .enumerate()
        .filter_map(|(i, value)| {
            let read = rule(value, shape);
            read.map_err(|message| findings.error(path.element("rules", i, None), message)).ok()
        })
        .collect();
    limits(&rules, path, findings);
    rules
}

fn rule(value: &Value, shape: &ObjectShape) -> Result<CrossRule, String> {
    let written: Written = serde_json::from_value(value.clone()).map_err(|e| format!("`{value}` is no rule: {e}"))?;
    let rule = match written {
        Written::Requires([when, then]) => CrossRule::Requires { when, then },
        Written::AnyOf(names) => CrossRule::AnyOf(names),
        Written::OneOf(names) => CrossRule::OneOf(names),
        Written::AtMost([low, high]) => CrossRule::AtMost(low, high),
        Written::WhenEquals(Condition { property, value, then }) => {
            let value = literal(&property, &value, shape)?;
            CrossRule::WhenEquals { property, value, then }
        }
    };
    let names = names(&rule);
    known(&names, shape)?;
    if let CrossRule::AtMost(low, high) = &rule {
        comparable(low, high, shape)?;
    }
    Ok(rule)
}

/// Returns the properties that a rule names.
pub(in crate::contract) fn names(rule: &CrossRule) -> Vec<&str> {
    match rule {
        CrossRule::Requires { when: a, then: b }
        | CrossRule::AtMost(a, b)
        | CrossRule::WhenEquals { property: a, then: b, .. } => vec![a, b],
        CrossRule::AnyOf(names) | CrossRule::OneOf(names) => names.iter().map(String::as_str).collect(),
    }
}

fn known(names: &[&str], shape: &ObjectShape) -> Result<(), String> {
    if let Some(name) = names.iter().find(|name| shape.property(name).is_none()) {
        return Err(format!("`{name}` is no property of this object: describe it, or remove the rule"));
    }
    let again = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
    match again {
        Some((_, name)) => Err(format!("`{name}` stands twice in one rule: name two different properties")),
        None if names.len() < 2 => Err("a rule is about two properties or more: name them".to_owned()),
        None => Ok(()),
    }
}

fn comparable(low: &str, high: &str, shape: &ObjectShape) -> Result<(), String> {
    let kind = |name| shape.property(name).map(|property| &property.shape);
    match (kind(low), kind(high)) {
        (Some(Shape::Integer(_) | Shape::Number(_)), Some(Shape::Integer(_) | Shape::Number(_)))
        | (Some(Shape::Date(_)), Some(Shape::Date(_)))
        | (Some(Shape::Timestamp(_)), Some(Shape::Timestamp(_))) => Ok(()),
        _ => Err(format!("`{low}` and `{high}` cannot be compared: they must be two numbers, dates or timestamps")),
    }
}

fn literal(property: &str, value: &Value, shape: &ObjectShape) -> Result<Literal, String> {
    let literal = match (shape.property(property).map(|property| &property.shape), value) {
        (Some(Shape::Text(_)), Value::String(text)) => Some(Literal::Text(text.clone())),
        (Some(Shape::Integer(_)), Value::Number(number)) => number.as_i64().map(Literal::Integer),
        (Some(Shape::Boolean), Value::Bool(truth)) => Some(Literal::Boolean(*truth)),
        _ => None,
    };
    literal.ok_or_else(|| {
        format!("`{property}` never equals {value}: compare a string, an integer or a boolean with its kind")
    })
}

fn limits(rules: &[CrossRule], path: &Path, findings: &mut Findings) {
    let mut compared: Vec<&str> = rules.iter().filter(|r| matches!(r, CrossRule::AtMost(..))).flat_map(names).collect();
    compared.sort_unstable();
    compared.dedup();
    if compared.len() > MAX_COMPARED {
        findings.error(path, format!("compares more than {MAX_COMPARED} properties: remove rules `atMost`"));
    }
    let conditions = rules.iter().filter(|rule| matches!(rule, CrossRule::WhenEquals { .. })).count();
    if conditions > MAX_CONDITIONS {
        findings.error(path, format!("has more than {MAX_CONDITIONS} rules `whenEquals`: remove some"));
    }
}
