//! Values by their first byte: what a node asks of strings, numbers, literals and arrays.

use super::plan::{Array, Node, literal};
use super::{DEPTH, Direct, scan};
use crate::policy::contract::schema::number::Number;
use crate::policy::contract::schema::pattern::Trail;
use crate::policy::contract::schema::program::{RuleId, StringRule, types};
use crate::policy::contract::schema::text;

impl<'w> Direct<'w> {
    /// The place behind the value that begins here, if it is known to be good.
    #[inline(never)]
    pub(super) fn value(&mut self, id: RuleId, at: usize) -> Option<usize> {
        let plan = self.plan;
        let node = &plan.nodes[id];
        let bytes = self.text.as_bytes();
        let (mut at, mut byte) = (at, scan::byte(bytes, at));
        if scan::is_blank(byte) {
            at = scan::blank(bytes, at);
            byte = scan::byte(bytes, at);
        }
        match byte {
            b'"' => self.string(node, at + 1),
            b'{' => {
                is_type(node, types::OBJECT)?;
                let object = node.object.as_deref();
                self.object(object.unwrap_or(&plan.open), at + 1)
            }
            b'[' => {
                is_type(node, types::ARRAY)?;
                let array = node.array.as_deref();
                self.array(array.unwrap_or(&plan.anything), at + 1)
            }
            b't' => self.literal(node, at, b"true"),
            b'f' => self.literal(node, at, b"false"),
            b'n' => self.literal(node, at, b"null"),
            _ => self.number(node, at),
        }
    }

    #[inline(always)]
    fn string(&mut self, node: &'w Node, start: usize) -> Option<usize> {
        is_type(node, types::STRING)?;
        let bytes = self.text.as_bytes();
        let end = scan::string_end(bytes, start);
        match scan::byte(bytes, end) {
            b'"' => {
                let is_free = node.text.is_none() && node.allowed.is_none();
                if !is_free && !is_good(node, self.text.get(start..end)?, self.trail) {
                    return None;
                }
                Some(end + 1)
            }
            b'\\' => self.escaped(node, start, end),
            _ => None,
        }
    }

    /// A string with a backslash, the first of them at `at`.
    #[inline(never)]
    fn escaped(&mut self, node: &Node, start: usize, mut at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        while scan::byte(bytes, at) == b'\\' {
            at = scan::string_end(bytes, at + 2);
        }
        if scan::byte(bytes, at) != b'"' {
            return None;
        }
        let mut decoded = std::mem::take(&mut self.loose.decoded);
        decoded.clear();
        let pieces = text::pieces(self.text.get(start..at)?, |piece| decoded.push_str(piece));
        let holds = pieces.is_some() && is_good(node, &decoded, self.trail);
        self.loose.decoded = decoded;
        holds.then_some(at + 1)
    }

    #[inline(always)]
    fn literal(&self, node: &Node, at: usize, whole: &[u8]) -> Option<usize> {
        let end = at + whole.len();
        is_type(node, literal(whole[0]))?;
        let is_good = node
            .allowed
            .as_ref()
            .is_none_or(|allowed| allowed.literals.contains(&whole[0]));
        // What follows is looked at by who comes next.
        (is_good && self.text.as_bytes().get(at..end) == Some(whole)).then_some(end)
    }

    #[inline(always)]
    fn number(&self, node: &Node, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let is_negative = scan::byte(bytes, at) == b'-';
        let start = at + usize::from(is_negative);
        let short = scan::short_number(bytes, start).filter(|_| node.number.exact.is_none());
        let Some(short) = short else {
            return self.long_number(node, at);
        };
        // No digit, or a zero before others: no number.
        if short.digits == 0 || short.digits > 1 && scan::byte(bytes, start) == b'0' {
            return None;
        }
        let twice = 2 * i64::from(short.whole) + i64::from(short.has_fraction);
        let twice = if is_negative { -twice } else { twice };
        let is_typed = node.types & types::NUMBER != 0
            || node.types & types::INTEGER != 0 && !short.has_fraction;
        let allowed = node.allowed.as_ref();
        let is_allowed = allowed.is_none_or(|allowed| allowed.whole.contains(&twice));
        let is_good = is_typed && is_allowed;
        (is_good && node.number.least <= twice && twice <= node.number.most)
            .then_some(start + short.length)
    }

    /// Any number, by its text.
    #[inline(never)]
    fn long_number(&self, node: &Node, at: usize) -> Option<usize> {
        let (number, length) = Number::read(self.text.as_bytes().get(at..)?)?;
        let is_typed = node.types & types::NUMBER != 0
            || node.types & types::INTEGER != 0 && number.is_whole();
        if !is_typed || node.allowed.is_some() {
            return None;
        }
        if let Some(rule) = &node.number.long {
            rule.check(&number, |_| None)?;
        }
        Some(at + length)
    }

    #[inline(never)]
    fn array(&mut self, array: &'w Array, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        let mut count = 0;
        let mut at = scan::blank(bytes, at);
        if scan::byte(bytes, at) == b']' {
            at += 1;
        } else {
            let mut is_open = true;
            while is_open {
                let item = array.prefix.get(count).copied().unwrap_or(array.items);
                count += 1;
                at = match (scan::byte(bytes, at), &self.plan.nodes[item].object) {
                    // What most arrays hold.
                    (b'{', Some(object)) => self.object(object, at + 1)?,
                    _ => self.value(item, at)?,
                };
                let mut byte = scan::byte(bytes, at);
                if scan::is_blank(byte) {
                    at = scan::blank(bytes, at);
                    byte = scan::byte(bytes, at);
                }
                at += 1;
                is_open = match byte {
                    b',' => true,
                    b']' => false,
                    _ => return None,
                };
            }
        }
        self.depth -= 1;
        (array.least <= count && count <= array.most).then_some(at)
    }
}

#[inline(always)]
fn is_type(node: &Node, wanted: u8) -> Option<()> {
    (node.types & wanted != 0).then_some(())
}

/// Whether a string is what its node asks for.
#[inline(always)]
fn is_good(node: &Node, text: &str, trail: &mut Trail) -> bool {
    let is_allowed = node.allowed.as_ref().is_none_or(|allowed| {
        let mut texts = allowed.texts.iter();
        texts.any(|other| **other == *text)
    });
    // What takes too many steps is told by the other walk, which has none left either.
    let holds = |rule: &StringRule| {
        rule.check(text, |_| None).is_some() && rule.matches(text, trail) == Ok(true)
    };
    is_allowed && node.text.as_deref().is_none_or(holds)
}
