//! From JSON Schema to rules. Every keyword is known by name: it is enforced, it says nothing about
//! validity, or it is an error.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::format::Format;
use super::number::Exact;
use super::program::{
    Additional, ArrayRule, Branches, Condition, Contains, Dynamic, Member, Members, ObjectRule,
    Program, RareObject, Rule, RuleId, StringRule, Switch, Values, types,
};
use super::resource::{Place, Resources};
use super::{Compiler, Dialect, Direction, Formats, Schema, SchemaError, Unknown, fuse, pattern};

/// Deepest nesting of schemas, references not counted.
const DEPTH: usize = 128;

/// Keywords that say nothing about whether a value is valid.
const ANNOTATIONS: [&str; 11] = [
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "externalDocs",
    "xml",
    "$comment",
    "$vocabulary",
    "$defs",
];

/// What only JSON Schema 2020-12 knows.
const ONLY_31: [&str; 25] = [
    "const",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "propertyNames",
    "patternProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$id",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "$defs",
    "$vocabulary",
    "$comment",
    "examples",
];

/// The `$schema` that each dialect may name.
const SCHEMA_30: [&str; 1] = ["http://json-schema.org/draft-04/schema#"];
const SCHEMA_31: [&str; 2] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://spec.openapis.org/oas/3.1/dialect/base",
];

/// How the URIs of the vocabularies of 2020-12 begin.
const VOCABULARY: &str = "https://json-schema.org/draft/2020-12/vocab/";

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

/// Formats of numbers, as OpenAPI defines them.
const NUMBER_FORMATS: [&str; 4] = ["int32", "int64", "float", "double"];

pub fn compile(settings: &Compiler<'_>, pointer: &str) -> Result<Schema, Vec<SchemaError>> {
    let resources = Resources::new(
        settings.document,
        settings.address,
        settings.documents,
        settings.dialect,
    );
    let mut compilation = Compilation {
        dialect: settings.dialect,
        direction: settings.direction,
        formats: settings.formats,
        unknown: settings.unknown,
        validates: true,
        resources,
        program: Program::default(),
        known: HashMap::new(),
        numbers: HashMap::new(),
        dynamics: Vec::new(),
        errors: Vec::new(),
        lints: Vec::new(),
        depth: 0,
    };
    let place = compilation.resources.place(pointer);
    compilation.resources.scan(&place);
    compilation.vocabularies(&place);
    let root = compilation.at(&place);
    compilation.finish_dynamic();
    if compilation.errors.is_empty() {
        compilation.refuse_loops(pointer);
    }
    if !compilation.errors.is_empty() {
        return Err(compilation.errors);
    }
    let mut program = compilation.program;
    fuse::alternatives(&mut program);
    program.looks_twice = program.rules.iter().any(looks_twice);
    Ok(Schema {
        program,
        root,
        lints: compilation.lints,
    })
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

struct Compilation<'d> {
    dialect: Dialect,
    direction: Direction,
    formats: Formats,
    unknown: Unknown,
    /// Whether the vocabulary of validation is in use.
    validates: bool,
    resources: Resources<'d>,
    program: Program,
    /// Rules by the place of their schema, so that a schema that refers to itself ends.
    known: HashMap<Place, RuleId>,
    /// Numbers of resources by URI.
    numbers: HashMap<String, u32>,
    /// Rules with a `$dynamicRef`, and the name of its anchor.
    dynamics: Vec<(RuleId, String)>,
    errors: Vec<SchemaError>,
    lints: Vec<SchemaError>,
    depth: usize,
}

impl<'d> Compilation<'d> {
    fn said(&self, place: &Place, message: String, hint: String) -> SchemaError {
        SchemaError {
            pointer: self.resources.shown(place),
            message,
            hint: Some(hint),
        }
    }

    fn error(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        let error = self.said(place, message.into(), hint.into());
        self.errors.push(error);
    }

    fn lint(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        let lint = self.said(place, message.into(), hint.into());
        self.lints.push(lint);
    }

    fn resource(&mut self, place: &Place) -> u32 {
        let base = self.resources.base(place).to_owned();
        let next = self.numbers.len() as u32;
        *self.numbers.entry(base).or_insert(next)
    }

