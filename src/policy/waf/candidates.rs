//! Which rules could match which value of one message.

use crate::policy::waf::memory::Memory;
use crate::policy::waf::prefilter::{Bits, Room};
use crate::policy::waf::rule::RuleSet;
use crate::policy::waf::values::{Id, Values};

/// Filled before each phase with the values that are new.
#[derive(Debug, Default)]
pub struct Candidates {
    /// Every rule runs on every value.
    exhaustive: bool,
    /// Of each value that was looked at.
    of_value: Vec<Bits>,
    /// Of all values of the request, of the response.
    request: Bits,
    response: Bits,
    room: Room,
}

impl Candidates {
    /// Forgets the last message.
    pub fn clear(&mut self, exhaustive: bool) {
        self.exhaustive = exhaustive;
        self.of_value.clear();
        self.request = Bits::default();
        self.response = Bits::default();
    }

    /// Looks at the values that came since the last look.
    pub fn look(&mut self, rules: &RuleSet, memory: &mut Memory, values: &Values) {
        if self.exhaustive {
            return;
        }
        for id in self.of_value.len()..values.len() {
            let Ok(id) = Id::try_from(id) else { return };
            let (part, name, value) = values.at(id);
            let (filter, all) = if part.is_of_request() {
                (&rules.request, &mut self.request)
            } else {
                (&rules.response, &mut self.response)
            };
            let wanted = filter.wanted(part, name);
            let mut found = Bits::default();
            if wanted.rules.any() && !memory.benign.holds(wanted.class, name, value) {
                found = filter.candidates(value, wanted.rules, &mut self.room);
                if !found.any() {
                    memory.benign.remember(wanted.class, name, value);
                }
            }
            *all |= found;
            self.of_value.push(found);
        }
    }

    /// False only if the first link of the rule matches no value of the message.
    pub fn may_run(&self, rules: &RuleSet, rule: u16) -> bool {
        if self.exhaustive {
            return true;
        }
        match (rules.request.number(rule), rules.response.number(rule)) {
            (Some(number), _) => self.request.contains(number),
            (None, Some(number)) => self.response.contains(number),
            (None, None) => true,
        }
    }

    /// False only if the first link of the rule does not match this value.
    pub fn may_match(&self, rules: &RuleSet, rule: u16, id: Id) -> bool {
        if self.exhaustive {
            return true;
        }
        let number = rules
            .request
            .number(rule)
            .or_else(|| rules.response.number(rule));
        let found = self.of_value.get(id as usize);
        match (number, found) {
            (Some(number), Some(found)) => found.contains(number),
            _ => true,
        }
    }
}
