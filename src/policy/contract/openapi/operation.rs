//! The operations of a document: its paths, their methods, and the names that hold it together.

use ahash::AHashMap;
use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::policy::contract::Contract;
use crate::policy::contract::accept::Produced;
use crate::policy::contract::openapi::lint::Found;
use crate::policy::contract::openapi::node::{Node, Report, lookup, sorted};
use crate::policy::contract::openapi::{
    DeclaredParameter, Document, Operation, content, parameter, response, security, server,
};
use crate::policy::contract::parameters::{Parameter, Parameters};
use crate::policy::contract::reading::Reading;
use crate::policy::contract::response::Responses;
use crate::policy::route::{Routes, Segment, TemplateError, template};

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

const PATH_ITEM: [&str; 13] = [
    "$ref",
    "summary",
    "description",
    "servers",
    "parameters",
    "get",
    "put",
    "post",
    "delete",
    "options",
    "head",
    "patch",
    "trace",
];

const OPERATION: [&str; 12] = [
    "operationId",
    "tags",
    "summary",
    "description",
    "externalDocs",
    "parameters",
    "requestBody",
    "responses",
    "callbacks",
    "deprecated",
    "security",
    "servers",
];

const ROOT: [&str; 10] = [
    "openapi",
    "info",
    "servers",
    "paths",
    "components",
    "security",
    "tags",
    "externalDocs",
    "webhooks",
    "jsonSchemaDialect",
];

const COMPONENTS: [&str; 10] = [
    "schemas",
    "responses",
    "parameters",
    "examples",
    "requestBodies",
    "headers",
    "securitySchemes",
    "links",
    "callbacks",
    "pathItems",
];

/// Longest `operationId`: it names metrics and log lines.
const ID: usize = 128;

/// The only schema dialect that is compiled (OpenAPI 3.1 "Schema Object").
const BASE_DIALECT: &str = "https://spec.openapis.org/oas/3.1/dialect/base";

/// The outermost keys.
pub fn check_outline(report: &mut Report<'_>) {
    let root = report.document.root();
    if !report.mapping(&root, "the document", &ROOT) {
        return;
    }
    if let Some(components) = root.member("components") {
        report.mapping(&components, "`components`", &COMPONENTS);
    }
    if let Some(dialect) = root.member("jsonSchemaDialect")
        && dialect.value != BASE_DIALECT
    {
        let message = "this schema dialect is not enforced";
        report.error(
            &dialect,
            message,
            format!("write `{BASE_DIALECT}` or remove the key"),
        );
    }
    match root.member("paths") {
        Some(paths) => {
            report.is_mapping(&paths, "`paths`");
        }
        None => {
            let message = "the document has no `paths`: it allows nothing";
            report.error(&root, message, "add `paths` with the operations of the API");
        }
    }
}

pub fn read(document: &Document, base: Option<&str>) -> Result<Vec<Operation>, Vec<Diagnostic>> {
    let mut reader = Reader {
        report: Report::new(document),
        base,
        ids: AHashMap::new(),
        routes: Routes::default(),
        operations: Vec::new(),
    };
    reader.paths(&document.root());
    let Reader {
        report,
        mut operations,
        ..
    } = reader;
    operations.sort_by_key(|operation| operation.position);
    let faults = operations.iter().flat_map(|each| each.faults.clone());
    let faults: Vec<Diagnostic> = faults.collect();
    report.settle(operations).map_err(|mut found| {
        found.extend(faults);
        sorted(found)
    })
}

struct Reader<'d> {
    report: Report<'d>,
    base: Option<&'d str>,
    /// The line of each `operationId`.
    ids: AHashMap<&'d str, usize>,
    routes: Routes,
    operations: Vec<Operation>,
}

/// Responses, or what is wrong with them.
type Declared = Result<Responses, Vec<Diagnostic>>;

/// What the operations of one path share.
struct Shared<'d> {
    item: Node<'d>,
    path: &'d str,
    base: String,
}

