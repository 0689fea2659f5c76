//! A description in several files becomes one: what `$ref` names in another file is read when the
//! description is, and stands below a key of its own from then on. Nothing is read later, and
//! never from a network.
//!
//! What stays true: only relative paths are followed, and none leads out of the directory of the
//! description; every file is read once, so that files may refer to each other in a circle.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Position};
use crate::policy::contract::openapi::yaml::{self, Tree, push_token};

/// Where the other files stand in the tree.
const KEY: &str = "x-files";

/// Most files of one description, and bytes of all others together.
const FILES: usize = 256;
const BYTES: usize = yaml::TEXT;

/// Values that may hold anything: a `$ref` in them refers to nothing.
const OPAQUE: [&str; 5] = ["example", "examples", "default", "enum", "const"];

/// Reads the text of a file below the directory of the description, by its relative path.
pub type Open<'o> = &'o dyn Fn(&str) -> Result<String, String>;

/// The other files of a description, by the pointer to where they stand.
pub type Parts = Vec<(String, PathBuf)>;

struct Bundle<'o> {
    open: Open<'o>,
    /// The description's own file.
    file: &'o Path,
    /// Relative paths in the order in which they came up, and their trees.
    names: Vec<String>,
    trees: Vec<Tree>,
    bytes: usize,
    faults: Vec<Diagnostic>,
}

/// Takes all other files into the tree of the description.
pub fn bundle(tree: &mut Tree, file: &Path, open: Open<'_>) -> Result<Parts, Vec<Diagnostic>> {
    let mut bundle = Bundle {
        open,
        file,
        names: Vec::new(),
        trees: Vec::new(),
        bytes: 0,
        faults: Vec::new(),
    };
    bundle.follow(tree, "");
    // Grows while it is walked.
    let mut at = 0;
    while at < bundle.trees.len() {
        let mut tree = std::mem::take(&mut bundle.trees[at]);
        let name = bundle.names[at].clone();
        bundle.follow(&mut tree, &name);
        bundle.trees[at] = tree;
        at += 1;
    }
    if !bundle.faults.is_empty() {
        return Err(bundle.faults);
    }
    if bundle.names.is_empty() {
        return Ok(Parts::new());
    }
    let mut parts = Parts::new();
    let mut files = serde_json::Map::new();
    for (name, other) in bundle.names.iter().zip(bundle.trees) {
        let place = place(name);
        for (pointer, position) in other.positions {
            tree.positions.insert(format!("{place}{pointer}"), position);
        }
        for (pointer, number) in other.numbers {
            tree.numbers.insert(format!("{place}{pointer}"), number);
        }
        files.insert(name.clone(), other.root);
        parts.push((place, beside(file, name)));
    }
    tree.root[KEY] = Value::Object(files);
    Ok(parts)
}

