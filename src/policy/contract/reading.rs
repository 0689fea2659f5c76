//! What the texts of a request stand for. A parameter or a field of a form is a text, its schema
//! speaks of numbers, arrays and objects: what is read here is written as JSON for the schema.
//!
//! What stays true: a text becomes a number or a literal only where its schema has such a type,
//! and nothing that a client writes can become structure.

use std::ops::Range;

use crate::policy::contract::schema::{is_number, quote};

/// Which single values a text may stand for, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    pub const NULL: Kinds = Kinds(1);
    pub const BOOLEAN: Kinds = Kinds(2);
    pub const NUMBER: Kinds = Kinds(4);
    pub const STRING: Kinds = Kinds(8);
    pub const ALL: Kinds = Kinds(15);

    pub fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    pub fn without(self, other: Kinds) -> Kinds {
        Kinds(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn has(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the text can be one of the kinds that are written without quotes.
    fn fit(self, text: &str) -> bool {
        match text {
            "true" | "false" => self.has(Kinds::BOOLEAN),
            "null" => self.has(Kinds::NULL),
            _ => self.has(Kinds::NUMBER) && is_number(text),
        }
    }
}

/// How the texts of one value are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A single value.
    One(Kinds),
    /// An array, each item a text of its own.
    Many(Box<Reading>),
    /// An object, each member a text of its own, or several for an array.
    Members(Members),
    /// The text is JSON itself.
    Json,
    /// Any bytes; for a schema a text of as many characters.
    Bytes,
}

/// The declared members of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    pub named: Box<[(Box<str>, Reading)]>,
    /// What all other names are; none: there are none.
    pub others: Option<Box<Reading>>,
}

impl Members {
    pub fn find(&self, name: &str) -> Option<&Reading> {
        let named = self.named.iter().find(|(own, _)| **own == *name);
        named.map(|(_, reading)| reading).or(self.others.as_deref())
    }
}

/// The rule that a text breaks, for the log.
pub type Rule = &'static str;

/// What was given for one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// Where it stands in the decoded text.
    Text(Range<usize>),
    /// So many bytes that are no text.
    Bytes(usize),
}

/// One decoded text, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The index of the declared value that it belongs to.
    pub owner: u16,
    /// The name of a member; empty for what is none.
    pub member: Range<usize>,
    pub given: Given,
}

impl Pair {
    pub fn is_empty(&self) -> bool {
        match &self.given {
            Given::Text(range) => range.is_empty(),
            Given::Bytes(count) => *count == 0,
        }
    }
}

/// Decoded texts of one request part; kept and filled anew for the next.
#[derive(Debug, Default)]
pub struct Texts {
    pub text: String,
    pub pairs: Vec<Pair>,
}

impl Texts {
    pub fn clear(&mut self) {
        self.text.clear();
        self.pairs.clear();
    }

    /// Takes a text in as it is.
    pub fn push(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    pub fn pair(&mut self, owner: u16, member: Range<usize>, value: Range<usize>) {
        let given = Given::Text(value);
        self.pairs.push(Pair {
            owner,
            member,
            given,
        });
    }

    /// Brings the pairs of one owner and of one member together, in the order in which they came.
    pub fn sort(&mut self) {
        let Texts { text, pairs } = self;
        let start = |pair: &Pair| match &pair.given {
            Given::Text(range) => range.start,
            Given::Bytes(_) => 0,
        };
        if pairs.len() > 1 {
            pairs.sort_unstable_by(|a, b| {
                let member = |pair: &Pair| &text[pair.member.clone()];
                let by_name = (a.owner, member(a)).cmp(&(b.owner, member(b)));
                by_name.then_with(|| start(a).cmp(&start(b)))
            });
        }
    }

    /// After [`sort`](Texts::sort): the pairs of each owner.
    pub fn groups(&self) -> impl Iterator<Item = &[Pair]> {
        self.pairs.chunk_by(|a, b| a.owner == b.owner)
    }
}

/// Values being written as JSON.
pub struct Writer<'w> {
    pub text: &'w str,
    pub out: &'w mut String,
    /// Whether what could be a string as well as something else is to be one.
    pub prefers_strings: bool,
    /// Whether there was such a text.
    pub is_mixed: bool,
}

impl<'w> Writer<'w> {
    pub fn new(text: &'w str, out: &'w mut String, prefers_strings: bool) -> Writer<'w> {
        out.clear();
        Writer {
            text,
            out,
            prefers_strings,
            is_mixed: false,
        }
    }

    /// Writes what the pairs of one owner stand for.
    pub fn value(&mut self, reading: &Reading, pairs: &[Pair]) -> Result<(), Rule> {
        match reading {
            Reading::Many(items) => {
                self.out.push('[');
                for (index, pair) in pairs.iter().enumerate() {
                    self.comma(index);
                    self.value(items, std::slice::from_ref(pair))?;
                }
                self.out.push(']');
                Ok(())
            }
            Reading::Members(members) => {
                self.out.push('{');
                self.members(members, pairs, 0)?;
                self.out.push('}');
                Ok(())
            }
            Reading::One(_) | Reading::Json | Reading::Bytes => match pairs {
                [pair] => self.single(reading, pair),
                _ => Err("repeated"),
            },
        }
    }

    /// Writes the members without the braces around them; `written` stand there already.
    pub fn members(
        &mut self,
        members: &Members,
        pairs: &[Pair],
        written: usize,
    ) -> Result<(), Rule> {
        let text = self.text;
        let is_same = |a: &Pair, b: &Pair| text[a.member.clone()] == text[b.member.clone()];
        for (index, group) in pairs.chunk_by(is_same).enumerate() {
            let name = &text[group[0].member.clone()];
            let reading = members.find(name).ok_or("declared")?;
            self.comma(written + index);
            self.name_of_member(name);
            self.value(reading, group)?;
        }
        Ok(())
    }

    pub fn name_of_member(&mut self, name: &str) {
        quote(name, self.out);
        self.out.push(':');
    }

    pub fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.push(',');
        }
    }

    fn single(&mut self, reading: &Reading, pair: &Pair) -> Result<(), Rule> {
        let range = match &pair.given {
            Given::Text(range) => range.clone(),
            Given::Bytes(count) => {
                self.out.push('"');
                self.out.extend(std::iter::repeat_n('x', *count));
                self.out.push('"');
                return Ok(());
            }
        };
        let text = &self.text[range];
        match reading {
            Reading::One(kinds) => self.scalar(*kinds, text),
            Reading::Json => {
                // Alone in its place, so that no text can close what is around it.
                serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| "json")?;
                self.out.push_str(text);
            }
            Reading::Bytes | Reading::Many(_) | Reading::Members(_) => quote(text, self.out),
        }
        Ok(())
    }

    fn scalar(&mut self, kinds: Kinds, text: &str) {
        let is_bare = kinds.fit(text);
        let is_mixed = is_bare && kinds.has(Kinds::STRING);
        self.is_mixed |= is_mixed;
        match is_bare && !(is_mixed && self.prefers_strings) {
            true => self.out.push_str(text),
            false => quote(text, self.out),
        }
    }
}
