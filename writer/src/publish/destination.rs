//! Where batches go: the few calls of a warehouse that publishing needs, so that tests can let each of them fail.

use async_trait::async_trait;
use bytes::Bytes;
use icefold_catalog::{AnnouncedTable, Announcement, CommitOutcome, Intent, Warehouse};
use icefold_core::{BatchId, Delta, Result};

/// Tables to commit to and a store for their files.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Says which files a batch will add; called before the first of them is uploaded.
    ///
    /// # Errors
    /// Errors of the store; calling again is harmless.
    async fn announce(&self, id: BatchId, delta: &Delta, tables: &[AnnouncedTable]) -> Result<Announcement>;

    /// Writes the announced file `uri`, a name that was never used before. When it returns `Ok`, the file is whole and
    /// durable; calling again with the same parts is harmless.
    ///
    /// # Errors
    /// Errors of the store.
    async fn stage(&self, announcement: &Announcement, uri: &str, parts: Vec<Bytes>) -> Result<()>;

    /// Writes the object of a batch, before the first of its tables is committed. Calling again is harmless.
    ///
    /// # Errors
    /// Errors of the store.
    async fn write_batch(&self, id: BatchId, content: &[u8]) -> Result<()>;

    /// Commits an intent, at most once however often it is called.
    ///
    /// # Errors
    /// Errors of store and catalog; after `OutcomeUnknown` call again to find out.
    async fn commit(&self, table: &str, intent: &Intent) -> Result<CommitOutcome>;

    /// Forgets a batch that can never be committed. Its files stay announced, for a clean-up to find.
    ///
    /// # Errors
    /// Errors of the store; an object that stays does no harm.
    async fn abandon(&self, id: BatchId) -> Result<()>;

    /// Takes back what was said about a batch that all its tables have, by these outcomes.
    ///
    /// # Errors
    /// Errors of the store; what stays does no harm.
    async fn finish(&self, id: BatchId, announcement: &Announcement, outcomes: &[CommitOutcome]) -> Result<()>;
}

#[async_trait]
impl Destination for Warehouse {
    async fn announce(&self, id: BatchId, delta: &Delta, tables: &[AnnouncedTable]) -> Result<Announcement> {
        Warehouse::announce(self, id, delta.clone(), tables.to_vec()).await
    }

    async fn stage(&self, announcement: &Announcement, uri: &str, parts: Vec<Bytes>) -> Result<()> {
        Warehouse::stage(self, announcement, uri, parts).await
    }

    async fn write_batch(&self, id: BatchId, content: &[u8]) -> Result<()> {
        Warehouse::write_batch(self, id, content.to_vec()).await
    }

    async fn commit(&self, table: &str, intent: &Intent) -> Result<CommitOutcome> {
        Warehouse::commit(self, table, intent).await
    }

    async fn abandon(&self, id: BatchId) -> Result<()> {
        self.delete_batch(id).await
    }

    async fn finish(&self, id: BatchId, announcement: &Announcement, outcomes: &[CommitOutcome]) -> Result<()> {
        // Both at once: whichever is left when the process dies here, clean-up knows what to make of it.
        let (confirmed, deleted) =
            futures::future::join(self.confirm(announcement, outcomes), self.delete_batch(id)).await;
        confirmed.and(deleted)
    }
}
