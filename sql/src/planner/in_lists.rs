//! Keeps `IN` lists apart that DataFusion would merge without a thought for NULL.
//!
//! DataFusion's `simplify_expressions` merges lists over one expression: `a IN (1, 2) AND a NOT IN (2, NULL)` becomes `a IN (1)`,
//! `a NOT IN (1) OR a NOT IN (2)` becomes true, `a IN (b) AND a IN (c)` becomes false. NULL, in the list or in `a`, and columns
//! in the list make all of these wrong. The merge is part of the rule and cannot be switched off, so here the lists of an
//! expression that holds several are hidden from the rule, as calls of functions that it does not know, and put back after it.
//! Merges that are right whatever is NULL (`a = 1 OR a IN (2, 3)`) are done here first.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::expr::{Alias, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Stands in for DataFusion's `simplify_expressions`.
#[derive(Debug, Default)]
pub(super) struct SimplifyButLists(SimplifyExpressions);

impl OptimizerRule for SimplifyButLists {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut several = false;
        plan.apply_expressions(|expr| {
            several |= holds_several(expr)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !several {
            return self.0.rewrite(plan, config);
        }
        let names = NamePreserver::new(&plan);
        let hidden = plan.map_expressions(|expr| match expr {
            // The names of grouping sets are those of their members.
            Expr::GroupingSet(_) => expr.map_children(|expr| hide(expr, &names)),
            expr => hide(expr, &names),
        })?;
        let simplified = self.0.rewrite(hidden.data, config)?;
        // The rule may have put a projection over the node: look below too.
        let shown = simplified.data.transform_down(|node| node.map_expressions(show))?;
        Ok(Transformed::yes(shown.data))
    }
}

/// Returns whether an expression holds, or could come to hold, two lists.
fn holds_several(expr: &Expr) -> Result<bool> {
    let (mut lists, mut equalities) = (0, 0);
    expr.apply(|part| {
        match part {
            Expr::InList(_) => lists += 1,
            part if as_list(part).is_some() => equalities += 1,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    // Two equalities in an OR make a list.
    Ok(lists + equalities / 2 > 1)
}

fn hide(expr: Expr, names: &NamePreserver) -> Result<Transformed<Expr>> {
    let name = names.save(&expr);
    let merged = expr.transform_up(merge)?.data;
    if !holds_several(&merged)? {
        return Ok(Transformed::yes(name.restore(merged)));
    }
    let hidden = merged.transform_up(|part| {
        let kind = match &part {
            Expr::InList(InList { negated, .. }) => Kind::List { negated: *negated },
            part if as_list(part).is_some() => Kind::Equality,
            _ => return Ok(Transformed::no(part)),
        };
        // Without a column it is a constant, which the rule knows how to compute.
        if !part.any_column_refs() {
            return Ok(Transformed::no(part));
        }
        let args = match part {
            Expr::InList(list) => std::iter::once(*list.expr).chain(list.list).collect(),
            Expr::BinaryExpr(equality) => vec![*equality.left, *equality.right],
            other => return internal_err!("`{other}` is no list"),
        };
        let function = Arc::new(ScalarUDF::from(Hidden::new(kind)));
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, args))))
    })?;
    Ok(Transformed::yes(name.restore(hidden.data)))
}

/// Puts back what was hidden, and drops the alias that kept its name meanwhile.
fn show(expr: Expr) -> Result<Transformed<Expr>> {
    let shown = expr.transform_up(|part| {
        let Expr::ScalarFunction(call) = part else { return Ok(Transformed::no(part)) };
        let Some(hidden) = call.func.inner().downcast_ref::<Hidden>() else {
            return Ok(Transformed::no(Expr::ScalarFunction(call)));
        };
        let mut args = call.args.into_iter();
        let Some(first) = args.next().map(Box::new) else { return internal_err!("a hidden list has no operand") };
        let rest: Vec<Expr> = args.collect();
        Ok(Transformed::yes(match hidden.kind {
            Kind::List { negated } => Expr::InList(InList::new(first, rest, negated)),
            Kind::Equality => rest.into_iter().fold(*first, Expr::eq),
        }))
    })?;
    Ok(if shown.transformed { Transformed::yes(without_own_name(shown.data)) } else { shown })
}

fn without_own_name(expr: Expr) -> Expr {
    match expr {
        Expr::Alias(Alias { expr, relation: None, name, metadata: None }) if expr.schema_name().to_string() == name => {
            *expr
        }
        other => other,
    }
}

/// Merges `a = 1 OR a = 2`, `a IN (1) OR a IN (2)`: true, false and NULL alike.
fn merge(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let (Some((of, mut list)), Some((other, more))) = (as_list(left), as_list(right)) else {
        return Ok(Transformed::no(expr));
    };
    if of != other {
        return Ok(Transformed::no(expr));
    }
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
    Ok(Transformed::yes(of.clone().in_list(list.into_iter().cloned().collect(), false)))
}

/// Returns the column that is compared, and with which values, where any may be equal.
fn as_list(expr: &Expr) -> Option<(&Expr, Vec<&Expr>)> {
    match expr {
        Expr::InList(InList { expr, list, negated: false }) if matches!(**expr, Expr::Column(_)) => {
            Some((expr.as_ref(), list.iter().collect()))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
            (column @ Expr::Column(_), value @ Expr::Literal(..)) => Some((column, vec![value])),
            (value @ Expr::Literal(..), column @ Expr::Column(_)) => Some((column, vec![value])),
            _ => None,
        },
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    List { negated: bool },
    Equality,
}

/// A list while it is hidden; never called.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Hidden {
    kind: Kind,
    signature: Signature,
}

impl Hidden {
    fn new(kind: Kind) -> Self {
        Hidden { kind, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Hidden {
    fn name(&self) -> &str {
        match self.kind {
            Kind::List { negated: false } => "hidden_in",
            Kind::List { negated: true } => "hidden_not_in",
            Kind::Equality => "hidden_equals",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("a list is still hidden after it was simplified")
    }
}
