//! One zero and one NaN.
//!
//! DataFusion compares, groups and hashes floats by their bits: `-0.0` is less than `0.0`, and a NaN with a minus sign, which
//! processors make of `0.0 / 0.0`, is less than every number. In SQL the zeros are equal, and NaN equals NaN and is greater
//! than every number. So floats are made canonical where they come to be: when a file is read, in literals, and in what
//! operators and functions give. Columns, comparisons, groups and joins then only see canonical floats and stay as they are.
//!
//! Reading through a function also keeps the Parquet reader from pruning floats by statistics, which leave NaN out.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type};
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Column, DFSchema, Result, ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::planner::rewrite;

/// Functions that give one of their arguments, or nothing that needs care.
const KEEP_CANONICAL: [&str; 6] = ["canonical_float", "coalesce", "nullif", "nvl", "nvl2", "abs"];
/// Aggregates and window functions that give one of their arguments.
const GIVE_AN_ARGUMENT: [&str; 7] = ["min", "max", "first_value", "last_value", "nth_value", "lag", "lead"];

static CANONICAL: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Canonical::new())));

/// Returns zero for either zero, and one NaN for all.
pub(super) fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}

/// As [`canonical`].
pub(super) fn canonical_32(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value + 0.0 }
}

/// Makes what `expr` gives canonical, if `field`, its type, is a float.
pub(crate) fn canonical_column(expr: Arc<dyn PhysicalExpr>, field: &FieldRef) -> Arc<dyn PhysicalExpr> {
    if !field.data_type().is_floating() {
        return expr;
    }
    let function = Arc::clone(&CANONICAL);
    let name = function.name().to_owned();
    Arc::new(ScalarFunctionExpr::new(
        &name,
        function,
        vec![expr],
        Arc::clone(field),
        Arc::new(ConfigOptions::default()),
    ))
}

/// Makes floats canonical where they come to be. Comes after the rule that makes implicit casts explicit.
#[derive(Debug)]
pub(super) struct CanonicalFloats;

impl AnalyzerRule for CanonicalFloats {
    fn name(&self) -> &str {
        "icefold_canonical_floats"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let node = rewrite::of_node(node, &canonical_expr)?;
            node.transform_data(canonical_results)
        })
        .data()
    }
}

fn canonical_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Expr::Literal(value, metadata) = expr {
        let canonical = canonical_scalar(&value);
        return Ok(match canonical {
            Some(canonical) => Transformed::yes(Expr::Literal(canonical, metadata)),
            None => Transformed::no(Expr::Literal(value, metadata)),
        });
    }
    if !makes_floats(&expr, schema) || !expr.get_type(schema).is_ok_and(|kind| kind.is_floating()) {
        return Ok(Transformed::no(expr));
    }
    Ok(Transformed::yes(wrap(bare_operands(expr)?)))
}

/// Returns the canonical form of a float that is not.
fn canonical_scalar(value: &ScalarValue) -> Option<ScalarValue> {
    let canonical = match value {
        ScalarValue::Float64(Some(v)) => ScalarValue::Float64(Some(canonical(*v))),
        ScalarValue::Float32(Some(v)) => ScalarValue::Float32(Some(canonical_32(*v))),
        _ => return None,
    };
    // Scalars compare by bits.
    (canonical != *value).then_some(canonical)
}

fn wrap(expr: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&CANONICAL), vec![expr]))
}

/// Says whether an expression that gives floats can give one that is not canonical, if its operands are.
fn makes_floats(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::BinaryExpr(_) | Expr::Negative(_) | Expr::HigherOrderFunction(_) => true,
        Expr::ScalarFunction(function) => !KEEP_CANONICAL.contains(&function.name()),
        // Whole numbers have one zero and no NaN; a smaller float may round to a zero with a sign.
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
            // A small float is canonical as a large one, too.
            let is_widened = |from: &DataType| *from == DataType::Float32;
            expr.get_type(schema).is_ok_and(|from| !is_widened(&from) && (from.is_floating() || !from.is_numeric()))
        }
        _ => false,
    }
}

/// Takes the function from operands of an operator, whose result gets it: a sum of three is made canonical once.
fn bare_operands(expr: Expr) -> Result<Expr> {
    let bare = |operand: Box<Expr>| match *operand {
        Expr::ScalarFunction(function) if is_canonical(&function) => function.args.into_iter().next().map(Box::new),
        other => Some(Box::new(other)),
    };
    let expr = match expr {
        // Infinity has the sign of the zero that was divided by.
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Divide | Operator::Modulo), right }) => {
            bare(left).map(|left| Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            bare(left).zip(bare(right)).map(|(left, right)| Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::Negative(inner) => bare(inner).map(Expr::Negative),
        other => Some(other),
    };
    match expr {
        Some(expr) => Ok(expr),
        None => internal_err!("`canonical_float` has one argument"),
    }
}

fn is_canonical(function: &ScalarFunction) -> bool {
    function.name() == CANONICAL.name()
}

/// Aggregates and window functions cannot be wrapped where they stand: makes what they give canonical above the node.
fn canonical_results(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let results = match &node {
        LogicalPlan::Aggregate(aggregate) => &aggregate.aggr_expr,
        LogicalPlan::Window(window) => &window.window_expr,
        _ => return Ok(Transformed::no(node)),
    };
    let others = node.schema().fields().len() - results.len();
    let makes: Vec<bool> = (0..others).map(|_| false).chain(results.iter().map(gives_new_values)).collect();
    let columns: Vec<(Column, bool)> = node
        .schema()
        .iter()
        .zip(makes)
        .map(|((qualifier, field), makes)| {
            (Column::new(qualifier.cloned(), field.name()), makes && field.data_type().is_floating())
        })
        .collect();
    if columns.iter().all(|(_, makes)| !makes) {
        return Ok(Transformed::no(node));
    }
    let columns = columns.into_iter().map(|(column, makes)| match makes {
        true => {
            let (relation, name) = (column.relation.clone(), column.name.clone());
            wrap(Expr::Column(column)).alias_qualified(relation, name)
        }
        false => Expr::Column(column),
    });
    Ok(Transformed::yes(LogicalPlanBuilder::from(node).project(columns)?.build()?))
}

fn gives_new_values(result: &Expr) -> bool {
    match result {
        Expr::Alias(alias) => gives_new_values(&alias.expr),
        Expr::AggregateFunction(function) => !GIVE_AN_ARGUMENT.contains(&function.func.name()),
        Expr::WindowFunction(function) => !GIVE_AN_ARGUMENT.contains(&function.fun.name()),
        _ => true,
    }
}

/// Makes floats canonical.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Canonical {
    signature: Signature,
}

impl Canonical {
    fn new() -> Self {
        Canonical { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Canonical {
    fn name(&self) -> &str {
        "canonical_float"
    }

    /// Columns keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let [kind] = take_function_args(self.name(), args)?;
        Ok(kind.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [field] = take_function_args(self.name(), args.arg_fields)?;
        Ok(Arc::new(Field::new(self.name(), field.data_type().clone(), field.is_nullable())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = take_function_args(self.name(), args.args)?;
        Ok(match value {
            ColumnarValue::Scalar(value) => ColumnarValue::Scalar(canonical_scalar(&value).unwrap_or(value)),
            ColumnarValue::Array(values) => ColumnarValue::Array(canonical_array(&values)),
        })
    }
}

fn canonical_array(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float64 => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(canonical)),
        DataType::Float32 => Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(canonical_32)),
        _ => Arc::clone(values),
    }
}
