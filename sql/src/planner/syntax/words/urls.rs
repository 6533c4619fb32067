//! Parts of URLs: Athena's `url_extract_…`, Spark's `parse_url`, `url_encode` and `url_decode`.
//!
//! A URL is split as RFC 3986 says (appendix B) and nothing in it is changed: a path without host, such as `/pricing?a=b`, has its
//! parts, too. Athena's functions decode what is escaped, and a part that is not there is the empty text; Spark's gives parts as they
//! are written, and NULL. What can be no URL is NULL.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use icefold_core::Error;
use url::form_urlencoded;

use super::rows::{Argument, RowFunction, Rows};
use crate::error::external;

/// The functions.
pub(super) const ALL: &[Urls] = &[
    Urls::Protocol,
    Urls::Host,
    Urls::Port,
    Urls::Path,
    Urls::Query,
    Urls::Fragment,
    Urls::Parameter,
    Urls::Parse,
    Urls::Encode,
    Urls::Decode,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Urls {
    Protocol,
    Host,
    Port,
    Path,
    Query,
    Fragment,
    Parameter,
    Parse,
    Encode,
    Decode,
}

impl RowFunction for Urls {
    fn name(self) -> &'static str {
        match self {
            Urls::Protocol => "url_extract_protocol",
            Urls::Host => "url_extract_host",
            Urls::Port => "url_extract_port",
            Urls::Path => "url_extract_path",
            Urls::Query => "url_extract_query",
            Urls::Fragment => "url_extract_fragment",
            Urls::Parameter => "url_extract_parameter",
            Urls::Parse => "parse_url",
            Urls::Encode => "url_encode",
            Urls::Decode => "url_decode",
        }
    }

    fn takes(self) -> (&'static [Argument], usize) {
        use Argument::Text;
        match self {
            Urls::Parameter => (&[Text, Text], 2),
            Urls::Parse => (&[Text, Text, Text], 2),
            _ => (&[Text], 1),
        }
    }

    fn gives(self) -> DataType {
        if self == Urls::Port { DataType::Int64 } else { DataType::Utf8 }
    }

    fn usage(self) -> &'static str {
        match self {
            Urls::Parameter => "a URL and a name, for example url_extract_parameter(page_url, 'utm_source')",
            Urls::Parse => "a URL, a part and for a parameter its name: parse_url(page_url, 'QUERY', 'utm_source')",
            _ => "one text",
        }
    }

    fn compute(self, rows: &Rows) -> Result<ArrayRef> {
        if self == Urls::Port {
            let ports: Int64Array =
                rows.map(|rows, row| Ok(Url::split(rows.text(0, row)).and_then(|url| url.port).map(i64::from)))?;
            return Ok(Arc::new(ports));
        }
        let texts: StringArray = rows.map(|rows, row| self.text(rows, row))?;
        Ok(Arc::new(texts))
    }
}

impl Urls {
    fn text(self, rows: &Rows, row: usize) -> Result<Option<String>> {
        let text = rows.text(0, row);
        match self {
            Urls::Encode => return Ok(Some(form_urlencoded::byte_serialize(text.as_bytes()).collect())),
            Urls::Decode => return decoded_form(text).map(Some),
            Urls::Parse => {
                let name = rows.has(2).then(|| rows.text(2, row));
                return spark(text, rows.text(1, row), name);
            }
            _ => {}
        }
        let Some(url) = Url::split(text) else { return Ok(None) };
        Ok(match self {
            Urls::Protocol => Some(url.scheme.unwrap_or_default().to_owned()),
            Urls::Host => Some(url.host.unwrap_or_default().to_owned()),
            Urls::Path => Some(decoded(url.path)),
            Urls::Query => Some(decoded(url.query.unwrap_or_default())),
            Urls::Fragment => Some(decoded(url.fragment.unwrap_or_default())),
            _ => url.parameter(rows.text(1, row)).map(|value| decoded(&value.replace('+', " "))),
        })
    }
}

