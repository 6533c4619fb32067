//! What is wrong with a contract, or with several contracts together.
//!
//! [`lint`] looks at one document: first at what it says (`read`), then at habits that keep a
//! contract readable. [`lint_set`] looks at contracts that are used together. `datacontract lint` sees to the standard's
//! own schema.

use std::collections::BTreeMap;

use super::columns::{Promoted, promotions, promotions_of};
use super::finding::{Finding, Findings, Path};
use super::model::{ColumnKind, Contract, Deprecation, EventContract, ObjectShape, Shape};
use super::read::read;
use crate::{Error, Result};

impl Contract {
    /// Reads a contract; `file` is the name that errors give it.
    ///
    /// # Errors
    /// Every finding of [`lint`] that is an error, one a line.
    pub fn parse(text: &str, file: &str) -> Result<Contract> {
        let mut findings = Findings::of(file);
        let contract = examine(text, file, &mut findings);
        match contract.filter(|_| !findings.has_errors()) {
            Some(contract) => Ok(contract),
            None => Err(refusal(&findings.into_list())),
        }
    }
}

/// Returns everything that is wrong with a contract, errors first. A contract without errors can be compiled.
pub fn lint(text: &str, file: &str) -> Vec<Finding> {
    let mut findings = Findings::of(file);
    examine(text, file, &mut findings);
    findings.into_list()
}

/// Returns what is wrong with contracts that are used together, errors first.
pub fn lint_set(contracts: &[Contract]) -> Vec<Finding> {
    let mut findings = Findings::of("contracts");
    same_ids(contracts, &mut findings);
    same_events(contracts, &mut findings);
    same_columns(contracts, &mut findings);
    taken_columns(contracts, &mut findings);
    findings.into_list()
}

/// Makes one error of the errors among findings.
pub(super) fn refusal(findings: &[Finding]) -> Error {
    let errors = findings.iter().filter(|finding| finding.severity == super::Severity::Error);
    let lines: Vec<String> = errors.map(Finding::without_severity).collect();
    Error::invalid(lines.join("\n"))
}

fn examine(text: &str, file: &str, findings: &mut Findings) -> Option<Contract> {
    let contract = read(text, findings)?;
    file_name(&contract, file, findings);
    status(&contract, findings);
    let root = Path::default();
    for (i, event) in contract.events.iter().enumerate() {
        let path = root.element("schema", i, Some(&event.title));
        deprecation(event.deprecated.as_ref(), &contract, &path, findings);
        object(&event.body, &contract, &path, findings);
        columns(event, &path, findings);
    }
    Some(contract)
}

fn file_name(contract: &Contract, file: &str, findings: &mut Findings) {
    let stem = std::path::Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if stem != contract.id {
        findings.warning("id", format!("is `{}`: name the file `{0}.yaml`, so that it is found", contract.id));
    }
}

/// A contract that is applied is enforced, whatever its status is. A missing status has been found before.
fn status(contract: &Contract, findings: &mut Findings) {
    if !contract.is_active() && !contract.status.is_empty() {
        let message = "and yet it is enforced once it is applied: set it to `active`, or do not apply it";
        findings.warning("status", format!("is `{}`, {message}", contract.status));
    }
}

fn object(shape: &ObjectShape, contract: &Contract, path: &Path, findings: &mut Findings) {
    for (i, property) in shape.properties.iter().enumerate() {
        let path = path.element("properties", i, Some(&property.name));
        deprecation(property.deprecated.as_ref(), contract, &path, findings);
        if property.deprecated.is_some() && property.required {
            findings.warning(&path, "is deprecated, yet required: make it optional, so that producers can stop");
        }
        match &property.shape {
            Shape::Any => findings.warning(&path, "takes any value: set `logicalType`"),
            Shape::Object(inside) => object(inside, contract, &path, findings),
            Shape::Array(array) => {
                if let Shape::Object(inside) = &*array.items {
                    object(inside, contract, &path.key("items"), findings);
                }
            }
            _ => {}
        }
    }
}

/// Of two properties of one event that become one column the one that its producer writes last would count.
fn columns(event: &EventContract, path: &Path, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for Promoted { place, promotion, .. } in promotions_of(event) {
        let column = &promotion.column;
        let Some(other) = seen.get(column.as_str()) else {
            seen.insert(column, place);
            continue;
        };
        let message = format!("`{other}` and `{place}` both become column `{column}`: promote one of them to another");
        findings.error(path, message);
    }
}

fn deprecation(deprecation: Option<&Deprecation>, contract: &Contract, path: &Path, findings: &mut Findings) {
    let since = deprecation.and_then(|deprecation| deprecation.since);
    if since.is_some_and(|since| since > contract.version) {
        findings.error(path, format!("is deprecated since a version after {}: raise `version`", contract.version));
    }
}

fn same_ids(contracts: &[Contract], findings: &mut Findings) {
    let mut ids: Vec<&str> = contracts.iter().map(|contract| contract.id.as_str()).collect();
    ids.sort_unstable();
    for pair in ids.windows(2).filter(|pair| pair[0] == pair[1]) {
        findings.error("id", format!("`{}` is the id of two contracts: rename one", pair[0]));
    }
}

fn same_events(contracts: &[Contract], findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    for contract in contracts {
        for event in &contract.events {
            let Some(other) = seen.insert((event.call, event.name.as_deref()), contract) else { continue };
            findings.error(
                &event.title,
                format!("is described by `{}` and by `{}`: remove it from one", other.label(), contract.label()),
            );
        }
    }
}

fn same_columns(contracts: &[Contract], findings: &mut Findings) {
    let mut seen: BTreeMap<&str, (ColumnKind, &str, &Contract)> = BTreeMap::new();
    for contract in contracts {
        for Promoted { property, promotion, kind, .. } in promotions(contract) {
            let first = *seen.entry(&promotion.column).or_insert((kind, &property.description, contract));
            let (a, b) = (first.2.label(), contract.label());
            if first.0 != kind {
                let (ours, theirs) = (kind.as_str(), first.0.as_str());
                let message = format!("is a {theirs} in `{a}` and a {ours} in `{b}`: choose one type, or two names");
                findings.error(format!("column {}", promotion.column), message);
            } else if first.1 != property.description {
                let message = format!("is described in two ways, in `{a}` and `{b}`: use one text");
                findings.warning(format!("column {}", promotion.column), message);
            }
        }
    }
}

/// A column that takes another name takes the values of all rows along, so nobody may go on filling the old name.
fn taken_columns(contracts: &[Contract], findings: &mut Findings) {
    let of = |contract| promotions(contract).into_iter().map(move |promoted| (contract, promoted));
    let all: Vec<(&Contract, Promoted)> = contracts.iter().flat_map(of).collect();
    for (contract, taken) in &all {
        let Some(from) = &taken.promotion.renamed_from else { continue };
        let Some((other, still)) = all.iter().find(|(_, p)| p.promotion.column == *from) else { continue };
        let (taker, filler) = (place(contract, taken), place(other, still));
        let message = format!(
            "would be renamed to `{}` for {taker}, but {filler} still fills it: remove `renamedFrom`, so that both \
             columns stay",
            taken.promotion.column
        );
        findings.error(format!("column {from}"), message);
    }
}

fn place(contract: &Contract, promoted: &Promoted) -> String {
    format!("`{}` of `{}`", promoted.place, contract.label())
}
