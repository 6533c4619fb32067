//! The commit loop: load, decide, stage, swap; after anything that is not a clear yes, look before acting.
//!
//! The loop never cleans up after itself: a swap whose reply was lost may still land, so an attempt's objects stay until
//! a later clean-up proves that nothing can reach them.

use std::sync::Arc;
use std::time::Duration;

use iceberg::spec::MAIN_BRANCH;
use icefold_core::{Error, ErrorKind, Result};

use crate::checkpoint::Progress;
use crate::intent::{CommitOutcome, Intent, IntentKind};
use crate::lineage;
use crate::pointer::{Pointer, SwapError};
use crate::produce::{Attempt, Produced};
use crate::resolve::{self, Base, Decision};
use crate::table::LoadedTable;
use crate::warehouse::Warehouse;

/// What one round of the loop found.
#[allow(clippy::large_enum_variant, reason = "one lives at a time, for one round")]
enum Round {
    Done(CommitOutcome),
    /// Somebody else was faster, or nobody knows: look again.
    Again(Error),
}

impl Warehouse {
    /// Commits an intent to the table `name`, or finds out that it is in, fenced or to be planned again.
    ///
    /// Dropping the future leaves the table either before or after the commit, never in between; call again with the
    /// same intent to learn which.
    ///
    /// # Errors
    /// The last error when attempts or time run out: [`ErrorKind::OutcomeUnknown`] when the commit may be in (commit the
    /// same intent again to find out), otherwise nothing was committed. Errors that no retry mends come at once.
    pub async fn commit(&self, name: &str, intent: &Intent) -> Result<CommitOutcome> {
        let settings = &self.settings().commit;
        let (started, timeout) = (tokio::time::Instant::now(), Duration::from_secs(settings.timeout_seconds));
        let mut last = None;
        let mut unknown = false;
        for attempt in 0..settings.max_attempts {
            self.pause(attempt).await;
            if attempt > 0 && started.elapsed() > timeout {
                break;
            }
            match self.round(name, intent).await {
                Ok(Round::Done(outcome)) => return Ok(outcome),
                Ok(Round::Again(error)) => {
                    unknown |= error.kind() == ErrorKind::OutcomeUnknown;
                    tracing::warn!(table = name, commit_id = %intent.commit_id, attempt, error = ?error, "commit attempt did not succeed");
                    last = Some(error);
                }
                Err(error) => return Err(in_doubt(error, unknown, name)),
            }
        }
        let last = last.unwrap_or_else(|| Error::bug("a commit loop without an attempt"));
        Err(in_doubt(last, unknown, name))
    }

