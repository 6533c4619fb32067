//! `icefold query`: SQL over the tables, at any snapshot.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, Schema};
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use arrow::util::pretty::{pretty_format_batches, pretty_format_batches_with_schema};
use futures::StreamExt;
use icefold_catalog::Warehouse;
use icefold_core::{Error, ErrorKind, Result};
use icefold_sql::{QuerySession, QueryStream, SessionSettings};

use crate::arguments::{QueryArguments, RowFormat};
use crate::config::Settings;
use crate::exit::Exit;
use crate::figures;
use crate::session::Session;
use crate::watch::Watch;

/// A table for people shows at most this many rows; JSON and CSV show all.
const MAX_TABLE_ROWS: usize = 1_000;

/// Runs the command, and ends it at once when it is told to stop.
pub(crate) fn run(session: &Session, arguments: &QueryArguments) -> Result<Exit> {
    let watch = Watch::begin(session)?;
    session.block_on(ask(session, arguments, watch.spill_folder()))
}

async fn ask(session: &Session, arguments: &QueryArguments, spill_folder: Option<PathBuf>) -> Result<Exit> {
    let sql = match arguments.sql.as_str() {
        "-" => read_stdin()?,
        sql => sql.to_owned(),
    };
    let pinned = arguments.snapshot.iter().map(|text| pin(text)).collect::<Result<_>>()?;
    let warehouse = session.existing_warehouse().await?;
    let tables = QuerySession::open(&warehouse, SessionSettings { spill_folder, ..settings(session, pinned) }).await?;
    let stream = tables.query(&sql).await?;
    let default = if session.output.json { RowFormat::Json } else { RowFormat::Table };
    match arguments.format.unwrap_or(default) {
        RowFormat::Table => print_table(session, stream).await?,
        RowFormat::Json => print_json(session, stream).await?,
        RowFormat::Csv => print_csv(session, stream).await?,
    }
    Ok(Exit::Done)
}

/// Opens the tables for queries.
///
/// # Errors
/// As [`QuerySession::open`].
pub(crate) async fn open(
    session: &Session,
    warehouse: &Warehouse,
    pinned: BTreeMap<String, i64>,
) -> Result<QuerySession> {
    QuerySession::open(warehouse, settings(session, pinned)).await
}

fn settings(session: &Session, pinned: BTreeMap<String, i64>) -> SessionSettings {
    let Settings { writer, query, .. } = session.settings();
    SessionSettings { target_partitions: writer.workers(), query: query.clone(), pinned, spill_folder: None }
}

/// Opens the tables as they are now for queries on so many cores.
///
/// # Errors
/// As [`QuerySession::open`].
pub(crate) async fn open_with(target_partitions: usize, warehouse: &Warehouse) -> Result<QuerySession> {
    QuerySession::open(warehouse, SessionSettings { target_partitions, ..SessionSettings::default() }).await
}

/// Runs a query to its end.
///
/// # Errors
/// As [`QuerySession::query`].
pub(crate) async fn rows(tables: &QuerySession, sql: &str) -> Result<Vec<RecordBatch>> {
    tables.query(sql).await?.into_batches().await
}

/// Writes text as a literal of SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Runs a query for one count.
///
/// # Errors
/// As [`QuerySession::query`].
pub(crate) async fn number(tables: &QuerySession, sql: &str) -> Result<u64> {
    cell(&rows(tables, sql).await?, 0)
}

/// Returns a count of a result of one row.
///
/// # Errors
/// `Bug` when the column holds something else.
pub(crate) fn cell(batches: &[RecordBatch], column: usize) -> Result<u64> {
    let batch = batches.iter().find(|batch| batch.num_rows() == 1);
    let count = batch.and_then(|batch| Some(batch.column(column).as_primitive_opt::<Int64Type>()?.value(0)));
    count.and_then(|count| u64::try_from(count).ok()).ok_or_else(|| Error::bug("a count came back as something else"))
}

/// Returns a small result as JSON objects, nulls included.
///
/// # Errors
/// `InvalidInput` for a type that has no JSON form.
pub(crate) fn objects(batches: &[RecordBatch]) -> Result<Vec<serde_json::Map<String, serde_json::Value>>> {
    let text = json_lines(batches)?;
    let lines = serde_json::Deserializer::from_slice(&text).into_iter();
    lines.collect::<serde_json::Result<_>>().map_err(|e| Error::bug("a row has no JSON form").because(e))
}

