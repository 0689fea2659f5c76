//! From JSON Schema to rules. Every keyword is known by name: it is enforced, it says nothing about
//! validity, or it is an error.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::format::Format;
use super::number::Number;
use super::program::{
    Additional, ArrayRule, Member, Members, ObjectRule, Program, Rule, RuleId, StringRule, types,
};
use super::{Dialect, Schema, SchemaError, pattern};

/// Deepest nesting of schemas, references not counted.
const DEPTH: usize = 128;

/// Keywords that say nothing about whether a value of a request is valid.
const ANNOTATIONS: [&str; 12] = [
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "writeOnly",
    "externalDocs",
    "xml",
    "$comment",
    "$schema",
    "$defs",
];

/// Formats of numbers, as OpenAPI defines them.
const NUMBER_FORMATS: [&str; 4] = ["int32", "int64", "float", "double"];

pub fn compile(
    document: &Value,
    pointer: &str,
    dialect: Dialect,
) -> Result<Schema, Vec<SchemaError>> {
    let mut compiler = Compiler {
        document,
        dialect,
        program: Program::default(),
        known: HashMap::new(),
        errors: Vec::new(),
        depth: 0,
    };
    let root = compiler.at(pointer);
    if compiler.errors.is_empty() {
        compiler.refuse_loops(pointer);
    }
    match compiler.errors.is_empty() {
        true => Ok(Schema {
            program: compiler.program,
            root,
        }),
        false => Err(compiler.errors),
    }
}

struct Compiler<'d> {
    document: &'d Value,
    dialect: Dialect,
    program: Program,
    /// Rules by the pointer of their schema, so that a schema that refers to itself ends.
    known: HashMap<String, RuleId>,
    errors: Vec<SchemaError>,
    depth: usize,
}

impl<'d> Compiler<'d> {
    fn error(&mut self, pointer: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.errors.push(SchemaError {
            pointer: pointer.to_owned(),
            message: message.into(),
            hint: Some(hint.into()),
        });
    }

    /// The rule of the schema at a pointer.
    fn at(&mut self, pointer: &str) -> RuleId {
        if let Some(&known) = self.known.get(pointer) {
            return known;
        }
        let id = self.program.rules.len();
        self.program.rules.push(Rule::default());
        self.known.insert(pointer.to_owned(), id);
        if self.depth == DEPTH {
            self.error(
                pointer,
                "schemas are nested too deep",
                "name parts of it with $ref",
            );
            return id;
        }
        self.depth += 1;
        let rule = match self.document.pointer(pointer) {
            Some(Value::Object(schema)) => self.object(pointer, schema),
            Some(Value::Bool(accepts)) if self.dialect == Dialect::OpenApi31 => match accepts {
                true => Rule::default(),
                false => Rule::never("false"),
            },
            Some(_) => {
                self.error(pointer, "a schema must be an object", "write { type: ... }");
                Rule::default()
            }
            None => {
                self.error(pointer, "there is no schema here", "check the reference");
                Rule::default()
            }
        };
        self.depth -= 1;
        self.program.rules[id] = rule;
        id
    }

    fn object(&mut self, pointer: &str, schema: &'d Map<String, Value>) -> Rule {
        let mut rule = Rule::default();
        if let Some(reference) = schema.get("$ref") {
            rule.reference = self.reference(&format!("{pointer}/$ref"), reference);
            // In 3.0 what stands beside a reference is ignored, so it must not matter.
            if self.dialect == Dialect::OpenApi30 {
                for key in schema
                    .keys()
                    .filter(|key| *key != "$ref" && !is_annotation(key))
                {
                    let at = below(pointer, key);
                    let hint = "put both into allOf, or move it to the schema that is referred to";
                    self.error(
                        &at,
                        format!("`{key}` beside $ref has no effect in OpenAPI 3.0"),
                        hint,
                    );
                }
                return rule;
            }
        }
        for (key, value) in schema {
            let at = below(pointer, key);
            self.keyword(&mut rule, schema, (key, &at), value);
        }
        rule
    }

