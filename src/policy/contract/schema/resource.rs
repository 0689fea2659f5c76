//! Which schemas there are: documents, the resources that `$id` names in them, and anchors.
//!
//! Everything that can be referred to is loaded before; nothing here reads files or networks.

use std::collections::HashMap;

use ahash::{AHashMap, AHashSet};
use serde_json::Value;

use super::uri;

/// Other documents by their URI.
pub type Documents = HashMap<String, Value>;

/// Where a schema stands: a document and a JSON pointer into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    document: usize,
    pub pointer: String,
}

impl Place {
    /// One step further down.
    pub fn below(&self, key: &str) -> Place {
        Place {
            document: self.document,
            pointer: below(&self.pointer, key),
        }
    }

    /// Another member of the same object.
    pub fn beside(&self, key: &str) -> Place {
        let parent = self.pointer.rsplit_once('/');
        Place {
            document: self.document,
            pointer: below(parent.map_or("", |(parent, _)| parent), key),
        }
    }

    /// The last step.
    pub fn key(&self) -> &str {
        let last = self.pointer.rsplit_once('/');
        last.map_or("", |(_, key)| key)
    }
}

/// A pointer one step further down (RFC 6901 section 3).
fn below(pointer: &str, key: &str) -> String {
    let mut below = String::with_capacity(pointer.len() + 1 + key.len());
    below.push_str(pointer);
    below.push('/');
    match key.contains(['~', '/']) {
        true => below.push_str(&key.replace('~', "~0").replace('/', "~1")),
        false => below.push_str(key),
    }
    below
}

