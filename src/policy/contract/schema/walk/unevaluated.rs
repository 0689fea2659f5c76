//! `unevaluatedProperties` and `unevaluatedItems`: what no other keyword has spoken of.

use super::super::program::{Additional, ObjectRule, Rule, RuleId};
use super::{WALK_STEPS, Walk};

impl<'w> Walk<'w> {
    pub(super) fn unevaluated(&mut self, rule: RuleId, id: RuleId, token: usize) -> Option<()> {
        let base = self.memory.marks.len();
        self.mark(id, token, base, true)?;
        let is_object = self.byte(token) == b'{';
        let keyword = match is_object {
            true => "unevaluatedProperties",
            false => "unevaluatedItems",
        };
        self.enter()?;
        let (mut next, mut at) = (token + 1, base);
        let mut step = |walk: &mut Self| match is_object {
            true => walk.member(&mut next).map(|(_, value)| value),
            false => walk.item(&mut next),
        };
        while let Some(value) = step(self) {
            let is_marked = self.memory.marks.get(at) == Some(&true);
            at += 1;
            if !is_marked {
                match self.program.rules[rule].never {
                    Some(_) if is_object && self.tolerates() => self.note_refused(value),
                    Some(_) => self.fails(value, id, keyword)?,
                    None => {
                        self.value(rule, value)?;
                        self.note_evaluated(value);
                    }
                }
            }
        }
        self.memory.marks.truncate(base);
        self.depth -= 1;
        Some(())
    }

    pub(super) fn set_mark(&mut self, at: usize) {
        if self.memory.marks.len() <= at {
            self.memory.marks.resize(at + 1, false);
        }
        self.memory.marks[at] = true;
    }

    /// Marks what a rule that holds has evaluated; `is_asking` for the one that wants to know.
    pub(super) fn mark(
        &mut self,
        id: RuleId,
        token: usize,
        base: usize,
        is_asking: bool,
    ) -> Option<()> {
        let program = self.program;
        let rule = &program.rules[id];
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 {
            return self.broken(token, WALK_STEPS);
        }
        if program.is_dynamic {
            self.memory.scope.push(rule.resource);
        }
        let is_object = self.byte(token) == b'{';
        let all = rule
            .branches
            .as_ref()
            .is_some_and(|branches| match is_object {
                true => branches.unevaluated_properties.is_some(),
                false => branches.unevaluated_items.is_some(),
            });
        match is_object {
            true => self.mark_members((rule, id), token, base, all && !is_asking)?,
            false => self.mark_items(rule, token, base, all && !is_asking)?,
        }
        self.mark_branches(rule, token, base)?;
        if program.is_dynamic {
            self.memory.scope.pop();
        }
        Some(())
    }

    pub(super) fn mark_members(
        &mut self,
        (rule, id): (&'w Rule, RuleId),
        token: usize,
        base: usize,
        all: bool,
    ) -> Option<()> {
        let (mut next, mut at) = (token + 1, base);
        while let Some((name, _)) = self.member(&mut next) {
            let is_evaluated = all
                || match &rule.object {
                    Some(object) => self.evaluates(object, id, name)?,
                    None => false,
                };
            if is_evaluated {
                self.set_mark(at);
            }
            at += 1;
        }
        Some(())
    }

    /// Whether an object's schema speaks of a member.
    fn evaluates(&mut self, rule: &'w ObjectRule, id: RuleId, name: usize) -> Option<bool> {
        if rule.additional != Additional::Open {
            return Some(true);
        }
        let known = self.known(rule, name)?;
        if known.is_some_and(|at| rule.members.list[at].rule.is_some()) {
            return Some(true);
        }
        for (pattern, _) in &rule.patterns {
            if self.is_matched(pattern, name, id)? {
                return Some(true);
            }
        }
        Some(false)
    }

    pub(super) fn mark_items(
        &mut self,
        rule: &'w Rule,
        token: usize,
        base: usize,
        all: bool,
    ) -> Option<()> {
        let (mut next, mut at) = (token + 1, base);
        while let Some(item) = self.item(&mut next) {
            let is_evaluated = all
                || match &rule.array {
                    Some(array) => {
                        let is_contained = match &array.contains {
                            Some(contains) => self.holds_below(contains.rule, item)?,
                            None => false,
                        };
                        is_contained || array.items.is_some() || at - base < array.prefix.len()
                    }
                    None => false,
                };
            if is_evaluated {
                self.set_mark(at);
            }
            at += 1;
        }
        Some(())
    }

    pub(super) fn mark_branches(
        &mut self,
        rule: &'w Rule,
        token: usize,
        base: usize,
    ) -> Option<()> {
        let is_object = self.byte(token) == b'{';
        let rare = rule.object.as_ref().and_then(|object| object.rare.as_ref());
        if let Some(rare) = rare.filter(|_| is_object) {
            for (name, next) in &rare.dependent_schemas {
                if self.find(token, name).is_some() {
                    self.mark(*next, token, base, false)?;
                }
            }
        }
        let Some(branches) = &rule.branches else {
            return Some(());
        };
        for &next in &branches.all {
            self.mark(next, token, base, false)?;
        }
        if branches.dynamic.is_some() {
            let next = self.dynamic(branches)?;
            self.mark(next, token, base, false)?;
        }
        for list in [&branches.any_of, &branches.one_of] {
            let is_forgiving = self.forgives(list, token)?;
            for &next in list {
                if self.fits(next, token, is_forgiving)? {
                    self.mark(next, token, base, false)?;
                }
            }
        }
        if let Some(condition) = &branches.condition {
            let next = match self.holds(condition.test, token)? {
                true => {
                    self.mark(condition.test, token, base, false)?;
                    condition.then
                }
                false => condition.or_else,
            };
            if let Some(next) = next {
                self.mark(next, token, base, false)?;
            }
        }
        Some(())
    }
}
