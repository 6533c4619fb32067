//! What a scan opens and what it gives back: pruning, statistics, splitting, and columns found by field id.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::common::stats::Precision;
use iceberg::spec::{Literal, PrimitiveType, Schema, Struct, Transform, UnboundPartitionSpec};
use icefold_fixture::{Fixture, at, column, numbered, partition, people, rows, schema};

use crate::fixture::{Queries, scans};

const DAY: i64 = 86_400_000_000;

fn visits() -> Schema {
    schema(vec![column(1, "at", PrimitiveType::Timestamptz), column(2, "who", PrimitiveType::String)])
}

fn visit(times: &[i64], who: &str) -> Vec<ArrayRef> {
    vec![
        Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("+00:00")),
        Arc::new(StringArray::from(vec![who; times.len()])),
    ]
}

/// One file for each of the days 1 to 10 of 1970, with `who` from `a` on.
async fn ten_days() -> Fixture {
    let mut table = Fixture::new(visits());
    let day = UnboundPartitionSpec::builder().add_partition_field(1, "at_day", Transform::Day).expect("spec").build();
    let spec = table.add_spec(day);
    for (day, who) in (1..=10).zip("abcdefghij".chars()) {
        let rows = visit(&[day * DAY, day * DAY + 5], &who.to_string());
        table.data(at(1).of(spec, partition(Literal::int(day as i32))), rows).await;
    }
    table
}

#[tokio::test]
async fn filters_leave_out_files_by_their_bounds() {
    let table = ten_days().await;
    for (filter, files) in [
        ("true", 10),
        ("at >= '1970-01-09T00:00:00Z'", 3),
        ("at >= '1970-01-04T00:00:00Z' AND at < '1970-01-06T00:00:00Z'", 2),
        ("at = '1970-01-04T00:00:00Z'", 1),
        ("CAST(at AS DATE) = DATE '1970-01-04'", 1),
        ("who = 'c'", 1),
        ("who = 'zebra'", 0),
        ("who IN ('a', 'j', 'q')", 2),
        // The file of `c` stays: the prefix's successor counts as inside.
        ("who LIKE 'b%'", 2),
        ("who LIKE 'b%' AND at < '1970-01-04T00:00:00Z'", 1),
        ("who IS NULL", 0),
        ("who IS NOT NULL", 10),
        ("who = 'a' OR at > '1970-01-10T00:00:00Z'", 3),
        ("who <> 'a'", 9),
        ("NOT (who = 'a')", 9),
        ("length(who) = 1", 10),
    ] {
        assert_eq!(table.planned_files(&format!("SELECT * FROM t WHERE {filter}")).await, files, "{filter}");
    }
}

#[tokio::test]
async fn long_lists_leave_out_files_too() {
    let table = ten_days().await;
    let list = (0..40).map(|n| format!("'c{n}'")).collect::<Vec<_>>().join(",");
    assert_eq!(table.planned_files(&format!("SELECT * FROM t WHERE who IN ('c', {list})")).await, 1);
    assert_eq!(table.planned_files(&format!("SELECT * FROM t WHERE who NOT IN ('c', {list})")).await, 10);
}

#[tokio::test]
async fn what_is_pruned_holds_no_answer() {
    let table = ten_days().await;
    assert_eq!(table.query("SELECT count(*) FROM t WHERE at > '1970-01-09T00:00:00Z'").await, ["5"]);
    assert_eq!(table.query("SELECT who FROM t WHERE who IN ('a', 'j', 'q') GROUP BY who").await, ["a", "j"]);
    assert_eq!(table.query("SELECT count(*) FROM t WHERE who = 'zebra'").await, ["0"]);
    assert_eq!(table.query("SELECT who FROM t WHERE who LIKE 'b%'").await, ["b", "b"]);
    assert_eq!(table.query("SELECT who FROM t WHERE who LIKE '%b' ORDER BY at LIMIT 1").await, ["b"]);
}

#[tokio::test]
async fn partitions_stand_in_for_missing_bounds() {
    let mut table = ten_days().await;
    for live in &mut table.files {
        live.file = without_metrics(&live.file);
    }
    assert_eq!(table.planned_files("SELECT * FROM t WHERE at >= '1970-01-09T00:00:00Z'").await, 3);
    assert_eq!(table.planned_files("SELECT * FROM t WHERE who = 'c'").await, 10, "nothing is known of `who`");
    assert_eq!(table.query("SELECT who FROM t WHERE who = 'c' LIMIT 1").await, ["c"]);
    assert_eq!(
        table.query("SELECT max(at) FROM t WHERE at < '1970-01-03T00:00:00Z'").await,
        ["1970-01-02T00:00:00.000005Z"]
    );
}

fn without_metrics(file: &iceberg::spec::DataFile) -> iceberg::spec::DataFile {
    iceberg::spec::DataFileBuilder::default()
        .content(file.content_type())
        .file_path(file.file_path().to_owned())
        .file_format(file.file_format())
        .partition(file.partition().clone())
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .build()
        .expect("file")
}

