//! Differences between what a value may be in two versions.

use std::fmt;

use super::{Changes, Who, object};
use crate::contract::model::{ArrayShape, IntegerShape, ObjectShape, Shape, TextShape};
use crate::contract::range::Range;
use crate::contract::validate::text_broken;

/// Compares what a value may be.
pub(super) fn changed(old: &Shape, new: &Shape, path: &str, changes: &mut Changes) {
    match (old, new) {
        (Shape::Text(a), Shape::Text(b)) => text(a, b, path, changes),
        (Shape::Integer(a), Shape::Integer(b)) => integer(a, b, path, changes),
        (Shape::Number(a), Shape::Number(b)) => range("range", a, b, path, changes),
        (Shape::Date(a), Shape::Date(b)) | (Shape::Timestamp(a), Shape::Timestamp(b)) => {
            range("range", a, b, path, changes);
        }
        (Shape::Object(a), Shape::Object(b)) => object::changed(a, b, path, changes),
        (Shape::Array(a), Shape::Array(b)) => array(a, b, path, changes),
        (Shape::Integer(a), Shape::Number(b)) => {
            kind(old, new, path, changes);
            range("range", &a.range.map(|bound| *bound as f64), b, path, changes);
        }
        _ if old.logical_type() != new.logical_type() => kind(old, new, path, changes),
        _ => {}
    }
}

fn kind(old: &Shape, new: &Shape, path: &str, changes: &mut Changes) {
    if let Shape::Object(inside) = old {
        unfilled(inside, path, changes);
    }
    let what = format!("was of type {}, is of type {}", old.logical_type(), new.logical_type());
    let is_wider = match (old, new) {
        (_, Shape::Any) | (Shape::Integer(_), Shape::Number(_)) => true,
        (Shape::Date(_) | Shape::Timestamp(_), Shape::Text(text)) => *text == TextShape::default(),
        _ => false,
    };
    match is_wider {
        true => changes.minor(path, Who::Readers, what, ""),
        false => changes.breaking(path, Who::Producers, what, "add a property of the new type, and deprecate this one"),
    }
}

/// What is inside of a value without a shape becomes no column.
fn unfilled(inside: &ObjectShape, path: &str, changes: &mut Changes) {
    let columns = object::columns(inside);
    if !columns.is_empty() {
        let what = format!("is no object any more, and so fills {columns} no longer");
        changes.breaking(path, Who::Readers, what, "keep it, and mark what is inside `deprecated`");
    }
}

fn text(old: &TextShape, new: &TextShape, path: &str, changes: &mut Changes) {
    if !old.allowed.is_empty() {
        // The old values are known, so each can be tried.
        let lost = old.allowed.iter().filter(|v| text_broken(old, v).is_none() && text_broken(new, v).is_some());
        return values(&lost.collect::<Vec<_>>(), &old.allowed, &new.allowed, path, changes);
    }
    if !new.allowed.is_empty() {
        return narrowed("only some values are accepted now", path, changes);
    }
    range("length", &old.length, &new.length, path, changes);
    let pattern = |text: &TextShape| text.pattern.as_ref().map(|pattern| pattern.as_str().to_owned());
    form("pattern", pattern(old), pattern(new), path, changes);
    let format = |text: &TextShape| text.format.map(|format| format.as_str().to_owned());
    form("format", format(old), format(new), path, changes);
}

fn integer(old: &IntegerShape, new: &IntegerShape, path: &str, changes: &mut Changes) {
    let accepts = |shape: &IntegerShape, value: &i64| {
        shape.range.contains(value) && (shape.allowed.is_empty() || shape.allowed.contains(value))
    };
    if !old.allowed.is_empty() {
        let lost = old.allowed.iter().filter(|value| accepts(old, value) && !accepts(new, value));
        return values(&lost.collect::<Vec<_>>(), &old.allowed, &new.allowed, path, changes);
    }
    if !new.allowed.is_empty() {
        return narrowed("only some values are accepted now", path, changes);
    }
    range("range", &old.range, &new.range, path, changes);
}

fn array(old: &ArrayShape, new: &ArrayShape, path: &str, changes: &mut Changes) {
    range("number of elements", &old.length, &new.length, path, changes);
    let items = format!("{path}[]");
    match (old.nullable, new.nullable) {
        (true, false) => narrowed("an element may not be null now", &items, changes),
        (false, true) => changes.minor(items.clone(), Who::Readers, "an element may be null", ""),
        _ => {}
    }
    changed(&old.items, &new.items, &items, changes);
}

fn values<T: fmt::Display + PartialEq>(lost: &[&T], old: &[T], new: &[T], path: &str, changes: &mut Changes) {
    if !lost.is_empty() {
        let lost: Vec<String> = lost.iter().map(|value| format!("`{value}`")).collect();
        return narrowed(&format!("does not accept {} any more", lost.join(", ")), path, changes);
    }
    if old != new {
        let known = "queries that list the values do not know new ones";
        changes.minor(path, Who::Readers, "accepts other values as well, or lists them in another order", known);
    }
}

fn range<T: PartialOrd + fmt::Display>(what: &str, old: &Range<T>, new: &Range<T>, path: &str, changes: &mut Changes) {
    if old == new {
        return;
    }
    let words = |range: &Range<T>| match range.to_string() {
        words if words.is_empty() => "without bounds".to_owned(),
        words => words,
    };
    let what = format!("the {what} was {}, is {}", words(old), words(new));
    match new.covers(old) {
        true => changes.minor(path, Who::Readers, what, ""),
        false => narrowed(&what, path, changes),
    }
}

/// Whether one pattern accepts more than another is not looked into: any other one is taken for narrower.
fn form(what: &str, old: Option<String>, new: Option<String>, path: &str, changes: &mut Changes) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(old), None) => changes.minor(path, Who::Readers, format!("the {what} `{old}` is gone"), ""),
        (_, new) => narrowed(&format!("the {what} is `{}` now", new.unwrap_or_default()), path, changes),
    }
}

fn narrowed(what: &str, path: &str, changes: &mut Changes) {
    changes.breaking(path, Who::Producers, what, "widen it again, or add another property with the narrower rule");
}
