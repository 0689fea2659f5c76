//! What a body is: by its media type (RFC 9110 section 8.3.1), and where that says nothing by its
//! shape.

use super::{Error, lenient};
use crate::proto::header::is_token;
use crate::proto::multipart::{is_boundary, parameter};

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    Empty,
    Form,
    Json,
    /// The item with this index of a document that is an array.
    JsonItem(usize),
    /// One document a line.
    JsonLines,
    /// A GraphQL request in JSON; the operation says so, no media type does.
    Graphql,
    /// A GraphQL document alone.
    GraphqlDocument,
    /// Parts, and the boundary between them.
    Multipart(&'a [u8]),
    Xml,
    /// Begins as JSON, whatever the media type says.
    LikeJson(Told),
    /// Begins as XML.
    LikeXml(Told),
    /// Looks like a form, or nothing says that it is none.
    LikeForm,
    /// Nothing that is known.
    Text,
}

/// Whether there is a media type: what comes without one some readers take for a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Type,
    Nothing,
}

/// What a media type says of a body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MediaType<'a> {
    pub(super) essence: &'a [u8],
    pub(super) charset: Option<&'a [u8]>,
    boundary: Option<&'a [u8]>,
}

impl<'a> Kind<'a> {
    /// The kind of a body whose head has these `Content-Type` fields.
    ///
    /// # Errors
    /// Two fields, a malformed one, a charset other than UTF-8, a multipart body without a sound
    /// boundary, a form that is a JSON or XML document.
    pub fn of(content_types: &[&'a [u8]], body: &[u8]) -> Result<Kind<'a>, Error> {
        let media_type = match content_types {
            [] => MediaType::default(),
            [value] => MediaType::read(value)?,
            _ => return Err(Error::MediaType),
        };
        media_type.utf8()?;
        if body.is_empty() {
            return Ok(Kind::Empty);
        }
        match media_type.declared()? {
            Kind::Form if is_document(body) => Err(Error::Mismatch),
            Kind::Form | Kind::Text if is_wide(body) => Err(Error::Charset),
            Kind::Text if content_types.is_empty() => Ok(sniff(body, Told::Nothing)),
            Kind::Text => Ok(sniff(body, Told::Type)),
            declared => Ok(declared),
        }
    }
}

impl<'a> MediaType<'a> {
    pub(super) fn read(value: &'a [u8]) -> Result<MediaType<'a>, Error> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let (essence, mut rest) = value.split_at(end);
        let essence = essence.trim_ascii();
        let mut halves = essence.split(|&byte| byte == b'/');
        let is_sound = halves
            .by_ref()
            .take(2)
            .filter(|half| is_token(half))
            .count()
            == 2;
        if !is_sound || halves.next().is_some() {
            return Err(Error::MediaType);
        }
        let mut media_type = MediaType {
            essence,
            ..MediaType::default()
        };
        while let Some(after) = rest.strip_prefix(b";") {
            let after = after.trim_ascii_start();
            if after.is_empty() {
                return Ok(media_type);
            }
            let (name, value, behind) = parameter(after).ok_or(Error::MediaType)?;
            let slot = match name {
                _ if name.eq_ignore_ascii_case(b"charset") => &mut media_type.charset,
                _ if name.eq_ignore_ascii_case(b"boundary") => &mut media_type.boundary,
                // RFC 2231 would have a value put together from several.
                _ if name.contains(&b'*') => return Err(Error::MediaType),
                _ => &mut None,
            };
            if slot.replace(value).is_some() {
                return Err(Error::MediaType);
            }
            rest = behind.trim_ascii_start();
        }
        match rest.is_empty() {
            true => Ok(media_type),
            false => Err(Error::MediaType),
        }
    }

    /// Refuses a charset in which other bytes would mean the same.
    pub(super) fn utf8(&self) -> Result<(), Error> {
        let known: [&[u8]; 3] = [b"utf-8", b"utf8", b"us-ascii"];
        match self.charset {
            Some(charset)
                if !known
                    .iter()
                    .any(|known| charset.eq_ignore_ascii_case(known)) =>
            {
                Err(Error::Charset)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn declared(&self) -> Result<Kind<'a>, Error> {
        let is = |name: &[u8]| self.essence.eq_ignore_ascii_case(name);
        let ends = |suffix: &[u8]| {
            let start = self.essence.len().checked_sub(suffix.len());
            start.is_some_and(|start| self.essence[start..].eq_ignore_ascii_case(suffix))
        };
        let begins = |prefix: &[u8]| {
            let start = self.essence.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        Ok(if is(b"application/x-www-form-urlencoded") {
            Kind::Form
        } else if is(b"application/json") || is(b"text/json") || ends(b"+json") {
            Kind::Json
        } else if is(b"application/x-ndjson")
            || is(b"application/ndjson")
            || is(b"application/jsonl")
            || is(b"application/json-seq")
        {
            Kind::JsonLines
        } else if is(b"application/graphql") {
            Kind::GraphqlDocument
        } else if is(b"application/xml") || is(b"text/xml") || ends(b"+xml") {
            Kind::Xml
        } else if begins(b"multipart/") {
            Kind::Multipart(
                self.boundary
                    .filter(|text| is_boundary(text))
                    .ok_or(Error::Boundary)?,
            )
        } else {
            Kind::Text
        })
    }
}

/// By how a body begins: many servers do not ask for a media type.
fn sniff(body: &[u8], told: Told) -> Kind<'static> {
    let bare = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    match bare.trim_ascii_start().first() {
        _ if lenient::begins_as_json(bare) => Kind::LikeJson(told),
        Some(b'<') => Kind::LikeXml(told),
        _ if lenient::is_like_form(body, told) => Kind::LikeForm,
        _ => Kind::Text,
    }
}

/// Whether a body begins as JSON or XML in UTF-16 or UTF-32. Readers of JSON tell them by their zeros
/// (RFC 4627 section 3), whatever the media type says.
fn is_wide(body: &[u8]) -> bool {
    // In UTF-32 with the low byte first the first unit is one of UTF-16 as well.
    [(2, 0), (2, 1), (4, 3)].iter().any(|&(width, low)| {
        let units = body.chunks_exact(width);
        let mut signs = units.map_while(|unit| {
            let mut high = unit.iter().enumerate().filter(|&(at, _)| at != low);
            high.all(|(_, &byte)| byte == 0).then_some(unit[low])
        });
        let first = signs.find(|sign| !sign.is_ascii_whitespace());
        // A second one, since any bytes may hold a zero.
        matches!(first, Some(b'{' | b'[' | b'"' | b'<')) && signs.next().is_some()
    })
}

/// Whether a body begins and ends as a document does.
fn is_document(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let body = body.trim_ascii();
    matches!(
        (body.first(), body.last()),
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) | (Some(b'<'), Some(b'>'))
    )
}
