//! Announcements: before a file is uploaded, an object says which intent it belongs to.
//!
//! An intent whose `from` is no longer the table's checkpoint can never commit, so a clean-up that reads the
//! announcements knows which unreachable files are left-overs, instead of guessing by age.

use icefold_core::{CommitId, Delta, Error, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checkpoint;
use crate::intent::Intent;
use crate::warehouse::Warehouse;

/// Content of an announcement object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The intent's identity.
    pub commit_id: CommitId,
    /// The table.
    pub table_uuid: Uuid,
    /// The piece of stream; empty for maintenance.
    pub delta: Delta,
    /// URIs of the files that will be uploaded.
    pub files: Vec<String>,
    /// Where the announcement itself is.
    #[serde(skip)]
    pub uri: String,
}

impl Warehouse {
    /// Announces the files of an intent. Call it before the first upload.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn announce(&self, intent: &Intent) -> Result<Announcement> {
        let files = intent.add.iter().map(|f| f.file.file_path().to_owned()).collect();
        self.announce_paths(intent.table_uuid, intent.commit_id, intent.delta.clone(), files).await
    }

    /// As [`Warehouse::announce`], for files whose sizes are not known yet.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn announce_paths(
        &self,
        table_uuid: Uuid,
        commit_id: CommitId,
        delta: Delta,
        files: Vec<String>,
    ) -> Result<Announcement> {
        let folder = checkpoint::folder(self.location(), table_uuid);
        let uri = format!("{folder}/intents/{commit_id}-{}.json", self.0.ids.next().simple());
        let announcement = Announcement { commit_id, table_uuid, delta, files, uri };
        let text =
            serde_json::to_vec(&announcement).map_err(|e| Error::bug("an announcement has no JSON form").because(e))?;
        self.store().write_new(&announcement.uri, vec![text.into()]).await?;
        Ok(announcement)
    }

    /// Takes an announcement back, once its intent is committed. Left standing it does no harm: clean-up sees that the
    /// files are reachable.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn withdraw(&self, announcement: &Announcement) -> Result<()> {
        self.store().delete(&announcement.uri).await
    }

    /// Reads the announcements that stand for a table.
    ///
    /// # Errors
    /// Errors of the store; [`ErrorKind::Corrupt`](icefold_core::ErrorKind::Corrupt).
    pub async fn announcements(&self, table_uuid: Uuid) -> Result<Vec<Announcement>> {
        let mut found = Vec::new();
        for object in self.store().list(&format!("{}/intents", checkpoint::folder(self.location(), table_uuid))).await?
        {
            let bytes = self.store().read(&object.uri).await?;
            let parsed: Result<Announcement, _> = serde_json::from_slice(&bytes);
            let damaged =
                |e| Error::corrupt(format!("announcement `{}` is unreadable: delete it", object.uri)).because(e);
            found.push(Announcement { uri: object.uri.clone(), ..parsed.map_err(damaged)? });
        }
        Ok(found)
    }
}
