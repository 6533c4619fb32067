//! `SIMILAR TO` by the pattern of the SQL standard: DataFusion takes the pattern for a regular expression that may match anywhere,
//! and panics over string views.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, binary_expr, lit};
use datafusion::optimizer::AnalyzerRule;

/// The rule; it must come before the one that coerces types.
#[derive(Debug)]
pub(crate) struct SimilarTo;

impl AnalyzerRule for SimilarTo {
    fn name(&self) -> &str {
        "icefold_similar_to"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let in_plan = |plan: LogicalPlan| {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(expr.transform_up(in_expression)?.update_data(|expr| name.restore(expr)))
            })
        };
        Ok(plan.transform_up_with_subqueries(in_plan)?.data)
    }
}

fn in_expression(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::SimilarTo(Like { negated, expr, pattern, escape_char, .. }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let regex = match pattern.as_ref() {
        Expr::Literal(value, _) => match value.try_as_str() {
            Some(Some(pattern)) => ScalarValue::from(regex(pattern, escape_char.unwrap_or('\\'))?),
            Some(None) => ScalarValue::Utf8(None),
            None if value.is_null() => ScalarValue::Utf8(None),
            None => return plan_err!("SIMILAR TO takes a pattern that is text"),
        },
        _ => return plan_err!("SIMILAR TO takes a pattern that is a constant; `~` takes any regular expression"),
    };
    let op = if negated { Operator::RegexNotMatch } else { Operator::RegexMatch };
    Ok(Transformed::yes(binary_expr(*expr, op, lit(regex))))
}

/// Returns the regular expression for a pattern of the standard: `%` is any text, `_` any character; `|`, `*`, `+`, `?`, `{}`,
/// `()` and `[]` are as in regular expressions; it matches as a whole.
fn regex(pattern: &str, escape: char) -> Result<String> {
    let mut regex = "(?s)^(?:".to_owned();
    let mut characters = pattern.chars();
    let mut in_set = false;
    while let Some(character) = characters.next() {
        match character {
            c if c == escape => match characters.next() {
                Some(escaped) => push_literal(&mut regex, escaped),
                None => return plan_err!("the pattern of SIMILAR TO ends with its escape character `{escape}`"),
            },
            ']' => {
                in_set = false;
                regex.push(']');
            }
            '[' if !in_set => {
                in_set = true;
                regex.push('[');
            }
            '^' | '-' if in_set => regex.push(character),
            c if in_set => push_literal(&mut regex, c),
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '|' | '*' | '+' | '?' | '{' | '}' | '(' | ')' => regex.push(character),
            c => push_literal(&mut regex, c),
        }
    }
    regex.push_str(")$");
    Ok(regex)
}

fn push_literal(regex: &mut String, character: char) {
    // Not every escape is a literal: `\<` is the beginning of a word.
    if r"\.+*?()|[]{}^$&~-#".contains(character) {
        regex.push('\\');
    }
    regex.push(character);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_the_standard_becomes_a_regular_expression() {
        for (pattern, expected) in [
            ("abc", "(?s)^(?:abc)$"),
            ("%(b|d)_", "(?s)^(?:.*(b|d).)$"),
            ("a.c^$", r"(?s)^(?:a\.c\^\$)$"),
            (r"100\%", "(?s)^(?:100%)$"),
            ("[a-z%.]+", r"(?s)^(?:[a-z%\.]+)$"),
            ("<b>{2,3}", "(?s)^(?:<b>{2,3})$"),
            ("[^a]{2,3}", "(?s)^(?:[^a]{2,3})$"),
        ] {
            assert_eq!(regex(pattern, '\\').expect(pattern), expected);
        }
        assert!(regex("a!", '!').is_err(), "an escape of nothing");
    }
}
