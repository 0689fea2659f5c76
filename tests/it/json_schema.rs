//! The JSON Schema test suite, for the keywords that are enforced.
//!
//! A schema with any other keyword must not compile; one that compiles must give the suite's answer
//! for every instance.

use std::collections::BTreeMap;
use std::path::PathBuf;

use portcullis::policy::contract::schema::{Dialect, Schema, Scratch};
use serde_json::Value;

/// The files about enforced keywords.
const FILES: [&str; 25] = [
    "additionalProperties",
    "allOf",
    "anyOf",
    "boolean_schema",
    "const",
    "default",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "oneOf",
    "pattern",
    "properties",
    "ref",
    "required",
    "type",
];

/// Instances that are answered otherwise on purpose.
fn is_known(file: &str, test: &str) -> Option<&'static str> {
    match (file, test) {
        // Their numbers do not fit 64 bits; such bodies are refused whatever the schema says.
        (_, test) if test.contains("bignum") || test.contains("big number") => Some("number size"),
        ("format", _) => Some("formats are enforced, not only noted"),
        _ => None,
    }
}

fn suite() -> Option<PathBuf> {
    let root = std::env::var_os("PORTCULLIS_CONFORMANCE").map(PathBuf::from);
    let root = root.map(|root| root.join("json-schema-test-suite/tests"));
    let found = root.filter(|root| root.is_dir());
    if found.is_none() {
        eprintln!(
            "json_schema: PORTCULLIS_CONFORMANCE names no JSON Schema test suite: NOTHING IS TESTED HERE"
        );
    }
    found
}

struct Tally {
    compiled: usize,
    instances: usize,
    /// Why schemas were not compiled, and how many.
    refused: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

fn run(draft: &str, dialect: Dialect) -> Option<Tally> {
    let root = suite()?.join(draft);
    let mut tally = Tally {
        compiled: 0,
        instances: 0,
        refused: BTreeMap::new(),
        wrong: Vec::new(),
    };
    for file in FILES {
        let Ok(text) = std::fs::read_to_string(root.join(format!("{file}.json"))) else {
            continue;
        };
        let groups: Value = serde_json::from_str(&text).unwrap();
        for group in groups.as_array().unwrap() {
            let schema = match Schema::compile(&group["schema"], "", dialect) {
                Ok(schema) => schema,
                Err(errors) => {
                    for error in errors {
                        *tally.refused.entry(error.message).or_default() += 1;
                    }
                    continue;
                }
            };
            tally.compiled += 1;
            let mut scratch = Scratch::default();
            for test in group["tests"].as_array().unwrap() {
                let name = format!("{} / {}", group["description"], test["description"]);
                if is_known(file, &name).is_some() {
                    continue;
                }
                tally.instances += 1;
                let accepted = schema
                    .check(test["data"].to_string().as_bytes(), &mut scratch)
                    .is_ok();
                if accepted != test["valid"].as_bool().unwrap() {
                    tally.wrong.push(format!(
                        "{file}: {name}: {} for {}",
                        group["schema"], test["data"]
                    ));
                }
            }
        }
    }
    Some(tally)
}

/// Reasons for which a schema of the suite may be refused at load.
fn is_expected(reason: &str) -> bool {
    [
        "is not enforced",
        "only references within the document",
        "leads nowhere",
        "look-around",
        "without an end",
        "must be an object",
        "has no effect in OpenAPI 3.0",
        "is no type",
        "beside",
        "is not supported",
        "must be a number",
        "is a switch for",
        "a list of schemas",
        "`enum` must be",
        "must be a list",
        "not a regular expression",
    ]
    .iter()
    .any(|expected| reason.contains(expected))
}

fn check(draft: &str, dialect: Dialect, (compiled, instances): (usize, usize)) {
    let Some(tally) = run(draft, dialect) else {
        return;
    };
    assert_eq!(tally.wrong, Vec::<String>::new());
    let unexpected: Vec<_> = tally
        .refused
        .keys()
        .filter(|reason| !is_expected(reason))
        .collect();
    assert_eq!(unexpected, Vec::<&String>::new());
    assert!(
        tally.compiled >= compiled && tally.instances >= instances,
        "{} schemas and {} instances; refused: {:#?}",
        tally.compiled,
        tally.instances,
        tally.refused
    );
}

#[test]
fn draft_2020_12_answers_as_the_suite_does() {
    check("draft2020-12", Dialect::OpenApi31, (130, 440));
}

#[test]
fn draft_4_answers_as_the_suite_does() {
    check("draft4", Dialect::OpenApi30, (60, 220));
}