    fn keyword(
        &mut self,
        rule: &mut Rule,
        schema: &'d Map<String, Value>,
        (key, at): (&str, &str),
        value: &'d Value,
    ) {
        let is_31 = self.dialect == Dialect::OpenApi31;
        match key {
            "$ref" => {}
            "type" => rule.types = self.types(at, schema, value),
            "nullable" if !is_31 => self.nullable(at, schema, value),
            "enum" => self.enumeration(rule, at, value),
            // A later `enum` cannot replace it: both at once is an error of the document.
            "const" if is_31 => match rule.values {
                None => rule.values = Some(("const", Box::new([value.clone()]))),
                Some(_) => self.error(at, "`const` beside `enum`", "keep one of them"),
            },
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                self.bound(rule, schema, (key, at), value);
            }
            "minLength" => rule.string().min_length = self.count(at, value),
            "maxLength" => rule.string().max_length = self.count(at, value),
            "pattern" => rule.string().pattern = self.pattern(at, value),
            "format" => self.format(rule, schema, at, value),
            "minItems" => rule.array().min_items = self.count(at, value),
            "maxItems" => rule.array().max_items = self.count(at, value),
            "items" => rule.array().items = Some(self.at(at)),
            "minProperties" => rule.object().min_properties = self.count(at, value),
            "maxProperties" => rule.object().max_properties = self.count(at, value),
            "additionalProperties" => {
                let additional = match value {
                    Value::Bool(true) => Additional::Allowed,
                    Value::Bool(false) => Additional::Refused,
                    _ => Additional::Checked(self.at(at)),
                };
                rule.object().additional = additional;
            }
            // Together, because either says something of the same members.
            "properties" => self.members(rule, parent(at), schema),
            "required" if !schema.contains_key("properties") => {
                self.members(rule, parent(at), schema);
            }
            "required" => {}
            "allOf" => rule.all_of = self.list(at, value),
            "anyOf" => rule.any_of = self.list(at, value),
            "oneOf" => rule.one_of = self.list(at, value),
            "readOnly" => match value {
                Value::Bool(true) => rule.never = Some("readOnly"),
                Value::Bool(false) => {}
                _ => self.error(
                    at,
                    "`readOnly` must be true or false",
                    "write readOnly: true",
                ),
            },
            other if is_annotation(other) => {}
            other => {
                let hint = match other {
                    "nullable" => "in OpenAPI 3.1 write type: [string, \"null\"]",
                    "const" => "in OpenAPI 3.0 write an enum of one value",
                    _ => "remove it, or describe the same with keywords that are",
                };
                self.error(at, format!("the keyword `{other}` is not enforced"), hint);
            }
        }
    }

    fn types(&mut self, at: &str, schema: &Map<String, Value>, value: &Value) -> u8 {
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
    fn nullable(&mut self, at: &str, schema: &Map<String, Value>, value: &Value) {
        if !value.is_boolean() {
            self.error(
                at,
                "`nullable` must be true or false",
                "write nullable: true",
            );
        } else if !schema.contains_key("type") {
            self.error(
                at,
                "`nullable` has no effect without `type`",
                "add the `type`",
            );
        }
    }

    fn enumeration(&mut self, rule: &mut Rule, at: &str, value: &Value) {
        match value.as_array() {
            Some(values) if !values.is_empty() && rule.values.is_none() => {
                rule.values = Some(("enum", values.clone().into()));
            }
            Some(values) if !values.is_empty() => {
                self.error(at, "`enum` beside `const`", "keep one of them");
            }
            _ => self.error(at, "`enum` must be a list of values", "write enum: [a, b]"),
        }
    }

    fn bound(
        &mut self,
        rule: &mut Rule,
        schema: &Map<String, Value>,
        (key, at): (&str, &str),
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
        let number_rule = rule.number.get_or_insert_default();
        let bound = match is_minimum {
            true => &mut number_rule.minimum,
            false => &mut number_rule.maximum,
        };
        let new = (Number::from_json(number), is_exclusive);
        // Both an inclusive and an exclusive bound: the tighter one holds for both.
        let is_tighter = bound.is_none_or(|old| tighter(new, old, is_minimum));
        if is_tighter {
            *bound = Some(new);
        }
    }

    fn count(&mut self, at: &str, value: &Value) -> Option<usize> {
        // Draft 4 to 2020-12 all let a whole number be written with a zero fraction.
        let number = value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && *number >= 0.0);
        if number.is_none() {
            let message = format!("{value} is no count");
            self.error(at, message, "write a whole number from 0 on");
        }
        number.map(|number| number as usize)
    }

    fn pattern(&mut self, at: &str, value: &Value) -> Option<regex::Regex> {
        let Some(text) = value.as_str() else {
            self.error(
                at,
                "`pattern` must be a text",
                "write pattern: \"^[a-z]+$\"",
            );
            return None;
        };
        pattern::compile(text)
            .map_err(|reason| {
                let hint = "patterns run in linear time, without look-around and back-references";
                self.error(at, reason, hint);
            })
            .ok()
    }

    fn format(&mut self, rule: &mut Rule, schema: &Map<String, Value>, at: &str, value: &Value) {
        let name = value.as_str().unwrap_or_default();
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
            rule.number.get_or_insert_default().format = range(name);
        } else if name != "password" {
            let hint = "enforced are uuid, date, date-time, email, int32, int64, float and double";
            self.error(at, format!("the format {value} is not enforced"), hint);
        }
    }

    fn members(&mut self, rule: &mut Rule, pointer: &str, schema: &'d Map<String, Value>) {
        let required = self.required(&below(pointer, "required"), schema.get("required"));
        let mut members = Vec::new();
        let at = below(pointer, "properties");
        match schema.get("properties") {
            Some(Value::Object(properties)) => {
                for (name, property) in properties {
                    let id = self.at(&below(&at, name));
                    members.push(Member {
                        name: name.as_str().into(),
                        rule: Some(id),
                        // What a client must not send it cannot be required to send.
                        is_required: required.contains(&name.as_str())
                            && !self.is_read_only(property),
                    });
                }
            }
            Some(_) => self.error(
                &at,
                "`properties` must be an object",
                "write { name: {...} }",
            ),
            None => {}
        }
        for name in required {
            if !members.iter().any(|member| *member.name == *name) {
                members.push(Member {
                    name: name.into(),
                    rule: None,
                    is_required: true,
                });
            }
        }
        let object = rule.object();
        object.required = members.iter().filter(|member| member.is_required).count();
        object.members = Members::new(members);
    }

    fn required(&mut self, at: &str, value: Option<&'d Value>) -> Vec<&'d str> {
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

    /// Whether a member belongs to responses only, itself or by what it refers to.
    fn is_read_only(&self, property: &Value) -> bool {
        let mut schema = property;
        // References that loop are found later; here they only must not be followed for ever.
        for _ in 0..DEPTH {
            if schema.get("readOnly") == Some(&Value::Bool(true)) {
                return true;
            }
            let target = schema.get("$ref").and_then(Value::as_str);
            let target = target.and_then(|text| text.strip_prefix('#'));
            match target.and_then(|pointer| self.document.pointer(pointer)) {
                Some(next) => schema = next,
                None => return false,
            }
        }
        false
    }

    fn list(&mut self, at: &str, value: &Value) -> Box<[RuleId]> {
        match value.as_array() {
            Some(list) if !list.is_empty() => (0..list.len())
                .map(|index| self.at(&format!("{at}/{index}")))
                .collect(),
            _ => {
                self.error(
                    at,
                    "a list of schemas is expected",
                    "write [ {...}, {...} ]",
                );
                Box::default()
            }
        }
    }

    fn reference(&mut self, at: &str, value: &Value) -> Option<RuleId> {
        let Some(target) = value.as_str().and_then(|text| text.strip_prefix('#')) else {
            let hint = "write $ref: \"#/components/schemas/NAME\"";
            self.error(at, "only references within the document are followed", hint);
            return None;
        };
        let target = crate::proto::query::decode(target.replace('+', "%2B").as_bytes())
            .map(|text| text.into_owned())
            .unwrap_or_default();
        let is_pointer = target.is_empty() || target.starts_with('/');
        if !is_pointer || self.document.pointer(&target).is_none() {
            self.error(
                at,
                format!("{value} leads nowhere"),
                "check the name and its place",
            );
            return None;
        }
        Some(self.at(&target))
    }

    /// A schema that refers to itself without going down into the value would never end.
    fn refuse_loops(&mut self, pointer: &str) {
        let mut state = vec![0_u8; self.program.rules.len()];
        for start in 0..state.len() {
            if self.has_loop(start, &mut state) {
                let hint = "a schema may contain itself only below properties or items";
                self.error(pointer, "a schema refers to itself without an end", hint);
                return;
            }
        }
    }

    /// Depth-first: 1 is on the way, 2 is done.
    fn has_loop(&self, id: RuleId, state: &mut [u8]) -> bool {
        match state[id] {
            1 => return true,
            2 => return false,
            _ => state[id] = 1,
        }
        let found = self.program.rules[id]
            .in_place()
            .any(|next| self.has_loop(next, state));
        state[id] = 2;
        found
    }
}

impl Rule {
    fn string(&mut self) -> &mut StringRule {
        self.string.get_or_insert_default()
    }

    fn array(&mut self) -> &mut ArrayRule {
        self.array.get_or_insert_default()
    }

    fn object(&mut self) -> &mut ObjectRule {
        self.object.get_or_insert_default()
    }
}

fn is_annotation(key: &str) -> bool {
    key.starts_with("x-") || ANNOTATIONS.contains(&key)
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

fn tighter(
    (new, new_open): (Number, bool),
    (old, old_open): (Number, bool),
    is_minimum: bool,
) -> bool {
    use std::cmp::Ordering;
    match (new.compare(old), is_minimum) {
        (Some(Ordering::Greater), true) | (Some(Ordering::Less), false) => true,
        (Some(Ordering::Equal), _) => new_open && !old_open,
        _ => false,
    }
}

fn range(name: &str) -> Option<(Number, Number)> {
    let whole = |least: i64, most: i64| {
        Some((
            Number::Whole(i128::from(least)),
            Number::Whole(i128::from(most)),
        ))
    };
    match name {
        "int32" => whole(i64::from(i32::MIN), i64::from(i32::MAX)),
        "int64" => whole(i64::MIN, i64::MAX),
        "float" => {
            let most = f64::from(f32::MAX);
            Some((Number::Fraction(-most), Number::Fraction(most)))
        }
        // Every JSON number that is accepted at all is a double.
        _ => None,
    }
}

/// A pointer one step further down (RFC 6901 section 3).
fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn parent(pointer: &str) -> &str {
    pointer.rsplit_once('/').map_or("", |(parent, _)| parent)
}
