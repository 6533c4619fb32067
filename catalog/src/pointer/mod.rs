//! The pointer to a table's metadata, and the one operation that makes commits atomic: swap it if it is still what it was.
//!
//! A [`PointerStore`] is what a catalog service must offer. [`memory`] serves tests and simulation, [`sql`] SQLite and
//! Postgres; the trait leaves room for AWS Glue (the version token is Glue's `VersionId`) and S3 Tables (its
//! `versionToken`). Every implementer passes [`conformance`].

pub mod conformance;
pub mod memory;
pub mod sql;

use async_trait::async_trait;
use icefold_core::{Error, Result};

/// Namespace and name of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// Namespace (Glue: database).
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.namespace, self.name)
    }
}

/// Where a table's metadata is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// URI of the metadata file.
    pub metadata_location: String,
    /// What the service wants to see again in a swap, where comparing the location is not enough (Glue `VersionId`).
    pub version_token: Option<String>,
}

impl Pointer {
    /// Makes a pointer of a service that compares locations.
    pub fn to(metadata_location: impl Into<String>) -> Self {
        Pointer { metadata_location: metadata_location.into(), version_token: None }
    }
}

/// Why a pointer was not swapped, or may not have been.
#[derive(Debug)]
pub enum SwapError {
    /// The pointer is not what was expected, or the table is gone; nothing was changed by this call.
    Conflict,
    /// It may have been swapped or may yet be: look before acting.
    Unknown(Error),
    /// The service said that nothing was changed and a later call may succeed.
    Transient(Error),
    /// The service will not do it.
    Refused(Error),
}

/// A catalog service, reduced to what a commit needs.
///
/// Duties of an implementer:
/// * [`swap`](PointerStore::swap) is atomic and linearizable per table: of two calls that expect the same pointer at
///   most one returns `Ok`, and a [`load`](PointerStore::load) that begins after it returned sees its result.
/// * `Conflict` is returned only when the call changed nothing *and never will*. Whatever is not known for sure (time-out,
///   lost connection, server error after sending) is `Unknown`.
/// * No retries inside `swap`: a retry that meets the success of its own first try would report a conflict.
#[async_trait]
pub trait PointerStore: std::fmt::Debug + Send + Sync {
    /// Returns the pointer of a table, `None` when there is no such table.
    ///
    /// # Errors
    /// `Transient`, `Refused`.
    async fn load(&self, table: &TableName) -> Result<Option<Pointer>>;

    /// Returns the names of the tables of a namespace in alphabetical order.
    ///
    /// # Errors
    /// `Transient`, `Refused`.
    async fn list(&self, namespace: &str) -> Result<Vec<String>>;

    /// Registers a table; `Conflict` when one of that name exists.
    async fn create(&self, table: &TableName, metadata_location: &str) -> Result<(), SwapError>;

    /// Replaces `expected` by `new_location`.
    async fn swap(&self, table: &TableName, expected: &Pointer, new_location: &str) -> Result<(), SwapError>;

    /// Forgets a table if its pointer is still `expected`; its objects stay.
    async fn drop_table(&self, table: &TableName, expected: &Pointer) -> Result<(), SwapError>;
}
