//! Keywords that apply other schemas to the same value.

use serde_json::{Map, Value};

use super::super::SchemaError;
use super::super::program::{Condition, Dynamic, Rule, RuleId};
use super::super::resource::Place;
use super::Compilation;

impl<'d> Compilation<'d> {
    /// Keywords that apply other schemas to the same value.
    pub(super) fn branch_keyword(
        &mut self,
        rule: &mut Rule,
        (schema, id): (&'d Map<String, Value>, RuleId),
        (key, at): (&str, &Place),
        value: &'d Value,
    ) -> bool {
        match key {
            "$ref" => {}
            "allOf" => {
                let list = self.list(at, value);
                rule.branches().all.extend(list);
            }
            "anyOf" => rule.branches().any_of = self.list(at, value),
            "oneOf" => rule.branches().one_of = self.list(at, value),
            "not" => rule.branches().not = Some(self.at(at)),
            "if" => {
                let end = |key| schema.contains_key(key).then(|| at.beside(key));
                let (then, or_else) = (end("then"), end("else"));
                let condition = Condition {
                    test: self.at(at),
                    then: then.map(|place| self.at(&place)),
                    or_else: or_else.map(|place| self.at(&place)),
                };
                rule.branches().condition = Some(condition);
            }
            "then" | "else" => {
                if !schema.contains_key("if") {
                    self.at(at);
                    let message = format!("`{key}` has no effect without `if`");
                    self.lint(at, message, "add `if` or remove it");
                }
            }
            "unevaluatedProperties" => {
                rule.branches().unevaluated_properties = Some(self.at(at));
            }
            "unevaluatedItems" => rule.branches().unevaluated_items = Some(self.at(at)),
            "$dynamicRef" => self.dynamic(rule, (id, at), value),
            "discriminator" => self.discriminator(rule, schema, at, value),
            _ => return false,
        }
        true
    }

    pub(super) fn reference(&mut self, at: &Place, value: &Value) -> Option<RuleId> {
        self.target(at, value).map(|target| self.at(&target))
    }

    pub(super) fn target(&mut self, at: &Place, value: &Value) -> Option<Place> {
        let target = value
            .as_str()
            .and_then(|text| self.resources.resolve(at, text));
        if target.is_none() {
            let hint = "check the name and its place; other documents must be loaded";
            self.error(at, format!("{value} leads nowhere"), hint);
        }
        target
    }

    pub(super) fn dynamic(
        &mut self,
        rule: &mut Rule,
        (id, at): (RuleId, &Place),
        value: &'d Value,
    ) {
        let Some(target) = self.target(at, value) else {
            return;
        };
        let otherwise = self.at(&target);
        let name = value.as_str().and_then(|text| text.split_once('#'));
        let name = name.map_or("", |(_, name)| name);
        // Only if it leads to a dynamic anchor does the way here count (core, section 8.2.3.2).
        if !self.resources.dynamic(name).contains(&target) {
            rule.branches().all.push(otherwise);
            return;
        }
        self.program.is_dynamic = true;
        self.dynamics.push((id, name.to_owned()));
        rule.branches().dynamic = Some(Dynamic {
            otherwise,
            candidates: Box::default(),
        });
    }

    /// Finds the places that dynamic references may lead to, also those that came up meanwhile.
    pub(super) fn finish_dynamic(&mut self) {
        let mut done = usize::MAX;
        while done != self.program.rules.len() {
            done = self.program.rules.len();
            for at in 0..self.dynamics.len() {
                let (id, name) = self.dynamics[at].clone();
                let places = self.resources.dynamic(&name).to_vec();
                let candidates = places
                    .iter()
                    .map(|place| (self.resource(place), self.at(place)))
                    .collect();
                let branches = self.program.rules[id].branches.as_mut();
                if let Some(dynamic) = branches.and_then(|branches| branches.dynamic.as_mut()) {
                    dynamic.candidates = candidates;
                }
            }
        }
    }

    /// A schema that refers to itself without going down into the value would never end.
    pub(super) fn refuse_loops(&mut self) {
        let mut state = vec![0_u8; self.program.rules.len()];
        for start in 0..state.len() {
            if let Some(id) = self.looping(start, &mut state) {
                let hint = "a schema may contain itself only below properties or items";
                self.errors.push(SchemaError {
                    pointer: self.program.places[id].to_string(),
                    message: "a schema refers to itself without an end".to_owned(),
                    hint: Some(hint.to_owned()),
                });
                return;
            }
        }
    }

    /// The rule that a loop leads back to. Depth-first: 1 is on the way, 2 is done.
    fn looping(&self, id: RuleId, state: &mut [u8]) -> Option<RuleId> {
        match state[id] {
            1 => return Some(id),
            2 => return None,
            _ => state[id] = 1,
        }
        let mut next = self.program.rules[id].in_place();
        let found = next.find_map(|next| self.looping(next, state));
        state[id] = 2;
        found
    }
}
