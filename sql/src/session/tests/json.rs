//! JSON in queries.

use super::*;

/// Returns what an expression over the column `j` gives, `∅` for NULL.
async fn value(session: &QuerySession, json: &str, expression: &str) -> String {
    let sql = format!("SELECT coalesce(CAST({expression} AS VARCHAR), '∅') FROM (VALUES ('{json}')) t(j)");
    answer(session, &sql).await.remove(0)
}

#[tokio::test]
async fn members_of_json_are_read_by_operators_and_functions() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    let json =
        r#"{"a":{"b":["x",{"c":1.50}]},"s":"it''s \"ü\"","n":12345678901234567890,"i":-7,"t":true,"z":null,"a b":"q"}"#;
    for (expression, expected) in [
        ("j->>'s'", r#"it's "ü""#),
        ("j->'s'", r#""it's \"ü\"""#),
        ("j->'a'->'b'->0", r#""x""#),
        ("j->'a'->'b'->>0", "x"),
        ("j->'a'->'b'->(-1)->>'c'", "1.50"),
        ("j->>'n'", "12345678901234567890"),
        ("CAST(j->>'n' AS DECIMAL(38,0)) + 1", "12345678901234567891"),
        ("j->>'i'::bigint + 1", "-6"),
        ("(j->>'i')::int", "-7"),
        ("j->>'i' = '-7' AND j->>'t' IN ('true')", "true"),
        ("'<' || j->>'i' || '>'", "<-7>"),
        ("j->>'a'", r#"{"b":["x",{"c":1.50}]}"#),
        ("j->'z'", "null"),
        ("j->>'z'", "∅"),
        ("j->>'missing'", "∅"),
        ("j->'missing'->>'deeper'", "∅"),
        ("j ? 'z'", "true"),
        ("j ? 'missing'", "false"),
        ("NOT j->'a' ? 'c'", "true"),
        ("json_get(j, 'a', 'b', 1, 'c')", "1.50"),
        ("json_get_str(j, 's')", r#"it's "ü""#),
        ("json_get_str(j, 'i')", "∅"),
        ("json_get_int(j, 'i')", "-7"),
        ("json_get_int(j, 'n')", "∅"),
        ("json_get_float(j, 'a', 'b', 1, 'c')", "1.5"),
        ("json_get_bool(j, 't')", "true"),
        ("json_extract_path_text(j, 'a', 'b')", r#"["x",{"c":1.50}]"#),
        ("json_extract_scalar(j, '$.a.b[0]')", "x"),
        ("json_extract_scalar(j, '$.a.b')", "∅"),
        ("json_extract_scalar(j, '$[''a b'']')", "q"),
        ("json_extract(j, '$.a.b[1]')", r#"{"c":1.50}"#),
        ("get_json_object(j, '$.a.b[1]')", r#"{"c":1.50}"#),
        ("json_array_length(j, '$.a.b')", "2"),
        ("json_array_length(j->'a'->'b')", "2"),
        ("json_array_length(j)", "∅"),
        ("json_size(j, '$.a.b')", "2"),
        ("json_size(j, '$')", "7"),
        ("json_size(j, '$.z')", "0"),
        ("json_size(j, '$.missing')", "∅"),
        ("json_exists(j, '$.a.b[2]')", "false"),
        ("json_valid(j) AND is_valid_json('[]')", "true"),
        ("json_valid('{')", "false"),
        ("'{' ? 'a'", "∅"),
        ("'{' ->> 'a'", "∅"),
        ("json_extract_scalar('oops', '$.a')", "∅"),
        ("json_extract_scalar(NULL, '$.a')", "∅"),
        ("j->>NULL", "∅"),
    ] {
        assert_eq!(value(&session, json, expression).await, expected, "{expression}");
    }
}

#[tokio::test]
async fn json_of_columns_is_read_row_by_row() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    let rows = r#"(VALUES ('{"a":1}', 'a', 0), ('[5,6]', 'a', 1), (NULL, 'a', 0), ('{"b":2', 'b', 0)) t(j, k, i)"#;
    assert_eq!(
        answer(&session, &format!("SELECT j->>k, j->>i, j->>'a' FROM {rows}")).await,
        ["1||1", "|6|", "||", "||"]
    );
    assert_eq!(answer(&session, &format!("SELECT count(*) FROM {rows} WHERE j->>'a' = '1'")).await, ["1"]);
}

#[tokio::test]
async fn misused_json_says_how_it_is_used() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for (sql, words) in [
        ("SELECT json_extract_scalar('{}', 'a')", "no JSON path"),
        ("SELECT json_extract('{}', '$..a')", "no JSON path"),
        ("SELECT json_extract('{}')", "'$.cart.items[0]'"),
        ("SELECT 1 ->> 'a'", "behind `->>`"),
        ("SELECT '{}' -> 1.5", "behind `->`"),
        ("SELECT id ? 'a' FROM people", "behind `?`"),
    ] {
        let (kind, text) = refusal(&session, sql).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {text}");
        assert!(text.contains(words), "{sql}: {text}");
    }
}
