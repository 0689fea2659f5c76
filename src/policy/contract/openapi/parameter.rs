//! The parameters of an operation (OpenAPI "Parameter Object").
//!
//! Every way of writing a value that is not checked on requests is an error: a parameter that is
//! declared here and passes unread would look protected.

use crate::policy::contract::fields::{Field, Style};
use crate::policy::contract::media_type::MediaType;
use crate::policy::contract::openapi::content::{compile, well_formed};
use crate::policy::contract::openapi::node::{Node, Report};
use crate::policy::contract::openapi::reading::{Nesting, Shape};
use crate::policy::contract::parameters::{DECLARED, ITEMS, Location, Parameter, Prefix};
use crate::policy::contract::reading::Reading;
use crate::policy::contract::schema::{Direction, Schema};
use crate::policy::route::Segment;
use crate::proto::header::is_token;

const PARAMETER: [&str; 13] = [
    "name",
    "in",
    "description",
    "required",
    "deprecated",
    "allowEmptyValue",
    "style",
    "explode",
    "allowReserved",
    "schema",
    "content",
    "example",
    "examples",
];

/// The parameters of the path and of the operation, which may replace those of the path. Without
/// a `template` there was an error in it, and no parameter is missed.
pub fn read<'d>(
    report: &mut Report<'d>,
    item: &Node<'d>,
    operation: &Node<'d>,
    template: Option<&[Segment]>,
) -> Vec<Parameter> {
    let shared = list(report, item);
    let mut declared = list(report, operation);
    for (key, node) in shared {
        if !declared.iter().any(|(own, _)| *own == key) {
            declared.push((key, node));
        }
    }
    if let Some(template) = template {
        check_template(report, operation, template, &declared);
    }
    let queries = declared.iter().filter(|(key, _)| key.0 == Location::Query);
    if queries.count() > DECLARED {
        let message = format!("more than {DECLARED} query parameters");
        report.error(operation, message, "split the operation");
    }
    let read = declared.iter().filter_map(|((location, name), node)| {
        let own = parameter(report, *location, name, node)?;
        Some((own, node))
    });
    let read: Vec<_> = read.collect();
    check_names(report, &read);
    read.into_iter().map(|(parameter, _)| parameter).collect()
}

/// Members of an object that stand in the query or among the cookies by themselves must not be
/// parameters, too.
fn check_names(report: &mut Report<'_>, read: &[(Parameter, &Node<'_>)]) {
    for location in [Location::Query, Location::Cookie] {
        let here = read.iter().filter(|(own, _)| own.location == location);
        check_names_of(report, &here.collect::<Vec<_>>());
    }
}

fn check_names_of(report: &mut Report<'_>, here: &[&(Parameter, &Node<'_>)]) {
    let mut open = None;
    for (own, node) in here {
        let (Style::Exploded, Reading::Members(members)) = (own.field.style, &own.field.reading)
        else {
            continue;
        };
        let others = here.iter();
        let others = others.filter(|(other, _)| other.field.name != own.field.name);
        let clash = others
            .flat_map(|(other, _)| names(&other.field))
            .find(|name| members.named.iter().any(|(member, _)| **member == **name));
        if let Some(name) = clash {
            let message = format!(
                "`{name}` is a member of `{}` and a parameter",
                own.field.name
            );
            let hint = match own.location {
                Location::Cookie => "use `explode: false`, or rename one of them",
                _ => "use `style: deepObject`, or rename one of them",
            };
            report.error(node, message, hint);
        }
        if members.others.is_some()
            && let Some(first) = open.replace(&own.field.name)
        {
            let message = format!("`{first}` takes all other names already");
            report.error(node, message, "add `additionalProperties: false`");
        }
    }
}

/// The names under which a parameter stands in the query or among the cookies.
fn names(field: &Field) -> Vec<&str> {
    match (field.style, &field.reading) {
        (Style::Exploded, Reading::Members(members)) => {
            members.named.iter().map(|(name, _)| &**name).collect()
        }
        _ => vec![&field.name],
    }
}

/// What tells two parameters apart; names of headers in lower case.
type Key = (Location, String);

