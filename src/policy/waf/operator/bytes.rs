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

    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            ByteTest::Outside(bytes) => value.iter().any(|&byte| bytes.contains(byte)),
            ByteTest::UrlEncoding => {
                let mut rest = value;
                while let Some(at) = memchr::memchr(b'%', rest) {
                    let escape = rest.get(at + 1..at + 3);
                    if !escape.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                        return true;
                    }
                    rest = &rest[at + 3..];
                }
                false
            }
            ByteTest::Utf8 => std::str::from_utf8(value).is_err(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_inclusive() {
        let test = ByteTest::outside("9,10,13, 32-126").unwrap();
        assert!(!test.matches(b"\t ~\r\n"));
        for value in [&b"\x7f"[..], b"\x1f", b"a\0b", b"\xff"] {
            assert!(test.matches(value), "{value:?}");
        }
        for text in ["", "256", "9-1", "a"] {
            assert!(ByteTest::outside(text).is_err(), "{text}");
        }
    }

    #[test]
    fn escapes_and_encodings_are_whole() {
        for (value, broken) in [
            ("%41", false),
            ("%4", true),
            ("%", true),
            ("%g1", true),
            ("a%20%", true),
        ] {
            assert_eq!(
                ByteTest::UrlEncoding.matches(value.as_bytes()),
                broken,
                "{value}"
            );
        }
        assert!(ByteTest::Utf8.matches(b"\xc0\xaf"));
        assert!(!ByteTest::Utf8.matches("\u{e9}".as_bytes()));
    }
}
