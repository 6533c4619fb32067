//! `icefold contract`: look at data contracts, compare their versions, try them on real events and put them in force.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use icefold_catalog::contracts::{ContractSet, Document};
use icefold_core::contract::{Change, Contract, Finding, Severity, Verdict, check, export, lint, lint_set};
use icefold_core::tables::TableKind;
use icefold_core::{Error, ErrorKind, Result};
use serde::Serialize;

use super::trial;
use crate::arguments::{ContractCommand, SchemaKind};
use crate::exit::Exit;
use crate::figures;
use crate::session::Session;

/// Runs the command.
pub(crate) async fn run(session: &Session, command: &ContractCommand) -> Result<Exit> {
    match command {
        ContractCommand::Lint { files } => lint_files(session, files),
        ContractCommand::Check { old, new } => check_files(session, old, new),
        ContractCommand::Apply { files, breaking } => apply(session, files, *breaking).await,
        ContractCommand::Show => show(session).await,
        ContractCommand::Export { kind: SchemaKind::JsonSchema, file } => export_file(session, file),
        ContractCommand::Try(arguments) => Box::pin(trial::run(session, arguments, set(&arguments.files)?)).await,
    }
}

/// Reads contracts from files and folders; of a folder its `.yaml` and `.yml` files.
pub(crate) fn set(paths: &[PathBuf]) -> Result<ContractSet> {
    ContractSet::parse(documents(paths)?)
}

fn documents(paths: &[PathBuf]) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for path in files(paths)? {
        let text = fs::read_to_string(&path).map_err(|e| unreadable(&path, e))?;
        documents.push(Document { file: path.display().to_string(), text });
    }
    Ok(documents)
}

fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).map_err(|e| unreadable(path, e))?;
        let mut inside: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        inside.retain(|file| file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
        inside.sort();
        if inside.is_empty() {
            return Err(Error::invalid(format!(
                "folder `{}` has no contract: name one with *.yaml files",
                path.display()
            )));
        }
        files.extend(inside);
    }
    Ok(files)
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("contract `{}` cannot be read: check the path", path.display()))
        .because(error)
}

/// What lint has found.
#[derive(Debug, Serialize)]
struct Linted {
    contracts: usize,
    errors: Vec<String>,
    warnings: Vec<String>,
}

fn lint_files(session: &Session, paths: &[PathBuf]) -> Result<Exit> {
    let documents = documents(paths)?;
    let mut findings: Vec<Finding> = documents.iter().flat_map(|d| lint(&d.text, &d.file)).collect();
    let parsed = documents.iter().filter_map(|d| Contract::parse(&d.text, &d.file).ok()).collect::<Vec<_>>();
    if parsed.len() == documents.len() {
        findings.extend(lint_set(&parsed));
    }
    let (errors, warnings): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.severity == Severity::Error);
    let told = |findings: Vec<&Finding>| findings.iter().map(ToString::to_string).collect();
    let linted = Linted { contracts: documents.len(), errors: told(errors), warnings: told(warnings) };
    session.output.result(&linted, || {
        let mut text: String = linted.errors.iter().chain(&linted.warnings).map(|line| format!("{line}\n")).collect();
        text.push_str(&format!(
            "{} contracts, {} errors, {} warnings\n",
            linted.contracts,
            linted.errors.len(),
            linted.warnings.len()
        ));
        text
    })?;
    Ok(if linted.errors.is_empty() { Exit::Done } else { Exit::Invalid })
}

/// A difference between two versions.
#[derive(Debug, Serialize)]
struct Difference {
    path: String,
    what: String,
    breaks: Option<&'static str>,
    remedy: String,
}

impl Difference {
    fn of(change: &Change) -> Self {
        Difference {
            path: change.path.clone(),
            what: change.what.clone(),
            breaks: (change.verdict == Verdict::Breaking).then(|| change.who.as_str()),
            remedy: change.remedy.clone(),
        }
    }
}

