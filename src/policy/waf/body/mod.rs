//! Bodies read as what they are: names and values, decoded as the application behind decodes them.
//!
//! What two readers could read in two ways is refused, and each error names the rule that was
//! broken. A form that is refused for its escapes is visited all the same, so that rules may judge
//! it; of the other kinds, what stands before the fault.
//!
//! What stays true: time is linear, memory is that of [`Scratch`], bounded by [`Bounds`], and no
//! bytes make a reader fail in another way than by an [`Error`].

mod form;
mod graphql;
mod json;
mod kind;
mod lenient;
mod multipart;
mod text;
mod unpack;
mod xml;

use std::fmt;

use ahash::{AHashSet, RandomState};

use crate::policy::waf::budget::Bound;
pub(super) use json::{ROOT, member};
pub use kind::{Kind, Told};
pub use text::texts;
pub use unpack::{Packing, may_be_packed, unpack};

/// What a visited value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A field of a form: its name and value.
    Field,
    /// All values of a name that a form repeats, joined by commas as some servers do.
    Joined,
    /// The name of a file that is sent: under the name of its field.
    FileName,
    /// What a file holds: under the name of its field.
    File,
    /// A line in the head of a part, as it stands: under the name of the part.
    PartHeader,
    /// A string of a document: under its path (`json.items.0.name`); a dot or a backslash in a name
    /// stands behind a backslash.
    JsonText,
    /// A number, `true`, `false` or `null`, as written: under its path.
    JsonScalar,
    /// A name in an object, visited once however often it occurs: under the path of the first.
    JsonKey,
    /// The text of an element, all of it that stands together: under its path (`a/b`).
    XmlText,
    /// An attribute: under the path of its element and its name (`a/b@id`).
    XmlAttribute,
    /// A processing instruction: under its name.
    XmlInstruction,
    /// A string in a GraphQL document: under the name before it.
    GraphqlText,
    /// A body of no known structure, whole.
    Text,
    /// The same without escapes of JSON.
    Unescaped,
}

/// Is called with what a value is, its name and the value, decoded.
pub type Visit<'f> = dyn FnMut(Target, &[u8], &[u8]) + 'f;

/// Longest name that a value is visited under; the rest of a longer one is left out. A name is
/// looked at once for each value below it, so without a bound time would not be linear. All of it
/// is visited where it is a value itself.
pub const NAME: usize = 1024;

/// How much is read of one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Longest body.
    pub bytes: usize,
    /// Most values that are visited.
    pub values: usize,
    /// Deepest nesting of objects, arrays and elements.
    pub depth: usize,
    /// Most parts of a multipart body.
    pub parts: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            bytes: 128 * 1024,
            values: 10_000,
            depth: 64,
            parts: 128,
        }
    }
}

/// What readers reuse; one per shard.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Decoded bytes.
    decoded: Vec<u8>,
    /// The path to the value that is read.
    path: Vec<u8>,
    /// Where the parts of `path` end, or names of open elements.
    ends: Vec<usize>,
    /// Fields of a form: the hash of the name, and the ranges of name and value in `decoded`.
    fields: Vec<FieldSpan>,
    /// Hashes of names that were visited.
    seen: AHashSet<u64>,
    hasher: RandomState,
    joined: Vec<u8>,
    /// Where the last document ended, or the part of it that is at fault.
    end: usize,
    /// The string of a GraphQL document that stands in a string of JSON.
    document: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct FieldSpan {
    hash: u64,
    name: usize,
    value: usize,
    end: usize,
}

