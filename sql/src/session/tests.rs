//! What a user of a session notices: names, time travel, metadata tables, refusals.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{DataContentType, NestedField, PrimitiveType, Schema, StructType, Type, UnboundPartitionSpec};
use iceberg::writer::file_writer::{FileWriter, FileWriterBuilder, ParquetWriterBuilder};
use icefold_catalog::{CommitOutcome, Intent, TableDefinition};
use icefold_core::{Clock, Counts, Delta, ErrorKind, Offset, ShardId, ShardPosition};
use icefold_fixture::{numbered, people, schema};
use parquet::file::properties::WriterProperties;

use super::*;
use crate::fixture::lines;

mod json;
mod versions;
mod words;

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

async fn warehouse() -> Warehouse {
    let warehouse = Warehouse::in_memory(Arc::new(Noon));
    create(&warehouse, "people", people()).await;
    warehouse
}

async fn create(warehouse: &Warehouse, name: &str, schema: Schema) {
    let partition_spec = UnboundPartitionSpec::builder().build();
    let definition = TableDefinition { name: name.into(), schema, partition_spec, properties: Default::default() };
    warehouse.create_table(&definition).await.expect("table");
}

/// Appends rows as if read from one file between two bytes; returns the snapshot.
async fn append(warehouse: &Warehouse, from: u64, to: u64, columns: Vec<ArrayRef>) -> i64 {
    let table = warehouse.load("people").await.expect("table");
    let path = table.new_data_path("", &format!("{from}-{to}"));
    let arrow = Arc::new(schema_to_arrow_schema(&people()).expect("arrow"));
    let builder = ParquetWriterBuilder::new(WriterProperties::builder().build(), Arc::new(people()));
    let output = table.store().file_io().new_output(&path).expect("path");
    let mut writer = builder.build(output).await.expect("writer");
    let batch = RecordBatch::try_new(arrow, columns).expect("batch");
    writer.write(&batch).await.expect("write");
    let mut file = writer.close().await.expect("close").remove(0);
    let file = file.content(DataContentType::Data).build().expect("file");
    let mut delta = Delta::default();
    let at = |position| if position == 0 { Offset::start() } else { Offset::new("f", position) };
    delta.insert(ShardId::new("s"), at(from), ShardPosition::at(at(to))).expect("forward");
    let rows = batch.num_rows() as u64;
    let counts = Counts { rows_in: rows + 1, accepted: rows, duplicate: 1, quarantined: 0 };
    match warehouse.commit("people", &Intent::append(&table, delta, counts, vec![file])).await.expect("commit") {
        CommitOutcome::Committed { snapshot_id, .. } => snapshot_id,
        other => panic!("{other:?}"),
    }
}

async fn open(warehouse: &Warehouse, pinned: &[(&str, i64)]) -> Result<QuerySession> {
    let pinned = pinned.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
    QuerySession::open(warehouse, SessionSettings { pinned, ..SessionSettings::default() }).await
}

async fn ask(session: &QuerySession, sql: &str) -> Result<Vec<String>> {
    Ok(lines(&session.query(sql).await?.into_batches().await?))
}

async fn answer(session: &QuerySession, sql: &str) -> Vec<String> {
    ask(session, sql).await.expect(sql)
}

