//! Rolling forward, reduced to the protocol: what the real writer does in `writer/src/publish/forward.rs` before it reads on.

use std::collections::BTreeSet;

use icefold_catalog::batch::{self, Open, Standing};
use icefold_catalog::{Batch, Intent, LoadedTable, Progress};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Delta, Error, ErrorKind, Offset, Result};

use super::mutation::Mutation;
use super::writer::{Level, Life, TABLES, all_accepted, describe, entry, stage};

/// How often the tables are looked at again because others move them meanwhile.
const MAX_ROUNDS: usize = 8;

/// The tables with what is known of them, in the order of [`TABLES`].
type Loaded = [(LoadedTable, Progress); 2];

/// What came of it.
#[allow(clippy::large_enum_variant, reason = "one lives at a time, at the start of a life")]
pub(super) enum Forward {
    /// The tables are level.
    Level(Level),
    /// They are not, and no batch makes them so.
    Torn(String),
}

/// Brings every open batch into `events`.
pub(super) async fn roll_forward(life: &Life<'_>) -> Result<Forward> {
    if life.is(Mutation::AdoptUnnamedBatch) {
        adopt_what_fits(life).await?;
    }
    let (mut looked_at, mut brought) = (BTreeSet::new(), BTreeSet::new());
    let mut is_ahead = false;
    for _ in 0..MAX_ROUNDS {
        let loaded = load(life).await?;
        let [(_, raw), (_, events)] = &loaded;
        is_ahead = batch::ahead_of_raw(raw, events).is_some();
        if is_ahead {
            continue;
        }
        let open = batch::open_batches(raw, &[events]);
        if open.is_empty() {
            for id in brought {
                // An object that stays does no harm.
                life.warehouse.delete_batch(id).await.ok();
            }
            let checkpoint = raw.checkpoint.clone();
            return Ok(Forward::Level(Level { tables: loaded.map(|(table, _)| table), checkpoint }));
        }
        if life.is(Mutation::DeriveAnew) {
            derive(life, &loaded).await?;
            continue;
        }
        for open in open {
            match bring(life, &open, events).await? {
                Brought::Yes => brought.extend(open.batches),
                // Whoever made the batch may have brought it everywhere since `events` was read: only where a second look finds
                // `events` at the same place, it was there when `raw_events` was read.
                Brought::No(_) if looked_at.insert(seen(&open, events)) => {}
                Brought::No(why) => return Ok(Forward::Torn(why)),
            }
        }
    }
    if is_ahead {
        return Ok(Forward::Torn("`events` is ahead of `raw_events`".to_owned()));
    }
    Err(Error::new(ErrorKind::Transient, "the tables change faster than they can be read"))
}

/// Loads the tables, `raw_events` last: what `events` has, it must have by then.
async fn load(life: &Life<'_>) -> Result<Loaded> {
    let mut loaded = Vec::new();
    for kind in TABLES.into_iter().rev() {
        let table = life.warehouse.load(kind.name()).await?;
        let progress = table.progress().await?;
        loaded.push((table, progress));
    }
    loaded.reverse();
    loaded.try_into().map_err(|_| Error::bug("a table is missing"))
}

/// What is open, and where `events` stands in it.
fn seen(open: &Open, events: &Progress) -> (Vec<BatchId>, Vec<Offset>) {
    (open.batches.clone(), open.shards.iter().map(|shard| events.checkpoint.next(shard)).collect())
}

/// Whether something was brought forward.
enum Brought {
    /// Something was, or others were faster: look again.
    Yes,
    /// Nothing could be, for this reason.
    No(String),
}

/// Brings what is open into `events`, by the first of its batches that can.
async fn bring(life: &Life<'_>, open: &Open, events: &Progress) -> Result<Brought> {
    let mut why = "`raw_events` does not name the batch that moved it".to_owned();
    for id in &open.batches {
        why = match life.warehouse.read_batch(*id).await? {
            Some(batch) => match apply(life, *id, &batch, events).await? {
                Brought::Yes => return Ok(Brought::Yes),
                Brought::No(why) => why,
            },
            None => format!("the object of batch `{id}` is gone"),
        };
    }
    Ok(Brought::No(why))
}

/// Brings a batch into `events`, if it stands at its start.
async fn apply(life: &Life<'_>, id: BatchId, batch: &Batch, events: &Progress) -> Result<Brought> {
    let Some(part) = batch.tables.iter().find(|part| part.table == TableKind::Events.name()) else {
        return Ok(Brought::No(format!("batch `{id}` has nothing for `events`")));
    };
    match batch::standing(events, &batch.delta) {
        Standing::Done => return Ok(Brought::No("its batch is in every table, and they are not level".to_owned())),
        Standing::Elsewhere => return Ok(Brought::No("`events` stands elsewhere than its batch".to_owned())),
        Standing::Before => {}
    }
    let files = part.add.iter().map(entry).collect::<Result<_>>()?;
    // Refused is as good: then others have moved it meanwhile.
    life.warehouse.commit(&part.table, &life.identified(batch.intent(id, part, files))).await?;
    Ok(Brought::Yes)
}

/// Broken on purpose: what `events` lacks is decided anew, by what is in force now.
async fn derive(life: &Life<'_>, loaded: &Loaded) -> Result<()> {
    let [(_, raw), (table, events)] = loaded;
    let delta = between(events, raw)?;
    let rows = life.rows(&delta);
    let file = describe(table, "day", &rows, life.ids)?;
    let intent = Intent::append(table, delta.clone(), all_accepted(rows.len() as u64), vec![file]);
    stage(life.warehouse, intent.commit_id, &delta, std::slice::from_ref(&intent), &rows).await?;
    life.warehouse.commit(table.name(), &intent).await.map(drop)
}

/// Returns the piece of stream from where one table stands to where another does.
pub(super) fn between(behind: &Progress, ahead: &Progress) -> Result<Delta> {
    let mut delta = Delta::default();
    for (shard, to) in ahead.checkpoint.iter() {
        let from = behind.checkpoint.next(shard);
        if from < to.next {
            delta.insert(shard.clone(), from, to.clone())?;
        }
    }
    Ok(delta)
}

/// Broken on purpose: any batch that fits is rolled forward, whether `raw_events` has it or not.
async fn adopt_what_fits(life: &Life<'_>) -> Result<()> {
    for id in life.warehouse.batches().await? {
        let Some(batch) = life.warehouse.read_batch(id).await? else { continue };
        let events = life.warehouse.load(TableKind::Events.name()).await?.progress().await?;
        if batch::standing(&events, &batch.delta) != Standing::Before {
            continue;
        }
        let Some(part) = batch.tables.get(1) else { continue };
        let files = part.add.iter().map(entry).collect::<Result<_>>()?;
        life.warehouse.commit(&part.table, &batch.intent(id, part, files)).await?;
    }
    Ok(())
}
