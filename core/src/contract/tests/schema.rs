//! As much of JSON Schema (2020-12) as the export uses; any other keyword is a panic.

use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::Value;

use crate::contract::pattern::Pattern;

/// Returns whether a value is valid. `root` is the schema that `$ref` counts from.
pub(crate) fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let Some(keywords) = schema.as_object() else { panic!("{schema} is no schema") };
    keywords.iter().all(|(keyword, argument)| keyword_holds(root, schema, keyword, argument, value))
}

fn keyword_holds(root: &Value, schema: &Value, keyword: &str, argument: &Value, value: &Value) -> bool {
    let valid = |schema: &Value| is_valid(root, schema, value);
    let all = |argument: &Value| argument.as_array().expect("schemas").clone();
    match keyword {
        "$schema" | "$id" | "$defs" | "$comment" | "title" | "description" | "deprecated" | "format" | "then" => true,
        "$ref" => valid(target(root, argument.as_str().expect("a reference"))),
        "allOf" => all(argument).iter().all(valid),
        "anyOf" => all(argument).iter().any(valid),
        "oneOf" => all(argument).iter().filter(|schema| valid(schema)).count() == 1,
        "not" => !valid(argument),
        "if" => !valid(argument) || valid(&schema["then"]),
        "type" => match argument {
            Value::Array(types) => types.iter().any(|name| has_type(value, name.as_str().expect("a type"))),
            name => has_type(value, name.as_str().expect("a type")),
        },
        "enum" => all(argument).iter().any(|other| equal(value, other)),
        "const" => equal(value, argument),
        "properties" => argument.as_object().expect("properties").iter().all(|(key, schema)| {
            value.as_object().and_then(|members| members.get(key)).is_none_or(|member| is_valid(root, schema, member))
        }),
        "required" => {
            let has = |key: &Value| value.get(key.as_str().expect("a key")).is_some();
            !value.is_object() || all(argument).iter().all(has)
        }
        "additionalProperties" => {
            assert_eq!(argument, false);
            let known = |key: &String| schema["properties"].get(key).is_some();
            value.as_object().is_none_or(|members| members.keys().all(known))
        }
        "items" => {
            value.as_array().is_none_or(|elements| elements.iter().all(|element| is_valid(root, argument, element)))
        }
        _ => limit_holds(keyword, argument, value),
    }
}

fn limit_holds(keyword: &str, argument: &Value, value: &Value) -> bool {
    let number = |test: fn(&f64, &f64) -> bool| {
        value.as_f64().is_none_or(|number| test(&number, &argument.as_f64().expect("a number")))
    };
    let limit = argument.as_u64().unwrap_or_default() as usize;
    let characters = value.as_str().map(|text| text.chars().count());
    let elements = value.as_array().map(Vec::len);
    match keyword {
        "minimum" => number(f64::ge),
        "maximum" => number(f64::le),
        "exclusiveMinimum" => number(f64::gt),
        "exclusiveMaximum" => number(f64::lt),
        "minLength" => characters.is_none_or(|n| n >= limit),
        "maxLength" => characters.is_none_or(|n| n <= limit),
        "minItems" => elements.is_none_or(|n| n >= limit),
        "maxItems" => elements.is_none_or(|n| n <= limit),
        "pattern" => value.as_str().is_none_or(|text| matches(argument.as_str().expect("a pattern"), text)),
        other => panic!("keyword `{other}` is not known here"),
    }
}

/// Compiling a pattern takes far longer than matching, so each is compiled once.
fn matches(pattern: &str, text: &str) -> bool {
    thread_local! {
        static PATTERNS: RefCell<HashMap<String, Pattern>> = RefCell::default();
    }
    PATTERNS.with_borrow_mut(|patterns| {
        let known = patterns.entry(pattern.to_owned());
        known.or_insert_with(|| Pattern::new(pattern).expect("a pattern")).matches(text.as_bytes())
    })
}

fn target<'a>(root: &'a Value, reference: &str) -> &'a Value {
    let pointer = reference.strip_prefix('#').expect("inside the document").replace("%20", " ");
    root.pointer(&pointer).expect("a definition")
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("type `{other}` is not known here"),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
