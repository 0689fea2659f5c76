//! Forms against their schema: `application/x-www-form-urlencoded` (WHATWG URL section 5.1) and
//! `multipart/form-data` (RFC 7578), with the Encoding Objects of OpenAPI.
//!
//! A form becomes the JSON object that its schema speaks of; a file stands in it as a text of as
//! many characters as the file has bytes. Fields that are not declared are refused, as are those
//! that are given twice and are no array.

use crate::policy::contract::fields::{Field, Fields, OTHERS, Taken};
use crate::policy::contract::media_type::{MediaRange, MediaType};
use crate::policy::contract::reading::{Given, Pair, Reading, Rule, Texts, Writer};
use crate::policy::contract::schema::{self, Schema, is_over};
use crate::proto::multipart::{Head, Part, Parts, field as line_of};
use crate::proto::query;

/// Most fields of one form, and most texts of it.
pub const FIELDS: usize = 1024;

/// A form.
#[derive(Clone)]
pub struct Form {
    pub fields: Fields,
    /// Of multipart forms: one for each of the fields, and one for all others.
    pub parts: Box<[PartRule]>,
    pub schema: Schema,
}

/// What a part must be.
#[derive(Clone)]
pub struct PartRule {
    pub content: PartContent,
    /// Its declared media types; none: those that its content has by default.
    pub types: Box<[MediaRange]>,
    pub headers: Box<[PartHeader]>,
}

/// What the content of a part is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartContent {
    Text,
    Json,
    Bytes,
}

/// A declared header field of a part.
#[derive(Clone)]
pub struct PartHeader {
    pub name: Box<str>,
    pub required: bool,
    pub schema: Schema,
}

/// The rule that a form breaks, and where: a JSON pointer.
pub type Broken = (String, Rule);

/// What a check of a form needs of the shard's memory.
pub struct Memory<'m> {
    pub texts: &'m mut Texts,
    pub name: &'m mut String,
    pub json: &'m mut String,
    pub schema: &'m mut schema::Scratch,
}

impl Form {
    pub fn check_encoded(&self, body: &[u8], memory: &mut Memory<'_>) -> Result<(), Broken> {
        let Memory { texts, name, .. } = memory;
        texts.clear();
        for (count, pair) in query::pairs(body).enumerate() {
            let taken = self.fields.take(pair, texts, name);
            let taken = taken.map_err(|(field, rule)| {
                let name = field.map_or_else(String::new, |field| pointer(&field.name));
                (name, rule)
            });
            if let Taken::Nobody = taken? {
                return Err((pointer(name), "declared"));
            }
            if count >= FIELDS || texts.pairs.len() > FIELDS {
                return Err((String::new(), "too-many"));
            }
        }
        self.judge(memory)
    }

    pub fn check_parts(
        &self,
        body: &[u8],
        boundary: &[u8],
        memory: &mut Memory<'_>,
    ) -> Result<(), Broken> {
        let whole = |rule: Rule| (String::new(), rule);
        memory.texts.clear();
        let parts = Parts::new(body, boundary).map_err(|fault| whole(fault.name()))?;
        for (count, part) in parts.enumerate() {
            let part = part.map_err(|fault| whole(fault.name()))?;
            if count >= FIELDS || memory.texts.pairs.len() > FIELDS {
                return Err(whole("too-many"));
            }
            self.take_part(part, memory)?;
        }
        self.judge(memory)
    }

    fn take_part(&self, part: Part<'_>, memory: &mut Memory<'_>) -> Result<(), Broken> {
        let whole = |rule: Rule| (String::new(), rule);
        let head = part.head().map_err(|fault| whole(fault.name()))?;
        let name = head.name.ok_or(whole("part-name"))?;
        let name = std::str::from_utf8(name).map_err(|_| whole("encoding"))?;
        let broken = |rule: Rule| (pointer(name), rule);
        let owner = self.fields.owner(name).ok_or(broken("declared"))?;
        let field = self.fields.get(owner.index);
        let index = usize::from(owner.index).min(self.parts.len().saturating_sub(1));
        let rule = self.parts.get(index).ok_or(broken("declared"))?;
        rule.check(part, head, memory.schema).map_err(broken)?;
        let texts = &mut *memory.texts;
        if rule.content == PartContent::Bytes {
            let member = texts.push(owner.member);
            texts.pairs.push(Pair {
                owner: owner.index,
                member,
                given: Given::Bytes(part.content.len()),
            });
            return Ok(());
        }
        match field {
            Some(field) => field.take(owner, part.content, copy, texts),
            None => {
                let member = texts.push(owner.member);
                let start = texts.text.len();
                copy(part.content, &mut texts.text).ok_or(broken("encoding"))?;
                texts.pair(OTHERS, member, start..texts.text.len());
                Ok(())
            }
        }
        .map_err(broken)
    }

