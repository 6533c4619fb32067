//! Reads the text of a query: the words in which engines write one thing become the one form that the parser knows.
//!
//! All is done on tokens, so that what stands in strings, quoted names and comments is left alone.
//!
//! * `FOR VERSION AS OF`, `FOR SYSTEM_VERSION AS OF`, `FOR TIMESTAMP AS OF`: the parser knows them without `FOR`.
//! * `VERSION AS OF 'name'`, a branch or tag: the parser takes numbers only, so a name travels as one.
//! * `at`, `before` and `changes` stay names: the parser would begin a version of Snowflake's with them.
//! * `?` is the question whether a JSON object has a key: nothing can be bound to a placeholder here.

use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::dialect::Icefold;
use super::words;

/// Where a version goes, for who wrote it elsewhere.
const PLACE_OF_A_VERSION: &str = "a version stands right after a table's name and before its alias: \
    `events FOR VERSION AS OF 123 AS e`, `events FOR TIMESTAMP AS OF TIMESTAMP '2026-11-01 00:00:00'`, \
    `\"events$files\" FOR VERSION AS OF 123`";

/// Parses one statement.
///
/// # Errors
/// When the text is no SQL, holds no statement or several, or nests deeper than `recursion_limit`.
pub(crate) fn parse(sql: &str, recursion_limit: usize) -> Result<Statement> {
    let tokens = Tokenizer::new(&Icefold, sql).tokenize_with_location();
    let tokens = tokens.map_err(|e| unreadable(&ParserError::from(e).into(), false))?;
    let tokens = known_words(tokens);
    let has_version = versions(&tokens).next().is_some();
    let parsed = DFParserBuilder::new(tokens).with_dialect(&Icefold).with_recursion_limit(recursion_limit).build();
    let mut statements =
        parsed.and_then(|mut parser| parser.parse_statements()).map_err(|e| unreadable(&e, has_version))?;
    match (statements.pop_front(), statements.len()) {
        (Some(mut statement), 0) => {
            words::rewrite(&mut statement)?;
            Ok(statement)
        }
        (Some(_), _) => Err(plan_datafusion_err!("one statement at a time: ask them one after the other")),
        (None, _) => Err(plan_datafusion_err!("there is no statement: ask for example `SELECT count(*) FROM events`")),
    }
}

/// Says in plain words what the parser did not expect.
fn unreadable(error: &DataFusionError, has_version: bool) -> DataFusionError {
    let text = match error.find_root() {
        DataFusionError::SQL(cause, _) => match cause.as_ref() {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
            ParserError::RecursionLimitExceeded => "it is nested too deeply".to_owned(),
        },
        other => other.strip_backtrace(),
    };
    match has_version {
        true => plan_datafusion_err!("the SQL cannot be read: {text}: {PLACE_OF_A_VERSION}"),
        false => plan_datafusion_err!("the SQL cannot be read: {text}"),
    }
}

/// Rewrites the words that the parser knows in another form.
fn known_words(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places: Vec<usize> = (0..tokens.len()).filter(|i| !is_space(&tokens[*i])).collect();
    let at = |n: usize| places.get(n).copied();
    let mut dropped = Vec::new();
    for (n, &place) in places.iter().enumerate() {
        let next = at(n + 1).map(|next| keyword(&tokens[next]));
        match keyword(&tokens[place]) {
            Keyword::AT if next != Some(Keyword::TIME) => make_name(&mut tokens[place]),
            Keyword::BEFORE | Keyword::CHANGES => make_name(&mut tokens[place]),
            Keyword::FOR => {
                if let Some(next) = at(n + 1)
                    && let Some(kind) = version_word(&tokens[next])
                    && is_as_of(&tokens, &places[n + 1..])
                {
                    dropped.push(place);
                    tokens[next].token = Token::make_keyword(kind);
                }
            }
            Keyword::VERSION if is_as_of(&tokens, &places[n..]) => {
                if let Some(operand) = at(n + 3) {
                    make_number(&mut tokens[operand]);
                }
            }
            _ if tokens[place].token == Token::Placeholder("?".to_owned()) => tokens[place].token = Token::Question,
            _ => {}
        }
    }
    let mut place = 0..;
    tokens.retain(|_| place.next().is_none_or(|place| !dropped.contains(&place)));
    tokens
}

/// Returns the word that the parser knows for `VERSION`, `TIMESTAMP` and what SQL:2011 calls them.
fn version_word(token: &TokenWithSpan) -> Option<&'static str> {
    let Token::Word(word) = &token.token else { return None };
    let is = |name: &str| word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name);
    match () {
        () if is("VERSION") || is("SYSTEM_VERSION") => Some("VERSION"),
        () if is("TIMESTAMP") || is("SYSTEM_TIME") => Some("TIMESTAMP"),
        () => None,
    }
}

