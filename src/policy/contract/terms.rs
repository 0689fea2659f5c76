//! The contract of one operation, and what a shard keeps between checks.
//!
//! The head is checked first and says whether the body has to be seen. What was found in a body
//! is forgotten when the next check begins, so that a value of one request can never stand for
//! one of another.

use crate::policy::contract::accept::Produced;
use crate::policy::contract::body::{Announced, Content, Media, RequestBody, is_announced};
use crate::policy::contract::codings::Codings;
use crate::policy::contract::detail::{Detail, Details};
use crate::policy::contract::forms::{Broken, Memory};
use crate::policy::contract::graphql::{self, Endpoint};
use crate::policy::contract::media_type::MediaRange;
use crate::policy::contract::page::Page;
use crate::policy::contract::parameters::{Parameters, Unknown};
use crate::policy::contract::reading::Texts;
use crate::policy::contract::schema::{self, Edited, Schema, Undeclared, Wanted, is_over};
use crate::policy::contract::sieve::{Bounds, Cut, Fault, Sieve};
use crate::policy::denial::Denial;
use crate::proto::coding::Coding;
use crate::proto::head::RequestHead;
use crate::proto::target::Path;

/// What a check reuses from one request to the next; one per shard.
#[derive(Default)]
pub struct Scratch {
    pub(super) schema: schema::Scratch,
    graphql: graphql::Memory,
    /// The texts that are read, the name of one of them, and what is written of them.
    pub(super) texts: Texts,
    pub(super) name: String,
    pub(super) json: String,
    /// Whether `schema` holds the body of the request at hand.
    has_body: bool,
    /// Whether the body that was checked last goes on as it was rewritten.
    is_rewritten: bool,
    pub(super) details: Details,
    /// What was found and let pass: the reason to refuse for the first of it.
    noted: Option<(Denial, Details)>,
}

/// What a head says of the body to come; goes from [`Contract::check_head`] to
/// [`Contract::check_body`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// What is known of a body that has to be seen.
    announced: Option<Announced>,
    /// The coding that has to be taken off it first.
    coding: Option<Coding>,
    /// It is in a coding that is not taken off.
    is_opaque: bool,
}

/// The contract of one operation.
#[derive(Clone)]
pub struct Contract {
    /// None: nothing is checked.
    terms: Option<Terms>,
    codings: Codings,
    /// How many faults of one request are named; none is as good as one.
    violations: usize,
    /// Whether the client is told them.
    tells: bool,
}

#[derive(Clone)]
struct Terms {
    parameters: Parameters,
    /// What the operation answers with, and whether a client that accepts none of it is refused.
    produced: Produced,
    checks_accept: bool,
    page: Option<Page>,
    /// Of bodies.
    unknown: Undeclared,
    body: Option<RequestBody>,
    /// How long bodies may be that are checked while they come in.
    streams: Option<Bounds>,
    graphql: Option<GraphqlTerms>,
}

/// What holds beside the form of parameters and body.
#[derive(Clone)]
struct GraphqlTerms {
    endpoint: Endpoint,
    /// The request stands in the parameters, not in the body.
    is_get: bool,
}

impl Contract {
    /// For a backend without a description: nothing is checked.
    pub fn none() -> Contract {
        Contract::of(None)
    }

    /// `body`: none refuses every body.
    pub fn new(parameters: Parameters, body: Option<RequestBody>) -> Contract {
        let terms = Terms {
            parameters,
            produced: Produced::default(),
            checks_accept: false,
            page: None,
            unknown: Undeclared::default(),
            body,
            streams: None,
            graphql: None,
        };
        Contract::of(Some(terms))
    }

    fn of(terms: Option<Terms>) -> Contract {
        Contract {
            terms,
            codings: Codings::default(),
            violations: 1,
            tells: false,
        }
    }

    /// How many faults of one request are named.
    #[must_use]
    pub fn with_violations(self, violations: usize) -> Contract {
        Contract { violations, ..self }
    }

    /// The client is told what is wrong with its request.
    #[must_use]
    pub fn with_told_faults(self) -> Contract {
        Contract {
            tells: true,
            ..self
        }
    }

    pub fn tells_faults(&self) -> bool {
        self.tells
    }

