//! No object may name a member twice (RFC 8259 section 4): which of the two counts is anyone's guess.

use super::super::text;
use super::{FEW, Walk};

impl<'w> Walk<'w> {
    #[inline]
    pub(super) fn keep_name(&mut self, token: usize) {
        if !self.is_proved {
            let (start, end) = self.span(token);
            self.memory.names.push((start as u32, end as u32));
        }
    }

    /// No object may name a member twice (RFC 8259 section 4): which of the two counts is anyone's
    /// guess. The names are those kept from `first` on.
    pub(super) fn unique_names(&mut self, first: usize, token: usize) -> Option<()> {
        let names = &self.memory.names[first..];
        if names.len() < 2 {
            self.memory.names.truncate(first);
            return Some(());
        }
        let text = self.text.as_bytes();
        let has_escapes = self.memory.index.has_escapes();
        let is_unique = if names.len() <= FEW && !has_escapes {
            let of = |&(start, end): &(u32, u32)| &text[start as usize..end as usize];
            (1..names.len()).all(|at| {
                let name = of(&names[at]);
                names[..at].iter().all(|other| of(other) != name)
            })
        } else {
            // Keyed, so that a client cannot aim for collisions, which count as repetitions.
            let mut hashes = std::mem::take(&mut self.memory.hashes);
            let base = hashes.len();
            for at in first..self.memory.names.len() {
                let (start, end) = self.memory.names[at];
                hashes.push(self.hash_text((start as usize, end as usize)));
            }
            let own = &mut hashes[base..];
            own.sort_unstable();
            let is_unique = own.windows(2).all(|pair| pair[0] != pair[1]);
            hashes.truncate(base);
            self.memory.hashes = hashes;
            is_unique
        };
        self.memory.names.truncate(first);
        match is_unique {
            true => Some(()),
            false => self.broken(token, "unique names"),
        }
    }

    pub(super) fn hash_text(&self, span: (usize, usize)) -> u64 {
        use std::hash::{BuildHasher as _, Hasher as _};
        let mut state = self.memory.hasher.build_hasher();
        // One byte at a time where there are escapes, so that the pieces do not matter.
        match self.has_escape(span) {
            true => {
                let each = |piece: &str| piece.bytes().for_each(|byte| state.write_u8(byte));
                let _ = text::pieces(self.raw(span), each);
            }
            false => {
                let bytes = self.raw(span).bytes();
                match self.memory.index.has_escapes() {
                    true => bytes.for_each(|byte| state.write_u8(byte)),
                    false => state.write(self.raw(span).as_bytes()),
                }
            }
        }
        state.finish()
    }
}
