//! `x` after `FULL JOIN … USING (x)` and `RIGHT JOIN … USING (x)`: the value of the side that has one.
//!
//! DataFusion always takes the left side's, which is NULL where only the right side has a row. Here the bare name, and the column
//! that `*` gives, become `coalesce(left.x, right.x)`. Where the text does not tell which table `x` is of, the query is refused.
//!
//! Behind an inner or left join `x` is found, but not by WHERE, which calls it ambiguous unless the condition itself names the column
//! of each side. So there it does, by a term that is always true. Where three tables share `x`, it is found nowhere, and becomes
//! the first table's.
//!
//! `FROM t` without SELECT is `SELECT * FROM t`, which DataFusion answers with rows of no columns.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, ExcludeSelectItem, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName,
    OrderByKind, Query, ReplaceSelectElement, ReplaceSelectItem, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins, Value, VisitorMut,
    WildcardAdditionalOptions,
};
use icefold_core::Error;

use crate::walk;

/// Rewrites the names of merged columns.
pub(super) struct UsingColumns;

impl VisitorMut for UsingColumns {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        let merged = merged_of(select)?;
        if merged.columns.is_empty() {
            return ControlFlow::Continue(());
        }
        // An order goes by the columns that come out first.
        let mut ordered = merged.clone();
        ordered.columns.retain(|name, _| !comes_out(&select.projection, name));
        if let Some(OrderByKind::Expressions(orders)) = query.order_by.as_mut().map(|order| &mut order.kind) {
            orders.iter_mut().try_for_each(|order| walk::change(&mut order.expr, &mut Names::of(&ordered)))?;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        if matches!(select.flavor, SelectFlavor::FromFirstNoSelect) && select.projection.is_empty() {
            select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
        }
        let merged = merged_of(select)?;
        if let Some(items) = spelled_out(select, &merged) {
            let is_all =
                |item: &SelectItem| matches!(item, SelectItem::Wildcard(options) if options.to_string().is_empty());
            let old = std::mem::take(&mut select.projection);
            select.projection =
                old.into_iter().flat_map(|item| if is_all(&item) { items.clone() } else { vec![item] }).collect();
        }
        if !merged.is_outer {
            name_sides(select);
        }
        if merged.columns.is_empty() {
            return ControlFlow::Continue(());
        }
        for item in &mut select.projection {
            project(item, &merged)?;
        }
        select
            .from
            .iter_mut()
            .flat_map(|from| &mut from.joins)
            .try_for_each(|join| on(&mut join.join_operator, &merged))?;
        let names = &mut Names::of(&merged);
        walk::change(&mut select.selection, names)?;
        if let GroupByExpr::Expressions(groups, _) = &mut select.group_by {
            walk::change(groups, names)?;
        }
        walk::change(&mut select.having, names)?;
        walk::change(&mut select.qualify, names)?;
        walk::change(&mut select.named_window, names)
    }
}

/// What each merged column is.
#[derive(Clone, Default)]
struct Merged {
    columns: BTreeMap<String, Expr>,
    /// Whether the column of one side alone would be a wrong answer, so that what cannot be rewritten is refused.
    is_outer: bool,
}

fn refuse(what: &str) -> ControlFlow<Error, Merged> {
    ControlFlow::Break(Error::invalid(format!(
        "{what} of a RIGHT or FULL JOIN … USING cannot be told: write ON a.x = b.x, and coalesce(a.x, b.x) among the columns"
    )))
}

/// Returns the columns that outer joins merge so that the left one is not enough.
fn merged_of(select: &Select) -> ControlFlow<Error, Merged> {
    let mut all = Merged::default();
    for from in &select.from {
        let merged = merged_by(from)?;
        all.columns.extend(merged.columns);
        all.is_outer |= merged.is_outer;
    }
    ControlFlow::Continue(all)
}

