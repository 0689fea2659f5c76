//! A set of rules, by small numbers.

use std::ops::{BitAnd, BitOr, BitOrAssign};

const WORDS: usize = 8;

/// How many rules one set can tell apart.
pub const ROOM: usize = WORDS * 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bits([u64; WORDS]);

impl Bits {
    pub fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    pub fn remove(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    pub fn contains(&self, number: usize) -> bool {
        let word = self.0.get(number / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub fn any(&self) -> bool {
        self.0.iter().fold(0, |all, word| all | word) != 0
    }

    /// Whether any is also in `other`.
    pub fn meets(&self, other: &Bits) -> bool {
        let both = self.0.iter().zip(other.0);
        both.fold(0, |all, (word, other)| all | (word & other)) != 0
    }

    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Those of these that are not in `other`.
    pub fn without(mut self, other: &Bits) -> Bits {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= !other;
        }
        self
    }

    pub fn iter(self) -> impl Iterator<Item = usize> {
        let words = self.0.into_iter().enumerate();
        words.flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                (word != 0).then(|| {
                    word &= word - 1;
                    at * 64 + bit
                })
            })
        })
    }
}

impl BitOrAssign for Bits {
    fn bitor_assign(&mut self, other: Bits) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
    }
}

impl BitOr for Bits {
    type Output = Bits;

    fn bitor(mut self, other: Bits) -> Bits {
        self |= other;
        self
    }
}

impl BitAnd for Bits {
    type Output = Bits;

    fn bitand(mut self, other: Bits) -> Bits {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_in_and_come_out() {
        let mut bits = Bits::default();
        for number in [0, 63, 64, ROOM - 1, ROOM] {
            bits.insert(number);
        }
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, ROOM - 1]);
        assert!(bits.contains(63) && !bits.contains(62) && !bits.contains(ROOM));
        let mut other = Bits::default();
        other.insert(63);
        assert_eq!((bits & other).count(), 1);
        assert!(bits.meets(&other) && !other.meets(&Bits::default()));
        assert_eq!(bits.without(&other).count(), 3);
        bits.remove(64);
        bits.remove(ROOM);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, ROOM - 1]);
    }
}
