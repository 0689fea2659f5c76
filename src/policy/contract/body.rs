//! Which bodies an operation takes, and in which form (OpenAPI "Request Body Object").
//!
//! A body is either known to be of a declared media type or refused; it is never skipped because
//! its type is missing, malformed, given twice or under a spelling that a backend may fold into
//! `Content-Type`.

use crate::policy::contract::forms::{Form, Memory, Text};
use crate::policy::contract::media_type::{MediaRange, MediaType};
use crate::policy::contract::records::Records;
use crate::policy::contract::schema::Schema;
use crate::policy::contract::sieve::{self, Bounds, Sieve};
use crate::policy::denial::Denial;
use crate::proto::body::Framing;
use crate::proto::head::RequestHead;
use crate::proto::header::{Kind, SealedNames};
use crate::proto::multipart::{BOUNDARY, is_boundary};

/// One declared media type.
#[derive(Clone)]
pub struct Media {
    pub range: MediaRange,
    pub content: Content,
}

/// What a body is read as.
#[derive(Clone)]
pub enum Content {
    /// It passes unread.
    Unread,
    /// It passes unread, but for its length.
    Bytes(Lengths),
    Json(Schema),
    /// `application/x-www-form-urlencoded`.
    Form(Form),
    /// `multipart/form-data`.
    Parts(Form),
    Text(Text),
    /// Sequences of JSON documents.
    Records(Records),
}

/// How many bytes a body has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    pub least: Option<u64>,
    pub most: Option<u64>,
}

/// The bodies of one operation.
#[derive(Clone)]
pub struct RequestBody {
    pub required: bool,
    media: Box<[Media]>,
    /// Of each media type: how bodies are taken apart that are too long to be collected.
    streamed: Box<[Option<sieve::Records>]>,
    /// `Content-Type` in all spellings that backends take for it.
    names: SealedNames,
}

/// A reason to refuse, with the name of the rule for the log.
pub type Refused = (Denial, &'static str);

/// What is known of a body from its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The index of its media type.
    pub media: usize,
    /// Between the parts of a multipart body.
    pub boundary: Boundary,
}

/// The boundary of a multipart body; empty for every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    bytes: [u8; BOUNDARY],
    length: u8,
}

/// Whether the head announces content. Chunked content may turn out to be empty.
pub fn is_announced(framing: Framing) -> bool {
    match framing {
        Framing::None | Framing::Length(0) => false,
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => true,
    }
}

impl RequestBody {
    pub fn new(required: bool, media: Vec<Media>) -> RequestBody {
        RequestBody {
            required,
            streamed: media.iter().map(|_| None).collect(),
            media: media.into(),
            names: SealedNames::new(["Content-Type"]),
        }
    }

    /// Whether a body that was announced has to be seen.
    pub fn reads(&self, announced: Announced, framing: Framing) -> bool {
        match &self.media[announced.media].content {
            Content::Unread => false,
            // A length that is told was judged with the head.
            Content::Bytes(_) => !matches!(framing, Framing::Length(_)),
            Content::Json(_)
            | Content::Form(_)
            | Content::Parts(_)
            | Content::Text(_)
            | Content::Records(_) => true,
        }
    }

    /// Lets bodies be checked while they come in, those of records. What stands against it.
    pub fn stream(&mut self) -> Result<(), String> {
        let mut streamed = Vec::new();
        for Media { range, content } in &self.media {
            let records = sieve::Records::of(content);
            if let (Err(reason), Content::Json(_) | Content::Records(_)) = (records, content) {
                return Err(format!("`{}`: {reason}", range.essence()));
            }
            streamed.push(records.ok());
        }
        if streamed.iter().all(Option::is_none) {
            return Err("no media type that it declares holds records".to_owned());
        }
        self.streamed = streamed.into();
        Ok(())
    }

