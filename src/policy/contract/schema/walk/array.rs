//! Arrays: their items, how many, and whether they differ.

use super::super::program::{ArrayRule, Contains, RuleId};
use super::Walk;

impl<'w> Walk<'w> {
    pub(super) fn array(&mut self, rule: &'w ArrayRule, id: RuleId, token: usize) -> Option<usize> {
        self.enter()?;
        let (mut next, mut count) = (token + 1, 0);
        while self.byte(next) != b']' {
            let end = match rule.prefix.get(count).copied().or(rule.items) {
                Some(item) => self.value(item, next)?,
                None => self.skip(next)?,
            };
            count += 1;
            next = self.comma(end, b']')?;
        }
        let enough = rule.min_items.is_none_or(|least| count >= least);
        self.expect(enough, token, id, "minItems")?;
        let few = rule.max_items.is_none_or(|most| count <= most);
        self.expect(few, token, id, "maxItems")?;
        if rule.is_unique {
            let holds = self.has_unique_items(token)?;
            self.expect(holds, token, id, "uniqueItems")?;
        }
        if let Some(contains) = &rule.contains {
            self.contains(contains, id, token)?;
        }
        self.leave(token, next + 1)
    }

    pub(super) fn contains(&mut self, rule: &Contains, id: RuleId, token: usize) -> Option<()> {
        let mut count = 0;
        let mut next = token + 1;
        while let Some(item) = self.item(&mut next) {
            count += usize::from(self.holds(rule.rule, item)?);
        }
        let keyword = match (rule.least, count) {
            (1, _) | (_, 0) => "contains",
            _ => "minContains",
        };
        self.expect(count >= rule.least, token, id, keyword)?;
        let few = rule.most.is_none_or(|most| count <= most);
        self.expect(few, token, id, "maxContains")
    }

    pub(super) fn has_unique_items(&mut self, token: usize) -> Option<bool> {
        let base = self.memory.hashes.len();
        let mut next = token + 1;
        while let Some(item) = self.item(&mut next) {
            let hash = self.hash(item)?;
            self.memory.hashes.push(hash);
        }
        // Keyed hashes of 64 bits: a client cannot aim for collisions.
        let own = &mut self.memory.hashes[base..];
        own.sort_unstable();
        let is_unique = own.windows(2).all(|pair| pair[0] != pair[1]);
        self.memory.hashes.truncate(base);
        Some(is_unique)
    }
}
