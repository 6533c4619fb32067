//! What contracts say of an event whose envelope is in order: whether it keeps its promise, and the values that become
//! columns.
//!
//! The compiled rules look at the entries that the scanner has noted; no byte of the event is parsed a second time, and for
//! an event that passes nothing is allocated but the values of its columns.

use std::sync::Arc;

use icefold_core::contract::rules::{ArrayRule, ValueRule};
use icefold_core::contract::{
    Body, Broken, CompiledContracts, EventCall, FieldRule, Lookup, ObjectRules, Scalar, Seen,
};

use super::contract::Call;
use super::event::{Event, key_name};
use super::fields::Field;
use super::reason::Reason;
use super::scanner::{Kind, Value};
use super::tape::{Entry, level};
use super::violation::{Violation, bounded_pointer, excerpt};

/// A value for one of the promoted columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promoted {
    /// Place among [`CompiledContracts::columns`].
    pub(super) column: usize,
    pub(super) scalar: Scalar,
    pub(super) value: Value,
}

/// A broken promise, and the contract that it was made in.
pub(super) struct BrokenPromise {
    pub(super) violation: Violation,
    pub(super) contract: Arc<str>,
}

/// Checks an event; values for columns are added to `promoted`. Returns the contract that it has passed, `None` when none
/// describes it.
///
/// # Errors
/// The first rule that it breaks, in the order of the event.
pub(super) fn check<'a>(
    contracts: &'a CompiledContracts,
    bytes: &[u8],
    event: &Event,
    call: Call,
    promoted: &mut Vec<Promoted>,
) -> Result<Option<&'a Arc<str>>, BrokenPromise> {
    promoted.clear();
    let name = call.name_field().map(|field| event.fields.get(field)).filter(|name| name.is_text());
    let name = name.map(|name| key_name(bytes, name));
    let rules = match contracts.event(event_call(call), name.as_deref().unwrap_or_default()) {
        Lookup::Undescribed => return Ok(None),
        Lookup::Described(rules) => rules,
        Lookup::Refused(unknown) => return Err(refused(bytes, event, call, &unknown.broken, &unknown.contract)),
    };
    let Some(body) = rules.body else { return Ok(Some(&rules.contract)) };
    let (field, tape) = match body {
        Body::Properties => (Field::Properties, &event.properties),
        Body::Traits => (Field::Traits, &event.traits),
    };
    let mut check = Check { bytes, promoted };
    match check.object(&rules.rules, tape.entries(), 0) {
        Ok(()) => Ok(Some(&rules.contract)),
        Err(fault) => Err(BrokenPromise {
            violation: fault.violation(bytes, format!("/{}", field.key())),
            contract: rules.contract.clone(),
        }),
    }
}

fn event_call(call: Call) -> EventCall {
    match call {
        Call::Track => EventCall::Track,
        Call::Page => EventCall::Page,
        Call::Screen => EventCall::Screen,
        Call::Identify => EventCall::Identify,
        Call::Group => EventCall::Group,
        Call::Alias => EventCall::Alias,
    }
}

#[cold]
fn refused(bytes: &[u8], event: &Event, call: Call, broken: &Broken, contract: &Arc<str>) -> BrokenPromise {
    let field = call.name_field().unwrap_or(Field::Type);
    let violation = Violation::of_field(bytes, &event.fields, field, reason(broken), broken.expected.to_string());
    BrokenPromise { violation, contract: contract.clone() }
}

/// What is wrong, and the steps to it from the inside out.
struct Fault {
    broken: Broken,
    found: Option<Value>,
    steps: Vec<String>,
}

impl Fault {
    #[cold]
    fn at(broken: Broken, step: String, found: Option<Value>) -> Box<Fault> {
        Box::new(Fault { broken, found, steps: vec![step] })
    }

    fn inside(mut self: Box<Self>, step: String) -> Box<Self> {
        self.steps.push(step);
        self
    }

    fn violation(self, bytes: &[u8], mut pointer: String) -> Violation {
        for step in self.steps.iter().rev() {
            pointer.push('/');
            pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
        }
        Violation {
            reason: reason(&self.broken),
            pointer: Some(bounded_pointer(&pointer)),
            expected: self.broken.expected.to_string().into(),
            found: self.found.map(|found| excerpt(found.json().of(bytes))),
        }
    }
}

