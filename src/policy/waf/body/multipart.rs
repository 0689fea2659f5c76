//! `multipart/form-data` (RFC 7578 over RFC 2046 section 5.1), read so strictly that no other
//! reader can find other parts: CR LF everywhere, nothing before the first boundary or after the
//! last, one name a part, no folding, no transfer encoding, no extended parameters.

use super::kind::{MediaType, is_token, parameter};
use super::{Bounds, Error, Kind, Scratch, Target, Visits, json, xml};

/// Longest delimiter: two dashes and a boundary of seventy bytes.
const DELIMITER: usize = 72;

pub(super) fn read(
    body: &[u8],
    boundary: &[u8],
    bounds: &Bounds,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    let mut delimiter = [b'-'; DELIMITER];
    let end = 2 + boundary.len();
    let slot = delimiter.get_mut(2..end).ok_or(Error::Boundary)?;
    slot.copy_from_slice(boundary);
    let delimiter = &delimiter[..end];
    let finder = memchr::memmem::Finder::new(delimiter);
    let mut rest = body
        .strip_prefix(delimiter)
        .ok_or_else(|| match finder.find(body) {
            Some(_) => Error::Preamble,
            None => Error::Boundary,
        })?;
    for _ in 0..=bounds.parts {
        match rest {
            b"--" | b"--\r\n" => return Ok(()),
            [b'-', b'-', ..] => return Err(Error::Epilogue),
            [b'\r', b'\n', after @ ..] => {
                let end = part_end(after, &finder)?;
                part(&after[..end], bounds, scratch, visits)?;
                rest = &after[end + 2 + delimiter.len()..];
            }
            [b'\n' | b'\r', ..] => return Err(Error::LineEnd),
            // Padding, or a longer boundary: some readers take it for this one.
            _ => return Err(Error::Boundary),
        }
    }
    Err(Error::TooManyParts)
}

/// Where the part is over: at a CR LF with a delimiter behind it. A delimiter that begins a line
/// of any other kind would end the part for other readers.
fn part_end(rest: &[u8], finder: &memchr::memmem::Finder<'_>) -> Result<usize, Error> {
    for at in finder.find_iter(rest) {
        match rest[..at] {
            [.., b'\r', b'\n'] => return Ok(at - 2),
            [] | [.., b'\n' | b'\r'] => return Err(Error::LineEnd),
            _ => {}
        }
    }
    Err(Error::Unfinished)
}

/// The head of a part, as far as it is needed.
#[derive(Clone, Copy, Default)]
struct Head<'a> {
    name: Option<&'a [u8]>,
    file_name: Option<&'a [u8]>,
    media_type: Option<MediaType<'a>>,
}

fn part(
    part: &[u8],
    bounds: &Bounds,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    let end = memchr::memmem::find(part, b"\r\n\r\n").ok_or(Error::PartField)?;
    let (lines, content) = (&part[..end], &part[end + 4..]);
    let head = head(lines, early_name(lines).unwrap_or_default(), visits)?;
    let name = head.name.ok_or(Error::PartName)?;
    if let Some(file_name) = head.file_name {
        visits.value(Target::FileName, name, file_name)?;
    }
    // RFC 7578 section 4.6: a field that says in which charset the others are.
    if name == b"_charset_" && !content.eq_ignore_ascii_case(b"utf-8") {
        return Err(Error::Charset);
    }
    let kind = match head.media_type {
        Some(media_type) => {
            media_type.utf8()?;
            media_type.declared()?
        }
        None => Kind::Text,
    };
    let target = match head.file_name {
        Some(_) => Target::File,
        None => Target::Field,
    };
    match kind {
        Kind::Multipart(_) => Err(Error::MediaType),
        Kind::Json => json::read(content, bounds.depth, scratch, visits),
        Kind::Xml => xml::read(content, bounds.depth, scratch, visits),
        _ => visits.value(target, name, content),
    }
}

/// The name of the part, so that fields in its head can be visited under it.
fn early_name(lines: &[u8]) -> Option<&[u8]> {
    let mut lines = lines.split(|&byte| byte == b'\n');
    lines.find_map(|line| {
        let (name, value) = field(line.trim_ascii_end()).ok()?;
        let is_wanted = name.eq_ignore_ascii_case(b"content-disposition");
        is_wanted.then(|| disposition(value).ok()?.0)?
    })
}

fn head<'a>(lines: &'a [u8], part: &[u8], visits: &mut Visits<'_>) -> Result<Head<'a>, Error> {
    let mut head = Head::default();
    let mut has_encoding = false;
    let ends = memchr::memchr_iter(b'\n', lines);
    if ends
        .into_iter()
        .any(|at| matches!(lines.get(at + 1), Some(b' ' | b'\t')))
    {
        return Err(Error::FoldedField);
    }
    let mut rest = Some(lines);
    while let Some(lines) = rest {
        let end = memchr::memmem::find(lines, b"\r\n");
        let line = &lines[..end.unwrap_or(lines.len())];
        rest = end.map(|end| &lines[end + 2..]);
        visits.value(Target::PartHeader, part, line)?;
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-disposition") {
            if head.name.is_some() {
                return Err(Error::RepeatedField);
            }
            (head.name, head.file_name) = disposition(value)?;
        } else if name.eq_ignore_ascii_case(b"content-type") {
            // The first counts for some, the last for others.
            if head.media_type.is_some() {
                return Err(Error::RepeatedField);
            }
            head.media_type = Some(MediaType::read(value)?);
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            if std::mem::replace(&mut has_encoding, true) {
                return Err(Error::RepeatedField);
            }
            let plain: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];
            if !plain.iter().any(|plain| value.eq_ignore_ascii_case(plain)) {
                return Err(Error::TransferEncoding);
            }
        }
    }
    Ok(head)
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    if line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Err(Error::LineEnd);
    }
    let colon = memchr::memchr(b':', line).ok_or(Error::PartField)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_sound = is_token(name) && !value.contains(&0);
    is_sound.then_some((name, value)).ok_or(Error::PartField)
}

type Names<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// The name of the field and that of the file.
fn disposition(value: &[u8]) -> Result<Names<'_>, Error> {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (kind, mut rest) = value.split_at(end);
    if !kind.trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return Err(Error::PartField);
    }
    let (mut name, mut file_name) = (None, None);
    while let Some(after) = rest.strip_prefix(b";") {
        let (key, value, behind) = parameter(after.trim_ascii_start()).ok_or(Error::PartField)?;
        if key.eq_ignore_ascii_case(b"name") {
            if name.replace(value).is_some() {
                return Err(Error::PartName);
            }
        } else if key.eq_ignore_ascii_case(b"filename") {
            if file_name.replace(value).is_some() {
                return Err(Error::FileName);
            }
        } else if key.contains(&b'*') {
            return Err(Error::FileName);
        }
        rest = behind.trim_ascii_start();
    }
    match (rest.is_empty(), name) {
        (true, Some(_)) => Ok((name, file_name)),
        (true, None) => Err(Error::PartName),
        (false, _) => Err(Error::PartField),
    }
}
