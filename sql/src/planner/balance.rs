//! Long chains of `OR` and `AND` as shallow trees: DataFusion keeps them as deep as they are long, and ten thousand alternatives
//! overflow the stack of whoever computes or drops them.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, binary_expr};
use datafusion::optimizer::AnalyzerRule;

/// Chains up to this length stay as they were written.
const SHORT: usize = 50;

/// The rule.
#[derive(Debug)]
pub(crate) struct Balance;

impl AnalyzerRule for Balance {
    fn name(&self) -> &str {
        "icefold_balance"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let in_plan = |plan: LogicalPlan| {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(expr.transform_down(in_expression)?.update_data(|expr| name.restore(expr)))
            })
        };
        Ok(plan.transform_up_with_subqueries(in_plan)?.data)
    }
}

fn in_expression(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::Or | Operator::And), .. }) = expr else {
        return Ok(Transformed::no(expr));
    };
    if chain_depth(&expr, op) <= SHORT {
        return Ok(Transformed::no(expr));
    }
    let mut terms = terms(expr, op);
    while terms.len() > 1 {
        terms = in_pairs(terms, op);
    }
    Ok(terms.pop().map_or_else(|| Transformed::no(Expr::default()), Transformed::yes))
}

/// Returns how deep the chain goes on its left, which is how chains are written.
fn chain_depth(mut expr: &Expr, op: Operator) -> usize {
    let mut depth = 0;
    while let Expr::BinaryExpr(binary) = expr
        && binary.op == op
    {
        depth += 1;
        expr = &binary.left;
    }
    depth
}

/// Returns what the chain joins, in order.
fn terms(expr: Expr, op: Operator) -> Vec<Expr> {
    let (mut terms, mut open) = (Vec::new(), vec![expr]);
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinaryExpr(binary) if binary.op == op => open.extend([*binary.left, *binary.right]),
            term => terms.push(term),
        }
    }
    terms.reverse();
    terms
}

fn in_pairs(terms: Vec<Expr>, op: Operator) -> Vec<Expr> {
    let mut pairs = Vec::with_capacity(terms.len().div_ceil(2));
    let mut terms = terms.into_iter();
    while let Some(left) = terms.next() {
        pairs.push(match terms.next() {
            Some(right) => binary_expr(left, op, right),
            None => left,
        });
    }
    pairs
}
