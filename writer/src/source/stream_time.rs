//! The time of a shard's stream, which windows, partitions and retention follow.
//!
//! > `stream_time` of a record = max(`stream_time` before it in its shard, source time)
//!
//! Source time is when the source got the record: the broker's arrival, the time in a file's name or its modification time, the
//! reading of a pipe. What an event claims of itself has no part in it.

use std::time::Duration;

use icefold_core::ShardPosition;

/// How far source times may fall back without a word: uploads that overlap, clocks of several machines.
pub const QUIET_FALL_BACK: Duration = Duration::from_secs(5 * 60);

/// Where the time of a shard's stream stands.
///
/// Every source keeps one, asks it for the time of each chunk, and states that time in the chunk and in its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamTime {
    latest_micros: Option<i64>,
    fallen_back: bool,
}

impl StreamTime {
    /// Stands where `position` says, and no earlier than at `floor_micros`: the latest time of the shards that this one
    /// continues. Without either the first record sets it.
    pub fn after(position: Option<&ShardPosition>, floor_micros: Option<i64>) -> Self {
        let reached = position.and_then(|position| position.stream_time_micros);
        StreamTime { latest_micros: reached.max(floor_micros), fallen_back: false }
    }

    /// Returns the `stream_time` of records that the source got at `source_micros`, which come next. All times are in
    /// microseconds since 1970.
    pub fn advance(&mut self, source_micros: i64) -> i64 {
        let latest = self.latest_micros.map_or(source_micros, |latest| latest.max(source_micros));
        self.latest_micros = Some(latest);
        latest
    }

    /// Returns the time reached, if `source_micros` lies more than [`QUIET_FALL_BACK`] before it; once.
    pub fn falls_back_first(&mut self, source_micros: i64) -> Option<i64> {
        let latest = self.latest_micros.filter(|_| !self.fallen_back)?;
        let far = latest.saturating_sub(source_micros) > QUIET_FALL_BACK.as_micros() as i64;
        self.fallen_back = far;
        far.then_some(latest)
    }
}

#[cfg(test)]
mod tests {
    use icefold_core::Offset;

    use super::*;

    #[test]
    fn it_never_goes_back() {
        let mut time = StreamTime::after(None, None);
        let times = [5, 3, 7, i64::MIN, 7, 8].map(|source| time.advance(source));
        assert_eq!(times, [5, 5, 7, 7, 7, 8]);
    }

    #[test]
    fn it_begins_where_the_shard_or_the_latest_of_its_parents_stood() {
        let at = |time| ShardPosition { stream_time_micros: time, ..ShardPosition::at(Offset::start()) };
        for (position, floor, first) in [
            (None, None, -9),
            (Some(at(None)), None, -9),
            (None, Some(4), 4),
            (Some(at(Some(6))), None, 6),
            (Some(at(Some(6))), Some(4), 6),
            (Some(at(Some(6))), Some(8), 8),
            (Some(at(None)), Some(8), 8),
        ] {
            assert_eq!(StreamTime::after(position.as_ref(), floor).advance(-9), first, "{position:?} {floor:?}");
        }
    }

    #[test]
    fn a_fall_back_of_more_than_minutes_is_told_once() {
        let (start, minute) = (1_795_348_800_000_000, 60_000_000);
        let mut time = StreamTime::after(None, None);
        assert_eq!(time.falls_back_first(start), None, "there is nothing before it");
        time.advance(start);
        assert_eq!(time.falls_back_first(start - 5 * minute), None);
        assert_eq!(time.falls_back_first(start - 5 * minute - 1), Some(start));
        assert_eq!(time.falls_back_first(i64::MIN), None, "told already");
    }
}
