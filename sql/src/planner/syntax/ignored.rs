//! Refuses what the parser reads and DataFusion's planner drops without a word.
//!
//! A clause that is dropped gives an answer to another question. The nodes of a query are taken apart field by field, so that a
//! field which a new version of the parser brings is a compile error here, and somebody looks what becomes of it. Clauses that only
//! hint at how to run a query (`/*+ … */`, `MATERIALIZED`) may be dropped.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, CharacterLength, Cte, DataType, DuplicateTreatment, Expr, Fetch, Function, FunctionArg,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, GroupByExpr, Join, JoinConstraint, JoinOperator,
    LimitClause, NamedWindowDefinition, NamedWindowExpr, OrderBy, OrderByKind, PipeOperator, Query, Select, SetExpr,
    SetQuantifier, TableAlias, TableFactor, TableWithJoins, Visitor, WindowFrameBound, WindowFrameUnits, WindowSpec,
    WindowType, With,
};
use icefold_core::Error;

/// Looks through a statement; breaks with the reason at the first clause that would be dropped.
pub(super) struct Ignored<'a> {
    /// Returns whether a function, by its name in lower case, is computed row by row.
    pub(super) is_scalar: &'a dyn Fn(&str) -> bool,
}

type Verdict = ControlFlow<Error>;

/// Refuses `clause` if it is there, and names another way.
fn refuse(is_there: bool, clause: &str, instead: &str) -> Verdict {
    if is_there {
        return ControlFlow::Break(Error::invalid(format!("`{clause}` cannot be answered: {instead}")));
    }
    ControlFlow::Continue(())
}

const LEAVE_OUT: &str = "leave it out";

