//! The devices that send events. A device is a function of the seed and its number, so that it comes back the same:
//! same `anonymousId`, same person, same browser or phone.

use super::random::Random;
use super::text::{Hex, Put, UpperUuid, Uuid, put};

/// What an event is sent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Platform {
    /// A browser with analytics.js.
    Web,
    /// A browser with a JavaScript SDK of another vendor that speaks the same spec.
    OtherWeb,
    /// An iPhone with analytics-swift.
    Ios,
    /// An Android phone with analytics-kotlin.
    Android,
}

/// A person, who may own two devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User(pub(crate) u64);

/// One browser or phone.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    /// Its number.
    pub(crate) index: u64,
    /// What it is.
    pub(crate) platform: Platform,
    /// The bits of its `anonymousId`.
    pub(crate) anonymous_id: u128,
    /// Who owns it, if that person has an account.
    pub(crate) user: Option<User>,
    /// By how much its clock is ahead.
    pub(crate) skew_ms: i64,
    /// Language and region, for example `de-DE`.
    pub(crate) locale: &'static str,
    /// The members of `context` that stay the same, as JSON without braces.
    pub(crate) context: Vec<u8>,
}

/// Locale, time zone and a name in that language, some with letters beyond ASCII.
const PLACES: &[(u32, (&str, &str, &str))] = &[
    (30, ("en-US", "America/New_York", "Avery Johnson")),
    (14, ("en-US", "America/Los_Angeles", "Jordan O'Neill")),
    (12, ("en-GB", "Europe/London", "Imogen Clarke")),
    (12, ("de-DE", "Europe/Berlin", "Jürgen Müller")),
    (8, ("fr-FR", "Europe/Paris", "Zoé Lefèvre")),
    (6, ("es-ES", "Europe/Madrid", "Íñigo Muñoz")),
    (6, ("pt-BR", "America/Sao_Paulo", "João Conceição")),
    (5, ("ja-JP", "Asia/Tokyo", "佐藤 美咲")),
    (4, ("pl-PL", "Europe/Warsaw", "Łucja Wiśniewska")),
    (3, ("ar-EG", "Africa/Cairo", "ليلى حسن")),
];

impl Device {
    /// Returns the device number `index`.
    pub(crate) fn nth(seed: u64, index: u64) -> Device {
        let mut random = Random::new(seed, index.wrapping_add(1 << 32));
        let platform = random.weighted(&[
            (48, Platform::Web),
            (6, Platform::OtherWeb),
            (24, Platform::Ios),
            (22, Platform::Android),
        ]);
        let (locale, timezone, _) = random.weighted(PLACES);
        let mut device = Device {
            index,
            platform,
            anonymous_id: random.uuid(),
            user: random.chance(0.6).then(|| User::of_device(index)),
            skew_ms: skew_ms(&mut random),
            locale,
            context: Vec::with_capacity(1024),
        };
        match platform {
            Platform::Web | Platform::OtherWeb => super::context::browser(&mut device, timezone, &mut random),
            Platform::Ios => super::context::iphone(&mut device, timezone, &mut random),
            Platform::Android => super::context::android(&mut device, timezone, &mut random),
        }
        device
    }

    /// Returns the `anonymousId` in the form of the platform's SDK.
    pub(crate) fn put_anonymous_id(&self, out: &mut Vec<u8>) {
        match self.platform {
            Platform::Ios => UpperUuid(self.anonymous_id).put(out),
            _ => Uuid(self.anonymous_id).put(out),
        }
    }
}

impl User {
    /// Returns the owner of a device: every fourth device is the second one of a person.
    pub(crate) fn of_device(index: u64) -> User {
        User(if index % 4 == 3 { index - 1 } else { index })
    }

    /// Appends the `userId`.
    pub(crate) fn put_id(self, out: &mut Vec<u8>) {
        put!(out, "usr_", Hex(super::random::mix(self.0.wrapping_add(0x1ce_f01d)), 16));
    }

    /// Appends the members of `traits`, without braces.
    pub(crate) fn put_traits(self, out: &mut Vec<u8>) {
        let mut random = Random::new(self.0, 7);
        let (locale, timezone, name) = random.weighted(PLACES);
        let plan = random.weighted(&[(70, "free"), (22, "plus"), (8, "family")]);
        let created = 1_500_000_000_000 + random.between(0, 250_000_000_000);
        put!(out, r#""email":"user."#, self.0, r#"@example.com","name":""#, name, r#"","plan":""#, plan);
        put!(out, r#"","createdAt":""#, super::text::Time(created), r#"","language":""#, locale);
        put!(out, r#"","timezone":""#, timezone, r#"","logins":"#, random.below(400));
        put!(out, r#","newsletter":"#, random.chance(0.4), r#","loyaltyPoints":"#, random.below(12_000));
        put!(out, r#","address":{"city":"Riverside","country":""#, &locale[3..], r#"","postalCode":""#);
        put!(out, 10_000 + random.below(89_999), r#""},"segments":["returning","outdoor","email-opener"]"#);
    }
}

/// Most clocks are right within a second or two, some are minutes off, a few hours.
fn skew_ms(random: &mut Random) -> i64 {
    let spread_ms = random.weighted(&[(85, 2_000), (12, 240_000), (3, 6 * 3_600_000)]);
    random.between(-spread_ms, spread_ms)
}
