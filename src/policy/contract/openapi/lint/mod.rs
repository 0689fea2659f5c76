//! What a document leaves open: read off its schemas as they stand, from the operations down, each
//! place once however often it is referred to.
//!
//! A value is judged by all that is said of it: what a schema refers to, what `allOf` joins and what
//! stands around a choice. Bounds are asked for where values come in, as they cost the gateway and
//! the backend something; what is open or impossible is told in both directions.

mod alone;
mod bounds;
mod parts;
mod value;

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::policy::contract::lint::Lint;
use crate::policy::contract::media_type::MediaType;
use crate::policy::contract::openapi::lint::bounds::Said;
use crate::policy::contract::openapi::lint::parts::Parts;
use crate::policy::contract::openapi::node::{Node, lookup};
use crate::policy::contract::openapi::{Document, Operation};
use crate::policy::contract::schema::Direction;
use crate::policy::route::Segment;
use crate::proto::header::Kind;
use crate::proto::limits::SEGMENTS;

/// Deepest nesting of schemas and references that is looked through.
const DEPTH: usize = 64;

/// A finding with its place.
#[derive(Clone, Debug)]
pub struct Found {
    pub lint: Lint,
    pub diagnostic: Diagnostic,
}

/// Everything that is open in the operations of a document.
pub fn read(document: &Document, operations: &[Operation]) -> Vec<Found> {
    let mut linter = Linter {
        document,
        seen: HashSet::new(),
        alone: HashSet::new(),
        said: HashMap::new(),
        told: BTreeSet::new(),
        found: Vec::new(),
    };
    let templates: HashSet<Vec<Segment>> = operations
        .iter()
        .map(|operation| nameless(&operation.template))
        .collect();
    for operation in operations {
        linter.operation(operation, &templates);
    }
    linter.found
}

/// How much of what is said of a value a schema is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Whole,
    /// Others apply to the same value.
    One,
}

struct Linter<'d> {
    document: &'d Document,
    /// Values that were looked at: the schemas that apply to them, how many of these stand around,
    /// whether they come in, and how much is said of them.
    seen: HashSet<(Vec<usize>, usize, bool, Part)>,
    /// Schemas that were looked at on their own.
    alone: HashSet<usize>,
    /// What single schemas say of the bounds of a value.
    said: HashMap<usize, Said>,
    told: BTreeSet<(String, Lint)>,
    found: Vec<Found>,
}

impl<'d> Linter<'d> {
    fn tell(&mut self, lint: Lint, pointer: &str, message: impl Into<String>, hint: &str) {
        if !self.told.insert((pointer.to_owned(), lint)) {
            return;
        }
        let position = self.document.position(pointer);
        let diagnostic = Diagnostic::new(self.document.file(pointer), position, message);
        let diagnostic = diagnostic.with_hint(hint).at(pointer);
        self.found.push(Found { lint, diagnostic });
    }

    /// What a reference leads to; nothing where it leads nowhere, which is told as an error.
    fn resolve(&self, node: Node<'d>) -> Option<Node<'d>> {
        let mut at = node;
        for _ in 0..DEPTH {
            let Some(reference) = at.value.get("$ref").and_then(Value::as_str) else {
                return Some(at);
            };
            at = lookup(&self.document.tree.root, reference).ok()?;
        }
        None
    }

    fn operation(&mut self, operation: &Operation, templates: &HashSet<Vec<Segment>>) {
        let Some(node) = self.node(&operation.pointer) else {
            return;
        };
        let parent = operation
            .pointer
            .rsplit_once('/')
            .map_or("", |(parent, _)| parent);
        let parameters: Vec<Node<'d>> = [Some(node.clone()), self.node(parent)]
            .into_iter()
            .flatten()
            .filter_map(|owner| owner.member("parameters"))
            .flat_map(|list| list.items().collect::<Vec<_>>())
            .filter_map(|parameter| self.resolve(parameter))
            .collect();
        for parameter in &parameters {
            if let Some(schema) = parameter.member("schema") {
                self.schema(schema, Direction::Request);
            }
            if let Some(content) = parameter.member("content") {
                self.content(&content, Direction::Request);
            }
            self.unsendable(&operation.pointer, parameter);
        }
        self.unreachable(operation, templates, &parameters);
        let body = node
            .member("requestBody")
            .and_then(|body| self.resolve(body));
        if let Some(content) = body.and_then(|body| body.member("content")) {
            self.content(&content, Direction::Request);
        }
        self.responses(&operation.pointer, &node);
    }

    fn node(&self, pointer: &str) -> Option<Node<'d>> {
        let value = self.document.tree.root.pointer(pointer)?;
        Some(Node {
            pointer: pointer.to_owned(),
            value,
        })
    }

