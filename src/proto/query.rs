//! The query component as `name=value` pairs (WHATWG URL section 5.1, the reading that HTML forms
//! and OpenAPI's `form` style share). It is forwarded as it came; what is read here is what a
//! decoder of that rule reads, and what two decoders could read in two ways is refused.

use std::borrow::Cow;

use super::{Error, percent};

/// The pairs in their order, still encoded; empty ones are skipped. A name without `=` has an
/// empty value.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let parts = query.split(|&byte| byte == b'&');
    parts
        .filter(|part| !part.is_empty())
        .map(|part| match memchr::memchr(b'=', part) {
            Some(at) => (&part[..at], &part[at + 1..]),
            None => (part, &part[part.len()..]),
        })
}

/// One name or value decoded: `+` is a space, `%XX` a byte, the result UTF-8 without NUL.
pub fn decode(encoded: &[u8]) -> Result<Cow<'_, str>, Error> {
    if memchr::memchr3(b'%', b'+', 0, encoded).is_none() {
        let text = std::str::from_utf8(encoded).map_err(|_| Error::MalformedTarget)?;
        return Ok(Cow::Borrowed(text));
    }
    let mut text = String::with_capacity(encoded.len());
    decode_into(encoded, &mut text).ok_or(Error::MalformedTarget)?;
    Ok(Cow::Owned(text))
}

/// Appends what [`decode`] reads.
pub fn decode_into(encoded: &[u8], out: &mut String) -> Option<()> {
    percent::decode_into(encoded, true, out)
}

/// Writes a name or value as every decoder reads it.
pub fn encode(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_keep_their_order_and_repetition() {
        let read: Vec<_> = pairs(b"a=1&&b&a=2=3&=x").collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"a", b"1"), (b"b", b""), (b"a", b"2=3"), (b"", b"x")];
        assert_eq!(read, expected);
        assert_eq!(pairs(b"").count(), 0);
    }

    #[test]
    fn decoding_is_strict() {
        assert_eq!(decode(b"a+b%20%C3%A9").unwrap(), "a b \u{e9}");
        assert!(matches!(decode(b"plain"), Ok(Cow::Borrowed("plain"))));
        for bad in [
            &b"%"[..],
            b"%4",
            b"%zz",
            b"%+1",
            b"%00",
            b"\0",
            b"%ff",
            b"\xff",
        ] {
            assert_eq!(decode(bad), Err(Error::MalformedTarget), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(text in "[^\0]{0,40}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decode(encoded.as_bytes()).unwrap(), text);
        }
    }
}