    /// The same for a GraphQL endpoint. Without a description its requests have the form that
    /// GraphQL gives them: parameters of a GET, or the JSON body of a POST.
    #[must_use]
    pub fn with_graphql(self, endpoint: Endpoint, is_get: bool) -> Contract {
        let mut terms = self.terms.unwrap_or_else(|| undescribed(is_get));
        terms.graphql = Some(GraphqlTerms { endpoint, is_get });
        Contract {
            terms: Some(terms),
            ..self
        }
    }

    /// Whether requests are checked as GraphQL.
    pub fn is_graphql(&self) -> bool {
        self.terms
            .as_ref()
            .is_some_and(|terms| terms.graphql.is_some())
    }

    /// How much of a collection may be asked for at once.
    #[must_use]
    pub fn with_page(mut self, page: Page) -> Contract {
        if let Some(terms) = &mut self.terms {
            terms.page = Some(page);
        }
        self
    }

    /// What the operation answers with.
    #[must_use]
    pub fn with_produced(mut self, produced: Produced) -> Contract {
        if let Some(terms) = &mut self.terms {
            terms.produced = produced;
        }
        self
    }

    /// Refuses clients that accept nothing of what the operation answers with.
    #[must_use]
    pub fn with_accept_check(mut self) -> Contract {
        if let Some(terms) = &mut self.terms {
            terms.checks_accept = true;
        }
        self
    }

    /// In which codings bodies may come.
    #[must_use]
    pub fn with_codings(self, codings: Codings) -> Contract {
        Contract { codings, ..self }
    }

    /// The codings that are taken off bodies.
    pub fn codings(&self) -> &[Coding] {
        self.codings.allowed()
    }

    /// What becomes of query parameters that are not declared.
    #[must_use]
    pub fn with_unknown_query(mut self, unknown: Unknown) -> Contract {
        if let Some(terms) = &mut self.terms {
            terms.parameters.unknown = unknown;
        }
        self
    }

    /// What becomes of members of bodies that are not declared.
    #[must_use]
    pub fn with_unknown_fields(mut self, unknown: Undeclared) -> Contract {
        if let Some(terms) = &mut self.terms {
            terms.unknown = unknown;
        }
        self
    }

    /// Lets bodies be checked while they come in. What stands against it, if they cannot be.
    pub fn stream(&mut self, bounds: Bounds) -> Result<(), String> {
        let refused = |reason: &str| Err(reason.to_owned());
        if !self.codings.allowed().is_empty() {
            return refused("`request_encodings` takes codings off whole bodies only");
        }
        let Some(terms) = &mut self.terms else {
            return refused("no description says what its records are");
        };
        if terms.graphql.is_some() {
            return refused("a GraphQL request is checked as a whole");
        }
        if terms.unknown != Undeclared::Refused {
            return refused("`unknown_fields` other than \"reject\" looks at whole bodies only");
        }
        let Some(body) = &mut terms.body else {
            return refused("it takes no body");
        };
        body.stream()?;
        terms.streams = Some(bounds);
        Ok(())
    }

    /// Whether there are bodies that are checked while they come in.
    pub fn streams(&self) -> bool {
        self.terms
            .as_ref()
            .is_some_and(|terms| terms.streams.is_some())
    }

