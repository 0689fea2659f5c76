//! What stands where in a description: which keys are keywords and which are names that somebody
//! chose, and so which `$ref` is a reference. A member that is named `example` is a schema as every
//! other; the keyword `example` holds a value that refers to nothing.

use serde_json::{Map, Value};

use crate::policy::contract::openapi::yaml::push_token;
use crate::policy::contract::schema::{LISTS_OF_SCHEMAS, MAPS_OF_SCHEMAS, ONE_SCHEMA, uri};

/// The objects of a description that hold references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Document,
    Components,
    PathItem,
    Operation,
    Callback,
    /// Headers are described as parameters are.
    Parameter,
    RequestBody,
    Response,
    MediaType,
    Encoding,
    Schema,
    /// It may be a reference, and holds none.
    Plain,
}

/// What a keyword holds.
#[derive(Clone, Copy)]
enum Below {
    One(Kind),
    List(Kind),
    /// By names, of which none is an extension.
    Named(Kind),
    /// By names beside extensions (`x-`).
    Declared(Kind),
}

/// How a reference is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    Ref,
    DynamicRef,
    /// A value of `discriminator.mapping`.
    Mapping,
}

/// A reference and where it stands.
#[derive(Debug)]
pub struct Reference {
    pub keyword: Keyword,
    pub pointer: String,
    pub text: String,
    /// What it leads to.
    pub kind: Kind,
    /// The URI that a `$id` gives to the schema around it; empty without one.
    pub base: String,
}

impl Kind {
    fn below(self, key: &str) -> Option<Below> {
        use Below::{Declared, List, Named, One};
        Some(match (self, key) {
            (Kind::Document, "paths") => Declared(Kind::PathItem),
            (Kind::Document, "webhooks") | (Kind::Components, "pathItems") => Named(Kind::PathItem),
            (Kind::Document, "components") => One(Kind::Components),
            (Kind::Components, "schemas") => Named(Kind::Schema),
            (Kind::Components, "responses") => Named(Kind::Response),
            (Kind::Components, "parameters" | "headers") => Named(Kind::Parameter),
            (Kind::Components, "requestBodies") => Named(Kind::RequestBody),
            (Kind::Components, "callbacks") | (Kind::Operation, "callbacks") => {
                Named(Kind::Callback)
            }
            (Kind::Components, "securitySchemes" | "links" | "examples")
            | (Kind::Response, "links")
            | (Kind::Parameter | Kind::MediaType, "examples") => Named(Kind::Plain),
            (Kind::PathItem | Kind::Operation, "parameters") => List(Kind::Parameter),
            (
                Kind::PathItem,
                "get" | "put" | "post" | "delete" | "options" | "head" | "patch" | "trace",
            ) => One(Kind::Operation),
            (Kind::Operation, "requestBody") => One(Kind::RequestBody),
            (Kind::Operation, "responses") => Declared(Kind::Response),
            (Kind::Callback, key) if !key.starts_with("x-") => One(Kind::PathItem),
            (Kind::Response | Kind::Encoding, "headers") => Named(Kind::Parameter),
            (Kind::Parameter | Kind::RequestBody | Kind::Response, "content") => {
                Named(Kind::MediaType)
            }
            (Kind::Parameter | Kind::MediaType, "schema") => One(Kind::Schema),
            (Kind::MediaType, "encoding") => Named(Kind::Encoding),
            (Kind::Schema, key) if ONE_SCHEMA.contains(&key) => One(Kind::Schema),
            (Kind::Schema, key) if LISTS_OF_SCHEMAS.contains(&key) => List(Kind::Schema),
            (Kind::Schema, key) if MAPS_OF_SCHEMAS.contains(&key) => Named(Kind::Schema),
            _ => return None,
        })
    }
}

