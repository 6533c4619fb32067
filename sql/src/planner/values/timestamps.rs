//! Timestamps have microseconds, as those of the tables.
//!
//! DataFusion has timestamps of four units and takes the coarser when two meet, so that digits are cut: a column of microseconds
//! next to `to_timestamp_seconds(…)` has whole seconds. Its default, which it also makes of a date or text next to a time, is
//! nanoseconds, which end in the years 1677 and 2262. Here all that a query makes is in microseconds, which reach further than any
//! calendar: what types, casts and functions give, before the rule that makes implicit casts, and what that rule makes, behind it.
//! `arrow_cast` to another unit is refused.

use std::cell::Cell;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, DFSchemaRef, Result, ScalarValue, exec_datafusion_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, ColumnarValue, Documentation, Expr, ExprSchemable, LogicalPlan, Operator,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast, Union, Values,
};
use datafusion::optimizer::AnalyzerRule;

use crate::planner::rewrite;

/// Functions of DataFusion that give timestamps of another unit.
pub(super) const OTHER_UNITS: [&str; 5] =
    ["now", "from_unixtime", "to_timestamp_seconds", "to_timestamp_millis", "to_timestamp_nanos"];

fn micros(zone: Option<Arc<str>>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zone)
}

/// Returns `kind` with microseconds, also in lists; `None` if it has no timestamps of another unit.
fn in_micros(kind: &DataType) -> Option<DataType> {
    let of_field = |field: &FieldRef| micro_field(field).map(Arc::new);
    match kind {
        DataType::Timestamp(TimeUnit::Microsecond, _) => None,
        DataType::Timestamp(_, zone) => Some(micros(zone.clone())),
        DataType::List(field) => of_field(field).map(DataType::List),
        DataType::LargeList(field) => of_field(field).map(DataType::LargeList),
        DataType::FixedSizeList(field, length) => of_field(field).map(|field| DataType::FixedSizeList(field, *length)),
        _ => None,
    }
}

fn micro_field(field: &FieldRef) -> Option<Field> {
    in_micros(field.data_type()).map(|kind| field.as_ref().clone().with_data_type(kind))
}

/// Gives casts and functions microseconds. Comes before the rule that makes implicit casts.
#[derive(Debug)]
pub(super) struct MicrosecondTimestamps;

impl AnalyzerRule for MicrosecondTimestamps {
    fn name(&self) -> &str {
        "icefold_microsecond_timestamps"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        everywhere(plan, &with_units)
    }
}

/// Gives microseconds to the casts that DataFusion's rule made. Comes behind it.
#[derive(Debug)]
pub(super) struct MicrosecondCoercions;

impl AnalyzerRule for MicrosecondCoercions {
    fn name(&self) -> &str {
        "icefold_microsecond_coercions"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        everywhere(plan, &coerced)
    }
}

/// Replaces expressions, and tells all nodes above what types the columns have then.
fn everywhere(
    plan: LogicalPlan,
    replace: &impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let is_changed = Cell::new(false);
    plan.transform_up_with_subqueries(|node| {
        let node = rewrite::of_node(node, replace)?.transform_data(with_columns_in_micros)?;
        if node.transformed {
            is_changed.set(true);
            return Ok(node);
        }
        if is_changed.get() { node.data.recompute_schema().map(Transformed::yes) } else { Ok(node) }
    })
    .data()
}

/// Brings the columns to microseconds of the nodes that do not find them out from their expressions and inputs.
fn with_columns_in_micros(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    Ok(match node {
        LogicalPlan::Values(values) => match schema_in_micros(&values.schema)? {
            Some(schema) => Transformed::yes(LogicalPlan::Values(Values { schema, ..values })),
            None => Transformed::no(LogicalPlan::Values(values)),
        },
        LogicalPlan::Union(union) => match schema_in_micros(&union.schema)? {
            Some(schema) => Transformed::yes(LogicalPlan::Union(Union { schema, ..union })),
            None => Transformed::no(LogicalPlan::Union(union)),
        },
        other => Transformed::no(other),
    })
}

fn schema_in_micros(schema: &DFSchema) -> Result<Option<DFSchemaRef>> {
    if schema.fields().iter().all(|field| in_micros(field.data_type()).is_none()) {
        return Ok(None);
    }
    let fields = schema.iter().map(|(qualifier, field)| {
        let field = micro_field(field).map_or_else(|| Arc::clone(field), Arc::new);
        (qualifier.cloned(), field)
    });
    DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone()).map(|schema| Some(Arc::new(schema)))
}