    /// The rule of the schema at a place.
    fn at(&mut self, place: &Place) -> RuleId {
        if let Some(&known) = self.known.get(place) {
            return known;
        }
        let id = self.program.rules.len();
        self.program.rules.push(Rule::default());
        self.program.places.push(self.resources.shown(place).into());
        self.known.insert(place.clone(), id);
        if self.depth == DEPTH {
            let hint = "name parts of it with $ref";
            self.error(place, "schemas are nested too deep", hint);
            return id;
        }
        self.depth += 1;
        let mut rule = match self.resources.value(place) {
            Some(Value::Object(schema)) => self.object(place, schema, id),
            Some(Value::Bool(accepts)) if self.dialect == Dialect::OpenApi31 => match accepts {
                true => Rule::default(),
                false => Rule::never("false"),
            },
            Some(_) => {
                self.error(place, "a schema must be an object", "write { type: ... }");
                Rule::default()
            }
            None => {
                self.error(place, "there is no schema here", "check the reference");
                Rule::default()
            }
        };
        self.depth -= 1;
        rule.resource = self.resource(place);
        let alias = self.alias(place, &rule, id);
        self.program.rules[id] = rule;
        if let Some(target) = alias {
            self.known.insert(place.clone(), target);
            return target;
        }
        id
    }

    /// The rule to use in place of one that only refers to it. Not across resources, as the way
    /// through them counts for `$dynamicRef`.
    fn alias(&self, place: &Place, rule: &Rule, id: RuleId) -> Option<RuleId> {
        let schema = self.resources.value(place)?.as_object()?;
        let mut others = schema.keys().filter(|key| *key != "$ref");
        let is_only = schema.contains_key("$ref") && others.all(|key| is_annotation(key));
        let [target] = rule.branches.as_ref()?.all[..] else {
            return None;
        };
        let is_done = is_only && target != id && rule.never.is_none();
        let is_near = self.program.rules[target].resource == rule.resource;
        (is_done && is_near).then_some(target)
    }

    fn object(&mut self, place: &Place, schema: &'d Map<String, Value>, id: RuleId) -> Rule {
        let mut rule = Rule::default();
        if let Some(reference) = schema.get("$ref") {
            let target = self.reference(&place.below("$ref"), reference);
            rule.branches().all.extend(target);
            // In 3.0 what stands beside a reference is ignored, so it must not matter.
            if self.dialect == Dialect::OpenApi30 {
                for key in schema
                    .keys()
                    .filter(|key| *key != "$ref" && !is_annotation(key))
                {
                    let hint = "put both into allOf, or move it to the schema that is referred to";
                    let message = format!("`{key}` beside $ref has no effect in OpenAPI 3.0");
                    self.error(&place.below(key), message, hint);
                }
                return rule;
            }
        }
        for (key, value) in schema {
            let at = place.below(key);
            let known = match self.dialect {
                Dialect::OpenApi30 if ONLY_31.contains(&key.as_str()) && !is_annotation(key) => {
                    false
                }
                _ => {
                    self.value_keyword(&mut rule, (schema, place), (key, &at), value)
                        || self.object_keyword(&mut rule, (schema, place), (key, &at), value)
                        || self.branch_keyword(&mut rule, (schema, id), (key, &at), value)
                        || self.note(&mut rule, (key, &at), value)
                }
            };
            if !known && self.unknown == Unknown::Noted {
                self.lint(&at, format!("the keyword `{key}` is a note"), "remove it");
            } else if !known {
                let hint = match key.as_str() {
                    "nullable" => "in OpenAPI 3.1 write type: [string, \"null\"]",
                    "const" => "in OpenAPI 3.0 write an enum of one value",
                    _ => "remove it, or describe the same with keywords that are",
                };
                self.error(&at, format!("the keyword `{key}` is not enforced"), hint);
            }
        }
        rule
    }

