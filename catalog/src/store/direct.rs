//! Writing and syncing one new file, past the page cache when it is large.
//!
//! A writer streams data files that it never reads again. Through the page cache they would push out what readers need,
//! and each byte would be copied into a page that must be found first, which costs more processor time than the disk
//! does. So large files are written with direct I/O where the file system has it: from an aligned buffer, in whole
//! blocks; the rest of the last block is cut off again.

use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::path::Path;

use bytes::Bytes;

/// Files from this size on are written directly: data files, not the metadata that is read again soon.
const LARGE_FILE_BYTES: usize = 1 << 20;

/// Alignment that direct I/O wants of addresses, lengths and places, on every disk in use.
const BLOCK_BYTES: usize = 4096;

/// Bytes handed to the disk at once; a multiple of [`BLOCK_BYTES`].
const BUFFER_BYTES: usize = 1 << 20;

/// Writes `parts` one behind the other to the new file `path`, and syncs it.
///
/// # Errors
/// Those of the file system; `AlreadyExists` when there is such a file.
pub(super) fn write_parts(path: &Path, parts: &[Bytes]) -> Result<()> {
    let size: usize = parts.iter().map(Bytes::len).sum();
    let Some(file) = open_direct(path, size)? else {
        return write_through_cache(&File::create_new(path)?, parts);
    };
    match write_directly(&file, parts, size) {
        // Some file systems open a file for direct I/O and refuse it at the first write.
        Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => {
            write_through_cache(&OpenOptions::new().write(true).truncate(true).open(path)?, parts)
        }
        written => written,
    }
}

/// Opens a new file for direct I/O; `None` for a small file, and where the file system has no such thing.
#[cfg(target_os = "linux")]
fn open_direct(path: &Path, size: usize) -> Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;

    if size < LARGE_FILE_BYTES {
        return Ok(None);
    }
    let direct = rustix::fs::OFlags::DIRECT.bits() as i32;
    match OpenOptions::new().write(true).create_new(true).custom_flags(direct).open(path) {
        Ok(file) => Ok(Some(file)),
        // What a file system without direct I/O says; some have made the file by then.
        Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(None),
        },
        Err(e) => Err(e),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &Path, _: usize) -> Result<Option<File>> {
    Ok(None)
}

fn write_through_cache(mut file: &File, parts: &[Bytes]) -> Result<()> {
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

fn write_directly(mut file: &File, parts: &[Bytes], size: usize) -> Result<()> {
    // A slice of the memory that begins at a block.
    let mut memory = vec![0; BUFFER_BYTES + BLOCK_BYTES];
    let start = memory.as_ptr().align_offset(BLOCK_BYTES);
    let buffer = &mut memory[start..start + BUFFER_BYTES];
    let mut filled = 0;
    for mut part in parts.iter().map(Bytes::as_ref) {
        while !part.is_empty() {
            let taken = part.len().min(BUFFER_BYTES - filled);
            buffer[filled..filled + taken].copy_from_slice(&part[..taken]);
            (filled, part) = (filled + taken, &part[taken..]);
            if filled == BUFFER_BYTES {
                file.write_all(buffer)?;
                filled = 0;
            }
        }
    }
    let whole_blocks = filled.next_multiple_of(BLOCK_BYTES);
    buffer[filled..whole_blocks].fill(0);
    file.write_all(&buffer[..whole_blocks])?;
    file.set_len(size as u64)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_its_parts_whatever_their_sizes() {
        let folder = tempfile::tempdir().expect("folder");
        let sizes = [0, 1, BLOCK_BYTES, BUFFER_BYTES - 1, BUFFER_BYTES, 3 * BUFFER_BYTES + 5];
        for (i, first) in sizes.into_iter().enumerate() {
            for (j, second) in sizes.into_iter().enumerate() {
                let parts: Vec<Bytes> = [(first, 7), (second, 11)]
                    .map(|(size, step)| (0..size).map(|n| (n * step / 3) as u8).collect())
                    .to_vec();
                let path = folder.path().join(format!("{i}-{j}"));
                write_parts(&path, &parts).expect("writes");
                assert!(std::fs::read(&path).expect("reads") == parts.concat(), "{first} and {second} bytes");
            }
        }
    }

    #[test]
    fn a_file_that_is_there_stays() {
        let folder = tempfile::tempdir().expect("folder");
        for size in [1, 2 * LARGE_FILE_BYTES] {
            let path = folder.path().join(size.to_string());
            std::fs::write(&path, "first").expect("writes");
            let refused = write_parts(&path, &[vec![0; size].into()]).expect_err("there already");
            assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(&path).expect("reads"), b"first");
        }
    }
}
