//! The parts of a `multipart/form-data` body, each visited as what it is.

use super::kind::MediaType;
use super::{Bounds, Error, Kind, Scratch, Target, Visits, json, xml};
use crate::proto::multipart::{Fault, Head, Part, Parts, disposition, field};

pub(super) fn read(
    body: &[u8],
    boundary: &[u8],
    bounds: &Bounds,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    for (count, found) in Parts::new(body, boundary)?.enumerate() {
        let found = found?;
        if count >= bounds.parts {
            return Err(Error::TooManyParts);
        }
        part(found, bounds, scratch, visits)?;
    }
    Ok(())
}

fn part(
    part: Part<'_>,
    bounds: &Bounds,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    let content = part.content;
    let head = head(part, visits)?;
    let name = head.name.ok_or(Error::PartName)?;
    let media_type = head.content_type.map(MediaType::read).transpose()?;
    if let Some(file_name) = head.file_name {
        visits.value(Target::FileName, name, file_name)?;
    }
    // RFC 7578 section 4.6: a field that says in which charset the others are.
    if name == b"_charset_" && !content.eq_ignore_ascii_case(b"utf-8") {
        return Err(Error::Charset);
    }
    let kind = match media_type {
        Some(media_type) => {
            media_type.utf8()?;
            media_type.declared()?
        }
        None => Kind::Text,
    };
    let target = match head.file_name {
        // What has an empty name of a file some readers take for a field.
        Some(name) if !name.is_empty() => Target::File,
        _ => Target::Field,
    };
    match kind {
        Kind::Multipart(_) => Err(Error::MediaType),
        Kind::Json => json::read(content, None, bounds.depth, scratch, visits),
        Kind::Xml => xml::read(content, bounds.depth, scratch, visits),
        _ => visits.value(target, name, content),
    }
}

/// Visits the lines of a head up to its first fault.
fn head<'a>(part: Part<'a>, visits: &mut Visits<'_>) -> Result<Head<'a>, Error> {
    let name = early_name(part.lines).unwrap_or_default();
    let mut head = Head::default();
    for line in part.lines()? {
        visits.value(Target::PartHeader, name, line)?;
        head.take(line)?;
    }
    Ok(head)
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

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Boundary => Error::Boundary,
            Fault::Preamble => Error::Preamble,
            Fault::Epilogue => Error::Epilogue,
            Fault::LineEnd => Error::LineEnd,
            Fault::Unfinished => Error::Unfinished,
            Fault::PartField => Error::PartField,
            Fault::FoldedField => Error::FoldedField,
            Fault::RepeatedField => Error::RepeatedField,
            Fault::PartName => Error::PartName,
            Fault::FileName => Error::FileName,
            Fault::TransferEncoding => Error::TransferEncoding,
        }
    }
}
