//! `customProperties`: those that are icefold's own, and those of other tools, which are passed over.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::contract::finding::{Findings, Path};
use crate::contract::nearest::nearest;
use crate::contract::odcs::CustomProperty;

/// Where custom properties stand decides which ones are known.
pub(super) const OF_CONTRACT: &[&str] = &["unknownEvents"];
/// Those of an event.
pub(super) const OF_EVENT: &[&str] = &["eventType", "eventName", "unknownProperties", "rules", "deprecated"];
/// Those of a property.
pub(super) const OF_PROPERTY: &[&str] =
    &["promote", "renamedFrom", "missing", "deprecated", "unknownProperties", "rules"];
/// Those of the elements of an array.
pub(super) const OF_ITEMS: &[&str] = &["unknownProperties", "rules"];

/// Name under which custom properties can say that they are icefold's.
const VENDOR: &str = "icefold";

/// The custom properties of one element that are icefold's own.
pub(super) struct Customs {
    path: Path,
    list: Vec<(String, CustomProperty)>,
}

impl Customs {
    /// Sorts out the custom properties of an element; what looks like a misspelt one of ours is an error.
    pub(super) fn of(
        list: Option<&Vec<CustomProperty>>,
        known: &[&str],
        path: &Path,
        findings: &mut Findings,
    ) -> Customs {
        let mut customs = Customs { path: path.key("customProperties"), list: Vec::new() };
        for custom in list.into_iter().flatten() {
            let name = custom.property.clone().unwrap_or_default();
            if custom.vendor.as_deref().is_some_and(|vendor| vendor != VENDOR) {
                continue;
            }
            if known.contains(&name.as_str()) {
                customs.add(name, custom, findings);
            } else {
                customs.refuse(&name, custom.vendor.is_some(), known, findings);
            }
        }
        customs
    }

    fn add(&mut self, name: String, custom: &CustomProperty, findings: &mut Findings) {
        if self.list.iter().any(|(known, _)| *known == name) {
            findings.error(&self.path, format!("`{name}` stands twice: keep one"));
        } else {
            self.list.push((name, custom.clone()));
        }
    }

    /// Other tools have custom properties too, so only what is near to one of ours, or says so, is an error.
    fn refuse(&self, name: &str, is_ours: bool, known: &[&str], findings: &mut Findings) {
        let everywhere = [OF_CONTRACT, OF_EVENT, OF_PROPERTY].concat();
        if let Some(near) = nearest(name, known) {
            findings.error(&self.path, format!("`{name}` is not known: did you mean `{near}`?"));
        } else if is_ours || everywhere.contains(&name) {
            let known = known.join("`, `");
            findings.error(&self.path, format!("`{name}` means nothing here: move it; known here are `{known}`"));
        }
    }

    /// Takes the value of a custom property; one that cannot be read is an error and counts as absent.
    pub(super) fn take<T: DeserializeOwned>(&self, name: &str, findings: &mut Findings) -> Option<T> {
        let value = self.value(name)?;
        match serde_json::from_value(value.clone()) {
            Ok(read) => Some(read),
            Err(e) => {
                findings.error(&self.path, format!("`{name}` cannot be `{value}`: {e}"));
                None
            }
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.list.iter().find(|(known, _)| known == name).map(|(_, custom)| &custom.value)
    }

    /// Returns whether it is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Returns what its author says about it.
    pub(super) fn text(&self, name: &str) -> String {
        let custom = self.list.iter().find(|(known, _)| known == name);
        custom.and_then(|(_, custom)| custom.description.clone()).unwrap_or_default().trim().to_owned()
    }
}
