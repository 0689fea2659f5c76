//! GraphQL (the specification of October 2021, sections 2.1 and 2.9): of a document only what a
//! client can put data into, its strings. Names and punctuation are the schema's, and rules that
//! look for shells or SQL would take `$first: Int!` for an attack.

use super::{Error, NAME, Scratch, Target, Visits, json, text};

/// A request in JSON: `query` as a document, the rest as JSON. A batch is an array of them.
pub(super) fn read_request(
    body: &[u8],
    depth: usize,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    let mut decoded = Vec::new();
    let mut outcome = Ok(());
    let left = visits.left;
    let mut visit = |target: Target, name: &[u8], value: &[u8]| {
        let read = match target == Target::JsonText && is_document(name) {
            true => strings(value, &mut decoded, visits),
            false => visits.value(target, name, value),
        };
        outcome = outcome.and(read);
    };
    let read = json::read(body, depth, scratch, &mut Visits::new(left, &mut visit));
    read.and(outcome)
}

/// `json.query` and `json.0.query`.
fn is_document(path: &[u8]) -> bool {
    let middle = path
        .strip_prefix(b"json")
        .and_then(|path| path.strip_suffix(b".query"));
    middle.is_some_and(|middle| match middle {
        [] => true,
        [b'.', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    })
}

/// Visits the strings of a document, each under the name that stands before it.
pub(super) fn read_document(
    document: &[u8],
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    strings(document, &mut scratch.decoded, visits)
}

fn strings(document: &[u8], decoded: &mut Vec<u8>, visits: &mut Visits<'_>) -> Result<(), Error> {
    text(document)?;
    let mut name: &[u8] = b"";
    let mut rest = document;
    while let Some(&first) = rest.first() {
        let length = match first {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => 1,
            b'!' | b'$' | b'&' | b'(' | b')' | b'.' | b':' | b'=' | b'@' | b'[' | b']' | b'{'
            | b'|' | b'}' => 1,
            b'#' => memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len()),
            b'-' | b'0'..=b'9' => 1,
            b'+' => 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let letters = rest.iter();
                let length = letters
                    .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
                    .count();
                name = &rest[..length.min(NAME)];
                length
            }
            b'"' => {
                decoded.clear();
                let length = match rest.starts_with(b"\"\"\"") {
                    true => block(rest, decoded)?,
                    false => string(rest, decoded)?,
                };
                visits.value(Target::GraphqlText, name, decoded)?;
                length
            }
            _ => return Err(Error::GraphqlSyntax),
        };
        rest = &rest[length..];
    }
    Ok(())
}

/// The length of `"..."` at the start of `rest`, decoded.
fn string(rest: &[u8], decoded: &mut Vec<u8>) -> Result<usize, Error> {
    let mut at = 1;
    loop {
        let plain = rest[at..]
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r'));
        let plain = plain.ok_or(Error::GraphqlSyntax)?;
        decoded.extend_from_slice(&rest[at..at + plain]);
        at += plain + 1;
        match rest[at - 1] {
            b'"' => return Ok(at),
            b'\\' => at += escape(&rest[at..], decoded)?,
            _ => return Err(Error::GraphqlSyntax),
        }
    }
}

/// As in JSON, and `\u{...}`.
fn escape(rest: &[u8], decoded: &mut Vec<u8>) -> Result<usize, Error> {
    let Some(digits) = rest.strip_prefix(b"u{") else {
        return json::escape(rest, decoded);
    };
    let length = memchr::memchr(b'}', digits).filter(|length| (1..=6).contains(length));
    let length = length.ok_or(Error::JsonEscape)?;
    let code = digits[..length].iter().try_fold(0, |code, &digit| {
        Some(code << 4 | char::from(digit).to_digit(16)?)
    });
    let code = code.and_then(char::from_u32).ok_or(Error::JsonEscape)?;
    decoded.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(length + 3)
}

/// The length of a block string, whose only escape is `\"""`.
fn block(rest: &[u8], decoded: &mut Vec<u8>) -> Result<usize, Error> {
    let mut at = 3;
    loop {
        let end = memchr::memmem::find(&rest[at..], b"\"\"\"").ok_or(Error::GraphqlSyntax)?;
        let text = &rest[at..at + end];
        at += end + 3;
        match text.strip_suffix(b"\\") {
            Some(text) => {
                decoded.extend_from_slice(text);
                decoded.extend_from_slice(b"\"\"\"");
            }
            None => {
                decoded.extend_from_slice(text);
                return Ok(at);
            }
        }
    }
}
