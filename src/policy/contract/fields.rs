//! Names and values that a query or a form is made of: whose each pair is, and how its value is
//! written (OpenAPI "Style Values").
//!
//! What two readers could take for two values is refused: an encoded comma in a list with commas, a
//! name given twice that is declared for one value.

use std::ops::Range;

use crate::policy::contract::reading::{Members, Reading, Rule, Texts};
use crate::proto::query;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `name=value`, once for each item of an array (`form` with `explode`).
    Pairs,
    /// An object, each member a pair of its own (`form` with `explode`).
    Exploded,
    /// An array or object as one text (`form` without `explode`, `spaceDelimited`,
    /// `pipeDelimited`); the members of an object are `name,value,name,value`.
    Separated(char),
    /// `name[member]=value` (`deepObject`).
    Deep,
}

/// One declared name of a query or of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Box<str>,
    pub style: Style,
    pub reading: Reading,
    /// Whether reserved characters may stand in a value as they are (`allowReserved`).
    pub reserved: bool,
    /// Whether an empty value passes whatever the schema says (`allowEmptyValue`).
    pub empty: bool,
}

/// All declared names.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    pub named: Box<[Field]>,
    /// Of the members of an object that the fields are: what other names are.
    pub others: Option<Members>,
}

/// Whose a pair turned out to be.
#[derive(Clone, Copy, Debug)]
pub enum Taken<'f> {
    Field(&'f Field),
    Others,
    Nobody,
}

/// The rule that a pair breaks, and of which field, if it is anybody's.
pub type Broken<'f> = (Option<&'f Field>, Rule);

/// The owner of pairs that only [`Fields::others`] speaks of.
pub const OTHERS: u16 = u16::MAX;

/// Whose a pair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'n> {
    pub index: u16,
    /// The name of the member that the pair gives.
    pub member: &'n str,
}

impl Fields {
    /// None: nobody's.
    pub fn owner<'n>(&self, name: &'n str) -> Option<Owner<'n>> {
        let whole = |index: usize| Owner {
            index: index as u16,
            member: "",
        };
        let is_whole = |field: &Field| match field.style {
            Style::Pairs | Style::Separated(_) => *field.name == *name,
            Style::Exploded | Style::Deep => false,
        };
        if let Some(index) = self.named.iter().position(is_whole) {
            return Some(whole(index));
        }
        let member = |index: usize, member| Owner {
            index: index as u16,
            member,
        };
        for (index, field) in self.named.iter().enumerate() {
            match (field.style, &field.reading) {
                (Style::Deep, _) => {
                    if let Some(inner) = deep(name, &field.name) {
                        return Some(member(index, inner));
                    }
                }
                (Style::Exploded, Reading::Members(members))
                    if members.named.iter().any(|(own, _)| **own == *name) =>
                {
                    return Some(member(index, name));
                }
                _ => {}
            }
        }
        // Only what nobody names is left for those that take any name.
        let takes_any = |field: &Field| match (&field.reading, field.style) {
            (Reading::Members(members), Style::Exploded) => members.others.is_some(),
            _ => false,
        };
        if let Some(index) = self.named.iter().position(takes_any) {
            return Some(member(index, name));
        }
        self.others.as_ref().map(|_| Owner {
            index: OTHERS,
            member: name,
        })
    }

    /// Takes in a pair of a query or of an encoded form; `name` is its name then, decoded.
    pub fn take(
        &self,
        (raw, value): (&[u8], &[u8]),
        texts: &mut Texts,
        name: &mut String,
    ) -> Result<Taken<'_>, Broken<'_>> {
        name.clear();
        query::decode_into(raw, name).ok_or((None, "encoding"))?;
        // Old parsers take it for `&`.
        let separates = |part: &[u8]| memchr::memchr(b';', part).is_some();
        let owner = self.owner(name);
        let field = owner.and_then(|owner| self.get(owner.index));
        if separates(raw) || separates(value) && !field.is_some_and(|field| field.reserved) {
            return Err((None, "separator"));
        }
        match (owner, field) {
            (Some(owner), Some(field)) => field
                .take(owner, value, query::decode_into, texts)
                .map(|()| Taken::Field(field))
                .map_err(|rule| (Some(field), rule)),
            (Some(owner), None) => {
                let member = texts.push(owner.member);
                let start = texts.text.len();
                query::decode_into(value, &mut texts.text).ok_or((None, "encoding"))?;
                texts.pair(OTHERS, member, start..texts.text.len());
                Ok(Taken::Others)
            }
            (None, _) => Ok(Taken::Nobody),
        }
    }

    /// The field with this index; none: it belongs to the others.
    pub fn get(&self, index: u16) -> Option<&Field> {
        self.named.get(usize::from(index))
    }
}

