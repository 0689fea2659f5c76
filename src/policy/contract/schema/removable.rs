//! What of a response can be taken out of it: members. An item stands for its place among others,
//! and without the whole there is no body.

use super::Schema;
use super::program::RuleId;

/// A schema whose values do not leave, or not to all, where nothing can be taken out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unremovable {
    /// JSON pointer to the schema that says so.
    pub pointer: Box<str>,
    /// `writeOnly` or `x-visible-to`.
    pub keyword: &'static str,
    /// Whether the value is an item; else it is all there is.
    pub is_item: bool,
}

impl Schema {
    /// Where values would have to be taken out that are no members, each place once.
    pub fn unremovable(&self) -> Vec<Unremovable> {
        let arrays = self.program.rules.iter();
        let arrays = arrays.filter_map(|rule| rule.array.as_ref());
        let items = arrays.flat_map(|array| array.prefix.iter().copied().chain(array.items));
        let rest = self.program.rules.iter();
        let rest = rest.filter_map(|rule| rule.branches.as_ref()?.unevaluated_items);
        let whole = [(self.root, false)].into_iter();
        let places = whole.chain(items.chain(rest).map(|id| (id, true)));
        let mut found: Vec<Unremovable> = places
            .flat_map(|(id, is_item)| {
                let parts = self.parts(id).into_iter();
                parts.filter_map(move |part| self.barred(part, is_item))
            })
            .collect();
        found.sort();
        found.dedup_by(|a, b| a.pointer == b.pointer);
        found
    }

    fn barred(&self, id: RuleId, is_item: bool) -> Option<Unremovable> {
        let is_shown_to_some = self.views.of(id).audience.is_some();
        let keyword = match self.program.rules[id].never {
            Some("writeOnly") => "writeOnly",
            _ => is_shown_to_some.then_some("x-visible-to")?,
        };
        Some(Unremovable {
            pointer: self.program.places[id].clone(),
            keyword,
            is_item,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Compiler, Dialect, Direction};
    use serde_json::{Value, json};

    fn found(schema: &Value) -> Vec<(String, &'static str, bool)> {
        let compiler = Compiler::new(schema, Dialect::OpenApi31).direction(Direction::Response);
        let found = compiler.compile("").unwrap().unremovable();
        let found = found.into_iter();
        found
            .map(|each| (each.pointer.into(), each.keyword, each.is_item))
            .collect()
    }

    #[test]
    fn only_members_can_be_taken_out() {
        let own = json!({"type": "string", "writeOnly": true});
        let some = json!({"type": "string", "x-visible-to": ["a"]});
        for (schema, expected) in [
            (json!({"properties": {"a": own, "b": some}}), vec![]),
            (json!({"items": {"properties": {"a": own}}}), vec![]),
            (json!({"x-mask": "last4"}), vec![]),
            (own.clone(), vec![("", "writeOnly", false)]),
            (some.clone(), vec![("", "x-visible-to", false)]),
            (
                json!({"anyOf": [{"type": "null"}, some]}),
                vec![("/anyOf/1", "x-visible-to", false)],
            ),
            (
                json!({"properties": {"a": {"items": {"allOf": [own]}}}}),
                vec![("/properties/a/items/allOf/0", "writeOnly", true)],
            ),
            (
                json!({"prefixItems": [some], "unevaluatedItems": own}),
                vec![
                    ("/prefixItems/0", "x-visible-to", true),
                    ("/unevaluatedItems", "writeOnly", true),
                ],
            ),
            (
                json!({"$defs": {"s": some}, "properties": {
                    "a": {"$ref": "#/$defs/s"}, "b": {"items": {"$ref": "#/$defs/s"}}}}),
                vec![("/$defs/s", "x-visible-to", true)],
            ),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(at, keyword, is_item)| (at.to_owned(), keyword, is_item))
                .collect();
            assert_eq!(found(&schema), expected, "{schema}");
        }
    }
}