    /// For a body that is checked while it comes in; none where it has to be collected.
    pub fn sieve(&self, expected: Body) -> Option<Sieve<'_>> {
        let terms = self.terms.as_ref()?;
        let body = terms.body.as_ref()?;
        body.sieve(expected.announced?, terms.streams?)
    }

    /// What becomes of undeclared members in spite of [`with_unknown_fields`], by kinds of bodies.
    ///
    /// [`with_unknown_fields`]: Contract::with_unknown_fields
    pub fn spared_fields(&self) -> Option<&'static str> {
        let body = self.terms.as_ref()?.body.as_ref();
        let has = |kinds: fn(&Content) -> bool| body.is_some_and(|body| body.has(kinds));
        if has(|content| matches!(content, Content::Form(_) | Content::Parts(_))) {
            return Some("undeclared fields of forms are always refused");
        }
        let has_members = has(|content| matches!(content, Content::Json(_) | Content::Records(_)));
        (!has_members).then_some("the operation takes no JSON whose members could be undeclared")
    }

    /// What a query lacks that is sent on nevertheless.
    pub fn added_pair(&self, query: &[u8]) -> Option<&[u8]> {
        self.terms.as_ref()?.page.as_ref()?.added(query)
    }

    /// The segments of the path that may begin with a semicolon, as bits.
    pub fn matrix(&self) -> u32 {
        self.terms
            .as_ref()
            .map_or(0, |terms| terms.parameters.matrix())
    }

    /// Whether a header field is a parameter.
    pub fn takes(&self, name: &[u8]) -> bool {
        let terms = self.terms.as_ref();
        terms.is_some_and(|terms| terms.parameters.takes(name))
    }

    /// The parameters without which a query is not sent on; none: it is sent as it came.
    pub fn strips_query(&self) -> Option<&Parameters> {
        let parameters = &self.terms.as_ref()?.parameters;
        (parameters.unknown == Unknown::Strip).then_some(parameters)
    }

    /// Whether bodies may leave as others than they came.
    pub fn strips_body(&self) -> bool {
        let terms = self.terms.as_ref();
        terms.is_some_and(|terms| terms.unknown == Undeclared::Stripped)
    }

    /// Whether there are requests whose body has to be seen.
    pub fn reads_body(&self) -> bool {
        let decodes = !self.codings.allowed().is_empty();
        self.terms.as_ref().map_or(decodes, |terms| {
            let body = terms.body.as_ref();
            body.is_some_and(|body| decodes || body.has_schema() || terms.reads_graphql())
        })
    }

    pub fn check_head(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        path: &Path,
        scratch: &mut Scratch,
    ) -> Result<Body, Denial> {
        scratch.begin(self.violations);
        scratch.noted = None;
        let is_announced = is_announced(head.framing);
        let coding = match is_announced {
            true => self.codings.check(head, bytes),
            false => Ok(None),
        };
        let Some(terms) = &self.terms else {
            return Ok(Body {
                announced: None,
                is_opaque: coding.is_err(),
                coding: coding.unwrap_or_default(),
            });
        };
        if terms.checks_accept && !terms.produced.satisfies(head, bytes) {
            return Err(scratch.refuse(Denial::NotAcceptable, "header", "Accept", "accept"));
        }
        terms.parameters.check(head, bytes, path, scratch)?;
        let query = head.query.map_or(&[][..], |query| query.of(bytes));
        if let Some(page) = &terms.page {
            page.check(query, scratch)?;
        }
        terms.check_graphql_head(query, scratch)?;
        let outcome = match &terms.body {
            Some(_) if terms.reads_graphql() && !is_announced => {
                Err((Denial::MissingBody, "required"))
            }
            Some(body) => coding.and_then(|coding| {
                let announced = body.check_head(head, bytes, coding.is_some())?;
                let reads = |announced: &Announced| {
                    body.reads(*announced, head.framing) || terms.reads_graphql()
                };
                Ok(Body {
                    announced: announced.filter(|each| coding.is_some() || reads(each)),
                    coding,
                    is_opaque: false,
                })
            }),
            None if is_announced => Err((Denial::UndeclaredBody, "requestBody")),
            None => Ok(Body::default()),
        };
        outcome.map_err(|(denial, rule)| scratch.refuse(denial, "body", "", rule))
    }

    /// `body` is the whole content, without its framing; `expected` what the head said of it.
    pub fn check_body(
        &self,
        expected: Body,
        body: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Denial> {
        scratch.begin(self.violations);
        let Some(terms) = &self.terms else {
            return Ok(());
        };
        let (Some(declared), Some(announced)) = (&terms.body, expected.announced) else {
            return Ok(());
        };
        if body.is_empty() {
            return match declared.required || terms.reads_graphql() {
                true => Err(scratch.refuse(Denial::MissingBody, "body", "", "required")),
                false => Ok(()),
            };
        }
        let outcome = match declared.content(announced) {
            Content::Json(schema) => terms.check(schema, body, scratch),
            Content::Records(records) if terms.unknown != Undeclared::Refused => {
                let edited = records.edit(body, Wanted::of(terms.unknown), &mut scratch.memory());
                scratch.take_edited(edited)
            }
            _ => {
                let checked = declared.check(announced, body, &mut scratch.memory());
                checked.map_err(|(pointer, rule)| scratch.refuse_body(&pointer, rule))
            }
        };
        // What goes on is what is judged.
        let instead = scratch.instead().map(<[u8]>::to_vec);
        let sent = instead.as_deref().unwrap_or(body);
        let outcome = outcome.and_then(|()| terms.check_graphql_body(sent, scratch));
        let has_values = declared.has_values(announced) || terms.reads_graphql();
        scratch.has_body = outcome.is_ok() && has_values;
        outcome
    }
}

