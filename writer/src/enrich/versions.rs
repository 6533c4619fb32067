//! Which versions of device rules, geo database and reference data went into the rows of a commit.
//!
//! They stand in the snapshot's summary, so that a row can be made again: same record, same versions, same row. Usually
//! there is one version of each; a database that is replaced while a batch is open makes two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Key of a snapshot summary: data contracts in force, with their versions.
pub const CONTRACTS: &str = "icefold.contract-versions";
/// Key of a snapshot summary: version of the device rules.
pub const DEVICE_RULES: &str = "icefold.device-rules";
/// Key of a snapshot summary: type and build epoch of the geo database.
pub const GEO_DATABASE: &str = "icefold.geo-database";
/// Key of a snapshot summary: version of the reference data.
pub const REFERENCE: &str = "icefold.reference";

/// Stands for data that is configured but cannot be used: its columns are null.
pub const UNAVAILABLE: &str = "unavailable";

/// Most versions of one kind that a summary lists; a batch that sees more is cut short in it.
const MAX_LISTED: usize = 16;

/// Versions by summary key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions(BTreeMap<&'static str, BTreeSet<Arc<str>>>);

impl Versions {
    /// Notes a version.
    pub fn add(&mut self, key: &'static str, version: &Arc<str>) {
        let versions = self.0.entry(key).or_default();
        if versions.len() < MAX_LISTED && !versions.contains(version) {
            versions.insert(version.clone());
        }
    }

    /// Takes in what other rows were made with.
    pub fn merge(&mut self, other: Versions) {
        for (key, versions) in other.0 {
            versions.iter().for_each(|version| self.add(key, version));
        }
    }

    /// Returns the entries of a snapshot summary.
    pub fn summary(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.0.iter().map(|(key, versions)| {
            let listed: Vec<&str> = versions.iter().map(AsRef::as_ref).collect();
            ((*key).to_owned(), listed.join(","))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_lists_each_version_once() {
        let mut versions = Versions::default();
        for version in ["b", "a", "b"] {
            versions.add(GEO_DATABASE, &version.into());
        }
        let mut other = Versions::default();
        other.add(GEO_DATABASE, &"c".into());
        other.add(REFERENCE, &"7".into());
        versions.merge(other);
        let summary: BTreeMap<_, _> = versions.summary().collect();
        assert_eq!(summary[GEO_DATABASE], "a,b,c");
        assert_eq!(summary[REFERENCE], "7");
    }
}
