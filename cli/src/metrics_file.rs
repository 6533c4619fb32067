//! The metrics of a run as a file, in the text format of Prometheus: what its node exporter's textfile collector reads.
//!
//! The file is replaced as a whole, so a reader never sees half of it. A run that was killed leaves its last version, which says
//! that it runs and when it last moved: what has not moved for long is looked at (`docs/alerts.yaml`).

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use icefold_core::{Clock, Error, Result, SystemClock};
use icefold_writer::{IngestProgress, Metric};
use tokio::sync::watch;

use crate::exit::Exit;

/// Shortest time between two versions of the file.
const PAUSE: Duration = Duration::from_secs(1);

/// A metrics file that follows a run.
pub(crate) struct MetricsFile {
    file: PathBuf,
    progress: watch::Receiver<IngestProgress>,
    following: tokio::task::JoinHandle<()>,
}

impl MetricsFile {
    /// Writes the file, and again whenever the run has moved.
    ///
    /// # Errors
    /// `InvalidInput` when it cannot be written.
    pub(crate) fn follow(file: &Path, progress: watch::Receiver<IngestProgress>) -> Result<Self> {
        write(file, &progress.borrow(), None)?;
        let following = tokio::spawn(follow(file.to_owned(), progress.clone()));
        Ok(MetricsFile { file: file.to_owned(), progress, following })
    }

    /// Writes how the run has ended.
    pub(crate) fn end(self, exit: Exit) {
        self.following.abort();
        tell(write(&self.file, &self.progress.borrow(), Some(exit)));
    }
}

async fn follow(file: PathBuf, mut progress: watch::Receiver<IngestProgress>) {
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        tell(write(&file, &now, None));
        tokio::time::sleep(PAUSE).await;
    }
}

/// A disk that is full must not end a run that writes to a bucket.
fn tell(written: Result<()>) {
    if let Err(error) = written {
        tracing::warn!(error = ?error, "metrics are out of date");
    }
}

fn write(file: &Path, progress: &IngestProgress, exit: Option<Exit>) -> Result<()> {
    let new = file.with_extension("new");
    let text = text(progress, SystemClock.now_ms(), exit);
    let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, file));
    written.map_err(|e| {
        let message = format!("metrics cannot be written to `{}`: name a file in a folder that can be", file.display());
        Error::invalid(message).because(e)
    })
}

/// Returns the metrics of a run that moved just now and still runs, or has ended.
fn text(progress: &IngestProgress, now_ms: i64, exit: Option<Exit>) -> String {
    let mut text = String::new();
    for metric in run(now_ms, exit).into_iter().chain(progress.metrics()) {
        let kind = if metric.name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {}\n",
            metric.help,
            metric.value,
            name = metric.name
        );
    }
    text
}

/// What only the process knows of its run.
fn run(now_ms: i64, exit: Option<Exit>) -> [Metric; 3] {
    let metric = |name, help, value| Metric { name, help, value };
    [
        metric("icefold_writer_running", "1 while the run goes on, 0 once it has ended", u64::from(exit.is_none())),
        metric(
            "icefold_writer_exit_code",
            "exit code of the run, 0 while it goes on",
            exit.map_or(0, |exit| u64::from(exit.code())),
        ),
        metric(
            "icefold_writer_moved_timestamp_seconds",
            "Unix time at which the run has last read, committed, begun or ended",
            u64::try_from(now_ms / 1000).unwrap_or_default(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_in_the_text_format_of_prometheus() {
        let progress = IngestProgress { read_rows: 7, unavailable_enrichments: 2, ..IngestProgress::default() };
        let text = text(&progress, 1_700_000_000_123, Some(Exit::Corrupt));
        assert!(text.contains(
            "# HELP icefold_writer_read_rows_total rows decoded\n# TYPE icefold_writer_read_rows_total counter\n\
             icefold_writer_read_rows_total 7\n"
        ));
        assert!(text.contains(
            "# TYPE icefold_writer_unavailable_enrichments gauge\nicefold_writer_unavailable_enrichments 2\n"
        ));
        assert!(text.contains("# TYPE icefold_writer_running gauge\nicefold_writer_running 0\n"));
        assert!(text.contains("icefold_writer_exit_code 6\n"));
        assert!(text.contains("icefold_writer_moved_timestamp_seconds 1700000000\n"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_with_its_remedy() {
        let error =
            write(Path::new("no/such/folder/metrics.prom"), &IngestProgress::default(), None).expect_err("no folder");
        assert!(error.message().contains("name a file in a folder that can be"), "{error}");
    }

    #[test]
    fn each_alert_asks_for_a_metric_that_is_written_and_names_a_page_that_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let rules = std::fs::read_to_string(root.join("docs/alerts.yaml")).expect("the rules");
        let written = text(&IngestProgress::default(), 0, None);
        let asked = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
        let words = asked.flat_map(|expr| expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
        let mut metrics = words.filter(|word| word.starts_with("icefold_")).peekable();
        assert!(metrics.peek().is_some(), "no rule was read");
        for metric in metrics {
            assert!(written.contains(&format!("\n{metric} ")), "{metric} is not written");
        }
        let pages: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("runbook: ")).collect();
        assert_eq!(pages.len(), rules.matches("- alert: ").count(), "each alert has a page");
        for page in pages {
            assert!(root.join(page).is_file(), "{page} is missing");
        }
    }
}
