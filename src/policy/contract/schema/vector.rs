//! Vector compares over blocks of 64 bytes, with a plain way for processors without them.
//!
//! The only `unsafe` of the policies: a function that uses instructions beyond the baseline may be
//! called only where the processor has been asked for them, which is done right here.

use super::index::{Carry, Index};

/// Bytes looked at in one step, one bit each.
pub const BLOCK: usize = 64;

/// One bit for each byte of a block.
pub struct Masks {
    pub quote: u64,
    pub backslash: u64,
    /// `{}[]:,`
    pub structural: u64,
    /// The four blanks of JSON.
    pub blank: u64,
    /// Below 0x20.
    pub control: u64,
}

/// Gives the masks of all blocks of a text to an index; the last is filled up with blanks.
pub fn each_block(text: &[u8], index: &mut Index, carry: &mut Carry) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let has_bits = has!("bmi1") && has!("bmi2") && has!("popcnt");
        if has_bits && has!("avx512f") && has!("avx512bw") {
            #[expect(unsafe_code, reason = "the processor has just been asked")]
            // SAFETY: the features that the function enables were detected in the line above.
            unsafe {
                each_block_avx512(text, index, carry);
            }
            return;
        }
        if has_bits && has!("avx2") {
            #[expect(unsafe_code, reason = "the processor has just been asked")]
            // SAFETY: the features that the function enables were detected in the line above.
            unsafe {
                each_block_avx2(text, index, carry);
            }
            return;
        }
    }
    walk(text, index, carry, plain);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn each_block_avx2(text: &[u8], index: &mut Index, carry: &mut Carry) {
    walk(text, index, carry, |block| avx2(block));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,popcnt")]
fn each_block_avx512(text: &[u8], index: &mut Index, carry: &mut Carry) {
    walk(text, index, carry, |block| avx512(block));
}

#[inline(always)]
fn walk(text: &[u8], index: &mut Index, carry: &mut Carry, masks: impl Fn(&[u8; BLOCK]) -> Masks) {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let mut base = 0;
    for block in blocks {
        index.block(&masks(block), base, carry);
        base += BLOCK as u32;
    }
    if !rest.is_empty() {
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        index.block(&masks(&last), base, carry);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn avx512(block: &[u8; BLOCK]) -> Masks {
    use std::arch::x86_64::{
        _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_or_si512,
        _mm512_set1_epi8,
    };
    #[expect(
        unsafe_code,
        reason = "there is no safe load that stays one instruction"
    )]
    // SAFETY: a block is 64 bytes long, which is what is read; no alignment is asked for.
    let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    let folded = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
    let is = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8));
    let pairs = |byte: u8| _mm512_cmpeq_epi8_mask(folded, _mm512_set1_epi8(byte as i8));
    Masks {
        quote: is(b'"'),
        backslash: is(b'\\'),
        structural: pairs(b'{') | pairs(b'}') | is(b':') | is(b','),
        blank: is(b' ') | is(b'\n') | is(b'\r') | is(b'\t'),
        control: _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)),
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn avx2(block: &[u8; BLOCK]) -> Masks {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8,
    };
    let (halves, _) = block.as_chunks::<{ BLOCK / 2 }>();
    #[expect(
        unsafe_code,
        reason = "there is no safe load that stays one instruction"
    )]
    // SAFETY: a half is 32 bytes long, which is what is read; no alignment is asked for.
    let load = |half: &[u8; BLOCK / 2]| unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
    let (low, high) = (load(&halves[0]), load(&halves[1]));
    let is = |bytes: __m256i, byte: u8| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte as i8));
    let either = |a, b| _mm256_or_si256(a, b);
    let bits = |low, high| {
        // Kept apart, or the compiler makes one mask of 64 lanes, which it takes from there by ones.
        let word = |found| u64::from(std::hint::black_box(_mm256_movemask_epi8(found) as u32));
        word(low) | word(high) << 32
    };
    // Brackets differ from braces in one bit.
    let structural = |bytes| {
        let folded = either(bytes, _mm256_set1_epi8(0x20));
        let paired = either(is(folded, b'{'), is(folded, b'}'));
        either(paired, either(is(bytes, b':'), is(bytes, b',')))
    };
    let blank = |bytes| {
        let lines = either(is(bytes, b'\n'), is(bytes, b'\r'));
        either(lines, either(is(bytes, b' '), is(bytes, b'\t')))
    };
    let control = |bytes| {
        let least = _mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f));
        _mm256_cmpeq_epi8(least, bytes)
    };
    Masks {
        quote: bits(is(low, b'"'), is(high, b'"')),
        backslash: bits(is(low, b'\\'), is(high, b'\\')),
        structural: bits(structural(low), structural(high)),
        blank: bits(blank(low), blank(high)),
        control: bits(control(low), control(high)),
    }
}

