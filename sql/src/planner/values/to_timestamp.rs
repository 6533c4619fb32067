//! `to_timestamp` in microseconds: DataFusion's gives nanoseconds, which end in 1677 and 2262.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, plan_err};
use datafusion::functions::datetime::to_timestamp::ToTimestampMicrosFunc;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// The function. Numbers are seconds since 1970, as in PostgreSQL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ToTimestamp {
    signature: Signature,
    formats: ToTimestampMicrosFunc,
}

impl ToTimestamp {
    pub(crate) fn new() -> Self {
        ToTimestamp {
            signature: Signature::user_defined(Volatility::Immutable),
            formats: ToTimestampMicrosFunc::default(),
        }
    }
}

impl ScalarUDFImpl for ToTimestamp {
    fn name(&self) -> &str {
        "to_timestamp"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let Some((value, formats)) = arguments.split_first() else {
            return plan_err!("to_timestamp takes text, a time or seconds since 1970");
        };
        let value = match value {
            kind if kind.is_null() || matches!(kind, DataType::Timestamp(..)) => MICROS,
            DataType::Date32 | DataType::Date64 => MICROS,
            kind if kind.is_string() => kind.clone(),
            kind if kind.is_integer() => DataType::Int64,
            // Microseconds of all years 0001 to 9999 have 18 digits.
            kind if kind.is_decimal() => DataType::Decimal128(24, 6),
            kind if kind.is_floating() => DataType::Float64,
            other => return plan_err!("to_timestamp takes text, a time or seconds since 1970, not {other}"),
        };
        let mut coerced = vec![value];
        coerced.extend(formats.iter().cloned());
        Ok(coerced)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(MICROS)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = &args.args[0];
        match value.data_type() {
            MICROS => Ok(value.clone()),
            DataType::Int64 => {
                value.cast_to(&DataType::Timestamp(TimeUnit::Second, None), None)?.cast_to(&MICROS, None)
            }
            DataType::Decimal128(..) | DataType::Float64 => of_fractions(value),
            // The cast reads the years that the function does not.
            _ if args.args.len() == 1 => value.cast_to(&MICROS, None),
            _ => self.formats.invoke_with_args(args),
        }
    }
}

/// Reads seconds with a fraction; what is smaller than a microsecond is rounded.
fn of_fractions(seconds: &ColumnarValue) -> Result<ColumnarValue> {
    let array = seconds.to_array(1)?;
    let out_of_range = || exec_datafusion_err!("to_timestamp: so many seconds since 1970 are no timestamp");
    let micros: TimestampMicrosecondArray = match array.as_primitive_opt::<Decimal128Type>() {
        // Six places behind the point: the digits are microseconds.
        Some(decimals) => decimals.try_unary(|micros| i64::try_from(micros).map_err(|_| out_of_range()))?,
        None => array.as_primitive::<Float64Type>().try_unary(|seconds| {
            let micros = (seconds * 1e6).round();
            // 2^63; beyond it and for NaN there is no microsecond.
            if micros.abs() < 9_223_372_036_854_775_808.0 { Ok(micros as i64) } else { Err(out_of_range()) }
        })?,
    };
    let micros: ArrayRef = Arc::new(micros);
    Ok(match seconds {
        ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&micros, 0)?),
        ColumnarValue::Array(_) => ColumnarValue::Array(micros),
    })
}
