//! One property: its shape, the column that it becomes, and what it means when it is missing.

use crate::contract::finding::{Findings, Path};
use crate::contract::model::{
    ArrayShape, IntegerShape, MAX_NESTING, MAX_PROPERTIES, Missing, Promotion, Property, Shape, TextShape,
};
use crate::contract::nearest::nearest;
use crate::contract::odcs;
use crate::tables::{EVENTS, TableKind};

use super::custom::{Customs, OF_ITEMS, OF_PROPERTY};
use super::event::{deprecation, object_shape};
use super::options::Options;
use super::values::{integers, no_values, texts};

const LOGICAL_TYPES: &[&str] = &["string", "integer", "number", "boolean", "date", "timestamp", "object", "array"];

/// Where properties stand.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: Path,
    /// Objects and arrays around.
    depth: usize,
    /// Whether one of them is an array, of which a row has no single value.
    in_array: bool,
}

impl Place {
    pub(super) fn of_event(path: Path) -> Place {
        Place { path, depth: 0, in_array: false }
    }

    fn inside(&self, path: Path, in_array: bool) -> Place {
        Place { path, depth: self.depth + 1, in_array: self.in_array || in_array }
    }
}

/// Reads the properties of an object.
pub(super) fn properties(list: &[odcs::Property], place: &Place, findings: &mut Findings) -> Vec<Property> {
    if list.len() > MAX_PROPERTIES {
        findings.error(&place.path, format!("has more than {MAX_PROPERTIES} properties: group them in objects"));
    }
    let mut properties: Vec<Property> = Vec::with_capacity(list.len());
    for (i, source) in list.iter().enumerate() {
        let path = place.path.element("properties", i, source.name.as_deref());
        let property = property(source, &Place { path, ..place.clone() }, findings);
        let Some(property) = property else { continue };
        if properties.iter().any(|other| other.name == property.name) {
            findings.error(place.path.element("properties", i, source.name.as_deref()), "stands twice: keep one");
        }
        properties.push(property);
    }
    properties
}

fn property(source: &odcs::Property, place: &Place, findings: &mut Findings) -> Option<Property> {
    let Some(name) = source.name.clone().filter(|name| !name.is_empty()) else {
        findings.error(&place.path, "has no `name`: add the key that it has in the event");
        return None;
    };
    let customs = Customs::of(source.custom_properties.as_ref(), OF_PROPERTY, &place.path, findings);
    let shape = shape(source, &customs, place, findings);
    let required = source.required == Some(true);
    let description = source.description.as_deref().unwrap_or_default().trim().to_owned();
    if description.is_empty() {
        findings.warning(&place.path, "has no description: say what it means");
    }
    let promotion = promotion(&customs, &shape, place, findings);
    if promotion.is_some() && description.is_empty() {
        findings.error(&place.path, "becomes a column and has no description: readers see nothing else, so add one");
    }
    let missing = missing(&customs, findings);
    if required && missing.is_some() {
        findings.error(&place.path, "is required and so never missing: remove the custom property `missing`");
    }
    let deprecated = deprecation(source.deprecated, &customs, findings);
    Some(Property { name, description, required, shape, promotion, missing, deprecated })
}

fn missing(customs: &Customs, findings: &mut Findings) -> Option<Missing> {
    let means = customs.take("missing", findings)?;
    Some(Missing { means, text: customs.text("missing") })
}

fn shape(source: &odcs::Property, customs: &Customs, place: &Place, findings: &mut Findings) -> Shape {
    let path = &place.path;
    misplaced(source, customs, path, findings);
    let options = Options::of(source.logical_type_options.as_ref(), path, findings);
    match source.logical_type.as_deref() {
        Some("string") => {
            let shape = options.text();
            Shape::Text(TextShape { allowed: texts(source, path, findings), ..shape })
        }
        Some("integer") => {
            let range = options.integer();
            Shape::Integer(IntegerShape { range, allowed: integers(source, path, findings) })
        }
        other => {
            let shape = match other {
                Some("number") => Shape::Number(options.number()),
                Some("date") => Shape::Date(options.date()),
                Some("timestamp") => Shape::Timestamp(options.timestamp()),
                Some("array") => array(source, options.array(), place, findings),
                _ => {
                    options.none(other.unwrap_or("any"));
                    plain(source, customs, place, findings)
                }
            };
            no_values(source, &shape, path, findings);
            shape
        }
    }
}

