//! Invariant D1 on real files: what each delete takes away, and what it must leave.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, StringArray};
use iceberg::spec::{PrimitiveType, Transform, UnboundPartitionSpec};
use icefold_fixture::{Fixture, at, column, named, numbered, people, rows, schema};

use crate::fixture::Queries;

async fn ids(table: &Fixture, sql: &str) -> Vec<i64> {
    let mut ids: Vec<i64> = table.query(sql).await.iter().map(|line| line.parse().expect("a number")).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_position_delete_takes_its_rows_and_no_others() {
    let mut table = Fixture::new(people());
    let first = table.data(at(1), numbered(0..5)).await;
    table.data(at(1), numbered(10..15)).await;
    table.position_deletes(at(2), &[(&first, 1), (&first, 4)]).await;
    assert_eq!(ids(&table, "SELECT id FROM t").await, [0, 2, 3, 10, 11, 12, 13, 14]);
    assert_eq!(table.query("SELECT count(*) FROM t").await, ["8"], "counts are not taken from manifests");
    assert_eq!(table.query("SELECT min(id), max(id) FROM t WHERE id < 10").await, ["0|3"]);
}

#[tokio::test]
async fn d1_a_position_delete_applies_to_its_own_sequence_number_but_not_to_younger_files() {
    for (delete, left) in [(4, 5), (5, 4), (6, 4)] {
        let mut table = Fixture::new(people());
        let path = table.data(at(5), numbered(0..5)).await;
        table.position_deletes(at(delete), &[(&path, 0)]).await;
        assert_eq!(table.query("SELECT count(*) FROM t").await, [left.to_string()], "delete at {delete}");
    }
}

#[tokio::test]
async fn d1_a_position_delete_of_another_partition_has_no_effect() {
    let mut table = Fixture::new(people());
    let spec = table.by_name();
    let path = table.data(at(1).of(spec, named("a")), rows(&[(Some(1), Some("a")), (Some(2), Some("a"))])).await;
    table.data(at(1).of(spec, named("b")), rows(&[(Some(3), Some("b"))])).await;
    table.position_deletes(at(2).of(spec, named("b")), &[(&path, 0)]).await;
    assert_eq!(ids(&table, "SELECT id FROM t").await, [1, 2, 3]);
    table.position_deletes(at(2).of(spec, named("a")), &[(&path, 0)]).await;
    assert_eq!(ids(&table, "SELECT id FROM t").await, [2, 3]);
}

#[tokio::test]
async fn deleted_positions_stay_right_across_row_groups_filters_and_limits() {
    let mut table = Fixture::new(people());
    table.row_group_rows = 10;
    let path = table.data(at(1), numbered(0..40)).await;
    let gone: Vec<i64> = [5, 15].into_iter().chain(20..30).collect();
    let deletes: Vec<(&str, i64)> = gone.iter().rev().map(|pos| (path.as_str(), *pos)).collect();
    table.position_deletes(at(2), &deletes).await;
    let all: Vec<i64> = (0..40).filter(|id| !gone.contains(id)).collect();
    assert_eq!(ids(&table, "SELECT id FROM t").await, all);
    assert_eq!(ids(&table, "SELECT id FROM t WHERE id >= 12 AND id < 32").await, all[11..20]);
    assert_eq!(ids(&table, "SELECT id FROM t WHERE id = 15").await, [0i64; 0]);
    for limit in [1, 9, 27, 28, 40] {
        let some = ids(&table, &format!("SELECT id FROM t WHERE id >= 0 LIMIT {limit}")).await;
        assert_eq!(some.len(), all.len().min(limit));
        assert!(some.iter().all(|id| all.contains(id)), "a limit brings back deleted rows: {some:?}");
    }
    let newest = ids(&table, "SELECT id FROM t ORDER BY id DESC LIMIT 12").await;
    assert_eq!(newest, all[all.len() - 12..]);
}

#[tokio::test]
async fn d1_an_equality_delete_applies_to_strictly_older_files() {
    for (delete, left) in [(4, 5), (5, 5), (6, 3)] {
        let mut table = Fixture::new(people());
        table.data(at(5), numbered(0..5)).await;
        table.delete_ids(at(delete), &[Some(1), Some(3), Some(99)]).await;
        assert_eq!(table.query("SELECT count(*) FROM t").await, [left.to_string()], "delete at {delete}");
    }
}

#[tokio::test]
async fn a_row_written_again_after_its_delete_stays() {
    let mut table = Fixture::new(people());
    table.data(at(1), rows(&[(Some(1), Some("old")), (Some(2), Some("old"))])).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    table.data(at(3), rows(&[(Some(1), Some("new"))])).await;
    table.delete_ids(at(1), &[Some(2)]).await;
    assert_eq!(table.query("SELECT id, name FROM t").await, ["1|new", "2|old"]);
    assert_eq!(table.query("SELECT name FROM t WHERE name = 'old'").await, ["old"]);
}

#[tokio::test]
async fn null_is_a_key_like_others() {
    let people_with_nulls = || rows(&[(None, Some("x")), (Some(1), Some("y")), (Some(2), None), (None, None)]);
    let mut table = Fixture::new(people());
    table.data(at(1), people_with_nulls()).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    assert_eq!(
        table.query("SELECT id, name FROM t").await,
        ["2|", "|", "|x"],
        "a null key survives other keys' deletes"
    );

    table.delete_ids(at(2), &[None]).await;
    assert_eq!(table.query("SELECT id, name FROM t").await, ["2|"], "null equals null");

    let mut table = Fixture::new(people());
    table.data(at(1), people_with_nulls()).await;
    table.equality_deletes(at(2), &people(), rows(&[(None, Some("x")), (Some(2), Some("x")), (Some(1), None)])).await;
    assert_eq!(table.query("SELECT id, name FROM t").await, ["1|y", "2|", "|"], "all key columns must be equal");
}

#[tokio::test]
async fn keys_tell_the_zeros_apart_and_take_each_nan_for_one() {
    let key = schema(vec![column(2, "v", PrimitiveType::Double)]);
    let columns = vec![column(1, "id", PrimitiveType::Long), column(2, "v", PrimitiveType::Double)];
    let mut table = Fixture::new(schema(columns));
    let minus_nan = f64::from_bits(0xfff8_0000_0000_0000);
    let floats = |values: Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    table.data(at(1), vec![numbers, floats(vec![0.0, -0.0, minus_nan, 7.0])]).await;
    table.equality_deletes(at(2), &key, vec![floats(vec![-0.0, f64::NAN])]).await;
    assert_eq!(ids(&table, "SELECT id FROM t").await, [1, 4]);
    assert_eq!(table.query("SELECT id, v FROM t WHERE v = 0").await, ["1|0.0"]);
    table.equality_deletes(at(3), &key, vec![floats(vec![0.0])]).await;
    assert_eq!(table.query("SELECT v, id FROM t WHERE v <> 8").await, ["7.0|4"]);
}

#[tokio::test]
async fn key_columns_need_not_be_asked_for() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..5)).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    assert_eq!(table.query("SELECT name FROM t").await, ["n0", "n2", "n3", "n4"]);
    assert_eq!(table.query("SELECT name FROM t WHERE name > 'n1'").await, ["n2", "n3", "n4"]);
    assert_eq!(table.query("SELECT 7 FROM t").await, ["7"; 4]);
    assert_eq!(table.query("SELECT count(*) FROM t").await, ["4"]);
    assert_eq!(table.query("SELECT count(*) FROM t AS a JOIN t AS b ON a.id = b.id").await, ["4"]);
}

