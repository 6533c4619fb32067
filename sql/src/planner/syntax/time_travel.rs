//! Reads a table at the version that a query names behind it.
//!
//! DataFusion drops the version, and all else that can stand behind a table's name (`TABLESAMPLE`, hints, partitions, `WITH
//! ORDINALITY`), and answers as if it were not there. Here a version is read, and the rest is refused.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, Result, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, ObjectName, SetExpr, TableFactor, TableVersion, Value};
use icefold_core::{Error, ErrorKind};

use super::statement::parse;
use crate::as_of::AsOf;
use crate::error::{external, from_datafusion};
use crate::namespace::{CATALOG, Namespace};
use crate::views::View;

/// Plans tables with a version.
#[derive(Debug)]
pub(crate) struct TimeTravel {
    pub(crate) tables: Arc<Namespace>,
}

impl RelationPlanner for TimeTravel {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        if let Some(dropped) = would_be_dropped(&relation) {
            return Err(external(Error::invalid(format!("`{dropped}` cannot be applied to a table: leave it out"))));
        }
        match relation {
            TableFactor::Table { name, alias, args: None, version: Some(version), .. } => {
                let plan = self.table(name, &version, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            TableFactor::Table { name, version: Some(_), .. } => Err(external(Error::invalid(format!(
                "a table function has no versions: write the version behind a name, such as \"events${name}\" FOR VERSION AS OF 123"
            )))),
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

/// Returns what stands behind a table's name that DataFusion would not heed.
fn would_be_dropped(relation: &TableFactor) -> Option<String> {
    match relation {
        TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
            Some("TABLESAMPLE".to_owned())
        }
        TableFactor::Table { with_ordinality: true, .. } => Some("WITH ORDINALITY".to_owned()),
        TableFactor::Table { with_hints, .. } if !with_hints.is_empty() => Some("WITH (…)".to_owned()),
        TableFactor::Table { partitions, .. } if !partitions.is_empty() => Some("PARTITION (…)".to_owned()),
        TableFactor::Table { index_hints, .. } if !index_hints.is_empty() => Some(index_hints[0].to_string()),
        TableFactor::Table { json_path: Some(path), .. } => Some(path.to_string()),
        _ => None,
    }
}

impl TimeTravel {
    fn table(
        &self,
        name: ObjectName,
        version: &TableVersion,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        let reference = context.object_name_to_table_reference(name.clone())?;
        let Some(own) = self.tables.own_name(&reference).map(str::to_owned) else {
            return Err(external(Error::invalid(format!(
                "`{reference}` has no versions: only tables of the warehouse have"
            ))));
        };
        // A name of one part may be that of a query in WITH, which only the planner knows.
        if matches!(reference, TableReference::Bare { .. }) && !self.means_ours(&name, &own, context)? {
            return Err(external(Error::invalid(format!(
                "`{own}` is a query in WITH here, which has no versions: write the version behind the table inside of it, or name \
                 the table as {}.{own}",
                self.tables.name()
            ))));
        }
        if let Some(view) = self.tables.view_named(&own) {
            return self.view(view, reference, version, context);
        }
        let as_of = as_of(version, context)?;
        let table = self.tables.at(&own, &as_of).map_err(external)?;
        let table = table.ok_or_else(|| external(self.tables.unknown(&own)))?;
        LogicalPlanBuilder::scan(reference, provider_as_source(table), None)?.build()
    }

    /// Returns whether a name without a version would be our table or view.
    fn means_ours(&self, name: &ObjectName, own: &str, context: &mut dyn RelationPlannerContext) -> Result<bool> {
        let view = self.tables.find(own).map_err(external)?;
        let view = view.as_deref().and_then(TableProvider::get_logical_plan);
        Ok(match context.plan(plain_table(name.clone()))? {
            LogicalPlan::TableScan(_) => true,
            LogicalPlan::SubqueryAlias(alias) => view.is_some_and(|view| *alias.input == *view),
            _ => false,
        })
    }

    /// Plans a view with the version on the table that it reads.
    fn view(
        &self,
        view: &View,
        reference: TableReference,
        version: &TableVersion,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        let recursion_limit = context.context_provider().options().sql_parser.recursion_limit;
        let statement = parse(view.sql, recursion_limit)?;
        let query = at_version(statement, self.tables.name(), view.table, version)
            .ok_or_else(|| external(Error::bug("a view is not a query over one table").with("view", view.name)))?;
        let derived = TableFactor::Derived { lateral: false, subquery: query, alias: None, sample: None };
        let plan = context.plan(derived).map_err(|e| external(lacks_columns(view, from_datafusion(e))))?;
        LogicalPlanBuilder::from(plan).alias(reference)?.build()
    }
}

/// A version of before the view's columns were there.
fn lacks_columns(view: &View, cause: Error) -> Error {
    if cause.kind() == ErrorKind::NotFound {
        return cause;
    }
    Error::invalid(format!(
        "view `{}` cannot be read at that version of `{}`, which may lack columns: {}",
        view.name,
        view.table,
        cause.message()
    ))
    .because(cause)
}

fn plain_table(name: ObjectName) -> TableFactor {
    TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// Puts the version on the one table of a query, and its full name, which no query in WITH can hide.
fn at_version(statement: Statement, namespace: &str, table: &str, wanted: &TableVersion) -> Option<Box<ast::Query>> {
    let Statement::Statement(statement) = statement else { return None };
    let ast::Statement::Query(mut query) = *statement else { return None };
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let [from] = select.from.as_mut_slice() else { return None };
    let TableFactor::Table { name, version, .. } = &mut from.relation else { return None };
    *name = ObjectName::from([CATALOG, namespace, table].map(|part| ast::Ident::with_quote('"', part)).to_vec());
    *version = Some(wanted.clone());
    Some(query)
}

fn as_of(version: &TableVersion, context: &mut dyn RelationPlannerContext) -> Result<AsOf> {
    match version {
        TableVersion::VersionAsOf(ast::Expr::Value(value)) => match &value.value {
            Value::Number(text, _) => Ok(text.parse().map_or_else(|_| AsOf::Name(text.clone()), AsOf::Snapshot)),
            _ => Err(not_a_version(version)),
        },
        TableVersion::TimestampAsOf(time) | TableVersion::ForSystemTimeAsOf(time) => {
            let value = constant(time, context)?;
            millis(&value).map(AsOf::Time).ok_or_else(|| not_a_time(time))
        }
        other => Err(not_a_version(other)),
    }
}

fn not_a_version(version: &TableVersion) -> datafusion::common::DataFusionError {
    external(Error::invalid(format!(
        "`{version}` is no version that can be read: write FOR VERSION AS OF and the id of a snapshot, or FOR TIMESTAMP AS OF and a time"
    )))
}

fn not_a_time(time: &ast::Expr) -> datafusion::common::DataFusionError {
    external(Error::invalid(format!(
        "`{time}` is no time: write for example FOR TIMESTAMP AS OF TIMESTAMP '2026-11-01 00:00:00' (UTC unless it names a zone)"
    )))
}

/// Computes an expression without columns.
fn constant(expr: &ast::Expr, context: &mut dyn RelationPlannerContext) -> Result<ScalarValue> {
    let planned = context.sql_to_expr(expr.clone(), &DFSchema::empty()).map_err(|_| not_a_time(expr))?;
    let options = Arc::new(context.context_provider().options().clone());
    let facts = SimplifyContext::builder().with_config_options(options).with_current_time().build();
    let simplifier = ExprSimplifier::new(facts);
    let planned = simplifier.coerce(planned, &DFSchema::empty())?;
    match simplifier.simplify(planned)? {
        Expr::Literal(value, _) => Ok(value),
        _ => Err(not_a_time(expr)),
    }
}

/// Returns a time in milliseconds since 1970; what names no zone is UTC.
fn millis(value: &ScalarValue) -> Option<i64> {
    let kind = value.data_type();
    if value.is_null() || !(kind.is_temporal() || kind.is_string()) {
        return None;
    }
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    match value.cast_to(&utc).ok()? {
        ScalarValue::TimestampMicrosecond(micros, _) => micros.map(|micros| micros.div_euclid(1000)),
        _ => None,
    }
}
