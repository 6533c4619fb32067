//! What an answer is, whoever gave it, and when two answers are the same.

use std::cmp::Ordering;
use std::fmt;

use anyhow::{Result, bail};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;

/// Floats that differ by less, relative to the larger one, are the same: sums depend on the order of rows.
const TOLERANCE: f64 = 1e-9;
/// Floats that may be lost when others are added: the tables have some of 1e-38 beside others of 1e38.
const TINY: f64 = 1e-30;
/// Rows of a difference that are shown.
const SHOWN: usize = 3;

/// A value, without what engines may choose: the width of a number, the unit of a time.
#[derive(Debug, Clone)]
pub enum Cell {
    /// NULL.
    Null,
    /// A whole or decimal number: digits and how many of them are behind the point, as few as it takes.
    Exact(i128, i8),
    /// A number with a fraction that is not exact.
    Float(f64),
    /// A day or a time, in microseconds since 1970.
    Time(i64),
    /// A text, or `true` or `false`.
    Text(String),
}

/// A row.
pub type Row = Vec<Cell>;

/// Takes the rows out of a result.
///
/// # Errors
/// When it has a column of a type that no question asks for.
pub fn rows(batches: &[RecordBatch]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(cells).collect::<Result<Vec<_>>>()?;
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect::<Row>()));
    }
    Ok(rows)
}

fn cells(column: &ArrayRef) -> Result<Vec<Cell>> {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let each = |of: &dyn Fn(usize) -> Cell| {
        let cell = |row| if column.is_null(row) { Cell::Null } else { of(row) };
        (0..column.len()).map(cell).collect::<Vec<_>>()
    };
    Ok(match column.data_type() {
        DataType::Null => vec![Cell::Null; column.len()],
        DataType::Boolean => each(&|row| Cell::Text(column.as_boolean().value(row).to_string())),
        DataType::Decimal128(_, scale) => {
            each(&|row| exact(column.as_primitive::<Decimal128Type>().value(row), *scale))
        }
        kind if kind.is_floating() => {
            let floats = cast(column, &DataType::Float64)?;
            each(&|row| Cell::Float(floats.as_primitive::<Float64Type>().value(row)))
        }
        DataType::UInt64 => {
            let wide = cast(column, &DataType::Decimal128(20, 0))?;
            each(&|row| exact(wide.as_primitive::<Decimal128Type>().value(row), 0))
        }
        kind if kind.is_integer() => {
            let wide = cast(column, &DataType::Int64)?;
            each(&|row| exact(i128::from(wide.as_primitive::<Int64Type>().value(row)), 0))
        }
        DataType::Date32 | DataType::Timestamp(..) => {
            let times = cast(column, &micros)?;
            each(&|row| Cell::Time(times.as_primitive::<TimestampMicrosecondType>().value(row)))
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) => {
            let texts = cast(column, &DataType::Utf8)?;
            each(&|row| Cell::Text(texts.as_string::<i32>().value(row).to_owned()))
        }
        other => {
            let first = (0..column.len()).find(|row| !column.is_null(*row));
            let first = first.map(|row| array_value_to_string(column, row)).transpose()?;
            bail!("a column of {other}: {first:?}")
        }
    })
}

fn exact(mut digits: i128, mut scale: i8) -> Cell {
    while scale > 0 && digits % 10 == 0 {
        (digits, scale) = (digits / 10, scale - 1);
    }
    Cell::Exact(digits, scale)
}

impl Cell {
    fn number(&self) -> Option<f64> {
        match self {
            Cell::Exact(digits, scale) => Some(*digits as f64 / 10_f64.powi(i32::from(*scale))),
            Cell::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// Whether it is the same value.
    pub fn is(&self, other: &Cell) -> bool {
        match (self, other) {
            (Cell::Null, Cell::Null) => true,
            (Cell::Exact(a, x), Cell::Exact(b, y)) => a == b && x == y,
            (Cell::Time(a), Cell::Time(b)) => a == b,
            (Cell::Text(a), Cell::Text(b)) => a == b,
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => near(a, b),
                _ => false,
            },
        }
    }

    /// An order that puts the same values of different engines at the same place.
    fn order(&self, other: &Cell) -> Ordering {
        let rank = |cell: &Cell| match cell {
            Cell::Null => 0,
            Cell::Exact(..) | Cell::Float(_) => 1,
            Cell::Time(_) => 2,
            Cell::Text(_) => 3,
        };
        match (self, other) {
            (Cell::Exact(a, x), Cell::Exact(b, y)) if x == y => a.cmp(b),
            (Cell::Time(a), Cell::Time(b)) => a.cmp(b),
            (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => coarse(a).total_cmp(&coarse(b)),
                _ => rank(self).cmp(&rank(other)),
            },
        }
    }
}

fn near(a: f64, b: f64) -> bool {
    let same = a == b || (a.is_nan() && b.is_nan());
    same || (a.is_finite() && b.is_finite() && (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()))
}

/// Cuts the digits in which nearly equal floats may differ, to as many as `f32` has; one NaN, one zero.
fn coarse(float: f64) -> f64 {
    const CUT: u64 = f64::MANTISSA_DIGITS as u64 - f32::MANTISSA_DIGITS as u64;
    match float {
        _ if float.is_nan() => f64::NAN,
        0.0 => 0.0,
        _ if float.is_infinite() => float,
        // Not by way of `f32`, for which great numbers are infinite and small ones 0.
        _ => f64::from_bits((float.to_bits() >> CUT) << CUT),
    }
}

fn by_value(a: &Row, b: &Row) -> Ordering {
    let cells = a.iter().zip(b).map(|(x, y)| x.order(y));
    cells.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
}

fn same(a: &Row, b: &Row) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.is(y))
}

