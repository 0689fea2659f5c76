//! From JSON Schema to rules. Every keyword is known by name: it is enforced, it says nothing about
//! validity, or it is an error.

mod bounds;
mod branches;
mod discriminator;
mod notes;
mod objects;
mod parts;
mod values;
mod views;

use std::sync::Arc;

use ahash::AHashMap;
use serde_json::{Map, Value};

use super::direct::Plan;
use super::program::{
    ArrayRule, Branches, NumberRule, ObjectRule, Program, RareObject, Rule, RuleId, StringRule,
};
use super::resource::{Place, Resources};
use super::view::{VIEW_KEYWORDS, Views, meant};
use super::{
    Backtracking, Common, Compiler, Dialect, Direction, Formats, Numbers, Parts, Schema,
    SchemaError, SchemaLint, Unknown, fuse,
};
use crate::policy::contract::lint::Lint;

/// Deepest nesting of schemas, references not counted.
const DEPTH: usize = 128;

/// Longest chain of schemas that do nothing but refer to the next.
const HOPS: usize = 64;

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

/// The schema at a pointer, and those of the parts of it that are asked for.
pub fn compile(
    settings: &Compiler<'_>,
    pointer: &str,
) -> Result<(Schema, Parts), Vec<SchemaError>> {
    let has_names = settings.documents.is_some() || settings.common.is_none_or(Common::has_names);
    let resources = Resources::new(
        settings.document,
        settings.address,
        settings.documents,
        has_names && settings.dialect == Dialect::OpenApi31,
    );
    let mut compilation = Compilation {
        dialect: settings.dialect,
        direction: settings.direction,
        formats: settings.formats,
        unknown: settings.unknown,
        validates: true,
        asserts: false,
        common: settings.common,
        backtracking: settings.backtracking,
        numbers: settings.numbers,
        resources,
        program: Program::default(),
        views: Views::default(),
        known: AHashMap::new(),
        pending: Vec::new(),
        referred: Vec::new(),
        resource_numbers: AHashMap::new(),
        dynamics: Vec::new(),
        errors: Vec::new(),
        lints: Vec::new(),
        depth: 0,
    };
    let place = compilation.resources.place(pointer);
    compilation.resources.enter(&place);
    compilation.vocabularies(&place);
    let root = compilation.at(&place);
    compilation.finish();
    compilation.finish_dynamic();
    if compilation.errors.is_empty() {
        compilation.refuse_loops();
    }
    if !compilation.errors.is_empty() {
        return Err(compilation.errors);
    }
    let Compilation {
        mut program,
        views,
        lints,
        referred,
        ..
    } = compilation;
    fuse::alternatives(&mut program);
    program.traits = parts::traits(&program.rules);
    let schema = Schema {
        plan: Arc::new(Plan::new(&program)),
        program: Arc::new(program),
        views: Arc::new(views),
        root,
        lints: lints.into(),
    };
    // With names of schemas what one is depends on how it was come to.
    let parts = match has_names {
        true => Vec::new(),
        false => parts::parts(&schema, &referred, settings.parts),
    };
    Ok((schema, parts))
}

