//! One file, a folder or an S3 prefix as a source.
//!
//! The files of a folder are read in byte order of their names and make one shard. At every moment one file is open;
//! what lies before it is only summed up in the witness. The rules that a user sees are in `docs/sources.md`.
//!
//! ```text
//!            ┌──────────── pull ◀───────────────────────────────┐
//! begin next │ piece ─▶ hand over                               │
//!            │ all stored bytes used up ─▶ at end ─▶ complete ──┤─▶ ended ─▶ finish ─▶ begin next
//!            │                                 └──▶ wait ───────┤
//!            │ changed ─▶ grown, or read again to the position ─┘
//!            └ damaged, or not what it was ─▶ error
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use icefold_core::timestamp::format_iso;
use icefold_core::{Error, ErrorKind, Offset, Result, ShardId, ShardPosition};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::watch;

use super::lines::Piece;
use super::listing::{FileEntry, Listing, Look};
use super::records::{Pulled, Records, Resumed};
use super::stored::{Refresh, StoredFile};
use super::stream_time::StreamTime;
use super::time_pattern::TimePattern;
use super::witness::{Finished, Witness};
use super::{Ending, Source, SourceSettings, refusal};
use crate::chunk::Chunk;

/// How often a file that changes on the way back to a position is tried again.
const RESUME_ATTEMPTS: usize = 3;

/// Where a [`FileSource`] reads.
#[derive(Debug, Clone)]
pub struct FileRoot {
    /// The shard that it is.
    pub shard: ShardId,
    /// The file, or the folder, in the store.
    pub path: Path,
    /// Whether `path` is one file, which is then read whatever its name, and not a folder.
    pub single_file: bool,
}

/// Reads the records of files in name order.
pub struct FileSource {
    shard: ShardId,
    store: Arc<dyn ObjectStore>,
    listing: Listing,
    settings: SourceSettings,
    ending: Ending,
    /// Everything that was handed over.
    next: Offset,
    time: StreamTime,
    /// Where times stand in names, if they do.
    pattern: Option<TimePattern>,
    /// A file whose name has no time where the pattern wants one was told of.
    nameless_told: bool,
    /// The file that is being read.
    current: Option<Current>,
    /// The name of the current file, or of the last one if there is none.
    reached: Option<Arc<str>>,
    finished: Finished,
    /// The files that come next, and whether there are more.
    queue: VecDeque<FileEntry>,
    more: bool,
    polls: u32,
}

struct Current {
    name: Arc<str>,
    entry: FileEntry,
    /// The time in its name.
    named_micros: Option<i64>,
    records: Records<StoredFile>,
}

/// What to do at the end of what is stored.
enum AtEnd {
    GoOn,
    /// The pass is over, although the file is still being written.
    Leave,
}