    /// A header that must be there and ends at the gateway.
    fn unsendable(&mut self, operation: &str, parameter: &Node<'d>) {
        let text = |name: &str| parameter.value.get(name).and_then(Value::as_str);
        let is_required = parameter.value["required"] == true;
        let name = text("name").unwrap_or_default();
        if text("in") == Some("header") && is_required && Kind::of(name.as_bytes()).is_hop_by_hop()
        {
            let message = format!("the header `{name}` is required and never reaches the backend");
            self.tell(
                Lint::UnreachableOperation,
                operation,
                message,
                "remove the parameter",
            );
        }
    }

    fn unreachable(
        &mut self,
        operation: &Operation,
        templates: &HashSet<Vec<Segment>>,
        parameters: &[Node<'d>],
    ) {
        let pointer = &operation.pointer;
        if operation.template.len() > SEGMENTS {
            let message = format!("a path has at most {SEGMENTS} segments");
            self.tell(
                Lint::UnreachableOperation,
                pointer,
                message,
                "shorten the path",
            );
        }
        for (index, segment) in operation.template.iter().enumerate() {
            let Segment::Parameter(name) = segment else {
                continue;
            };
            let mut declared = parameters.iter();
            let declared = declared.find(|parameter| {
                parameter.value["in"] == "path" && parameter.value["name"] == **name
            });
            let schema = declared.and_then(|parameter| parameter.member("schema"));
            let schema = schema.and_then(|schema| self.resolve(schema));
            let values = schema.and_then(|schema| schema.value.get("enum")?.as_array());
            let Some(values) = values.filter(|values| !values.is_empty()) else {
                continue;
            };
            let is_shadowed = values.iter().all(|value| {
                let mut other = nameless(&operation.template);
                other[index] = Segment::Literal(value.as_str().unwrap_or_default().into());
                templates.contains(&other)
            });
            if is_shadowed {
                let message = format!("every value of `{name}` is a path of its own, which wins");
                let hint = "remove the operation, or the paths that shadow it";
                self.tell(Lint::UnreachableOperation, pointer, message, hint);
            }
        }
    }

    fn responses(&mut self, pointer: &str, operation: &Node<'d>) {
        let Some(responses) = operation.member("responses") else {
            let message = "the operation does not say what it answers";
            let hint = "add `responses`: without them nothing can be checked on its way out";
            self.tell(Lint::UndeclaredResponse, pointer, message, hint);
            return;
        };
        let has = |first: char| {
            responses
                .declared()
                .any(|(status, _)| status == "default" || status.starts_with(first))
        };
        if !has('2') && !has('3') {
            let message = "no answer of success is declared";
            let hint = "add \"200\", or what the backend answers";
            self.tell(Lint::UndeclaredResponse, &responses.pointer, message, hint);
        }
        if !has('4') {
            let message =
                "no error of the client is declared: what the backend says in one is taken out";
            self.tell(
                Lint::UndeclaredResponse,
                &responses.pointer,
                message,
                "add \"4XX\" or default with the errors that the backend answers",
            );
        }
        for (_, response) in responses.declared() {
            let Some(response) = self.resolve(response) else {
                continue;
            };
            if let Some(content) = response.member("content") {
                self.content(&content, Direction::Response);
            }
            let headers = response.member("headers");
            for (_, header) in headers.iter().flat_map(Node::members) {
                let header = self.resolve(header);
                if let Some(schema) = header.and_then(|header| header.member("schema")) {
                    self.schema(schema, Direction::Response);
                }
            }
        }
    }

    fn content(&mut self, content: &Node<'d>, direction: Direction) {
        for (name, media) in content.members() {
            let is_json = MediaType::read(name.as_bytes()).is_some_and(|read| read.is_json());
            match media.member("schema") {
                Some(schema) => {
                    let target = self.resolve(schema.clone());
                    let is_binary = target.is_some_and(|target| target.value["format"] == "binary");
                    if is_binary && !is_json {
                        self.unread(&media, name);
                    } else {
                        self.schema(schema, direction);
                    }
                }
                None if is_json => {
                    let hint = "add `schema`";
                    let message = "JSON without a schema: any value passes";
                    self.tell(Lint::OpenSchema, &media.pointer, message, hint);
                }
                None => self.unread(&media, name),
            }
        }
    }

    fn unread(&mut self, media: &Node<'d>, name: &str) {
        let message = format!("a body of `{name}` passes unread");
        let hint = "describe it, or let the WAF inspect it";
        self.tell(Lint::UncheckedContent, &media.pointer, message, hint);
    }

    fn schema(&mut self, node: Node<'d>, direction: Direction) {
        let parts = Parts::of(&self.document.tree.root, &[], [node]);
        self.value(&parts, direction, Part::Whole, 0);
    }
}

/// A template whose parameters have no names, so that equal ones are equal.
fn nameless(path: &[Segment]) -> Vec<Segment> {
    let segments = path.iter().map(|segment| match segment {
        Segment::Parameter(_) => Segment::Parameter("".into()),
        Segment::Literal(_) | Segment::Rest => segment.clone(),
    });
    segments.collect()
}