fn merged_by(from: &TableWithJoins) -> ControlFlow<Error, Merged> {
    let is_outer = from.joins.iter().any(|join| is_outer(&join.join_operator) && using(&join.join_operator).is_some());
    if !is_outer {
        let shared = sides_of(from).into_iter().filter(|(_, sides)| sides.len() > 2);
        let columns = shared.filter_map(|(name, sides)| Some((name, sides.into_iter().next()?))).collect();
        return ControlFlow::Continue(Merged { columns, is_outer });
    }
    let mut values: BTreeMap<String, Vec<Expr>> = BTreeMap::new();
    let mut outer_before = false;
    for (place, join) in from.joins.iter().enumerate() {
        let Some(columns) = using(&join.join_operator) else { continue };
        if outer_before {
            // It would be joined by the column of the first table.
            return ControlFlow::Break(Error::invalid(
                "USING behind a RIGHT or FULL JOIN … USING is refused because it would join by the column of one side alone: \
                 write ON coalesce(a.x, b.x) = c.x",
            ));
        }
        outer_before = self::is_outer(&join.join_operator);
        let Some(right) = name_of(&join.relation) else { return refuse("a column") };
        for column in columns {
            let Some(column) = column.0.last().and_then(|part| part.as_ident()) else { return refuse("a column") };
            let seen = values.contains_key(&normalized(column));
            let first = (place == 0).then(|| name_of(&from.relation)).flatten();
            if !seen && first.is_none() {
                return refuse(&format!("the table of `{column}`"));
            }
            let value =
                values.entry(normalized(column)).or_insert_with(|| first.iter().map(|t| of_table(t, column)).collect());
            match &join.join_operator {
                JoinOperator::FullOuter(_) => value.push(of_table(&right, column)),
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => *value = vec![of_table(&right, column)],
                _ => {}
            }
        }
    }
    let columns = values.into_iter().map(|(name, values)| (name, first_with_value(values))).collect();
    ControlFlow::Continue(Merged { columns, is_outer })
}

fn of_table(table: &[Ident], column: &Ident) -> Expr {
    Expr::CompoundIdentifier(table.iter().chain([column]).cloned().collect())
}

/// Returns what `*` means over joins with USING: all columns of the first table, and of the others those that are not merged. DataFusion
/// takes the column of the table whose name is first in the alphabet. `None` where tables have no names.
fn spelled_out(select: &Select, merged: &Merged) -> Option<Vec<SelectItem>> {
    let joins = || select.from.iter().flat_map(|from| &from.joins);
    if !joins().any(|join| using(&join.join_operator).is_some()) || (merged.is_outer && select.from.len() > 1) {
        return None;
    }
    let mut items = Vec::new();
    for from in &select.from {
        let replaced = if merged.is_outer { replaced(merged) } else { None };
        let options = WildcardAdditionalOptions { opt_replace: replaced, ..Default::default() };
        items.push(all_of(name_of(&from.relation)?, options));
        for join in &from.joins {
            let excluded = match using(&join.join_operator) {
                Some(columns) => Some(ExcludeSelectItem::Multiple(columns.to_vec())),
                None if keeps_columns(&join.join_operator) => None,
                None => return None,
            };
            let options = WildcardAdditionalOptions { opt_exclude: excluded, ..Default::default() };
            items.push(all_of(name_of(&join.relation)?, options));
        }
    }
    Some(items)
}

fn all_of(table: Vec<Ident>, options: WildcardAdditionalOptions) -> SelectItem {
    SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(table)), options)
}

/// Says whether the columns of both sides come out of a join without USING, as they are.
fn keeps_columns(operator: &JoinOperator) -> bool {
    match operator {
        JoinOperator::CrossJoin(_) => true,
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => matches!(constraint, JoinConstraint::On(_) | JoinConstraint::None),
        _ => false,
    }
}

/// Adds a term to WHERE that names both sides of each merged column.
fn name_sides(select: &mut Select) {
    let Some(condition) = select.selection.take() else { return };
    let sides = select.from.iter().flat_map(|from| sides_of(from).into_values());
    select.selection = Some(sides.fold(condition, |condition, sides| {
        let terms = sides.windows(2).map(|pair| binary(pair[0].clone(), BinaryOperator::Eq, pair[1].clone()));
        let term = terms.fold(Expr::value(Value::Boolean(true)), |all, one| binary(all, BinaryOperator::Or, one));
        binary(Expr::Nested(Box::new(condition)), BinaryOperator::And, Expr::Nested(Box::new(term)))
    }));
}

