//! Named places at which a crash test ends the process as if the power had failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use icefold_core::{Error, Result};

/// The files of a batch are announced, none of its files is uploaded.
pub const AFTER_ANNOUNCE: &str = "after-announce";
/// A file is uploaded; others of the same batch may not be. Hit once for each file.
pub const MID_UPLOAD: &str = "mid-upload";
/// Every file of a batch is uploaded, the batch object is not written.
pub const AFTER_UPLOAD: &str = "after-upload";
/// The batch object is written, no table is committed.
pub const AFTER_BATCH: &str = "after-batch";
/// A table is committed, others of the batch may not be. Hit once less than a batch has tables.
pub const BETWEEN_TABLES: &str = "between-tables";
/// Every table is committed.
pub const AFTER_COMMIT: &str = "after-commit";

/// Every fail point, in the order in which a batch passes them.
pub const ALL: [&str; 6] = [AFTER_ANNOUNCE, MID_UPLOAD, AFTER_UPLOAD, AFTER_BATCH, BETWEEN_TABLES, AFTER_COMMIT];

/// At most one armed fail point. Handed to the writer; by default nothing is armed.
#[derive(Clone, Default)]
pub struct FailPoints(Option<Arc<Armed>>);

struct Armed {
    name: &'static str,
    hit: u64,
    hits: AtomicU64,
    act: Box<dyn Fn() + Send + Sync>,
}

impl FailPoints {
    /// Arms what `text` names: `NAME` or `NAME:N` for the N-th time that it is passed. The process is aborted there:
    /// nothing is flushed, no destructor runs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](icefold_core::ErrorKind::InvalidInput) listing the names.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, hit) = text.split_once(':').unwrap_or((text, "1"));
        let known = ALL.into_iter().find(|known| *known == name);
        match (known, hit.parse::<u64>()) {
            (Some(name), Ok(hit @ 1..)) => Ok(Self::armed(name, hit, || std::process::abort())),
            _ => Err(Error::invalid(format!(
                "`{text}` is no fail point: write `NAME` or `NAME:N` with one of `{}`",
                ALL.join("`, `")
            ))),
        }
    }

    /// Arms `name` to `act` when it is passed for the `hit`-th time.
    pub fn armed(name: &'static str, hit: u64, act: impl Fn() + Send + Sync + 'static) -> Self {
        FailPoints(Some(Arc::new(Armed { name, hit, hits: 0.into(), act: Box::new(act) })))
    }

    /// Passes the fail point `name`.
    pub(crate) fn pass(&self, name: &str) {
        if let Some(armed) = &self.0
            && armed.name == name
            && armed.hits.fetch_add(1, Ordering::SeqCst) + 1 == armed.hit
        {
            (armed.act)();
        }
    }
}

impl std::fmt::Debug for FailPoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(armed) => write!(f, "FailPoints({}:{})", armed.name, armed.hit),
            None => f.write_str("FailPoints(none)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fail_point_acts_once_at_its_hit() {
        let acted = Arc::new(AtomicU64::new(0));
        let count = acted.clone();
        let points = FailPoints::armed(AFTER_UPLOAD, 2, move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let seen: Vec<u64> = [AFTER_UPLOAD, MID_UPLOAD, AFTER_UPLOAD, AFTER_UPLOAD]
            .iter()
            .map(|name| {
                points.pass(name);
                acted.load(Ordering::SeqCst)
            })
            .collect();
        assert_eq!(seen, [0, 0, 1, 1]);
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        assert_eq!(format!("{:?}", FailPoints::parse("mid-upload:3").expect("known")), "FailPoints(mid-upload:3)");
        for wrong in ["mid-uplaod", "mid-upload:0", "mid-upload:x"] {
            assert!(FailPoints::parse(wrong).expect_err("wrong").message().contains("`between-tables`"));
        }
    }
}
