//! Functions that are computed row by row from text, bytes and whole numbers: NULL where an argument is NULL.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use icefold_core::Error;

use crate::error::external;

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    Text,
    /// Text counts as the bytes of its UTF-8.
    Bytes,
    Whole,
}

/// A function of this kind.
pub(super) trait RowFunction: Debug + Copy + Eq + Hash + Send + Sync + 'static {
    fn name(self) -> &'static str;

    /// Returns what it takes, and how many arguments there must be at least.
    fn takes(self) -> (&'static [Argument], usize);

    fn gives(self) -> DataType;

    /// What it takes in words, and a call.
    fn usage(self) -> &'static str;

    /// Computes all rows, of the type that it gives.
    ///
    /// # Errors
    /// For values that have no answer, with what is wrong about them.
    fn compute(self, rows: &Rows) -> Result<ArrayRef>;
}

/// Makes functions for a session.
pub(super) fn functions<F: RowFunction>(all: &[F]) -> Vec<Arc<ScalarUDF>> {
    let signature = Signature::user_defined(Volatility::Immutable);
    all.iter().map(|f| Arc::new(ScalarUDF::from(ByRow { function: *f, signature: signature.clone() }))).collect()
}

/// The arguments of some rows.
pub(super) struct Rows {
    args: Vec<ArrayRef>,
    count: usize,
}

impl Rows {
    /// Computes each row that has all arguments.
    ///
    /// # Errors
    /// Those of `of`.
    pub(super) fn map<T, C: FromIterator<Option<T>>>(
        &self,
        mut of: impl FnMut(&Self, usize) -> Result<Option<T>>,
    ) -> Result<C> {
        let is_whole = |row: usize| self.args.iter().all(|arg| arg.is_valid(row));
        (0..self.count).map(|row| if is_whole(row) { of(self, row) } else { Ok(None) }).collect()
    }

    pub(super) fn has(&self, arg: usize) -> bool {
        arg < self.args.len()
    }

    pub(super) fn text(&self, arg: usize, row: usize) -> &str {
        self.args[arg].as_string::<i32>().value(row)
    }

    pub(super) fn bytes(&self, arg: usize, row: usize) -> &[u8] {
        self.args[arg].as_binary::<i32>().value(row)
    }

    pub(super) fn whole(&self, arg: usize, row: usize) -> i64 {
        self.args[arg].as_primitive::<Int64Type>().value(row)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ByRow<F: RowFunction> {
    function: F,
    signature: Signature,
}

impl<F: RowFunction> ScalarUDFImpl for ByRow<F> {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(coerced(self.function, given).unwrap_or_else(|| given.to_vec()))
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        // Here and not in `coerce_types`, whose errors DataFusion wraps in words of its own.
        coerced(self.function, given).ok_or_else(|| external(misused(self.function, given)))?;
        Ok(self.function.gives())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let count = if all_scalar { 1 } else { args.number_rows };
        let array = |(arg, kind): (&ColumnarValue, &Argument)| -> Result<ArrayRef> {
            Ok(cast(&arg.to_array(count)?, &stored(*kind))?)
        };
        let arrays = args.args.iter().zip(self.function.takes().0).map(array).collect::<Result<_>>()?;
        let answers = self.function.compute(&Rows { args: arrays, count })?;
        Ok(match all_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?),
            false => answers.into(),
        })
    }
}

/// Returns the types as which a function takes arguments of these types, `None` if it does not.
fn coerced<F: RowFunction>(function: F, given: &[DataType]) -> Option<Vec<DataType>> {
    let (takes, least) = function.takes();
    let as_argument = |(given, wanted): (&DataType, &Argument)| match wanted {
        Argument::Text if given.is_string() || given.is_null() => Some(DataType::Utf8),
        Argument::Bytes if given.is_string() || given.is_null() => Some(DataType::Utf8),
        Argument::Bytes if given.is_binary() => Some(DataType::Binary),
        Argument::Whole if given.is_integer() || given.is_null() => Some(DataType::Int64),
        _ => None,
    };
    let coerced: Option<Vec<_>> = given.iter().zip(takes).map(as_argument).collect();
    coerced.filter(|_| (least..=takes.len()).contains(&given.len()))
}

/// Returns the type in which [`Rows`] holds an argument.
fn stored(kind: Argument) -> DataType {
    match kind {
        Argument::Text => DataType::Utf8,
        Argument::Bytes => DataType::Binary,
        Argument::Whole => DataType::Int64,
    }
}

fn misused<F: RowFunction>(function: F, given: &[DataType]) -> Error {
    let given: Vec<_> = given.iter().map(ToString::to_string).collect();
    Error::invalid(format!("`{}` takes {}, not ({})", function.name(), function.usage(), given.join(", ")))
}
