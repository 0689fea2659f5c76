//! `multipart/form-data` (RFC 7578 over RFC 2046 section 5.1), read so strictly that no other
//! reader can find other parts: CR LF everywhere, nothing before the first boundary or after the
//! last, one name a part, no folding, no transfer encoding, no extended parameters.

use super::header::is_token;

/// Longest boundary (RFC 2046 section 5.1.1).
pub const BOUNDARY: usize = 70;

/// The rule that a body breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Missing or malformed.
    Boundary,
    /// Bytes before the first boundary.
    Preamble,
    /// Bytes after the last boundary.
    Epilogue,
    /// A line that does not end in CR LF.
    LineEnd,
    /// The last boundary is missing.
    Unfinished,
    /// A field of a part's head is malformed.
    PartField,
    FoldedField,
    RepeatedField,
    /// No name, or two.
    PartName,
    /// `filename*`, or two names of a file.
    FileName,
    TransferEncoding,
}

impl Fault {
    /// As it stands in logs.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Boundary => "boundary",
            Fault::Preamble => "preamble",
            Fault::Epilogue => "epilogue",
            Fault::LineEnd => "line-end",
            Fault::Unfinished => "unfinished",
            Fault::PartField => "part-field",
            Fault::FoldedField => "folded-field",
            Fault::RepeatedField => "repeated-field",
            Fault::PartName => "part-name",
            Fault::FileName => "file-name",
            Fault::TransferEncoding => "transfer-encoding",
        }
    }
}

/// The parts of a body, one after the other; ends behind the first fault.
pub struct Parts<'a> {
    /// What follows the delimiter that was read last; none: it is over.
    rest: Option<&'a [u8]>,
    delimiter: [u8; 2 + BOUNDARY],
    length: usize,
}

/// One part as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The lines of its head, without the last CR LF.
    pub lines: &'a [u8],
    pub content: &'a [u8],
}

/// The head of a part, as far as it is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    pub name: Option<&'a [u8]>,
    pub file_name: Option<&'a [u8]>,
    /// The value of its `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    has_encoding: bool,
}

impl<'a> Parts<'a> {
    pub fn new(body: &'a [u8], boundary: &[u8]) -> Result<Parts<'a>, Fault> {
        let mut delimiter = [b'-'; 2 + BOUNDARY];
        let length = 2 + boundary.len();
        let slot = delimiter.get_mut(2..length).ok_or(Fault::Boundary)?;
        slot.copy_from_slice(boundary);
        match body.strip_prefix(&delimiter[..length]) {
            Some(rest) => Ok(Parts {
                rest: Some(rest),
                delimiter,
                length,
            }),
            None => match memchr::memmem::find(body, &delimiter[..length]) {
                Some(_) => Err(Fault::Preamble),
                None => Err(Fault::Boundary),
            },
        }
    }

    /// None: the last boundary.
    fn part(&self, rest: &'a [u8]) -> Result<Option<(Part<'a>, &'a [u8])>, Fault> {
        match rest {
            b"--" | b"--\r\n" => Ok(None),
            [b'-', b'-', ..] => Err(Fault::Epilogue),
            [b'\r', b'\n', after @ ..] => {
                let end = self.end(after)?;
                let part = &after[..end];
                let split = memchr::memmem::find(part, b"\r\n\r\n").ok_or(Fault::PartField)?;
                let part = Part {
                    lines: &part[..split],
                    content: &part[split + 4..],
                };
                Ok(Some((part, &after[end + 2 + self.length..])))
            }
            [b'\n' | b'\r', ..] => Err(Fault::LineEnd),
            // Padding, or a longer boundary: some readers take it for this one.
            _ => Err(Fault::Boundary),
        }
    }

    /// Where the part is over: at a CR LF with a delimiter behind it. A delimiter that begins a
    /// line of any other kind would end the part for other readers.
    fn end(&self, rest: &[u8]) -> Result<usize, Fault> {
        for at in memchr::memmem::find_iter(rest, &self.delimiter[..self.length]) {
            match rest[..at] {
                [.., b'\r', b'\n'] => return Ok(at - 2),
                [] | [.., b'\n' | b'\r'] => return Err(Fault::LineEnd),
                _ => {}
            }
        }
        Err(Fault::Unfinished)
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        match self.part(rest) {
            Ok(None) => None,
            Ok(Some((part, rest))) => {
                self.rest = Some(rest);
                Some(Ok(part))
            }
            Err(fault) => Some(Err(fault)),
        }
    }
}

impl<'a> Part<'a> {
    /// The lines of the head as they stand; a folded one is refused before the first is given.
    pub fn lines(&self) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>, Fault> {
        let lines = self.lines;
        let is_folded = |at: usize| matches!(lines.get(at + 1), Some(b' ' | b'\t'));
        if memchr::memchr_iter(b'\n', lines).any(is_folded) {
            return Err(Fault::FoldedField);
        }
        let mut rest = Some(lines);
        Ok(std::iter::from_fn(move || {
            let lines = rest?;
            let end = memchr::memmem::find(lines, b"\r\n");
            rest = end.map(|end| &lines[end + 2..]);
            Some(&lines[..end.unwrap_or(lines.len())])
        }))
    }