fn list<'d>(report: &mut Report<'d>, owner: &Node<'d>) -> Vec<(Key, Node<'d>)> {
    let mut found: Vec<(Key, Node<'d>)> = Vec::new();
    let Some(list) = owner.member("parameters") else {
        return found;
    };
    report.is_sequence(&list, "`parameters`");
    for item in list.items() {
        let Some(node) = report.resolve(item.clone()) else {
            continue;
        };
        let Some(key) = key(report, &node) else {
            continue;
        };
        if found.iter().any(|(known, _)| *known == key) {
            let message = format!(
                "the {} parameter `{}` is declared twice",
                key.0.name(),
                key.1
            );
            report.error(&item, message, "keep one of them");
            continue;
        }
        found.push((key, node));
    }
    found
}

fn key<'d>(report: &mut Report<'d>, node: &Node<'d>) -> Option<Key> {
    if !report.mapping(node, "a parameter", &PARAMETER) {
        return None;
    }
    let name = report.required_text(node, "the parameter", "name");
    let place = report.required_text(node, "the parameter", "in");
    let (name, place) = (name?, place?);
    let location = match place {
        "path" => Location::Path,
        "query" => Location::Query,
        "header" => return header_key(report, node, name),
        "cookie" => Location::Cookie,
        _ => {
            let at = node.member("in")?;
            report.error(
                &at,
                format!("no parameter is in `{place}`"),
                "use path, query, header or cookie",
            );
            return None;
        }
    };
    if name.is_empty() {
        report.error(node, "a parameter with an empty name", "name it");
        return None;
    }
    Some((location, name.to_owned()))
}

fn header_key(report: &mut Report<'_>, node: &Node<'_>, name: &str) -> Option<Key> {
    let lower = name.to_ascii_lowercase();
    let hint = match &*lower {
        "accept" => "describe it by the content of the responses",
        "content-type" => "describe it by the content of `requestBody`",
        "authorization" => "describe it by `security`",
        "cookie" => "describe each cookie with `in: cookie`",
        _ if !is_token(name.as_bytes()) => "use letters, digits and `-`",
        _ => return Some((Location::Header, lower)),
    };
    report.error(node, format!("`{name}` cannot be a header parameter"), hint);
    None
}

/// OpenAPI "Path Templating": each name of the template has a parameter, and the reverse.
fn check_template(
    report: &mut Report<'_>,
    operation: &Node<'_>,
    template: &[Segment],
    declared: &[(Key, Node<'_>)],
) {
    let names = template.iter().filter_map(|segment| match segment {
        Segment::Parameter(name) => Some(&**name),
        Segment::Literal(_) | Segment::Rest => None,
    });
    let names: Vec<&str> = names.collect();
    let in_path = declared.iter().filter(|(key, _)| key.0 == Location::Path);
    let in_path: Vec<_> = in_path.map(|((_, name), node)| (&**name, node)).collect();
    for name in &names {
        if !in_path.iter().any(|(declared, _)| declared == name) {
            let message = format!("the path parameter `{name}` is not declared");
            report.error(
                operation,
                message,
                format!("add `- name: {name}` with `in: path`"),
            );
        }
    }
    for (name, node) in in_path {
        if !names.contains(&name) {
            let message = format!("the path has no `{{{name}}}`");
            report.error(
                node,
                message,
                "put it into the path or remove the parameter",
            );
        }
    }
}

fn parameter<'d>(
    report: &mut Report<'d>,
    location: Location,
    name: &str,
    node: &Node<'d>,
) -> Option<Parameter> {
    let required = report.flag(node, "required").unwrap_or(false);
    if location == Location::Path && !required {
        let message = format!("the path parameter `{name}` must be required");
        report.error(node, message, "add `required: true`");
    }
    let in_query = |report: &mut Report<'d>, flag: &str| {
        let is_set = report.flag(node, flag).unwrap_or(false);
        if let Some(at) = node
            .member(flag)
            .filter(|_| is_set && location != Location::Query)
        {
            let message = format!("`{flag}` is for query parameters");
            report.error(&at, message, "remove it");
        }
        is_set
    };
    let empty = in_query(report, "allowEmptyValue");
    let reserved = in_query(report, "allowReserved");
    let (written, schema) = match (node.member("schema"), node.member("content")) {
        (Some(schema), None) => {
            let written = written(report, location, node, &schema)?;
            (written, compile(report, &schema, Direction::Request)?)
        }
        (None, Some(content)) => {
            for key in ["style", "explode", "allowReserved"] {
                if let Some(at) = node.member(key) {
                    let message = format!("`{key}` has no effect beside `content`");
                    report.error(&at, message, "remove it");
                }
            }
            let written = Written {
                style: Style::Pairs,
                prefix: Prefix::None,
                explode: false,
                reading: Reading::Json,
            };
            (written, document(report, &content)?)
        }
        (Some(_), Some(content)) => {
            let message = "`schema` and `content` exclude each other";
            report.error(&content, message, "keep one of them");
            return None;
        }
        (None, None) => {
            let message = format!("the parameter `{name}` has no `schema`");
            let hint = "add `schema: {type: string}` or a stricter one";
            report.error(node, message, hint);
            return None;
        }
    };
    Some(Parameter {
        location,
        required,
        prefix: written.prefix,
        explode: written.explode,
        field: Field {
            name: name.into(),
            style: written.style,
            reading: written.reading,
            reserved,
            empty,
        },
        schema,
    })
}

