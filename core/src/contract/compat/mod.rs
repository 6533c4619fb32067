//! Which changes of a contract break somebody. `docs/contract-compatibility.md` has the rules.
//!
//! Backward compatible means: every event that the old version accepts, the new one accepts as well, and every query on
//! promoted columns still works. Producers can then be changed after the contract, and readers need not be changed at all.
//!
//! * this file: the contract, its events and its version,
//! * `together`: all contracts in force, of which one may concern the events of others,
//! * `object`: properties, their columns, and rules over several,
//! * `shape`: what a value may be.

mod object;
mod shape;
mod together;

#[cfg(test)]
mod tests;

use std::fmt;

pub use together::closed_calls;

use super::columns::promotions;
use super::model::{Contract, Deprecation, EventContract, Policy};
use super::version::{Step, Version};

/// One difference between two versions of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where: `version`, `Order Completed`, `Order Completed.products[].price`.
    pub path: String,
    /// What is different.
    pub what: String,
    /// Whether it breaks somebody.
    pub verdict: Verdict,
    /// Whom it breaks or, if nobody, who may notice.
    pub who: Who,
    /// What to do about it; for a compatible change, what to know about it. May be empty.
    pub remedy: String,
    step: Step,
}

/// Whether a change breaks somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nobody has to change anything.
    Compatible,
    /// Somebody has to.
    Breaking,
}

/// Whom a change concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Those who send events.
    Producers,
    /// Those who query columns.
    Readers,
    /// Both.
    Both,
}

impl Who {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Who::Producers => "producers",
            Who::Readers => "readers",
            Who::Both => "producers and readers",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Compatible => "compatible".to_owned(),
            Verdict::Breaking => format!("breaks {}", self.who.as_str()),
        };
        write!(f, "{verdict}: {}: {}", self.path, self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

/// Compares two versions of a contract, and sees to it that the version rose by enough. The differences stand in the
/// order of the new version; if none is [`Verdict::Breaking`], the new version may follow the old one.
pub fn check(old: &Contract, new: &Contract) -> Vec<Change> {
    let mut changes = Changes::default();
    contract(old, new, &mut changes);
    for event in &new.events {
        changed_event(old, new, event, &mut changes);
    }
    for event in &old.events {
        gone_event(event, new, &mut changes);
    }
    taken_columns(old, new, &mut changes);
    version(old, new, &mut changes);
    changes.list
}

/// Returns whether the new contract differs from the old one under the same version. Rows name a contract by its
/// version alone, so nobody could tell by which of the two they were accepted.
pub fn reuses_version(old: &Contract, new: &Contract) -> bool {
    old.label() == new.label() && !check(old, new).is_empty()
}

fn contract(old: &Contract, new: &Contract, changes: &mut Changes) {
    if old.id != new.id {
        let what = format!("was `{}`, is `{}`", old.id, new.id);
        changes.breaking("id", Who::Both, what, "compare versions of one contract, or keep the id");
    }
    match (old.unknown_events, new.unknown_events) {
        (Policy::Keep, Policy::Quarantine) => {
            let what = "events without a contract are no longer kept";
            changes.breaking("unknownEvents", Who::Producers, what, "describe them first, or leave it at `keep`");
        }
        (Policy::Quarantine, Policy::Keep) => {
            changes.minor("unknownEvents", Who::Producers, "events without a contract are kept", "");
        }
        _ => {}
    }
    let words = |c: &Contract| [c.name.clone(), c.status.clone(), c.description.clone(), c.owner.clone()];
    if words(old) != words(new) {
        changes.patch("contract", "name, status, description or owner changed");
    }
}

/// Returns the description that an event of this kind meets.
fn met<'a>(contract: &'a Contract, event: &EventContract) -> Option<&'a EventContract> {
    let of_call = || contract.events.iter().filter(|other| other.call == event.call);
    of_call().find(|other| other.name == event.name).or_else(|| of_call().find(|other| other.name.is_none()))
}

fn changed_event(old: &Contract, new: &Contract, event: &EventContract, changes: &mut Changes) {
    let path = event.label();
    let Some(before) = met(old, event) else { return new_event(old, new, event, changes) };
    object::changed(&before.body, &event.body, &path, changes);
    deprecation(before.deprecated.as_ref(), event.deprecated.as_ref(), &path, changes);
    if (&before.title, &before.description) != (&event.title, &event.description) {
        changes.patch(path, "name or description changed");
    }
}

