//! Reading a contract: from YAML to the [model](super::model), with everything that is wrong with it.
//!
//! * [`document`]: the contract as a whole.
//! * [`event`]: one entry of `schema`, and rules over several properties ([`cross`]).
//! * [`property`]: one property and its shape, narrowed by [`options`] and [`values`].
//! * [`custom`]: `customProperties` of icefold's own.

mod cross;
mod custom;
mod document;
mod event;
mod options;
mod property;
mod values;

#[cfg(test)]
mod tests;

pub(super) use cross::{MAX_COMPARED, names};

use serde_json::Value;

use super::finding::Findings;
use super::model::Contract;
use super::odcs::{self, Document};

/// Reads a contract. Returns `None` when so much is wrong that there is none; the model is complete only when there
/// are no errors among the findings.
pub(super) fn read(text: &str, findings: &mut Findings) -> Option<Contract> {
    // The document is read twice: as a tree for keys that are misspelt, and typed for places of wrong types.
    let tree: Value = yaml(text, findings)?;
    odcs::unknown_keys(&tree, findings);
    let document: Document = yaml(text, findings)?;
    document::contract(&document, findings)
}

fn yaml<T: serde::de::DeserializeOwned>(text: &str, findings: &mut Findings) -> Option<T> {
    // As in YAML 1.2: `no`, a country, is text.
    let options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options(text, options) {
        Ok(read) => Some(read),
        Err(e) => {
            let place = e.location().map(|at| format!("line {} column {}", at.line(), at.column()));
            findings.error(place.unwrap_or_default(), format!("cannot be read: {}", first_line(e.without_snippet())));
            None
        }
    }
}

/// Leaves out the place, which stands in the finding already.
fn first_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.rsplit_once(" at line ").map_or(line, |(message, _)| message).to_owned()
}
