//! `Content-Type` values (RFC 9110 section 8.3.1), read strictly: what is not a media type by the
//! grammar, a list of two, or a parameter given twice has no reading here.

use crate::proto::header::{is_token, is_token_byte};

/// Most parameters of one media type; `multipart` has two.
const PARAMETERS: usize = 8;

/// A media type over the bytes of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    essence: &'a [u8],
    parameters: [(&'a [u8], &'a [u8]); PARAMETERS],
    count: usize,
}

impl<'a> MediaType<'a> {
    pub fn read(value: &'a [u8]) -> Option<MediaType<'a>> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let essence = value[..end].trim_ascii_end();
        let slash = memchr::memchr(b'/', essence)?;
        if !is_token(&essence[..slash]) || !is_token(&essence[slash + 1..]) {
            return None;
        }
        let mut media_type = MediaType {
            essence,
            parameters: [(&[], &[]); PARAMETERS],
            count: 0,
        };
        let mut rest = &value[end..];
        while let Some(after) = rest.strip_prefix(b";") {
            rest = media_type.take_parameter(after.trim_ascii_start())?;
        }
        rest.is_empty().then_some(media_type)
    }

    /// Takes one parameter off the front and returns what follows it.
    fn take_parameter(&mut self, text: &'a [u8]) -> Option<&'a [u8]> {
        let equals = text.iter().position(|byte| !is_token_byte(*byte));
        let (name, rest) = text.split_at(equals.unwrap_or(text.len()));
        if name.is_empty() {
            // RFC 9110 section 5.6.6: an empty parameter is allowed and says nothing.
            let rest = rest.trim_ascii_start();
            return (rest.is_empty() || rest[0] == b';').then_some(rest);
        }
        let text = rest.strip_prefix(b"=")?;
        let (value, rest) = match text.strip_prefix(b"\"") {
            Some(quoted) => quoted_string(quoted)?,
            None => {
                let end = text.iter().position(|byte| !is_token_byte(*byte));
                text.split_at(end.unwrap_or(text.len()))
            }
        };
        let is_quoted = text.first() == Some(&b'"');
        let is_repeated = self
            .parameters()
            .any(|(known, _)| known.eq_ignore_ascii_case(name));
        if is_repeated || (value.is_empty() && !is_quoted) {
            return None;
        }
        *self.parameters.get_mut(self.count)? = (name, value);
        self.count += 1;
        Some(rest.trim_ascii_start())
    }

    /// Names and values; of a quoted string what stands between the quotes, still escaped.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.parameters.iter().take(self.count).copied()
    }

    /// `type/subtype` as it was written.
    pub fn essence(&self) -> &'a [u8] {
        self.essence
    }

    /// Types are compared without regard to letter case.
    pub fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence.as_bytes())
    }

    /// JSON by its name or by the suffix of its name (RFC 6839 section 3.1).
    pub fn is_json(&self) -> bool {
        let suffix = self.essence.len().saturating_sub(5);
        self.is("application/json") || self.essence[suffix..].eq_ignore_ascii_case(b"+json")
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&'a [u8]> {
        let mut own = self.parameters();
        own.find_map(|(each, value)| each.eq_ignore_ascii_case(name.as_bytes()).then_some(value))
    }

    /// Whether nothing is said against the text being UTF-8.
    pub fn has_utf8(&self) -> bool {
        self.parameter("charset").is_none_or(|charset| {
            let same: [&[u8]; 3] = [b"utf-8", b"utf8", b"us-ascii"];
            same.iter().any(|name| charset.eq_ignore_ascii_case(name))
        })
    }

    /// Whether the text is UTF-8, and nothing else is said. JSON has no other encoding between
    /// systems (RFC 8259 section 8.1); a backend that obeys another charset reads other text.
    pub fn is_utf8(&self) -> bool {
        self.parameters().all(|(name, value)| {
            name.eq_ignore_ascii_case(b"charset") && value.eq_ignore_ascii_case(b"utf-8")
        })
    }
}

type Text = Box<[u8]>;

/// A media type as a description or an `Accept` field names it: `type/subtype`, `type/*`, `*/*`
/// or `type/*+suffix`, and the parameters that it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange {
    /// In lower case.
    essence: Box<str>,
    parameters: Box<[(Text, Text)]>,
}

impl MediaRange {
    pub fn read(text: &[u8]) -> Option<MediaRange> {
        let read = MediaType::read(text)?;
        let essence = std::str::from_utf8(read.essence())
            .ok()?
            .to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        let is_range =
            subtype == "*" || subtype.strip_prefix("*+").is_some_and(|it| !it.is_empty());
        if kind.contains('*') && essence != "*/*" || subtype.contains('*') && !is_range {
            return None;
        }
        let parameters = read
            .parameters()
            .map(|(name, value)| (name.to_ascii_lowercase().into(), value.into()));
        Some(MediaRange {
            parameters: parameters.collect(),
            essence: essence.into(),
        })
    }

    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// Whether it names more than one type.
    pub fn is_range(&self) -> bool {
        self.essence.contains('*')
    }