fn coerced(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Cast(Cast { expr, field }) if is_of_seconds(&expr, &field, schema) => {
            Transformed::no(Expr::Cast(Cast { expr, field }))
        }
        Expr::Cast(Cast { expr, field }) => match in_micros(field.data_type()) {
            Some(to) if expr.get_type(schema).is_ok_and(|from| from == to) => Transformed::yes(*expr),
            Some(to) => Transformed::yes(Expr::Cast(Cast::new(expr, to))),
            None => Transformed::no(Expr::Cast(Cast { expr, field })),
        },
        Expr::TryCast(TryCast { expr, field }) => match in_micros(field.data_type()) {
            Some(to) => Transformed::yes(Expr::TryCast(TryCast::new(expr, to))),
            None => Transformed::no(Expr::TryCast(TryCast { expr, field })),
        },
        Expr::Literal(value, metadata) => match in_micros(&value.data_type()) {
            Some(to) => Transformed::yes(Expr::Literal(value.cast_to(&to)?, metadata)),
            None => Transformed::no(Expr::Literal(value, metadata)),
        },
        Expr::OuterReferenceColumn(field, column) => match micro_field(&field) {
            Some(field) => Transformed::yes(Expr::OuterReferenceColumn(Arc::new(field), column)),
            None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
        },
        other => Transformed::no(other),
    })
}

fn with_units(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Cast(Cast { expr, field }) => match cast(&expr, field.data_type(), schema) {
            Some((inner, to)) => Transformed::yes(Expr::Cast(Cast::new(Box::new(inner), to))),
            None => Transformed::no(Expr::Cast(Cast { expr, field })),
        },
        Expr::TryCast(TryCast { expr, field }) => match cast(&expr, field.data_type(), schema) {
            Some((inner, to)) => Transformed::yes(Expr::TryCast(TryCast::new(Box::new(inner), to))),
            None => Transformed::no(Expr::TryCast(TryCast { expr, field })),
        },
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            compared(vec![*left, *right], schema, |mut sides| {
                let (right, left) = (sides.pop()?, sides.pop()?);
                Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
            })?
        }
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) => {
            moved(*left, op, *right, schema)
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            compared(vec![*expr, *low, *high], schema, |mut sides| {
                let (high, low, expr) = (sides.pop()?, sides.pop()?, sides.pop()?);
                Some(Expr::Between(Between::new(Box::new(expr), negated, Box::new(low), Box::new(high))))
            })?
        }
        Expr::InList(InList { expr, list, negated }) => {
            let sides = std::iter::once(*expr).chain(list).collect();
            compared(sides, schema, |sides| {
                let mut sides = sides.into_iter();
                let expr = Box::new(sides.next()?);
                Some(Expr::InList(InList::new(expr, sides.collect(), negated)))
            })?
        }
        // For example `range` of times, in a list.
        Expr::ScalarFunction(function) => {
            let function = Expr::ScalarFunction(function);
            match function.get_type(schema).ok().as_ref().and_then(in_micros) {
                Some(to) => Transformed::yes(Expr::Cast(Cast::new(Box::new(function), to))),
                None => Transformed::no(function),
            }
        }
        other => Transformed::no(other),
    })
}

/// Says whether an operator compares its sides.
pub(super) fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Returns what to cast, and to what, instead of a cast to a timestamp: whole numbers are seconds, as in PostgreSQL.
fn cast(inner: &Expr, to: &DataType, schema: &DFSchema) -> Option<(Expr, DataType)> {
    let DataType::Timestamp(unit, zone) = to else { return None };
    let is_seconds = inner.get_type(schema).is_ok_and(|kind| kind.is_integer());
    match (unit, is_seconds) {
        // Made below, or by DataFusion for a cast of a number.
        (TimeUnit::Second, true) => None,
        (_, true) => {
            let seconds = Cast::new(Box::new(inner.clone()), DataType::Timestamp(TimeUnit::Second, zone.clone()));
            Some((Expr::Cast(seconds), micros(zone.clone())))
        }
        (TimeUnit::Microsecond, false) => None,
        (_, false) => Some((inner.clone(), micros(zone.clone()))),
    }
}

/// Says whether a cast is the one of seconds that [`cast`] makes, below one to microseconds.
fn is_of_seconds(inner: &Expr, to: &FieldRef, schema: &DFSchema) -> bool {
    matches!(to.data_type(), DataType::Timestamp(TimeUnit::Second, _))
        && inner.get_type(schema).is_ok_and(|kind| kind.is_integer())
}

