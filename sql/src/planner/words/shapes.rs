//! What each call becomes.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, Ident, NullTreatment, ObjectName, OrderByExpr, OrderByOptions, Value,
};
use icefold_core::{Error, Result};

use super::formats;

/// Functions that are the same under another name.
const NAMES: &[(&str, &str)] = &[
    ("len", "character_length"),
    ("getdate", "now"),
    ("sysdate", "now"),
    ("from_iso8601_timestamp", "to_timestamp_micros"),
    ("from_iso8601_date", "to_date"),
    ("every", "bool_and"),
    ("approx_count_distinct", "approx_distinct"),
    ("ucase", "upper"),
    ("lcase", "lower"),
];

/// Functions that take one part of a time.
const PARTS: &[(&str, &str)] = &[
    ("year", "year"),
    ("quarter", "quarter"),
    ("month", "month"),
    ("week", "week"),
    ("week_of_year", "week"),
    ("weekofyear", "week"),
    ("year_of_week", "isoyear"),
    ("yow", "isoyear"),
    ("day", "day"),
    ("day_of_month", "day"),
    ("dayofmonth", "day"),
    ("day_of_week", "isodow"),
    ("dow", "isodow"),
    ("day_of_year", "doy"),
    ("dayofyear", "doy"),
    ("doy", "doy"),
    ("hour", "hour"),
    ("minute", "minute"),
    ("second", "second"),
];

/// Aggregates in which DISTINCT and an order have no meaning, or another one than in what they become.
const PLAIN_AGGREGATES: &[&str] =
    &["count_if", "countif", "arbitrary", "any_value", "max_by", "arg_max", "min_by", "arg_min", "approx_percentile"];

/// Functions whose name means different things.
const AMBIGUOUS: &[(&str, &str)] = &[
    ("dayofweek", "`day_of_week(x)` counts from Monday = 1, `extract(dow FROM x)` from Sunday = 0"),
    ("weekday", "`day_of_week(x)` counts from Monday = 1, `extract(dow FROM x)` from Sunday = 0"),
    ("json_contains", "`x ? 'key'` tells whether there is a key, `json_exists(x, '$.a.b')` whether there is a value"),
];

/// Returns what a call becomes, `None` for one that stays as it is.
pub(super) fn rewrite(name: &str, function: &Function, args: &[Expr]) -> Result<Option<Expr>> {
    if let Some((_, ways)) = AMBIGUOUS.iter().find(|(ambiguous, _)| *ambiguous == name) {
        return Err(Error::invalid(format!("`{name}` means different things in different engines: {ways}")));
    }
    if let Some((_, ours)) = NAMES.iter().find(|(theirs, _)| *theirs == name) {
        return Ok(Some(Expr::Function(Function { name: named(ours), ..function.clone() })));
    }
    if let (Some((_, part)), [time]) = (PARTS.iter().find(|(theirs, _)| *theirs == name), args) {
        return Ok(Some(call("date_part", vec![text(part), time.clone()])));
    }
    if let Some(of_time) = time(name, args)? {
        return Ok(Some(of_time));
    }
    if let Some(aggregate) = aggregate(name, function, args)? {
        return Ok(Some(aggregate));
    }
    scalar(name, args)
}

fn time(name: &str, args: &[Expr]) -> Result<Option<Expr>> {
    Ok(Some(match (name, args) {
        ("date", [x]) => cast(CastKind::Cast, x, DataType::Date),
        ("date_format" | "to_char", [x, pattern]) => {
            let Some(pattern) = literal(pattern) else {
                return Err(Error::invalid(format!("`{name}` takes its pattern as text in single quotes")));
            };
            let read = if name == "to_char" { formats::of_postgres(pattern)? } else { formats::of_mysql(pattern)? };
            // `date_format` itself is DataFusion's name for this, with another language of patterns.
            call("to_char", vec![x.clone(), text(&read)])
        }
        ("date_add" | "dateadd", [unit, count, x]) => call("date_add", vec![unit_of(unit), count.clone(), x.clone()]),
        ("date_diff", [unit, a, b]) => call("date_diff", vec![unit_of(unit), a.clone(), b.clone()]),
        ("datediff", [unit, a, b]) => call("datediff", vec![unit_of(unit), a.clone(), b.clone()]),
        _ => return Ok(None),
    }))
}

/// Redshift takes units bare, Athena in quotes.
fn unit_of(unit: &Expr) -> Expr {
    match unit {
        Expr::Identifier(word) => text(&word.value),
        other => other.clone(),
    }
}