/// How values are written in one place.
struct Written {
    style: Style,
    prefix: Prefix,
    explode: bool,
    reading: Reading,
}

/// How the value is written, for each place and style that OpenAPI has.
fn written<'d>(
    report: &mut Report<'d>,
    location: Location,
    node: &Node<'d>,
    schema: &Node<'d>,
) -> Option<Written> {
    let style = style(report, location, node)?;
    let explode = report.flag(node, "explode");
    let shape = Shape::of(&report.document.tree.root, schema.value);
    let reading = match shape.reading(Nesting::Flat) {
        Ok(_) if shape.most_items > ITEMS as u64 => {
            let message = format!("arrays of parameters are read up to {ITEMS} items only");
            report.error(schema, message, "lower `maxItems`");
            return None;
        }
        Ok(reading) => reading,
        Err(message) => {
            let hint = "declare a text, a number, a boolean, or a flat array or object of them; or \
                        write `content: {application/json: {schema: ...}}`";
            report.error(schema, message, hint);
            return None;
        }
    };
    let is_one = matches!(reading, Reading::One(_));
    let is_object = matches!(reading, Reading::Members(_));
    let takes_any = matches!(&reading, Reading::Members(members) if members.others.is_some());
    let explode = explode.unwrap_or(style == "form");
    let refused = match (style, location) {
        ("deepObject", _) if !is_object => Some("`deepObject` is for objects"),
        ("spaceDelimited" | "pipeDelimited", _) if is_one => {
            Some("this style is for arrays and objects")
        }
        ("spaceDelimited" | "pipeDelimited", _) if is_object && explode => {
            Some("an object in this style does not explode")
        }
        (_, Location::Cookie) if takes_any && explode => {
            Some("cookies of other names are no members of this object")
        }
        _ => None,
    };
    if let Some(message) = refused {
        let at = node.member("style").unwrap_or_else(|| schema.clone());
        let hint = match location {
            Location::Cookie => {
                "name all members and write `additionalProperties: false`, or `explode: false`"
            }
            _ => "see the table of `style` in the OpenAPI specification",
        };
        report.error(&at, message, hint);
        return None;
    }
    Some(Written {
        style: match (style, location) {
            _ if is_one => Style::Pairs,
            ("deepObject", _) => Style::Deep,
            // In headers and the path the members stand in the value itself.
            (_, Location::Header | Location::Path) => Style::Separated(','),
            _ if explode && is_object => Style::Exploded,
            _ if explode => Style::Pairs,
            ("spaceDelimited", _) => Style::Separated(' '),
            ("pipeDelimited", _) => Style::Separated('|'),
            _ => Style::Separated(','),
        },
        prefix: match style {
            "label" => Prefix::Dot,
            "matrix" => Prefix::Semicolon,
            _ => Prefix::None,
        },
        explode,
        reading,
    })
}

/// The style, if its place has it.
fn style<'d>(report: &mut Report<'d>, location: Location, node: &Node<'d>) -> Option<&'d str> {
    let known: &[&str] = match location {
        Location::Path => &["simple", "label", "matrix"],
        Location::Query => &["form", "spaceDelimited", "pipeDelimited", "deepObject"],
        Location::Header => &["simple"],
        Location::Cookie => &["form"],
    };
    let Some(at) = node.member("style") else {
        return known.first().copied();
    };
    let style = report.text(node, "style")?;
    if !known.contains(&style) {
        let place = location.name();
        let message = format!("there is no `style: {style}` for {place} parameters");
        report.error(&at, message, format!("write one of: {}", known.join(", ")));
        return None;
    }
    Some(style)
}

/// A parameter whose value is a document of its own (OpenAPI "Parameter Object", `content`).
fn document<'d>(report: &mut Report<'d>, content: &Node<'d>) -> Option<Schema> {
    let mut members = content.members();
    let (Some((name, media)), None) = (members.next(), members.next()) else {
        let message = "`content` of a parameter has exactly one media type";
        report.error(content, message, "keep one of them");
        return None;
    };
    let is_json = MediaType::read(name.as_bytes()).is_some_and(|read| read.is_json());
    if !is_json {
        let message = format!("a parameter in `{name}` is not enforced");
        report.error(&media, message, "use application/json, or `schema`");
        return None;
    }
    if !report.mapping(&media, "a media type", &["schema", "example", "examples"]) {
        return None;
    }
    match media.member("schema") {
        Some(schema) => compile(report, &schema, Direction::Request),
        None => well_formed(report, &media),
    }
}
