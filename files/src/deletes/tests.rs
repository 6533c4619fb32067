//! Invariant D1 on real files: what each delete takes away, and what it must leave.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, StringArray};
use iceberg::spec::{DataFileBuilder, DataFileFormat, PrimitiveType, Schema};
use icefold_core::ErrorKind;
use icefold_fixture::{Fixture, at, column, named, numbered, people, rows, schema};

use super::*;
use crate::fixture::{Reads, read};
use crate::read::LiveRows;

mod model;

async fn ids(table: &Fixture) -> Vec<i64> {
    table.live(&[1]).await.iter().map(|line| line.parse().expect("a number")).collect()
}

fn grades() -> Schema {
    let mut fields: Vec<_> = people().as_struct().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(column(3, "grade", PrimitiveType::Int));
    schema(fields)
}

#[tokio::test]
async fn without_deletes_all_rows_live_and_nothing_is_read() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..3)).await;
    let deletes = table.deletes().expect("none");
    assert!(deletes.is_empty());
    let of = deletes.of(&table.files[0]).await.expect("none");
    assert!(of.is_empty() && of.key_columns().is_empty());
    assert_eq!(ids(&table).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_position_delete_takes_its_rows_and_no_others() {
    let mut table = Fixture::new(people());
    let first = table.data(at(1), numbered(0..5)).await;
    let second = table.data(at(1), numbered(10..15)).await;
    table.position_deletes(at(2), &[(&first, 1), (&first, 4)]).await;
    assert_eq!(ids(&table).await, [0, 2, 3, 10, 11, 12, 13, 14]);
    table.position_deletes(at(3), &[(&second, 0), (&first, 4), (&second, 2), (&first, 0)]).await;
    assert_eq!(ids(&table).await, [2, 3, 11, 13, 14], "several delete files, rows in any order, one row twice");
    assert!(!table.deletes().expect("deletes").is_empty());
}

#[tokio::test]
async fn d1_a_position_delete_applies_to_its_own_sequence_number_but_not_to_younger_files() {
    for (delete, left) in [(4, 5), (5, 4), (6, 4)] {
        let mut table = Fixture::new(people());
        let path = table.data(at(5), numbered(0..5)).await;
        table.position_deletes(at(delete), &[(&path, 0)]).await;
        assert_eq!(ids(&table).await.len(), left, "delete at {delete}");
    }
}

#[tokio::test]
async fn d1_a_delete_of_another_partition_has_no_effect() {
    let mut table = Fixture::new(people());
    let spec = table.by_name();
    let path = table.data(at(1).of(spec, named("a")), rows(&[(Some(1), Some("a")), (Some(2), Some("a"))])).await;
    table.data(at(1).of(spec, named("b")), rows(&[(Some(1), Some("b")), (Some(3), Some("b"))])).await;
    table.position_deletes(at(2).of(spec, named("b")), &[(&path, 0)]).await;
    table.delete_ids(at(2).of(spec, named("a")), &[Some(3)]).await;
    assert_eq!(ids(&table).await, [1, 2, 1, 3]);
    table.position_deletes(at(2).of(spec, named("a")), &[(&path, 1)]).await;
    table.delete_ids(at(2).of(spec, named("b")), &[Some(1)]).await;
    assert_eq!(ids(&table).await, [1, 3]);
}

#[tokio::test]
async fn d1_an_equality_delete_of_the_unpartitioned_spec_reaches_everything() {
    let mut table = Fixture::new(people());
    table.data(at(1), rows(&[(Some(1), Some("before partitioning"))])).await;
    let spec = table.by_name();
    for name in ["a", "b"] {
        table.data(at(1).of(spec, named(name)), rows(&[(Some(1), Some(name)), (Some(2), Some(name))])).await;
    }
    table.data(at(3).of(spec, named("a")), rows(&[(Some(1), Some("young"))])).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    assert_eq!(table.live(&[1, 2]).await, ["2|a", "2|b", "1|young"]);
    table.delete_ids(at(2).of(spec, named("b")), &[Some(2)]).await;
    assert_eq!(table.live(&[1, 2]).await, ["2|a", "1|young"], "both scopes at once");
}

#[tokio::test]
async fn d1_a_position_delete_of_the_unpartitioned_spec_reaches_its_own_files_only() {
    let mut table = Fixture::new(people());
    let old = table.data(at(1), numbered(0..2)).await;
    let spec = table.by_name();
    let path = table.data(at(1).of(spec, named("a")), numbered(2..4)).await;
    table.position_deletes(at(2), &[(&old, 0), (&path, 0)]).await;
    assert_eq!(ids(&table).await, [1, 2, 3]);
}

#[tokio::test]
async fn d1_an_equality_delete_applies_to_strictly_older_files() {
    for (delete, left) in [(4, 5), (5, 5), (6, 3)] {
        let mut table = Fixture::new(people());
        table.data(at(5), numbered(0..5)).await;
        table.delete_ids(at(delete), &[Some(1), Some(3), Some(99)]).await;
        assert_eq!(ids(&table).await.len(), left, "delete at {delete}");
    }
}

#[tokio::test]
async fn a_key_counts_from_its_newest_delete_that_is_younger_than_the_file() {
    let mut table = Fixture::new(people());
    table.data(at(3), numbered(0..4)).await;
    table.delete_ids(at(4), &[Some(1)]).await;
    table.delete_ids(at(2), &[Some(1), Some(2)]).await;
    assert_eq!(ids(&table).await, [0, 2, 3]);
}

#[tokio::test]
async fn null_is_a_key_like_others() {
    let with_nulls = || rows(&[(None, Some("x")), (Some(1), Some("y")), (Some(2), None), (None, None)]);
    let mut table = Fixture::new(people());
    table.data(at(1), with_nulls()).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    assert_eq!(table.live(&[1, 2]).await, ["-|x", "2|-", "-|-"], "a null key survives other keys' deletes");
    table.delete_ids(at(2), &[None]).await;
    assert_eq!(table.live(&[1, 2]).await, ["2|-"], "null equals null");

    let mut table = Fixture::new(people());
    table.data(at(1), with_nulls()).await;
    table.equality_deletes(at(2), &people(), rows(&[(None, Some("x")), (Some(2), Some("x")), (Some(1), None)])).await;
    assert_eq!(table.live(&[1, 2]).await, ["1|y", "2|-", "-|-"], "all key columns must be equal");
}

#[tokio::test]
async fn key_columns_need_not_be_asked_for() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..4)).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    assert_eq!(table.live(&[2]).await, ["n0", "n2", "n3"]);
    assert_eq!(table.live(&[2, 1]).await, ["n0|0", "n2|2", "n3|3"], "columns come in the order that was asked for");
    assert_eq!(table.live(&[]).await, ["", "", ""], "rows can be counted");
}

