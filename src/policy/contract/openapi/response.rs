//! The responses of an operation (OpenAPI "Responses Object").

use crate::policy::contract::openapi::node::{Node, Report};
use crate::policy::contract::openapi::reading::Shape;
use crate::policy::contract::openapi::{content, media};
use crate::policy::contract::response::{Declared, Header, Responses, Status};
use crate::policy::contract::schema::Direction;
use crate::proto::header::is_token;

const HEADER: [&str; 10] = [
    "description",
    "required",
    "deprecated",
    "allowEmptyValue",
    "style",
    "explode",
    "allowReserved",
    "schema",
    "example",
    "examples",
];

/// None: the operation does not say what it answers.
pub fn read<'d>(report: &mut Report<'d>, operation: &Node<'d>) -> Option<Responses> {
    let declared = operation.member("responses")?;
    if !report.is_mapping(&declared, "`responses`") {
        return None;
    }
    let mut responses: Vec<Declared> = Vec::new();
    for (key, node) in declared.declared() {
        let Some(status) = status(key) else {
            let message = format!("`{key}` is no status");
            let hint = "write \"200\", \"4XX\" or default";
            report.error(&node, message, hint);
            continue;
        };
        responses.extend(response(report, status, node));
    }
    if responses.is_empty() {
        let message = "no response is declared: nothing would be let back";
        report.error(
            &declared,
            message,
            "add the statuses that the backend answers",
        );
    }
    Some(Responses::new(responses))
}

fn status(key: &str) -> Option<Status> {
    if key == "default" {
        return Some(Status::Default);
    }
    let class = key.strip_suffix("XX").and_then(|class| class.parse().ok());
    if let Some(class) = class.filter(|class| (1..=5).contains(class)) {
        return Some(Status::Class(class));
    }
    let exact = key.parse().ok().filter(|_| key.len() == 3);
    let exact = exact.filter(|exact| (100..600).contains(exact));
    exact.map(Status::Exact)
}

fn response<'d>(report: &mut Report<'d>, status: Status, node: Node<'d>) -> Option<Declared> {
    let node = report.resolve(node)?;
    let known = ["description", "headers", "content", "links"];
    if !report.mapping(&node, "a response", &known) {
        return None;
    }
    let content = node.member("content");
    if let Some(content) = &content {
        report.is_mapping(content, "`content`");
    }
    let media = content.map_or_else(Vec::new, |node| {
        media::read(report, &node, Direction::Response)
    });
    for each in &media {
        if !each.hides_soundly() {
            let essence = each.range.essence();
            let message =
                format!("x-visible-to, x-mask and writeOnly have no effect on `{essence}`");
            report.error(&node, message, "they are for JSON: remove them");
        }
    }
    let headers = node.member("headers");
    if let Some(headers) = &headers {
        report.is_mapping(headers, "`headers`");
    }
    let headers = headers.iter().flat_map(Node::members);
    let headers = headers.filter_map(|(name, node)| header(report, name, node));
    Some(Declared {
        status,
        headers: headers.collect(),
        media: media.into(),
    })
}

/// OpenAPI "Response Object": a `Content-Type` here means nothing, `content` says it.
fn header<'d>(report: &mut Report<'d>, name: &str, node: Node<'d>) -> Option<Header> {
    if name.eq_ignore_ascii_case("Content-Type") {
        return None;
    }
    if !is_token(name.as_bytes()) {
        let message = format!("`{name}` cannot name a header");
        report.error(&node, message, "use letters, digits and `-`");
        return None;
    }
    let node = report.resolve(node)?;
    if let Some(content) = node.member("content") {
        let message = "a header with `content` is not enforced";
        report.error(&content, message, "use `schema`");
        return None;
    }
    if !report.mapping(&node, "a header", &HEADER) {
        return None;
    }
    if let Some(style) = node.member("style")
        && style.value != "simple"
    {
        let message = "headers have `style: simple` only";
        report.error(&style, message, "write `style: simple` or remove it");
    }
    let Some(schema) = node.member("schema") else {
        let message = format!("the header `{name}` has no `schema`");
        let hint = "add `schema: {type: string}` or a stricter one";
        report.error(&node, message, hint);
        return None;
    };
    let shape = Shape::of(&report.document.tree.root, schema.value);
    if shape.is_object() {
        let message = "an object as a header is not enforced";
        report.error(&schema, message, "declare a text or a list");
        return None;
    }
    let compiled = content::compile(report, &schema, Direction::Response)?;
    if compiled.has_views() {
        let message = "x-visible-to, x-mask and writeOnly have no effect on a header";
        let hint = "remove them, or the header: what is not declared does not leave";
        report.error(&schema, message, hint);
        return None;
    }
    Some(Header {
        name: name.into(),
        required: report.flag(&node, "required").unwrap_or(false),
        is_list: shape.is_array(),
        schema: compiled,
    })
}
