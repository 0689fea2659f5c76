//! Where everything in a description stands.
//!
//! Kept by hashes of the JSON pointers, not by the pointers: a large description has half a million
//! of them, which take more memory than what they lead to. Two that share a hash would be told in
//! one place, nothing else; of a million pointers two do so once in some forty million times.

use ahash::{AHashMap, RandomState};

use crate::diagnostic::Position;

/// Places by JSON pointer (RFC 6901): of the key for members, of the value otherwise.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    hasher: RandomState,
    /// Line and column.
    places: AHashMap<u64, (u32, u32)>,
}

impl Positions {
    /// Makes room for so many more: growing step by step would copy them all several times.
    pub fn reserve(&mut self, more: usize) {
        self.places.reserve(more);
    }

    pub fn insert(&mut self, pointer: &str, at: Position) {
        // A text has less than four billion bytes, so that this never is where it ends.
        let narrow = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let place = (narrow(at.line), narrow(at.column));
        self.places.insert(self.hasher.hash_one(pointer), place);
    }

    pub fn find(&self, pointer: &str) -> Option<Position> {
        let place = self.places.get(&self.hasher.hash_one(pointer));
        place.map(|&(line, column)| Position {
            line: line as usize,
            column: column as usize,
        })
    }

    /// The place of what a pointer leads to, or the nearest above it that exists.
    pub fn nearest(&self, mut pointer: &str) -> Option<Position> {
        loop {
            match (self.find(pointer), pointer.rfind('/')) {
                (Some(found), _) => return Some(found),
                (None, Some(end)) => pointer = &pointer[..end],
                (None, None) => return None,
            }
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_exist_stands_where_the_nearest_above_it_does() {
        let mut positions = Positions::default();
        let at = |line| Position { line, column: 7 };
        positions.insert("/a", at(2));
        positions.insert("/a/b/c", at(3));
        for (pointer, expected) in [
            ("/a/b/c/d", Some(at(3))),
            ("/a/b", Some(at(2))),
            ("/ab", None),
            ("", None),
        ] {
            assert_eq!(positions.nearest(pointer), expected, "{pointer}");
        }
        positions.insert("", at(1));
        assert_eq!(positions.nearest("/ab"), Some(at(1)));
        assert_eq!(positions.find("/ab"), None);
    }
}
