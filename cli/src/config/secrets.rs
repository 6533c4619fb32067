//! Places without the secrets that they may hold, for messages and for `icefold config`.

/// Printed instead of a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// Returns a place without its password and, where it is fetched, without its query: keys of licences stand there.
pub(crate) fn without_secrets(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else { return place.to_owned() };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let behind = &rest[authority.len()..];
    let behind = match behind.split_once('?') {
        Some((path, _)) if scheme.starts_with("http") => format!("{path}?{HIDDEN}"),
        _ => behind.to_owned(),
    };
    match authority.rsplit_once('@').and_then(|(credentials, host)| Some((credentials.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{scheme}://{user}:{HIDDEN}@{host}{behind}"),
        None => format!("{scheme}://{authority}{behind}"),
    }
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
            ("https://me:secret@host/geo.mmdb?license_key=secret", "https://me:(hidden)@host/geo.mmdb?(hidden)"),
            ("http://host?secret", "http://host?(hidden)"),
            ("s3://bucket/a?b", "s3://bucket/a?b"),
        ] {
            assert_eq!(without_secrets(place), shown);
        }
    }
}
