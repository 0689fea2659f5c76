//! Path, query, header and cookie values against their declaration (OpenAPI "Parameter Object").
//!
//! What is not declared in the query does not pass, unless the configuration has it stripped or
//! reported, and what two readers could take for two values is refused: a repeated single value, `;`
//! that old parsers take for `&`, a header under a spelling that backends fold into the declared
//! one. Header fields and cookies that are not declared pass, as the gateway and every hop add some.

use crate::policy::contract::Scratch;
use crate::policy::contract::fields::{Field, Fields, Owner, Pieces, Style, Taken};
use crate::policy::contract::reading::{Kinds, Pair, Reading, Rule, Texts, Writer};
use crate::policy::contract::schema::{Schema, is_over};
use crate::policy::denial::Denial;
use crate::policy::route::Segment;
use crate::proto::head::{self, RequestHead};
use crate::proto::header::SealedNames;
use crate::proto::target::Path;
use crate::proto::{cookie, query};

/// Most `name=value` pairs of one query.
pub const PAIRS: usize = 256;

/// Most items of one array, and most texts of all parameters of one place.
pub const ITEMS: usize = 256;

/// Most declared query parameters of one operation.
pub const DECLARED: usize = 64;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    Path,
    Query,
    Header,
    Cookie,
}

impl Location {
    /// As it stands in descriptions and logs.
    pub fn name(self) -> &'static str {
        match self {
            Location::Path => "path",
            Location::Query => "query",
            Location::Header => "header",
            Location::Cookie => "cookie",
        }
    }
}

/// How a value in the path begins (OpenAPI "Style Values").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// `simple`: with nothing.
    None,
    /// `label`: with a dot.
    Dot,
    /// `matrix`: with a semicolon and the name.
    Semicolon,
}

/// One declared parameter.
#[derive(Clone)]
pub struct Parameter {
    pub location: Location,
    pub required: bool,
    /// Of the path.
    pub prefix: Prefix,
    /// Of the path and headers.
    pub explode: bool,
    pub field: Field,
    pub schema: Schema,
}

impl Parameter {
    /// Whether the value stands in the request as it is: not behind a prefix, not as JSON, and not
    /// as the members of an object.
    pub fn is_plain(&self) -> bool {
        let is_single = match &self.field.reading {
            Reading::One(_) => true,
            Reading::Many(items) => matches!(**items, Reading::One(_)),
            Reading::Members(_) | Reading::Json | Reading::Bytes => false,
        };
        is_single && self.prefix == Prefix::None
    }
}

/// What becomes of query parameters that are not declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// The request is refused.
    #[default]
    Reject,
    /// They are not sent on.
    Strip,
    /// They pass, and are noted.
    Report,
}

/// All parameters of one operation.
#[derive(Clone)]
pub struct Parameters {
    /// With the index of their segment.
    path: Box<[(usize, Parameter)]>,
    query: Fields,
    /// One for each of the fields of `query`.
    query_rules: Box<[(bool, Schema)]>,
    pub unknown: Unknown,
    /// With all names that a backend may fold into theirs.
    headers: Box<[(SealedNames, Parameter)]>,
    cookies: Box<[Parameter]>,
    /// The segments of the path that may begin with a semicolon.
    matrix: u32,
}

/// What parameter a check speaks of.
struct Named<'p>(Location, &'p str);

impl Parameters {
    /// Whether a header field is one of these.
    pub fn takes(&self, name: &[u8]) -> bool {
        self.headers.iter().any(|(aliases, _)| aliases.cover(name))
    }

    /// `declared` holds at most [`DECLARED`] query parameters, and in the path those of `template`.
    pub fn new(declared: Vec<Parameter>, template: &[Segment]) -> Parameters {
        let (mut path, mut query, mut rules) = (Vec::new(), Vec::new(), Vec::new());
        let (mut headers, mut cookies) = (Vec::new(), Vec::new());
        for parameter in declared {
            match parameter.location {
                Location::Path => {
                    let own = Segment::Parameter(parameter.field.name.clone());
                    let index = template.iter().position(|segment| *segment == own);
                    path.extend(index.map(|index| (index, parameter)));
                }
                Location::Query => {
                    query.push(parameter.field);
                    rules.push((parameter.required, parameter.schema));
                }
                Location::Header => {
                    headers.push((SealedNames::new([&*parameter.field.name]), parameter));
                }
                Location::Cookie => cookies.push(parameter),
            }
        }
        let matrix = path
            .iter()
            .filter(|(_, own)| own.prefix == Prefix::Semicolon);
        Parameters {
            matrix: matrix.fold(0, |bits, (index, _)| bits | 1 << index),
            path: path.into(),
            query: Fields {
                named: query.into(),
                others: None,
            },
            query_rules: rules.into(),
            unknown: Unknown::default(),
            headers: headers.into(),
            cookies: cookies.into(),
        }
    }

