//! Request and response heads: one buffer, an offset table (RFC 9112 sections 2 to 6).
//!
//! `httparse` finds the tokens; the strict layer here decides what is a message. A head either
//! has exactly one meaning or is refused. The table is reused for all heads of a connection.

use super::body::{Framing, content_length};
use super::header::{Kind, is_framing_alias, list_members};
use super::{Error, limits, target};

/// Where something stands in the head's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u16,
    end: u16,
}

impl Span {
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[usize::from(self.start)..usize::from(self.end)]
    }

    pub fn range(self) -> std::ops::Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    /// `part` must lie in `whole`, which must not be longer than [`limits::HEAD`].
    fn locate(whole: &[u8], part: &[u8]) -> Span {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        debug_assert!(start + part.len() <= whole.len());
        Span {
            start: start as u16,
            end: (start + part.len()) as u16,
        }
    }
}

/// One field line.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub kind: Kind,
    /// Whether the field ends at this hop: by its kind, or because `Connection` names it.
    pub hop_by_hop: bool,
    pub name: Span,
    pub value: Span,
}

/// The lines of a field by name, in their order (RFC 9110 section 5.3).
pub fn lines<'a>(
    fields: &'a [Field],
    bytes: &'a [u8],
    name: &'a [u8],
) -> impl DoubleEndedIterator<Item = &'a Field> {
    let is_named = move |field: &&Field| field.name.of(bytes).eq_ignore_ascii_case(name);
    fields.iter().filter(is_named)
}

/// The two versions that are spoken here; their order is theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    #[default]
    Http10,
    Http11,
}

/// The table of a request head, over bytes that the caller keeps.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub length: usize,
    pub method: Span,
    pub version: Version,
    /// Origin-form path, without the query.
    pub path: Span,
    pub query: Option<Span>,
    pub host: Span,
    pub framing: Framing,
    pub keep_alive: bool,
    pub expects_continue: bool,
    pub fields: Vec<Field>,
}

/// The table of a response head.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub length: usize,
    pub version: Version,
    pub status: u16,
    pub framing: Framing,
    pub keep_alive: bool,
    pub fields: Vec<Field>,
}

impl Default for RequestHead {
    fn default() -> RequestHead {
        RequestHead {
            length: 0,
            method: Span::default(),
            version: Version::default(),
            path: Span::default(),
            query: None,
            host: Span::default(),
            framing: Framing::None,
            keep_alive: false,
            expects_continue: false,
            fields: Vec::with_capacity(limits::FIELDS),
        }
    }
}

impl Default for ResponseHead {
    fn default() -> ResponseHead {
        ResponseHead {
            length: 0,
            version: Version::default(),
            status: 0,
            framing: Framing::None,
            keep_alive: false,
            fields: Vec::with_capacity(limits::FIELDS),
        }
    }
}

