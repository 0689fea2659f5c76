//! A pattern of ECMA-262 as a tree: what it means, whichever engine will run it.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// Code points.
pub type Set = ClassUnicode;

#[derive(Debug)]
pub struct Tree {
    pub root: Node,
    /// How many groups capture.
    pub groups: usize,
}

#[derive(Debug)]
pub enum Node {
    Empty,
    Set(Set),
    Start,
    End,
    /// `\b`, or `\B` where it is negated.
    Boundary {
        is_negated: bool,
    },
    Concat(Vec<Node>),
    Alternation(Vec<Node>),
    /// A group that captures; they are numbered from 0.
    Group(usize, Box<Node>),
    Repeat(Repeat),
    Look {
        is_behind: bool,
        is_negated: bool,
        node: Box<Node>,
    },
    /// What a group has captured.
    Back(usize),
}

#[derive(Debug)]
pub struct Repeat {
    pub node: Box<Node>,
    pub least: u32,
    /// None: without an end.
    pub most: Option<u32>,
    pub is_greedy: bool,
    /// The groups within, from the first to the one behind the last.
    pub groups: (usize, usize),
}

/// `\d`, `\w` and `\s` of ECMA-262 section 22.2.2.9, by their small letters.
pub fn named(letter: char) -> Option<Set> {
    Some(match letter {
        'd' => set(&[('0', '9')]),
        'w' => set(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        // `WhiteSpace` and `LineTerminator`.
        's' => set(&[
            ('\t', '\r'),
            (' ', ' '),
            ('\u{A0}', '\u{A0}'),
            ('\u{1680}', '\u{1680}'),
            ('\u{2000}', '\u{200A}'),
            ('\u{2028}', '\u{2029}'),
            ('\u{202F}', '\u{202F}'),
            ('\u{205F}', '\u{205F}'),
            ('\u{3000}', '\u{3000}'),
            ('\u{FEFF}', '\u{FEFF}'),
        ]),
        _ => return None,
    })
}

/// What `.` matches: no end of a line.
pub fn dot() -> Set {
    let mut ends = set(&[('\n', '\n'), ('\r', '\r'), ('\u{2028}', '\u{2029}')]);
    ends.negate();
    ends
}

pub fn set(ranges: &[(char, char)]) -> Set {
    Set::new(
        ranges
            .iter()
            .map(|&(first, last)| ClassUnicodeRange::new(first, last)),
    )
}