/// Returns a small result as a table for people.
///
/// # Errors
/// `InvalidInput` for a type that has no text.
pub(crate) fn table(batches: &[RecordBatch]) -> Result<String> {
    Ok(pretty_format_batches(batches).map_err(unprintable)?.to_string())
}

fn read_stdin() -> Result<String> {
    let mut sql = String::new();
    std::io::stdin()
        .read_to_string(&mut sql)
        .map_err(|e| Error::invalid("the query cannot be read from standard input as UTF-8").because(e))?;
    Ok(sql)
}

fn pin(text: &str) -> Result<(String, i64)> {
    let wrong =
        || Error::invalid(format!("--snapshot `{text}` is no TABLE=ID: `icefold snapshots TABLE` lists the ids"));
    let (table, id) = text.split_once('=').ok_or_else(wrong)?;
    Ok((table.to_owned(), id.parse().map_err(|_| wrong())?))
}

async fn print_table(session: &Session, mut stream: QueryStream) -> Result<()> {
    let schema = stream.schema();
    let (mut batches, mut shown, mut more) = (Vec::new(), 0, 0);
    while let Some(batch) = stream.next().await.transpose()? {
        let take = batch.num_rows().min(MAX_TABLE_ROWS - shown);
        if take > 0 {
            // A slice keeps the whole batch in memory, so those that are not shown must go.
            batches.push(batch.slice(0, take));
        }
        shown += take;
        more += batch.num_rows() - take;
    }
    let text = pretty_format_batches_with_schema(schema, &batches).map_err(unprintable)?;
    session.output.text(&format!("{text}\n"))?;
    if more > 0 {
        session.output.remark(&format!("{} more rows: --format csv or json prints all", figures::count(more as u64)));
    }
    Ok(())
}

async fn print_json(session: &Session, mut stream: QueryStream) -> Result<()> {
    check_keys(&stream.schema())?;
    while let Some(batch) = stream.next().await.transpose()? {
        session.output.write(&json_lines(std::slice::from_ref(&batch))?)?;
    }
    Ok(())
}

/// Returns one JSON object a row; every column is a key of each, also where it is NULL.
fn json_lines(batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
    for batch in batches {
        writer.write(batch).map_err(unprintable)?;
    }
    writer.finish().map_err(unprintable)?;
    drop(writer);
    Ok(text)
}

/// Refuses a result of which JSON could keep only one of two columns.
fn check_keys(schema: &Schema) -> Result<()> {
    let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Error::invalid(format!(
            "two columns of the result are called `{}`, which one JSON object cannot hold: name them apart with AS",
            pair[0]
        ))),
    }
}

async fn print_csv(session: &Session, mut stream: QueryStream) -> Result<()> {
    let mut header = Some(RecordBatch::new_empty(stream.schema()));
    loop {
        let batch = stream.next().await.transpose()?;
        let Some(batch) = batch.or_else(|| header.clone()) else { return Ok(()) };
        let mut text = Vec::new();
        let mut writer = arrow::csv::WriterBuilder::new().with_header(header.take().is_some()).build(&mut text);
        writer.write(&batch).map_err(unprintable)?;
        drop(writer);
        session.output.write(&text)?;
    }
}

fn unprintable(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::InvalidInput, "the result has a type that this format cannot show: cast it in the query")
        .because(error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn schema(names: [&str; 2]) -> Schema {
        Schema::new(names.map(|name| Field::new(name, DataType::Int64, true)).to_vec())
    }

    #[test]
    fn json_has_every_column_also_where_it_is_null() {
        let columns: Vec<arrow::array::ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![Some(1), None])), Arc::new(Int64Array::from(vec![None, None]))];
        let batch = RecordBatch::try_new(Arc::new(schema(["a", "b"])), columns).expect("batch");
        let text = String::from_utf8(json_lines(&[batch]).expect("lines")).expect("text");
        assert_eq!(text, "{\"a\":1,\"b\":null}\n{\"a\":null,\"b\":null}\n");
    }

    #[test]
    fn two_columns_of_one_name_are_no_json_object() {
        check_keys(&schema(["id", "ID"])).expect("two names");
        let error = check_keys(&schema(["id", "id"])).expect_err("one name");
        assert!(error.message().contains("`id`") && error.message().contains("AS"), "{error}");
    }
}
