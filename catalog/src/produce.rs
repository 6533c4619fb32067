//! The snapshot producer: from a base and a decision to a staged metadata file that is one pointer swap away.
//!
//! Everything written here has a name of its own, so an attempt that loses leaves objects that nothing reaches, and
//! never anything half-visible. Sequence numbers follow the Iceberg spec, "Sequence Numbers" and "Manifest Inheritance":
//! new files inherit the commit's number, rewritten files carry the number of the snapshot they were read at.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::join;
use iceberg::spec::{
    DataContentType, MAIN_BRANCH, ManifestContentType, ManifestFile, ManifestListWriter, ManifestWriter,
    ManifestWriterBuilder, Operation, Snapshot, Summary, TableMetadata,
};
use icefold_core::tables::TableKind;
use icefold_core::{BatchId, Checkpoint, Error, Ids, Result, ShardId};

use crate::checkpoint::{self, Progress};
use crate::intent::{Intent, IntentKind, NewFile, Recount, Role};
use crate::keys;
use crate::manifest_merge::{self, ManifestSize};
use crate::metadata;
use crate::retention::{self, SnapshotAge};
use crate::retired;
use crate::settings::Settings;
use crate::summary;
use crate::table::{LiveFile, LoadedTable, foreign, has_live_files};

/// A metadata file that waits for its pointer.
#[derive(Debug)]
pub(crate) struct Produced {
    pub metadata: TableMetadata,
    pub metadata_location: String,
    pub snapshot_id: i64,
}

/// Everything that one attempt needs to know.
pub(crate) struct Attempt<'a> {
    pub base: &'a LoadedTable,
    pub intent: &'a Intent,
    /// Paths to remove, as decided by `resolve`.
    pub remove: BTreeSet<String>,
    /// Where the table stands after it, as decided by `resolve`; `None` leaves it where it stands.
    pub checkpoint: Option<Checkpoint>,
    /// Where it stands before it.
    pub progress: &'a Progress,
    pub warehouse: &'a str,
    pub settings: &'a Settings,
    pub now_ms: i64,
    pub snapshot_id: i64,
    pub ids: &'a dyn Ids,
}

