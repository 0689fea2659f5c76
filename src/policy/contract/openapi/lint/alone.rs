//! What is wrong with a schema whatever else is said of the same value.

use serde_json::Value;

use super::Linter;
use super::parts::Types;
use crate::policy::contract::lint::Lint;
use crate::policy::contract::openapi::node::Node;
use crate::policy::contract::schema::{Format, NUMBER_FORMATS};

impl<'d> Linter<'d> {
    pub(super) fn alone(&mut self, node: &Node<'d>) {
        if self.alone.insert(std::ptr::from_ref(node.value) as usize) {
            self.impossible(node);
            self.closed(node);
            self.misapplied(node);
            self.of_another_type(node);
        }
    }

    /// Keywords of values that the schema does not have (JSON Schema 2020-12, Validation, section 6).
    fn of_another_type(&mut self, node: &Node<'d>) {
        let types = Types::of(node);
        if !types.any() {
            return;
        }
        for (is_one, what, keywords) in [
            (
                types.string,
                "texts",
                &["maxLength", "minLength", "pattern"][..],
            ),
            (
                types.number,
                "numbers",
                &[
                    "maximum",
                    "minimum",
                    "exclusiveMaximum",
                    "exclusiveMinimum",
                    "multipleOf",
                ],
            ),
            (
                types.array,
                "arrays",
                &[
                    "maxItems",
                    "minItems",
                    "uniqueItems",
                    "items",
                    "prefixItems",
                ],
            ),
            (
                types.object,
                "objects",
                &[
                    "maxProperties",
                    "minProperties",
                    "required",
                    "properties",
                    "patternProperties",
                ],
            ),
        ] {
            for keyword in keywords.iter().filter(|_| !is_one) {
                let Some(at) = node.member(keyword) else {
                    continue;
                };
                let message = format!("`{keyword}` is about {what} and checks nothing here");
                let hint = "correct the `type`, or remove it";
                self.tell(Lint::IneffectiveKeyword, &at.pointer, message, hint);
            }
        }
    }

    /// A format of values that the schema does not have.
    fn misapplied(&mut self, node: &Node<'d>) {
        let types = Types::of(node);
        let Some(at) = node.member("format").filter(|_| types.any()) else {
            return;
        };
        let name = at.value.as_str().unwrap_or_default();
        let (says, hint) = if NUMBER_FORMATS.contains(&name) && !types.number {
            (
                "of numbers",
                "write `type: integer` or `type: number`, or remove it",
            )
        } else if Format::named(name).is_some() && !types.string {
            ("of texts", "write `type: string`, or remove it")
        } else {
            return;
        };
        let message = format!("`{name}` is a format {says} and checks nothing here");
        self.tell(Lint::IneffectiveKeyword, &at.pointer, message, hint);
    }

    /// Keywords that contradict each other.
    fn impossible(&mut self, node: &Node<'d>) {
        let number = |name: &str| node.value.get(name).and_then(Value::as_f64);
        for (least, most) in [
            ("minLength", "maxLength"),
            ("minItems", "maxItems"),
            ("minProperties", "maxProperties"),
            ("minimum", "maximum"),
            ("exclusiveMinimum", "maximum"),
            ("minimum", "exclusiveMaximum"),
        ] {
            let (Some(low), Some(high)) = (number(least), number(most)) else {
                continue;
            };
            if low > high {
                let message = format!("nothing matches: `{least}` is above `{most}`");
                self.tell(
                    Lint::ImpossibleSchema,
                    &node.pointer,
                    message,
                    "correct one of them",
                );
            }
        }
        let types = Types::of(node);
        let values = node.value["enum"].as_array();
        if let Some(values) = values.filter(|values| !values.is_empty() && types.any())
            && !values.iter().any(|value| types.has(value))
        {
            let message = "nothing matches: no value of the enum is of this `type`";
            let hint = "correct one of them";
            self.tell(Lint::ImpossibleSchema, &node.pointer, message, hint);
        }
        if values.is_some_and(Vec::is_empty) {
            let message = "nothing matches: the enum is empty";
            self.tell(
                Lint::ImpossibleSchema,
                &node.pointer,
                message,
                "list its values",
            );
        }
        let is_closed = node.value["additionalProperties"] == false
            && node.value.get("patternProperties").is_none();
        let required = node.value["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|_| is_closed) {
            if node.value["properties"].get(name).is_none() {
                let message = format!("nothing matches: `{name}` is required and not declared");
                let hint = "declare it in `properties`";
                self.tell(Lint::ImpossibleSchema, &node.pointer, message, hint);
            }
        }
    }

    /// `additionalProperties` sees `properties` beside it and nothing else.
    fn closed(&mut self, node: &Node<'d>) {
        let Some(parts) = node.member("allOf") else {
            return;
        };
        const MESSAGE: &str = "members that the other parts of `allOf` declare are refused here";
        const HINT: &str = "write `unevaluatedProperties: false` beside `allOf` instead";
        let parts: Vec<Node<'d>> = parts
            .items()
            .filter_map(|part| self.resolve(part))
            .collect();
        let says = |node: &Node<'d>| node.value.get("properties").is_some();
        if node.value["additionalProperties"] == false && parts.iter().any(says) {
            self.tell(Lint::ClosedBesideAllOf, &node.pointer, MESSAGE, HINT);
        }
        let speaking = parts.iter().filter(|part| says(part)).count() + usize::from(says(node));
        for part in parts.iter().filter(|_| speaking > 1) {
            if part.value["additionalProperties"] == false {
                self.tell(Lint::ClosedBesideAllOf, &part.pointer, MESSAGE, HINT);
            }
        }
    }
}
