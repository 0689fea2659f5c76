//! What nobody should read in a log: which names are those of secrets, and where in a text secrets
//! stand. Whoever logs a value of a client asks here.
//!
//! A name is that of a secret if one of its words is, however the words are put together:
//! `new_password`, `x-auth`, `userPIN`. In a text it is what stands behind such a name
//! ([`secrets`]), and what has the shape of a credential whatever stands before it. In doubt more
//! is masked than need be.

mod name;
mod text;

pub use name::{is_credential_field, is_secret_name};
pub use text::{names_user, secrets};

use std::ops::Range;

/// A part of a text on one line, printable, with the length of a secret in its place.
pub fn shown(text: &[u8], part: Range<usize>) -> String {
    let mut out = String::with_capacity(part.len());
    let mut from = part.start;
    for secret in secrets(text) {
        if secret.end <= from {
            continue;
        }
        if secret.start >= part.end {
            break;
        }
        print(&text[from..secret.start.max(from)], &mut out);
        out.push_str(&length(secret.len()));
        from = secret.end.min(part.end);
    }
    print(&text[from..part.end], &mut out);
    out
}

/// What is shown of a secret.
pub fn length(bytes: usize) -> String {
    format!("({bytes} bytes)")
}

/// Bytes as text on one line.
fn print(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => out.extend(byte.escape_ascii().map(char::from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_secret_is_known_to_be_one() {
        let text = b"a=1&password=hunter2hunter2&b=\n\\";
        assert_eq!(
            shown(text, 0..text.len()),
            "a=1&password=(14 bytes)&b=\\n\\\\"
        );
        assert_eq!(shown(text, 15..18), "(14 bytes)");
        assert_eq!(shown(text, 20..28), "(14 bytes)&");
        assert_eq!(shown(text, 0..15), "a=1&password=(14 bytes)");
        assert_eq!(shown(text, 0..12), "a=1&password");
        assert_eq!(shown(text, 27..29), "&b");
        assert_eq!(shown(b"", 0..0), "");
    }
}
