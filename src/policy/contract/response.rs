//! Which answers an operation may give (OpenAPI "Responses Object").
//!
//! Deny-all as on the way in: a status, a media type or a header field that is not declared does
//! not leave, and a body leaves only after its schema has seen it. A fault is refused, or, where
//! the configuration says `report`, noted; but what the description hides (`writeOnly`, and the
//! like) is never let out with a body that could not be read.

use crate::policy::contract::Scratch;
use crate::policy::contract::body::Accepted;
use crate::policy::contract::field_names::FieldNames;
use crate::policy::contract::media_type::MediaType;
use crate::policy::contract::schema::Schema;
use crate::policy::denial::Denial;
use crate::proto::body::Framing;
use crate::proto::head::ResponseHead;
use crate::proto::header::{Kind, SealedNames};

/// Fields that any response may have: they describe the message, its caching and its place, and
/// no backend tells about itself with them.
const SAFE: [&str; 17] = [
    "Allow",
    "Age",
    "Cache-Control",
    "Content-Disposition",
    "Content-Language",
    "Content-Type",
    "Date",
    "Deprecation",
    "ETag",
    "Expires",
    "Last-Modified",
    "Link",
    "Location",
    "Retry-After",
    "Sunset",
    "Vary",
    "WWW-Authenticate",
];

/// Fields of a response whose body is passed on unread, where no byte of it is changed.
const SAFE_UNREAD: [&str; 4] = [
    "Accept-Ranges",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
];

/// What a request for a response that has to be seen whole does not ask (RFC 9110 sections 12.5.3
/// and 14.2).
const UNWANTED: [&str; 3] = ["Accept-Encoding", "If-Range", "Range"];

/// The key of a declared response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Exact(u16),
    /// `4XX` as 4.
    Class(u16),
    Default,
}

/// A declared header field.
pub struct Header {
    pub name: Box<str>,
    pub required: bool,
    /// Whether the value is a list with commas.
    pub is_list: bool,
    pub schema: Schema,
}

/// One declared response.
pub struct Declared {
    pub status: Status,
    /// Empty: no content.
    pub accepted: Box<[Accepted]>,
    pub headers: Box<[Header]>,
}

/// What becomes of a response that is not as declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// The client gets a 502 instead.
    #[default]
    Reject,
    /// Undeclared members of bodies are taken out; everything else as in `Reject`.
    Strip,
    /// It passes, and is noted.
    Report,
}

/// The responses of one operation.
pub struct Responses {
    declared: Box<[Declared]>,
}

/// The responses of one operation, and how they are enforced.
pub struct ResponseContract {
    responses: Responses,
    enforcement: Enforcement,
    /// Longest body that is read, in bytes.
    max_body: usize,
    /// What may leave with each declared response, and with every other.
    names: Box<[FieldNames]>,
    other_names: FieldNames,
    unwanted: SealedNames,
}

/// What a head says of a response; goes on to the check of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    declared: Option<usize>,
    /// The index of the media type whose schema has to see the body.
    media_type: Option<usize>,
    /// The fault that is let pass.
    pub reported: Option<Denial>,
}

impl Responses {
    pub fn new(declared: Vec<Declared>) -> Responses {
        Responses {
            declared: declared.into(),
        }
    }

    /// The exact status first, then its class, then `default`.
    fn find(&self, status: u16) -> Option<usize> {
        let wanted = [
            Status::Exact(status),
            Status::Class(status / 100),
            Status::Default,
        ];
        let mut wanted = wanted.iter();
        wanted.find_map(|key| self.declared.iter().position(|each| each.status == *key))
    }

    /// RFC 9110 section 15.4.5: a 304 stands for the 200 that it saves.
    fn find_for(&self, status: u16) -> Option<usize> {
        let found = self.find(status);
        found.or_else(|| (status == 304).then(|| self.find(200)).flatten())
    }