/// `member` of `name[member]`.
fn deep<'n>(text: &'n str, name: &str) -> Option<&'n str> {
    let inner = text.strip_prefix(name)?.strip_prefix('[')?;
    let inner = inner.strip_suffix(']')?;
    let is_plain = !inner.is_empty() && !inner.contains(['[', ']']);
    is_plain.then_some(inner)
}

impl Field {
    /// Takes in the pieces of a value, decoded by `decode`. A comma counts only where it is written
    /// as such (RFC 6570 section 3.2.8), but many decode first and split then: an encoded one would
    /// make two items of one. Spaces and bars cannot stand in a query but encoded.
    pub fn take<'v>(
        &self,
        owner: Owner<'_>,
        value: &'v [u8],
        decode: impl Fn(&'v [u8], &mut String) -> Option<()>,
        texts: &mut Texts,
    ) -> Result<(), Rule> {
        let member = texts.push(owner.member);
        let text = &mut texts.text;
        let start = text.len();
        let Style::Separated(separator) = self.style else {
            decode(value, text).ok_or("encoding")?;
            let range = start..text.len();
            texts.pair(owner.index, member, range);
            return Ok(());
        };
        if texts.pairs.iter().any(|pair| pair.owner == owner.index) {
            return Err("repeated");
        }
        let mut pieces = Pieces::new(owner.index, &self.reading);
        if separator != ',' {
            decode(value, text).ok_or("encoding")?;
            let whole = start..text.len();
            pieces.split(whole, separator, texts)?;
            return pieces.finish();
        }
        for part in value.split(|&byte| byte == b',') {
            let start = texts.text.len();
            decode(part, &mut texts.text).ok_or("encoding")?;
            if texts.text[start..].contains(',') {
                return Err("separator");
            }
            pieces.take(start..texts.text.len(), texts);
        }
        pieces.finish()
    }
}

/// The pieces of one text, on their way to the items of an array or to the members of an object.
pub struct Pieces {
    owner: u16,
    is_object: bool,
    /// Whether a member is one piece with `=` instead of two.
    assigns: bool,
    /// A member that waits for its value.
    name: Option<Range<usize>>,
}

impl Pieces {
    pub fn new(owner: u16, reading: &Reading) -> Pieces {
        Pieces {
            owner,
            is_object: matches!(reading, Reading::Members(_)),
            assigns: false,
            name: None,
        }
    }

    /// With members of the form `name=value`.
    pub fn assigning(self) -> Pieces {
        Pieces {
            assigns: self.is_object,
            ..self
        }
    }

    pub fn take(&mut self, piece: Range<usize>, texts: &mut Texts) {
        if !self.is_object {
            texts.pair(self.owner, 0..0, piece);
        } else if let Some(name) = self.name.take() {
            texts.pair(self.owner, name, piece);
        } else {
            self.name = Some(piece);
        }
    }

    /// Takes a piece, or the two that `name=value` is where members are written so.
    pub fn member(&mut self, piece: Range<usize>, texts: &mut Texts) -> Result<(), Rule> {
        if !self.assigns {
            self.take(piece, texts);
            return Ok(());
        }
        let equals = texts.text[piece.clone()].find('=').ok_or("member")?;
        let name = piece.start..piece.start + equals;
        texts.pair(self.owner, name, piece.start + equals + 1..piece.end);
        Ok(())
    }

    /// Takes what stands between separators.
    pub fn split(
        &mut self,
        whole: Range<usize>,
        separator: char,
        texts: &mut Texts,
    ) -> Result<(), Rule> {
        let mut start = whole.start;
        loop {
            let found = texts.text[start..whole.end].find(separator);
            let end = found.map_or(whole.end, |at| start + at);
            self.member(start..end, texts)?;
            if found.is_none() {
                return Ok(());
            }
            start = end + separator.len_utf8();
        }
    }

    /// A name without a value is no member.
    pub fn finish(self) -> Result<(), Rule> {
        self.name.map_or(Ok(()), |_| Err("member"))
    }
}
