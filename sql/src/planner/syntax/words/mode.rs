//! `mode(x)`: the value that most rows have. NULL does not count; of several the least is taken, so that the answer does not depend on
//! the order of rows.

use std::collections::HashMap;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

/// Returns the function.
pub(super) fn mode() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(Mode { signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mode {
    signature: Signature,
}

impl AggregateUDFImpl for Mode {
    fn name(&self) -> &str {
        "mode"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [kind] if !kind.is_nested() => Ok(vec![kind.clone()]),
            _ => plan_err!("`mode` takes one column of numbers, text, times or booleans: mode(country)"),
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [kind] => Ok(kind.clone()),
            _ => internal_err!("`mode` has one argument"),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Counts { kind: args.return_field.data_type().clone(), counts: HashMap::new(), bytes: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |name: &str, kind: DataType| {
            let items = Arc::new(Field::new_list_field(kind, true));
            Arc::new(Field::new(format!("{}[{name}]", args.name), DataType::List(items), true))
        };
        Ok(vec![list("values", args.return_field.data_type().clone()), list("counts", DataType::Int64)])
    }
}

/// How many rows have each value.
#[derive(Debug)]
struct Counts {
    kind: DataType,
    counts: HashMap<ScalarValue, i64>,
    /// Of the values, beyond the map.
    bytes: usize,
}

impl Counts {
    fn add(&mut self, value: ScalarValue, rows: i64) {
        if let Some(count) = self.counts.get_mut(&value) {
            *count += rows;
        } else {
            self.bytes += value.size() - size_of_val(&value);
            self.counts.insert(value, rows);
        }
    }
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else { return internal_err!("`mode` has one argument") };
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            // Compacted: a value must not keep the whole batch.
            self.add(ScalarValue::try_from_array(values, row)?.compacted(), 1);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts] = states else { return internal_err!("`mode` has a state of two lists") };
        let (values, counts) = (values.as_list::<i32>(), counts.as_list::<i32>());
        for state in 0..values.len() {
            let (values, counts) = (values.value(state), counts.value(state));
            let counts = counts.as_primitive::<Int64Type>();
            for place in 0..values.len() {
                self.add(ScalarValue::try_from_array(&values, place)?.compacted(), counts.value(place));
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (values, counts): (Vec<_>, Vec<_>) =
            self.counts.iter().map(|(value, count)| (value.clone(), ScalarValue::Int64(Some(*count)))).unzip();
        let values = ScalarValue::new_list_nullable(&values, &self.kind);
        Ok(vec![
            ScalarValue::List(values),
            ScalarValue::List(ScalarValue::new_list_nullable(&counts, &DataType::Int64)),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut best: Option<(&ScalarValue, i64)> = None;
        for (value, count) in &self.counts {
            let wins = best.is_none_or(|(found, most)| *count > most || (*count == most && value < found));
            if wins {
                best = Some((value, *count));
            }
        }
        best.map_or_else(|| ScalarValue::try_from(&self.kind), |(value, _)| Ok(value.clone()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * size_of::<(ScalarValue, i64)>() + self.bytes
    }
}