    fn has_schema(&self) -> bool {
        let mut accepted = self.declared.iter().flat_map(|each| &each.accepted);
        accepted.any(|each| each.schema.is_some())
    }
}

type Refused = (Denial, String, &'static str);

fn refused(denial: Denial, name: &str, rule: &'static str) -> Refused {
    (denial, name.to_owned(), rule)
}

impl ResponseContract {
    /// `names`: header fields that may leave although nothing declares them.
    pub fn new(
        responses: Responses,
        enforcement: Enforcement,
        max_body: usize,
        names: &[&str],
    ) -> ResponseContract {
        let declared = responses.declared.iter().map(|declared| {
            let own = declared.headers.iter().map(|header| &*header.name);
            let reads = declared.accepted.iter().any(|each| each.schema.is_some());
            let unread = SAFE_UNREAD.iter().copied().filter(|_| !reads);
            let all = SAFE.iter().copied().chain(unread).chain(own);
            FieldNames::new(all.chain(names.iter().copied()))
        });
        ResponseContract {
            names: declared.collect(),
            other_names: FieldNames::new(SAFE.iter().chain(names).copied()),
            unwanted: SealedNames::new(UNWANTED),
            responses,
            enforcement,
            max_body,
        }
    }

    /// Fields of a request that ask for a part of a response or for an encoded one, where bodies
    /// have to be seen.
    pub fn unwanted(&self) -> Option<&SealedNames> {
        self.responses.has_schema().then_some(&self.unwanted)
    }

    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// `to_head`: whether it answers a `HEAD`.
    pub fn check_head(
        &self,
        head: &ResponseHead,
        bytes: &[u8],
        to_head: bool,
        scratch: &mut Scratch,
    ) -> Result<Expected, Denial> {
        scratch.begin();
        let Some(index) = self.responses.find_for(head.status) else {
            let status = head.status.to_string();
            let fault = refused(Denial::UndeclaredResponse, &status, "status");
            return self.fault(None, fault, scratch);
        };
        let declared = &self.responses.declared[index];
        let media_type = declared
            .check_fields(head, bytes, scratch)
            .and_then(|()| declared.media_type(head, bytes, to_head));
        match media_type {
            Ok(media_type) => Ok(Expected {
                declared: Some(index),
                media_type,
                reported: None,
            }),
            Err(fault) => self.fault(Some(index), fault, scratch),
        }
    }

    /// `body` is the whole content without its framing.
    pub fn check_body(
        &self,
        expected: Expected,
        body: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Expected, Denial> {
        scratch.begin();
        let schema = expected.declared.zip(expected.media_type);
        let schema = schema.and_then(|(declared, media_type)| {
            let accepted = &self.responses.declared[declared].accepted;
            accepted.get(media_type)?.schema.as_ref()
        });
        let Some(schema) = schema else {
            return Ok(expected);
        };
        match schema.check(body, &mut scratch.schema) {
            Ok(()) => Ok(expected),
            Err(violation) => {
                let fault = (
                    Denial::InvalidResponse,
                    violation.pointer,
                    violation.keyword,
                );
                self.fault(expected.declared, fault, scratch)
            }
        }
    }

    /// A body longer than may be read.
    pub fn too_long(&self, expected: Expected, scratch: &mut Scratch) -> Result<Expected, Denial> {
        let fault = refused(Denial::ResponseTooLarge, "", "max_response_body");
        self.fault(expected.declared, fault, scratch)
    }

    fn fault(
        &self,
        declared: Option<usize>,
        (denial, name, rule): Refused,
        scratch: &mut Scratch,
    ) -> Result<Expected, Denial> {
        scratch.refuse(denial, "response", &name, rule);
        match self.enforcement {
            Enforcement::Report => Ok(Expected {
                declared,
                media_type: None,
                reported: Some(denial),
            }),
            Enforcement::Reject | Enforcement::Strip => Err(denial),
        }
    }

    /// Whether a field may leave with a response; those that end at this hop are not asked about.
    pub fn keeps(&self, expected: Expected, kind: Kind, name: &[u8]) -> bool {
        if kind == Kind::ContentType || self.enforcement == Enforcement::Report {
            return true;
        }
        let names = expected.declared.map(|index| &self.names[index]);
        names.unwrap_or(&self.other_names).contain(name)
    }
}

impl Declared {
    fn check_fields(
        &self,
        head: &ResponseHead,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        for header in &self.headers {
            let mut is_there = false;
            for field in &head.fields {
                if !field
                    .name
                    .of(bytes)
                    .eq_ignore_ascii_case(header.name.as_bytes())
                {
                    continue;
                }
                is_there = true;
                let value = std::str::from_utf8(field.value.of(bytes));
                let value = value
                    .map_err(|_| refused(Denial::InvalidResponse, &header.name, "encoding"))?;
                header.check(value, scratch)?;
            }
            if header.required && !is_there && head.status != 304 {
                return Err(refused(Denial::InvalidResponse, &header.name, "required"));
            }
        }
        Ok(())
    }

    /// The media type whose schema has to see the body; none where nothing has to.
    fn media_type(
        &self,
        head: &ResponseHead,
        bytes: &[u8],
        to_head: bool,
    ) -> Result<Option<usize>, Refused> {
        let has_body = head.framing != Framing::None;
        if self.accepted.is_empty() {
            return match head.framing {
                Framing::None | Framing::Length(0) => Ok(None),
                Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {
                    Err(refused(Denial::UndeclaredResponse, "", "content"))
                }
            };
        }
        let mut types = head.fields.iter();
        let mut types = types
            .by_ref()
            .filter(|field| field.kind == Kind::ContentType);
        let (first, second) = (types.next(), types.next());
        let Some(first) = first else {
            return match has_body && head.framing != Framing::Length(0) {
                true => Err(refused(Denial::UndeclaredResponse, "", "content-type")),
                false => Ok(None),
            };
        };
        if second.is_some() {
            return Err(refused(Denial::UndeclaredResponse, "", "repeated"));
        }
        let read = MediaType::read(first.value.of(bytes));
        let read = read.ok_or_else(|| refused(Denial::UndeclaredResponse, "", "malformed"))?;
        let mut accepted = self.accepted.iter();
        let index = accepted.position(|each| read.is(&each.essence));
        let index = index.ok_or_else(|| {
            let essence = String::from_utf8_lossy(read.essence());
            refused(Denial::UndeclaredResponse, &essence, "content")
        })?;
        let is_read = self.accepted[index].schema.is_some();
        if !is_read || to_head || !has_body {
            return Ok(None);
        }
        if read.is_json() && !read.is_utf8() {
            return Err(refused(Denial::UndeclaredResponse, "", "charset"));
        }
        let is_encoded = head.fields.iter().any(|field| {
            let name = field.name.of(bytes);
            name.eq_ignore_ascii_case(b"content-encoding")
                && !field.value.of(bytes).eq_ignore_ascii_case(b"identity")
        });
        match is_encoded {
            // It was asked for without: nobody can say what is in it.
            true => Err(refused(Denial::InvalidResponse, "", "content-encoding")),
            false => Ok(Some(index)),
        }
    }
}

impl Header {
    fn check(&self, value: &str, scratch: &mut Scratch) -> Result<(), Refused> {
        let outcome = match self.is_list {
            true => {
                let items: Vec<&str> = value.split(',').map(str::trim).collect();
                self.schema.check_texts(&items, &mut scratch.schema)
            }
            false => self.schema.check_text(value, &mut scratch.schema),
        };
        outcome.map_err(|violation| refused(Denial::InvalidResponse, &self.name, violation.keyword))
    }
}

impl Expected {
    /// Whether the body has to be seen before any of it may leave.
    pub fn is_read(self) -> bool {
        self.media_type.is_some()
    }
}