#[tokio::test]
async fn d1_an_equality_delete_reaches_its_own_partition_only() {
    let mut table = Fixture::new(people());
    let spec = table.by_name();
    for name in ["a", "b"] {
        table.data(at(1).of(spec, named(name)), rows(&[(Some(1), Some(name)), (Some(2), Some(name))])).await;
    }
    table.delete_ids(at(2).of(spec, named("a")), &[Some(1)]).await;
    assert_eq!(table.query("SELECT id, name FROM t").await, ["1|b", "2|a", "2|b"]);
    table.delete_ids(at(2).of(spec, named("b")), &[Some(2)]).await;
    assert_eq!(table.query("SELECT id, name FROM t").await, ["1|b", "2|a"]);
}

#[tokio::test]
async fn d1_an_equality_delete_of_the_unpartitioned_spec_reaches_everything() {
    let mut table = Fixture::new(people());
    table.data(at(1), rows(&[(Some(1), Some("before partitioning"))])).await;
    let spec = table.by_name();
    for name in ["a", "b"] {
        table.data(at(1).of(spec, named(name)), rows(&[(Some(1), Some(name)), (Some(2), Some(name))])).await;
    }
    table.data(at(3).of(spec, named("a")), rows(&[(Some(1), Some("a"))])).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    assert_eq!(table.query("SELECT id, name FROM t").await, ["1|a", "2|a", "2|b"]);
}