    /// The segments of the path that may begin with a semicolon, as bits.
    pub fn matrix(&self) -> u32 {
        self.matrix
    }

    pub fn check(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        path: &Path,
        scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        let outcome = self.check_each(head, bytes, path, scratch);
        scratch.conclude(outcome)
    }

    /// Up to the first refusal, or behind as many as are to be named.
    fn check_each(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        path: &Path,
        scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        for (index, parameter) in &self.path {
            let text = path.segments().nth(*index);
            let outcome = match text {
                Some(text) => parameter.check_segment(text, scratch),
                None => Err(parameter.named().missing(scratch)),
            };
            scratch.go_on(outcome)?;
        }
        let query = head.query.map_or(&[][..], |query| query.of(bytes));
        self.check_query(query, scratch)?;
        for (aliases, parameter) in &self.headers {
            let outcome = parameter.check_header(aliases, &head.fields, bytes, scratch);
            scratch.go_on(outcome)?;
        }
        self.check_cookies(&head.fields, bytes, scratch)
    }

    fn check_query(&self, query: &[u8], scratch: &mut Scratch) -> Result<(), Denial> {
        let mut texts = std::mem::take(&mut scratch.texts);
        let mut name = std::mem::take(&mut scratch.name);
        texts.clear();
        let outcome = self
            .gather(query, (&mut texts, &mut name), scratch)
            .and_then(|()| self.judge(&mut texts, scratch));
        (scratch.texts, scratch.name) = (texts, name);
        outcome
    }

    /// Reads the pairs of a query and finds whose they are.
    fn gather(
        &self,
        query: &[u8],
        (texts, name): (&mut Texts, &mut String),
        scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        for (count, pair) in query::pairs(query).enumerate() {
            let named = |field: Option<&'_ Field>, rule, scratch: &mut Scratch| {
                let name = field.map_or("", |field| &field.name);
                Named(Location::Query, name).invalid(rule, scratch)
            };
            let taken = self.query.take(pair, texts, name);
            match taken.map_err(|(field, rule)| named(field, rule, scratch))? {
                Taken::Field(field) if count >= PAIRS || texts.pairs.len() > ITEMS => {
                    return Err(named(Some(field), "too-many", scratch));
                }
                Taken::Field(_) => {}
                Taken::Others | Taken::Nobody if count >= PAIRS => {
                    return Err(named(None, "too-many", scratch));
                }
                Taken::Others | Taken::Nobody => {
                    let outcome = self.undeclared(name, scratch);
                    scratch.go_on(outcome)?;
                }
            }
        }
        Ok(())
    }

    fn undeclared(&self, name: &str, scratch: &mut Scratch) -> Result<(), Denial> {
        match self.unknown {
            Unknown::Reject => {
                Err(scratch.refuse(Denial::UndeclaredParameter, "query", name, "declared"))
            }
            Unknown::Strip => Ok(()),
            Unknown::Report => {
                scratch.note(Denial::UndeclaredParameter, "query", name, "declared");
                Ok(())
            }
        }
    }

    /// Checks the values that were gathered, and that none is missing.
    fn judge(&self, texts: &mut Texts, scratch: &mut Scratch) -> Result<(), Denial> {
        let required = self.query_rules.iter().enumerate();
        for (index, _) in required.filter(|(_, (required, _))| *required) {
            if !texts
                .pairs
                .iter()
                .any(|pair| usize::from(pair.owner) == index)
            {
                let named = Named(Location::Query, &self.query.named[index].name);
                let outcome = Err(named.missing(scratch));
                scratch.go_on(outcome)?;
            }
        }
        texts.sort();
        for group in texts.groups() {
            let index = usize::from(group[0].owner);
            let (field, (_, schema)) = (&self.query.named[index], &self.query_rules[index]);
            let named = Named(Location::Query, &field.name);
            let outcome = check(named, (field, schema), group, texts, scratch);
            scratch.go_on(outcome)?;
        }
        Ok(())
    }

    fn check_cookies(
        &self,
        fields: &[head::Field],
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        for parameter in &self.cookies {
            let outcome = parameter.check_cookie(fields, bytes, scratch);
            scratch.go_on(outcome)?;
        }
        Ok(())
    }

    /// Whether a part of a query that is sent on holds a declared name, as [`check`] reads it.
    ///
    /// [`check`]: Parameters::check
    pub fn declares(&self, part: &[u8]) -> bool {
        let mut name = String::new();
        let mut pairs = query::pairs(part);
        pairs.next().is_none_or(|(raw, _)| {
            query::decode_into(raw, &mut name).is_some() && self.query.owner(&name).is_some()
        })
    }
}