impl RequestHead {
    /// Reads a head from the front of `bytes`. `false`: it is not complete yet. What may already
    /// be refused is refused at once, so that a slow sender cannot prolong it.
    pub fn read(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        let Some(head) = complete(bytes)? else {
            return Ok(false);
        };
        if memchr::memchr(b'\r', head).is_some_and(|end| end > limits::REQUEST_LINE) {
            return Err(Error::RequestLineTooLong);
        }
        let mut slots = [const { std::mem::MaybeUninit::uninit() }; limits::FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, &mut slots) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => self.length = length,
            Ok(_) => return Err(Error::MalformedRequestLine),
            Err(error) => return Err(refine(error, Error::MalformedRequestLine)),
        }
        let (Some(method), Some(raw), Some(version)) = (parsed.method, parsed.path, parsed.version)
        else {
            return Err(Error::MalformedRequestLine);
        };
        self.version = version_of(version);
        self.method = Span::locate(head, method.as_bytes());
        table(head, parsed.headers, &mut self.fields)?;
        self.locate_target(head, raw.as_bytes())?;
        self.settle_connection(head)?;
        Ok(true)
    }

    pub fn method<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.method.of(bytes)
    }

    /// The value of the only field of this kind; a repeated one is nobody's.
    pub fn only(&self, kind: Kind) -> Result<Option<Field>, Error> {
        only(&self.fields, kind).map_err(|_| Error::MalformedField)
    }

    /// RFC 9112 section 3.2: origin-form, or absolute-form that agrees with the one `Host`.
    fn locate_target(&mut self, head: &[u8], raw: &[u8]) -> Result<(), Error> {
        let field = only(&self.fields, Kind::Host).map_err(|_| Error::RepeatedHost)?;
        let host = match (field, self.version) {
            (Some(field), _) => field.value,
            (None, Version::Http11) => return Err(Error::MissingHost),
            (None, Version::Http10) => Span::default(),
        };
        if field.is_some() {
            check_host(host.of(head))?;
        }
        let origin = match raw.first() {
            Some(b'/') => raw,
            _ => {
                let (authority, path) = absolute(raw)?;
                check_host(authority)?;
                if !authority.eq_ignore_ascii_case(host.of(head)) {
                    return Err(Error::HostDisagrees);
                }
                path
            }
        };
        let (path, query) = target::split(origin)?;
        self.host = host;
        self.path = Span::locate(head, path);
        self.query = query.map(|query| Span::locate(head, query));
        Ok(())
    }

    /// Framing, persistence and expectation.
    fn settle_connection(&mut self, head: &[u8]) -> Result<(), Error> {
        self.framing = match framing(head, &self.fields, self.version)? {
            // RFC 9112 section 6.3: a request without either field has no body.
            Framing::UntilClose => Framing::None,
            told => told,
        };
        self.keep_alive = keep_alive(head, &mut self.fields, self.version);
        if self.fields.iter().any(|field| asks_for_http2(head, field)) {
            return Err(Error::UpgradeToHttp2);
        }
        let expectation =
            only(&self.fields, Kind::Expect).map_err(|_| Error::UnknownExpectation)?;
        self.expects_continue = match expectation {
            None => false,
            Some(field) if field.value.of(head).eq_ignore_ascii_case(b"100-continue") => {
                // RFC 9110 section 10.1.1: an HTTP/1.0 client does not wait for it.
                self.version == Version::Http11
            }
            Some(_) => return Err(Error::UnknownExpectation),
        };
        Ok(())
    }
}

impl ResponseHead {
    /// Reads the head of a response to a request of method `HEAD` or another. `false`: it is not
    /// complete yet.
    pub fn read(&mut self, bytes: &[u8], to_head: bool) -> Result<bool, Error> {
        let Some(head) = complete(bytes)? else {
            return Ok(false);
        };
        let mut slots = [const { std::mem::MaybeUninit::uninit() }; limits::FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            head,
            &mut slots,
        );
        match outcome {
            Ok(httparse::Status::Complete(length)) if length == head.len() => self.length = length,
            Ok(_) => return Err(Error::MalformedStatusLine),
            Err(error) => return Err(refine(error, Error::MalformedStatusLine)),
        }
        let (Some(status), Some(version)) = (parsed.code, parsed.version) else {
            return Err(Error::MalformedStatusLine);
        };
        if !(100..600).contains(&status) {
            return Err(Error::MalformedStatusLine);
        }
        self.status = status;
        self.version = version_of(version);
        table(head, parsed.headers, &mut self.fields)?;
        let told = framing(head, &self.fields, self.version)?;
        // RFC 9112 section 6.3, rules 1 and 2: these never have a body, whatever the fields say.
        self.framing = match status {
            100..=199 | 204 | 304 => Framing::None,
            _ if to_head => Framing::None,
            _ => told,
        };
        self.keep_alive =
            keep_alive(head, &mut self.fields, self.version) && self.framing != Framing::UntilClose;
        Ok(true)
    }
}

/// The complete head at the front of `bytes`, with every line ended by CRLF and nothing else.
///
/// `httparse` takes a bare LF for a line end; two readers of such a head may see two heads.
fn complete(bytes: &[u8]) -> Result<Option<&[u8]>, Error> {
    let window = &bytes[..bytes.len().min(limits::HEAD)];
    let mut previous_end = 0;
    for at in memchr::memchr2_iter(b'\r', b'\n', window) {
        match window[at] {
            b'\n' if at == 0 || window[at - 1] != b'\r' => return Err(Error::BareLineFeed),
            b'\n' if at + 1 - previous_end == 2 => return Ok(Some(&window[..=at])),
            b'\n' => previous_end = at + 1,
            _ if window.get(at + 1).is_some_and(|&next| next != b'\n') => {
                return Err(Error::BareCarriageReturn);
            }
            _ => {}
        }
    }
    if bytes.len() >= limits::HEAD {
        return Err(Error::HeadTooLarge);
    }
    Ok(None)
}

