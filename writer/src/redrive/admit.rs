//! From fates to tables: one batch, written ahead, that begins with `events`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use iceberg::spec::{DataFile, Datum};
use icefold_catalog::{
    AnnouncedTable, Batch, BatchPart, CommitOutcome, Conflict, Intent, LoadedTable, Recount, Role, keys,
};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Checkpoint, Delta, Error, ErrorKind, Result, ShardId};

use super::{Admitted, EventPlace, Fate, Judged, Passing, Redrive, fenced, live_files};
use crate::columns::joined;
use crate::encode::partition::{folder, split_by_day};
use crate::encode::{EncodedFile, TableEncoder};
use crate::failpoint;
use crate::publish::Destination;

/// Key of a snapshot summary: the quarantine's file that the rows of a redrive came from.
const REDRIVEN_FROM: &str = "icefold.redriven-from";

/// What one table gets.
struct Part {
    kind: TableKind,
    intent: Intent,
    uploads: Vec<(String, Vec<Bytes>)>,
    /// Places of the events that it gets.
    places: Vec<EventPlace>,
}

impl Part {
    fn announced(&self) -> AnnouncedTable {
        AnnouncedTable { table_uuid: self.intent.table_uuid, files: self.paths() }
    }

    fn paths(&self) -> Vec<String> {
        self.uploads.iter().map(|(uri, _)| uri.clone()).collect()
    }
}

/// Rows as files, still in memory.
#[derive(Default)]
struct Encoded {
    entries: Vec<DataFile>,
    uploads: Vec<(String, Vec<Bytes>)>,
    spec_id: i32,
}

impl Redrive {
    /// Lets events in and takes all that have a fate out of the quarantine. `events` is the table as it was when the fates
    /// were found out; `related` says of a shard which others' events an event of it may repeat.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when contracts have changed since [`Redrive::open`]; errors of store and catalog; running again
    /// continues.
    pub async fn admit(
        &mut self,
        judged: &Judged,
        fates: &[Fate],
        events: &LoadedTable,
        related: &Related,
    ) -> Result<Admitted> {
        let fates: Vec<(&Passing, Fate)> = judged.passing.iter().zip(fates.iter().copied()).collect();
        let accepted: Vec<&Passing> = fates.iter().filter(|(_, fate)| *fate == Fate::Accept).map(|(p, _)| *p).collect();
        let count = |wanted: Fate| fates.iter().filter(|(_, fate)| *fate == wanted).count() as u64;
        let duplicate = count(Fate::Duplicate);
        let leaving = fates.iter().map(|(passing, _)| passing.row).collect();
        // What is in `events` already was counted there before.
        let here = Recount { accepted: count(Fate::Accept) + count(Fate::AlreadyIn), duplicate };
        let mut parts = Vec::new();
        if !accepted.is_empty() {
            let there = Recount { accepted: accepted.len() as u64, duplicate };
            parts.push(self.arriving(judged, &accepted, events, related, there)?);
        }
        parts.push(self.leaving(judged, &leaving, here).await?);
        self.publish(parts).await
    }

    /// Returns which rows of the file are in `events`, since an earlier redrive was not finished.
    pub fn left_behind(&self, judged: &Judged) -> HashSet<usize> {
        let rows = judged.places.iter().enumerate();
        rows.filter(|(_, place)| self.unsettled.contains(place)).map(|(row, _)| row).collect()
    }

    /// Takes the rows `there`, which are in `events`, out of the quarantine.
    ///
    /// # Errors
    /// Errors of store and catalog; running again continues.
    pub async fn finish(&mut self, judged: &Judged, there: &HashSet<usize>) -> Result<Admitted> {
        let recount = Recount { accepted: there.len() as u64, duplicate: 0 };
        let part = self.leaving(judged, there, recount).await?;
        self.publish(vec![part]).await
    }

