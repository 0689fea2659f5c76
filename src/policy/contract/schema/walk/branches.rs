//! Schemas that look at the same value: all, any, one, none of them, or by a condition.

use super::super::program::{Branches, RuleId, Switch};
use super::{REMEMBERED, Walk};

impl<'w> Walk<'w> {
    /// Whether a value fits a rule as it is, without a fault if not. None: the walk is over.
    pub(super) fn holds(&mut self, id: RuleId, token: usize) -> Option<bool> {
        let is_lenient = std::mem::take(&mut self.is_lenient);
        let holds = self.tries(id, token);
        self.is_lenient = is_lenient;
        holds
    }

    /// Whether a value fits a rule, without a fault if not. None: the walk is over.
    pub(super) fn tries(&mut self, id: RuleId, token: usize) -> Option<bool> {
        // What a dynamic reference means depends on the way that led to it.
        let remembers = self.steps < self.patience && self.is_proved && !self.program.is_dynamic;
        if !remembers {
            return self.tries_anew(id, token);
        }
        let key = (id, token, self.is_lenient);
        if let Some(&holds) = self.memory.outcomes.get(&key) {
            return Some(holds);
        }
        let holds = self.tries_anew(id, token)?;
        if self.memory.outcomes.len() < REMEMBERED {
            self.memory.outcomes.insert(key, holds);
        }
        Some(holds)
    }

    fn tries_anew(&mut self, id: RuleId, token: usize) -> Option<bool> {
        let (depth, nesting) = (self.depth, self.nesting);
        let (names, scope) = (self.memory.names.len(), self.memory.scope.len());
        self.quiet += 1;
        let holds = self.value(id, token).is_some();
        self.quiet -= 1;
        self.depth = depth;
        self.nesting = nesting;
        self.memory.names.truncate(names);
        self.memory.scope.truncate(scope);
        (!self.is_over).then_some(holds)
    }

    /// The same for a value one step further down.
    pub(super) fn holds_below(&mut self, id: RuleId, token: usize) -> Option<bool> {
        self.enter()?;
        let holds = self.holds(id, token)?;
        self.depth -= 1;
        Some(holds)
    }

    /// `done` of the schemas that all must hold have been walked.
    pub(super) fn branches(
        &mut self,
        rule: &'w Branches,
        (id, done): (RuleId, usize),
        token: usize,
    ) -> Option<()> {
        for &next in rule.all.iter().skip(done) {
            self.value(next, token)?;
        }
        if rule.dynamic.is_some() {
            let next = self.dynamic(rule)?;
            self.value(next, token)?;
        }
        match &rule.switch {
            Some(switch) => self.switch(switch, id, token)?,
            None if self.is_lenient => self.settle(rule, id, token)?,
            None => self.alternatives(rule, id, token)?,
        }
        if let Some(not) = rule.not {
            let holds = self.holds(not, token)?;
            self.expect(!holds, token, id, "not")?;
        }
        if let Some(condition) = &rule.condition {
            let next = match self.holds(condition.test, token)? {
                true => {
                    self.note_test(condition.test, token)?;
                    condition.then
                }
                false => condition.or_else,
            };
            if let Some(next) = next {
                self.value(next, token)?;
            }
        }
        let unevaluated = match self.byte(token) {
            b'{' => rule.unevaluated_properties,
            b'[' => rule.unevaluated_items,
            _ => None,
        };
        match unevaluated {
            Some(next) => self.unevaluated(next, id, token),
            None => Some(()),
        }
    }

    pub(super) fn alternatives(&mut self, rule: &Branches, id: RuleId, token: usize) -> Option<()> {
        if !rule.any_of.is_empty() {
            let mut holds = false;
            for &next in &rule.any_of {
                holds = holds || self.holds(next, token)?;
            }
            self.expect(holds, token, id, "anyOf")?;
        }
        if !rule.one_of.is_empty() {
            let mut count = 0;
            for &next in &rule.one_of {
                if count < 2 {
                    count += usize::from(self.holds(next, token)?);
                }
            }
            self.expect(count == 1, token, id, "oneOf")?;
        }
        Some(())
    }

    /// The outermost resource with the anchor wins (JSON Schema 2020-12 core, section 8.2.3.2).
    pub(super) fn dynamic(&self, rule: &Branches) -> Option<RuleId> {
        let dynamic = rule.dynamic.as_ref()?;
        let found = self.memory.scope.iter().find_map(|resource| {
            let mut candidates = dynamic.candidates.iter();
            candidates.find(|(own, _)| own == resource)
        });
        Some(found.map_or(dynamic.otherwise, |(_, rule)| *rule))
    }

    pub(super) fn switch(&mut self, rule: &'w Switch, id: RuleId, token: usize) -> Option<()> {
        let case = match self.byte(token) {
            b'{' => self.case(rule, token),
            _ => None,
        };
        match case {
            Some(next) => self.value(next, token).map(|_| ()),
            None => self.fails(token, id, rule.keyword),
        }
    }

    pub(super) fn case(&mut self, rule: &Switch, token: usize) -> Option<RuleId> {
        let value = self.find(token, &rule.member)?;
        if self.byte(value) != b'"' {
            return None;
        }
        self.with_text(value, |_, text| {
            let mut cases = rule.cases.iter();
            cases
                .find(|(name, _)| **name == *text)
                .map(|(_, next)| *next)
        })
    }
}
