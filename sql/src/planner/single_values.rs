//! Queries in the place of a value that refer to no outer row, which DataFusion runs once, in a node at the top of the plan.
//!
//! * It looks for the order of the whole answer only above that node, and takes sorts below it for useless: `ORDER BY` is dropped
//!   when its key is not shown. Here the order is required below it, too.
//! * It takes the value for never NULL when the column of the query is never NULL, also when the query may have no row:
//!   `(SELECT 1 WHERE false) IS NULL` is false. Here such a column goes through a function that may be NULL.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Subquery, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::output_requirements::OutputRequirements;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;

use super::rewrite;
use super::subqueries::has_one_row;

/// Requires the order of rows below the node that runs such queries.
#[derive(Debug)]
pub(super) struct OrderBelow;

impl PhysicalOptimizerRule for OrderBelow {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if !node.is::<ScalarSubqueryExec>() {
                return Ok(Transformed::no(node));
            }
            let mut children: Vec<_> = node.children().into_iter().map(Arc::clone).collect();
            // The first is the one whose rows come out. What is required is taken away again by the rule's other half.
            if let Some(rows) = children.first_mut() {
                *rows = OutputRequirements::new_add_mode().optimize(Arc::clone(rows), options)?;
            }
            node.with_new_children(children).map(Transformed::yes)
        })
        .data()
    }

    fn name(&self) -> &str {
        "order_below_scalar_subqueries"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Lets the value of a query that may have no row be NULL.
#[derive(Debug)]
pub(super) struct ValuesMayBeMissing;

impl AnalyzerRule for ValuesMayBeMissing {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite::expressions(plan, &|expr, _| match expr {
            Expr::ScalarSubquery(query) if may_be_missing(&query) => {
                let subquery = Arc::new(with_missing(&query.subquery)?);
                Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery, ..query })))
            }
            other => Ok(Transformed::no(other)),
        })
    }

    fn name(&self) -> &str {
        "values_may_be_missing"
    }
}

/// Says whether a query may have no row although its column is never NULL.
fn may_be_missing(query: &Subquery) -> bool {
    let is_always_something = query.subquery.schema().fields().iter().all(|field| !field.is_nullable());
    query.outer_ref_columns.is_empty()
        && is_always_something
        && (has_condition(&query.subquery) || !has_one_row(&query.subquery))
}

/// Says whether a condition may take the one row of an aggregate away (HAVING).
fn has_condition(query: &LogicalPlan) -> bool {
    match query {
        LogicalPlan::Filter(_) => true,
        LogicalPlan::Aggregate(_) => false,
        other => other.inputs().into_iter().any(has_condition),
    }
}

fn with_missing(query: &LogicalPlan) -> Result<LogicalPlan> {
    let function = Arc::new(ScalarUDF::from(MayBeNull { signature: Signature::any(1, Volatility::Immutable) }));
    let columns = query.schema().columns().into_iter().map(|column| {
        let Column { relation, name, .. } = column.clone();
        function.call(vec![Expr::Column(column)]).alias_qualified(relation, name)
    });
    LogicalPlanBuilder::from(query.clone()).project(columns.collect::<Vec<_>>())?.build()
}

/// A value of which no rule knows that it is there.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MayBeNull {
    signature: Signature,
}

impl ScalarUDFImpl for MayBeNull {
    fn name(&self) -> &str {
        "may_be_null"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args[0].clone())
    }
}
