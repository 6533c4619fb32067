//! Finds a value inside a JSON text without building the rest of it.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::path::Step;

/// Returns the text of the value at `path`, as it is written there. Of a key that comes twice the last one counts.
///
/// `None` when there is none, and when `json` is not JSON from its beginning to its end.
pub(crate) fn find<'a>(json: &'a str, path: &[Step]) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let found = At(path).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    found.map(RawValue::get)
}

/// Returns the elements of an array, `None` for anything else.
pub(crate) fn items(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

/// Returns how many elements an array or members an object has; anything else has none.
pub(crate) fn size(json: &str) -> Option<usize> {
    match json.as_bytes().first()? {
        b'[' => items(json).map(|items| items.len()),
        b'{' => serde_json::from_str::<HashMap<String, IgnoredAny>>(json).ok().map(|members| members.len()),
        _ => Some(0),
    }
}

struct At<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0.split_first() {
            None => <&RawValue>::deserialize(deserializer).map(Some),
            Some((step, rest)) => deserializer.deserialize_any(Into { step, rest }),
        }
    }
}

struct Into<'p> {
    step: &'p Step,
    rest: &'p [Step],
}

impl<'de> Visitor<'de> for Into<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Key(key)) = map.next_key()? {
            match self.step {
                Step::Key(wanted) if *wanted == key => found = map.next_value_seed(At(self.rest))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        let wanted = match self.step {
            Step::Index(index) => *index,
            Step::Key(_) => 0,
        };
        let mut found = None;
        for place in 0_i64.. {
            if matches!(self.step, Step::Index(_)) && place == wanted {
                match seq.next_element_seed(At(self.rest))? {
                    Some(value) => found = value,
                    None => break,
                }
            } else if wanted < 0 {
                match seq.next_element::<&RawValue>()? {
                    Some(item) => items.push(item),
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        let from_end = usize::try_from(wanted.unsigned_abs()).ok().and_then(|back| items.len().checked_sub(back));
        match from_end.filter(|_| wanted < 0).and_then(|place| items.get(place)) {
            Some(item) => Ok(At(self.rest).deserialize(*item).unwrap_or(None)),
            None => Ok(found),
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A key, copied only where it has escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::path::parse;

    fn at<'a>(json: &'a str, path: &str) -> Option<&'a str> {
        find(json, &parse(path).expect(path))
    }

    #[test]
    fn values_come_as_they_are_written() {
        let json = r#" {"a": {"b": [1, 12345678901234567890, 1.50, {"c": null}]}, "ü\n\"": "x\ty", "e": 1e999} "#;
        for (path, value) in [
            ("$.a.b[0]", Some("1")),
            ("$.a.b[1]", Some("12345678901234567890")),
            ("$.a.b[2]", Some("1.50")),
            ("$.a.b[3]", Some(r#"{"c": null}"#)),
            ("$.a.b[3].c", Some("null")),
            ("$.a.b[4]", None),
            ("$.a.b.c", None),
            ("$.a[0]", None),
            ("$.a.b[0].c", None),
            ("$[\"ü\n\\\"\"]", Some(r#""x\ty""#)),
            ("$.e", Some("1e999")),
            ("$.e.f", None),
            ("$.missing", None),
        ] {
            assert_eq!(at(json, path), value, "{path}");
        }
        assert_eq!(find("[1,[2,3]]", &[Step::Index(-1), Step::Index(-2)]), Some("2"));
        assert_eq!(find("[1]", &[Step::Index(-2)]), None);
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_counts() {
        assert_eq!(at(r#"{"a":1,"a":{"b":2},"a":{"b":3}}"#, "$.a.b"), Some("3"));
        assert_eq!(at(r#"{"a":{"b":2},"a":5}"#, "$.a.b"), None);
    }

    #[test]
    fn what_is_no_json_has_no_values() {
        for json in ["", " ", "{", r#"{"a":1"#, r#"{"a":1}x"#, r#"{"a":1,}"#, "{a:1}", "NaN", r#"{"a":1 "b":2}"#] {
            assert_eq!(at(json, "$.a"), None, "{json}");
            assert_eq!(at(json, "$"), None, "{json}");
        }
    }

    #[test]
    fn depth_is_no_danger() {
        let json = format!(r#"{{"a":1,"d":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(at(&json, "$.a"), Some("1"));
    }
}