/// Returns how two answers differ, if they do: as multisets, or row by row where their order is `total`.
pub fn difference(ours: &[Row], theirs: &[Row], total: bool) -> Option<String> {
    let sorted = |rows: &[Row]| {
        let mut rows = rows.to_vec();
        rows.sort_by(by_value);
        rows
    };
    let (mut mine, mut yours) = (sorted(ours), sorted(theirs));
    if mine.len() == yours.len() && mine.iter().zip(&yours).all(|(a, b)| same(a, b)) {
        let in_order = ours.iter().zip(theirs).position(|(a, b)| !same(a, b));
        let at = in_order.filter(|_| total)?;
        return Some(format!("row {at} is {}, theirs {}", show(&ours[at]), show(&theirs[at])));
    }
    let counts = format!("{} rows, theirs {}", mine.len(), yours.len());
    remove_common(&mut mine, &mut yours);
    let shown = |rows: &[Row]| rows.iter().take(SHOWN).map(|row| show(row)).collect::<Vec<_>>().join(" ");
    Some(format!(
        "{counts}; only ours ({}): {}; only theirs ({}): {}",
        mine.len(),
        shown(&mine),
        yours.len(),
        shown(&yours)
    ))
}

/// Returns rows with 0 for each float that is less than what the addition of other floats loses.
pub fn without_tiny(rows: &[Row]) -> Vec<Row> {
    let cell = |cell: &Cell| match cell {
        Cell::Float(float) if float.abs() < TINY => Cell::Float(0.0),
        other => other.clone(),
    };
    rows.iter().map(|row| row.iter().map(cell).collect()).collect()
}

/// Leaves the rows of each side that the other one lacks; both are sorted.
fn remove_common(mine: &mut Vec<Row>, yours: &mut Vec<Row>) {
    let (mut only_mine, mut only_yours) = (Vec::new(), Vec::new());
    let (mut a, mut b) = (mine.drain(..).peekable(), yours.drain(..).peekable());
    loop {
        match (a.peek(), b.peek()) {
            (None, None) => break,
            (Some(x), Some(y)) if same(x, y) => {
                a.next();
                b.next();
            }
            (Some(x), Some(y)) if by_value(x, y) == Ordering::Greater => only_yours.extend(b.next()),
            (Some(_), _) => only_mine.extend(a.next()),
            (None, Some(_)) => only_yours.extend(b.next()),
        }
    }
    drop((a, b));
    (*mine, *yours) = (only_mine, only_yours);
}

fn show(row: &[Cell]) -> String {
    format!("({})", row.iter().map(Cell::to_string).collect::<Vec<_>>().join(", "))
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => f.write_str("NULL"),
            Cell::Exact(digits, 0) => write!(f, "{digits}"),
            Cell::Exact(digits, scale) => write!(f, "{digits}e-{scale}"),
            Cell::Float(float) => write!(f, "{float:?}"),
            Cell::Time(micros) => write!(f, "{micros} µs"),
            Cell::Text(text) => write!(f, "'{text}'"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: impl IntoIterator<Item = Cell>) -> Row {
        cells.into_iter().collect()
    }

    #[test]
    fn answers_are_compared_as_multisets() {
        let [one, two] = [1, 2].map(|digits| row([Cell::Exact(digits, 0)]));
        assert_eq!(difference(&[one.clone(), two.clone()], &[two.clone(), one.clone()], false), None);
        assert!(difference(&[one.clone(), two.clone()], &[two.clone(), one.clone()], true).is_some());
        assert!(difference(&[one.clone(), one.clone(), two.clone()], &[one, two.clone(), two], false).is_some());
    }

    #[test]
    fn numbers_are_compared_by_value() {
        assert!(exact(1_500, 3).is(&exact(15, 1)));
        assert!(exact(3, 0).is(&Cell::Float(3.0)));
        assert!(Cell::Float(-0.0).is(&Cell::Float(0.0)));
        assert!(Cell::Float(f64::NAN).is(&Cell::Float(-f64::NAN)));
        assert!(!Cell::Float(f64::INFINITY).is(&Cell::Float(f64::MAX)));
        assert!(!Cell::Null.is(&Cell::Text(String::new())));
    }
}
