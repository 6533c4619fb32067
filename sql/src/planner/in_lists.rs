//! Keeps `IN` lists apart that DataFusion would merge without a thought for NULL.
//!
//! DataFusion's `simplify_expressions` merges lists over one expression: `a IN (1, 2) AND a NOT IN (2, NULL)` becomes `a IN (1)`,
//! `a NOT IN (1) OR a NOT IN (2)` becomes true, `a IN (b) AND a IN (c)` becomes false. NULL, in the list or in `a`, and columns
//! in the list make all of these wrong. The merge is part of the rule and cannot be switched off, so here the lists of an
//! expression that holds several are hidden from the rule, as calls of functions that it does not know, and put back after it; what
//! AND, OR and NOT connect is made simple before, part by part, so that none becomes a list behind our back.
//! Merges that are right whatever is NULL (`a = 1 OR a IN (2, 3)`) are done here first.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::expr::{Alias, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, EmptyRelation, Expr, Filter, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
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
            several |= may_hold_several(expr)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !several {
            return self.0.rewrite(plan, config);
        }
        let names = NamePreserver::new(&plan);
        let parts = Parts { rule: &self.0, config, schema: schema_below(&plan)? };
        let hidden = plan.map_expressions(|expr| match expr {
            // The names of grouping sets are those of their members.
            Expr::GroupingSet(_) => expr.map_children(|expr| parts.hide(expr, &names)),
            expr => parts.hide(expr, &names),
        })?;
        let simplified = self.0.rewrite(hidden.data, config)?;
        // The rule may have put a projection over the node: look below too.
        let shown = simplified.data.transform_down(|node| node.map_expressions(show))?;
        Ok(Transformed::yes(shown.data))
    }
}

/// Returns the columns that the expressions of a node read.
fn schema_below(plan: &LogicalPlan) -> Result<DFSchemaRef> {
    Ok(Arc::new(match plan {
        LogicalPlan::TableScan(scan) => {
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?
        }
        other => merge_schema(&other.inputs()),
    }))
}

/// Returns whether an expression holds two lists, or could once its parts are simple: two equalities make a list.
fn may_hold_several(expr: &Expr) -> Result<bool> {
    let (mut lists, mut equalities) = (0, 0);
    expr.apply(|part| {
        match part {
            Expr::InList(_) => lists += 1,
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq | Operator::NotEq, right }) => {
                equalities += usize::from(left.any_column_refs() != right.any_column_refs());
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(lists + equalities / 2 > 1)
}

/// Returns whether an expression of simple parts holds two lists, or could once equalities become one.
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
    Ok(lists + equalities / 2 > 1)
}

/// Simplifies the parts of an expression, each alone, so that there is nothing to merge.
struct Parts<'a> {
    rule: &'a SimplifyExpressions,
    config: &'a dyn OptimizerConfig,
    schema: DFSchemaRef,
}

impl Parts<'_> {
    /// Hides the lists of an expression if it holds several.
    fn hide(&self, expr: Expr, names: &NamePreserver) -> Result<Transformed<Expr>> {
        if !may_hold_several(&expr)? {
            return Ok(Transformed::no(expr));
        }
        let name = names.save(&expr);
        let simple = self.simplify(expr)?;
        let hidden = if holds_several(&simple)? { simple.transform_up(hide_list)?.data } else { simple };
        Ok(Transformed::yes(name.restore(hidden)))
    }

    /// Simplifies what AND, OR and NOT connect, and merges what may be merged.
    fn simplify(&self, expr: Expr) -> Result<Expr> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                let (left, right) = (self.simplify(*left)?, self.simplify(*right)?);
                Ok(merge(BinaryExpr::new(Box::new(left), op, Box::new(right))))
            }
            Expr::Not(inner) => match *inner {
                Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                    let (left, right) = (self.simplify(!*left)?, self.simplify(!*right)?);
                    let op = if op == Operator::And { Operator::Or } else { Operator::And };
                    Ok(merge(BinaryExpr::new(Box::new(left), op, Box::new(right))))
                }
                inner => self.simplify_part(!inner),
            },
            other => self.simplify_part(other),
        }
    }

    fn simplify_part(&self, part: Expr) -> Result<Expr> {
        if may_hold_several(&part)? {
            return Ok(part.map_children(|child| Ok(Transformed::yes(self.simplify(child)?)))?.data);
        }
        let nothing = EmptyRelation { produce_one_row: false, schema: Arc::clone(&self.schema) };
        let nothing = Arc::new(LogicalPlan::EmptyRelation(nothing));
        // Only a condition can be a filter; what is none holds no list that could be merged.
        let Ok(filter) = Filter::try_new(part.clone(), nothing) else { return Ok(part) };
        match self.rule.rewrite(LogicalPlan::Filter(filter), self.config)?.data {
            LogicalPlan::Filter(filter) => Ok(filter.predicate),
            other => internal_err!("a filter became {}", other.display()),
        }
    }
}

fn hide_list(part: Expr) -> Result<Transformed<Expr>> {
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
fn merge(connected: BinaryExpr) -> Expr {
    let merged = match (as_list(&connected.left), as_list(&connected.right)) {
        (Some((of, list)), Some((other, more))) if connected.op == Operator::Or && of == other => {
            let new = more.into_iter().filter(|item| !list.contains(item));
            let list = list.iter().copied().chain(new).cloned().collect();
            Some(of.clone().in_list(list, false))
        }
        _ => None,
    };
    merged.unwrap_or(Expr::BinaryExpr(connected))
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
