//! The part of `context` that stays the same for a device, in the shape that each SDK sends.

use super::device::Device;
use super::random::Random;
use super::text::{Hex, UpperUuid, Uuid, put};

/// User agent, vendor brands (Chromium only), platform and window sizes of browsers.
/// Share of devices, then what a browser says of itself.
type Browser = (u32, (&'static str, Option<&'static str>, &'static str, &'static [(u64, u64)]));

const BROWSERS: &[Browser] = &[
    (
        34,
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            Some("Google Chrome"),
            "Windows",
            &[(1920, 1080), (1536, 864), (2560, 1440)],
        ),
    ),
    (
        15,
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            Some("Google Chrome"),
            "macOS",
            &[(1728, 1117), (1440, 900)],
        ),
    ),
    (
        9,
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            Some("Microsoft Edge"),
            "Windows",
            &[(1920, 1080), (1366, 768)],
        ),
    ),
    (
        14,
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
            Some("Google Chrome"),
            "Android",
            &[(412, 915), (360, 800)],
        ),
    ),
    (
        14,
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
            None,
            "iOS",
            &[(393, 852), (430, 932)],
        ),
    ),
    (
        9,
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
            None,
            "macOS",
            &[(1512, 982), (1440, 900)],
        ),
    ),
    (
        5,
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
            None,
            "Linux",
            &[(1920, 1080), (2560, 1440)],
        ),
    ),
];

/// Model, screen and system version of phones.
const IPHONES: &[(&str, u64, u64)] =
    &[("iPhone15,2", 393, 852), ("iPhone16,2", 430, 932), ("iPhone14,5", 390, 844), ("iPhone17,1", 402, 874)];
const IOS_VERSIONS: &[(&str, &str)] = &[("18.6", "18_6"), ("18.5", "18_5"), ("17.7.2", "17_7_2"), ("26.1", "26_1")];
const ANDROIDS: &[(&str, &str, &str, u64, u64)] = &[
    ("samsung", "SM-S921B", "e1s", 1080, 2340),
    ("samsung", "SM-A546B", "a54x", 1080, 2340),
    ("Google", "Pixel 8", "shiba", 1080, 2400),
    ("Google", "Pixel 9 Pro", "caiman", 1280, 2856),
    ("Xiaomi", "23124RA7EO", "sapphire", 1080, 2400),
    ("motorola", "moto g84 5G", "bangkk", 1080, 2400),
];
const APP_BUILDS: &[(&str, &str)] =
    &[("7.14.0", "71400"), ("7.13.2", "71302"), ("7.12.1", "71201"), ("6.30.0", "63000")];

