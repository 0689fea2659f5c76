//! Objects: their members, declared or not, and what depends on which are there.

use super::super::pattern::Pattern;
use super::super::program::{Additional, BITS, ObjectRule, RareObject, RuleId};
use super::Walk;

impl<'w> Walk<'w> {
    pub(super) fn object(
        &mut self,
        rule: &'w ObjectRule,
        id: RuleId,
        token: usize,
    ) -> Option<usize> {
        self.enter()?;
        let first = self.memory.names.len();
        // Beyond the bits every name is kept, and unique ones need only be counted.
        let is_small = rule.members.list.len() <= BITS;
        // Nothing but the schema of a member speaks of it, and nobody asks which are declared.
        let is_plain = rule.patterns.is_empty() && !self.is_lenient;
        let (mut next, mut count, mut seen, mut required) = (token + 1, 0_usize, 0_u64, 0);
        while self.byte(next) != b'}' {
            let value = self.name(next)?;
            let known = self.known(rule, next)?;
            count += 1;
            match known {
                Some(at) if is_small => {
                    let bit = 1_u64 << at;
                    if seen & bit != 0 {
                        return self.broken(token, "unique names");
                    }
                    seen |= bit;
                }
                Some(at) => {
                    required += usize::from(rule.members.list[at].is_required);
                    self.keep_name(next);
                }
                None => self.keep_name(next),
            }
            let declared = known.and_then(|at| rule.members.list[at].rule);
            let end = match declared {
                Some(member) if is_plain => self.value(member, value)?,
                _ => self.other(rule, (id, declared), next)?,
            };
            next = self.comma(end, b'}')?;
        }
        self.unique_names(first, token)?;
        let is_complete = match is_small {
            true => rule.members.required_bits & !seen == 0,
            false => required == rule.members.required,
        };
        self.expect(is_complete, token, id, "required")?;
        let enough = rule.min_properties.is_none_or(|least| count >= least);
        self.expect(enough, token, id, "minProperties")?;
        let few = rule.max_properties.is_none_or(|most| count <= most);
        self.expect(few, token, id, "maxProperties")?;
        let end = self.leave(token, next + 1)?;
        if let Some(rare) = &rule.rare {
            self.rare(rare, id, token)?;
        }
        Some(end)
    }

    #[inline]
    pub(super) fn known(&mut self, rule: &ObjectRule, name: usize) -> Option<Option<usize>> {
        let (start, end) = self.span(name);
        match self.has_escape((start, end)) {
            false => Some(rule.members.find(self.text.as_bytes(), start, end)),
            true => self.with_text(name, |_, text| Some(rule.members.named(text))),
        }
    }

    /// A member that more than its own schema, or none of its own, speaks of.
    pub(super) fn other(
        &mut self,
        rule: &'w ObjectRule,
        (id, declared): (RuleId, Option<RuleId>),
        name: usize,
    ) -> Option<usize> {
        let value = name + 3;
        let mut end = match declared {
            Some(member) => Some(self.judge(member, value)?),
            None => None,
        };
        for (pattern, next) in &rule.patterns {
            if self.is_matched(pattern, name, id)? {
                end = Some(self.judge(*next, value)?);
            }
        }
        let is_declared = end.is_some();
        let end = match (end, rule.additional) {
            (Some(end), _) => end,
            (None, Additional::Checked(next)) => self.judge(next, value)?,
            (None, Additional::Open | Additional::Allowed) => self.skip(value)?,
            (None, Additional::Refused) => {
                // A member that is only required is not declared either.
                if !self.tolerates() {
                    self.fails(value, id, "additionalProperties")?;
                }
                self.skip(value)?
            }
        };
        if self.is_lenient {
            self.note_member(rule, name, end, is_declared);
        }
        Some(end)
    }

    /// Whether a pattern matches a name.
    pub(super) fn is_matched(
        &mut self,
        pattern: &Pattern,
        name: usize,
        id: RuleId,
    ) -> Option<bool> {
        self.with_text(name, |walk, text| {
            let outcome = pattern.is_match(text, walk.trail);
            walk.answer(outcome, name, id)
        })
    }

    pub(super) fn rare(&mut self, rule: &'w RareObject, id: RuleId, token: usize) -> Option<()> {
        if let Some(names) = rule.names {
            let mut next = token + 1;
            while let Some((name, _)) = self.member(&mut next) {
                let holds = self.holds_below(names, name)?;
                self.expect(holds, name, id, "propertyNames")?;
            }
        }
        for (name, needed) in &rule.dependent_required {
            if self.find(token, name).is_some() {
                for other in needed {
                    let holds = self.find(token, other).is_some();
                    self.expect(holds, token, id, "dependentRequired")?;
                }
            }
        }
        for (name, next) in &rule.dependent_schemas {
            if self.find(token, name).is_some() {
                self.value(*next, token)?;
            }
        }
        Some(())
    }
}
