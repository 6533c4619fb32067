//! `to_char` for all years: DataFusion's asks for nanoseconds before it formats.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::functions::datetime::to_char::ToCharFunc;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ToChar {
    signature: Signature,
    aliases: Vec<String>,
    formats: ToCharFunc,
}

impl ToChar {
    pub(crate) fn new() -> Self {
        ToChar {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["date_format".to_owned()],
            formats: ToCharFunc::new(),
        }
    }
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        "to_char"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [time, format] = arguments else {
            return plan_err!("to_char takes a time and a format");
        };
        if !format.is_string() && !format.is_null() {
            return plan_err!("to_char takes the format as text, as in to_char(event_time, '%Y-%m-%d')");
        }
        let time = match time {
            time if time.is_temporal() => time.clone(),
            time if time.is_string() || time.is_null() => DataType::Timestamp(TimeUnit::Microsecond, None),
            other => return plan_err!("to_char formats times, not {other}: cast it with CAST(… AS TEXT)"),
        };
        Ok(vec![time, DataType::Utf8])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.formats.return_type(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.formats.invoke_with_args(args)
    }
}
