//! One entry of `schema`: which event it is and what its body holds.

use serde::Deserialize;

use crate::contract::call::EventCall;
use crate::contract::finding::{Findings, Path};
use crate::contract::model::{Deprecation, EventContract, ObjectShape};
use crate::contract::odcs::{self, Object};

use super::cross::rules;
use super::custom::{Customs, OF_EVENT};
use super::property::{Place, properties};

/// Reads an event; `None` when it does not say which one it is.
pub(super) fn event(object: &Object, path: &Path, findings: &mut Findings) -> Option<EventContract> {
    let customs = Customs::of(object.custom_properties.as_ref(), OF_EVENT, path, findings);
    let call = call(&customs, path, findings);
    let name = name(call, &customs, path, findings);
    let place = Place::of_event(path.clone());
    let body = object_shape(object.properties.as_deref(), &customs, &place, findings);
    if call == Some(EventCall::Alias) && !body.properties.is_empty() {
        findings.error(path, "an alias call has neither properties nor traits: remove `properties`");
    }
    if object.description.as_deref().unwrap_or_default().trim().is_empty() {
        findings.warning(path, "has no description: say when the event is sent");
    }
    Some(EventContract {
        title: object.name.clone().unwrap_or_default(),
        call: call?,
        name,
        description: object.description.as_deref().unwrap_or_default().trim().to_owned(),
        deprecated: deprecation(object.deprecated, &customs, findings),
        body,
    })
}

fn call(customs: &Customs, path: &Path, findings: &mut Findings) -> Option<EventCall> {
    if !customs.has("eventType") {
        let known = EventCall::ALL.map(EventCall::as_str).join("`, `");
        findings.error(
            path,
            format!("does not say which event it is: add the custom property `eventType`, one of `{known}`"),
        );
    }
    customs.take("eventType", findings)
}

fn name(call: Option<EventCall>, customs: &Customs, path: &Path, findings: &mut Findings) -> Option<String> {
    let name: Option<String> = customs.take("eventName", findings);
    match call {
        Some(EventCall::Track) if name.as_deref().unwrap_or_default().is_empty() => {
            findings.error(path, "a track call has a name: add the custom property `eventName`");
        }
        Some(call) if call.name_key().is_none() && name.is_some() => {
            findings.error(path, format!("`{call}` calls have no name: remove `eventName`"));
        }
        _ => {}
    }
    name
}

/// Reads the properties of an object with what is said about them together.
pub(super) fn object_shape(
    list: Option<&[odcs::Property]>,
    customs: &Customs,
    place: &Place,
    findings: &mut Findings,
) -> ObjectShape {
    let mut shape = ObjectShape {
        properties: properties(list.unwrap_or_default(), place, findings),
        unknown: customs.take("unknownProperties", findings).unwrap_or_default(),
        rules: Vec::new(),
    };
    shape.rules = rules(customs, &shape, &place.path, findings);
    shape
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deprecated {
    since: Option<String>,
    r#use: Option<String>,
}

/// Reads `deprecated`, as the standard's flag or as the custom property that says since when and what instead.
pub(super) fn deprecation(flag: Option<bool>, customs: &Customs, findings: &mut Findings) -> Option<Deprecation> {
    let Some(custom) = customs.take::<Deprecated>("deprecated", findings) else {
        return (flag == Some(true)).then(Deprecation::default);
    };
    let since = custom.since.and_then(|text| {
        let version = text.parse();
        version.map_err(|message: String| findings.error("deprecated.since", message)).ok()
    });
    Some(Deprecation { since, instead: custom.r#use })
}