/// Checks the texts of one parameter: as what is written without quotes first, where its schema
/// would have both.
fn check(
    named: Named<'_>,
    (field, schema): (&Field, &Schema),
    group: &[Pair],
    texts: &Texts,
    scratch: &mut Scratch,
) -> Result<(), Denial> {
    if field.empty && matches!(group, [pair] if pair.is_empty()) {
        return Ok(());
    }
    let mut json = std::mem::take(&mut scratch.json);
    let mut outcome = Ok(());
    for prefers_strings in [false, true] {
        let mut writer = Writer::new(&texts.text, &mut json, prefers_strings);
        let written = writer.value(&field.reading, group);
        let is_mixed = writer.is_mixed;
        outcome = written.and_then(|()| {
            let checked = schema.check_value(&json, &mut scratch.schema);
            checked.map_err(|violation| violation.keyword)
        });
        let is_over = outcome.is_err_and(is_over);
        if outcome.is_ok() || !is_mixed || is_over {
            break;
        }
    }
    scratch.json = json;
    outcome.map_err(|rule| {
        let denial = named.invalid(rule, scratch);
        scratch.locate();
        denial
    })
}

impl Parameter {
    /// An optional text.
    pub fn text(location: Location, name: &str, schema: Schema) -> Parameter {
        Parameter {
            location,
            required: false,
            prefix: Prefix::None,
            explode: false,
            field: Field {
                name: name.into(),
                style: Style::Pairs,
                reading: Reading::One(Kinds::STRING),
                reserved: false,
                empty: false,
            },
            schema,
        }
    }

