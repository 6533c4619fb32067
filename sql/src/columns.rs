//! The columns of an Iceberg schema as DataFusion sees them: flat, in Arrow's view types, found by field id.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use iceberg::spec::{NestedField, PrimitiveType, Schema as IcebergSchema, Type};
use icefold_core::{Error, Result};

/// Offset that stands for UTC, as `iceberg` writes it; values of `timestamptz` are always UTC.
const UTC: &str = "+00:00";

/// The columns that a scan reads, in order, with the field ids by which they are found in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    schema: SchemaRef,
    ids: Arc<[i32]>,
}

impl Columns {
    /// Takes the columns of a table's schema.
    ///
    /// # Errors
    /// `InvalidInput` when a column has a type that cannot be queried (nested, or of format version 3).
    pub(crate) fn of_table(table: &str, schema: &IcebergSchema) -> Result<Self> {
        let fields = schema.as_struct().fields();
        let columns = fields.iter().map(|field| {
            let kind = arrow_type(field).ok_or_else(|| {
                Error::invalid(format!(
                    "column `{}` has type `{}`, which cannot be queried: tables must have flat columns of the types of \
                     format version 2",
                    field.name, field.field_type
                ))
                .with("table", table)
            })?;
            Ok((field.id, Field::new(&field.name, kind, !field.required)))
        });
        Ok(Self::new(columns.collect::<Result<Vec<_>>>()?))
    }

    /// Makes columns out of field ids and Arrow fields.
    pub(crate) fn new(columns: Vec<(i32, Field)>) -> Self {
        let (ids, fields): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        Columns { schema: Arc::new(Schema::new(fields)), ids: ids.into() }
    }

    /// Returns the Arrow schema, without metadata.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the field ids, one for each field of the schema.
    pub(crate) fn ids(&self) -> &[i32] {
        &self.ids
    }

    /// Returns the number of columns.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns the index of the column with the field id.
    pub(crate) fn index_of_id(&self, id: i32) -> Option<usize> {
        self.ids.iter().position(|i| *i == id)
    }

    /// As [`Columns::index_of_id`], the last one if a column is there twice.
    pub(crate) fn last_index_of_id(&self, id: i32) -> Option<usize> {
        self.ids.iter().rposition(|i| *i == id)
    }

    /// Returns these columns and behind them `more`.
    pub(crate) fn and(&self, more: Vec<(i32, Field)>) -> Self {
        let own = self.ids.iter().copied().zip(self.schema.fields().iter().map(|f| f.as_ref().clone()));
        Self::new(own.chain(more).collect())
    }

    /// Returns the columns at `indices`.
    pub(crate) fn project(&self, indices: &[usize]) -> Self {
        Self::new(indices.iter().map(|i| (self.ids[*i], self.schema.field(*i).clone())).collect())
    }
}

/// Returns the Arrow type in which a column is read, `None` if it cannot be queried.
///
/// Strings and bytes are views: grouping and filtering copy less.
pub(crate) fn arrow_type(field: &NestedField) -> Option<DataType> {
    let Type::Primitive(kind) = field.field_type.as_ref() else { return None };
    Some(match kind {
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Int => DataType::Int32,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Float => DataType::Float32,
        PrimitiveType::Double => DataType::Float64,
        PrimitiveType::Decimal { precision, scale } => {
            DataType::Decimal128(u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?)
        }
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Time => DataType::Time64(TimeUnit::Microsecond),
        PrimitiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PrimitiveType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        PrimitiveType::String => DataType::Utf8View,
        PrimitiveType::Uuid => DataType::FixedSizeBinary(16),
        PrimitiveType::Fixed(length) => DataType::FixedSizeBinary(i32::try_from(*length).ok()?),
        PrimitiveType::Binary => DataType::BinaryView,
        PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => return None,
    })
}

#[cfg(test)]
mod tests {
    use iceberg::spec::StructType;

    use super::*;

    fn schema(fields: Vec<NestedField>) -> IcebergSchema {
        IcebergSchema::builder().with_fields(fields.into_iter().map(Arc::new)).build().expect("schema")
    }

    #[test]
    fn the_built_in_tables_can_be_queried() {
        for table in icefold_core::tables::TableKind::ALL {
            let columns = Columns::of_table(table.name(), &table.schema().expect("schema")).expect("flat");
            assert_eq!(columns.len(), table.columns().len());
        }
    }

    #[test]
    fn a_nested_column_is_named_in_the_error() {
        let inner = NestedField::required(2, "x", Type::Primitive(PrimitiveType::Int));
        let nested = NestedField::optional(1, "where", Type::Struct(StructType::new(vec![Arc::new(inner)])));
        let error = Columns::of_table("places", &schema(vec![nested])).expect_err("nested");
        assert!(error.to_string().contains("column `where`") && error.to_string().contains("table: places"), "{error}");
    }

    #[test]
    fn columns_are_found_by_id() {
        let of = |id, name: &str| NestedField::optional(id, name, Type::Primitive(PrimitiveType::Long));
        let columns = Columns::of_table("t", &schema(vec![of(7, "a"), of(3, "b")])).expect("flat");
        assert_eq!((columns.index_of_id(3), columns.index_of_id(7), columns.index_of_id(1)), (Some(1), Some(0), None));
        assert_eq!(columns.project(&[1]).ids(), [3]);
    }
}