fn check_files(session: &Session, old: &Path, new: &Path) -> Result<Exit> {
    let read = |path: &Path| {
        let text = fs::read_to_string(path).map_err(|e| unreadable(path, e))?;
        Contract::parse(&text, &path.display().to_string())
    };
    let changes = check(&read(old)?, &read(new)?);
    let differences: Vec<Difference> = changes.iter().map(Difference::of).collect();
    let breaking = differences.iter().filter(|difference| difference.breaks.is_some()).count();
    session.output.result(&differences, || {
        let mut text: String = changes.iter().map(|change| format!("{change}\n")).collect();
        text.push_str(&match (differences.len(), breaking) {
            (0, _) => "nothing changes\n".to_owned(),
            (all, 0) => format!("{all} changes, all backward compatible\n"),
            (all, breaking) => format!("{breaking} of {all} changes break somebody\n"),
        });
        text
    })?;
    Ok(if breaking == 0 { Exit::Done } else { Exit::Invalid })
}

/// What is in force.
#[derive(Debug, Serialize)]
struct InForce {
    contracts: Vec<String>,
    columns: BTreeMap<String, String>,
}

impl InForce {
    fn of(set: &ContractSet) -> Self {
        let columns = set.columns().into_iter().map(|column| (column.name, column.kind.as_str().to_owned()));
        InForce { contracts: set.contracts.iter().map(Contract::label).collect(), columns: columns.collect() }
    }

    fn text(&self) -> String {
        if self.contracts.is_empty() {
            return "no contracts are in force: only the envelope of events is checked\n".to_owned();
        }
        let rows: Vec<Vec<String>> = self.columns.iter().map(|(name, kind)| vec![name.clone(), kind.clone()]).collect();
        format!("in force: {}\n\n{}", self.contracts.join(", "), figures::columns(&["column of events", "type"], &rows))
    }
}

async fn apply(session: &Session, paths: &[PathBuf], breaking: bool) -> Result<Exit> {
    let set = set(paths)?;
    let warehouse = session.warehouse().await?;
    // An empty warehouse may get its contracts before its first event.
    icefold_writer::Ingest::open(&warehouse, session.settings().writer.clone()).await?;
    let before = warehouse.load(TableKind::Events.name()).await?;
    let was_in_force = warehouse.contracts(&before).await?.unwrap_or_default();
    let (merged, events) = warehouse.apply_contracts(&set, breaking).await?;
    let in_force = InForce::of(&merged);
    session.output.result(&in_force, || in_force.text())?;
    for contract in set.contracts.iter().filter(|contract| !contract.is_active()) {
        let (label, status) = (contract.label(), &contract.status);
        session.output.remark(&format!("`{label}` is enforced, though its status is `{status}`: set it to `active`"));
    }
    let same_columns = before.metadata().current_schema_id() == events.metadata().current_schema_id();
    session.output.remark(match same_columns && are_the_same(&was_in_force, &merged) {
        true => "nothing changed: these contracts were in force already",
        false => "writers that run take this up at their next commit, or within the time between two",
    });
    Ok(Exit::Done)
}

/// Returns whether contracts say the same, whatever files they come from.
fn are_the_same(one: &ContractSet, other: &ContractSet) -> bool {
    let texts = |set: &ContractSet| set.documents.iter().map(|document| document.text.clone()).collect::<Vec<_>>();
    texts(one) == texts(other)
}

async fn show(session: &Session) -> Result<Exit> {
    let warehouse = session.existing_warehouse().await?;
    let events = warehouse.load(TableKind::Events.name()).await?;
    let in_force = InForce::of(&warehouse.contracts(&events).await?.unwrap_or_default());
    session.output.result(&in_force, || in_force.text())?;
    Ok(Exit::Done)
}

fn export_file(session: &Session, file: &Path) -> Result<Exit> {
    let text = fs::read_to_string(file).map_err(|e| unreadable(file, e))?;
    let schema = export(&Contract::parse(&text, &file.display().to_string())?);
    let shown =
        serde_json::to_string_pretty(&schema).map_err(|e| Error::bug("a schema has no JSON form").because(e))?;
    session.output.result(&schema, || format!("{shown}\n"))?;
    Ok(Exit::Done)
}
