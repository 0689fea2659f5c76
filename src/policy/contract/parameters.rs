//! Path, query and header values against their declaration (OpenAPI "Parameter Object").
//!
//! What is not declared in the query does not pass, and what two readers could take for two values
//! is refused: a repeated single value, `;` that old parsers take for `&`, an encoded comma inside
//! a comma-separated list, a header under a spelling that backends fold into the declared one.
//! Header fields that are not declared pass, as the gateway and every hop add some.

use std::borrow::Cow;

use crate::policy::contract::Scratch;
use crate::policy::contract::schema::Schema;
use crate::policy::denial::Denial;
use crate::policy::route::Segment;
use crate::proto::head::{Field, RequestHead};
use crate::proto::header::SealedNames;
use crate::proto::query;
use crate::proto::target::Path;

/// Most `name=value` pairs of one query.
pub const PAIRS: usize = 64;

/// Most items of one array.
pub const ITEMS: usize = 64;

/// Most declared query parameters of one operation: one bit each.
pub const DECLARED: usize = 64;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    Path,
    Query,
    Header,
}

impl Location {
    /// As it stands in descriptions and logs.
    pub fn name(self) -> &'static str {
        match self {
            Location::Path => "path",
            Location::Query => "query",
            Location::Header => "header",
        }
    }
}

/// How the text of a parameter becomes values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value, given once.
    One,
    /// An array, one `name=value` pair for each item.
    Repeated,
    /// An array as one list with commas; in headers any number of lines.
    Commas,
}

/// One declared parameter.
pub struct Parameter {
    pub location: Location,
    pub name: Box<str>,
    pub required: bool,
    pub shape: Shape,
    pub schema: Schema,
}

/// All parameters of one operation.
pub struct Parameters {
    /// With the index of their segment.
    path: Box<[(usize, Parameter)]>,
    query: Box<[Parameter]>,
    /// One bit for each of `query`.
    required: u64,
    /// With all names that a backend may fold into theirs.
    headers: Box<[(SealedNames, Parameter)]>,
}

/// The texts of one array, without an allocation where nothing was encoded.
struct Items<'a> {
    texts: [Cow<'a, str>; ITEMS],
    count: usize,
}

/// Why a value has no reading; the name of the rule goes to the log.
type Rule = &'static str;

impl Parameters {
    /// `declared` holds at most [`DECLARED`] query parameters, and in the path those of `template`.
    pub fn new(declared: Vec<Parameter>, template: &[Segment]) -> Parameters {
        let (mut path, mut query, mut headers) = (Vec::new(), Vec::new(), Vec::new());
        for parameter in declared {
            match parameter.location {
                Location::Path => {
                    let own = Segment::Parameter(parameter.name.clone());
                    let index = template.iter().position(|segment| *segment == own);
                    path.extend(index.map(|index| (index, parameter)));
                }
                Location::Query => query.push(parameter),
                Location::Header => {
                    headers.push((SealedNames::new([&*parameter.name]), parameter));
                }
            }
        }
        let required = query.iter().take(DECLARED).enumerate();
        let required = required.filter(|(_, parameter)| parameter.required);
        Parameters {
            required: required.fold(0, |bits, (index, _)| bits | 1 << index),
            path: path.into(),
            query: query.into(),
            headers: headers.into(),
        }
    }

    pub fn check(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        path: &Path,
        scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        for (index, parameter) in &self.path {
            match path.segments().nth(*index) {
                Some(text) => parameter.check_one(text, scratch)?,
                None => return Err(parameter.missing(scratch)),
            }
        }
        let query = head.query.map_or(&[][..], |query| query.of(bytes));
        self.check_query(query, scratch)?;
        for (aliases, parameter) in &self.headers {
            parameter.check_header(aliases, &head.fields, bytes, scratch)?;
        }
        Ok(())
    }

    fn check_query(&self, query: &[u8], scratch: &mut Scratch) -> Result<(), Denial> {
        if query.is_empty() && self.required == 0 {
            return Ok(());
        }
        if memchr::memchr(b';', query).is_some() {
            return Err(scratch.refuse(Denial::InvalidParameter, "query", "", "separator"));
        }
        let (mut seen, mut arrays) = (0_u64, 0_u64);
        for (count, (raw, value)) in query::pairs(query).enumerate() {
            let index = self.find(raw, scratch)?;
            let (parameter, bit) = (&self.query[index], 1 << index);
            if count >= PAIRS {
                return Err(parameter.invalid("too-many", scratch));
            }
            if seen & bit != 0 && parameter.shape != Shape::Repeated {
                return Err(parameter.invalid("repeated", scratch));
            }
            seen |= bit;
            match parameter.shape {
                Shape::One => match query::decode(value) {
                    Ok(text) => parameter.check_one(&text, scratch)?,
                    Err(_) => return Err(parameter.invalid("encoding", scratch)),
                },
                Shape::Repeated | Shape::Commas => arrays |= bit,
            }
        }
        if let Some(index) = bits(self.required & !seen).next() {
            return Err(self.query[index].missing(scratch));
        }
        bits(arrays).try_for_each(|index| self.query[index].check_array(query, scratch))
    }

