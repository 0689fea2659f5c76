//! What the links of one rule have matched so far: `MATCHED_VARS` and its like.

use crate::policy::waf::values::Span;

#[derive(Clone, Copy, Debug)]
struct Match {
    name: Span,
    value: Span,
}

/// Names such as `ARGS:id`, and values after their transformations.
#[derive(Debug, Default)]
pub struct Matched {
    bytes: Vec<u8>,
    matches: Vec<Match>,
}

impl Matched {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.matches.clear();
    }

    pub fn push(&mut self, collection: &str, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(collection.as_bytes());
        if !name.is_empty() {
            if !collection.is_empty() {
                self.bytes.push(b':');
            }
            self.bytes.extend_from_slice(name);
        }
        let name = Span::since(start, &self.bytes);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let value = Span::since(middle, &self.bytes);
        self.matches.push(Match { name, value });
    }

    pub fn len(&self) -> usize {
        self.matches.len()
    }

    /// Name and value, in the order of the matches.
    pub fn at(&self, number: usize) -> Option<(&[u8], &[u8])> {
        let found = self.matches.get(number)?;
        Some((found.name.of(&self.bytes), found.value.of(&self.bytes)))
    }

    pub fn last(&self) -> Option<(&[u8], &[u8])> {
        self.at(self.matches.len().checked_sub(1)?)
    }
}
