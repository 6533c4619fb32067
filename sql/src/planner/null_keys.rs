//! Joins whose keys match NULL with NULL, and other conditions beside them.
//!
//! DataFusion makes `a.s IS NOT DISTINCT FROM b.s` a key of a join that takes NULL for equal, and then puts `a.m = b.m` from WHERE, or
//! the keys of other joins, beside it: they match NULL with NULL too. Here such a join keeps its keys, and the rest stays a condition.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{NullEquality, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Rules of DataFusion that give keys to joins, and how far each looks.
const RULES: [(&str, Reach); 2] = [("eliminate_cross_join", Reach::Plan), ("extract_equijoin_predicate", Reach::Node)];

#[derive(Debug, Clone, Copy)]
enum Reach {
    /// The node that it is given.
    Node,
    /// All nodes below, too.
    Plan,
}

/// Puts the rules that know such joins in the place of DataFusion's.
pub(super) fn stand_in(rules: &mut [Arc<dyn OptimizerRule + Send + Sync>]) {
    for rule in rules {
        if let Some((_, reach)) = RULES.iter().find(|(name, _)| *name == rule.name()) {
            *rule = Arc::new(OtherKeys { rule: Arc::clone(rule), reach: *reach });
        }
    }
}

/// A rule of DataFusion, for joins that match no NULL.
#[derive(Debug)]
struct OtherKeys {
    rule: Arc<dyn OptimizerRule + Send + Sync>,
    reach: Reach,
}

impl OptimizerRule for OtherKeys {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let is_left_alone = match self.reach {
            Reach::Node => matches_null(&plan),
            Reach::Plan => plan.exists(|node| Ok(matches_null(node)))?,
        };
        if is_left_alone { Ok(Transformed::no(plan)) } else { self.rule.rewrite(plan, config) }
    }
}

fn matches_null(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Join(join) if join.null_equality == NullEquality::NullEqualsNull)
}
