//! The head of a response against what is declared of it.

use super::{Declared, Header, Refused, refused};
use crate::policy::contract::Scratch;
use crate::policy::contract::body::{self, Content};
use crate::policy::contract::media_type::{MediaType, is_endless};
use crate::policy::denial::Denial;
use crate::proto::body::Framing;
use crate::proto::head::{ResponseHead, lines};
use crate::proto::header::Kind;

impl Declared {
    pub(super) fn check_fields(
        &self,
        head: &ResponseHead,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        for header in &self.headers {
            let name = header.name.as_bytes();
            let mut values = Vec::new();
            for field in lines(&head.fields, bytes, name) {
                let value = std::str::from_utf8(field.value.of(bytes));
                let malformed = |_| refused(Denial::InvalidResponse, &header.name, "encoding");
                values.push(value.map_err(malformed)?);
            }
            match values.is_empty() {
                true if header.required && head.status != 304 => {
                    return Err(refused(Denial::InvalidResponse, &header.name, "required"));
                }
                true => {}
                false => header.check(&values, scratch)?,
            }
        }
        Ok(())
    }

    /// The media type that has to see the body; none where nothing has to. `is_masked`: a body in
    /// which no place is known could hold what is masked in another.
    pub(super) fn media_type(
        &self,
        head: &ResponseHead,
        bytes: &[u8],
        (to_head, is_masked): (bool, bool),
    ) -> Result<Option<usize>, Refused> {
        let undeclared = |name: &str, rule| refused(Denial::UndeclaredResponse, name, rule);
        let has_body = head.framing != Framing::None;
        let is_empty = matches!(head.framing, Framing::None | Framing::Length(0));
        if self.media.is_empty() {
            return match is_empty {
                true => Ok(None),
                false => Err(undeclared("", "content")),
            };
        }
        let types = head.fields.iter();
        let mut types = types.filter(|field| field.kind == Kind::ContentType);
        let (first, second) = (types.next(), types.next());
        let Some(first) = first else {
            // An empty body is no document, where the answer to another method would have had one.
            return match has_body {
                false => Ok(None),
                true => Err(undeclared("", "content-type")),
            };
        };
        if second.is_some() {
            return Err(undeclared("", "repeated"));
        }
        let read = MediaType::read(first.value.of(bytes));
        let read = read.ok_or_else(|| undeclared("", "malformed"))?;
        let index = body::find(&self.media, &read).ok_or_else(|| {
            let essence = String::from_utf8_lossy(read.essence());
            undeclared(&essence, "content")
        })?;
        let media = &self.media[index];
        // A range with a schema speaks of bodies that end; a stream is declared by its own name.
        if media.is_read() && !to_head && is_endless(read.essence()) {
            let essence = String::from_utf8_lossy(read.essence());
            return Err(undeclared(&essence, "endless"));
        }
        if is_masked && !media.has_places() && !to_head && !is_empty {
            return Err(refused(
                Denial::InvalidResponse,
                media.range.essence(),
                "mask",
            ));
        }
        if !media.is_read() || to_head || !has_body {
            return Ok(None);
        }
        let checked = media.check_type(&read);
        checked.map_err(|(_, rule)| undeclared("", rule))?;
        if is_encoded(head, bytes) {
            // It was asked for without: nobody can say what is in it.
            return Err(refused(Denial::InvalidResponse, "", "content-encoding"));
        }
        match (&media.content, head.framing) {
            // A length that is told needs no byte to be seen.
            (Content::Bytes(lengths), Framing::Length(length)) => {
                let checked = lengths.check(length);
                checked.map_err(|rule| refused(Denial::InvalidResponse, "", rule))?;
                Ok(None)
            }
            _ => Ok(Some(index)),
        }
    }
}

fn is_encoded(head: &ResponseHead, bytes: &[u8]) -> bool {
    head.fields.iter().any(|field| {
        let (name, value) = (field.name.of(bytes), field.value.of(bytes));
        name.eq_ignore_ascii_case(b"content-encoding") && !value.eq_ignore_ascii_case(b"identity")
    })
}

impl Header {
    /// The values of all lines. Those of a list are one list (RFC 9110 section 5.3); what is none
    /// stands once, but for the field that cannot be joined.
    fn check(&self, values: &[&str], scratch: &mut Scratch) -> Result<(), Refused> {
        let fault = |keyword| refused(Denial::InvalidResponse, &self.name, keyword);
        if self.is_list {
            let items = values.iter().flat_map(|value| value.split(','));
            let items: Vec<&str> = items.map(str::trim).collect();
            let outcome = self.schema.check_texts(&items, &mut scratch.schema);
            return outcome.map_err(|violation| fault(violation.keyword));
        }
        if values.len() > 1 && !self.name.eq_ignore_ascii_case("Set-Cookie") {
            return Err(fault("repeated"));
        }
        for value in values {
            let outcome = self.schema.check_text(value, &mut scratch.schema);
            outcome.map_err(|violation| fault(violation.keyword))?;
        }
        Ok(())
    }
}
