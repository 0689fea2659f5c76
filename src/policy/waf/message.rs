//! What the rules are asked about: the parts of a message as borrowed bytes.

use std::net::SocketAddr;

use crate::proto::head::Field;

/// A request up to its body.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a [u8],
    /// The request target as it was received.
    pub target: &'a [u8],
    /// `HTTP/1.1`
    pub version: &'a [u8],
    pub headers: Headers<'a>,
    pub peer: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
    /// Something that no other request has.
    pub id: &'a [u8],
}

/// The fields of a head.
#[derive(Clone, Copy, Debug)]
pub enum Headers<'a> {
    /// Where they stand in the bytes of a head.
    Fields(&'a [Field], &'a [u8]),
    Pairs(&'a [(&'a [u8], &'a [u8])]),
}

impl<'a> Headers<'a> {
    /// Names and values in their order.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let count = match self {
            Headers::Fields(fields, _) => fields.len(),
            Headers::Pairs(pairs) => pairs.len(),
        };
        (0..count).map(move |at| match self {
            Headers::Fields(fields, bytes) => {
                let field = &fields[at];
                (field.name.of(bytes), field.value.of(bytes))
            }
            Headers::Pairs(pairs) => pairs[at],
        })
    }

    /// How many fields have a name.
    pub fn count(self, name: &[u8]) -> usize {
        let found = self
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.count()
    }

    /// The first value of a name.
    pub fn first(self, name: &[u8]) -> Option<&'a [u8]> {
        let mut found = self
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }
}

/// A response up to its body.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    pub status: u16,
    pub version: &'a [u8],
    pub headers: Headers<'a>,
    /// The coding of the body is taken off before rules see it, so they do not see its name either.
    pub is_decoded: bool,
}

/// How a body is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processor {
    /// Not at all: the rules see it as one value, if they ask for it.
    #[default]
    None,
    Form,
    Multipart,
    Json,
    /// JSON with a GraphQL document in it. The rules know it as JSON.
    Graphql,
    Xml,
}

impl Processor {
    /// What the rules call it.
    pub fn name(self) -> &'static str {
        match self {
            Processor::None => "",
            Processor::Form => "URLENCODED",
            Processor::Multipart => "MULTIPART",
            Processor::Json | Processor::Graphql => "JSON",
            Processor::Xml => "XML",
        }
    }

    pub fn named(name: &str) -> Option<Processor> {
        use Processor::{Form, Json, Multipart, Xml};
        [Form, Multipart, Json, Xml]
            .into_iter()
            .find(|processor| processor.name().eq_ignore_ascii_case(name))
    }

    /// By the content type that was declared.
    pub fn of_content_type(value: &[u8]) -> Processor {
        let essence = value
            .split(|&byte| matches!(byte, b';' | b',' | b' ' | b'\t'))
            .next();
        let essence = essence.unwrap_or_default();
        let Some(slash) = essence.iter().position(|&byte| byte == b'/') else {
            return Processor::None;
        };
        let is = |name: &[u8]| essence.eq_ignore_ascii_case(name);
        let subtype = &essence[slash + 1..];
        let suffix = subtype.rsplit(|&byte| byte == b'+').next();
        let names = |name: &[u8]| suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(name));
        if is(b"application/x-www-form-urlencoded") {
            Processor::Form
        } else if is(b"multipart/form-data") {
            Processor::Multipart
        } else if names(b"json") {
            Processor::Json
        } else if names(b"xml") {
            Processor::Xml
        } else {
            Processor::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_name_processors() {
        for (value, expected) in [
            ("application/json; charset=utf-8", Processor::Json),
            ("application/problem+JSON", Processor::Json),
            ("Text/XML", Processor::Xml),
            ("multipart/form-data; boundary=x", Processor::Multipart),
            ("application/x-www-form-urlencoded", Processor::Form),
            ("text/plain", Processor::None),
            ("json", Processor::None),
            ("", Processor::None),
        ] {
            assert_eq!(
                Processor::of_content_type(value.as_bytes()),
                expected,
                "{value}"
            );
        }
    }
}