    /// Checks what was gathered: as what is written without quotes first, where a schema would have
    /// both.
    fn judge(&self, memory: &mut Memory<'_>) -> Result<(), Broken> {
        memory.texts.sort();
        let mut outcome = Ok(());
        for prefers_strings in [false, true] {
            let mut writer = Writer::new(&memory.texts.text, memory.json, prefers_strings);
            self.write(&mut writer, memory.texts)?;
            let is_mixed = writer.is_mixed;
            let checked = self.schema.check(memory.json.as_bytes(), memory.schema);
            outcome = checked.map_err(|violation| (violation.pointer, violation.keyword));
            let is_over = outcome.as_ref().is_err_and(|(_, rule)| is_over(rule));
            if outcome.is_ok() || !is_mixed || is_over {
                break;
            }
        }
        outcome
    }

    fn write(&self, writer: &mut Writer<'_>, texts: &Texts) -> Result<(), Broken> {
        writer.out.push('{');
        for (index, group) in texts.groups().enumerate() {
            let owner = group.first().map_or(OTHERS, |pair| pair.owner);
            let (written, name) = match (self.fields.get(owner), &self.fields.others) {
                (Some(Field { name, reading, .. }), _) => {
                    writer.comma(index);
                    writer.name_of_member(name);
                    (writer.value(reading, group), &**name)
                }
                (None, Some(others)) => (writer.members(others, group, index), ""),
                (None, None) => (Err("declared"), ""),
            };
            written.map_err(|rule| (pointer(name), rule))?;
        }
        writer.out.push('}');
        Ok(())
    }
}

/// The content of a part is not encoded.
fn copy(content: &[u8], out: &mut String) -> Option<()> {
    let text = std::str::from_utf8(content).ok()?;
    out.push_str(text);
    (!text.contains('\0')).then_some(())
}

/// The JSON pointer (RFC 6901) to a field.
fn pointer(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
    }
}

impl PartRule {
    fn check(
        &self,
        part: Part<'_>,
        head: Head<'_>,
        scratch: &mut schema::Scratch,
    ) -> Result<(), Rule> {
        self.check_type(head.content_type)?;
        // What a reader takes for a file it does not take for a field.
        let is_field = self.content == PartContent::Text && self.types.is_empty();
        if is_field && head.file_name.is_some() {
            return Err("file-name");
        }
        if head.name == Some(b"_charset_") && !part.content.eq_ignore_ascii_case(b"utf-8") {
            return Err("charset");
        }
        self.headers
            .iter()
            .try_for_each(|header| header.check(part, scratch))
    }

    /// RFC 7578 section 4.4: what says nothing is text.
    fn check_type(&self, content_type: Option<&[u8]>) -> Result<(), Rule> {
        let Some(value) = content_type else {
            let needs_type = self.content == PartContent::Bytes && !self.types.is_empty();
            return match needs_type {
                true => Err("content-type"),
                false => Ok(()),
            };
        };
        let read = MediaType::read(value).ok_or("content-type")?;
        let is_known = match self.content {
            _ if !self.types.is_empty() => {
                let mut types = self.types.iter();
                types.any(|range| range.matches(&read).is_some())
            }
            PartContent::Text => read.is("text/plain"),
            PartContent::Json => read.is_json(),
            PartContent::Bytes => true,
        };
        match (is_known, self.content) {
            (false, _) => Err("content-type"),
            (true, PartContent::Text | PartContent::Json) if !read.has_utf8() => Err("charset"),
            (true, _) => Ok(()),
        }
    }
}

impl PartHeader {
    fn check(&self, part: Part<'_>, scratch: &mut schema::Scratch) -> Result<(), Rule> {
        let lines = part.lines().map_err(|fault| fault.name())?;
        let mut values = lines.filter_map(|line| {
            let (name, value) = line_of(line).ok()?;
            name.eq_ignore_ascii_case(self.name.as_bytes())
                .then_some(value)
        });
        match (values.next(), values.next()) {
            (None, _) if self.required => Err("part-header"),
            (None, _) => Ok(()),
            (Some(_), Some(_)) => Err("repeated-field"),
            (Some(value), None) => {
                let text = std::str::from_utf8(value).map_err(|_| "encoding")?;
                let checked = self.schema.check_text(text, scratch);
                checked.map_err(|violation| violation.keyword)
            }
        }
    }
}

/// A body that is one text.
#[derive(Clone)]
pub struct Text {
    pub reading: Reading,
    pub schema: Schema,
}

impl Text {
    pub fn check(&self, body: &[u8], memory: &mut Memory<'_>) -> Result<(), Broken> {
        let whole = |rule: Rule| (String::new(), rule);
        let texts = &mut *memory.texts;
        texts.clear();
        copy(body, &mut texts.text).ok_or(whole("encoding"))?;
        texts.pair(0, 0..0, 0..texts.text.len());
        let mut outcome = Ok(());
        for prefers_strings in [false, true] {
            let mut writer = Writer::new(&texts.text, memory.json, prefers_strings);
            writer.value(&self.reading, &texts.pairs).map_err(whole)?;
            let is_mixed = writer.is_mixed;
            let checked = self.schema.check_value(memory.json, memory.schema);
            outcome = checked.map_err(|violation| whole(violation.keyword));
            let is_over = outcome.as_ref().is_err_and(|(_, rule)| is_over(rule));
            if outcome.is_ok() || !is_mixed || is_over {
                break;
            }
        }
        outcome
    }
}
