//! A join by a cast, `ON CAST(a.event_time AS DATE) = b.day`.
//!
//! A cast has the name of the column in it. DataFusion gives a key of a join another name if it is a cast, but not if it has become a
//! function (`casts.rs`): key and column would have one name, which it refuses. Nothing sees through the keys of joins once the other
//! rules are done, so there it becomes a cast again.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, Join, LogicalPlan, TryCast};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::casts;

/// Makes casts of functions that cast, in the keys of joins. Comes last.
#[derive(Debug)]
pub(super) struct CastKeys;

impl OptimizerRule for CastKeys {
    fn name(&self) -> &str {
        "icefold_cast_keys_of_joins"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let is_changed = cast_again(&mut join)?;
        Ok(Transformed::new_transformed(LogicalPlan::Join(join), is_changed))
    }
}

fn cast_again(join: &mut Join) -> Result<bool> {
    let mut is_changed = false;
    for (left, right) in &mut join.on {
        is_changed |= as_cast(left, join.left.schema())?;
        is_changed |= as_cast(right, join.right.schema())?;
    }
    Ok(is_changed)
}

fn as_cast(key: &mut Expr, schema: &DFSchema) -> Result<bool> {
    let to = key.get_type(schema)?;
    let Expr::ScalarFunction(function) = key else { return Ok(false) };
    let Some(is_try) = casts::is_try(function) else { return Ok(false) };
    let Some(inner) = function.args.pop().map(Box::new) else { return Ok(false) };
    *key = if is_try { Expr::TryCast(TryCast::new(inner, to)) } else { Expr::Cast(Cast::new(inner, to)) };
    Ok(true)
}