fn version_of(minor: u8) -> Version {
    match minor {
        0 => Version::Http10,
        _ => Version::Http11,
    }
}

fn refine(error: httparse::Error, otherwise: Error) -> Error {
    match error {
        httparse::Error::TooManyHeaders => Error::TooManyFields,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Error::MalformedField,
        httparse::Error::Version => Error::UnsupportedVersion,
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => otherwise,
    }
}

fn table(
    head: &[u8],
    parsed: &[httparse::Header<'_>],
    fields: &mut Vec<Field>,
) -> Result<(), Error> {
    fields.clear();
    for header in parsed {
        let name = header.name.as_bytes();
        if name.is_empty() || name.len() > limits::FIELD_NAME {
            return Err(Error::MalformedField);
        }
        let kind = Kind::of(name);
        if kind == Kind::Other && is_framing_alias(name) {
            return Err(Error::MalformedField);
        }
        fields.push(Field {
            kind,
            hop_by_hop: kind.is_hop_by_hop(),
            name: Span::locate(head, name),
            // An empty value may point outside the head; it has no place to remember.
            value: match header.value {
                [] => Span::default(),
                value => Span::locate(head, value.trim_ascii()),
            },
        });
    }
    Ok(())
}

struct Repeated;

fn only(fields: &[Field], kind: Kind) -> Result<Option<Field>, Repeated> {
    let mut found = fields.iter().filter(|field| field.kind == kind);
    match (found.next(), found.next()) {
        (first, None) => Ok(first.copied()),
        _ => Err(Repeated),
    }
}

/// Exactly one framing (RFC 9112 section 6.3); anything that could be two is refused.
fn framing(head: &[u8], fields: &[Field], version: Version) -> Result<Framing, Error> {
    let length = only(fields, Kind::ContentLength).map_err(|_| Error::RepeatedLength)?;
    let coding = only(fields, Kind::TransferEncoding).map_err(|_| Error::UnknownTransferCoding)?;
    match (coding, length) {
        (Some(_), Some(_)) => Err(Error::LengthWithTransferCoding),
        (Some(_), None) if version == Version::Http10 => Err(Error::TransferCodingInHttp10),
        (Some(field), None) if field.value.of(head).eq_ignore_ascii_case(b"chunked") => {
            Ok(Framing::Chunked)
        }
        (Some(_), None) => Err(Error::UnknownTransferCoding),
        (None, Some(field)) => content_length(field.value.of(head)).map(Framing::Length),
        (None, None) => Ok(Framing::UntilClose),
    }
}

/// Marks the fields that `Connection` names and tells whether the connection persists
/// (RFC 9110 section 7.6.1, RFC 9112 section 9.3).
///
/// A client must not be able to have `Host`, the framing or its credential removed by naming it.
fn keep_alive(head: &[u8], fields: &mut [Field], version: Version) -> bool {
    let (mut close, mut keep) = (false, false);
    for at in 0..fields.len() {
        if fields[at].kind != Kind::Connection {
            continue;
        }
        for option in list_members(fields[at].value.of(head)) {
            close |= option.eq_ignore_ascii_case(b"close");
            keep |= option.eq_ignore_ascii_case(b"keep-alive");
            for field in fields.iter_mut() {
                let named = field.name.of(head).eq_ignore_ascii_case(option);
                field.hop_by_hop |= named && may_be_named(field.kind);
            }
        }
    }
    !close && (version == Version::Http11 || keep)
}

/// A wish to go on in HTTP/2 over clear text, which RFC 9113 section 3.1 has given up. RFC 9110
/// section 7.8 would let it be passed over; but who sends it to a gateway hopes that somebody
/// behind grants it, and that what follows then passes unread.
fn asks_for_http2(head: &[u8], field: &Field) -> bool {
    match field.kind {
        Kind::Http2Settings => true,
        Kind::Upgrade => list_members(field.value.of(head)).any(|protocol| {
            let name = protocol.split(|&byte| byte == b'/').next();
            let name = name.unwrap_or_default().trim_ascii();
            // With the drafts: `h2c-14`.
            let is_h2 = name
                .get(..2)
                .is_some_and(|h2| h2.eq_ignore_ascii_case(b"h2"));
            is_h2 || name.eq_ignore_ascii_case(b"http")
        }),
        _ => false,
    }
}

fn may_be_named(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Host | Kind::ContentLength | Kind::ContentType | Kind::Authorization
    )
}

