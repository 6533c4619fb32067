//! The keys of an event that the contract names, and where each one's value stands.

use super::scanner::Value;

macro_rules! fields {
    ($($name:ident = $pointer:literal,)*) => {
        /// A key that the contract names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum Field {
            $($name,)*
        }

        impl Field {
            /// Every field, in the order of the enum.
            const ALL: &'static [Field] = &[$(Field::$name,)*];
            const COUNT: usize = Self::ALL.len();

            /// Returns where the field stands in an event (RFC 6901).
            pub(super) fn pointer(self) -> &'static str {
                match self {
                    $(Field::$name => $pointer,)*
                }
            }
        }
    };
}

fields! {
    Type = "/type",
    MessageId = "/messageId",
    AnonymousId = "/anonymousId",
    UserId = "/userId",
    GroupId = "/groupId",
    PreviousId = "/previousId",
    Event = "/event",
    Name = "/name",
    Timestamp = "/timestamp",
    OriginalTimestamp = "/originalTimestamp",
    SentAt = "/sentAt",
    ReceivedAt = "/receivedAt",
    Properties = "/properties",
    Traits = "/traits",
    Context = "/context",
    Page = "/context/page",
    Campaign = "/context/campaign",
    App = "/context/app",
    Os = "/context/os",
    Device = "/context/device",
    Library = "/context/library",
    Screen = "/context/screen",
    Ip = "/context/ip",
    UserAgent = "/context/userAgent",
    Locale = "/context/locale",
    Timezone = "/context/timezone",
    PageUrl = "/context/page/url",
    PagePath = "/context/page/path",
    PageReferrer = "/context/page/referrer",
    PageTitle = "/context/page/title",
    PageSearch = "/context/page/search",
    CampaignName = "/context/campaign/name",
    CampaignSource = "/context/campaign/source",
    CampaignMedium = "/context/campaign/medium",
    CampaignTerm = "/context/campaign/term",
    CampaignContent = "/context/campaign/content",
    AppName = "/context/app/name",
    AppVersion = "/context/app/version",
    OsName = "/context/os/name",
    OsVersion = "/context/os/version",
    DeviceType = "/context/device/type",
    DeviceManufacturer = "/context/device/manufacturer",
    DeviceModel = "/context/device/model",
    LibraryName = "/context/library/name",
    LibraryVersion = "/context/library/version",
    ScreenWidth = "/context/screen/width",
    ScreenHeight = "/context/screen/height",
}

