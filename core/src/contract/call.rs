//! The six calls of the Segment spec, and where each keeps what a contract describes.

use std::fmt;

use serde::Deserialize;

/// One of the six calls of the Segment spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventCall {
    /// Something was done.
    Track,
    /// A page was seen.
    Page,
    /// A screen of an app was seen.
    Screen,
    /// Who it is.
    Identify,
    /// Which organisation the person belongs to.
    Group,
    /// Two identities are one.
    Alias,
}

/// The object of an event that a contract describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Body {
    /// `properties`, of `track`, `page` and `screen`.
    Properties,
    /// `traits`, of `identify` and `group`.
    Traits,
}

impl EventCall {
    /// Every call, in the order of [`EventCall::index`].
    pub const ALL: [EventCall; 6] =
        [EventCall::Track, EventCall::Page, EventCall::Screen, EventCall::Identify, EventCall::Group, EventCall::Alias];

    /// Returns the place in [`EventCall::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Returns the value of the event's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            EventCall::Track => "track",
            EventCall::Page => "page",
            EventCall::Screen => "screen",
            EventCall::Identify => "identify",
            EventCall::Group => "group",
            EventCall::Alias => "alias",
        }
    }

    /// Returns the call of the event's `type`.
    pub fn of(name: &str) -> Option<EventCall> {
        Self::ALL.into_iter().find(|call| call.as_str() == name)
    }

    /// Returns the key that holds the name of the event, page or screen.
    pub fn name_key(self) -> Option<&'static str> {
        match self {
            EventCall::Track => Some("event"),
            EventCall::Page | EventCall::Screen => Some("name"),
            EventCall::Identify | EventCall::Group | EventCall::Alias => None,
        }
    }

    /// Returns the object that a contract describes; an alias has none.
    pub fn body(self) -> Option<Body> {
        match self {
            EventCall::Track | EventCall::Page | EventCall::Screen => Some(Body::Properties),
            EventCall::Identify | EventCall::Group => Some(Body::Traits),
            EventCall::Alias => None,
        }
    }
}

impl fmt::Display for EventCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Body {
    /// Returns the key of the event.
    pub fn key(self) -> &'static str {
        match self {
            Body::Properties => "properties",
            Body::Traits => "traits",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_name_and_index() {
        for (index, call) in EventCall::ALL.into_iter().enumerate() {
            assert_eq!(call.index(), index);
            assert_eq!(EventCall::of(call.as_str()), Some(call));
        }
        assert_eq!(EventCall::of("Track"), None);
    }
}
