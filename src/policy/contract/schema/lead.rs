//! Whether a schema speaks of what a pointer of the configuration leads to, so that a mistyped one
//! is told at load.

use std::collections::HashSet;

use super::Schema;
use super::program::{Additional, Rule, RuleId, types};
use super::walk::{Pointer, Step};

/// Longest chain of schemas that look at one value.
const CHAIN: usize = super::CHAIN;

impl Schema {
    /// Whether a declared value, or one of which nothing is said, may stand at a pointer.
    pub fn leads(&self, pointer: &Pointer) -> bool {
        self.leads_from(self.root, pointer.steps(), types::ALL, &mut HashSet::new())
    }

    /// Whether it may be an array.
    pub fn leads_to_array(&self, pointer: &Pointer) -> bool {
        self.leads_from(
            self.root,
            pointer.steps(),
            types::ARRAY,
            &mut HashSet::new(),
        )
    }

    fn leads_from(
        &self,
        rule: RuleId,
        steps: &[Step],
        wanted: u8,
        seen: &mut HashSet<(RuleId, usize)>,
    ) -> bool {
        if !seen.insert((rule, steps.len())) {
            return false;
        }
        let Some((step, rest)) = steps.split_first() else {
            return self.permits(rule, wanted, 0);
        };
        let parts = self.parts(rule);
        let rules = || parts.iter().map(|part| &self.program.rules[*part]);
        if !rules().any(speaks) {
            return true;
        }
        let next: Vec<RuleId> = rules().flat_map(|part| below(part, step)).collect();
        let welcomes = |part: &Rule| {
            let object = part.object.as_ref();
            object.is_some_and(|object| object.additional == Additional::Allowed)
        };
        rules().any(welcomes)
            || next
                .into_iter()
                .any(|next| self.leads_from(next, rest, wanted, seen))
    }

    /// All rules that look at the same value.
    pub(super) fn parts(&self, rule: RuleId) -> Vec<RuleId> {
        let mut parts = vec![rule];
        let mut at = 0;
        while let Some(&part) = parts.get(at) {
            let rule = &self.program.rules[part];
            let dynamic = rule.branches.iter().flat_map(|branches| &branches.dynamic);
            let dynamic = dynamic.flat_map(|dynamic| {
                let candidates = dynamic.candidates.iter().map(|(_, id)| *id);
                candidates.chain([dynamic.otherwise])
            });
            for next in rule.in_place().chain(dynamic) {
                if !parts.contains(&next) {
                    parts.push(next);
                }
            }
            at += 1;
        }
        parts
    }

    /// Whether a value of these types may pass.
    fn permits(&self, rule: RuleId, wanted: u8, depth: usize) -> bool {
        let rule = &self.program.rules[rule];
        let permits = |id: &RuleId| self.permits(*id, wanted, depth + 1);
        let branches = rule.branches.as_ref().filter(|_| depth < CHAIN);
        rule.types & wanted != 0
            && branches.is_none_or(|branches| {
                let lists = [&branches.any_of, &branches.one_of];
                let mut lists = lists.into_iter().filter(|list| !list.is_empty());
                branches.all.iter().all(permits) && lists.all(|list| list.iter().any(permits))
            })
    }
}

/// Whether a rule says what a value holds, or that it holds nothing.
fn speaks(rule: &Rule) -> bool {
    let object = rule.object.as_ref().is_some_and(|object| {
        let mut members = object.members.list.iter();
        members.any(|member| member.rule.is_some())
            || !object.patterns.is_empty()
            || object.additional != Additional::Open
    });
    let array = rule.array.as_ref();
    object
        || array.is_some_and(|array| array.items.is_some() || !array.prefix.is_empty())
        || rule.types & (types::ARRAY | types::OBJECT) == 0
        || !rule.values.is_empty()
}

/// What a rule says of what stands one step below.
fn below(rule: &Rule, step: &Step) -> Vec<RuleId> {
    let mut found = Vec::new();
    if let Some(object) = &rule.object {
        found.extend(object.patterns.iter().map(|(_, id)| *id));
        if let Additional::Checked(id) = object.additional {
            found.push(id);
        }
        let members = object.members.list.iter();
        let named = members.filter(|member| match step {
            Step::All => true,
            Step::Named(name) => member.name == *name,
        });
        found.extend(named.filter_map(|member| member.rule));
    }
    let is_item = match step {
        Step::All => true,
        Step::Named(name) => name.parse::<usize>().is_ok(),
    };
    if let Some(array) = rule.array.as_ref().filter(|_| is_item) {
        found.extend(array.prefix.iter().copied().chain(array.items));
    }
    if let Some(branches) = &rule.branches {
        found.extend(branches.unevaluated_properties);
        found.extend(branches.unevaluated_items.filter(|_| is_item));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::contract::schema::Dialect;
    use serde_json::json;

    #[test]
    fn a_pointer_leads_where_a_schema_speaks_of_something() {
        let document = json!({
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": {"allOf": [{"properties": {"a": {"type": "string"}}}]}},
                "open": {},
                "some": {"additionalProperties": {"type": "integer"}},
                "self": {"$ref": "#"},
                "either": {"anyOf": [{"type": "array"}, {"type": "null"}]}
            }
        });
        let schema = Schema::compile(&document, "", Dialect::OpenApi31).unwrap();
        for (pointer, leads, is_array) in [
            ("", true, false),
            ("/items", true, true),
            ("/itmes", false, false),
            ("/items/*/a", true, false),
            ("/items/0/a", true, false),
            ("/items/a", false, false),
            ("/items/*/b", false, false),
            ("/open/x/y", true, true),
            ("/some/x", true, false),
            ("/some/x/y", false, false),
            ("/self/self/items", true, true),
            ("/self/self/itmes", false, false),
            ("/either", true, true),
        ] {
            let at = Pointer::read(pointer).unwrap();
            assert_eq!(schema.leads(&at), leads, "{pointer}");
            assert_eq!(schema.leads_to_array(&at), is_array, "{pointer}");
        }
    }
}
