//! Computes a query that refers to an outer one for all rows of the outer one at once.
//!
//! The rows of the outer plan get a number, and go through the nodes of the query beside its own rows (Neumann and Kemper, "Unnesting
//! Arbitrary Queries", 2015; there distinct values go through, here the rows, so that the outer plan runs once). What the query would
//! drop is only marked as not there: each row of the outer plan is kept, also if the query has no row for it. So aggregates count what
//! is there, windows and limits are per row of the outer plan.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchemaRef, JoinType, NullEquality, Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::expr_fn::{count, first_value};
use datafusion::functions_window::row_number::row_number;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, FetchType, Join, Limit, LogicalPlan, LogicalPlanBuilder, Operator,
    ScalarUDF, SkipType, SortExpr, SubqueryAlias, Window, lit, when,
};

use super::conditions;
use super::only_row::OnlyRow;

/// An outer plan whose rows are numbered, on the way through a query.
pub(super) struct Dependent {
    /// Begins the names of this computation's columns, so that one inside of another has its own.
    prefix: String,
    outer: DFSchemaRef,
    /// The numbered rows, until they enter the query.
    numbered: Option<LogicalPlan>,
}

/// Rows of the outer plan beside those of a part of the query.
struct Rows {
    plan: LogicalPlan,
    /// In which order the query has them.
    order: Vec<SortExpr>,
}

impl Dependent {
    /// Numbers the rows of `outer`. No other computation in this plan has that `number`.
    pub(super) fn new(outer: LogicalPlan, number: usize) -> Result<Dependent> {
        let schema = Arc::clone(outer.schema());
        let mut dependent = Dependent { prefix: format!("$q{number}_"), outer: schema, numbered: None };
        let columns = dependent.outer.columns().into_iter().enumerate();
        let mut columns: Vec<Expr> =
            columns.map(|(place, column)| Expr::Column(column).alias(dependent.column(place))).collect();
        columns.push(column(&dependent.row()));
        let numbered = LogicalPlanBuilder::from(outer).window([row_number().alias(dependent.row())])?;
        dependent.numbered = Some(numbered.project(columns)?.build()?);
        Ok(dependent)
    }

    /// Returns the outer plan with one column more, the value of `query`.
    pub(super) fn with_value(mut self, query: &LogicalPlan, name: &str) -> Result<LogicalPlan> {
        let (query, takes_one) = match query {
            LogicalPlan::Limit(limit) if is_first_row(limit) && refers_out(&limit.input) => {
                (limit.input.as_ref(), true)
            }
            other => (other, false),
        };
        let value = Expr::Column(Column::from(query.schema().qualified_field(0)));
        let Rows { plan, order } = self.rows(query)?;
        if has_one_row(query) {
            let value = self.if_there(value)?;
            return self.restored(plan, vec![value.alias(name)]);
        }
        let mut found = vec![self.first(value, order)?.alias(name)];
        if !takes_one {
            found.push(self.filtered(count(lit(1_i64)))?.alias(self.name("rows")));
        }
        let plan = self.grouped(plan, Vec::new(), found)?;
        let value = match takes_one {
            true => column(name),
            false => ScalarUDF::from(OnlyRow::new()).call(vec![column(name), column(&self.name("rows"))]),
        };
        self.restored(plan, vec![value.alias(name)])
    }

