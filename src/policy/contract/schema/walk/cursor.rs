//! Tokens of an index as a cursor sees them: every step proves that what it passes is JSON.

use super::super::number::Number;
use super::super::text;
use super::{DEPTH, Walk};

impl<'w> Walk<'w> {
    #[inline]
    pub(super) fn at(&self, token: usize) -> usize {
        let positions = self.memory.index.positions();
        positions.get(token).map_or(usize::MAX, |&at| at as usize)
    }

    /// The byte of a token; 0, which is none of JSON, after the last.
    #[inline]
    pub(super) fn byte(&self, token: usize) -> u8 {
        *self.text.as_bytes().get(self.at(token)).unwrap_or(&0)
    }

    /// Where the content of a string begins and ends.
    #[inline]
    pub(super) fn span(&self, token: usize) -> (usize, usize) {
        (self.at(token) + 1, self.at(token + 1))
    }

    pub(super) fn raw(&self, (start, end): (usize, usize)) -> &'w str {
        self.text.get(start..end).unwrap_or_default()
    }

    pub(super) fn has_escape(&self, (start, end): (usize, usize)) -> bool {
        self.memory.index.has_escapes()
            && memchr::memchr(b'\\', self.raw((start, end)).as_bytes()).is_some()
    }

    /// Calls with the characters of a string.
    pub(super) fn with_text<T>(
        &mut self,
        token: usize,
        look: impl FnOnce(&mut Walk<'w>, &str) -> Option<T>,
    ) -> Option<T> {
        let span = self.span(token);
        if !self.has_escape(span) {
            let raw = self.raw(span);
            return look(self, raw);
        }
        let mut decoded = std::mem::take(&mut self.memory.decoded);
        decoded.clear();
        let outcome = match text::pieces(self.raw(span), |piece| decoded.push_str(piece)) {
            Some(()) => look(self, &decoded),
            None => self.broken(0, "json"),
        };
        self.memory.decoded = decoded;
        outcome
    }

    /// Checks the escapes of a string and steps over it.
    #[inline]
    pub(super) fn string(&mut self, token: usize) -> Option<usize> {
        let span = self.span(token);
        if !self.is_proved
            && self.has_escape(span)
            && text::pieces(self.raw(span), |_| {}).is_none()
        {
            return self.broken(0, "json");
        }
        Some(token + 2)
    }

    /// Checks that a literal or number ends where its bytes do.
    #[inline]
    pub(super) fn scalar(&mut self, token: usize, length: usize) -> Option<usize> {
        let next = self.text.as_bytes().get(self.at(token) + length);
        match next {
            None | Some(b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t') => Some(token + 1),
            // Anything else that is a token of its own is refused as such.
            Some(b'"' | b':' | b'[' | b'{') => Some(token + 1),
            Some(_) => self.broken(0, "json"),
        }
    }

    pub(super) fn literal(&mut self, token: usize, literal: &str) -> Option<usize> {
        let at = self.at(token);
        let found = self.text.as_bytes().get(at..at + literal.len());
        match found == Some(literal.as_bytes()) {
            true => self.scalar(token, literal.len()),
            false => self.broken(0, "json"),
        }
    }

    #[inline]
    pub(super) fn number(&mut self, token: usize) -> Option<(Number<'w>, usize)> {
        let bytes = self.text.as_bytes().get(self.at(token)..)?;
        match Number::read(bytes) {
            Some((number, length)) => Some((number, self.scalar(token, length)?)),
            None => self.broken(0, "json"),
        }
    }

    /// Steps over a value of which nothing is asked but to be JSON.
    pub fn skip(&mut self, token: usize) -> Option<usize> {
        match self.byte(token) {
            b'"' => self.string(token),
            b'{' | b'[' if self.is_proved => Some(self.memory.ends[token] as usize),
            b'{' => self.skip_members(token),
            b'[' => self.skip_items(token),
            b't' => self.literal(token, "true"),
            b'f' => self.literal(token, "false"),
            b'n' => self.literal(token, "null"),
            _ => self.number(token).map(|(_, next)| next),
        }
    }

    pub(super) fn skip_members(&mut self, token: usize) -> Option<usize> {
        self.enter()?;
        let first = self.memory.names.len();
        let mut next = token + 1;
        while self.byte(next) != b'}' {
            let value = self.name(next)?;
            self.keep_name(next);
            let end = self.skip(value)?;
            next = self.comma(end, b'}')?;
        }
        self.unique_names(first, token)?;
        self.leave(token, next + 1)
    }

    pub(super) fn skip_items(&mut self, token: usize) -> Option<usize> {
        self.enter()?;
        let mut next = token + 1;
        while self.byte(next) != b']' {
            let end = self.skip(next)?;
            next = self.comma(end, b']')?;
        }
        self.leave(token, next + 1)
    }

    #[inline]
    pub(super) fn enter(&mut self) -> Option<()> {
        self.depth += 1;
        match self.depth <= DEPTH {
            true => Some(()),
            false => self.broken(0, "json"),
        }
    }

    #[inline]
    pub(super) fn leave(&mut self, token: usize, end: usize) -> Option<usize> {
        self.depth -= 1;
        if self.is_proving {
            self.memory.ends[token] = end as u32;
        }
        Some(end)
    }

    /// After a member or item: the closing bracket, or what stands after the comma, which cannot
    /// be the bracket.
    #[inline]
    pub(super) fn comma(&mut self, token: usize, close: u8) -> Option<usize> {
        match self.byte(token) {
            b',' if self.byte(token + 1) != close => Some(token + 1),
            byte if byte == close => Some(token),
            _ => self.broken(0, "json"),
        }
    }

    /// Checks a name and its colon; the token of the value.
    #[inline]
    pub(super) fn name(&mut self, token: usize) -> Option<usize> {
        if self.byte(token) != b'"' || self.byte(token + 2) != b':' {
            return self.broken(0, "json");
        }
        self.string(token)?;
        Some(token + 3)
    }

    /// Steps along a proved array; from the token after its bracket on.
    pub(super) fn item(&mut self, next: &mut usize) -> Option<usize> {
        if matches!(self.byte(*next), b']' | 0) {
            return None;
        }
        let item = *next;
        let end = self.skip(item)?;
        *next = end + usize::from(self.byte(end) == b',');
        Some(item)
    }

    /// Steps along a proved object; the tokens of a name and its value.
    pub(super) fn member(&mut self, next: &mut usize) -> Option<(usize, usize)> {
        if matches!(self.byte(*next), b'}' | 0) {
            return None;
        }
        let name = *next;
        let end = self.skip(name + 3)?;
        *next = end + usize::from(self.byte(end) == b',');
        Some((name, name + 3))
    }

    /// The value of a member of a proved object.
    pub(super) fn find(&mut self, token: usize, wanted: &str) -> Option<usize> {
        let mut next = token + 1;
        while let Some((name, value)) = self.member(&mut next) {
            if self.is_text(name, wanted) {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn is_text(&mut self, token: usize, wanted: &str) -> bool {
        self.with_text(token, |_, text| Some(text == wanted)) == Some(true)
    }

    #[inline]
    pub(super) fn keep_name(&mut self, token: usize) {
        if !self.is_proved {
            self.memory.names.push(self.span(token));
        }
    }

    /// The names kept from `first` on belong to one object.
    pub(super) fn unique_names(&mut self, first: usize, token: usize) -> Option<()> {
        let has_escapes = self.memory.index.has_escapes();
        match self.memory.names.are_unique(first, self.text, has_escapes) {
            true => Some(()),
            false => self.broken(token, "unique names"),
        }
    }
}