#[tokio::test]
async fn equal_values_of_different_specs_are_different_partitions() {
    let mut table = Fixture::new(people());
    let spec = table.by_name();
    let other = UnboundPartitionSpec::builder().add_partition_field(2, "name_again", Transform::Truncate(9));
    let other = table.add_spec(other.expect("spec").build());
    table.data(at(1).of(spec, named("a")), rows(&[(Some(1), Some("a"))])).await;
    table.delete_ids(at(2).of(other, named("a")), &[Some(1)]).await;
    assert_eq!(ids(&table, "SELECT id FROM t").await, [1]);
}

#[tokio::test]
async fn both_kinds_and_several_keys_work_together() {
    let mut table = Fixture::new(people());
    table.row_group_rows = 3;
    let path = table.data(at(1), numbered(0..10)).await;
    table.position_deletes(at(2), &[(&path, 0), (&path, 4)]).await;
    table.delete_ids(at(2), &[Some(1), Some(4)]).await;
    let by_name = schema(vec![column(2, "name", PrimitiveType::String)]);
    let names: ArrayRef = Arc::new(StringArray::from(vec!["n2", "n4"]));
    table.equality_deletes(at(3), &by_name, vec![names]).await;
    assert_eq!(ids(&table, "SELECT id FROM t").await, [3, 5, 6, 7, 8, 9]);
    assert_eq!(ids(&table, "SELECT id FROM t WHERE id < 6").await, [3, 5]);
    assert_eq!(ids(&table, "SELECT id FROM t ORDER BY id LIMIT 2").await, [3, 5]);
}

#[tokio::test]
async fn a_delete_on_a_column_that_was_dropped_still_applies() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..3)).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    table.evolve(schema(vec![column(2, "name", PrimitiveType::String)]));
    assert_eq!(table.query("SELECT * FROM t").await, ["n0", "n2"]);
    assert_eq!(table.query("SELECT count(*) FROM t").await, ["2"]);
}

#[tokio::test]
async fn a_delete_on_a_column_that_old_files_lack_sees_null_there() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..2)).await;
    let mut fields = people().as_struct().fields().iter().map(|f| f.as_ref().clone()).collect::<Vec<_>>();
    fields.push(column(3, "grade", PrimitiveType::Int));
    table.evolve(schema(fields));
    let grades: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None]));
    let mut with_grades = numbered(5..7);
    with_grades.push(grades);
    table.data(at(1), with_grades).await;
    let key = schema(vec![column(3, "grade", PrimitiveType::Int)]);
    table.equality_deletes(at(2), &key, vec![Arc::new(Int32Array::from(vec![7]))]).await;
    assert_eq!(ids(&table, "SELECT id FROM t").await, [0, 1, 6]);
    table.equality_deletes(at(2), &key, vec![Arc::new(Int32Array::from(vec![None]))]).await;
    assert_eq!(ids(&table, "SELECT id FROM t").await, [0i64; 0]);
}

#[tokio::test]
async fn a_delete_written_before_a_type_was_widened_still_applies() {
    let mut table = Fixture::new(schema(vec![column(1, "n", PrimitiveType::Int)]));
    table.data(at(1), vec![Arc::new(Int32Array::from(vec![1, 2]))]).await;
    let key = schema(vec![column(1, "n", PrimitiveType::Int)]);
    table.equality_deletes(at(4), &key, vec![Arc::new(Int32Array::from(vec![2]))]).await;
    table.evolve(schema(vec![column(1, "n", PrimitiveType::Long)]));
    table.data(at(3), vec![Arc::new(Int64Array::from(vec![2, 3]))]).await;
    assert_eq!(ids(&table, "SELECT n FROM t").await, [1, 3]);
}

