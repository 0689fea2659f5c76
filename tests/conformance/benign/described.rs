//! Requests that a description tells of: by examples, defaults and alternatives where it has
//! them, by its own prose where it has none. Examples of answers are sent too: what a client reads
//! it writes back.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis::policy::contract::openapi::yaml;
use serde_json::{Map, Value};

use super::random::Random;
use super::requests::{escaped, get, post};
use crate::request::Sent;

/// Schemas lead into each other without end.
const DEPTH: usize = 6;

/// Requests of one operation without examples of its own.
const EACH: usize = 2;

/// None where others than this test say what is wrong with it.
pub fn read(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.trim_start_matches('\u{feff}');
    match path.extension()?.to_str()? {
        "json" => serde_json::from_str(text).ok(),
        _ => Some(yaml::read(text).ok()?.root),
    }
}

pub fn requests(document: &Value, random: &mut Random) -> Vec<Sent> {
    let mut described = Described { document, random };
    let mut sent = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let methods = ["get", "put", "post", "patch", "delete"];
            if methods.contains(&method.as_str()) {
                described.operation(path, item, operation, &mut sent);
            }
        }
    }
    sent
}

struct Described<'a> {
    document: &'a Value,
    random: &'a mut Random,
}

impl<'a> Described<'a> {
    fn operation(
        &mut self,
        path: &str,
        item: &'a Value,
        operation: &'a Value,
        sent: &mut Vec<Sent>,
    ) {
        let parameters = [&item["parameters"], &operation["parameters"]];
        let parameters = parameters.into_iter().filter_map(Value::as_array).flatten();
        let parameters: Vec<&Value> = parameters.map(|each| self.resolved(each)).collect();
        let content = &self.resolved(&operation["requestBody"])["content"];
        for _ in 0..EACH {
            let target = self.target(path, &parameters);
            match self.bodies(content).into_iter().next() {
                None => sent.push(get(target)),
                Some((media, body)) => sent.extend(carried(target, &media, &body)),
            }
        }
        let target = self.target(path, &parameters);
        for (media, body) in self.bodies(content).into_iter().skip(1) {
            sent.extend(carried(target.clone(), &media, &body));
        }
        for answer in operation["responses"].as_object().into_iter().flatten() {
            let content = &self.resolved(answer.1)["content"];
            for (media, body) in self.bodies(content) {
                sent.extend(carried(target.clone(), &media, &body));
            }
        }
    }

