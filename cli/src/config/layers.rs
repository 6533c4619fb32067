//! The tree of settings, laid over one another layer by layer.

use std::collections::BTreeMap;
use std::fmt;

use icefold_core::{Error, Result};
use serde_json::Value;

use super::nearest::nearest;
use super::secrets::hide;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Built in.
    Default,
    /// This file.
    File(String),
    /// This variable of the environment.
    Environment(String),
    /// This option.
    Option(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => f.write_str(path),
            Origin::Environment(variable) => f.write_str(variable),
            Origin::Option(option) => f.write_str(option),
        }
    }
}

/// The values in force, and the origin of each that is not a default.
#[derive(Debug)]
pub(crate) struct Layers {
    values: Value,
    defaults: BTreeMap<String, Value>,
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    /// Begins with the defaults, which name every key there is.
    pub(crate) fn new(defaults: Value) -> Self {
        let mut leaves = BTreeMap::new();
        collect("", &defaults, &mut leaves);
        Layers { values: defaults, defaults: leaves, origins: BTreeMap::new() }
    }

    /// Returns the tree.
    pub(crate) fn values(&self) -> &Value {
        &self.values
    }

    /// Iterates over every key with its value and origin, in alphabetical order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Value, &Origin)> {
        self.defaults.keys().map(|key| (key.as_str(), self.get(key), self.origins.get(key).unwrap_or(&Origin::Default)))
    }

    /// Iterates over the keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.defaults.keys().map(String::as_str)
    }

    fn get(&self, key: &str) -> &Value {
        self.values.pointer(&pointer(key)).unwrap_or(&Value::Null)
    }

    /// Sets a key to a value of the right type.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown key or a value of another type than the default's.
    pub(crate) fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<()> {
        let Some(default) = self.defaults.get(key) else { return Err(self.unknown(key, &origin)) };
        if !same_type(default, &value) {
            let (told, expected) = (hide(key, &value), expected(default));
            return Err(Error::invalid(format!("`{key}` is {told} in {origin}: expected {expected}")));
        }
        if let Some(slot) = self.values.pointer_mut(&pointer(key)) {
            *slot = value;
        }
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    /// Sets a key to a value that is still text, as it stands in the environment or an option.
    ///
    /// # Errors
    /// As [`Layers::set`].
    pub(crate) fn set_text(&mut self, key: &str, text: &str, origin: Origin) -> Result<()> {
        let value = match self.defaults.get(key) {
            Some(Value::Number(_) | Value::Bool(_) | Value::Array(_)) => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
            }
            _ => Value::String(text.to_owned()),
        };
        self.set(key, value, origin)
    }

    fn unknown(&self, key: &str, origin: &Origin) -> Error {
        let hint = match nearest(key, self.keys()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => "`icefold config` lists the keys".to_owned(),
        };
        Error::invalid(format!("unknown key `{key}` in {origin}: {hint}"))
    }
}

fn pointer(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}

/// Collects the leaves below `prefix` under their dotted keys.
pub(crate) fn collect(prefix: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                collect(&key, value, leaves);
            }
        }
        leaf => {
            leaves.insert(prefix.to_owned(), leaf.clone());
        }
    }
}

/// A key without a default takes text.
fn same_type(default: &Value, value: &Value) -> bool {
    match default {
        Value::Null => value.is_string(),
        Value::Number(number) if number.is_u64() => value.is_u64(),
        Value::Number(number) if number.is_i64() => value.is_i64() || value.is_u64(),
        Value::Number(_) => value.is_number(),
        other => std::mem::discriminant(other) == std::mem::discriminant(value),
    }
}

fn expected(default: &Value) -> &'static str {
    match default {
        Value::Null | Value::String(_) => "text",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "a whole number",
        Value::Array(_) => "a list",
        Value::Object(_) => "a section",
    }
}
