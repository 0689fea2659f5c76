//! Forms (OpenAPI "Encoding Object"): how each property of the schema stands in them.

use crate::policy::contract::fields::{Field, Fields, Style};
use crate::policy::contract::forms::{Form, PartContent, PartHeader, PartRule};
use crate::policy::contract::media_type::{MediaRange, MediaType};
use crate::policy::contract::openapi::content::compile;
use crate::policy::contract::openapi::node::{Node, Report};
use crate::policy::contract::openapi::reading::{Nesting, Shape};
use crate::policy::contract::reading::{Members, Reading};
use crate::policy::contract::schema::{Dialect, Direction};
use crate::proto::header::is_token;

const ENCODING: [&str; 5] = [
    "contentType",
    "headers",
    "style",
    "explode",
    "allowReserved",
];

const HEADER: [&str; 8] = [
    "description",
    "required",
    "deprecated",
    "schema",
    "example",
    "examples",
    "style",
    "explode",
];

/// Which kind of form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `application/x-www-form-urlencoded`.
    Encoded,
    /// `multipart/form-data`.
    Parts,
}

pub fn read<'d>(
    report: &mut Report<'d>,
    media: &Node<'d>,
    schema: &Node<'d>,
    kind: Kind,
) -> Option<Form> {
    let shape = Shape::of(&report.document.tree.root, schema.value);
    if !shape.is_object() || shape.is_array() {
        let message = "the schema of a form must be an object";
        report.error(
            schema,
            message,
            "write `type: object` with the fields as `properties`",
        );
        return None;
    }
    let encoding = media.member("encoding");
    if let Some(encoding) = &encoding {
        report.is_mapping(encoding, "`encoding`");
        for (name, node) in encoding.members() {
            if !shape.named().iter().any(|(own, _)| own == name) {
                let message = format!("the schema has no property `{name}`");
                report.error(&node, message, "remove it, or declare the property");
            }
        }
    }
    let mut reader = Reader {
        report,
        kind,
        parts: Vec::new(),
    };
    let mut named = Vec::new();
    for (name, shape) in shape.named() {
        let encoding = encoding.as_ref().and_then(|encoding| encoding.member(name));
        named.push(reader.field(schema, name, shape, encoding.as_ref())?);
    }
    let others = match shape.others() {
        None => None,
        Some(others) => {
            let (reading, content) = reader.plain(schema, others, &[])?;
            reader.parts.push(PartRule {
                content,
                types: Box::default(),
                headers: Box::default(),
            });
            Some(Members {
                named: Box::default(),
                others: Some(Box::new(reading)),
            })
        }
    };
    let parts = match kind {
        Kind::Encoded => Box::default(),
        Kind::Parts => reader.parts.into(),
    };
    Some(Form {
        fields: Fields {
            named: named.into(),
            others,
        },
        parts,
        schema: compile(report, schema, Direction::Request)?,
    })
}

struct Reader<'r, 'd> {
    report: &'r mut Report<'d>,
    kind: Kind,
    parts: Vec<PartRule>,
}

