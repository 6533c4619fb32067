//! Growing columns of properties that contracts promote. Most events have few of them, so nulls are filled in late.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder,
    TimestampMicrosecondBuilder,
};
use icefold_core::contract::{ColumnKind, PromotedColumn, Scalar};

use super::promise::Promoted;
use super::scanner::Kind;
use super::text::unescape;

/// The columns in the order of the contracts'.
#[derive(Default)]
pub(super) struct PromotedColumns(Vec<(String, Values)>);

enum Values {
    Text(BinaryBuilder),
    Long(Int64Builder),
    Double(Float64Builder),
    Boolean(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
}

/// Runs the same code for whichever builder it is.
macro_rules! each {
    ($values:expr, $builder:ident => $code:expr) => {
        match $values {
            Values::Text($builder) => $code,
            Values::Long($builder) => $code,
            Values::Double($builder) => $code,
            Values::Boolean($builder) => $code,
            Values::Timestamp($builder) => $code,
            Values::Date($builder) => $code,
        }
    };
}

impl PromotedColumns {
    pub(super) fn new(columns: &[PromotedColumn]) -> Self {
        PromotedColumns(columns.iter().map(|column| (column.name.clone(), Values::of(column.kind))).collect())
    }

    /// Adds the values of the event at `row`. Of a property that stands twice the last one counts.
    pub(super) fn push(&mut self, bytes: &[u8], row: usize, promoted: &[Promoted]) {
        for (place, value) in promoted.iter().enumerate() {
            let again = promoted[place + 1..].iter().any(|later| later.column == value.column);
            if let (Some((_, values)), false) = (self.0.get_mut(value.column), again) {
                values.fill(row);
                values.push(bytes, value);
            }
        }
    }

    /// Returns columns of `rows` rows with their names and leaves empty ones.
    pub(super) fn finish(&mut self, rows: usize) -> Vec<(String, ArrayRef)> {
        let finish = |(name, values): &mut (String, Values)| {
            values.fill(rows);
            (name.clone(), values.finish())
        };
        self.0.iter_mut().map(finish).collect()
    }
}

impl Values {
    fn of(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::String => Values::Text(BinaryBuilder::new()),
            ColumnKind::Long => Values::Long(Int64Builder::new()),
            ColumnKind::Double => Values::Double(Float64Builder::new()),
            ColumnKind::Boolean => Values::Boolean(BooleanBuilder::new()),
            ColumnKind::Timestamp => Values::Timestamp(TimestampMicrosecondBuilder::new()),
            ColumnKind::Date => Values::Date(Date32Builder::new()),
        }
    }

    /// Adds nulls until there are `rows` values.
    fn fill(&mut self, rows: usize) {
        each!(self, builder => (builder.len()..rows).for_each(|_| builder.append_null()));
    }

    /// Adds a value; the rules have made sure that it is of the column's type.
    fn push(&mut self, bytes: &[u8], promoted: &Promoted) {
        match (self, promoted.scalar) {
            (Values::Long(column), Scalar::Long(number)) => column.append_value(number),
            (Values::Double(column), Scalar::Double(number)) => column.append_value(number),
            (Values::Double(column), Scalar::Long(number)) => column.append_value(number as f64),
            (Values::Boolean(column), Scalar::Boolean(truth)) => column.append_value(truth),
            (Values::Timestamp(column), Scalar::Micros(micros)) => column.append_value(micros),
            (Values::Date(column), Scalar::Days(days)) => column.append_value(days),
            (Values::Text(column), _) if promoted.value.kind == Kind::Text => {
                column.append_value(promoted.value.span.of(bytes));
            }
            (Values::Text(column), _) if promoted.value.kind == Kind::EscapedText => {
                let mut text = Vec::new();
                unescape(promoted.value.span.of(bytes), &mut text);
                column.append_value(text);
            }
            // A text with U+0000 has no column that every reader can read; it stays in `properties`.
            (values, _) => each!(values, builder => builder.append_null()),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Values::Text(column) => Arc::new(column.finish()),
            Values::Long(column) => Arc::new(column.finish()),
            Values::Double(column) => Arc::new(column.finish()),
            Values::Boolean(column) => Arc::new(column.finish()),
            Values::Timestamp(column) => Arc::new(column.finish().with_timezone("+00:00")),
            Values::Date(column) => Arc::new(column.finish()),
        }
    }
}
