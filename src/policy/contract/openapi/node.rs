//! Walking a document: a value with its pointer, and the list of what is wrong with it.

use std::rc::Rc;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, distance};
use crate::policy::contract::lint::Lint;
use crate::policy::contract::openapi::Document;
use crate::policy::contract::openapi::compiled::Compiled;
use crate::policy::contract::openapi::lint::Found;
use crate::policy::contract::openapi::yaml::push_token;
use crate::policy::contract::schema::{SchemaError, SchemaLint, VIEW_KEYWORDS, meant};

/// Longest chain of references before it counts as a loop.
const HOPS: usize = 16;

/// A value of the document and the way to it.
#[derive(Clone, Debug)]
pub struct Node<'d> {
    /// JSON pointer (RFC 6901).
    pub pointer: String,
    pub value: &'d Value,
}

impl<'d> Node<'d> {
    pub fn member(&self, name: &str) -> Option<Node<'d>> {
        let value = self.value.get(name)?;
        let mut pointer = self.pointer.clone();
        push_token(&mut pointer, name);
        Some(Node { pointer, value })
    }

    /// The members of a mapping with their names; none of anything else.
    pub fn members(&self) -> impl Iterator<Item = (&'d str, Node<'d>)> {
        let members = self.value.as_object().into_iter().flatten();
        members.map(|(name, value)| {
            let mut pointer = self.pointer.clone();
            push_token(&mut pointer, name);
            (name.as_str(), Node { pointer, value })
        })
    }

    /// The members that are no extensions (`x-...`).
    pub fn declared(&self) -> impl Iterator<Item = (&'d str, Node<'d>)> {
        self.members().filter(|(name, _)| !name.starts_with("x-"))
    }

    /// The items of a sequence; none of anything else.
    pub fn items(&self) -> impl Iterator<Item = Node<'d>> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| Node {
            pointer: format!("{}/{index}", self.pointer),
            value,
        })
    }
}

/// What is wrong with a document, found so far.
pub struct Report<'d> {
    pub document: &'d Document,
    pub compiled: Rc<Compiled>,
    found: Vec<Diagnostic>,
    notes: Vec<Found>,
}

