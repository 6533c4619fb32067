//! Settings of the catalog crate.

use std::time::Duration;

use icefold_core::bounds::{self, GIB};
use icefold_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Most attempts of a commit: one that lost so often is starved, not unlucky.
const MAX_ATTEMPTS: u64 = 1_000;
/// Longest time of a commit, a day: who waits for one has gone by then.
const MAX_TIMEOUT_SECONDS: u64 = 24 * 60 * 60;
/// Longest pause between attempts, a minute: what it waits for, another commit, takes seconds.
const MAX_BACKOFF_MS: u64 = 60_000;
/// Most manifests that are merged into one: each is read for it.
const MAX_MANIFEST_MERGE_FACTOR: u64 = 1_000;
/// Most newest snapshots: each stands in the metadata file, which every commit reads and writes.
const MAX_NEWEST_SNAPSHOTS: u64 = 100_000;
/// Most hours of hourly snapshots, ten years, for the same reason.
const MAX_HOURLY_FOR_HOURS: u64 = 10 * 366 * 24;

/// Where the tables are and how commits behave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Folder, `file://` URL or `s3://bucket/prefix` that holds the tables. Default `./icefold-data`: a laptop needs
    /// nothing else.
    pub warehouse: String,
    /// Where the pointers to the tables' metadata live: `sqlite:PATH` or `postgres://…`. Default: `catalog.db` inside a
    /// local warehouse, `./icefold-data/catalog.db` for a remote one.
    pub catalog: Option<String>,
    /// Iceberg namespace (Glue: database) of the tables. Default `icefold`.
    pub namespace: String,
    /// Access to S3 and to what speaks its protocol.
    pub s3: S3Settings,
    /// The commit loop.
    pub commit: CommitSettings,
    /// How much of the snapshot history stays.
    pub retention: RetentionSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            warehouse: "./icefold-data".to_owned(),
            catalog: None,
            namespace: "icefold".to_owned(),
            s3: S3Settings::default(),
            commit: CommitSettings::default(),
            retention: RetentionSettings::default(),
        }
    }
}

impl Settings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) naming key, value and remedy.
    pub fn validate(&self) -> Result<()> {
        let simple = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !simple(&self.namespace) {
            return Err(Error::invalid(format!(
                "namespace `{}` is refused: use letters, digits and underscores, as Glue and Athena ask for",
                self.namespace
            )));
        }
        self.commit.validate()?;
        self.retention.validate()
    }
}

/// Access to S3. What is not set here comes from the usual `AWS_*` variables and instance roles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Settings {
    /// Endpoint of a server that speaks the S3 protocol; unset for AWS itself.
    pub endpoint: Option<String>,
    /// Region, for example `eu-central-1`.
    pub region: Option<String>,
    /// Access key id; prefer roles on AWS.
    pub access_key_id: Option<String>,
    /// Secret access key; never printed.
    pub secret_access_key: Option<String>,
    /// Allow `http://` endpoints (a server on this machine). Default false.
    pub allow_http: bool,
}

/// How the commit loop behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommitSettings {
    /// Attempts before a commit gives up. Default 20: each lost race costs one, and a table has few committers. 1 to 1,000: one
    /// that lost so often is starved, not unlucky.
    #[serde(deserialize_with = "bounds::clamped")]
    pub max_attempts: u32,
    /// Time before a commit gives up, in seconds. Default 120: two minutes is the freshness objective. 1 to 86,400, a day: who
    /// waits for a commit has gone by then.
    pub timeout_seconds: u64,
    /// First pause after a failed attempt, in milliseconds; doubles up to `max_backoff_ms`. Default 50. At most 60,000, a minute:
    /// what it waits for takes seconds. 0 does not pause.
    pub initial_backoff_ms: u64,
    /// Longest pause between attempts, in milliseconds. Default 5,000. At most 60,000, as the first one.
    pub max_backoff_ms: u64,
    /// Manifests of about equal size that are merged into one, 2 to 1,000 since each is read for it. Default 8: the number of
    /// manifests then grows with the logarithm of the number of files.
    #[serde(deserialize_with = "bounds::clamped")]
    pub manifest_merge_factor: u32,
    /// A manifest of this many bytes is full and is not merged any more. Default 8 MiB, as in Iceberg Java. 1 byte to 1 GiB: it is
    /// held in memory to be merged.
    pub target_manifest_bytes: u64,
}

impl Default for CommitSettings {
    fn default() -> Self {
        CommitSettings {
            max_attempts: 20,
            timeout_seconds: 120,
            initial_backoff_ms: 50,
            max_backoff_ms: 5_000,
            manifest_merge_factor: 8,
            target_manifest_bytes: 8 * 1024 * 1024,
        }
    }
}

impl CommitSettings {
    fn validate(&self) -> Result<()> {
        let (attempts, factor) = (u64::from(self.max_attempts), u64::from(self.manifest_merge_factor));
        bounds::check_all([
            ("commit.max_attempts", attempts, 1..=MAX_ATTEMPTS),
            ("commit.timeout_seconds", self.timeout_seconds, 1..=MAX_TIMEOUT_SECONDS),
            ("commit.initial_backoff_ms", self.initial_backoff_ms, 0..=MAX_BACKOFF_MS),
            ("commit.max_backoff_ms", self.max_backoff_ms, 0..=MAX_BACKOFF_MS),
            ("commit.manifest_merge_factor", factor, 2..=MAX_MANIFEST_MERGE_FACTOR),
            ("commit.target_manifest_bytes", self.target_manifest_bytes, 1..=GIB),
        ])
    }

    /// Returns the pause before attempt `attempt` (the first attempt is 0 and has none).
    pub fn backoff(&self, attempt: u32) -> Duration {
        match attempt {
            0 => Duration::ZERO,
            n => {
                let doubled = self.initial_backoff_ms.saturating_mul(1 << (n - 1).min(16));
                Duration::from_millis(doubled.min(self.max_backoff_ms))
            }
        }
    }
}

/// How much of the snapshot history stays; applied with each commit. The current snapshot, the one that holds the
/// newest checkpoint, and everything a tag or branch points at always stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// Newest snapshots that stay. Default 100: a lost reply is looked up among them. 2 to 100,000: the current one and its parent
    /// must stay, and each stands in the metadata file, which every commit reads and writes.
    pub newest_snapshots: usize,
    /// Beyond those, the last snapshot of each hour stays for this many hours. Default 168, a week. At most 87,840, ten years: each
    /// stands in the metadata file.
    pub hourly_for_hours: u64,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        RetentionSettings { newest_snapshots: 100, hourly_for_hours: 168 }
    }
}

impl RetentionSettings {
    fn validate(&self) -> Result<()> {
        bounds::check_all([
            ("retention.newest_snapshots", self.newest_snapshots as u64, 2..=MAX_NEWEST_SNAPSHOTS),
            ("retention.hourly_for_hours", self.hourly_for_hours, 0..=MAX_HOURLY_FOR_HOURS),
        ])
    }
}