impl<'d> Reader<'_, 'd> {
    fn field(
        &mut self,
        schema: &Node<'d>,
        name: &str,
        shape: &Shape,
        encoding: Option<&Node<'d>>,
    ) -> Option<Field> {
        let Some(encoding) = encoding else {
            return self.plain_field(schema, name, shape, Vec::new(), Vec::new());
        };
        if !self.report.mapping(encoding, "an encoding", &ENCODING) {
            return None;
        }
        let types = self.types(encoding)?;
        let headers = self.headers(encoding)?;
        let is_styled = ["style", "explode", "allowReserved"]
            .iter()
            .any(|key| encoding.member(key).is_some());
        match is_styled {
            false => self.plain_field(schema, name, shape, types, headers),
            true => self.styled(encoding, name, shape, types),
        }
    }

    /// Without a style: a text, one for each item of an array, or a document for what is more.
    fn plain_field(
        &mut self,
        schema: &Node<'d>,
        name: &str,
        shape: &Shape,
        types: Vec<MediaRange>,
        headers: Vec<PartHeader>,
    ) -> Option<Field> {
        let (reading, content) = self.plain(schema, shape, &types)?;
        self.parts.push(PartRule {
            content,
            types: types.into(),
            headers: headers.into(),
        });
        Some(Field {
            name: name.into(),
            style: Style::Pairs,
            reading,
            reserved: false,
            empty: false,
        })
    }

    fn plain(
        &mut self,
        schema: &Node<'d>,
        shape: &Shape,
        types: &[MediaRange],
    ) -> Option<(Reading, PartContent)> {
        let one = match shape.is_array() {
            true => shape.items(),
            false => Some(shape),
        };
        let is_bytes = self.kind == Kind::Parts
            && one.is_some_and(|one| one.is_binary() || one.is_open() && !is_text(types));
        let reading = match (is_bytes, shape.is_array()) {
            (true, true) => Ok(Reading::Many(Box::new(Reading::Bytes))),
            (true, false) => Ok(Reading::Bytes),
            (false, _) => shape.reading(Nesting::Json),
        };
        match reading {
            Ok(reading) => {
                let is_json = match &reading {
                    Reading::Many(items) => **items == Reading::Json,
                    other => *other == Reading::Json,
                };
                let content = match (is_bytes, is_json) {
                    (true, _) => PartContent::Bytes,
                    (false, true) => PartContent::Json,
                    (false, false) => PartContent::Text,
                };
                Some((reading, content))
            }
            Err(message) => {
                self.report.error(schema, message, "keep one of the types");
                None
            }
        }
    }

    /// Written as a query parameter of this style is.
    fn styled(
        &mut self,
        encoding: &Node<'d>,
        name: &str,
        shape: &Shape,
        types: Vec<MediaRange>,
    ) -> Option<Field> {
        if self.kind == Kind::Parts && self.report.document.dialect == Dialect::OpenApi30 {
            let message =
                "`style`, `explode` and `allowReserved` have no effect in multipart forms";
            self.report
                .error(encoding, message, "remove them, or use OpenAPI 3.1");
            return None;
        }
        if !types.is_empty() {
            let message = "`contentType` has no effect beside `style`";
            self.report.error(encoding, message, "keep one of them");
            return None;
        }
        let style = self.report.text(encoding, "style").unwrap_or("form");
        let explode = self.report.flag(encoding, "explode");
        let reserved = self.report.flag(encoding, "allowReserved").unwrap_or(false);
        let explode = explode.unwrap_or(style == "form");
        let reading = shape.reading(Nesting::Flat);
        let is_object = matches!(reading, Ok(Reading::Members(_)));
        let is_one = matches!(reading, Ok(Reading::One(_)));
        let written = reading.and_then(|reading| {
            let style = match style {
                "form" if is_one => Style::Pairs,
                "form" if explode && is_object => Style::Exploded,
                "form" if explode => Style::Pairs,
                "form" => Style::Separated(','),
                "spaceDelimited" if !is_one => Style::Separated(' '),
                "pipeDelimited" if !is_one => Style::Separated('|'),
                "deepObject" if is_object => Style::Deep,
                _ => return Err("this style does not fit the property"),
            };
            Ok((style, reading))
        });
        match written {
            Ok((style, reading)) => {
                self.parts.push(PartRule {
                    content: PartContent::Text,
                    types: Box::default(),
                    headers: Box::default(),
                });
                Some(Field {
                    name: name.into(),
                    style,
                    reading,
                    reserved,
                    empty: false,
                })
            }
            Err(message) => {
                let hint = "use form, spaceDelimited, pipeDelimited or deepObject as OpenAPI says";
                self.report.error(encoding, message, hint);
                None
            }
        }
    }

    /// The media types of `contentType`, between commas.
    fn types(&mut self, encoding: &Node<'d>) -> Option<Vec<MediaRange>> {
        let Some(node) = encoding.member("contentType") else {
            return Some(Vec::new());
        };
        let text = self.report.text(encoding, "contentType")?;
        let ranges = text
            .split(',')
            .map(|each| MediaRange::read(each.trim().as_bytes()));
        let Some(ranges) = ranges.collect::<Option<Vec<_>>>() else {
            let message = format!("`{text}` is no list of media types");
            self.report
                .error(&node, message, "write `image/png, image/*`");
            return None;
        };
        if self.kind == Kind::Encoded {
            let message = "`contentType` has no effect in this kind of form";
            self.report
                .error(&node, message, "remove it, or use multipart/form-data");
            return None;
        }
        Some(ranges)
    }

    fn headers(&mut self, encoding: &Node<'d>) -> Option<Vec<PartHeader>> {
        let Some(node) = encoding.member("headers") else {
            return Some(Vec::new());
        };
        if self.kind == Kind::Encoded {
            let message = "`headers` have no effect in this kind of form";
            self.report
                .error(&node, message, "remove them, or use multipart/form-data");
            return None;
        }
        let mut found = Vec::new();
        for (name, header) in node.members() {
            // OpenAPI "Encoding Object": it is described by `contentType`.
            if name.eq_ignore_ascii_case("content-type") {
                continue;
            }
            found.push(self.header(name, header)?);
        }
        Some(found)
    }

    fn header(&mut self, name: &str, node: Node<'d>) -> Option<PartHeader> {
        let node = self.report.resolve(node)?;
        if !self.report.mapping(&node, "a header", &HEADER) {
            return None;
        }
        let schema = node.member("schema");
        let is_flat = schema.as_ref().is_some_and(|schema| {
            let shape = Shape::of(&self.report.document.tree.root, schema.value);
            !shape.is_array() && !shape.is_object()
        });
        let Some(schema) = schema.filter(|_| is_flat && is_token(name.as_bytes())) else {
            let message = format!("the header `{name}` of a part is not enforced");
            self.report
                .error(&node, message, "give it a `schema` of a single value");
            return None;
        };
        Some(PartHeader {
            name: name.into(),
            required: self.report.flag(&node, "required").unwrap_or(false),
            schema: compile(self.report, &schema, Direction::Request)?,
        })
    }
}

/// Whether all of the types are texts.
fn is_text(types: &[MediaRange]) -> bool {
    let is_text = |range: &MediaRange| {
        let read = MediaType::read(range.essence().as_bytes());
        range.essence().starts_with("text/") || read.is_some_and(|read| read.is_json())
    };
    !types.is_empty() && types.iter().all(is_text)
}
