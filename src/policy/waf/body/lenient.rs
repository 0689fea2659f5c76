//! What only looks like a document or a form. Readers differ in what they forgive: some take the
//! first value and forget what stands behind it, some pass over comments, some read as a form what
//! comes without a media type. So such a body is visited in every way in which one of them reads it.

use super::kind::Told;
use super::text::{is_mostly_text, unescape};
use super::{Bounds, Error, Kind, Scratch, Target, Visits, form as fields, json, text, xml};

/// Longest name of a first field by which bytes are taken for a form.
const NAME: usize = 64;

/// What is no document is a text. Its values are visited up to the fault, and if it may be JSON to
/// somebody the pieces behind it.
pub(super) fn document(
    kind: Kind<'_>,
    told: Told,
    body: &[u8],
    bounds: &Bounds,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    let bare = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let end = std::str::from_utf8(bare).map_or_else(|error| error.valid_up_to(), str::len);
    let is_xml = matches!(kind, Kind::LikeXml(_));
    let outcome = match is_xml {
        true => xml::read(&bare[..end], bounds.depth, scratch, visits),
        false => json::read(&bare[..end], None, bounds.depth, scratch, visits),
    };
    match outcome {
        Ok(()) if end == bare.len() && !bare.trim_ascii_start().starts_with(b"\"") => return Ok(()),
        Err(error) if error.bound().is_some() => return Err(error),
        _ => {}
    }
    if !is_xml {
        pieces(&bare[scratch.end..], scratch, visits)?;
    }
    match told {
        Told::Type => text::read(body, scratch, visits),
        Told::Nothing => form(body, scratch, visits),
    }
}

/// A body that may be a form: its fields, and all of it as a text.
pub(super) fn form(
    body: &[u8],
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    text::read(body, scratch, visits)?;
    match fields::read(body, scratch, visits) {
        Err(Error::PercentEscape) => Ok(()),
        outcome => outcome,
    }
}

/// Visits what stands between quotes, and between the strings, decoded: which of the two is which is
/// for a reader to say.
pub(super) fn pieces(
    body: &[u8],
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    let Scratch { decoded, .. } = scratch;
    let is_of_frame = |byte: &u8| byte.is_ascii_whitespace() || b",:{}[]".contains(byte);
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(quote(rest));
        rest = behind.get(1..).unwrap_or_default();
        if piece.iter().all(is_of_frame) || !is_mostly_text(piece) {
            continue;
        }
        decoded.clear();
        unescape(piece, b"\\", decoded);
        visits.value(Target::JsonText, json::ROOT, decoded)?;
    }
    Ok(())
}

/// Where the next quote is that no backslash stands before, or the end.
fn quote(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        if text[at + found] == b'"' {
            return at + found;
        }
        at += found + 2;
    }
    text.len()
}

/// Whether JSON begins behind comments and signs that some readers pass over, such as those that
/// keep a browser from running an answer as a script.
pub(super) fn begins_as_json(body: &[u8]) -> bool {
    let mut rest = body;
    loop {
        rest = rest.trim_ascii_start();
        rest = match rest {
            [b'/', b'*', comment @ ..] => behind(comment, b"*/"),
            [b'/', b'/', comment @ ..] | [b'#', comment @ ..] => behind(comment, b"\n"),
            [b';' | b',' | b')' | b']' | b'}' | b'\'', rest @ ..] => rest,
            _ => return matches!(rest.first(), Some(b'{' | b'[' | b'"')),
        };
    }
}

fn behind<'b>(comment: &'b [u8], end: &[u8]) -> &'b [u8] {
    let found = memchr::memmem::find(comment, end);
    found.map_or(b"", |at| &comment[at + end.len()..])
}

/// Whether a body may be meant as a form. One that is told to be something else has to look like
/// nothing but a form.
pub(super) fn is_like_form(body: &[u8], told: Told) -> bool {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%+[]*$".contains(byte);
    let equals = memchr::memchr(b'=', &body[..body.len().min(NAME)]);
    let begins = equals.is_some_and(|at| at > 0 && body[..at].iter().all(is_of_name));
    match told {
        Told::Type => begins && body.iter().all(u8::is_ascii_graphic),
        Told::Nothing => begins || is_mostly_text(body),
    }
}
