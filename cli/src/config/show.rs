//! The settings in print: where each value comes from, secrets hidden.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::secrets::hide;
use super::{Config, sources};
use crate::figures;

/// A setting in print.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    /// The value in force.
    pub(crate) value: Value,
    /// Where it comes from.
    pub(crate) from: String,
    /// The variable that would set it.
    pub(crate) environment: String,
}

/// Returns every setting by key.
pub(crate) fn shown(config: &Config) -> BTreeMap<String, Shown> {
    let entry = |(key, value, origin): (&str, &Value, &super::Origin)| {
        let shown = Shown { value: hide(key, value), from: origin.to_string(), environment: sources::variable(key) };
        (key.to_owned(), shown)
    };
    config.layers.entries().map(entry).collect()
}

/// Returns the settings as text that is itself valid TOML.
pub(crate) fn text(config: &Config) -> String {
    let (top, sections): (Vec<_>, Vec<_>) = shown(config).into_iter().partition(|(key, _)| !key.contains('.'));
    let rows = top.into_iter().chain(sections).map(|(key, shown)| {
        let assignment = match shown.value {
            Value::Null => format!("# {key} ="),
            value => format!("{key} = {value}"),
        };
        vec![assignment, format!("# {}", shown.from)]
    });
    figures::columns(&["", ""], &rows.collect::<Vec<_>>())
}