    /// Waits before an attempt. Half of the pause is fixed, half is by chance, so that two racing committers come apart.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one pause of commits and looks; the simulation's tokio has its own time"
    )]
    pub(crate) async fn pause(&self, attempt: u32) {
        let pause = self.settings().commit.backoff(attempt);
        if !pause.is_zero() {
            let chance = f64::from(self.0.ids.next().as_bytes()[0]) / 255.0;
            tokio::time::sleep(pause.mul_f64(0.5 + chance / 2.0)).await;
        }
    }

    /// A random positive id that the table does not have.
    pub(crate) fn new_snapshot_id(&self, base: &LoadedTable) -> i64 {
        loop {
            let (high, low) = self.0.ids.next().as_u64_pair();
            let id = ((high ^ low) & (i64::MAX as u64)) as i64;
            if id != 0 && base.metadata().snapshot_by_id(id).is_none() {
                return id;
            }
        }
    }

    async fn round(&self, name: &str, intent: &Intent) -> Result<Round> {
        let base = match self.load(name).await {
            Ok(base) => base,
            Err(e) => return retry_or_stop(e),
        };
        base.check_writable()?;
        match self.decide(&base, intent).await {
            Ok((Decision::AlreadyCommitted { snapshot_id }, _)) => {
                Ok(Round::Done(CommitOutcome::AlreadyCommitted { table: base, snapshot_id }))
            }
            Ok((Decision::Fenced(fence), _)) => Ok(Round::Done(CommitOutcome::Fenced(fence))),
            Ok((Decision::Replan { reason }, _)) => Ok(Round::Done(CommitOutcome::Replan { reason })),
            Ok((Decision::Apply { remove, checkpoint }, progress)) => {
                let attempt = Attempt {
                    base: &base,
                    intent,
                    remove: remove.into_iter().collect(),
                    checkpoint,
                    progress: &progress,
                    warehouse: self.location(),
                    settings: self.settings(),
                    now_ms: self.clock().now_ms(),
                    snapshot_id: self.new_snapshot_id(&base),
                    ids: &*self.0.ids,
                };
                match Box::pin(attempt.produce()).await {
                    Ok(produced) => self.swap(&base, intent, produced).await,
                    Err(e) => retry_or_stop(e),
                }
            }
            Err(e) => retry_or_stop(e),
        }
    }

    /// Fetches the facts and asks [`resolve`](resolve::resolve) (or the resolver that was handed in).
    async fn decide(&self, base: &LoadedTable, intent: &Intent) -> Result<(Decision, Progress)> {
        let metadata = base.metadata();
        let progress = if metadata.uuid() == intent.table_uuid { base.progress().await? } else { Progress::default() };
        let live = match metadata.current_snapshot() {
            Some(snapshot) if resolve::needs_live_files(intent) => base.live_files(snapshot).await?,
            _ => Vec::new(),
        };
        let read = match intent.kind {
            IntentKind::Rewrite { read_snapshot_id } => Some(read_snapshot_id),
            IntentKind::Overwrite { planned_on, .. } => planned_on,
            _ => intent.planned_on,
        };
        let read_sequence_number = read.and_then(|read| {
            let mut ancestors = lineage::ancestors(metadata, metadata.current_snapshot_id());
            ancestors.find(|s| s.snapshot_id() == read).map(|s| s.sequence_number())
        });
        let facts = Base {
            table_uuid: metadata.uuid(),
            committed_in: lineage::find_commit(metadata, intent.commit_id),
            progress: &progress,
            live: &live,
            read_sequence_number,
        };
        Ok(((self.0.resolver)(intent, &facts)?, progress))
    }

    async fn swap(&self, base: &LoadedTable, intent: &Intent, produced: Produced) -> Result<Round> {
        let swapped = self.0.pointers.swap(&base.name, &base.pointer, &produced.metadata_location).await;
        match swapped {
            Ok(()) => {
                let table = self.after(base, &produced);
                tracing::debug!(table = %base.name, commit_id = %intent.commit_id, snapshot_id = produced.snapshot_id, "committed");
                Ok(Round::Done(CommitOutcome::Committed { table, snapshot_id: produced.snapshot_id }))
            }
            Err(SwapError::Conflict) => Ok(Round::Again(Error::new(
                ErrorKind::Conflict,
                format!("another commit to `{}` was faster", base.name),
            ))),
            Err(SwapError::Unknown(e)) => Ok(Round::Again(
                Error::new(ErrorKind::OutcomeUnknown, "the reply to the pointer swap was lost").because(e),
            )),
            Err(SwapError::Transient(e)) => Ok(Round::Again(e)),
            Err(SwapError::Refused(e)) => Err(e.with("table", &base.name)),
        }
    }

    /// The version that was just committed, without reading it back.
    fn after(&self, base: &LoadedTable, produced: &Produced) -> LoadedTable {
        let mut refs = (*base.refs).clone();
        refs.insert(MAIN_BRANCH.to_owned(), produced.snapshot_id);
        let table = LoadedTable {
            name: base.name.clone(),
            metadata: Arc::new(produced.metadata.clone()),
            pointer: Pointer::to(&produced.metadata_location),
            store: base.store.clone(),
            refs: Arc::new(refs),
            decider: base.decider,
        };
        // A service with version tokens must be asked for the new one, so only token-less pointers are remembered.
        if base.pointer.version_token.is_none() {
            self.remember(table.clone());
        }
        table
    }
}

/// Errors that a later try may not meet again are retried; nothing was swapped in this round.
fn retry_or_stop(error: Error) -> Result<Round> {
    match error.kind() {
        ErrorKind::Transient | ErrorKind::Conflict => Ok(Round::Again(error)),
        // An object whose upload has an unknown outcome has a name of its own: the next round writes another.
        ErrorKind::OutcomeUnknown => {
            Ok(Round::Again(Error::new(ErrorKind::Transient, "an upload got no clear answer").because(error)))
        }
        _ => Err(error),
    }
}

/// Once a swap's reply was lost and no later look could tell, the caller must know that the commit may be in.
fn in_doubt(error: Error, unknown: bool, name: &str) -> Error {
    if !unknown || error.kind() == ErrorKind::OutcomeUnknown {
        return error.with("table", name);
    }
    let message =
        "the commit may be in: a reply was lost and the table could not be read since; run again, it finds out";
    Error::new(ErrorKind::OutcomeUnknown, message).with("table", name).because(error)
}
