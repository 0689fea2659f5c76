//! A request target becomes the one canonical path (RFC 9112 section 3.2, RFC 3986).
//!
//! Each segment is decoded once. A path that two parties could read in two ways is refused, not
//! repaired: dot segments, empty segments, encoded or literal backslashes and slashes inside a
//! segment, path parameters (`;`) behind a segment, a second layer of encoding, NUL and other control
//! bytes, and anything that is not UTF-8. What an operation may have nevertheless is read and
//! marked, for policy to allow or to refuse: a segment that begins with `;`, and [`Reserved`] bytes
//! that came percent-encoded. What is forwarded is written from the decoded segments, so policy and
//! backend see the same path.

use super::{Error, limits};

/// A path as decoded segments, with the text that goes to the backend.
///
/// One value is reused for all requests of a connection, so that a warm request allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    decoded: String,
    ends: Vec<u16>,
    wire: String,
    /// The segments that begin with a semicolon.
    matrix: u32,
    encoded: Reserved,
}

/// A set of bytes that mean something in a path unless they are percent-encoded (RFC 3986 section
/// 2.2): servers that decode too early or twice read another path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved(u8);

impl Reserved {
    pub const SLASH: Reserved = Reserved(1);
    pub const BACKSLASH: Reserved = Reserved(2);
    pub const PERCENT: Reserved = Reserved(4);
    pub const SEMICOLON: Reserved = Reserved(8);

    fn of(byte: u8) -> Reserved {
        match byte {
            b'/' => Reserved::SLASH,
            b'\\' => Reserved::BACKSLASH,
            b'%' => Reserved::PERCENT,
            b';' => Reserved::SEMICOLON,
            _ => Reserved::default(),
        }
    }

    pub fn with(self, other: Reserved) -> Reserved {
        Reserved(self.0 | other.0)
    }

    pub fn is_within(self, allowed: Reserved) -> bool {
        self.0 & !allowed.0 == 0
    }
}

// One bit for each segment.
const _: () = assert!(limits::SEGMENTS <= 32);

impl Path {
    /// Replaces this path by the canonical form of `raw`, which must begin with `/` and hold
    /// neither query nor fragment. After an error the value is empty.
    pub fn read(&mut self, raw: &[u8]) -> Result<(), Error> {
        self.clear();
        let outcome = self.fill(raw);
        if outcome.is_err() {
            self.clear();
        }
        outcome
    }

    /// The decoded segments in order; `/` alone has none, a final slash adds an empty one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.ends.iter().scan(0, |start, &end| {
            let segment = &self.decoded[*start..usize::from(end)];
            *start = usize::from(end);
            Some(segment)
        })
    }

    pub fn segment_count(&self) -> usize {
        self.ends.len()
    }

    /// The path as it is sent on: percent-encoded where RFC 3986 asks for it, and only there.
    pub fn wire(&self) -> &str {
        &self.wire
    }

    /// The segments that begin with a semicolon (OpenAPI "Style Values", `matrix`), as bits.
    pub fn matrix(&self) -> u32 {
        self.matrix
    }

    /// The reserved bytes that came percent-encoded in any segment.
    pub fn encoded(&self) -> Reserved {
        self.encoded
    }

    fn clear(&mut self) {
        self.matrix = 0;
        self.encoded = Reserved::default();
        self.decoded.clear();
        self.ends.clear();
        self.wire.clear();
    }

    fn fill(&mut self, raw: &[u8]) -> Result<(), Error> {
        let Some(rest) = raw.strip_prefix(b"/") else {
            return Err(Error::MalformedTarget);
        };
        // The head is bounded far below, but offsets here are 16 bit: hold the rule where it is used.
        if raw.len() > usize::from(u16::MAX) {
            return Err(Error::RequestLineTooLong);
        }
        if rest.is_empty() {
            self.wire.push('/');
            return Ok(());
        }
        let mut segments = rest.split(|&byte| byte == b'/').peekable();
        while let Some(segment) = segments.next() {
            if segment.is_empty() && segments.peek().is_some() {
                return Err(Error::AmbiguousPath);
            }
            if self.ends.len() == limits::SEGMENTS {
                return Err(Error::PathTooDeep);
            }
            self.segment(segment)?;
        }
        Ok(())
    }

    fn segment(&mut self, raw: &[u8]) -> Result<(), Error> {
        let start = self.decoded.len();
        let is_matrix = raw.first() == Some(&b';');
        if is_matrix {
            self.matrix |= 1 << self.ends.len();
            // Nothing of such a segment is a name that others could take for another.
            for part in raw[1..].split(|&byte| byte == b';') {
                let part = decode(part)?;
                if part
                    .bytes()
                    .any(|byte| Reserved::of(byte) != Reserved::default())
                {
                    return Err(Error::AmbiguousPath);
                }
                self.decoded.push(';');
                self.decoded.push_str(&part);
            }
        } else if raw.iter().all(|&byte| is_plain(byte)) {
            // ASCII by the test above, so this cannot fail.
            let text = std::str::from_utf8(raw).map_err(|_| Error::MalformedTarget)?;
            self.decoded.push_str(text);
        } else {
            let decoded = decode(raw)?;
            self.decoded.push_str(&decoded);
        }
        let segment = &self.decoded[start..];
        // Also of what a server would take for segments that decodes a slash too early.
        let mut parts = segment.split(['/', '\\']);
        if parts.any(|part| part == "." || part == "..") {
            return Err(Error::AmbiguousPath);
        }
        self.wire.push('/');
        for byte in segment.bytes() {
            match byte {
                b';' if is_matrix => self.wire.push(';'),
                other => encode(other, &mut self.wire),
            }
            if !is_matrix {
                self.encoded = self.encoded.with(Reserved::of(byte));
            }
        }
        // Decoding never lengthens, so the bound on `raw` in `fill` holds here too.
        self.ends
            .push(u16::try_from(self.decoded.len()).map_err(|_| Error::RequestLineTooLong)?);
        Ok(())
    }
}

