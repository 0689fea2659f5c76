//! The names of one request: its id, and its place in a trace (W3C Trace Context).
//!
//! Both are made here unless a trusted peer sent them: a client that could choose them could
//! write into the logs of others.

use crate::proto::head::RequestHead;
use crate::proto::header::Kind;

/// Longest request id that is kept.
const LONGEST_ID: usize = 64;

/// An id and a `traceparent`, in place.
#[derive(Clone, Debug)]
pub struct Trace {
    id: [u8; LONGEST_ID],
    id_length: usize,
    /// `00-<trace id>-<span id>-<flags>`
    parent: [u8; 55],
    /// Whether the trace was begun by a trusted peer, so that its `tracestate` belongs to it.
    pub is_continued: bool,
}

impl Trace {
    /// Takes over what a trusted peer sent, makes what is missing. `unix_ms` leads the id, so that
    /// ids sort by time (UUID version 7, RFC 9562 section 5.7).
    pub fn new(
        random: &mut fastrand::Rng,
        unix_ms: u64,
        trusted: Option<(&RequestHead, &[u8])>,
    ) -> Trace {
        let mut trace = Trace {
            id: [0; LONGEST_ID],
            id_length: 0,
            parent: *b"00-00000000000000000000000000000000-0000000000000000-01",
            is_continued: false,
        };
        let kept = |kind| {
            let (head, bytes) = trusted?;
            let field = head.only(kind).ok().flatten()?;
            Some(field.value.of(bytes))
        };
        match kept(Kind::RequestId).filter(|id| is_id(id)) {
            Some(id) => trace.keep_id(id),
            None => trace.make_id(random, unix_ms),
        }
        match kept(Kind::Traceparent).filter(|parent| is_parent(parent)) {
            Some(parent) => {
                trace.parent.copy_from_slice(parent);
                trace.is_continued = true;
            }
            None => hex(&mut trace.parent[3..35], random.u128(1..)),
        }
        hex(&mut trace.parent[36..52], u128::from(random.u64(1..)));
        trace
    }

    pub fn id(&self) -> &str {
        // Only ASCII is ever written to it.
        std::str::from_utf8(&self.id[..self.id_length]).unwrap_or_default()
    }

    pub fn parent(&self) -> &[u8] {
        &self.parent
    }

    /// The 32 digits of the trace id.
    pub fn trace_id(&self) -> &str {
        std::str::from_utf8(&self.parent[3..35]).unwrap_or_default()
    }

    fn keep_id(&mut self, id: &[u8]) {
        self.id[..id.len()].copy_from_slice(id);
        self.id_length = id.len();
    }

    fn make_id(&mut self, random: &mut fastrand::Rng, unix_ms: u64) {
        let version = 0x7 << 76;
        let variant = 0b10 << 62;
        let bits = random.u128(..) & !(0xf << 76) & !(0b11 << 62) & ((1 << 80) - 1);
        let value = u128::from(unix_ms & 0xffff_ffff_ffff) << 80 | version | variant | bits;
        let mut digits = [0; 32];
        hex(&mut digits, value);
        let (mut to, mut from) = (0, 0);
        for length in [8, 4, 4, 4, 12] {
            if from > 0 {
                self.id[to] = b'-';
                to += 1;
            }
            self.id[to..to + length].copy_from_slice(&digits[from..from + length]);
            (to, from) = (to + length, from + length);
        }
        self.id_length = to;
    }
}

fn is_id(id: &[u8]) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
}

/// W3C Trace Context section 3.2: version 00, lower-case hex, neither id all zeros.
fn is_parent(value: &[u8]) -> bool {
    let is_hex = |digits: &[u8]| digits.iter().all(|byte| b"0123456789abcdef".contains(byte));
    let is_zero = |digits: &[u8]| digits.iter().all(|&byte| byte == b'0');
    value.len() == 55
        && value.starts_with(b"00-")
        && value[35] == b'-'
        && value[52] == b'-'
        && is_hex(&value[3..35])
        && is_hex(&value[36..52])
        && is_hex(&value[53..])
        && !is_zero(&value[3..35])
        && !is_zero(&value[36..52])
}

/// Lower-case digits of `value`, the last filling the end of `out`.
fn hex(out: &mut [u8], mut value: u128) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 0xf) as usize];
        value >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &str) -> (RequestHead, Vec<u8>) {
        let bytes = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes();
        let mut head = RequestHead::default();
        assert_eq!(head.read(&bytes), Ok(true));
        (head, bytes)
    }

    #[test]
    fn made_ids_are_version_7_and_sort_by_time() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut ids: Vec<String> = Vec::new();
        for unix_ms in [1_000, 2_000, 1 << 40] {
            let trace = Trace::new(&mut random, unix_ms, None);
            let id = trace.id();
            assert_eq!((id.len(), &id[14..15]), (36, "7"), "{id}");
            assert!("89ab".contains(&id[19..20]) && id.split('-').count() == 5);
            assert!(is_parent(trace.parent()) && !trace.is_continued);
            ids.push(id.to_owned());
        }
        assert!(ids.is_sorted());
    }

    #[test]
    fn a_trusted_trace_goes_on_under_a_new_span() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let fields = format!("X-Request-ID: abc-1\r\ntraceparent: {parent}\r\n");
        let (head, bytes) = head(&fields);
        let mut random = fastrand::Rng::with_seed(7);
        let trace = Trace::new(&mut random, 0, Some((&head, &bytes)));
        assert_eq!(trace.id(), "abc-1");
        assert_eq!(trace.trace_id(), &parent[3..35]);
        assert!(trace.is_continued && trace.parent().ends_with(b"-00"));
        assert_ne!(trace.parent(), parent.as_bytes());
        let untrusted = Trace::new(&mut random, 0, None);
        assert_ne!(untrusted.trace_id(), &parent[3..35]);
    }

    #[test]
    fn what_is_malformed_is_made_anew() {
        let long = "a".repeat(LONGEST_ID + 1);
        for (id, parent) in [
            (
                "a b",
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            ),
            (
                &long,
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            (
                "a\"",
                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            ),
            (
                "",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            ),
            ("a\r\nX-Request-ID: b", "short"),
        ] {
            let (head, bytes) = head(&format!("X-Request-ID: {id}\r\ntraceparent: {parent}\r\n"));
            let mut random = fastrand::Rng::with_seed(7);
            let trace = Trace::new(&mut random, 0, Some((&head, &bytes)));
            assert_eq!(trace.id().len(), 36, "{id}");
            assert!(!trace.is_continued, "{parent}");
        }
    }
}
