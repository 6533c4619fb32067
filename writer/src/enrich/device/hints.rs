//! Client hints: what `navigator.userAgentData` says, as Segment puts it into `context.userAgentData`.
//!
//! The object is written by the page, so nothing in it is relied upon: what has another type than expected is left
//! out, never an error.

use serde_json::{Map, Value};

/// Longest object that is read. One with all hints has some 700 bytes.
pub const MAX_HINTS_BYTES: usize = 2_048;

/// The hints that are used, as they were sent; text is never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHints {
    /// Brand of the browser and the version that came with it.
    pub brand: Option<Brand>,
    /// True when the browser asks for pages made for phones.
    pub mobile: Option<bool>,
    /// Operating system, such as `Windows` or `macOS`.
    pub platform: Option<String>,
    /// Its version, which for Windows is that of an interface, not the one on the box.
    pub platform_version: Option<String>,
    /// Model of a phone or tablet.
    pub model: Option<String>,
}

/// A brand of browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    /// Name, such as `Google Chrome`.
    pub name: String,
    /// Major version.
    pub version: Option<String>,
    /// Full version, where the page asked for it.
    pub full_version: Option<String>,
}

impl ClientHints {
    /// Reads the JSON object `json`; `None` when it is none, is longer than [`MAX_HINTS_BYTES`] or says nothing.
    pub fn parse(json: &[u8]) -> Option<ClientHints> {
        if json.is_empty() || json.len() > MAX_HINTS_BYTES {
            return None;
        }
        let fields: Map<String, Value> = serde_json::from_slice(json).ok()?;
        let hints = ClientHints {
            brand: brand(&fields),
            mobile: fields.get("mobile").and_then(Value::as_bool),
            platform: text(&fields, "platform"),
            platform_version: text(&fields, "platformVersion"),
            model: text(&fields, "model"),
        };
        (hints != ClientHints::default()).then_some(hints)
    }
}

/// Picks the brand of the browser itself: each list also names the engine (`Chromium`) and one brand that is made up.
fn brand(fields: &Map<String, Value>) -> Option<Brand> {
    let (short, full) = (listed(fields, "brands"), listed(fields, "fullVersionList"));
    let name = [&short, &full].into_iter().find_map(|list| {
        let named = list.iter().filter(|(name, _)| !is_made_up(name));
        let engine_last = named.min_by_key(|(name, _)| *name == "Chromium");
        engine_last.map(|(name, _)| *name)
    })?;
    let version_in = |list: &[(&str, Option<String>)]| {
        list.iter().find(|(listed, _)| *listed == name).and_then(|(_, version)| version.clone())
    };
    let full_version = version_in(&full).or_else(|| text(fields, "uaFullVersion"));
    Some(Brand { name: name.to_owned(), version: version_in(&short), full_version })
}

/// Names and versions of a list of brands.
fn listed<'a>(fields: &'a Map<String, Value>, key: &str) -> Vec<(&'a str, Option<String>)> {
    let list = fields.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let entries = list.iter().filter_map(Value::as_object);
    entries.filter_map(|entry| Some((entry.get("brand")?.as_str()?.trim(), text(entry, "version")))).collect()
}

/// Tells whether a brand is there only to keep servers from matching lists by the letter (GREASE), such as
/// `Not A;Brand`: its punctuation changes from one version of the browser to the next.
fn is_made_up(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphabetic);
    letters.map(|c| c.to_ascii_lowercase()).eq("notabrand".chars()) || name.is_empty()
}

fn text(fields: &Map<String, Value>, key: &str) -> Option<String> {
    let text = fields.get(key)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brand_is_neither_the_engine_nor_the_made_up_one() {
        for made_up in ["Not A;Brand", "Not)A;Brand", "(Not(A:Brand", "Not/A)Brand", "Not_A Brand", "Not-A.Brand"] {
            let json = format!(
                r#"{{"brands":[{{"brand":"{made_up}","version":"99"}},{{"brand":"Chromium","version":"124"}},
                {{"brand":"Brave","version":"124"}}],"fullVersionList":[{{"brand":"Brave","version":"124.1.2.3"}}]}}"#
            );
            let brand = ClientHints::parse(json.as_bytes()).and_then(|h| h.brand).expect("a brand");
            assert_eq!((brand.name.as_str(), brand.full_version.as_deref()), ("Brave", Some("124.1.2.3")), "{made_up}");
        }
        let chromium = br#"{"brands":[{"brand":"Chromium","version":"124"},{"brand":"Not A;Brand","version":"99"}]}"#;
        assert_eq!(ClientHints::parse(chromium).and_then(|h| h.brand).expect("a brand").name, "Chromium");
    }

    #[test]
    fn wrong_types_are_left_out() {
        let json = br#"{"brands":"x","mobile":"yes","platform":7,"platformVersion":null,"model":[],"bitness":"64"}"#;
        assert_eq!(ClientHints::parse(json), None);
        let json = br#"{"brands":[1,{"brand":2},{}],"mobile":true,"platform":"  ","fullVersionList":{}}"#;
        assert_eq!(ClientHints::parse(json), Some(ClientHints { mobile: Some(true), ..ClientHints::default() }));
    }

    #[test]
    fn what_is_no_object_says_nothing() {
        let long = format!(r#"{{"mobile":true,"x":"{}"}}"#, "x".repeat(MAX_HINTS_BYTES));
        for json in ["", "null", "[]", "{", "{}", "7", long.as_str()] {
            assert_eq!(ClientHints::parse(json.as_bytes()), None, "{json}");
        }
    }
}