    /// The index of the declaration for a name as it was sent.
    fn find(&self, raw: &[u8], scratch: &mut Scratch) -> Result<usize, Denial> {
        let Ok(name) = query::decode(raw) else {
            return Err(scratch.refuse(Denial::InvalidParameter, "query", "", "encoding"));
        };
        let mut declared = self.query.iter().take(DECLARED);
        declared
            .position(|parameter| *parameter.name == *name)
            .ok_or_else(|| scratch.refuse(Denial::UndeclaredParameter, "query", &name, "declared"))
    }
}

/// The indexes of the bits that are set, from the lowest.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros();
        set &= set.checked_sub(1)?;
        Some(lowest as usize)
    })
}

impl Parameter {
    fn check_one(&self, text: &str, scratch: &mut Scratch) -> Result<(), Denial> {
        let outcome = self.schema.check_text(text, &mut scratch.schema);
        outcome.map_err(|violation| self.invalid(violation.keyword, scratch))
    }

    fn check_items(&self, items: &Items<'_>, scratch: &mut Scratch) -> Result<(), Denial> {
        let mut texts = [""; ITEMS];
        for (slot, text) in texts.iter_mut().zip(&items.texts) {
            *slot = text;
        }
        let texts = &texts[..items.count];
        let outcome = self.schema.check_texts(texts, &mut scratch.schema);
        outcome.map_err(|violation| self.invalid(violation.keyword, scratch))
    }

    /// Gathers the items from a query that has been looked through once.
    fn check_array(&self, query: &[u8], scratch: &mut Scratch) -> Result<(), Denial> {
        let mut items = Items::default();
        for (raw, value) in query::pairs(query) {
            if query::decode(raw).is_ok_and(|name| *name == *self.name) {
                let outcome = match self.shape {
                    Shape::Commas => items.split(value),
                    Shape::One | Shape::Repeated => items.decode(value),
                };
                outcome.map_err(|rule| self.invalid(rule, scratch))?;
            }
        }
        self.check_items(&items, scratch)
    }

    fn check_header(
        &self,
        aliases: &SealedNames,
        fields: &[Field],
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        // A field that ends here never reaches the backend, so it gives no value.
        let mut fields = fields
            .iter()
            .filter(|field| !field.hop_by_hop && aliases.cover(field.name.of(bytes)));
        let Some(first) = fields.next() else {
            return match self.required {
                true => Err(self.missing(scratch)),
                false => Ok(()),
            };
        };
        if self.shape == Shape::One {
            let text = self
                .line(first, bytes)
                .and_then(|text| match fields.next() {
                    None => Ok(text),
                    Some(_) => Err("repeated"),
                });
            return match text {
                Ok(text) => self.check_one(text, scratch),
                Err(rule) => Err(self.invalid(rule, scratch)),
            };
        }
        let mut items = Items::default();
        for field in std::iter::once(first).chain(fields) {
            // RFC 9110 section 5.3: lines of one name are one list.
            let outcome = self.line(field, bytes).and_then(|line| items.list(line));
            outcome.map_err(|rule| self.invalid(rule, scratch))?;
        }
        self.check_items(&items, scratch)
    }

    fn line<'a>(&self, field: &Field, bytes: &'a [u8]) -> Result<&'a str, Rule> {
        let name = field.name.of(bytes);
        if !name.eq_ignore_ascii_case(self.name.as_bytes()) {
            return Err("alias");
        }
        std::str::from_utf8(field.value.of(bytes)).map_err(|_| "encoding")
    }

    fn missing(&self, scratch: &mut Scratch) -> Denial {
        let part = self.location.name();
        scratch.refuse(Denial::MissingParameter, part, &self.name, "required")
    }

    fn invalid(&self, rule: Rule, scratch: &mut Scratch) -> Denial {
        let part = self.location.name();
        scratch.refuse(Denial::InvalidParameter, part, &self.name, rule)
    }
}

impl Default for Items<'_> {
    fn default() -> Self {
        Items {
            texts: [const { Cow::Borrowed("") }; ITEMS],
            count: 0,
        }
    }
}

impl<'a> Items<'a> {
    fn push(&mut self, text: Cow<'a, str>) -> Result<(), Rule> {
        *self.texts.get_mut(self.count).ok_or("too-many")? = text;
        self.count += 1;
        Ok(())
    }

    fn decode(&mut self, encoded: &'a [u8]) -> Result<(), Rule> {
        self.push(query::decode(encoded).map_err(|_| "encoding")?)
    }

    /// Commas separate only where they are written as such (RFC 6570 section 3.2.8), but many
    /// backends decode first and split then: an encoded one would make two items of one.
    fn split(&mut self, encoded: &'a [u8]) -> Result<(), Rule> {
        for part in encoded.split(|&byte| byte == b',') {
            let text = query::decode(part).map_err(|_| "encoding")?;
            if text.contains(',') {
                return Err("separator");
            }
            self.push(text)?;
        }
        Ok(())
    }

    fn list(&mut self, line: &'a str) -> Result<(), Rule> {
        let mut members = line
            .split(',')
            .map(|member| member.trim_matches([' ', '\t']));
        members.try_for_each(|member| self.push(Cow::Borrowed(member)))
    }
}
