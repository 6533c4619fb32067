//! The contract as a whole: identity, version, owner and its events.

use crate::contract::finding::{Findings, Path};
use crate::contract::model::{Contract, EventContract, Policy};
use crate::contract::odcs::{API_VERSIONS, Document};
use crate::contract::version::Version;

use super::custom::{Customs, OF_CONTRACT};
use super::event::event;

/// Contracts that are built into the decoder.
const BUILT_IN: &[&str] = &["segment-envelope", "access-log"];
/// Longest id, in bytes: it is written to every row.
const MAX_ID_BYTES: usize = 64;

/// Reads a contract.
pub(super) fn contract(document: &Document, findings: &mut Findings) -> Option<Contract> {
    standard(document, findings);
    let root = Path::default();
    let customs = Customs::of(document.custom_properties.as_ref(), OF_CONTRACT, &root, findings);
    let id = id(document, findings);
    let version = version(document, findings);
    Some(Contract {
        name: document.name.clone().or_else(|| id.clone()).unwrap_or_default(),
        status: status(document, findings),
        description: description(document, findings),
        owner: owner(document, findings),
        unknown_events: customs.take::<Policy>("unknownEvents", findings).unwrap_or_default(),
        events: events(document, findings),
        id: id?,
        version: version?,
    })
}

fn standard(document: &Document, findings: &mut Findings) {
    if document.kind.as_deref() != Some("DataContract") {
        findings.error("kind", "must be `DataContract`: set it");
    }
    if !document.api_version.as_deref().is_some_and(|version| API_VERSIONS.contains(&version)) {
        findings.error("apiVersion", format!("must be one of `{}`: set it", API_VERSIONS.join("`, `")));
    }
}

fn id(document: &Document, findings: &mut Findings) -> Option<String> {
    let id = document.id.clone().unwrap_or_default();
    let fits = id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits || !id.starts_with(|c: char| c.is_ascii_lowercase()) || id.len() > MAX_ID_BYTES {
        findings
            .error("id", format!("`{id}` is written to every row: use 1 to {MAX_ID_BYTES} of `a-z`, `0-9` and `-`"));
        return None;
    }
    if BUILT_IN.contains(&id.as_str()) {
        findings.error("id", format!("`{id}` is a contract of icefold's own: choose another"));
    }
    Some(id)
}

fn version(document: &Document, findings: &mut Findings) -> Option<Version> {
    let text = document.version.clone().unwrap_or_default();
    text.parse().map_err(|message: String| findings.error("version", message)).ok()
}

fn status(document: &Document, findings: &mut Findings) -> String {
    if document.status.is_none() {
        findings.error("status", "is missing: set it, for example to `active`");
    }
    document.status.clone().unwrap_or_default()
}

fn description(document: &Document, findings: &mut Findings) -> String {
    let description = document.description.as_ref();
    let text = description.and_then(|d| d.purpose.clone().or_else(|| d.usage.clone())).unwrap_or_default();
    if text.trim().is_empty() {
        findings.warning("description.purpose", "is missing: say what the events are about");
    }
    text.trim().to_owned()
}

fn owner(document: &Document, findings: &mut Findings) -> String {
    let name = document.team.as_ref().and_then(|team| team.name.clone()).unwrap_or_default();
    if name.trim().is_empty() {
        findings.error("team.name", "is missing: name the team that answers for the events");
    }
    name.trim().to_owned()
}

fn events(document: &Document, findings: &mut Findings) -> Vec<EventContract> {
    let objects = document.schema.as_deref().unwrap_or_default();
    if objects.is_empty() {
        findings.error("schema", "is empty: describe an event");
    }
    let root = Path::default();
    let mut events: Vec<EventContract> = Vec::with_capacity(objects.len());
    for (i, object) in objects.iter().enumerate() {
        let path = root.element("schema", i, object.name.as_deref());
        let Some(event) = event(object, &path, findings) else { continue };
        let again = events.iter().find(|other| (other.call, &other.name) == (event.call, &event.name));
        if let Some(other) = again {
            findings.error(&path, format!("describes the same event as `{}`: keep one", other.title));
        }
        events.push(event);
    }
    events
}
