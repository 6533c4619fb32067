//! Contracts compiled for the decoder: which rules an event meets is one look-up by call and name, what a key must be is
//! one look-up in its object, and nothing is looked up, built or allocated besides.
//!
//! The decoder reads each event once. When it knows call and name it takes the [`EventRules`] and, while it scans the
//! body, follows the four steps of [`ObjectRules`]; [`walk`](super::walk) shows them on a parsed event. If the name
//! stands behind the body, it comes back to the body's span: the only case in which bytes are looked at twice.

mod broken;
mod cross;
mod object;
mod seen;
mod table;
mod value;

use std::sync::Arc;

pub(super) use cross::reported_at;

pub use broken::{Broken, BrokenObject, BrokenReason};
pub use object::{FieldRule, ObjectRules};
pub use seen::{Scalar, Seen};
pub use value::{ArrayRule, FieldKind, IntegerRule, TextRule, ValueRule};

use super::call::{Body, EventCall};
use super::columns::{PromotedColumn, promoted_columns};
use super::finding::Severity;
use super::lint::{lint_set, refusal};
use super::model::{Contract, EventContract, Policy};
use super::wording;
use crate::Result;
use table::KeyTable;

/// Every contract of a writer, ready to run.
#[derive(Debug, Clone)]
pub struct CompiledContracts {
    calls: [CallRules; EventCall::ALL.len()],
    columns: Vec<PromotedColumn>,
}

/// The events of one call.
#[derive(Debug, Clone)]
struct CallRules {
    names: KeyTable,
    named: Vec<EventRules>,
    /// For events of other names, or none.
    other: Option<EventRules>,
    unknown: Option<UnknownEvent>,
}

/// The rules for one event.
#[derive(Debug, Clone)]
pub struct EventRules {
    /// Contract and version, for the columns `contract` of `events` and `quarantine`.
    pub contract: Arc<str>,
    /// The object that the rules are about; `None` for an alias, which has none.
    pub body: Option<Body>,
    /// The rules. They hold for an absent or null body as well: it is an object without keys.
    pub rules: ObjectRules,
}

/// Says that an event is quarantined because no contract describes it.
#[derive(Debug, Clone)]
pub struct UnknownEvent {
    /// Contract that wants to know every event of the call.
    pub contract: Arc<str>,
    /// What is wrong.
    pub broken: Broken,
}

/// What contracts say of an event.
#[derive(Debug, Clone, Copy)]
pub enum Lookup<'a> {
    /// It has rules.
    Described(&'a EventRules),
    /// It has none, and is kept as it is under the built-in contract.
    Undescribed,
    /// It has none, and goes to quarantine.
    Refused(&'a UnknownEvent),
}

impl CompiledContracts {
    /// Compiles contracts that are used together.
    ///
    /// # Errors
    /// Every error of [`lint_set`]: contracts that contradict each other.
    pub fn compile(contracts: &[Contract]) -> Result<CompiledContracts> {
        let findings = lint_set(contracts);
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(refusal(&findings));
        }
        let columns = promoted_columns(contracts);
        let calls = EventCall::ALL.map(|call| CallRules::of(call, contracts, &columns));
        Ok(CompiledContracts { calls, columns })
    }

    /// Returns what contracts say of an event. `name` is that of the event, page or screen with its escapes decoded,
    /// empty when there is none.
    #[inline]
    pub fn event(&self, call: EventCall, name: &[u8]) -> Lookup<'_> {
        let rules = &self.calls[call.index()];
        let named = rules.names.find(name).and_then(|place| rules.named.get(place));
        match (named.or(rules.other.as_ref()), &rules.unknown) {
            (Some(event), _) => Lookup::Described(event),
            (None, Some(unknown)) => Lookup::Refused(unknown),
            (None, None) => Lookup::Undescribed,
        }
    }

    /// Returns the columns that properties are promoted to, in the order that [`FieldRule::column`] counts.
    pub fn columns(&self) -> &[PromotedColumn] {
        &self.columns
    }
}

impl CallRules {
    fn of(call: EventCall, contracts: &[Contract], columns: &[PromotedColumn]) -> CallRules {
        let events = events_of(call, contracts);
        let named = events.iter().filter_map(|(contract, event)| Some((event.name.as_deref()?, *contract, *event)));
        let other = events.iter().find(|(_, event)| event.name.is_none());
        CallRules {
            names: KeyTable::of(named.clone().map(|(name, ..)| name.as_bytes())),
            named: named.map(|(_, contract, event)| EventRules::of(contract, event, columns)).collect(),
            other: other.map(|(contract, event)| EventRules::of(contract, event, columns)),
            unknown: strictest(&events).map(UnknownEvent::of),
        }
    }
}

fn events_of(call: EventCall, contracts: &[Contract]) -> Vec<(&Contract, &EventContract)> {
    let all = contracts.iter().flat_map(|contract| contract.events.iter().map(move |event| (contract, event)));
    all.filter(|(_, event)| event.call == call).collect()
}

/// Returns the contract by which the events of a call that none describes go to quarantine; `None` when they do not, or
/// when all are described.
pub(super) fn closes(call: EventCall, contracts: &[Contract]) -> Option<&Contract> {
    let events = events_of(call, contracts);
    let takes_all = events.iter().any(|(_, event)| event.name.is_none());
    strictest(&events).filter(|_| !takes_all)
}

/// Returns the contract, first by id, that describes events of a call and wants to know all of them.
fn strictest<'a>(events: &[(&'a Contract, &EventContract)]) -> Option<&'a Contract> {
    let strict = events.iter().map(|(contract, _)| *contract).filter(|c| c.unknown_events == Policy::Quarantine);
    strict.min_by(|a, b| a.id.cmp(&b.id))
}

impl EventRules {
    fn of(contract: &Contract, event: &EventContract, columns: &[PromotedColumn]) -> EventRules {
        let mut rules = ObjectRules::of(&event.body);
        rules.bind(&event.body, columns);
        EventRules { contract: contract.label().into(), body: event.call.body(), rules }
    }
}

impl UnknownEvent {
    fn of(contract: &Contract) -> UnknownEvent {
        let broken = Broken { reason: BrokenReason::UnknownEvent, expected: wording::of_known_events().into() };
        UnknownEvent { contract: contract.label().into(), broken }
    }
}