/// The first quote, backslash or control character of sixteen bytes; sixteen if there is none.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn string_end(block: &[u8; 16]) -> usize {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    #[expect(
        unsafe_code,
        reason = "these instructions are part of the architecture"
    )]
    // SAFETY: every processor of this architecture has SSE2; a block is 16 bytes long, which is
    // what is read, and no alignment is asked for.
    let found = unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast());
        let is = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        _mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(is(b'"'), is(b'\\'))))
    };
    (found as u32 | 1 << 16).trailing_zeros() as usize
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn string_end(block: &[u8; 16]) -> usize {
    string_end_of_words(block)
}

/// The same in two words of eight bytes, the first byte of each lowest.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn string_end_of_words(block: &[u8; 16]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (halves, _) = block.as_chunks::<8>();
    let end = |half: &[u8; 8]| {
        let word = u64::from_le_bytes(*half);
        // Only the lowest bit that is set is sure to be right: above it there may be a borrow.
        let below = |word: u64, bound: u64| word.wrapping_sub(bound * ONES) & !word & (0x80 * ONES);
        let is = |byte: u8| below(word ^ (u64::from(byte) * ONES), 1);
        (below(word, 0x20) | is(b'"') | is(b'\\')).trailing_zeros() as usize / 8
    };
    match end(&halves[0]) {
        8 => 8 + end(&halves[1]),
        at => at,
    }
}

/// Which of sixteen bytes are no digits, the first of them lowest.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn others_than_digits(block: &[u8; 16]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_set1_epi8,
        _mm_sub_epi8,
    };
    #[expect(
        unsafe_code,
        reason = "these instructions are part of the architecture"
    )]
    // SAFETY: every processor of this architecture has SSE2; a block is 16 bytes long, which is
    // what is read, and no alignment is asked for.
    let digits = unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast());
        let values = _mm_sub_epi8(bytes, _mm_set1_epi8(b'0' as i8));
        _mm_movemask_epi8(_mm_cmpeq_epi8(
            _mm_min_epu8(values, _mm_set1_epi8(9)),
            values,
        ))
    };
    digits as u32 ^ 0xFFFF
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn others_than_digits(block: &[u8; 16]) -> u32 {
    others_than_digits_one_by_one(block)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn others_than_digits_one_by_one(block: &[u8; 16]) -> u32 {
    let bytes = block.iter().enumerate();
    bytes.fold(0, |bits, (at, byte)| {
        bits | u32::from(!byte.is_ascii_digit()) << at
    })
}

fn plain(block: &[u8; BLOCK]) -> Masks {
    let gather = |test: fn(u8) -> bool| {
        let bytes = block.iter().enumerate();
        bytes.fold(0, |bits, (at, &byte)| bits | u64::from(test(byte)) << at)
    };
    Masks {
        quote: gather(|byte| byte == b'"'),
        backslash: gather(|byte| byte == b'\\'),
        structural: gather(|byte| matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',')),
        blank: gather(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')),
        control: gather(|byte| byte < 0x20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_end_at_the_same_byte(block in proptest::array::uniform16(prop_oneof![any::<u8>(), proptest::sample::select(&b" !\"#[\\\x1f\x7f\x80\xff"[..])])) {
            let is_end = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            let expected = block.iter().position(is_end).unwrap_or(16);
            prop_assert_eq!(string_end(&block), expected);
            prop_assert_eq!(string_end_of_words(&block), expected);
        }

        #[test]
        fn digits_are_the_same(block in proptest::array::uniform16(prop_oneof![any::<u8>(), proptest::sample::select(&b"0123456789/:.,"[..])])) {
            prop_assert_eq!(others_than_digits(&block), others_than_digits_one_by_one(&block));
        }

        #[test]
        fn both_ways_find_the_same(text in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(&b"{}[]:,\"\\ \n"[..])], 0..300)) {
            let (mut with, mut without) = (Index::default(), Index::default());
            let accepted = with.fill(&text).is_some();
            let mut carry = Carry::default();
            without.clear();
            walk(&text, &mut without, &mut carry, plain);
            prop_assert_eq!(with.positions(), without.positions());
            prop_assert_eq!(accepted, carry.is_sound());
        }
    }
}