/// Splits an origin-form target into its path and query; a fragment has no place in a request.
pub fn split(target: &[u8]) -> Result<(&[u8], Option<&[u8]>), Error> {
    if memchr::memchr(b'#', target).is_some() {
        return Err(Error::MalformedTarget);
    }
    match memchr::memchr(b'?', target) {
        None => Ok((target, None)),
        Some(at) => {
            let query = &target[at + 1..];
            check_query(query)?;
            Ok((&target[..at], Some(query)))
        }
    }
}

/// RFC 3986 section 3.4: `pchar`, `/` and `?`, with well-formed percent-encodings.
fn check_query(query: &[u8]) -> Result<(), Error> {
    let mut bytes = query.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'%' => match (bytes.next(), bytes.next()) {
                (Some(high), Some(low)) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {}
                _ => return Err(Error::MalformedTarget),
            },
            b'/' | b'?' | b';' => {}
            // Brackets are not pchar, but deepObject parameters are written with them everywhere.
            b'[' | b']' => {}
            other if is_plain(other) => {}
            _ => return Err(Error::MalformedTarget),
        }
    }
    Ok(())
}

/// `pchar` without `%` and without `;`: what may stand in a segment as it is.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte)
}

fn decode(raw: &[u8]) -> Result<String, Error> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                (Some(high), Some(low)) => allowed(high << 4 | low)?,
                _ => return Err(Error::MalformedTarget),
            },
            b';' | b'\\' => return Err(Error::AmbiguousPath),
            plain if is_plain(plain) => plain,
            _ => return Err(Error::MalformedTarget),
        });
    }
    // Overlong forms and surrogates are not UTF-8 and are refused with the rest.
    String::from_utf8(decoded).map_err(|_| Error::AmbiguousPath)
}