    /// Returns the outer plan joined with the rows of `query`; a row for which there is none stays if `all`.
    pub(super) fn with_rows(mut self, query: &LogicalPlan, all: bool) -> Result<LogicalPlan> {
        let Rows { plan, .. } = self.rows(query)?;
        let there = self.there();
        let columns = query.schema().iter();
        if !all {
            let plan = LogicalPlanBuilder::from(plan).filter(column(&there).is_true())?.build()?;
            return self.restored(plan, columns.map(|named| Expr::Column(Column::from(named))).collect());
        }
        // What is there comes first.
        let place = self.name("place");
        let order = vec![SortExpr::new(column(&there), false, false)];
        let number = numbered(vec![column(&self.row())], order).alias(&place);
        let is_kept = column(&there).is_true().or(column(&place).eq(lit(1_u64)));
        let plan = LogicalPlanBuilder::from(plan).window([number])?.filter(is_kept)?.build()?;
        let columns = columns.map(|(table, field)| {
            let value = self.if_there(Expr::Column(Column::from((table, field))))?;
            Ok(value.alias_qualified(table.cloned(), field.name()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        self.restored(plan, columns)
    }

    fn name(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    fn column(&self, place: usize) -> String {
        self.name(&place.to_string())
    }

    /// The column that numbers the rows of the outer plan.
    fn row(&self) -> String {
        self.name("row")
    }

    /// The column that is true where the query has a row.
    fn there(&self) -> String {
        self.name("there")
    }

    /// The columns that go through the query: those of the outer plan and the number.
    fn carried(&self) -> Vec<String> {
        (0..self.outer.fields().len()).map(|place| self.column(place)).chain([self.row()]).collect()
    }

    /// As [`Self::carried`], and the mark and the keys of the order.
    fn kept(&self, order: &[SortExpr]) -> Vec<Expr> {
        let carried = self.carried().into_iter().chain([self.there()]).map(|name| column(&name));
        carried.chain(order.iter().map(|key| key.expr.clone())).collect()
    }

    /// Gives the columns of the outer plan their names back.
    fn restored(&self, plan: LogicalPlan, more: Vec<Expr>) -> Result<LogicalPlan> {
        let columns = self.outer.iter().enumerate();
        let columns = columns
            .map(|(place, (table, field))| column(&self.column(place)).alias_qualified(table.cloned(), field.name()));
        LogicalPlanBuilder::from(plan).project(columns.chain(more))?.build()
    }

    /// Says an expression of the query over the rows here.
    fn here(&self, expr: Expr) -> Result<Expr> {
        let said = expr.transform(|part| match &part {
            Expr::OuterReferenceColumn(_, outer) => match self.outer.maybe_index_of_column(outer) {
                Some(place) => Ok(Transformed::yes(column(&self.column(place)))),
                None => Ok(Transformed::no(part)),
            },
            _ => Ok(Transformed::no(part)),
        });
        said.data()
    }

    /// As [`Self::here`], under the name that it had.
    fn named_here(&self, expr: &Expr) -> Result<Expr> {
        let name = NamePreserver::new_for_projection().save(expr);
        Ok(name.restore(self.here(expr.clone())?))
    }

    fn all_here<'a>(&self, exprs: impl IntoIterator<Item = &'a Expr>) -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.named_here(expr)).collect()
    }

    fn if_there(&self, value: Expr) -> Result<Expr> {
        when(column(&self.there()), value).end()
    }

    fn rows(&mut self, query: &LogicalPlan) -> Result<Rows> {
        if !refers_out(query) && !is_sorted(query) {
            return self.beside(query.clone(), Vec::new());
        }
        match query {
            LogicalPlan::Filter(filter) => self.filter(&filter.input, &filter.predicate),
            LogicalPlan::Projection(projection) => {
                let input = self.rows(&projection.input)?;
                let exprs = [self.kept(&input.order), self.all_here(&projection.expr)?].concat();
                self.projected(input, exprs)
            }
            LogicalPlan::SubqueryAlias(alias) => self.alias(alias),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                let input = self.rows(&sort.input)?;
                self.sort(input, sort.input.schema().columns(), &sort.expr)
            }
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let group = input.schema().columns().into_iter().map(Expr::Column).collect();
                let rows = self.rows(input)?;
                Ok(unordered(self.grouped(rows.plan, group, Vec::new())?))
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) if join.join_type == JoinType::Inner => self.inner_join(join),
            LogicalPlan::Join(join) if join.join_type == JoinType::Left && !refers_out(&join.right) => {
                self.left_join(join)
            }
            other => refused(other),
        }
    }