    /// For a body that is checked while it comes in; none where it has to be collected.
    pub fn sieve(&self, announced: Announced, bounds: Bounds) -> Option<Sieve<'_>> {
        let records = self.streamed[announced.media]?;
        let schema = match &self.media[announced.media].content {
            Content::Json(schema) => schema,
            Content::Records(records) => &records.schema,
            Content::Unread
            | Content::Bytes(_)
            | Content::Form(_)
            | Content::Parts(_)
            | Content::Text(_) => return None,
        };
        Some(Sieve::new(records, schema, bounds, self.required))
    }

    pub fn has_schema(&self) -> bool {
        self.media.iter().any(Media::is_read)
    }

    /// What a body is read as.
    pub fn content(&self, announced: Announced) -> &Content {
        &self.media[announced.media].content
    }

    /// Whether a declared media type is of such a kind.
    pub fn has(&self, kind: fn(&Content) -> bool) -> bool {
        self.media.iter().any(|media| kind(&media.content))
    }

    /// What is known of the body to come; none for no body. The length of one that `is_coded` says
    /// nothing about its content.
    pub fn check_head(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        is_coded: bool,
    ) -> Result<Option<Announced>, Refused> {
        if !is_announced(head.framing) {
            return match self.required {
                true => Err((Denial::MissingBody, "required")),
                false => Ok(None),
            };
        }
        let value = self.content_type(head, bytes)?;
        let value = value.ok_or((Denial::MissingMediaType, "content-type"))?;
        let media_type =
            MediaType::read(value).ok_or((Denial::UndeclaredMediaType, "malformed"))?;
        let found = find(&self.media, &media_type);
        let media = found.ok_or((Denial::UndeclaredMediaType, "content"))?;
        let own = &self.media[media];
        let boundary = own.check_type(&media_type)?;
        if let (Content::Bytes(lengths), Framing::Length(length)) = (&own.content, head.framing)
            && !is_coded
        {
            lengths
                .check(length)
                .map_err(|rule| (Denial::InvalidBody, rule))?;
        }
        Ok(Some(Announced { media, boundary }))
    }

    /// Checks a body that is no JSON: the whole content, without its framing. A JSON pointer with
    /// the rule that it breaks.
    pub fn check(
        &self,
        announced: Announced,
        body: &[u8],
        memory: &mut Memory<'_>,
    ) -> Result<(), (String, &'static str)> {
        match &self.media[announced.media].content {
            // JSON is checked by what has asked for its schema.
            Content::Unread | Content::Json(_) => Ok(()),
            Content::Bytes(lengths) => {
                let checked = lengths.check(body.len() as u64);
                checked.map_err(|rule| (String::new(), rule))
            }
            Content::Form(form) => form.check_encoded(body, memory),
            Content::Parts(form) => form.check_parts(body, announced.boundary.bytes(), memory),
            Content::Text(text) => text.check(body, memory),
            Content::Records(records) => records.check(body, memory),
        }
    }

    /// Whether the values of a body can be looked up after the check.
    pub fn has_values(&self, announced: Announced) -> bool {
        match self.media[announced.media].content {
            Content::Json(_) | Content::Form(_) | Content::Parts(_) => true,
            Content::Unread | Content::Bytes(_) | Content::Text(_) | Content::Records(_) => false,
        }
    }

    /// The one `Content-Type`.
    fn content_type<'a>(
        &self,
        head: &RequestHead,
        bytes: &'a [u8],
    ) -> Result<Option<&'a [u8]>, Refused> {
        let mut found = None;
        for field in &head.fields {
            let (name, value) = (field.name.of(bytes), field.value.of(bytes));
            if field.kind != Kind::ContentType && !self.names.cover(name) {
                continue;
            }
            if field.kind != Kind::ContentType {
                return Err((Denial::UndeclaredMediaType, "alias"));
            }
            if found.replace(value).is_some() {
                return Err((Denial::UndeclaredMediaType, "repeated"));
            }
        }
        Ok(found)
    }
}

