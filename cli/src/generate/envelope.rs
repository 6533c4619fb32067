//! Whole events: a call in the envelope of the SDK that sends it, as it arrives from a collector that adds
//! `receivedAt`.

use super::calls::{Call, put_page};
use super::device::{Platform, User};
use super::random::Random;
use super::session::{CallKind, Session};
use super::shop::Shop;
use super::text::{Hex, Put, Time, UpperUuid, Uuid, put};

/// When an event happened, was sent and arrived, in milliseconds since 1970; the first two by the client's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// When the call was made.
    pub(crate) happened_ms: i64,
    /// When it was sent.
    pub(crate) sent_ms: i64,
    /// When the collector received it.
    pub(crate) received_ms: i64,
}

/// Where the two times stand that change when an event is sent again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Marks {
    /// First byte of the value of `sentAt`.
    pub(crate) sent_at: usize,
    /// First byte of the value of `receivedAt`.
    pub(crate) received_at: usize,
}

/// What goes into an envelope.
pub(crate) struct Message<'a> {
    /// The call.
    pub(crate) call: Call,
    /// The members of its `properties` or `traits`.
    pub(crate) body: &'a [u8],
    /// When.
    pub(crate) moment: Moment,
}

impl Message<'_> {
    /// Writes the event of a session into the empty buffer `out`.
    pub(crate) fn put_from_session(
        &self,
        session: &Session,
        shop: &Shop,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> Marks {
        match session.device.platform {
            Platform::Web => self.put_analytics_js(session, shop, random, out),
            Platform::OtherWeb => self.put_other_js(session, shop, random, out),
            Platform::Ios | Platform::Android => self.put_mobile(session, random, out),
        }
    }

    fn put_analytics_js(&self, session: &Session, shop: &Shop, random: &mut Random, out: &mut Vec<u8>) -> Marks {
        put!(out, r#"{"timestamp":""#, Time(self.moment.happened_ms), r#"","integrations":{},"anonymousId":""#);
        session.device.put_anonymous_id(out);
        put!(out, r#"","#);
        self.put_call(session, random, out);
        put!(out, r#","context":{"page":{"#);
        put_page(session, shop, out);
        put!(out, "},", session.device.context.as_slice());
        put!(out, r#","library":{"name":"analytics.js","version":"npm:next-1.81.1"}"#);
        put_campaign(session, out);
        put!(out, r#"},"messageId":"ajs-next-"#, self.moment.happened_ms.unsigned_abs(), "-", Uuid(random.uuid()));
        put!(out, r#"","userId":"#);
        put_user(user_of(session), out);
        put!(out, r#","writeKey":"wk_3fVbGh81LqTzR0aXw","#);
        let marks = self.put_times(out);
        put!(out, r#","_metadata":{"bundled":["Segment.io"],"unbundled":[],"bundledIds":[]}}"#);
        marks
    }

    fn put_other_js(&self, session: &Session, shop: &Shop, random: &mut Random, out: &mut Vec<u8>) -> Marks {
        put!(out, r#"{"channel":"web","#);
        self.put_call(session, random, out);
        put!(out, r#","context":{"page":{"#);
        put_page(session, shop, out);
        put!(out, "},", session.device.context.as_slice());
        put!(
            out,
            r#","sessionId":"#,
            session.id,
            r#","library":{"name":"RudderLabs JavaScript SDK","version":"3.24.1","#
        );
        put!(out, r#""snippetVersion":"3.0.60"}"#);
        put_campaign(session, out);
        put!(out, r#"},"integrations":{"All":true},"originalTimestamp":""#, Time(self.moment.happened_ms));
        put!(out, r#"","messageId":""#, Uuid(random.uuid()), r#"","anonymousId":""#);
        session.device.put_anonymous_id(out);
        if let Some(user) = user_of(session) {
            put!(out, r#"","userId":""#);
            user.put_id(out);
        }
        put!(out, r#"","#);
        let marks = self.put_times(out);
        put!(out, "}");
        marks
    }

    fn put_mobile(&self, session: &Session, random: &mut Random, out: &mut Vec<u8>) -> Marks {
        put!(out, "{");
        self.put_call(session, random, out);
        put!(out, r#","anonymousId":""#);
        session.device.put_anonymous_id(out);
        put!(out, r#"","messageId":""#);
        match session.device.platform {
            Platform::Ios => UpperUuid(random.uuid()).put(out),
            _ => Uuid(random.uuid()).put(out),
        }
        put!(
            out,
            r#"","timestamp":""#,
            Time(self.moment.happened_ms),
            r#"","context":{"#,
            session.device.context.as_slice()
        );
        if session.device.platform == Platform::Android {
            put!(out, r#","memory":{"free_mb":"#, 200 + random.below(1_800), r#","low":false},"battery":{"level":"#);
            put!(out, random.below(100), r#","charging":"#, random.chance(0.2), "}");
        }
        put!(out, r#","lifecycle":{"foreground":true,"launches":"#, 1 + random.below(300));
        put!(out, r#","installedAt":"2025-06-11T08:14:55.000Z","installer":"store","permissions":["push","camera"]}}"#);
        put!(out, r#","integrations":{"Appsflyer":false,"Firebase":true},"userId":"#);
        put_user(user_of(session), out);
        put!(out, r#","_metadata":{"bundled":[],"bundledIds":[],"unbundled":["Braze Cloud Mode (Actions)"]},"#);
        let marks = self.put_times(out);
        put!(out, r#","writeKey":"wk_9KsmT2uQeYdPz4LnB"}"#);
        marks
    }

    /// The members that say what was called.
    fn put_call(&self, session: &Session, random: &mut Random, out: &mut Vec<u8>) {
        put!(out, r#""type":""#, self.call.kind.name(), r#"","#);
        match self.call.kind {
            CallKind::Track => put!(out, r#""event":""#, self.call.name, r#"","properties":{"#, self.body, "}"),
            CallKind::Page | CallKind::Screen => {
                put!(out, r#""name":""#, self.call.name, r#"","properties":{"#, self.body, "}");
            }
            CallKind::Identify => put!(out, r#""traits":{"#, self.body, "}"),
            CallKind::Group => put!(out, r#""groupId":"grp_"#, random.below(40), r#"","traits":{"#, self.body, "}"),
            CallKind::Alias => {
                put!(out, r#""previousId":""#);
                session.device.put_anonymous_id(out);
                put!(out, r#"""#);
            }
        }
    }

    /// Writes the event of a server that knows the person, not the device.
    pub(crate) fn put_from_backend(&self, user: User, python: bool, random: &mut Random, out: &mut Vec<u8>) -> Marks {
        put!(out, r#"{"userId":""#);
        user.put_id(out);
        put!(out, r#"","type":"track","event":""#, self.call.name, r#"","properties":{"#, self.body);
        put!(out, r#"},"timestamp":""#, Time(self.moment.happened_ms), r#"","integrations":{},"messageId":""#);
        if python {
            put!(out, Uuid(random.uuid()), r#"","context":{"library":{"name":"analytics-python","version":"2.3.4"}"#);
        } else {
            put!(out, "node-next-", self.moment.happened_ms.unsigned_abs(), "-", Uuid(random.uuid()));
            put!(out, r#"","context":{"library":{"name":"@segment/analytics-node","version":"2.3.0"}"#);
        }
        put!(out, r#","service":{"name":"orders","version":"2026.01.2","region":"eu-central-1","pod":"orders-"#);
        put!(
            out,
            Hex(random.bits(), 10),
            r#""},"trace":{"trace_id":""#,
            Hex(random.bits(), 16),
            Hex(random.bits(), 16)
        );
        put!(out, r#"","sampled":false}},"#);
        if !python {
            put!(out, r#""_metadata":{"nodeVersion":"22.11.0","jsRuntime":"node"},"#);
        }
        let marks = self.put_times(out);
        put!(out, "}");
        marks
    }

    fn put_times(&self, out: &mut Vec<u8>) -> Marks {
        put!(out, r#""sentAt":""#);
        let sent_at = out.len();
        put!(out, Time(self.moment.sent_ms), r#"","receivedAt":""#);
        let received_at = out.len();
        put!(out, Time(self.moment.received_ms), r#"""#);
        Marks { sent_at, received_at }
    }
}

/// Returns the person that events of the session name.
pub(crate) fn user_of(session: &Session) -> Option<User> {
    session.device.user.filter(|_| session.logged_in)
}

fn put_user(user: Option<User>, out: &mut Vec<u8>) {
    match user {
        Some(user) => {
            put!(out, r#"""#);
            user.put_id(out);
            put!(out, r#"""#);
        }
        None => put!(out, "null"),
    }
}

fn put_campaign(session: &Session, out: &mut Vec<u8>) {
    if let Some(campaign) = session.campaign {
        put!(out, r#","campaign":{"name":""#, campaign.name, r#"","source":""#, campaign.source);
        put!(out, r#"","medium":""#, campaign.medium, r#"","content":""#, campaign.content, r#""}"#);
    }
}
