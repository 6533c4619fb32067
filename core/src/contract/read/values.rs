//! Enumerations: `enum` of ODCS v3.2, or the quality rule `invalidValues` of v3.1 that allows none.

use serde_json::Value;

use crate::contract::finding::{Findings, Path};
use crate::contract::model::Shape;
use crate::contract::odcs::{Property, Quality};

/// Longest list of values: they are counted in 16 bits, and nobody reads that many.
const MAX_VALUES: usize = 10_000;

/// Reads the values that a text may have.
pub(super) fn texts(source: &Property, path: &Path, findings: &mut Findings) -> Vec<String> {
    let read = |value: &Value| value.as_str().map(str::to_owned);
    values(source, path, findings, read, "text: put it in quotation marks")
}

/// Reads the values that an integer may have.
pub(super) fn integers(source: &Property, path: &Path, findings: &mut Findings) -> Vec<i64> {
    values(source, path, findings, Value::as_i64, "a whole number: correct it")
}

/// Finds an enumeration where none fits.
pub(super) fn no_values(source: &Property, shape: &Shape, path: &Path, findings: &mut Findings) {
    if written(source, path, findings).is_some() {
        let kind = shape.logical_type();
        findings.error(path, format!("values are listed for type {kind}: only a string or an integer has a list"));
    }
}

fn values<T: PartialEq>(
    source: &Property,
    path: &Path,
    findings: &mut Findings,
    read: impl Fn(&Value) -> Option<T>,
    must_be: &str,
) -> Vec<T> {
    let Some(written) = written(source, path, findings) else { return Vec::new() };
    if written.is_empty() {
        findings.error(path, "the list of values is empty: name one, or remove the list");
    }
    if written.len() > MAX_VALUES {
        findings.error(path, format!("lists more than {MAX_VALUES} values: use a pattern"));
    }
    let mut values = Vec::with_capacity(written.len());
    for value in written {
        match read(&value) {
            Some(read) if values.contains(&read) => {
                findings.error(path, format!("value {value} stands twice: keep one"))
            }
            Some(read) => values.push(read),
            None => findings.error(path, format!("value {value} must be {must_be}")),
        }
    }
    values
}

/// Returns the values as they are written; `None` when there is no list.
fn written(source: &Property, path: &Path, findings: &mut Findings) -> Option<Vec<Value>> {
    let by_rule = source.quality.iter().flatten().filter_map(|rule| valid_values(rule, path, findings)).last();
    let by_key = source.allowed.as_ref();
    if by_rule.is_some() && by_key.is_some() {
        findings.error(path, "has a list of values twice, as `enum` and as `validValues`: keep one");
    }
    let by_key = by_key.map(|list| list.iter().map(|entry| entry.value.clone().unwrap_or_default()).collect());
    by_key.or(by_rule)
}

/// Returns the values that a quality rule allows. A rule that tolerates a few others is about the table as a whole.
fn valid_values(rule: &Quality, path: &Path, findings: &mut Findings) -> Option<Vec<Value>> {
    let metric = rule.metric.as_deref().or(rule.rule.as_deref());
    let allows_none = rule.must_be.as_ref().is_some_and(|limit| limit.as_f64() == Some(0.0));
    if metric != Some("invalidValues") || !allows_none {
        return None;
    }
    let arguments = rule.arguments.as_ref()?;
    if arguments.contains_key("pattern") {
        findings.error(path, "a pattern in a quality rule is not enforced: move it to `logicalTypeOptions`");
    }
    arguments.get("validValues")?.as_array().cloned()
}
