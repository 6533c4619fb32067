//! A contract as JSON Schema (2020-12), for producers that check events before they send them.
//!
//! It says what JSON Schema can say: bounds of times and comparisons between properties stand in `$comment`. Of the
//! envelope it has what an event must have to be accepted; lengths, which icefold counts in bytes there, are counted in
//! characters. Null means the same as absent, so what is not required may be null.

use serde_json::{Map, Value, json};

use super::call::{Body, EventCall};
use super::model::{
    ArrayShape, Contract, CrossRule, EventContract, IntegerShape, Literal, ObjectShape, Policy, Shape, TextShape,
};
use super::range::Range;
use std::ops::Bound;

const DATE: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$";
const TIMESTAMP: &str =
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)$";

/// Returns the JSON Schema of every event that the contract describes, envelope included.
pub fn export(contract: &Contract) -> Value {
    let mut rules = envelope_rules();
    rules.extend(contract.events.iter().filter_map(|event| event_rule(contract, event)));
    rules.extend(closed_calls(contract));
    let bodies = contract.events.iter().map(|event| (definition(event), body(event)));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:icefold:contract:{}:{}", contract.id, contract.version),
        "title": contract.name,
        "description": contract.description,
        "type": "object",
        "properties": envelope(),
        "required": ["type", "messageId"],
        "allOf": rules,
        "$defs": bodies.collect::<Map<_, _>>(),
    })
}

fn envelope() -> Value {
    let id = json!({ "type": "string", "minLength": 1, "maxLength": 255 });
    let device = json!({ "type": ["string", "null"], "minLength": 1, "maxLength": 255 });
    let person = json!({ "type": ["string", "integer", "null"], "minLength": 1, "maxLength": 255 });
    let text = json!({ "type": ["string", "null"] });
    let object = json!({ "type": ["object", "null"] });
    let time = json!({ "type": ["string", "integer", "null"] });
    json!({
        "type": { "enum": EventCall::ALL.map(EventCall::as_str) },
        "messageId": id,
        "anonymousId": device,
        "userId": person,
        "groupId": person,
        "previousId": person,
        "event": text,
        "name": text,
        "properties": object,
        "traits": object,
        "context": object,
        "timestamp": time,
        "originalTimestamp": time,
        "sentAt": time,
        "receivedAt": time,
    })
}

fn envelope_rules() -> Vec<Value> {
    let one_of = |a: &str, b: &str| json!({ "anyOf": [present(a), present(b)] });
    let named = json!({ "properties": { "event": { "type": "string", "minLength": 1 } }, "required": ["event"] });
    vec![
        one_of("anonymousId", "userId"),
        json!({ "if": is_call(EventCall::Track), "then": named }),
        json!({ "if": is_call(EventCall::Group), "then": present("groupId") }),
        json!({ "if": is_call(EventCall::Alias), "then": present("userId") }),
        json!({ "if": is_call(EventCall::Alias), "then": one_of("previousId", "anonymousId") }),
    ]
}

fn present(key: &str) -> Value {
    json!({ "properties": { key: { "not": { "type": "null" } } }, "required": [key] })
}

fn is_call(call: EventCall) -> Value {
    json!({ "properties": { "type": { "const": call.as_str() } }, "required": ["type"] })
}

fn definition(event: &EventContract) -> String {
    match &event.name {
        Some(name) => format!("{} {name}", event.call),
        None => event.call.to_string(),
    }
}

/// Says what the body of one event must be; an alias has none.
fn event_rule(contract: &Contract, event: &EventContract) -> Option<Value> {
    let body = event.call.body()?;
    let reference = json!({ "$ref": format!("#/$defs/{}", escaped(&definition(event))) });
    let then = match passes_empty(&event.body) {
        true => json!({ "properties": { body.key(): { "anyOf": [{ "type": "null" }, reference] } } }),
        false => json!({ "properties": { body.key(): reference }, "required": [body.key()] }),
    };
    Some(json!({ "if": is_event(contract, event), "then": then }))
}

