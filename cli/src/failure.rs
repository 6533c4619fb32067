//! How an error is told: `error:`, its facts and causes, and `help:` with what to do; or the same as JSON.

use std::error::Error as StdError;
use std::io;

use icefold_core::Error;
use serde_json::json;

use crate::exit::{Exit, remedy};
use crate::output::printable;

/// At most this many causes are told; foreign crates nest the same text many times.
const MAX_CAUSES: usize = 6;

/// Returns the text for people, with a line break at the end. Names of files and values of events may stand in it.
pub(crate) fn text(error: &Error) -> String {
    let mut text = format!("error: {}\n", error.message());
    for (key, value) in error.context() {
        text.push_str(&format!("  {key}: {value}\n"));
    }
    for cause in causes(error) {
        text.push_str(&format!("  because: {cause}\n"));
    }
    if let Some(remedy) = remedy(error.kind()) {
        text.push_str(&format!("help: {remedy}\n"));
    }
    printable(&text).into_owned()
}

/// Returns the same as one line of JSON.
pub(crate) fn json(error: &Error) -> String {
    let context: serde_json::Map<_, _> = error.context().iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    let value = json!({
        "error": {
            "kind": error.kind().as_str(),
            "message": error.message(),
            "context": context,
            "causes": causes(error),
            "help": remedy(error.kind()),
            "exit_code": Exit::of(error.kind()).code(),
        }
    });
    format!("{value}\n")
}

/// Returns whether the reader of our output went away (`icefold … | head`), which is no failure.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(cause) = next {
        if cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Returns the causes, outermost first, without those that only repeat what was said before.
fn causes(error: &Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let said = |text: &str| error.message().contains(text) || error.context().iter().any(|(_, v)| v.contains(text));
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        let repeated = said(&text) || causes.last().is_some_and(|last| last.contains(&text));
        if !repeated && causes.len() < MAX_CAUSES {
            causes.push(text);
        }
        next = cause.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use icefold_core::ErrorKind;

    fn example() -> Error {
        Error::new(ErrorKind::Fenced, "shard `ev` stands at `b@9`, not at `a@0`")
            .with("table", "events")
            .because(Error::invalid("inner").because(io::Error::other("inner")))
    }

    #[test]
    fn people_read_message_facts_causes_and_remedy() {
        insta::assert_snapshot!(text(&example()), @r"
        error: shard `ev` stands at `b@9`, not at `a@0`
          table: events
          because: inner
        help: nothing is lost: run the same command again, it continues where the other writer stopped
        ");
    }

    #[test]
    fn programs_read_kind_and_exit_code() {
        let value: serde_json::Value = serde_json::from_str(&json(&example())).expect("json");
        assert_eq!(value["error"]["kind"], "fenced");
        assert_eq!(value["error"]["exit_code"], 4);
        assert_eq!(value["error"]["context"]["table"], "events");
    }

    #[test]
    fn a_closed_pipe_is_found_below_our_error() {
        let closed = Error::new(ErrorKind::Refused, "x").because(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_closed_pipe(&closed));
        assert!(!is_closed_pipe(&example()));
    }
}
