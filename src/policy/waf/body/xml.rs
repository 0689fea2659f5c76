//! XML 1.0 as APIs send it: elements, attributes, text, CDATA and the five entities. A document
//! type definition is refused, so nothing is defined, fetched or expanded.
//!
//! Text on both sides of a comment or of CDATA is one text: that is what applications read.

use super::{Error, NAME, Scratch, Target, Visits, text};

pub(super) fn read(
    body: &[u8],
    depth: usize,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    text(body)?;
    if memchr::memchr(0, body).is_some() {
        return Err(Error::XmlSyntax);
    }
    scratch.path.clear();
    scratch.ends.clear();
    scratch.decoded.clear();
    let mut reader = Reader {
        rest: body,
        depth,
        has_root: false,
        scratch,
        visits,
    };
    reader.declaration()?;
    while !reader.rest.is_empty() {
        reader.node()?;
    }
    match reader.has_root && reader.scratch.ends.is_empty() {
        true => Ok(()),
        false => Err(Error::UnmatchedTag),
    }
}

/// `path` holds the names of the open elements (`a/b`), `ends` where each begins with the slash
/// before it, `decoded` the text since the last tag.
struct Reader<'r, 'v, 'f> {
    rest: &'r [u8],
    depth: usize,
    has_root: bool,
    scratch: &'r mut Scratch,
    visits: &'v mut Visits<'f>,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.') || byte >= 0x80
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':') || byte >= 0x80
}

impl<'r> Reader<'r, '_, '_> {
    /// `<?xml version="1.0" encoding="UTF-8"?>`, at the very beginning only.
    fn declaration(&mut self) -> Result<(), Error> {
        let Some(after) = self.rest.strip_prefix(b"<?xml") else {
            return Ok(());
        };
        if !after.first().is_some_and(|&byte| is_space(byte)) {
            return Ok(());
        }
        let end = memchr::memmem::find(after, b"?>").ok_or(Error::XmlSyntax)?;
        let declared = &after[..end];
        if let Some(at) = memchr::memmem::find(declared, b"encoding") {
            let value = declared[at + 8..].trim_ascii_start();
            let value = value.strip_prefix(b"=").ok_or(Error::XmlSyntax)?;
            let value = value.trim_ascii_start();
            let quote = value.first().ok_or(Error::XmlSyntax)?;
            let end = memchr::memchr(*quote, &value[1..]).ok_or(Error::XmlSyntax)?;
            let charset = &value[1..1 + end];
            if !charset.eq_ignore_ascii_case(b"utf-8") {
                return Err(Error::Charset);
            }
        }
        self.rest = &after[end + 2..];
        Ok(())
    }

    fn node(&mut self) -> Result<(), Error> {
        match self.rest {
            [b'<', b'!', b'-', b'-', comment @ ..] => {
                let end = memchr::memmem::find(comment, b"--").ok_or(Error::XmlSyntax)?;
                // Two dashes do not stand within a comment.
                let after = comment[end + 2..].strip_prefix(b">");
                self.rest = after.ok_or(Error::XmlSyntax)?;
                Ok(())
            }
            _ if self.rest.starts_with(b"<![CDATA[") => {
                let section = &self.rest[9..];
                let end = memchr::memmem::find(section, b"]]>").ok_or(Error::XmlSyntax)?;
                self.inside()?;
                self.scratch.decoded.extend_from_slice(&section[..end]);
                self.rest = &section[end + 3..];
                Ok(())
            }
            [b'<', b'!', ..] => Err(Error::Dtd),
            [b'<', b'?', ..] => self.instruction(),
            [b'<', b'/', ..] => self.close(),
            [b'<', ..] => self.open(),
            _ => self.text(),
        }
    }

    /// Text stands within an element, or nowhere.
    fn inside(&self) -> Result<(), Error> {
        match self.scratch.ends.is_empty() {
            true => Err(Error::XmlSyntax),
            false => Ok(()),
        }
    }

    fn text(&mut self) -> Result<(), Error> {
        let end = memchr::memchr(b'<', self.rest).unwrap_or(self.rest.len());
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        if self.scratch.ends.is_empty() {
            return match raw.iter().all(|&byte| is_space(byte)) {
                true => Ok(()),
                false => Err(Error::XmlSyntax),
            };
        }
        decode(raw, &mut self.scratch.decoded)
    }

    /// Visits the text that was gathered, unless it is only space between tags.
    fn flush(&mut self) -> Result<(), Error> {
        let Scratch { path, decoded, .. } = &mut *self.scratch;
        let name = last(path);
        let is_blank = decoded.iter().all(|&byte| is_space(byte));
        let outcome = match is_blank {
            true => Ok(()),
            false => self.visits.value(Target::XmlText, name, decoded),
        };
        decoded.clear();
        outcome
    }

