//! JSON paths: where a value is inside a JSON text.

use icefold_core::{Error, Result};

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into the member of an object.
    Key(String),
    /// Into the item of an array, from 0; negative numbers count from its end.
    Index(i64),
}

/// Reads a path such as `$.a.b[0]`, `$['a b']` or `$."a.b"`; in quotes a backslash takes the next character as it is.
///
/// # Errors
/// `InvalidInput` for anything else, also wildcards and filters.
pub(crate) fn parse(text: &str) -> Result<Vec<Step>> {
    let wrong = || {
        Error::invalid(format!(
            "`{text}` is no JSON path that can be read: write for example '$.items[0].name' or '$[''a name'']'"
        ))
    };
    let mut rest = text.strip_prefix('$').ok_or_else(wrong)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if let Some(rest) = rest.strip_prefix('[') {
            bracketed(rest).ok_or_else(wrong)?
        } else {
            rest.strip_prefix('.').and_then(member).ok_or_else(wrong)?
        };
        steps.push(step);
        rest = after;
    }
    Ok(steps)
}

fn member(text: &str) -> Option<(Step, &str)> {
    if text.starts_with('"') {
        return quoted(text).map(|(key, rest)| (Step::Key(key), rest));
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    let plain = !key.is_empty() && !key.contains(['*', '?', '(', ')', '@', ']', '"', '\'']);
    plain.then(|| (Step::Key(key.to_owned()), rest))
}

fn bracketed(text: &str) -> Option<(Step, &str)> {
    if text.starts_with(['"', '\'']) {
        let (key, rest) = quoted(text)?;
        return Some((Step::Key(key), rest.strip_prefix(']')?));
    }
    let (digits, rest) = text.split_once(']')?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    Some((Step::Index(digits.parse().ok().filter(|_| plain)?), rest))
}

/// Takes what is in quotes, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next()?;
    let mut key = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => key.push(chars.next()?.1),
            _ if c == quote => return Some((key, &text[at + c.len_utf8()..])),
            _ => key.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_names_quoted_names_and_numbers() {
        let key = |name: &str| Step::Key(name.to_owned());
        for (text, steps) in [
            ("$", vec![]),
            ("$.a.b[0]", vec![key("a"), key("b"), Step::Index(0)]),
            ("$['a.b'][\"c]\"].d-e", vec![key("a.b"), key("c]"), key("d-e")]),
            (r#"$."a \"b\"".ü"#, vec![key("a \"b\""), key("ü")]),
            (r"$['it\'s'][12]", vec![key("it's"), Step::Index(12)]),
        ] {
            assert_eq!(parse(text).expect(text), steps, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in
            ["", "a", "a.b", "$.", "$a", "$..a", "$.*", "$[*]", "$[]", "$[-1]", "$[+1]", "$['a]", "$[0", "$.a[?(@.b)]"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