#[tokio::test]
async fn both_kinds_and_several_keys_work_together_across_row_groups() {
    let mut table = Fixture::new(people());
    table.row_group_rows = 3;
    let path = table.data(at(1), numbered(0..10)).await;
    table.position_deletes(at(2), &[(&path, 0), (&path, 4)]).await;
    table.delete_ids(at(2), &[Some(1), Some(4)]).await;
    let by_name = schema(vec![column(2, "name", PrimitiveType::String)]);
    table.equality_deletes(at(3), &by_name, vec![Arc::new(StringArray::from(vec!["n2", "n8"]))]).await;
    assert_eq!(ids(&table).await, [3, 5, 6, 7, 9]);
}

#[tokio::test]
async fn positions_stay_right_when_row_groups_are_left_out() {
    let mut table = Fixture::new(people());
    table.row_group_rows = 10;
    let path = table.data(at(1), numbered(0..60)).await;
    let gone = [0, 5, 15, 29, 30, 45, 59];
    let deletes: Vec<(&str, i64)> = gone.iter().map(|pos| (path.as_str(), *pos)).collect();
    table.position_deletes(at(2), &deletes).await;
    table.delete_ids(at(2), &[Some(7), Some(17), Some(47)]).await;
    let (file, deletes) = (table.open(&table.files[0]).await, table.deletes().expect("deletes"));
    let deletes = deletes.of(&table.files[0]).await.expect("deletes");
    for groups in [vec![1], vec![0, 2], vec![1, 2, 5], vec![4, 1], vec![]] {
        let expected: Vec<String> = groups
            .iter()
            .flat_map(|group| group * 10..group * 10 + 10)
            .filter(|row| !gone.contains(row) && ![7, 17, 47].contains(row))
            .map(|row| format!("n{row}"))
            .collect();
        let groups: Vec<usize> = groups.iter().map(|group| *group as usize).collect();
        let rows = LiveRows::new(&file, &deletes, &[2], groups.clone()).expect("columns");
        assert_eq!(read(rows).await, expected, "row groups {groups:?}");
    }
    let late = file.row_groups_reaching(1, 35);
    assert_eq!(late, [3, 4, 5], "row groups that reach a bound");
    assert_eq!(read(LiveRows::new(&file, &deletes, &[1], late).expect("columns")).await[0], "31");
}

