//! Real user agents of every class, client hints, replaced rules, and the cache against the rules.

mod known;

use std::sync::LazyLock;

use proptest::prelude::*;

use self::known::KNOWN;
use super::DeviceClass::{Bot, Phone};
use super::*;

static RULES: LazyLock<Arc<DeviceRules>> = LazyLock::new(|| DeviceRules::built_in().expect("built-in rules"));

const REDUCED_ANDROID: &[u8] =
    b"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36";
const REDUCED_WINDOWS: &[u8] =
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36";
const REDUCED_MAC: &[u8] = b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) \
      Chrome/124.0.0.0 Safari/537.36";

/// One line for a device: `class | browser version | os version | family / brand / model`, `-` for null.
fn line(device: &Device) -> String {
    assert_eq!(device.is_bot, device.class == Bot, "{device:?}");
    let show = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
    format!(
        "{} | {} {} | {} {} | {} / {} / {}",
        device.class.as_str(),
        show(&device.browser_name),
        show(&device.browser_version),
        show(&device.os_name),
        show(&device.os_version),
        show(&device.device_family),
        show(&device.device_brand),
        show(&device.device_model)
    )
}

/// Puts back what nearly all user agents repeat.
fn spelled_out(short: &str) -> String {
    short
        .replace("{webkit}", "AppleWebKit/537.36 (KHTML, like Gecko)")
        .replace("{apple}", "AppleWebKit/605.1.15 (KHTML, like Gecko)")
}

#[test]
fn real_user_agents_are_read() {
    for (short, expected) in KNOWN {
        let user_agent = spelled_out(short);
        assert_eq!(line(&RULES.device(user_agent.as_bytes())), *expected, "{user_agent}");
    }
}

#[test]
fn phones_of_cubot_are_no_robots() {
    for model in ["CUBOT X19", "CUBOT_NOTE_7 Build/PPR1", "CUBOT KINGKONG 5 Pro", "Cubot"] {
        for user_agent in [
            format!(
                "Mozilla/5.0 (Linux; Android 9; {model}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0 Mobile"
            ),
            format!("Dalvik/2.1.0 (Linux; U; Android 9; {model})"),
            format!("Mobile app/1.0 ({model})"),
        ] {
            let device = RULES.device(user_agent.as_bytes());
            assert_eq!((device.class, device.is_bot), (Phone, false), "{user_agent}");
            assert_ne!(device.device_family.as_deref(), Some("Spider"), "{user_agent}");
        }
    }
}

#[test]
fn no_user_agent_says_nothing() {
    assert_eq!(RULES.device(b""), Device::default());
    assert_eq!(RULES.device(b"Other"), Device::default());
}

#[test]
fn what_follows_the_limit_is_not_read() {
    let mut user_agent = REDUCED_WINDOWS.to_vec();
    let before = RULES.device(&user_agent);
    user_agent.resize(MAX_USER_AGENT_BYTES, b' ');
    user_agent.extend_from_slice(b" Googlebot/2.1");
    assert_eq!(RULES.device(&user_agent), before);
}

fn refined(user_agent: &[u8], hints: &str) -> String {
    line(DeviceCache::new(Arc::clone(&RULES)).device_with_hints(user_agent, hints.as_bytes()))
}

#[test]
fn hints_name_the_model_and_version_that_android_hides() {
    let hints = r#"{"brands":[{"brand":"Not A;Brand","version":"99"},{"brand":"Google Chrome","version":"124"}],
        "fullVersionList":[{"brand":"Google Chrome","version":"124.0.6367.82"}],
        "mobile":true,"platform":"Android","platformVersion":"14.0.0","model":"Pixel 8"}"#;
    let expected = "phone | Chrome Mobile 124.0.6367 | Android 14 | Pixel 8 / Google / Pixel 8";
    assert_eq!(refined(REDUCED_ANDROID, hints), expected);
    let unknown_model = r#"{"platform":"Android","platformVersion":"13","model":"Zork 9"}"#;
    let expected = "phone | Chrome Mobile 124.0.0 | Android 13 | Zork 9 / - / Zork 9";
    assert_eq!(refined(REDUCED_ANDROID, unknown_model), expected);
}

