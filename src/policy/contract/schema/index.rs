//! Where the structure of a JSON text stands: one pass of vector compares, 64 bytes at a time.
//!
//! Listed are the positions of `{}[]:,` outside strings, of both quotes of every string, and of the
//! first byte of everything else that is not blank. What stays true: a control character within a
//! string and a string without an end are refused here (RFC 8259 section 7); all other rules are
//! kept by who reads along the list.

use super::vector::{self, BLOCK, Masks};

/// The list of one text; kept and filled anew for the next.
#[derive(Debug, Default)]
pub struct Index {
    /// Longer than what is in use, so that it is cleared only when it grows.
    positions: Vec<u32>,
    len: usize,
    has_escapes: bool,
}

/// What one block leaves to the next.
#[derive(Default)]
pub struct Carry {
    /// All ones within a string.
    in_string: u64,
    /// One if the first byte is escaped.
    escaped: u64,
    /// One if the last byte belonged to a number or a literal.
    scalar: u64,
    /// Control characters seen within strings.
    refused: u64,
}

impl Index {
    /// None: not JSON, or too long for the positions.
    pub fn fill(&mut self, text: &[u8]) -> Option<()> {
        u32::try_from(text.len()).ok()?;
        self.clear();
        let mut carry = Carry::default();
        vector::each_block(text, self, &mut carry);
        carry.is_sound().then_some(())
    }

    pub fn clear(&mut self) {
        self.len = 0;
        self.has_escapes = false;
    }

    pub fn positions(&self) -> &[u32] {
        &self.positions[..self.len]
    }

    /// Whether there is a backslash anywhere.
    pub fn has_escapes(&self) -> bool {
        self.has_escapes
    }

    /// Takes the next block, which begins at `base`.
    #[inline(always)]
    pub fn block(&mut self, masks: &Masks, base: u32, carry: &mut Carry) {
        self.has_escapes |= masks.backslash != 0;
        let quote = masks.quote & !escaped(masks.backslash, &mut carry.escaped);
        // From each opening quote on, up to and without the closing one.
        let in_string = parity(quote) ^ carry.in_string;
        carry.in_string = 0_u64.wrapping_sub(in_string >> 63);
        carry.refused |= masks.control & in_string;
        let scalar = !(masks.structural | masks.blank | quote | in_string);
        let starts = scalar & !(scalar << 1 | carry.scalar);
        carry.scalar = scalar >> 63;
        self.list(masks.structural & !in_string | quote | starts, base);
    }

    #[inline(always)]
    fn list(&mut self, mut bits: u64, base: u32) {
        let count = bits.count_ones() as usize;
        if self.positions.len() < self.len + BLOCK {
            self.positions.resize(2 * self.len + 4 * BLOCK, 0);
        }
        let room = &mut self.positions[self.len..self.len + BLOCK];
        // Eight at a time and some for nothing, which is faster than asking after each.
        for slots in room.chunks_exact_mut(8).take(count.div_ceil(8)) {
            for slot in slots {
                *slot = base + bits.trailing_zeros();
                bits &= bits.wrapping_sub(1);
            }
        }
        self.len += count;
    }
}

impl Carry {
    /// After the last block: no control character in a string, and no string without an end.
    pub fn is_sound(&self) -> bool {
        self.refused == 0 && self.in_string == 0
    }
}

/// The bytes that a backslash before them escapes.
#[inline(always)]
fn escaped(backslash: u64, carry: &mut u64) -> u64 {
    let mut escaped = *carry;
    *carry = 0;
    let mut rest = backslash & !escaped;
    while rest != 0 {
        let first = rest & rest.wrapping_neg();
        let next = first << 1;
        // The last byte escapes the first of the next block.
        *carry = first >> 63;
        escaped |= next;
        rest &= !(first | next);
    }
    escaped
}

/// For each bit, whether the number of bits up to and with it is odd.
#[inline(always)]
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same list, byte by byte.
    fn plain(text: &[u8]) -> Option<Vec<u32>> {
        let (mut list, mut in_string, mut escape, mut scalar) = (Vec::new(), false, false, false);
        for (at, &byte) in text.iter().enumerate() {
            let is_escaped = std::mem::take(&mut escape);
            escape = byte == b'\\' && !is_escaped;
            let is_quote = byte == b'"' && !is_escaped;
            let is_structural = b"{}[]:,".contains(&byte);
            if in_string && !is_quote {
                if byte < 0x20 {
                    return None;
                }
                continue;
            }
            in_string ^= is_quote;
            let is_scalar = !is_quote && !is_structural && !b" \t\r\n".contains(&byte);
            if is_quote || is_structural || is_scalar && !scalar {
                list.push(at as u32);
            }
            scalar = is_scalar;
        }
        (!in_string).then_some(list)
    }

    fn listed(text: &[u8]) -> Option<Vec<u32>> {
        let mut index = Index::default();
        index.fill(text).map(|()| index.positions().to_vec())
    }

    proptest! {
        #[test]
        fn the_list_is_what_a_plain_reader_finds(text in "[\\[\\]{}:,\"\\\\ \na1\u{1}é]{0,200}") {
            prop_assert_eq!(listed(text.as_bytes()), plain(text.as_bytes()), "{}", text);
        }

        #[test]
        fn runs_of_backslashes_cross_blocks(before in 0..70_usize, run in 0..140_usize) {
            let text = format!("\"{}{}\" ,", "a".repeat(before), "\\".repeat(run));
            prop_assert_eq!(listed(text.as_bytes()), plain(text.as_bytes()));
        }
    }
}
