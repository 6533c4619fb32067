//! Settings and places without the secrets that they may hold, for messages and for `icefold config`.

use serde_json::Value;

/// Printed instead of a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// Returns the value of a setting as it may be told: nothing of a secret key, and no secrets inside URLs.
pub(crate) fn hide(key: &str, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if key.contains("secret") || key.contains("password") || key.contains("token") => HIDDEN.into(),
        Value::String(text) => without_secrets(text).into(),
        other => other.clone(),
    }
}

/// Returns a place without its password and, where it is fetched, without its query: keys of licences stand there.
pub(crate) fn without_secrets(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else { return place.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let behind = &rest[authority.len()..];
    let fetched = is_fetched(place);
    let behind = match behind.split_once('?') {
        Some((path, _)) if fetched => format!("{path}?{HIDDEN}"),
        _ => behind.to_owned(),
    };
    match authority.rsplit_once('@').map(|(credentials, host)| (credentials.split_once(':'), host)) {
        // A user's name can be a token there.
        Some((_, host)) if fetched => format!("{scheme}://{HIDDEN}@{host}{behind}"),
        Some((Some((user, _)), host)) => format!("{scheme}://{user}:{HIDDEN}@{host}{behind}"),
        _ => format!("{scheme}://{authority}{behind}"),
    }
}

/// Returns whether a place is fetched from a web server.
pub(crate) fn is_fetched(place: &str) -> bool {
    let scheme = place.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| scheme == "http" || scheme == "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_queries_are_hidden() {
        for (place, shown) in [
            ("postgres://me:s:e@cret@db/x?y=1", "postgres://me:(hidden)@db/x?y=1"),
            ("postgres://me@db/x", "postgres://me@db/x"),
            ("sqlite:a@b:c", "sqlite:a@b:c"),
            ("https://me:secret@host/geo.mmdb?license_key=secret", "https://(hidden)@host/geo.mmdb?(hidden)"),
            ("https://token@host/geo.mmdb", "https://(hidden)@host/geo.mmdb"),
            ("HTTPS://host/geo.mmdb?key=secret", "HTTPS://host/geo.mmdb?(hidden)"),
            ("http://host?secret", "http://host?(hidden)"),
            ("s3://bucket/a?b", "s3://bucket/a?b"),
        ] {
            assert_eq!(without_secrets(place), shown);
        }
    }
}
