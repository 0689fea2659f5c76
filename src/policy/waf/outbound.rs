//! Which answers are inspected, and what rules see of their bodies.

use std::sync::Arc;

use crate::policy::contract::media_type::is_endless;
use crate::policy::denial::Denial;
use crate::policy::waf::draft::Engine;
use crate::policy::waf::inspection::{OverBudget, Tuning};
use crate::policy::waf::message::{Headers, Response};
use crate::policy::waf::seclang::bodies::UNTYPED;
use crate::proto::body::Framing;
use crate::proto::coding::Coding;
use crate::proto::head::{ResponseHead, Version};
use crate::proto::header::{Kind, SealedNames};

/// How the answers of an operation are inspected.
#[derive(Clone, Debug)]
pub struct Outbound {
    pub reach: Reach,
    /// The media types whose bodies rules look at, in lower case; none: all.
    pub types: Option<Arc<[Box<str>]>>,
    /// So much of a body is looked at, in bytes.
    pub longest: usize,
    /// What becomes of one that is longer, or that cannot be decoded.
    pub beyond: OverBudget,
    /// Fields of requests that ask for what cannot be looked at: a coding, a part.
    pub unwanted: Arc<SealedNames>,
}

/// Which bodies are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// None, as the rule files say.
    Heads,
    /// Those that another stage collects.
    Collected,
    /// All: they are collected for it.
    All,
}

/// What rules can see of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// There is none, or none that they look at.
    Nothing,
    Plain,
    /// Once this is taken off.
    Coded(Coding),
    /// Nobody here can take its coding off.
    Unreadable,
    /// It comes for as long as somebody listens: whoever waited for its end would pass nothing on.
    Endless,
}

impl Outbound {
    /// What can be seen of the body behind a head.
    pub fn content(&self, head: &ResponseHead, bytes: &[u8]) -> Content {
        if self.reach == Reach::Heads || matches!(head.framing, Framing::None | Framing::Length(0))
        {
            return Content::Nothing;
        }
        let mut of_type = head
            .fields
            .iter()
            .filter(|field| field.kind == Kind::ContentType);
        let media_type = of_type.next().map(|field| field.value.of(bytes));
        // Of several nobody knows which one the client believes.
        if of_type.next().is_none() && !self.looks_at(media_type) {
            return Content::Nothing;
        }
        if self.reach == Reach::All && media_type.is_some_and(is_endless) {
            return Content::Endless;
        }
        let fields = head.fields.iter();
        let codings = fields.filter(|field| {
            let name = field.name.of(bytes);
            name.eq_ignore_ascii_case(b"Content-Encoding")
        });
        let named = codings.flat_map(|field| field.value.of(bytes).split(|&byte| byte == b','));
        let mut named = named
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        match (named.next().map(Coding::read), named.next()) {
            (None, _) => Content::Plain,
            (Some(Some(coding)), None) => Content::Coded(coding),
            (Some(_), _) => Content::Unreadable,
        }
    }

    /// Whether rules look at bodies of a media type.
    pub fn looks_at(&self, media_type: Option<&[u8]>) -> bool {
        let Some(types) = &self.types else {
            return true;
        };
        let essence = match media_type {
            Some(value) => value.split(|&byte| byte == b';').next().unwrap_or_default(),
            None => UNTYPED.as_bytes(),
        };
        let essence = essence.trim_ascii();
        let mut types = types.iter();
        types.any(|name| essence.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The longest body that has to be collected for rules to see it; none: no body has.
    pub fn collects(&self, content: Content) -> Option<usize> {
        let is_seen = match content {
            Content::Nothing | Content::Unreadable | Content::Endless => false,
            Content::Plain | Content::Coded(_) => true,
        };
        (is_seen && self.reach == Reach::All).then_some(self.longest)
    }

    /// Why an answer that cannot be looked at whole does not leave; none: it leaves, and what
    /// there is to see is looked at.
    pub fn refuses(&self, tuning: &Tuning, denial: Denial) -> Option<Denial> {
        let is_strict = self.beyond == OverBudget::Refuse && tuning.engine == Engine::On;
        is_strict.then_some(denial)
    }
}

/// A head as rules read it.
pub fn as_message<'a>(head: &'a ResponseHead, bytes: &'a [u8], content: Content) -> Response<'a> {
    Response {
        status: head.status,
        version: match head.version {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
        },
        headers: Headers::Fields(&head.fields, bytes),
        is_decoded: matches!(content, Content::Coded(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(types: Option<&[&str]>) -> Outbound {
        Outbound {
            reach: Reach::All,
            types: types.map(|types| types.iter().map(|&name| name.into()).collect()),
            longest: 100,
            beyond: OverBudget::Refuse,
            unwanted: Arc::default(),
        }
    }

    fn content(outbound: &Outbound, lines: &str) -> Content {
        let bytes = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        let mut head = ResponseHead::default();
        assert_eq!(head.read(bytes.as_bytes(), false), Ok(true));
        outbound.content(&head, bytes.as_bytes())
    }

    #[test]
    fn codings_are_taken_off_or_told() {
        let all = outbound(None);
        let coded = |coding: &str| {
            let lines = format!("Content-Length: 3\r\nContent-Encoding: {coding}\r\n");
            content(&all, &lines)
        };
        assert_eq!(content(&all, "Content-Length: 3\r\n"), Content::Plain);
        assert_eq!(content(&all, "Content-Length: 0\r\n"), Content::Nothing);
        assert_eq!(coded("identity"), Content::Plain);
        assert_eq!(coded("X-GZIP"), Content::Coded(Coding::Gzip));
        assert_eq!(coded("deflate"), Content::Coded(Coding::Deflate));
        assert_eq!(coded("br"), Content::Unreadable);
        assert_eq!(coded("gzip, gzip"), Content::Unreadable);
        assert_eq!(coded("gzip\r\nContent-Encoding: br"), Content::Unreadable);
    }

    #[test]
    fn what_has_no_end_is_not_waited_for() {
        let typed = |outbound: &Outbound, media_type: &str| {
            let lines = format!("Transfer-Encoding: chunked\r\nContent-Type: {media_type}\r\n");
            content(outbound, &lines)
        };
        let all = outbound(None);
        for media_type in ["text/event-stream", "Text/Event-Stream ; charset=utf-8"] {
            let content = typed(&all, media_type);
            assert_eq!(content, Content::Endless, "{media_type}");
            assert_eq!(all.collects(content), None);
        }
        assert_eq!(typed(&all, "text/event-streams"), Content::Plain);
        let some = outbound(Some(&["text/html"]));
        assert_eq!(typed(&some, "text/event-stream"), Content::Nothing);
    }

    #[test]
    fn only_bodies_of_named_types_are_looked_at() {
        let some = outbound(Some(&["text/html", UNTYPED]));
        let typed = |media_type: &str| {
            let lines = format!("Content-Length: 3\r\nContent-Type: {media_type}\r\n");
            content(&some, &lines)
        };
        assert_eq!(typed("Text/HTML; charset=utf-8"), Content::Plain);
        assert_eq!(typed("application/json"), Content::Nothing);
        assert_eq!(content(&some, "Content-Length: 3\r\n"), Content::Plain);
        let none = outbound(Some(&[]));
        assert_eq!(content(&none, "Content-Length: 3\r\n"), Content::Nothing);
    }
}