#[tokio::test]
async fn a_row_group_without_live_rows_is_not_fetched() {
    let mut table = Fixture::new(people());
    table.row_group_rows = 2;
    let path = table.data(at(1), numbered(0..6)).await;
    table.position_deletes(at(2), &[(&path, 2), (&path, 3)]).await;
    let (file, deletes) = (table.open(&table.files[0]).await, table.deletes().expect("deletes"));
    let deletes = deletes.of(&table.files[0]).await.expect("deletes");
    table.store.delete(&path).await.expect("deletes the object");
    assert_eq!(read(LiveRows::new(&file, &deletes, &[1], vec![1]).expect("columns")).await, [""; 0]);
    let mut others = LiveRows::new(&file, &deletes, &[1], vec![1, 2]).expect("columns");
    others.next().await.expect_err("the object is gone");
}

#[tokio::test]
async fn a_delete_on_a_column_that_was_dropped_still_applies() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..3)).await;
    table.delete_ids(at(2), &[Some(1)]).await;
    table.evolve(schema(vec![column(2, "name", PrimitiveType::String)]));
    assert_eq!(table.live(&[2]).await, ["n0", "n2"]);
}

#[tokio::test]
async fn a_delete_on_a_column_that_old_files_lack_sees_null_there() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..2)).await;
    table.evolve(grades());
    let mut with_grades = numbered(5..7);
    with_grades.push(Arc::new(Int32Array::from(vec![Some(7), None])));
    table.data(at(1), with_grades).await;
    let key = schema(vec![column(3, "grade", PrimitiveType::Int)]);
    table.equality_deletes(at(2), &key, vec![Arc::new(Int32Array::from(vec![7]))]).await;
    assert_eq!(ids(&table).await, [0, 1, 6]);
    table.equality_deletes(at(2), &key, vec![Arc::new(Int32Array::from(vec![None]))]).await;
    assert_eq!(ids(&table).await, [0i64; 0]);
}

#[tokio::test]
async fn keys_are_compared_in_the_widest_type() {
    let of = |n, x| schema(vec![column(1, "n", n), column(2, "x", x)]);
    let narrow: fn(i32, f32) -> Vec<ArrayRef> =
        |n, x| vec![Arc::new(Int32Array::from(vec![1, n])), Arc::new(Float32Array::from(vec![0.5, x]))];
    let wide: fn(i64, f64) -> Vec<ArrayRef> =
        |n, x| vec![Arc::new(Int64Array::from(vec![2, n])), Arc::new(Float64Array::from(vec![0.5, x]))];
    let (old, new) = (of(PrimitiveType::Int, PrimitiveType::Float), of(PrimitiveType::Long, PrimitiveType::Double));
    let mut table = Fixture::new(old.clone());
    table.data(at(1), narrow(7, 1.5)).await;
    table.equality_deletes(at(4), &old, narrow(8, 1.5)).await;
    table.evolve(new.clone());
    table.data(at(3), wide(8, 1.5)).await;
    assert_eq!(table.live(&[1, 2]).await, ["7|1.5", "2|0.5"], "a delete from before reaches files from after");
    table.equality_deletes(at(5), &new, wide(7, 1.5)).await;
    assert_eq!(table.live(&[1, 2]).await, [""; 0], "and a delete from after files from before");
}

