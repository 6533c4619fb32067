//! Trying again while storage or catalog are away.

use std::time::Duration;

use icefold_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// For how long the same call is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    limit: Duration,
    first_pause: Duration,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Patience { limit, first_pause: FIRST_PAUSE }
    }

    /// The same, but others get their turn where it would sleep.
    pub(crate) fn without_pauses(self) -> Self {
        Patience { first_pause: Duration::ZERO, ..self }
    }

    /// Calls `act` until it succeeds, fails for good, or the time is over. `what` completes "cannot …".
    ///
    /// # Errors
    /// The first error that no later try may mend, or the last one when the time is over.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one pause while storage or catalog are away; the simulation's tokio has its own time"
    )]
    pub(crate) async fn insist<T, F>(&self, what: &str, mut act: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let started = Instant::now();
        let mut pause = self.first_pause;
        loop {
            let error = match act().await {
                Ok(done) => return Ok(done),
                Err(error) if !is_passing(&error) => return Err(error),
                Err(error) => error,
            };
            if started.elapsed() + pause > self.limit {
                return Err(self.give_up(what, error));
            }
            tracing::warn!(what, pause_ms = pause.as_millis() as u64, error = ?error, "trying again");
            match pause.is_zero() {
                true => tokio::task::yield_now().await,
                false => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn give_up(&self, what: &str, error: Error) -> Error {
        let seconds = self.limit.as_secs();
        let message = format!(
            "cannot {what} for {seconds} s (`retry_seconds`): {error}; nothing is lost, run again when storage and \
             catalog answer"
        );
        Error::new(error.kind(), message).because(error)
    }
}

fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Transient | ErrorKind::Conflict | ErrorKind::OutcomeUnknown)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Pauses of microseconds: the tests wait for nothing.
    async fn insist(kind: ErrorKind, failures: u32) -> (Result<u32>, u32) {
        let calls = Cell::new(0);
        let patience = Patience { limit: Duration::from_millis(20), first_pause: Duration::from_micros(10) };
        let result = patience
            .insist("say it", || {
                calls.set(calls.get() + 1);
                let call = calls.get();
                async move { if call <= failures { Err(Error::new(kind, "away")) } else { Ok(call) } }
            })
            .await;
        (result, calls.get())
    }

    #[tokio::test]
    async fn what_passes_is_tried_again() {
        let (result, _) = insist(ErrorKind::Transient, 1).await;
        assert_eq!(result.expect("second try"), 2);
    }

    #[tokio::test]
    async fn what_does_not_pass_is_told_at_once() {
        let (result, calls) = insist(ErrorKind::Refused, 3).await;
        assert_eq!((result.expect_err("refused").kind(), calls), (ErrorKind::Refused, 1));
    }

    #[tokio::test]
    async fn the_end_of_patience_names_the_setting_and_the_cause() {
        let (result, calls) = insist(ErrorKind::Transient, u32::MAX).await;
        let error = result.expect_err("never succeeds");
        assert_eq!(error.kind(), ErrorKind::Transient);
        assert!(error.message().contains("`retry_seconds`") && error.message().contains("away"), "{error}");
        assert!(calls > 1);
    }
}
