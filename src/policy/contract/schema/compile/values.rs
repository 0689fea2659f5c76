//! Keywords of single values and arrays.

use serde_json::{Map, Value};

use super::super::format::{Format, NUMBER_FORMATS};
use super::super::literal::Literal;
use super::super::number::Exact;
use super::super::pattern::{Pattern, Refusal};
use super::super::program::{Contains, Rule, Values, types};
use super::super::resource::Place;
use super::super::{Dialect, Formats, Unknown};
use super::bounds::range;
use super::{Compilation, whole};
use crate::policy::contract::lint::Lint;

/// Keywords of single values and arrays in the vocabulary of validation, and of `format`.
const VALIDATION: [&str; 16] = [
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
    "nullable",
];

impl<'d> Compilation<'d> {
    /// Keywords of single values and arrays.
    pub(super) fn value_keyword(
        &mut self,
        rule: &mut Rule,
        (schema, _): (&'d Map<String, Value>, &Place),
        (key, at): (&str, &Place),
        value: &'d Value,
    ) -> bool {
        let is_spoken = match key {
            "items" | "prefixItems" | "contains" => true,
            "format" => self.validates || self.asserts,
            _ => self.validates,
        };
        if !is_spoken {
            return VALIDATION.contains(&key);
        }
        match key {
            "type" => rule.types = self.types(at, schema, value),
            "nullable" if self.dialect == Dialect::OpenApi30 => self.nullable(at, schema, value),
            "enum" => self.enumeration(rule, at, value),
            "const" => {
                let values = self.allowed("const", [(at.clone(), value)]);
                rule.values.push(values);
            }
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                self.bound(rule, schema, (key, at), value);
            }
            "multipleOf" => self.multiple_of(rule, at, value),
            "minLength" => rule.string().min_length = self.count(at, value),
            "maxLength" => rule.string().max_length = self.count(at, value),
            "pattern" => rule.string().pattern = self.pattern(at, value),
            "format" => self.format(rule, schema, at, value),
            "minItems" => rule.array().min_items = self.count(at, value),
            "maxItems" => rule.array().max_items = self.count(at, value),
            "items" => rule.array().items = Some(self.at(at)),
            "prefixItems" => rule.array().prefix = self.list(at, value),
            "uniqueItems" => rule.array().is_unique = self.flag(at, value),
            "contains" => {
                let bound = |key| schema.get(key).and_then(whole);
                rule.array().contains = Some(Contains {
                    rule: self.at(at),
                    least: bound("minContains").unwrap_or(1),
                    most: bound("maxContains"),
                });
            }
            "minContains" | "maxContains" => {
                self.count(at, value);
                if !schema.contains_key("contains") {
                    let message = format!("`{key}` has no effect without `contains`");
                    self.lint(at, message, "add `contains` or remove it");
                }
            }
            _ => return false,
        }
        true
    }

    pub(super) fn types(&mut self, at: &Place, schema: &Map<String, Value>, value: &Value) -> u8 {
        let names: Vec<&Value> = match value {
            Value::Array(names) if self.dialect == Dialect::OpenApi31 && !names.is_empty() => {
                names.iter().collect()
            }
            name => vec![name],
        };
        let mut bits = 0;
        for name in names {
            match name.as_str().and_then(|name| type_bits(name, self.dialect)) {
                Some(found) => bits |= found,
                None => {
                    let hint = "write string, number, integer, boolean, array or object";
                    self.error(at, format!("{name} is no type"), hint);
                }
            }
        }
        let is_nullable = schema.get("nullable") == Some(&Value::Bool(true));
        if self.dialect == Dialect::OpenApi30 && is_nullable {
            bits |= types::NULL;
        }
        bits
    }

    /// `nullable` widens `type`; without one it has no meaning (OpenAPI 3.0.3).
    pub(super) fn nullable(&mut self, at: &Place, schema: &Map<String, Value>, value: &Value) {
        if !value.is_boolean() {
            self.error(
                at,
                "`nullable` must be true or false",
                "write nullable: true",
            );
        } else if !schema.contains_key("type") {
            let message = "`nullable` has no effect without `type`";
            match self.unknown {
                Unknown::Refused => self.error(at, message, "add the `type`"),
                Unknown::Noted => {
                    self.lint_as(Lint::UnknownKeyword, at, message, "add the `type`");
                }
            }
        }
    }

    pub(super) fn enumeration(&mut self, rule: &mut Rule, at: &Place, value: &Value) {
        match value.as_array() {
            Some(values) if !values.is_empty() || self.unknown == Unknown::Noted => {
                let values = values.iter().enumerate();
                let values = values.map(|(index, value)| (at.below(&index.to_string()), value));
                let values = self.allowed("enum", values);
                rule.values.push(values);
            }
            _ => self.error(at, "`enum` must be a list of values", "write enum: [a, b]"),
        }
    }

