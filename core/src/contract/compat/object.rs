//! Differences between two versions of an object: its properties, their columns, and rules over several.

use super::shape;
use super::{Changes, Who, deprecation};
use crate::contract::model::{Missing, ObjectShape, Policy, Promotion, Property, Shape};
use crate::contract::wording;

const KEEP: &str = "keep it, and mark it `deprecated`";

/// Compares two versions of an object.
pub(super) fn changed(old: &ObjectShape, new: &ObjectShape, path: &str, changes: &mut Changes) {
    for property in &new.properties {
        let path = format!("{path}.{}", property.name);
        match old.property(&property.name) {
            Some(before) => changed_property(before, property, &path, changes),
            None => added(property, old.unknown, &path, changes),
        }
    }
    for property in old.properties.iter().filter(|property| new.property(&property.name).is_none()) {
        removed(property, new.unknown, &format!("{path}.{}", property.name), changes);
    }
    policy(old.unknown, new.unknown, path, changes);
    rules(old, new, path, changes);
}

/// Names the columns that an object fills; empty when there are none.
pub(super) fn columns(shape: &ObjectShape) -> String {
    let all: Vec<String> = shape.properties.iter().map(columns_of).filter(|columns| !columns.is_empty()).collect();
    all.join(", ")
}

fn columns_of(property: &Property) -> String {
    match (&property.promotion, &property.shape) {
        (Some(promotion), _) => format!("`{}`", promotion.column),
        (None, Shape::Object(inside)) => columns(inside),
        _ => String::new(),
    }
}

fn added(property: &Property, unknown: Policy, path: &str, changes: &mut Changes) {
    if property.required {
        let remedy = "make it optional, and required only when all producers send it";
        return changes.breaking(path, Who::Producers, "is new and required", remedy);
    }
    let known = match unknown {
        Policy::Keep => "events that have it already, although no contract said so, must fit it now",
        Policy::Quarantine => "",
    };
    changes.minor(path, Who::Both, "is new", known);
}

fn removed(property: &Property, unknown: Policy, path: &str, changes: &mut Changes) {
    let columns = columns_of(property);
    if !columns.is_empty() {
        changes.breaking(path, Who::Readers, format!("is gone, and so fills {columns} no longer"), KEEP);
    }
    match unknown {
        Policy::Quarantine => {
            changes.breaking(path, Who::Producers, "is gone, and other properties are not accepted", KEEP);
        }
        Policy::Keep => changes.minor(path, Who::Producers, "is gone: its values are kept without rules", ""),
    }
}

fn changed_property(old: &Property, new: &Property, path: &str, changes: &mut Changes) {
    match (old.required, new.required) {
        (false, true) => {
            let remedy = "leave it optional until all producers send it";
            changes.breaking(path, Who::Producers, "is required now", remedy);
        }
        (true, false) => changes.minor(path, Who::Readers, "is optional now", "its column may be null"),
        _ => {}
    }
    shape::changed(&old.shape, &new.shape, path, changes);
    promotion(old, new, path, changes);
    missing(old.missing.as_ref(), new.missing.as_ref(), path, changes);
    deprecation(old.deprecated.as_ref(), new.deprecated.as_ref(), path, changes);
    if old.description != new.description {
        changes.patch(path, "the description changed");
    }
}

fn promotion(old: &Property, new: &Property, path: &str, changes: &mut Changes) {
    match (&old.promotion, &new.promotion) {
        (None, Some(column)) => {
            changes.minor(path, Who::Readers, format!("fills column `{}`", column.column), "it is null in older rows");
        }
        (Some(column), None) => {
            changes.breaking(path, Who::Readers, format!("fills column `{}` no longer", column.column), KEEP);
        }
        (Some(a), Some(b)) if a.column != b.column => renamed(a, b, path, changes),
        (Some(a), Some(b)) => {
            column_kind(a, old, new, path, changes);
            if a.renamed_from != b.renamed_from {
                changes.patch(path, "the former name of its column changed");
            }
        }
        (None, None) => {}
    }
}

fn renamed(old: &Promotion, new: &Promotion, path: &str, changes: &mut Changes) {
    let what = format!("fills column `{}` instead of `{}`", new.column, old.column);
    let remedy = match &new.renamed_from {
        Some(former) if *former == old.column => "the values move along; change queries that name the old column",
        _ => "set `renamedFrom` to the old name, so that its values move along",
    };
    changes.breaking(path, Who::Readers, what, remedy);
}

/// Iceberg widens int to long, float to double and decimals; none of these is between two kinds of column here.
fn column_kind(column: &Promotion, old: &Property, new: &Property, path: &str, changes: &mut Changes) {
    let (Some(before), Some(after)) = (old.shape.column_kind(), new.shape.column_kind()) else { return };
    if before != after {
        let what = format!("column `{}` would change from {} to {}", column.column, before.as_str(), after.as_str());
        let remedy = "Iceberg cannot widen one to the other: promote to a new column, and keep the old one";
        changes.breaking(path, Who::Readers, what, remedy);
    }
}

fn missing(old: Option<&Missing>, new: Option<&Missing>, path: &str, changes: &mut Changes) {
    match (old, new) {
        (Some(a), Some(b)) if a.means != b.means => {
            let what = format!("null meant {}, and means {} now", a.means.as_str(), b.means.as_str());
            changes.breaking(path, Who::Readers, what, "use a new property for the new meaning");
        }
        (old, new) if old != new => changes.patch(path, "what null means is worded differently"),
        _ => {}
    }
}

fn policy(old: Policy, new: Policy, path: &str, changes: &mut Changes) {
    match (old, new) {
        (Policy::Keep, Policy::Quarantine) => {
            let what = "properties without a contract are no longer kept";
            changes.breaking(path, Who::Producers, what, "describe them first, or leave `unknownProperties` at `keep`");
        }
        (Policy::Quarantine, Policy::Keep) => {
            changes.minor(path, Who::Producers, "properties without a contract are kept", "");
        }
        _ => {}
    }
}

fn rules(old: &ObjectShape, new: &ObjectShape, path: &str, changes: &mut Changes) {
    for rule in new.rules.iter().filter(|rule| !old.rules.contains(rule)) {
        let what = format!("has a new rule: expected {}", wording::of_rule(rule));
        changes.breaking(path, Who::Producers, what, "leave it out until all producers keep it");
    }
    for rule in old.rules.iter().filter(|rule| !new.rules.contains(rule)) {
        let what = format!("has a rule less: expected {}", wording::of_rule(rule));
        changes.minor(path, Who::Readers, what, "");
    }
}
