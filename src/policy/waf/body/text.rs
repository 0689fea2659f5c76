//! What stands in bytes of no known structure.
//!
//! A text is looked at as a whole, also when a byte or two in it are none: readers skip those. Of
//! pictures, archives and other binary data only the texts in them are, one by one: the signs that
//! their bytes happen to be mean nothing.

use super::unpack::is_object;
use super::{Error, Scratch, Target, Visits, json};

/// Shortest text within binary data.
const SHORTEST: u32 = 8;

/// Of so many bytes of a text one may be none.
const STRANGE: usize = 16;

/// Visits a body as it stands and, where it has escapes of JSON, without them.
pub(super) fn read(
    body: &[u8],
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    visits.value(Target::Text, b"", body)?;
    if memchr::memmem::find(body, b"\\u").is_none() {
        return Ok(());
    }
    scratch.decoded.clear();
    unescape(body, b"\\u", &mut scratch.decoded);
    visits.value(Target::Unescaped, b"", &scratch.decoded)
}

/// Decodes the escapes of JSON that begin so; one that is none stays as it is.
pub(super) fn unescape(text: &[u8], begin: &[u8], decoded: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, begin) {
        decoded.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        match json::escape(rest, decoded) {
            Ok(length) => rest = &rest[length..],
            Err(_) => decoded.push(b'\\'),
        }
    }
    decoded.extend_from_slice(rest);
}

/// The texts in these bytes: all of them, if they are one.
pub fn texts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let marks: [&[u8]; 2] = [b"\xFE\xFF", b"\xFF\xFE"];
    let is_marked = marks.iter().any(|mark| bytes.starts_with(mark));
    let is_whole = is_marked || is_object(bytes) || is_mostly_text(bytes);
    // Random bytes make short texts by chance, and the more of them the more bytes there are.
    let shortest = match is_whole {
        true => 1,
        false => SHORTEST.max(bytes.len().checked_ilog2().unwrap_or_default()) as usize,
    };
    bytes
        .split(move |byte| !is_whole && !is_plain(*byte))
        .filter(move |text| text.len() >= shortest)
}

/// Whether bytes are UTF-8 without control signs, but for a few.
pub(super) fn is_mostly_text(bytes: &[u8]) -> bool {
    let strange = bytes.utf8_chunks().map(|chunk| {
        let controls = chunk.valid().bytes().filter(is_control);
        chunk.invalid().len() + controls.count()
    });
    strange.sum::<usize>() * STRANGE <= bytes.len()
}

fn is_plain(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic() || byte.is_ascii_whitespace()
}

fn is_control(byte: &u8) -> bool {
    *byte < 0x20 && !byte.is_ascii_whitespace()
}
