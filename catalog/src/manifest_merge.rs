//! Which manifests to merge, so that their number stays bounded and a commit's cost flat in the age of the table.
//!
//! Manifests of one content and one partition spec form tiers by the number of their live files: tier `t` holds
//! `factor^t` up to `factor^(t+1)` files. When a tier has `factor` manifests they become one of the next tier, so every
//! entry is rewritten once per tier: the count of manifests and the mean cost of a commit grow with the logarithm of the
//! number of files, and the median commit merges nothing. A manifest of `target_bytes` is full and stays as it is.

use std::collections::BTreeMap;

use crate::settings::CommitSettings;

/// What the plan needs to know of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestSize {
    /// Manifests merge only with the same group (content and partition spec).
    pub group: (u8, i32),
    /// Live files in it.
    pub files: u64,
    /// Its size.
    pub bytes: u64,
}

/// Returns groups of indices into `manifests`; each group of at least two becomes one manifest.
pub fn plan(manifests: &[ManifestSize], settings: &CommitSettings) -> Vec<Vec<usize>> {
    let factor = u64::from(settings.manifest_merge_factor);
    let mut tiers: BTreeMap<((u8, i32), u32), Vec<usize>> = BTreeMap::new();
    for (index, m) in manifests.iter().enumerate() {
        if m.bytes < settings.target_manifest_bytes {
            tiers.entry((m.group, m.files.max(1).ilog(factor))).or_default().push(index);
        }
    }
    tiers.into_values().filter(|tier| tier.len() as u64 >= factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(factor: u32) -> CommitSettings {
        CommitSettings { manifest_merge_factor: factor, target_manifest_bytes: 1 << 40, ..CommitSettings::default() }
    }

    /// Commits `commits` times, a manifest of one file each, and returns the largest number of manifests seen and the
    /// number of entries rewritten in total.
    fn run(commits: u64, settings: &CommitSettings) -> (usize, u64) {
        let (mut manifests, mut most, mut rewritten) = (Vec::new(), 0, 0);
        for _ in 0..commits {
            for group in plan(&manifests, settings) {
                let files = group.iter().map(|i| manifests[*i].files).sum();
                rewritten += files;
                let mut index = 0;
                manifests.retain(|_| {
                    index += 1;
                    !group.contains(&(index - 1))
                });
                manifests.push(ManifestSize { group: (0, 0), files, bytes: files });
            }
            manifests.push(ManifestSize { group: (0, 0), files: 1, bytes: 1 });
            most = most.max(manifests.len());
        }
        (most, rewritten)
    }

    #[test]
    fn manifests_stay_few_and_each_entry_is_rewritten_once_per_tier() {
        let (most, rewritten) = run(20_000, &settings(8));
        assert!(most <= 8 * 6, "{most} manifests after 20,000 commits");
        assert!(rewritten <= 20_000 * 6, "{rewritten} entries rewritten");
    }

    #[test]
    fn another_content_or_spec_is_not_merged() {
        let m = |group| ManifestSize { group, files: 1, bytes: 1 };
        assert!(plan(&[m((0, 0)), m((1, 0)), m((0, 1))], &settings(2)).is_empty());
        assert_eq!(plan(&[m((0, 0)), m((1, 0)), m((0, 0))], &settings(2)), [[0, 2]]);
    }

    #[test]
    fn a_full_manifest_stays() {
        let full = ManifestSize { group: (0, 0), files: 1, bytes: 100 };
        let settings = CommitSettings { target_manifest_bytes: 100, ..settings(2) };
        assert!(plan(&[full; 10], &settings).is_empty());
    }
}
