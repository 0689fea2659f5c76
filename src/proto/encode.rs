//! Heads as they leave: written from the table of the parsed head, never passed through raw.
//!
//! Each field is written from its name and value, so that nothing but them survives; what ends at this
//! hop, what only the gateway may write and the framing are left out and written anew, so the next
//! party sees exactly one framing whatever came in.

use super::body::Framing;
use super::head::{Field, RequestHead, ResponseHead};
use super::header::{self, Kind, SealedNames};
use super::target::Path;

const DIGESTS: [&str; 4] = ["Content-Digest", "Repr-Digest", "Digest", "Content-MD5"];
/// Whether a pair of the query is sent on.
pub type Keeps<'a> = dyn Fn(&[u8]) -> bool + 'a;

/// A request on its way to a backend.
#[derive(Clone, Copy)]
pub struct Forwarded<'a> {
    pub head: &'a RequestHead,
    /// The bytes that `head` points into.
    pub bytes: &'a [u8],
    pub path: &'a Path,
    /// Names that only the gateway writes: a client's are dropped in every alias.
    pub sealed: &'a SealedNames,
    /// Whether a trusted proxy has sent it, whose word on the way is taken.
    pub is_told: bool,
    /// For an HTTP/1.0 client that names no host; RFC 9112 section 3.2 asks for one here.
    pub default_host: &'a str,
    /// Whether the trace goes on, so that its `tracestate` still belongs to it.
    pub keeps_tracestate: bool,
    /// A pair of the query that the client left out, encoded.
    pub added_pair: Option<&'a [u8]>,
    /// The body is not the one that came: what describes its bytes would be wrong.
    pub is_rewritten: bool,
    /// Which pairs of the query are sent on; none: all, byte by byte.
    pub keeps_pair: Option<&'a Keeps<'a>>,
    /// Whether the coding was taken off the body.
    pub is_decoded: bool,
    /// What the client asks of the response that is not asked of the backend.
    pub unwanted: Option<&'a SealedNames>,
}

/// Begins the request head for an upstream: origin-form of the canonical path and the kept fields.
/// Lines of the gateway's own follow, then [`finish`].
pub fn request(out: &mut Vec<u8>, request: Forwarded<'_>) {
    let Forwarded { head, bytes, .. } = request;
    out.extend_from_slice(head.method(bytes));
    out.push(b' ');
    out.extend_from_slice(request.path.wire().as_bytes());
    let path = out.len();
    match (head.query, request.keeps_pair) {
        (Some(query), None) => {
            out.push(b'?');
            out.extend_from_slice(query.of(bytes));
        }
        (Some(query), Some(keeps)) => kept_pairs(out, query.of(bytes), keeps),
        (None, _) => {}
    }
    if let Some(pair) = request.added_pair {
        out.push(if out.len() > path { b'&' } else { b'?' });
        out.extend_from_slice(pair);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if head.fields.iter().all(|field| field.kind != Kind::Host) {
        write(out, b"Host", request.default_host.as_bytes());
    }
    kept(out, &bytes[..head.length], &head.fields, |field| {
        is_end_to_end(field)
            && (field.kind != Kind::Tracestate || request.keeps_tracestate)
            && !request.sealed.cover(field.name.of(bytes))
            && (!header::tells_the_way(field.name.of(bytes))
                || request.is_told && header::is_inherited(field.name.of(bytes)))
            && !(request.is_decoded
                && field
                    .name
                    .of(bytes)
                    .eq_ignore_ascii_case(b"content-encoding"))
            && !(request.is_rewritten && is_digest(field.name.of(bytes)))
            && request
                .unwanted
                .is_none_or(|unwanted| !unwanted.cover(field.name.of(bytes)))
    });
}

/// Writes the query with the pairs that `keep` accepts, each as it came; without any no query.
fn kept_pairs(out: &mut Vec<u8>, query: &[u8], keep: impl Fn(&[u8]) -> bool) {
    let pairs = query.split(|&byte| byte == b'&').filter(|pair| keep(pair));
    for (index, pair) in pairs.enumerate() {
        out.push(if index == 0 { b'?' } else { b'&' });
        out.extend_from_slice(pair);
    }
}

/// Begins the response head for a client, of end-to-end fields with those that `keep` accepts.
/// Lines of the gateway's own follow, then [`finish`].
pub fn response(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: &ResponseHead,
    mut keep: impl FnMut(&Field) -> bool,
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(head.status).as_bytes());
    // RFC 9112 section 4: the reason phrase may be empty, the space before it may not.
    out.extend_from_slice(b" \r\n");
    // A bodiless answer (to HEAD, or 304) still tells the length that a GET would have had.
    let describes = head.framing == Framing::None && head.status != 204 && head.status >= 200;
    kept(out, &bytes[..head.length], &head.fields, |field| {
        let leaves = (is_end_to_end(field) && field.kind != Kind::RequestId)
            || (describes && field.kind == Kind::ContentLength);
        leaves && keep(field)
    });
}