impl Attempt<'_> {
    /// Writes checkpoint, manifests, manifest list and metadata; at the same time what does not name each other.
    pub(crate) async fn produce(&self) -> Result<Produced> {
        let metadata = self.base.metadata();
        let (added, kept) = join!(self.new_manifests(), self.kept_manifests());
        let (mut manifests, (kept, removed)) = (added?, kept?);
        manifests.extend(kept);
        let (written, checkpoint) = join!(self.write_manifest_list(manifests.clone()), self.checkpoint(&removed));
        let (manifest_list, (checkpoint, progress)) = (written?, checkpoint?);
        let summary = self.summary(&removed, &checkpoint, &progress.totals, &manifests).await?;
        let snapshot = Snapshot::builder()
            .with_snapshot_id(self.snapshot_id)
            .with_parent_snapshot_id(metadata.current_snapshot_id())
            .with_sequence_number(self.sequence_number())
            .with_timestamp_ms(self.timestamp_ms())
            .with_manifest_list(manifest_list)
            .with_summary(summary)
            .with_schema_id(metadata.current_schema_id())
            .build();
        let next = self.next_metadata(snapshot, checkpoint, &progress.unseen)?;
        let metadata_location = metadata::write(self.base, &next).await?;
        Ok(Produced { metadata: next, metadata_location, snapshot_id: self.snapshot_id })
    }

    fn sequence_number(&self) -> i64 {
        self.base.metadata().next_sequence_number()
    }

    fn timestamp_ms(&self) -> i64 {
        metadata::next_ms(self.base.metadata(), self.now_ms)
    }

    fn new_manifest_path(&self) -> String {
        format!("{}/metadata/{}-m.avro", self.base.metadata().location().trim_end_matches('/'), self.ids.next())
    }

    fn manifest_writer(&self, spec_id: i32, content: ManifestContentType) -> Result<ManifestWriter> {
        let metadata = self.base.metadata();
        let spec = metadata.partition_spec_by_id(spec_id).ok_or_else(|| {
            Error::invalid(format!(
                "partition spec `{spec_id}` is not in table `{}` any more: write the files anew",
                self.base.full_name()
            ))
        })?;
        let output = self.base.store().file_io().new_output(self.new_manifest_path());
        let output = output.map_err(|e| foreign(e, "a manifest cannot be written"))?;
        let builder = ManifestWriterBuilder::new(
            output,
            Some(self.snapshot_id),
            metadata.current_schema().clone(),
            (**spec).clone(),
        );
        Ok(match content {
            ManifestContentType::Data => builder.build_v2_data(),
            ManifestContentType::Deletes => builder.build_v2_deletes(),
        })
    }

    /// Writes one manifest per content and spec of the added files.
    async fn new_manifests(&self) -> Result<Vec<ManifestFile>> {
        let mut groups: BTreeMap<(u8, i32), Vec<&NewFile>> = BTreeMap::new();
        for file in &self.intent.add {
            groups.entry((content_of(file.file.content_type()) as u8, file.spec_id)).or_default().push(file);
        }
        let mut manifests = Vec::new();
        for ((_, spec_id), files) in groups {
            let mut writer = self.manifest_writer(spec_id, content_of(files[0].file.content_type()))?;
            for new in files {
                let sequence = self.data_sequence_number(new)?.unwrap_or(iceberg::spec::UNASSIGNED_SEQUENCE_NUMBER);
                writer
                    .add_file(new.file.clone(), sequence)
                    .map_err(|e| Error::bug("a new file does not fit its manifest").because(e))?;
            }
            manifests.push(finish(writer).await?);
        }
        Ok(manifests)
    }

    /// Rewritten rows are as old as the snapshot they were read at (invariant C2).
    fn data_sequence_number(&self, new: &NewFile) -> Result<Option<i64>> {
        match (&self.intent.kind, new.data_sequence_number) {
            (_, Some(given)) => Ok(Some(given)),
            (IntentKind::Rewrite { read_snapshot_id }, None) => {
                let read = self.base.metadata().snapshot_by_id(*read_snapshot_id);
                let read =
                    read.ok_or_else(|| Error::bug("`resolve` lets a rewrite pass only with the snapshot it read"))?;
                Ok(Some(read.sequence_number()))
            }
            // Rows that stay when others of their file go are as old as they were: a delete that came since still applies.
            (IntentKind::RowDelta, None) if !self.intent.remove.is_empty() => {
                let planned = self.intent.planned_on.and_then(|id| self.base.metadata().snapshot_by_id(id));
                Ok(planned.map(|snapshot| snapshot.sequence_number()))
            }
            _ => Ok(None),
        }
    }

    /// Takes over the base's manifests: without the removed files, without dead ones, merged where the plan says so.
    /// Also returns the files that were removed.
    async fn kept_manifests(&self) -> Result<(Vec<ManifestFile>, Vec<LiveFile>)> {
        let base = match self.base.metadata().current_snapshot() {
            Some(snapshot) => self.base.manifests(snapshot).await?,
            None => Vec::new(),
        };
        let (mut kept, mut touched, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for manifest in base.into_iter().filter(has_live_files) {
            match self.without_removed(&manifest, &mut removed).await? {
                Some(rewritten) => touched.push(rewritten),
                None => kept.push(manifest),
            }
        }
        if removed.len() != self.remove.len() {
            return Err(Error::bug("`resolve` lets a removal pass only when every file is live"));
        }
        // A manifest with this commit's deleted entries must stay as it is, so only the untouched ones are merged.
        let merged = self.merge(kept).await?;
        touched.extend(merged);
        Ok((touched, removed))
    }

    /// Rewrites a manifest when it holds files to remove; they stay in it as deleted entries for this one snapshot.
    async fn without_removed(
        &self,
        manifest: &ManifestFile,
        removed: &mut Vec<LiveFile>,
    ) -> Result<Option<ManifestFile>> {
        if self.remove.is_empty() {
            return Ok(None);
        }
        let entries = self.base.manifest_entries(manifest).await?;
        if !entries.iter().any(|e| self.remove.contains(e.file.file_path())) {
            return Ok(None);
        }
        let mut writer = self.manifest_writer(manifest.partition_spec_id, manifest.content)?;
        for entry in entries {
            if self.remove.contains(entry.file.file_path()) {
                let added = writer.add_delete_file(
                    entry.file.clone(),
                    entry.data_sequence_number,
                    Some(entry.file_sequence_number),
                );
                added.map_err(|e| Error::bug("a removed file does not fit its manifest").because(e))?;
                removed.push(entry);
            } else {
                carry_over(&mut writer, entry)?;
            }
        }
        finish(writer).await.map(Some)
    }

    async fn merge(&self, manifests: Vec<ManifestFile>) -> Result<Vec<ManifestFile>> {
        let sizes: Vec<ManifestSize> = manifests.iter().map(size_of).collect();
        let mut rest: Vec<Option<ManifestFile>> = manifests.into_iter().map(Some).collect();
        let mut merged = Vec::new();
        for group in manifest_merge::plan(&sizes, &self.settings.commit) {
            let parts: Vec<ManifestFile> = group.iter().filter_map(|i| rest[*i].take()).collect();
            let mut writer = self.manifest_writer(parts[0].partition_spec_id, parts[0].content)?;
            for part in &parts {
                for entry in self.base.manifest_entries(part).await? {
                    carry_over(&mut writer, entry)?;
                }
            }
            merged.push(finish(writer).await?);
        }
        merged.extend(rest.into_iter().flatten());
        Ok(merged)
    }

    /// Returns the URI of the checkpoint object that holds after this commit, and what it says. Every commit of ours names one:
    /// it was decided by where the table stands, so what it makes stands there too, whatever expires later.
    async fn checkpoint(&self, removed: &[LiveFile]) -> Result<(String, Progress)> {
        let mut next = self.progress.clone();
        if let Some(checkpoint) = self.checkpoint.clone() {
            next.checkpoint = checkpoint;
        }
        next.totals = self.intent.recount.apply(next.totals)?;
        next.totals += self.intent.counts;
        next.changed_by_others |= changed_since_checkpoint(self.base.metadata()) || !accounts_for_rows(self.intent);
        (next.moved_by, next.open) = self.batches();
        next.unseen = self.unseen(removed);
        if let Some(retirement) = self.intent.batch.as_ref().and_then(|part| part.retirement.as_ref()) {
            retirement.apply(&mut next);
        }
        let unchanged = self.checkpoint.is_none() && next == *self.progress;
        if let Some(uri) = self.base.metadata().properties().get(keys::CHECKPOINT).filter(|_| unchanged) {
            return Ok((uri.clone(), next));
        }
        let (store, uuid) = (self.base.store(), self.base.metadata().uuid());
        let uri = checkpoint::write(store, self.warehouse, uuid, self.intent.commit_id, self.ids.next(), &next).await?;
        Ok((uri, next))
    }

    /// Returns the snapshots that may have taken ids of `events` away, this one among them, and that no run has looked at.
    fn unseen(&self, removed: &[LiveFile]) -> Vec<i64> {
        if self.base.name() != TableKind::Events.name() {
            return Vec::new();
        }
        let pending = retired::pending(self.base.metadata(), self.progress);
        if !pending.is_complete {
            tracing::warn!(
                table = self.base.name(),
                "snapshots of another engine expired before icefold looked at them: if they deleted rows of the dedup window, a \
                 producer's retry may bring such a row in again"
            );
        }
        let mut unseen = pending.snapshots;
        if retired::removal_takes_ids(self.base.metadata(), self.intent, removed) {
            unseen.push(self.snapshot_id);
        }
        if unseen.len() > retired::MAX_UNSEEN {
            let excess = unseen.len() - retired::MAX_UNSEEN;
            tracing::warn!(
                snapshots = excess,
                "more snapshots that deleted rows wait for an ingest than are kept: a producer's retry may bring such a row in again"
            );
            unseen.drain(..excess);
        }
        unseen
    }

    /// Which batch moved each shard last, and which began here and may be missing elsewhere.
    fn batches(&self) -> (BTreeMap<ShardId, BatchId>, Vec<BatchId>) {
        let (mut moved_by, mut open) = (self.progress.moved_by.clone(), self.progress.open.clone());
        match &self.intent.batch {
            Some(part) => {
                moved_by.extend(self.intent.delta.iter().map(|(shard, _)| (shard.clone(), part.id)));
                open.retain(|id| !part.closes.contains(id));
                if part.role == Role::Leads && self.intent.delta.is_empty() {
                    open.push(part.id);
                }
            }
            // Whatever moved a shard outside of a batch, the batch before it did not.
            None => moved_by.retain(|shard, _| !self.intent.delta.iter().any(|(moved, _)| moved == shard)),
        }
        (moved_by, open)
    }

    async fn summary(
        &self,
        removed: &[LiveFile],
        checkpoint: &str,
        totals: &icefold_core::Counts,
        manifests: &[ManifestFile],
    ) -> Result<Summary> {
        let mut properties: HashMap<String, String> = self.intent.summary.clone().into_iter().collect();
        let change = summary::Change::of(&self.intent.add, removed);
        properties.extend(change.summary());
        properties.extend(summary::totals(self.base, &change).await?.summary());
        properties.insert(
            "manifests-created".to_owned(),
            manifests.iter().filter(|m| m.added_snapshot_id == self.snapshot_id).count().to_string(),
        );
        properties.insert(keys::COMMIT_ID.to_owned(), self.intent.commit_id.to_string());
        properties.insert(keys::VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        properties.insert(keys::CHECKPOINT.to_owned(), checkpoint.to_owned());
        properties.extend(self.intent.counts.summary(keys::ADDED_PREFIX));
        properties.extend(totals.summary(keys::TOTAL_PREFIX));
        Ok(Summary { operation: operation(self.intent, removed), additional_properties: properties })
    }

    async fn write_manifest_list(&self, manifests: Vec<ManifestFile>) -> Result<String> {
        let metadata = self.base.metadata();
        let uri = format!(
            "{}/metadata/snap-{}-{}.avro",
            metadata.location().trim_end_matches('/'),
            self.snapshot_id,
            self.ids.next()
        );
        let failed = |e| foreign(e, "the manifest list cannot be written");
        let output = self.base.store().file_io().new_output(&uri).map_err(failed)?.writer().await.map_err(failed)?;
        let mut list =
            ManifestListWriter::v2(output, self.snapshot_id, metadata.current_snapshot_id(), self.sequence_number());
        list.add_manifests(manifests.into_iter()).map_err(failed)?;
        list.close().await.map_err(failed)?;
        Ok(uri)
    }

    fn next_metadata(&self, snapshot: Snapshot, checkpoint: String, unseen: &[i64]) -> Result<TableMetadata> {
        let metadata = self.base.metadata();
        let refused = |e| Error::bug("the table metadata refuses the new snapshot").because(e);
        let builder = (**metadata).clone().into_builder(Some(self.base.metadata_location().to_owned()));
        let mut builder = builder.set_properties(checkpoint_properties(checkpoint, &snapshot)).map_err(refused)?;
        // The checkpoint is this snapshot's own, so none before it is needed to prove where the table stands.
        let mut pinned: BTreeSet<i64> = self.base.refs().values().copied().chain([self.snapshot_id]).collect();
        pinned.extend(retired::needed(metadata, unseen));
        let mut ages: Vec<SnapshotAge> = metadata.snapshots().map(|s| age(s)).collect();
        ages.push(age(&snapshot));
        let thinned = retention::thin(&ages, &pinned, snapshot.timestamp_ms(), &self.settings.retention);
        builder = builder.set_branch_snapshot(snapshot, MAIN_BRANCH).map_err(refused)?;
        builder = thinned.iter().fold(builder, |b, id| b.remove_statistics(*id).remove_partition_statistics(*id));
        Ok(builder.remove_snapshots(&thinned).build().map_err(refused)?.metadata)
    }
}

fn checkpoint_properties(uri: String, snapshot: &Snapshot) -> HashMap<String, String> {
    HashMap::from([
        (keys::CHECKPOINT.to_owned(), uri),
        (keys::CHECKPOINT_SNAPSHOT_ID.to_owned(), snapshot.snapshot_id().to_string()),
        (keys::CHECKPOINT_SEQUENCE_NUMBER.to_owned(), snapshot.sequence_number().to_string()),
    ])
}

/// Whether the rows after it are still those that the totals count.
fn accounts_for_rows(intent: &Intent) -> bool {
    let nothing_changes = intent.add.is_empty() && intent.remove.is_empty();
    match intent.kind {
        IntentKind::Append => nothing_changes || !intent.delta.is_empty(),
        IntentKind::RowDelta => nothing_changes || intent.recount != Recount::default(),
        IntentKind::Rewrite { .. } => true,
        IntentKind::Overwrite { .. } => false,
    }
}

/// Whether a snapshot that is not ours was made since our newest; sequence numbers outlive expiry.
fn changed_since_checkpoint(metadata: &TableMetadata) -> bool {
    let stated = metadata.properties().get(keys::CHECKPOINT_SEQUENCE_NUMBER).and_then(|n| n.parse().ok());
    metadata.last_sequence_number() != stated.unwrap_or(0)
}

fn age(snapshot: &Snapshot) -> SnapshotAge {
    SnapshotAge {
        id: snapshot.snapshot_id(),
        sequence_number: snapshot.sequence_number(),
        timestamp_ms: snapshot.timestamp_ms(),
    }
}

fn content_of(content: DataContentType) -> ManifestContentType {
    match content {
        DataContentType::Data => ManifestContentType::Data,
        DataContentType::EqualityDeletes | DataContentType::PositionDeletes => ManifestContentType::Deletes,
    }
}

fn operation(intent: &Intent, removed: &[LiveFile]) -> Operation {
    let adds_rows = intent.add.iter().any(|f| f.file.content_type() == DataContentType::Data);
    let adds_deletes = intent.add.iter().any(|f| f.file.content_type() != DataContentType::Data);
    match &intent.kind {
        // `replace` tells readers that no row changed: Redshift then refreshes its views incrementally.
        IntentKind::Rewrite { .. } => Operation::Replace,
        _ if !adds_deletes && removed.is_empty() => Operation::Append,
        _ if !adds_rows => Operation::Delete,
        _ => Operation::Overwrite,
    }
}

fn size_of(manifest: &ManifestFile) -> ManifestSize {
    let files = manifest.added_files_count.unwrap_or(1) + manifest.existing_files_count.unwrap_or(1);
    ManifestSize {
        group: (manifest.content as u8, manifest.partition_spec_id),
        files: u64::from(files),
        bytes: manifest.manifest_length.max(0) as u64,
    }
}

fn carry_over(writer: &mut ManifestWriter, entry: LiveFile) -> Result<()> {
    let LiveFile { file, snapshot_id, data_sequence_number, file_sequence_number, .. } = entry;
    let carried = writer.add_existing_file(file, snapshot_id, data_sequence_number, Some(file_sequence_number));
    carried.map_err(|e| Error::bug("an existing file does not fit its manifest").because(e))
}

async fn finish(writer: ManifestWriter) -> Result<ManifestFile> {
    writer.write_manifest_file().await.map_err(|e| foreign(e, "a manifest cannot be written"))
}