    /// Keywords of single values and arrays.
    fn value_keyword(
        &mut self,
        rule: &mut Rule,
        (schema, _): (&'d Map<String, Value>, &Place),
        (key, at): (&str, &Place),
        value: &'d Value,
    ) -> bool {
        if !self.validates && !matches!(key, "items" | "prefixItems" | "contains") {
            return VALIDATION.contains(&key);
        }
        match key {
            "type" => rule.types = self.types(at, schema, value),
            "nullable" if self.dialect == Dialect::OpenApi30 => self.nullable(at, schema, value),
            "enum" => self.enumeration(rule, at, value),
            "const" => rule.values.push(allowed("const", [value])),
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

    fn object_keyword(
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
                    Value::Bool(true) if self.dialect == Dialect::OpenApi30 => Additional::Open,
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

    /// Keywords that apply other schemas to the same value.
    fn branch_keyword(
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

    /// Keywords that name things, or say something for readers only.
    fn note(&mut self, rule: &mut Rule, (key, at): (&str, &Place), value: &'d Value) -> bool {
        match key {
            "$id" | "$anchor" | "$dynamicAnchor" => {
                if !value.is_string() {
                    self.error(at, format!("`{key}` must be a text"), "write a name");
                }
            }
            "$schema" => {
                let named = value.as_str().unwrap_or_default();
                let known = match self.dialect {
                    Dialect::OpenApi30 => &SCHEMA_30[..],
                    Dialect::OpenApi31 => &SCHEMA_31[..],
                };
                let is_known = known
                    .iter()
                    .any(|each| each.trim_end_matches('#') == named.trim_end_matches('#'));
                if !is_known && self.resources.vocabulary(named).is_none() {
                    let hint = "remove it, or name the dialect of the document";
                    self.error(at, "the dialect is not the one of the document", hint);
                }
            }
            "readOnly" | "writeOnly" => {
                let is_barred = match self.direction {
                    Direction::Request => key == "readOnly",
                    Direction::Response => key == "writeOnly",
                    Direction::Neither => false,
                };
                if self.flag(at, value) && is_barred {
                    rule.never = Some(if key == "readOnly" {
                        "readOnly"
                    } else {
                        "writeOnly"
                    });
                }
            }
            "contentEncoding" | "contentMediaType" | "contentSchema" => {
                let message = format!("`{key}` is a note: what the text holds is not checked");
                self.lint(at, message, "check it in the backend");
            }
            other => return is_annotation(other),
        }
        true
    }

    /// A meta-schema of one's own says what its schemas are made of (JSON Schema 2020-12 core,
    /// section 8.1.2).
    fn vocabularies(&mut self, root: &Place) {
        let place = root.below("$schema");
        let Some(named) = self.resources.value(&place).and_then(Value::as_str) else {
            return;
        };
        let Some(vocabulary) = self.resources.vocabulary(named) else {
            return;
        };
        self.validates = vocabulary.contains_key(&format!("{VOCABULARY}validation"));
        for (uri, needed) in vocabulary {
            let is_known = uri.strip_prefix(VOCABULARY);
            if *needed == Value::Bool(true) && is_known.is_none() {
                let hint = "use a meta-schema whose vocabularies are known";
                self.error(&place, format!("the vocabulary {uri} is not known"), hint);
            }
        }
    }

    fn flag(&mut self, at: &Place, value: &Value) -> bool {
        if !value.is_boolean() {
            let key = at.key();
            let message = format!("`{key}` must be true or false");
            self.error(at, message, format!("write {key}: true"));
        }
        *value == Value::Bool(true)
    }

    fn map(&mut self, at: &Place, value: &'d Value) -> Option<&'d Map<String, Value>> {
        if !value.is_object() {
            let message = format!("`{}` must be an object", at.key());
            self.error(at, message, "write { name: {...} }");
        }
        value.as_object()
    }

    fn multiple_of(&mut self, rule: &mut Rule, at: &Place, value: &Value) {
        let number = match value {
            Value::Number(number) => Some(Exact::from_json(number)),
            _ => None,
        };
        let zero = Exact::whole(0);
        match number.filter(|number| number.number().compare(&zero.number()).is_gt()) {
            Some(number) => rule.number.get_or_insert_default().multiple_of = Some(number),
            None => self.error(
                at,
                "`multipleOf` must be above zero",
                "write multipleOf: 0.01",
            ),
        }
    }

    fn dynamic(&mut self, rule: &mut Rule, (id, at): (RuleId, &Place), value: &'d Value) {
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
    fn finish_dynamic(&mut self) {
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

    /// OpenAPI "Discriminator Object": the text of a member names the alternative.
    fn discriminator(
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

    fn types(&mut self, at: &Place, schema: &Map<String, Value>, value: &Value) -> u8 {
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
    fn nullable(&mut self, at: &Place, schema: &Map<String, Value>, value: &Value) {
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

    fn enumeration(&mut self, rule: &mut Rule, at: &Place, value: &Value) {
        match value.as_array() {
            Some(values) if !values.is_empty() || self.unknown == Unknown::Noted => {
                rule.values.push(allowed("enum", values));
            }
            _ => self.error(at, "`enum` must be a list of values", "write enum: [a, b]"),
        }
    }

    fn bound(
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
        let number_rule = rule.number.get_or_insert_default();
        let bound = match is_minimum {
            true => &mut number_rule.minimum,
            false => &mut number_rule.maximum,
        };
        let new = (Exact::from_json(number), is_exclusive);
        // Both an inclusive and an exclusive bound: the tighter one holds for both.
        let is_tighter = bound
            .as_ref()
            .is_none_or(|old| tighter(&new, old, is_minimum));
        if is_tighter {
            *bound = Some(new);
        }
    }

    fn count(&mut self, at: &Place, value: &Value) -> Option<usize> {
        let number = whole(value);
        if number.is_none() {
            let message = format!("{value} is no count");
            self.error(at, message, "write a whole number from 0 on");
        }
        number
    }

    fn pattern(&mut self, at: &Place, value: &Value) -> Option<regex::Regex> {
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

    fn regex(&mut self, at: &Place, text: &str) -> Option<regex::Regex> {
        pattern::compile(text)
            .map_err(|reason| {
                let hint = "patterns run in linear time, without look-around and back-references";
                self.error(at, reason, hint);
            })
            .ok()
    }

    fn format(&mut self, rule: &mut Rule, schema: &Map<String, Value>, at: &Place, value: &Value) {
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
            rule.number.get_or_insert_default().format = range(name);
        } else if !matches!(name, "password" | "binary") {
            let hint = format!(
                "enforced are {} and {}",
                Format::NAMES.join(", "),
                NUMBER_FORMATS.join(", ")
            );
            self.error(at, format!("the format {value} is not enforced"), hint);
        }
    }

    fn members(&mut self, rule: &mut Rule, place: &Place, schema: &'d Map<String, Value>) {
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

    fn required(&mut self, at: &Place, value: Option<&'d Value>) -> Vec<&'d str> {
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
    fn is_barred(&mut self, place: &Place) -> bool {
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

    fn list(&mut self, at: &Place, value: &Value) -> Box<[RuleId]> {
        match value.as_array() {
            Some(list) if !list.is_empty() => (0..list.len())
                .map(|index| self.at(&at.below(&index.to_string())))
                .collect(),
            _ => {
                let hint = "write [ {...}, {...} ]";
                self.error(at, "a list of schemas is expected", hint);
                Box::default()
            }
        }
    }

    fn reference(&mut self, at: &Place, value: &Value) -> Option<RuleId> {
        self.target(at, value).map(|target| self.at(&target))
    }

    fn target(&mut self, at: &Place, value: &Value) -> Option<Place> {
        let target = value
            .as_str()
            .and_then(|text| self.resources.resolve(at, text));
        if target.is_none() {
            let hint = "check the name and its place; other documents must be loaded";
            self.error(at, format!("{value} leads nowhere"), hint);
        }
        target
    }

    /// A schema that refers to itself without going down into the value would never end.
    fn refuse_loops(&mut self, pointer: &str) {
        let mut state = vec![0_u8; self.program.rules.len()];
        for start in 0..state.len() {
            if self.has_loop(start, &mut state) {
                let hint = "a schema may contain itself only below properties or items";
                let place = self.resources.place(pointer);
                self.error(&place, "a schema refers to itself without an end", hint);
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

    fn rare(&mut self) -> &mut RareObject {
        self.object().rare.get_or_insert_default()
    }

    fn branches(&mut self) -> &mut Branches {
        self.branches.get_or_insert_default()
    }
}

fn is_annotation(key: &str) -> bool {
    key.starts_with("x-") || ANNOTATIONS.contains(&key)
}

fn allowed<'v>(keyword: &'static str, values: impl IntoIterator<Item = &'v Value>) -> Values {
    let (mut texts, mut others): (Vec<Box<str>>, Vec<Value>) = Default::default();
    for value in values {
        match value {
            Value::String(text) => texts.push(text.as_str().into()),
            other => others.push(other.clone()),
        }
    }
    Values {
        keyword,
        texts: texts.into(),
        others: others.into(),
    }
}

/// Draft 4 to 2020-12 all let a whole number be written with a zero fraction.
fn whole(value: &Value) -> Option<usize> {
    let number = value.as_f64();
    let number = number.filter(|number| number.fract() == 0.0 && *number >= 0.0);
    number.map(|number| number as usize)
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

fn range(name: &str) -> Option<(Exact, Exact)> {
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
