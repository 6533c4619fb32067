//! Finds the columns of a table in a Parquet file by Iceberg field id.
//!
//! A file keeps the schema it was written with. Its columns may since have got other names or wider types, and the table
//! may have columns the file knows nothing of. DataFusion asks for an adapter for each file it opens; ours rewrites every
//! expression over the table's columns into one over the file's: found by id under whatever name, cast when the type was
//! promoted, null when the file does not have it. Floats are made canonical on the way, unless the column is asked for as it was
//! written ([`as_written`]).
//!
//! A file without any field id (no Iceberg writer makes one) is read by name; a table that has a name mapping for such
//! files is refused, because names alone would be a guess.
//!
//! Known limit: before it asks, DataFusion reads a binary column as text when the table has a text column of that *name*.
//! A text column that took the name of a binary one makes bytes that are not UTF-8 in older files an error, not a value.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};
use icefold_core::Error;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use crate::columns::Columns;
use crate::error::external;
use crate::planner::values::floats::canonical_column;

/// What the names of columns begin with that are read as they were written.
const AS_WRITTEN: &str = "$as_written_";

/// Makes an adapter for each file of one scan.
#[derive(Debug)]
pub(crate) struct FieldIdAdapterFactory {
    ids: Arc<HashMap<String, i32>>,
    has_name_mapping: bool,
}

impl FieldIdAdapterFactory {
    /// Takes the columns of the scan, and whether the table has a name mapping for files without field ids.
    pub(crate) fn new(columns: &Columns, has_name_mapping: bool) -> Self {
        let names = columns.schema().fields().iter().map(|f| f.name().clone());
        FieldIdAdapterFactory { ids: Arc::new(names.zip(columns.ids().iter().copied()).collect()), has_name_mapping }
    }
}

impl PhysicalExprAdapterFactory for FieldIdAdapterFactory {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let by_id = columns_by_id(&file);
        if by_id.is_empty() && self.has_name_mapping {
            return Err(external(Error::invalid(
                "a file without Iceberg field ids in a table with a name mapping cannot be queried: rewrite the file",
            )));
        }
        let mut places = HashMap::with_capacity(table.fields().len());
        for field in table.fields() {
            let place = match self.ids.get(field.name()) {
                Some(id) if !by_id.is_empty() => by_id.get(id).copied(),
                _ => file.index_of(own_name(field.name())).ok(),
            };
            places.insert(field.name().clone(), (Arc::clone(field), place));
        }
        Ok(Arc::new(FieldIdAdapter { places, file }))
    }
}

fn columns_by_id(file: &Schema) -> HashMap<i32, usize> {
    let id = |field: &FieldRef| field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse::<i32>().ok();
    file.fields().iter().enumerate().filter_map(|(index, field)| Some((id(field)?, index))).collect()
}

/// Rewrites expressions over the table's columns into expressions over one file's.
#[derive(Debug)]
struct FieldIdAdapter {
    /// The table's field and its index in the file, by the table's name.
    places: HashMap<String, (FieldRef, Option<usize>)>,
    file: SchemaRef,
}

impl PhysicalExprAdapter for FieldIdAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        expr.transform(|node| match node.downcast_ref::<Column>() {
            Some(column) => Ok(Transformed::yes(self.place(column)?)),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }
}

impl FieldIdAdapter {
    fn place(&self, column: &Column) -> Result<Arc<dyn PhysicalExpr>> {
        let Some((wanted, place)) = self.places.get(column.name()) else {
            return Err(external(Error::bug(format!("the scan has no column `{}`", column.name()))));
        };
        let Some(index) = *place else { return missing(wanted) };
        let found = self.file.field(index);
        let column = Arc::new(Column::new(found.name(), index));
        let value: Arc<dyn PhysicalExpr> = if found.data_type() == wanted.data_type() {
            column
        } else {
            Arc::new(CastExpr::new_with_target_field(column, Arc::clone(wanted), None))
        };
        Ok(if is_as_written(wanted.name()) { value } else { canonical_column(value, wanted) })
    }
}

/// Returns the column of a float as it was written, with both zeros, which keys of deletes tell apart. It is found by the same id.
pub(crate) fn as_written(column: &Field) -> Field {
    column.clone().with_name(format!("{AS_WRITTEN}{}", column.name()))
}

/// Returns the name that a column has in the table.
fn own_name(column: &str) -> &str {
    column.strip_prefix(AS_WRITTEN).unwrap_or(column)
}

fn is_as_written(column: &str) -> bool {
    column.starts_with(AS_WRITTEN)
}

/// A column that the file was written without is null in each of its rows.
fn missing(wanted: &Field) -> Result<Arc<dyn PhysicalExpr>> {
    if !wanted.is_nullable() {
        return Err(external(Error::corrupt(format!("a file lacks the required column `{}`", wanted.name()))));
    }
    Ok(Arc::new(Literal::new(ScalarValue::try_new_null(wanted.data_type())?)))
}
