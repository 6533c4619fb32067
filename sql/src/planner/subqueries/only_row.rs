//! The value of a query that must have one row.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// `only_row(value, rows)`: the value, or an error where there are several rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct OnlyRow {
    signature: Signature,
}

impl OnlyRow {
    pub(super) fn new() -> Self {
        OnlyRow { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for OnlyRow {
    fn name(&self) -> &str {
        "only_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.args[1].to_array(args.number_rows)?;
        if rows.as_primitive::<Int64Type>().iter().flatten().any(|rows| rows > 1) {
            return exec_err!(
                "a query in the place of a value has more than one row: add ORDER BY … LIMIT 1, or take max(…) or array_agg(…) of it"
            );
        }
        Ok(args.args[0].clone())
    }
}
