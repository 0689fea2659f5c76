//! Values as most are, checked at once: a short text, a short number that is not negative, or a
//! boolean right behind its name. What is not known here is for the whole walk to tell.
//!
//! Name and value stand in one window, whose end is asked after once instead of with each step.

use std::sync::Arc;

use super::plan::{Node, Range};
use super::scan;
use crate::policy::contract::schema::program::{NumberRule, StringRule, types};
use crate::policy::contract::schema::sequence::Sequence;
use crate::policy::contract::schema::vector;

/// Bytes that a member is looked for in: name, value and one more.
pub const WINDOW: usize = 64;

/// Longest name, with quotes and colon, whose value still stands in the window.
const NAME: usize = 31;

/// What a node asks of short values of the type that it speaks of.
#[derive(Debug, Default)]
pub enum Quick {
    /// Too much for here.
    #[default]
    Unknown,
    Text(Text),
    /// One that is not negative. The bounds are as in [`Range`].
    Number {
        least: i64,
        most: i64,
        /// Whether they say more than that it is not negative.
        is_bounded: bool,
        takes_fractions: bool,
    },
    Boolean,
}

#[derive(Debug)]
pub struct Text {
    /// In bytes; enough for any text of as many code points as are asked for.
    least: u32,
    most: u32,
    sequence: Option<Arc<Sequence>>,
}

/// What a text holds from a place on, if it goes on far enough. Texts have less than 2^32 bytes.
#[inline(always)]
pub fn window(text: &[u8], at: usize) -> Option<&[u8; WINDOW]> {
    // So that the end is known not to overflow.
    let at = at as u32 as usize;
    text.get(at..at + WINDOW)?.first_chunk()
}

impl Quick {
    /// What is asked of the values of a node, behind a name of so many bytes.
    pub fn new(node: &Node, name: usize) -> Quick {
        if node.allowed.is_some() || name > NAME {
            return Quick::Unknown;
        }
        let quick = if node.types & types::STRING != 0 {
            Text::new(node.text.as_deref()).map(Quick::Text)
        } else if node.types & (types::NUMBER | types::INTEGER) != 0 {
            Quick::number(&node.number, node.types & types::NUMBER != 0)
        } else if node.types & types::BOOLEAN != 0 {
            Some(Quick::Boolean)
        } else {
            None
        };
        quick.unwrap_or_default()
    }

    fn number(range: &Range, takes_fractions: bool) -> Option<Quick> {
        let has_format = |rule: &Arc<NumberRule>| rule.format.is_some();
        range.exact.is_none().then_some(Quick::Number {
            least: range.least,
            most: range.most,
            // The few digits of a bounded number are within the range of every format.
            is_bounded: range.least > 0
                || range.most < i64::MAX
                || range.long.as_ref().is_some_and(has_format),
            takes_fractions,
        })
    }

    /// Where a value ends that begins at a place of the window, or behind one space there, if it is
    /// known to be good.
    #[inline(always)]
    pub fn end(&self, window: &[u8; WINDOW], at: usize) -> Option<usize> {
        // It is that already, which shows here that nothing below leads out of the window.
        let at = at & NAME;
        match window[at] {
            b' ' => self.spaced(window, at),
            _ => self.begun(window, at),
        }
    }

    /// Apart, so that a space is a branch that is foreseen and no sum that the value would wait for.
    #[inline(never)]
    fn spaced(&self, window: &[u8; WINDOW], at: usize) -> Option<usize> {
        self.begun(window, (at & NAME) + 1)
    }

    #[inline(always)]
    fn begun(&self, window: &[u8; WINDOW], at: usize) -> Option<usize> {
        match self {
            Quick::Unknown => None,
            Quick::Text(text) => text.end(window, at),
            Quick::Number {
                least,
                most,
                is_bounded,
                takes_fractions,
            } => {
                let number = number(window, at, *takes_fractions)?;
                let is_within = !is_bounded || number.is_within(window, at, *least, *most)?;
                is_within.then_some(number.end)
            }
            Quick::Boolean => match &window[at..at + 4] {
                b"true" => Some(at + 4),
                b"fals" if window[at + 4] == b'e' => Some(at + 5),
                _ => None,
            },
        }
    }
}

impl Text {
    /// None: something is asked that takes the text itself.
    fn new(rule: Option<&StringRule>) -> Option<Text> {
        let mut text = Text {
            least: 0,
            most: u32::MAX,
            sequence: None,
        };
        let Some(rule) = rule else {
            return Some(text);
        };
        if rule.format.is_some() {
            return None;
        }
        if let Some(pattern) = &rule.pattern {
            text.sequence = Some(pattern.sequence()?);
        }
        // A code point takes up to four bytes.
        let least = rule.min_length.unwrap_or(0);
        text.least = u32::try_from(least.saturating_mul(4).saturating_sub(3)).ok()?;
        // Nothing here is longer than the window.
        text.most = u32::try_from(rule.max_length.unwrap_or(WINDOW)).unwrap_or(u32::MAX);
        Some(text)
    }

    #[inline(always)]
    fn end(&self, window: &[u8; WINDOW], at: usize) -> Option<usize> {
        let (blocks, _) = window[at + 1..at + 17].as_chunks::<16>();
        let block = &blocks[0];
        let length = vector::string_end(block);
        let end = at + 1 + length;
        // No text, one with an escape, or a longer one.
        if window[at] != b'"' || window[end & (WINDOW - 1)] != b'"' {
            return None;
        }
        let is_good = self.least <= length as u32
            && length as u32 <= self.most
            && match &self.sequence {
                Some(sequence) => sequence.is_match(block.get(..length)?),
                None => true,
            };
        is_good.then_some(end + 1)
    }
}

/// A number that is not negative and has no exponent.
struct Number {
    /// How many digits it has before the point, or all.
    digits: usize,
    has_point: bool,
    end: usize,
}

impl Number {
    /// None: more digits than are looked at here.
    #[inline(always)]
    fn is_within(&self, window: &[u8; WINDOW], at: usize, least: i64, most: i64) -> Option<bool> {
        let (words, _) = window[at..at + 8].as_chunks::<8>();
        let word = u64::from_le_bytes(words[0]);
        let twice = 2 * i64::from((self.digits < 8).then(|| scan::whole(word, self.digits))?);
        // Whatever digits stand behind the point.
        Some(least <= twice && twice + i64::from(self.has_point) <= most)
    }
}

/// None: it is not such a number, or a longer one.
#[inline(always)]
fn number(window: &[u8; WINDOW], at: usize, takes_fractions: bool) -> Option<Number> {
    let (blocks, _) = window[at..at + 16].as_chunks::<16>();
    // One more behind the last, so that there always is one.
    let others = vector::others_than_digits(&blocks[0]) | 1 << 16;
    let digits = others.trailing_zeros() as usize;
    let mut length = digits;
    let has_point = takes_fractions && window[at + digits] == b'.';
    if has_point {
        let fraction = (others >> digits >> 1).trailing_zeros() as usize;
        length += 1 + fraction;
        if fraction == 0 {
            return None;
        }
    }
    // A zero before other digits begins no number; what goes on is for others to read.
    let is_number = digits > 0 && (digits == 1 || window[at] != b'0');
    if !is_number || length >= 16 {
        return None;
    }
    let end = at + length;
    let goes_on = matches!(window[end], b'.' | b'e' | b'E');
    (!goes_on).then_some(Number {
        digits,
        has_point,
        end,
    })
}
