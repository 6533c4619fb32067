//! The counts in a snapshot's summary: what the commit changed, and the totals that Redshift and others require.
//!
//! Names are those of the Iceberg spec, appendix F "Optional Snapshot Summary Fields".

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::{DataContentType, DataFile};
use icefold_core::Result;

use crate::intent::NewFile;
use crate::lineage::summary;
use crate::table::{LiveFile, LoadedTable};

/// Files, rows and bytes of some set of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    data_files: i64,
    delete_files: i64,
    records: i64,
    bytes: i64,
    position_deletes: i64,
    equality_deletes: i64,
}

/// Names of the totals; every one of them stands in every summary.
const TOTAL_NAMES: [&str; 6] = [
    "total-data-files",
    "total-delete-files",
    "total-records",
    "total-files-size",
    "total-position-deletes",
    "total-equality-deletes",
];

impl Totals {
    fn values(&self) -> [i64; 6] {
        [self.data_files, self.delete_files, self.records, self.bytes, self.position_deletes, self.equality_deletes]
    }

    fn from_values(v: [i64; 6]) -> Self {
        Totals {
            data_files: v[0],
            delete_files: v[1],
            records: v[2],
            bytes: v[3],
            position_deletes: v[4],
            equality_deletes: v[5],
        }
    }

    /// Counts a set of files.
    pub fn of<'a>(files: impl Iterator<Item = &'a DataFile>) -> Self {
        let mut totals = Totals::default();
        for file in files {
            let rows = file.record_count() as i64;
            totals.bytes += file.file_size_in_bytes() as i64;
            match file.content_type() {
                DataContentType::Data => {
                    totals.data_files += 1;
                    totals.records += rows;
                }
                DataContentType::PositionDeletes => {
                    totals.delete_files += 1;
                    totals.position_deletes += rows;
                }
                DataContentType::EqualityDeletes => {
                    totals.delete_files += 1;
                    totals.equality_deletes += rows;
                }
            }
        }
        totals
    }

    /// Returns the totals under their names.
    pub fn summary(&self) -> impl Iterator<Item = (String, String)> {
        TOTAL_NAMES.iter().zip(self.values()).map(|(name, v)| ((*name).to_owned(), v.to_string()))
    }
}

/// Counts the rows in the data files among `files`.
pub(crate) fn rows<'a>(files: impl Iterator<Item = &'a DataFile>) -> i64 {
    Totals::of(files).records
}

/// What a commit adds and removes.
#[derive(Debug)]
pub struct Change {
    added: Totals,
    removed: Totals,
    partitions: usize,
}

impl Change {
    /// Counts a commit's files.
    pub fn of(added: &[NewFile], removed: &[LiveFile]) -> Self {
        let partition = |spec: i32, file: &DataFile| (spec, format!("{:?}", file.partition()));
        let partitions: BTreeSet<_> = added
            .iter()
            .map(|f| partition(f.spec_id, &f.file))
            .chain(removed.iter().map(|f| partition(f.spec_id, &f.file)))
            .collect();
        Change {
            added: Totals::of(added.iter().map(|f| &f.file)),
            removed: Totals::of(removed.iter().map(|f| &f.file)),
            partitions: partitions.len(),
        }
    }

    /// Returns the counts under their names; zeros are left out, as the spec's other writers do.
    pub fn summary(&self) -> BTreeMap<String, String> {
        let (a, r) = (&self.added, &self.removed);
        let named = [
            ("added-data-files", a.data_files),
            ("deleted-data-files", r.data_files),
            ("added-delete-files", a.delete_files),
            ("removed-delete-files", r.delete_files),
            ("added-records", a.records),
            ("deleted-records", r.records),
            ("added-files-size", a.bytes),
            ("removed-files-size", r.bytes),
            ("added-position-deletes", a.position_deletes),
            ("removed-position-deletes", r.position_deletes),
            ("added-equality-deletes", a.equality_deletes),
            ("removed-equality-deletes", r.equality_deletes),
            ("changed-partition-count", self.partitions as i64),
        ];
        named.iter().filter(|(_, v)| *v != 0).map(|(k, v)| ((*k).to_owned(), v.to_string())).collect()
    }
}

/// Returns the totals after `change`: the base's, from its summary or, when another engine left some out, counted.
///
/// # Errors
/// Errors of the store.
pub async fn totals(base: &LoadedTable, change: &Change) -> Result<Totals> {
    let before = match base.metadata().current_snapshot() {
        None => Totals::default(),
        Some(snapshot) => {
            let stated: Option<Vec<i64>> =
                TOTAL_NAMES.iter().map(|name| summary(snapshot, name)?.parse().ok()).collect();
            match stated.and_then(|v| v.try_into().ok()) {
                Some(values) => Totals::from_values(values),
                None => Totals::of(base.live_files(snapshot).await?.iter().map(|f| &f.file)),
            }
        }
    };
    let (b, a, r) = (before.values(), change.added.values(), change.removed.values());
    Ok(Totals::from_values(std::array::from_fn(|i| b[i] + a[i] - r[i])))
}
