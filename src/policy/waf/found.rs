//! What is told of a message that was looked at.

use crate::policy::waf::budget::Exceeded;
use crate::policy::waf::hit::Hit;
use crate::policy::waf::score::Score;

#[derive(Debug, Default)]
pub struct Found {
    pub hits: Vec<Hit>,
    /// What they add up to, by category.
    pub scores: Vec<Score>,
    /// What there was too much of to look at all.
    pub exceeded: Exceeded,
}

impl Found {
    /// Adds what was found later in the same exchange.
    pub fn add(&mut self, mut later: Found) {
        self.hits.append(&mut later.hits);
        self.exceeded.add(later.exceeded);
        // Scores are sums, in which those of before are.
        if !later.scores.is_empty() {
            self.scores = later.scores;
        }
    }
}
