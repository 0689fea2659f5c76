//! JSON (RFC 8259), nothing beside it: no comments, no trailing commas, no byte order mark, no
//! second value. Strings are visited decoded, all of them, whatever names are repeated.

use super::{Error, NAME, Scratch, Target, Visits, text};

/// Names of values begin so, as rule sets written for ModSecurity expect.
pub const ROOT: &[u8] = b"json";

pub(super) fn read(
    body: &[u8],
    index: Option<usize>,
    depth: usize,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    scratch.end = 0;
    text(body)?;
    scratch.seen.clear();
    document(body, index, depth, scratch, visits)
}

/// One value a line (NDJSON), or after each record separator (RFC 7464).
pub(super) fn read_lines(
    body: &[u8],
    depth: usize,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    text(body)?;
    scratch.seen.clear();
    let lines = body.split(|&byte| byte == b'\n' || byte == 0x1E);
    for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
        document(line, None, depth, scratch, visits)?;
    }
    Ok(())
}

/// `index`: of an item, where the document is the array around it.
fn document(
    body: &[u8],
    index: Option<usize>,
    depth: usize,
    scratch: &mut Scratch,
    visits: &mut Visits<'_>,
) -> Result<(), Error> {
    scratch.path.clear();
    scratch.path.extend_from_slice(ROOT);
    if let Some(index) = index {
        let mut digits = itoa::Buffer::new();
        descend(&mut scratch.path, digits.format(index).as_bytes());
    }
    let mut reader = Reader {
        body,
        at: 0,
        scratch,
        visits,
    };
    let outcome = reader.value(depth);
    reader.spaces();
    let end = reader.at;
    scratch.end = end;
    outcome?;
    match end == body.len() {
        true => Ok(()),
        false => Err(Error::TrailingData),
    }
}

struct Reader<'r, 'v, 'f> {
    body: &'r [u8],
    at: usize,
    scratch: &'r mut Scratch,
    visits: &'v mut Visits<'f>,
}

