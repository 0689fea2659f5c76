//! Objects: each member is compared with the one that came in its place the last time.

use super::plan::Object;
use super::scan;
use super::{DEPTH, Direct, GUESSES};
use crate::policy::contract::schema::program::RuleId;

/// How many members in a row may be left out before a name is looked up.
const HOPS: usize = 3;

/// What a name turned out to be.
struct Named {
    /// None: not declared.
    member: Option<usize>,
    node: RuleId,
    /// Behind the colon.
    end: usize,
}

impl<'w> Direct<'w> {
    /// An object from behind its brace on.
    #[inline(never)]
    pub(super) fn object(&mut self, object: &'w Object, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        let first = self.loose.names.len();
        let (mut seen, mut others, mut previous) = (0_u64, 0, 0);
        let mut at = at;
        let mut is_open = scan::byte(bytes, at) == b'"' || {
            at = scan::blank(bytes, at);
            let is_empty = scan::byte(bytes, at) == b'}';
            at += usize::from(is_empty);
            !is_empty
        };
        while is_open {
            let guess = self.guess(object, previous);
            let (node, value) = match object.expected.get(guess) {
                Some(expected) if expected.stands_at(bytes, at) => {
                    let bit = 1 << guess;
                    if seen & bit != 0 {
                        return None;
                    }
                    seen |= bit;
                    previous = guess + 1;
                    (expected.node, at + expected.length)
                }
                _ => {
                    let named = self.look_up(object, previous, at)?;
                    match named.member {
                        Some(member) if seen & (1 << member) != 0 => return None,
                        Some(member) => {
                            seen |= 1 << member;
                            previous = member + 1;
                        }
                        None => others += 1,
                    }
                    (named.node, named.end)
                }
            };
            at = self.value(node, value)?;
            let mut byte = scan::byte(bytes, at);
            if scan::is_blank(byte) {
                at = scan::blank(bytes, at);
                byte = scan::byte(bytes, at);
            }
            at += 1;
            is_open = match byte {
                b',' => true,
                b'}' => false,
                _ => return None,
            };
        }
        if others == 0 && object.members.required_bits & !seen == 0 && !object.is_counted {
            self.depth -= 1;
            return Some(at);
        }
        self.depth -= 1;
        let count = seen.count_ones() as usize + others;
        let is_complete = object.members.required_bits & !seen == 0
            && count >= object.least
            && count <= object.most;
        let is_unique = self.loose.names.are_unique(first, self.text, false);
        (is_complete && is_unique).then_some(at)
    }

    #[inline(always)]
    fn guess(&self, object: &Object, previous: usize) -> usize {
        let slot = object.guesses.wrapping_add(previous) % GUESSES;
        usize::from(self.guesses[slot])
    }

    /// The name at a place that is not the expected one.
    #[inline(never)]
    fn look_up(&mut self, object: &Object, previous: usize, at: usize) -> Option<Named> {
        let bytes = self.text.as_bytes();
        let at = scan::blank(bytes, at);
        let mut guess = self.guess(object, previous);
        for _ in 0..HOPS {
            match object.expected.get(guess) {
                Some(expected) if expected.stands_at(bytes, at) => {
                    return Some(Named {
                        member: Some(guess),
                        node: expected.node,
                        end: at + expected.length,
                    });
                }
                _ => guess = self.guess(object, guess + 1),
            }
        }
        if scan::byte(bytes, at) != b'"' {
            return None;
        }
        let start = at + 1;
        let end = scan::string_end(bytes, start);
        // A name with an escape is for the other walk to read.
        if scan::byte(bytes, end) != b'"' {
            return None;
        }
        let colon = scan::blank(bytes, end + 1);
        if scan::byte(bytes, colon) != b':' {
            return None;
        }
        let member = object.members.find(bytes, start, end);
        let node = match member {
            Some(member) => {
                let slot = object.guesses.wrapping_add(previous) % GUESSES;
                // There are at most 64.
                self.guesses[slot] = member as u8;
                object.expected[member].node
            }
            None => {
                self.has_undeclared = true;
                self.loose.names.push((start, end));
                object.additional?
            }
        };
        Some(Named {
            member,
            node,
            end: colon + 1,
        })
    }
}
