//! Patterns of times: MySQL's, which Athena takes, and PostgreSQL's, which Redshift takes, as those of `strftime`.

use icefold_core::{Error, Result};

/// What MySQL and Athena call it, and strftime.
const MYSQL: &[(char, &str)] = &[
    ('a', "%a"),
    ('b', "%b"),
    ('c', "%-m"),
    ('d', "%d"),
    ('e', "%-d"),
    ('f', "%6f"),
    ('H', "%H"),
    ('h', "%I"),
    ('I', "%I"),
    ('i', "%M"),
    ('j', "%j"),
    ('k', "%-H"),
    ('l', "%-I"),
    ('M', "%B"),
    ('m', "%m"),
    ('p', "%p"),
    ('r', "%I:%M:%S %p"),
    ('S', "%S"),
    ('s', "%S"),
    ('T', "%H:%M:%S"),
    ('v', "%V"),
    ('W', "%A"),
    ('x', "%G"),
    ('Y', "%Y"),
    ('y', "%y"),
    ('%', "%%"),
];

/// What PostgreSQL and Redshift call it, and strftime; a longer name comes before its beginning.
const POSTGRES: &[(&str, &str)] = &[
    ("YYYY", "%Y"),
    ("IYYY", "%G"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("MI", "%M"),
    ("MS", "%3f"),
    ("Mon", "%b"),
    ("DDD", "%j"),
    ("DD", "%d"),
    ("Dy", "%a"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("HH", "%I"),
    ("SS", "%S"),
    ("US", "%6f"),
    ("IW", "%V"),
    ("ID", "%u"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("FMMonth", "%B"),
    ("FMDay", "%A"),
    ("yyyy", "%Y"),
    ("mm", "%m"),
    ("dd", "%d"),
    ("hh24", "%H"),
    ("mi", "%M"),
    ("ss", "%S"),
];

/// Reads a pattern of `date_format`.
///
/// # Errors
/// `InvalidInput` for a pattern without `%`, such as Spark's, and for letters that have no counterpart.
pub(super) fn of_mysql(pattern: &str) -> Result<String> {
    if !pattern.contains('%') {
        return Err(Error::invalid(format!(
            "`date_format` takes patterns such as '%Y-%m-%d %H:%i:%s', not `{pattern}`: `to_char` takes 'YYYY-MM-DD HH24:MI:SS'"
        )));
    }
    let mut read = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            read.push(c);
            continue;
        }
        let letter = chars.next();
        let known = MYSQL.iter().find(|(name, _)| Some(*name) == letter);
        let (_, strftime) =
            known.ok_or_else(|| unknown("date_format", pattern, &format!("%{}", letter.unwrap_or(' '))))?;
        read.push_str(strftime);
    }
    Ok(read)
}

/// Reads a pattern of `to_char`: one with `%` is strftime's already.
///
/// # Errors
/// `InvalidInput` for letters that have no counterpart.
pub(super) fn of_postgres(pattern: &str) -> Result<String> {
    if pattern.contains('%') {
        return Ok(pattern.to_owned());
    }
    let mut read = String::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if let Some((name, strftime)) = POSTGRES.iter().find(|(name, _)| rest.starts_with(name)) {
            read.push_str(strftime);
            rest = &rest[name.len()..];
        } else if let Some((quoted, after)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            read.push_str(quoted);
            rest = after;
        } else if c.is_alphabetic() {
            return Err(unknown("to_char", pattern, &c.to_string()));
        } else {
            read.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Ok(read)
}

fn unknown(function: &str, pattern: &str, what: &str) -> Error {
    Error::invalid(format!(
        "`{function}` does not know `{what}` in '{pattern}': use `to_char` with a pattern of strftime, such as '%Y-%m-%d %H:%M:%S'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_where_they_come_from() {
        assert_eq!(of_mysql("%Y-%m-%d %H:%i:%s, %M %%").expect("known"), "%Y-%m-%d %H:%M:%S, %B %%");
        assert_eq!(of_postgres("YYYY-MM-DD\"T\"HH24:MI:SS.MS").expect("known"), "%Y-%m-%dT%H:%M:%S.%3f");
        assert_eq!(of_postgres("%H:%M").expect("strftime"), "%H:%M");
    }

    #[test]
    fn patterns_that_mean_something_else_are_refused() {
        for pattern in ["yyyy-MM-dd", "%Q", "%D", "100%"] {
            assert!(of_mysql(pattern).is_err(), "{pattern}");
        }
        for pattern in ["Month", "YYYYth", "J", "MMM dd"] {
            assert!(of_postgres(pattern).is_err(), "{pattern}");
        }
    }
}
