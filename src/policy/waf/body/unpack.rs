//! A string that is itself a document, an address or base64, taken apart one level: rules then see
//! what stands in it rather than its wrapping.

use super::text::is_mostly_text;
use super::{Bounds, Error, Scratch, Target, Visit, Visits, form, json, lenient};

/// What a string was wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Json,
    Url,
    Base64,
}

/// Shortest base64 that is decoded: shorter ones are words.
const SHORTEST: usize = 16;

/// After so many digits a look tells whether more of them are worth decoding.
const EARLY: usize = 11;

/// Longest scheme of an address.
const SCHEME: usize = 12;

/// Visits what a string holds, if it is wrapped at all. What is found within is not unpacked
/// again, but for JSON in base64.
///
/// # Errors
/// The string holds more than `bounds` allow. What only looks like JSON is no error: it is a text.
pub fn unpack(
    value: &[u8],
    bounds: &Bounds,
    scratch: &mut Scratch,
    visit: &mut Visit<'_>,
) -> Result<Option<Packing>, Error> {
    let mut visits = Visits::new(bounds.values, visit);
    if lenient::begins_as_json(value) {
        return Ok(document(value, bounds, scratch, &mut visits)?.then_some(Packing::Json));
    }
    if let Some(rest) = after_scheme(value) {
        address(rest, scratch, &mut visits)?;
        return Ok(Some(Packing::Url));
    }
    let mut decoded = std::mem::take(&mut scratch.joined);
    decoded.clear();
    let digits = after_data(value).unwrap_or(value);
    let outcome = match base64(digits, &mut decoded) {
        false => Ok(None),
        true => {
            let is_document = lenient::begins_as_json(&decoded)
                && document(&decoded, bounds, scratch, &mut visits)?;
            match is_document {
                true => Ok(()),
                false => visits.value(Target::Text, b"", &decoded),
            }
            .map(|()| Some(Packing::Base64))
        }
    };
    scratch.joined = decoded;
    outcome
}

/// A look at the first bytes: false if nothing can be packed in the value.
pub fn may_be_packed(value: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-/_= \t\r\n".contains(byte);
    let value = value.trim_ascii_start();
    match value.first() {
        None => false,
        Some(b'{' | b'[' | b'"') => true,
        _ if lenient::begins_as_json(value) => true,
        Some(_) if value.len() < SHORTEST => value.len() > 3 && after_scheme(value).is_some(),
        Some(_) => {
            value[..SHORTEST].iter().all(is_digit)
                || after_scheme(value).is_some()
                || after_data(value).is_some()
        }
    }
}

/// False where it only looked like JSON.
fn document(
    value: &[u8],
    bounds: &Bounds,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<bool, Error> {
    match json::read(value, None, bounds.depth, scratch, visits) {
        // The quotes around a string may mean something to others.
        Ok(()) => Ok(value.trim_ascii_start().first() != Some(&b'"')),
        Err(error @ (Error::TooDeep | Error::TooManyValues)) => Err(error),
        // The value is looked at as it stands as well.
        Err(_) if memchr::memchr(b'\\', value).is_none() => Ok(false),
        Err(_) => lenient::pieces(&value[scratch.end..], scratch, visits).map(|()| false),
    }
}

/// What follows `data:text/html;base64,` (RFC 2397).
fn after_data(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(5)?;
    let comma = memchr::memchr(b',', rest)?;
    let (media_type, rest) = rest.split_at(comma);
    let coding = media_type.len().checked_sub(b";base64".len())?;
    let is_coded = scheme.eq_ignore_ascii_case(b"data:")
        && media_type[coding..].eq_ignore_ascii_case(b";base64");
    is_coded.then_some(&rest[1..])
}

/// What follows `scheme://`.
fn after_scheme(value: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memchr(b':', &value[..value.len().min(SCHEME)])?;
    let is_scheme = value[..colon].iter().all(u8::is_ascii_alphanumeric);
    let rest = value[colon..].strip_prefix(b"://")?;
    (is_scheme && colon > 1).then_some(rest)
}

/// The fields of the query as those of a form, the rest decoded as one text.
fn address(rest: &[u8], scratch: &mut Scratch, visits: &mut Visits<'_>) -> Result<(), Error> {
    let fragment = memchr::memchr(b'#', rest).unwrap_or(rest.len());
    let (rest, fragment) = rest.split_at(fragment);
    let query = memchr::memchr(b'?', rest).unwrap_or(rest.len());
    let (path, query) = rest.split_at(query);
    for part in [path, fragment] {
        scratch.decoded.clear();
        // An escape that is none stays as it is.
        let _ = form::decode(part, &mut scratch.decoded);
        if !part.is_empty() {
            visits.value(Target::Text, b"", &scratch.decoded)?;
        }
    }
    let query = query.strip_prefix(b"?").unwrap_or(query);
    match form::read(query, scratch, visits) {
        Err(Error::PercentEscape) => Ok(()),
        outcome => outcome,
    }
}

/// Decodes either alphabet; false unless the value is nothing but base64 of a text or of an object.
fn base64(value: &[u8], decoded: &mut Vec<u8>) -> bool {
    // Readers skip blanks, and a plus sign in a form is one.
    let blanks = |byte: &&u8| byte.is_ascii_whitespace();
    let signs = value.len() - value.iter().filter(blanks).count();
    let ends = value.iter().rev().filter(|byte| !blanks(byte));
    let padding = ends.take_while(|&&byte| byte == b'=').count();
    let count = signs - padding;
    let is_sized = signs >= SHORTEST && padding <= 2 && count % 4 != 1;
    if !is_sized || (padding > 0 && !signs.is_multiple_of(4)) {
        return false;
    }
    let mut bits = 0_u32;
    let digits = value.iter().filter(|byte| !blanks(byte));
    for (at, &byte) in digits.take(count).enumerate() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        bits = bits << 6 | u32::from(digit);
        match at % 4 {
            1 => decoded.push((bits >> 4) as u8),
            2 => decoded.push((bits >> 2) as u8),
            3 => decoded.push(bits as u8),
            _ => {}
        }
        // Most identifiers are base64 of nothing: the first bytes tell.
        if at == EARLY && !is_object(decoded) && is_binary(decoded) {
            return false;
        }
    }
    is_object(decoded) || is_mostly_text(decoded)
}

/// A Java object, or a .NET one.
pub(super) fn is_object(decoded: &[u8]) -> bool {
    decoded.starts_with(b"\xAC\xED\x00\x05") || decoded.starts_with(b"\x00\x01\x00\x00\x00\xFF")
}

/// Whether the first bytes, of which the last may be cut, are hardly those of a text.
fn is_binary(first: &[u8]) -> bool {
    let controls = first
        .iter()
        .filter(|&&byte| byte < 0x20 && !byte.is_ascii_whitespace());
    controls.count() > 1
}
