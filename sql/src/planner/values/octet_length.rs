//! `octet_length` of bytes too: DataFusion's knows only text.

use arrow::array::{Array, AsArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct OctetLength {
    signature: Signature,
}

impl OctetLength {
    pub(crate) fn new() -> Self {
        OctetLength { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for OctetLength {
    fn name(&self) -> &str {
        "octet_length"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [kind] if kind.is_string() || kind.is_null() => Ok(vec![DataType::Utf8View]),
            [kind] if kind.is_binary() => Ok(vec![DataType::BinaryView]),
            [other] => plan_err!("octet_length takes text or bytes, not {other}: cast it with CAST(… AS TEXT)"),
            _ => plan_err!("octet_length takes one argument"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(1)?;
        let lengths: Int64Array = match array.data_type() {
            DataType::BinaryView => array.as_binary_view().iter().map(|bytes| bytes.map(|b| b.len() as i64)).collect(),
            _ => array.as_string_view().iter().map(|text| text.map(|t| t.len() as i64)).collect(),
        };
        Ok(match args.args[0] {
            ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&lengths, 0)?),
            ColumnarValue::Array(_) => ColumnarValue::Array(std::sync::Arc::new(lengths)),
        })
    }
}