impl Reader<'_, '_, '_> {
    fn spaces(&mut self) {
        let rest = &self.body[self.at..];
        let spaces = rest.iter();
        self.at += spaces
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
    }

    /// The next byte behind white space, not consumed.
    fn peek(&mut self) -> Result<u8, Error> {
        self.spaces();
        self.body.get(self.at).copied().ok_or(Error::JsonSyntax)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        let found = self.peek()? == byte;
        self.at += 1;
        found.then_some(()).ok_or(Error::JsonSyntax)
    }

    /// `depth` levels may still be opened.
    fn value(&mut self, depth: usize) -> Result<(), Error> {
        match self.peek()? {
            b'{' => self.object(depth.checked_sub(1).ok_or(Error::TooDeep)?),
            b'[' => self.array(depth.checked_sub(1).ok_or(Error::TooDeep)?),
            b'"' => {
                self.string()?;
                let Scratch { path, decoded, .. } = &*self.scratch;
                self.visits.value(Target::JsonText, path, decoded)
            }
            _ => self.scalar(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Error> {
        self.at += 1;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        let length = self.scratch.path.len();
        loop {
            if self.peek()? != b'"' {
                return Err(Error::JsonSyntax);
            }
            self.string()?;
            self.name(length)?;
            self.expect(b':')?;
            self.value(depth)?;
            self.scratch.path.truncate(length);
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Error::JsonSyntax),
            }
        }
    }

    /// Puts the name that was read last behind the path, and visits it when it is new.
    fn name(&mut self, length: usize) -> Result<(), Error> {
        let Scratch {
            path,
            decoded,
            seen,
            hasher,
            ..
        } = &mut *self.scratch;
        path.truncate(length);
        member(path, decoded);
        match seen.insert(hasher.hash_one(&*decoded)) {
            true => self.visits.value(Target::JsonKey, path, decoded),
            false => Ok(()),
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Error> {
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        let length = self.scratch.path.len();
        let mut digits = itoa::Buffer::new();
        for index in 0_usize.. {
            descend(&mut self.scratch.path, digits.format(index).as_bytes());
            self.value(depth)?;
            self.scratch.path.truncate(length);
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return Err(Error::JsonSyntax),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), Error> {
        let rest = &self.body[self.at..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let scalar = &rest[..length.count()];
        match scalar {
            b"true" | b"false" | b"null" => {}
            [b'-' | b'0'..=b'9', ..] if is_number(scalar) => {}
            [b'-' | b'0'..=b'9', ..] => return Err(Error::JsonNumber),
            _ => return Err(Error::JsonSyntax),
        }
        self.at += scalar.len();
        let path = &self.scratch.path;
        self.visits.value(Target::JsonScalar, path, scalar)
    }

    /// Decodes the string at hand into the scratch. At a fault it is still at hand.
    fn string(&mut self) -> Result<(), Error> {
        let start = self.at;
        let outcome = self.rest_of_string();
        if outcome.is_err() {
            self.at = start;
        }
        outcome
    }

    fn rest_of_string(&mut self) -> Result<(), Error> {
        let decoded = &mut self.scratch.decoded;
        decoded.clear();
        self.at += 1;
        loop {
            let rest = &self.body[self.at..];
            let plain = rest
                .iter()
                .position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            let plain = plain.ok_or(Error::JsonSyntax)?;
            decoded.extend_from_slice(&rest[..plain]);
            self.at += plain + 1;
            match rest[plain] {
                b'"' => return Ok(()),
                b'\\' => self.at += escape(&rest[plain + 1..], decoded)?,
                _ => return Err(Error::ControlCharacter),
            }
        }
    }
}

/// Puts a name or an index behind the path, as much of it as there is room for.
fn descend(path: &mut Vec<u8>, name: &[u8]) {
    if path.len() < NAME {
        path.push(b'.');
        path.extend_from_slice(&name[..name.len().min(NAME - path.len())]);
    }
}

/// Puts the name of a member behind the path, so that it stays one step of it.
pub fn member(path: &mut Vec<u8>, name: &[u8]) {
    if memchr::memchr2(b'.', b'\\', name).is_none() {
        return descend(path, name);
    }
    descend(path, b"");
    for &byte in name {
        if path.len() >= NAME {
            return;
        }
        if matches!(byte, b'.' | b'\\') {
            path.push(b'\\');
        }
        path.push(byte);
    }
}

/// The length of the escape whose backslash was read, decoded.
pub(super) fn escape(rest: &[u8], decoded: &mut Vec<u8>) -> Result<usize, Error> {
    let byte = match rest.first() {
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0C,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return unicode(rest, decoded),
        _ => return Err(Error::JsonEscape),
    };
    decoded.push(byte);
    Ok(1)
}

fn unicode(rest: &[u8], decoded: &mut Vec<u8>) -> Result<usize, Error> {
    let first = unit(rest)?;
    let (code, length) = match first {
        0xD800..=0xDBFF => {
            let rest = rest[5..].strip_prefix(b"\\").ok_or(Error::LoneSurrogate)?;
            if rest.first() != Some(&b'u') {
                return Err(Error::LoneSurrogate);
            }
            let second = unit(rest)?;
            if !(0xDC00..=0xDFFF).contains(&second) {
                return Err(Error::LoneSurrogate);
            }
            (0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00), 11)
        }
        _ => (first, 5),
    };
    let character = char::from_u32(code).ok_or(Error::LoneSurrogate)?;
    decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(length)
}

/// The four digits behind a `u`.
fn unit(rest: &[u8]) -> Result<u32, Error> {
    let digits = rest.get(1..5).ok_or(Error::JsonEscape)?;
    digits.iter().try_fold(0, |code, &digit| {
        let digit = char::from(digit).to_digit(16);
        Ok(code << 4 | digit.ok_or(Error::JsonEscape)?)
    })
}

/// RFC 8259 section 6: no plus, no leading zero, digits on both sides of the point.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let [b'.', fraction @ ..] = rest {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let sign = usize::from(matches!(exponent.first(), Some(b'+' | b'-')));
        let count = digits(&exponent[sign..]);
        if count == 0 {
            return false;
        }
        rest = &exponent[sign + count..];
    }
    rest.is_empty()
}
