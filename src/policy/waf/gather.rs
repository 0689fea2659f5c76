//! A message to its values.
//!
//! Text stays as it was sent, except where the rule language defines its values to be decoded:
//! the names and values of arguments are percent-decoded once, with `+` as a blank. Rules decode
//! further on their own.

use std::io::Write;
use std::net::SocketAddr;

use crate::policy::redact;
use crate::policy::waf::body::{self, Bounds, Packing};
use crate::policy::waf::budget::Bound;
use crate::policy::waf::collection::Collection;
use crate::policy::waf::message::{Processor, Request, Response};
use crate::policy::waf::transform::Transformation;
use crate::policy::waf::values::Values;
use crate::policy::waf::view::View;

/// What a segment of the path is called as an argument.
const SEGMENT: &[u8] = b"(path)";

/// How servers mark cookies that they have signed, and such as hold JSON.
const MARKS: [&[u8]; 2] = [b"s:", b"j:"];

/// Fills the collections of a message that `used` has a bit for.
pub struct Gather<'a> {
    pub values: &'a mut Values,
    pub used: u64,
    /// None: what is packed in a value stays packed.
    pub inner: Option<&'a mut body::Scratch>,
    /// The argument `query` is a GraphQL document.
    pub is_graphql: bool,
}

impl Gather<'_> {
    fn wants(&self, part: Collection) -> bool {
        self.used & (1 << part as usize) != 0
    }

    pub fn push(&mut self, part: Collection, name: &[u8], value: &[u8]) {
        if self.wants(part) {
            self.values.push(part, name, value);
        }
    }

    /// Takes what is packed in a value, under the name of the value. A document in a text is not
    /// looked at as a text as well: its quotes and braces mean nothing.
    pub fn value(&mut self, part: Collection, names: Collection, name: &[u8], value: &[u8]) {
        if !self.wants(part) || self.inner.is_none() || !body::may_be_packed(value) {
            return self.push(part, name, value);
        }
        let Some(inner) = self.inner.take() else {
            return self.push(part, name, value);
        };
        let bounds = Bounds {
            values: self.values.budget().values,
            depth: self.values.budget().depth,
            ..Bounds::default()
        };
        let outer = value;
        let mut visit = |target, found: &[u8], value: &[u8]| match target {
            body::Target::JsonKey => self.push(names, name, value),
            _ => {
                if target == body::Target::Field {
                    self.push(names, name, found);
                }
                // What is within is kept without its name or its scheme, but for what those tell.
                let is_address = target == body::Target::Text && redact::names_user(outer);
                self.values.origin.is_secret = is_address || redact::is_secret_name(found);
                self.push(part, name, value);
                self.values.origin.is_secret = false;
            }
        };
        match body::unpack(value, &bounds, inner, &mut visit) {
            Ok(Some(Packing::Json)) => {}
            Ok(_) => self.push(part, name, value),
            Err(error) => self.values.exceed(error.bound().unwrap_or(Bound::Values)),
        }
        self.inner = Some(inner);
    }

    /// Takes the strings of a GraphQL document: the rest of it is the schema's.
    fn document(&mut self, part: Collection, name: &[u8], value: &[u8]) {
        let Some(inner) = self.inner.take() else {
            return self.push(part, name, value);
        };
        let bounds = Bounds {
            values: self.values.budget().values,
            ..Bounds::default()
        };
        let kind = body::Kind::GraphqlDocument;
        let mut visit = |_, _: &[u8], text: &[u8]| self.push(part, name, text);
        let outcome = body::read(kind, value, &bounds, inner, &mut visit);
        match outcome.map_err(body::Error::bound) {
            Ok(()) => {}
            Err(Some(bound)) => self.values.exceed(bound),
            Err(None) => self.push(part, name, value),
        }
        self.inner = Some(inner);
    }

    /// What applications read as arguments although the rule language does not: segments of the
    /// path, header fields of their own.
    pub fn more(&mut self, request: &Request<'_>, view: &View) {
        let path = origin_form(request.target);
        let end = path.iter().position(|byte| matches!(byte, b'?' | b'#'));
        let path = &path[..end.unwrap_or(path.len())];
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:@,".contains(byte);
        let mut decoded = std::mem::take(&mut self.values.spare);
        for segment in path.split(|&byte| byte == b'/') {
            if segment.iter().all(is_plain) {
                continue;
            }
            decoded.clear();
            percent_decode(segment, &mut decoded);
            self.push(Collection::ArgsGet, SEGMENT, &decoded);
        }
        self.values.spare = decoded;
        // As arguments they are in lower case, however they were sent: so they can be named.
        let mut lower = std::mem::take(&mut self.values.spare);
        for (name, value) in request.headers.iter() {
            if view.takes_header(name) {
                lower.clear();
                lower.extend(name.iter().map(u8::to_ascii_lowercase));
                self.value(Collection::ArgsGet, Collection::ArgsGetNames, &lower, value);
            }
        }
        self.values.spare = lower;
    }

    /// A value without a name of its own.
    pub fn single(&mut self, part: Collection, value: &[u8]) {
        self.push(part, b"", value);
    }

    /// All that is known before the body.
    pub fn request(&mut self, request: &Request<'_>) {
        let Request {
            method,
            target,
            version,
            ..
        } = *request;
        self.line(method, target, version);
        self.single(Collection::RequestMethod, method);
        self.single(Collection::RequestProtocol, version);
        self.target(target);
        for (name, value) in request.headers.iter() {
            self.push(Collection::RequestHeaders, name, value);
            self.push(Collection::RequestHeadersNames, name, name);
            if name.eq_ignore_ascii_case(b"cookie") {
                self.cookies(value);
            }
        }
        self.address(Collection::RemoteAddr, Collection::RemotePort, request.peer);
        self.address(
            Collection::ServerAddr,
            Collection::ServerPort,
            request.local,
        );
        if let Some(host) = request.headers.first(b"host") {
            let end = host
                .iter()
                .rposition(|&byte| byte == b':')
                .unwrap_or(host.len());
            self.single(Collection::ServerName, &host[..end]);
        }
        self.single(Collection::UniqueId, request.id);
    }

    fn line(&mut self, method: &[u8], target: &[u8], version: &[u8]) {
        if !self.wants(Collection::RequestLine) {
            return;
        }
        self.values.push_with(Collection::RequestLine, b"", |out| {
            for (at, part) in [method, target, version].into_iter().enumerate() {
                if at > 0 && !part.is_empty() {
                    out.push(b' ');
                }
                out.extend_from_slice(part);
            }
        });
    }

    fn target(&mut self, target: &[u8]) {
        self.single(Collection::RequestUriRaw, target);
        let origin = origin_form(target);
        let end = origin
            .iter()
            .position(|&byte| byte == b'#')
            .unwrap_or(origin.len());
        let origin = &origin[..end];
        self.single(Collection::RequestUri, origin);
        let (path, query) = match memchr::memchr(b'?', origin) {
            Some(at) => (&origin[..at], &origin[at + 1..]),
            None => (origin, &origin[..0]),
        };
        let is_wanted =
            self.wants(Collection::RequestFilename) || self.wants(Collection::RequestBasename);
        if is_wanted {
            // Decoded once, as the rules expect it; the `+` of a path is no blank.
            let mut decoded = std::mem::take(&mut self.values.spare);
            decoded.clear();
            percent_decode(path, &mut decoded);
            self.single(Collection::RequestFilename, &decoded);
            let slashes = |byte: &u8| matches!(byte, b'/' | b'\\');
            let last = decoded.iter().rposition(slashes);
            let base = last.map_or(0, |last| last + 1);
            self.single(Collection::RequestBasename, &decoded[base..]);
            self.values.spare = decoded;
        }
        self.single(Collection::QueryString, query);
        self.arguments(query, Collection::ArgsGet, Collection::ArgsGetNames);
    }

    /// `a=1&b=2`
    pub fn arguments(&mut self, text: &[u8], part: Collection, names: Collection) {
        if !self.wants(part) && !self.wants(names) {
            return;
        }
        for pair in text.split(|&byte| byte == b'&') {
            if pair.is_empty() {
                continue;
            }
            let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let value = pair.get(equals + 1..).unwrap_or_default();
            if self.inner.is_some() {
                self.unpacked(part, names, &pair[..equals], value);
            } else {
                self.values.push_both(
                    part,
                    |out| decode(&pair[..equals], out),
                    |out| decode(value, out),
                );
                self.values.push_last_name(names);
            }
            if self.values.is_full() {
                return;
            }
        }
    }

    /// An argument and what is packed in it.
    fn unpacked(&mut self, part: Collection, names: Collection, name: &[u8], value: &[u8]) {
        let mut decoded = std::mem::take(&mut self.values.spare);
        decoded.clear();
        decode(name, &mut decoded);
        let middle = decoded.len();
        decode(value, &mut decoded);
        let (name, value) = decoded.split_at(middle);
        self.push(names, name, name);
        if self.is_graphql && name == b"query" {
            self.document(part, name, value);
        } else {
            self.value(part, names, name, value);
        }
        if self.wants(part) && memchr::memmem::find(value, b"%25").is_some() {
            // Rules decode once more on their own; what was encoded three times, here.
            let decode = |out: &mut Vec<u8>| percent_decode(value, out);
            self.values.push_with(part, name, decode);
        }
        self.values.spare = decoded;
    }

    /// `a=1; b=2`, as it stands: what a cookie holds is for the application to decode.
    fn cookies(&mut self, text: &[u8]) {
        for pair in text.split(|&byte| byte == b';') {
            let pair = pair.trim_ascii_start();
            if pair.is_empty() {
                continue;
            }
            let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let value = pair.get(equals + 1..).unwrap_or_default();
            self.cookie(&pair[..equals], value);
            self.push(
                Collection::RequestCookiesNames,
                &pair[..equals],
                &pair[..equals],
            );
        }
    }

    /// A cookie, and what is packed in it once it is unquoted and decoded.
    fn cookie(&mut self, name: &[u8], value: &[u8]) {
        let (part, names) = (Collection::RequestCookies, Collection::RequestCookiesNames);
        let unquoted = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        let bare = unquoted.unwrap_or(value);
        let is_escaped = memchr::memchr(b'%', bare).is_some();
        let is_packed = is_escaped || is_marked(bare) || body::may_be_packed(bare);
        if self.inner.is_none() || !is_packed {
            return self.push(part, name, value);
        }
        let mut decoded = std::mem::take(&mut self.values.spare);
        decoded.clear();
        percent_decode(bare, &mut decoded);
        if is_escaped {
            self.push(part, name, value);
        }
        let mut document = &decoded[..];
        // A signature stands before a mark for JSON, or alone.
        for mark in MARKS {
            document = document.strip_prefix(mark).unwrap_or(document);
        }
        self.value(part, names, name, document);
        self.values.spare = decoded;
    }

    fn address(&mut self, ip: Collection, port: Collection, socket: Option<SocketAddr>) {
        let Some(socket) = socket else { return };
        // Writing to a buffer cannot fail.
        if self.wants(ip) {
            self.values.push_with(ip, b"", |out| {
                let _ = write!(out, "{}", socket.ip().to_canonical());
            });
        }
        if self.wants(port) {
            self.values.push_with(port, b"", |out| {
                let _ = write!(out, "{}", socket.port());
            });
        }
    }

    /// What the rules are told about how the body is read.
    pub fn processor(&mut self, processor: Processor) {
        self.single(Collection::ReqbodyProcessor, processor.name().as_bytes());
    }

    pub fn response(&mut self, response: &Response<'_>) {
        let mut digits = itoa::Buffer::new();
        let status = digits.format(response.status);
        self.single(Collection::ResponseStatus, status.as_bytes());
        self.single(Collection::ResponseProtocol, response.version);
        for (name, value) in response.headers.iter() {
            if response.is_decoded && name.eq_ignore_ascii_case(b"content-encoding") {
                continue;
            }
            self.push(Collection::ResponseHeaders, name, value);
            self.push(Collection::ResponseHeadersNames, name, name);
            if name.eq_ignore_ascii_case(b"content-type") {
                self.single(Collection::ResponseContentType, value);
            }
        }
    }

    /// What rules see of the body of a response. `is_whole`: there is no more of it.
    pub fn response_body(&mut self, body: &[u8], is_whole: bool) {
        let mut digits = itoa::Buffer::new();
        let length = digits.format(body.len());
        self.single(Collection::ResponseContentLength, length.as_bytes());
        if !is_whole {
            self.single(Collection::OutboundDataError, b"1");
        }
        self.single(Collection::ResponseBody, body);
    }
}

