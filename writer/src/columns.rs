//! Columns of rows in memory: adding some, joining pieces.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{Field, FieldRef, Schema};
use icefold_core::{Error, Result};

/// Returns rows with more columns behind theirs; what has no value may be null.
///
/// # Errors
/// `Bug` when the columns are of another length.
pub(crate) fn extended<N: Into<String> + Clone>(rows: RecordBatch, more: Vec<(N, ArrayRef)>) -> Result<RecordBatch> {
    let schema = rows.schema();
    let added = more.iter().map(|(name, array)| Arc::new(Field::new(name.clone(), array.data_type().clone(), true)));
    let fields: Vec<FieldRef> = schema.fields().iter().cloned().chain(added).collect();
    let columns = rows.columns().iter().cloned().chain(more.into_iter().map(|(_, array)| array)).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    RecordBatch::try_new(schema, columns).map_err(|e| Error::bug("added columns do not fit their rows").because(e))
}

/// Joins rows, one piece behind the other. Columns are matched by name; one that a piece does not have is null there.
///
/// # Errors
/// `Bug` when a column has types that cannot be made one.
pub(crate) fn joined(pieces: &[RecordBatch]) -> Result<RecordBatch> {
    let bug = |e| Error::bug("rows of one table have columns of different types").because(e);
    let Some(first) = pieces.first() else { return Err(Error::bug("no rows are to be joined")) };
    if pieces.iter().all(|piece| piece.schema_ref() == first.schema_ref()) {
        return concat_batches(first.schema_ref(), pieces).map_err(bug);
    }
    let mut fields: Vec<FieldRef> = Vec::new();
    for field in pieces.iter().flat_map(|piece| piece.schema_ref().fields().iter()) {
        if fields.iter().all(|known| known.name() != field.name()) {
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let aligned = pieces.iter().map(|piece| {
        let columns = schema.fields().iter().map(|field| match piece.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), piece.num_rows())),
        });
        RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
    });
    let aligned: Vec<RecordBatch> = aligned.collect::<Result<_, _>>().map_err(bug)?;
    concat_batches(&schema, &aligned).map_err(bug)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, BooleanArray, StringArray};

    use super::*;

    #[test]
    fn pieces_with_other_columns_are_joined_by_name() {
        let text = |values: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(values)) };
        let first = RecordBatch::try_from_iter([("a", text(vec!["1"])), ("b", text(vec!["2"]))]).expect("rows");
        let swapped = RecordBatch::try_from_iter([("b", text(vec!["4"])), ("a", text(vec!["3"]))]).expect("rows");
        let more: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        let other = RecordBatch::try_from_iter([("c", more), ("a", text(vec!["5"]))]).expect("rows");
        let rows = joined(&[first, swapped, other]).expect("joins");
        let column =
            |name: &str| rows.column_by_name(name).expect("column").as_string::<i32>().iter().collect::<Vec<_>>();
        assert_eq!(column("a"), [Some("1"), Some("3"), Some("5")]);
        assert_eq!(column("b"), [Some("2"), Some("4"), None]);
        assert_eq!(rows.column_by_name("c").expect("column").null_count(), 2);
    }
}
