//! What the schemas of one document have in common, found out once for all that are compiled from it.

use std::cell::RefCell;

use ahash::AHashMap;
use serde_json::Value;

use super::pattern::{Pattern, Refusal};

/// Keywords that give a schema another name than its place.
const NAMES: [&str; 3] = ["$id", "$anchor", "$dynamicAnchor"];

pub struct Common {
    /// Whether any schema may be referred to by a name; without, none has to be looked for.
    has_names: bool,
    /// Compiled patterns, or why there is none, by their text.
    linear: Patterns,
    /// The same of those that are allowed to backtrack.
    backtracking: Patterns,
}

impl Common {
    pub fn of(document: &Value) -> Common {
        Common {
            has_names: has_names(document),
            linear: Patterns::default(),
            backtracking: Patterns::default(),
        }
    }

    pub(super) fn has_names(&self) -> bool {
        self.has_names
    }

    pub(super) fn pattern(&self, text: &str) -> Result<Pattern, Refusal> {
        once(&self.linear, text, || Pattern::new(text))
    }

    /// A pattern that may backtrack, with so many steps for all of the document.
    pub(super) fn backtracking(&self, text: &str, steps: u32) -> Result<Pattern, Refusal> {
        once(&self.backtracking, text, || {
            Pattern::backtracking(text, steps)
        })
    }
}

type Patterns = RefCell<AHashMap<String, Result<Pattern, Refusal>>>;

fn once(
    known: &Patterns,
    text: &str,
    compile: impl FnOnce() -> Result<Pattern, Refusal>,
) -> Result<Pattern, Refusal> {
    let mut known = known.borrow_mut();
    let compiled = known.entry(text.to_owned()).or_insert_with(compile);
    compiled.clone()
}

/// Documents are nested as deep as their reader lets them be, which is not deep.
fn has_names(value: &Value) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, member)| NAMES.contains(&name.as_str()) || has_names(member)),
        Value::Array(items) => items.iter().any(has_names),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