fn decode(text: &[u8], out: &mut Vec<u8>) {
    if !Transformation::UrlDecode.apply(text, out) {
        out.extend_from_slice(text);
    }
}

fn is_marked(cookie: &[u8]) -> bool {
    MARKS.iter().any(|mark| cookie.starts_with(mark))
}

fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
        let byte = digit(at + 1).zip(digit(at + 2));
        let (byte, length) = byte.map_or((b'%', 1), |(high, low)| ((high << 4 | low) as u8, 3));
        out.push(byte);
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
}

/// `http://host/path` without scheme and host (RFC 9112 section 3.2.2); anything else as it is.
fn origin_form(target: &[u8]) -> &[u8] {
    let scheme = target
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let Some(rest) = target[scheme..].strip_prefix(b"://").filter(|_| scheme > 0) else {
        return target;
    };
    let path = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    path.map_or(&rest[rest.len()..], |path| &rest[path..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::waf::message::Headers;

    fn gathered(target: &str, headers: &[(&[u8], &[u8])]) -> Values {
        let mut values = Values::default();
        let mut gather = Gather {
            values: &mut values,
            used: u64::MAX,
            inner: None,
            is_graphql: false,
        };
        gather.request(&Request {
            method: b"GET",
            target: target.as_bytes(),
            version: b"HTTP/1.1",
            headers: Headers::Pairs(headers),
            peer: Some("[::ffff:192.0.2.1]:80".parse().unwrap()),
            local: None,
            id: b"1",
        });
        values
    }

    fn all(values: &Values, part: Collection) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ids = values.of(part).iter();
        let found = ids.map(|&id| values.at(id));
        found
            .map(|(_, name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn a_target_is_taken_apart() {
        let values = gathered("http://h:1/a/b.php?x=%41+b&y&&=z&x=2#f?", &[]);
        let first = |part| String::from_utf8_lossy(values.first(part, None).unwrap()).into_owned();
        assert_eq!(first(Collection::RequestUri), "/a/b.php?x=%41+b&y&&=z&x=2");
        assert_eq!(first(Collection::RequestFilename), "/a/b.php");
        assert_eq!(first(Collection::RequestBasename), "b.php");
        assert_eq!(first(Collection::RemoteAddr), "192.0.2.1");
        assert_eq!(
            first(Collection::RequestLine),
            "GET http://h:1/a/b.php?x=%41+b&y&&=z&x=2#f? HTTP/1.1"
        );
        let pairs = [("x", "A b"), ("y", ""), ("", "z"), ("x", "2")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(all(&values, Collection::ArgsGet), pairs);
        assert_eq!(all(&values, Collection::ArgsGetNames)[1].1, "y");
    }

    #[test]
    fn cookies_are_split_and_not_decoded() {
        let values = gathered("/", &[(b"Cookie", b"a=1;  b=%41=2;;c")]);
        let pairs = [("a", "1"), ("b", "%41=2"), ("c", "")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(all(&values, Collection::RequestCookies), pairs);
    }

    #[test]
    fn strange_targets_are_taken_as_they_are() {
        for (target, path) in [
            ("*", "*"),
            ("", ""),
            ("a:1", "a:1"),
            ("x://", ""),
            ("\\", "\\"),
        ] {
            let values = gathered(target, &[]);
            let found = values.first(Collection::RequestFilename, None);
            assert_eq!(found, Some(path.as_bytes()), "{target}");
        }
    }
}
