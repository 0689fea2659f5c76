//! What is shown in place of a value that is not for the reader.
//!
//! Whatever stands there becomes a text, but for null, which stays. How long the value was is told
//! by no mask.

use aws_lc_rs::hmac;

use super::text;

/// From the mask that shows most to the one that shows least; where two meet, the last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mask {
    /// Its last four characters, where that is at most half of it.
    Last4,
    /// Letters and digits that are the same for the same value, and tell nothing else of it.
    Hash,
    /// The same for every value.
    Fixed,
}

/// What stands for what is not shown.
const HIDDEN: &str = "****";

/// How many of the last characters are shown, and from how many characters on.
const SHOWN: usize = 4;
const LONG_ENOUGH: usize = 8;

/// How many bytes of a hash are told; twice as many letters and digits.
const HASH: usize = 16;

/// What keeps values from being found by trying them (HMAC with SHA-256, RFC 2104).
#[derive(Clone)]
pub struct MaskKey(hmac::Key);

impl MaskKey {
    pub fn new(secret: &[u8]) -> MaskKey {
        MaskKey(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl std::fmt::Debug for MaskKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("[secret]")
    }
}

impl Mask {
    pub const NAMES: [(&'static str, Mask); 3] = [
        ("last4", Mask::Last4),
        ("hash", Mask::Hash),
        ("fixed", Mask::Fixed),
    ];

    pub fn named(name: &str) -> Option<Mask> {
        let mut known = Mask::NAMES.iter();
        known.find(|(own, _)| *own == name).map(|(_, mask)| *mask)
    }

    /// Writes what is shown of a value of one piece: a text without its quotes and escapes, or the
    /// digits of a number. None of a hash without a key.
    pub fn write(self, value: &str, key: Option<&MaskKey>, out: &mut String) {
        match (self, key) {
            (Mask::Last4, _) => {
                let count = value.chars().count();
                let shown = match count >= LONG_ENOUGH {
                    true => value.char_indices().nth(count - SHOWN).map(|(at, _)| at),
                    false => None,
                };
                let shown = shown.and_then(|at| value.get(at..)).unwrap_or_default();
                text::quote(HIDDEN, out);
                // Behind the stars, before the quote that closes them.
                out.pop();
                let quote = out.len();
                text::quote(shown, out);
                out.remove(quote);
            }
            (Mask::Hash, Some(MaskKey(key))) => {
                let tag = hmac::sign(key, value.as_bytes());
                out.push('"');
                for byte in &tag.as_ref()[..HASH] {
                    for half in [byte >> 4, byte & 15] {
                        out.extend(char::from_digit(u32::from(half), 16));
                    }
                }
                out.push('"');
            }
            (Mask::Hash, None) | (Mask::Fixed, _) => text::quote(HIDDEN, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(mask: Mask, value: &str) -> String {
        let key = MaskKey::new(b"a key for this test");
        let mut out = String::new();
        mask.write(value, Some(&key), &mut out);
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn the_last_four_are_shown_of_what_is_long_enough() {
        for (value, expected) in [
            ("DE89370400440532013000", "****3000"),
            ("12345678", "****5678"),
            ("1234567", "****"),
            ("", "****"),
            (
                "\u{e9}\u{e9}\u{e9}\u{e9}\"\\\u{1}\u{1F600}",
                "****\"\\\u{1}\u{1F600}",
            ),
        ] {
            assert_eq!(shown(Mask::Last4, value), expected, "{value}");
            assert_eq!(shown(Mask::Fixed, value), "****");
        }
    }

    #[test]
    fn a_hash_is_keyed() {
        assert_eq!(shown(Mask::Hash, "a").len(), 2 * HASH);
        assert_eq!(shown(Mask::Hash, "a"), shown(Mask::Hash, "a"));
        assert_ne!(shown(Mask::Hash, "a"), shown(Mask::Hash, "b"));
        let mut other = String::new();
        Mask::Hash.write("a", Some(&MaskKey::new(b"another key")), &mut other);
        assert_ne!(other, format!("\"{}\"", shown(Mask::Hash, "a")));
    }

    proptest! {
        #[test]
        fn what_is_written_is_a_text(value: String) {
            for (_, mask) in Mask::NAMES {
                let told = shown(mask, &value);
                prop_assert!(mask != Mask::Last4 || told.chars().count() <= 8);
            }
        }
    }
}
