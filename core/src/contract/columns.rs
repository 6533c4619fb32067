//! The columns of `events` that contracts ask for.

use std::collections::BTreeMap;

use super::model::{ColumnKind, Contract, EventContract, Missing, ObjectShape, Promotion, Property, Shape};

/// A typed column made of a property of one event or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotedColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub kind: ColumnKind,
    /// Documentation that Glue and Athena show: what the property means, also when it is missing.
    pub doc: String,
    /// Whether every property that becomes it is deprecated.
    pub deprecated: bool,
    /// Former name.
    pub renamed_from: Option<String>,
}

/// Returns the columns in a stable order: by id of the contract, then as the contracts name them. Of a column that
/// several properties become, the first property gives type and documentation.
pub fn promoted_columns(contracts: &[Contract]) -> Vec<PromotedColumn> {
    let mut sorted: Vec<&Contract> = contracts.iter().collect();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let mut columns: Vec<PromotedColumn> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for Promoted { property, promotion, kind, .. } in sorted.into_iter().flat_map(promotions) {
        match places.get(promotion.column.as_str()) {
            Some(place) => columns[*place].merge(property, promotion),
            None => {
                places.insert(&promotion.column, columns.len());
                columns.push(PromotedColumn::of(property, promotion, kind));
            }
        }
    }
    columns
}

/// A property that becomes a column.
#[derive(Debug)]
pub(super) struct Promoted<'a> {
    /// Where it stands: `Order Completed.cart.total`.
    pub(super) place: String,
    pub(super) property: &'a Property,
    pub(super) promotion: &'a Promotion,
    pub(super) kind: ColumnKind,
}

/// Returns every promoted property of a contract, as the contract names them.
pub(super) fn promotions(contract: &Contract) -> Vec<Promoted<'_>> {
    contract.events.iter().flat_map(promotions_of).collect()
}

/// Returns every promoted property of an event, also inside objects.
pub(super) fn promotions_of(event: &EventContract) -> Vec<Promoted<'_>> {
    let mut found = Vec::new();
    collect(&event.body, &event.label(), &mut found);
    found
}

fn collect<'a>(shape: &'a ObjectShape, path: &str, found: &mut Vec<Promoted<'a>>) {
    for property in &shape.properties {
        let place = format!("{path}.{}", property.name);
        if let Shape::Object(inside) = &property.shape {
            collect(inside, &place, found);
        }
        if let (Some(promotion), Some(kind)) = (&property.promotion, property.shape.column_kind()) {
            found.push(Promoted { place, property, promotion, kind });
        }
    }
}

impl PromotedColumn {
    fn of(property: &Property, promotion: &Promotion, kind: ColumnKind) -> PromotedColumn {
        PromotedColumn {
            name: promotion.column.clone(),
            kind,
            doc: doc(property),
            deprecated: property.deprecated.is_some(),
            renamed_from: promotion.renamed_from.clone(),
        }
    }

    fn merge(&mut self, property: &Property, promotion: &Promotion) {
        self.deprecated &= property.deprecated.is_some();
        if self.renamed_from.is_none() {
            self.renamed_from.clone_from(&promotion.renamed_from);
        }
    }
}

fn doc(property: &Property) -> String {
    let mut doc = property.description.clone();
    if let Some(Missing { means, text }) = &property.missing {
        doc.push_str(&format!("; null: {}", means.as_str()));
        if !text.is_empty() {
            doc.push_str(&format!(" ({text})"));
        }
    }
    if let Some(deprecation) = &property.deprecated {
        doc.push_str("; deprecated");
        if let Some(version) = deprecation.since {
            doc.push_str(&format!(" since {version}"));
        }
        if let Some(instead) = &deprecation.instead {
            doc.push_str(&format!(", use {instead}"));
        }
    }
    doc
}
