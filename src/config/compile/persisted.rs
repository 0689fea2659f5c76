//! Lists of GraphQL queries, in the forms that the tools of clients write:
//!
//! * a manifest, `{"operations": [{"id": HASH, "body": QUERY}]}`;
//! * a map, `{HASH: QUERY}`;
//! * a list of hashes or of queries.
//!
//! Hashes are the SHA-256 of the query's text, as 64 hexadecimal digits; one that is not the hash
//! of the text beside it is an error, since nobody could say which of the two is meant.

use std::path::PathBuf;

use serde_json::Value;

use crate::config::compile::read_text;
use crate::config::reader::{At, Reader};
use crate::diagnostic::{Diagnostic, Position};
use crate::policy::contract::graphql::{Persisted, hash, read_hash};

/// A list that was read, with the place of each text.
pub struct List {
    pub file: PathBuf,
    pub persisted: Persisted,
    pub texts: Vec<(String, Position)>,
}

/// None if there was an error.
pub fn read(reader: &Reader<'_>, path: &At<String>) -> Option<List> {
    let text = read_text(reader, path)?;
    let file = reader.resolve(&path.value);
    let mut list = List {
        file: file.clone(),
        persisted: Persisted::default(),
        texts: Vec::new(),
    };
    let mut found = Vec::new();
    let mut error = |position: Position, message: String| {
        let hint = "write {\"operations\": [{\"id\": HASH, \"body\": QUERY}]}, {HASH: QUERY}, or a \
                    list of hashes or queries";
        found.push(Diagnostic::new(file.clone(), position, message).with_hint(hint));
    };
    match serde_json::from_str::<Value>(&text) {
        Err(fault) => {
            let (line, column) = (fault.line().max(1), fault.column().max(1));
            error(
                Position { line, column },
                format!("this is not JSON: {fault}"),
            );
        }
        Ok(value) => {
            let entries = entries(&value);
            if entries.is_empty() {
                error(start(), "the list holds no query".to_owned());
            }
            for entry in entries {
                let shown = entry.hash.or(entry.text).unwrap_or_default();
                let position = place(&text, shown);
                let hash_of = entry.text.map(hash);
                let claimed = entry.hash.map(read_hash);
                match (claimed, hash_of) {
                    (Some(None), _) => {
                        error(
                            position,
                            format!("\"{shown}\" is no SHA-256 in hexadecimal digits"),
                        );
                    }
                    (Some(Some(claimed)), Some(actual)) if claimed != actual => {
                        error(
                            position,
                            format!("\"{shown}\" is not the SHA-256 of its query"),
                        );
                    }
                    (Some(Some(claimed)), None) => list.persisted.add_hash(claimed),
                    (_, Some(_)) => {
                        let text = entry.text.unwrap_or_default();
                        list.persisted.add_text(text);
                        list.texts.push((text.to_owned(), position));
                    }
                    (None, None) => error(start(), "an entry holds no query".to_owned()),
                }
            }
        }
    }
    let is_good = found.is_empty();
    reader.extend(found);
    is_good.then_some(list)
}

/// One query, as far as the list tells it.
struct Entry<'v> {
    hash: Option<&'v str>,
    text: Option<&'v str>,
}

fn entries(value: &Value) -> Vec<Entry<'_>> {
    match value {
        Value::Array(list) => list.iter().map(alone).collect(),
        Value::Object(map) => match map.get("operations") {
            Some(Value::Array(operations)) => operations.iter().map(of_manifest).collect(),
            _ => {
                let entries = map.iter().map(|(hash, text)| Entry {
                    hash: Some(hash),
                    text: text.as_str(),
                });
                entries.collect()
            }
        },
        _ => Vec::new(),
    }
}

fn of_manifest(operation: &Value) -> Entry<'_> {
    Entry {
        hash: operation.get("id").and_then(Value::as_str),
        text: operation.get("body").and_then(Value::as_str),
    }
}

/// An item of a list: a hash if it can be one, or else a query.
fn alone(item: &Value) -> Entry<'_> {
    let text = item.as_str();
    match text.is_some_and(|text| read_hash(text).is_some()) {
        true => Entry {
            hash: text,
            text: None,
        },
        false => Entry { hash: None, text },
    }
}

fn start() -> Position {
    Position::START
}

/// Where a text stands in a file, as far as it is written there without escapes.
fn place(file: &str, text: &str) -> Position {
    let written = text
        .split(['"', '\\', '\n', '\t'])
        .next()
        .unwrap_or_default();
    let Some(at) = file.find(written) else {
        return start();
    };
    let before = &file[..at];
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before[line..].chars().count() + 1,
    }
}
