//! Schema evolution: new columns, wider types, other names and documentation, all without touching a data file.
//!
//! Columns are found by field id (Iceberg spec, "Schema Evolution"), so files of an older schema stay readable and commits
//! that were prepared with it still go in. Nothing here drops a column: a column that is not wanted any more is
//! deprecated in its documentation, because readers may still name it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iceberg::spec::{NestedField, NestedFieldRef, PrimitiveType, Schema, Type};
use icefold_core::tables::{ColumnType, TableKind};
use icefold_core::{Error, ErrorKind, Result};

use crate::amend::Amendment;
use crate::table::LoadedTable;
use crate::warehouse::Warehouse;

/// What a table shall have; what it has already is left alone, so that applying a change twice is applying it once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaChange {
    /// Columns that shall be there, all of them optional.
    pub columns: Vec<WantedColumn>,
    /// Names to change: old to new. Done before columns are looked for.
    pub renames: BTreeMap<String, String>,
    /// Table properties to set in the same step.
    pub properties: BTreeMap<String, String>,
    /// Table properties that must be as they were when the change was planned (`None`: not set).
    pub expected: BTreeMap<String, Option<String>>,
}

/// A column that a table shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedColumn {
    /// Name.
    pub name: String,
    /// Type, or a narrower one that is there and can be widened.
    pub kind: ColumnType,
    /// Documentation.
    pub doc: String,
}

impl SchemaChange {
    /// Returns what a table of icefold's own that an older version made must get.
    pub fn built_in(kind: TableKind) -> Self {
        let optional = kind.columns().iter().filter(|column| !column.required);
        let wanted = |c: &icefold_core::tables::Column| WantedColumn {
            name: c.name.to_owned(),
            kind: c.kind,
            doc: c.doc.to_owned(),
        };
        SchemaChange { columns: optional.map(wanted).collect(), ..SchemaChange::default() }
    }
}

impl Warehouse {
    /// Changes the columns and properties of a table, beside whoever writes it. Returns the table as it is then.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when a column is there with a type that cannot
    /// be widened, or a name is taken; [`ErrorKind::Conflict`] when an expected property is another one. Nothing is changed
    /// then. Errors of store and catalog.
    pub async fn evolve(&self, table: &str, change: &SchemaChange) -> Result<LoadedTable> {
        self.amend(table, |base| evolved(base, change)).await
    }
}