impl Visitor for Ignored<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> Verdict {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if let Some(with) = with {
            with_clause(with)?;
        }
        if let Some(order_by) = order_by {
            order(order_by, body)?;
        }
        if let Some(fetch) = fetch {
            fetched(fetch, limit_clause.as_ref())?;
        }
        refuse(!locks.is_empty(), "FOR UPDATE", "a query takes no locks: leave it out")?;
        refuse(for_clause.is_some(), "FOR XML, FOR JSON", "choose the format of the output with --format")?;
        refuse(settings.is_some(), "SETTINGS", LEAVE_OUT)?;
        refuse(format_clause.is_some(), "FORMAT", "choose the format of the output with --format")?;
        pipe_operators.iter().try_for_each(pipe)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Verdict {
        let Select {
            select_token: _,
            optimizer_hints: _,
            distinct: _,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection: _,
            exclude,
            into: _,
            from,
            lateral_views,
            prewhere,
            selection: _,
            connect_by,
            group_by,
            cluster_by,
            distribute_by: _,
            sort_by,
            having: _,
            named_window,
            qualify: _,
            window_before_qualify: _,
            value_table_mode,
            flavor: _,
        } = select;
        refuse(select_modifiers.is_some(), "a modifier of SELECT", LEAVE_OUT)?;
        refuse(top.is_some(), "TOP", "write LIMIT at the end of the query")?;
        refuse(exclude.is_some(), "EXCLUDE behind the columns", "write `* EXCLUDE (column)`")?;
        refuse(!lateral_views.is_empty(), "LATERAL VIEW", "write unnest(…) among the columns")?;
        refuse(prewhere.is_some(), "PREWHERE", "write WHERE")?;
        refuse(!connect_by.is_empty(), "CONNECT BY", "write WITH RECURSIVE")?;
        refuse(!cluster_by.is_empty() || !sort_by.is_empty(), "CLUSTER BY, SORT BY", "write ORDER BY")?;
        refuse(value_table_mode.is_some(), "SELECT AS", "write named_struct(…) or the value alone")?;
        let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = group_by;
        refuse(!modifiers.is_empty(), "GROUP BY … WITH", "write GROUP BY ROLLUP(…), CUBE(…) or GROUPING SETS(…)")?;
        for NamedWindowDefinition(_, window) in named_window {
            if let NamedWindowExpr::WindowSpec(window) = window {
                frame(window)?;
            }
        }
        from.iter().try_for_each(joins)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Verdict {
        table(factor)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Verdict {
        match expr {
            Expr::Function(function) => self.function(function),
            Expr::Exists { subquery, negated: _ } => refuse(
                matches!(&subquery.limit_clause, Some(LimitClause::LimitOffset { offset: Some(_), .. }))
                    || matches!(&subquery.limit_clause, Some(LimitClause::OffsetCommaLimit { .. })),
                "EXISTS with OFFSET",
                "count instead: (SELECT count(*) FROM …) > n",
            ),
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, data_type, .. }
            | Expr::Cast { kind: CastKind::TryCast | CastKind::SafeCast, data_type, .. } => refuse(
                cuts(data_type),
                &data_type.to_string(),
                "a cast does not cut texts: cast to VARCHAR, and write left(text, n) to cut",
            ),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Ignored<'_> {
    fn function(&self, function: &Function) -> Verdict {
        let Function { name, uses_odbc_syntax: _, parameters, args, filter, null_treatment, over, within_group } =
            function;
        refuse(*parameters != FunctionArguments::None, &format!("{name}(…)(…)"), "give all arguments in one list")?;
        refuse(
            matches!(args, FunctionArguments::Subquery(_)),
            &format!("{name}(SELECT …)"),
            "put the subquery in parentheses of its own",
        )?;
        if let Some(WindowType::WindowSpec(window)) = over {
            frame(window)?;
        }
        let is_window = matches!(over, Some(WindowType::WindowSpec(_) | WindowType::NamedWindow(_)));
        let is_scalar = (self.is_scalar)(&name.to_string().to_lowercase());
        let of_rows = format!("for {name}, which is computed row by row,");
        refuse(is_scalar && is_window, "OVER", &format!("{of_rows} leave it out"))?;
        refuse(is_scalar && filter.is_some(), "FILTER", &format!("{of_rows} write CASE WHEN … THEN … END"))?;
        refuse(is_scalar && null_treatment.is_some(), "IGNORE NULLS", &format!("{of_rows} leave it out"))?;
        refuse(is_scalar && !within_group.is_empty(), "WITHIN GROUP", &format!("{of_rows} leave it out"))?;
        let FunctionArguments::List(FunctionArgumentList { duplicate_treatment, args: _, clauses }) = args else {
            return ControlFlow::Continue(());
        };
        refuse(is_scalar && duplicate_treatment.is_some(), "DISTINCT", &format!("{of_rows} leave it out"))?;
        refuse(is_scalar && !clauses.is_empty(), "ORDER BY, IGNORE NULLS", &format!("{of_rows} leave it out"))?;
        let distinct = matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct));
        refuse(
            distinct && keeps_copies(&name.to_string().to_lowercase()),
            &format!("{name}(DISTINCT …)"),
            "it would count copies: take the function over SELECT DISTINCT …",
        )?;
        let ordered = clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
        refuse(is_window && ordered, "ORDER BY among the arguments", "for a window, write it behind OVER")
    }
}

/// Refuses a frame by values that ends before its row, or begins behind it: once such a frame was empty, rows that left it are kept.
fn frame(window: &WindowSpec) -> Verdict {
    use WindowFrameBound::{Following, Preceding};
    let beside = window.window_frame.as_ref().is_some_and(|frame| {
        let bounds = (&frame.start_bound, &frame.end_bound);
        let beside = matches!(bounds, (Preceding(_), Some(Preceding(_))) | (Following(_), Some(Following(_))));
        frame.units == WindowFrameUnits::Range && beside
    });
    refuse(beside, "RANGE with both ends on one side of the row", "join the table with itself by the range")
}

/// Returns whether DataFusion's function of this name does not heed DISTINCT, though copies change what it says.
fn keeps_copies(name: &str) -> bool {
    const KEEP: [&str; 9] = [
        "approx_percentile_cont",
        "approx_percentile_cont_with_weight",
        "corr",
        "covar",
        "covar_pop",
        "covar_samp",
        "lag",
        "lead",
        "nth_value",
    ];
    KEEP.contains(&name) || name.starts_with("regr_")
}

fn with_clause(With { with_token: _, recursive: _, cte_tables }: &With) -> Verdict {
    for Cte { alias, query, from, materialized: _, closing_paren_token: _ } in cte_tables {
        named(Some(alias))?;
        skipping(query)?;
        refuse(from.is_some(), "FROM behind a WITH query", LEAVE_OUT)?;
    }
    ControlFlow::Continue(())
}

/// Refuses a query in FROM that skips rows in an order and takes all others: an order further out would be made first.
fn skipping(query: &Query) -> Verdict {
    let skips =
        matches!(&query.limit_clause, Some(LimitClause::LimitOffset { offset: Some(_), limit: None, limit_by: _ }));
    refuse(
        skips && query.order_by.is_some() && query.fetch.is_none(),
        "OFFSET without LIMIT in a query of FROM",
        "give a LIMIT, too, or number the rows by row_number() OVER (ORDER BY …) and filter by the number",
    )
}

fn order(OrderBy { kind, interpolate }: &OrderBy, body: &SetExpr) -> Verdict {
    refuse(interpolate.is_some(), "INTERPOLATE", LEAVE_OUT)?;
    match kind {
        OrderByKind::All(_) => refuse(
            !matches!(body, SetExpr::Select(_)),
            "ORDER BY ALL",
            "behind a set operation or VALUES, write the columns: ORDER BY 1, 2",
        ),
        OrderByKind::Expressions(orders) => refuse(
            orders.iter().any(|order| order.with_fill.is_some()),
            "WITH FILL",
            "join with generate_series(…) to fill gaps",
        ),
    }
}

fn fetched(Fetch { with_ties, percent, quantity: _ }: &Fetch, limit: Option<&LimitClause>) -> Verdict {
    refuse(*with_ties, "WITH TIES", "write QUALIFY rank() OVER (ORDER BY …) <= n")?;
    refuse(*percent, "FETCH … PERCENT", "write QUALIFY percent_rank() OVER (ORDER BY …) < share")?;
    let limited = match limit {
        None => false,
        Some(LimitClause::LimitOffset { limit, offset: _, limit_by }) => limit.is_some() || !limit_by.is_empty(),
        Some(LimitClause::OffsetCommaLimit { .. }) => true,
    };
    refuse(limited, "LIMIT together with FETCH", "write one of them")
}

fn pipe(operator: &PipeOperator) -> Verdict {
    match operator {
        PipeOperator::Except { set_quantifier, .. } | PipeOperator::Intersect { set_quantifier, .. } => refuse(
            matches!(set_quantifier, SetQuantifier::All),
            "|> EXCEPT ALL, |> INTERSECT ALL",
            "write it between two queries: (SELECT …) EXCEPT ALL (SELECT …)",
        ),
        PipeOperator::TableSample { .. } => refuse(true, "TABLESAMPLE", "write WHERE random() < 0.1"),
        PipeOperator::Join(join) => joined(join),
        _ => ControlFlow::Continue(()),
    }
}

fn joins(TableWithJoins { relation: _, joins }: &TableWithJoins) -> Verdict {
    joins.iter().try_for_each(joined)
}

fn joined(Join { relation: _, global, join_operator }: &Join) -> Verdict {
    refuse(*global, "GLOBAL JOIN", "write JOIN")?;
    let constraint = match join_operator {
        JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::Right(on)
        | JoinOperator::RightOuter(on)
        | JoinOperator::FullOuter(on) => on,
        _ => return ControlFlow::Continue(()),
    };
    refuse(
        matches!(constraint, JoinConstraint::Natural),
        "NATURAL with an outer join",
        "without a common column it would drop rows: write USING (column)",
    )?;
    refuse(matches!(constraint, JoinConstraint::None), "an outer join without a condition", "write ON or USING")
}

fn table(factor: &TableFactor) -> Verdict {
    match factor {
        TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version: _,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            named(alias.as_ref())?;
            refuse(!with_hints.is_empty() || !index_hints.is_empty(), "a hint behind a table", LEAVE_OUT)?;
            refuse(*with_ordinality, "WITH ORDINALITY", "write row_number() OVER () among the columns")?;
            refuse(!partitions.is_empty(), "PARTITION", "write a condition on the partition's column in WHERE")?;
            refuse(json_path.is_some(), &format!("a path behind `{name}`"), "take members among the columns")?;
            refuse(sample.is_some(), "TABLESAMPLE", "write WHERE random() < 0.1")?;
            refuse(args.as_ref().is_some_and(|args| args.settings.is_some()), "SETTINGS", LEAVE_OUT)
        }
        TableFactor::Derived { lateral: _, subquery, alias, sample } => {
            named(alias.as_ref())?;
            skipping(subquery)?;
            refuse(sample.is_some(), "TABLESAMPLE", "write WHERE random() < 0.1")
        }
        TableFactor::Function { lateral: _, name: _, args, with_ordinality, alias } => {
            named(alias.as_ref())?;
            let with_names = args.iter().any(|arg| !matches!(arg, FunctionArg::Unnamed(_)));
            refuse(with_names, "an argument by name", "give the arguments of a table function in order")?;
            refuse(*with_ordinality, "WITH ORDINALITY", "write row_number() OVER () among the columns")
        }
        TableFactor::NestedJoin { table_with_joins, alias } => {
            named(alias.as_ref())?;
            joins(table_with_joins)
        }
        TableFactor::UNNEST { alias, array_exprs: _, with_offset: _, with_offset_alias: _, with_ordinality: _ } => {
            named(alias.as_ref())
        }
        // The planner refuses all others by name.
        _ => ControlFlow::Continue(()),
    }
}

fn named(alias: Option<&TableAlias>) -> Verdict {
    let Some(TableAlias { explicit: _, name: _, columns, at }) = alias else { return ControlFlow::Continue(()) };
    refuse(at.is_some(), "AT behind an alias", LEAVE_OUT)?;
    let with_types = columns.iter().any(|column| column.data_type.is_some());
    refuse(with_types, "a type among the names of columns", "give names only, and cast among the columns")
}

/// Returns whether a type has a longest text.
fn cuts(kind: &DataType) -> bool {
    let length = match kind {
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length)
        | DataType::Nvarchar(length)
        | DataType::Char(length)
        | DataType::Character(length) => length,
        _ => return false,
    };
    matches!(length, Some(CharacterLength::IntegerLength { .. }))
}