/// `http://authority/path` into its two parts; other forms have no resource here.
fn absolute(raw: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let rest = [&b"http://"[..], b"https://"]
        .iter()
        .find(|scheme| {
            raw.get(..scheme.len())
                .is_some_and(|front| front.eq_ignore_ascii_case(scheme))
        })
        .map(|scheme| &raw[scheme.len()..])
        .ok_or(Error::UnsupportedTarget)?;
    let slash = memchr::memchr(b'/', rest).ok_or(Error::UnsupportedTarget)?;
    Ok(rest.split_at(slash))
}

/// `uri-host [ ":" port ]` (RFC 9110 section 7.2): a name, an IPv4 address or `[IPv6]`.
fn check_host(host: &[u8]) -> Result<(), Error> {
    let well_formed = match host {
        [] => false,
        [b'[', rest @ ..] => match memchr::memchr(b']', rest) {
            None => false,
            Some(end) => {
                let address = std::str::from_utf8(&rest[..end]);
                address.is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
                    && is_port(&rest[end + 1..])
            }
        },
        _ => {
            let end = memchr::memchr(b':', host).unwrap_or(host.len());
            let (name, port) = host.split_at(end);
            (1..=253).contains(&name.len())
                && name
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
                && is_port(port)
        }
    };
    if well_formed {
        Ok(())
    } else {
        Err(Error::MalformedHost)
    }
}