impl<'d> Reader<'d> {
    fn paths(&mut self, root: &Node<'d>) {
        let Some(paths) = root.member("paths") else {
            return;
        };
        let base = self.base_path(root, "");
        for (path, item) in paths.declared() {
            let before = self.report.len();
            let first = self.operations.len();
            if !path.starts_with('/') {
                let message = format!("the path `{path}` does not begin with `/`");
                self.report.error(&item, message, "add the slash");
                continue;
            }
            // A reference is judged where it stands, its target by its own keys.
            let Some(item) = self.report.resolve(item) else {
                continue;
            };
            if !self.report.mapping(&item, "a path item", &PATH_ITEM) {
                continue;
            }
            let base = self.base_path(&item, &base);
            let shared = Shared { item, path, base };
            // What is wrong with the path is wrong with each of its operations.
            let (faults, _) = self.report.take(before);
            for method in METHODS {
                if let Some(operation) = shared.item.member(method) {
                    self.operation(root, &shared, method, &operation);
                }
            }
            match self.operations.get_mut(first..) {
                Some([]) | None => self.report.extend(faults),
                Some(own) => own
                    .iter_mut()
                    .for_each(|own| own.faults.extend(faults.clone())),
            }
        }
        if self.operations.is_empty() {
            let message = "the document has no operation: it allows nothing";
            self.report
                .error(&paths, message, "add a method below a path");
        }
    }

    fn operation(&mut self, root: &Node<'d>, shared: &Shared<'d>, method: &str, at: &Node<'d>) {
        let before = self.report.len();
        if !self.report.mapping(at, "an operation", &OPERATION) {
            return;
        }
        let path = format!("{}{}", self.base_path(at, &shared.base), shared.path);
        let id = self.id(method, shared.path, at);
        let template = self.template(&path, method, at);
        let security = security::read(&mut self.report, root, at);
        let parameters = parameter::read(&mut self.report, &shared.item, at, template.as_deref());
        let template = template.unwrap_or_default();
        let body = content::read(&mut self.report, at, method);
        let (responses, mut notes) = self.responses(at);
        let (faults, own) = self.report.take(before);
        notes.extend(own);
        self.operations.push(Operation {
            id: id.unwrap_or_default(),
            pointer: at.pointer.clone(),
            faults,
            notes,
            method: method.to_ascii_uppercase(),
            path,
            position: self.report.document.position(&at.pointer),
            security,
            parameters: parameters.iter().map(DeclaredParameter::of).collect(),
            responses,
            contract: Contract::new(Parameters::new(parameters, &template), body)
                .with_produced(produced(&self.report.document.tree.root, at.value)),
            template,
        });
    }

    /// Where the configuration says it, servers are not asked.
    fn base_path(&mut self, node: &Node<'d>, inherited: &str) -> String {
        match self.base {
            Some(base) => base.trim_end_matches('/').to_owned(),
            None => server::base_path(&mut self.report, node, inherited),
        }
    }

    /// With a report of their own: they are no fault where responses are not checked.
    fn responses(&self, at: &Node<'d>) -> (Option<Declared>, Vec<Found>) {
        let mut report = self.report.beside();
        let read = response::read(&mut report, at);
        let (_, notes) = report.take(report.len());
        (report.settle(read).transpose(), notes)
    }