impl Terms {
    /// Checks a body by its schema, and takes out or notes what is not declared.
    fn check(&self, schema: &Schema, body: &[u8], scratch: &mut Scratch) -> Result<(), Denial> {
        let outcome = match self.unknown {
            Undeclared::Refused => schema.check(body, &mut scratch.schema).map(|()| None),
            undeclared @ (Undeclared::Stripped | Undeclared::Noted | Undeclared::Forbidden) => {
                let edited = schema.edit(body, Wanted::of(undeclared), &mut scratch.schema);
                edited.map(Some)
            }
        };
        let edited = outcome.map(Option::unwrap_or_default);
        scratch.take_edited(edited.map_err(|violation| (violation.pointer, violation.keyword)))
    }

    /// Whether the body holds a GraphQL request.
    fn reads_graphql(&self) -> bool {
        self.graphql.as_ref().is_some_and(|graphql| !graphql.is_get)
    }

    fn check_graphql_head(&self, query: &[u8], scratch: &mut Scratch) -> Result<(), Denial> {
        let Some(GraphqlTerms { endpoint, is_get }) = &self.graphql else {
            return Ok(());
        };
        let outcome = match is_get {
            true => endpoint.check_query(query, &mut scratch.graphql, &mut scratch.schema),
            false => endpoint.check_beside_body(query),
        };
        outcome.map_err(|refused| {
            scratch.refuse(refused.denial, "query", &refused.pointer, refused.rule)
        })
    }

    fn check_graphql_body(&self, body: &[u8], scratch: &mut Scratch) -> Result<(), Denial> {
        let Some(GraphqlTerms {
            endpoint,
            is_get: false,
        }) = &self.graphql
        else {
            return Ok(());
        };
        let outcome = endpoint.check_body(body, &mut scratch.graphql, &mut scratch.schema);
        outcome.map_err(|refused| {
            scratch.refuse(refused.denial, "body", &refused.pointer, refused.rule)
        })
    }
}

/// What a GraphQL request may be made of where no document says it.
fn undescribed(is_get: bool) -> Terms {
    let range = MediaRange::read(b"application/json");
    let json = range.map(|range| Media {
        range,
        content: Content::Unread,
    });
    Terms {
        parameters: match is_get {
            true => Parameters::new(graphql::parameters(), &[]),
            false => Parameters::new(Vec::new(), &[]),
        },
        produced: Produced::default(),
        checks_accept: false,
        page: None,
        unknown: Undeclared::default(),
        streams: None,
        body: (!is_get).then(|| RequestBody::new(true, json.into_iter().collect())),
        graphql: None,
    }
}

impl Body {
    /// Whether the contract has to see the body before it may be sent on.
    pub fn is_read(self) -> bool {
        self.announced.is_some() || self.coding.is_some()
    }

    /// The coding that has to be taken off the body before it is looked at.
    pub fn coding(self) -> Option<Coding> {
        self.coding
    }

    /// Whether nobody can look into the body.
    pub fn is_opaque(self) -> bool {
        self.is_opaque
    }
}

impl Scratch {
    /// Whether values of the bodies to come will be looked up.
    pub fn keep_bodies(&mut self, keeps: bool) {
        self.schema.keep_bodies(keeps);
    }

    /// The text or integer at a JSON pointer of the body that was checked last; nothing when that
    /// body was refused or not looked at.
    pub fn lookup(&self, pointer: &str) -> Option<String> {
        self.schema.lookup(pointer).filter(|_| self.has_body)
    }

    /// The body that takes the place of the one that was checked last, where that says so.
    pub fn rewritten(&self) -> &[u8] {
        self.schema.rewritten().as_bytes()
    }

    /// The body of a request that goes on in place of the one that was checked last, if another
    /// one does.
    pub fn instead(&self) -> Option<&[u8]> {
        self.is_rewritten.then(|| self.rewritten())
    }

    /// What the last check refused first.
    pub fn detail(&self) -> Option<&Detail> {
        self.details.first()
    }

