//! A mutation: who finds `quarantine` behind derives its rows anew, by what is in force now, in place of rolling forward.

use std::sync::Arc;

use arrow::array::RecordBatch;
use icefold_catalog::batch::{self, Standing};
use icefold_catalog::{Batch, BatchFile, LoadedTable, Warehouse};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, ErrorKind, Result};
use icefold_writer::contracts::Active;
use icefold_writer::decode::{DecodeSettings, Decoder, InputFormat};
use icefold_writer::encode::TableEncoder;
use icefold_writer::encode::partition::{folder, split_by_day};

use super::stream::Stream;

/// Brings what others have begun into `quarantine`, as this process decides it.
///
/// # Errors
/// Errors of store and catalog.
pub async fn derive(warehouse: &Warehouse, decode: &DecodeSettings, stream: &Stream) -> Result<()> {
    let quarantine = match warehouse.load(TableKind::Quarantine.name()).await {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        loaded => loaded?,
    };
    let raw = warehouse.load(TableKind::RawEvents.name()).await?;
    let (at, raw_at) = (quarantine.progress().await?, raw.progress().await?);
    for id in batch::open_batches(&raw_at, &[&at]).iter().filter_map(|open| open.batches.first()) {
        let Some(batch) = warehouse.read_batch(*id).await? else { continue };
        if batch::standing(&at, &batch.delta) == Standing::Before {
            bring(warehouse, &quarantine, *id, &batch, &rows(warehouse, decode, stream, &batch).await?).await?;
        }
    }
    Ok(())
}

/// Decides a batch's piece of the stream again. Returns what is quarantined of it.
async fn rows(
    warehouse: &Warehouse,
    decode: &DecodeSettings,
    stream: &Stream,
    batch: &Batch,
) -> Result<Vec<RecordBatch>> {
    let contracts = warehouse.contracts(&warehouse.load(TableKind::Events.name()).await?).await?;
    let active = contracts.map(|set| Active::compile(&set, None)).transpose()?.map(Arc::new);
    let mut decoder = Decoder::new(decode.clone(), InputFormat::Segment)?;
    decoder.set_contracts(active.as_ref())?;
    let mut rows = Vec::new();
    for chunk in batch.delta.iter().flat_map(|(shard, d)| stream.chunks(shard, &d.from, &d.to.next)) {
        rows.push(decoder.decode(&chunk)?.quarantine);
    }
    Ok(rows)
}

async fn bring(
    warehouse: &Warehouse,
    table: &LoadedTable,
    id: BatchId,
    batch: &Batch,
    rows: &[RecordBatch],
) -> Result<()> {
    let kind = TableKind::Quarantine;
    let Some(part) = batch.tables.iter().find(|part| part.table == kind.name()) else { return Ok(()) };
    let encoder = TableEncoder::for_table(kind, table.metadata(), 1)?;
    let (mut part, mut files) = (part.clone(), Vec::new());
    part.add.clear();
    for rows in rows.iter().filter(|rows| rows.num_rows() > 0) {
        for (day, rows) in split_by_day(kind, rows)? {
            let uri = table.new_data_path(&folder(kind, day), &warehouse.ids().next().to_string());
            let encoded = encoder.assemble(uri.clone(), day, vec![encoder.encode(vec![rows])?])?;
            table.store().write_new(&uri, encoded.parts).await?;
            part.add.push(BatchFile::of(&encoded.file, encoder.partition_spec_id())?);
            files.push(encoded.file);
        }
    }
    warehouse.commit(kind.name(), &batch.intent(id, &part, files)).await.map(drop)
}