    /// Puts the rows of a plan that does not refer to the outer one beside it, where `conditions` are true.
    fn beside(&mut self, plan: LogicalPlan, conditions: Vec<Expr>) -> Result<Rows> {
        let Some(numbered) = self.numbered.take() else { return refused(&plan) };
        let columns = plan.schema().columns().into_iter().map(Expr::Column);
        let there = lit(true).alias(self.there());
        let plan = LogicalPlanBuilder::from(plan).project(columns.chain([there]))?.build()?;
        let conditions = conditions.into_iter().map(|condition| self.here(condition)).collect::<Result<Vec<_>>>()?;
        let conditions = if conditions.is_empty() { vec![lit(true)] } else { conditions };
        Ok(unordered(LogicalPlanBuilder::from(numbered).join_on(plan, JoinType::Left, conditions)?.build()?))
    }

    fn filter(&mut self, input: &Arc<LogicalPlan>, predicate: &Expr) -> Result<Rows> {
        if refers_out(input) {
            let input_rows = self.rows(input)?;
            return self.keep_if(input_rows, input.schema().columns(), self.here(predicate.clone())?);
        }
        let (outer, own): (Vec<&Expr>, Vec<&Expr>) =
            split_conjunction(predicate).into_iter().partition(|part| part.contains_outer());
        let plan = match conjunction(own.into_iter().cloned()) {
            Some(own) => LogicalPlanBuilder::from(Arc::clone(input)).filter(own)?.build()?,
            None => input.as_ref().clone(),
        };
        if outer.iter().any(|part| super::asks(part)) {
            let rows = self.beside(plan, Vec::new())?;
            let predicate = conjunction(outer.into_iter().cloned()).unwrap_or_else(|| lit(true));
            return self.keep_if(rows, input.schema().columns(), self.here(predicate)?);
        }
        self.beside(plan, outer.into_iter().cloned().collect())
    }

    /// Marks rows for which `condition` is not true as not there.
    fn keep_if(&self, rows: Rows, columns: Vec<Column>, condition: Expr) -> Result<Rows> {
        let schema = Arc::clone(rows.plan.schema());
        let condition = conditions::counts(conditions::as_values(condition, &schema)?)?;
        let there = self.there();
        let marked = when(column(&there).and(condition), lit(true)).otherwise(lit(ScalarValue::Boolean(None)))?;
        let kept = self.kept(&rows.order).into_iter();
        let kept = kept.map(|expr| if expr == column(&there) { marked.clone().alias(&there) } else { expr });
        let exprs = kept.chain(columns.into_iter().map(Expr::Column)).collect();
        self.projected(rows, exprs)
    }

    fn projected(&self, rows: Rows, exprs: Vec<Expr>) -> Result<Rows> {
        let plan = LogicalPlanBuilder::from(rows.plan).project(exprs)?.build()?;
        Ok(Rows { plan, order: rows.order })
    }

    fn alias(&mut self, alias: &SubqueryAlias) -> Result<Rows> {
        let rows = self.rows(&alias.input)?;
        let renamed = alias.input.schema().columns().into_iter().zip(alias.schema.iter());
        let renamed =
            renamed.map(|(old, (table, field))| Expr::Column(old).alias_qualified(table.cloned(), field.name()));
        let exprs = self.kept(&rows.order).into_iter().chain(renamed).collect();
        self.projected(rows, exprs)
    }

    fn sort(&self, rows: Rows, columns: Vec<Column>, keys: &[SortExpr]) -> Result<Rows> {
        let mut exprs = self.kept(&[]);
        let mut order = Vec::with_capacity(keys.len());
        for (place, key) in keys.iter().enumerate() {
            let name = self.name(&format!("key{place}"));
            exprs.push(self.here(key.expr.clone())?.alias(&name));
            order.push(SortExpr::new(column(&name), key.asc, key.nulls_first));
        }
        exprs.extend(columns.into_iter().map(Expr::Column));
        let Rows { plan, .. } = self.projected(rows, exprs)?;
        Ok(Rows { plan, order })
    }

