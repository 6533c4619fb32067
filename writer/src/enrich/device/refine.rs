//! Client hints over the frozen parts of reduced user agents.
//!
//! Browsers built on Chromium no longer say what they run on: `Windows NT 10.0` is also Windows 11, `Mac OS X 10_15_7`
//! is any later one, Chrome on Android sends `Android 10; K` and versions end in `.0.0.0`. What wins:
//!
//! | column | hint | wins over the user agent |
//! |---|---|---|
//! | browser name | brand | where that says Chrome, Chromium or nothing; `Chromium` alone never |
//! | browser version | full version of the brand | where the brand is the browser that the row names |
//! | os name | platform | where it is one of [`PLATFORMS`]; `Linux` only over nothing |
//! | os version | platform version | where the platform is the system that the row names |
//! | device family, brand, model | model | always |
//! | class | mobile | among phone, tablet, desktop and unknown |
//!
//! Robots and http libraries are left as they are, but a `HeadlessChrome` brand makes a robot.

use std::sync::Arc;

use super::hints::{Brand, ClientHints};
use super::{Device, DeviceClass, DeviceRules};

/// Names of platforms and what uap-core calls them.
const PLATFORMS: &[(&str, &str)] = &[
    ("Windows", "Windows"),
    ("macOS", "Mac OS X"),
    ("Android", "Android"),
    ("Chrome OS", "Chrome OS"),
    ("Chromium OS", "Chrome OS"),
    ("iOS", "iOS"),
    ("Linux", "Linux"),
];

/// Names of brands and what uap-core calls them, on a desktop and on a phone. Other brands keep their names.
const BRANDS: &[(&str, &str, &str)] = &[
    ("Google Chrome", "Chrome", "Chrome Mobile"),
    ("Microsoft Edge", "Edge", "Edge Mobile"),
    ("Opera", "Opera", "Opera Mobile"),
    ("Yandex", "Yandex Browser", "Yandex Browser"),
    ("YaBrowser", "Yandex Browser", "Yandex Browser"),
    ("Android WebView", "Chrome Mobile WebView", "Chrome Mobile WebView"),
];

/// Browser names that a user agent also gives when the browser is another one.
const UNCERTAIN_BROWSERS: &[&str] = &["Chrome", "Chrome Mobile", "Chromium", "Chrome Mobile WebView"];

/// Longest model that is looked up; real ones have less than 40 bytes.
const MAX_MODEL_BYTES: usize = 100;

impl DeviceRules {
    /// Returns `device` with what `hints` know better.
    pub fn refine(&self, device: &Device, hints: &ClientHints) -> Device {
        let mut refined = device.clone();
        if matches!(device.class, DeviceClass::Bot | DeviceClass::Library) {
            return refined;
        }
        if let Some(brand) = &hints.brand {
            refine_browser(&mut refined, brand, hints.mobile.unwrap_or(false));
        }
        refine_system(&mut refined, hints);
        if let Some(model) = &hints.model {
            self.refine_model(&mut refined, model);
        }
        refine_class(&mut refined, hints);
        refined
    }

    fn refine_model(&self, device: &mut Device, model: &str) {
        if model.len() > MAX_MODEL_BYTES || device.device_model.as_deref() == Some(model) {
            return;
        }
        if device.os_name.as_deref() == Some("Android") {
            self.set_android_model(device, model);
        }
        device.device_model = Some(model.into());
    }
}

fn refine_browser(device: &mut Device, brand: &Brand, is_mobile: bool) {
    let known = BRANDS.iter().find(|(name, ..)| *name == brand.name);
    let name = known.map_or(brand.name.as_str(), |(_, desktop, mobile)| if is_mobile { mobile } else { desktop });
    let is_same = device.browser_name.as_deref() == Some(name);
    let is_uncertain = device.browser_name.as_deref().is_none_or(|known| UNCERTAIN_BROWSERS.contains(&known));
    if !is_same && (!is_uncertain || name == "Chromium") {
        return;
    }
    let full = brand.full_version.as_deref().and_then(|version| shortened(version, 3));
    let major = brand.version.as_deref().and_then(|version| shortened(version, 3));
    let kept = if is_same { device.browser_version.take() } else { None };
    device.browser_version = full.or(kept).or(major);
    device.browser_name = Some(name.into());
    if name == "HeadlessChrome" {
        (device.class, device.is_bot) = (DeviceClass::Bot, true);
    }
}

fn refine_system(device: &mut Device, hints: &ClientHints) {
    let platform = hints.platform.as_deref();
    let Some((_, name)) = PLATFORMS.iter().find(|(hint, _)| Some(*hint) == platform) else { return };
    let is_same = device.os_name.as_deref() == Some(*name);
    // A distribution's name says more.
    if *name == "Linux" && !is_same && device.os_name.is_some() {
        return;
    }
    let kept = if is_same { device.os_version.take() } else { None };
    device.os_version = hints.platform_version.as_deref().and_then(|v| system_version(name, v)).or(kept);
    device.os_name = Some((*name).into());
}

fn refine_class(device: &mut Device, hints: &ClientHints) {
    use DeviceClass::{Desktop, Phone, Tablet, Unknown};
    let is_open = matches!(device.class, Phone | Tablet | Desktop | Unknown);
    let Some(is_mobile) = hints.mobile.filter(|_| is_open) else { return };
    device.class = match device.os_name.as_deref() {
        _ if is_mobile => Phone,
        Some("Android") => Tablet,
        Some("Windows" | "Mac OS X" | "Chrome OS" | "Linux") => Desktop,
        _ => device.class,
    };
}

/// Returns the version of a system as its makers and uap-core write it.
fn system_version(os_name: &str, hint: &str) -> Option<Arc<str>> {
    let version = shortened(hint, 3)?;
    if os_name == "Windows" {
        return windows_version(&version).map(Arc::from);
    }
    // `14.0.0` of Android is `14` in its user agent.
    let trimmed = version.trim_end_matches(".0");
    (trimmed != "0").then(|| trimmed.into())
}

/// Returns the Windows of a version of its API contract, see "Detect Windows 11 using client hints" of Microsoft Edge.
fn windows_version(contract: &str) -> Option<&'static str> {
    let (major, rest) = contract.split_once('.').unwrap_or((contract, ""));
    match (major.parse::<u32>().ok()?, rest.split('.').next()) {
        (13.., _) => Some("11"),
        (1..=12, _) => Some("10"),
        (0, Some("1")) => Some("7"),
        (0, Some("2")) => Some("8"),
        (0, Some("3")) => Some("8.1"),
        _ => None,
    }
}

/// Returns the first `parts` parts of a version of digits and dots; `None` when it has anything else.
fn shortened(version: &str, parts: usize) -> Option<Arc<str>> {
    let is_number = |part: &&str| (1..=9).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let numbers: Vec<&str> = version.split('.').take(parts).collect();
    numbers.iter().all(is_number).then(|| numbers.join(".").into())
}
