//! Aggregates that are computed in another type than the one they give.
//!
//! A [`Carrier`] says in which type: sums of integers in one that cannot overflow, least and greatest floats in one that
//! orders all of them. The aggregate itself stays DataFusion's, so that grouping, windows, `DISTINCT` and spilling work.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use super::windows::MovingWindow;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};

/// In which type an aggregate is computed, and the way there and back.
pub(super) trait Carrier: Debug + Clone + PartialEq + Eq + Hash + Send + Sync + 'static {
    /// Whether states stay in the type to compute in; else they are in that of the result.
    const CARRIES_STATES: bool;

    /// Whether DataFusion's own aggregate rightly gives back rows that leave a window; else the window is kept.
    const GIVES_BACK: bool;

    /// Returns the type to compute in for a result of type `result`; `None` to leave it alone.
    fn carries(&self, result: &DataType) -> Option<DataType>;

    /// Returns the type in which an argument of type `argument` enters. That of the aggregate's states, where states are in it.
    fn argument(&self, argument: &DataType) -> DataType {
        argument.clone()
    }

    /// Brings arguments into the type to compute in.
    ///
    /// # Errors
    /// When they are not of a type that is carried.
    fn enter(&self, values: &ArrayRef) -> Result<ArrayRef>;

    /// Brings results into type `result`.
    ///
    /// # Errors
    /// When one does not fit.
    fn leave(&self, values: &ArrayRef, result: &DataType) -> Result<ArrayRef>;
}

/// `inner`, computed in the type that `carrier` says.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Carried<C: Carrier> {
    inner: Arc<AggregateUDF>,
    carrier: C,
}

impl<C: Carrier> Carried<C> {
    pub(super) fn udaf(inner: Arc<AggregateUDF>, carrier: C) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::from(Carried { inner, carrier }))
    }

    fn carries(&self, result: &FieldRef) -> bool {
        self.carrier.carries(result.data_type()).is_some()
    }

    fn field(&self, result: &FieldRef) -> Option<FieldRef> {
        let kind = self.carrier.carries(result.data_type())?;
        Some(Arc::new(Field::new(result.name(), kind, true)))
    }

    fn arguments(&self, fields: &[FieldRef]) -> Vec<FieldRef> {
        let carried = |field: &FieldRef| match self.carrier.argument(field.data_type()) {
            kind if kind == *field.data_type() => Arc::clone(field),
            kind => Arc::new(Field::new(field.name(), kind, field.is_nullable())),
        };
        fields.iter().map(carried).collect()
    }

    /// Shows `make` the aggregate in the type to compute in.
    fn inner<T>(&self, args: AccumulatorArgs, make: impl FnOnce(AccumulatorArgs) -> Result<T>) -> Result<T> {
        let Some(return_field) = self.field(&args.return_field) else { return make(args) };
        let expr_fields = self.arguments(args.expr_fields);
        make(AccumulatorArgs { return_field, expr_fields: &expr_fields, ..args })
    }

    /// Returns the way back for a result that is carried.
    fn way(&self, result: &FieldRef) -> Option<Way<C>> {
        let kind = result.data_type();
        self.carrier.carries(kind).map(|_| Way { carrier: self.carrier.clone(), result: kind.clone() })
    }

    fn carry(&self, way: Option<Way<C>>, inner: Box<dyn Accumulator>) -> Box<dyn Accumulator> {
        match way {
            Some(way) => Box::new(CarriedAccumulator { way, inner }),
            None => inner,
        }
    }
}

impl<C: Carrier> AggregateUDFImpl for Carried<C> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.inner.return_type(args)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let way = self.way(&args.return_field);
        Ok(self.carry(way, self.inner(args, |args| self.inner.accumulator(args))?))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            // DataFusion's for `DISTINCT` counts what stands in the place of nulls; without one it is refused.
            return self.accumulator(args);
        }
        let way = self.way(&args.return_field);
        if !C::GIVES_BACK || (args.return_field.data_type().is_floating() && !self.carries(&args.return_field)) {
            let window = self.inner(args, |args| MovingWindow::begin(&self.inner, &args))?;
            return Ok(self.carry(way, Box::new(window)));
        }
        Ok(self.carry(way, self.inner(args, |args| self.inner.create_sliding_accumulator(args))?))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        match self.field(&args.return_field).filter(|_| C::CARRIES_STATES) {
            Some(return_field) => {
                let input_fields = self.arguments(args.input_fields);
                self.inner.state_fields(StateFieldsArgs { return_field, input_fields: &input_fields, ..args })
            }
            None => self.inner.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner(args, |args| Ok(self.inner.groups_accumulator_supported(args))).is_ok_and(|supported| supported)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let way = self.way(&args.return_field);
        let inner = self.inner(args, |args| self.inner.create_groups_accumulator(args))?;
        Ok(match way {
            Some(way) => Box::new(CarriedGroups { way, inner }),
            None => inner,
        })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.inner().order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.inner().reverse_expr()
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.inner.value_from_stats(args)
    }

    fn default_value(&self, kind: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(kind)
    }

    fn set_monotonicity(&self, kind: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(kind)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// The way of values into the type to compute in, and back into that of the result.
#[derive(Debug)]
struct Way<C> {
    carrier: C,
    result: DataType,
}

impl<C: Carrier> Way<C> {
    fn enter(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        values.iter().map(|values| self.carrier.enter(values)).collect()
    }

    fn leave(&self, values: &ArrayRef) -> Result<ArrayRef> {
        self.carrier.leave(values, &self.result)
    }

    fn leave_scalar(&self, value: &ScalarValue) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.leave(&value.to_array()?)?, 0)
    }

    fn enter_states(&self, states: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        if C::CARRIES_STATES { Ok(states.to_vec()) } else { self.enter(states) }
    }

    fn leave_states(&self, states: Vec<ArrayRef>) -> Result<Vec<ArrayRef>> {
        if C::CARRIES_STATES { Ok(states) } else { states.iter().map(|state| self.leave(state)).collect() }
    }
}

#[derive(Debug)]
struct CarriedAccumulator<C> {
    way: Way<C>,
    inner: Box<dyn Accumulator>,
}

impl<C: Carrier> Accumulator for CarriedAccumulator<C> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&self.way.enter(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&self.way.enter(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.inner.evaluate()?;
        self.way.leave_scalar(&value)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.inner.state()?;
        if C::CARRIES_STATES { Ok(states) } else { states.iter().map(|state| self.way.leave_scalar(state)).collect() }
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(&self.way.enter_states(states)?)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }
}

struct CarriedGroups<C> {
    way: Way<C>,
    inner: Box<dyn GroupsAccumulator>,
}

impl<C: Carrier> GroupsAccumulator for CarriedGroups<C> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner.update_batch(&self.way.enter(values)?, groups, filter, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let values = self.inner.evaluate(emit_to)?;
        self.way.leave(&values)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let states = self.inner.state(emit_to)?;
        self.way.leave_states(states)
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner.merge_batch(&self.way.enter_states(states)?, groups, filter, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.way.leave_states(self.inner.convert_to_state(&self.way.enter(values)?, filter)?)
    }

    fn supports_convert_to_state(&self) -> bool {
        self.inner.supports_convert_to_state()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
