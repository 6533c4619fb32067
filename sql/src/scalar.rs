//! Iceberg's single values (bounds, partition values) as DataFusion's.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use iceberg::spec::PrimitiveLiteral;

/// Returns the value in the Arrow type of a column, `None` when it does not fit: an unfitting bound is no bound.
///
/// The value may have been written before the column was promoted (int to long, float to double, wider decimal).
pub(crate) fn scalar(value: &PrimitiveLiteral, kind: &DataType) -> Option<ScalarValue> {
    use PrimitiveLiteral as P;
    Some(match (value, kind) {
        (P::Boolean(v), DataType::Boolean) => ScalarValue::Boolean(Some(*v)),
        (P::Int(v), DataType::Int32) => ScalarValue::Int32(Some(*v)),
        (P::Int(v), DataType::Int64) => ScalarValue::Int64(Some(i64::from(*v))),
        (P::Long(v), DataType::Int64) => ScalarValue::Int64(Some(*v)),
        (P::Int(v), DataType::Date32) => ScalarValue::Date32(Some(*v)),
        (P::Long(v), DataType::Time64(TimeUnit::Microsecond)) => ScalarValue::Time64Microsecond(Some(*v)),
        (P::Long(v), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            ScalarValue::TimestampMicrosecond(Some(*v), zone.clone())
        }
        (P::Float(v), DataType::Float32) => ScalarValue::Float32(Some(v.0)),
        (P::Float(v), DataType::Float64) => ScalarValue::Float64(Some(f64::from(v.0))),
        (P::Double(v), DataType::Float64) => ScalarValue::Float64(Some(v.0)),
        (P::String(v), DataType::Utf8View) => ScalarValue::Utf8View(Some(v.clone())),
        (P::Binary(v), DataType::BinaryView) => ScalarValue::BinaryView(Some(v.clone())),
        (P::Binary(v), DataType::FixedSizeBinary(length)) if v.len() == usize::try_from(*length).ok()? => {
            ScalarValue::FixedSizeBinary(*length, Some(v.clone()))
        }
        (P::UInt128(v), DataType::FixedSizeBinary(16)) => {
            ScalarValue::FixedSizeBinary(16, Some(v.to_be_bytes().to_vec()))
        }
        (P::Int128(v), DataType::Decimal128(precision, scale)) => ScalarValue::Decimal128(Some(*v), *precision, *scale),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use iceberg::spec::Datum;

    use super::*;

    #[test]
    fn values_take_the_type_of_the_column() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        for (datum, kind, expected) in [
            (Datum::int(7), DataType::Int32, ScalarValue::Int32(Some(7))),
            (Datum::int(7), DataType::Int64, ScalarValue::Int64(Some(7))),
            (Datum::float(0.5f32), DataType::Float64, ScalarValue::Float64(Some(0.5))),
            (Datum::date(3), DataType::Date32, ScalarValue::Date32(Some(3))),
            (Datum::timestamptz_micros(9), utc, ScalarValue::TimestampMicrosecond(Some(9), Some("+00:00".into()))),
            (Datum::string("x"), DataType::Utf8View, ScalarValue::Utf8View(Some("x".into()))),
        ] {
            assert_eq!(scalar(datum.literal(), &kind), Some(expected));
        }
    }

    #[test]
    fn an_unfitting_value_is_no_value() {
        assert_eq!(scalar(Datum::string("x").literal(), &DataType::Int32), None);
        assert_eq!(scalar(Datum::long(1).literal(), &DataType::Int32), None);
    }
}
