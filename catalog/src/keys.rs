//! Names of what icefold writes into snapshot summaries and table properties.

/// Snapshot summary: the commit's identity.
pub const COMMIT_ID: &str = "icefold.commit-id";
/// Snapshot summary and table property: URI of the checkpoint object.
pub const CHECKPOINT: &str = "icefold.checkpoint";
/// Table property: snapshot that wrote the checkpoint of [`CHECKPOINT`].
pub const CHECKPOINT_SNAPSHOT_ID: &str = "icefold.checkpoint-snapshot-id";
/// Table property: sequence number of that snapshot.
pub const CHECKPOINT_SEQUENCE_NUMBER: &str = "icefold.checkpoint-sequence-number";
/// Begins the summary's counts of this commit.
pub const ADDED_PREFIX: &str = "icefold.added-";
/// Begins the summary's counts of all commits so far.
pub const TOTAL_PREFIX: &str = "icefold.total-";
/// Snapshot summary: version of this program.
pub const VERSION: &str = "icefold.version";
/// Table property of `events`: URI of the object with the data contracts in force.
pub const CONTRACTS: &str = "icefold.contracts";
/// Table property of `events`: these contracts with their versions, for people.
pub const CONTRACT_VERSIONS: &str = "icefold.contract-versions";