impl Field {
    /// Objects, in the order in which the contract looks at them.
    pub(super) const OBJECTS: &'static [Field] = range(Field::Properties, Field::Screen);
    /// Objects inside `context` whose members are fields.
    pub(super) const GROUPS: &'static [Field] = range(Field::Page, Field::Screen);
    /// Texts inside `context`, in the order of the columns of `events`.
    pub(super) const CONTEXT_TEXTS: &'static [Field] = range(Field::Ip, Field::LibraryVersion);
    /// What an event takes from its batch: the batch's context and times.
    const FROM_BATCH: [&'static [Field]; 2] =
        [range(Field::SentAt, Field::ReceivedAt), range(Field::Context, Field::ScreenHeight)];

    /// Returns the field of a key of the event itself.
    #[inline]
    pub(super) fn top_level(key: &[u8]) -> Option<Field> {
        Some(match (key.len(), key) {
            (4, b"type") => Field::Type,
            (4, b"name") => Field::Name,
            (5, b"event") => Field::Event,
            (6, b"userId") => Field::UserId,
            (6, b"sentAt") => Field::SentAt,
            (6, b"traits") => Field::Traits,
            (7, b"context") => Field::Context,
            (7, b"groupId") => Field::GroupId,
            (9, b"messageId") => Field::MessageId,
            (9, b"timestamp") => Field::Timestamp,
            (10, b"properties") => Field::Properties,
            (10, b"receivedAt") => Field::ReceivedAt,
            (10, b"previousId") => Field::PreviousId,
            (11, b"anonymousId") => Field::AnonymousId,
            (17, b"originalTimestamp") => Field::OriginalTimestamp,
            _ => return None,
        })
    }

    /// Returns the field of a key of `parent`, which is `context` or one of [`Field::GROUPS`].
    #[inline]
    pub(super) fn inside(parent: Field, key: &[u8]) -> Option<Field> {
        Some(match (parent, key) {
            (Field::Context, b"ip") => Field::Ip,
            (Field::Context, b"os") => Field::Os,
            (Field::Context, b"app") => Field::App,
            (Field::Context, b"page") => Field::Page,
            (Field::Context, b"device") => Field::Device,
            (Field::Context, b"locale") => Field::Locale,
            (Field::Context, b"screen") => Field::Screen,
            (Field::Context, b"library") => Field::Library,
            (Field::Context, b"campaign") => Field::Campaign,
            (Field::Context, b"timezone") => Field::Timezone,
            (Field::Context, b"userAgent") => Field::UserAgent,
            (Field::Page, b"url") => Field::PageUrl,
            (Field::Page, b"path") => Field::PagePath,
            (Field::Page, b"title") => Field::PageTitle,
            (Field::Page, b"search") => Field::PageSearch,
            (Field::Page, b"referrer") => Field::PageReferrer,
            (Field::Campaign, b"name") => Field::CampaignName,
            (Field::Campaign, b"term") => Field::CampaignTerm,
            (Field::Campaign, b"source") => Field::CampaignSource,
            (Field::Campaign, b"medium") => Field::CampaignMedium,
            (Field::Campaign, b"content") => Field::CampaignContent,
            (Field::App, b"name") => Field::AppName,
            (Field::App, b"version") => Field::AppVersion,
            (Field::Os, b"name") => Field::OsName,
            (Field::Os, b"version") => Field::OsVersion,
            (Field::Device, b"type") => Field::DeviceType,
            (Field::Device, b"model") => Field::DeviceModel,
            (Field::Device, b"manufacturer") => Field::DeviceManufacturer,
            (Field::Library, b"name") => Field::LibraryName,
            (Field::Library, b"version") => Field::LibraryVersion,
            (Field::Screen, b"width") => Field::ScreenWidth,
            (Field::Screen, b"height") => Field::ScreenHeight,
            _ => return None,
        })
    }

    /// Returns the key that the field has in its parent.
    pub(super) fn key(self) -> &'static str {
        self.pointer().rsplit('/').next().unwrap_or_default()
    }
}

const fn range(first: Field, last: Field) -> &'static [Field] {
    let (_, from_first) = Field::ALL.split_at(first as usize);
    let (range, _) = from_first.split_at(last as usize - first as usize + 1);
    range
}

/// The value of each field of one event.
#[derive(Debug, Clone)]
pub(super) struct Fields([Value; Field::COUNT]);

impl Default for Fields {
    fn default() -> Self {
        Fields([Value::default(); Field::COUNT])
    }
}

impl Fields {
    #[inline]
    pub(super) fn get(&self, field: Field) -> Value {
        self.0[field as usize]
    }

    #[inline]
    pub(super) fn set(&mut self, field: Field, value: Value) {
        self.0[field as usize] = value;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Fields::default();
    }

    /// Takes what is missing from the batch around the event.
    pub(super) fn inherit(&mut self, batch: &Fields) {
        for field in Field::FROM_BATCH.into_iter().flatten() {
            if self.get(*field).is_missing() {
                self.set(*field, batch.get(*field));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_key() {
        for field in Field::ALL {
            let found = match field.pointer().split('/').collect::<Vec<_>>()[..] {
                ["", top] => Field::top_level(top.as_bytes()),
                ["", "context", key] => Field::inside(Field::Context, key.as_bytes()),
                ["", "context", group, key] => Field::inside(Field::Context, group.as_bytes())
                    .and_then(|group| Field::inside(group, key.as_bytes())),
                _ => None,
            };
            assert_eq!(found, Some(*field));
        }
    }

    #[test]
    fn context_texts_stand_in_the_order_of_the_columns() {
        use icefold_core::tables::{EVENTS, TableKind};
        let first = TableKind::Events.index_of("ip");
        let columns = EVENTS[first..].iter().map(|c| c.name).take(Field::CONTEXT_TEXTS.len());
        let fields = Field::CONTEXT_TEXTS.iter().map(|field| {
            let path = field.pointer().trim_start_matches("/context/").replace('/', "_");
            if path == "userAgent" { "user_agent".to_owned() } else { path }
        });
        assert!(columns.eq(fields));
    }
}
