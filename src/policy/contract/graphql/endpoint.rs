//! One GraphQL endpoint: its settings, and the decision about a request to it.

use std::fmt;

use serde_json::{Value, json};

use crate::policy::contract::graphql::document::{Document, OperationType, Selected};
use crate::policy::contract::graphql::measure::{self, Measure, Scales};
use crate::policy::contract::graphql::persisted::{Hash, hash, read_hash};
use crate::policy::contract::graphql::sizes::Variables;
use crate::policy::contract::graphql::{Persisted, Rule, Sizes, Weights, envelope};
use crate::policy::contract::parameters::{Location, Parameter};
use crate::policy::contract::schema::{self, Dialect, Schema};
use crate::policy::denial::Denial;
use crate::proto::query;

/// What a request to an endpoint is made of.
const MEMBERS: [&str; 4] = ["query", "operationName", "variables", "extensions"];

/// How much one request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub depth: u64,
    pub aliases: u64,
    pub fields: u64,
    pub root_fields: u64,
    pub directives: u64,
    /// Of all queries of a batch together.
    pub cost: u64,
    /// Words of a document.
    pub tokens: usize,
    /// Queries in one body.
    pub batch: usize,
}

/// What an endpoint allows.
#[derive(Clone, Debug)]
pub struct Settings {
    pub limits: Limits,
    pub weights: Weights,
    pub sizes: Sizes,
    pub introspection: bool,
    pub mutations: bool,
    pub subscriptions: bool,
    pub persisted: Persisted,
    /// Nothing but the queries of `persisted`.
    pub persisted_only: bool,
}

/// A GraphQL endpoint.
#[derive(Clone)]
pub struct Endpoint {
    settings: Settings,
    /// The form of a body.
    body: Schema,
    /// The form of `variables` and `extensions` as parameters.
    object: Schema,
}

/// What a check reuses.
#[derive(Default)]
pub struct Memory {
    document: Document,
    measure: measure::Memory,
    variables: Variables,
    text: String,
    name: String,
    extensions: String,
}

/// A refusal: why, where in the body, and the rule for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub denial: Denial,
    pub pointer: String,
    pub rule: Rule,
}

