//! Random tables against the rules in plain words.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use icefold_fixture::{At, Fixture, at, named, people, rows, schema};
use proptest::prelude::*;

use super::*;
use crate::fixture::{Reads, read};

type Row = (Option<i64>, Option<usize>);

const NAMES: [&str; 2] = ["x", "y"];

/// `None` is the unpartitioned spec.
const PARTITIONS: [Option<&str>; 3] = [None, Some("a"), Some("b")];

#[derive(Debug, Clone)]
struct Data {
    partition: usize,
    sequence: i64,
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct Delete {
    partition: usize,
    sequence: i64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    /// Data file, as far as there are so many, and row.
    Positions(Vec<(usize, i64)>),
    Ids(Vec<Option<i64>>),
    Names(Vec<Option<usize>>),
    Both(Vec<Row>),
}

impl Delete {
    /// The rule, for one row.
    fn takes(&self, data: &Data, file: usize, position: i64, row: Row) -> bool {
        let named = match &self.what {
            What::Positions(positions) => positions.contains(&(file, position)),
            What::Ids(ids) => ids.contains(&row.0),
            What::Names(names) => names.contains(&row.1),
            What::Both(rows) => rows.contains(&row),
        };
        let (young_enough, everywhere) = match self.what {
            What::Positions(_) => (data.sequence <= self.sequence, false),
            _ => (data.sequence < self.sequence, PARTITIONS[self.partition].is_none()),
        };
        named && young_enough && (everywhere || data.partition == self.partition)
    }
}

fn row() -> impl Strategy<Value = Row> {
    (id(), name())
}

fn id() -> impl Strategy<Value = Option<i64>> {
    prop::option::weighted(0.8, 0..6i64)
}

fn name() -> impl Strategy<Value = Option<usize>> {
    prop::option::weighted(0.8, 0..NAMES.len())
}

fn data() -> impl Strategy<Value = Data> {
    let parts = (0..PARTITIONS.len(), 1..6i64, prop::collection::vec(row(), 1..20));
    parts.prop_map(|(partition, sequence, rows)| Data { partition, sequence, rows })
}

fn delete() -> impl Strategy<Value = Delete> {
    use prop::collection::vec;
    let what = prop_oneof![
        vec((0..4usize, 0..20i64), 1..20).prop_map(What::Positions),
        vec(id(), 1..3).prop_map(What::Ids),
        vec(name(), 1..2).prop_map(What::Names),
        vec(row(), 1..5).prop_map(What::Both),
    ];
    let parts = (0..PARTITIONS.len(), 1..7i64, what);
    parts.prop_map(|(partition, sequence, what)| Delete { partition, sequence, what })
}

fn name_of(name: Option<usize>) -> Option<&'static str> {
    name.map(|name| NAMES[name])
}

fn columns(of: &[Row]) -> Vec<ArrayRef> {
    rows(&of.iter().map(|(id, name)| (*id, name_of(*name))).collect::<Vec<_>>())
}

/// Whether a row lies in a row group that is read.
fn is_read(row: usize, row_group_rows: usize, left_out: usize) -> bool {
    row / row_group_rows != left_out
}

/// What the model leaves.
fn left(files: &[Data], deletes: &[Delete], row_group_rows: usize, left_out: usize) -> Vec<String> {
    let mut left = Vec::new();
    for (number, data) in files.iter().enumerate() {
        for (at, row) in data.rows.iter().enumerate().filter(|(at, _)| is_read(*at, row_group_rows, left_out)) {
            if !deletes.iter().any(|delete| delete.takes(data, number, at as i64, *row)) {
                let id = row.0.map_or("-".to_owned(), |id| id.to_string());
                left.push(format!("{}|{id}", name_of(row.1).unwrap_or("-")));
            }
        }
    }
    left
}

/// What is read from real files.
async fn found(files: &[Data], deletes: &[Delete], row_group_rows: usize, left_out: usize) -> Vec<String> {
    let mut table = Fixture::new(people());
    table.row_group_rows = row_group_rows;
    let spec = table.by_name();
    let place = |partition: usize, sequence| -> At {
        match PARTITIONS[partition] {
            Some(name) => at(sequence).of(spec, named(name)),
            None => at(sequence),
        }
    };
    let mut paths = Vec::new();
    for data in files {
        paths.push(table.data(place(data.partition, data.sequence), columns(&data.rows)).await);
    }
    for delete in deletes {
        write(&mut table, place(delete.partition, delete.sequence), &delete.what, &paths).await;
    }
    let (deletes, mut lines) = (table.deletes().expect("deletes"), Vec::new());
    for live in table.data_files() {
        let (file, deletes) = (table.open(live).await, deletes.of(live).await.expect("deletes"));
        let groups = file.row_groups().into_iter().filter(|group| *group != left_out).collect();
        lines.extend(read(LiveRows::new(&file, &deletes, &[2, 1], groups).expect("columns")).await);
    }
    lines
}

async fn write(table: &mut Fixture, at: At, what: &What, paths: &[String]) {
    match what {
        What::Positions(rows) => {
            let rows: Vec<(&str, i64)> =
                rows.iter().filter_map(|(file, row)| Some((paths.get(*file)?.as_str(), *row))).collect();
            if !rows.is_empty() {
                table.position_deletes(at, &rows).await;
            }
        }
        What::Ids(ids) => table.delete_ids(at, ids).await,
        What::Names(names) => {
            let key = schema(vec![column(2, "name", PrimitiveType::String)]);
            let names = StringArray::from_iter(names.iter().map(|name| name_of(*name)));
            table.equality_deletes(at, &key, vec![Arc::new(names)]).await;
        }
        What::Both(rows) => table.equality_deletes(at, &people(), columns(rows)).await,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn d1_what_is_left_is_what_the_rules_leave(
        files in prop::collection::vec(data(), 1..4),
        deletes in prop::collection::vec(delete(), 0..6),
        row_group_rows in 1..9usize,
        left_out in 0..4usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let found = runtime.block_on(found(&files, &deletes, row_group_rows, left_out));
        prop_assert_eq!(found, left(&files, &deletes, row_group_rows, left_out));
    }
}