/// All references in what a pointer leads to; those that it leads to are not followed. `reads_ids`:
/// whether `$id` means anything.
pub fn references(root: &Value, pointer: &str, kind: Kind, reads_ids: bool) -> Vec<Reference> {
    let mut search = Search {
        found: Vec::new(),
        pointer: pointer.to_owned(),
        base: String::new(),
        reads_ids,
    };
    if reads_ids {
        search.base = base_above(root, pointer);
    }
    if let Some(value) = root.pointer(pointer) {
        search.value(value, kind);
    }
    search.found
}

/// The URI that `$id` gives to what stands around a place.
fn base_above(root: &Value, pointer: &str) -> String {
    let ends = pointer.match_indices('/').map(|(end, _)| end);
    ends.fold(String::new(), |base, end| {
        named(&base, root.pointer(&pointer[..end])).unwrap_or(base)
    })
}

fn named(base: &str, value: Option<&Value>) -> Option<String> {
    let id = value?.get("$id")?.as_str()?;
    Some(uri::resolve(base, uri::split(id).0))
}

/// Every URI that a `$id` gives, wherever it stands.
pub fn ids(value: &Value, base: &str, found: &mut Vec<String>) {
    let own = named(base, Some(value));
    let base = own.as_deref().unwrap_or(base);
    match value {
        Value::Object(members) => members.values().for_each(|each| ids(each, base, found)),
        Value::Array(items) => items.iter().for_each(|each| ids(each, base, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found.extend(own);
}

struct Search {
    found: Vec<Reference>,
    /// Where the search is.
    pointer: String,
    base: String,
    reads_ids: bool,
}

impl Search {
    fn value(&mut self, value: &Value, kind: Kind) {
        let Value::Object(members) = value else {
            return;
        };
        let own = (self.reads_ids && kind == Kind::Schema)
            .then(|| named(&self.base, Some(value)))
            .flatten();
        let outer = own.map(|own| std::mem::replace(&mut self.base, own));
        for (key, member) in members {
            self.at(key, |search| match (key.as_str(), member) {
                ("$ref", Value::String(text)) => search.note(Keyword::Ref, text, kind),
                ("$dynamicRef", Value::String(text)) if kind == Kind::Schema => {
                    search.note(Keyword::DynamicRef, text, kind);
                }
                ("discriminator", _) if kind == Kind::Schema => search.mapping(member),
                (key, _) => search.below(kind.below(key), member),
            });
        }
        if let Some(outer) = outer {
            self.base = outer;
        }
    }

    fn below(&mut self, below: Option<Below>, value: &Value) {
        let (kind, has_extensions) = match below {
            None => return,
            Some(Below::One(kind)) => return self.value(value, kind),
            Some(Below::List(kind)) => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.at(&index.to_string(), |search| search.value(item, kind));
                }
                return;
            }
            Some(Below::Named(kind)) => (kind, false),
            Some(Below::Declared(kind)) => (kind, true),
        };
        for (name, member) in value.as_object().into_iter().flatten() {
            if !(has_extensions && name.starts_with("x-")) {
                self.at(name, |search| search.value(member, kind));
            }
        }
    }

    /// OpenAPI "Discriminator Object".
    fn mapping(&mut self, discriminator: &Value) {
        let mapping = discriminator.get("mapping").and_then(Value::as_object);
        self.at("mapping", |search| {
            for (name, target) in mapping.into_iter().flat_map(Map::iter) {
                if let Some(text) = target.as_str() {
                    search.at(name, |search| {
                        search.note(Keyword::Mapping, text, Kind::Schema)
                    });
                }
            }
        });
    }

    fn at(&mut self, token: &str, visit: impl FnOnce(&mut Search)) {
        let length = self.pointer.len();
        push_token(&mut self.pointer, token);
        visit(self);
        self.pointer.truncate(length);
    }

    fn note(&mut self, keyword: Keyword, text: &str, kind: Kind) {
        self.found.push(Reference {
            keyword,
            pointer: self.pointer.clone(),
            text: text.to_owned(),
            kind,
            base: self.base.clone(),
        });
    }
}