/// Escapes a key for the fragment of a URI that holds a JSON pointer.
fn escaped(key: &str) -> String {
    let pointer = key.replace('~', "~0").replace('/', "~1");
    pointer.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

fn is_event(contract: &Contract, event: &EventContract) -> Value {
    let (Some(key), call) = (event.call.name_key(), event.call) else { return is_call(event.call) };
    match &event.name {
        Some(name) => json!({
            "properties": { "type": { "const": call.as_str() }, key: { "const": name } },
            "required": ["type", key],
        }),
        None => {
            let others = names(contract, call);
            let named = json!({ "properties": { key: { "enum": others } }, "required": [key] });
            json!({ "allOf": [is_call(call), { "not": named }] })
        }
    }
}

fn names(contract: &Contract, call: EventCall) -> Vec<&str> {
    contract.events.iter().filter(|event| event.call == call).filter_map(|event| event.name.as_deref()).collect()
}

/// Forbids events of other names, if the contract wants to know all.
fn closed_calls(contract: &Contract) -> Vec<Value> {
    if contract.unknown_events == Policy::Keep {
        return Vec::new();
    }
    let is_open = |call| contract.events.iter().any(|event| event.call == call && event.name.is_none());
    let is_described = |call| contract.events.iter().any(|event| event.call == call);
    let closed = EventCall::ALL.into_iter().filter(|call| is_described(*call) && !is_open(*call));
    let rule = |call: EventCall| {
        let key = call.name_key()?;
        let known = json!({ "properties": { key: { "enum": names(contract, call) } }, "required": [key] });
        Some(json!({ "if": is_call(call), "then": known }))
    };
    closed.filter_map(rule).collect()
}

/// Returns whether an object without keys passes, and so does none at all.
fn passes_empty(shape: &ObjectShape) -> bool {
    let asks = |rule: &CrossRule| matches!(rule, CrossRule::AnyOf(_) | CrossRule::OneOf(_));
    !shape.properties.iter().any(|property| property.required) && !shape.rules.iter().any(asks)
}

fn body(event: &EventContract) -> Value {
    let mut schema = object(&event.body);
    describe(&mut schema, &event.description, event.deprecated.is_some());
    if event.call.body() == Some(Body::Traits) {
        schema["title"] = json!(format!("traits of {}", event.title));
    } else {
        schema["title"] = json!(format!("properties of {}", event.title));
    }
    schema
}

fn describe(schema: &mut Value, description: &str, deprecated: bool) {
    if !description.is_empty() {
        schema["description"] = json!(description);
    }
    if deprecated {
        schema["deprecated"] = json!(true);
    }
}

fn object(shape: &ObjectShape) -> Value {
    let mut schema = json!({ "type": "object" });
    let properties = shape.properties.iter().map(|property| {
        let mut schema = value(&property.shape, !property.required);
        describe(&mut schema, &property.description, property.deprecated.is_some());
        (property.name.clone(), schema)
    });
    schema["properties"] = Value::Object(properties.collect());
    let required: Vec<&str> = shape.properties.iter().filter(|p| p.required).map(|p| p.name.as_str()).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if shape.unknown == Policy::Quarantine {
        schema["additionalProperties"] = json!(false);
    }
    if !shape.rules.is_empty() {
        schema["allOf"] = shape.rules.iter().map(rule).collect();
    }
    schema
}

fn rule(rule: &CrossRule) -> Value {
    let all = |names: &[String]| names.iter().map(|name| present(name)).collect::<Vec<_>>();
    match rule {
        CrossRule::Requires { when, then } => json!({ "if": present(when), "then": present(then) }),
        CrossRule::AnyOf(names) => json!({ "anyOf": all(names) }),
        CrossRule::OneOf(names) => json!({ "oneOf": all(names) }),
        CrossRule::AtMost(low, high) => json!({ "$comment": format!("`{low}` is at most `{high}`") }),
        CrossRule::WhenEquals { property, value, then } => {
            let equal = match value {
                Literal::Text(text) => json!(text),
                Literal::Integer(number) => json!(number),
                Literal::Boolean(truth) => json!(truth),
            };
            let condition = json!({ "properties": { property: { "const": equal } }, "required": [property] });
            json!({ "if": condition, "then": present(then) })
        }
    }
}

fn value(shape: &Shape, nullable: bool) -> Value {
    let mut schema = match shape {
        Shape::Any if nullable => return json!({}),
        Shape::Any => return json!({ "not": { "type": "null" } }),
        Shape::Text(text) => of_text(text),
        Shape::Integer(integer) => of_integer(integer),
        Shape::Number(range) => bounded(json!({ "type": "number" }), range),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Date(range) => timed(json!({ "type": "string", "format": "date", "pattern": DATE }), range),
        // Not `date-time`: that is narrower (RFC 3339 knows no `+0200`).
        Shape::Timestamp(range) => timed(json!({ "type": "string", "pattern": TIMESTAMP }), range),
        Shape::Object(inside) => object(inside),
        Shape::Array(rule) => array(rule),
    };
    // Of null, rules that count properties would say that all of them are there.
    if nullable && schema.get("allOf").is_some() {
        return json!({ "anyOf": [{ "type": "null" }, schema] });
    }
    if nullable {
        schema["type"] = json!([schema["type"], "null"]);
        if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            values.push(Value::Null);
        }
    }
    schema
}

