//! The data contracts in force: part of the state of the table `events`.
//!
//! A table property names an immutable object with the documents, and the same swap of the metadata pointer adds the columns
//! that they promote. So there is no moment in which a writer knows contracts whose columns are not there, and whoever reads
//! the table's metadata knows what its writers ask of events. Writers find out at their next commit.

use std::collections::BTreeMap;

use icefold_core::contract::{
    ColumnKind, Contract, Finding, PromotedColumn, Severity, Verdict, check, closed_calls, lint_set, promoted_columns,
    reuses_version,
};
use icefold_core::tables::{ColumnType, TableKind};
use icefold_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::checkpoint::folder;
use crate::evolve::{SchemaChange, WantedColumn};
use crate::keys;
use crate::table::LoadedTable;
use crate::warehouse::Warehouse;

/// Version of the object's layout.
const VERSION: u32 = 1;

/// A contract as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// File name, for messages.
    pub file: String,
    /// YAML.
    pub text: String,
}

/// Contracts that are used together.
#[derive(Debug, Clone, Default)]
pub struct ContractSet {
    /// The documents, in the order of the contracts' ids.
    pub documents: Vec<Document>,
    /// What they say.
    pub contracts: Vec<Contract>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Object {
    version: u32,
    documents: Vec<Document>,
}

impl ContractSet {
    /// Reads documents.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] naming what is wrong in which of them, or between them.
    pub fn parse(documents: Vec<Document>) -> Result<Self> {
        let set = Self::read(documents)?;
        let findings = lint_set(&set.contracts);
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        let errors: Vec<String> = errors.map(Finding::without_severity).collect();
        if !errors.is_empty() {
            return Err(Error::invalid(format!("the contracts contradict each other: {}", errors.join("; "))));
        }
        Ok(set)
    }

    /// Reads documents that were in force: rules about them that have come since are not asked of them.
    fn read(documents: Vec<Document>) -> Result<Self> {
        let mut parsed = Vec::with_capacity(documents.len());
        for document in documents {
            parsed.push((Contract::parse(&document.text, &document.file)?, document));
        }
        parsed.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        let (contracts, documents): (Vec<_>, Vec<_>) = parsed.into_iter().unzip();
        Ok(ContractSet { documents, contracts })
    }

    /// Returns the contracts with their versions: `commerce/1.2.0,navigation/2.0.0`.
    pub fn label(&self) -> String {
        self.contracts.iter().map(Contract::label).collect::<Vec<_>>().join(",")
    }

    /// Returns these contracts with those of `newer` in the place of the ones of the same id, and beside the others.
    ///
    /// # Errors
    /// As [`ContractSet::parse`].
    pub fn with(&self, newer: &ContractSet) -> Result<ContractSet> {
        let replaced = |contract: &Contract| newer.contracts.iter().any(|new| new.id == contract.id);
        let kept = self.contracts.iter().zip(&self.documents).filter(|(contract, _)| !replaced(contract));
        ContractSet::parse(kept.map(|(_, document)| document).chain(&newer.documents).cloned().collect())
    }

    /// Says what would break if these contracts became `newer`, which are all that would be in force: between versions
    /// of each contract, and where one changes what becomes of the events of others.
    pub fn breaks(&self, newer: &ContractSet) -> Vec<String> {
        let mut broken = Vec::new();
        for (old, new) in self.successors(newer) {
            let breaking = check(old, new).into_iter().filter(|change| change.verdict == Verdict::Breaking);
            broken.extend(breaking.map(|change| format!("{}: {change}", new.id)));
        }
        broken.extend(closed_calls(&self.contracts, &newer.contracts).iter().map(ToString::to_string));
        broken
    }

    /// Pairs contracts with those of `newer` of the same id.
    fn successors<'a>(&'a self, newer: &'a ContractSet) -> impl Iterator<Item = (&'a Contract, &'a Contract)> {
        let before = |new: &Contract| self.contracts.iter().find(|old| old.id == new.id);
        newer.contracts.iter().filter_map(move |new| Some((before(new)?, new)))
    }

