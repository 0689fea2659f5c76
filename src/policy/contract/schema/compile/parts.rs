//! Schemas that were compiled as parts of another one: they need not be compiled again where they
//! stand alone, as the rules are the same.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::program::{Program, Rule, RuleId, Traits};
use super::super::view::Views;
use super::super::{Parts, Schema, Wants};

/// What is so of some rules.
pub fn traits<'r>(rules: impl IntoIterator<Item = &'r Rule>) -> Traits {
    let none = Traits {
        strips_safely: true,
        ..Traits::default()
    };
    rules.into_iter().fold(none, |all, rule| {
        let twice = looks_twice(rule);
        Traits {
            looks_twice: all.looks_twice || twice,
            overlaps: all.overlaps || rule.in_place().next().is_some(),
            strips_safely: all.strips_safely && !twice && strips_safely(rule),
        }
    })
}

/// Those of the referred rules that are asked for as schemas, by the pointers to them; only where
/// they are what they would be alone.
pub fn parts(schema: &Schema, referred: &[RuleId], wants: Wants<'_>) -> Parts {
    let (program, views) = (&schema.program, &schema.views);
    if program.is_dynamic || views.is_any() || views.is_directed || !schema.lints.is_empty() {
        return Vec::new();
    }
    let wanted = referred.iter().filter(|id| wants(&program.places[**id]));
    let parts = wanted.filter_map(|&id| {
        let own = reach(program, id);
        let is_alike = traits(own.iter().map(|id| &program.rules[*id])) == program.traits;
        is_alike.then(|| {
            let part = Schema {
                root: id,
                views: within(views, &own),
                ..schema.clone()
            };
            (program.places[id].to_string(), part)
        })
    });
    parts.collect()
}

/// A rule and all that it leads to.
fn reach(program: &Program, id: RuleId) -> HashSet<RuleId> {
    let (mut found, mut pending) = (HashSet::from([id]), vec![id]);
    while let Some(id) = pending.pop() {
        pending.extend(program.rules[id].below().filter(|next| found.insert(*next)));
    }
    found
}

/// What is said of some rules only.
fn within(views: &Arc<Views>, rules: &HashSet<RuleId>) -> Arc<Views> {
    match views.has_formats_only_of(|id| rules.contains(&id)) {
        true => Arc::clone(views),
        false => Arc::new(views.with_formats_of(|id| rules.contains(&id))),
    }
}

/// Whether a rule may look at a value, or at what it holds, more than once.
fn looks_twice(rule: &Rule) -> bool {
    let branches = rule.branches.as_ref().is_some_and(|branches| {
        let unevaluated = branches
            .unevaluated_properties
            .or(branches.unevaluated_items);
        !branches.any_of.is_empty()
            || !branches.one_of.is_empty()
            || branches.not.or(unevaluated).is_some()
            || branches.condition.is_some()
    });
    let array = rule.array.as_ref();
    branches
        || array.is_some_and(|array| array.is_unique || array.contains.is_some())
        || rule
            .object
            .as_ref()
            .is_some_and(|object| object.rare.is_some())
}

/// Whether a value stays valid by a rule whatever undeclared members are taken out of it.
fn strips_safely(rule: &Rule) -> bool {
    let object = rule.object.as_ref().is_none_or(|object| {
        let mut members = object.members.list.iter();
        object.min_properties.is_none() && members.all(|member| member.rule.is_some())
    });
    object && rule.branches.is_none() && rule.never != Some("false")
}

#[cfg(test)]
mod tests {
    use super::super::super::{Common, Compiler, Dialect, Direction, Scratch};
    use super::*;
    use serde_json::{Value, json};

    /// A list of items, each of which holds tags and the item before it.
    fn document(item: &Value) -> Value {
        json!({
            "List": {"type": "array", "maxItems": 2, "items": {"$ref": "#/Item"}},
            "Item": {"type": "object", "properties": {
                "id": {"type": "string", "format": "uuid"},
                "tags": {"type": "array", "uniqueItems": true},
                "before": {"$ref": "#/Item"},
                "price": {"$ref": "#/Price"},
                "own": item}},
            "Price": {"type": "number", "minimum": 0}
        })
    }

    fn parts_of(document: &Value, direction: Direction, wants: Wants<'_>) -> (Schema, Parts) {
        // Without it any schema might have a name.
        let common = Common::of(document);
        let compiler = Compiler::new(document, Dialect::OpenApi31)
            .direction(direction)
            .common(&common);
        compiler.compile_with_parts("/List", wants).unwrap()
    }

    #[test]
    fn a_part_is_what_it_would_be_alone_and_shares_the_rules() {
        let document = document(&json!({}));
        let (list, parts) = parts_of(&document, Direction::Request, &|_| true);
        // The price would look at nothing twice, alone.
        assert_eq!(parts.len(), 1);
        let (pointer, item) = &parts[0];
        assert_eq!(pointer, "/Item");
        assert!(Arc::ptr_eq(&list.program, &item.program));
        let alone = Compiler::new(&document, Dialect::OpenApi31);
        let alone = alone.compile("/Item").unwrap();
        assert_eq!(item.program.traits, alone.program.traits);
        let mut scratch = Scratch::default();
        for body in [
            "{}",
            "[]",
            "[{}]",
            r#"{"tags":[1,2],"price":1}"#,
            r#"{"tags":[1,1]}"#,
            r#"{"before":{"before":{"price":-1}}}"#,
        ] {
            let body = body.as_bytes();
            let expected = alone.check(body, &mut scratch);
            assert_eq!(item.check(body, &mut scratch), expected);
        }
    }

    #[test]
    fn only_what_is_asked_for_is_made() {
        let document = document(&json!({}));
        let wants = |pointer: &str| pointer != "/Item";
        let (_, parts) = parts_of(&document, Direction::Request, &wants);
        assert!(parts.is_empty());
    }

    #[test]
    fn what_says_more_than_its_rules_has_no_parts() {
        for own in [
            json!({"readOnly": true}),
            json!({"writeOnly": true}),
            json!({"x-mask": "hash"}),
            json!({"x-visible-to": ["admin"]}),
            json!({"contentMediaType": "text/html"}),
        ] {
            for direction in [Direction::Request, Direction::Response] {
                let (_, parts) = parts_of(&document(&own), direction, &|_| true);
                assert!(parts.is_empty(), "{own}");
            }
        }
    }

    #[test]
    fn formats_are_those_of_the_part() {
        let document = json!({
            "List": {"type": "array", "items": {"anyOf": [{"$ref": "#/Item"}, {"format": "uuid"}]}},
            "Item": {"anyOf": [{"format": "email"}, {"type": "integer"}]}
        });
        let (list, parts) = parts_of(&document, Direction::Request, &|_| true);
        assert!(list.formats().count() == 2);
        let (_, item) = &parts[0];
        assert_eq!(item.formats().collect::<Vec<_>>(), ["email"]);
    }
}
