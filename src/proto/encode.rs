//! Heads as they leave: written from the table of the parsed head, never passed through raw.
//!
//! Each field is written from its name and value, so that nothing but them survives; what ends at this
//! hop, what only the gateway may write and the framing are left out and written anew, so the next
//! party sees exactly one framing whatever came in.

use super::body::Framing;
use super::head::{Field, RequestHead, ResponseHead};
use super::header::{Kind, SealedNames};
use super::target::Path;

/// Writes the request head for an upstream: origin-form of the canonical path, the kept fields,
/// the lines of `added` (each `Name: value\r\n`), one framing.
///
/// `sealed` are the names of identity fields: a client's are dropped in every alias, and only
/// `added` may bring them back.
pub fn request(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: &RequestHead,
    path: &Path,
    sealed: &SealedNames,
    added: &[u8],
) {
    out.extend_from_slice(head.method(bytes));
    out.push(b' ');
    out.extend_from_slice(path.wire().as_bytes());
    if let Some(query) = head.query {
        out.push(b'?');
        out.extend_from_slice(query.of(bytes));
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    kept(out, bytes, &head.fields, |field| {
        is_end_to_end(field) && !sealed.cover(field.name.of(bytes))
    });
    out.extend_from_slice(added);
    finish(out, head.framing);
}

/// Writes the response head for a client. `added` as in [`request`]; `framing` is what the client
/// is told, which differs from the upstream's where an HTTP/1.0 client cannot read chunks.
pub fn response(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: &ResponseHead,
    framing: Framing,
    added: &[u8],
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(head.status).as_bytes());
    // RFC 9112 section 4: the reason phrase may be empty, the space before it may not.
    out.extend_from_slice(b" \r\n");
    // A bodiless answer (to HEAD, or 304) still tells the length that a GET would have had.
    let describes = framing == Framing::None && head.status != 204 && head.status >= 200;
    kept(out, bytes, &head.fields, |field| {
        is_end_to_end(field) || (describes && field.kind == Kind::ContentLength)
    });
    out.extend_from_slice(added);
    finish(out, framing);
}

fn is_end_to_end(field: &Field) -> bool {
    !field.hop_by_hop && field.kind != Kind::ContentLength
}

/// Writes the fields that `keep` accepts, in their order.
fn kept(out: &mut Vec<u8>, bytes: &[u8], fields: &[Field], keep: impl Fn(&Field) -> bool) {
    for field in fields.iter().filter(|field| keep(field)) {
        out.extend_from_slice(field.name.of(bytes));
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value.of(bytes));
        out.extend_from_slice(b"\r\n");
    }
}

/// The one framing field and the end of the head.
fn finish(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn forward(text: &str, added: &str) -> String {
        let bytes = text.as_bytes();
        let mut head = RequestHead::default();
        assert_eq!(head.read(bytes), Ok(true));
        let mut path = Path::default();
        path.read(head.path.of(bytes)).unwrap();
        let sealed = SealedNames::new(["X-User-ID"]);
        let mut out = Vec::new();
        request(&mut out, bytes, &head, &path, &sealed, added.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_are_written_anew() {
        let wire = forward(
            "POST http://h/%61?b=c HTTP/1.1\r\nHost: h\r\nX-A:  1 \r\nConnection: x-b\r\nX-B: 2\r\n\
             x_user.id: root\r\nContent-Length: 3\r\nTE: trailers\r\n\r\n",
            "X-User-ID: alice\r\n",
        );
        assert_eq!(
            wire,
            "POST /a?b=c HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-User-ID: alice\r\nContent-Length: 3\r\n\r\n"
        );
    }

    #[test]
    fn no_alias_of_a_sealed_name_survives() {
        for alias in ["X-User-ID", "x-user-id", "X_USER_ID", "X.User-Id"] {
            let wire = forward(
                &format!("GET / HTTP/1.1\r\nHost: h\r\n{alias}: root\r\n{alias}: root\r\n\r\n"),
                "",
            );
            assert_eq!(wire, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "{alias}");
        }
    }

    #[test]
    fn responses_keep_the_described_length_of_a_bodiless_answer() {
        let write = |text: &str, to_head: bool| {
            let mut head = ResponseHead::default();
            assert_eq!(head.read(text.as_bytes(), to_head), Ok(true));
            let mut out = Vec::new();
            response(&mut out, text.as_bytes(), &head, head.framing, b"");
            String::from_utf8(out).unwrap()
        };
        let text = "HTTP/1.0 200 Fine\r\nContent-Length: 7\r\nKeep-Alive: 5\r\nX: y\r\n\r\n";
        let expected = "HTTP/1.1 200 \r\nContent-Length: 7\r\nX: y\r\n\r\n";
        assert_eq!(write(text, true), expected);
        let expected = "HTTP/1.1 200 \r\nX: y\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(write(text, false), expected);
        assert_eq!(
            write("HTTP/1.1 204 No\r\nContent-Length: 7\r\n\r\n", false),
            "HTTP/1.1 204 \r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same_request(
            path in "(/[a-z0-9~.-]{1,5}x){1,4}",
            fields in prop::collection::vec(("[A-Z][a-z]{1,8}-[a-z]{1,4}", "[ -~]{0,20}"), 0..8),
            length in any::<u32>(),
        ) {
            let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let text = format!("PUT {path} HTTP/1.1\r\nHost: h\r\n{lines}Content-Length: {length}\r\n\r\n");
            let wire = forward(&text, "");
            let (mut before, mut after) = (RequestHead::default(), RequestHead::default());
            prop_assert_eq!(before.read(text.as_bytes()), Ok(true));
            prop_assert_eq!(after.read(wire.as_bytes()), Ok(true));
            prop_assert_eq!(before.framing, after.framing);
            prop_assert_eq!(before.path.of(text.as_bytes()), after.path.of(wire.as_bytes()));
            let values = |head: &RequestHead, bytes: &[u8]| -> Vec<Vec<u8>> {
                let kept = head.fields.iter().filter(|field| !field.hop_by_hop);
                kept.map(|field| [field.name.of(bytes), field.value.of(bytes)].join(&b':')).collect()
            };
            prop_assert_eq!(values(&before, text.as_bytes()), values(&after, wire.as_bytes()));
        }
    }
}
