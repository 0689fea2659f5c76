//! The head of a response against what is declared of it.

use super::{Declared, Header, Refused, refused};
use crate::policy::contract::Scratch;
use crate::policy::contract::media_type::MediaType;
use crate::policy::denial::Denial;
use crate::proto::body::Framing;
use crate::proto::head::ResponseHead;
use crate::proto::header::Kind;

impl Declared {
    pub(super) fn check_fields(
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
    pub(super) fn media_type(
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