    /// Says that no file of the quarantine holds an event of an earlier redrive any more.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn settled(&mut self) -> Result<()> {
        self.unsettled.clear();
        for id in std::mem::take(&mut self.unsettled_batches) {
            self.warehouse.delete_batch(id).await?;
            self.closes.push(id);
        }
        Ok(())
    }

    /// Prepares the rows that `events` gets.
    fn arriving(
        &self,
        judged: &Judged,
        accepted: &[&Passing],
        events: &LoadedTable,
        related: &Related,
        recount: Recount,
    ) -> Result<Part> {
        if events.metadata().properties().get(keys::CONTRACTS) != self.contracts.as_ref() {
            let message = "contracts were applied during the redrive: run again, to let in what passes these";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let rows: Vec<RecordBatch> = accepted.iter().map(|passing| passing.event.clone()).collect();
        let encoded = self.encode(TableKind::Events, events, &joined(&rows)?)?;
        let conflicts = conflicts(events, accepted, related, self.settings.dedup_window_seconds)?;
        let mut intent = Intent::redrive(events, encoded.entries, conflicts, recount).under_spec(encoded.spec_id);
        intent.summary.insert(REDRIVEN_FROM.to_owned(), judged.file.file.file_path().to_owned());
        intent.summary.extend(judged.versions.summary());
        intent.summary.extend(self.contracts.clone().map(|uri| (keys::CONTRACTS.to_owned(), uri)));
        let places = accepted.iter().map(|passing| passing.place.clone()).collect();
        Ok(Part { kind: TableKind::Events, intent, uploads: encoded.uploads, places })
    }

    /// Prepares what the quarantine becomes without the rows `leaving`.
    async fn leaving(&self, judged: &Judged, leaving: &HashSet<usize>, recount: Recount) -> Result<Part> {
        let table = self.warehouse.load(TableKind::Quarantine.name()).await?;
        live_files(&table).await?;
        let stays: BooleanArray = (0..judged.rows.num_rows()).map(|row| Some(!leaving.contains(&row))).collect();
        let rows =
            filter_record_batch(&judged.rows, &stays).map_err(|e| Error::bug("rows cannot be kept").because(e))?;
        let encoded = self.encode(TableKind::Quarantine, &table, &rows)?;
        let removed = judged.file.file.file_path().to_owned();
        let intent = Intent::release(&table, removed, encoded.entries, recount).under_spec(encoded.spec_id);
        Ok(Part { kind: TableKind::Quarantine, intent, uploads: encoded.uploads, places: Vec::new() })
    }

    /// Commits what was prepared as one batch, written ahead.
    async fn publish(&mut self, parts: Vec<Part>) -> Result<Admitted> {
        let warehouse = self.warehouse.clone();
        let stated: Vec<(&str, &Intent)> = parts.iter().map(|part| (part.kind.name(), &part.intent)).collect();
        let (id, content) = Batch::of(&stated)?.content()?;
        let announced = parts.iter().map(Part::announced).collect();
        let announcement = warehouse.announce(id, Delta::default(), announced).await?;
        for (uri, bytes) in parts.iter().flat_map(|part| &part.uploads) {
            warehouse.stage(&announcement, uri, bytes.clone()).await?;
        }
        warehouse.write_batch(id, content).await?;
        let mut outcomes = Vec::with_capacity(parts.len());
        for (number, part) in parts.iter().enumerate() {
            match self.commit(id, number, part).await? {
                Some(outcome) => outcomes.push(outcome),
                None if number == 0 => {
                    // Nothing was begun: what is left of it is files that are announced.
                    warehouse.delete_batch(id).await?;
                    return Ok(Admitted::No);
                }
                None => {
                    self.begin_to_settle(id, &parts);
                    return Ok(Admitted::No);
                }
            }
            if number + 1 < parts.len() {
                self.fail_points.pass(failpoint::BETWEEN_TABLES);
            }
        }
        Destination::finish(&warehouse, id, &announcement, &outcomes).await?;
        self.closes.extend((parts[0].kind == TableKind::Events).then_some(id));
        Ok(Admitted::Yes(parts.last().map(Part::paths).unwrap_or_default()))
    }

    /// Commits one part; `None` when what it was decided on has changed.
    async fn commit(&mut self, id: BatchId, number: usize, part: &Part) -> Result<Option<CommitOutcome>> {
        let role = if number == 0 { Role::Leads } else { Role::Follows };
        let is_events = part.kind == TableKind::Events;
        let closes = if is_events { self.closes.clone() } else { Vec::new() };
        let intent = part.intent.clone().of_batch(BatchPart { closes, ..BatchPart::new(id, role) });
        match self.warehouse.commit(part.kind.name(), &intent).await? {
            CommitOutcome::Fenced(fence) => Err(fenced(part.kind, &fence.to_string())),
            CommitOutcome::Replan { reason } => {
                tracing::debug!(table = part.kind.name(), reason, "a redrive is planned again");
                Ok(None)
            }
            outcome => {
                if is_events {
                    self.closes.clear();
                }
                Ok(Some(outcome))
            }
        }
    }

    /// `events` has the batch, and the quarantine's file was replaced meanwhile: the events are to be found where they are now.
    fn begin_to_settle(&mut self, id: BatchId, parts: &[Part]) {
        self.unsettled.extend(parts.iter().flat_map(|part| part.places.iter().cloned()));
        self.unsettled_batches.push(id);
    }

    /// Encodes rows as data files, one for each day.
    fn encode(&self, kind: TableKind, table: &LoadedTable, rows: &RecordBatch) -> Result<Encoded> {
        let encoder = TableEncoder::for_table(kind, table.metadata(), self.settings.compression_level)?;
        let mut encoded = Encoded { spec_id: encoder.partition_spec_id(), ..Encoded::default() };
        for (day, rows) in split_by_day(kind, rows)? {
            let uri = table.new_data_path(&folder(kind, day), &self.warehouse.ids().next().to_string());
            let EncodedFile { parts, file } = encoder.assemble(uri.clone(), day, vec![encoder.encode(vec![rows])?])?;
            encoded.uploads.push((uri, parts));
            encoded.entries.push(file);
        }
        Ok(encoded)
    }
}

