//! Where in the rule files something stands, and what is wrong there.

use std::fmt;
use std::sync::Arc;

/// A line of a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<str>,
    /// From 1; the first line of a directive that is continued over several.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.file, self.line)
    }
}

/// Why a rule file cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    pub place: Place,
    /// The rule, where one is concerned and its id is known.
    pub rule: Option<u32>,
    pub message: String,
}

impl LoadError {
    pub fn new(place: &Place, message: impl Into<String>) -> LoadError {
        LoadError {
            place: place.clone(),
            rule: None,
            message: message.into(),
        }
    }

    pub fn of_rule(mut self, id: u32) -> LoadError {
        self.rule.get_or_insert(id);
        self
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.place)?;
        if let Some(id) = self.rule {
            write!(out, "rule {id}: ")?;
        }
        out.write_str(&self.message)
    }
}
