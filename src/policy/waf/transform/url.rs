//! Percent-encoding (RFC 3986 section 2.1, with `+` for a space as forms write it).

use super::best_fit::best_fit;
use super::{hex, hex_digit};

/// `%XX` to a byte and `+` to a space; what is no escape stays.
pub(super) fn decode(input: &[u8], output: &mut Vec<u8>) {
    let mut rest = input;
    while let Some(at) = memchr::memchr2(b'%', b'+', rest) {
        output.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (byte, length) = escape(rest);
        output.push(byte);
        rest = &rest[length..];
    }
    output.extend_from_slice(rest);
}

/// As [`decode`], and `%uXXXX` as IIS narrows it.
pub(super) fn decode_uni(input: &[u8], output: &mut Vec<u8>) {
    let mut rest = input;
    while let Some(at) = memchr::memchr2(b'%', b'+', rest) {
        output.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (byte, length) = unicode_escape(rest).unwrap_or_else(|| escape(rest));
        output.push(byte);
        rest = &rest[length..];
    }
    output.extend_from_slice(rest);
}

/// As [`decode_uni`], but `+` stays: of a value that was decoded once, it is an operator.
pub(super) fn decode_percent(input: &[u8], output: &mut Vec<u8>) {
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'%', rest) {
        output.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (byte, length) = unicode_escape(rest).unwrap_or_else(|| escape(rest));
        output.push(byte);
        rest = &rest[length..];
    }
    output.extend_from_slice(rest);
}

/// The byte that `%XX` or `+` at the start of `rest` stands for, and its length there.
fn escape(rest: &[u8]) -> (u8, usize) {
    match rest {
        [b'+', ..] => (b' ', 1),
        [b'%', high, low, ..] => match hex(*high, *low) {
            Some(byte) => (byte, 3),
            None => (b'%', 1),
        },
        _ => (b'%', 1),
    }
}

fn unicode_escape(rest: &[u8]) -> Option<(u8, usize)> {
    let [b'%', b'u' | b'U', digits @ ..] = rest else {
        return None;
    };
    let mut code = 0;
    for &digit in digits.get(..4)? {
        code = code << 4 | u16::from(hex_digit(digit)?);
    }
    // Servers without a near character keep the low byte.
    Some((best_fit(code).unwrap_or(code as u8), 6))
}

/// Everything but letters, digits and `*`; a space as `+`.
pub(super) fn encode(input: &[u8], output: &mut Vec<u8>) {
    for &byte in input {
        match byte {
            b' ' => output.push(b'+'),
            b'*' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => output.push(byte),
            _ => {
                output.push(b'%');
                super::code::push_hex(byte, output);
            }
        }
    }
}
