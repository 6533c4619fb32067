//! Thinning of the snapshot history: newest N, then the last of each hour.
//!
//! Applied with each commit, so that the metadata file, which every commit reads and writes whole, stays small however
//! old the table is. Files that no snapshot reaches any more are left for later clean-up: a reader may still be at work.

use std::collections::BTreeSet;

use crate::settings::RetentionSettings;

/// What thinning needs to know of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotAge {
    /// Its id.
    pub id: i64,
    /// Its sequence number, the order of the history.
    pub sequence_number: i64,
    /// When it was made.
    pub timestamp_ms: i64,
}

const HOUR_MS: i64 = 3_600_000;

/// Returns the ids to remove from the history, in the order of `snapshots`. Ids in `pinned` (current, newest checkpoint,
/// tags and branches) always stay.
pub fn thin(snapshots: &[SnapshotAge], pinned: &BTreeSet<i64>, now_ms: i64, settings: &RetentionSettings) -> Vec<i64> {
    let mut newest_first: Vec<SnapshotAge> = snapshots.to_vec();
    newest_first.sort_by_key(|s| std::cmp::Reverse(s.sequence_number));
    let horizon = now_ms.saturating_sub((settings.hourly_for_hours as i64).saturating_mul(HOUR_MS));
    let mut kept_hours = BTreeSet::new();
    let mut remove = BTreeSet::new();
    for (rank, s) in newest_first.iter().enumerate() {
        // Every snapshot claims its hour, also one that stays for another reason: newest first, so the last of an hour.
        let last_of_hour = kept_hours.insert(s.timestamp_ms.div_euclid(HOUR_MS));
        let stays =
            rank < settings.newest_snapshots || pinned.contains(&s.id) || (last_of_hour && s.timestamp_ms >= horizon);
        if !stays {
            remove.insert(s.id);
        }
    }
    snapshots.iter().map(|s| s.id).filter(|id| remove.contains(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(count: i64, every_ms: i64) -> Vec<SnapshotAge> {
        (1..=count).map(|n| SnapshotAge { id: n, sequence_number: n, timestamp_ms: n * every_ms }).collect()
    }

    #[test]
    fn newest_n_then_the_last_of_each_hour_stay() {
        let all = history(600, 60_000); // ten hours, one a minute
        let settings = RetentionSettings { newest_snapshots: 30, hourly_for_hours: 5 };
        let removed = thin(&all, &BTreeSet::new(), 600 * 60_000, &settings);
        let kept: Vec<i64> = all.iter().map(|s| s.id).filter(|id| !removed.contains(id)).collect();
        let hourly: Vec<i64> = kept.iter().copied().filter(|id| *id <= 570).collect();
        assert_eq!(hourly, [359, 419, 479, 539], "the last of each hour inside the horizon");
        assert_eq!(kept.len(), 30 + hourly.len());
    }

    #[test]
    fn what_is_pinned_stays_however_old() {
        let all = history(100, 1);
        let settings = RetentionSettings { newest_snapshots: 2, hourly_for_hours: 0 };
        let removed = thin(&all, &BTreeSet::from([1, 50]), 1 << 50, &settings);
        assert_eq!(removed.len(), 96);
        assert!(!removed.contains(&1) && !removed.contains(&50) && !removed.contains(&100));
    }

    #[test]
    fn thinning_twice_removes_nothing_more() {
        let all = history(500, 60_000);
        let settings = RetentionSettings { newest_snapshots: 10, hourly_for_hours: 100 };
        let removed = thin(&all, &BTreeSet::new(), 500 * 60_000, &settings);
        let left: Vec<SnapshotAge> = all.into_iter().filter(|s| !removed.contains(&s.id)).collect();
        assert_eq!(thin(&left, &BTreeSet::new(), 500 * 60_000, &settings), Vec::<i64>::new());
    }
}