/// What a pointer leads to; like [`Value::pointer`], but without a copy of each of its steps.
fn lead<'v>(root: &'v Value, pointer: &str) -> Option<&'v Value> {
    if pointer.is_empty() || pointer.contains('~') {
        return root.pointer(pointer);
    }
    let mut steps = pointer.strip_prefix('/')?.split('/');
    steps.try_fold(root, |at, step| match at {
        Value::Object(members) => members.get(step),
        Value::Array(items) => {
            let is_index = step == "0" || !step.starts_with(['0', '+']);
            items.get(step.parse::<usize>().ok().filter(|_| is_index)?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

pub struct Resources<'d> {
    /// Whether `$id` and anchors may name anything.
    has_names: bool,
    /// Whether `$id` has named anything.
    has_ids: bool,
    /// URI and content; the first is the one that is compiled.
    documents: Vec<(String, &'d Value)>,
    others: Option<&'d Documents>,
    /// The roots of resources by URI, and the other way round.
    by_uri: AHashMap<String, Place>,
    roots: AHashMap<Place, String>,
    anchors: AHashMap<(String, String), Place>,
    /// Those of `$dynamicAnchor` by name.
    dynamic: AHashMap<String, Vec<Place>>,
    scanned: AHashSet<Place>,
    /// Whether all schemas of the description are scanned that have a name there.
    has_all: bool,
}

/// Keywords whose value is a schema, a list of schemas, and an object of schemas.
pub const ONE_SCHEMA: [&str; 11] = [
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
pub const LISTS_OF_SCHEMAS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
pub const MAPS_OF_SCHEMAS: [&str; 4] = [
    "properties",
    "patternProperties",
    "$defs",
    "dependentSchemas",
];

impl<'d> Resources<'d> {
    pub fn new(
        document: &'d Value,
        address: &str,
        others: Option<&'d Documents>,
        has_names: bool,
    ) -> Resources<'d> {
        let mut resources = Resources {
            has_names,
            has_ids: false,
            documents: Vec::new(),
            others,
            by_uri: AHashMap::new(),
            roots: AHashMap::new(),
            anchors: AHashMap::new(),
            dynamic: AHashMap::new(),
            scanned: AHashSet::new(),
            has_all: false,
        };
        resources.add(address, document);
        resources
    }

    fn add(&mut self, address: &str, document: &'d Value) -> Place {
        let place = Place {
            document: self.documents.len(),
            pointer: String::new(),
        };
        self.documents.push((address.to_owned(), document));
        self.by_uri.insert(address.to_owned(), place.clone());
        self.roots.insert(place.clone(), address.to_owned());
        place
    }

    /// The vocabularies of a meta-schema among the documents.
    pub fn vocabulary(&self, uri: &str) -> Option<&'d serde_json::Map<String, Value>> {
        self.others?.get(uri)?.get("$vocabulary")?.as_object()
    }

    /// A place in the document that is compiled.
    pub fn place(&self, pointer: &str) -> Place {
        Place {
            document: 0,
            pointer: pointer.to_owned(),
        }
    }

    pub fn value(&self, place: &Place) -> Option<&'d Value> {
        lead(self.documents[place.document].1, &place.pointer)
    }

    /// For messages: the pointer, with the URI before it in other documents.
    pub fn shown(&self, place: &Place) -> String {
        match place.document {
            0 => place.pointer.clone(),
            other => format!("{}#{}", self.documents[other].0, place.pointer),
        }
    }

    /// The URI that references from a place are relative to.
    pub fn base(&self, place: &Place) -> &str {
        if !self.has_ids {
            return &self.documents[place.document].0;
        }
        let mut pointer = place.pointer.as_str();
        loop {
            let root = Place {
                document: place.document,
                pointer: pointer.to_owned(),
            };
            if let Some(uri) = self.roots.get(&root) {
                return uri;
            }
            match pointer.rsplit_once('/') {
                Some((parent, _)) => pointer = parent,
                None => return &self.documents[place.document].0,
            }
        }
    }

    /// The places of a `$dynamicAnchor`, as far as they are known.
    pub fn dynamic(&self, name: &str) -> &[Place] {
        self.dynamic.get(name).map_or(&[], Vec::as_slice)
    }

    /// Notes what `$id` and anchors name in a schema and all below it.
    pub fn scan(&mut self, place: &Place) {
        if !self.has_names || !self.scanned.insert(place.clone()) {
            return;
        }
        let Some(Value::Object(schema)) = self.value(place) else {
            return;
        };
        self.name(place, schema);
        for (key, value) in schema {
            let at = place.below(key);
            match value {
                _ if ONE_SCHEMA.contains(&key.as_str()) => self.scan(&at),
                Value::Array(list) if LISTS_OF_SCHEMAS.contains(&key.as_str()) => {
                    (0..list.len()).for_each(|index| self.scan(&at.below(&index.to_string())));
                }
                Value::Object(map) if MAPS_OF_SCHEMAS.contains(&key.as_str()) => {
                    map.keys().for_each(|name| self.scan(&at.below(name)));
                }
                _ => {}
            }
        }
    }

    fn name(&mut self, place: &Place, schema: &serde_json::Map<String, Value>) {
        let text = |key: &str| schema.get(key).and_then(Value::as_str);
        if let Some(id) = text("$id") {
            let uri = uri::resolve(self.base(place), uri::split(id).0);
            self.has_ids = true;
            self.roots.insert(place.clone(), uri.clone());
            self.by_uri.insert(uri, place.clone());
        }
        let base = self.base(place).to_owned();
        if let Some(name) = text("$anchor") {
            let key = (base.clone(), name.to_owned());
            self.anchors.insert(key, place.clone());
        }
        if let Some(name) = text("$dynamicAnchor") {
            let key = (base, name.to_owned());
            self.anchors.insert(key, place.clone());
            let places = self.dynamic.entry(name.to_owned()).or_default();
            places.push(place.clone());
        }
    }

    /// The same for a place that may stand within a schema that has a `$id`.
    pub fn enter(&mut self, place: &Place) {
        if self.has_names {
            let ends: Vec<usize> = place
                .pointer
                .match_indices('/')
                .map(|each| each.0)
                .collect();
            for end in ends {
                let above = Place {
                    document: place.document,
                    pointer: place.pointer[..end].to_owned(),
                };
                let has_id = |value: &Value| value.get("$id").is_some_and(Value::is_string);
                if self.value(&above).is_some_and(has_id) {
                    self.scan(&above);
                }
            }
        }
        self.scan(place);
    }

    /// Where a reference leads. What names nothing that was come by so far may name a schema of the
    /// description that nothing else has led to.
    pub fn resolve(&mut self, from: &Place, reference: &str) -> Option<Place> {
        let found = self.find(from, reference);
        if found.is_some() || !self.has_names || self.has_all {
            return found;
        }
        self.has_all = true;
        let schemas = self.place("/components/schemas");
        let named = self.value(&schemas).and_then(Value::as_object);
        let places = named.into_iter().flat_map(serde_json::Map::keys);
        let places: Vec<Place> = places.map(|name| schemas.below(name)).collect();
        places.iter().for_each(|place| self.scan(place));
        self.find(from, reference)
    }

    fn find(&mut self, from: &Place, reference: &str) -> Option<Place> {
        let (address, fragment) = uri::split(reference);
        let uri = uri::resolve(self.base(from), address);
        let root = self.resource(&uri)?;
        let fragment = fragment.unwrap_or_default().replace('+', "%2B");
        let fragment = crate::proto::query::decode(fragment.as_bytes()).ok()?;
        if !fragment.is_empty() && !fragment.starts_with('/') {
            let key = (uri, fragment.into_owned());
            return self.anchors.get(&key).cloned();
        }
        let place = Place {
            document: root.document,
            pointer: root.pointer + &fragment,
        };
        self.value(&place)?;
        self.enter(&place);
        Some(place)
    }

    fn resource(&mut self, uri: &str) -> Option<Place> {
        if let Some(place) = self.by_uri.get(uri) {
            return Some(place.clone());
        }
        let document = self.others?.get(uri)?;
        let place = self.add(uri, document);
        self.scan(&place);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_lead_where_those_of_the_library_do() {
        let root = json!({"a": [1, {"b/c": {"~": 2, "": 3}}], "": {"x": 4}, "00": 5});
        for pointer in [
            "",
            "/",
            "/a",
            "/a/0",
            "/a/1",
            "/a/00",
            "/a/01",
            "/a/+1",
            "/a/-",
            "/a/2",
            "/a/1/b~1c",
            "/a/1/b~1c/~0",
            "/a/1/b~1c/",
            "//x",
            "/00",
            "/a/0/b",
            "a",
            "/b",
            "/a/",
            "/~",
        ] {
            assert_eq!(lead(&root, pointer), root.pointer(pointer), "{pointer}");
        }
    }
}
