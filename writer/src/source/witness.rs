//! What a source remembers of what lies behind its position, to refuse what has changed there.
//!
//! A [`Witness`] travels as a short JSON string in [`ShardPosition::witness`](icefold_core::ShardPosition). Its size
//! does not depend on how much was read: finished files are folded into one sum.

use icefold_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// The form that this program writes. A change of the fields' meaning takes the next number.
const VERSION: u32 = 2;

/// What lies behind a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Witness {
    /// The files that were read to their end.
    pub(super) finished: Finished,
    /// Fingerprint of what was read of the current file.
    pub(super) fingerprint: u128,
    /// The last record was the end of the content and had no line break.
    pub(super) open_line: bool,
}

/// The set of files that were read to their end.
///
/// The digest is the sum, modulo 2^128, of the xxh3-128 of each name and stored size. A sum does not depend on the
/// order, and a listing comes in any order: so a listing of any length is checked in one go and in constant memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Finished {
    /// How many.
    pub(super) files: u64,
    digest: u128,
    /// The newest modification time among them, to find out later which file is newer than what was read.
    pub(super) newest_micros: i64,
}

impl Finished {
    /// Adds a file.
    pub(super) fn add(&mut self, name: &str, stored_bytes: u64, modified_micros: i64) {
        let mut hasher = Xxh3::new();
        hasher.update(name.as_bytes());
        hasher.update(&[0]);
        hasher.update(&stored_bytes.to_le_bytes());
        self.newest_micros = if self.files == 0 { modified_micros } else { self.newest_micros.max(modified_micros) };
        self.files += 1;
        self.digest = self.digest.wrapping_add(hasher.digest128());
    }

    /// Tells whether both are the same files with the same sizes. Modification times are not compared: copying or
    /// touching a file does not change what was read.
    pub(super) fn same_files(&self, other: &Finished) -> bool {
        self.files == other.files && self.digest == other.digest
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    v: u32,
    files: u64,
    digest: String,
    newest: i64,
    prefix: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    open: bool,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

impl Witness {
    /// Writes it as one line of JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`], when JSON cannot be written.
    pub(super) fn encode(&self) -> Result<String> {
        let written = Written {
            v: VERSION,
            files: self.finished.files,
            digest: format!("{:032x}", self.finished.digest),
            newest: self.finished.newest_micros,
            prefix: format!("{:032x}", self.fingerprint),
            open: self.open_line,
        };
        serde_json::to_string(&written).map_err(|e| Error::bug("a witness could not be written").because(e))
    }

    /// Reads what [`Witness::encode`] wrote.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when a program that knows another form wrote it, [`ErrorKind::Corrupt`] when it is not a witness.
    pub(super) fn decode(text: &str) -> Result<Witness> {
        let unreadable = || Error::corrupt(format!("the witness of a source position cannot be read: `{text}`"));
        let version = serde_json::from_str::<VersionOnly>(text).map_err(|e| unreadable().because(e))?.v;
        if version != VERSION {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the source position was written in form {version}, this program knows form {VERSION}: use the program that wrote it"
                ),
            ));
        }
        let written: Written = serde_json::from_str(text).map_err(|e| unreadable().because(e))?;
        let hex = |digits: &str| u128::from_str_radix(digits, 16).map_err(|e| unreadable().because(e));
        Ok(Witness {
            finished: Finished { files: written.files, digest: hex(&written.digest)?, newest_micros: written.newest },
            fingerprint: hex(&written.prefix)?,
            open_line: written.open,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness() -> Witness {
        let mut finished = Finished::default();
        finished.add("a", 1, -5);
        finished.add("b", u64::MAX, 7);
        Witness { finished, fingerprint: 3, open_line: true }
    }

    #[test]
    fn a_witness_survives_writing_and_is_short() {
        let text = witness().encode().expect("json");
        assert_eq!(Witness::decode(&text).expect("reads"), witness());
        assert!(text.len() < 256, "{text}");
    }

    #[test]
    fn a_witness_of_another_form_is_refused_and_garbage_is_corrupt() {
        for other in ["\"v\":1", "\"v\":3"] {
            let text = witness().encode().expect("json").replace("\"v\":2", other);
            assert_eq!(Witness::decode(&text).expect_err(other).kind(), ErrorKind::InvalidInput);
        }
        for garbage in ["", "{}", "{\"v\":2}", "null"] {
            assert_eq!(Witness::decode(garbage).expect_err(garbage).kind(), ErrorKind::Corrupt, "{garbage}");
        }
    }

    #[test]
    fn finished_files_are_the_same_in_any_order_and_differ_by_name_and_size() {
        let set = |files: &[(&str, u64)]| {
            let mut finished = Finished::default();
            files.iter().for_each(|(name, bytes)| finished.add(name, *bytes, 0));
            finished
        };
        let read = set(&[("a", 1), ("b", 2)]);
        assert!(read.same_files(&set(&[("b", 2), ("a", 1)])));
        for other in [&[("a", 1)][..], &[("a", 2), ("b", 1)], &[("a", 1), ("c", 2)], &[("a", 1), ("b", 2), ("b", 2)]] {
            assert!(!read.same_files(&set(other)), "{other:?}");
        }
    }
}
