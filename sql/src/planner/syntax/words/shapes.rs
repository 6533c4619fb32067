//! What each call becomes.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, NullTreatment, ObjectName, OrderByExpr,
    OrderByOptions, Subscript, Value,
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
    ("ceiling", "ceil"),
    ("truncate", "trunc"),
    ("sign", "signum"),
    ("is_nan", "isnan"),
    ("levenshtein_distance", "levenshtein"),
    ("typeof", "arrow_typeof"),
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
const PLAIN_AGGREGATES: &[&str] = &[
    "count_if",
    "countif",
    "arbitrary",
    "any_value",
    "max_by",
    "arg_max",
    "min_by",
    "arg_min",
    "approx_percentile",
    "mode",
];

/// Other names that are rewritten: an error about an unknown one may mean them.
const SHAPES: &[&str] = &[
    "date",
    "date_format",
    "date_parse",
    "dateadd",
    "listagg",
    "if",
    "iif",
    "iff",
    "charindex",
    "mod",
    "to_base64",
    "to_unixtime",
    "last_day",
    "last_day_of_month",
    "at_timezone",
    "convert_timezone",
    "from_utc_timestamp",
    "to_utf8",
];

/// Functions whose name means different things.
const AMBIGUOUS: &[(&str, &str)] = &[
    ("dayofweek", "`day_of_week(x)` counts from Monday = 1, `extract(dow FROM x)` from Sunday = 0"),
    ("weekday", "`day_of_week(x)` counts from Monday = 1, `extract(dow FROM x)` from Sunday = 0"),
    ("add_months", "`date_add('month', n, x)` keeps the day of the month, or takes the last one of a shorter month"),
    ("json_contains", "`x ? 'key'` tells whether there is a key, `json_exists(x, '$.a.b')` whether there is a value"),
];

/// Iterates over all names that are rewritten.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let pairs = NAMES.iter().chain(PARTS).map(|(name, _)| *name);
    pairs.chain(PLAIN_AGGREGATES.iter().chain(SHAPES).copied())
}

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
        ("date_parse", [x, pattern]) => {
            let Some(pattern) = literal(pattern) else {
                return Err(Error::invalid("`date_parse` takes its pattern as text in single quotes"));
            };
            call("to_timestamp", vec![x.clone(), text(&formats::of_mysql(pattern)?)])
        }
        ("last_day" | "last_day_of_month", [x]) => last_day(x),
        // DataFusion's drops what is below a second.
        ("to_unixtime", [x]) => call("date_part", vec![text("epoch"), x.clone()]),
        ("from_unixtime", [x]) => call("to_timestamp", vec![x.clone()]),
        ("at_timezone", [x, zone]) => in_zone(in_zone(x.clone(), text("UTC")), zone.clone()),
        ("from_utc_timestamp" | "convert_timezone", [a, b]) => {
            let (x, zone) = if name == "convert_timezone" { (b, a) } else { (a, b) };
            clock(in_zone(x.clone(), text("UTC")), zone)
        }
        ("convert_timezone", [from, to, x]) => clock(in_zone(x.clone(), from.clone()), to),
        ("date_add" | "dateadd", [unit, count, x]) => call("date_add", vec![unit_of(unit), count.clone(), x.clone()]),
        ("date_diff", [unit, a, b]) => call("date_diff", vec![unit_of(unit), a.clone(), b.clone()]),
        ("datediff", [unit, a, b]) => call("datediff", vec![unit_of(unit), a.clone(), b.clone()]),
        _ => return Ok(None),
    }))
}

fn last_day(x: &Expr) -> Expr {
    let day = |x: &Expr| cast(CastKind::Cast, x, DataType::Date);
    let first = day(&call("date_trunc", vec![text("month"), day(x)]));
    let next = call("date_add", vec![text("month"), number(1), first]);
    call("date_add", vec![text("day"), number(-1), next])
}

/// A time without a zone is one of that zone, another is shown in it.
fn in_zone(x: Expr, zone: Expr) -> Expr {
    Expr::AtTimeZone { timestamp: Box::new(Expr::Nested(Box::new(x))), time_zone: Box::new(zone) }
}

/// What the clocks of a zone show, without the zone.
fn clock(x: Expr, zone: &Expr) -> Expr {
    call("to_local_time", vec![in_zone(x, zone.clone())])
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
        ("count_if" | "countif", [condition]) => filtered(with("count", vec![number(1)]), condition.clone()),
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
        ("mode", []) => match function.within_group.as_slice() {
            [order] if order.options.asc != Some(false) => {
                Function { within_group: Vec::new(), ..with("mode", vec![order.expr.clone()]) }
            }
            _ => return Err(Error::invalid("`mode` takes one column: mode(x), or mode() WITHIN GROUP (ORDER BY x)")),
        },
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
        ("mod", [a, b]) => binary(a, BinaryOperator::Modulo, b),
        ("decode", [x, rest @ ..]) if rest.len() > 1 => decode(x, rest),
        // As a subscript, which takes arrays and maps.
        ("element_at", [x, place]) => subscript(x, place),
        ("to_utf8", [x]) => cast(CastKind::Cast, x, DataType::Bytea),
        // DataFusion's `base64` leaves out the `=` at the end.
        ("to_base64", [x]) => call("encode", vec![x.clone(), text("base64pad")]),
        ("to_hex", [digest]) if is_digest(digest) => call("upper", vec![digest.clone()]),
        ("if" | "iif" | "iff", [condition, yes]) => case(condition, yes, None),
        ("if" | "iif" | "iff", [condition, yes, no]) => case(condition, yes, Some(no)),
        ("charindex", [part, whole]) => call("strpos", vec![whole.clone(), part.clone()]),
        ("try", [Expr::Cast { expr, data_type, .. }]) => cast(CastKind::TryCast, expr, data_type.clone()),
        ("try", _) => {
            return Err(Error::invalid("`try` takes a CAST: try(CAST(x AS BIGINT)), which is TRY_CAST(x AS BIGINT)"));
        }
        _ => return Ok(None),
    }))
}

/// Redshift's: pairs of a value and a result, and a result for all others; NULL is a value.
fn decode(x: &Expr, rest: &[Expr]) -> Expr {
    let (pairs, other) = rest.as_chunks::<2>();
    let is = |value: &Expr| Expr::IsNotDistinctFrom(nested(x), nested(value));
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: pairs
            .iter()
            .map(|[value, result]| CaseWhen { condition: is(value), result: result.clone() })
            .collect(),
        else_result: other.first().cloned().map(Box::new),
    }
}

/// Returns whether a call gives hexadecimal digits where Athena's gives bytes.
fn is_digest(expr: &Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let name = function.name.to_string().to_lowercase();
    matches!(name.as_str(), "md5" | "sha256" | "sha512")
}

fn subscript(x: &Expr, place: &Expr) -> Expr {
    let index = AccessExpr::Subscript(Subscript::Index { index: place.clone() });
    Expr::CompoundFieldAccess { root: nested(x), access_chain: vec![index] }
}

fn nested(expr: &Expr) -> Box<Expr> {
    Box::new(Expr::Nested(Box::new(expr.clone())))
}

fn binary(left: &Expr, op: BinaryOperator, right: &Expr) -> Expr {
    Expr::BinaryOp { left: nested(left), op, right: nested(right) }
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

fn number(value: i8) -> Expr {
    Expr::value(Value::Number(value.to_string(), false))
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
