//! Checks invariant W3 on real tables: they stand together, or what one of them lacks is an open batch that can be rolled forward.

use icefold_core::tables::TableKind;
use icefold_core::{ErrorKind, Invariant, Result};

use crate::batch::{self, Open, Standing};
use crate::checkpoint::Progress;
use crate::verify::Check;
use crate::warehouse::Warehouse;

/// What is done about shards that cannot be rolled forward.
const REMEDY: &str = "run `icefold batch recover`, which derives what is missing from `raw_events`";

/// How often tables that seem not to stand together are looked at: a run that moves them may have been under way.
const LOOKS: usize = 3;

/// Checks the tables of the stream against one another; `None` when there is none with rows, or one cannot prove where it stands
/// (which K3 tells).
///
/// # Errors
/// Errors of store and catalog.
pub async fn verify(warehouse: &Warehouse) -> Result<Option<Check>> {
    let mut last = look(warehouse).await?;
    for _ in 1..LOOKS {
        match &last {
            Some(check) if !check.holds() => {}
            _ => return Ok(last),
        }
        let again = look(warehouse).await?;
        // What two looks find alike is so.
        if again == last {
            return Ok(again);
        }
        last = again;
    }
    Ok(last)
}

async fn look(warehouse: &Warehouse) -> Result<Option<Check>> {
    let mut stands: Vec<(&'static str, Progress)> = Vec::new();
    let mut missing: Vec<&'static str> = Vec::new();
    // `raw_events` last: what it has by then, the others may have, and what the others have, it must have.
    for kind in TableKind::ALL.into_iter().rev() {
        let progress = match warehouse.load(kind.name()).await {
            Ok(table) => table.progress().await,
            Err(e) => Err(e),
        };
        match progress {
            Ok(progress) => stands.push((kind.name(), progress)),
            Err(e) if e.kind() == ErrorKind::NotFound => missing.push(kind.name()),
            Err(e) if e.kind() == ErrorKind::Corrupt => return Ok(None),
            Err(e) => return Err(e),
        }
    }
    if !missing.is_empty() {
        return Ok(lost(&stands, &missing));
    }
    let Some(((_, raw), others)) = stands.split_last() else { return Ok(None) };
    let mut broken = Vec::new();
    for (name, other) in others {
        if let Some(shard) = batch::ahead_of_raw(raw, other) {
            broken.push(format!("shard `{shard}` is further in `{name}` than in `{}`", TableKind::RawEvents.name()));
        }
    }
    let others: Vec<&Progress> = others.iter().map(|(_, progress)| progress).collect();
    let open = batch::open_batches(raw, &others);
    for open in &open {
        if let Some(why) = stuck(warehouse, open, raw, &others).await? {
            let shards: Vec<&str> = open.shards.iter().map(|shard| shard.as_str()).collect();
            broken.push(format!("`{}` is not in every table: {why}; {REMEDY}", shards.join("`, `")));
        }
    }
    let note = (!open.is_empty() && broken.is_empty()).then(|| {
        format!(
            "{} batches are not in every table yet: who makes them, or the next ingest, rolls them forward",
            open.len()
        )
    });
    let looked_at = format!("{} shards", raw.checkpoint.iter().count());
    let table = TableKind::RawEvents.name().to_owned();
    Ok(Some(Check { invariant: Invariant::W3.name(), table, looked_at, broken, note }))
}

/// What is broken when some tables hold rows and others are `missing`; a run that dies while it makes them leaves none with rows.
fn lost(stands: &[(&'static str, Progress)], missing: &[&str]) -> Option<Check> {
    let shards = stands.iter().map(|(_, progress)| progress.checkpoint.iter().count()).max().unwrap_or_default();
    let broken = |name: &&str| {
        format!(
            "`{name}` is not in the catalog, and others hold rows: restore its entry from a backup of the catalog; if it is \
             gone for good, `icefold ingest` makes it anew and `icefold batch recover` fills it from `raw_events`"
        )
    };
    (shards > 0).then(|| Check {
        invariant: Invariant::W3.name(),
        table: TableKind::RawEvents.name().to_owned(),
        looked_at: format!("{shards} shards"),
        broken: missing.iter().map(broken).collect(),
        note: None,
    })
}

/// Says why shards that are not level cannot be rolled forward; `None` when they can.
async fn stuck(warehouse: &Warehouse, open: &Open, raw: &Progress, others: &[&Progress]) -> Result<Option<String>> {
    let mut why = "nothing names the batch that moved it".to_owned();
    for id in &open.batches {
        let Some(batch) = warehouse.read_batch(*id).await? else {
            why = format!("the object of batch `{id}` is gone");
            continue;
        };
        let mut tables = std::iter::once(raw).chain(others.iter().copied());
        match tables.any(|progress| batch::standing(progress, &batch.delta) == Standing::Elsewhere) {
            false => return Ok(None),
            true => why = format!("a table stands elsewhere than batch `{id}`"),
        }
    }
    Ok(Some(why))
}