impl FileSource {
    /// Opens the files of `root` in `store` at `position` (`None`: at the start). The time of the stream goes on from there, and
    /// is never before `floor_micros`: the latest one of the shards that this one continues. `stop` ends it when it turns true.
    ///
    /// # Errors
    /// `InvalidInput` when there are no files (one pass), when what lies behind `position` has changed, or when a
    /// setting is wrong. `NotFound`, `Refused`, `Transient` from storage.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        root: FileRoot,
        position: Option<&ShardPosition>,
        floor_micros: Option<i64>,
        settings: SourceSettings,
        stop: watch::Receiver<bool>,
    ) -> Result<FileSource> {
        settings.validate()?;
        let listing = Listing::new(store.clone(), root.path, root.single_file, settings.listing_limit);
        let mut source = FileSource {
            shard: root.shard,
            store,
            listing,
            time: StreamTime::after(position, floor_micros),
            pattern: settings.time_pattern()?,
            nameless_told: false,
            settings,
            ending: Ending::when(stop),
            next: Offset::start(),
            current: None,
            reached: None,
            finished: Finished::default(),
            queue: VecDeque::new(),
            more: false,
            polls: 0,
        };
        match position.filter(|position| position.next != Offset::start()) {
            Some(position) => source.go_to(position).await?,
            None => source.go_to_start().await?,
        }
        Ok(source)
    }

    async fn go_to_start(&mut self) -> Result<()> {
        let found = self.listing.look(None, Look::Whole).await?;
        if found.after.is_empty() && !self.settings.follow {
            return Err(Error::invalid(format!(
                "source `{}` holds no files to read (hidden and empty ones do not count): check the path, or follow it \
                 to wait for files",
                self.shard
            )));
        }
        (self.queue, self.more) = (found.after, found.more);
        Ok(())
    }

    /// Continues at `position`, if everything behind it is as it was.
    async fn go_to(&mut self, position: &ShardPosition) -> Result<()> {
        let witness = Witness::decode(&position.witness)?;
        self.next = position.next.clone();
        let name = position.next.segment.clone();
        let found = self.listing.look(Some(&name), Look::Whole).await?;
        if let Some(difference) = found.difference(&witness.finished) {
            return Err(self.refuse(difference));
        }
        let Some(entry) = found.at else {
            return Err(self.refuse(format!("file `{name}` was removed, renamed or emptied")));
        };
        (self.queue, self.more) = (found.after, found.more);
        self.finished = witness.finished;
        self.reached = Some(name);
        let records = self.resume(&entry, position.next.position, witness.fingerprint, witness.open_line).await?;
        self.begin(entry, records);
        Ok(())
    }

    /// Goes to a place in a file that was reached before.
    async fn resume(
        &self,
        entry: &FileEntry,
        length: u64,
        fingerprint: u128,
        open_line: bool,
    ) -> Result<Records<StoredFile>> {
        let name = &entry.name;
        for _ in 0..RESUME_ATTEMPTS {
            let mut records = self.records_of(entry);
            let what = match records.resume(length, fingerprint, open_line).await? {
                Resumed::Here => return Ok(records),
                Resumed::Changed => continue,
                Resumed::Shorter => format!("file `{name}` is shorter than what was read of it"),
                Resumed::Different => format!("file `{name}` does not begin with what was read of it"),
                Resumed::Damaged(why) => return Err(refusal::damaged(&self.shard, &self.next, name, &why)),
            };
            return Err(self.refuse(what));
        }
        Err(refusal::unstable(name))
    }

    fn records_of(&self, entry: &FileEntry) -> Records<StoredFile> {
        Records::new(StoredFile::new(self.store.clone(), entry, self.settings.read_bytes), &self.settings)
    }

    fn refuse(&self, what: String) -> Error {
        refusal::changed_behind(&self.shard, &self.next, what)
    }

    async fn advance(&mut self) -> Result<Option<Chunk>> {
        loop {
            let Some(current) = &mut self.current else {
                match self.begin_next().await? {
                    true => continue,
                    false if self.settings.follow => self.wait().await,
                    false => return Ok(None),
                }
                continue;
            };
            let outcome = match current.records.pull().await {
                Ok(Pulled::Piece(piece)) => return self.hand_over(piece).map(Some),
                Ok(Pulled::Ended) => self.finish_file(),
                Ok(Pulled::Exhausted) => match self.at_end().await {
                    Ok(AtEnd::Leave) => return Ok(None),
                    Ok(AtEnd::GoOn) => Ok(()),
                    Err(e) => Err(e),
                },
                Ok(Pulled::Changed) => self.look_again().await,
                Ok(Pulled::Damaged(why)) => self.damaged(why).await,
                Ok(Pulled::Foreign(what)) => Err(self.foreign(what)),
                Ok(Pulled::OpenLineWentOn) => Err(self.open_line_went_on()),
                Err(e) => Err(e),
            };
            match outcome {
                Err(e) if e.kind() == ErrorKind::NotFound => self.vanished()?,
                outcome => outcome?,
            }
        }
    }

    /// Opens the next file; `false` when none is known.
    async fn begin_next(&mut self) -> Result<bool> {
        if self.queue.is_empty() && (self.more || self.settings.follow) {
            self.look_for_files().await?;
        }
        let Some(entry) = self.queue.pop_front() else { return Ok(false) };
        self.reached = Some(entry.name.clone());
        let records = self.records_of(&entry);
        self.begin(entry, records);
        Ok(true)
    }

    fn begin(&mut self, entry: FileEntry, records: Records<StoredFile>) {
        let named_micros = self.pattern.as_ref().and_then(|pattern| pattern.find(&entry.name));
        if self.pattern.is_some() && named_micros.is_none() && !std::mem::replace(&mut self.nameless_told, true) {
            tracing::warn!(
                shard = %self.shard,
                file = %entry.name,
                "the time pattern finds no time in the name of a file: it and others like it have their modification time"
            );
        }
        self.current = Some(Current { name: entry.name.clone(), entry, named_micros, records });
    }

    /// Looks for files after the one that was reached; from time to time also at what lies behind.
    async fn look_for_files(&mut self) -> Result<()> {
        let recheck = self.polls >= self.settings.polls_per_recheck;
        let look = if recheck { Look::Whole } else { Look::After };
        let mut found = self.listing.look(self.reached.as_deref(), look).await?;
        if recheck {
            self.polls = 0;
            if self.current.is_none() {
                found.count_at_as_behind();
            }
            if let Some(difference) = found.difference(&self.finished) {
                return Err(self.refuse(difference));
            }
        }
        (self.queue, self.more) = (found.after, found.more);
        Ok(())
    }

    /// Decides what becomes of the current file, all of whose stored bytes were used up.
    async fn at_end(&mut self) -> Result<AtEnd> {
        let follow = self.settings.follow;
        // First the listing, then the file: what was written to the file before the next one came must be seen.
        if follow && self.queue.is_empty() {
            self.look_for_files().await?;
        }
        let last = self.queue.is_empty() && !self.more;
        let Some(current) = &mut self.current else { return Ok(AtEnd::GoOn) };
        match current.records.content.stored.refresh(!follow).await? {
            Refresh::Same if last && follow => self.wait().await,
            Refresh::Same => current.records.content.set_complete(true),
            Refresh::Replaced => self.read_again().await?,
            // One pass must end even where somebody never stops writing.
            Refresh::Grown if last && !follow => return Ok(AtEnd::Leave),
            Refresh::Grown => {}
        }
        Ok(AtEnd::GoOn)
    }

    #[expect(clippy::disallowed_methods, reason = "the pause of who follows a source, a setting")]
    async fn wait(&mut self) {
        self.polls = self.polls.saturating_add(1);
        tokio::time::sleep(self.settings.poll_interval).await;
    }

    /// Finds out in what way the current file has changed.
    async fn look_again(&mut self) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        match current.records.content.stored.refresh(false).await? {
            Refresh::Same => Err(refusal::unstable(&current.name)),
            Refresh::Grown => Ok(()),
            Refresh::Replaced => self.read_again().await,
        }
    }

    /// Reads the current file from its start to the place that was reached, because its stored form is another one.
    async fn read_again(&mut self) -> Result<()> {
        let Some(current) = &self.current else { return Ok(()) };
        let path = &current.entry.path;
        let meta = self.store.head(path).await.map_err(|e| refusal::storage(e, "looking at", path))?;
        let entry = current.entry.seen_as(&meta);
        let (length, fingerprint) =
            (current.records.handed_over().length(), current.records.handed_over().fingerprint());
        let records = match length {
            0 => self.records_of(&entry),
            _ => self.resume(&entry, length, fingerprint, false).await?,
        };
        if let Some(current) = &mut self.current {
            (current.entry, current.records) = (entry, records);
        }
        Ok(())
    }

    /// Refuses a damaged file, unless it was replaced while it was being read.
    async fn damaged(&mut self, why: String) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        match current.records.content.stored.refresh(false).await? {
            Refresh::Replaced => self.read_again().await,
            _ => Err(refusal::damaged(&self.shard, &self.next, &current.name, &why)),
        }
    }

    fn foreign(&self, what: &str) -> Error {
        let name = self.reached.as_deref().unwrap_or_default();
        refusal::foreign(format!("file `{name}` of source `{}`", self.shard), &self.next, what)
    }

    fn open_line_went_on(&self) -> Error {
        self.refuse(format!(
            "the last line of file `{}` had no line break and was read as a record, and now that line goes on",
            self.next.segment
        ))
    }

    /// Passes over a file that went away before anything of it was handed over; refuses one that was begun.
    fn vanished(&mut self) -> Result<()> {
        match self.current.take() {
            Some(current) if current.records.handed_over().length() > 0 => {
                Err(self.refuse(format!("file `{}` was removed while it was being read", current.name)))
            }
            Some(current) => {
                tracing::warn!(shard = %self.shard, file = %current.name, "file went away before it was read");
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn finish_file(&mut self) -> Result<()> {
        if let Some(current) = self.current.take() {
            let stored = &current.records.content.stored;
            let modified_micros = stored.modified_micros().max(current.entry.modified_micros);
            // One that was emptied since it was listed is none: the next listing does not show it either.
            if stored.stored_bytes() > 0 {
                self.finished.add(&current.name, stored.stored_bytes(), modified_micros);
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, piece: Piece) -> Result<Chunk> {
        let Some(current) = &mut self.current else {
            return Err(Error::bug("a piece came from no file"));
        };
        // As it was last seen: a file may grow for weeks.
        let modified_micros = current.records.content.stored.modified_micros();
        let (segment, source_micros) = (current.name.clone(), current.named_micros.unwrap_or(modified_micros));
        if let Some(reached) = self.time.falls_back_first(source_micros) {
            tracing::warn!(
                shard = %self.shard,
                file = %segment,
                file_time = format_iso(source_micros),
                stream_time = format_iso(reached),
                "files are not read in the order of their times: events of the older ones count as arriving at `stream_time`; \
                 deduplication and sessions go on, but `stream_time` and the partitions of `raw_events` do not tell when these \
                 events really arrived; give files names that sort by time, and if copying has changed their times, say with \
                 --time-pattern where in their names the time stands"
            );
        }
        let time = self.time.advance(source_micros);
        super::chunk_of(piece, &self.shard, segment, time, self.finished, &mut self.next)
    }
}

#[async_trait]
impl Source for FileSource {
    fn shard(&self) -> &ShardId {
        &self.shard
    }

    async fn next(&mut self) -> Result<Option<Chunk>> {
        self.ending.check(&self.shard)?;
        let stop = self.ending.stop.clone();
        let outcome = super::unless_stopped(stop, self.advance()).await;
        self.ending.note(&outcome);
        outcome
    }
}
