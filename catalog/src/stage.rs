//! Staging: the one way to write data files. Before a file is uploaded, an object says which work it belongs to.
//!
//! ```text
//! announce (all paths of all tables) ─▶ stage each ─▶ commit ─▶ confirm: the table holds these very paths ─▶ withdrawn
//!                                                       └─ lost, failed, dead ─▶ the announcement stays, and tells a
//!                                                                                clean-up what nobody may ever need
//! ```
//!
//! Work whose `from` is no longer the table's checkpoint can never commit, so a clean-up that reads the announcements knows
//! which unreachable files are left-overs, instead of guessing by age. Files of who lost a race are known for the same reason:
//! an announcement is withdrawn only for files that are in the table, never because somebody else's are.

use std::collections::HashSet;

use bytes::Bytes;
use icefold_core::{Delta, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::intent::CommitOutcome;
use crate::table::LoadedTable;
use crate::warehouse::Warehouse;

/// Version of the object's layout.
const VERSION: u32 = 1;

/// What is about to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    version: u32,
    /// Identity of the work: of a batch, or of a commit.
    pub work: String,
    /// The piece of stream; empty for maintenance.
    pub delta: Delta,
    /// The files of each table.
    pub tables: Vec<AnnouncedTable>,
    /// Where the announcement itself is.
    #[serde(skip)]
    pub uri: String,
}

/// Files of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedTable {
    /// The table.
    pub table_uuid: Uuid,
    /// URIs of its files.
    pub files: Vec<String>,
}

impl Announcement {
    fn names(&self, uri: &str) -> bool {
        self.tables.iter().any(|table| table.files.iter().any(|file| file == uri))
    }
}

impl Warehouse {
    /// Announces the files of a piece of work. Call it before the first upload.
    ///
    /// # Errors
    /// Errors of the store; calling again is harmless.
    pub async fn announce(
        &self,
        work: impl ToString,
        delta: Delta,
        tables: Vec<AnnouncedTable>,
    ) -> Result<Announcement> {
        let work = work.to_string();
        let uri = format!("{}/{work}-{}.json", self.announcements_folder(), self.0.ids.next().simple());
        let announcement = Announcement { version: VERSION, work, delta, tables, uri };
        let text =
            serde_json::to_vec(&announcement).map_err(|e| Error::bug("an announcement has no JSON form").because(e))?;
        self.store().write_new(&announcement.uri, vec![text.into()]).await?;
        Ok(announcement)
    }

    /// Writes an announced file, under a name that was never used before. When it returns `Ok`, the file is whole and durable;
    /// calling again with the same parts is harmless.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] for a file that was not announced; errors of the store.
    pub async fn stage(&self, announcement: &Announcement, uri: &str, parts: Vec<Bytes>) -> Result<()> {
        if !announcement.names(uri) {
            return Err(Error::bug(format!("`{uri}` was to be uploaded and is not announced")));
        }
        let size: u64 = parts.iter().map(|part| part.len() as u64).sum();
        match self.store().write_new(uri, parts).await {
            // The name is unique, so an object of that name is ours: an earlier try whose reply was lost.
            Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::OutcomeUnknown) => {
                match self.store().size(uri).await? {
                    Some(found) if found == size => Ok(()),
                    Some(found) => {
                        Err(Error::corrupt(format!("`{uri}` has {found} bytes after {size} were written")).because(e))
                    }
                    None => Err(e),
                }
            }
            other => other,
        }
    }

    /// Takes an announcement back if every one of its files is in its table by one of `outcomes`. Returns whether it did: left
    /// standing it does no harm.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn confirm(&self, announcement: &Announcement, outcomes: &[CommitOutcome]) -> Result<bool> {
        for announced in announcement.tables.iter().filter(|announced| !announced.files.is_empty()) {
            let mut is_there = false;
            for outcome in outcomes {
                is_there = is_there || outcome_holds(outcome, announced).await?;
            }
            if !is_there {
                return Ok(false);
            }
        }
        self.store().delete(&announcement.uri).await?;
        Ok(true)
    }

    /// Reads the announcements that stand.
    ///
    /// # Errors
    /// Errors of the store; [`ErrorKind::Corrupt`].
    pub async fn announcements(&self) -> Result<Vec<Announcement>> {
        let mut found = Vec::new();
        for object in self.store().list(&self.announcements_folder()).await? {
            let bytes = match self.store().read(&object.uri).await {
                Ok(bytes) => bytes,
                // It was withdrawn since it was listed.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let parsed: Result<Announcement, _> = serde_json::from_slice(&bytes);
            let damaged =
                |e| Error::corrupt(format!("announcement `{}` is unreadable: delete it", object.uri)).because(e);
            found.push(Announcement { uri: object.uri.clone(), ..parsed.map_err(damaged)? });
        }
        Ok(found)
    }

    fn announcements_folder(&self) -> String {
        format!("{}/_icefold/intents", self.location())
    }
}

/// Whether the files of a table were committed as it is told. What this process committed itself holds what it was asked to
/// add; of what was in already, somebody else may have made files of their own.
async fn outcome_holds(outcome: &CommitOutcome, announced: &AnnouncedTable) -> Result<bool> {
    match outcome {
        CommitOutcome::Committed { table, .. } => Ok(table.metadata().uuid() == announced.table_uuid),
        CommitOutcome::AlreadyCommitted { table, snapshot_id: Some(id) }
            if table.metadata().uuid() == announced.table_uuid =>
        {
            holds(table, *id, &announced.files).await
        }
        _ => Ok(false),
    }
}

/// Whether the snapshot added these very files.
async fn holds(table: &LoadedTable, snapshot_id: i64, files: &[String]) -> Result<bool> {
    let Some(snapshot) = table.snapshot(Some(snapshot_id))? else { return Ok(false) };
    let mut added = HashSet::new();
    for manifest in table.manifests(&snapshot).await?.iter().filter(|m| m.added_snapshot_id == snapshot_id) {
        added.extend(table.manifest_entries(manifest).await?.into_iter().map(|live| live.file.file_path().to_owned()));
    }
    Ok(files.iter().all(|file| added.contains(file)))
}
