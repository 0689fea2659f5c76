//! Keywords of objects.

use serde_json::{Map, Value};

use super::super::Direction;
use super::super::program::{Additional, Member, Members, Rule};
use super::super::resource::Place;
use super::{Compilation, DEPTH};

impl<'d> Compilation<'d> {
    pub(super) fn object_keyword(
        &mut self,
        rule: &mut Rule,
        (schema, place): (&'d Map<String, Value>, &Place),
        (key, at): (&str, &Place),
        value: &'d Value,
    ) -> bool {
        match key {
            "minProperties" | "maxProperties" | "required" | "dependentRequired"
                if !self.validates => {}
            "minProperties" => rule.object().min_properties = self.count(at, value),
            "maxProperties" => rule.object().max_properties = self.count(at, value),
            "additionalProperties" => {
                rule.object().additional = match value {
                    Value::Bool(false) => Additional::Refused,
                    Value::Bool(true) => Additional::Allowed,
                    _ => Additional::Checked(self.at(at)),
                };
            }
            // Together, because either says something of the same members.
            "properties" => self.members(rule, place, schema),
            "required" if !schema.contains_key("properties") => {
                self.members(rule, place, schema);
            }
            "required" => {}
            "patternProperties" => {
                let mut patterns = Vec::new();
                for name in self.map(at, value).into_iter().flat_map(Map::keys) {
                    let place = at.below(name);
                    let next = self.at(&place);
                    let pattern = self.regex(&place, name);
                    patterns.extend(pattern.map(|pattern| (pattern, next)));
                }
                rule.object().patterns = patterns.into();
            }
            "propertyNames" => rule.rare().names = Some(self.at(at)),
            "dependentSchemas" => {
                let names = self.map(at, value).into_iter().flat_map(Map::keys);
                let each = names.map(|name| (name.as_str().into(), self.at(&at.below(name))));
                rule.rare().dependent_schemas = each.collect();
            }
            "dependentRequired" => {
                let mut dependent = Vec::new();
                for (name, needed) in self.map(at, value).into_iter().flatten() {
                    let needed = self.required(&at.below(name), Some(needed));
                    let needed = needed.into_iter().map(Into::into).collect();
                    dependent.push((name.as_str().into(), needed));
                }
                rule.rare().dependent_required = dependent.into();
            }
            _ => return false,
        }
        true
    }

    pub(super) fn members(
        &mut self,
        rule: &mut Rule,
        place: &Place,
        schema: &'d Map<String, Value>,
    ) {
        let required = self.required(&place.below("required"), schema.get("required"));
        let mut members = Vec::new();
        let at = place.below("properties");
        let declared = schema
            .get("properties")
            .and_then(|value| self.map(&at, value));
        for name in declared.into_iter().flat_map(Map::keys) {
            let own = at.below(name);
            let next = self.at(&own);
            // What must not be sent cannot be required.
            let is_required = required.contains(&name.as_str()) && !self.is_barred(&own);
            members.push(Member::new(name, Some(next), is_required));
        }
        for name in required {
            if declared.is_none_or(|declared| !declared.contains_key(name)) {
                members.push(Member::new(name, None, true));
            }
        }
        rule.object().members = Members::new(members);
    }

    pub(super) fn required(&mut self, at: &Place, value: Option<&'d Value>) -> Vec<&'d str> {
        let Some(value) = value else {
            return Vec::new();
        };
        let names = value
            .as_array()
            .map(|names| names.iter().map(Value::as_str));
        let names = names.and_then(|names| names.collect::<Option<Vec<_>>>());
        let Some(mut names) = names else {
            self.error(
                at,
                "`required` must be a list of names",
                "write required: [a, b]",
            );
            return Vec::new();
        };
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether a member belongs to the other direction, itself or by what it refers to.
    pub(super) fn is_barred(&mut self, place: &Place) -> bool {
        let keyword = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
            Direction::Neither => return false,
        };
        let mut place = place.clone();
        // References that loop are found later; here they only must not be followed for ever.
        for _ in 0..DEPTH {
            let Some(schema) = self.resources.value(&place) else {
                return false;
            };
            if schema.get(keyword) == Some(&Value::Bool(true)) {
                self.views.is_directed = true;
                return true;
            }
            let reference = schema.get("$ref").and_then(Value::as_str);
            match reference.and_then(|text| self.resources.resolve(&place, text)) {
                Some(next) => place = next,
                None => return false,
            }
        }
        false
    }
}
