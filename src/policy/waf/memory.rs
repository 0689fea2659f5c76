//! Memory that patterns need to run: one of these per shard, shared by all its requests.

use regex_automata::hybrid;
use regex_automata::meta::Cache;
use regex_automata::util::captures::Captures;

use crate::policy::waf::answers::Answers;
use crate::policy::waf::bounded::{GaveUp, SIMULATED};
use crate::policy::waf::operator::{Captured, Operator, Spot};
use crate::policy::waf::rule::{RuleSet, Test};
use crate::policy::waf::tx::Tx;

/// Groups that variables hold.
const GROUPS: usize = 10;

/// A simulation is seldom what it comes to: so many of its steps count as one.
const SELDOM: usize = 16;

/// Grows with the patterns that were run at least once.
#[derive(Debug, Default)]
pub struct Memory {
    /// Of which rules; memory of one pattern must not be used for another.
    generation: u64,
    patterns: Vec<Option<Box<Slot>>>,
    /// A search came to no end within its bounds.
    gave_up: bool,
    /// Which evaluation of a rule is under way, and what its patterns that count have cost.
    evaluation: u64,
    cost: usize,
    /// The same of groups that are looked for around a match.
    groups_cost: usize,
    /// What it took beyond looking at the bytes once, in steps.
    effort: usize,
    pub(super) answers: Answers,
}

#[derive(Debug)]
struct Slot {
    cache: Cache,
    captures: Option<Captures>,
    bounded: Option<Automaton>,
}

/// The memory of an automaton, and for which evaluation it was emptied.
#[derive(Debug)]
struct Automaton {
    cache: hybrid::dfa::Cache,
    evaluation: u64,
}

impl Memory {
    pub fn is_of(&self, rules: &RuleSet) -> bool {
        self.generation == rules.generation
    }

    /// Forgets what belongs to other rules than these.
    pub fn belong_to(&mut self, rules: &RuleSet) {
        if !self.is_of(rules) {
            self.generation = rules.generation;
            self.patterns.clear();
            self.answers.forget();
            self.patterns
                .resize_with(usize::from(rules.patterns), || None);
        }
    }

    /// Begins with a rule: the bounds of patterns that count are for all values that it looks at.
    pub fn begin_rule(&mut self) {
        self.evaluation += 1;
        self.cost = 0;
        self.groups_cost = 0;
    }

    /// Whether a search came to no end since [`take_gave_up`](Memory::take_gave_up).
    pub fn has_given_up(&self) -> bool {
        self.gave_up
    }

    /// Whether a search came to no end since this was asked last.
    pub fn take_gave_up(&mut self) -> bool {
        std::mem::take(&mut self.gave_up)
    }

    /// What searches took beyond looking at the bytes once, since this was asked last.
    pub fn take_effort(&mut self) -> usize {
        std::mem::take(&mut self.effort)
    }

    /// Forgets what was said of values, so that all are looked at again.
    pub fn forget(&mut self) {
        self.answers.forget();
    }

    /// Where the operator matches, whatever a rule makes of that; none: nowhere. With `capture` the
    /// variables for captures are set.
    pub fn find(
        &mut self,
        test: &Test,
        value: &[u8],
        argument: &[u8],
        capture: Option<&mut Tx>,
    ) -> Option<Spot> {
        let Operator::Pattern(pattern) = &test.operator else {
            let found = test.operator.find(value, argument);
            match (&found, capture) {
                (Some(Captured::Part(part)), Some(tx)) => tx.capture(0, &value[part.clone()]),
                (Some(Captured::Shape(shape, _)), Some(tx)) => {
                    tx.capture(0, shape.as_str().as_bytes())
                }
                _ => {}
            }
            return found.map(|found| found.spot());
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
        let mut is_simulated = true;
        if let Some(bounded) = pattern.bounded() {
            let cost = bounded.cost(value);
            self.cost = self.cost.saturating_add(cost);
            is_simulated = self.cost <= SIMULATED;
            if is_simulated {
                self.effort += cost / SELDOM;
            }
            if !is_simulated {
                if self.gave_up {
                    return None;
                }
                let automaton = slot.bounded.get_or_insert_with(|| Automaton {
                    cache: bounded.cache(),
                    evaluation: 0,
                });
                if automaton.evaluation != self.evaluation {
                    automaton.evaluation = self.evaluation;
                    // What others asked for counts for nobody else.
                    automaton.cache = bounded.cache();
                }
                let before = automaton.cache.memory_usage();
                let outcome = bounded.is_match(&mut automaton.cache, value);
                self.effort += bounded.effort(before, automaton.cache.memory_usage());
                match outcome {
                    Ok(false) => return None,
                    Ok(true) => {}
                    Err(GaveUp) => {
                        self.gave_up = true;
                        return None;
                    }
                }
            }
        }
        // Captures take longer, and most values do not match.
        let mut spot = Spot::Unknown;
        if is_simulated {
            spot = Spot::End(pattern.end_with(&mut slot.cache, value)?);
        }
        let Some(tx) = capture else {
            return Some(spot);
        };
        let mut part = 0..value.len();
        if !is_simulated
            && let (Some(bounded), Some(automaton)) = (pattern.bounded(), &mut slot.bounded)
        {
            let before = automaton.cache.memory_usage();
            let around = bounded.around(&mut automaton.cache, value);
            self.effort += bounded.effort(before, automaton.cache.memory_usage());
            let around = around.ok().flatten().filter(|around| {
                let cost = bounded.cost(&value[around.clone()]);
                self.effort += cost / SELDOM;
                self.groups_cost = self.groups_cost.saturating_add(cost);
                self.groups_cost <= SIMULATED
            });
            let Some(around) = around else {
                // It matches, and where cannot be found out in time.
                (0..GROUPS).for_each(|number| tx.capture_nothing(number));
                self.gave_up = true;
                return Some(spot);
            };
            part = around;
        }
        let captures = slot
            .captures
            .get_or_insert_with(|| pattern.empty_captures());
        if pattern.captures_with(&mut slot.cache, captures, (value, part)) {
            spot = captures
                .get_group(0)
                .map_or(spot, |whole| Spot::Part { start: whole.start });
            for number in 0..captures.group_len().min(GROUPS) {
                match captures.get_group(number) {
                    Some(group) => tx.capture(number, &value[group.range()]),
                    None => tx.capture_nothing(number),
                }
            }
        }
        Some(spot)
    }
}