    /// The whole head.
    pub fn head(&self) -> Result<Head<'a>, Fault> {
        let mut head = Head::default();
        for line in self.lines()? {
            head.take(line)?;
        }
        Ok(head)
    }
}

impl<'a> Head<'a> {
    /// Takes the next line.
    pub fn take(&mut self, line: &'a [u8]) -> Result<(), Fault> {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-disposition") {
            if self.name.is_some() {
                return Err(Fault::RepeatedField);
            }
            (self.name, self.file_name) = disposition(value)?;
        } else if name.eq_ignore_ascii_case(b"content-type") {
            // The first counts for some, the last for others.
            if self.content_type.replace(value).is_some() {
                return Err(Fault::RepeatedField);
            }
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            if std::mem::replace(&mut self.has_encoding, true) {
                return Err(Fault::RepeatedField);
            }
            let plain: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];
            if !plain.iter().any(|plain| value.eq_ignore_ascii_case(plain)) {
                return Err(Fault::TransferEncoding);
            }
        }
        Ok(())
    }
}

/// Name and value of a line.
pub fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Err(Fault::LineEnd);
    }
    let colon = memchr::memchr(b':', line).ok_or(Fault::PartField)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_sound = is_token(name) && !value.contains(&0);
    is_sound.then_some((name, value)).ok_or(Fault::PartField)
}

type Names<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// The name of the field and that of the file.
pub fn disposition(value: &[u8]) -> Result<Names<'_>, Fault> {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (kind, mut rest) = value.split_at(end);
    if !kind.trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return Err(Fault::PartField);
    }
    let (mut name, mut file_name) = (None, None);
    while let Some(after) = rest.strip_prefix(b";") {
        let (key, value, behind) = parameter(after.trim_ascii_start()).ok_or(Fault::PartField)?;
        if key.eq_ignore_ascii_case(b"name") {
            if name.replace(value).is_some() {
                return Err(Fault::PartName);
            }
        } else if key.eq_ignore_ascii_case(b"filename") {
            if file_name.replace(value).is_some() {
                return Err(Fault::FileName);
            }
        } else if key.contains(&b'*') {
            return Err(Fault::FileName);
        }
        rest = behind.trim_ascii_start();
    }
    match (rest.is_empty(), name) {
        (true, Some(_)) => Ok((name, file_name)),
        (true, None) => Err(Fault::PartName),
        (false, _) => Err(Fault::PartField),
    }
}

/// Whether a boundary is one (RFC 2046 section 5.1.1).
pub fn is_boundary(text: &[u8]) -> bool {
    let is_sound = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    let is_long = !text.is_empty() && text.len() <= BOUNDARY;
    is_long && text.last() != Some(&b' ') && text.iter().all(is_sound)
}

/// `name=value` or `name="value"`, and what follows. A quoted value with a backslash is read in
/// two ways by those who know of escapes and those who do not, so it is none.
pub fn parameter(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let equals = memchr::memchr(b'=', text)?;
    let (name, value) = (&text[..equals], &text[equals + 1..]);
    if !is_token(name) {
        return None;
    }
    if let Some(quoted) = value.strip_prefix(b"\"") {
        let end = memchr::memchr(b'"', quoted)?;
        let is_sound = memchr::memchr(b'\\', &quoted[..end]).is_none();
        return is_sound.then_some((name, &quoted[..end], &quoted[end + 1..]));
    }
    let end = value
        .iter()
        .position(|byte| matches!(byte, b';' | b' ' | b'\t'));
    let (value, rest) = value.split_at(end.unwrap_or(value.len()));
    is_token(value).then_some((name, value, rest))
}
