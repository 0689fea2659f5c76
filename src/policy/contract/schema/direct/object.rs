//! Objects: each member is compared with the one that came in its place the last time.

use std::cell::Cell;

use super::plan::Object;
use super::quick;
use super::scan;
use super::{DEPTH, Direct, ROW, ROWS};
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

/// What came after each member the last time.
type Row = [Cell<u8>; ROW];

#[inline(always)]
fn next(row: &Row, previous: usize) -> usize {
    usize::from(row[previous % ROW].get())
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
        let row = self.guesses[object.guesses % ROWS].as_array_of_cells();
        let (mut seen, mut previous) = (0_u64, 0);
        // Members that are not declared, and where their names begin.
        let (mut others, mut first) = (0, 0);
        let mut at = at;
        let mut is_open = scan::byte(bytes, at) == b'"' || {
            at = scan::blank(bytes, at);
            let is_empty = scan::byte(bytes, at) == b'}';
            at += usize::from(is_empty);
            !is_empty
        };
        while is_open {
            let guess = next(row, previous);
            let window = quick::window(bytes, at);
            let expected = window.and_then(|window| Some((window, object.opens(guess, window)?)));
            at = match expected {
                Some((window, expected)) => {
                    let bit = 1 << guess;
                    if seen & bit != 0 {
                        return None;
                    }
                    seen |= bit;
                    previous = guess + 1;
                    match expected.quick.end(window, expected.length()) {
                        Some(end) => at + end,
                        None => self.value(expected.node(), at + expected.length())?,
                    }
                }
                None => {
                    if others == 0 {
                        first = self.loose.names.len();
                    }
                    let named = self.look_up(object, row, previous, at)?;
                    match named.member {
                        Some(member) if seen & (1 << member) != 0 => return None,
                        Some(member) => {
                            seen |= 1 << member;
                            previous = member + 1;
                        }
                        None => others += 1,
                    }
                    let length = named.member.and_then(|member| {
                        let window = quick::window(bytes, named.end)?;
                        object.expected[member].quick.end(window, 0)
                    });
                    match length {
                        Some(length) => named.end + length,
                        None => self.value(named.node, named.end)?,
                    }
                }
            };
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
        let is_unique = others == 0 || self.loose.names.are_unique(first, self.text, false);
        (is_complete && is_unique).then_some(at)
    }

    /// The name at a place that is not the expected one.
    #[inline(never)]
    fn look_up(&mut self, object: &Object, row: &Row, previous: usize, at: usize) -> Option<Named> {
        let bytes = self.text.as_bytes();
        let at = scan::blank(bytes, at);
        let mut guess = next(row, previous);
        for _ in 0..HOPS {
            match object.stands(guess, bytes, at) {
                Some(expected) => {
                    return Some(Named {
                        member: Some(guess),
                        node: expected.node(),
                        end: at + expected.length(),
                    });
                }
                None => guess = next(row, guess + 1),
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
                // There are at most 64.
                row[previous % ROW].set(member as u8);
                object.expected[member].node()
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