/// Empty, or a colon and a port number.
fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => {
            (1..=5).contains(&digits.len())
                && digits.iter().all(u8::is_ascii_digit)
                && digits
                    .iter()
                    .fold(0_u32, |port, digit| port * 10 + u32::from(digit - b'0'))
                    <= 65_535
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(text: &str) -> Result<(RequestHead, Vec<u8>), Error> {
        let mut head = RequestHead::default();
        match head.read(text.as_bytes())? {
            true => Ok((head, text.as_bytes().to_vec())),
            false => panic!("incomplete: {text:?}"),
        }
    }

    fn refused(text: &str, error: Error) {
        assert_eq!(request(text).map(|_| ()), Err(error), "{text:?}");
    }

    fn with(fields: &str) -> String {
        format!("POST /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
    }

    #[test]
    fn a_request_is_tabled() {
        let (head, bytes) =
            request("GET /a/b?c=d HTTP/1.1\r\nHost: api.example:8080\r\nX: \t y z \r\n\r\nmore")
                .unwrap();
        assert_eq!(head.method(&bytes), b"GET");
        assert_eq!(head.path.of(&bytes), b"/a/b");
        assert_eq!(head.query.unwrap().of(&bytes), b"c=d");
        assert_eq!(head.host.of(&bytes), b"api.example:8080");
        assert_eq!(head.fields[1].value.of(&bytes), b"y z");
        assert_eq!(head.framing, Framing::None);
        assert_eq!(&bytes[head.length..], b"more");
        assert!(head.keep_alive);
    }

    #[test]
    fn every_prefix_is_incomplete_and_never_refused() {
        let whole = with("Content-Length: 3\r\nConnection: close\r\n");
        for end in 0..whole.len() {
            let outcome = RequestHead::default().read(&whole.as_bytes()[..end]);
            assert_eq!(outcome, Ok(false), "{end}");
        }
    }

    #[test]
    fn line_ends_are_crlf() {
        refused("GET / HTTP/1.1\nHost: h\r\n\r\n", Error::BareLineFeed);
        refused("GET / HTTP/1.1\r\nHost: h\n\n", Error::BareLineFeed);
        refused(
            "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
            Error::BareCarriageReturn,
        );
        refused("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", Error::BareLineFeed);
        refused(
            "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
            Error::BareCarriageReturn,
        );
    }

    #[test]
    fn field_lines_are_strict() {
        for fields in [
            "Content-Length : 3\r\n",
            "X: a\r\n folded\r\n",
            " X: a\r\n",
            ": empty\r\n",
            "X\r\n",
            "X: a\0b\r\n",
            "X\u{fc}: a\r\n",
            "X Y: a\r\n",
        ] {
            refused(&with(fields), Error::MalformedField);
        }
        let name = "n".repeat(limits::FIELD_NAME);
        assert!(request(&with(&format!("{name}: v\r\n"))).is_ok());
        refused(&with(&format!("{name}n: v\r\n")), Error::MalformedField);
    }

    #[test]
    fn one_framing_or_none() {
        let framing = |fields: &str| request(&with(fields)).map(|(head, _)| head.framing);
        assert_eq!(framing("content-length: 3\r\n"), Ok(Framing::Length(3)));
        assert_eq!(
            framing("Transfer-Encoding: Chunked\r\n"),
            Ok(Framing::Chunked)
        );
        for (fields, error) in [
            (
                "Content-Length: 3\r\nContent-Length: 3\r\n",
                Error::RepeatedLength,
            ),
            ("Content-Length: 3, 3\r\n", Error::MalformedLength),
            ("Content-Length:\r\n", Error::MalformedLength),
            ("Content-Length: +3\r\n", Error::MalformedLength),
            (
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                Error::LengthWithTransferCoding,
            ),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                Error::UnknownTransferCoding,
            ),
            (
                "Transfer-Encoding: chunked, chunked\r\n",
                Error::UnknownTransferCoding,
            ),
            (
                "Transfer-Encoding: xchunked\r\n",
                Error::UnknownTransferCoding,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Error::UnknownTransferCoding,
            ),
            ("Transfer-Encoding:\x0bchunked\r\n", Error::MalformedField),
        ] {
            assert_eq!(framing(fields), Err(error), "{fields:?}");
        }
        refused(
            "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            Error::TransferCodingInHttp10,
        );
    }

    #[test]
    fn exactly_one_well_formed_host() {
        refused("GET / HTTP/1.1\r\n\r\n", Error::MissingHost);
        refused(
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            Error::RepeatedHost,
        );
        for host in [
            "", "a b", "a,b", "a/b", "u@a", "a:b", "a:", "a:65536", "[::1", "[zz]", "[::1]x",
        ] {
            refused(
                &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                Error::MalformedHost,
            );
        }
        for host in ["a", "a:65535", "127.0.0.1:80", "[::1]", "[::1]:8080"] {
            assert!(
                request(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).is_ok(),
                "{host}"
            );
        }
        assert!(request("GET / HTTP/1.0\r\n\r\n").is_ok());
    }

    #[test]
    fn absolute_form_must_agree_with_host() {
        let (head, bytes) = request("GET http://H/a?b HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!(head.path.of(&bytes), b"/a");
        refused(
            "GET http://other/a HTTP/1.1\r\nHost: h\r\n\r\n",
            Error::HostDisagrees,
        );
        refused(
            "GET http://u@h/a HTTP/1.1\r\nHost: h\r\n\r\n",
            Error::MalformedHost,
        );
        refused(
            "GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n",
            Error::UnsupportedTarget,
        );
        refused(
            "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
            Error::UnsupportedTarget,
        );
        refused(
            "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
            Error::UnsupportedTarget,
        );
    }

    #[test]
    fn versions_other_than_ours_are_refused() {
        refused(
            "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
            Error::UnsupportedVersion,
        );
        refused("GET /\r\nHost: h\r\n\r\n", Error::MalformedRequestLine);
        refused(
            "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
            Error::MalformedRequestLine,
        );
        refused(
            "G=T / HTTP/1.1\r\nHost: h\r\n\r\n",
            Error::MalformedRequestLine,
        );
    }

    #[test]
    fn connection_names_fields_but_never_a_security_field() {
        let (head, _) = request(&with(
            "Connection: close, X-A, content-length, authorization\r\nx-a: 1\r\nAuthorization: t\r\nContent-Length: 0\r\nTE: trailers\r\n",
        ))
        .unwrap();
        let ends: Vec<bool> = head.fields.iter().map(|field| field.hop_by_hop).collect();
        assert_eq!(ends, [false, true, true, false, false, true]);
        assert!(!head.keep_alive);
    }

    #[test]
    fn persistence_follows_the_version() {
        let keeps = |text: &str| request(text).unwrap().0.keep_alive;
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert!(!keeps(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n"
        ));
    }

    #[test]
    fn nobody_goes_on_in_http_2() {
        for fields in [
            "Upgrade: h2c\r\n",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: H2C\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            "upgrade: websocket , h2c\r\n",
            "Upgrade: websocket\r\nUpgrade: h2c-14\r\n",
            "Upgrade: h2\r\n",
            "Upgrade: HTTP/2.0\r\n",
            "Upgrade: ,h2c/1;x\r\n",
            "http2-settings:\r\n",
        ] {
            refused(&with(fields), Error::UpgradeToHttp2);
        }
        for fields in [
            "Upgrade: websocket\r\n",
            "Upgrade: TLS/1.2, x2c\r\n",
            "Upgrade: h\r\n",
            "Content-Length: 0\r\n",
            "X-HTTP2-Settings: h2c\r\n",
        ] {
            assert!(request(&with(fields)).is_ok(), "{fields}");
        }
    }

    #[test]
    fn expectations() {
        assert!(
            request(&with("Expect: 100-Continue\r\n"))
                .unwrap()
                .0
                .expects_continue
        );
        refused(
            &with("Expect: 100-continue, x\r\n"),
            Error::UnknownExpectation,
        );
        refused(
            &with("Expect: a\r\nExpect: 100-continue\r\n"),
            Error::UnknownExpectation,
        );
    }

    #[test]
    fn heads_are_bounded() {
        let line = |length: usize| {
            let path = "a".repeat(length - "GET / HTTP/1.1".len());
            format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n")
        };
        assert!(request(&line(limits::REQUEST_LINE)).is_ok());
        refused(&line(limits::REQUEST_LINE + 1), Error::RequestLineTooLong);

        let fields = |count: usize| with(&"x: y\r\n".repeat(count - 1));
        assert!(request(&fields(limits::FIELDS)).is_ok());
        refused(&fields(limits::FIELDS + 1), Error::TooManyFields);

        let endless = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(limits::HEAD));
        refused(&endless, Error::HeadTooLarge);
    }

    #[test]
    fn responses_know_when_there_is_no_body() {
        let read = |text: &str, to_head: bool| {
            let mut head = ResponseHead::default();
            head.read(text.as_bytes(), to_head).map(|complete| {
                assert!(complete);
                (head.status, head.framing, head.keep_alive)
            })
        };
        let length = "Content-Length: 5\r\n\r\n";
        let ok = format!("HTTP/1.1 200 OK\r\n{length}");
        assert_eq!(read(&ok, false), Ok((200, Framing::Length(5), true)));
        assert_eq!(read(&ok, true), Ok((200, Framing::None, true)));
        let unchanged = format!("HTTP/1.1 304 Not Modified\r\n{length}");
        assert_eq!(read(&unchanged, false), Ok((304, Framing::None, true)));
        let open = "HTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(read(open, false), Ok((200, Framing::UntilClose, false)));
        assert_eq!(
            read(
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                false
            ),
            Err(Error::LengthWithTransferCoding)
        );
        assert_eq!(
            read("HTTP/1.1 999 X\r\n\r\n", false),
            Err(Error::MalformedStatusLine)
        );
        for (text, error) in [
            ("HTTP/1.1 2x0 OK\r\n\r\n", Error::MalformedStatusLine),
            ("HTTP/3.0 200 OK\r\n\r\n", Error::UnsupportedVersion),
            ("garbage\r\n\r\n", Error::UnsupportedVersion),
        ] {
            assert_eq!(read(text, false), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = RequestHead::default().read(&bytes);
            let _ = ResponseHead::default().read(&bytes, false);
        }

        #[test]
        fn any_field_soup_is_read_or_refused(soup in "[A-Za-z0-9:,; \t\r\n\\[\\]%#?/-]{0,120}") {
            let text = format!("GET /a HTTP/1.1\r\nHost: h\r\n{soup}\r\n\r\n");
            let _ = RequestHead::default().read(text.as_bytes());
        }
    }
}
