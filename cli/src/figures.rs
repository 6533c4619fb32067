//! Figures for people: thousands separated, bytes in units, durations in words of the size.

use std::time::Duration;

/// Writes `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes bytes in the largest decimal unit that leaves a number above one.
pub(crate) fn bytes(number: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB"];
    if number < 1_000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1_000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// Writes a duration in milliseconds, seconds or minutes.
pub(crate) fn duration(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{} ms", time.as_millis()),
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0),
    }
}

/// Writes how much of something a second.
pub(crate) fn rate(number: u64, time: Duration) -> f64 {
    number as f64 / time.as_secs_f64().max(1e-9)
}

/// Lays rows out in columns; a column whose cells are all figures is aligned to the right.
pub(crate) fn columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |row: &[String], column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let figures = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .all(|cell| cell.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | '-')))
    };
    let layout: Vec<(usize, bool)> = header
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let width = rows.iter().map(|row| cells(row, i)).max().unwrap_or(0).max(name.chars().count());
            (width, figures(i) && !rows.is_empty())
        })
        .collect();
    let mut text = String::new();
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let has_header = header.iter().any(|name| !name.is_empty());
    for row in has_header.then_some(&header).into_iter().chain(rows) {
        let line: Vec<String> =
            row.iter().zip(&layout).map(|(cell, (width, right))| pad(cell, *width, *right)).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn pad(cell: &str, width: usize, right: bool) -> String {
    if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([0, 999, 1_000, 12_345_678].map(count), ["0", "999", "1,000", "12,345,678"]);
        assert_eq!([12, 1_000, 999_999, 4_100_000_000].map(bytes), ["12 B", "1.0 kB", "1.0 MB", "4.1 GB"]);
        assert_eq!(
            [30, 1_500, 150_000].map(|ms| duration(Duration::from_millis(ms))),
            ["30 ms", "1.5 s", "2 min 30 s"]
        );
    }

    #[test]
    fn columns_of_figures_are_aligned_to_the_right() {
        let rows = vec![vec!["events".to_owned(), "7".to_owned()], vec!["raw".to_owned(), "1,000".to_owned()]];
        assert_eq!(columns(&["table", "rows"], &rows), "table    rows\nevents      7\nraw     1,000\n");
        assert_eq!(columns(&["", ""], &rows), "events      7\nraw     1,000\n");
    }
}