#[tokio::test]
async fn a_partition_value_of_identity_is_a_bound() {
    let mut table = Fixture::new(people());
    let spec = UnboundPartitionSpec::builder().add_partition_field(2, "name", Transform::Identity).expect("spec");
    let spec = table.add_spec(spec.build());
    table.data(at(1).of(spec, partition(Literal::string("a"))), rows(&[(Some(1), Some("a"))])).await;
    table.data(at(1).of(spec, partition(Literal::string("b"))), rows(&[(Some(1), Some("b"))])).await;
    table.data(at(1).of(spec, Struct::from_iter([None])), rows(&[(Some(1), None)])).await;
    for live in &mut table.files {
        live.file = without_metrics(&live.file);
    }
    assert_eq!(table.planned_files("SELECT * FROM t WHERE name = 'b'").await, 2, "the null partition has no bounds");
    assert_eq!(table.query("SELECT id FROM t WHERE name IS NULL").await, ["1"]);
}

#[tokio::test]
async fn not_a_number_is_never_pruned_away() {
    let mut table = Fixture::new(schema(vec![column(1, "x", PrimitiveType::Double)]));
    table.data(at(1), vec![Arc::new(Float64Array::from(vec![1.0, f64::NAN]))]).await;
    table.data(at(1), vec![Arc::new(Float64Array::from(vec![1.0, 2.0]))]).await;
    assert_eq!(table.planned_files("SELECT * FROM t WHERE x > 5").await, 1);
    assert_eq!(table.planned_files("SELECT * FROM t WHERE x > 1.5").await, 2);
}

#[tokio::test]
async fn a_null_row_is_found_beside_bounds() {
    let mut table = Fixture::new(people());
    table.data(at(1), rows(&[(Some(1), Some("a")), (None, Some("b"))])).await;
    table.data(at(1), rows(&[(Some(2), Some("c"))])).await;
    assert_eq!(table.planned_files("SELECT * FROM t WHERE id IS NULL").await, 1);
    assert_eq!(table.query("SELECT name FROM t WHERE id IS NULL").await, ["b"]);
    assert_eq!(table.query("SELECT name FROM t WHERE id IS DISTINCT FROM 1").await, ["b", "c"]);
}

#[tokio::test]
async fn counts_and_extremes_need_no_reading_without_deletes() {
    let table = ten_days().await;
    let plan = table.plan("SELECT count(*), min(at), max(at) FROM t").await;
    assert!(scans(&plan).is_empty(), "answered from manifests");
    assert_eq!(
        table.query("SELECT count(*), min(at), max(at) FROM t").await,
        ["20|1970-01-02T00:00:00Z|1970-01-11T00:00:00.000005Z"]
    );
}

#[tokio::test]
async fn strings_are_never_answered_from_bounds_that_may_be_cut() {
    let mut table = Fixture::new(people());
    table.data(at(1), rows(&[(Some(1), Some("a")), (Some(2), Some("b"))])).await;
    assert_eq!(scans(&table.plan("SELECT max(name) FROM t").await).len(), 1);
    assert_eq!(table.query("SELECT max(name) FROM t").await, ["b"]);
}

#[tokio::test]
async fn statistics_are_estimates_once_rows_are_deleted() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..5)).await;
    let rows =
        |plan: Arc<dyn datafusion::physical_plan::ExecutionPlan>| plan.partition_statistics(None).expect("known");
    assert_eq!(rows(table.plan("SELECT id FROM t").await).num_rows, Precision::Exact(5));
    table.delete_ids(at(2), &[Some(1)]).await;
    assert_eq!(rows(table.plan("SELECT id FROM t").await).num_rows, Precision::Inexact(5));
}

#[tokio::test]
async fn a_limit_stops_the_reader_only_when_nothing_comes_after_it() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..50)).await;
    assert_eq!(scans(&table.plan("SELECT id FROM t LIMIT 3").await)[0].limit, Some(3));
    table.delete_ids(at(2), &[Some(0), Some(1), Some(2)]).await;
    assert_eq!(scans(&table.plan("SELECT id FROM t LIMIT 3").await)[0].limit, None);
    assert_eq!(table.query("SELECT id FROM t LIMIT 3").await.len(), 3);
}

#[tokio::test]
async fn one_file_is_read_by_all_partitions() {
    let mut table = Fixture::new(people());
    table.row_group_rows = 100_000;
    table.data(at(1), numbered(0..800_000)).await;
    let scan = &scans(&table.plan("SELECT id FROM t").await)[0];
    assert_eq!(scan.file_groups.len(), 4);
    assert_eq!(
        table.query("SELECT count(DISTINCT id), sum(id), count(name) FROM t WHERE id >= 0").await,
        ["800000|319999600000|800000"]
    );
}