/// The members of one request, as JSON; empty where they are absent.
#[derive(Clone, Copy, Default)]
struct Request<'a> {
    query: &'a str,
    operation_name: &'a str,
    variables: &'a str,
    extensions: &'a str,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            depth: 10,
            aliases: 15,
            fields: 200,
            root_fields: 20,
            directives: 20,
            cost: 1000,
            tokens: 2000,
            batch: 1,
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Endpoint")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    pub fn new(settings: Settings) -> Endpoint {
        let one = json!({
            "type": "object",
            "properties": {
                "query": {"type": ["string", "null"]},
                "operationName": {"type": ["string", "null"]},
                "variables": {"type": ["object", "null"]},
                "extensions": {"type": ["object", "null"]},
            },
            "additionalProperties": false,
        });
        let batch = json!({
            "type": ["object", "array"],
            "items": one,
            "minItems": 1,
            "maxItems": settings.limits.batch,
            "properties": one["properties"],
            "additionalProperties": false,
        });
        Endpoint {
            settings,
            body: fixed(&batch),
            object: fixed(&json!({"type": "object"})),
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Checks the body of a POST.
    pub fn check_body(
        &self,
        body: &[u8],
        memory: &mut Memory,
        scratch: &mut schema::Scratch,
    ) -> Result<(), Refused> {
        self.body
            .check(body, scratch)
            .map_err(|violation| Refused {
                denial: Denial::InvalidBody,
                pointer: violation.pointer,
                rule: violation.keyword,
            })?;
        // The schema has seen that it is UTF-8.
        let text = std::str::from_utf8(body).unwrap_or_default();
        let mut left = self.settings.limits.cost;
        if !text.trim_start().starts_with('[') {
            let request = Request::read(text);
            return self
                .check(request, false, &mut left, memory)
                .map_err(|refused| refused.at(""));
        }
        for (index, item) in envelope::items(text).enumerate() {
            let request = Request::read(item);
            let outcome = self.check(request, false, &mut left, memory);
            outcome.map_err(|refused| refused.at(&format!("/{index}")))?;
        }
        Ok(())
    }

    /// Checks the parameters of a GET.
    pub fn check_query(
        &self,
        encoded: &[u8],
        memory: &mut Memory,
        scratch: &mut schema::Scratch,
    ) -> Result<(), Refused> {
        let mut found: [Option<std::borrow::Cow<'_, str>>; 4] = [const { None }; 4];
        for (name, value) in query::pairs(encoded) {
            let known = query::decode(name).ok().and_then(|name| {
                let mut members = MEMBERS.iter();
                members.position(|member| *member == name)
            });
            let Some(index) = known else { continue };
            let value = query::decode(value).map_err(|_| malformed("encoding"))?;
            if found[index].replace(value).is_some() {
                return Err(malformed("repeated"));
            }
        }
        for value in found[2..].iter().flatten() {
            let checked = self.object.check(value.as_bytes(), scratch);
            checked.map_err(|violation| malformed(violation.keyword))?;
        }
        let quoted = |value: Option<&str>| value.map(|text| Value::from(text).to_string());
        let (document, name) = (quoted(found[0].as_deref()), quoted(found[1].as_deref()));
        let request = Request {
            query: document.as_deref().unwrap_or_default(),
            operation_name: name.as_deref().unwrap_or_default(),
            variables: found[2].as_deref().unwrap_or_default(),
            extensions: found[3].as_deref().unwrap_or_default(),
        };
        let mut left = self.settings.limits.cost;
        self.check(request, true, &mut left, memory)
    }

    /// Refuses the members of a request beside a body that holds them too: which of them counts
    /// is the backend's guess.
    pub fn check_beside_body(&self, encoded: &[u8]) -> Result<(), Refused> {
        let is_member = |(name, _)| query::decode(name).is_ok_and(|name| MEMBERS.contains(&&*name));
        match query::pairs(encoded).any(is_member) {
            true => Err(malformed("query-and-body")),
            false => Ok(()),
        }
    }

    /// Checks a query of the allow list by itself, with no variables.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check_persisted(&self, text: &str) -> Result<(), Rule> {
        let mut memory = Memory::default();
        let Memory { document, .. } = &mut memory;
        document.read(text, self.settings.limits.tokens)?;
        for index in 0..memory.document.operations.len() {
            let mut left = self.settings.limits.cost;
            let outcome = self.check_operation(text, index, "", &mut left, &mut memory);
            outcome.map_err(|refused| refused.rule)?;
        }
        Ok(())
    }

    fn check(
        &self,
        request: Request<'_>,
        is_get: bool,
        left: &mut u64,
        memory: &mut Memory,
    ) -> Result<(), Refused> {
        let mut text = std::mem::take(&mut memory.text);
        text.clear();
        envelope::unquote(request.query, &mut text);
        let outcome = self.check_text(request, &text, is_get, left, memory);
        memory.text = text;
        outcome
    }

    fn check_text(
        &self,
        request: Request<'_>,
        sent: &str,
        is_get: bool,
        left: &mut u64,
        memory: &mut Memory,
    ) -> Result<(), Refused> {
        let claimed = claimed(request.extensions, &mut memory.extensions)?;
        let is_sent = !request.query.is_empty();
        let settings = &self.settings;
        let text = match (is_sent, claimed) {
            (false, None) => return Err(malformed("required")),
            (false, Some(claimed)) => match settings.persisted.find(&claimed) {
                Some(Some(text)) => text,
                // Whether it changes anything cannot be told.
                Some(None) if is_get => return Err(refused(Denial::UnknownGraphqlQuery, "text")),
                Some(None) => return Ok(()),
                None => return Err(refused(Denial::UnknownGraphqlQuery, "persisted")),
            },
            (true, claimed) if claimed.is_some() || settings.persisted_only => {
                let actual = hash(sent);
                if claimed.is_some_and(|claimed| claimed != actual) {
                    return Err(refused(Denial::InvalidGraphql, "hash"));
                }
                if settings.persisted_only && settings.persisted.find(&actual).is_none() {
                    return Err(refused(Denial::UnknownGraphqlQuery, "persisted"));
                }
                sent
            }
            (true, _) => sent,
        };
        let read = memory.document.read(text, settings.limits.tokens);
        read.map_err(|rule| match rule {
            "syntax" => refused(Denial::InvalidGraphql, rule),
            "tokens" | "nesting" | "definitions" | "variables" => {
                refused(Denial::GraphqlLimit, rule)
            }
            _ => refused(Denial::InvalidGraphql, rule),
        })?;
        memory.name.clear();
        envelope::unquote(request.operation_name, &mut memory.name);
        let operation = selected(&memory.document, text, &memory.name)?;
        let kind = memory.document.operations[operation].kind;
        if is_get && kind != OperationType::Query {
            return Err(refused(Denial::GraphqlNotAllowed, "get"));
        }
        self.check_operation(text, operation, request.variables, left, memory)
    }

    fn check_operation(
        &self,
        text: &str,
        operation: usize,
        sent: &str,
        left: &mut u64,
        memory: &mut Memory,
    ) -> Result<(), Refused> {
        let settings = &self.settings;
        let Memory {
            document,
            measure,
            variables,
            ..
        } = memory;
        match document.operations[operation].kind {
            OperationType::Mutation if !settings.mutations => {
                return Err(refused(Denial::GraphqlNotAllowed, "mutation"));
            }
            OperationType::Subscription if !settings.subscriptions => {
                return Err(refused(Denial::GraphqlNotAllowed, "subscription"));
            }
            OperationType::Query | OperationType::Mutation | OperationType::Subscription => {}
        }
        if !settings.introspection && is_introspecting(document, text) {
            return Err(refused(Denial::GraphqlNotAllowed, "introspection"));
        }
        let arranged = measure.arrange(document, text);
        arranged.map_err(|rule| refused(Denial::InvalidGraphql, rule))?;
        variables.read((text, document), operation, sent, &settings.sizes);
        let scales = Scales {
            text,
            weights: &settings.weights,
            sizes: &settings.sizes,
            variables,
        };
        let measured = measure.measure(document, operation, scales);
        let outcome = settings.limits.check(measured, *left);
        outcome.map_err(|rule| refused(Denial::GraphqlLimit, rule))?;
        *left = left.saturating_sub(measured.cost);
        Ok(())
    }
}

