//! The `Cookie` field as names and values (RFC 6265 section 5.4).

use super::percent;

/// The pairs in their order, values as they stand; what has no `=` is none.
pub fn pairs(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let parts = value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    parts.filter_map(|part| {
        let at = memchr::memchr(b'=', part)?;
        Some((
            part[..at].trim_ascii_end(),
            part[at + 1..].trim_ascii_start(),
        ))
    })
}

/// Appends a decoded value: `%XX` is a byte, `+` is itself.
pub fn decode_into(encoded: &[u8], out: &mut String) -> Option<()> {
    percent::decode_into(encoded, false, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found_between_semicolons() {
        let found: Vec<_> = pairs(b"a=1; b = \"x\" ;c;;d=e=f; =g").collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"a", b"1"), (b"b", b"\"x\""), (b"d", b"e=f"), (b"", b"g")];
        assert_eq!(found, expected);
    }
}
