//! The queries that are known by the SHA-256 of their text: an allow list, or short names for
//! long texts.

use ahash::AHashMap;
use aws_lc_rs::digest;

/// The SHA-256 of a text.
pub type Hash = [u8; 32];

/// Known queries. The text may be unknown, where a list holds hashes alone.
#[derive(Clone, Debug, Default)]
pub struct Persisted {
    queries: AHashMap<Hash, Option<Box<str>>>,
}

impl Persisted {
    /// Adds a query by its text.
    pub fn add_text(&mut self, text: &str) {
        self.queries.insert(hash(text), Some(text.into()));
    }

    /// Adds a query by its hash alone.
    pub fn add_hash(&mut self, hash: Hash) {
        self.queries.entry(hash).or_insert(None);
    }

    /// Some if the query is known, with its text if that is known too.
    pub fn find(&self, hash: &Hash) -> Option<Option<&str>> {
        self.queries.get(hash).map(Option::as_deref)
    }

    pub fn len(&self) -> usize {
        self.queries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }
}

pub fn hash(text: &str) -> Hash {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Reads 64 hexadecimal digits.
pub fn read_hash(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_everybody() {
        // FIPS 180-2, appendix B.1.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(read_hash(known), Some(hash("abc")));
        assert_eq!(read_hash(&known.to_uppercase()), Some(hash("abc")));
        for bad in [
            "",
            &known[1..],
            &format!("{}g", &known[1..]),
            &known.replace('b', "é"),
        ] {
            assert_eq!(read_hash(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_text_is_kept_when_its_hash_comes_too() {
        let mut persisted = Persisted::default();
        persisted.add_hash(hash("{a}"));
        assert_eq!(persisted.find(&hash("{a}")), Some(None));
        persisted.add_text("{a}");
        persisted.add_hash(hash("{a}"));
        assert_eq!(persisted.find(&hash("{a}")), Some(Some("{a}")));
        assert_eq!((persisted.len(), persisted.find(&hash("{b}"))), (1, None));
    }
}