/// A contract that wants to know all events wants to know those of the calls that it describes.
fn new_event(old: &Contract, new: &Contract, event: &EventContract, changes: &mut Changes) {
    let path = event.label();
    let is_first = !old.events.iter().any(|other| other.call == event.call);
    let takes_all = new.events.iter().any(|other| other.call == event.call && other.name.is_none());
    if new.unknown_events == Policy::Quarantine && is_first && !takes_all {
        let what = format!("is the first `{}` call, so others of this call are no longer kept", event.call);
        changes.breaking(path, Who::Producers, what, "describe those too, or describe it in a contract of its own");
    } else {
        let known = "events of this name that were kept without a contract must fit it now";
        changes.minor(path, Who::Producers, "is new", known);
    }
}

fn gone_event(old: &EventContract, new: &Contract, changes: &mut Changes) {
    let path = old.label();
    match met(new, old) {
        Some(after) if after.name == old.name => {}
        // Events of this name meet the description for all others now.
        Some(after) => object::changed(&old.body, &after.body, &path, changes),
        None => removed_event(old, &path, new, changes),
    }
}

fn removed_event(old: &EventContract, path: &str, new: &Contract, changes: &mut Changes) {
    if new.unknown_events == Policy::Quarantine {
        changes.breaking(path, Who::Producers, "is gone, and so not accepted any more", "mark it `deprecated` instead");
    }
    let columns = object::columns(&old.body);
    if !columns.is_empty() {
        let what = format!("is gone, and so fills {columns} no longer");
        changes.breaking(path, Who::Readers, what, "mark it `deprecated` instead");
    } else if new.unknown_events == Policy::Keep {
        changes.minor(path, Who::Producers, "is gone: its events are kept without a contract", "");
    }
}

/// A column that takes another name takes the values of all rows along, so nothing may go on filling the old name.
fn taken_columns(old: &Contract, new: &Contract, changes: &mut Changes) {
    let (before, after) = (promotions(old), promotions(new));
    for taken in after.iter().filter(|taken| before.iter().all(|other| other.promotion != taken.promotion)) {
        let Some(from) = &taken.promotion.renamed_from else { continue };
        let was_filled = before.iter().any(|other| other.promotion.column == *from);
        let still = after.iter().find(|other| other.promotion.column == *from);
        if let Some(still) = still.filter(|_| was_filled) {
            let what = format!("takes over the values of column `{from}`, which `{}` still fills", still.place);
            changes.breaking(&taken.place, Who::Readers, what, "remove `renamedFrom`, so that both columns stay");
        }
    }
}

fn deprecation(old: Option<&Deprecation>, new: Option<&Deprecation>, path: &str, changes: &mut Changes) {
    match (old, new) {
        (None, Some(_)) => changes.minor(path, Who::Both, "is deprecated", ""),
        (Some(_), None) => changes.minor(path, Who::Both, "is deprecated no longer", ""),
        (old, new) if old != new => changes.patch(path, "the deprecation is worded differently"),
        _ => {}
    }
}

/// The version has to say how large the changes are.
fn version(old: &Contract, new: &Contract, changes: &mut Changes) {
    let least = match changes.list.iter().map(|change| change.step).max() {
        Some(step) => old.version.after(step),
        None => old.version,
    };
    if new.version < least {
        let what = format!("is {}, after {}", new.version, old.version);
        changes.breaking("version", Who::Both, what, too_low(least));
    }
}

fn too_low(least: Version) -> String {
    format!("set it to {least} or higher: what is written to `contract` must tell versions apart")
}

/// Differences in the order in which they are found.
#[derive(Debug, Default)]
struct Changes {
    list: Vec<Change>,
}

impl Changes {
    fn breaking(&mut self, path: impl Into<String>, who: Who, what: impl Into<String>, remedy: impl Into<String>) {
        self.push(path.into(), Verdict::Breaking, who, Step::Major, (what.into(), remedy.into()));
    }

    fn minor(&mut self, path: impl Into<String>, who: Who, what: impl Into<String>, known: impl Into<String>) {
        self.push(path.into(), Verdict::Compatible, who, Step::Minor, (what.into(), known.into()));
    }

    fn patch(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.push(path.into(), Verdict::Compatible, Who::Both, Step::Patch, (what.into(), String::new()));
    }

    fn push(&mut self, path: String, verdict: Verdict, who: Who, step: Step, (what, remedy): (String, String)) {
        self.list.push(Change { path, what, verdict, who, remedy, step });
    }
}
