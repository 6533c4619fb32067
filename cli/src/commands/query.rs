//! `icefold query`: SQL over the tables, at any snapshot.

use std::collections::BTreeMap;
use std::io::Read;

use arrow::array::{AsArray, RecordBatch};
use arrow::csv::WriterBuilder;
use arrow::datatypes::Int64Type;
use arrow::json::LineDelimitedWriter;
use arrow::util::pretty::{pretty_format_batches, pretty_format_batches_with_schema};
use futures::StreamExt;
use icefold_catalog::Warehouse;
use icefold_core::{Error, ErrorKind, Result};
use icefold_sql::{QuerySession, QueryStream, SessionSettings};

use crate::arguments::{QueryArguments, RowFormat};
use crate::exit::Exit;
use crate::figures;
use crate::session::Session;

/// A table for people shows at most this many rows; JSON and CSV show all.
const MAX_TABLE_ROWS: usize = 1_000;

/// Runs the command.
pub(crate) async fn run(session: &Session, arguments: &QueryArguments) -> Result<Exit> {
    let sql = match arguments.sql.as_str() {
        "-" => read_stdin()?,
        sql => sql.to_owned(),
    };
    let pinned = arguments.snapshot.iter().map(|text| pin(text)).collect::<Result<_>>()?;
    let warehouse = session.existing_warehouse().await?;
    let stream = open(session, &warehouse, pinned).await?.query(&sql).await?;
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
    let target_partitions = session.settings().writer.workers();
    QuerySession::open(warehouse, SessionSettings { target_partitions, pinned, ..SessionSettings::default() }).await
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
    let mut text = Vec::new();
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::LineDelimited>(&mut text);
    for batch in batches {
        writer.write(batch).map_err(unprintable)?;
    }
    writer.finish().map_err(unprintable)?;
    drop(writer);
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
        batches.push(batch.slice(0, take));
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
    while let Some(batch) = stream.next().await.transpose()? {
        let mut text = Vec::new();
        let mut writer = LineDelimitedWriter::new(&mut text);
        writer.write(&batch).and_then(|()| writer.finish()).map_err(unprintable)?;
        session.output.write(&text)?;
    }
    Ok(())
}

async fn print_csv(session: &Session, mut stream: QueryStream) -> Result<()> {
    let mut header = Some(RecordBatch::new_empty(stream.schema()));
    loop {
        let batch = stream.next().await.transpose()?;
        let Some(batch) = batch.or_else(|| header.clone()) else { return Ok(()) };
        let mut text = Vec::new();
        let mut writer = WriterBuilder::new().with_header(header.take().is_some()).build(&mut text);
        writer.write(&batch).map_err(unprintable)?;
        drop(writer);
        session.output.write(&text)?;
    }
}

fn unprintable(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::InvalidInput, "the result has a type that this format cannot show: cast it in the query")
        .because(error)
}