#[test]
fn hints_tell_windows_11_from_10() {
    for (contract, expected) in
        [("15.0.0", "11"), ("13.0.0", "11"), ("10.0.0", "10"), ("0.1", "7"), ("x", "10"), ("", "10")]
    {
        let hints = format!(r#"{{"mobile":false,"platform":"Windows","platformVersion":"{contract}"}}"#);
        let expected = format!("desktop | Chrome 124.0.0 | Windows {expected} | - / - / -");
        assert_eq!(refined(REDUCED_WINDOWS, &hints), expected, "{contract}");
    }
}

#[test]
fn hints_name_the_browser_that_calls_itself_chrome() {
    let brave = r#"{"brands":[{"brand":"Chromium","version":"124"},{"brand":"Brave","version":"124"}],
        "platform":"macOS","platformVersion":"14.4.1"}"#;
    assert_eq!(refined(REDUCED_MAC, brave), "desktop | Brave 124 | Mac OS X 14.4.1 | Mac / Apple / Mac");
    let chromium = r#"{"brands":[{"brand":"Chromium","version":"124"}]}"#;
    assert_eq!(refined(REDUCED_MAC, chromium), "desktop | Chrome 124.0.0 | Mac OS X 10.15.7 | Mac / Apple / Mac");
    let firefox = b"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0";
    let wrong = r#"{"brands":[{"brand":"Google Chrome","version":"1"}],"platform":"Linux","platformVersion":"6.5"}"#;
    assert_eq!(refined(firefox, wrong), "desktop | Firefox 125.0 | Ubuntu - | - / - / -");
}

#[test]
fn hints_leave_robots_and_libraries_alone() {
    let hints = r#"{"mobile":true,"platform":"Android","model":"Pixel 8","brands":[{"brand":"Brave","version":"1"}]}"#;
    for user_agent in ["curl/8.5.0", "Googlebot/2.1"] {
        let device = RULES.device(user_agent.as_bytes());
        assert_eq!(refined(user_agent.as_bytes(), hints), line(&device));
    }
    let headless = r#"{"brands":[{"brand":"HeadlessChrome","version":"124"}]}"#;
    assert!(refined(REDUCED_WINDOWS, headless).starts_with("bot | HeadlessChrome 124"));
}

#[test]
fn hints_that_are_too_long_or_broken_change_nothing() {
    let long = format!(r#"{{"mobile":true,"model":"{}"}}"#, "x".repeat(MAX_HINTS_BYTES));
    for hints in [long.as_str(), "{", "null", r#"{"model":7}"#] {
        assert_eq!(refined(REDUCED_WINDOWS, hints), line(&RULES.device(REDUCED_WINDOWS)));
    }
}

const SMALL_RULES: &str = r"
user_agent_parsers:
  - regex: '(Icefold)/(\d+)\.(\d+)'
os_parsers:
  - regex: 'Plan 9'
    os_replacement: 'Plan 9'
device_parsers:
  - regex: 'glenda'
    regex_flag: 'i'
    device_replacement: 'Rabbit'
    brand_replacement: 'Bell'
";

#[test]
fn rules_can_be_replaced_by_a_file() {
    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), SMALL_RULES).expect("written");
    let rules = DeviceSource::new(Some(file.path().into())).rules().expect("rules");
    let version = rules.version();
    assert!(version.starts_with("regexes/") && version.len() == "regexes/".len() + 16, "{version}");
    let device = rules.device(b"Icefold/1.2 (Plan 9; Glenda)");
    assert_eq!(line(&device), "unknown | Icefold 1.2 | Plan 9 - | Rabbit / Bell / -");
}

#[test]
fn rules_are_compiled_once_and_shared() {
    let source = DeviceSource::default();
    let (first, second) = (source.rules().expect("rules"), source.rules().expect("rules"));
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(&**first.version(), BUILT_IN_VERSION);
}