/// Moves a date by an interval: DataFusion gives a date and drops hours. Whole days and months leave it a date.
fn moved(left: Expr, op: Operator, right: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_date = |side: &Expr| side.get_type(schema).is_ok_and(|kind| kind == DataType::Date32);
    let has_hours = |side: &Expr| match side {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => interval.nanoseconds != 0,
        Expr::Literal(ScalarValue::IntervalDayTime(Some(interval)), _) => interval.milliseconds != 0,
        Expr::Literal(ScalarValue::IntervalYearMonth(_), _) => false,
        other => other.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Interval(_) | DataType::Duration(_))),
    };
    let as_time = |side: Expr| Box::new(Expr::Cast(Cast::new(Box::new(side), micros(None))));
    if is_date(&left) && has_hours(&right) {
        Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(as_time(left), op, Box::new(right))))
    } else if is_date(&right) && has_hours(&left) {
        Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, as_time(right))))
    } else {
        Transformed::no(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
    }
}

/// Casts what is compared with a timestamp to one in microseconds: dates and text, of which DataFusion would make nanoseconds.
fn compared(
    sides: Vec<Expr>,
    schema: &DFSchema,
    whole: impl FnOnce(Vec<Expr>) -> Option<Expr>,
) -> Result<Transformed<Expr>> {
    let kinds: Vec<Option<DataType>> = sides.iter().map(|side| side.get_type(schema).ok()).collect();
    let zone = first_zone(kinds.iter().flatten());
    let casts = kinds.into_iter().map(|kind| compared_as(&kind?, zone.as_ref()?)).collect::<Vec<_>>();
    let changed = casts.iter().any(Option::is_some);
    let sides = sides.into_iter().zip(casts).map(|(side, to)| match to {
        Some(to) => Expr::Cast(Cast::new(Box::new(side), to)),
        None => side,
    });
    let expr = whole(sides.collect()).ok_or_else(|| exec_datafusion_err!("a comparison lost a side"))?;
    Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

/// Returns the zone of the first timestamp that has one; `None` if there is no timestamp among `kinds`.
fn first_zone<'a>(kinds: impl Iterator<Item = &'a DataType>) -> Option<Option<Arc<str>>> {
    let zones = kinds.filter_map(|kind| match kind {
        DataType::Timestamp(_, zone) => Some(zone.clone()),
        _ => None,
    });
    zones.reduce(Option::or)
}

/// Returns what a side is to be cast to.
fn compared_as(kind: &DataType, zone: &Option<Arc<str>>) -> Option<DataType> {
    match kind {
        DataType::Timestamp(..) => in_micros(kind),
        DataType::Date32 => Some(micros(zone.clone())),
        kind if kind.is_string() => Some(micros(zone.clone())),
        _ => None,
    }
}

fn kinds_zone(kind: &DataType) -> Option<Arc<str>> {
    match kind {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    }
}

/// A function whose timestamps are brought to microseconds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct InMicroseconds {
    inner: Arc<ScalarUDF>,
}

/// Returns `inner` with timestamps of microseconds.
pub(super) fn in_microseconds(inner: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(InMicroseconds { inner }))
}

impl ScalarUDFImpl for InMicroseconds {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = Arc::new(self.inner.inner().with_updated_config(config)?);
        Some(ScalarUDF::from(InMicroseconds { inner }))
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(micros(kinds_zone(&self.inner.return_type(args)?)))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        Ok(Arc::new(Field::new(field.name(), micros(kinds_zone(field.data_type())), field.is_nullable())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = self.inner.invoke_with_args(args)?;
        let to = micros(kinds_zone(&value.data_type()));
        value.cast_to(&to, None)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner.simplify(args, context)? {
            ExprSimplifyResult::Simplified(Expr::Literal(value, metadata)) => {
                let to = micros(kinds_zone(&value.data_type()));
                ExprSimplifyResult::Simplified(Expr::Literal(value.cast_to(&to)?, metadata))
            }
            other => other,
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// `arrow_cast` to types whose timestamps have microseconds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OnlyMicroseconds {
    inner: Arc<ScalarUDF>,
}

/// Functions of DataFusion that cast to a type of Arrow by its name.
pub(super) const ARROW_CASTS: [&str; 2] = ["arrow_cast", "arrow_try_cast"];

/// Returns `inner`, which casts to a type by name, for all types but timestamps of other units.
pub(super) fn only_microseconds(inner: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(OnlyMicroseconds { inner }))
}

impl ScalarUDFImpl for OnlyMicroseconds {
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

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        if in_micros(field.data_type()).is_some() {
            return plan_err!(
                "`{}` to {} is refused because timestamps have microseconds: cut with `date_trunc('second', …)` or \
                 `date_trunc('millisecond', …)`; of numbers make times with `to_timestamp_seconds`, `to_timestamp_millis` or \
                 `to_timestamp_nanos`",
                self.name(),
                field.data_type()
            );
        }
        Ok(field)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, context)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
