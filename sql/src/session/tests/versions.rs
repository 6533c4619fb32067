//! Versions that a query names itself.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

/// Each look is a second later.
#[derive(Debug, Default)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + self.0.fetch_add(1000, Ordering::Relaxed)
    }
}

/// A table of three rows, then five; the snapshots with their times.
async fn grown() -> (Warehouse, [(i64, String); 2]) {
    let warehouse = Warehouse::in_memory(Arc::new(Ticking::default()));
    create(&warehouse, "people", people()).await;
    let first = append(&warehouse, 0, 10, numbered(0..3)).await;
    let second = append(&warehouse, 10, 20, numbered(3..5)).await;
    let session = open(&warehouse, &[]).await.expect("session");
    let mut times =
        answer(&session, "SELECT CAST(committed_at AS TIMESTAMP) FROM snapshots('people')").await.into_iter();
    let mut next = |id| (id, times.next().expect("a time for each snapshot"));
    let both = [next(first), next(second)];
    assert_ne!(both[0].1, both[1].1, "commits have times of their own");
    (warehouse, both)
}

#[tokio::test]
async fn each_table_reference_reads_the_version_it_names() {
    let (warehouse, [(first, then), (second, now)]) = grown().await;
    let session = open(&warehouse, &[]).await.expect("session");
    let namespace = &warehouse.settings().namespace;
    for (from, rows) in [
        (format!("people FOR VERSION AS OF {first}"), "3"),
        (format!("people FOR SYSTEM_VERSION AS OF {first} p"), "3"),
        (format!("people VERSION AS OF {first} AS p"), "3"),
        (format!("people VERSION AS OF '{first}'"), "3"),
        (format!("people VERSION AS OF {second}"), "5"),
        ("people FOR VERSION AS OF 'main'".to_owned(), "5"),
        (format!("people FOR TIMESTAMP AS OF TIMESTAMP '{then}'"), "3"),
        (format!("people FOR TIMESTAMP AS OF TIMESTAMP '{now}'"), "5"),
        (format!("people TIMESTAMP AS OF '{then}'"), "3"),
        (format!("people TIMESTAMP AS OF '{then}Z'"), "3"),
        (format!("people FOR SYSTEM_TIME AS OF CAST('{now}' AS TIMESTAMP) - INTERVAL '1' MICROSECOND"), "3"),
        ("people FOR SYSTEM_TIME AS OF now()".to_owned(), "5"),
        ("people FOR TIMESTAMP AS OF DATE '2100-01-01'".to_owned(), "5"),
        (format!("{namespace}.people FOR VERSION AS OF {first}"), "3"),
        (format!("icefold.{namespace}.people FOR VERSION AS OF {first}"), "3"),
        (format!("(SELECT id FROM people FOR VERSION AS OF {first}) p"), "3"),
        (format!("people n LEFT JOIN people FOR VERSION AS OF {first} o USING (id) WHERE o.id IS NULL"), "2"),
        (format!("people n WHERE id NOT IN (SELECT id FROM people VERSION AS OF {first})"), "2"),
        (format!("people, people FOR VERSION AS OF {first} AS o, people o2"), "75"),
        (format!("(SELECT * FROM people EXCEPT SELECT * FROM people FOR VERSION AS OF {first}) x"), "2"),
        (format!("\"people$files\" FOR VERSION AS OF {first}"), "1"),
        (format!("people FOR VERSION AS OF {first} WHERE people.id >= 0 AND '?' <> 'FOR VERSION AS OF'"), "3"),
    ] {
        assert_eq!(answer(&session, &format!("SELECT count(*) FROM {from}")).await, [rows], "{from}");
    }
    let with = format!("WITH people AS (SELECT * FROM people FOR VERSION AS OF {first}) SELECT count(*) FROM people");
    assert_eq!(answer(&session, &with).await, ["3"]);
}

#[tokio::test]
async fn a_version_in_the_query_wins_over_that_of_the_session() {
    let (warehouse, [(first, _), (second, _)]) = grown().await;
    let session = open(&warehouse, &[("people", first)]).await.expect("session");
    let sql = format!("SELECT count(*) FROM people UNION ALL SELECT count(*) FROM people FOR VERSION AS OF {second}");
    let mut counts = answer(&session, &sql).await;
    counts.sort();
    assert_eq!(counts, ["3", "5"]);
}