/// Returns whether the words after the first are `AS OF`.
fn is_as_of(tokens: &[TokenWithSpan], places: &[usize]) -> bool {
    matches!(places, [_, a, o, ..] if keyword(&tokens[*a]) == Keyword::AS && keyword(&tokens[*o]) == Keyword::OF)
}

/// Iterates over what looks like the version of a table.
fn versions(tokens: &[TokenWithSpan]) -> impl Iterator<Item = usize> {
    let places: Vec<usize> = (0..tokens.len()).filter(|i| !is_space(&tokens[*i])).collect();
    (0..places.len()).filter(move |n| version_word(&tokens[places[*n]]).is_some() && is_as_of(tokens, &places[*n..]))
}

fn keyword(token: &TokenWithSpan) -> Keyword {
    match &token.token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

fn make_name(token: &mut TokenWithSpan) {
    if let Token::Word(word) = &mut token.token {
        word.keyword = Keyword::NoKeyword;
    }
}

fn make_number(token: &mut TokenWithSpan) {
    if let Token::SingleQuotedString(text) = &mut token.token {
        token.token = Token::Number(std::mem::take(text), false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> String {
        parse(sql, 50).expect(sql).to_string()
    }

    #[test]
    fn every_way_to_write_a_version_is_one() {
        for (typed, read_as) in [
            ("FOR VERSION AS OF 12", "VERSION AS OF 12"),
            ("for /* now */ system_version as of 12", "VERSION AS OF 12"),
            ("VERSION AS OF 12", "VERSION AS OF 12"),
            ("FOR VERSION AS OF 'main'", "VERSION AS OF main"),
            ("TIMESTAMP AS OF '2026-11-01'", "TIMESTAMP AS OF '2026-11-01'"),
            ("FOR TIMESTAMP AS OF TIMESTAMP '2026-11-01'", "TIMESTAMP AS OF TIMESTAMP '2026-11-01'"),
            ("FOR SYSTEM_TIME AS OF DATE '2026-11-01' - 1", "TIMESTAMP AS OF DATE '2026-11-01' - 1"),
        ] {
            assert_eq!(read(&format!("SELECT 1 FROM t {typed} AS e, u")), format!("SELECT 1 FROM t AS e {read_as}, u"));
        }
    }

    #[test]
    fn strings_names_and_comments_are_left_alone() {
        for sql in [
            "SELECT 'FOR VERSION AS OF 1', version AS of, \"FOR\" FROM t",
            "SELECT at.x AT TIME ZONE 'UTC' FROM t AS at, u AS before, v AS changes",
            "SELECT SUBSTRING(x FROM 1 FOR 2) FROM t AS version",
        ] {
            assert_eq!(read(sql), sql);
        }
        assert_eq!(
            read("SELECT 1 FROM t at JOIN u before ON true -- ? FOR"),
            "SELECT 1 FROM t at JOIN u before ON true"
        );
    }

    #[test]
    fn a_version_in_a_wrong_place_is_told_where_it_goes() {
        let error = parse("SELECT 1 FROM t AS e FOR VERSION AS OF 12", 50).expect_err("after the alias");
        assert!(error.to_string().contains("before its alias"), "{error}");
        let error = parse("SELECT 1 FROM (", 50).expect_err("no SQL");
        assert!(!error.to_string().contains("before its alias"), "{error}");
    }

    #[test]
    fn members_are_taken_before_anything_else() {
        for sql in
            ["a ->> 'x' = 'y'", "a ->> 'x' || 'y'", "'y' || a ->> 'x'", "NOT a ->> 'x' IN ('y')", "a ? 'x' AND b"]
        {
            let read = read(&format!("SELECT {sql}"));
            assert_eq!(read, format!("SELECT {sql}"));
        }
        assert_eq!(format!("{:?}", parse("SELECT a->>'x'::int", 50).expect("SQL")).matches("Cast").count(), 1);
    }

    #[test]
    fn the_examples_of_the_docs_are_read() {
        let page = include_str!("../../../../docs/sql.md");
        let blocks = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
        let examples: Vec<_> = blocks.flat_map(|block| block.split(';')).filter(|sql| !sql.trim().is_empty()).collect();
        assert!(examples.len() > 8, "{examples:?}");
        for sql in examples {
            parse(sql, 50).expect(sql);
        }
    }
}
