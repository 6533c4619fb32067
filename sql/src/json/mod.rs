//! JSON in SQL: `->`, `->>`, `?`, and the functions of Athena, Redshift, Spark, DuckDB and PostgreSQL by their names.
//!
//! JSON is text here. What is not there, is JSON's null or stands in a text that is no JSON is NULL, never an error. Numbers keep
//! their digits.

mod find;
mod path;

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use icefold_core::Error;

use crate::error::external;
use find::{find, items, size};
use path::Step;

/// Name of the function behind `->`.
pub(crate) const GET: &str = "json_get";

/// Name of the function behind `->>`.
pub(crate) const TEXT: &str = "json_as_text";

/// Name of the function behind `?`.
pub(crate) const HAS: &str = "json_has_key";

/// What a function makes of the value that it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Answer {
    /// Its JSON text.
    Json,
    /// Strings without quotes, all else as JSON text; null is NULL.
    Text,
    /// As `Text`, but NULL for objects and arrays.
    Scalar,
    /// Strings only.
    String,
    /// Whole numbers that fit 64 bits.
    Integer,
    /// Numbers.
    Float,
    /// `true` and `false`.
    Boolean,
    /// Number of elements, of arrays only.
    Length,
    /// Number of elements of arrays and members of objects, 0 for anything else.
    Size,
    /// Whether there is one; NULL for what is no JSON.
    IsThere,
    /// Whether the text is JSON.
    IsJson,
}

/// How a function is told where the value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// By keys and numbers, an argument each; at least as many as this.
    Steps(usize),
    /// By a JSON path.
    Path,
    /// By a JSON path or not at all.
    MaybePath,
    /// It is the whole text.
    Whole,
}

const FUNCTIONS: &[(&str, &[&str], Answer, Place)] = &[
    (GET, &["json_get_json"], Answer::Json, Place::Steps(1)),
    (TEXT, &["json_extract_path_text"], Answer::Text, Place::Steps(1)),
    (HAS, &[], Answer::IsThere, Place::Steps(1)),
    ("json_get_str", &[], Answer::String, Place::Steps(1)),
    ("json_get_int", &[], Answer::Integer, Place::Steps(1)),
    ("json_get_float", &[], Answer::Float, Place::Steps(1)),
    ("json_get_bool", &[], Answer::Boolean, Place::Steps(1)),
    ("json_array_get", &[], Answer::Json, Place::Steps(1)),
    ("json_extract_array_element_text", &[], Answer::Text, Place::Steps(1)),
    ("json_extract", &[], Answer::Json, Place::Path),
    ("json_extract_scalar", &[], Answer::Scalar, Place::Path),
    ("get_json_object", &["json_extract_string"], Answer::Text, Place::Path),
    ("json_exists", &[], Answer::IsThere, Place::Path),
    ("json_array_length", &[], Answer::Length, Place::MaybePath),
    ("json_size", &[], Answer::Size, Place::Path),
    ("json_parse", &["json_format"], Answer::Json, Place::Whole),
    ("json_valid", &["is_valid_json"], Answer::IsJson, Place::Whole),
];

/// Returns all functions over JSON.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let function = |(name, aliases, answer, place): &(&'static str, &'static [&'static str], _, _)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        Arc::new(ScalarUDF::from(JsonFunction { name, aliases, answer: *answer, place: *place, signature }))
    };
    FUNCTIONS.iter().map(function).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonFunction {
    name: &'static str,
    aliases: Vec<String>,
    answer: Answer,
    place: Place,
    signature: Signature,
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        // Here and not in `coerce_types`, whose errors DataFusion wraps in words of its own.
        self.takes(given).ok_or_else(|| external(self.misused()))?;
        Ok(match self.answer {
            Answer::Json | Answer::Text | Answer::Scalar | Answer::String => DataType::Utf8,
            Answer::Integer | Answer::Length | Answer::Size => DataType::Int64,
            Answer::Float => DataType::Float64,
            Answer::Boolean | Answer::IsThere | Answer::IsJson => DataType::Boolean,
        })
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.takes(given).unwrap_or_else(|| given.to_vec()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_scalar { 1 } else { args.number_rows };
        let fixed = args.args[1..].iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays: Vec<ArrayRef> = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let json = cast(&arrays[0], &DataType::Utf8)?;
        let json = json.as_string::<i32>();
        let mut steps = Vec::with_capacity(rows);
        for row in 0..if fixed { rows.min(1) } else { rows } {
            steps.push(self.steps(&arrays[1..], row)?);
        }
        let value = |row: usize| -> Option<(&str, &[Step])> {
            let steps = if fixed { steps.first() } else { steps.get(row) };
            Some((json.is_valid(row).then(|| json.value(row))?, steps?.as_deref()?))
        };
        let answers = self.answer.of((0..rows).map(value));
        if all_scalar {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?))
        } else {
            Ok(answers.into())
        }
    }
}

