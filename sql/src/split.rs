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