async fn refusal(session: &QuerySession, sql: &str) -> (ErrorKind, String) {
    let error = ask(session, sql).await.expect_err(sql);
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn t3_an_older_snapshot_returns_what_it_returned_then() {
    let warehouse = warehouse().await;
    let first = append(&warehouse, 0, 10, numbered(0..3)).await;
    let then = answer(&open(&warehouse, &[]).await.expect("session"), "SELECT * FROM people ORDER BY id").await;
    append(&warehouse, 10, 20, numbered(3..5)).await;
    let now = open(&warehouse, &[]).await.expect("session");
    assert_eq!(answer(&now, "SELECT count(*) FROM people").await, ["5"]);
    let pinned = open(&warehouse, &[("people", first)]).await.expect("session");
    assert_eq!(answer(&pinned, "SELECT * FROM people ORDER BY id").await, then);
    assert_eq!(answer(&pinned, "SELECT count(*) FROM files('people')").await, ["1"]);
}

#[tokio::test]
async fn a_session_keeps_the_versions_it_opened_with() {
    let warehouse = warehouse().await;
    append(&warehouse, 0, 10, numbered(0..3)).await;
    let session = open(&warehouse, &[]).await.expect("session");
    append(&warehouse, 10, 20, numbered(3..5)).await;
    assert_eq!(answer(&session, "SELECT count(*) FROM people").await, ["3"]);
}

#[tokio::test]
async fn tables_have_their_name_with_and_without_namespace() {
    let warehouse = warehouse().await;
    let namespace = &warehouse.settings().namespace;
    let session = open(&warehouse, &[]).await.expect("session");
    for name in ["people".to_owned(), format!("{namespace}.people"), format!("icefold.{namespace}.people")] {
        assert_eq!(answer(&session, &format!("SELECT count(*) FROM {name}")).await, ["0"]);
    }
    assert_eq!(answer(&session, "WITH few AS (SELECT * FROM people) SELECT count(*) FROM few").await, ["0"]);
    assert_eq!(
        answer(&session, "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'").await,
        ["people"]
    );
}

#[tokio::test]
async fn an_unknown_table_names_those_there_are() {
    let warehouse = warehouse().await;
    create(&warehouse, "other", people()).await;
    let session = open(&warehouse, &[]).await.expect("session");
    let namespace = &warehouse.settings().namespace;
    for sql in [
        "SELECT * FROM poeple".to_owned(),
        format!("SELECT * FROM people JOIN {namespace}.poeple ON true"),
        "SELECT * FROM (SELECT 1) WHERE EXISTS (SELECT 1 FROM poeple)".to_owned(),
        "EXPLAIN SELECT * FROM poeple".to_owned(),
        "SELECT * FROM snapshots('poeple')".to_owned(),
    ] {
        let (kind, text) = refusal(&session, &sql).await;
        assert_eq!(kind, ErrorKind::NotFound, "{sql}: {text}");
        assert_eq!(text, "no table `poeple` (did you mean `people`?): the tables are `other`, `people`", "{sql}");
    }
    let error = open(&warehouse, &[("poeple", 1)]).await.err().expect("unknown");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_unknown_snapshot_names_the_newest() {
    let warehouse = warehouse().await;
    let id = append(&warehouse, 0, 10, numbered(0..3)).await;
    let error = open(&warehouse, &[("people", 17)]).await.err().expect("unknown");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("`17`") && error.to_string().contains(&id.to_string()), "{error}");
}

#[tokio::test]
async fn whatever_changes_something_is_refused() {
    let warehouse = warehouse().await;
    let session = open(&warehouse, &[]).await.expect("session");
    for sql in [
        "INSERT INTO people VALUES (1, 'x')",
        "DELETE FROM people",
        "UPDATE people SET id = 1",
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '/etc/passwd'",
        "DROP TABLE people",
        "COPY people TO 'x.parquet'",
        "COPY (SELECT 1) TO 'x.csv'",
        "EXPLAIN ANALYZE INSERT INTO people VALUES (1, 'x')",
        "SELECT 1 INTO x",
        "SET datafusion.execution.batch_size = 1",
        "TRUNCATE TABLE people",
    ] {
        let (kind, text) = refusal(&session, sql).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {text}");
        assert!(text.contains("queries only read"), "{sql}: {text}");
    }
    assert!(!std::path::Path::new("x.csv").exists());
}

#[tokio::test]
async fn wrong_sql_is_the_askers_mistake() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for sql in [
        "SELEC 1",
        "SELECT nme FROM people",
        "SELECT 1; SELECT 2",
        "SELECT * FROM snapshots()",
        "SELECT * FROM '/etc/passwd'",
    ] {
        let (kind, text) = refusal(&session, sql).await;
        assert!(matches!(kind, ErrorKind::InvalidInput | ErrorKind::NotFound), "{sql}: {text}");
    }
    for (sql, words) in [
        ("SELECT nme FROM people", "no column `nme` (did you mean `name`?): the columns are `id`, `name`"),
        ("SELECT people.nme FROM people", "no column `people.nme` (did you mean `name`?)"),
        ("SELECT \"NAME\" FROM people", "no column `NAME` (did you mean `\"name\"`?"),
        ("SELECT id FROM people a JOIN people b ON a.id = b.id", "such as `events.id`"),
        ("SELECT uper('x')", "no function `uper` (did you mean `upper`?)"),
        ("SELECT name, count(*) FROM people", "GROUP BY"),
    ] {
        let text = refusal(&session, sql).await.1;
        assert!(text.contains(words), "{sql}: {text}");
    }
}

