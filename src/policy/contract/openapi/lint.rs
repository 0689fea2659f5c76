//! What a document leaves open: read off its schemas as they stand, from the operations down, each
//! schema once however often it is referred to.
//!
//! Bounds are asked for where values come in, as they cost the gateway and the backend something;
//! what is open or impossible is told in both directions.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::policy::contract::lint::Lint;
use crate::policy::contract::media_type::MediaType;
use crate::policy::contract::openapi::node::{Node, lookup};
use crate::policy::contract::openapi::{Document, Operation};
use crate::policy::contract::schema::Direction;
use crate::policy::route::Segment;
use crate::proto::header::Kind;
use crate::proto::limits::SEGMENTS;

/// Deepest nesting of schemas and references that is looked through.
const DEPTH: usize = 64;

/// Keywords that say nothing about what a value is.
const SILENT: [&str; 15] = [
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "externalDocs",
    "xml",
    "$comment",
    "readOnly",
    "writeOnly",
    "nullable",
    "$id",
    "$anchor",
    "$schema",
];

/// Keywords that give a schema its type from elsewhere.
const BORROWED: [&str; 7] = [
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "enum",
    "const",
];

/// Formats that set no bound to a text.
const UNBOUNDED_FORMATS: [&str; 3] = ["password", "binary", "byte"];

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
    seen: HashSet<(String, bool, Part)>,
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
                self.schema(schema, Direction::Request, Part::Whole, 0);
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
            let response = self.resolve(response);
            if let Some(content) = response.and_then(|response| response.member("content")) {
                self.content(&content, Direction::Response);
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
                        self.schema(schema, direction, Part::Whole, 0);
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

    fn schema(&mut self, node: Node<'d>, direction: Direction, part: Part, depth: usize) {
        if depth > DEPTH {
            return;
        }
        let is_request = direction == Direction::Request;
        if !self.seen.insert((node.pointer.clone(), is_request, part)) {
            return;
        }
        if *node.value == Value::Bool(true) && part == Part::Whole {
            let message = "any value passes";
            self.tell(
                Lint::OpenSchema,
                &node.pointer,
                message,
                "describe what is meant",
            );
        }
        if !node.value.is_object() {
            return;
        }
        if let Some(reference) = node.value.get("$ref").and_then(Value::as_str)
            && let Ok(target) = lookup(&self.document.tree.root, reference)
        {
            // What stands beside it may say what the target leaves open.
            let is_alone = node
                .declared()
                .all(|(name, _)| name == "$ref" || is_silent(name));
            let whole = if is_alone { part } else { Part::One };
            self.schema(target, direction, whole, depth + 1);
            if is_alone {
                return;
            }
        }
        let types = Types::of(&node);
        self.impossible(&node);
        self.closed(&node);
        if part == Part::Whole {
            self.open(&node, types);
            if is_request {
                self.unbounded(&node, types);
            }
        }
        self.below(&node, direction, part, types, depth);
    }

    fn below(
        &mut self,
        node: &Node<'d>,
        direction: Direction,
        part: Part,
        types: Types,
        depth: usize,
    ) {
        let barred = match direction {
            Direction::Request => "readOnly",
            Direction::Response | Direction::Neither => "writeOnly",
        };
        for key in ["properties", "patternProperties", "dependentSchemas"] {
            for (_, member) in node.member(key).iter().flat_map(Node::members) {
                if member.value.get(barred) != Some(&Value::Bool(true)) {
                    let whole = if key == "dependentSchemas" {
                        Part::One
                    } else {
                        Part::Whole
                    };
                    self.schema(member, direction, whole, depth + 1);
                }
            }
        }
        for key in [
            "additionalProperties",
            "items",
            "unevaluatedProperties",
            "unevaluatedItems",
        ] {
            if let Some(member) = node.member(key).filter(|member| member.value.is_object()) {
                self.schema(member, direction, Part::Whole, depth + 1);
            }
        }
        for item in node.member("prefixItems").iter().flat_map(Node::items) {
            self.schema(item, direction, Part::Whole, depth + 1);
        }
        // A choice says all there is to say where nothing is said beside it.
        let choice = match types.any() {
            true => Part::One,
            false => part,
        };
        for (key, whole) in [("allOf", Part::One), ("anyOf", choice), ("oneOf", choice)] {
            for item in node.member(key).iter().flat_map(Node::items) {
                self.schema(item, direction, whole, depth + 1);
            }
        }
        for key in ["if", "then", "else", "not", "contains"] {
            if let Some(member) = node.member(key) {
                self.schema(member, direction, Part::One, depth + 1);
            }
        }
    }

    /// Types and members that nobody bounds.
    fn open(&mut self, node: &Node<'d>, types: Types) {
        let has = |name: &str| node.value.get(name).is_some();
        let pointer = &node.pointer;
        if !types.any() && !BORROWED.iter().any(|name| has(name)) {
            let is_empty = node.declared().all(|(name, _)| is_silent(name));
            let (message, hint) = match is_empty {
                true => ("any value passes", "describe what is meant"),
                false => ("without a `type`, values of other types pass", "add `type`"),
            };
            self.tell(Lint::OpenSchema, pointer, message, hint);
        }
        if types.array && !has("items") && !has("prefixItems") && !has("unevaluatedItems") {
            let hint = "add `items`";
            self.tell(Lint::OpenSchema, pointer, "items of any kind pass", hint);
        }
        let is_open = |name: &str| matches!(node.value.get(name), None | Some(Value::Bool(true)));
        let is_object = types.object || has("properties");
        if is_object && is_open("additionalProperties") && is_open("unevaluatedProperties") {
            let hint = match has("allOf") {
                true => "add `unevaluatedProperties: false`",
                false => "add `additionalProperties: false`",
            };
            self.tell(Lint::OpenObject, pointer, "members of any name pass", hint);
        }
    }

    fn unbounded(&mut self, node: &Node<'d>, types: Types) {
        let has = |name: &str| node.value.get(name).is_some();
        if has("enum") || has("const") || has("allOf") {
            return;
        }
        let pointer = &node.pointer;
        let format = node.value["format"].as_str().unwrap_or("binary");
        let bounds = ["maxLength", "pattern"];
        if types.string
            && !bounds.iter().any(|name| has(name))
            && UNBOUNDED_FORMATS.contains(&format)
        {
            let hint = "add `maxLength`, `pattern`, `enum` or a `format`";
            self.tell(
                Lint::UnboundedString,
                pointer,
                "a text of any length passes",
                hint,
            );
        }
        if types.array && !has("maxItems") {
            self.tell(
                Lint::UnboundedArray,
                pointer,
                "a list of any length passes",
                "add `maxItems`",
            );
        }
        let least = has("minimum") || has("exclusiveMinimum");
        let most = has("maximum") || has("exclusiveMaximum");
        let is_sized = matches!(format, "int32" | "int64");
        if types.number && !is_sized && !(least && most) {
            let message = match (least, most) {
                (true, _) => "numbers of any size pass: there is no `maximum`",
                (_, true) => "numbers of any size pass: there is no `minimum`",
                _ => "numbers of any size pass",
            };
            let hint = "add `minimum` and `maximum`, or format: int32 or int64";
            self.tell(Lint::UnboundedNumber, pointer, message, hint);
        }
    }

    /// Keywords that contradict each other.
    fn impossible(&mut self, node: &Node<'d>) {
        let number = |name: &str| node.value.get(name).and_then(Value::as_f64);
        for (least, most) in [
            ("minLength", "maxLength"),
            ("minItems", "maxItems"),
            ("minProperties", "maxProperties"),
            ("minimum", "maximum"),
            ("exclusiveMinimum", "maximum"),
            ("minimum", "exclusiveMaximum"),
        ] {
            let (Some(low), Some(high)) = (number(least), number(most)) else {
                continue;
            };
            if low > high {
                let message = format!("nothing matches: `{least}` is above `{most}`");
                self.tell(
                    Lint::ImpossibleSchema,
                    &node.pointer,
                    message,
                    "correct one of them",
                );
            }
        }
        if node.value["enum"].as_array().is_some_and(Vec::is_empty) {
            let message = "nothing matches: the enum is empty";
            self.tell(
                Lint::ImpossibleSchema,
                &node.pointer,
                message,
                "list its values",
            );
        }
        let is_closed = node.value["additionalProperties"] == false
            && node.value.get("patternProperties").is_none();
        let required = node.value["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|_| is_closed) {
            if node.value["properties"].get(name).is_none() {
                let message = format!("nothing matches: `{name}` is required and not declared");
                let hint = "declare it in `properties`";
                self.tell(Lint::ImpossibleSchema, &node.pointer, message, hint);
            }
        }
    }

    /// `additionalProperties` sees `properties` beside it and nothing else.
    fn closed(&mut self, node: &Node<'d>) {
        let Some(parts) = node.member("allOf") else {
            return;
        };
        const MESSAGE: &str = "members that the other parts of `allOf` declare are refused here";
        const HINT: &str = "write `unevaluatedProperties: false` beside `allOf` instead";
        let parts: Vec<Node<'d>> = parts
            .items()
            .filter_map(|part| self.resolve(part))
            .collect();
        let says = |node: &Node<'d>| node.value.get("properties").is_some();
        if node.value["additionalProperties"] == false && parts.iter().any(says) {
            self.tell(Lint::ClosedBesideAllOf, &node.pointer, MESSAGE, HINT);
        }
        let speaking = parts.iter().filter(|part| says(part)).count() + usize::from(says(node));
        for part in parts.iter().filter(|_| speaking > 1) {
            if part.value["additionalProperties"] == false {
                self.tell(Lint::ClosedBesideAllOf, &part.pointer, MESSAGE, HINT);
            }
        }
    }
}

/// The types that a schema itself names.
#[derive(Clone, Copy, Default)]
struct Types {
    object: bool,
    array: bool,
    string: bool,
    number: bool,
    other: bool,
}

impl Types {
    fn of(node: &Node<'_>) -> Types {
        let mut types = Types::default();
        let names = match &node.value["type"] {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            Value::String(name) => vec![name.as_str()],
            _ => Vec::new(),
        };
        for name in names {
            match name {
                "object" => types.object = true,
                "array" => types.array = true,
                "string" => types.string = true,
                "number" | "integer" => types.number = true,
                _ => types.other = true,
            }
        }
        types
    }

    fn any(self) -> bool {
        self.object || self.array || self.string || self.number || self.other
    }
}

fn is_silent(name: &str) -> bool {
    SILENT.contains(&name) || name.starts_with("x-")
}

/// A template whose parameters have no names, so that equal ones are equal.
fn nameless(path: &[Segment]) -> Vec<Segment> {
    let segments = path.iter().map(|segment| match segment {
        Segment::Parameter(_) => Segment::Parameter("".into()),
        Segment::Literal(_) | Segment::Rest => segment.clone(),
    });
    segments.collect()
}
