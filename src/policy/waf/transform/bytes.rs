//! Which bytes a value holds, and which telling pairs: enough to see that a transformation would
//! change nothing, without running it.

/// Two bytes that stand side by side somewhere in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Pair {
    /// A space before a space.
    Spaces = 1,
    /// A space before `/` or `(`.
    SpaceBeforeOpening = 2,
    /// `//`, `/.`, or a dot at the very beginning: a path that may be written shorter.
    PathStep = 4,
    /// `/*`
    CommentOpens = 8,
    /// `*/`
    CommentCloses = 16,
    /// `--`
    Dashes = 32,
    /// `<!`
    Markup = 64,
    /// `%` before a hexadecimal digit or a `u`.
    Escape = 128,
}

/// A 256-bit map of the bytes that are present in a value, and its [`Pair`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteSet {
    bits: [u64; 4],
    pairs: u8,
}

/// Of which pairs a byte may be the first.
const FIRST: [u8; 256] = {
    let mut table = [0; 256];
    table[b' ' as usize] = Pair::Spaces as u8 | Pair::SpaceBeforeOpening as u8;
    table[b'/' as usize] = Pair::PathStep as u8 | Pair::CommentOpens as u8;
    table[b'*' as usize] = Pair::CommentCloses as u8;
    table[b'-' as usize] = Pair::Dashes as u8;
    table[b'<' as usize] = Pair::Markup as u8;
    table[b'%' as usize] = Pair::Escape as u8;
    table
};

/// Of which pairs a byte may be the second.
const SECOND: [u8; 256] = {
    let mut table = [0; 256];
    table[b' ' as usize] = Pair::Spaces as u8;
    table[b'(' as usize] = Pair::SpaceBeforeOpening as u8;
    table[b'/' as usize] =
        Pair::SpaceBeforeOpening as u8 | Pair::PathStep as u8 | Pair::CommentCloses as u8;
    table[b'.' as usize] = Pair::PathStep as u8;
    table[b'*' as usize] = Pair::CommentOpens as u8;
    table[b'-' as usize] = Pair::Dashes as u8;
    table[b'!' as usize] = Pair::Markup as u8;
    let mut byte = 0;
    while byte < 256 {
        let is_escape = matches!(byte as u8, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'u' | b'U');
        if is_escape {
            table[byte] |= Pair::Escape as u8;
        }
        byte += 1;
    }
    table
};

/// From here on it pays to take notes in a table first: a bit in a word waits for the one before.
const LONG: usize = 48;

/// Moves the lowest bits of eight bytes into the topmost byte, in their order.
const GATHER: u64 = 0x0102_0408_1020_4080;

impl ByteSet {
    /// What `value` holds.
    pub fn of(value: &[u8]) -> ByteSet {
        let mut set = ByteSet::default();
        if value.first() == Some(&b'.') {
            set.pairs |= Pair::PathStep as u8;
        }
        let mut before = 0;
        let mut pairs = |byte: u8| {
            set.pairs |= FIRST[usize::from(before)] & SECOND[usize::from(byte)];
            before = byte;
        };
        if value.len() < LONG {
            for &byte in value {
                set.bits[usize::from(byte >> 6)] |= 1 << (byte & 63);
                pairs(byte);
            }
            return set;
        }
        let mut is_there = [0_u8; 256];
        for &byte in value {
            is_there[usize::from(byte)] = 1;
            pairs(byte);
        }
        let (eights, _) = is_there.as_chunks::<8>();
        for (word, eights) in set.bits.iter_mut().zip(eights.chunks_exact(8)) {
            *word = eights.iter().rev().fold(0, |word, &eight| {
                word << 8 | u64::from_le_bytes(eight).wrapping_mul(GATHER) >> 56
            });
        }
        set
    }

    /// The bytes that are named, and no pair: for masks.
    pub const fn named(bytes: &[u8]) -> ByteSet {
        let mut bits = [0; 4];
        let mut at = 0;
        while at < bytes.len() {
            bits[(bytes[at] >> 6) as usize] |= 1 << (bytes[at] & 63);
            at += 1;
        }
        ByteSet { bits, pairs: 0 }
    }

    /// All bytes from `first` to `last`, and no pair.
    pub const fn range(first: u8, last: u8) -> ByteSet {
        let mut bits = [0; 4];
        let mut byte = first as usize;
        while byte <= last as usize {
            bits[byte >> 6] |= 1 << (byte & 63);
            byte += 1;
        }
        ByteSet { bits, pairs: 0 }
    }

