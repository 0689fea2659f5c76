//! The parameters of an operation (OpenAPI "Parameter Object").
//!
//! Every way of writing a value that is not checked on requests is an error: a parameter that is
//! declared here and passes unread would look protected.

use serde_json::Value;

use crate::policy::contract::media_type::is_token;
use crate::policy::contract::openapi::content::compile;
use crate::policy::contract::openapi::node::{Node, Report, lookup};
use crate::policy::contract::parameters::{DECLARED, ITEMS, Location, Parameter, Shape};
use crate::policy::contract::schema::Direction;
use crate::policy::route::Segment;

const PARAMETER: [&str; 12] = [
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
    "example",
    "examples",
];

/// Deepest nesting of `allOf` and its like that is looked through for types.
const DEPTH: usize = 16;

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
    let declared = declared.iter();
    declared
        .filter_map(|((location, name), node)| parameter(report, *location, name, node))
        .collect()
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
    if let Some(content) = node.member("content") {
        let message = "a parameter with `content` is not enforced yet";
        report.error(&content, message, "use `schema`");
        return None;
    }
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
        "cookie" => {
            let message = "cookie parameters are not enforced yet";
            report.error(node, message, "use a query parameter or a header");
            return None;
        }
        _ => {
            let at = node.member("in")?;
            report.error(
                &at,
                format!("no parameter is in `{place}`"),
                "use path, query or header",
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
        "cookie" => "remove it: cookies are not enforced yet",
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
    for flag in ["allowEmptyValue", "allowReserved"] {
        if report.flag(node, flag) == Some(true)
            && let Some(at) = node.member(flag)
        {
            let message = format!("`{flag}: true` is not enforced");
            report.error(
                &at,
                message,
                "remove it; `minLength` says whether a text may be empty",
            );
        }
    }
    let Some(schema) = node.member("schema") else {
        let message = format!("the parameter `{name}` has no `schema`");
        report.error(
            node,
            message,
            "add `schema: {type: string}` or a stricter one",
        );
        return None;
    };
    let shape = shape(report, location, node, &schema)?;
    Some(Parameter {
        location,
        name: name.into(),
        required,
        shape,
        schema: compile(report, &schema, Direction::Request)?,
    })
}

/// How the value is written; an error for all ways that are not read on requests.
fn shape<'d>(
    report: &mut Report<'d>,
    location: Location,
    node: &Node<'d>,
    schema: &Node<'d>,
) -> Option<Shape> {
    let plain = match location {
        Location::Query => "form",
        Location::Path | Location::Header => "simple",
    };
    if let Some(style) = node.member("style")
        && style.value != plain
    {
        let place = location.name();
        let message = format!("only `style: {plain}` is enforced for {place} parameters");
        report.error(
            &style,
            message,
            format!("write `style: {plain}` or remove it"),
        );
        return None;
    }
    let explode = report.flag(node, "explode").unwrap_or(plain == "form");
    let mut types = Types::default();
    types.collect(&report.document.tree.root, schema.value, 0);
    let refused = match location {
        _ if types.object => Some("an object as a parameter is not enforced yet"),
        _ if types.array && types.scalar => {
            Some("a parameter is either an array or a single value")
        }
        Location::Path if types.array => Some("an array in the path is not enforced yet"),
        _ if types.nested => Some("only arrays of texts, numbers and booleans are enforced"),
        _ if types.most_items > ITEMS as u64 => Some("arrays are read up to 64 items only"),
        _ => None,
    };
    if let Some(message) = refused {
        report.error(
            schema,
            message,
            "declare a text, a number, a boolean or a flat array of them",
        );
        return None;
    }
    Some(match (types.array, location) {
        (false, _) => Shape::One,
        (true, Location::Query) if explode => Shape::Repeated,
        (true, _) => Shape::Commas,
    })
}

/// The types that a schema speaks of.
#[derive(Default)]
struct Types {
    array: bool,
    object: bool,
    scalar: bool,
    /// Arrays of arrays or objects.
    nested: bool,
    most_items: u64,
}

impl Types {
    /// Looks through references and compositions. What is broken in them is for the compiler of
    /// schemas to tell.
    fn collect(&mut self, root: &Value, schema: &Value, depth: usize) {
        if depth > DEPTH {
            return;
        }
        if let Some(reference) = schema["$ref"].as_str()
            && let Ok(target) = lookup(root, reference)
        {
            self.collect(root, target.value, depth + 1);
        }
        match &schema["type"] {
            Value::String(name) => self.note(name),
            Value::Array(names) => names
                .iter()
                .filter_map(Value::as_str)
                .for_each(|name| self.note(name)),
            _ => {}
        }
        self.object |= !schema["properties"].is_null();
        self.most_items = self
            .most_items
            .max(schema["maxItems"].as_u64().unwrap_or(0));
        if !schema["items"].is_null() {
            let mut items = Types::default();
            items.collect(root, &schema["items"], depth + 1);
            self.nested |= items.array || items.object;
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            for each in schema[key].as_array().into_iter().flatten() {
                self.collect(root, each, depth + 1);
            }
        }
    }

    fn note(&mut self, name: &str) {
        match name {
            "array" => self.array = true,
            "object" => self.object = true,
            _ => self.scalar = true,
        }
    }
}