fn is_end_to_end(field: &Field) -> bool {
    !field.hop_by_hop && field.kind != Kind::ContentLength
}

/// Whether a field describes the bytes of a body (RFC 9530, RFC 3230, RFC 1864).
pub fn is_digest(name: &[u8]) -> bool {
    let mut names = DIGESTS.iter();
    names.any(|digest| name.eq_ignore_ascii_case(digest.as_bytes()))
}

/// Writes the fields that `keep` accepts, in their order. Neighbours that are spelled as they
/// would be written are copied in one piece.
fn kept(out: &mut Vec<u8>, head: &[u8], fields: &[Field], mut keep: impl FnMut(&Field) -> bool) {
    let mut run = 0..0;
    for field in fields.iter().filter(|field| keep(field)) {
        let line = field.name.range().start..field.value.range().end + 2;
        if !is_plain(head, field) {
            out.extend_from_slice(&head[std::mem::take(&mut run)]);
            write(out, field.name.of(head), field.value.of(head));
        } else if run.end == line.start {
            run.end = line.end;
        } else {
            out.extend_from_slice(&head[std::mem::replace(&mut run, line)]);
        }
    }
    out.extend_from_slice(&head[run]);
}

/// Whether the line of a field reads `Name: value` and CRLF, with no other white space.
fn is_plain(head: &[u8], field: &Field) -> bool {
    let (name, value) = (field.name.range(), field.value.range());
    name.end + 2 == value.start
        && head.get(name.end..value.start) == Some(b": ")
        && head.get(value.end..value.end + 2) == Some(b"\r\n")
}

fn write(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// The one framing field and the end of the head.
pub fn finish(out: &mut Vec<u8>, framing: Framing) {
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
        let forwarded = Forwarded {
            head: &head,
            bytes,
            path: &path,
            sealed: &sealed,
            is_told: false,
            default_host: "backend.example",
            keeps_tracestate: false,
            added_pair: None,
            is_rewritten: false,
            keeps_pair: None,
            is_decoded: false,
            unwanted: None,
        };
        request(&mut out, forwarded);
        out.extend_from_slice(added.as_bytes());
        finish(&mut out, head.framing);
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
    fn pairs_of_a_query_are_left_out_and_the_others_stay_as_they_came() {
        let strip = |query: &[u8]| {
            let mut out = Vec::new();
            kept_pairs(&mut out, query, |pair| !pair.starts_with(b"x"));
            String::from_utf8(out).unwrap()
        };
        for (query, sent) in [
            ("a=1&x=2&b=%41", "?a=1&b=%41"),
            ("x&a=1", "?a=1"),
            ("a=1&&x=1", "?a=1&"),
            ("x=1&x=2", ""),
            ("", "?"),
        ] {
            assert_eq!(strip(query.as_bytes()), sent, "{query}");
        }
    }

    #[test]
    fn a_request_without_a_host_gets_one() {
        let wire = forward("GET / HTTP/1.0\r\nX: y\r\n\r\n", "");
        assert_eq!(
            wire,
            "GET / HTTP/1.1\r\nHost: backend.example\r\nX: y\r\n\r\n"
        );
    }

    #[test]
    fn runs_are_copied_around_what_is_left_out() {
        let wire = forward(
            "GET / HTTP/1.1\r\nA: 1\r\nHost: h\r\ntracestate: x\r\nB: 2\r\nC:3\r\nD: \r\nE: 5\r\n\r\n",
            "",
        );
        assert_eq!(
            wire,
            "GET / HTTP/1.1\r\nA: 1\r\nHost: h\r\nB: 2\r\nC: 3\r\nD: \r\nE: 5\r\n\r\n"
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
            response(&mut out, text.as_bytes(), &head, |_| true);
            finish(&mut out, head.framing);
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