    fn limit(&mut self, limit: &Limit) -> Result<Rows> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return plan_err!("LIMIT and OFFSET of a query inside of another must be numbers");
        };
        let rows = self.rows(&limit.input)?;
        let place = self.name("place");
        let order = rows.order.clone();
        let number = numbered(self.of_a_row(), order.clone());
        let plan = LogicalPlanBuilder::from(rows.plan).window([number.alias(&place)])?.build()?;
        let is_behind = column(&place).gt(lit(skip as u64));
        let is_in = match fetch {
            Some(fetch) => is_behind.and(column(&place).lt_eq(lit(skip.saturating_add(fetch) as u64))),
            None => is_behind,
        };
        self.keep_if(Rows { plan, order }, limit.input.schema().columns(), is_in)
    }

    /// Tells the rows of the query for one row of the outer plan.
    fn of_a_row(&self) -> Vec<Expr> {
        vec![column(&self.row()), column(&self.there())]
    }

    fn window(&mut self, window: &Window) -> Result<Rows> {
        let rows = self.rows(&window.input)?;
        let of_a_row = self.of_a_row();
        let functions = window.window_expr.iter().map(|expr| {
            let name = NamePreserver::new_for_projection().save(expr);
            let within = self.here(expr.clone())?.transform(|part| match part {
                Expr::WindowFunction(function) => {
                    let mut function: Box<WindowFunction> = function;
                    function.params.partition_by.extend(of_a_row.clone());
                    Ok(Transformed::yes(Expr::WindowFunction(function)))
                }
                other => Ok(Transformed::no(other)),
            });
            Ok(name.restore(within.data()?))
        });
        let functions = functions.collect::<Result<Vec<_>>>()?;
        let plan = LogicalPlanBuilder::from(rows.plan).window(functions)?.build()?;
        Ok(Rows { plan, order: rows.order })
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Rows> {
        if aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_))) {
            return plan_err!(
                "GROUPING SETS in a query that refers to an outer one are not answered: join with it instead"
            );
        }
        let rows = self.rows(&aggregate.input)?;
        let found = aggregate.aggr_expr.iter().map(|expr| {
            let name = NamePreserver::new_for_projection().save(expr);
            Ok(name.restore(self.filtered(self.here(expr.clone())?)?))
        });
        let found = found.collect::<Result<Vec<_>>>()?;
        if !aggregate.group_expr.is_empty() {
            return Ok(unordered(self.grouped(rows.plan, self.all_here(&aggregate.group_expr)?, found)?));
        }
        // One row, also of none.
        let plan = self.grouped_by_row(rows.plan, Vec::new(), found)?;
        let columns = plan.schema().columns().into_iter().map(Expr::Column);
        let there = lit(true).alias(self.there());
        Ok(unordered(LogicalPlanBuilder::from(plan).project(columns.chain([there]))?.build()?))
    }

    /// Aggregates only rows that are there.
    fn filtered(&self, expr: Expr) -> Result<Expr> {
        let there = column(&self.there());
        let filtered = expr.transform(|part| match part {
            Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
                let filter = params.filter.take().map_or(there.clone(), |filter| there.clone().and(*filter));
                params.filter = Some(Box::new(filter));
                Ok(Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params })))
            }
            other => Ok(Transformed::no(other)),
        });
        filtered.data()
    }

    fn first(&self, value: Expr, order: Vec<SortExpr>) -> Result<Expr> {
        self.filtered(first_value(value, order))
    }

    /// Groups by the row of the outer plan and `group`; rows that are not there stay apart.
    fn grouped(&self, plan: LogicalPlan, mut group: Vec<Expr>, found: Vec<Expr>) -> Result<LogicalPlan> {
        if !group.is_empty() {
            group.insert(0, column(&self.there()));
        }
        self.grouped_by_row(plan, group, found)
    }

    fn grouped_by_row(&self, plan: LogicalPlan, group: Vec<Expr>, found: Vec<Expr>) -> Result<LogicalPlan> {
        // All rows of a group have the same: unlike keys, columns that nobody needs are left out again.
        let outer = (0..self.outer.fields().len()).map(|place| self.column(place));
        let outer = outer.map(|name| first_value(column(&name), Vec::new()).alias(&name));
        let group = [vec![column(&self.row())], group].concat();
        let aggregate = Aggregate::try_new(Arc::new(plan), group, outer.chain(found).collect())?;
        Ok(LogicalPlan::Aggregate(aggregate))
    }

    fn inner_join(&mut self, join: &Join) -> Result<Rows> {
        if refers_out(&join.left) && refers_out(&join.right) {
            return refused(&LogicalPlan::Join(join.clone()));
        }
        let conditions = conditions_of(join);
        if !refers_out(&join.left) && !refers_out(&join.right) {
            let (left, right) = (Arc::clone(&join.left), Arc::clone(&join.right));
            let both = LogicalPlanBuilder::from(left).cross_join(Arc::unwrap_or_clone(right))?.build()?;
            let predicate = conjunction(conditions).unwrap_or_else(|| lit(true));
            return self.filter(&Arc::new(both), &predicate);
        }
        let (inside, other) =
            if refers_out(&join.left) { (&join.left, &join.right) } else { (&join.right, &join.left) };
        let rows = self.rows(inside)?;
        let matched = self.name("matched");
        let columns = other.schema().columns().into_iter().map(Expr::Column);
        let other =
            LogicalPlanBuilder::from(Arc::clone(other)).project(columns.chain([lit(true).alias(&matched)]))?.build()?;
        let columns = join.schema.columns();
        let joined = self.joined(rows, other, conditions)?;
        self.keep_if(joined, columns, column(&matched))
    }

    fn left_join(&mut self, join: &Join) -> Result<Rows> {
        let rows = self.rows(&join.left)?;
        self.joined(rows, join.right.as_ref().clone(), conditions_of(join))
    }

    fn joined(&self, rows: Rows, other: LogicalPlan, conditions: Vec<Expr>) -> Result<Rows> {
        let there = [Ok(column(&self.there()))].into_iter();
        let conditions = there.chain(conditions.into_iter().map(|condition| self.here(condition)));
        let conditions = conditions.collect::<Result<Vec<_>>>()?;
        Ok(unordered(LogicalPlanBuilder::from(rows.plan).join_on(other, JoinType::Left, conditions)?.build()?))
    }
}

