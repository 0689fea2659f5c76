//! No object may name a member twice (RFC 8259 section 4): which of the two counts is anyone's
//! guess.

use ahash::RandomState;

use super::text;

/// Objects up to here have their names compared one with another, larger ones by their hashes.
const FEW: usize = 12;

/// The names of the objects that are open, the innermost last.
#[derive(Debug, Default)]
pub struct Names {
    /// Where each begins and ends in the text.
    spans: Vec<(u32, u32)>,
    hashes: Vec<u64>,
    hasher: RandomState,
}

impl Names {
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn clear(&mut self) {
        self.spans.clear();
    }

    pub fn truncate(&mut self, len: usize) {
        self.spans.truncate(len);
    }

    #[inline]
    pub fn push(&mut self, (start, end): (usize, usize)) {
        self.spans.push((start as u32, end as u32));
    }

    /// Takes the names from `first` on away, and says whether no two are the same.
    pub fn are_unique(&mut self, first: usize, text: &str, has_escapes: bool) -> bool {
        let own = &self.spans[first..];
        if own.len() < 2 {
            self.spans.truncate(first);
            return true;
        }
        let of = |&(start, end): &(u32, u32)| &text.as_bytes()[start as usize..end as usize];
        let is_unique = if own.len() <= FEW && !has_escapes {
            (1..own.len()).all(|at| {
                let name = of(&own[at]);
                own[..at].iter().all(|other| of(other) != name)
            })
        } else {
            // Keyed, so that a client cannot aim for collisions, which count as repetitions.
            let hasher = &self.hasher;
            let raw = |&(start, end): &(u32, u32)| text.get(start as usize..end as usize);
            let hashes = own.iter().map(|span| {
                let raw = raw(span).unwrap_or_default();
                hash(hasher, raw, has_escapes)
            });
            self.hashes.clear();
            self.hashes.extend(hashes);
            self.hashes.sort_unstable();
            self.hashes.windows(2).all(|pair| pair[0] != pair[1])
        };
        self.spans.truncate(first);
        is_unique
    }
}

/// The hash of what stands between two quotes, the same for all ways to write it where
/// `has_escapes` is.
pub fn hash(hasher: &RandomState, raw: &str, has_escapes: bool) -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut state = hasher.build_hasher();
    match has_escapes {
        // One byte at a time, so that the pieces do not matter.
        true => {
            let each = |piece: &str| piece.bytes().for_each(|byte| state.write_u8(byte));
            let _ = text::pieces(raw, each);
        }
        false => state.write(raw.as_bytes()),
    }
    state.finish()
}