impl Bundle<'_> {
    /// Rewrites the references of one file, whose path relative to the description is `name`.
    fn follow(&mut self, tree: &mut Tree, name: &str) {
        let mut root = std::mem::take(&mut tree.root);
        self.value(&mut root, &mut String::new(), (tree, name));
        tree.root = root;
    }

    fn value(&mut self, value: &mut Value, pointer: &mut String, from: (&Tree, &str)) {
        let length = pointer.len();
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    push_token(pointer, key);
                    match value {
                        Value::String(text) if key == "$ref" => {
                            self.reference(text, pointer, from);
                        }
                        _ if OPAQUE.contains(&key.as_str()) || key.starts_with("x-") => {}
                        value => self.value(value, pointer, from),
                    }
                    pointer.truncate(length);
                }
            }
            Value::Array(list) => {
                for (at, value) in list.iter_mut().enumerate() {
                    push_token(pointer, &at.to_string());
                    self.value(value, pointer, from);
                    pointer.truncate(length);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// One reference: to the place where what it names will stand.
    fn reference(&mut self, text: &mut String, pointer: &str, (tree, name): (&Tree, &str)) {
        let (path, fragment) = text.split_once('#').unwrap_or((text, ""));
        let target = match path {
            "" if name.is_empty() => return,
            "" => Ok(name.to_owned()),
            path => relative(name, path),
        };
        let target = target.and_then(|target| self.load(&target).map(|()| target));
        match target {
            // Back to the description itself.
            Ok(target) if self.is_own(&target) => *text = format!("#{fragment}"),
            Ok(target) => *text = format!("#{}{fragment}", place(&target)),
            Err(message) => {
                let position = tree.positions.get(pointer).copied();
                let own = beside(self.file, name);
                let position = position.unwrap_or(Position { line: 1, column: 1 });
                let fault = Diagnostic::new(own, position, message).at(pointer);
                let hint = "name a file below the directory of the description, as in `parts/common.yaml#/Name`";
                self.faults.push(fault.with_hint(hint));
            }
        }
    }

    fn is_own(&self, target: &str) -> bool {
        self.file.file_name().is_some_and(|own| own == target)
    }

    fn load(&mut self, target: &str) -> Result<(), String> {
        if self.is_own(target) || self.names.iter().any(|name| name == target) {
            return Ok(());
        }
        if self.names.len() == FILES {
            return Err(format!("the description is in more than {FILES} files"));
        }
        let text = (self.open)(target)?;
        self.bytes += text.len();
        if self.bytes > BYTES {
            return Err(format!("the other files have more than {BYTES} bytes"));
        }
        let tree = yaml::read(&text).unwrap_or_else(|faults| {
            let file = beside(self.file, target);
            let told = faults.into_iter().map(|fault| {
                Diagnostic::new(&file, fault.position, fault.message).with_hint(fault.hint)
            });
            self.faults.extend(told);
            Tree::default()
        });
        self.names.push(target.to_owned());
        self.trees.push(tree);
        Ok(())
    }
}

/// The pointer to a file by its name.
fn place(name: &str) -> String {
    let mut pointer = format!("/{KEY}");
    push_token(&mut pointer, name);
    pointer
}

fn beside(file: &Path, name: &str) -> PathBuf {
    match name {
        "" => file.to_owned(),
        name => file.parent().unwrap_or(Path::new("")).join(name),
    }
}

/// A path as it stands in a file, relative to the description.
fn relative(from: &str, path: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if path.contains("://") || path.starts_with('/') || !path.bytes().all(is_plain) {
        return Err(format!("`{path}` is no relative path to a file"));
    }
    let directory = from.rsplit_once('/').map(|(directory, _)| directory);
    let mut steps: Vec<&str> = directory.map_or(Vec::new(), |text| text.split('/').collect());
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                let outside = || format!("`{path}` leads out of the directory of the description");
                steps.pop().ok_or_else(outside)?;
            }
            step => steps.push(step),
        }
    }
    Ok(steps.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::contract::openapi::Document;
    use crate::policy::contract::schema::{Schema, Scratch};

    const ROOT: &str = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\nservers: [{url: https://a.example}]\npaths:\n  /a:\n    post:\n      operationId: a\n      requestBody:\n        content:\n          application/json:\n            schema: {$ref: 'parts/order.yaml'}\n      responses: {'200': {$ref: 'parts/answers.yaml#/Done'}}\n";

    fn open(name: &str) -> Result<String, String> {
        let text = match name {
            "parts/order.yaml" => {
                "type: object\nrequired: [item]\nproperties:\n  item: {$ref: 'deep/item.yaml#/$defs/Item'}\n  next: {$ref: '#'}\n  again: {$ref: 'order.yaml'}\n"
            }
            "parts/deep/item.yaml" => {
                "$defs:\n  Item: {type: integer, maximum: 5, example: {$ref: 'nowhere.yaml'}}\n  Order: {$ref: '../order.yaml'}\n"
            }
            "parts/answers.yaml" => "Done: {description: Done}\n",
            other => return Err(format!("{other} is not there")),
        };
        Ok(text.to_owned())
    }

    #[test]
    fn a_description_may_be_in_several_files_that_refer_to_each_other() {
        let document = Document::read_with(Path::new("api/root.yaml"), ROOT, &open).unwrap();
        assert_eq!(document.operations().unwrap().len(), 1);
        let mut scratch = Scratch::default();
        let pointer = "/paths/~1a/post/requestBody/content/application~1json/schema";
        let body = Schema::compile(&document.tree.root, pointer, document.dialect).unwrap();
        for (text, holds) in [
            (r#"{"item":5}"#, true),
            (r#"{"item":6}"#, false),
            (r#"{"item":1,"next":{"item":2,"again":{"item":3}}}"#, true),
            (
                r#"{"item":1,"next":{"item":2,"again":{"item":"x"}}}"#,
                false,
            ),
        ] {
            assert_eq!(
                body.check(text.as_bytes(), &mut scratch).is_ok(),
                holds,
                "{text}"
            );
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused_with_its_place() {
        for (reference, told) in [
            ("https://a.example/x.yaml", "no relative path"),
            ("//a.example/x.yaml", "no relative path"),
            ("file:x.yaml", "no relative path"),
            ("/etc/x.yaml", "no relative path"),
            ("../x.yaml", "leads out"),
            ("parts/../../x.yaml", "leads out"),
            ("parts/%2e%2e/x.yaml", "no relative path"),
            ("parts/none.yaml", "is not there"),
        ] {
            let text = ROOT.replace("parts/order.yaml", reference);
            let faults = Document::read_with(Path::new("root.yaml"), &text, &open).unwrap_err();
            assert_eq!(faults.len(), 1, "{reference}");
            assert!(faults[0].message.contains(told), "{reference} {faults:?}");
            assert_eq!(faults[0].position.line, 11);
        }
    }

    #[test]
    fn faults_in_other_files_are_told_with_their_file() {
        let open = |name: &str| match name {
            "parts/order.yaml" => {
                Ok("type: object\nproperties:\n  a: {type: strange}\n".to_owned())
            }
            other => open(other),
        };
        let document = Document::read_with(Path::new("api/root.yaml"), ROOT, &open).unwrap();
        let faults = document.operations().err().unwrap();
        assert_eq!(faults[0].file, Path::new("api/parts/order.yaml"));
        assert_eq!(faults[0].position.line, 3);
        let broken = |_: &str| Ok("a: [\n".to_owned());
        let faults = Document::read_with(Path::new("api/root.yaml"), ROOT, &broken).unwrap_err();
        assert_eq!(faults[0].file, Path::new("api/parts/order.yaml"));
    }
}
