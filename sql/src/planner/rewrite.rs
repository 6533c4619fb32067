//! Walks the expressions of a plan, for rules that replace some of them.

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Replaces expressions everywhere in `plan`, subqueries included, inner ones first. `replace` gets the columns that the
/// expression can name. Columns of the plan keep their names.
pub(super) fn expressions(
    plan: LogicalPlan,
    replace: &impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| of_node(node, replace)).data()
}

/// Replaces the expressions of one node.
pub(super) fn of_node(
    node: LogicalPlan,
    replace: &impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let schema = columns(&node)?;
    let names = NamePreserver::new(&node);
    let node = node.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(expr.transform_up(|expr| replace(expr, &schema))?.update_data(|expr| name.restore(expr)))
    })?;
    if node.transformed { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
}

/// Returns the columns that expressions of a node can name.
fn columns(node: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = merge_schema(&node.inputs());
    if let LogicalPlan::TableScan(scan) = node {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    Ok(schema)
}
