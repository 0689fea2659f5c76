//! The JSON Schema test suite, where it is: its files, its schemas, and the documents that they
//! refer to.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::policy::contract::schema::Documents;
use referencing::meta;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One schema of the suite and its instances.
#[derive(Deserialize)]
pub struct Group {
    pub description: String,
    pub schema: Value,
    pub tests: Vec<Instance>,
}

/// `data` stays as it is written: a number that went through a double would be another one.
#[derive(Deserialize)]
pub struct Instance {
    pub data: Box<RawValue>,
    pub valid: bool,
}

/// The groups of one file.
pub fn groups(file: &Path) -> Vec<Group> {
    let text = fs::read_to_string(file).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The cases of this project, which are always there.
pub fn own() -> Vec<Group> {
    groups(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/schema/cases.json"))
}

/// The folder of its drafts. None: nobody has said where the suite is, and only
/// [our own cases](own) are tested.
pub fn root() -> Option<PathBuf> {
    let Some(root) = std::env::var_os("PORTCULLIS_CONFORMANCE").map(PathBuf::from) else {
        eprintln!("suite: PORTCULLIS_CONFORMANCE is not set: ONLY CASES OF OUR OWN ARE TESTED");
        return None;
    };
    let suite = root.join("json-schema-test-suite/tests");
    // Whoever says where it is means it to be run.
    assert!(suite.is_dir(), "there is no {}", suite.display());
    Some(suite)
}

/// The documents that the suite expects to find at `http://localhost:1234/`.
pub fn remotes(root: &Path) -> Documents {
    let mut found = Documents::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().display();
            let text = fs::read_to_string(&path).unwrap();
            let document = serde_json::from_str(&text).unwrap();
            found.insert(format!("http://localhost:1234/{name}"), document);
        }
    }
    // The suite takes the meta-schemas for known.
    for (uri, document) in [
        ("schema", &meta::DRAFT202012),
        ("meta/core", &meta::DRAFT202012_CORE),
        ("meta/applicator", &meta::DRAFT202012_APPLICATOR),
        ("meta/unevaluated", &meta::DRAFT202012_UNEVALUATED),
        ("meta/validation", &meta::DRAFT202012_VALIDATION),
        ("meta/meta-data", &meta::DRAFT202012_META_DATA),
        (
            "meta/format-annotation",
            &meta::DRAFT202012_FORMAT_ANNOTATION,
        ),
        ("meta/content", &meta::DRAFT202012_CONTENT),
    ] {
        let uri = format!("https://json-schema.org/draft/2020-12/{uri}");
        found.insert(uri, Value::clone(document));
    }
    found
}

/// Names such as `optional/format/date`, and where they are.
pub fn files(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for folder in ["", "optional", "optional/format"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let name = path.strip_prefix(root).unwrap().with_extension("");
                found.push((name.display().to_string(), path));
            }
        }
    }
    found.sort();
    found
}

/// Schemas that are kept below `definitions` stand elsewhere in a description of OpenAPI 3.0, where
/// the keyword says nothing.
pub fn as_described(schema: &mut Value) {
    if let Some(map) = schema.as_object_mut()
        && let Some(definitions) = map.remove("definitions")
    {
        map.insert("x-definitions".to_owned(), definitions);
        refer(schema);
    }
}

fn refer(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "$ref" => {
                        *text = text.replacen("#/definitions/", "#/x-definitions/", 1);
                    }
                    // There it is a value.
                    _ if key == "enum" => {}
                    value => refer(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(refer),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
