//! Which bodies an operation takes, and in which form (OpenAPI "Request Body Object").
//!
//! A body is either known to be of a declared media type or refused; it is never skipped because
//! its type is missing, malformed, given twice or under a spelling that a backend may fold into
//! `Content-Type`. Encoded bodies are refused, as their content has not been seen.

use crate::policy::contract::media_type::MediaType;
use crate::policy::contract::schema::Schema;
use crate::policy::denial::Denial;
use crate::proto::body::Framing;
use crate::proto::head::RequestHead;
use crate::proto::header::{Kind, SealedNames};

/// One declared media type.
pub struct Accepted {
    /// `type/subtype` in lower case.
    pub essence: Box<str>,
    /// None: the content is not looked at.
    pub schema: Option<Schema>,
}

/// The bodies of one operation.
pub struct RequestBody {
    pub required: bool,
    accepted: Box<[Accepted]>,
    /// `Content-Type` and `Content-Encoding` in all spellings that backends take for them.
    names: SealedNames,
}

/// A reason to refuse, with the name of the rule for the log.
pub type Refused = (Denial, &'static str);

/// Whether the head announces content. Chunked content may turn out to be empty.
pub fn is_announced(framing: Framing) -> bool {
    match framing {
        Framing::None | Framing::Length(0) => false,
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => true,
    }
}

impl RequestBody {
    pub fn new(required: bool, accepted: Vec<Accepted>) -> RequestBody {
        RequestBody {
            required,
            accepted: accepted.into(),
            names: SealedNames::new(["Content-Type", "Content-Encoding"]),
        }
    }

    /// The schema for the media type with this index.
    pub fn schema(&self, index: usize) -> Option<&Schema> {
        self.accepted.get(index)?.schema.as_ref()
    }

    pub fn has_schema(&self) -> bool {
        self.accepted.iter().any(|each| each.schema.is_some())
    }

    /// The index of the declared media type of the body to come; none for no body.
    pub fn check_head(&self, head: &RequestHead, bytes: &[u8]) -> Result<Option<usize>, Refused> {
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
        let mut accepted = self.accepted.iter();
        let index = accepted
            .position(|each| media_type.is(&each.essence))
            .ok_or((Denial::UndeclaredMediaType, "content"))?;
        if media_type.is_json() && !media_type.is_utf8() {
            return Err((Denial::UndeclaredMediaType, "charset"));
        }
        Ok(Some(index))
    }

    /// The one `Content-Type`; no content coding but `identity` (RFC 9110 section 8.4).
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
            // The two names differ in length in every spelling.
            let is_coding = name.len() == "Content-Encoding".len();
            if is_coding && value.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            if is_coding {
                return Err((Denial::EncodedBody, "content-encoding"));
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
