//! Equality by value, with values of the schema and, by hashes, of items with each other.

use super::super::literal::Literal;
use super::super::names;
use super::Walk;

impl<'w> Walk<'w> {
    pub(super) fn is_one_of(
        &mut self,
        token: usize,
        texts: &[Box<str>],
        others: &[Literal],
    ) -> Option<bool> {
        if self.byte(token) == b'"' {
            return self.with_text(token, |_, text| {
                Some(texts.iter().any(|other| **other == *text))
            });
        }
        for other in others {
            if self.equals(token, other)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Equality by value with one of the schema.
    pub(super) fn equals(&mut self, token: usize, value: &Literal) -> Option<bool> {
        let first = self.byte(token);
        Some(match value {
            Literal::Null => first == b'n',
            Literal::Bool(true) => first == b't',
            Literal::Bool(false) => first == b'f',
            Literal::Text(text) => first == b'"' && self.is_text(token, text),
            Literal::Number(other) => {
                (first == b'-' || first.is_ascii_digit())
                    && other.number().compare(&self.number(token)?.0).is_eq()
            }
            Literal::List(list) => first == b'[' && self.equals_list(token, list)?,
            Literal::Members(members) => first == b'{' && self.equals_members(token, members)?,
        })
    }

    pub(super) fn equals_list(&mut self, token: usize, list: &[Literal]) -> Option<bool> {
        let (mut next, mut count) = (token + 1, 0);
        while let Some(item) = self.item(&mut next) {
            match list.get(count) {
                Some(other) if self.equals(item, other)? => count += 1,
                _ => return Some(false),
            }
        }
        Some(count == list.len())
    }

    pub(super) fn equals_members(
        &mut self,
        token: usize,
        members: &[(Box<str>, Literal)],
    ) -> Option<bool> {
        let (mut next, mut count) = (token + 1, 0);
        while let Some((name, value)) = self.member(&mut next) {
            let other = self.with_text(name, |_, text| Some(Literal::member(members, text)))?;
            match other {
                Some(other) if self.equals(value, &members[other].1)? => count += 1,
                _ => return Some(false),
            }
        }
        Some(count == members.len())
    }

    /// Equal for equal values: numbers however written, objects in any order.
    pub(super) fn hash(&mut self, token: usize) -> Option<u64> {
        use std::hash::{BuildHasher as _, Hasher as _};
        let mut state = self.memory.hasher.build_hasher();
        let first = self.byte(token);
        match first {
            b'"' => {
                state.write_u8(first);
                state.write_u64(self.hash_text(token));
            }
            b'[' => {
                state.write_u8(first);
                let mut next = token + 1;
                while let Some(item) = self.item(&mut next) {
                    state.write_u64(self.hash(item)?);
                }
            }
            b'{' => {
                let (mut next, mut sum) = (token + 1, 0_u64);
                while let Some((name, value)) = self.member(&mut next) {
                    let pair = (self.hash_text(name), self.hash(value)?);
                    sum = sum.wrapping_add(self.memory.hasher.hash_one(pair));
                }
                state.write_u8(first);
                state.write_u64(sum);
            }
            b't' | b'f' | b'n' => state.write_u8(first),
            _ => {
                state.write_u8(b'0');
                self.number(token)?.0.hash(&mut state);
            }
        }
        Some(state.finish())
    }

    fn hash_text(&self, token: usize) -> u64 {
        let has_escapes = self.memory.index.has_escapes();
        names::hash(&self.memory.hasher, self.raw(self.span(token)), has_escapes)
    }
}