/// Returns for each column of USING what it is called on each side, first table first; without those of tables that have no name.
fn sides_of(from: &TableWithJoins) -> BTreeMap<String, Vec<Expr>> {
    let mut sides: BTreeMap<String, Vec<Expr>> = BTreeMap::new();
    for (place, join) in from.joins.iter().enumerate() {
        let Some(right) = name_of(&join.relation) else { continue };
        for column in using(&join.join_operator).into_iter().flatten() {
            let Some(column) = column.0.last().and_then(|part| part.as_ident()) else { continue };
            if let (0, Some(left)) = (place, name_of(&from.relation)) {
                sides.insert(normalized(column), vec![of_table(&left, column)]);
            }
            if let Some(sides) = sides.get_mut(&normalized(column)) {
                sides.push(of_table(&right, column));
            }
        }
    }
    sides
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn using(operator: &JoinOperator) -> Option<&[ObjectName]> {
    match operator {
        JoinOperator::Join(JoinConstraint::Using(columns))
        | JoinOperator::Inner(JoinConstraint::Using(columns))
        | JoinOperator::Left(JoinConstraint::Using(columns))
        | JoinOperator::LeftOuter(JoinConstraint::Using(columns))
        | JoinOperator::Right(JoinConstraint::Using(columns))
        | JoinOperator::RightOuter(JoinConstraint::Using(columns))
        | JoinOperator::FullOuter(JoinConstraint::Using(columns)) => Some(columns),
        _ => None,
    }
}

/// Refuses a condition of another join that reads a merged column: how much is merged there depends on the order of the joins.
fn on(operator: &mut JoinOperator, merged: &Merged) -> ControlFlow<Error> {
    match operator {
        JoinOperator::Join(JoinConstraint::On(condition))
        | JoinOperator::Inner(JoinConstraint::On(condition))
        | JoinOperator::Left(JoinConstraint::On(condition))
        | JoinOperator::LeftOuter(JoinConstraint::On(condition))
        | JoinOperator::Right(JoinConstraint::On(condition))
        | JoinOperator::RightOuter(JoinConstraint::On(condition))
        | JoinOperator::FullOuter(JoinConstraint::On(condition)) => {
            walk::change(condition, &mut Names { merged, depth: 1 })
        }
        _ => ControlFlow::Continue(()),
    }
}

fn is_outer(operator: &JoinOperator) -> bool {
    matches!(operator, JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_))
}

/// Returns the name under which a table's columns can be asked for.
fn name_of(relation: &TableFactor) -> Option<Vec<Ident>> {
    match relation {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => Some(vec![alias.name.clone()]),
        TableFactor::Table { name, alias: None, args: None, .. } => {
            name.0.iter().map(|part| part.as_ident().cloned()).collect()
        }
        _ => None,
    }
}

fn normalized(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// Returns the first of some values that is not NULL.
fn first_with_value(mut values: Vec<Expr>) -> Expr {
    let last = values.pop().unwrap_or_else(|| Expr::value(Value::Null));
    values.into_iter().rev().fold(last, |rest, value| Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: Expr::IsNotNull(Box::new(value.clone())), result: value }],
        else_result: Some(Box::new(rest)),
    })
}

/// Returns whether a column of this name is among those that come out.
fn comes_out(projection: &[SelectItem], name: &str) -> bool {
    projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(Expr::Identifier(column)) | SelectItem::ExprWithAlias { alias: column, .. } => {
            normalized(column) == name
        }
        SelectItem::Wildcard(_) => true,
        _ => false,
    })
}

/// Returns what gives merged columns their values in a wildcard.
fn replaced(merged: &Merged) -> Option<ReplaceSelectItem> {
    let items = merged.columns.iter().map(|(name, value)| {
        let column_name = Ident::with_quote('"', name);
        Box::new(ReplaceSelectElement { expr: value.clone(), column_name, as_keyword: true })
    });
    Some(ReplaceSelectItem { items: items.collect() })
}

fn project(item: &mut SelectItem, merged: &Merged) -> ControlFlow<Error> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(column)) => {
            if let Some(value) = merged.columns.get(&normalized(column)) {
                *item = SelectItem::ExprWithAlias { expr: value.clone(), alias: column.clone() };
            }
            ControlFlow::Continue(())
        }
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            walk::change(expr, &mut Names::of(merged))
        }
        SelectItem::Wildcard(options) => {
            let WildcardAdditionalOptions { opt_ilike, opt_exclude, opt_except, opt_replace, .. } = &*options;
            let has_exceptions =
                opt_ilike.is_some() || opt_exclude.is_some() || opt_except.is_some() || opt_replace.is_some();
            if has_exceptions && !merged.is_outer {
                return ControlFlow::Continue(());
            }
            if has_exceptions {
                return refuse("`*` with exceptions").map_continue(|_| ());
            }
            options.opt_replace = replaced(merged);
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Continue(()),
    }
}

/// Puts values in the place of names.
struct Names<'a> {
    merged: &'a Merged,
    /// How many queries inside of the expression are open: a name there may be of their tables.
    depth: usize,
}

impl<'a> Names<'a> {
    fn of(merged: &'a Merged) -> Self {
        Names { merged, depth: 0 }
    }
}

impl VisitorMut for Names<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Identifier(column) = &*expr else { return ControlFlow::Continue(()) };
        let Some(value) = self.merged.columns.get(&normalized(column)) else { return ControlFlow::Continue(()) };
        if self.depth > 0 && !self.merged.is_outer {
            return ControlFlow::Continue(());
        }
        if self.depth > 0 {
            return refuse(&format!("`{column}` in a subquery or another condition")).map_continue(|_| ());
        }
        *expr = Expr::Nested(Box::new(value.clone()));
        ControlFlow::Continue(())
    }
}