#[tokio::test]
async fn a_version_that_is_not_there_says_how_to_find_one() {
    let (warehouse, [(first, then), (second, _)]) = grown().await;
    let session = open(&warehouse, &[]).await.expect("session");
    for (from, kind, words) in [
        ("people FOR VERSION AS OF 17", ErrorKind::NotFound, "snapshots('people')"),
        ("people FOR VERSION AS OF 17", ErrorKind::NotFound, "`--snapshot people=<id>`"),
        (
            "people FOR VERSION AS OF 17",
            ErrorKind::NotFound,
            &format!("the oldest that is kept is `{first}` of {}", &then[..10]),
        ),
        ("people FOR VERSION AS OF 17", ErrorKind::NotFound, &format!("the newest `{second}` of ")),
        ("people FOR VERSION AS OF 'audit'", ErrorKind::NotFound, "it has `main`"),
        ("people FOR TIMESTAMP AS OF '2020-01-01'", ErrorKind::NotFound, "not at 2020-01-01T00:00:00.000Z"),
        ("people FOR TIMESTAMP AS OF '2020-01-01'", ErrorKind::NotFound, &then[..10]),
        ("people FOR TIMESTAMP AS OF '2020-01-01'", ErrorKind::NotFound, &first.to_string()),
        ("people FOR TIMESTAMP AS OF 'noon'", ErrorKind::InvalidInput, "is no time"),
        ("people FOR TIMESTAMP AS OF 1700000000", ErrorKind::InvalidInput, "is no time"),
        ("people FOR TIMESTAMP AS OF NULL", ErrorKind::InvalidInput, "is no time"),
        ("people p, people FOR TIMESTAMP AS OF p.id q", ErrorKind::InvalidInput, "is no time"),
        ("snapshots('people') FOR VERSION AS OF 17", ErrorKind::InvalidInput, "\"events$files\""),
        ("\"people$snapshots\" FOR VERSION AS OF 17", ErrorKind::InvalidInput, "WHERE snapshot_id"),
        ("information_schema.tables FOR VERSION AS OF 17", ErrorKind::InvalidInput, "has no versions"),
        ("poeple FOR VERSION AS OF 17", ErrorKind::NotFound, "`people`"),
        ("people p FOR VERSION AS OF 17", ErrorKind::InvalidInput, "before its alias"),
    ] {
        let (found, text) = refusal(&session, &format!("SELECT * FROM {from}")).await;
        assert_eq!(found, kind, "{from}: {text}");
        assert!(text.contains(words), "{from}: {text}");
    }
    let with = format!("WITH people AS (SELECT 1 AS id) SELECT * FROM people FOR VERSION AS OF {first}");
    assert!(refusal(&session, &with).await.1.contains("is a query in WITH here"));
}

#[tokio::test]
async fn what_cannot_be_heeded_behind_a_table_is_refused() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for from in [
        "people TABLESAMPLE BERNOULLI (10)",
        "(SELECT * FROM people) TABLESAMPLE (10 ROWS)",
        "generate_series(1, 2) WITH ORDINALITY",
        "people PARTITION (p)",
    ] {
        let (kind, text) = refusal(&session, &format!("SELECT count(*) FROM {from}")).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{from}: {text}");
    }
}

#[tokio::test]
async fn views_read_the_version_that_is_named() {
    let warehouse = Warehouse::in_memory(Arc::new(Noon));
    let text = |id, name| NestedField::optional(id, name, Type::Primitive(PrimitiveType::String));
    let time = |id, name| NestedField::optional(id, name, Type::Primitive(PrimitiveType::Timestamptz));
    let number = |id, name| NestedField::optional(id, name, Type::Primitive(PrimitiveType::Long));
    let columns = vec![
        text(1, "known_id"),
        text(2, "user_id"),
        time(3, "first_seen"),
        time(4, "last_seen"),
        number(5, "sightings"),
        number(6, "binding_number"),
        time(7, "stream_time"),
    ];
    create(&warehouse, "identities", schema(columns)).await;
    let session = open(&warehouse, &[]).await.expect("session");
    assert_eq!(answer(&session, "SELECT count(identity_edges.known_id) FROM identity_edges").await, ["0"]);
    let (kind, text) = refusal(&session, "SELECT * FROM identity_edges FOR VERSION AS OF 17").await;
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(text.contains("`identities` has no snapshot `17`"), "{text}");
    let with = "WITH identity_edges AS (SELECT 1) SELECT * FROM identity_edges FOR VERSION AS OF 17";
    assert!(refusal(&session, with).await.1.contains("is a query in WITH here"));
}