/// Which shards continue one another: an event may repeat one of a related shard, and of no other.
#[derive(Debug, Clone, Default)]
pub struct Related(BTreeMap<ShardId, BTreeSet<ShardId>>);

impl Related {
    /// Reads from a checkpoint which shards continue which.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let mut groups: Vec<BTreeSet<ShardId>> = Vec::new();
        for (shard, position) in checkpoint.iter() {
            let mut group: BTreeSet<ShardId> = position.parents.iter().map(|parent| parent.shard.clone()).collect();
            group.insert(shard.clone());
            let (touching, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(|other| !other.is_disjoint(&group));
            group.extend(touching.into_iter().flatten());
            groups = apart;
            groups.push(group);
        }
        let members = groups.into_iter().flat_map(|group| group.clone().into_iter().map(move |s| (s, group.clone())));
        Related(members.collect())
    }

    /// Returns the shard and those related to it.
    pub fn to(&self, shard: &ShardId) -> BTreeSet<ShardId> {
        self.0.get(shard).cloned().unwrap_or_else(|| BTreeSet::from([shard.clone()]))
    }

    /// Returns whether an event of `shard` may repeat one of `other`.
    pub fn are(&self, shard: &ShardId, other: &ShardId) -> bool {
        shard == other || self.0.get(shard).is_some_and(|group| group.contains(other))
    }
}

/// What others must not have added to `events` meanwhile: rows of a related shard, within the window of deduplication.
fn conflicts(
    events: &LoadedTable,
    accepted: &[&Passing],
    related: &Related,
    window_seconds: u64,
) -> Result<Vec<Conflict>> {
    let schema = events.metadata().current_schema();
    let id = |name: &str| {
        let field = schema.field_by_name(name).map(|field| field.id);
        field.ok_or_else(|| Error::invalid(format!("`events` lacks its column `{name}`")))
    };
    let (shard_id, time_id) = (id("shard")?, id("stream_time")?);
    let window = i64::try_from(window_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let mut times: BTreeMap<ShardId, (i64, i64)> = BTreeMap::new();
    for passing in accepted {
        let at = passing.stream_time_micros;
        for shard in related.to(&passing.place.shard) {
            let (first, last) = times.entry(shard).or_insert((at, at));
            (*first, *last) = ((*first).min(at), (*last).max(at));
        }
    }
    let conflict = |(shard, (first, last)): (ShardId, (i64, i64))| {
        let time = |micros| Datum::timestamptz_micros(micros);
        let shard = Datum::string(shard.as_str());
        let near = (time(first.saturating_sub(window)), time(last.saturating_add(window)));
        Conflict { within: BTreeMap::from([(shard_id, (shard.clone(), shard)), (time_id, near)]) }
    };
    Ok(times.into_iter().map(conflict).collect())
}

#[cfg(test)]
mod tests {
    use icefold_core::{Offset, Parent, ShardPosition};

    use super::*;

    #[test]
    fn shards_are_related_through_their_parents_and_no_others_are() {
        let shard = |name: &str| ShardId::new(name);
        let mut checkpoint = Checkpoint::default();
        let parent = |name: &str| Parent { shard: shard(name), until: Offset::start() };
        for (name, parents) in [("a", vec![]), ("b", vec!["a"]), ("c", vec!["b"]), ("x", vec![]), ("y", vec!["x"])] {
            let parents = parents.into_iter().map(parent).collect();
            checkpoint.set(shard(name), ShardPosition { parents, ..ShardPosition::at(Offset::start()) });
        }
        let related = Related::of(&checkpoint);
        assert_eq!(related.to(&shard("c")), ["a", "b", "c"].map(shard).into());
        assert!(related.are(&shard("x"), &shard("y")) && !related.are(&shard("a"), &shard("y")));
        assert!(related.are(&shard("new"), &shard("new")), "a shard that is in no checkpoint is related to itself");
    }
}