fn evolved(base: &LoadedTable, change: &SchemaChange) -> Result<Option<Amendment>> {
    let metadata = base.metadata();
    let moved = |(key, value): &(&String, &Option<String>)| metadata.properties().get(*key) != value.as_ref();
    if let Some((key, _)) = change.expected.iter().find(moved) {
        let message =
            format!("property `{key}` of table `{}` was changed by somebody else: run again", base.full_name());
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    let schema = plan(metadata.current_schema(), metadata.last_column_id(), change)
        .map_err(|e| e.with("table", base.full_name()))?;
    let unlike = |(key, value): &(&String, &String)| metadata.properties().get(*key) != Some(*value);
    let properties = change.properties.iter().filter(unlike).map(|(key, value)| (key.clone(), value.clone()));
    let properties: HashMap<String, String> = properties.collect();
    if schema.is_none() && properties.is_empty() {
        return Ok(None);
    }
    Ok(Some(Box::new(move |mut builder| {
        if let Some(schema) = schema {
            builder = builder.add_current_schema(schema)?;
        }
        builder.set_properties(properties)
    })))
}

/// Plans the schema after a change; `None` when nothing has to change. `last_column_id` is the highest field id that the
/// table ever had.
///
/// # Errors
/// As [`Warehouse::evolve`].
pub fn plan(schema: &Schema, last_column_id: i32, change: &SchemaChange) -> Result<Option<Schema>> {
    let mut fields: Vec<NestedFieldRef> = schema.as_struct().fields().to_vec();
    for (from, to) in &change.renames {
        // It would be made anew, empty, while its values are under the other name.
        if change.columns.iter().any(|wanted| wanted.name == *from) {
            return Err(Error::invalid(format!(
                "column `{from}` is still in use and cannot be renamed to `{to}`: leave it, and add `{to}` beside it"
            )));
        }
        rename(&mut fields, from, to)?;
    }
    let mut next_id = last_column_id;
    for wanted in &change.columns {
        match fields.iter_mut().find(|field| field.name == wanted.name) {
            Some(field) => *field = adapted(field, wanted)?,
            None => {
                next_id += 1;
                let kind = Type::Primitive(wanted.kind.primitive());
                fields.push(Arc::new(NestedField::optional(next_id, &wanted.name, kind).with_doc(&wanted.doc)));
            }
        }
    }
    if fields == schema.as_struct().fields() {
        return Ok(None);
    }
    let identifiers: Vec<i32> = schema.identifier_field_ids().collect();
    let planned = Schema::builder().with_fields(fields).with_identifier_field_ids(identifiers).build();
    planned.map(Some).map_err(|e| Error::invalid("the changed columns make no schema").because(e))
}

fn rename(fields: &mut [NestedFieldRef], from: &str, to: &str) -> Result<()> {
    if fields.iter().any(|field| field.name == to) {
        if fields.iter().any(|field| field.name == from) {
            return Err(Error::invalid(format!(
                "column `{from}` cannot be renamed to `{to}`: there is one of that name"
            )));
        }
        return Ok(());
    }
    let Some(field) = fields.iter_mut().find(|field| field.name == from) else {
        return Err(Error::invalid(format!("there is no column `{from}` to be renamed to `{to}`: check its name")));
    };
    let mut renamed = field.as_ref().clone();
    renamed.name = to.to_owned();
    *field = Arc::new(renamed);
    Ok(())
}

/// Returns the field with the wanted type and documentation.
fn adapted(field: &NestedFieldRef, wanted: &WantedColumn) -> Result<NestedFieldRef> {
    let kind = match field.field_type.as_ref() {
        Type::Primitive(found) if *found == wanted.kind.primitive() => found.clone(),
        Type::Primitive(found) if may_widen(found, &wanted.kind.primitive()) => wanted.kind.primitive(),
        // Somebody has widened it already, which takes every value that is wanted.
        Type::Primitive(found) if may_widen(&wanted.kind.primitive(), found) => found.clone(),
        found => {
            return Err(Error::invalid(format!(
                "column `{}` is of type `{found}` and cannot become `{}`: give the new column another name",
                wanted.name,
                wanted.kind.primitive()
            )));
        }
    };
    let mut adapted = field.as_ref().clone();
    *adapted.field_type = Type::Primitive(kind);
    adapted.doc = Some(wanted.doc.clone());
    Ok(Arc::new(adapted))
}

/// The promotions of format version 2 among the types that icefold writes.
fn may_widen(from: &PrimitiveType, to: &PrimitiveType) -> bool {
    matches!((from, to), (PrimitiveType::Int, PrimitiveType::Long) | (PrimitiveType::Float, PrimitiveType::Double))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, PrimitiveType)]) -> Schema {
        let fields = columns
            .iter()
            .zip(1..)
            .map(|((name, kind), id)| Arc::new(NestedField::optional(id, *name, Type::Primitive(kind.clone()))));
        Schema::builder().with_fields(fields).build().expect("schema")
    }

    fn wanting(name: &str, kind: ColumnType) -> SchemaChange {
        let column = WantedColumn { name: name.to_owned(), kind, doc: "why".to_owned() };
        SchemaChange { columns: vec![column], ..SchemaChange::default() }
    }

    fn renaming(from: &str, to: &str) -> SchemaChange {
        SchemaChange { renames: BTreeMap::from([(from.to_owned(), to.to_owned())]), ..SchemaChange::default() }
    }

    #[test]
    fn a_new_column_gets_an_id_that_was_never_used() {
        let planned = plan(&schema(&[("a", PrimitiveType::Int)]), 7, &wanting("b", ColumnType::Date));
        let planned = planned.expect("possible").expect("changes");
        let field = planned.field_by_name("b").expect("added");
        assert_eq!((field.id, field.required, field.doc.as_deref()), (8, false, Some("why")));
    }

    #[test]
    fn applying_a_change_twice_is_applying_it_once() {
        for change in [wanting("b", ColumnType::Double), wanting("a", ColumnType::Long), renaming("a", "z")] {
            let first = plan(&schema(&[("a", PrimitiveType::Int)]), 1, &change).expect("possible").expect("changes");
            assert_eq!(plan(&first, first.highest_field_id(), &change).expect("possible"), None);
        }
    }

    #[test]
    fn types_are_widened_and_never_narrowed() {
        let widened = plan(&schema(&[("a", PrimitiveType::Int)]), 1, &wanting("a", ColumnType::Long));
        let widened = widened.expect("possible").expect("changes");
        let kind = |schema: &Schema| schema.field_by_name("a").map(|field| field.field_type.to_string());
        assert_eq!(kind(&widened).as_deref(), Some("long"));
        let kept = plan(&widened, 1, &wanting("a", ColumnType::Int)).expect("possible");
        assert_eq!(kept.as_ref().and_then(kind), None, "documentation is as wanted already");
        let error = plan(&widened, 1, &wanting("a", ColumnType::String)).expect_err("other type");
        assert!(
            error.message().contains("`a` is of type `long`") && error.message().contains("another name"),
            "{error}"
        );
    }

    #[test]
    fn a_renamed_column_keeps_its_id() {
        let planned = plan(&schema(&[("a", PrimitiveType::Int)]), 1, &renaming("a", "z")).expect("possible");
        assert_eq!(planned.expect("changes").field_by_name("z").map(|field| field.id), Some(1));
        let taken = schema(&[("a", PrimitiveType::Int), ("z", PrimitiveType::Int)]);
        assert!(plan(&taken, 2, &renaming("a", "z")).expect_err("taken").message().contains("there is one"));
        assert!(plan(&taken, 2, &renaming("y", "x")).expect_err("missing").message().contains("no column `y`"));
    }

    #[test]
    fn a_column_that_is_still_wanted_is_not_renamed() {
        let change = SchemaChange { renames: renaming("a", "z").renames, ..wanting("a", ColumnType::Long) };
        let error = plan(&schema(&[("a", PrimitiveType::Long)]), 1, &change).expect_err("in use");
        assert!(error.message().contains("`a` is still in use and cannot be renamed to `z`"), "{error}");
    }

    #[test]
    fn a_table_that_is_up_to_date_is_left_alone() {
        for kind in TableKind::ALL {
            let schema = kind.schema().expect("schema");
            let change = SchemaChange::built_in(kind);
            assert_eq!(plan(&schema, schema.highest_field_id(), &change).expect("possible"), None);
        }
    }
}
