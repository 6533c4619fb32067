//! `md5`, `sha256`, `sha512` and `sha2` of text and bytes, as text of lower-case hexadecimal digits: Redshift, Spark and DuckDB give
//! them so. Athena gives bytes, so that `to_hex(md5(to_utf8(x)))` of Athena becomes `upper(md5(x))`, see `shapes`.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use icefold_core::Error;
use md5::Md5;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use super::rows::{Argument, RowFunction, Rows};
use crate::error::external;

/// The functions.
pub(super) const ALL: &[Digest] = &[Digest::Md5, Digest::Sha256, Digest::Sha512, Digest::Sha2];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Digest {
    Md5,
    Sha256,
    Sha512,
    /// By the number of bits.
    Sha2,
}

impl RowFunction for Digest {
    fn name(self) -> &'static str {
        match self {
            Digest::Md5 => "md5",
            Digest::Sha256 => "sha256",
            Digest::Sha512 => "sha512",
            Digest::Sha2 => "sha2",
        }
    }

    fn takes(self) -> (&'static [Argument], usize) {
        match self {
            Digest::Sha2 => (&[Argument::Bytes, Argument::Whole], 2),
            _ => (&[Argument::Bytes], 1),
        }
    }

    fn gives(self) -> DataType {
        DataType::Utf8
    }

    fn usage(self) -> &'static str {
        match self {
            Digest::Md5 => "text or bytes, for example md5(user_id)",
            Digest::Sha256 => "text or bytes, for example sha256(user_id)",
            Digest::Sha512 => "text or bytes, for example sha512(user_id)",
            Digest::Sha2 => "text or bytes and a number of bits, for example sha2(user_id, 256)",
        }
    }

    fn compute(self, rows: &Rows) -> Result<ArrayRef> {
        let answers: StringArray = rows.map(|rows, row| {
            let bytes = rows.bytes(0, row);
            match self {
                Digest::Md5 => Ok(Some(hex(&Md5::digest(bytes)))),
                Digest::Sha256 => Ok(Some(hex(&Sha256::digest(bytes)))),
                Digest::Sha512 => Ok(Some(hex(&Sha512::digest(bytes)))),
                Digest::Sha2 => sha2(bytes, rows.whole(1, row)).map(Some),
            }
        })?;
        Ok(Arc::new(answers))
    }
}

/// No bits are 256, as in Redshift and Spark.
fn sha2(bytes: &[u8], bits: i64) -> Result<String> {
    Ok(match bits {
        224 => hex(&Sha224::digest(bytes)),
        256 | 0 => hex(&Sha256::digest(bytes)),
        384 => hex(&Sha384::digest(bytes)),
        512 => hex(&Sha512::digest(bytes)),
        _ => return Err(external(Error::invalid(format!("`sha2` makes 224, 256, 384 or 512 bits, not {bits}")))),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
