//! What native rules ask of a value: one key each, of which a rule has one.

use crate::config::reader::{At, Table};
use crate::policy::waf::draft::Condition;
use crate::policy::waf::pattern;
use crate::policy::waf::template::Template;

/// Keys with a text, and the operator of the engine that each means.
const TEXTS: [(&str, &str); 6] = [
    ("rx", "rx"),
    ("contains", "contains"),
    ("equals", "streq"),
    ("begins_with", "beginswith"),
    ("ends_with", "endswith"),
    // The bytes that may stand in a value, such as `32-126`.
    ("only_bytes", "validatebyterange"),
];

const KEYS: &str = "rx, phrases, contains, equals, begins_with, ends_with, only_bytes or detect";

/// The condition of a rule; None if it is missing or wrong, which was told.
pub fn condition(table: &Table<'_, '_>) -> Option<Condition> {
    let mut found: Vec<Option<Condition>> = Vec::new();
    for (key, name) in TEXTS {
        if let Some(text) = table.optional::<String>(key) {
            found.push(text_condition(table, name, &text));
        } else if table.has(key) {
            found.push(None);
        }
    }
    if table.has("phrases") {
        found.push(phrases(table));
    }
    if let Some(word) = table.optional::<String>("detect") {
        found.push(detect(table, &word));
    }
    let negated = table.or("not", false);
    let position = table.position;
    match found.len() {
        1 => {
            let mut condition = found.pop()??;
            condition.negated = negated;
            Some(condition)
        }
        0 => {
            let message = "the rule asks nothing";
            table.reader.error(position, message, format!("add {KEYS}"));
            None
        }
        _ => {
            let message = "the rule asks more than one thing";
            let hint = "keep one, and ask the others with and = [{ ... }]";
            table.reader.error(position, message, hint);
            None
        }
    }
}

fn asks(name: &str, argument: &str) -> Condition {
    Condition {
        negated: false,
        name: name.into(),
        argument: Template::text(argument),
        file: None,
    }
}

fn text_condition(table: &Table<'_, '_>, name: &str, text: &At<String>) -> Option<Condition> {
    if name == "rx"
        && let Err(why) = pattern::hir(&text.value)
    {
        let hint = "patterns run in linear time: there is no looking around and no reference back";
        table.reader.error(
            text.position,
            format!("the pattern is invalid: {why}"),
            hint,
        );
        return None;
    }
    Some(asks(name, &text.value))
}

/// Phrases may hold blanks, so that they are handed on as lines.
fn phrases(table: &Table<'_, '_>) -> Option<Condition> {
    let list = table.list::<String>("phrases");
    let broken = list.iter().find(|phrase| {
        let text = phrase.value.as_str();
        text.contains('\n') || text.starts_with('#') || text.trim() != text
    });
    if let Some(broken) = broken {
        let message = "a phrase begins or ends with a blank, begins with # or holds a line feed";
        table
            .reader
            .error(broken.position, message, "write it with `rx`");
        return None;
    }
    if list.is_empty() {
        let position = table.key_position("phrases");
        let hint = "write phrases = [\"/etc/passwd\"]";
        table.reader.error(position, "there are no phrases", hint);
        return None;
    }
    let lines: Vec<&str> = list.iter().map(|phrase| phrase.value.as_str()).collect();
    Some(Condition {
        file: Some(lines.join("\n").into_bytes()),
        ..asks("pmfromfile", "")
    })
}

fn detect(table: &Table<'_, '_>, word: &At<String>) -> Option<Condition> {
    match word.value.as_str() {
        "sql" => Some(asks("detectsqli", "")),
        "script" => Some(asks("detectxss", "")),
        other => {
            let message = format!("\"{other}\" cannot be detected");
            table
                .reader
                .error(word.position, message, "write \"sql\" or \"script\"");
            None
        }
    }
}
