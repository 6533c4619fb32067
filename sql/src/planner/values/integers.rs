//! Sums, differences and products of integers that do not fit are an error.
//!
//! DataFusion wraps around: `9223372036854775807 + 1` is negative there, and no setting tells it not to. The operators become
//! functions that check.

use std::sync::Arc;

use arrow::compute::kernels::numeric;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_datafusion_err, exec_err, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum;

use crate::planner::rewrite;

/// Replaces `+`, `-`, `*` and the minus sign of integers. Comes after the rule that gives both sides one type.
#[derive(Debug)]
pub(super) struct CheckedIntegers;

impl AnalyzerRule for CheckedIntegers {
    fn name(&self) -> &str {
        "icefold_checked_integers"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite::expressions(plan, &checked)
    }
}

fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (operation, args) = match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let operation = match op {
                Operator::Plus => Operation::Add,
                Operator::Minus => Operation::Subtract,
                Operator::Multiply => Operation::Multiply,
                _ => return Ok(Transformed::no(expr)),
            };
            (operation, vec![left.as_ref().clone(), right.as_ref().clone()])
        }
        Expr::Negative(inner) => (Operation::Negate, vec![inner.as_ref().clone()]),
        _ => return Ok(Transformed::no(expr)),
    };
    if !args.iter().all(|arg| arg.get_type(schema).is_ok_and(|kind| kind.is_integer())) {
        return Ok(Transformed::no(expr));
    }
    let function = Arc::new(ScalarUDF::from(Checked::new(operation)));
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, args))))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Negate,
}

/// An operation on integers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operation: Operation,
    signature: Signature,
}

impl Checked {
    fn new(operation: Operation) -> Self {
        let count = if operation == Operation::Negate { 1 } else { 2 };
        Checked { operation, signature: Signature::any(count, Volatility::Immutable) }
    }

    fn sign(&self) -> &'static str {
        match self.operation {
            Operation::Add => "+",
            Operation::Subtract | Operation::Negate => "-",
            Operation::Multiply => "*",
        }
    }

    fn written(&self, args: &[String]) -> Result<String> {
        match args {
            [value] => Ok(format!("(- {value})")),
            [left, right] => Ok(format!("{left} {} {right}", self.sign())),
            _ => internal_err!("`{}` has one or two arguments", self.sign()),
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Add => "checked_add",
            Operation::Subtract => "checked_subtract",
            Operation::Multiply => "checked_multiply",
            Operation::Negate => "checked_negate",
        }
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.written(&args.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    /// As that of the operator: columns keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.written(&args.iter().map(|arg| arg.schema_name().to_string()).collect::<Vec<_>>())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [kind] => Ok(kind.clone()),
            [left, right] if left == right => Ok(left.clone()),
            _ => exec_err!("`{}` is for integers of one type", self.sign()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = match args.args.as_slice() {
            [ColumnarValue::Array(values)] => numeric::neg(values).map(ColumnarValue::Array),
            [ColumnarValue::Scalar(value)] => {
                return value.arithmetic_negate().map(ColumnarValue::Scalar).map_err(overflow);
            }
            [left, right] => return self.of_two(left, right).map_err(overflow),
            _ => return internal_err!("`{}` has one or two arguments", self.sign()),
        };
        result.map_err(|error| overflow(error.into()))
    }
}

impl Checked {
    fn of_two(&self, left: &ColumnarValue, right: &ColumnarValue) -> Result<ColumnarValue> {
        datum::apply(left, right, |left, right| match self.operation {
            Operation::Add => numeric::add(left, right),
            Operation::Subtract => numeric::sub(left, right),
            Operation::Multiply => numeric::mul(left, right),
            Operation::Negate => Err(ArrowError::ComputeError("a minus sign has one argument".to_owned())),
        })
    }
}

fn overflow(error: datafusion::error::DataFusionError) -> datafusion::error::DataFusionError {
    let text = error.strip_backtrace();
    exec_datafusion_err!("a whole number does not fit ({text}): cast one side to BIGINT, DECIMAL(38, 0) or DOUBLE")
}
