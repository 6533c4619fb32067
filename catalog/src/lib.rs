//! Iceberg table state and **every** commit to it.
//!
//! `iceberg` supplies format, metadata builder and manifest writers; its own commit path can append a batch twice after a
//! lost reply, so snapshots are produced and the metadata pointer is swapped here. The flow of a commit:
//!
//! ```text
//! Intent ─▶ load(table) ─▶ resolve(intent, base) ─▶ produce snapshot ─▶ swap pointer ─▶ CommitOutcome
//!               ▲                                                         │
//!               └────────── conflict, lost reply: look before acting ◀────┘
//! ```
//!
//! * [`intent`]: what a committer wants, and how it ends. [`resolve`]: the pure decision. [`commit`]: the loop around it.
//! * `produce`: the snapshot producer; [`summary`], [`manifest_merge`] and [`retention`] are its pure parts.
//! * [`checkpoint`] and [`lineage`]: where a table stands in the stream, through expiry, roll-back and foreign commits;
//!   [`adopt`]: how a person says where it stands. `metadata`: metadata files and their clock.
//! * [`mod@pointer`]: the swap, per catalog service. [`store`]: objects, per storage service.
//! * [`table`] and [`warehouse`]: reading and creating tables; `voided`: manifests after a partition field was dropped. [`stage`]: what is being uploaded.
//! * [`batch`]: what several tables get by one decision, written ahead. [`retired`]: message ids of rows whose files are gone.
//! * [`expire`]: removing snapshots. [`verify`]: invariants W1, W2, T1, T2, K3 on the real tables; [`level`]: W3.
//! * [`upstream`]: the same tables through `iceberg`'s own `Catalog` trait.
//!
//! Invariants kept here: W1 and K2 by `resolve`, K1 by the ancestry look-up, K3 by
//! [`Checkpoint::advance`](icefold_core::Checkpoint::advance), T1 by unique paths and `resolve`, T2 by write-before-swap,
//! T3 by immutability, C2 and D1 by data sequence numbers.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests meet the real world where it is their subject"))]

pub mod adopt;
mod amend;
pub mod batch;
pub mod checkpoint;
pub mod commit;
pub mod contracts;
pub mod evolve;
pub mod expire;
pub mod intent;
pub mod keys;
pub mod level;
pub mod lineage;
pub mod manifest_merge;
mod metadata;
pub mod pointer;
mod produce;
pub mod resolve;
pub mod retention;
pub mod retired;
pub mod settings;
pub mod stage;
pub mod store;
pub mod summary;
pub mod table;
pub mod upstream;
pub mod verify;
mod voided;
pub mod warehouse;

pub use adopt::Candidate;
pub use batch::{Batch, BatchFile};
pub use checkpoint::Progress;
pub use evolve::{SchemaChange, WantedColumn};
pub use intent::{BatchPart, CommitOutcome, Conflict, Fence, Intent, IntentKind, NewFile, Recount, Role, RowFilter};
pub use pointer::{Pointer, PointerStore, SwapError, TableName};
pub use retired::{Retired, RetiredId, Retirement, Settled};
pub use settings::{CommitSettings, RetentionSettings, S3Settings, Settings};
pub use stage::{AnnouncedTable, Announcement};
pub use store::{ObjectInfo, Store};
pub use table::{LiveFile, LoadedTable, TableDefinition};
pub use upstream::UpstreamCatalog;
pub use warehouse::Warehouse;
