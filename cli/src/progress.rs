//! Progress bars, shown only while a person watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// Bars are redrawn at most this often.
const REDRAW: Duration = Duration::from_millis(120);

/// Makes a bar towards `total` steps; with an unknown total it only counts. It is invisible unless standard error is
/// a terminal.
pub(crate) fn bar(output: Output, total: Option<u64>, what: &'static str) -> ProgressBar {
    if !output.is_watched() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}"),
        None => (ProgressBar::no_length(), "{msg} {spinner} {human_pos} {per_sec} {elapsed}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(REDRAW);
    bar
}