    fn resolved(&self, mut value: &'a Value) -> &'a Value {
        for _ in 0..DEPTH {
            let Some(reference) = value["$ref"].as_str() else {
                break;
            };
            let pointer = reference.strip_prefix('#').unwrap_or("/nothing");
            value = self.document.pointer(pointer).unwrap_or(&Value::Null);
        }
        value
    }

    fn target(&mut self, path: &str, parameters: &[&'a Value]) -> String {
        let mut target = path.to_owned();
        let mut query = String::new();
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap_or_default();
            let value = self.of(parameter);
            let value = match &value {
                Value::Array(items) => {
                    let items: Vec<String> = items.iter().map(text).collect();
                    items.join(",")
                }
                value => text(value),
            };
            match parameter["in"].as_str() {
                // Prose stands for a text that nobody has an example of; a path has names.
                Some("path") if value.contains(char::is_whitespace) => {
                    target = target.replace(&format!("{{{name}}}"), &self.random.hex());
                }
                Some("path") => target = target.replace(&format!("{{{name}}}"), &escaped(&value)),
                Some("query") => {
                    query.push(if query.is_empty() { '?' } else { '&' });
                    query.push_str(&format!("{}={}", escaped(name), escaped(&value)));
                }
                _ => {}
            }
        }
        // What no parameter tells of.
        target.replace(['{', '}'], "") + &query
    }

    /// All that a content tells of, by media type.
    fn bodies(&mut self, content: &'a Value) -> Vec<(String, Value)> {
        let mut bodies = Vec::new();
        for (media, told) in content.as_object().into_iter().flatten() {
            let examples = told["examples"].as_object().into_iter().flatten();
            let examples: Vec<Value> = examples
                .map(|(_, example)| self.resolved(example)["value"].clone())
                .filter(|example| !example.is_null())
                .collect();
            match examples.is_empty() {
                true => bodies.push((media.clone(), self.of(told))),
                false => bodies.extend(examples.into_iter().map(|each| (media.clone(), each))),
            }
        }
        bodies
    }

    /// The value of something that has an example or a schema.
    fn of(&mut self, told: &'a Value) -> Value {
        let examples = told["examples"].as_object();
        let first = examples.and_then(|examples| examples.values().next());
        let first = first.map(|example| &self.resolved(example)["value"]);
        match [Some(&told["example"]), first]
            .into_iter()
            .flatten()
            .find(|each| !each.is_null())
        {
            Some(example) => example.clone(),
            None => self.sample(&told["schema"], DEPTH),
        }
    }

    fn sample(&mut self, schema: &'a Value, depth: usize) -> Value {
        let schema = self.resolved(schema);
        let known = [
            &schema["example"],
            &schema["examples"][0],
            &schema["const"],
            &schema["default"],
        ];
        if let Some(known) = known.into_iter().find(|known| !known.is_null()) {
            return known.clone();
        }
        if let Some(known) = schema["enum"].as_array().filter(|known| !known.is_empty()) {
            return self.random.one_of(known).clone();
        }
        if depth == 0 {
            return Value::Null;
        }
        for of in ["oneOf", "anyOf"] {
            if let Some(cases) = schema[of].as_array().filter(|cases| !cases.is_empty()) {
                let case = self.random.one_of(cases);
                return self.sample(case, depth - 1);
            }
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.first().and_then(Value::as_str),
            kind => kind.as_str(),
        };
        match kind {
            Some("string") => self.string(schema).into(),
            Some("integer") => self.random.below(10_000).into(),
            Some("number") => (self.random.below(10_000) as f64 / 8.0).into(),
            Some("boolean") => (self.random.below(2) == 0).into(),
            Some("array") => vec![self.sample(&schema["items"], depth - 1)].into(),
            _ => self.object(schema, depth),
        }
    }

    fn object(&mut self, schema: &'a Value, depth: usize) -> Value {
        let mut members = Map::new();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            if let Value::Object(more) = self.sample(part, depth - 1) {
                members.extend(more);
            }
        }
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            members.insert(name.clone(), self.sample(member, depth - 1));
        }
        Value::Object(members)
    }

    fn string(&mut self, schema: &Value) -> String {
        match schema["format"].as_str() {
            Some("date") => "2026-11-25".into(),
            Some("date-time") => "2026-11-25T10:15:30Z".into(),
            Some("uuid") => self.random.uuid(),
            Some("email") => "siobhan.o'brien+api@example.com".into(),
            Some("uri" | "url") => "https://example.com/a?b=c&d=e%20f#g".into(),
            Some("byte" | "base64") => STANDARD.encode(self.random.bytes(48)),
            // Prose with code and links in it, as people write it.
            _ => match schema["description"].as_str() {
                Some(prose) => prose.to_owned(),
                None => self.random.hex(),
            },
        }
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// None for media types that hold no text.
fn carried(target: String, media: &str, body: &Value) -> Option<Sent> {
    let form = "application/x-www-form-urlencoded";
    let bytes = if media.contains("json") {
        body.to_string()
    } else if media == form {
        let members = body.as_object()?.iter();
        let members =
            members.map(|(name, value)| format!("{}={}", escaped(name), escaped(&text(value))));
        members.collect::<Vec<_>>().join("&")
    } else if media.starts_with("text/plain") {
        text(body)
    } else {
        return None;
    };
    Some(post(target, media, bytes.into_bytes()))
}