    /// Without an `operationId` the method and the path of the document, which no id can be.
    fn id(&mut self, method: &str, path: &str, operation: &Node<'d>) -> Option<String> {
        let Some(node) = operation.member("operationId") else {
            return Some(format!("{} {path}", method.to_ascii_uppercase()));
        };
        let id = self.report.text(operation, "operationId")?;
        let is_plain = id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"'\\`".contains(&byte));
        if id.is_empty() || id.len() > ID || !is_plain {
            let message = "`operationId` must name the operation in logs and configuration";
            let hint = format!("use up to {ID} letters, digits and punctuation without quotes");
            self.report.error(&node, message, hint);
        }
        let line = self.report.document.position(&node.pointer).line;
        if let Some(first) = self.ids.insert(id, line) {
            let message = format!("the operationId `{id}` is already in line {first}");
            self.report.error(&node, message, "choose another name");
        }
        Some(id.to_owned())
    }

    /// The path as segments, if requests can match it and no other operation has it.
    fn template(&mut self, path: &str, method: &str, at: &Node<'d>) -> Option<Vec<Segment>> {
        let outcome = template(path).and_then(|segments| {
            let method = method.to_ascii_uppercase();
            let index = self.operations.len();
            self.routes.declare(&segments, &method, index)?;
            Ok(segments)
        });
        let segments = match outcome {
            Ok(segments) => segments,
            Err(error) => {
                let (message, hint) = self.explain(&error);
                self.report.error(at, format!("`{path}`: {message}"), hint);
                return None;
            }
        };
        for segment in &segments {
            if let Some((message, hint)) = unmatchable(segment) {
                self.report.error(at, format!("`{path}`: {message}"), hint);
            }
        }
        Some(segments)
    }

    fn explain(&self, error: &TemplateError) -> (String, &'static str) {
        match error {
            TemplateError::NoLeadingSlash => (
                "the base path does not begin with `/`".to_owned(),
                "add the slash",
            ),
            TemplateError::EmptySegment => (
                "an empty segment or a slash at the end".to_owned(),
                "remove the extra slash",
            ),
            TemplateError::PartialParameter(part) => (
                format!("`{part}` mixes a parameter with other text"),
                "give the parameter a whole segment: `/{name}/`",
            ),
            TemplateError::RepeatedParameter(name) => (
                format!("the parameter `{name}` stands twice"),
                "give each its own name",
            ),
            TemplateError::RestNotLast => (
                "`**` is not a path of OpenAPI".to_owned(),
                "list the operations one by one",
            ),
            TemplateError::Conflict(first) => {
                let first = self.operations.get(*first);
                let (id, line) = first.map_or(("", 0), |each| (&*each.id, each.position.line));
                (
                    format!("the same method and path as `{id}` in line {line}"),
                    "names of parameters do not tell paths apart: keep one of them",
                )
            }
        }
    }
}

/// The media types of the good answers; what is wrong with them is told where they are enforced.
fn produced(root: &Value, operation: &Value) -> Produced {
    let responses = operation["responses"].as_object().into_iter().flatten();
    let good = responses.filter(|(status, _)| status.starts_with('2'));
    let good = good.map(|(_, response)| match response["$ref"].as_str() {
        Some(reference) => lookup(root, reference).map_or(response, |found| found.value),
        None => response,
    });
    let types = good.flat_map(|response| response["content"].as_object().into_iter().flatten());
    let types = types.map(|(name, _)| name.split(';').next().unwrap_or(name).trim().into());
    Produced::new(types.collect())
}

/// Why no canonical path ever has this segment.
fn unmatchable(segment: &Segment) -> Option<(String, &'static str)> {
    match segment {
        Segment::Parameter(_) => None,
        Segment::Rest => Some((
            "`**` is not a path of OpenAPI".to_owned(),
            "list the operations one by one",
        )),
        Segment::Literal(text) => {
            let is_refused = text.contains(['%', '?', '#', ';', '\\'])
                || text.chars().any(char::is_control)
                || matches!(&**text, "." | "..");
            is_refused.then(|| {
                let message = format!("no request can match the segment `{text}`");
                (
                    message,
                    "write the decoded path, without query or dot segments",
                )
            })
        }
    }
}

impl DeclaredParameter {
    fn of(parameter: &Parameter) -> DeclaredParameter {
        DeclaredParameter {
            location: parameter.location,
            name: parameter.field.name.to_string(),
            required: parameter.required,
            is_array: matches!(parameter.field.reading, Reading::Many(_)),
            is_plain: parameter.is_plain(),
        }
    }
}
