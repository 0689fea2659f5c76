//! The bodies of an operation (OpenAPI "Request Body Object" and "Media Type Object").

use std::rc::Rc;

use serde_json::json;

use crate::policy::contract::body::RequestBody;
use crate::policy::contract::openapi::media;
use crate::policy::contract::openapi::node::{Node, Report};
use crate::policy::contract::schema::{Direction, Schema};

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
    let media = media::read(report, &content, Direction::Request);
    Some(RequestBody::new(required, media))
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

/// Compiles a schema of the document; its errors go to the report. What leads to the same place is
/// compiled once.
pub fn compile(report: &mut Report<'_>, node: &Node<'_>, direction: Direction) -> Option<Schema> {
    let known = Rc::clone(&report.compiled);
    match known.compile(report.document, node, direction) {
        Ok(schema) => {
            schema.lints().iter().for_each(|noted| report.note(noted));
            Some(schema)
        }
        Err(errors) => {
            for error in errors.iter() {
                report.at(&error.pointer, error.message.clone(), error.hint.clone());
            }
            None
        }
    }
}
