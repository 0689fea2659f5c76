//! The opening handshake of WebSocket (RFC 6455 section 4), as both sides must speak it before a
//! byte is passed on.

pub mod frames;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Error;
use super::body::Framing;
use super::head::{Field, RequestHead, ResponseHead, Version, lines};
use super::header::Kind;

/// What a server appends to the key of a client (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The lines that both heads carry.
pub const LINES: &[u8] = b"Connection: Upgrade\r\nUpgrade: websocket\r\n";

/// The answer that a server must give to the key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept([u8; 28]);

/// The handshake of a request; none if it asks for no WebSocket, an error if it asks for it wrongly.
pub fn asked(head: &RequestHead, bytes: &[u8]) -> Result<Option<Accept>, Error> {
    if !only(&head.fields, bytes, b"upgrade").is_some_and(is_websocket) {
        return Ok(None);
    }
    let key = only(&head.fields, bytes, b"sec-websocket-key");
    let is_whole = head.method(bytes) == b"GET"
        && head.version == Version::Http11
        && head.framing == Framing::None
        && names_upgrade(&head.fields, bytes)
        && only(&head.fields, bytes, b"sec-websocket-version") == Some(b"13");
    match key.filter(|key| is_whole && is_key(key)) {
        Some(key) => Ok(Some(Accept::of(key))),
        None => Err(Error::MalformedUpgrade),
    }
}

/// Whether a `101` is the answer to that handshake and to no other.
pub fn is_accepted(head: &ResponseHead, bytes: &[u8], accept: Accept) -> bool {
    head.status == 101
        && only(&head.fields, bytes, b"upgrade").is_some_and(is_websocket)
        && names_upgrade(&head.fields, bytes)
        && only(&head.fields, bytes, b"sec-websocket-accept") == Some(&accept.0)
}

/// Whether both sides have agreed on an extension, which may give reserved bits a meaning.
pub fn is_extended(head: &ResponseHead, bytes: &[u8]) -> bool {
    let mut said = lines(&head.fields, bytes, b"sec-websocket-extensions");
    said.next().is_some()
}

/// Whether a field belongs to the handshake (RFC 6455 section 11.3).
pub fn is_own(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"sec-websocket-";
    let prefix = name.get(..PREFIX.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
}

impl Accept {
    fn of(key: &[u8]) -> Accept {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
        let mut text = [0; 28];
        // Twenty bytes are 28 letters.
        let _ = STANDARD.encode_slice(hash.as_ref(), &mut text);
        Accept(text)
    }
}

fn is_websocket(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"websocket")
}

/// Sixteen bytes in base64.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24 && STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// The value of a field that stands there once.
fn only<'a>(fields: &[Field], bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut found = lines(fields, bytes, name);
    let first = found.next()?;
    found.next().is_none().then(|| first.value.of(bytes))
}

fn names_upgrade(fields: &[Field], bytes: &[u8]) -> bool {
    let mut connection = fields.iter().filter(|field| field.kind == Kind::Connection);
    connection.any(|field| {
        let mut options = field.value.of(bytes).split(|&byte| byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(lines: &str) -> Result<Option<Accept>, Error> {
        let request = format!("{lines}\r\n\r\n");
        let mut head = RequestHead::default();
        assert_eq!(head.read(request.as_bytes()), Ok(true), "{lines}");
        asked(&head, request.as_bytes())
    }

    const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13";

    #[test]
    fn the_example_of_the_specification() {
        let accept = ask(GOOD).unwrap().unwrap();
        // RFC 6455 section 1.3.
        assert_eq!(&accept.0, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let answer = |lines: &str| {
            let response = format!("{lines}\r\n\r\n");
            let mut head = ResponseHead::default();
            assert_eq!(head.read(response.as_bytes(), false), Ok(true));
            is_accepted(&head, response.as_bytes(), accept)
        };
        let good = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert!(answer(good));
        for (from, to) in [
            ("s3pP", "S3pP"),
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("Connection: Upgrade\r\n", ""),
            ("Sec-WebSocket-Accept", "Sec-WebSocket-Akzept"),
        ] {
            assert!(!answer(&good.replace(from, to)), "{to}");
        }
    }

    #[test]
    fn what_is_no_whole_handshake_is_an_error_and_what_is_none_is_none() {
        for (from, to) in [
            ("GET", "POST"),
            ("Version: 13", "Version: 8"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="),
            ("keep-alive, Upgrade", "keep-alive"),
            ("Sec-WebSocket-Key", "Sec-WebSocket-Quay"),
            ("Version: 13", "Version: 13\r\nContent-Length: 1"),
            ("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13"),
        ] {
            assert_eq!(
                ask(&GOOD.replace(from, to)),
                Err(Error::MalformedUpgrade),
                "{to}"
            );
        }
        assert_eq!(ask(&GOOD.replace("WebSocket\r\n", "foo\r\n")), Ok(None));
        assert_eq!(ask("GET / HTTP/1.1\r\nHost: h"), Ok(None));
        let two = GOOD.replace("Upgrade: WebSocket", "Upgrade: websocket\r\nUpgrade: foo");
        assert_eq!(ask(&two), Ok(None));
    }
}
