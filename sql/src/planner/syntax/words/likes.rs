//! `LIKE … ESCAPE 'c'`: DataFusion knows the backslash only, so the pattern is written with that.

use datafusion::sql::sqlparser::ast::{Expr, Value, ValueWithSpan};
use icefold_core::{Error, Result};

/// Returns the pattern and the escape that stand for those that are written, `None` where they can stay.
///
/// # Errors
/// `InvalidInput` for an escape that is not one character, and for a pattern that is no text in single quotes.
pub(super) fn rewrite(expr: &Expr) -> Result<Option<Expr>> {
    let (pattern, escape) = match expr {
        Expr::Like { pattern, escape_char: Some(escape), .. }
        | Expr::ILike { pattern, escape_char: Some(escape), .. } => (pattern, &escape.value),
        _ => return Ok(None),
    };
    let escape = one_character(escape)?;
    if escape == Some('\\') {
        return Ok(None);
    }
    let written = match pattern.as_ref() {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => {
            Value::SingleQuotedString(with_backslashes(text, escape)?)
        }
        Expr::Value(ValueWithSpan { value: Value::Null, .. }) => Value::Null,
        _ => {
            return Err(Error::invalid(
                "LIKE with ESCAPE takes a pattern in single quotes: escape with a backslash, which needs no ESCAPE, or look for \
                 a text as it stands with `strpos(x, part) > 0` or `starts_with(x, part)`",
            ));
        }
    };
    let mut new = expr.clone();
    if let Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } = &mut new {
        **pattern = Expr::value(written);
        *escape_char = None;
    }
    Ok(Some(new))
}

/// Returns the character, `None` for the empty text, which means that nothing escapes.
fn one_character(escape: &Value) -> Result<Option<char>> {
    let text = match escape {
        Value::SingleQuotedString(text) => text.as_str(),
        other => return Err(not_one_character(&other.to_string())),
    };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (first, None) => Ok(first),
        _ => Err(not_one_character(&format!("'{text}'"))),
    }
}

fn not_one_character(given: &str) -> Error {
    Error::invalid(format!("ESCAPE takes one character in single quotes, such as '!', not {given}"))
}

/// As in PostgreSQL, what is escaped stands for itself, whatever it is.
fn with_backslashes(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut written = String::with_capacity(pattern.len() + 2);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let is_literal = Some(character) == escape;
        let character = match is_literal.then(|| characters.next()) {
            Some(Some(escaped)) => escaped,
            Some(None) => {
                return Err(Error::invalid(format!(
                    "the pattern '{pattern}' of LIKE ends with its escape `{character}`"
                )));
            }
            None => character,
        };
        if character == '\\' || (is_literal && matches!(character, '%' | '_')) {
            written.push('\\');
        }
        written.push(character);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_the_same_with_a_backslash() {
        for (pattern, escape, expected) in [
            ("100!%", Some('!'), r"100\%"),
            ("a!_b_%", Some('!'), r"a\_b_%"),
            ("a!!b", Some('!'), "a!b"),
            ("a!b", Some('!'), "ab"),
            (r"a\%", Some('!'), r"a\\%"),
            (r"a\_b", None, r"a\\_b"),
            ("%%", Some('%'), r"\%"),
        ] {
            assert_eq!(with_backslashes(pattern, escape).expect(pattern), expected, "{pattern}");
        }
        assert!(with_backslashes("a!", Some('!')).is_err(), "an escape of nothing");
    }
}