#[tokio::test]
async fn a_file_is_one_however_its_uri_is_spelt() {
    let mut table = Fixture::new(people());
    let path = table.data(at(1), numbered(0..3)).await;
    let other = path.replace("memory:///", "memory:////");
    table.position_deletes(at(2), &[(&other, 1)]).await;
    assert_eq!(ids(&table).await, [0, 2]);
}

#[tokio::test]
async fn delete_files_that_name_one_other_file_are_not_read() {
    let mut table = Fixture::new(people());
    let first = table.data(at(1), numbered(0..3)).await;
    table.data(at(1), numbered(10..13)).await;
    table.position_deletes(at(2), &[(&first, 1)]).await;
    let delete = table.files[2].file.file_path().to_owned();
    table.store.delete(&delete).await.expect("deletes the object");
    let deletes = table.deletes().expect("deletes");
    deletes.of(&table.files[0]).await.expect_err("the delete file is gone");
    assert!(deletes.of(&table.files[1]).await.expect("not needed").is_empty());
}

#[tokio::test]
async fn a_delete_file_is_read_once_for_all_data_files() {
    let mut table = Fixture::new(people());
    let (first, second) = (table.data(at(1), numbered(0..3)).await, table.data(at(1), numbered(10..13)).await);
    table.position_deletes(at(2), &[(&first, 1), (&second, 1)]).await;
    table.delete_ids(at(2), &[Some(0), Some(10)]).await;
    let deletes = table.deletes().expect("deletes");
    deletes.of(&table.files[0]).await.expect("deletes");
    for delete in &table.files[2..] {
        table.store.delete(delete.file.file_path()).await.expect("deletes the object");
    }
    let second = deletes.of(&table.files[1]).await.expect("cached");
    let file = table.open(&table.files[1]).await;
    assert_eq!(read(LiveRows::new(&file, &second, &[1], vec![0]).expect("columns")).await, ["12"]);
}

#[tokio::test]
async fn what_cannot_be_applied_is_refused() {
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
    let error = table.deletes().expect_err("a deletion vector");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("deletion vectors"), "{error}");

    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..5)).await;
    let unknown = schema(vec![column(9, "nine", PrimitiveType::Long)]);
    table.equality_deletes(at(2), &unknown, vec![Arc::new(Int64Array::from(vec![1]))]).await;
    let error = table.deletes().expect_err("a key that never was a column");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("column id `9`"), "{error}");
}

#[tokio::test]
async fn deletes_are_not_applied_to_another_file_nor_without_their_keys() {
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..3)).await;
    table.data(at(1), numbered(10..13)).await;
    table.delete_ids(at(2), &[Some(0)]).await;
    let deletes = table.deletes().expect("deletes").of(&table.files[0]).await.expect("deletes");
    let (first, second) = (table.open(&table.files[0]).await, table.open(&table.files[1]).await);
    let rows = first.read(&[2], vec![0]).await.expect("reads").positioned().next().expect("rows").expect("rows");
    assert_eq!(deletes.live(&first, &[2], &rows).expect_err("no key").kind(), ErrorKind::Bug);
    assert_eq!(deletes.live(&second, &[2], &rows).expect_err("another file").kind(), ErrorKind::Bug);
}

#[tokio::test]
async fn reading_can_be_left_to_another_thread() {
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    let mut table = Fixture::new(people());
    table.data(at(1), numbered(0..3)).await;
    table.delete_ids(at(2), &[Some(0)]).await;
    let deletes = table.deletes().expect("deletes");
    let deletes = sendable(deletes.of(&table.files[0])).await.expect("deletes");
    let file = table.open(&table.files[0]).await;
    let mut rows = LiveRows::new(&file, &deletes, &[1], file.row_groups()).expect("columns");
    assert!(sendable(rows.next()).await.expect("reads").is_some());
}
