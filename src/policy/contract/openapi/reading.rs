//! What texts stand for, found out from a schema: the types that it and what it is made of speak
//! of.

use serde_json::Value;

use crate::policy::contract::openapi::node::lookup;
use crate::policy::contract::reading::{Kinds, Members, Reading};

/// Deepest nesting of `allOf` and its like that is looked through for types.
const DEPTH: usize = 16;

/// Most schemas that are looked at: what `allOf` repeats many times over is not worth the time.
const SCHEMAS: usize = 4096;

/// Deepest nesting of items and members that texts can have.
const NESTING: usize = 2;

/// What is looked through, and how many schemas of it still may be.
struct Search<'r> {
    root: &'r Value,
    left: usize,
}

/// How far a schema is from the one that was asked about.
#[derive(Clone, Copy, Default)]
struct Place {
    /// In references and compositions.
    depth: usize,
    /// In items and members.
    nesting: usize,
}

impl Place {
    fn deeper(self) -> Place {
        Place {
            depth: self.depth + 1,
            ..self
        }
    }

    fn inner(self) -> Option<Place> {
        (self.nesting < NESTING).then_some(Place {
            depth: self.depth + 1,
            nesting: self.nesting + 1,
        })
    }
}

/// The types that a schema speaks of.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    kinds: Kinds,
    is_array: bool,
    is_object: bool,
    /// `format: binary`, or content that is not encoded as a text.
    is_binary: bool,
    items: Option<Box<Shape>>,
    members: Vec<(String, Shape)>,
    others: Option<Box<Shape>>,
    pub most_items: u64,
}

/// Where a value stands decides what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// Texts only: items and members are single values.
    Flat,
    /// What does not fit into one text is JSON; files are bytes.
    Json,
}

/// What keeps a schema from being read from texts.
pub type Unreadable = &'static str;

impl Shape {
    /// Looks through references and compositions. What is broken in them is for the compiler of
    /// schemas to tell.
    pub fn of(root: &Value, schema: &Value) -> Shape {
        let mut shape = Shape::default();
        let mut search = Search {
            root,
            left: SCHEMAS,
        };
        shape.collect(&mut search, schema, Place::default());
        shape
    }

    fn collect(&mut self, search: &mut Search<'_>, schema: &Value, place: Place) {
        if schema.is_null() || place.depth > DEPTH || search.left == 0 {
            return;
        }
        search.left -= 1;
        let same = place.deeper();
        if let Some(reference) = schema["$ref"].as_str()
            && let Ok(target) = lookup(search.root, reference)
        {
            self.collect(search, target.value, same);
        }
        self.types(schema);
        self.is_binary |= schema["format"] == "binary"
            || schema["contentMediaType"].is_string() && schema["contentEncoding"].is_null();
        let most = schema["maxItems"].as_u64().unwrap_or(0);
        self.most_items = self.most_items.max(most);
        if let Some(inner) = place.inner() {
            self.collect_items(search, schema, inner);
            self.collect_members(search, schema, inner);
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            for each in schema[key].as_array().into_iter().flatten() {
                self.collect(search, each, same);
            }
        }
        for key in ["then", "else"] {
            self.collect(search, &schema[key], same);
        }
    }

    fn collect_items(&mut self, search: &mut Search<'_>, schema: &Value, inner: Place) {
        let prefix = schema["prefixItems"].as_array().into_iter().flatten();
        let all = prefix.chain([&schema["items"]]);
        for items in all.filter(|items| !items.is_null()) {
            let own = self.items.get_or_insert_default();
            own.collect(search, items, inner);
        }
    }