impl Limits {
    fn check(&self, measure: Measure, cost: u64) -> Result<(), Rule> {
        for (found, most, rule) in [
            (measure.depth, self.depth, "depth"),
            (measure.aliases, self.aliases, "aliases"),
            (measure.root_fields, self.root_fields, "root-fields"),
            (measure.fields, self.fields, "fields"),
            (measure.directives, self.directives, "directives"),
            (measure.cost, cost, "cost"),
        ] {
            if found > most {
                return Err(rule);
            }
        }
        Ok(())
    }
}

impl<'a> Request<'a> {
    /// From a JSON object of the right form. Members that are `null` are absent.
    fn read(object: &'a str) -> Request<'a> {
        let mut request = Request::default();
        for (name, value) in envelope::members(object) {
            if value == "null" {
                continue;
            }
            for (member, slot) in MEMBERS.into_iter().zip([
                &mut request.query,
                &mut request.operation_name,
                &mut request.variables,
                &mut request.extensions,
            ]) {
                if envelope::says(name, member) {
                    *slot = value;
                }
            }
        }
        request
    }
}

impl Refused {
    /// In an item of a batch.
    fn at(mut self, item: &str) -> Refused {
        self.pointer.insert_str(0, item);
        self
    }
}

fn refused(denial: Denial, rule: Rule) -> Refused {
    Refused {
        denial,
        pointer: "/query".to_owned(),
        rule,
    }
}

fn malformed(rule: Rule) -> Refused {
    Refused {
        denial: Denial::InvalidGraphql,
        pointer: String::new(),
        rule,
    }
}

/// The hash that `extensions` names: `{"persistedQuery": {"version": 1, "sha256Hash": "..."}}`.
/// Of another version, or malformed, it names something that is not known here.
fn claimed(extensions: &str, buffer: &mut String) -> Result<Option<Hash>, Refused> {
    let mut members = envelope::members(extensions);
    let Some((_, claim)) = members.find(|(name, _)| envelope::says(name, "persistedQuery")) else {
        return Ok(None);
    };
    let (mut version, mut text) = ("", "");
    for (name, value) in envelope::members(claim) {
        if envelope::says(name, "version") {
            version = value;
        } else if envelope::says(name, "sha256Hash") {
            text = value;
        }
    }
    buffer.clear();
    envelope::unquote(text, buffer);
    match read_hash(buffer).filter(|_| version == "1") {
        Some(hash) => Ok(Some(hash)),
        None => Err(malformed("persistedQuery")),
    }
}

/// The operation that is to run (section 6.1).
fn selected(document: &Document, text: &str, name: &str) -> Result<usize, Refused> {
    let mut operations = document.operations.iter();
    let found = match name {
        "" if document.operations.len() == 1 => Some(0),
        "" => None,
        name => operations.position(|operation| &text[operation.name.clone()] == name),
    };
    found.ok_or_else(|| Refused {
        denial: Denial::InvalidGraphql,
        pointer: "/operationName".to_owned(),
        rule: "operation",
    })
}

/// Whether the document asks for the schema, in whatever part of it (section 4).
fn is_introspecting(document: &Document, text: &str) -> bool {
    let mut selections = document.selections.iter();
    selections.any(|selection| {
        let is_field = matches!(selection.selected, Selected::Field { .. });
        is_field && matches!(&text[selection.name.clone()], "__schema" | "__type")
    })
}

/// The parameters of a GET, as an operation of no document declares them.
pub fn parameters() -> Vec<Parameter> {
    let declared = MEMBERS
        .map(|name| Parameter::text(Location::Query, name, fixed(&json!({"type": "string"}))));
    declared.into()
}

fn fixed(schema: &Value) -> Schema {
    let compiled = Schema::compile(schema, "", Dialect::OpenApi31);
    compiled.expect("a schema of our own, tested")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            limits: Limits::default(),
            weights: Weights::default(),
            sizes: Sizes::new(["first"], []),
            introspection: false,
            mutations: true,
            subscriptions: false,
            persisted: Persisted::default(),
            persisted_only: false,
        }
    }

    fn outcome(endpoint: &Endpoint, body: &str) -> Result<(), (Denial, String, Rule)> {
        let (mut memory, mut scratch) = (Memory::default(), schema::Scratch::default());
        let outcome = endpoint.check_body(body.as_bytes(), &mut memory, &mut scratch);
        outcome.map_err(|refused| (refused.denial, refused.pointer, refused.rule))
    }

    fn rule(endpoint: &Endpoint, body: &Value) -> Result<(), (Denial, Rule)> {
        let outcome = outcome(endpoint, &body.to_string());
        outcome.map_err(|(denial, _, rule)| (denial, rule))
    }

    fn get(endpoint: &Endpoint, query: &str) -> Result<(), (Denial, Rule)> {
        let (mut memory, mut scratch) = (Memory::default(), schema::Scratch::default());
        let outcome = endpoint.check_query(query.as_bytes(), &mut memory, &mut scratch);
        outcome.map_err(|refused| (refused.denial, refused.rule))
    }

    #[test]
    fn a_body_has_the_four_members_and_no_other() {
        let endpoint = Endpoint::new(settings());
        for good in [
            r#"{"query": "{a}"}"#,
            r#"{"q\u0075ery": "{\u0061}", "operationName": null, "variables": null, "extensions": {}}"#,
            r#" [ {"query": "query Q {a}", "operationName": "Q", "variables": {"x": [1]}} ] "#,
        ] {
            assert_eq!(outcome(&endpoint, good), Ok(()), "{good}");
        }
        for (bad, denial, pointer, rule) in [
            (
                r#"{"query": "{a}", "x": 1}"#,
                Denial::InvalidBody,
                "/x",
                "additionalProperties",
            ),
            (
                r#"{"query": "{a}", "query": "{b}"}"#,
                Denial::InvalidBody,
                "",
                "unique names",
            ),
            (
                r#"{"query": ["{a}"]}"#,
                Denial::InvalidBody,
                "/query",
                "type",
            ),
            (
                r#"{"query": "{a}", "variables": "{}"}"#,
                Denial::InvalidBody,
                "/variables",
                "type",
            ),
            (r#""{a}""#, Denial::InvalidBody, "", "type"),
            ("[]", Denial::InvalidBody, "", "minItems"),
            (
                r#"[{"query": "{a}"}, {"query": "{a}"}]"#,
                Denial::InvalidBody,
                "",
                "maxItems",
            ),
            ("{a}", Denial::InvalidBody, "", "json"),
            ("{}", Denial::InvalidGraphql, "", "required"),
            (r#"{"query": null}"#, Denial::InvalidGraphql, "", "required"),
            (
                r#"{"query": ""}"#,
                Denial::InvalidGraphql,
                "/query",
                "operation",
            ),
            (
                r#"[{"query": "{"}]"#,
                Denial::InvalidGraphql,
                "/0/query",
                "syntax",
            ),
        ] {
            let (found, at, broken) = outcome(&endpoint, bad).unwrap_err();
            assert_eq!((found, broken), (denial, rule), "{bad}");
            assert_eq!(at, pointer, "{bad}");
        }
    }

    #[test]
    fn every_limit_holds_at_its_value_and_not_past_it() {
        let limits = Limits {
            depth: 2,
            aliases: 1,
            fields: 4,
            root_fields: 3,
            directives: 1,
            cost: 10,
            tokens: 21,
            batch: 2,
        };
        let endpoint = Endpoint::new(Settings {
            limits,
            ..settings()
        });
        for (at, past, rule) in [
            ("{a{b}}", "{a{b{c}}}", "depth"),
            ("{x:a b}", "{x:a y:b}", "aliases"),
            ("{a{b c d}}", "{a{b c d e}}", "fields"),
            ("{a b c}", "{a b c d}", "root-fields"),
            ("{a @x b}", "{a @x b @y}", "directives"),
            ("{a(first:9) b}", "{a(first:10) b}", "cost"),
            (
                "{a(x:[1 2 3 4 5 6 7 8 9 0 1 2])}",
                "{a(x:[1 2 3 4 5 6 7 8 9 0 1 2 3])}",
                "tokens",
            ),
        ] {
            let (at, past) = (json!({"query": at}), json!({"query": past}));
            assert_eq!(super::tests::rule(&endpoint, &at), Ok(()), "{at}");
            let refused = super::tests::rule(&endpoint, &past);
            assert_eq!(refused, Err((Denial::GraphqlLimit, rule)), "{past}");
        }
        // What a batch costs adds up.
        let batch = |first: usize| {
            let query = |first: usize| json!({"query": format!("{{a(first: {first})}}")});
            json!([query(5), query(first)])
        };
        assert_eq!(rule(&endpoint, &batch(5)), Ok(()));
        let text = batch(6).to_string();
        let refused = outcome(&endpoint, &text).unwrap_err();
        assert_eq!(
            refused,
            (Denial::GraphqlLimit, "/1/query".to_owned(), "cost")
        );
        let sized = |size: &str| {
            let text = format!(
                r#"{{"query": "query($n: Int) {{a(first: $n)}}", "variables": {{"n": {size}}}}}"#
            );
            outcome(&endpoint, &text).map_err(|refused| refused.2)
        };
        assert_eq!(
            (sized("10"), sized("11"), sized("-1")),
            (Ok(()), Err("cost"), Err("cost"))
        );
    }

    #[test]
    fn what_is_switched_off_is_refused() {
        let endpoint = Endpoint::new(Settings {
            mutations: false,
            ..settings()
        });
        for (query, rule) in [
            ("mutation {a}", "mutation"),
            ("subscription {a}", "subscription"),
            ("{__schema {types {name}}}", "introspection"),
            ("{x: __type(name: \"A\") {name}}", "introspection"),
            (
                "{a ... on Query {__schema {types {name}}}}",
                "introspection",
            ),
            (
                "{a} fragment F on Query {__schema {types {name}}}",
                "introspection",
            ),
        ] {
            let refused = super::tests::rule(&endpoint, &json!({"query": query}));
            assert_eq!(refused, Err((Denial::GraphqlNotAllowed, rule)), "{query}");
        }
        let open = Endpoint::new(Settings {
            introspection: true,
            subscriptions: true,
            ..settings()
        });
        for query in [
            "mutation {a}",
            "subscription {a}",
            "{__schema {types {name}}}",
        ] {
            assert_eq!(rule(&open, &json!({"query": query})), Ok(()), "{query}");
        }
        assert_eq!(
            rule(&endpoint, &json!({"query": "{a {__typename}}"})),
            Ok(())
        );
    }

    #[test]
    fn the_operation_to_run_must_be_told() {
        let endpoint = Endpoint::new(Settings {
            mutations: false,
            ..settings()
        });
        let named = |name: Value| {
            let query = "query A {a} mutation B {b}";
            rule(&endpoint, &json!({"query": query, "operationName": name}))
        };
        assert_eq!(named(json!("A")), Ok(()));
        assert_eq!(
            named(json!("B")),
            Err((Denial::GraphqlNotAllowed, "mutation"))
        );
        for name in [json!("C"), json!(null), json!("")] {
            assert_eq!(named(name), Err((Denial::InvalidGraphql, "operation")));
        }
        let alone = json!({"query": "query A {a}", "operationName": "B"});
        assert_eq!(
            rule(&endpoint, &alone),
            Err((Denial::InvalidGraphql, "operation"))
        );
    }

    #[test]
    fn a_list_of_queries_is_all_there_is() {
        let (known, unknown, mutation) = ("{a}", "{b}", "mutation {m}");
        let mut persisted = Persisted::default();
        persisted.add_text(known);
        persisted.add_text(mutation);
        persisted.add_hash(hash("{c}"));
        let hex = |text: &str| {
            hash(text)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let by_hash = |text: &str| json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hex(text)}}});
        let both = |text: &str, of: &str| {
            let mut request = by_hash(of);
            request["query"] = json!(text);
            request
        };
        let denied = Err((Denial::UnknownGraphqlQuery, "persisted"));
        for persisted_only in [true, false] {
            let endpoint = Endpoint::new(Settings {
                persisted: persisted.clone(),
                persisted_only,
                ..settings()
            });
            let check = |request: &Value| rule(&endpoint, request);
            assert_eq!(check(&by_hash(known)), Ok(()));
            assert_eq!(check(&by_hash("{c}")), Ok(()));
            // What nobody here has the text of is never passed by its hash.
            assert_eq!(check(&by_hash(unknown)), denied);
            assert_eq!(check(&json!({"query": known})), Ok(()));
            assert_eq!(check(&both(known, known)), Ok(()));
            let swapped = check(&both(unknown, known));
            assert_eq!(swapped, Err((Denial::InvalidGraphql, "hash")));
            let expected = if persisted_only { denied } else { Ok(()) };
            assert_eq!(check(&json!({"query": unknown})), expected);
            assert_eq!(check(&both(unknown, unknown)), expected);

            let url = |text: &str| {
                let extensions = by_hash(text)["extensions"].to_string();
                get(
                    &endpoint,
                    &format!("extensions={}", extensions.replace('"', "%22")),
                )
            };
            assert_eq!(url(known), Ok(()));
            assert_eq!(url(mutation), Err((Denial::GraphqlNotAllowed, "get")));
            assert_eq!(url("{c}"), Err((Denial::UnknownGraphqlQuery, "text")));
        }
        let endpoint = Endpoint::new(settings());
        for claim in [
            json!({"sha256Hash": hex(known)}),
            json!({"version": 2, "sha256Hash": hex(known)}),
            json!({"version": 1, "sha256Hash": "abc"}),
            json!({"version": 1}),
            json!(7),
        ] {
            let request = json!({"query": known, "extensions": {"persistedQuery": claim}});
            let refused = rule(&endpoint, &request);
            assert_eq!(
                refused,
                Err((Denial::InvalidGraphql, "persistedQuery")),
                "{request}"
            );
        }
        assert_eq!(endpoint.check_persisted("{a}"), Ok(()));
        assert_eq!(endpoint.check_persisted("{a"), Err("syntax"));
        assert_eq!(
            endpoint.check_persisted("subscription {a}"),
            Err("subscription")
        );
    }

    #[test]
    fn a_get_holds_queries_in_its_parameters() {
        let endpoint = Endpoint::new(settings());
        for good in [
            "query={a}",
            "query=query+Q($n:Int){a(first:$n)}&operationName=Q&variables={%22n%22:3}&extensions={}",
            "query=%7Ba%7D&other=1",
        ] {
            assert_eq!(get(&endpoint, good), Ok(()), "{good}");
        }
        for (bad, denial, rule) in [
            ("", Denial::InvalidGraphql, "required"),
            ("query=", Denial::InvalidGraphql, "operation"),
            ("query={", Denial::InvalidGraphql, "syntax"),
            ("query={a}&query={b}", Denial::InvalidGraphql, "repeated"),
            ("query={a}&%71uery={b}", Denial::InvalidGraphql, "repeated"),
            ("query=%7", Denial::InvalidGraphql, "encoding"),
            ("query={a}&variables=[]", Denial::InvalidGraphql, "type"),
            ("query={a}&variables={", Denial::InvalidGraphql, "json"),
            (
                "query={a}&variables={%22n%22:1,%22n%22:2}",
                Denial::InvalidGraphql,
                "unique names",
            ),
            ("query=mutation{a}", Denial::GraphqlNotAllowed, "get"),
            (
                "query=query+Q($n:Int){a(first:$n)}&variables={%22n%22:3000}",
                Denial::GraphqlLimit,
                "cost",
            ),
        ] {
            assert_eq!(get(&endpoint, bad), Err((denial, rule)), "{bad}");
        }
        assert!(endpoint.check_beside_body(b"a=1").is_ok());
        assert!(endpoint.check_beside_body(b"a=1&quer%79={a}").is_err());
    }
}
