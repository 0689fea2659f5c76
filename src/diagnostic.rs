//! What is wrong with a file that an operator wrote: where, what, and what to write instead.
//!
//! Diagnostics are collected, never thrown one by one, so that one run of `check` tells all.

use std::fmt;
use std::path::PathBuf;

/// A place in a file, both counted from one; columns count characters. By default none in it: the
/// file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// Where a file begins.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// One thing that must be put right before the file can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub file: PathBuf,
    pub position: Position,
    /// What is wrong, as a statement.
    pub message: String,
    /// What to write instead, as an instruction.
    pub hint: Option<String>,
    /// Whether the text at the position must not be shown.
    pub is_private: bool,
    /// In a document that has such pointers: the JSON pointer (RFC 6901) to the place.
    pub pointer: Option<String>,
    /// The kind of finding that it is, by its name in the configuration; none for plain errors.
    pub kind: Option<&'static str>,
}

impl Diagnostic {
    pub fn new(
        file: impl Into<PathBuf>,
        position: Position,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            file: file.into(),
            position,
            message: message.into(),
            hint: None,
            is_private: false,
            pointer: None,
            kind: None,
        }
    }

    /// For a place with a JSON pointer.
    #[must_use]
    pub fn at(mut self, pointer: &str) -> Diagnostic {
        self.pointer = Some(pointer.to_owned());
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// For a place where a secret stands.
    #[must_use]
    pub fn private(mut self) -> Diagnostic {
        self.is_private = true;
        self
    }
}

/// Edits between two names (Levenshtein: insertions, deletions, replacements), letter case ignored.
/// What is past the first characters of long ones is not compared.
pub fn distance(a: &str, b: &str) -> usize {
    const COMPARED: usize = 64;
    let b: Vec<char> = b.chars().take(COMPARED).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(COMPARED).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.position {
            Position { line: 0, .. } => write!(out, "{file}: {}", self.message)?,
            Position { line, column } => write!(out, "{file}:{line}:{column}: {}", self.message)?,
        }
        match &self.hint {
            Some(hint) => write!(out, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}