    fn collect_members(&mut self, search: &mut Search<'_>, schema: &Value, inner: Place) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let known = self.members.iter().position(|(own, _)| own == name);
            let index = known.unwrap_or_else(|| {
                self.members.push((name.clone(), Shape::default()));
                self.members.len() - 1
            });
            self.members[index].1.collect(search, member, inner);
        }
        let patterns = schema["patternProperties"].as_object();
        let patterns = patterns.into_iter().flatten().map(|(_, each)| each);
        let others = ["additionalProperties", "unevaluatedProperties"].map(|key| &schema[key]);
        let others = others.into_iter().filter(|each| **each != false);
        for each in patterns.chain(others).filter(|each| !each.is_null()) {
            let own = self.others.get_or_insert_default();
            own.collect(search, each, inner);
        }
    }

    fn types(&mut self, schema: &Value) {
        match &schema["type"] {
            Value::String(name) => self.note(name),
            Value::Array(names) => {
                let names = names.iter().filter_map(Value::as_str);
                names.for_each(|name| self.note(name));
            }
            _ => {
                let listed = schema["enum"].as_array().into_iter().flatten();
                let listed = listed.chain(schema.get("const"));
                listed.for_each(|value| self.note(type_of(value)));
            }
        }
        if schema["nullable"] == true {
            self.note("null");
        }
        let has_members = ["properties", "patternProperties"];
        let has_members = has_members.iter().any(|key| schema[key].is_object());
        let others = &schema["additionalProperties"];
        self.is_object |= has_members || !others.is_null() && *others != false;
    }

    fn note(&mut self, name: &str) {
        match name {
            "array" => self.is_array = true,
            "object" => self.is_object = true,
            "string" => self.kinds = self.kinds.with(Kinds::STRING),
            "boolean" => self.kinds = self.kinds.with(Kinds::BOOLEAN),
            "null" => self.kinds = self.kinds.with(Kinds::NULL),
            _ => self.kinds = self.kinds.with(Kinds::NUMBER),
        }
    }

    /// Whether it says nothing about the type.
    pub fn is_open(&self) -> bool {
        self.kinds.is_empty() && !self.is_array && !self.is_object
    }

    pub fn is_array(&self) -> bool {
        self.is_array
    }

    pub fn is_object(&self) -> bool {
        self.is_object
    }

    pub fn is_binary(&self) -> bool {
        self.is_binary
    }

    pub fn items(&self) -> Option<&Shape> {
        self.items.as_deref()
    }

    /// The declared members with their shapes, and that of all others.
    pub fn named(&self) -> &[(String, Shape)] {
        &self.members
    }

    pub fn others(&self) -> Option<&Shape> {
        self.others.as_deref()
    }

    /// How a value of this shape is read.
    pub fn reading(&self, nesting: Nesting) -> Result<Reading, Unreadable> {
        let is_scalar = !self.kinds.without(Kinds::NULL).is_empty();
        match (self.is_array, self.is_object) {
            (true, true) => Err("a value is an array, an object or a single value"),
            (true, false) | (false, true) if is_scalar => {
                Err("a value is either an array, an object or a single value")
            }
            (true, false) => {
                let items = self
                    .items
                    .as_deref()
                    .map_or(Ok(Reading::One(Kinds::ALL)), |items| items.single(nesting));
                Ok(Reading::Many(Box::new(items?)))
            }
            (false, true) if nesting == Nesting::Json => Ok(Reading::Json),
            (false, true) => self.object().map(Reading::Members),
            (false, false) => Ok(self.scalar()),
        }
    }

    /// An object each of whose members is a text, or several.
    pub fn object(&self) -> Result<Members, Unreadable> {
        let named = self.members.iter().map(|(name, shape)| {
            let reading = shape.member()?;
            Ok((name.as_str().into(), reading))
        });
        let others = self.others.as_deref().map(Shape::member).transpose()?;
        Ok(Members {
            named: named.collect::<Result<_, Unreadable>>()?,
            others: others.map(Box::new),
        })
    }

    fn member(&self) -> Result<Reading, Unreadable> {
        match self.is_object {
            true => Err("an object within an object is not read from parameters"),
            false => self.reading(Nesting::Flat),
        }
    }

    /// An item of an array.
    fn single(&self, nesting: Nesting) -> Result<Reading, Unreadable> {
        match (self.is_array || self.is_object, nesting) {
            (true, Nesting::Flat) => Err("only arrays of texts, numbers and booleans are read"),
            (true, Nesting::Json) => Ok(Reading::Json),
            (false, _) => Ok(self.scalar()),
        }
    }

    fn scalar(&self) -> Reading {
        Reading::One(match self.kinds.is_empty() {
            true => Kinds::ALL,
            false => self.kinds,
        })
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
