//! Values that no rule could match, remembered by a hash of them: names of parameters, enumerations
//! and header fields come again and again.
//!
//! Two hashes of 64 bits with keys that nobody outside knows, so that a value that looks like a
//! benign one cannot be made. Secrets are not remembered, not even as hashes.

use std::hash::{BuildHasher, Hasher};

use ahash::RandomState;

/// So many values are remembered; a new one takes the place of an old one.
const PLACES: usize = 16 * 1024;

/// Longer values hardly come again.
const LONGEST: usize = 256;

/// Fields whose values are secrets (RFC 9110 section 11.6, RFC 6265 section 8.3).
const SECRET: [&[u8]; 4] = [
    b"authorization",
    b"cookie",
    b"proxy-authorization",
    b"x-api-key",
];

#[derive(Debug)]
pub struct Benign {
    keys: [RandomState; 2],
    places: Vec<[u64; 2]>,
}

impl Default for Benign {
    fn default() -> Benign {
        Benign {
            keys: [RandomState::new(), RandomState::new()],
            places: Vec::new(),
        }
    }
}

impl Benign {
    /// Takes other keys: no hash of before is that of a value any more.
    pub fn forget(&mut self) {
        self.keys = [RandomState::new(), RandomState::new()];
    }

    /// Whether a value of this class was found benign; `name` is only asked whether it is a secret.
    pub fn holds(&self, class: u32, name: &[u8], value: &[u8]) -> bool {
        if !is_remembered(name, value) || self.places.is_empty() {
            return false;
        }
        let hash = self.hash(class, value);
        self.places[place(hash)] == hash
    }

    pub fn remember(&mut self, class: u32, name: &[u8], value: &[u8]) {
        if !is_remembered(name, value) {
            return;
        }
        if self.places.is_empty() {
            self.places.resize(PLACES, [0; 2]);
        }
        let hash = self.hash(class, value);
        self.places[place(hash)] = hash;
    }

    fn hash(&self, class: u32, value: &[u8]) -> [u64; 2] {
        let one = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            hasher.write_u32(class);
            hasher.write(value);
            hasher.finish()
        };
        // No hash is that of an empty place.
        [one(&self.keys[0]) | 1, one(&self.keys[1])]
    }
}

fn is_remembered(name: &[u8], value: &[u8]) -> bool {
    value.len() <= LONGEST
        && !SECRET
            .iter()
            .any(|secret| secret.eq_ignore_ascii_case(name))
}

fn place(hash: [u64; 2]) -> usize {
    usize::try_from(hash[0] >> 1).unwrap_or(0) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_remembered_by_class_and_secrets_are_not() {
        let mut benign = Benign::default();
        assert!(!benign.holds(1, b"a", b"x"));
        benign.remember(1, b"a", b"x");
        assert!(benign.holds(1, b"b", b"x"));
        assert!(!benign.holds(2, b"a", b"x") && !benign.holds(1, b"a", b"y"));
        benign.remember(1, b"Authorization", b"y");
        assert!(!benign.holds(1, b"a", b"y"));
        benign.remember(1, b"a", &[b'x'; 300]);
        assert!(!benign.holds(1, b"a", &[b'x'; 300]));
        benign.forget();
        assert!(!benign.holds(1, b"a", b"x"));
    }
}
