//! `t(x, y)` names the columns of `t` by their place.
//!
//! DataFusion looks each column up by its name as if it were typed: `"A"` becomes `a`, `"a.b"` the column `b` of `a`, and a name
//! that two tables of a join share is refused. Here columns are told by place. Fewer names than columns are fine: the rest keep theirs.

use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{TableAlias, TableAliasColumnDef, TableFactor};

/// Plans what has an alias with names of columns.
#[derive(Debug)]
pub(super) struct ColumnNames;

impl RelationPlanner for ColumnNames {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let alias = alias_of(&mut relation).and_then(|slot| slot.take_if(|alias| !alias.columns.is_empty()));
        let Some(alias) = alias else { return Ok(RelationPlanning::Original(Box::new(relation))) };
        let plan = name_columns(context.plan(relation)?, &alias, context)?;
        let alias = TableAlias { columns: Vec::new(), ..alias };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, Some(alias)))))
    }
}

fn alias_of(relation: &mut TableFactor) -> Option<&mut Option<TableAlias>> {
    match relation {
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::NestedJoin { alias, .. } => Some(alias),
        _ => None,
    }
}

fn name_columns(
    plan: LogicalPlan,
    alias: &TableAlias,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let names: Vec<TableAliasColumnDef> = alias.columns.clone();
    if names.len() > columns.len() {
        return plan_err!("`{}` names {} columns of {}: name fewer", alias.name, names.len(), columns.len());
    }
    let mut names = names.into_iter().map(|column| context.normalize_ident(column.name));
    let named = columns.into_iter().map(|column| {
        let name = names.next().unwrap_or_else(|| column.name.clone());
        Expr::Column(column).alias(name)
    });
    let named: Vec<Expr> = named.collect();
    LogicalPlanBuilder::from(plan).project(named)?.build()
}