#[test]
fn a_failure_is_remembered_and_told_again() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("regexes.yaml");
    let source = DeviceSource::new(Some(path.clone()));
    let first = source.rules().expect_err("no file").to_string();
    assert!(first.contains("regexes.yaml") && first.contains("correct its path"), "{first}");
    std::fs::write(path, SMALL_RULES).expect("written");
    assert_eq!(source.rules().expect_err("remembered").to_string(), first);
}

#[test]
fn files_that_are_no_rules_are_errors_with_a_remedy() {
    let without_devices = SMALL_RULES.split("device_parsers").next().expect("the part before");
    let empty_list = format!("{without_devices}device_parsers: []\n");
    let bad_regex = SMALL_RULES.replace("glenda", "(glenda");
    let no_group = SMALL_RULES.replace(r"'(Icefold)/(\d+)\.(\d+)'", "'Icefold'\n    family_replacement: '$1'");
    let not_yaml = "user_agent_parsers: [\n  - {";
    for text in
        ["", "   \n", "x", "{}", "[1, 2]", "\u{0}", not_yaml, without_devices, &empty_list, &bad_regex, &no_group]
    {
        let error = DeviceRules::load(text.as_bytes(), "regexes/x").expect_err(text);
        assert!(error.message().contains("give a complete `regexes.yaml`"), "{error}");
    }
    assert!(DeviceRules::load(&[0xff, 0xfe, 0x00], "regexes/x").is_err());
}

#[test]
fn the_cache_is_bounded() {
    let rules = Arc::new(DeviceRules::load(SMALL_RULES.as_bytes(), "regexes/x").expect("rules"));
    let mut cache = DeviceCache::new(rules);
    for i in 0..3 * MAX_CACHED_USER_AGENTS {
        cache.device(format!("Icefold/1.{i}").as_bytes());
        assert!(cache.cached() <= MAX_CACHED_USER_AGENTS);
    }
    let version = cache.device(b"Icefold/1.7").browser_version.clone();
    assert_eq!(version.as_deref(), Some("1.7"));
}

#[test]
fn workers_share_the_rules() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<DeviceRules>();
    is_shared::<DeviceSource>();
    fn moves_to_a_thread<T: Send>() {}
    moves_to_a_thread::<DeviceCache>();
}

/// Words that rules look for, and bytes that are no text.
const FRAGMENTS: &[&[u8]] = &[b"bot", b"; ", b"Android ", b"\xff\xfe", b"(", b"iPad", b"Mobile", b"K)"];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        prop::sample::select(KNOWN).prop_map(|(text, _)| text.as_bytes().to_vec()),
        prop::sample::select(FRAGMENTS).prop_map(<[u8]>::to_vec),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_answer_does_not_depend_on_the_cache(user_agents in proptest::collection::vec(pieces(), 1..20)) {
        let mut cache = DeviceCache::new(Arc::clone(&RULES));
        for user_agent in user_agents.iter().chain(&user_agents) {
            let device = RULES.device(user_agent);
            prop_assert_eq!(&**cache.device(user_agent), &device);
            prop_assert_eq!(device.is_bot, device.class == Bot);
        }
    }

    #[test]
    fn a_damaged_file_of_rules_does_not_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = SMALL_RULES.as_bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(rules) = DeviceRules::load(&bytes, "regexes/x") {
            rules.device(b"Icefold/1.2 (Plan 9; Glenda)");
        }
    }

    #[test]
    fn no_hints_make_it_panic(
        user_agent in pieces(),
        hints in any::<Vec<u8>>(),
        text in "\\PC{0,20}",
        model in "\\PC{0,120}",
    ) {
        let mut cache = DeviceCache::new(Arc::clone(&RULES));
        cache.device_with_hints(&user_agent, &hints);
        let hints = serde_json::json!({
            "brands": [{"brand": text, "version": text}], "mobile": true, "platform": "Android",
            "platformVersion": text, "model": model,
        });
        cache.device_with_hints(&user_agent, hints.to_string().as_bytes());
    }
}
