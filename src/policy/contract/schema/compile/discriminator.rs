//! The text of a member that names the alternative (OpenAPI "Discriminator Object").

use serde_json::{Map, Value};

use super::super::program::{Rule, RuleId, Switch};
use super::super::resource::Place;
use super::Compilation;

impl<'d> Compilation<'d> {
    /// OpenAPI "Discriminator Object": the text of a member names the alternative.
    pub(super) fn discriminator(
        &mut self,
        rule: &mut Rule,
        schema: &'d Map<String, Value>,
        at: &Place,
        value: &'d Value,
    ) {
        let lists = ["oneOf", "anyOf"].map(|key| schema.get_key_value(key));
        let Some(member) = value.get("propertyName").and_then(Value::as_str) else {
            let hint = "write discriminator: { propertyName: kind }";
            return self.error(at, "`discriminator` has no `propertyName`", hint);
        };
        let (key, list) = match lists {
            [Some(one), None] | [None, Some(one)] => one,
            [None, None] => {
                // A base of others by allOf; they are not known here.
                let message = "`discriminator` has no effect without `oneOf` or `anyOf`";
                return self.lint(at, message, "list the alternatives beside it");
            }
            [Some(_), Some(_)] => {
                let hint = "keep one of `oneOf` and `anyOf`";
                return self.error(at, "`discriminator` beside two lists", hint);
            }
        };
        let mut cases: Vec<(Box<str>, RuleId)> = Vec::new();
        let list_at = at.beside(key);
        let mut targets = Vec::new();
        for (index, item) in list.as_array().into_iter().flatten().enumerate() {
            let item_at = list_at.below(&index.to_string());
            let reference = item.get("$ref").and_then(Value::as_str);
            let Some(reference) = reference else {
                let hint = "refer to a named schema with $ref";
                self.error(
                    &item_at,
                    "an alternative of `discriminator` has no name",
                    hint,
                );
                continue;
            };
            targets.push(self.resources.resolve(&item_at, reference));
            let name = reference.rsplit(['/', '#']).next().unwrap_or_default();
            cases.push((name.into(), self.at(&item_at)));
        }
        let mapping = value.get("mapping").and_then(Value::as_object);
        let mut named = Vec::new();
        for (name, target) in mapping.into_iter().flatten() {
            let text = target.as_str().unwrap_or_default();
            let reference = match text.contains(['#', '/', '.']) {
                true => text.to_owned(),
                false => format!("#/components/schemas/{text}"),
            };
            let place = self.resources.resolve(at, &reference);
            let index = targets
                .iter()
                .position(|other| place.is_some() && *other == place);
            match index {
                Some(index) => named.push((name.as_str().into(), index)),
                None => {
                    let message = format!("{target} is none of the alternatives");
                    self.error(
                        &at.below("mapping").below(name),
                        message,
                        "name one of them",
                    );
                }
            }
        }
        // A mapped schema is no longer known by its own name.
        let mapped = named
            .iter()
            .map(|(name, index): &(Box<str>, usize)| (name.clone(), cases[*index].1));
        let mut all: Vec<(Box<str>, RuleId)> = mapped.collect();
        let own = cases.iter().enumerate();
        let own = own.filter(|(at, _)| !named.iter().any(|(_, index)| index == at));
        all.extend(own.map(|(_, case)| case.clone()));
        rule.branches().switch = Some(Switch {
            member: member.into(),
            keyword: "discriminator",
            cases: all.into(),
        });
    }
}