    fn name(&mut self) -> Result<&'r [u8], Error> {
        let length = self.rest.iter().take_while(|&&byte| is_name(byte)).count();
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        match name.first() {
            Some(&first) if is_name_start(first) => Ok(name),
            _ => Err(Error::XmlSyntax),
        }
    }

    fn spaces(&mut self) -> usize {
        let spaces = self.rest.iter().take_while(|&&byte| is_space(byte)).count();
        self.rest = &self.rest[spaces..];
        spaces
    }

    fn instruction(&mut self) -> Result<(), Error> {
        self.rest = &self.rest[2..];
        let name = self.name()?;
        // The declaration has its place at the beginning.
        if name.eq_ignore_ascii_case(b"xml") {
            return Err(Error::XmlSyntax);
        }
        let end = memchr::memmem::find(self.rest, b"?>").ok_or(Error::XmlSyntax)?;
        let value = self.rest[..end].trim_ascii_start();
        self.rest = &self.rest[end + 2..];
        self.visits.value(Target::XmlInstruction, name, value)
    }

    fn close(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.rest = &self.rest[2..];
        let name = self.name()?;
        self.spaces();
        self.rest = self.rest.strip_prefix(b">").ok_or(Error::XmlSyntax)?;
        let start = self.scratch.ends.last().ok_or(Error::UnmatchedTag)?;
        let open = &self.scratch.path[*start..];
        if open.strip_prefix(b"/").unwrap_or(open) != name {
            return Err(Error::UnmatchedTag);
        }
        self.leave();
        Ok(())
    }

    fn enter(&mut self, name: &[u8]) {
        let Scratch { path, ends, .. } = &mut *self.scratch;
        ends.push(path.len());
        if ends.len() > 1 {
            path.push(b'/');
        }
        path.extend_from_slice(name);
    }

    fn leave(&mut self) {
        if let Some(start) = self.scratch.ends.pop() {
            self.scratch.path.truncate(start);
        }
    }

    fn open(&mut self) -> Result<(), Error> {
        self.flush()?;
        if self.scratch.ends.len() >= self.depth {
            return Err(Error::TooDeep);
        }
        if self.scratch.ends.is_empty() && std::mem::replace(&mut self.has_root, true) {
            return Err(Error::XmlSyntax);
        }
        self.rest = &self.rest[1..];
        let name = self.name()?;
        self.enter(name);
        self.scratch.seen.clear();
        loop {
            let spaces = self.spaces();
            match self.rest {
                [b'>', rest @ ..] => {
                    self.rest = rest;
                    return Ok(());
                }
                [b'/', b'>', rest @ ..] => {
                    self.rest = rest;
                    self.leave();
                    return Ok(());
                }
                _ if spaces == 0 => return Err(Error::XmlSyntax),
                _ => self.attribute()?,
            }
        }
    }

    fn attribute(&mut self) -> Result<(), Error> {
        let name = self.name()?;
        let hash = self.scratch.hasher.hash_one(name);
        if !self.scratch.seen.insert(hash) {
            return Err(Error::RepeatedAttribute);
        }
        self.spaces();
        self.rest = self.rest.strip_prefix(b"=").ok_or(Error::XmlSyntax)?;
        self.spaces();
        let quote = match self.rest.first() {
            Some(quote @ (b'"' | b'\'')) => *quote,
            _ => return Err(Error::XmlSyntax),
        };
        let value = &self.rest[1..];
        let end = memchr::memchr(quote, value).ok_or(Error::XmlSyntax)?;
        let raw = &value[..end];
        if memchr::memchr(b'<', raw).is_some() {
            return Err(Error::XmlSyntax);
        }
        self.rest = &value[end + 1..];
        let Scratch { path, decoded, .. } = &mut *self.scratch;
        decode(raw, decoded)?;
        let length = path.len();
        path.push(b'@');
        path.extend_from_slice(name);
        let outcome = self.visits.value(Target::XmlAttribute, last(path), decoded);
        path.truncate(length);
        decoded.clear();
        outcome
    }
}

/// As much of the end of a path as a value is visited under.
fn last(path: &[u8]) -> &[u8] {
    &path[path.len().saturating_sub(NAME)..]
}

/// The five entities and references to characters; there are no others.
fn decode(raw: &[u8], decoded: &mut Vec<u8>) -> Result<(), Error> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'&', rest) {
        decoded.extend_from_slice(&rest[..at]);
        let after = &rest[at + 1..];
        let within = &after[..after.len().min(12)];
        let end = memchr::memchr(b';', within).ok_or(Error::UnknownEntity)?;
        let character = match &after[..end] {
            b"lt" => '<',
            b"gt" => '>',
            b"amp" => '&',
            b"quot" => '"',
            b"apos" => '\'',
            [b'#', b'x', digits @ ..] => reference(digits, 16)?,
            [b'#', digits @ ..] => reference(digits, 10)?,
            _ => return Err(Error::UnknownEntity),
        };
        decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &after[end + 1..];
    }
    decoded.extend_from_slice(rest);
    Ok(())
}

fn reference(digits: &[u8], radix: u32) -> Result<char, Error> {
    let code = digits.iter().try_fold(0_u32, |code, &digit| {
        let digit = char::from(digit).to_digit(radix)?;
        code.checked_mul(radix)?.checked_add(digit)
    });
    let code = code.filter(|&code| code > 0 && !digits.is_empty());
    code.and_then(char::from_u32).ok_or(Error::UnknownEntity)
}
