//! How tight operators bind: as in PostgreSQL and DuckDB, where sqlparser's generic dialect reads a query otherwise.
//!
//! * `a IS DISTINCT FROM b AND c` is `(a IS DISTINCT FROM b) AND c`, not `a IS DISTINCT FROM (b AND c)`.
//! * `a = b LIKE c` and `a = b IN (c)` compare `a` with what `LIKE` and `IN` say; so do `~` and its kin.
//! * `a || b + c` adds first.
//! * `->` and `->>` take the member first: `a->>'x' = 'y'`, `a->>'x' || 'y'` and `a->>'x'::int`.
//! * `a @> b = c` and other operators of that kind come before a comparison.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// `=`, `<` and the like: above `IS` (17), below `LIKE`.
const COMPARISON: u8 = 19;

/// `BETWEEN`, `IN`, `LIKE` and regular expressions.
const MATCH: u8 = 20;

/// All operators that have no place of their own, `||` among them: below `+` (30).
const OTHER: u8 = 22;

/// `->` and `->>`: tighter than `::` (50), not as tight as the full stop in a name (100).
const MEMBER: u8 = 60;

/// Returns how tight an operator binds, `None` where the generic dialect is right.
pub(super) fn of_token(token: &Token) -> Option<u8> {
    match token {
        Token::Arrow | Token::LongArrow => Some(MEMBER),
        Token::StringConcat => Some(OTHER),
        Token::Tilde
        | Token::TildeAsterisk
        | Token::ExclamationMarkTilde
        | Token::ExclamationMarkTildeAsterisk
        | Token::DoubleTilde
        | Token::DoubleTildeAsterisk
        | Token::ExclamationMarkDoubleTilde
        | Token::ExclamationMarkDoubleTildeAsterisk => Some(MATCH),
        _ => None,
    }
}

/// Returns how tight operators of a kind bind.
pub(super) fn of_kind(kind: Precedence) -> u8 {
    match kind {
        Precedence::Eq => COMPARISON,
        Precedence::Between | Precedence::Like => MATCH,
        Precedence::PgOther => OTHER,
        other => GenericDialect.prec_value(other),
    }
}

/// Reads `IS [NOT] DISTINCT FROM` and the operand behind it, if that comes next.
pub(super) fn distinct_from(parser: &mut Parser, left: &Expr) -> Option<Result<Expr, ParserError>> {
    let is = if parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
        Expr::IsDistinctFrom
    } else if parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
        Expr::IsNotDistinctFrom
    } else {
        return None;
    };
    let right = parser.parse_subexpr(of_kind(Precedence::Is));
    Some(right.map(|right| is(Box::new(left.clone()), Box::new(right))))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::Statement;
    use datafusion::sql::sqlparser::ast::{self, Expr, SelectItem, SetExpr};

    use crate::planner::parse;

    fn parsed(expression: &str) -> Expr {
        let statement = parse(&format!("SELECT {expression}"), 50).expect(expression);
        let Statement::Statement(statement) = statement else { panic!("{expression}") };
        let ast::Statement::Query(query) = *statement else { panic!("{expression}") };
        let SetExpr::Select(mut select) = *query.body else { panic!("{expression}") };
        let Some(SelectItem::UnnamedExpr(expr)) = select.projection.pop() else { panic!("{expression}") };
        expr
    }

    /// Writes an expression with a pair of parentheses around each operation.
    fn full(expr: &Expr) -> String {
        match expr {
            Expr::Nested(inner) => full(inner),
            Expr::BinaryOp { left, op, right } => format!("({} {op} {})", full(left), full(right)),
            Expr::UnaryOp { op, expr } => format!("({op} {})", full(expr)),
            Expr::IsDistinctFrom(left, right) => format!("({} <>> {})", full(left), full(right)),
            Expr::IsNotDistinctFrom(left, right) => format!("({} <=> {})", full(left), full(right)),
            Expr::IsNull(inner) => format!("({} IS NULL)", full(inner)),
            Expr::Like { expr, pattern, .. } => format!("({} LIKE {})", full(expr), full(pattern)),
            Expr::InList { expr, list, .. } => {
                format!("({} IN {:?})", full(expr), list.iter().map(full).collect::<Vec<_>>())
            }
            Expr::Between { expr, low, high, .. } => {
                format!("({} BETWEEN {} TO {})", full(expr), full(low), full(high))
            }
            Expr::Cast { expr, .. } => format!("({}::)", full(expr)),
            Expr::AtTimeZone { timestamp, time_zone } => format!("({} AT {})", full(timestamp), full(time_zone)),
            other => other.to_string(),
        }
    }

    #[test]
    fn operators_bind_as_in_postgresql() {
        for (typed, meant) in [
            ("a IS DISTINCT FROM b AND c", "(a IS DISTINCT FROM b) AND c"),
            ("a IS NOT DISTINCT FROM b OR c", "(a IS NOT DISTINCT FROM b) OR c"),
            ("a IS DISTINCT FROM b = c", "a IS DISTINCT FROM (b = c)"),
            ("NOT a IS DISTINCT FROM b", "NOT (a IS DISTINCT FROM b)"),
            ("a = b LIKE c", "a = (b LIKE c)"),
            ("a = b IN (c)", "a = (b IN (c))"),
            ("a = b BETWEEN c AND d", "a = (b BETWEEN c AND d)"),
            ("a BETWEEN b AND c = d", "(a BETWEEN b AND c) = d"),
            ("a BETWEEN b AND c AND d", "(a BETWEEN b AND c) AND d"),
            ("a = b ~ c", "a = (b ~ c)"),
            ("a || b + c", "a || (b + c)"),
            ("a * b || c", "(a * b) || c"),
            ("a || b LIKE c || d", "(a || b) LIKE (c || d)"),
            ("a = b || c", "a = (b || c)"),
            ("a @> b = c", "(a @> b) = c"),
            ("NOT a LIKE b", "NOT (a LIKE b)"),
            ("NOT a = b", "NOT (a = b)"),
            ("NOT a AND b", "(NOT a) AND b"),
            ("a = b IS NULL", "(a = b) IS NULL"),
            ("-a * b", "(-a) * b"),
            ("-a::text", "-(a::text)"),
            ("a + b AT TIME ZONE c", "a + (b AT TIME ZONE c)"),
        ] {
            assert_eq!(full(&parsed(typed)), full(&parsed(meant)), "`{typed}` is `{meant}`");
        }
    }
}