/// Fills in the context of a browser.
pub(crate) fn browser(device: &mut Device, timezone: &str, random: &mut Random) {
    let (agent, brand, system, screens) = random.weighted(BROWSERS);
    let &(width, height) = random.pick(screens);
    let locale = device.locale;
    let out = &mut device.context;
    put!(out, r#""userAgent":""#, agent, r#"","#);
    if let Some(brand) = brand {
        put!(out, r#""userAgentData":{"brands":[{"brand":""#, brand);
        put!(out, r#"","version":"142"},{"brand":"Chromium","version":"142"},{"brand":"Not_A Brand","version":"99"}]"#);
        put!(out, r#","mobile":"#, system == "Android", r#","platform":""#, system, r#""},"#);
    }
    put!(out, r#""locale":""#, locale, r#"","timezone":""#, timezone, r#"","screen":{"width":"#, width);
    put!(out, r#","height":"#, height, r#","density":"#, random.pick(&[1_u64, 2]), r#"},"#);
    put!(out, r#""consent":{"categoryPreferences":{"essential":true,"analytics":true,"advertising":"#);
    put!(out, random.chance(0.6), "}},");
    put_ip(out, random);
}

/// Fills in the context of an iPhone.
pub(crate) fn iphone(device: &mut Device, timezone: &str, random: &mut Random) {
    let &(model, width, height) = random.pick(IPHONES);
    let &(version, agent_version) = random.pick(IOS_VERSIONS);
    let &(app, build) = random.pick(APP_BUILDS);
    let locale = device.locale;
    let out = &mut device.context;
    put!(out, r#""app":{"build":""#, build, r#"","name":"Fernweh","namespace":"com.example.fernweh","version":""#, app);
    put!(out, r#""},"device":{"id":""#, UpperUuid(random.uuid()));
    put!(out, r#"","manufacturer":"Apple","model":""#, model, r#"","name":"iPhone","type":"ios","#);
    put!(out, r#""adTrackingEnabled":"#, random.chance(0.3), r#","trackingStatus":"denied"},"#);
    put!(out, r#""library":{"name":"analytics-swift","version":"1.8.0"},"instanceId":""#, UpperUuid(random.uuid()));
    put!(out, r#"","locale":""#, locale, r#"","timezone":""#, timezone, r#"","os":{"name":"iOS","version":""#, version);
    put!(
        out,
        r#""},"screen":{"height":"#,
        height,
        r#","width":"#,
        width,
        r#"},"userAgent":"Mozilla/5.0 (iPhone; CPU "#
    );
    put!(out, "iPhone OS ", agent_version, r#" like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)","#);
    put_network(out, random);
    put_ip(out, random);
}

/// Fills in the context of an Android phone.
pub(crate) fn android(device: &mut Device, timezone: &str, random: &mut Random) {
    let &(maker, model, name, width, height) = random.pick(ANDROIDS);
    let &(app, build) = random.pick(APP_BUILDS);
    let system = random.pick(&["13", "14", "15", "16"]);
    let locale = device.locale;
    let out = &mut device.context;
    put!(out, r#""app":{"name":"Fernweh","version":""#, app, r#"","namespace":"com.example.fernweh","build":""#, build);
    put!(out, r#""},"device":{"id":""#, Hex(random.bits(), 16), Hex(random.bits(), 16), r#"","manufacturer":""#, maker);
    put!(out, r#"","model":""#, model, r#"","name":""#, name, r#"","type":"android","advertisingId":""#);
    put!(out, Uuid(random.uuid()), r#"","adTrackingEnabled":true},"instanceId":""#, Uuid(random.uuid()));
    put!(out, r#"","library":{"name":"analytics-kotlin","version":"1.19.2"},"locale":""#, locale);
    put!(out, r#"","timezone":""#, timezone, r#"","os":{"name":"Android","version":""#, system);
    put!(out, r#""},"screen":{"density":2.625,"height":"#, height, r#","width":"#, width);
    put!(
        out,
        r#"},"userAgent":"Dalvik/2.1.0 (Linux; U; Android "#,
        system,
        "; ",
        model,
        r#" Build/UP1A.231005.007)","#
    );
    put_network(out, random);
    put_ip(out, random);
}

fn put_network(out: &mut Vec<u8>, random: &mut Random) {
    let wifi = random.chance(0.6);
    put!(out, r#""network":{"bluetooth":"#, random.chance(0.4), r#","cellular":"#, !wifi, r#","wifi":"#, wifi);
    put!(out, r#","carrier":""#, *random.pick(&["Vodafone", "T-Mobile", "Orange", "AT&T", "KDDI"]), r#""},"#);
}

/// The address as the collector saw it: addresses of the ranges kept for documentation and benchmarks (RFC 2544,
/// RFC 3849), so that no one real is meant.
fn put_ip(out: &mut Vec<u8>, random: &mut Random) {
    if random.chance(0.2) {
        put!(out, r#""ip":"2001:db8:"#, Hex(random.bits(), 4), ":", Hex(random.bits(), 4), "::", Hex(random.bits(), 3));
    } else {
        put!(out, r#""ip":"198."#, 18 + random.below(2), ".", random.below(256), ".", 1 + random.below(254));
    }
    put!(out, r#"""#);
}