fn reason(broken: &Broken) -> Reason {
    Reason::of_contract(broken.reason)
}

struct Check<'a> {
    bytes: &'a [u8],
    promoted: &'a mut Vec<Promoted>,
}

impl Check<'_> {
    /// Checks the members of an object; their entries begin at `first` of the tape.
    fn object(&mut self, rules: &ObjectRules, members: &[Entry], first: u32) -> Result<(), Box<Fault>> {
        let mut seen = Seen::default();
        for (entry, inside, start) in level(members, first) {
            let key = key_name(self.bytes, entry.key);
            let checked = match rules.field(&key) {
                Some(field) => self.field(field, entry, inside, start, &mut seen),
                None => match rules.unknown() {
                    Ok(()) => continue,
                    Err(broken) => Err(Fault::at(broken, text(&key), Some(entry.value))),
                },
            };
            checked?;
        }
        rules.finish(&seen).map_err(|missing| Fault::at(missing.broken, text(missing.key), None))
    }

    fn field(
        &mut self,
        field: &FieldRule,
        entry: Entry,
        inside: &[Entry],
        start: u32,
        seen: &mut Seen,
    ) -> Result<(), Box<Fault>> {
        let value = entry.value;
        let literal = value.span.of(self.bytes);
        let checked = match value.kind {
            Kind::Absent | Kind::Null => {
                // Of a property that stands twice the last one counts, also when it is null.
                self.promoted.retain(|promoted| Some(promoted.column) != field.column);
                field.null(seen);
                return Ok(());
            }
            Kind::Bool => field.boolean(literal == b"true", seen),
            Kind::Number => field.number(literal, seen),
            Kind::Text => field.text(literal, seen),
            Kind::EscapedText | Kind::NulText => field.text(&key_name(self.bytes, value), seen),
            Kind::Object => match field.object(seen) {
                Ok(Some(rules)) => {
                    return self.object(rules, inside, start).map_err(|fault| fault.inside(text(&field.key)));
                }
                other => other.map(|_| Scalar::AsIs),
            },
            Kind::Array => match field.array(seen) {
                Ok(Some(rule)) => {
                    return self.array(rule, value, inside, start).map_err(|fault| fault.inside(text(&field.key)));
                }
                other => other.map(|_| Scalar::AsIs),
            },
        };
        let scalar = checked.map_err(|broken| Fault::at(broken, text(&field.key), Some(value)))?;
        if let Some(column) = field.column {
            self.promoted.push(Promoted { column, scalar, value });
        }
        Ok(())
    }

    fn array(&mut self, rule: &ArrayRule, array: Value, elements: &[Entry], first: u32) -> Result<(), Box<Fault>> {
        let mut count = 0;
        for (entry, inside, start) in level(elements, first) {
            let step = || count.to_string();
            match entry.value.kind {
                Kind::Null => rule.null().map_err(|broken| Fault::at(broken, step(), Some(entry.value)))?,
                _ => self.element(rule.item(), entry, inside, start).map_err(|fault| fault.inside(step()))?,
            }
            count += 1;
        }
        rule.finish(count).map_err(|broken| Box::new(Fault { broken, found: Some(array), steps: Vec::new() }))
    }

    fn element(&mut self, rule: &ValueRule, entry: Entry, inside: &[Entry], start: u32) -> Result<(), Box<Fault>> {
        let value = entry.value;
        let literal = value.span.of(self.bytes);
        let checked = match value.kind {
            Kind::Absent | Kind::Null => Ok(()),
            Kind::Bool => rule.boolean(literal == b"true").map(drop),
            Kind::Number => rule.number(literal).map(drop),
            Kind::Text => rule.text(literal).map(drop),
            Kind::EscapedText | Kind::NulText => rule.text(&key_name(self.bytes, value)).map(drop),
            Kind::Object => match rule.object() {
                Ok(Some(rules)) => return self.object(rules, inside, start),
                other => other.map(drop),
            },
            Kind::Array => match rule.array() {
                Ok(Some(rule)) => return self.array(rule, value, inside, start),
                other => other.map(drop),
            },
        };
        checked.map_err(|broken| Box::new(Fault { broken, found: Some(value), steps: Vec::new() }))
    }
}

fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