/// The declared media type that names one most exactly.
pub fn find(media: &[Media], media_type: &MediaType<'_>) -> Option<usize> {
    let fits = media.iter().enumerate().filter_map(|(index, media)| {
        let exactness = media.range.matches(media_type)?;
        Some((exactness, std::cmp::Reverse(index)))
    });
    fits.max().map(|(_, index)| index.0)
}

impl Media {
    /// The schema that sees a body, or each of its records.
    pub fn schema(&self) -> Option<&Schema> {
        match &self.content {
            Content::Json(schema)
            | Content::Text(Text { schema, .. })
            | Content::Records(Records { schema, .. }) => Some(schema),
            Content::Form(form) | Content::Parts(form) => Some(&form.schema),
            Content::Unread | Content::Bytes(_) => None,
        }
    }

    /// Whether a body of it is looked at.
    pub fn is_read(&self) -> bool {
        !matches!(self.content, Content::Unread)
    }

    /// Whether a pointer leads to values of a body.
    pub fn has_places(&self) -> bool {
        matches!(self.content, Content::Json(_) | Content::Records(_))
    }

    /// Whether nothing is to be hidden or masked where no member can be taken out.
    pub fn hides_soundly(&self) -> bool {
        match &self.content {
            Content::Text(text) => !text.schema.has_views(),
            _ => true,
        }
    }

    pub fn schema_mut(&mut self) -> Option<&mut Schema> {
        match &mut self.content {
            Content::Json(schema)
            | Content::Text(Text { schema, .. })
            | Content::Records(Records { schema, .. }) => Some(schema),
            Content::Form(form) | Content::Parts(form) => Some(&mut form.schema),
            Content::Unread | Content::Bytes(_) => None,
        }
    }

    /// What the type of a body says beside its name: nothing that changes how its bytes are read,
    /// unless the description says so, too.
    pub fn check_type(&self, media_type: &MediaType<'_>) -> Result<Boundary, Refused> {
        let refused = |rule| (Denial::UndeclaredMediaType, rule);
        match &self.content {
            // A range that has a schema speaks of JSON.
            Content::Json(_) if !media_type.is_json() => return Err(refused("content")),
            Content::Unread | Content::Bytes(_) if !media_type.is_json() => {}
            Content::Json(_) | Content::Unread | Content::Bytes(_) => {
                let mut others = media_type
                    .parameters()
                    .filter(|(name, _)| !self.range.has_parameter(name));
                if others.any(|(name, _)| !name.eq_ignore_ascii_case(b"charset")) {
                    return Err(refused("charset"));
                }
                let charset = media_type.parameter("charset");
                if charset.is_some_and(|name| !name.eq_ignore_ascii_case(b"utf-8")) {
                    return Err(refused("charset"));
                }
            }
            Content::Form(_) | Content::Text(_) | Content::Parts(_) | Content::Records(_)
                if !media_type.has_utf8() =>
            {
                return Err(refused("charset"));
            }
            Content::Form(_) | Content::Text(_) | Content::Records(_) => {}
            Content::Parts(_) => {
                let boundary = media_type.parameter("boundary");
                let boundary = boundary.filter(|text| is_boundary(text));
                return boundary.map(Boundary::of).ok_or(refused("boundary"));
            }
        }
        Ok(Boundary::of(b""))
    }
}

impl Lengths {
    pub fn check(self, length: u64) -> Result<(), &'static str> {
        match self {
            Lengths {
                least: Some(least), ..
            } if length < least => Err("minLength"),
            Lengths {
                most: Some(most), ..
            } if length > most => Err("maxLength"),
            _ => Ok(()),
        }
    }
}

impl Boundary {
    /// Of at most [`BOUNDARY`] bytes.
    fn of(text: &[u8]) -> Boundary {
        let mut bytes = [0; BOUNDARY];
        let length = text.len().min(BOUNDARY);
        bytes[..length].copy_from_slice(&text[..length]);
        Boundary {
            bytes,
            length: length as u8,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}
