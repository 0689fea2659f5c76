//! What the links of one rule have matched so far: `MATCHED_VARS` and its like.

use crate::policy::waf::hit::Found;
use crate::policy::waf::operator::Spot;
use crate::policy::waf::values::Span;

#[derive(Clone, Copy, Debug)]
struct Match {
    name: Span,
    value: Span,
    is_secret: bool,
    spot: Spot,
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

    /// A value of a collection; the variable of `found` is its name there.
    pub fn push(&mut self, collection: &str, found: Found<'_>) {
        let name = found.variable;
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
        self.bytes.extend_from_slice(found.value);
        let value = Span::since(middle, &self.bytes);
        self.matches.push(Match {
            name,
            value,
            is_secret: found.is_secret,
            spot: found.spot,
        });
    }

    pub fn len(&self) -> usize {
        self.matches.len()
    }

    /// In the order of the matches.
    pub fn at(&self, number: usize) -> Option<Found<'_>> {
        let found = self.matches.get(number)?;
        Some(Found {
            variable: found.name.of(&self.bytes),
            value: found.value.of(&self.bytes),
            is_secret: found.is_secret,
            spot: found.spot,
        })
    }

    pub fn last(&self) -> Option<Found<'_>> {
        self.at(self.matches.len().checked_sub(1)?)
    }
}
