//! Percent-encoding (RFC 3986 section 2.1), decoded strictly: an escape is whole, the result is
//! UTF-8 without NUL.

/// Appends the decoded text. None: an escape is broken, or the result is no text.
pub fn decode_into(encoded: &[u8], plus_is_space: bool, out: &mut String) -> Option<()> {
    let mut rest = encoded;
    loop {
        let special = match plus_is_space {
            true => memchr::memchr3(b'%', b'+', 0, rest),
            false => memchr::memchr2(b'%', 0, rest),
        };
        let (plain, behind) = rest.split_at(special.unwrap_or(rest.len()));
        out.push_str(std::str::from_utf8(plain).ok()?);
        rest = match behind {
            [] => return Some(()),
            [b'+', after @ ..] => {
                out.push(' ');
                after
            }
            escapes => character(escapes, out)?,
        };
    }
}

/// Decodes the one character whose escapes stand in front, and returns what follows.
fn character<'e>(escapes: &'e [u8], out: &mut String) -> Option<&'e [u8]> {
    let (first, mut rest) = byte(escapes)?;
    let mut bytes = [first, 0, 0, 0];
    let length = match first {
        1..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return None,
    };
    for slot in &mut bytes[1..length] {
        (*slot, rest) = byte(rest)?;
    }
    out.push_str(std::str::from_utf8(&bytes[..length]).ok()?);
    Some(rest)
}

/// The byte of the escape in front.
fn byte(escapes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = escapes else {
        return None;
    };
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    Some(((digit(high)? << 4 | digit(low)?) as u8, rest))
}
