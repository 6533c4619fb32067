//! The parts of an ODCS document (Open Data Contract Standard, v3.1 and v3.2) that icefold reads, as they are written.
//!
//! Everything is optional here, so that what is missing is found together with what is wrong. Keys of the standard that
//! icefold has no use for (servers, prices, service levels …) are passed over; keys that the standard does not know
//! are found by [`unknown_keys`], for a misspelt `required` must not pass for none.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::finding::{Findings, Path};
use super::nearest::nearest;

/// Versions of the standard that are read.
pub(super) const API_VERSIONS: &[&str] = &["v3.1.0", "v3.2.0"];

/// A contract.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) api_version: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) status: Option<String>,
    pub(super) description: Option<Description>,
    pub(super) team: Option<Team>,
    pub(super) schema: Option<Vec<Object>>,
    pub(super) custom_properties: Option<Vec<CustomProperty>>,
}

/// What a contract is about.
#[derive(Debug, Deserialize)]
pub(super) struct Description {
    pub(super) purpose: Option<String>,
    pub(super) usage: Option<String>,
}

/// Who answers for it.
#[derive(Debug, Deserialize)]
pub(super) struct Team {
    pub(super) name: Option<String>,
}

/// An entry of `schema`: for icefold, an event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) deprecated: Option<bool>,
    pub(super) properties: Option<Vec<Property>>,
    pub(super) custom_properties: Option<Vec<CustomProperty>>,
}

/// A property, or what the elements of an array are.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Property {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) deprecated: Option<bool>,
    pub(super) logical_type: Option<String>,
    pub(super) logical_type_options: Option<BTreeMap<String, Value>>,
    pub(super) required: Option<bool>,
    pub(super) properties: Option<Vec<Property>>,
    pub(super) items: Option<Box<Property>>,
    #[serde(rename = "enum")]
    pub(super) allowed: Option<Vec<AllowedValue>>,
    pub(super) quality: Option<Vec<Quality>>,
    pub(super) custom_properties: Option<Vec<CustomProperty>>,
}

/// A value of an enumeration, as v3.2 writes it.
#[derive(Debug, Deserialize)]
pub(super) struct AllowedValue {
    pub(super) value: Option<Value>,
}

/// A quality rule. Those about a table as a whole are for tools that look at tables.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Quality {
    pub(super) metric: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) arguments: Option<BTreeMap<String, Value>>,
    pub(super) must_be: Option<Value>,
}

/// Something that the standard leaves to tools.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CustomProperty {
    pub(super) property: Option<String>,
    #[serde(default)]
    pub(super) value: Value,
    pub(super) description: Option<String>,
    pub(super) vendor: Option<String>,
}

const DOCUMENT_KEYS: &[&str] = &[
    "version",
    "kind",
    "apiVersion",
    "id",
    "name",
    "tenant",
    "tags",
    "status",
    "servers",
    "dataProduct",
    "description",
    "domain",
    "context",
    "schema",
    "support",
    "price",
    "team",
    "roles",
    "slaDefaultElement",
    "slaProperties",
    "authoritativeDefinitions",
    "customProperties",
    "contractCreatedTs",
];

const ELEMENT_KEYS: &[&str] = &[
    "id",
    "name",
    "physicalType",
    "physicalName",
    "description",
    "businessName",
    "deprecated",
    "synonyms",
    "authoritativeDefinitions",
    "tags",
    "customProperties",
    "logicalType",
    "properties",
    "relationships",
    "quality",
];

const OBJECT_KEYS: &[&str] = &["dataGranularityDescription", "context"];

const PROPERTY_KEYS: &[&str] = &[
    "logicalTypeOptions",
    "required",
    "items",
    "enum",
    "examples",
    "primaryKey",
    "primaryKeyPosition",
    "unique",
    "partitioned",
    "partitionKeyPosition",
    "classification",
    "encryptedName",
    "semanticType",
    "transformSourceObjects",
    "transformLogic",
    "transformDescription",
    "criticalDataElement",
];

/// Finds keys that the standard does not know, in the document, its objects and their properties.
pub(super) fn unknown_keys(document: &Value, findings: &mut Findings) {
    let root = Path::default();
    keys(document, DOCUMENT_KEYS, &root, findings);
    let object_keys = [ELEMENT_KEYS, OBJECT_KEYS].concat();
    let property_keys = [ELEMENT_KEYS, PROPERTY_KEYS].concat();
    for (path, object) in elements(document, "schema", &root) {
        keys(object, &object_keys, &path, findings);
        for (path, property) in elements(object, "properties", &path) {
            property_tree(property, &property_keys, &path, findings);
        }
    }
}

fn property_tree(property: &Value, known: &[&str], path: &Path, findings: &mut Findings) {
    keys(property, known, path, findings);
    for (path, property) in elements(property, "properties", path) {
        property_tree(property, known, &path, findings);
    }
    if let Some(items) = property.get("items") {
        property_tree(items, known, &path.key("items"), findings);
    }
}

fn elements<'a>(parent: &'a Value, key: &'a str, path: &'a Path) -> impl Iterator<Item = (Path, &'a Value)> {
    let list = parent.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().enumerate().map(move |(i, element)| {
        let name = element.get("name").and_then(Value::as_str);
        (path.element(key, i, name), element)
    })
}

fn keys(element: &Value, known: &[&str], path: &Path, findings: &mut Findings) {
    let Some(map) = element.as_object() else { return };
    for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
        let remedy = match nearest(key, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "remove it, or put it under `customProperties`".to_owned(),
        };
        findings.error(path, format!("`{key}` is no key of ODCS here: {remedy}"));
    }
}