/// The rule that a body breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    // Of any body.
    TooLarge,
    TooManyValues,
    TooDeep,
    /// A charset other than UTF-8.
    Charset,
    /// The media type is malformed, or gives a parameter twice.
    MediaType,
    /// The body is plainly of another kind than the media type says.
    Mismatch,
    /// It is compressed, or otherwise encoded as a whole.
    Encoded,
    ByteOrderMark,
    /// Bytes that are no UTF-8.
    Utf8,
    // Of a form.
    PercentEscape,
    // Of multipart bodies (RFC 2046 section 5.1, RFC 7578).
    Boundary,
    /// Bytes before the first boundary.
    Preamble,
    /// Bytes after the last boundary.
    Epilogue,
    /// A line that does not end in CR LF.
    LineEnd,
    /// The last boundary is missing.
    Unfinished,
    TooManyParts,
    /// A field of a part's head is malformed.
    PartField,
    FoldedField,
    RepeatedField,
    /// No name, or two.
    PartName,
    /// `filename*`, or two names of a file.
    FileName,
    TransferEncoding,
    // Of JSON (RFC 8259).
    JsonSyntax,
    JsonNumber,
    JsonEscape,
    LoneSurrogate,
    ControlCharacter,
    TrailingData,
    // Of XML.
    XmlSyntax,
    /// A document type definition: entities and external files.
    Dtd,
    UnknownEntity,
    UnmatchedTag,
    RepeatedAttribute,
    // Of GraphQL.
    GraphqlSyntax,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Error::TooLarge => "it is longer than may be inspected",
            Error::TooManyValues => "it holds more values than may be inspected",
            Error::TooDeep => "it is nested too deeply",
            Error::Charset => "its charset is not UTF-8",
            Error::MediaType => "its media type is malformed",
            Error::Mismatch => "it is not what its media type says",
            Error::Encoded => "it is encoded as a whole",
            Error::ByteOrderMark => "it begins with a byte order mark",
            Error::Utf8 => "it is not valid UTF-8",
            Error::PercentEscape => "a percent sign begins no escape",
            Error::Boundary => "the boundary is missing or malformed",
            Error::Preamble => "something stands before the first boundary",
            Error::Epilogue => "something stands after the last boundary",
            Error::LineEnd => "a line of a part does not end in CR LF",
            Error::Unfinished => "the last boundary is missing",
            Error::TooManyParts => "it has too many parts",
            Error::PartField => "a header field of a part is malformed",
            Error::FoldedField => "a header field of a part is folded",
            Error::RepeatedField => "a header field of a part is repeated",
            Error::PartName => "a part has no name, or two",
            Error::FileName => "a part has an extended file name, or two",
            Error::TransferEncoding => "a part is encoded for transfer",
            Error::JsonSyntax => "it is not JSON",
            Error::JsonNumber => "a number is malformed",
            Error::JsonEscape => "a string has an unknown escape",
            Error::LoneSurrogate => "a string has half a surrogate pair",
            Error::ControlCharacter => "a string has a raw control character",
            Error::TrailingData => "something follows the value",
            Error::XmlSyntax => "it is not well-formed XML",
            Error::Dtd => "it has a document type definition",
            Error::UnknownEntity => "an entity is not defined",
            Error::UnmatchedTag => "a tag is not closed, or closed twice",
            Error::RepeatedAttribute => "an attribute is repeated",
            Error::GraphqlSyntax => "its document is not GraphQL",
        })
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The bound that was passed; none: the body breaks a rule of its kind.
    pub fn bound(self) -> Option<Bound> {
        match self {
            Error::TooLarge => Some(Bound::Bytes),
            Error::TooManyValues | Error::TooManyParts => Some(Bound::Values),
            Error::TooDeep => Some(Bound::Depth),
            _ => None,
        }
    }
}

/// Counts down what may still be visited, and passes values on.
struct Visits<'v> {
    left: usize,
    visit: &'v mut Visit<'v>,
}

impl<'v> Visits<'v> {
    fn new(left: usize, visit: &'v mut Visit<'v>) -> Visits<'v> {
        Visits { left, visit }
    }

    fn value(&mut self, target: Target, name: &[u8], value: &[u8]) -> Result<(), Error> {
        self.left = self.left.checked_sub(1).ok_or(Error::TooManyValues)?;
        (self.visit)(target, name, value);
        Ok(())
    }
}

/// Reads a body and visits all that it holds: target, name and decoded value.
///
/// # Errors
/// The first rule that the body breaks.
pub fn read(
    kind: Kind<'_>,
    body: &[u8],
    bounds: &Bounds,
    scratch: &mut Scratch,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    if body.len() > bounds.bytes {
        // What fits is visited, up to the end of a sign.
        let is_start = |at: &usize| body[*at] & 0xC0 != 0x80;
        let end = (0..=bounds.bytes).rev().take(4).find(is_start);
        let fitting = &body[..end.unwrap_or(bounds.bytes)];
        let _ = read(kind, fitting, bounds, scratch, visit);
        return Err(Error::TooLarge);
    }
    let mut visits = Visits::new(bounds.values, visit);
    match kind {
        Kind::Form => form::read(body, scratch, &mut visits),
        Kind::Json => json::read(body, None, bounds.depth, scratch, &mut visits),
        Kind::JsonItem(index) => json::read(body, Some(index), bounds.depth, scratch, &mut visits),
        Kind::JsonLines => json::read_lines(body, bounds.depth, scratch, &mut visits),
        Kind::Graphql => graphql::read_request(body, bounds.depth, scratch, &mut visits),
        Kind::GraphqlDocument => graphql::read_document(body, scratch, &mut visits),
        Kind::Multipart(boundary) => multipart::read(body, boundary, bounds, scratch, &mut visits),
        Kind::Xml => xml::read(body, bounds.depth, scratch, &mut visits),
        Kind::LikeJson(told) | Kind::LikeXml(told) => {
            lenient::document(kind, told, body, bounds, scratch, &mut visits)
        }
        Kind::LikeForm => lenient::form(body, scratch, &mut visits),
        Kind::Text => text::read(body, scratch, &mut visits),
        Kind::Empty => Ok(()),
    }
}

/// A UTF-8 text without a byte order mark: what JSON, XML and GraphQL are.
fn text(body: &[u8]) -> Result<&str, Error> {
    let marks: [&[u8]; 3] = [b"\xEF\xBB\xBF", b"\xFE\xFF", b"\xFF\xFE"];
    if marks.iter().any(|mark| body.starts_with(mark)) {
        return Err(Error::ByteOrderMark);
    }
    std::str::from_utf8(body).map_err(|_| Error::Utf8)
}

#[cfg(test)]
mod tests;
