//! Steps over bytes of a text that is known to be UTF-8, sixteen or eight at a time.

use super::super::vector;

const ONES: u64 = 0x0101_0101_0101_0101;

/// The byte at a place; 0, which nothing of JSON begins with, after the end.
#[inline(always)]
pub fn byte(text: &[u8], at: usize) -> u8 {
    match text.get(at) {
        Some(byte) => *byte,
        None => nothing(),
    }
}

/// A call, so that the end of a text is a branch that is foreseen and not a choice of addresses
/// that every byte would have to wait for.
#[cold]
#[inline(never)]
fn nothing() -> u8 {
    0
}

/// The first place from `at` on that is not blank.
#[inline(always)]
pub fn blank(text: &[u8], at: usize) -> usize {
    match is_blank(byte(text, at)) {
        true => blanks(text, at + 1),
        false => at,
    }
}

#[inline(always)]
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[inline(never)]
fn blanks(text: &[u8], mut at: usize) -> usize {
    while is_blank(byte(text, at)) {
        at += 1;
    }
    at
}

/// The first quote, backslash or control character from `at` on, or the end.
#[inline(always)]
pub fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let found = vector::string_end(block);
        if found < block.len() {
            return at + found;
        }
        at += block.len();
    }
    let is_special = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// A number of up to seven bytes and no exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// Digits before a point, and their value.
    pub digits: usize,
    pub whole: u32,
    /// Whether there is a point, and something but zeros behind it.
    pub has_point: bool,
    pub has_fraction: bool,
    pub length: usize,
}

/// The number without its sign at a place. None: it is longer, or the text ends before eight bytes;
/// nothing is said of what is no number but that `digits` is 0 or a point has no digit behind it.
#[inline(always)]
pub fn short_number(text: &[u8], at: usize) -> Option<Short> {
    let eight = text.get(at..)?.first_chunk::<8>()?;
    short(u64::from_le_bytes(*eight))
}

/// The same of eight bytes, the first of them lowest.
#[inline(always)]
fn short(word: u64) -> Option<Short> {
    let digits = word ^ (u64::from(b'0') * ONES);
    // The highest bit of each byte that is not one of 0 to 9.
    let others = (((digits & (0x7F * ONES)) + 0x76 * ONES) | digits) & (0x80 * ONES);
    let count = others.trailing_zeros() as usize / 8;
    if count == 8 {
        return None;
    }
    let has_point = (word >> (8 * count)) as u8 == b'.';
    let (mut length, mut has_fraction) = (count, false);
    if has_point {
        let next = others & others.wrapping_sub(1);
        length = next.trailing_zeros() as usize / 8;
        if length == 8 || length == count + 1 {
            return None;
        }
        // What follows the fraction is moved out above, the point and what is before it below.
        let fraction = (digits << (8 * (8 - length))) >> (8 * (8 - length));
        has_fraction = fraction >> (8 * count + 8) != 0;
    }
    // An exponent is for others to read.
    if (word >> (8 * length)) as u8 | 0x20 == b'e' {
        return None;
    }
    Some(Short {
        digits: count,
        whole: whole(word, count),
        has_point,
        has_fraction,
        length,
    })
}

/// The value of up to seven digits, the first of them lowest.
#[inline(always)]
pub fn whole(word: u64, count: usize) -> u32 {
    // Moved up, so that what follows the digits is gone and zeros stand before them.
    let digits = ((word ^ (u64::from(b'0') * ONES)) << 8) << (56 - 8 * count);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn short_numbers_read_as_elsewhere(text in "([0-9]{0,5}\\.?[0-9]{0,5}|[0-9.eE]{0,6})[,}\\] ]{8}") {
            let number = text.trim_end_matches([',', '}', ']', ' ']);
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            if let Some(short) = short_number(text.as_bytes(), 0)
                && short.digits > 0
                && !text[short.length..].starts_with(['.', 'e', 'E'])
            {
                prop_assert_eq!(&text[..short.length], number);
                prop_assert!(are_digits(whole) && are_digits(fraction));
                prop_assert_eq!(short.whole, whole.parse::<u32>().unwrap());
                prop_assert_eq!(short.has_point, number.contains('.'));
                prop_assert_eq!(short.has_fraction, fraction.contains(|c| c != '0'));
            } else if number.len() < 8 && whole.parse::<u32>().is_ok() && are_digits(fraction) {
                prop_assert!(number.ends_with('.'), "{} is short", number);
            }
        }

        #[test]
        fn strings_end_where_a_plain_reader_says(text in "[a-z é\u{1}\u{1f} !\"#\\\\\\[\u{7f}]{0,60}", from in 0..8_usize) {
            let bytes = text.as_bytes();
            let from = from.min(bytes.len());
            let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            let rest = &bytes[from..];
            let expected = from + rest.iter().position(is_special).unwrap_or(rest.len());
            prop_assert_eq!(string_end(bytes, from), expected);
        }
    }
}