    /// How exactly it names a type that it matches; none: it does not. Values of parameters are
    /// compared without regard to letter case, which charsets ask for and no other minds.
    pub fn matches(&self, media_type: &MediaType<'_>) -> Option<usize> {
        let essence = media_type.essence();
        let slash = memchr::memchr(b'/', essence)?;
        let (kind, subtype) = self.essence.split_once('/')?;
        let has_kind = kind == "*" || essence[..slash].eq_ignore_ascii_case(kind.as_bytes());
        let exactness = match subtype.strip_prefix('*') {
            None if essence[slash + 1..].eq_ignore_ascii_case(subtype.as_bytes()) => 3,
            None => return None,
            Some("") => usize::from(kind != "*"),
            Some(suffix) => {
                let start = essence.len().checked_sub(suffix.len())?;
                let fits =
                    start > slash && essence[start..].eq_ignore_ascii_case(suffix.as_bytes());
                fits.then_some(2)?
            }
        };
        let has_all = self.parameters.iter().all(|(name, value)| {
            let same = |(own, is): (&[u8], &[u8])| {
                own.eq_ignore_ascii_case(name) && is.eq_ignore_ascii_case(value)
            };
            media_type.parameters().any(same)
        });
        (has_kind && has_all).then_some(exactness * (PARAMETERS + 1) + self.parameters.len())
    }

    /// Whether a parameter of a body's type is one of those named here.
    pub fn has_parameter(&self, name: &[u8]) -> bool {
        let mut own = self.parameters.iter();
        own.any(|(each, _)| each.eq_ignore_ascii_case(name))
    }
}

/// RFC 9110 section 5.6.4, after the opening quote: the inside, and what follows the closing one.
fn quoted_string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        match *text.get(at)? {
            b'"' => return Some((&text[..at], &text[at + 1..])),
            b'\\' if is_quotable(*text.get(at + 1)?) => at += 2,
            byte if byte != b'\\' && is_quotable(byte) => at += 1,
            _ => return None,
        }
    }
}

fn is_quotable(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Media types of bodies that have no end by their nature: server-sent events (HTML, section 9.2), and
/// parts that replace each other.
const ENDLESS: [&str; 2] = ["text/event-stream", "multipart/x-mixed-replace"];

/// Whether a media type is one of those, whatever its parameters.
pub fn is_endless(media_type: &[u8]) -> bool {
    let essence = media_type.split(|&byte| byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    let mut known = ENDLESS.iter();
    known.any(|name| essence.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_json_in_utf8(value: &str) -> bool {
        let media_type = MediaType::read(value.as_bytes());
        media_type.is_some_and(|read| read.is_json() && read.is_utf8())
    }

    #[test]
    fn json_is_known_in_every_spelling() {
        for value in [
            "application/json",
            "Application/JSON",
            "application/merge-patch+json",
            "application/json;charset=utf-8",
            "application/json ; Charset=\"UTF-8\"",
            "application/json;",
            "application/json; ;charset=utf-8; ",
        ] {
            assert!(is_json_in_utf8(value), "{value}");
        }
        for value in [
            "text/json",
            "application/jsonp",
            "application/json; charset=utf-16",
            "application/json; charset=utf-8; charset=utf-8",
            "application/json; version=1",
            "application/json; charset=\"utf\\-8\"",
        ] {
            assert!(!is_json_in_utf8(value), "{value}");
        }
    }

    #[test]
    fn ranges_match_by_how_exactly_they_name_a_type() {
        let exactness = |range: &str, value: &str| {
            let range = MediaRange::read(range.as_bytes()).unwrap();
            range.matches(&MediaType::read(value.as_bytes()).unwrap())
        };
        let value = "Application/vnd.x+JSON; v=1";
        let ranges = [
            "*/*",
            "application/*",
            "application/*+json",
            "application/vnd.x+json",
            "application/vnd.x+json; V=1",
        ];
        let found: Vec<_> = ranges.iter().map(|range| exactness(range, value)).collect();
        assert!(found.iter().all(Option::is_some) && found.is_sorted());
        for range in [
            "text/*",
            "application/json",
            "application/*+xml",
            "application/*; v=2",
        ] {
            assert_eq!(exactness(range, value), None, "{range}");
        }
        assert_eq!(exactness("application/*+json", "application/json"), None);
        for bad in [
            "*/json",
            "application/j*",
            "application/*+",
            "a*/b",
            "application",
            "*",
        ] {
            assert_eq!(MediaRange::read(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn malformed_media_types_have_no_reading() {
        let many = |count: usize| {
            let parameters: String = (0..count).map(|at| format!(";p{at}=1")).collect();
            format!("a/b{parameters}")
        };
        assert!(MediaType::read(many(PARAMETERS).as_bytes()).is_some());
        for value in [
            "",
            "json",
            "application/",
            "/json",
            "application/json, text/plain",
            "application/json text/plain",
            "application/json/x",
            "application /json",
            "a/b; c",
            "a/b; c =d",
            "a/b; c= d",
            "a/b; c=",
            "a/b; c=\"d",
            "a/b; c=\"d\\",
            "a/b; c=\"d\"e",
            "a/b; c=\"\u{7f}\"",
            "a/b; c=1; C=2",
            "a/b; =d",
            &many(PARAMETERS + 1),
        ] {
            assert_eq!(MediaType::read(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn parameters_keep_what_stands_between_the_quotes() {
        let read = MediaType::read(b"multipart/form-data; boundary=\"a;b\\\"c\"; x=y").unwrap();
        assert_eq!(read.essence(), b"multipart/form-data");
        let parameters: Vec<_> = read.parameters().collect();
        let expected: [(&[u8], &[u8]); 2] = [(b"boundary", b"a;b\\\"c"), (b"x", b"y")];
        assert_eq!(parameters, expected);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(value in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = MediaType::read(&value);
        }

        #[test]
        fn no_near_media_type_panics(value in "a/b[;=\" \\\\a,]{0,20}") {
            let _ = MediaType::read(value.as_bytes());
        }
    }
}