    /// All that the last check refused for, as many as it was to name.
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// Takes the next piece of a body through a sieve, up to the end of a record; or its end where
    /// there is none.
    pub fn sift(
        &mut self,
        sieve: &mut Sieve<'_>,
        piece: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<Cut, Denial> {
        let outcome = match piece {
            Some(piece) => sieve.next(piece, &mut self.schema, out),
            None => sieve.finish(&mut self.schema, out),
        };
        outcome.map_err(|fault| {
            let Fault {
                denial,
                pointer,
                rule,
            } = fault;
            let denial = self.refuse(denial, "body", &pointer, rule);
            self.locate();
            denial
        })
    }

    /// Steps that patterns which backtrack took in the last check.
    pub fn pattern_steps(&self) -> usize {
        self.schema.pattern_steps()
    }

    pub(super) fn memory(&mut self) -> Memory<'_> {
        Memory {
            texts: &mut self.texts,
            name: &mut self.name,
            json: &mut self.json,
            schema: &mut self.schema,
        }
    }

    /// What became of the body of a request.
    fn take_edited(&mut self, outcome: Result<Edited, Broken>) -> Result<(), Denial> {
        let edited = outcome.map_err(|(pointer, rule)| self.refuse_body(&pointer, rule))?;
        self.is_rewritten = edited.is_changed;
        if edited.undeclared.is_some() {
            for found in self.schema.take_found() {
                self.note(Denial::InvalidBody, "body", &found.pointer, found.keyword);
            }
        }
        Ok(())
    }

    pub(super) fn begin(&mut self, violations: usize) {
        self.has_body = false;
        self.is_rewritten = false;
        self.details.begin(violations);
        self.schema.find(violations);
    }

    /// Keeps what is wrong and passes all the same.
    pub(super) fn note(
        &mut self,
        denial: Denial,
        part: &'static str,
        name: &str,
        rule: &'static str,
    ) {
        let most = self.details.most();
        let (_, noted) = self
            .noted
            .get_or_insert_with(|| (denial, Details::up_to(most)));
        noted.push(Detail::new(part, name, rule));
    }

    /// What passed although the contract does not let it, since the head was checked.
    pub fn take_noted(&mut self) -> Option<(Denial, Details)> {
        self.noted.take()
    }

    /// Refuses a body, for all that is known to be wrong with it.
    fn refuse_body(&mut self, pointer: &str, rule: &'static str) -> Denial {
        let denial = self.refuse(Denial::InvalidBody, "body", pointer, rule);
        self.add_found("body");
        denial
    }

    /// Adds what the last check by a schema found to what is refused.
    pub(super) fn add_found(&mut self, part: &'static str) {
        for found in self.schema.take_found() {
            let detail = Detail::new(part, &found.pointer, found.keyword);
            self.details.push(detail.by(&found.schema));
        }
    }

    /// Says which schema refused the last value.
    pub(super) fn locate(&mut self) {
        if let Some(found) = self.schema.take_found().first() {
            self.details.locate(found.keyword, &found.schema);
        }
    }

    /// The same, and what was found is still there to be [added](Scratch::add_found).
    pub(super) fn locate_kept(&mut self) {
        let found = self.schema.take_found();
        if let Some(first) = found.first() {
            self.details.locate(first.keyword, &first.schema);
        }
        self.schema.put_found(found);
    }

    /// Goes on behind a refusal where more are to be named.
    pub(super) fn go_on(&mut self, outcome: Result<(), Denial>) -> Result<(), Denial> {
        match outcome {
            Err(denial) if denial != Denial::TooComplex && self.details.keep(denial) => Ok(()),
            outcome => outcome,
        }
    }

    /// Ends what [`go_on`](Scratch::go_on) let go on: the first refusal is the reason.
    pub(super) fn conclude(&mut self, outcome: Result<(), Denial>) -> Result<(), Denial> {
        // What ended the check stands in the list already, behind what was kept.
        match self.details.conclude() {
            Some(first) => Err(first),
            None => outcome,
        }
    }

    pub(super) fn refuse(
        &mut self,
        denial: Denial,
        part: &'static str,
        name: &str,
        rule: &'static str,
    ) -> Denial {
        self.details.refuse(Detail::new(part, name, rule));
        match denial {
            Denial::InvalidBody | Denial::InvalidParameter if is_over(rule) => Denial::TooComplex,
            _ => denial,
        }
    }
}