fn conditions_of(join: &Join) -> Vec<Expr> {
    let op = match join.null_equality {
        NullEquality::NullEqualsNothing => Operator::Eq,
        NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
    };
    let equal = join.on.iter().cloned();
    let equal = equal.map(|(left, right)| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))));
    let filter = join.filter.iter().flat_map(split_conjunction).cloned();
    equal.chain(filter).collect()
}

/// Numbers the rows of each part in an order.
fn numbered(parts: Vec<Expr>, order: Vec<SortExpr>) -> Expr {
    let mut number = row_number();
    if let Expr::WindowFunction(function) = &mut number {
        function.params.partition_by = parts;
        function.params.order_by = order;
    }
    number
}

/// Says whether a query has one row, whatever it reads; conditions on that row aside.
pub(in crate::planner) fn has_one_row(query: &LogicalPlan) -> bool {
    match query {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Filter(filter) => has_one_row(&filter.input),
        LogicalPlan::Sort(sort) => has_one_row(&sort.input),
        _ => false,
    }
}

fn is_first_row(limit: &Limit) -> bool {
    matches!(limit.get_skip_type(), Ok(SkipType::Literal(0)))
        && matches!(limit.get_fetch_type(), Ok(FetchType::Literal(Some(1))))
}

/// Says whether a part of a query refers to the outer one, or to one further out.
fn refers_out(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

/// Says whether a query has an order that a limit above it may need.
fn is_sorted(query: &LogicalPlan) -> bool {
    match query {
        LogicalPlan::Sort(sort) => sort.fetch.is_none(),
        LogicalPlan::Projection(projection) => is_sorted(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_sorted(&alias.input),
        _ => false,
    }
}

fn unordered(plan: LogicalPlan) -> Rows {
    Rows { plan, order: Vec::new() }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn refused<T>(plan: &LogicalPlan) -> Result<T> {
    let node = plan.display().to_string();
    let node = node.split([':', ' ']).next().unwrap_or_default();
    plan_err!("a query that refers to an outer one inside of {node} is not answered: join with it instead")
}