/// The parts of a URL, as they are written.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    scheme: Option<&'a str>,
    /// User, host and port.
    authority: Option<&'a str>,
    user: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<u16>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Url<'a> {
    /// `None` for what has blanks or control characters, a colon behind what is no scheme, or a port that is no number.
    fn split(text: &'a str) -> Option<Self> {
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let (text, fragment) = cut(text, '#');
        let (text, query) = cut(text, '?');
        let (scheme, rest) = match text.split_once(':').filter(|(before, _)| !before.contains('/')) {
            Some((scheme, rest)) => (Some(scheme).filter(|scheme| is_scheme(scheme))?.into(), rest),
            None => (None, text),
        };
        // `mailto:` and the like have parts of their own.
        if scheme.is_some() && !rest.starts_with('/') {
            let nothing =
                Url { scheme, authority: None, user: None, host: None, port: None, path: "", query: None, fragment };
            return Some(nothing);
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        let (user, place) = match authority.and_then(|authority| authority.rsplit_once('@')) {
            Some((user, place)) => (Some(user), Some(place)),
            None => (None, authority),
        };
        let (host, port) = place.map_or(Some((None, None)), host_and_port)?;
        Some(Url { scheme, authority, user, host, port, path, query, fragment })
    }

    /// Returns the value of the first parameter of that name: nothing behind a name without `=`.
    fn parameter(&self, name: &str) -> Option<&'a str> {
        let pairs = self.query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Splits `host:port`; addresses of IPv6 stand in brackets. `None` for a port that is none.
fn host_and_port(place: &str) -> Option<(Option<&str>, Option<u16>)> {
    let colon = place.rfind(':').filter(|colon| !place[*colon..].contains(']'));
    let (host, port) = match colon.map(|colon| (&place[..colon], &place[colon + 1..])) {
        None => (place, None),
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.parse().ok().filter(|_| !port.starts_with('+'))?)),
    };
    Some((Some(host).filter(|host| !host.is_empty()), port))
}

/// As `parse_url` of Spark.
fn spark(text: &str, part: &str, name: Option<&str>) -> Result<Option<String>> {
    const PARTS: [&str; 8] = ["HOST", "PATH", "QUERY", "REF", "PROTOCOL", "FILE", "AUTHORITY", "USERINFO"];
    if !PARTS.contains(&part) {
        let parts = PARTS.join(", ");
        return Err(external(Error::invalid(format!("`parse_url` knows no part '{part}': the parts are {parts}"))));
    }
    if name.is_some() && part != "QUERY" {
        return Err(external(Error::invalid(format!("`parse_url` takes a name with 'QUERY', not with '{part}'"))));
    }
    let Some(url) = Url::split(text) else { return Ok(None) };
    let found = match (part, name) {
        ("HOST", _) => url.host,
        ("PATH", _) => Some(url.path),
        ("QUERY", None) => url.query,
        ("QUERY", Some(name)) => url.parameter(name),
        ("REF", _) => url.fragment,
        ("PROTOCOL", _) => url.scheme,
        ("AUTHORITY", _) => url.authority,
        ("USERINFO", _) => url.user,
        _ => return Ok(Some(url.query.map_or(url.path.to_owned(), |query| format!("{}?{query}", url.path)))),
    };
    Ok(found.map(str::to_owned))
}

/// Replaces escapes of bytes; what is none stays, bytes that are no UTF-8 become U+FFFD.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let (byte, behind) = escape(rest).unwrap_or((*first, behind));
        bytes.push(byte);
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads an escape such as `%20` off the beginning.
fn escape(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, behind @ ..] = bytes else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    Some((u8::try_from(digit(high)? * 16 + digit(low)?).ok()?, behind))
}

fn decoded_form(text: &str) -> Result<String> {
    let broken = text.match_indices('%').find(|(place, _)| escape(&text.as_bytes()[*place..]).is_none());
    match broken {
        None => Ok(decoded(&text.replace('+', " "))),
        Some((place, _)) => {
            let shown: String = text[place..].chars().take(3).collect();
            Err(external(Error::invalid(format!(
                "`url_decode` cannot read `{shown}` in '{text}': `%` is followed by two hexadecimal digits; leave such texts \
                 out with regexp_like(x, '^([^%]|%[0-9A-Fa-f]{{2}})*$')"
            ))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_where_the_rfc_says() {
        let url = Url::split("https://me:pw@Shop.example:8443/a/b;c?x=1&y=%20#top").expect("a URL");
        let (scheme, user, host) = (Some("https"), Some("me:pw"), Some("Shop.example"));
        let authority = Some("me:pw@Shop.example:8443");
        let (path, query, fragment) = ("/a/b;c", Some("x=1&y=%20"), Some("top"));
        assert_eq!(url, Url { scheme, authority, user, host, port: Some(8443), path, query, fragment });
        assert_eq!(Url::split("http://[::1]:80/").expect("a URL").host, Some("[::1]"));
        assert_eq!(Url::split("http://[::1]/").expect("a URL").port, None);
        assert_eq!(Url::split("/pricing?a=b#c:d").expect("a path").path, "/pricing");
        assert_eq!(Url::split("//cdn.example").expect("without scheme").host, Some("cdn.example"));
        assert_eq!(Url::split("mailto:me@example.org").expect("a URL").path, "");
    }

    #[test]
    fn what_is_no_url_has_no_parts() {
        for text in ["http://a b/", "1http://a", ":x", "http://a:port/", "http://a:70000/", "http://a:+80/"] {
            assert_eq!(Url::split(text), None, "{text}");
        }
    }

    #[test]
    fn escapes_are_bytes_and_broken_ones_stay() {
        assert_eq!(decoded("%C3%A4+%zz%2"), "ä+%zz%2");
        assert_eq!(decoded_form("%C3%A4+b").expect("whole"), "ä b");
        assert!(decoded_form("100%").is_err());
    }
}