#[tokio::test]
async fn columns_are_found_by_id_whatever_their_names() {
    let mut table = Fixture::new(people());
    table.data(at(1), rows(&[(Some(1), Some("old"))])).await;
    // `id` becomes `key`; `name` goes, and another column takes its name.
    table.evolve(schema(vec![
        column(3, "name", PrimitiveType::String),
        column(1, "key", PrimitiveType::Long),
        column(4, "added", PrimitiveType::Date),
    ]));
    let new: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["new"])),
        Arc::new(Int64Array::from(vec![2])),
        Arc::new(Date32Array::from(vec![1])),
    ];
    table.data(at(2), new).await;
    assert_eq!(table.query("SELECT * FROM t").await, ["new|2|1970-01-02", "|1|"]);
    assert_eq!(table.query("SELECT key FROM t WHERE name IS NULL").await, ["1"]);
    assert_eq!(table.query("SELECT name FROM t WHERE key = 1").await, [""]);
    assert_eq!(table.query("SELECT key FROM t WHERE name = 'old'").await, [""; 0], "that was another column");
    assert_eq!(table.query("SELECT count(name), count(key), count(added) FROM t").await, ["1|2|1"]);
}

#[tokio::test]
async fn swapped_names_do_not_swap_values() {
    let pair = |a, b| schema(vec![column(1, a, PrimitiveType::Long), column(2, b, PrimitiveType::Long)]);
    let mut table = Fixture::new(pair("a", "b"));
    table.data(at(1), vec![Arc::new(Int64Array::from(vec![1])), Arc::new(Int64Array::from(vec![2]))]).await;
    table.evolve(pair("b", "a"));
    assert_eq!(table.query("SELECT a, b FROM t").await, ["2|1"]);
    assert_eq!(table.query("SELECT a FROM t WHERE a = 2 AND b = 1").await, ["2"]);
}

#[tokio::test]
async fn widened_types_are_cast_and_still_prune() {
    let of = |n, x, d| {
        let decimal = PrimitiveType::Decimal { precision: d, scale: 2 };
        schema(vec![column(1, "n", n), column(2, "x", x), column(3, "d", decimal)])
    };
    let mut table = Fixture::new(of(PrimitiveType::Int, PrimitiveType::Float, 5));
    let decimal = |value, p| Decimal128Array::from(vec![value]).with_precision_and_scale(p, 2).expect("fits");
    let old: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(vec![7])), Arc::new(Float32Array::from(vec![0.5])), Arc::new(decimal(125, 5))];
    table.data(at(1), old).await;
    table.evolve(of(PrimitiveType::Long, PrimitiveType::Double, 20));
    let new: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1 << 40])),
        Arc::new(Float64Array::from(vec![0.25])),
        Arc::new(decimal(10_000_000_000, 20)),
    ];
    table.data(at(2), new).await;
    assert_eq!(table.query("SELECT * FROM t").await, ["1099511627776|0.25|100000000.00", "7|0.5|1.25"]);
    assert_eq!(table.query("SELECT n FROM t WHERE n < 10").await, ["7"]);
    assert_eq!(table.planned_files("SELECT n FROM t WHERE n > 10").await, 1);
    assert_eq!(table.query("SELECT min(n), max(n), sum(x) FROM t").await, ["7|1099511627776|0.75"]);
}

#[tokio::test]
async fn every_flat_type_can_be_read() {
    let mut table = Fixture::new(schema(vec![
        column(1, "b", PrimitiveType::Binary),
        column(2, "d", PrimitiveType::Date),
        column(3, "f", PrimitiveType::Fixed(2)),
        column(4, "t", PrimitiveType::Time),
        column(5, "u", PrimitiveType::Uuid),
        column(6, "l", PrimitiveType::Timestamp),
        column(7, "ok", PrimitiveType::Boolean),
    ]));
    let fixed = |size: i32, value: Vec<u8>| -> ArrayRef {
        Arc::new(
            arrow::array::FixedSizeBinaryArray::try_from_iter(std::iter::once(value))
                .unwrap_or_else(|e| panic!("{size}: {e}")),
        )
    };
    let row: Vec<ArrayRef> = vec![
        Arc::new(arrow::array::LargeBinaryArray::from_vec(vec![b"\xff\x00"])),
        Arc::new(Date32Array::from(vec![1])),
        fixed(2, vec![1, 2]),
        Arc::new(arrow::array::Time64MicrosecondArray::from(vec![1_000_000])),
        fixed(16, (0..16).collect()),
        Arc::new(TimestampMicrosecondArray::from(vec![5])),
        Arc::new(arrow::array::BooleanArray::from(vec![true])),
    ];
    table.data(at(1), row).await;
    let expected = "ff00|1970-01-02|0102|00:00:01|000102030405060708090a0b0c0d0e0f|1970-01-01T00:00:00.000005|true";
    assert_eq!(table.query("SELECT * FROM t").await, [expected]);
    assert_eq!(table.query("SELECT d FROM t WHERE b = X'ff00' AND ok AND d = '1970-01-02'").await, ["1970-01-02"]);
}

#[tokio::test]
async fn a_table_without_files_has_no_rows() {
    let table = Fixture::new(people());
    assert_eq!(table.query("SELECT count(*), max(name) FROM t").await, ["0|"]);
    assert_eq!(table.query("SELECT name FROM t WHERE id > 3 ORDER BY id LIMIT 4").await, [""; 0]);
}
