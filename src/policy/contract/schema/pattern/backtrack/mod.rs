//! Patterns that are tried path by path, for what has no linear form: as ECMA-262 section 22.2.2
//! runs them, but with a bound on the steps.
//!
//! A step is one instruction, or one character that a repetition or a back-reference passes. What
//! is kept to come back to is bounded as well, and its memory is used again: a match allocates
//! nothing once the memory has grown to what the texts of a shard take.

mod compile;
mod run;

pub use run::Trail;

use super::tree::{Set, Tree};

/// Steps of one evaluation when nothing else is said: about a quarter of a millisecond.
pub const STEPS: u32 = 100_000;

/// Most steps that may be allowed to one evaluation.
pub const MOST_STEPS: u32 = 1_000_000;

/// Most instructions of one pattern.
const INSTRUCTIONS: usize = 1 << 14;

/// The steps do not suffice to say whether a text matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over;

/// A pattern as instructions.
#[derive(Debug)]
pub struct Program {
    code: Box<[Instruction]>,
    sets: Box<[Members]>,
    /// Two for each group, where it begins and ends, and one for each repetition that must
    /// progress.
    slots: usize,
    /// Whether it can only match from the beginning of a text on.
    is_anchored: bool,
    steps: u32,
}

/// Which way a text is read: backwards within look-behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    On,
    Back,
}

#[derive(Clone, Copy, Debug)]
enum Instruction {
    /// One character of a set.
    Set(usize, Way),
    /// Characters of a set, as many as there may be.
    Run(usize, Bounds, Way),
    Start,
    End,
    Boundary {
        is_negated: bool,
    },
    /// Goes on with the first, and with the second if that leads nowhere.
    Split(usize, usize),
    Jump(usize),
    /// Notes the place in a slot.
    Note(usize),
    /// Fails where nothing was passed since the place was noted.
    Progress(usize),
    /// Forgets slots from the first to the one behind the last.
    Forget(usize, usize),
    /// What the group has captured, or nothing where it has captured nothing.
    Back(usize, Way),
    /// Looks with what follows, up to [`Instruction::Accept`], and goes on behind it.
    Look {
        is_negated: bool,
        next: usize,
    },
    Accept,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    least: u32,
    most: u32,
    is_greedy: bool,
}

/// A set of characters, those of ASCII as bits.
#[derive(Debug)]
struct Members {
    ascii: u128,
    others: Box<[(char, char)]>,
}

impl Members {
    fn new(set: &Set) -> Members {
        let ranges = set.ranges().iter();
        let ranges: Box<[_]> = ranges.map(|range| (range.start(), range.end())).collect();
        let mut members = Members {
            ascii: 0,
            others: ranges,
        };
        for byte in 0..128_u8 {
            members.ascii |= u128::from(members.is_other(char::from(byte))) << byte;
        }
        members
    }

    #[inline]
    fn contains(&self, one: char) -> bool {
        match one.is_ascii() {
            true => self.ascii >> (one as u32) & 1 == 1,
            false => self.is_other(one),
        }
    }

    fn is_other(&self, one: char) -> bool {
        let at = self.others.partition_point(|(_, last)| *last < one);
        self.others.get(at).is_some_and(|(first, _)| *first <= one)
    }
}

impl Program {
    /// None: it takes too many instructions.
    pub fn new(tree: &Tree, steps: u32) -> Option<Program> {
        compile::compile(tree, steps)
    }
}