#[tokio::test]
async fn deletes_of_files_that_a_filter_rules_out_are_not_read() {
    let mut table = Fixture::new(people());
    let first = table.data(at(1), numbered(0..5)).await;
    table.data(at(3), numbered(10..15)).await;
    table.position_deletes(at(1), &[(&first, 0)]).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    let plan = async |sql| displayed(&table, sql).await;
    assert!(plan("SELECT id FROM t WHERE id < 5").await.contains("position_delete_files=1, equality_delete_files=1"));
    assert!(!plan("SELECT id FROM t WHERE id > 9").await.contains("DeleteExec"));
}

async fn displayed(table: &Fixture, sql: &str) -> String {
    datafusion::physical_plan::displayable(table.plan(sql).await.as_ref()).indent(true).to_string()
}

#[tokio::test]
async fn filters_reach_the_reader_through_the_deletes() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..5)).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    let plan = displayed(&table, "SELECT name FROM t WHERE id > 2").await;
    assert!(plan.contains("predicate=id@0 > 2") && !plan.contains("FilterExec"), "{plan}");
}

#[tokio::test]
async fn deletion_vectors_are_refused_with_a_remedy() {
    use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat};
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..5)).await;
    let mut vector = table.files[0].clone();
    vector.data_sequence_number = 2;
    vector.file = DataFileBuilder::default()
        .content(DataContentType::PositionDeletes)
        .file_path("memory:///warehouse/t/data/dv.puffin".to_owned())
        .file_format(DataFileFormat::Puffin)
        .record_count(1)
        .file_size_in_bytes(10)
        .build()
        .expect("file");
    table.files.push(vector);
    let error = table.try_query("SELECT id FROM t").await.expect_err("refused");
    assert!(error.to_string().contains("deletion vectors") && error.to_string().contains("compact"), "{error}");
}

#[tokio::test]
async fn ordered_queries_over_deletes_answer_when_few_rows_or_none_are_left() {
    for (left, gone) in [("1,2,3", "none"), ("1,3", "one"), ("", "each row"), ("", "the file"), ("", "no file yet")] {
        let mut table = Fixture::new(people());
        let spec = table.by_name();
        let of = |sequence, name| at(sequence).of(spec, named(name));
        if gone != "no file yet" {
            let some = |ids: &[i64]| rows(&ids.iter().map(|id| (Some(*id), Some("a"))).collect::<Vec<_>>());
            let one = table.data(of(1, "a"), some(&[1, 2])).await;
            let two = table.data(of(1, "a"), some(&[3])).await;
            let all = [(one.as_str(), 0), (one.as_str(), 1), (two.as_str(), 0)];
            match gone {
                "one" => table.position_deletes(of(2, "a"), &all[1..2]).await,
                "each row" => table.position_deletes(of(2, "a"), &all).await,
                "the file" => {
                    table.position_deletes(of(2, "a"), &all).await;
                    table.files.drain(..2);
                }
                _ => table.position_deletes(of(2, "b"), &all).await,
            }
        }
        for partitions in 1..=4 {
            let session = table.session_with(partitions);
            for (sql, of_all) in [
                ("SELECT id FROM t ORDER BY id", true),
                ("SELECT id FROM t ORDER BY id LIMIT 5", true),
                ("SELECT id FROM t WHERE name = 'a' ORDER BY id", true),
                ("SELECT id FROM t WHERE name = 'b' ORDER BY id", false),
                ("SELECT id FROM t WHERE id > 70 ORDER BY id LIMIT 1", false),
                ("SELECT id FROM t WHERE false ORDER BY id", false),
                ("SELECT id FROM t UNION ALL SELECT id FROM t WHERE name = 'b' ORDER BY id", true),
                ("SELECT id FROM t GROUP BY id ORDER BY id", true),
                ("SELECT id, max(id) OVER (ORDER BY id) - id FROM t ORDER BY id", true),
                ("SELECT a.id FROM t a JOIN t b ON a.id = b.id ORDER BY a.id", true),
                ("SELECT id FROM t WHERE id IN (SELECT id FROM t ORDER BY name LIMIT 9) ORDER BY id", true),
            ] {
                let batches = session.sql(sql).await.expect(sql).collect().await;
                let lines =
                    crate::fixture::lines(&batches.unwrap_or_else(|e| panic!("{gone}, {partitions}: {sql}: {e}")));
                let ids: Vec<_> = lines.iter().map(|line| line.split('|').next().unwrap_or_default()).collect();
                assert_eq!(ids.join(","), if of_all { left } else { "" }, "{gone} deleted, {partitions}: {sql}");
            }
        }
    }
}