#[tokio::test]
async fn explain_and_describe_read() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for sql in
        ["EXPLAIN SELECT * FROM people", "EXPLAIN ANALYZE SELECT * FROM people", "DESCRIBE people", "SHOW TABLES"]
    {
        assert!(!answer(&session, sql).await.is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn snapshots_are_listed_oldest_first_with_what_they_did() {
    let warehouse = warehouse().await;
    let first = append(&warehouse, 0, 10, numbered(0..3)).await;
    let second = append(&warehouse, 10, 20, numbered(3..5)).await;
    let session = open(&warehouse, &[]).await.expect("session");
    let columns = "snapshot_id, parent_id, operation, is_current, added_records, total_records, total_data_files";
    let expected = [format!("{first}||append|false|3|3|1"), format!("{second}|{first}|append|true|2|5|2")];
    for table in ["snapshots('people')", "\"people$snapshots\""] {
        assert_eq!(answer(&session, &format!("SELECT {columns} FROM {table}")).await, expected);
    }
    let sql = "SELECT committed_at > '2023-11-14', length(commit_id), summary FROM snapshots('people')";
    let rest = answer(&session, sql).await;
    assert!(rest[0].starts_with("true|32|{\""), "{rest:?}");
    assert!(rest[0].contains(r#""icefold.total-rows-in":"4""#), "{rest:?}");
}

#[tokio::test]
async fn checkpoints_name_the_source_position_of_each_snapshot() {
    let warehouse = warehouse().await;
    let first = append(&warehouse, 0, 10, numbered(0..3)).await;
    let second = append(&warehouse, 10, 20, numbered(3..5)).await;
    let session = open(&warehouse, &[]).await.expect("session");
    let sql = "SELECT snapshot_id, shard, segment, position, rows_in, accepted, duplicate, quarantined \
               FROM checkpoints('people') ORDER BY position";
    assert_eq!(answer(&session, sql).await, [format!("{first}|s|f|10|4|3|1|0"), format!("{second}|s|f|20|7|5|2|0")]);
}

#[tokio::test]
async fn files_and_manifests_are_those_of_the_snapshot() {
    let warehouse = warehouse().await;
    append(&warehouse, 0, 10, numbered(0..3)).await;
    append(&warehouse, 10, 20, numbered(3..5)).await;
    let session = open(&warehouse, &[]).await.expect("session");
    let sql = "SELECT content, file_format, partition, record_count, data_sequence_number, equality_columns IS NULL \
               FROM files('people') ORDER BY record_count DESC";
    assert_eq!(answer(&session, sql).await, ["data|parquet||3|1|true", "data|parquet||2|2|true"]);
    let sql = "SELECT count(*) > 0, sum(added_rows + existing_rows), min(content) FROM manifests('people')";
    assert_eq!(answer(&session, sql).await, ["true|5|data"]);
}

#[tokio::test]
async fn metadata_of_an_empty_table_is_empty() {
    let session = open(&warehouse().await, &[]).await.expect("session");
    for kind in MetadataKind::ALL {
        assert_eq!(answer(&session, &format!("SELECT count(*) FROM {}('people')", kind.name())).await, ["0"]);
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_queried_hinders_no_other() {
    let warehouse = warehouse().await;
    let inner = Arc::new(NestedField::optional(2, "x", Type::Primitive(PrimitiveType::Int)));
    let nested = NestedField::optional(1, "where", Type::Struct(StructType::new(vec![inner])));
    create(&warehouse, "places", schema(vec![nested])).await;
    let session = open(&warehouse, &[]).await.expect("session");
    assert_eq!(answer(&session, "SELECT count(*) FROM people").await, ["0"]);
    assert!(!answer(&session, "SELECT * FROM information_schema.columns").await.is_empty());
    assert_eq!(answer(&session, "SELECT count(*) FROM snapshots('places')").await, ["0"]);
    let (kind, text) = refusal(&session, "SELECT count(*) FROM places").await;
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert!(text.contains("column `where`") && text.contains("table: places"), "{text}");
}

fn memory(memory_limit_bytes: usize) -> QuerySettings {
    QuerySettings { memory_limit_bytes }
}

#[tokio::test]
async fn a_query_past_its_memory_says_so() {
    let warehouse = warehouse().await;
    append(&warehouse, 0, 10, numbered(0..300_000)).await;
    let settings = SessionSettings { query: memory(16 << 20), ..SessionSettings::default() };
    let session = QuerySession::open(&warehouse, settings).await.expect("session");
    assert_eq!(answer(&session, "SELECT count(DISTINCT id % 1000) FROM people").await, ["1000"]);
    let join = "SELECT count(a.name || b.name) FROM people a JOIN people b ON a.name = b.name AND a.id + 1 > b.id";
    let (kind, text) = refusal(&session, join).await;
    assert_eq!(kind, ErrorKind::Refused, "{text}");
    assert!(text.contains("`query.memory_limit_bytes`"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_gone_is_named() {
    let warehouse = warehouse().await;
    append(&warehouse, 0, 10, numbered(0..3)).await;
    let session = open(&warehouse, &[]).await.expect("session");
    let path = answer(&session, "SELECT file_path FROM files('people')").await.remove(0);
    warehouse.store().delete(&path).await.expect("delete");
    let (kind, text) = refusal(&session, "SELECT name FROM people").await;
    assert_eq!(kind, ErrorKind::Corrupt, "{text}");
    assert!(text.contains("0-10.parquet"), "{text}");
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let none = SessionSettings { target_partitions: 0, ..SessionSettings::default() };
    assert!(none.validate().expect_err("none").to_string().contains("`target_partitions` is 0"));
    let little = SessionSettings { query: memory(5), ..SessionSettings::default() };
    assert!(little.validate().expect_err("little").to_string().contains("`query.memory_limit_bytes` = 5 is too small"));
}
