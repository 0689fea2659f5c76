//! The bodies of an operation (OpenAPI "Request Body Object" and "Media Type Object").

use serde_json::{Value, json};

use crate::policy::contract::body::{Accepted, RequestBody};
use crate::policy::contract::lint::Lint;
use crate::policy::contract::media_type::MediaType;
use crate::policy::contract::openapi::media;
use crate::policy::contract::openapi::node::{Node, Report};
use crate::policy::contract::schema::{Compiler, Direction, Formats, Schema, Unknown};

/// What a schema may say beside `type: string, format: binary`: nothing that binds.
const ANNOTATIONS: [&str; 7] = [
    "type",
    "format",
    "title",
    "description",
    "example",
    "examples",
    "deprecated",
];

/// None: the operation takes no body.
pub fn read<'d>(
    report: &mut Report<'d>,
    operation: &Node<'d>,
    method: &str,
) -> Option<RequestBody> {
    let declared = operation.member("requestBody")?;
    if matches!(method, "get" | "head" | "trace") {
        let message = format!("a body of `{method}` has no meaning that readers agree on");
        report.error(&declared, message, "use another method or remove the body");
    }
    let body = report.resolve(declared)?;
    if !report.mapping(
        &body,
        "a request body",
        &["description", "content", "required"],
    ) {
        return None;
    }
    let required = report.flag(&body, "required").unwrap_or(false);
    let content = body.member("content");
    let Some(content) = content.filter(|content| content.members().next().is_some()) else {
        let message = "the request body has no `content`";
        report.error(
            &body,
            message,
            "add `content: {application/json: {schema: ...}}`",
        );
        return None;
    };
    let media = media::read(report, &content);
    Some(RequestBody::new(required, media))
}

/// The media types of a `content`, each with its schema for one direction.
pub fn accepted<'d>(
    report: &mut Report<'d>,
    content: &Node<'d>,
    direction: Direction,
) -> Vec<Accepted> {
    let mut accepted: Vec<Accepted> = Vec::new();
    for (name, node) in content.members() {
        let Some(next) = media_type(report, name, &node, direction) else {
            continue;
        };
        if accepted.iter().any(|each| each.essence == next.essence) {
            let message = format!("the media type `{}` is declared twice", next.essence);
            report.error(&node, message, "keep one of them");
        }
        accepted.push(next);
    }
    accepted
}

fn media_type<'d>(
    report: &mut Report<'d>,
    name: &str,
    node: &Node<'d>,
    direction: Direction,
) -> Option<Accepted> {
    let Some(media_type) = MediaType::read(name.as_bytes()) else {
        let message = format!("`{name}` is not a media type");
        report.error(
            node,
            message,
            "write `type/subtype`, such as application/json",
        );
        return None;
    };
    if name.contains('*') {
        let message = "ranges of media types are not enforced";
        report.error(node, message, "name each media type");
        return None;
    }
    if !media_type.is_utf8() {
        let message = "parameters of media types are not enforced";
        report.error(node, message, "write `type/subtype` alone");
        return None;
    }
    if let Some(encoding) = node.member("encoding") {
        let message = "`encoding` is not enforced yet";
        report.error(&encoding, message, "remove it");
        return None;
    }
    if !report.mapping(node, "a media type", &["schema", "example", "examples"]) {
        return None;
    }
    let essence = String::from_utf8_lossy(media_type.essence()).to_ascii_lowercase();
    let schema = match (node.member("schema"), media_type.is_json()) {
        (Some(schema), true) => Some(compile(report, &schema, direction)?),
        (None, true) => Some(well_formed(report, node)?),
        (Some(schema), false) => {
            check_opaque(report, &essence, schema)?;
            None
        }
        (None, false) => None,
    };
    Some(Accepted {
        essence: essence.into(),
        schema,
    })
}

/// The content of a media type that is not JSON passes unread, so its schema must say so.
fn check_opaque<'d>(report: &mut Report<'d>, essence: &str, schema: Node<'d>) -> Option<()> {
    let at = schema.clone();
    let schema = report.resolve(schema)?;
    let says_nothing = *schema.value == json!({}) || *schema.value == Value::Bool(true);
    let is_binary = schema.value["type"] == "string"
        && schema.value["format"] == "binary"
        && schema
            .declared()
            .all(|(name, _)| ANNOTATIONS.contains(&name));
    if says_nothing || is_binary {
        return Some(());
    }
    let message = format!("a schema for `{essence}` is not enforced yet");
    let hint = "remove the schema or write `{type: string, format: binary}`: the content then \
                passes unread";
    report.error(&at, message, hint);
    None
}

/// Any JSON text.
pub fn well_formed(report: &mut Report<'_>, node: &Node<'_>) -> Option<Schema> {
    let compiled = Schema::compile(&json!({}), "", report.document.dialect);
    compiled
        .map_err(|errors| {
            for error in errors {
                report.at(&node.pointer, error.message, error.hint);
            }
        })
        .ok()
}

/// Compiles a schema of the document; its errors go to the report.
pub fn compile(report: &mut Report<'_>, node: &Node<'_>, direction: Direction) -> Option<Schema> {
    let document = report.document;
    let levels = &document.levels;
    let mut compiler = Compiler::new(&document.tree.root, document.dialect).direction(direction);
    if levels.tolerates(Lint::UnknownFormat) {
        compiler = compiler.formats(Formats::Known);
    }
    if levels.tolerates(Lint::UnknownKeyword) {
        compiler = compiler.unknown(Unknown::Noted);
    }
    match compiler.compile(&node.pointer) {
        Ok(schema) => {
            schema.lints().iter().for_each(|noted| report.note(noted));
            Some(schema)
        }
        Err(errors) => {
            for error in errors {
                report.at(&error.pointer, error.message, error.hint);
            }
            None
        }
    }
}
