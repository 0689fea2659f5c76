//! Base64 (RFC 4648), hexadecimal, digests and lengths.

use aws_lc_rs::digest;

use super::{hex, hex_digit, md5};

/// The value of a digit of base64; `ext` takes the URL alphabet too.
fn sextet(byte: u8, ext: bool) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        b'-' if ext => 62,
        b'_' if ext => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// Up to the first byte that is none of the alphabet. Padding is not asked for, line ends are
/// skipped.
pub(super) fn base64_decode(input: &[u8], output: &mut Vec<u8>) {
    let digits = input
        .iter()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .map_while(|&byte| sextet(byte, false));
    base64(digits, output);
}

/// To the padding; whatever is none of the alphabet is skipped, as lenient decoders do.
pub(super) fn base64_decode_ext(input: &[u8], output: &mut Vec<u8>) {
    let digits = input
        .iter()
        .take_while(|&&byte| byte != b'=')
        .filter_map(|&byte| sextet(byte, true));
    base64(digits, output);
}

fn base64(digits: impl Iterator<Item = u32>, output: &mut Vec<u8>) {
    let mut bits = 0;
    let mut count = 0;
    for digit in digits {
        bits = bits << 6 | digit;
        count += 1;
        if count == 4 {
            output.extend_from_slice(&[(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]);
            (bits, count) = (0, 0);
        }
    }
    match count {
        2 => output.push((bits >> 4) as u8),
        3 => output.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => {}
    }
}

pub(super) fn base64_encode(input: &[u8], output: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in input.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS[(bits >> shift & 63) as usize];
            output.push(if at <= group.len() { digit } else { b'=' });
        }
    }
}

/// Only when all of it is pairs of digits; anything else stays as it is.
pub(super) fn hex_decode(input: &[u8], output: &mut Vec<u8>) {
    let is_hex = input.len().is_multiple_of(2) && input.iter().all(u8::is_ascii_hexdigit);
    if !is_hex {
        output.extend_from_slice(input);
        return;
    }
    output.extend(input.chunks(2).filter_map(|pair| hex(pair[0], pair[1])));
}

pub(super) fn hex_encode(input: &[u8], output: &mut Vec<u8>) {
    input.iter().for_each(|&byte| push_hex(byte, output));
}

pub(super) fn push_hex(byte: u8, output: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    output.push(DIGITS[usize::from(byte >> 4)]);
    output.push(DIGITS[usize::from(byte & 15)]);
}

/// `0x` and pairs of digits, as SQL writes strings, to their bytes.
pub(super) fn sql_hex_decode(input: &[u8], output: &mut Vec<u8>) {
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'0', rest) {
        output.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        match rest {
            [_, b'x' | b'X', high, low, ..]
                if hex_digit(*high).is_some() && hex_digit(*low).is_some() =>
            {
                rest = &rest[2..];
                while let [high, low, after @ ..] = rest
                    && let Some(byte) = hex(*high, *low)
                {
                    output.push(byte);
                    rest = after;
                }
            }
            _ => {
                output.push(b'0');
                rest = &rest[1..];
            }
        }
    }
    output.extend_from_slice(rest);
}

/// The number of bytes, in decimal digits.
pub(super) fn length(input: &[u8], output: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    output.extend_from_slice(digits.format(input.len()).as_bytes());
}

/// The 16 bytes of the digest.
pub(super) fn md5_digest(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&md5::digest(input));
}

/// The 20 bytes of the digest.
pub(super) fn sha1_digest(input: &[u8], output: &mut Vec<u8>) {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, input);
    output.extend_from_slice(digest.as_ref());
}
