//! Deals the files of a scan out to partitions, so that all cores work, also on one file.
//!
//! A file may be read in pieces: byte ranges that do not overlap, each row group belonging to the range that it starts in.
//! Idle partitions take pieces from busy ones while the query runs, so pieces only have to be small enough, not equal.

use std::cmp::Reverse;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;

use crate::scan::ScanFile;

/// Pieces for each partition that are enough for idle partitions to find work.
const PIECES_PER_PARTITION: usize = 4;

/// Files are not cut into smaller pieces than this: opening a piece costs about as much as reading it.
const MIN_PIECE_BYTES: u64 = 1 << 20;

/// Deals `files` out to at most `partitions` groups of about equal size.
pub(crate) fn split(files: Vec<ScanFile>, partitions: usize) -> Vec<FileGroup> {
    let wanted = partitions.max(1) * PIECES_PER_PARTITION;
    let total: u64 = files.iter().map(|file| file.file.object_meta.size).sum();
    let piece_bytes = (total / wanted as u64).max(MIN_PIECE_BYTES);
    let pieces = match partitions > 1 && files.len() < wanted {
        true => files.into_iter().flat_map(|file| cut(file, piece_bytes)).collect(),
        false => files.into_iter().map(|file| file.file).collect(),
    };
    deal(pieces, partitions.max(1))
}

/// Cuts a file at starts of row groups, or evenly when they are not known.
fn cut(file: ScanFile, piece_bytes: u64) -> Vec<PartitionedFile> {
    let size = file.file.object_meta.size;
    if size < 2 * piece_bytes {
        return vec![file.file];
    }
    let mut edges = vec![0];
    for start in starts(&file.row_group_offsets, size, piece_bytes) {
        if start - edges[edges.len() - 1] >= piece_bytes && size - start >= MIN_PIECE_BYTES {
            edges.push(start);
        }
    }
    edges.push(size);
    edges.windows(2).map(|edge| file.file.clone().with_range(edge[0] as i64, edge[1] as i64)).collect()
}

fn starts(row_group_offsets: &[i64], size: u64, piece_bytes: u64) -> Vec<u64> {
    let mut known: Vec<u64> = row_group_offsets.iter().filter_map(|o| u64::try_from(*o).ok()).collect();
    if known.is_empty() {
        return (1..size / piece_bytes).map(|n| n * piece_bytes).collect();
    }
    known.sort_unstable();
    known.retain(|start| *start > 0 && *start < size);
    known
}

/// Gives the largest piece first, always to the group with the fewest bytes.
fn deal(mut pieces: Vec<PartitionedFile>, partitions: usize) -> Vec<FileGroup> {
    pieces.sort_by_key(|piece| Reverse(piece.effective_size()));
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![(0, Vec::new()); partitions.min(pieces.len())];
    for piece in pieces {
        if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += piece.effective_size();
            group.push(piece);
        }
    }
    groups.into_iter().map(|(_, group)| FileGroup::new(group)).collect()
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat};
    use icefold_catalog::{LiveFile, Store};

    use super::*;
    use crate::files::Place;

    const MIB: u64 = 1 << 20;

    fn file(name: &str, size: u64, offsets: &[u64]) -> ScanFile {
        let file = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(format!("memory:///{name}"))
            .file_format(DataFileFormat::Parquet)
            .record_count(1)
            .file_size_in_bytes(size)
            .split_offsets(Some(offsets.iter().map(|o| *o as i64).collect()))
            .build()
            .expect("file");
        let live = LiveFile { file, spec_id: 0, snapshot_id: 1, data_sequence_number: 1, file_sequence_number: 1 };
        ScanFile::of_data(&Place::new(Store::in_memory()).expect("place"), &live, 0).expect("parquet")
    }

    /// Checks that each byte of each file is in one piece; returns the bytes of each group.
    fn group_bytes(files: Vec<ScanFile>, partitions: usize) -> Vec<u64> {
        let sizes: Vec<(String, u64)> =
            files.iter().map(|f| (f.file.path().to_string(), f.file.object_meta.size)).collect();
        let groups = split(files, partitions);
        for (name, size) in sizes {
            let pieces = groups.iter().flat_map(FileGroup::iter).filter(|f| f.path().to_string() == name);
            let mut ranges: Vec<_> = pieces.map(PartitionedFile::range).collect();
            ranges.sort_unstable();
            assert_eq!(ranges.iter().fold(0, |end, range| if range.0 == end { range.1 } else { u64::MAX }), size);
        }
        groups.iter().map(|g| g.iter().map(PartitionedFile::effective_size).sum()).collect()
    }

    #[test]
    fn a_file_is_cut_at_its_row_groups() {
        let offsets: Vec<u64> = (0..8).map(|n| 4 + n * 10 * MIB).collect();
        assert_eq!(group_bytes(vec![file("a", 80 * MIB, &offsets)], 2), [40 * MIB; 2]);
        let groups = split(vec![file("a", 80 * MIB, &offsets)], 2);
        assert!(groups.iter().flat_map(FileGroup::iter).all(|f| f.range().0 == 0 || offsets.contains(&f.range().0)));
        assert_eq!(group_bytes(vec![file("a", 80 * MIB, &offsets)], 1), [80 * MIB]);
    }

    #[test]
    fn a_file_of_unknown_row_groups_is_cut_evenly() {
        let groups = group_bytes(vec![file("a", 64 * MIB, &[])], 4);
        assert_eq!(groups, [16 * MIB; 4]);
    }

    #[test]
    fn small_files_stay_whole_and_are_dealt_by_size() {
        let sizes = [5, 3, 3, 2, 2, 1];
        let files = sizes.iter().enumerate().map(|(i, size)| file(&i.to_string(), size * 1000, &[4])).collect();
        assert_eq!(group_bytes(files, 2), [8000, 8000]);
    }

    #[test]
    fn damaged_offsets_lose_nothing() {
        group_bytes(vec![file("a", 64 * MIB, &[90 * MIB, 30 * MIB, 30 * MIB, 4])], 4);
        group_bytes(vec![file("a", 64 * MIB, &[64 * MIB - 1])], 4);
    }

    #[test]
    fn there_are_no_more_groups_than_pieces() {
        assert_eq!(group_bytes(vec![file("a", 10, &[])], 8).len(), 1);
        assert!(split(Vec::new(), 8).is_empty());
    }
}