impl JsonFunction {
    /// Returns the types as which it takes arguments of these types, `None` if it does not.
    fn takes(&self, given: &[DataType]) -> Option<Vec<DataType>> {
        let (least, most) = match self.place {
            Place::Steps(least) => (least + 1, usize::MAX),
            Place::Path => (2, 2),
            Place::MaybePath => (1, 2),
            Place::Whole => (1, 1),
        };
        let by_number = matches!(self.place, Place::Steps(_));
        let wanted = |(place, kind): (usize, &DataType)| match kind {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Some(DataType::Utf8),
            kind if kind.is_integer() && place > 0 && by_number => Some(DataType::Int64),
            _ => None,
        };
        let wanted: Option<Vec<_>> = given.iter().enumerate().map(wanted).collect();
        wanted.filter(|_| (least..=most).contains(&given.len()))
    }

    /// Returns the steps of a row, `None` when one of them is NULL.
    fn steps(&self, places: &[ArrayRef], row: usize) -> Result<Option<Vec<Step>>> {
        if places.iter().any(|place| place.is_null(row)) {
            return Ok(None);
        }
        let step = |place: &ArrayRef| match place.data_type() {
            DataType::Int64 => Step::Index(place.as_primitive::<Int64Type>().value(row)),
            _ => Step::Key(place.as_string::<i32>().value(row).to_owned()),
        };
        match (self.place, places) {
            (Place::Path | Place::MaybePath, [path]) => {
                path::parse(path.as_string::<i32>().value(row)).map(Some).map_err(external)
            }
            _ => Ok(Some(places.iter().map(step).collect())),
        }
    }

    fn misused(&self) -> Error {
        let example = match self.place {
            Place::Steps(_) => "properties, 'cart', 'total'",
            Place::Path | Place::MaybePath => "properties, '$.cart.items[0]'",
            Place::Whole => "properties",
        };
        let operator = match self.name {
            GET => " (behind `->`)",
            TEXT => " (behind `->>`)",
            HAS => " (behind `?`)",
            _ => "",
        };
        Error::invalid(format!(
            "`{0}`{operator} takes JSON as text and where to look, for example {0}({example})",
            self.name
        ))
    }
}

impl Answer {
    fn of<'a>(self, values: impl Iterator<Item = Option<(&'a str, &'a [Step])>>) -> ArrayRef {
        let found = |value: Option<(&'a str, &'a [Step])>| value.and_then(|(json, steps)| find(json, steps));
        let is_json = |value: Option<(&'a str, &'a [Step])>| value.map(|(json, _)| find(json, &[]).is_some());
        match self {
            Answer::Json => Arc::new(StringArray::from_iter(values.map(found))),
            Answer::Text => Arc::new(StringArray::from_iter(values.map(|v| text(found(v)?)))),
            Answer::Scalar => {
                Arc::new(StringArray::from_iter(values.map(|v| text(found(v).filter(|v| !v.starts_with(['{', '[']))?))))
            }
            Answer::String => {
                Arc::new(StringArray::from_iter(values.map(|v| text(found(v).filter(|v| v.starts_with('"'))?))))
            }
            Answer::Integer => Arc::new(Int64Array::from_iter(values.map(|v| found(v)?.parse().ok()))),
            Answer::Float => Arc::new(Float64Array::from_iter(values.map(|v| float(found(v)?)))),
            Answer::Boolean => Arc::new(BooleanArray::from_iter(values.map(|v| found(v)?.parse().ok()))),
            Answer::Length => {
                Arc::new(Int64Array::from_iter(values.map(|v| i64::try_from(items(found(v)?)?.len()).ok())))
            }
            Answer::Size => Arc::new(Int64Array::from_iter(values.map(|v| i64::try_from(size(found(v)?)?).ok()))),
            Answer::IsThere => {
                Arc::new(BooleanArray::from_iter(values.map(|v| is_json(v)?.then(|| found(v).is_some()))))
            }
            Answer::IsJson => Arc::new(BooleanArray::from_iter(values.map(is_json))),
        }
    }
}

/// Takes strings out of their quotes; null is nothing.
fn text(value: &str) -> Option<String> {
    match value.as_bytes().first()? {
        b'n' => None,
        b'"' => serde_json::from_str(value).ok(),
        _ => Some(value.to_owned()),
    }
}

/// Reads a number; one that is too large for a double is nothing.
fn float(value: &str) -> Option<f64> {
    let is_number = value.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    value.parse().ok().filter(|number: &f64| is_number && number.is_finite())
}