    fn allowed<'v>(
        &self,
        keyword: &'static str,
        values: impl IntoIterator<Item = (Place, &'v Value)>,
    ) -> Values {
        let (mut texts, mut others) = (Vec::new(), Vec::new());
        for (at, value) in values {
            match self.literal(&at, value) {
                Literal::Text(text) => texts.push(text),
                other => others.push(other),
            }
        }
        Values {
            keyword,
            texts: texts.into(),
            others: others.into(),
        }
    }

    fn literal(&self, at: &Place, value: &Value) -> Literal {
        match value {
            Value::Null => Literal::Null,
            Value::Bool(holds) => Literal::Bool(*holds),
            Value::Number(number) => Literal::Number(self.exact(at, number)),
            Value::String(text) => Literal::Text(text.as_str().into()),
            Value::Array(list) => {
                let items = list.iter().enumerate();
                let items =
                    items.map(|(index, item)| self.literal(&at.below(&index.to_string()), item));
                Literal::List(items.collect())
            }
            Value::Object(map) => {
                let members = map.iter();
                let members = members.map(|(name, value)| {
                    (name.as_str().into(), self.literal(&at.below(name), value))
                });
                let mut members: Vec<(Box<str>, Literal)> = members.collect();
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                Literal::Members(members.into())
            }
        }
    }

    /// A number as it is written.
    pub(super) fn exact(&self, at: &Place, number: &serde_json::Number) -> Exact {
        let numbers = self.numbers.filter(|numbers| !numbers.is_empty());
        let text = numbers.and_then(|numbers| numbers.get(&self.resources.shown(at)));
        let exact = text.and_then(|text| Exact::from_text(text));
        exact.unwrap_or_else(|| Exact::from_json(number))
    }

    pub(super) fn pattern(&mut self, at: &Place, value: &Value) -> Option<Pattern> {
        let Some(text) = value.as_str() else {
            self.error(
                at,
                "`pattern` must be a text",
                "write pattern: \"^[a-z]+$\"",
            );
            return None;
        };
        self.regex(at, text)
    }

    pub(super) fn regex(&mut self, at: &Place, text: &str) -> Option<Pattern> {
        let compiled = match self.common {
            Some(common) => common.pattern(text),
            None => Pattern::new(text),
        };
        let allowed = self.backtracking.filter(|allowed| {
            let is_asked = matches!(compiled, Err(Refusal::NotLinear(_)));
            is_asked && allowed.allows(text, &self.resources.shown(at))
        });
        let compiled = match (allowed, self.common) {
            (Some(allowed), Some(common)) => common.backtracking(text, allowed.steps),
            (Some(allowed), None) => Pattern::backtracking(text, allowed.steps),
            (None, _) => compiled,
        };
        compiled.map_err(|refusal| self.refused(at, refusal)).ok()
    }

    fn refused(&mut self, at: &Place, refusal: Refusal) {
        const LINEAR: &str = "patterns are of ECMA-262 and run in linear time";
        match refusal {
            Refusal::Malformed(message) => self.error(at, message, LINEAR),
            Refusal::TooLarge => {
                self.error(at, "the pattern is too large", "bound it by maxLength")
            }
            Refusal::NotLinear(what) => {
                let message = format!("{what} does not run in linear time");
                let hint = "write the pattern without, or name it in `backtracking.patterns` of the \
                            API to run it with a bounded number of steps";
                self.error(at, message, hint);
            }
        }
    }

    pub(super) fn format(
        &mut self,
        rule: &mut Rule,
        schema: &Map<String, Value>,
        at: &Place,
        value: &Value,
    ) {
        let name = value.as_str().unwrap_or_default();
        if self.formats == Formats::Noted {
            return self.lint(at, "`format` is a note here", "write a pattern");
        }
        if let Some(format) = Format::named(name) {
            rule.string().format = Some(format);
        } else if NUMBER_FORMATS.contains(&name) {
            let is_whole = name.starts_with("int");
            let declared = schema.get("type").and_then(Value::as_str);
            if is_whole && declared == Some("number") {
                self.error(
                    at,
                    format!("`{name}` is a format of integers"),
                    "write type: integer",
                );
            }
            rule.number().format = range(name);
        } else if !matches!(name, "password" | "binary") {
            let hint = format!(
                "enforced are {} and {}",
                Format::NAMES.join(", "),
                NUMBER_FORMATS.join(", ")
            );
            let message = format!("the format {value} is not enforced");
            match self.formats {
                Formats::Known => self.lint_as(Lint::UnknownFormat, at, message, hint),
                Formats::Enforced | Formats::Noted => self.error(at, message, hint),
            }
        }
    }
}

fn type_bits(name: &str, dialect: Dialect) -> Option<u8> {
    Some(match name {
        "null" if dialect == Dialect::OpenApi31 => types::NULL,
        "boolean" => types::BOOLEAN,
        "string" => types::STRING,
        "array" => types::ARRAY,
        "object" => types::OBJECT,
        "number" => types::NUMBER | types::INTEGER,
        "integer" => types::INTEGER,
        _ => return None,
    })
}
