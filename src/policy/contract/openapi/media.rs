//! The media types of a body and what it is read as (OpenAPI "Media Type Object").

use serde_json::Value;

use crate::policy::contract::body::{Content, Lengths, Media};
use crate::policy::contract::forms::Text;
use crate::policy::contract::media_type::{MediaRange, MediaType, is_endless};
use crate::policy::contract::openapi::content::{compile, well_formed};
use crate::policy::contract::openapi::form::{self, Kind};
use crate::policy::contract::openapi::node::{Node, Report};
use crate::policy::contract::openapi::reading::{Nesting, Shape};
use crate::policy::contract::records::{Cut, Records};
use crate::policy::contract::schema::{Direction, Schema};

const MEDIA_TYPE: [&str; 4] = ["schema", "example", "examples", "encoding"];

/// What a schema of bytes may say beside their number: nothing that binds.
const ANNOTATIONS: [&str; 9] = [
    "type",
    "format",
    "title",
    "description",
    "example",
    "examples",
    "deprecated",
    "contentMediaType",
    "contentEncoding",
];

pub fn read<'d>(report: &mut Report<'d>, content: &Node<'d>, direction: Direction) -> Vec<Media> {
    let mut found: Vec<Media> = Vec::new();
    for (name, node) in content.members() {
        let Some(next) = media(report, name, &node, direction) else {
            continue;
        };
        if found.iter().any(|each| each.range == next.range) {
            let message = format!(
                "the media type `{}` is declared twice",
                next.range.essence()
            );
            report.error(&node, message, "keep one of them");
        }
        found.push(next);
    }
    found
}

fn media<'d>(
    report: &mut Report<'d>,
    name: &str,
    node: &Node<'d>,
    direction: Direction,
) -> Option<Media> {
    let Some(range) = MediaRange::read(name.as_bytes()) else {
        let message = format!("`{name}` is not a media type");
        let hint = "write `type/subtype`, `type/*` or `*/*`, such as application/json";
        report.error(node, message, hint);
        return None;
    };
    if !report.mapping(node, "a media type", &MEDIA_TYPE) {
        return None;
    }
    let form = match range.essence() {
        // A form that is answered passes unread, or has a schema that is refused below.
        _ if direction != Direction::Request => None,
        "application/x-www-form-urlencoded" => Some(Kind::Encoded),
        "multipart/form-data" => Some(Kind::Parts),
        _ => None,
    };
    if let Some(encoding) = node.member("encoding").filter(|_| form.is_none()) {
        let message = "`encoding` is for forms of requests";
        report.error(&encoding, message, "remove it");
        return None;
    }
    let is_json = MediaType::read(range.essence().as_bytes()).is_some_and(|read| read.is_json());
    let content = match (node.member("schema"), form) {
        (Some(schema), Some(kind)) => {
            let form = form::read(report, node, &schema, kind)?;
            match kind {
                Kind::Encoded => Content::Form(form),
                Kind::Parts => Content::Parts(form),
            }
        }
        (Some(schema), None) if is_json => Content::Json(compile(report, &schema, direction)?),
        (Some(schema), None) if Cut::of(range.essence()).is_some() => {
            records(report, (&range, direction), &schema)?
        }
        (Some(schema), None) => other(report, (&range, direction), &schema)?,
        (None, _) if is_json => Content::Json(well_formed(report, node)?),
        (None, _) => Content::Unread,
    };
    let media = Media { range, content };
    if direction == Direction::Response {
        unremovable(report, &media);
    }
    let is_awaited = direction == Direction::Response && media.is_read();
    if is_awaited && is_endless(media.range.essence().as_bytes()) {
        let essence = media.range.essence();
        let message = format!("`{essence}` has no end at which its schema could be checked");
        let hint = "remove `schema`: the content then passes unread, as it comes";
        report.error(node, message, hint);
        return None;
    }
    Some(media)
}

/// What should not leave, and cannot be taken out where it stands: an answer that holds it would
/// be refused as a whole.
fn unremovable(report: &mut Report<'_>, media: &Media) {
    let schema = media.schema().filter(|_| media.has_places());
    for found in schema.map_or_else(Vec::new, Schema::unremovable) {
        let keyword = found.keyword;
        let (message, hint) = match found.is_item {
            true => (
                format!("`{keyword}` takes no items out of a list"),
                "say it of the member that holds the list, or of members of its items",
            ),
            false => (
                format!("`{keyword}` of a whole body would leave nothing of it"),
                "say it of its members, or ask for a scope by `security` of the operation",
            ),
        };
        report.at(&found.pointer, message, Some(hint.to_owned()));
    }
}

/// Documents one after the other: the schema speaks of each, or of all of them as an array.
fn records<'d>(
    report: &mut Report<'d>,
    (range, direction): (&MediaRange, Direction),
    schema: &Node<'d>,
) -> Option<Content> {
    let shape = Shape::of(&report.document.tree.root, schema.value);
    Some(Content::Records(Records {
        cut: Cut::of(range.essence())?,
        is_array: shape.is_array(),
        schema: compile(report, schema, direction)?,
    }))
}

/// A body of a type whose content has no structure that is known.
fn other<'d>(
    report: &mut Report<'d>,
    (range, direction): (&MediaRange, Direction),
    schema: &Node<'d>,
) -> Option<Content> {
    let target = report.resolve(schema.clone())?;
    if *target.value == Value::Bool(true) {
        return Some(Content::Unread);
    }
    let shape = Shape::of(&report.document.tree.root, target.value);
    if shape.is_open() || shape.is_binary() {
        return bytes(report, &target);
    }
    let is_any = matches!(range.essence(), "*/*" | "application/*");
    if is_any {
        return compile(report, schema, direction).map(Content::Json);
    }
    if shape.is_array() || shape.is_object() {
        let message = format!("a schema for `{}` is not enforced", range.essence());
        let hint = "remove the schema or write `{type: string, format: binary}`: the content then \
                    passes unread";
        report.error(schema, message, hint);
        return None;
    }
    let reading = shape.reading(Nesting::Flat).ok()?;
    let schema = compile(report, schema, direction)?;
    Some(Content::Text(Text { reading, schema }))
}

fn bytes(report: &mut Report<'_>, schema: &Node<'_>) -> Option<Content> {
    for name in ["x-visible-to", "x-mask"] {
        if let Some(view) = schema.member(name) {
            let message = format!("`{name}` of bytes is not enforced");
            report.error(&view, message, "it is for JSON: remove it");
            return None;
        }
    }
    let mut lengths = Lengths::default();
    for (name, member) in schema.declared() {
        match (name, member.value.as_u64()) {
            ("minLength", length @ Some(_)) => lengths.least = length,
            ("maxLength", length @ Some(_)) => lengths.most = length,
            _ if ANNOTATIONS.contains(&name) => {}
            _ => {
                let message = format!("`{name}` of bytes is not enforced");
                report.error(&member, message, "write minLength and maxLength only");
                return None;
            }
        }
    }
    Some(match lengths == Lengths::default() {
        true => Content::Unread,
        false => Content::Bytes(lengths),
    })
}
