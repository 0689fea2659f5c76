//! Strings of JSON (RFC 8259 section 7): escapes are checked always, and decoded only when a
//! keyword asks for the characters.

/// Hands the characters of what stands between two quotes on, piece by piece. None: an escape is
/// not one of JSON, or names half of a pair.
pub fn pieces(raw: &str, mut emit: impl FnMut(&str)) -> Option<()> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        emit(rest.get(..at)?);
        let (character, length) = escape(rest.as_bytes().get(at + 1..)?)?;
        emit(character.encode_utf8(&mut [0; 4]));
        rest = rest.get(at + 1 + length..)?;
    }
    emit(rest);
    Some(())
}

/// The character of an escape without its backslash, and the bytes that it takes.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let character = match bytes.first()? {
        b'u' => {
            let high = unit(bytes.get(1..5)?)?;
            return match char::from_u32(high) {
                Some(character) => Some((character, 5)),
                // A pair of surrogates, or nothing that is a character.
                None if high < 0xDC00 && bytes.get(5..7)? == b"\\u" => {
                    let low = unit(bytes.get(7..11)?)?;
                    let low = low.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                    let code = 0x1_0000 + ((high - 0xD800) << 10) + low;
                    Some((char::from_u32(code)?, 11))
                }
                None => None,
            };
        }
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        same @ (b'"' | b'\\' | b'/') => char::from(*same),
        _ => return None,
    };
    Some((character, 1))
}

fn unit(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |code, &digit| {
        Some(code << 4 | char::from(digit).to_digit(16)?)
    })
}

/// Writes a text as a string of JSON.
pub fn quote(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(raw: &str) -> Option<String> {
        let mut out = String::new();
        pieces(raw, |piece| out.push_str(piece)).map(|()| out)
    }

    proptest! {
        #[test]
        fn escapes_read_as_elsewhere(raw in "(\\\\(u(d[89a-f]|00)[0-9a-f]{2}|[\"\\\\/bfnrtux])|[a-zé\u{1F600}]){0,8}") {
            let elsewhere = serde_json::from_str::<String>(&format!("\"{raw}\"")).ok();
            prop_assert_eq!(decoded(&raw), elsewhere, "{}", raw);
        }

        #[test]
        fn what_is_quoted_reads_the_same(text: String) {
            let mut out = String::new();
            quote(&text, &mut out);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text.clone());
            prop_assert_eq!(decoded(&out[1..out.len() - 1]), Some(text));
        }
    }
}
