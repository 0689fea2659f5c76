//! What the schemas of one document have in common, found out once for all that are compiled from it.

use std::cell::RefCell;

use ahash::AHashMap;
use serde_json::Value;

use super::pattern::Pattern;

/// Keywords that give a schema another name than its place.
const NAMES: [&str; 3] = ["$id", "$anchor", "$dynamicAnchor"];

pub struct Common {
    /// Whether any schema may be referred to by a name; without, none has to be looked for.
    has_names: bool,
    /// Compiled patterns, or why there is none, by their text.
    patterns: RefCell<AHashMap<String, Result<Pattern, String>>>,
}

impl Common {
    pub fn of(document: &Value) -> Common {
        Common {
            has_names: has_names(document),
            patterns: RefCell::default(),
        }
    }

    pub(super) fn has_names(&self) -> bool {
        self.has_names
    }

    pub(super) fn pattern(&self, text: &str) -> Result<Pattern, String> {
        let mut patterns = self.patterns.borrow_mut();
        if let Some(known) = patterns.get(text) {
            return known.clone();
        }
        let compiled = Pattern::new(text);
        patterns.insert(text.to_owned(), compiled.clone());
        compiled
    }
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
