//! The kind of device, by written rules.
//!
//! uap-core has no such column. The rules read the words of the user agent followed by uap-core's device family; the
//! first row of [`MARKS`] with a mark in them decides, and where none has, the operating system does. Their order is
//! the order of certainty: an `iPad` is a tablet whatever app runs on it, `Windows NT` is a desktop also where
//! `Tablet PC` follows, and `mobile` decides only what nothing else has decided.
//!
//! Known limits: an iPad that asks for desktop pages cannot be told from a Mac; an app of Apple's that sends no model
//! counts as a phone; a VR headset counts as a wearable.

use DeviceClass::{Bot, Console, Desktop, Library, Phone, Tablet, Tv, Unknown, Wearable};

use super::robots;

/// The kind of device that a user agent names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceClass {
    /// Mobile phone.
    Phone,
    /// Tablet or e-book reader.
    Tablet,
    /// Desktop or laptop computer.
    Desktop,
    /// Television, or a box that is plugged into one.
    Tv,
    /// Watch or headset.
    Wearable,
    /// Game console.
    Console,
    /// Crawler, monitor, link preview, feed fetcher or headless browser.
    Bot,
    /// HTTP client of a program, such as curl or okhttp.
    Library,
    /// None of these, or no user agent.
    #[default]
    Unknown,
}

impl DeviceClass {
    /// Returns the class as it stands in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Phone => "phone",
            Tablet => "tablet",
            Desktop => "desktop",
            Tv => "tv",
            Wearable => "wearable",
            Console => "console",
            Bot => "bot",
            Library => "library",
            Unknown => "unknown",
        }
    }
}

/// Marks of each class in words, the first row that has one decides. A space stands for the edge of a word.
const MARKS: &[(DeviceClass, &[&str])] = &[
    (Tablet, &[" ipad"]),
    (Phone, &[" iphone", " ipod"]),
    (Console, &[" playstation", " xbox", " nintendo"]),
    (Tv, &[" tv ", "smarttv", "appletv", "googletv", "hbbtv", " web0s ", " netcast", " bravia ", " roku", " crkey "]),
    // Begins the models of Amazon's Fire TV, which uap-core takes for a Kindle.
    (Tv, &[" aft"]),
    (Wearable, &[" watch os ", "watchos", " apple watch ", " wear os ", " sm r8", " sm r9"]),
    (Wearable, &["oculusbrowser", " quest "]),
    (Desktop, &[" windows nt ", " macintosh ", " cros "]),
    (Tablet, &[" tablet", "kindle", " playbook ", " sm t", " sm x", " nexus 7 ", " nexus 9 ", " nexus 10 "]),
    (Phone, &[" mobile", "phone", " opera mini ", " blackberry", " symb", " kaios ", " midp "]),
    (Phone, &[" ios device "]),
];

/// Classes by operating system, for what has no mark.
const SYSTEMS: &[(DeviceClass, &[&str])] = &[
    (Phone, &["Android", "iOS", "Windows Phone", "BlackBerry OS", "Symbian OS", "Firefox OS", "KaiOS", "HarmonyOS"]),
    (Tv, &["tvOS", "ATV OS X", "webOS", "Web0S"]),
    (Wearable, &["watchOS"]),
    (Desktop, &["Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Debian", "Red Hat", "CentOS", "SUSE", "Mint"]),
    (Desktop, &["Arch Linux", "Gentoo", "Chrome OS", "FreeBSD", "OpenBSD", "NetBSD", "Solaris"]),
];

/// Returns the class of a device; `is_spider` is uap-core's judgement.
pub(super) fn class_of(words: &str, os_name: Option<&str>, is_spider: bool) -> DeviceClass {
    let marked = |(_, marks): &&(DeviceClass, &[&str])| marks.iter().any(|mark| words.contains(mark));
    if robots::is_named(words) {
        return Bot;
    }
    if robots::is_library(words) {
        return Library;
    }
    if is_spider && !robots::is_false_spider(words) {
        return Bot;
    }
    MARKS.iter().find(marked).map_or_else(|| class_by_system(words, os_name), |(class, _)| *class)
}

fn class_by_system(words: &str, os_name: Option<&str>) -> DeviceClass {
    // On an Android phone a browser says `Mobile`; what is no browser says nothing either way.
    if os_name == Some("Android") && words.starts_with(" mozilla ") {
        return Tablet;
    }
    let row = SYSTEMS.iter().find(|(_, names)| os_name.is_some_and(|os| names.contains(&os)));
    row.map_or(Unknown, |(class, _)| *class)
}

/// Returns the words of `texts` for the rules: in small letters, one space before, between and behind them. What is
/// neither letter nor digit of ASCII parts words, but `+http` is a word of its own.
pub(super) fn words_of(texts: &[&str]) -> String {
    let mut words = String::from(" ");
    for text in texts {
        for (at, byte) in text.bytes().enumerate() {
            let is_letter = byte.is_ascii_alphanumeric();
            if !is_letter && !words.ends_with(' ') {
                words.push(' ');
            }
            if is_letter || text.as_bytes()[at..].starts_with(b"+http") {
                words.push(char::from(byte.to_ascii_lowercase()));
            }
        }
        if !words.ends_with(' ') {
            words.push(' ');
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_one_space_around_each() {
        assert_eq!(words_of(&["Mozilla/5.0 (X;  y)", "Kindle"]), " mozilla 5 0 x y kindle ");
        assert_eq!(words_of(&["Bot(+http://a.b)"]), " bot +http a b ");
        assert_eq!(words_of(&["é+", ""]), " ");
    }

    #[test]
    fn the_operating_system_decides_what_has_no_mark() {
        assert_eq!(class_of(" mozilla ", Some("Android"), false), Tablet);
        assert_eq!(class_of(" mozilla mobile ", Some("Android"), false), Phone);
        assert_eq!(class_of(" some app ", Some("Android"), false), Phone);
        assert_eq!(class_of(" x ", Some("Ubuntu"), false), Desktop);
        assert_eq!(class_of(" x ", None, false), Unknown);
    }
}
