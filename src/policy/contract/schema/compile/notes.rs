//! Keywords that name things, or say something for readers only.

use serde_json::Value;

use super::super::program::Rule;
use super::super::resource::Place;
use super::super::{Dialect, Direction};
use super::{Compilation, is_annotation};

/// The `$schema` that each dialect may name.
const SCHEMA_30: [&str; 1] = ["http://json-schema.org/draft-04/schema#"];
const SCHEMA_31: [&str; 2] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://spec.openapis.org/oas/3.1/dialect/base",
];

/// How the URIs of the vocabularies of 2020-12 begin.
const VOCABULARY: &str = "https://json-schema.org/draft/2020-12/vocab/";

impl<'d> Compilation<'d> {
    /// Keywords that name things, or say something for readers only.
    pub(super) fn note(
        &mut self,
        rule: &mut Rule,
        (key, at): (&str, &Place),
        value: &'d Value,
    ) -> bool {
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
                self.views.is_directed = true;
                let is_barred = match self.direction {
                    Direction::Request => key == "readOnly",
                    Direction::Response => key == "writeOnly",
                    Direction::Neither => false,
                };
                if self.flag(at, value) && is_barred {
                    self.views.bars = true;
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
    pub(super) fn vocabularies(&mut self, root: &Place) {
        let place = root.below("$schema");
        let Some(named) = self.resources.value(&place).and_then(Value::as_str) else {
            return;
        };
        let Some(vocabulary) = self.resources.vocabulary(named) else {
            return;
        };
        self.validates = vocabulary.contains_key(&format!("{VOCABULARY}validation"));
        self.asserts = vocabulary.contains_key(&format!("{VOCABULARY}format-assertion"));
        for (uri, needed) in vocabulary {
            let is_known = uri.strip_prefix(VOCABULARY);
            if *needed == Value::Bool(true) && is_known.is_none() {
                let hint = "use a meta-schema whose vocabularies are known";
                self.error(&place, format!("the vocabulary {uri} is not known"), hint);
            }
        }
    }
}
