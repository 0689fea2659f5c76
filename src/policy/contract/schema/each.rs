//! Arrays that can be judged item by item, without the others at hand.

use super::check::{Scratch, Violation};
use super::program::{Branches, RuleId};
use super::{Schema, check, program::types};

/// What each item has to be, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Each {
    rule: RuleId,
    pub least: usize,
    pub most: Option<usize>,
}

impl Schema {
    /// Every value for itself, as many as there are.
    pub fn alone(&self) -> Each {
        Each {
            rule: self.root,
            least: 0,
            most: None,
        }
    }

    /// The items, if the schema says nothing of an array but what each item is and how many there
    /// are. Otherwise what stands against it.
    pub fn each(&self) -> Result<Each, &'static str> {
        match self.program.is_dynamic {
            true => Err("`$dynamicRef` needs the whole value"),
            false => self.each_of(self.root),
        }
    }

    fn each_of(&self, id: RuleId) -> Result<Each, &'static str> {
        let rule = &self.program.rules[id];
        if let Some(branches) = &rule.branches {
            let says_more = rule.array.is_some() || rule.types != types::ALL;
            let target = target(branches)?;
            // References do not loop, which was seen to at load.
            return match target {
                Some(_) if says_more || !rule.values.is_empty() => {
                    Err("keywords beside `$ref` or `allOf` need the whole value")
                }
                Some(target) => self.each_of(target),
                None => self.items_of(id),
            };
        }
        self.items_of(id)
    }

    fn items_of(&self, id: RuleId) -> Result<Each, &'static str> {
        let rule = &self.program.rules[id];
        if rule.types != types::ARRAY || rule.never.is_some() {
            return Err("its schema is not of `type: array` alone");
        }
        if !rule.values.is_empty() {
            return Err("`enum` and `const` need the whole array");
        }
        let array = rule.array.as_ref().ok_or("its schema has no `items`")?;
        if array.is_unique {
            return Err("`uniqueItems` needs the whole array");
        }
        if array.contains.is_some() {
            return Err("`contains` needs the whole array");
        }
        if !array.prefix.is_empty() {
            return Err("`prefixItems` tells the items apart");
        }
        Ok(Each {
            rule: array.items.ok_or("its schema has no `items`")?,
            least: array.min_items.unwrap_or(0),
            most: array.max_items,
        })
    }

    /// Checks one item, which is only read. The first fault.
    pub fn check_one(
        &self,
        each: Each,
        item: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Violation> {
        let text = simdutf8::basic::from_utf8(item).map_err(|_| check::no_json())?;
        self.run(each.rule, text, scratch.begin())
    }
}

/// The one schema that is referred to, if nothing else is said by branches.
fn target(branches: &Branches) -> Result<Option<RuleId>, &'static str> {
    let Branches {
        all,
        dynamic,
        any_of,
        one_of,
        switch,
        not,
        condition,
        unevaluated_properties: _,
        unevaluated_items,
    } = branches;
    let said = [
        (dynamic.is_some(), "`$dynamicRef` needs the whole value"),
        (
            !any_of.is_empty() || !one_of.is_empty() || switch.is_some(),
            "`anyOf` and `oneOf` need the whole array",
        ),
        (not.is_some(), "`not` needs the whole array"),
        (condition.is_some(), "`if` needs the whole array"),
        (
            unevaluated_items.is_some(),
            "`unevaluatedItems` needs the whole array",
        ),
        (all.len() > 1, "`allOf` needs the whole array"),
    ];
    match said.iter().find(|(is_said, _)| *is_said) {
        Some((_, reason)) => Err(reason),
        None => Ok(all.first().copied()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::policy::contract::schema::{Dialect, Schema};

    fn each(schema: &Value) -> Result<(usize, Option<usize>), &'static str> {
        let schema = Schema::compile(schema, "", Dialect::OpenApi31).unwrap();
        schema.each().map(|each| (each.least, each.most))
    }

    #[test]
    fn arrays_of_records_are_seen() {
        let items = json!({"type": "integer"});
        let array = json!({"type": "array", "items": items, "minItems": 1, "maxItems": 9});
        assert_eq!(each(&array), Ok((1, Some(9))));
        let referred = json!({"$ref": "#/$defs/a", "$defs": {"a": array}});
        assert_eq!(each(&referred), Ok((1, Some(9))));
        let wrapped = json!({"allOf": [array]});
        assert_eq!(each(&wrapped), Ok((1, Some(9))));
    }

    #[test]
    fn whatever_needs_the_whole_array_is_told() {
        for (more, reason) in [
            (json!({"uniqueItems": true}), "uniqueItems"),
            (json!({"contains": {"type": "null"}}), "contains"),
            (json!({"prefixItems": [true]}), "prefixItems"),
            (json!({"unevaluatedItems": false}), "unevaluatedItems"),
            (json!({"if": {"minItems": 3}, "then": false}), "`if`"),
            (
                json!({"oneOf": [{"minItems": 2}, {"maxItems": 1}]}),
                "oneOf",
            ),
            (
                json!({"anyOf": [{"minItems": 2}, {"maxItems": 1}]}),
                "anyOf",
            ),
            (json!({"allOf": [{"minItems": 2}]}), "beside"),
            (
                json!({"allOf": [{"minItems": 2}, {"maxItems": 3}]}),
                "allOf",
            ),
            (json!({"not": {"maxItems": 2}}), "not"),
            (json!({"enum": [[1]]}), "enum"),
            (json!({"const": [1]}), "const"),
            (json!({"type": ["array", "null"]}), "type: array"),
            (json!({"type": "object"}), "type: array"),
        ] {
            let mut schema = json!({"type": "array", "items": {"type": "integer"}});
            for (key, value) in more.as_object().unwrap() {
                schema[key] = value.clone();
            }
            let found = each(&schema).unwrap_err();
            assert!(found.contains(reason), "{schema}: {found}");
        }
        assert!(each(&json!({"type": "array"})).is_err());
        assert!(each(&json!({"items": {"type": "integer"}})).is_err());
        assert!(each(&json!({"type": "array", "maxItems": 3})).is_err());
    }
}
