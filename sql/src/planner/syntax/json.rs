//! Plans `->`, `->>` and `?` as functions over JSON; DataFusion reads the operators and knows no meaning for them.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ScalarUDF};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::json::{GET, HAS, TEXT, functions};

/// Plans the operators.
#[derive(Debug)]
pub(crate) struct JsonOperators {
    functions: Vec<Arc<ScalarUDF>>,
}

impl JsonOperators {
    pub(crate) fn new() -> Self {
        JsonOperators { functions: functions() }
    }
}

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, _: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let name = match expr.op {
            BinaryOperator::Arrow => GET,
            BinaryOperator::LongArrow => TEXT,
            BinaryOperator::Question => HAS,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let Some(function) = self.functions.iter().find(|function| function.name() == name) else {
            return Ok(PlannerResult::Original(expr));
        };
        // A chain is one walk: `a -> 'b' ->> 'c'` asks for 'b', 'c' in a.
        let mut args = match expr.left {
            Expr::ScalarFunction(inner) if inner.func.name() == GET => inner.args,
            other => vec![other],
        };
        args.push(expr.right);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args))))
    }
}
