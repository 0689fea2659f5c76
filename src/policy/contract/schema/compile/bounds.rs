//! Bounds of numbers, compared as they are written.

use serde_json::{Map, Value};

use super::super::Dialect;
use super::super::number::Exact;
use super::super::program::Rule;
use super::super::resource::Place;
use super::Compilation;

impl<'d> Compilation<'d> {
    pub(super) fn bound(
        &mut self,
        rule: &mut Rule,
        schema: &Map<String, Value>,
        (key, at): (&str, &Place),
        value: &Value,
    ) {
        let is_exclusive_key = key.starts_with("exclusive");
        if is_exclusive_key && self.dialect == Dialect::OpenApi30 {
            let bounded = if key.ends_with("Minimum") {
                "minimum"
            } else {
                "maximum"
            };
            if !value.is_boolean() || !schema.contains_key(bounded) {
                let hint = format!("write {bounded}: 0 and {key}: true");
                self.error(
                    at,
                    format!("in OpenAPI 3.0 `{key}` is a switch for `{bounded}`"),
                    hint,
                );
            }
            return;
        }
        let Value::Number(number) = value else {
            self.error(
                at,
                format!("`{key}` must be a number"),
                format!("write {key}: 0"),
            );
            return;
        };
        let (is_minimum, switch) = match key {
            "minimum" | "exclusiveMinimum" => (true, "exclusiveMinimum"),
            _ => (false, "exclusiveMaximum"),
        };
        let is_exclusive = is_exclusive_key || schema.get(switch) == Some(&Value::Bool(true));
        let new = (self.exact(at, number), is_exclusive);
        let number_rule = rule.number();
        let bound = match is_minimum {
            true => &mut number_rule.minimum,
            false => &mut number_rule.maximum,
        };
        // Both an inclusive and an exclusive bound: the tighter one holds for both.
        let is_tighter = bound
            .as_ref()
            .is_none_or(|old| tighter(&new, old, is_minimum));
        if is_tighter {
            *bound = Some(new);
        }
    }

    pub(super) fn multiple_of(&mut self, rule: &mut Rule, at: &Place, value: &Value) {
        let number = match value {
            Value::Number(number) => Some(self.exact(at, number)),
            _ => None,
        };
        let zero = Exact::whole(0);
        match number.filter(|number| number.number().compare(&zero.number()).is_gt()) {
            Some(number) if !number.is_divisor() => {
                let message = "`multipleOf` has too many digits to divide by";
                self.error(at, message, "write 19 digits at most");
            }
            Some(number) => rule.number().multiple_of = Some(number),
            None => self.error(
                at,
                "`multipleOf` must be above zero",
                "write multipleOf: 0.01",
            ),
        }
    }
}

fn tighter(
    (new, new_open): &(Exact, bool),
    (old, old_open): &(Exact, bool),
    is_minimum: bool,
) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (new.number().compare(&old.number()), is_minimum) {
        (Greater, true) | (Less, false) => true,
        (Equal, _) => *new_open && !*old_open,
        _ => false,
    }
}

pub(super) fn range(name: &str) -> Option<(Exact, Exact)> {
    let whole = |least, most| Some((Exact::whole(least), Exact::whole(most)));
    let real = |most: f64| {
        let bound = |value| serde_json::Number::from_f64(value).map(|it| Exact::from_json(&it));
        bound(-most).zip(bound(most))
    };
    match name {
        "int32" => whole(i64::from(i32::MIN), i64::from(i32::MAX)),
        "int64" => whole(i64::MIN, i64::MAX),
        "float" => real(f64::from(f32::MAX)),
        "double" => real(f64::MAX),
        _ => None,
    }
}
