//! Keywords that apply other schemas to the same value.

use serde_json::{Map, Value};

use super::super::program::{Condition, Dynamic, Rule, RuleId};
use super::super::resource::Place;
use super::super::{CHAIN, SchemaError};
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
        self.target(at, value).map(|target| self.referred(&target))
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
        let otherwise = self.referred(&target);
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
                    .map(|place| (self.resource(place), self.referred(place)))
                    .collect();
                self.finish();
                let branches = self.program.rules[id].branches.as_mut();
                if let Some(dynamic) = branches.and_then(|branches| branches.dynamic.as_mut()) {
                    dynamic.candidates = candidates;
                }
            }
        }
    }

    /// A schema that refers to itself without going down into the value would never end, and a
    /// chain of such references takes stack for each of its schemas.
    pub(super) fn refuse_loops(&mut self) {
        let mut heights = vec![Height::Unknown; self.program.rules.len()];
        for start in 0..heights.len() {
            if let Err((id, message)) = self.height(start, 1, &mut heights) {
                let hint = "a schema may contain itself only below properties or items";
                self.errors.push(SchemaError {
                    pointer: self.program.places[id].to_string(),
                    message,
                    hint: Some(hint.to_owned()),
                });
                return;
            }
        }
    }

    /// How many schemas look at the same value by way of a rule, itself included; `depth` of them
    /// are on the way to it, itself included.
    fn height(
        &self,
        id: RuleId,
        depth: usize,
        heights: &mut [Height],
    ) -> Result<usize, (RuleId, String)> {
        let height = match heights[id] {
            Height::OnTheWay => {
                let message = "a schema refers to itself without an end";
                return Err((id, message.to_owned()));
            }
            Height::Known(height) => height,
            Height::Unknown if depth > CHAIN => depth,
            Height::Unknown => {
                heights[id] = Height::OnTheWay;
                let mut most = 0;
                for next in self.program.rules[id].in_place() {
                    most = most.max(self.height(next, depth + 1, heights)?);
                }
                heights[id] = Height::Known(most + 1);
                most + 1
            }
        };
        if depth - 1 + height > CHAIN {
            let message = format!("more than {CHAIN} schemas refer to each other for one value");
            return Err((id, message));
        }
        Ok(height)
    }
}

#[derive(Clone, Copy)]
enum Height {
    Unknown,
    OnTheWay,
    Known(usize),
}