impl<'d> Report<'d> {
    pub fn new(document: &'d Document) -> Report<'d> {
        Report {
            document,
            compiled: Rc::new(Compiled::of(&document.tree.root)),
            found: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Another report on the same document, with the schemas that this one has compiled.
    pub fn beside(&self) -> Report<'d> {
        Report {
            document: self.document,
            compiled: Rc::clone(&self.compiled),
            found: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// How much was found so far.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// What was found since there was so much, each thing once; it is the operation's now.
    pub fn take(&mut self, since: usize) -> (Vec<Diagnostic>, Vec<Found>) {
        let found = sorted(self.found.split_off(since));
        (found, std::mem::take(&mut self.notes))
    }

    /// Something that a schema says without effect.
    pub fn note(&mut self, noted: &SchemaLint) {
        let SchemaLint { lint, said } = noted;
        let position = self.document.position(&said.pointer);
        let mut diagnostic = Diagnostic::new(
            self.document.file(&said.pointer),
            position,
            said.message.clone(),
        )
        .at(&said.pointer);
        diagnostic.hint = said.hint.clone();
        self.notes.push(Found {
            lint: *lint,
            diagnostic,
        });
    }

    /// `value`, unless something is wrong. In the order of the file, each thing once.
    pub fn settle<T>(self, value: T) -> Result<T, Vec<Diagnostic>> {
        match self.found.is_empty() {
            true => Ok(value),
            false => Err(sorted(self.found)),
        }
    }

    /// Puts back what was taken and is nobody's.
    pub fn extend(&mut self, found: Vec<Diagnostic>) {
        self.found.extend(found);
    }

    pub fn error(&mut self, node: &Node<'_>, message: impl Into<String>, hint: impl Into<String>) {
        self.at(&node.pointer, message.into(), Some(hint.into()));
    }

    /// An error at a pointer.
    pub fn at(&mut self, pointer: &str, message: String, hint: Option<String>) {
        let position = self.document.position(pointer);
        let mut diagnostic =
            Diagnostic::new(self.document.file(pointer), position, message).at(pointer);
        diagnostic.hint = hint;
        self.found.push(diagnostic);
    }

    /// Whether `node` is a mapping with known keys only; `what` it is goes into the message.
    pub fn mapping(&mut self, node: &Node<'_>, what: &str, known: &[&str]) -> bool {
        if !node.value.is_object() {
            let message = format!("{what} must be a mapping");
            self.error(node, message, "write `key: value` below it");
            return false;
        }
        for (name, member) in node.declared() {
            if !known.contains(&name) {
                let hint = match nearest(name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("{what} has: {}", known.join(", ")),
                };
                self.error(&member, format!("unknown key `{name}` in {what}"), hint);
            }
        }
        self.misplaced(node, what);
        true
    }

    /// Keywords of schemas that stand elsewhere, where they would take nothing out.
    fn misplaced(&mut self, node: &Node<'_>, what: &str) {
        for (name, member) in node.members() {
            if VIEW_KEYWORDS.contains(&name) || name.starts_with("x-") && meant(name).is_some() {
                let said = SchemaError {
                    pointer: member.pointer,
                    message: format!("`{name}` has no effect on {what}"),
                    hint: Some(format!(
                        "write `{}` into the schema of a member of a response",
                        meant(name).unwrap_or(name)
                    )),
                };
                let lint = Lint::UnknownKeyword;
                self.note(&SchemaLint { lint, said });
            }
        }
    }

    /// Whether `node` is a mapping with any keys.
    pub fn is_mapping(&mut self, node: &Node<'_>, what: &str) -> bool {
        if !node.value.is_object() {
            let message = format!("{what} must be a mapping");
            self.error(node, message, "write `key: value` below it");
        }
        node.value.is_object()
    }

    /// Whether `node` is a sequence.
    pub fn is_sequence(&mut self, node: &Node<'_>, what: &str) -> bool {
        if !node.value.is_array() {
            let message = format!("{what} must be a list");
            self.error(node, message, "write `- item` below it");
        }
        node.value.is_array()
    }

    /// A member that must be a text where it is present.
    pub fn text(&mut self, node: &Node<'d>, name: &str) -> Option<&'d str> {
        let member = node.member(name)?;
        let text = member.value.as_str();
        if text.is_none() {
            self.error(&member, format!("`{name}` must be a text"), "quote it");
        }
        text
    }

    /// A text that has to be there.
    pub fn required_text(&mut self, node: &Node<'d>, what: &str, name: &str) -> Option<&'d str> {
        if node.member(name).is_none() {
            let message = format!("{what} has no `{name}`");
            self.error(node, message, format!("add `{name}`"));
        }
        self.text(node, name)
    }

    /// A member that must be `true` or `false` where it is present.
    pub fn flag(&mut self, node: &Node<'_>, name: &str) -> Option<bool> {
        let member = node.member(name)?;
        let flag = member.value.as_bool();
        if flag.is_none() {
            let message = format!("`{name}` must be true or false");
            self.error(&member, message, "write it without quotes");
        }
        flag
    }

    /// Follows `$ref` to what it names in this document.
    pub fn resolve(&mut self, node: Node<'d>) -> Option<Node<'d>> {
        let mut at = node;
        for _ in 0..HOPS {
            let Some(reference) = at.member("$ref") else {
                return Some(at);
            };
            for (name, sibling) in at.declared() {
                if !matches!(name, "$ref" | "summary" | "description") {
                    let message = format!("`{name}` beside `$ref` has no effect");
                    self.error(&sibling, message, "move it to what `$ref` names");
                }
            }
            at = self.follow(&reference)?;
        }
        self.error(
            &at,
            "a reference that leads to itself",
            "name the object itself",
        );
        None
    }

    fn follow(&mut self, reference: &Node<'d>) -> Option<Node<'d>> {
        let found = match reference.value.as_str() {
            Some(text) => lookup(&self.document.tree.root, text),
            None => Err("`$ref` must be a text".to_owned()),
        };
        found
            .map_err(|message| {
                let hint = "write `#/components/...`, or name a file beside this one";
                self.error(reference, message, hint);
            })
            .ok()
    }
}

/// In the order of the file. Parameters of a path are read once for each of its operations.
pub fn sorted(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by(|a, b| (a.position, &a.message).cmp(&(b.position, &b.message)));
    found.dedup();
    found
}

/// What `#/...` names: a JSON pointer in a URI fragment (RFC 6901 section 6).
pub fn lookup<'d>(root: &'d Value, reference: &str) -> Result<Node<'d>, String> {
    let Some(fragment) = reference.strip_prefix('#') else {
        return Err(format!("`{reference}` is not in this file"));
    };
    let nothing = || format!("`{reference}` names nothing");
    let pointer = percent_decode(fragment).ok_or_else(nothing)?;
    let value = root.pointer(&pointer).ok_or_else(nothing)?;
    Ok(Node { pointer, value })
}

fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()? << 4 | digit()?;
        decoded.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(decoded).ok()
}

/// The known name that a mistyped one is closest to.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let ranked = known.iter().map(|&known| (distance(name, known), known));
    let (distance, near) = ranked.min()?;
    (distance <= 2 && distance < near.len().min(name.len())).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mistyped_name_finds_its_neighbour() {
        let known = ["operationId", "parameters", "get", "in"];
        assert_eq!(nearest("operatonID", &known), Some("operationId"));
        assert_eq!(nearest("parameter", &known), Some("parameters"));
        assert_eq!(nearest("gett", &known), Some("get"));
        assert_eq!(nearest("completely", &known), None);
        assert_eq!(nearest("xy", &known), None);
        assert_eq!(nearest("", &known), None);
    }

    #[test]
    fn references_are_pointers_into_this_document() {
        let root = json!({"a/b": {"c d": 1, "~": 2}});
        assert_eq!(lookup(&root, "#/a~1b/c%20d").unwrap().value, &json!(1));
        assert_eq!(lookup(&root, "#/a~1b/~0").unwrap().value, &json!(2));
        for bad in [
            "other.yaml#/a",
            "/a",
            "#/a",
            "#a",
            "#/a~1b/%",
            "#/%ff",
            "https://x/y",
        ] {
            assert!(lookup(&root, bad).is_err(), "{bad}");
        }
    }
}