    /// The bytes of both.
    pub const fn or(self, other: ByteSet) -> ByteSet {
        let mut bits = self.bits;
        let mut at = 0;
        while at < 4 {
            bits[at] |= other.bits[at];
            at += 1;
        }
        ByteSet {
            bits,
            pairs: self.pairs | other.pairs,
        }
    }

    /// The bytes that are not there.
    pub const fn complement(self) -> ByteSet {
        let [a, b, c, d] = self.bits;
        ByteSet {
            bits: [!a, !b, !c, !d],
            pairs: 0,
        }
    }

    pub const fn contains(&self, byte: u8) -> bool {
        self.bits[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }

    /// The bytes in order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let words = (0_u8..).zip(self.bits);
        words.flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as u8;
                (word != 0).then(|| {
                    word &= word - 1;
                    at * 64 + bit
                })
            })
        })
    }

    /// What the same value holds after its capitals were made small: no pair tells of case.
    pub fn in_small_letters(mut self) -> ByteSet {
        let capitals = self.bits[1] & 0x07ff_fffe;
        self.bits[1] = (self.bits[1] & !capitals) | capitals << 32;
        self
    }

    /// Whether any byte is in both.
    pub const fn meets(&self, other: &ByteSet) -> bool {
        let mut at = 0;
        let mut both = 0;
        while at < 4 {
            both |= self.bits[at] & other.bits[at];
            at += 1;
        }
        both != 0
    }

    /// The bytes in both, and no pair.
    pub fn and(self, other: &ByteSet) -> ByteSet {
        let mut bits = self.bits;
        bits.iter_mut()
            .zip(other.bits)
            .for_each(|(word, other)| *word &= other);
        ByteSet { bits, pairs: 0 }
    }

    /// Whether the pair stands anywhere in the value.
    pub const fn has(&self, pair: Pair) -> bool {
        self.pairs & pair as u8 != 0
    }

    pub const fn is_empty(&self) -> bool {
        self.bits[0] | self.bits[1] | self.bits[2] | self.bits[3] == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_seen_where_they_stand_together() {
        for (value, pair) in [
            (&b"a  b"[..], Pair::Spaces),
            (b"cat /etc", Pair::SpaceBeforeOpening),
            (b"f (x)", Pair::SpaceBeforeOpening),
            (b"a//b", Pair::PathStep),
            (b"a/../b", Pair::PathStep),
            (b"./a", Pair::PathStep),
            (b"1/**/", Pair::CommentOpens),
            (b"1*/", Pair::CommentCloses),
            (b"1--", Pair::Dashes),
            (b"<!--", Pair::Markup),
            (b"%2f", Pair::Escape),
            (b"%u0041", Pair::Escape),
        ] {
            assert!(ByteSet::of(value).has(pair), "{pair:?}");
        }
        let plain = ByteSet::of(b"/a/b.c - d, 100 % * <x>");
        for pair in [
            Pair::Spaces,
            Pair::PathStep,
            Pair::CommentOpens,
            Pair::Dashes,
            Pair::Escape,
        ] {
            assert!(!plain.has(pair), "{pair:?}");
        }
    }

    #[test]
    fn long_values_are_seen_as_short_ones_are() {
        // A dot at the beginning counts as a pair by itself.
        let but_dots = |set: ByteSet| set.pairs & !(Pair::PathStep as u8);
        for step in 1..=u8::MAX {
            let part: Vec<u8> = (0..=u8::MAX).step_by(usize::from(step)).collect();
            let long = part.repeat(LONG);
            let two = long.windows(2).map(ByteSet::of);
            let expected = two.fold(ByteSet::default(), ByteSet::or);
            let found = ByteSet::of(&long);
            assert_eq!(found.bits, expected.bits);
            assert_eq!(but_dots(found), but_dots(expected));
        }
    }

    proptest! {
        #[test]
        fn holds_exactly_the_bytes_of_the_value(value: Vec<u8>) {
            let set = ByteSet::of(&value);
            for byte in 0..=255 {
                prop_assert_eq!(set.contains(byte), value.contains(&byte));
            }
            prop_assert!(set.iter().eq((0..=255).filter(|&byte| set.contains(byte))));
            prop_assert_eq!(set.is_empty(), value.is_empty());
            prop_assert_eq!(set.in_small_letters(), ByteSet::of(&value.to_ascii_lowercase()));
            let both = set.and(&ByteSet::range(b'a', 0xff));
            prop_assert!(both.iter().eq(set.iter().filter(|&byte| byte >= b'a')));
            prop_assert!(set.or(ByteSet::named(b"x")).meets(&ByteSet::range(b'x', b'x')));
        }
    }
}
