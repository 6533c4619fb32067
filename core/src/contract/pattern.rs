//! Patterns in the syntax of ECMA-262, which ODCS and JSON Schema refer to, run by the `regex` crate.
//!
//! `regex` matches in time linear in the text, so no pattern can slow the writer down; the price is that look-around and
//! back references do not exist. Where the two syntaxes mean different things, the pattern is either translated
//! (`\d` and `\w` are ASCII in ECMA-262) or refused, so that a JSON Schema made of the contract says the same.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled pattern, in bytes of memory.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// A compiled pattern. It matches anywhere in the text unless it is anchored with `^` and `$`.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, and the remedy.
    pub fn new(source: &str) -> Result<Pattern, String> {
        let translated = translate(source)?;
        let built = RegexBuilder::new(&translated).size_limit(MAX_COMPILED_BYTES).build();
        let regex = built.map_err(|e| match e {
            regex::Error::CompiledTooBig(_) => format!("pattern `{source}` is too large: repeat less"),
            // The last line of the crate's text says what is wrong; the others draw the place.
            e => format!(
                "pattern `{source}` is none that can be run ({}): correct it, without look-around and back references",
                e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ")
            ),
        })?;
        Ok(Pattern { source: source.to_owned(), regex })
    }

    /// Returns the pattern as the contract writes it.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Returns the compiled form, which is cheap to clone.
    pub(super) fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Returns whether UTF-8 text matches.
    #[inline]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

/// Rewrites what means something else to `regex`.
fn translate(source: &str) -> Result<String, String> {
    let mut out = String::with_capacity(source.len() + 16);
    let mut rest = source.chars().peekable();
    let mut in_class = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' => out.push_str(&escape(rest.next(), in_class)?),
            '[' if in_class => return Err(unclear("[", "\\[")),
            '[' => {
                in_class = true;
                out.push('[');
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' | '-' if in_class && rest.peek() == Some(&c) => {
                return Err(unclear(&format!("{c}{c}"), &format!("\\{c}\\{c}")));
            }
            '(' if rest.peek() == Some(&'?') => {
                rest.next();
                match rest.next() {
                    Some(':') => out.push_str("(?:"),
                    _ => return Err("`(?` is only known as `(?:`: write the pattern without look-around".to_owned()),
                }
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn unclear(what: &str, instead: &str) -> String {
    format!("`{what}` inside `[…]` means different things to different engines: write `{instead}`")
}

/// Rewrites what follows a backslash.
fn escape(c: Option<char>, in_class: bool) -> Result<String, String> {
    Ok(match c {
        Some('d') => "[0-9]".to_owned(),
        Some('D') => "[^0-9]".to_owned(),
        Some('w') => "[0-9A-Za-z_]".to_owned(),
        Some('W') => "[^0-9A-Za-z_]".to_owned(),
        Some('s') => r"[\t\n\x0B\x0C\r\x{FEFF}\x{2028}\x{2029}\p{Zs}]".to_owned(),
        Some('S') => r"[^\t\n\x0B\x0C\r\x{FEFF}\x{2028}\x{2029}\p{Zs}]".to_owned(),
        Some('b') if !in_class => r"(?-u:\b)".to_owned(),
        Some(c @ ('t' | 'n' | 'r' | 'f' | 'v' | 'x' | 'u' | 'p' | 'P')) => format!("\\{c}"),
        Some(c) if c.is_ascii_punctuation() && !matches!(c, '<' | '>') => format!("\\{c}"),
        Some(c) => return Err(format!("`\\{c}` is no escape that every engine knows: leave the backslash out")),
        None => return Err("the pattern ends in a backslash: write `\\\\` for the character itself".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).expect("a pattern").matches(text.as_bytes())
    }

    #[test]
    fn patterns_mean_what_they_mean_in_ecmascript() {
        assert!(matches(r"^\d+$", "123"));
        assert!(!matches(r"^\d+$", "١٢٣"), "digits are ASCII");
        assert!(matches(r"^[\d.-]+$", "1.2-3"));
        assert!(matches(r"^[^\d]+$", "abc"));
        assert!(matches(r"\bcat\b", "a cat"));
        assert!(!matches(r"^\w+$", "é"));
        assert!(matches(r"^.$", "é"), "a character, not a byte");
        assert!(matches(r"^\p{L}+$", "Łucja"));
        assert!(matches(r"^a\sb$", "a\u{a0}b"));
        assert!(!matches("^a$", "a\n"));
        assert!(matches("b", "abc"), "a pattern is not anchored by itself");
    }

    #[test]
    fn what_other_engines_read_differently_is_refused() {
        for (pattern, remedy) in [
            ("(?=a)", "without look-around"),
            ("(?i)a", "without look-around"),
            (r"(a)\1", "leave the backslash out"),
            ("[[a]", r"write `\[`"),
            ("[a&&b]", r"write `\&\&`"),
            (r"\Aa", "leave the backslash out"),
            ("a\\", r"write `\\`"),
            ("(a", "correct it"),
            ("(?:(?:a{1000}){1000}){1000}", "repeat less"),
        ] {
            let error = Pattern::new(pattern).expect_err(pattern);
            assert!(error.contains(remedy), "{pattern}: {error}");
        }
    }
}
