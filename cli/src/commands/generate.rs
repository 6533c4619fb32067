//! `icefold generate`: realistic events and what to expect of them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use icefold_core::{Error, Result};

use crate::arguments::GenerateArguments;
use crate::exit::Exit;
use crate::figures;
use crate::generate::{Destination, Expectation, Plan, write};
use crate::output::Output;
use crate::progress;

/// Lines in a file unless told otherwise: about 50 MB.
const LINES_PER_FILE: u64 = 25_000;

/// Runs the command.
pub(crate) fn run(arguments: &GenerateArguments, output: Output) -> Result<Exit> {
    if arguments.duplicates + arguments.malformed >= 1.0 && arguments.duplicates > 0.0 {
        return Err(Error::invalid(format!(
            "--duplicates {} and --malformed {} leave no event to repeat: their sum must be below 1",
            arguments.duplicates, arguments.malformed
        )));
    }
    let plan = Plan {
        events: arguments.events,
        seed: arguments.seed,
        duplicates: arguments.duplicates,
        malformed: arguments.malformed,
        late: arguments.late,
    };
    let files = arguments.files.unwrap_or_else(|| plan.events.div_ceil(LINES_PER_FILE).max(1));
    let to = match arguments.out.as_str() {
        "-" => Destination::Stdout,
        folder => Destination::Folder(PathBuf::from(folder), files),
    };
    let started = Instant::now();
    let bar = progress::bar(output, Some(plan.events), "generating");
    let expectation = write(plan, arguments.compression, &to, |lines| bar.inc(lines))?;
    bar.finish_and_clear();
    let place = match &to {
        Destination::Stdout => "standard output".to_owned(),
        Destination::Folder(folder, 1) => format!("1 file in {}", folder.display()),
        Destination::Folder(folder, files) => format!("{files} files in {}", folder.display()),
    };
    match to {
        // Standard output holds the events: the account must not mix with them.
        Destination::Stdout if output.json => output.aside(&expectation)?,
        Destination::Stdout => output.remark(text(&expectation, &place, started.elapsed()).trim_end()),
        Destination::Folder(..) => output.result(&expectation, || text(&expectation, &place, started.elapsed()))?,
    }
    Ok(Exit::Done)
}

fn text(expectation: &Expectation, place: &str, took: Duration) -> String {
    let count = figures::count;
    let row = |name: &str, number: u64, meaning: &str| vec![name.to_owned(), count(number), meaning.to_owned()];
    let mut text = format!(
        "wrote {} events ({}) to {place} in {} ({} events/s)\n\nexpect of them\n",
        count(expectation.events),
        figures::bytes(expectation.bytes),
        figures::duration(took),
        count(figures::rate(expectation.events, took) as u64),
    );
    let mut rows = vec![
        row("  unique valid", expectation.unique_valid, "rows of `events`"),
        row("  duplicates", expectation.duplicates, "left out by deduplication"),
        row("  malformed", expectation.malformed, "rows of `quarantine`"),
        row("  all lines", expectation.events, "rows of `raw_events`"),
    ];
    text.push_str(&figures::columns(&["", "", ""], &rows));
    text.push_str("\nof the unique valid ones\n");
    rows = expectation.by_type.iter().map(|(kind, number)| row(&format!("  {kind}"), *number, "")).collect();
    rows.push(row("  late", expectation.late, "happened two hours to 20 days before they arrived"));
    rows.push(row("  users", expectation.distinct_users, "distinct userId"));
    rows.push(row("  devices", expectation.distinct_devices, "distinct anonymousId"));
    rows.push(row("  revenue, cents", expectation.revenue_cents, "sum of properties.revenue × 100"));
    text.push_str(&figures::columns(&["", "", ""], &rows));
    text
}
