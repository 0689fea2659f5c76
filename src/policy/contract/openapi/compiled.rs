//! The schemas of a description that are compiled already: one that many operations refer to is
//! compiled once, for each direction where that makes a difference, and they share it.

use std::cell::RefCell;
use std::rc::Rc;

use ahash::AHashMap;
use serde_json::Value;

use crate::policy::contract::lint::Lint;
use crate::policy::contract::openapi::Document;
use crate::policy::contract::openapi::node::{Node, lookup};
use crate::policy::contract::schema::{
    Common, Compiler, Direction, Formats, Schema, SchemaError, Unknown,
};

/// Longest chain of references that is followed to the schema itself.
const HOPS: usize = 16;

type Outcome = Result<Schema, Rc<[SchemaError]>>;

pub struct Compiled {
    common: Common,
    /// By the place of the schema.
    schemas: RefCell<AHashMap<(String, Direction), Outcome>>,
}

impl Compiled {
    pub fn of(root: &Value) -> Compiled {
        Compiled {
            common: Common::of(root),
            schemas: RefCell::default(),
        }
    }

    /// `document` is the one whose schemas these are.
    pub fn compile(&self, document: &Document, node: &Node<'_>, direction: Direction) -> Outcome {
        let key = (target(&document.tree.root, node), direction);
        if let Some(known) = self.schemas.borrow().get(&key) {
            return known.clone();
        }
        let levels = &document.levels;
        let mut compiler = Compiler::new(&document.tree.root, document.dialect)
            .direction(direction)
            .common(&self.common)
            .numbers(&document.tree.numbers)
            .backtracking(&document.backtracking);
        if levels.tolerates(Lint::UnknownFormat) {
            compiler = compiler.formats(Formats::Known);
        }
        if levels.tolerates(Lint::UnknownKeyword) {
            compiler = compiler.unknown(Unknown::Noted);
        }
        // What it refers to will be asked for alone as well, as often as not.
        let is_new = |pointer: &str| {
            let mut keys = [Direction::Request, Direction::Response].into_iter();
            !keys.any(|direction| {
                let schemas = self.schemas.borrow();
                schemas.contains_key(&(pointer.to_owned(), direction))
            })
        };
        let outcome = compiler.compile_with_parts(&key.0, &is_new);
        let (outcome, parts) = match outcome {
            Ok((schema, parts)) => (Ok(schema), parts),
            Err(errors) => (Err(Rc::from(errors)), Vec::new()),
        };
        let mut schemas = self.schemas.borrow_mut();
        for (pointer, schema) in parts {
            for direction in [Direction::Request, Direction::Response] {
                schemas.insert((pointer.clone(), direction), Ok(schema.clone()));
            }
        }
        if outcome.as_ref().is_ok_and(|schema| !schema.is_directed()) {
            for direction in [Direction::Request, Direction::Response] {
                schemas.insert((key.0.clone(), direction), outcome.clone());
            }
        } else {
            schemas.insert(key, outcome.clone());
        }
        outcome
    }
}

/// Where the schema stands that nothing but references lead to.
fn target(root: &Value, node: &Node<'_>) -> String {
    let mut at = node.clone();
    for _ in 0..HOPS {
        let members = at.value.as_object().filter(|members| members.len() == 1);
        let reference = members.and_then(|members| members.get("$ref")?.as_str());
        match reference.map(|reference| lookup(root, reference)) {
            Some(Ok(next)) => at = next,
            // What leads nowhere is told where it stands.
            Some(Err(_)) | None => return at.pointer,
        }
    }
    node.pointer.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::contract::openapi::node::Report;
    use crate::policy::contract::schema::Scratch;
    use std::path::Path;

    const TEXT: &str = r##"openapi: 3.1.0
info: {title: T, version: "1"}
paths: {}
components:
  schemas:
    Name: {type: string, pattern: "^(a|b)+$", maxLength: 9}
    Alias: {$ref: "#/components/schemas/Name"}
    Described: {$ref: "#/components/schemas/Name", description: beside it}
    Secret: {type: object, properties: {a: {type: string, writeOnly: true}}}
    Created: {required: [a], properties: {a: {$ref: "#/components/schemas/Own"}}}
    Own: {type: string, readOnly: true}
    Shown: {properties: {a: {x-mask: last4}}}
    Loop: {$ref: "#/components/schemas/Loop"}
    Lost: {$ref: "#/components/schemas/Absent"}
    List: {type: array, items: {$ref: "#/components/schemas/Item"}}
    Item: {type: object, properties: {a: {type: integer}}}
"##;

    #[test]
    fn what_leads_to_one_place_is_compiled_once_for_each_direction() {
        let document = Document::read(Path::new("t.yaml"), TEXT).unwrap();
        let compiled = Compiled::of(&document.tree.root);
        let schema = |name: &str, direction| {
            let node = lookup(&document.tree.root, &format!("#/components/schemas/{name}"));
            compiled.compile(&document, &node.unwrap(), direction)
        };
        for name in ["Name", "Alias", "Name"] {
            assert!(schema(name, Direction::Request).is_ok());
        }
        // Known for both directions, as it says the same in both.
        assert_eq!(compiled.schemas.borrow().len(), 2);
        assert!(schema("Name", Direction::Response).is_ok());
        assert_eq!(compiled.schemas.borrow().len(), 2);
        assert!(schema("Described", Direction::Request).is_ok());
        assert_eq!(compiled.schemas.borrow().len(), 4);
        for name in ["Secret", "Shown", "Created"] {
            let before = compiled.schemas.borrow().len();
            assert!(schema(name, Direction::Request).is_ok());
            assert!(schema(name, Direction::Response).is_ok());
            assert_eq!(compiled.schemas.borrow().len(), before + 2, "{name}");
        }
        let request = schema("Secret", Direction::Request).unwrap();
        let response = schema("Secret", Direction::Response).unwrap();
        assert!(!request.has_views() && response.has_views());
        for (name, pointer) in [
            ("Loop", "/components/schemas/Loop"),
            ("Lost", "/components/schemas/Lost/$ref"),
        ] {
            // The second time as the first.
            for _ in 0..2 {
                let errors = schema(name, Direction::Request).unwrap_err();
                assert_eq!(errors[0].pointer, pointer);
            }
        }
    }

    #[test]
    fn what_a_list_holds_is_compiled_with_it() {
        let document = Document::read(Path::new("t.yaml"), TEXT).unwrap();
        let compiled = Compiled::of(&document.tree.root);
        let schema = |name: &str, direction| {
            let node = lookup(&document.tree.root, &format!("#/components/schemas/{name}"));
            compiled.compile(&document, &node.unwrap(), direction)
        };
        assert!(schema("List", Direction::Response).is_ok());
        // Both, for both directions.
        assert_eq!(compiled.schemas.borrow().len(), 4);
        let item = schema("Item", Direction::Request).unwrap();
        assert_eq!(compiled.schemas.borrow().len(), 4);
        let mut scratch = Scratch::default();
        assert!(item.check(br#"{"a":1}"#, &mut scratch).is_ok());
        assert!(item.check(br#"[{"a":1}]"#, &mut scratch).is_err());
    }

    #[test]
    fn reports_beside_each_other_share_what_is_compiled() {
        let document = Document::read(Path::new("t.yaml"), TEXT).unwrap();
        let report = Report::new(&document);
        assert!(Rc::ptr_eq(&report.compiled, &report.beside().compiled));
    }
}