    fn named(&self) -> Named<'_> {
        Named(self.location, &self.field.name)
    }

    /// Checks the one parameter whose pieces `take` puts into the texts.
    fn check_with(
        &self,
        scratch: &mut Scratch,
        take: impl FnOnce(Owner<'_>, &mut Texts) -> Result<(), Rule>,
    ) -> Result<(), Denial> {
        let mut texts = std::mem::take(&mut scratch.texts);
        texts.clear();
        let own = Owner {
            index: 0,
            member: "",
        };
        let taken = take(own, &mut texts);
        let is_bounded = texts.pairs.len() <= ITEMS;
        let taken = taken.and(is_bounded.then_some(()).ok_or("too-many"));
        texts.sort();
        let outcome = match taken {
            Ok(()) => check(
                self.named(),
                (&self.field, &self.schema),
                &texts.pairs,
                &texts,
                scratch,
            ),
            Err(rule) => Err(self.named().invalid(rule, scratch)),
        };
        scratch.texts = texts;
        outcome
    }

    /// The member that a cookie gives, or nothing of the one value; none: the cookie is another one.
    fn cookie(&self, name: &[u8]) -> Option<&str> {
        match (self.field.style, &self.field.reading) {
            (Style::Exploded, Reading::Members(members)) => {
                let mut named = members.named.iter();
                let found = named.find(|(own, _)| own.as_bytes() == name);
                found.map(|(own, _)| &**own)
            }
            _ => (self.field.name.as_bytes() == name).then_some(""),
        }
    }

    /// An array that explodes is a cookie for each item, an object one for each member, by its name.
    fn check_cookie(
        &self,
        fields: &[head::Field],
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        let lines = head::lines(fields, bytes, b"cookie").filter(|field| !field.hop_by_hop);
        let cookies = lines.flat_map(|field| cookie::pairs(field.value.of(bytes)));
        let mut own = cookies.filter_map(|(name, value)| Some((self.cookie(name)?, value)));
        let is_many = match (self.field.style, &self.field.reading) {
            (Style::Exploded, _) => true,
            (Style::Pairs, reading) => matches!(reading, Reading::Many(_)),
            (Style::Separated(_) | Style::Deep, _) => false,
        };
        let Some(first) = own.next() else {
            return match self.required {
                true => Err(self.named().missing(scratch)),
                false => Ok(()),
            };
        };
        let second = own.next();
        if second.is_some() && !is_many {
            return Err(self.named().invalid("repeated", scratch));
        }
        let mut all = [Some(first), second].into_iter().flatten().chain(own);
        self.check_with(scratch, |owner, texts| {
            all.try_for_each(|(member, value)| {
                // Some take the quotes for a part of the value, others do not.
                if value.starts_with(b"\"") {
                    return Err("quotes");
                }
                // `form`, to the letter, puts all into one cookie with `&` between them.
                if is_many && memchr::memchr(b'&', value).is_some() {
                    return Err("separator");
                }
                let owner = Owner { member, ..owner };
                self.field.take(owner, value, cookie::decode_into, texts)
            })
        })
    }

    fn check_segment(&self, text: &str, scratch: &mut Scratch) -> Result<(), Denial> {
        self.check_with(scratch, |_, texts| self.take_segment(text, texts))
    }

    fn take_segment(&self, text: &str, texts: &mut Texts) -> Result<(), Rule> {
        let is_one = matches!(self.field.reading, Reading::One(_) | Reading::Json);
        let rest = match self.prefix {
            Prefix::None => text,
            Prefix::Dot => text.strip_prefix('.').ok_or("style")?,
            Prefix::Semicolon => return self.take_matrix(text, is_one, texts),
        };
        let whole = texts.push(rest);
        let pieces = Pieces::new(0, &self.field.reading);
        let separator = match self.prefix {
            Prefix::Dot if self.explode => '.',
            _ => ',',
        };
        match is_one {
            true => texts.pair(0, 0..0, whole),
            false if self.explode => pieces.assigning().split(whole, separator, texts)?,
            false => {
                let mut pieces = pieces;
                pieces.split(whole, separator, texts)?;
                pieces.finish()?;
            }
        }
        Ok(())
    }

    /// `;name=value`, once for each item or member if they explode.
    fn take_matrix(&self, text: &str, is_one: bool, texts: &mut Texts) -> Result<(), Rule> {
        let rest = text.strip_prefix(';').ok_or("style")?;
        if self.explode && !is_one {
            let is_object = matches!(self.field.reading, Reading::Members(_));
            for piece in rest.split(';') {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                if !is_object && *name != *self.field.name {
                    return Err("style");
                }
                let member = texts.push(if is_object { name } else { "" });
                let value = texts.push(value);
                texts.pair(0, member, value);
            }
            return Ok(());
        }
        let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
        if *name != *self.field.name || value.contains(';') {
            return Err("style");
        }
        let whole = texts.push(value);
        if is_one {
            texts.pair(0, 0..0, whole);
            return Ok(());
        }
        let mut pieces = Pieces::new(0, &self.field.reading);
        pieces.split(whole, ',', texts)?;
        pieces.finish()
    }

    fn check_header(
        &self,
        aliases: &SealedNames,
        fields: &[head::Field],
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        // A field that ends here never reaches the backend, so it gives no value.
        let mut fields = fields
            .iter()
            .filter(|field| !field.hop_by_hop && aliases.cover(field.name.of(bytes)))
            .peekable();
        if fields.peek().is_none() {
            return match self.required {
                true => Err(self.named().missing(scratch)),
                false => Ok(()),
            };
        }
        self.check_with(scratch, |_, texts| {
            let mut pieces = Pieces::new(0, &self.field.reading);
            if self.explode {
                pieces = pieces.assigning();
            }
            for (count, field) in fields.enumerate() {
                let line = self.line(field, bytes)?;
                match self.field.style {
                    Style::Separated(separator) => {
                        // RFC 9110 section 5.3: lines of one name are one list.
                        for part in line.split(separator) {
                            let part = texts.push(part.trim_matches([' ', '\t']));
                            pieces.member(part, texts)?;
                        }
                    }
                    _ if count > 0 => return Err("repeated"),
                    Style::Pairs | Style::Exploded | Style::Deep => {
                        let value = texts.push(line);
                        texts.pair(0, 0..0, value);
                    }
                }
            }
            pieces.finish()
        })
    }

    fn line<'a>(&self, field: &head::Field, bytes: &'a [u8]) -> Result<&'a str, Rule> {
        let name = field.name.of(bytes);
        if !name.eq_ignore_ascii_case(self.field.name.as_bytes()) {
            return Err("alias");
        }
        std::str::from_utf8(field.value.of(bytes)).map_err(|_| "encoding")
    }
}

impl Named<'_> {
    fn missing(&self, scratch: &mut Scratch) -> Denial {
        scratch.refuse(Denial::MissingParameter, self.0.name(), self.1, "required")
    }

    fn invalid(&self, rule: Rule, scratch: &mut Scratch) -> Denial {
        scratch.refuse(Denial::InvalidParameter, self.0.name(), self.1, rule)
    }
}
