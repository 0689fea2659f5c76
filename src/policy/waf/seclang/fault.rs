//! The two ways in which a rule can be wrong, before it is known where it stands.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody could make sense of it.
    Broken(String),
    /// It has a meaning, but not here; what, as the subject of a sentence.
    Unsupported(String),
}

impl Fault {
    pub fn broken(message: impl Into<String>) -> Fault {
        Fault::Broken(message.into())
    }

    pub fn unsupported(what: impl Into<String>) -> Fault {
        Fault::Unsupported(what.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Broken(message) => out.write_str(message),
            Fault::Unsupported(what) => write!(out, "{what} is not supported"),
        }
    }
}
