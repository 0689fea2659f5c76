//! Backslash escapes: of JavaScript, of CSS and of C.
//!
//! JavaScript and C escapes give one byte each, as ModSecurity narrows them. Of a CSS escape all
//! digits count and the code point is written in UTF-8 (CSS Syntax section 4.3.7), as Coraza does;
//! ModSecurity takes the last two digits.

use super::{hex, hex_digit};

/// `\uHHHH` (the low byte; full-width forms to ASCII), `\xHH`, `\OOO` and the letters.
pub(super) fn js_decode(input: &[u8], output: &mut Vec<u8>) {
    each_escape(input, output, |rest| match rest {
        [_, b'u', a, b, c, d, ..] if let Some(byte) = js_unicode([*a, *b, *c, *d]) => {
            (Some(byte), 6)
        }
        [_, b'x', high, low, ..] if let Some(byte) = hex(*high, *low) => (Some(byte), 4),
        [_, b'0'..=b'7', ..] => {
            let (mut value, mut length) = octal(rest);
            // Three digits only when they fit a byte.
            if value > 255 {
                (value, length) = (value >> 3, 3);
            }
            (Some(value as u8), length)
        }
        [_, letter, ..] => (Some(c_letter(*letter).unwrap_or(*letter)), 2),
        _ => (Some(b'\\'), 1),
    });
}

fn js_unicode([a, b, c, d]: [u8; 4]) -> Option<u8> {
    let (high, low) = (hex(a, b)?, hex(c, d)?);
    let is_full_width = high == 0xFF && (0x01..0x5F).contains(&low);
    Some(if is_full_width { low + 0x20 } else { low })
}

/// The letters, `\xHH`, `\OOO`; of anything else the backslash goes.
pub(super) fn escape_seq_decode(input: &[u8], output: &mut Vec<u8>) {
    each_escape(input, output, |rest| match rest {
        [_, b'x' | b'X', high, low, ..] if let Some(byte) = hex(*high, *low) => (Some(byte), 4),
        [_, b'0'..=b'7', ..] => {
            let (value, length) = octal(rest);
            (Some(u8::try_from(value).unwrap_or(255)), length)
        }
        [_, letter, ..] => (Some(c_letter(*letter).unwrap_or(*letter)), 2),
        _ => (Some(b'\\'), 1),
    });
}

/// Copies what is no escape; `decode` says what the escape at its start gives and how long it is.
fn each_escape(input: &[u8], output: &mut Vec<u8>, decode: impl Fn(&[u8]) -> (Option<u8>, usize)) {
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        output.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (byte, length) = decode(rest);
        output.extend(byte);
        rest = &rest[length..];
    }
    output.extend_from_slice(rest);
}

/// The value of one to three octal digits after a backslash, and their length with it.
fn octal(rest: &[u8]) -> (u16, usize) {
    let digits = rest[1..].iter().take(3);
    let digits = digits.take_while(|byte| matches!(byte, b'0'..=b'7'));
    digits.fold((0, 1), |(value, length), &digit| {
        (value << 3 | u16::from(digit - b'0'), length + 1)
    })
}

fn c_letter(letter: u8) -> Option<u8> {
    match letter {
        b'a' => Some(0x07),
        b'b' => Some(0x08),
        b'f' => Some(0x0C),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'v' => Some(0x0B),
        _ => None,
    }
}

/// One to six digits and one white space behind them; an escaped line end goes.
pub(super) fn css_decode(input: &[u8], output: &mut Vec<u8>) {
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        output.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let (code, digits) = css_code(rest);
        rest = match rest {
            _ if digits > 0 => {
                push_code(code, output);
                let rest = &rest[digits..];
                let is_space = rest.first().is_some_and(|&byte| super::is_space(byte));
                &rest[usize::from(is_space)..]
            }
            [b'\n', after @ ..] => after,
            [other, after @ ..] => {
                output.push(*other);
                after
            }
            // Continued to nothing.
            [] => rest,
        };
    }
    output.extend_from_slice(rest);
}

fn css_code(rest: &[u8]) -> (u32, usize) {
    let digits = rest.iter().take(6).map_while(|&byte| hex_digit(byte));
    digits.fold((0, 0), |(code, count), digit| {
        (code << 4 | u32::from(digit), count + 1)
    })
}

fn push_code(code: u32, output: &mut Vec<u8>) {
    let code = match code {
        0xFF01..=0xFF5E => code - 0xFEE0,
        0 => 0xFFFD,
        _ => code,
    };
    let code = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    output.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
}