    /// Decides whether `newer`, as a whole, may be in force after these; `breaking` allows what breaks somebody.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] with the reasons.
    fn may_become(&self, newer: &ContractSet, breaking: bool) -> Result<()> {
        if let Some((old, _)) = self.successors(newer).find(|(old, new)| reuses_version(old, new)) {
            return Err(Error::invalid(format!(
                "`{}` is in force and says something else, so nothing was applied: give the new content a version of \
                 its own, since rows name nothing but the version",
                old.label()
            )));
        }
        let broken = self.breaks(newer);
        if broken.is_empty() || breaking {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the change breaks somebody, so nothing was applied: {}; see docs/contract-compatibility.md, or allow it \
             with --breaking",
            broken.join("; ")
        )))
    }

    /// Returns the columns that the contracts promote properties to.
    pub fn columns(&self) -> Vec<PromotedColumn> {
        promoted_columns(&self.contracts)
    }
}

impl Warehouse {
    /// Returns the contracts in force; `None` when there are none.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when they are gone or unreadable; errors of the store.
    pub async fn contracts(&self, events: &LoadedTable) -> Result<Option<ContractSet>> {
        match events.metadata().properties().get(keys::CONTRACTS) {
            Some(uri) => self.contracts_at(uri).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads the contracts of an object that a table or a snapshot names.
    ///
    /// # Errors
    /// As [`Warehouse::contracts`].
    pub async fn contracts_at(&self, uri: &str) -> Result<ContractSet> {
        let lost = |e| {
            Error::corrupt(format!("the contracts in force, `{uri}`, cannot be read: restore the object")).because(e)
        };
        let bytes = self.store().read(uri).await.map_err(|e| match e.kind() {
            ErrorKind::NotFound => lost(e),
            _ => e,
        })?;
        let object: Object = serde_json::from_slice(&bytes).map_err(|e| {
            Error::corrupt(format!("the contracts in force, `{uri}`, are unreadable: apply them again")).because(e)
        })?;
        if object.version != VERSION {
            let message =
                format!("the contracts in force have layout {}, this program knows {VERSION}", object.version);
            return Err(Error::invalid(format!("{message}: use a newer icefold")));
        }
        ContractSet::read(object.documents)
    }

    /// Puts contracts in force beside those that are there, in the place of those of the same id: writes the documents, then
    /// adds the columns and names the documents in one step. Returns all that are in force then, and the table.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when a change would break producers or readers, unless `breaking` allows it, when
    /// other content comes under a version that is in force, or when a column cannot become what is asked; nothing is
    /// changed then. Errors of store and catalog.
    pub async fn apply_contracts(&self, newer: &ContractSet, breaking: bool) -> Result<(ContractSet, LoadedTable)> {
        for _ in 0..self.settings().commit.max_attempts {
            match self.apply_contracts_once(newer, breaking).await {
                // Somebody else applied contracts meanwhile: theirs are what these have to get on with now.
                Err(e) if e.kind() == ErrorKind::Conflict => {}
                done => return done,
            }
        }
        let message = "contracts are applied by others all the time: run again when they have agreed";
        Err(Error::new(ErrorKind::Conflict, message))
    }

    async fn apply_contracts_once(&self, newer: &ContractSet, breaking: bool) -> Result<(ContractSet, LoadedTable)> {
        let events = self.load(TableKind::Events.name()).await?;
        let current = self.contracts(&events).await?.unwrap_or_default();
        let merged = current.with(newer)?;
        current.may_become(&merged, breaking)?;
        let uri = self.write_contracts(&events, &merged).await?;
        let change = schema_change(&events, &merged, uri);
        let table = self.evolve(TableKind::Events.name(), &change).await?;
        Ok((merged, table))
    }

    /// The object's name is a hash of its content, so writing it again is harmless.
    async fn write_contracts(&self, events: &LoadedTable, set: &ContractSet) -> Result<String> {
        let object = Object { version: VERSION, documents: set.documents.clone() };
        let text =
            serde_json::to_vec_pretty(&object).map_err(|e| Error::bug("contracts have no JSON form").because(e))?;
        let hash = xxhash_rust::xxh3::xxh3_128(&text);
        let uri = format!("{}/contracts/{hash:032x}.json", folder(self.location(), events.metadata().uuid()));
        match self.store().write_new(&uri, vec![text.into()]).await {
            Err(e) if e.kind() == ErrorKind::Conflict => Ok(uri),
            other => other.map(|()| uri),
        }
    }
}

fn schema_change(events: &LoadedTable, set: &ContractSet, uri: String) -> SchemaChange {
    let schema = events.metadata().current_schema();
    let columns = set.columns();
    let is_there = |name: &str| schema.field_by_name(name).is_some();
    let renames = columns.iter().filter_map(|column| {
        let from = column.renamed_from.as_ref().filter(|from| is_there(from) && !is_there(&column.name))?;
        Some((from.clone(), column.name.clone()))
    });
    let wanted = |column: &PromotedColumn| WantedColumn {
        name: column.name.clone(),
        kind: column_type(column.kind),
        doc: column.doc.clone(),
    };
    SchemaChange {
        expected: BTreeMap::from([(
            keys::CONTRACTS.to_owned(),
            events.metadata().properties().get(keys::CONTRACTS).cloned(),
        )]),
        renames: renames.collect(),
        columns: columns.iter().map(wanted).collect(),
        properties: BTreeMap::from([
            (keys::CONTRACTS.to_owned(), uri),
            (keys::CONTRACT_VERSIONS.to_owned(), set.label()),
        ]),
    }
}

fn column_type(kind: ColumnKind) -> ColumnType {
    match kind {
        ColumnKind::String => ColumnType::String,
        ColumnKind::Long => ColumnType::Long,
        ColumnKind::Double => ColumnType::Double,
        ColumnKind::Boolean => ColumnType::Boolean,
        ColumnKind::Timestamp => ColumnType::Timestamp,
        ColumnKind::Date => ColumnType::Date,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(id: &str, version: &str, rest: &str) -> ContractSet {
        let text = format!(
            "apiVersion: v3.1.0
kind: DataContract
id: {id}
version: {version}
status: active
description: {{purpose: What is done}}
team: {{name: {id}-team}}
schema:
  - name: Done
    description: It was done
    customProperties:
      - {{property: eventType, value: track}}
      - {{property: eventName, value: {id} done}}
{rest}"
        );
        ContractSet::parse(vec![Document { file: format!("{id}.yaml"), text }]).expect("a good contract")
    }

    const OPTIONAL: &str = "    properties: [{name: a, description: A, logicalType: string}]\n";

    #[test]
    fn other_content_under_a_version_in_force_is_refused_even_when_breaking() {
        let current = set("shop", "1.0.0", "");
        for breaking in [false, true] {
            let error = current.may_become(&set("shop", "1.0.0", OPTIONAL), breaking).expect_err("the same version");
            assert!(error.message().contains("`shop/1.0.0` is in force and says something else"), "{error}");
            current.may_become(&current, breaking).expect("applying twice is applying once");
        }
        current.may_become(&set("shop", "1.1.0", OPTIONAL), false).expect("another version");
        assert!(current.may_become(&set("shop", "0.9.0", ""), false).is_err());
        current.may_become(&set("shop", "0.9.0", ""), true).expect("a way back");
    }

    #[test]
    fn a_new_contract_that_closes_a_call_for_others_breaks_somebody() {
        let current = set("shop", "1.0.0", "");
        let strict = "customProperties: [{property: unknownEvents, value: quarantine}]\n";
        let merged = current.with(&set("loyalty", "1.0.0", strict)).expect("they get on with each other");
        let error = current.may_become(&merged, false).expect_err("others send `track` calls too");
        assert!(error.message().contains("track calls: `loyalty/1.0.0` wants to know all of them"), "{error}");
        current.may_become(&merged, true).expect("it is allowed to break");
        let keeping = current.with(&set("loyalty", "1.0.0", "")).expect("they get on with each other");
        current.may_become(&keeping, false).expect("a contract that keeps other events breaks nobody");
    }
}
