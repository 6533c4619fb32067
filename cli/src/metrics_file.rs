//! The metrics of a run as a file, in the text format of Prometheus: what its node exporter's textfile collector reads.
//!
//! The file is replaced as a whole, so a reader never sees half of it. A run that does not move writes nothing, so the file's own
//! time tells a run that hangs or is gone.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use icefold_core::{Error, Result};
use icefold_writer::IngestProgress;
use tokio::sync::watch;

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
        write(file, &progress.borrow())?;
        let following = tokio::spawn(follow(file.to_owned(), progress.clone()));
        Ok(MetricsFile { file: file.to_owned(), progress, following })
    }

    /// Writes how the run has ended.
    pub(crate) fn end(self) {
        self.following.abort();
        tell(write(&self.file, &self.progress.borrow()));
    }
}

async fn follow(file: PathBuf, mut progress: watch::Receiver<IngestProgress>) {
    while progress.changed().await.is_ok() {
        let text = progress.borrow_and_update().clone();
        tell(write(&file, &text));
        tokio::time::sleep(PAUSE).await;
    }
}

/// A disk that is full must not end a run that writes to a bucket.
fn tell(written: Result<()>) {
    if let Err(error) = written {
        tracing::warn!(error = ?error, "metrics are out of date");
    }
}

fn write(file: &Path, progress: &IngestProgress) -> Result<()> {
    let new = file.with_extension("new");
    let written = std::fs::write(&new, text(progress)).and_then(|()| std::fs::rename(&new, file));
    written.map_err(|e| {
        let message = format!("metrics cannot be written to `{}`: name a file in a folder that can be", file.display());
        Error::invalid(message).because(e)
    })
}

fn text(progress: &IngestProgress) -> String {
    let mut text = String::new();
    for metric in progress.metrics() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_in_the_text_format_of_prometheus() {
        let progress = IngestProgress { read_rows: 7, unavailable_enrichments: 2, ..IngestProgress::default() };
        let text = text(&progress);
        assert!(text.contains(
            "# HELP icefold_writer_read_rows_total rows decoded\n# TYPE icefold_writer_read_rows_total counter\n\
             icefold_writer_read_rows_total 7\n"
        ));
        assert!(text.contains(
            "# TYPE icefold_writer_unavailable_enrichments gauge\nicefold_writer_unavailable_enrichments 2\n"
        ));
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_with_its_remedy() {
        let error = write(Path::new("no/such/folder/metrics.prom"), &IngestProgress::default()).expect_err("no folder");
        assert!(error.message().contains("name a file in a folder that can be"), "{error}");
    }
}
