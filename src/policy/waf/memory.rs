//! Memory that patterns need to run: one of these per shard, shared by all its requests.

use regex_automata::hybrid;
use regex_automata::meta::Cache;
use regex_automata::util::captures::Captures;

use crate::policy::waf::answers::Answers;
use crate::policy::waf::bounded::GaveUp;
use crate::policy::waf::operator::{Captured, Operator};
use crate::policy::waf::rule::{RuleSet, Test};
use crate::policy::waf::tx::Tx;

/// Of a match in a long value, groups are looked for in so many bytes before its end.
const CAPTURED: usize = 1024;

/// Grows with the patterns that were run at least once.
#[derive(Debug, Default)]
pub struct Memory {
    /// Of which rules; memory of one pattern must not be used for another.
    generation: u64,
    patterns: Vec<Option<Box<Slot>>>,
    /// A search came to no end within its bounds.
    gave_up: bool,
    pub(super) answers: Answers,
}

#[derive(Debug)]
struct Slot {
    cache: Cache,
    captures: Option<Captures>,
    bounded: Option<hybrid::dfa::Cache>,
}

impl Memory {
    /// Forgets what belongs to other rules than these.
    pub fn belong_to(&mut self, rules: &RuleSet) {
        if self.generation != rules.generation {
            self.generation = rules.generation;
            self.patterns.clear();
            self.answers.forget();
            self.patterns
                .resize_with(usize::from(rules.patterns), || None);
        }
    }

    /// Whether a search came to no end since this was asked last.
    pub fn take_gave_up(&mut self) -> bool {
        std::mem::take(&mut self.gave_up)
    }

    /// Forgets what was said of values, so that all are looked at again.
    pub fn forget(&mut self) {
        self.answers.forget();
    }

    /// Whether the operator matches, whatever a rule makes of that. With `capture` the variables
    /// for captures are set.
    pub fn find(
        &mut self,
        test: &Test,
        value: &[u8],
        argument: &[u8],
        capture: Option<&mut Tx>,
    ) -> bool {
        let Operator::Pattern(pattern) = &test.operator else {
            let found = test.operator.find(value, argument);
            match (&found, capture) {
                (Some(Captured::Part(part)), Some(tx)) => tx.capture(0, &value[part.clone()]),
                (Some(Captured::Shape(shape)), Some(tx)) => {
                    tx.capture(0, shape.as_str().as_bytes())
                }
                _ => {}
            }
            return found.is_some();
        };
        let number = usize::from(test.pattern);
        if self.patterns.len() <= number {
            self.patterns.resize_with(number + 1, || None);
        }
        let slot = self.patterns[number].get_or_insert_with(|| {
            Box::new(Slot {
                cache: pattern.cache(),
                captures: None,
                bounded: None,
            })
        });
        let (mut value, mut is_found) = (value, false);
        if let Some(bounded) = pattern.bounded_for(value) {
            let cache = slot.bounded.get_or_insert_with(|| bounded.cache());
            match bounded.find(cache, value) {
                Ok(None) => return false,
                Ok(Some(end)) => value = &value[end.saturating_sub(CAPTURED)..end],
                Err(GaveUp) => {
                    self.gave_up = true;
                    return false;
                }
            }
            is_found = true;
        }
        let Some(tx) = capture else {
            return is_found || pattern.matches_with(&mut slot.cache, value);
        };
        // Captures take longer, and most values do not match.
        if !is_found && !pattern.matches_with(&mut slot.cache, value) {
            return false;
        }
        let captures = slot
            .captures
            .get_or_insert_with(|| pattern.empty_captures());
        if pattern.captures_with(&mut slot.cache, captures, value) {
            for number in 0..captures.group_len().min(10) {
                match captures.get_group(number) {
                    Some(group) => tx.capture(number, &value[group.range()]),
                    None => tx.capture_nothing(number),
                }
            }
        }
        true
    }
}