/// Decoded bytes that may stand in a path at all.
fn allowed(byte: u8) -> Result<u8, Error> {
    match byte {
        0..=0x1f | 0x7f => Err(Error::AmbiguousPath),
        other => Ok(other),
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn encode(byte: u8, wire: &mut String) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    if is_plain(byte) {
        wire.push(char::from(byte));
    } else {
        wire.push('%');
        wire.push(DIGITS[usize::from(byte >> 4)]);
        wire.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As an operation sees it that allows nothing special.
    fn read(raw: &str) -> Result<(Vec<String>, String), Error> {
        let mut path = Path::default();
        path.read(raw.as_bytes())?;
        if path.encoded() != Reserved::default() {
            return Err(Error::AmbiguousPath);
        }
        Ok((
            path.segments().map(str::to_owned).collect(),
            path.wire().to_owned(),
        ))
    }

    #[test]
    fn segments_are_decoded_once_and_written_canonically() {
        let (segments, wire) = read("/a%63counts/J%C3%BCrg%20x/:b@c").unwrap();
        assert_eq!(segments, ["accounts", "J\u{fc}rg x", ":b@c"]);
        assert_eq!(wire, "/accounts/J%C3%BCrg%20x/:b@c");
    }

    #[test]
    fn the_root_has_no_segment_and_a_final_slash_adds_one() {
        assert_eq!(read("/").unwrap(), (vec![], "/".into()));
        assert_eq!(
            read("/a/").unwrap(),
            (vec!["a".into(), String::new()], "/a/".into())
        );
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for raw in [
            "//a",
            "/a//b",
            "/./a",
            "/a/..",
            "/%2e%2e/a",
            "/.%2E",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a;v=1",
            "/a%3bv",
            "/%2561",
            "/a%25",
            "/a%00",
            "/a%0d",
            "/a%7f",
            "/%c0%ae",
            "/%ff",
            "/%ed%a0%80",
        ] {
            assert_eq!(read(raw), Err(Error::AmbiguousPath), "{raw}");
        }
    }

    #[test]
    fn segments_that_begin_with_a_semicolon_are_marked() {
        let mut path = Path::default();
        path.read(b"/a/;v=1;w=%C3%BC,x/;/b").unwrap();
        assert_eq!(path.matrix(), 0b110);
        let segments: Vec<_> = path.segments().collect();
        assert_eq!(segments, ["a", ";v=1;w=\u{fc},x", ";", "b"]);
        assert_eq!(path.wire(), "/a/;v=1;w=%C3%BC,x/;/b");
        path.read(b"/a").unwrap();
        assert_eq!(path.matrix(), 0);
        for raw in ["/;a%3bb", "/;%2f", "/;a\\b", "/;%00"] {
            assert_eq!(read(raw), Err(Error::AmbiguousPath), "{raw}");
        }
    }

    #[test]
    fn reserved_bytes_that_came_encoded_are_marked_and_stay_encoded() {
        let mut path = Path::default();
        let cases = [
            ("/p/a%2fb", "a/b", "/p/a%2Fb", Reserved::SLASH),
            ("/p/a%5Cb", "a\\b", "/p/a%5Cb", Reserved::BACKSLASH),
            ("/p/a%3bb", "a;b", "/p/a%3Bb", Reserved::SEMICOLON),
            ("/p/100%25", "100%", "/p/100%25", Reserved::PERCENT),
            (
                "/p/%252e%252e",
                "%2e%2e",
                "/p/%252e%252e",
                Reserved::PERCENT,
            ),
        ];
        for (raw, decoded, wire, encoded) in cases {
            path.read(raw.as_bytes()).unwrap();
            assert_eq!(path.segments().nth(1), Some(decoded), "{raw}");
            assert_eq!((path.wire(), path.encoded()), (wire, encoded), "{raw}");
        }
        let both = Reserved::SLASH.with(Reserved::PERCENT);
        path.read(b"/a%2fb/c%25").unwrap();
        assert_eq!(path.encoded(), both);
        assert!(both.is_within(both) && Reserved::SLASH.is_within(both));
        assert!(!both.is_within(Reserved::SLASH));
        path.read(b"/a").unwrap();
        assert_eq!(path.encoded(), Reserved::default());
        for raw in [
            "/p/a%2f..",
            "/p/..%2fa",
            "/p/a%5c..%5cb",
            "/p/.%2f",
            "/p/a%2f%2e%2e%2fb",
        ] {
            assert_eq!(
                path.read(raw.as_bytes()),
                Err(Error::AmbiguousPath),
                "{raw}"
            );
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        for raw in [
            "", "a", "*", "/a%2", "/a%zz", "/a b", "/a\"", "/a<", "/\u{fc}", "/a^", "/a|b",
        ] {
            assert_eq!(read(raw), Err(Error::MalformedTarget), "{raw}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(read(&"/a".repeat(limits::SEGMENTS)).is_ok());
        assert_eq!(
            read(&"/a".repeat(limits::SEGMENTS + 1)),
            Err(Error::PathTooDeep)
        );
    }

    #[test]
    fn an_error_leaves_nothing_behind() {
        let mut path = Path::default();
        path.read(b"/a/b").unwrap();
        assert!(path.read(b"/c/..").is_err());
        assert_eq!(path, Path::default());
    }

    #[test]
    fn targets_split_at_the_first_question_mark() {
        assert_eq!(
            split(b"/a?b=/c?d").unwrap(),
            (&b"/a"[..], Some(&b"b=/c?d"[..]))
        );
        assert_eq!(split(b"/a").unwrap(), (&b"/a"[..], None));
        assert_eq!(split(b"/a?").unwrap(), (&b"/a"[..], Some(&b""[..])));
        for bad in [&b"/a#f"[..], b"/a?%2", b"/a?b c", b"/a?\"", b"/a?\xff"] {
            assert_eq!(split(bad), Err(Error::MalformedTarget));
        }
    }

    proptest! {
        #[test]
        fn a_canonical_path_stays_canonical(raw in "/([a-zA-Z0-9%./;~ü-]{0,12})") {
            if let Ok((segments, wire)) = read(&raw) {
                prop_assert_eq!(read(&wire), Ok((segments, wire.clone())));
            }
        }

        #[test]
        fn no_bytes_panic(raw in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Path::default().read(&raw);
            let _ = split(&raw);
        }
    }
}
