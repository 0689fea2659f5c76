//! What a client accepts, against what an operation declares to answer (RFC 9110 section 12.5.1).
//!
//! Servers may disregard the field, and many clients send what they do not mean, so this is asked
//! only where the configuration says so. What cannot be read refuses nobody.

use crate::proto::head::{RequestHead, lines};

/// The media types of an operation's good answers, as declared; ranges among them.
#[derive(Clone, Debug, Default)]
pub struct Produced(Box<[Box<str>]>);

impl Produced {
    pub fn new(types: Vec<Box<str>>) -> Produced {
        Produced(types.into())
    }

    /// Whether there is an answer that the client accepts. Without a declared type or without the
    /// field there is one.
    pub fn satisfies(&self, head: &RequestHead, bytes: &[u8]) -> bool {
        let members = || {
            let lines = lines(&head.fields, bytes, b"accept").filter(|field| !field.hop_by_hop);
            let values = lines.map(|field| field.value.of(bytes));
            let members = values.flat_map(|value| value.split(|&byte| byte == b','));
            let members = members.map(<[u8]>::trim_ascii);
            members.filter(|member| !member.is_empty())
        };
        if members().next().is_none() || self.0.is_empty() {
            return true;
        }
        let mut ranges = members().map(Range::read);
        ranges.any(|range| range.is_none())
            || self
                .0
                .iter()
                .any(|own| wants(own, members().filter_map(Range::read)))
    }
}

/// Whether a client accepts a type: the most exact of the ranges that have it says so.
fn wants<'a>(own: &str, ranges: impl Iterator<Item = Range<'a>>) -> bool {
    let mut best: Option<(Exactness, bool)> = None;
    for range in ranges {
        let Some(exactness) = range.meets(own) else {
            continue;
        };
        best = match best {
            Some((most, wanted)) if most == exactness => Some((most, wanted || range.is_wanted)),
            Some((most, _)) if most > exactness => best,
            _ => Some((exactness, range.is_wanted)),
        };
    }
    best.is_some_and(|(_, wanted)| wanted)
}

/// How much of a media type a range says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    Anything,
    OfAKind,
    Exact,
}

/// One member of the field.
struct Range<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    is_wanted: bool,
}

impl<'a> Range<'a> {
    fn read(member: &'a [u8]) -> Option<Range<'a>> {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let range = parts.next().unwrap_or_default();
        let is_unwanted = parts.any(|part| match part {
            [b'q' | b'Q', b'=', weight @ ..] => {
                weight.first() == Some(&b'0') && weight.iter().all(|byte| b"0.".contains(byte))
            }
            _ => false,
        });
        let slash = memchr::memchr(b'/', range)?;
        Some(Range {
            kind: &range[..slash],
            subtype: &range[slash + 1..],
            is_wanted: !is_unwanted,
        })
    }

    /// How exactly it speaks of a declared type; of a declared range whatever meets it does.
    fn meets(&self, own: &str) -> Option<Exactness> {
        let (own_kind, own_subtype) = own.split_once('/').unwrap_or((own, "*"));
        if !meets(self.kind, own_kind) || !meets(self.subtype, own_subtype) {
            return None;
        }
        Some(match (own.contains('*'), self.kind, self.subtype) {
            (true, _, _) | (false, b"*", _) => Exactness::Anything,
            (false, _, subtype) if subtype.starts_with(b"*") => Exactness::OfAKind,
            (false, _, _) => Exactness::Exact,
        })
    }
}

/// Whether one half of two ranges can be the same.
fn meets(asked: &[u8], own: &str) -> bool {
    let is_any = asked == b"*" || own.starts_with('*') || asked.starts_with(b"*+");
    is_any || asked.eq_ignore_ascii_case(own.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(types: &[&str], fields: &str) -> bool {
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let mut head = RequestHead::default();
        head.read(text.as_bytes()).unwrap();
        let types = types.iter().map(|&each| each.into()).collect();
        Produced::new(types).satisfies(&head, text.as_bytes())
    }

    #[test]
    fn a_client_that_accepts_nothing_of_it_is_known() {
        let own = ["application/json", "text/csv"];
        for good in [
            "",
            "Accept:\r\n",
            "Accept: */*\r\n",
            "Accept: text/html, application/*;q=0.5\r\n",
            "Accept: TEXT/CSV\r\n",
            "Accept: text/html\r\nAccept: application/json; q=0.001\r\n",
            "Accept: rubbish\r\n",
            "Accept: application/json;q=0, */*\r\n",
            "Accept: text/*;q=0, text/csv\r\n",
        ] {
            assert!(asks(&own, good), "{good:?}");
        }
        for bad in [
            "Accept: text/html\r\n",
            "Accept: application/json;q=0, image/*\r\n",
            "Accept: application/json;q=0, text/csv;q=0, */*\r\n",
            "Accept: */*, text/*;q=0, application/*;q=0\r\n",
            "Accept: application/xml;q=1, text/csv; Q=0.00\r\n",
        ] {
            assert!(!asks(&own, bad), "{bad:?}");
            assert!(asks(&[], bad) && asks(&["*/*"], "Accept: text/html\r\n"));
        }
    }
}