struct Compilation<'d> {
    dialect: Dialect,
    direction: Direction,
    formats: Formats,
    unknown: Unknown,
    /// Whether the vocabulary of validation is in use.
    validates: bool,
    /// Whether that of `format` as an assertion is, whatever else is.
    asserts: bool,
    common: Option<&'d Common>,
    backtracking: Option<&'d Backtracking>,
    numbers: Option<&'d Numbers>,
    resources: Resources<'d>,
    program: Program,
    views: Views,
    /// Rules by the place of their schema, so that a schema that refers to itself ends.
    known: AHashMap<Place, RuleId>,
    /// Schemas that were referred to and are to be compiled yet.
    pending: Vec<(RuleId, Place)>,
    /// All schemas that were referred to.
    referred: Vec<RuleId>,
    /// Numbers of resources by URI.
    resource_numbers: AHashMap<String, u32>,
    /// Rules with a `$dynamicRef`, and the name of its anchor.
    dynamics: Vec<(RuleId, String)>,
    errors: Vec<SchemaError>,
    lints: Vec<SchemaLint>,
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

    pub(super) fn error(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let error = self.said(place, message.into(), hint.into());
        self.errors.push(error);
    }

    /// A keyword that has less effect than it seems to have.
    pub(super) fn lint(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.lint_as(Lint::IneffectiveKeyword, place, message, hint);
    }

    pub(super) fn lint_as(
        &mut self,
        lint: Lint,
        place: &Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let said = self.said(place, message.into(), hint.into());
        self.lints.push(SchemaLint { lint, said });
    }

    pub(super) fn resource(&mut self, place: &Place) -> u32 {
        let base = self.resources.base(place);
        if let Some(&known) = self.resource_numbers.get(base) {
            return known;
        }
        let next = self.resource_numbers.len() as u32;
        self.resource_numbers.insert(base.to_owned(), next);
        next
    }

    /// The rule of the schema at a place, compiled with all that is below it.
    pub(super) fn at(&mut self, place: &Place) -> RuleId {
        if let Some(&known) = self.known.get(place) {
            return known;
        }
        let end = self.end(place);
        if end != *place {
            let id = self.referred(&end);
            self.known.insert(place.clone(), id);
            return id;
        }
        let id = self.reserve(place);
        self.fill(id, place);
        id
    }

    /// The rule of a schema that is referred to. It is compiled later, so that a chain of
    /// references is no nesting.
    pub(super) fn referred(&mut self, place: &Place) -> RuleId {
        let place = self.end(place);
        if let Some(&known) = self.known.get(&place) {
            return known;
        }
        let id = self.reserve(&place);
        self.pending.push((id, place));
        self.referred.push(id);
        id
    }

    /// Compiles what was referred to.
    pub(super) fn finish(&mut self) {
        while let Some((id, place)) = self.pending.pop() {
            self.fill(id, &place);
        }
    }

    fn reserve(&mut self, place: &Place) -> RuleId {
        let id = self.program.rules.len();
        self.program.rules.push(Rule::default());
        self.program.places.push(self.resources.shown(place).into());
        self.known.insert(place.clone(), id);
        id
    }

    fn fill(&mut self, id: RuleId, place: &Place) {
        if self.depth == DEPTH {
            let hint = "name parts of it with $ref";
            return self.error(place, "schemas are nested too deep", hint);
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
        self.program.rules[id] = rule;
    }

    /// Where a place leads that does nothing but refer to another one; itself, where that has no
    /// end.
    fn end(&mut self, place: &Place) -> Place {
        let mut end = place.clone();
        for _ in 0..HOPS {
            match self.next(&end) {
                Some(next) => end = next,
                None => return end,
            }
        }
        place.clone()
    }

    /// What a schema refers to that says nothing itself. Not across resources, as the way through
    /// them counts for `$dynamicRef`.
    fn next(&mut self, place: &Place) -> Option<Place> {
        let schema = self.resources.value(place)?.as_object()?;
        let reference = schema.get("$ref")?.as_str()?;
        let mut others = schema.keys().filter(|key| *key != "$ref");
        let is_only = others.all(|key| is_annotation(key) && !is_view(key));
        let next = self
            .resources
            .resolve(place, reference)
            .filter(|_| is_only)?;
        let is_near = self.resources.base(&next) == self.resources.base(place);
        is_near.then_some(next)
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
                    .filter(|key| *key != "$ref" && (!is_annotation(key) || is_view(key)))
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
                    self.view_keyword(id, (key, &at), value)
                        || self.value_keyword(&mut rule, (schema, place), (key, &at), value)
                        || self.object_keyword(&mut rule, (schema, place), (key, &at), value)
                        || self.branch_keyword(&mut rule, (schema, id), (key, &at), value)
                        || self.note(&mut rule, (key, &at), value)
                }
            };
            if !known {
                self.unknown(&at, key);
            }
        }
        rule
    }

    fn unknown(&mut self, at: &Place, key: &str) {
        let message = format!("the keyword `{key}` is not enforced");
        let hint = match (key, meant(key), self.unknown) {
            (_, Some(own), _) => format!("did you mean `{own}`?"),
            (_, None, Unknown::Noted) => "remove it".to_owned(),
            ("nullable", ..) => "in OpenAPI 3.1 write type: [string, \"null\"]".to_owned(),
            ("const", ..) => "in OpenAPI 3.0 write an enum of one value".to_owned(),
            _ => "remove it, or describe the same with keywords that are".to_owned(),
        };
        match self.unknown {
            Unknown::Noted => self.lint_as(Lint::UnknownKeyword, at, message, hint),
            Unknown::Refused => self.error(at, message, hint),
        }
    }

    pub(super) fn flag(&mut self, at: &Place, value: &Value) -> bool {
        if !value.is_boolean() {
            let key = at.key();
            let message = format!("`{key}` must be true or false");
            self.error(at, message, format!("write {key}: true"));
        }
        *value == Value::Bool(true)
    }

    pub(super) fn map(&mut self, at: &Place, value: &'d Value) -> Option<&'d Map<String, Value>> {
        if !value.is_object() {
            let message = format!("`{}` must be an object", at.key());
            self.error(at, message, "write { name: {...} }");
        }
        value.as_object()
    }

    pub(super) fn count(&mut self, at: &Place, value: &Value) -> Option<usize> {
        let number = whole(value);
        if number.is_none() {
            let message = format!("{value} is no count");
            self.error(at, message, "write a whole number from 0 on");
        }
        number
    }

    pub(super) fn list(&mut self, at: &Place, value: &Value) -> Box<[RuleId]> {
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
}

impl Rule {
    fn string(&mut self) -> &mut StringRule {
        Arc::make_mut(self.string.get_or_insert_default())
    }

    fn number(&mut self) -> &mut NumberRule {
        Arc::make_mut(self.number.get_or_insert_default())
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

fn is_view(key: &str) -> bool {
    VIEW_KEYWORDS.contains(&key)
}

fn is_annotation(key: &str) -> bool {
    key.starts_with("x-") && meant(key).is_none() || ANNOTATIONS.contains(&key)
}

/// Draft 4 to 2020-12 all let a whole number be written with a zero fraction.
fn whole(value: &Value) -> Option<usize> {
    let number = value.as_f64();
    let number = number.filter(|number| number.fract() == 0.0 && *number >= 0.0);
    number.map(|number| number as usize)
}
