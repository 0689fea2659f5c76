//! Character references of HTML (the HTML standard section 13.2.5.72), as they are read in text.
//!
//! `entities.txt` holds the names of the standard, sorted, with their code points. ModSecurity
//! knows five of them; Coraza and browsers know all, so all are decoded. A reference without a
//! single digit stays as it is, as the standard says.

use std::ops::RangeInclusive;

const NAMES: &str = include_str!("entities.txt");

const COUNT: usize = count();

/// Where each line of [`NAMES`] begins.
const LINES: [u16; COUNT] = lines();

/// Names begin with a letter, and one of these follows.
const FIRST: RangeInclusive<u8> = b'A'..=b'z';
const SECOND: RangeInclusive<u8> = b'0'..=b'z';
const SECONDS: usize = (*SECOND.end() - *SECOND.start()) as usize + 1;
const PAIRS: usize = (*FIRST.end() - *FIRST.start() + 1) as usize * SECONDS;

/// By the first two bytes of a name: which of [`LINES`] is the first that begins so, or with later
/// ones. Of the names of one first letter there are up to 200; of two bytes, 20 at most but for
/// a few.
const BEGINNINGS: [u16; PAIRS + 1] = {
    let mut beginnings = [COUNT as u16; PAIRS + 1];
    let (mut line, mut pair) = (COUNT, PAIRS);
    while pair > 0 {
        pair -= 1;
        while line > 0 && pair_at(LINES[line - 1] as usize) >= pair {
            line -= 1;
        }
        beginnings[pair] = line as u16;
    }
    beginnings
};

const fn pair_at(at: usize) -> usize {
    let bytes = NAMES.as_bytes();
    pair(bytes[at], bytes[at + 1])
}

/// The number of a pair of bytes in these ranges.
const fn pair(first: u8, second: u8) -> usize {
    (first - *FIRST.start()) as usize * SECONDS + (second - *SECOND.start()) as usize
}

const fn count() -> usize {
    let bytes = NAMES.as_bytes();
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        count += (bytes[at] == b'\n') as usize;
        at += 1;
    }
    count
}

const fn lines() -> [u16; COUNT] {
    let bytes = NAMES.as_bytes();
    assert!(bytes.len() <= u16::MAX as usize);
    let mut lines = [0; COUNT];
    let (mut at, mut line) = (0, 1);
    while line < COUNT {
        if bytes[at] == b'\n' {
            lines[line] = at as u16 + 1;
            line += 1;
        }
        at += 1;
    }
    lines
}

pub(super) fn decode(input: &[u8], output: &mut Vec<u8>) {
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'&', rest) {
        output.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let length = match rest {
            [_, b'#', ..] => numeric(rest, output),
            _ => named(rest, output),
        };
        if length == 0 {
            output.push(b'&');
        }
        rest = &rest[length.max(1)..];
    }
    output.extend_from_slice(rest);
}

/// The length of `&#65;` or `&#x41;` at the start of `rest`, decoded; zero if there is none.
fn numeric(rest: &[u8], output: &mut Vec<u8>) -> usize {
    let (radix, start) = match rest.get(2) {
        Some(b'x' | b'X') => (16, 3),
        _ => (10, 2),
    };
    let digits = rest[start..]
        .iter()
        .map_while(|&byte| char::from(byte).to_digit(radix));
    let (code, count) = digits.fold((0_u32, 0), |(code, count), digit| {
        let code = code.saturating_mul(radix).saturating_add(digit);
        (code, count + 1)
    });
    if count == 0 {
        return 0;
    }
    let end = start + count;
    push(standard(code), output);
    end + usize::from(rest.get(end) == Some(&b';'))
}

/// Code points that the standard replaces: C1 controls are read as windows-1252.
fn standard(code: u32) -> u32 {
    const WINDOWS_1252: [u16; 32] = [
        0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D, 0x017D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013,
        0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
    ];
    match code {
        0 => 0xFFFD,
        0x80..=0x9F => WINDOWS_1252[code as usize - 0x80].into(),
        _ => code,
    }
}

fn push(code: u32, output: &mut Vec<u8>) {
    let code = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    output.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The length of `&name;` at the start of `rest`, decoded; zero if the name is unknown. Old names
/// are read without a semicolon too, the longest that fits.
fn named(rest: &[u8], output: &mut Vec<u8>) -> usize {
    match longest(&rest[1..]) {
        Some((length, codes)) => {
            push_all(codes, output);
            1 + length
        }
        None => 0,
    }
}

fn push_all(codes: &str, output: &mut Vec<u8>) {
    for code in codes.split(' ') {
        push(u32::from_str_radix(code, 16).unwrap_or(0xFFFD), output);
    }
}

/// The longest name that a text begins with: its length, and its code points in hexadecimal
/// digits. Byte by byte fewer lines are left, soon none in a text that means something else.
fn longest(text: &[u8]) -> Option<(usize, &'static str)> {
    let [first, second, ..] = *text else {
        return None;
    };
    if !FIRST.contains(&first) || !SECOND.contains(&second) {
        return None;
    }
    let pair = pair(first, second);
    let (start, end) = (BEGINNINGS[pair], BEGINNINGS[pair + 1]);
    let mut lines = &LINES[usize::from(start)..usize::from(end)];
    let byte_at = |line: u16, at: usize| NAMES.as_bytes()[usize::from(line) + at];
    let (mut found, mut at) = (None, 2);
    while let Some(&line) = lines.first() {
        if byte_at(line, at) == b' ' {
            found = Some((at, usize::from(line) + at + 1));
        }
        let Some(&byte) = text.get(at) else { break };
        // Anything else would be looked for behind the end of names.
        if !byte.is_ascii_alphanumeric() && byte != b';' {
            break;
        }
        let from = lines.partition_point(|&line| byte_at(line, at) < byte);
        let to = lines.partition_point(|&line| byte_at(line, at) <= byte);
        lines = &lines[from..to];
        at += 1;
    }
    let (length, codes) = found?;
    let codes = NAMES[codes..].lines().next()?;
    Some((length, codes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_the_longest_one_counts() {
        for line in NAMES.lines() {
            let (name, codes) = line.split_once(' ').unwrap();
            for after in ["", " ", " 1", "\u{e9}"] {
                let text = format!("{name}{after}");
                assert_eq!(
                    longest(text.as_bytes()),
                    Some((name.len(), codes)),
                    "{text}"
                );
            }
        }
        let length = |text: &str| longest(text.as_bytes()).map(|(length, _)| length);
        assert_eq!(length("ampx;"), Some(3));
        assert_eq!(length("notit;"), Some(3));
        assert_eq!(length("notin;"), Some(6));
        assert_eq!(length("notin"), Some(3));
        assert_eq!(length("nothing;"), Some(3));
        for unknown in ["", "field1=a", "x", " ", ";", "AMp;", "\u{e9}", "lang"] {
            assert_eq!(length(unknown), None, "{unknown}");
        }
    }
}
