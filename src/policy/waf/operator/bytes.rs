//! `@validateByteRange`, `@validateUrlEncoding`, `@validateUtf8Encoding`: is a value badly made?
//! They match what is *not* valid.

use crate::policy::waf::transform::ByteSet;

#[derive(Clone, Debug)]
pub enum ByteTest {
    /// A byte is present that is one of these.
    Outside(ByteSet),
    /// A percent sign begins no escape.
    UrlEncoding,
    Utf8,
}

impl ByteTest {
    /// From the list of allowed bytes: `9,10,13,32-126`.
    pub fn outside(text: &str) -> Result<ByteTest, String> {
        let mut allowed = ByteSet::named(b"");
        for part in text.split(',').map(str::trim) {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            match (from.trim().parse::<u8>(), to.trim().parse::<u8>()) {
                (Ok(from), Ok(to)) if from <= to => allowed = allowed.or(ByteSet::range(from, to)),
                _ => return Err(format!("`{part}` is no range of bytes")),
            }
        }
        Ok(ByteTest::Outside(allowed.complement()))
    }

    /// Where the first byte is that is wrong.
    pub fn find(&self, value: &[u8]) -> Option<usize> {
        match self {
            ByteTest::Outside(bytes) => value.iter().position(|&byte| bytes.contains(byte)),
            ByteTest::UrlEncoding => memchr::memchr_iter(b'%', value).find(|&at| {
                let escape = value.get(at + 1..at + 3);
                !escape.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            }),
            ByteTest::Utf8 => std::str::from_utf8(value)
                .err()
                .map(|error| error.valid_up_to()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_inclusive() {
        let test = ByteTest::outside("9,10,13, 32-126").unwrap();
        assert_eq!(test.find(b"\t ~\r\n"), None);
        for value in [&b"\x7f"[..], b"\x1f", b"a\0b", b"\xff"] {
            assert!(test.find(value).is_some(), "{value:?}");
        }
        for text in ["", "256", "9-1", "a"] {
            assert!(ByteTest::outside(text).is_err(), "{text}");
        }
    }

    #[test]
    fn escapes_and_encodings_are_whole() {
        for (value, broken) in [
            ("%41", None),
            ("%4", Some(0)),
            ("%", Some(0)),
            ("%g1", Some(0)),
            ("a%20%", Some(4)),
        ] {
            let found = ByteTest::UrlEncoding.find(value.as_bytes());
            assert_eq!(found, broken, "{value}");
        }
        assert_eq!(ByteTest::Utf8.find(b"a\xc0\xaf"), Some(1));
        assert_eq!(ByteTest::Utf8.find("\u{e9}".as_bytes()), None);
    }
}