fn of_text(text: &TextShape) -> Value {
    let mut schema = json!({ "type": "string" });
    lengths(&mut schema, &text.length, "minLength", "maxLength");
    if let Some(pattern) = &text.pattern {
        schema["pattern"] = json!(pattern.as_str());
    }
    if let Some(format) = text.format {
        schema["format"] = json!(format.as_str());
    }
    if !text.allowed.is_empty() {
        schema["enum"] = json!(text.allowed);
    }
    schema
}

fn of_integer(integer: &IntegerShape) -> Value {
    let mut range = integer.range;
    if range.low == Bound::Unbounded {
        range.low = Bound::Included(i64::MIN);
    }
    if range.high == Bound::Unbounded {
        range.high = Bound::Included(i64::MAX);
    }
    let mut schema = bounded(json!({ "type": "integer" }), &range);
    if !integer.allowed.is_empty() {
        schema["enum"] = json!(integer.allowed);
    }
    schema
}

fn bounded<T: Copy + Into<Value>>(mut schema: Value, range: &Range<T>) -> Value {
    match range.low {
        Bound::Included(low) => schema["minimum"] = low.into(),
        Bound::Excluded(low) => schema["exclusiveMinimum"] = low.into(),
        Bound::Unbounded => {}
    }
    match range.high {
        Bound::Included(high) => schema["maximum"] = high.into(),
        Bound::Excluded(high) => schema["exclusiveMaximum"] = high.into(),
        Bound::Unbounded => {}
    }
    schema
}

fn timed(mut schema: Value, range: &Range<super::model::Moment>) -> Value {
    if !range.is_unbounded() {
        schema["$comment"] = json!(range.to_string());
    }
    schema
}

fn lengths(schema: &mut Value, length: &Range<u64>, low: &str, high: &str) {
    if let Bound::Included(length) = length.low {
        schema[low] = json!(length);
    }
    if let Bound::Included(length) = length.high {
        schema[high] = json!(length);
    }
}

fn array(rule: &ArrayShape) -> Value {
    let mut schema = json!({ "type": "array", "items": value(&rule.items, rule.nullable) });
    lengths(&mut schema, &rule.length, "minItems", "maxItems");
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::tests::is_valid;

    #[test]
    fn an_optional_object_may_be_null_whatever_its_rules() {
        let names = ["a".to_owned(), "b".to_owned()];
        let shape = ObjectShape { rules: vec![CrossRule::OneOf(names.to_vec())], ..ObjectShape::default() };
        let schema = value(&Shape::Object(shape), true);
        assert!(is_valid(&schema, &schema, &Value::Null));
        assert!(is_valid(&schema, &schema, &json!({ "a": 1 })));
        assert!(!is_valid(&schema, &schema, &json!({ "a": 1, "b": 1 })));
    }

    #[test]
    fn names_of_events_are_escaped_in_references() {
        assert_eq!(escaped("track Order/Paid"), "track%20Order~1Paid");
        assert_eq!(escaped("page Über"), "page%20%C3%9Cber");
    }
}