fn aggregate(name: &str, function: &Function, args: &[Expr]) -> Result<Option<Expr>> {
    let is_plain = matches!(&function.args, FunctionArguments::List(list)
        if list.clauses.is_empty() && list.duplicate_treatment.is_none());
    if !is_plain && PLAIN_AGGREGATES.contains(&name) {
        return Err(Error::invalid(format!("`{name}` takes neither DISTINCT nor ORDER BY: leave them out")));
    }
    let with =
        |name: &str, args: Vec<Expr>| Function { name: named(name), args: list(args, Vec::new()), ..function.clone() };
    Ok(Some(Expr::Function(match (name, args) {
        ("count_if" | "countif", [condition]) => {
            let one = Expr::value(Value::Number("1".to_owned(), false));
            filtered(with("count", vec![one]), condition.clone())
        }
        ("arbitrary" | "any_value", [x]) => {
            Function { null_treatment: Some(NullTreatment::IgnoreNulls), ..with("first_value", vec![x.clone()]) }
        }
        ("max_by" | "arg_max" | "min_by" | "arg_min", [x, by]) => {
            let order = ordered(by.clone(), name.ends_with("min") || name.starts_with("min"));
            let args = list(vec![x.clone()], vec![FunctionArgumentClause::OrderBy(vec![order])]);
            filtered(Function { args, ..with("first_value", Vec::new()) }, Expr::IsNotNull(Box::new(by.clone())))
        }
        ("listagg", [x, rest @ ..]) if rest.len() < 2 => {
            let separator = rest.first().cloned().unwrap_or_else(|| text(""));
            let mut args = list(vec![x.clone(), separator], Vec::new());
            if let (FunctionArguments::List(new), FunctionArguments::List(old)) = (&mut args, &function.args) {
                new.duplicate_treatment = old.duplicate_treatment;
                new.clauses.clone_from(&old.clauses);
                if !function.within_group.is_empty() {
                    new.clauses.push(FunctionArgumentClause::OrderBy(function.within_group.clone()));
                }
            }
            Function { args, within_group: Vec::new(), ..with("string_agg", Vec::new()) }
        }
        ("approx_percentile", [x, fraction]) => with("approx_percentile_cont", vec![x.clone(), fraction.clone()]),
        ("approx_percentile", _) => {
            return Err(Error::invalid(
                "`approx_percentile` takes a column and a fraction: approx_percentile(revenue, 0.95)",
            ));
        }
        _ => return Ok(None),
    })))
}

fn scalar(name: &str, args: &[Expr]) -> Result<Option<Expr>> {
    Ok(Some(match (name, args) {
        ("if" | "iif", [condition, yes]) => case(condition, yes, None),
        ("if" | "iif", [condition, yes, no]) => case(condition, yes, Some(no)),
        ("charindex", [part, whole]) => call("strpos", vec![whole.clone(), part.clone()]),
        ("try", [Expr::Cast { expr, data_type, .. }]) => cast(CastKind::TryCast, expr, data_type.clone()),
        ("try", _) => {
            return Err(Error::invalid("`try` takes a CAST: try(CAST(x AS BIGINT)), which is TRY_CAST(x AS BIGINT)"));
        }
        _ => return Ok(None),
    }))
}

fn filtered(function: Function, condition: Expr) -> Function {
    let condition = match function.filter {
        None => condition,
        Some(filter) => Expr::BinaryOp {
            left: Box::new(Expr::Nested(filter)),
            op: BinaryOperator::And,
            right: Box::new(Expr::Nested(Box::new(condition))),
        },
    };
    Function { filter: Some(Box::new(condition)), ..function }
}

fn ordered(expr: Expr, ascending: bool) -> OrderByExpr {
    let options = OrderByOptions { asc: Some(ascending), nulls_first: Some(false) };
    OrderByExpr { expr, options, with_fill: None }
}

fn case(condition: &Expr, yes: &Expr, no: Option<&Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: condition.clone(), result: yes.clone() }],
        else_result: no.cloned().map(Box::new),
    }
}

fn cast(kind: CastKind, expr: &Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind, expr: Box::new(expr.clone()), data_type, array: false, format: None }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: named(name),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: list(args, Vec::new()),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn list(args: Vec<Expr>, clauses: Vec<FunctionArgumentClause>) -> FunctionArguments {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses })
}

fn named(name: &str) -> ObjectName {
    ObjectName::from(vec![Ident::new(name)])
}

fn text(value: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(value.to_owned()))
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
