//! Windows that move, for sums of floats and for extremes.
//!
//! DataFusion subtracts the rows that leave the window, which floats do not undo: after `1e20` has passed, sums of small numbers
//! are zero, and after infinity all are NaN. Here nothing is subtracted: the window is kept in two parts. What all rows from
//! one on add up to is known for each row of the older part, which loses a row by forgetting one of these; the newer part
//! grows, and becomes the older one when that is empty. So each row is added twice, however wide the window.
//!
//! The least and greatest value are kept so, too: DataFusion's keep a value that has left when only nulls are in the window.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::correlation::corr_udaf;
use datafusion::functions_aggregate::covariance::{covar_pop_udaf, covar_samp_udaf};
use datafusion::functions_aggregate::regr::{
    regr_avgx_udaf, regr_avgy_udaf, regr_intercept_udaf, regr_r2_udaf, regr_slope_udaf, regr_sxx_udaf, regr_sxy_udaf,
    regr_syy_udaf,
};
use datafusion::functions_aggregate::stddev::{stddev_pop_udaf, stddev_udaf};
use datafusion::functions_aggregate::variance::{var_pop_udaf, var_samp_udaf};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::physical_expr::PhysicalExpr;

use super::carried::{Carried, Carrier};

/// Returns the aggregates that differ from DataFusion's only in windows that move.
pub(super) fn statistics() -> Vec<Arc<AggregateUDF>> {
    let plain = [
        stddev_udaf(),
        stddev_pop_udaf(),
        var_samp_udaf(),
        var_pop_udaf(),
        covar_samp_udaf(),
        covar_pop_udaf(),
        corr_udaf(),
        regr_avgx_udaf(),
        regr_avgy_udaf(),
        regr_intercept_udaf(),
        regr_r2_udaf(),
        regr_slope_udaf(),
        regr_sxx_udaf(),
        regr_sxy_udaf(),
        regr_syy_udaf(),
    ];
    plain.into_iter().map(|inner| Carried::udaf(inner, AsTheyAre)).collect()
}

/// Carries nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct AsTheyAre;

impl Carrier for AsTheyAre {
    const CARRIES_STATES: bool = false;
    // Not of floats, which `Carried` knows.
    const GIVES_BACK: bool = true;

    fn carries(&self, _: &DataType) -> Option<DataType> {
        None
    }

    fn enter(&self, values: &ArrayRef) -> Result<ArrayRef> {
        Ok(Arc::clone(values))
    }

    fn leave(&self, values: &ArrayRef, _: &DataType) -> Result<ArrayRef> {
        Ok(Arc::clone(values))
    }
}

/// What it takes to begin an aggregate anew.
#[derive(Debug)]
struct Beginning {
    function: Arc<AggregateUDF>,
    name: String,
    schema: Schema,
    return_field: FieldRef,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
}

impl Beginning {
    fn begin(&self) -> Result<Box<dyn Accumulator>> {
        self.function.accumulator(AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: &self.name,
            is_distinct: false,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        })
    }
}

/// An aggregate over a window that moves.
#[derive(Debug)]
pub(super) struct MovingWindow {
    beginning: Beginning,
    /// For each row of the older part, newest first: the state of that row and all of the part behind it.
    older: Vec<Vec<ScalarValue>>,
    /// The rows of the newer part, and their aggregate.
    newer: Vec<Vec<ArrayRef>>,
    newest: Box<dyn Accumulator>,
}

impl MovingWindow {
    /// Begins with an empty window.
    ///
    /// # Errors
    /// When `function` does not take the arguments.
    pub(super) fn begin(function: &Arc<AggregateUDF>, args: &AccumulatorArgs) -> Result<Self> {
        let beginning = Beginning {
            function: Arc::clone(function),
            name: args.name.to_owned(),
            schema: args.schema.clone(),
            return_field: Arc::clone(&args.return_field),
            exprs: args.exprs.to_vec(),
            expr_fields: args.expr_fields.to_vec(),
        };
        let newest = beginning.begin()?;
        Ok(MovingWindow { beginning, older: Vec::new(), newer: Vec::new(), newest })
    }

    /// Makes the newer part the older one.
    fn turn(&mut self) -> Result<()> {
        let mut from_here = self.beginning.begin()?;
        for row in self.newer.drain(..).rev() {
            from_here.update_batch(&row)?;
            self.older.push(from_here.state()?);
        }
        self.newest = self.beginning.begin()?;
        Ok(())
    }

    fn whole(&mut self) -> Result<Box<dyn Accumulator>> {
        let mut whole = self.beginning.begin()?;
        if let Some(older) = self.older.last() {
            whole.merge_batch(&arrays(older)?)?;
        }
        whole.merge_batch(&arrays(&self.newest.state()?)?)?;
        Ok(whole)
    }
}

fn arrays(state: &[ScalarValue]) -> Result<Vec<ArrayRef>> {
    state.iter().map(ScalarValue::to_array).collect()
}

impl Accumulator for MovingWindow {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |values| values.len());
        self.newer.extend((0..rows).map(|row| values.iter().map(|values| values.slice(row, 1)).collect()));
        self.newest.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for _ in 0..values.first().map_or(0, |values| values.len()) {
            if self.older.is_empty() {
                self.turn()?;
            }
            self.older.pop();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.older.is_empty() { self.newest.evaluate() } else { self.whole()?.evaluate() }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.whole()?.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.newest.merge_batch(states)
    }

    fn size(&self) -> usize {
        let row = size_of::<Vec<ScalarValue>>() + size_of::<ScalarValue>() * 2;
        size_of_val(self) + self.older.len() * row + self.newer.len() * row + self.newest.size()
    }
}
