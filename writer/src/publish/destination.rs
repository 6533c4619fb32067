//! Where batches go: the few calls of a warehouse that publishing needs, so that tests can let each of them fail.

use async_trait::async_trait;
use bytes::Bytes;
use icefold_catalog::{Announcement, CommitOutcome, Intent, Warehouse};
use icefold_core::{Error, ErrorKind, Result};

/// Tables to commit to and a store for their files.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Says which files an intent will add; called before the first of them is uploaded.
    ///
    /// # Errors
    /// Errors of the store; calling again is harmless.
    async fn announce(&self, intent: &Intent) -> Result<Announcement>;

    /// Writes the object `uri`, a name that was never used before. When it returns `Ok`, the object is whole and
    /// durable; calling again with the same parts is harmless.
    ///
    /// # Errors
    /// Errors of the store.
    async fn upload(&self, uri: &str, parts: Vec<Bytes>) -> Result<()>;

    /// Commits an intent, at most once however often it is called.
    ///
    /// # Errors
    /// Errors of store and catalog; after `OutcomeUnknown` call again to find out.
    async fn commit(&self, table: &str, intent: &Intent) -> Result<CommitOutcome>;

    /// Takes an announcement back.
    ///
    /// # Errors
    /// Errors of the store; an announcement that stays does no harm.
    async fn withdraw(&self, announcement: &Announcement) -> Result<()>;
}

#[async_trait]
impl Destination for Warehouse {
    async fn announce(&self, intent: &Intent) -> Result<Announcement> {
        Warehouse::announce(self, intent).await
    }

    async fn upload(&self, uri: &str, parts: Vec<Bytes>) -> Result<()> {
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

    async fn commit(&self, table: &str, intent: &Intent) -> Result<CommitOutcome> {
        Warehouse::commit(self, table, intent).await
    }

    async fn withdraw(&self, announcement: &Announcement) -> Result<()> {
        Warehouse::withdraw(self, announcement).await
    }
}
