//! Letters, white space, NULs, and the words of a shell.
//!
//! Letters change case in ASCII only, as in ModSecurity; Coraza also changes those of other
//! scripts, where no rule looks.

use super::is_space;

pub(super) fn lowercase(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(u8::to_ascii_lowercase));
}

pub(super) fn uppercase(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(u8::to_ascii_uppercase));
}

pub(super) fn remove_nulls(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().filter(|&&byte| byte != 0));
}

pub(super) fn replace_nulls(input: &[u8], output: &mut Vec<u8>) {
    output.extend(
        input
            .iter()
            .map(|&byte| if byte == 0 { b' ' } else { byte }),
    );
}

pub(super) fn trim_left(input: &[u8], output: &mut Vec<u8>) {
    let start = input.iter().position(|&byte| !is_space(byte));
    output.extend_from_slice(&input[start.unwrap_or(input.len())..]);
}

pub(super) fn trim_right(input: &[u8], output: &mut Vec<u8>) {
    let last = input.iter().rposition(|&byte| !is_space(byte));
    output.extend_from_slice(&input[..last.map_or(0, |last| last + 1)]);
}

pub(super) fn trim(input: &[u8], output: &mut Vec<u8>) {
    let start = input.iter().position(|&byte| !is_space(byte));
    trim_right(&input[start.unwrap_or(input.len())..], output);
}

/// Every white space of Unicode, and the no-break space of Latin-1 where it is no part of UTF-8.
pub(super) fn remove_whitespace(input: &[u8], output: &mut Vec<u8>) {
    each_run(input, output, |run, output| match run {
        Run::Ascii(bytes) => retain(bytes, output, |byte| !is_space(byte)),
        Run::Other(character, bytes) => {
            if !character.map_or(bytes == b"\xA0", char::is_whitespace) {
                output.extend_from_slice(bytes);
            }
        }
    });
}

/// Runs of white space to one space; of those beyond ASCII only the ones of Latin-1.
pub(super) fn compress_whitespace(input: &[u8], output: &mut Vec<u8>) {
    let mut was_space = false;
    each_run(input, output, |run, output| match run {
        Run::Ascii(bytes) => {
            let start = output.len();
            retain(bytes, output, |byte| {
                let is_first = !(is_space(byte) && was_space);
                was_space = is_space(byte);
                is_first
            });
            for byte in &mut output[start..] {
                *byte = if is_space(*byte) { b' ' } else { *byte };
            }
        }
        Run::Other(character, bytes) => {
            let is_space = match character {
                Some(character) => matches!(character, '\u{85}' | '\u{A0}'),
                None => bytes == b"\xA0",
            };
            if !is_space {
                output.extend_from_slice(bytes);
            } else if !was_space {
                output.push(b' ');
            }
            was_space = is_space;
        }
    });
}

/// Appends the bytes that are to stay. Every byte is written, and the next one over it if it is
/// not: nothing has to be foreseen, where words and spaces take turns.
fn retain(bytes: &[u8], output: &mut Vec<u8>, mut stays: impl FnMut(u8) -> bool) {
    let start = output.len();
    output.resize(start + bytes.len(), 0);
    let room = &mut output[start..];
    let mut kept = 0;
    for &byte in bytes {
        room[kept] = byte;
        kept += usize::from(stays(byte));
    }
    output.truncate(start + kept);
}

/// Code points of UTF-8 beyond ASCII as `%uxxxx`. A byte that is no UTF-8 is U+FFFD, as in Coraza.
pub(super) fn utf8_to_unicode(input: &[u8], output: &mut Vec<u8>) {
    each_run(input, output, |run, output| {
        let code = match run {
            Run::Ascii(bytes) => return output.extend_from_slice(bytes),
            Run::Other(character, _) => character.map_or(0xFFFD, u32::from),
        };
        output.extend_from_slice(b"%u");
        let digits = if code > 0xF_FFFF {
            6
        } else if code > 0xFFFF {
            5
        } else {
            4
        };
        for digit in (0..digits).rev() {
            let value = code >> (4 * digit) & 15;
            output.extend(char::from_digit(value, 16).map(|digit| digit as u8));
        }
    });
}

/// A part of a value.
enum Run<'v> {
    Ascii(&'v [u8]),
    /// A character beyond ASCII with its bytes, or a byte that is no UTF-8.
    Other(Option<char>, &'v [u8]),
}

/// Visits a value in parts, as few as there are.
fn each_run(input: &[u8], output: &mut Vec<u8>, mut visit: impl FnMut(Run<'_>, &mut Vec<u8>)) {
    if input.is_ascii() {
        return visit(Run::Ascii(input), output);
    }
    for chunk in input.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(character) = rest.chars().next() {
            if character.is_ascii() {
                let bytes = rest.as_bytes();
                let end = bytes.iter().position(|byte| !byte.is_ascii());
                let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
                visit(Run::Ascii(run.as_bytes()), output);
                rest = after;
            } else {
                let (bytes, after) = rest.split_at(character.len_utf8());
                visit(Run::Other(Some(character), bytes.as_bytes()), output);
                rest = after;
            }
        }
        for byte in chunk.invalid().chunks(1) {
            visit(Run::Other(None, byte), output);
        }
    }
}

/// A command line as a shell reads it: quotes, backslashes and carets go; `,`, `;` and white space
/// become one space, none before `/` or `(`; letters become small.
pub(super) fn cmd_line(input: &[u8], output: &mut Vec<u8>) {
    let mut was_space = false;
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => continue,
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !was_space {
                    output.push(b' ');
                }
                was_space = true;
                continue;
            }
            b'/' | b'(' if was_space => {
                output.pop();
            }
            _ => {}
        }
        output.push(byte.to_ascii_lowercase());
        was_space = false;
    }
}

/// Each byte with the eighth bit so that the number of ones is even.
pub(super) fn parity_even(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|&byte| byte & 0x7F | parity(byte) << 7));
}

/// Each byte with the eighth bit so that the number of ones is odd.
pub(super) fn parity_odd(input: &[u8], output: &mut Vec<u8>) {
    output.extend(
        input
            .iter()
            .map(|&byte| byte & 0x7F | (parity(byte) ^ 1) << 7),
    );
}

/// Each byte without its eighth bit.
pub(super) fn parity_zero(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|&byte| byte & 0x7F));
}

/// Whether the number of ones in the lower seven bits is odd.
fn parity(byte: u8) -> u8 {
    ((byte & 0x7F).count_ones() & 1) as u8
}