/// Reads the types without options.
fn plain(source: &odcs::Property, customs: &Customs, place: &Place, findings: &mut Findings) -> Shape {
    match source.logical_type.as_deref() {
        None => Shape::Any,
        Some("boolean") => Shape::Boolean,
        Some("object") => {
            let inside = place.inside(place.path.clone(), false);
            if is_too_deep(&inside, findings) {
                return Shape::Any;
            }
            Shape::Object(object_shape(source.properties.as_deref(), customs, &inside, findings))
        }
        Some(other) => {
            let remedy = match nearest(other, LOGICAL_TYPES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use one of `{}`, or leave it out for any value", LOGICAL_TYPES.join("`, `")),
            };
            findings.error(&place.path, format!("`logicalType` `{other}` is not read: {remedy}"));
            Shape::Any
        }
    }
}

fn array(
    source: &odcs::Property,
    length: crate::contract::range::Range<u64>,
    place: &Place,
    findings: &mut Findings,
) -> Shape {
    let Some(items) = source.items.as_deref() else {
        return Shape::Array(ArrayShape { length, items: Box::new(Shape::Any), nullable: true });
    };
    let inside = place.inside(place.path.key("items"), true);
    if is_too_deep(&inside, findings) {
        return Shape::Any;
    }
    let customs = Customs::of(items.custom_properties.as_ref(), OF_ITEMS, &inside.path, findings);
    let shape = shape(items, &customs, &inside, findings);
    Shape::Array(ArrayShape { length, items: Box::new(shape), nullable: items.required != Some(true) })
}

fn is_too_deep(place: &Place, findings: &mut Findings) -> bool {
    let too_deep = place.depth > MAX_NESTING;
    if too_deep {
        findings
            .error(&place.path, format!("is nested deeper than {MAX_NESTING} levels: leave the type out from here on"));
    }
    too_deep
}

/// Finds what belongs to another type.
fn misplaced(source: &odcs::Property, customs: &Customs, path: &Path, findings: &mut Findings) {
    let kind = source.logical_type.as_deref().unwrap_or("any");
    if source.properties.is_some() && kind != "object" {
        findings.error(path, format!("has `properties`, but type {kind}: set `logicalType: object`"));
    }
    if source.items.is_some() && kind != "array" {
        findings.error(path, format!("has `items`, but type {kind}: set `logicalType: array`"));
    }
    for name in ["unknownProperties", "rules"] {
        if kind != "object" && customs.has(name) {
            findings.error(path, format!("`{name}` is about objects, but the type is {kind}: remove it"));
        }
    }
}

fn promotion(customs: &Customs, shape: &Shape, place: &Place, findings: &mut Findings) -> Option<Promotion> {
    let path = &place.path;
    let renamed_from: Option<String> = customs.take("renamedFrom", findings);
    let Some(column) = customs.take::<String>("promote", findings) else {
        if renamed_from.is_some() {
            findings.error(path, "`renamedFrom` is the former name of a column: add `promote`, or remove it");
        }
        return None;
    };
    if place.in_array {
        findings.error(path, "stands in an array, of which a row has no single value: remove `promote`");
    }
    if shape.column_kind().is_none() {
        let kind = shape.logical_type();
        findings.error(path, format!("type {kind} becomes no column: promote a property inside it, or set a type"));
    }
    for name in [Some(&column), renamed_from.as_ref()].into_iter().flatten() {
        if let Some(message) = wrong_column(name) {
            findings.error(path, message);
        }
    }
    Some(Promotion { column, renamed_from })
}

/// Longest column name, in bytes: Redshift has no longer ones.
const MAX_COLUMN_BYTES: usize = 127;

/// Returns what is wrong with the name of a column.
fn wrong_column(name: &str) -> Option<String> {
    let fits = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !fits || !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.len() > MAX_COLUMN_BYTES {
        return Some(format!("column `{name}` is not in lower snake case: rename it, for example `order_id`"));
    }
    if EVENTS.iter().any(|column| column.name == name) {
        return Some(format!("column `{name}` is built into `events`: choose another name"));
    }
    // Iceberg takes no column of the name of a partition field (spec, "Partitioning").
    if TableKind::Events.partition_field() == name {
        return Some(format!("column `{name}` is a partition of `events`: choose another name"));
    }
    // Readers of delete files take these for their own.
    ["pos", "file_path"].contains(&name).then(|| format!("column `{name}` cannot be scanned: choose another name"))
}
