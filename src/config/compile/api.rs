//! APIs: from descriptions and declarations to the catalogue.

use std::sync::{Arc, LazyLock};

use crate::config::compile::description::Terms;
use crate::config::compile::inspector::Inspectors;
use crate::config::compile::kept::Making;
use crate::config::compile::response::Described;
use crate::config::compile::stream::Streaming;
use crate::config::compile::{
    backtracking, collection, description, graphql, issuer, mask, one_of, request, response,
    stream, unused, upstream, waf, websocket,
};
use crate::config::file::{self, File};
use crate::config::reader::{At, Reader, nearest};
use crate::diagnostic::{Diagnostic, Position};
use crate::policy::authn::Issuer;
use crate::policy::authz::{Ownership, Place, Requirement, ScopeSet};
use crate::policy::catalogue::{Authentication, Catalogue, Declaration, Operation, Timeouts};
use crate::policy::contract::lint::{Level, Levels};
use crate::policy::contract::media_type::is_endless;
use crate::policy::contract::openapi::{self, DeclaredParameter, Security};
use crate::policy::contract::page::Page;
use crate::policy::contract::parameters::Location;
use crate::policy::contract::records::Cut;
use crate::policy::contract::response::{Items, Responses};
use crate::policy::contract::schema::MaskKey;
use crate::policy::contract::{Contract, ResponseContract};
use crate::policy::identity::IdentityField;
use crate::policy::leak::{Leaks, Watch};
use crate::policy::ratelimit::{Limit, Limits, Per, Quota, SourcePrefix};
use crate::policy::route::{self, Segment, TemplateError};
use crate::policy::snapshot::Snapshot;
use crate::policy::waf::outbound::{Outbound, Reach};
use crate::policy::waf::stage::Protection;
use crate::proto::header::{Kind, SealedNames, tells_the_way};
use crate::proto::target::Reserved;

/// Longest body when nothing else is said.
const BODY: usize = 64 * 1024;

/// How findings are taken.
pub(super) const LEVELS: [(&str, Level); 3] = [
    ("off", Level::Off),
    ("warn", Level::Warn),
    ("error", Level::Error),
];

/// What stands for an owner until somebody writes one.
const UNOWNED: &str = "FILL IN";

/// Most limits of one operation.
const MOST_LIMITS: usize = 8;

/// What the gateway itself tells a backend, beside the identity headers and the way of the request;
/// a client's is dropped.
const TOLD_BY_THE_GATEWAY: [&str; 2] = ["X-Request-ID", "traceparent"];

/// Compiled once. The rules are ours: that they compile is seen by a test.
static LEAKS: LazyLock<Option<Arc<Leaks>>> = LazyLock::new(|| Leaks::compile().ok().map(Arc::new));

/// What names refer to.
struct Names<'f> {
    issuers: Vec<&'f str>,
    upstreams: Vec<&'f str>,
}

/// A declaration and where it comes from, for errors that only show when all are put together.
struct Placed {
    declaration: Declaration,
    position: Position,
    file: std::path::PathBuf,
}

pub fn compile(reader: &Reader<'_>, file: &File, generation: u64, making: &Making<'_>) -> Snapshot {
    let issuers: Vec<Option<Issuer>> = file
        .issuers
        .iter()
        .map(|(_, declared)| issuer::compile(reader, declared))
        .collect();
    let upstreams = upstream::compile(reader, file);
    let waf = waf::Sets::compile(reader, file, making);
    let inspectors = Inspectors::compile(reader, file);
    let mask_key = mask::key(reader, &file.server);
    let names = Names {
        issuers: file
            .issuers
            .iter()
            .map(|(name, _)| name.value.as_str())
            .collect(),
        upstreams: file
            .upstreams
            .iter()
            .map(|(name, _)| name.value.as_str())
            .collect(),
    };
    if file.apis.is_empty() {
        let hint = "add [api.NAME] with openapi, upstream, owner and issuer";
        let message = "there is no API: nothing would be let through";
        reader.absent(Position::START, &["api"], message, hint);
    }
    unused::check(reader, file);
    let mut sealed = TOLD_BY_THE_GATEWAY.to_vec();
    let mut placed = Vec::new();
    for (name, api) in &file.apis {
        sealed.extend(api.identity.iter().map(|(header, _)| header.value.as_str()));
        let identity = api.identity.iter().map(|(name, claim)| IdentityField {
            name: name.value.as_str().into(),
            claim: claim.value.as_str().into(),
        });
        let compiler = Compiler {
            reader,
            name,
            api,
            identity: identity.collect(),
            names: &names,
            waf: &waf,
            lint: &file.lint,
            inspectors: &inspectors,
            mask_key: &mask_key,
            leaks: LEAKS.as_ref(),
            making,
        };
        let declared = compiler.declarations();
        stream::check_used(
            reader,
            &api.requests,
            api.operations.iter().map(|(_, own)| &own.requests),
            declared.iter().map(|each| &each.declaration.operation),
        );
        placed.extend(declared);
    }
    Snapshot {
        generation,
        catalogue: catalogue(reader, placed),
        // What is missing here has been told, so the snapshot is not used.
        issuers: issuers.into_iter().flatten().collect(),
        upstreams,
        waf: waf.named,
        sealed: SealedNames::new(sealed),
    }
}

fn catalogue(reader: &Reader<'_>, placed: Vec<Placed>) -> Catalogue {
    let places: Vec<_> = placed
        .iter()
        .map(|each| {
            let operation = &each.declaration.operation;
            let name = format!("{} {}", operation.method, operation.path);
            (each.position, each.file.clone(), name)
        })
        .collect();
    let declared = placed.into_iter().map(|each| each.declaration).collect();
    Catalogue::new(declared).unwrap_or_else(|errors| {
        for (index, error) in errors {
            let (position, file, name) = &places[index];
            let message = match error {
                TemplateError::Conflict(first) => {
                    let (at, other, _) = &places[first];
                    let place = format!("{}:{}", other.display(), at.line);
                    format!("{name} is declared twice: first at {place}")
                }
                other => format!("{name}: {other}"),
            };
            let diagnostic = Diagnostic::new(file, *position, message);
            let hint = "a path and method belong to one operation; separate them by `hosts`";
            reader.extend(vec![diagnostic.with_hint(hint)]);
        }
        Catalogue::default()
    })
}

/// One API on its way into the catalogue.
struct Compiler<'c, 't> {
    reader: &'c Reader<'t>,
    name: &'c At<String>,
    api: &'c file::Api,
    identity: Arc<[IdentityField]>,
    names: &'c Names<'c>,
    waf: &'c waf::Sets,
    lint: &'c file::Lints,
    inspectors: &'c Inspectors,
    mask_key: &'c MaskKey,
    leaks: Option<&'c Arc<Leaks>>,
    making: &'c Making<'c>,
}

impl Compiler<'_, '_> {
    fn error(&self, position: Position, message: impl Into<String>, hint: impl Into<String>) {
        self.reader.error(position, message, hint);
    }

    fn declarations(&self) -> Vec<Placed> {
        self.check_name();
        self.check_identity();
        self.check_graphql();
        self.check_references();
        let api = self.api;
        match (&api.openapi, api.paths.is_empty()) {
            (Some(path), true) => {
                self.refuse_for_described();
                self.described(path)
            }
            (None, false) => self.undescribed(),
            (Some(path), false) => {
                let hint = "keep `openapi`, or `paths`, `methods` and contract = \"none\"";
                self.error(
                    path.position,
                    "`openapi` and `paths` exclude each other",
                    hint,
                );
                Vec::new()
            }
            (None, true) => {
                let hint = "add openapi = \"FILE\", or paths = [\"/x/**\"], methods = [\"GET\"] and \
                            contract = \"none\"";
                let message = "the API declares no operations";
                self.reader
                    .absent(api.position, &["openapi", "paths"], message, hint);
                Vec::new()
            }
        }
    }

    /// The name stands in challenges, logs and metrics.
    fn check_name(&self) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !self.name.value.bytes().all(is_plain) {
            let message = format!("\"{}\" cannot name an API", self.name.value);
            self.error(
                self.name.position,
                message,
                "use letters, digits, `-`, `_` and `.`",
            );
        }
    }

    /// Also where the operations do not load, so that one mistake does not hide the next.
    fn check_references(&self) {
        let owner = self.api.owner.as_ref();
        let is_open = |owner: &&At<String>| matches!(owner.value.trim(), "" | UNOWNED);
        if let Some(owner) = owner.filter(is_open) {
            let hint = "write who answers for it, as in owner = \"team-accounts\"";
            self.error(owner.position, "the API has no owner yet", hint);
        }
        self.upstream();
        self.prefix();
        self.hosts();
        if let Some(issuer) = &self.api.issuer {
            self.index(issuer, "issuer", &self.names.issuers);
        }
        let authentication = self.authentication(None, &Security::Undeclared);
        self.limits("", None, authentication);
    }

    fn check_identity(&self) {
        for (header, _) in &self.api.identity {
            let name = header.value.as_bytes();
            let is_token = !name.is_empty()
                && name
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
            if !is_token {
                let message = format!("\"{}\" cannot name an identity header", header.value);
                self.error(
                    header.position,
                    message,
                    "use letters, digits and `-`, as in X-User-ID",
                );
            } else if Kind::of(name) != Kind::Other || is_told(&header.value) {
                let message = format!("{} has a meaning of its own", header.value);
                self.error(
                    header.position,
                    message,
                    "choose another name, as in X-User-ID",
                );
            }
        }
    }

    fn refuse_for_described(&self) {
        for word in self.api.methods.iter().chain(&self.api.contract) {
            let hint = "leave it out: the document says it";
            self.error(word.position, "this does not go with `openapi`", hint);
        }
    }

    fn described(&self, path: &At<String>) -> Vec<Placed> {
        let file = self.reader.resolve(&path.value);
        let terms = Terms {
            api: self.api,
            levels: self.levels(),
        };
        let described = (path, file.as_path());
        let described = description::compile(self.reader, described, &terms, self.making);
        // Where the document does not load, nobody can tell which operations there are.
        let Some(description) = described else {
            return Vec::new();
        };
        let operations = &description.operations;
        if !operations.is_empty() {
            let ids = operations.iter().map(|each| each.id.as_str());
            self.check_known(&ids.collect::<Vec<_>>());
        }
        let placed = operations.iter().cloned().map(|operation| {
            let extra = self.extra(&operation.id);
            let position = operation.position;
            let places = places(&operation);
            let authentication = self.authentication(extra, &operation.security);
            let requirement = Requirement {
                scopes: scopes(&operation.security),
                ownership: self.ownership(extra, &places, authentication),
            };
            self.check_owned(extra, &operation.parameters);
            let requests = extra.map(|extra| &extra.requests);
            let contract = operation.contract;
            let contract = request::compile(self.reader, &self.api.requests, requests, contract);
            let contract = self.graphql(extra, &operation.method, contract);
            let (page, items) = self.collection(extra, &operation.parameters);
            let declaration = self.declaration(Outline {
                template: operation.template,
                id: &operation.id,
                method: &operation.method,
                path: &operation.path,
                contract: match page {
                    Some(page) => contract.with_page(page),
                    None => contract,
                },
                response: self.response(
                    extra,
                    (operation.position, &file),
                    operation.responses,
                    items,
                ),
                is_covered: true,
                authentication,
                requirement,
            });
            Placed {
                declaration,
                position,
                file: file.clone(),
            }
        });
        let placed: Vec<Placed> = placed.collect();
        self.check_masks(&placed);
        placed
    }

    /// Where the answers of one operation are not known, nobody can tell what a mask leads to.
    fn check_masks(&self, placed: &[Placed]) {
        let contracts = placed.iter().map(|each| {
            let response = each.declaration.operation.response.as_ref();
            response.map(ResponseContract::responses)
        });
        if let Some(responses) = contracts.collect::<Option<Vec<&Responses>>>()
            && !responses.is_empty()
        {
            mask::refuse_lost_everywhere(self.reader, &self.api.answers, &responses);
        }
    }

    /// Levels of the API, or else of the file.
    fn levels(&self) -> Levels {
        let mut levels = Levels::default();
        for (lint, word) in self.lint.0.iter().chain(&self.api.lint.0) {
            let level = one_of(self.reader, Some(word), &LEVELS, levels.of(*lint));
            levels.set(*lint, level);
        }
        levels
    }

    /// The limits of pages: of the request, and of the response.
    fn collection(
        &self,
        extra: Option<&file::Operation>,
        parameters: &[openapi::DeclaredParameter],
    ) -> (Option<Page>, Option<Items>) {
        let declared = extra.and_then(|extra| extra.collection.as_ref());
        let names = parameters
            .iter()
            .map(|each| (each.location, each.name.as_str()));
        let pages = declared.and_then(|declared| collection::compile(self.reader, declared, names));
        let (page, items) = pages.unzip();
        (page.flatten(), items)
    }

    fn response(
        &self,
        extra: Option<&file::Operation>,
        (position, file): (Position, &std::path::Path),
        responses: Option<Result<Responses, Vec<Diagnostic>>>,
        items: Option<Items>,
    ) -> Option<ResponseContract> {
        let own = extra.map(|extra| &extra.answers);
        let collection = extra.and_then(|extra| extra.collection.as_ref());
        let described = Described {
            file,
            position,
            responses,
            items: items.zip(collection),
            mask_key: self.mask_key,
        };
        let requests = extra.map(|extra| &extra.requests);
        let violations = request::violations(self.reader, &self.api.requests, requests);
        let contract = response::compile(self.reader, &self.api.answers, own, described)?;
        Some(contract.with_violations(violations))
    }

    /// Only what a contract reads is searched.
    fn leaks(&self, extra: Option<&file::Operation>, is_read: bool) -> Option<Watch> {
        let own = extra.map(|extra| &extra.answers);
        let watch = response::watch(self.reader, self.leaks, &self.api.answers, own);
        watch.filter(|_| is_read)
    }

    fn undescribed(&self) -> Vec<Placed> {
        let api = self.api;
        let own = api.operations.iter().map(|(_, own)| &own.answers);
        for answers in own.chain([&api.answers]) {
            response::refuse(self.reader, answers);
        }
        backtracking::refuse(self.reader, api.backtracking.as_ref());
        let own = api.operations.iter().map(|(_, own)| &own.requests);
        for requests in own.chain([&api.requests]) {
            request::refuse(self.reader, requests);
        }
        let own = api.operations.iter().map(|(_, own)| &own.collection);
        for declared in own.flatten() {
            let reason = "collections are counted by a description only";
            collection::refuse(self.reader, declared, reason);
        }
        match &api.contract {
            Some(word) if matches!(word.value.as_str(), "none" | "graphql") => {}
            Some(word) => {
                let hint = "write \"none\" or \"graphql\"";
                self.error(word.position, "there is no such contract", hint);
            }
            None => {
                let hint = "add contract = \"none\" to say that nothing is validated";
                let message = "paths without a description need `contract`";
                self.reader
                    .absent(api.position, &["contract"], message, hint);
            }
        }
        if let Some(base) = &api.base_path {
            self.error(
                base.position,
                "`base_path` goes with `openapi`",
                "write it into the paths",
            );
        }
        if api.methods.is_empty() {
            let hint = "add methods = [\"GET\"]: those that the backend may be sent";
            self.error(
                api.position,
                "paths without a description need `methods`",
                hint,
            );
        }
        let mut placed = Vec::new();
        let mut ids = Vec::new();
        for path in &api.paths {
            let Some(template) = self.template(path) else {
                continue;
            };
            for method in &api.methods {
                self.check_method(method);
                let id = format!("{} {}", method.value, path.value);
                let extra = self.extra(&id);
                let authentication = self.authentication(extra, &Security::Undeclared);
                let requirement = Requirement {
                    scopes: Box::default(),
                    ownership: self.ownership(extra, &segments(&template), authentication),
                };
                let own = extra.map(|extra| &extra.requests);
                let codings = request::codings(self.reader, &api.requests, own);
                let contract = Contract::none().with_codings(codings);
                let contract = self.graphql(extra, &method.value, contract);
                let declaration = self.declaration(Outline {
                    template: template.clone(),
                    id: &id,
                    method: &method.value,
                    path: &path.value,
                    is_covered: contract.is_graphql(),
                    contract,
                    response: None,
                    authentication,
                    requirement,
                });
                placed.push(Placed {
                    declaration,
                    position: path.position,
                    file: self.reader.path().to_owned(),
                });
                ids.push(id);
            }
        }
        self.check_known(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        placed
    }

    /// The contract of an operation that is a GraphQL endpoint by its own table, or by that of an
    /// API of nothing else.
    fn graphql(
        &self,
        extra: Option<&file::Operation>,
        method: &str,
        contract: Contract,
    ) -> Contract {
        let api = self.api;
        let own = extra.and_then(|extra| extra.graphql.as_ref());
        let word = api.contract.as_ref();
        let is_graphql = word.is_some_and(|word| word.value == "graphql");
        let default = file::Graphql::default();
        let shared = is_graphql.then(|| api.graphql.as_ref().unwrap_or(&default));
        let Some(table) = own.or(shared) else {
            return contract;
        };
        if !matches!(method, "GET" | "POST") {
            let at = own.map_or(api.position, |own| own.position);
            let message = format!("{method} carries no GraphQL request");
            self.error(at, message, "use GET for queries, POST for all operations");
        }
        contract.with_graphql(graphql::compile(self.reader, table), method == "GET")
    }

    /// A table that no operation is described by.
    fn check_graphql(&self) {
        let word = self.api.contract.as_ref();
        let is_graphql = word.is_some_and(|word| word.value == "graphql");
        if let Some(table) = self.api.graphql.as_ref().filter(|_| !is_graphql) {
            let message = "`graphql` of an API goes with contract = \"graphql\"";
            let hint = "put it below the operation: [api.NAME.operation.ID.graphql]";
            self.error(table.position, message, hint);
        }
    }

    fn template(&self, path: &At<String>) -> Option<Vec<Segment>> {
        route::template(&path.value)
            .map_err(|error| {
                let message = format!("\"{}\" is no path pattern: {error}", path.value);
                self.error(path.position, message, "write \"/a/{name}/b\" or \"/a/**\"");
            })
            .ok()
    }

    fn check_method(&self, method: &At<String>) {
        let is_known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        if !is_known.contains(&method.value.as_str()) {
            let message = format!("\"{}\" is not forwarded", method.value);
            let hint = format!("write one of {}", is_known.join(", "));
            self.error(method.position, message, hint);
        }
    }

    /// Operations that the configuration speaks of must exist.
    fn check_known(&self, ids: &[&str]) {
        for (id, _) in &self.api.operations {
            if !ids.contains(&id.value.as_str()) {
                let message = format!("there is no operation \"{}\"", id.value);
                let hint = match nearest(&id.value, ids.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("known here: {}", ids.join(", ")),
                };
                self.error(id.position, message, hint);
            }
        }
    }

    fn extra(&self, id: &str) -> Option<&file::Operation> {
        let mut operations = self.api.operations.iter();
        operations.find_map(|(name, extra)| (name.value == id).then_some(extra))
    }

    fn declaration(&self, outline: Outline<'_>) -> Declaration {
        let api = self.api;
        let extra = self.extra(outline.id);
        let max_body = extra
            .and_then(|extra| extra.max_body.as_ref())
            .or(api.max_body.as_ref());
        let own = extra.map(|extra| &extra.inspected);
        let mut waf = self.waf.protection(self.reader, &api.inspected, own);
        if let Some(waf) = &mut waf {
            waf.is_graphql = outline.contract.is_graphql();
            waf.is_decoded = !outline.contract.codings().is_empty();
            self.check_endless(waf, (outline.id, own), outline.response.as_ref());
        }
        let requests = extra.map(|extra| &extra.requests);
        let streaming = Streaming::of(&api.requests, requests);
        let mut declaration = Declaration {
            hosts: self.hosts(),
            template: outline.template,
            operation: Operation {
                api: self.name.value.as_str().into(),
                id: outline.id.into(),
                owner: api.owner.as_ref().map_or("", |at| &at.value).into(),
                method: outline.method.into(),
                path: outline.path.into(),
                upstream: self.upstream(),
                limits: self.limits(outline.id, extra, outline.authentication),
                authentication: outline.authentication,
                requirement: outline.requirement,
                contract: outline.contract,
                leaks: self.leaks(extra, outline.response.is_some()),
                response: outline.response,
                is_covered: outline.is_covered,
                waf,
                inspector: self.inspectors.of(self.reader, &api.inspected, own),
                max_body: max_body.map_or(BODY, |at| at.value.0),
                identity: Arc::clone(&self.identity),
                websocket: extra.and_then(|extra| {
                    websocket::compile(self.reader, &extra.websocket, outline.method)
                }),
                reserved: extra.map_or_else(Reserved::default, |extra| self.reserved(extra)),
                timeouts: Timeouts {
                    response: extra.and_then(|extra| extra.response_timeout),
                    exchange: extra.and_then(|extra| extra.exchange_timeout),
                    body: extra.and_then(|extra| extra.body_timeout),
                    body_rate: extra
                        .and_then(|extra| extra.body_rate.as_ref())
                        .map(|rate| rate.0 as u64),
                },
            },
        };
        if let Some(streaming) = streaming {
            streaming.apply(self.reader, &mut declaration.operation);
        }
        declaration
    }

    /// Rules that see all of an answer cannot see one that has no end.
    fn check_endless(
        &self,
        waf: &Protection,
        (id, own): (&str, Option<&file::Inspected>),
        response: Option<&ResponseContract>,
    ) {
        let sees_all = |outbound: &Outbound| {
            let response = response?;
            let is_streamed = |media_type: &[u8]| {
                let essence = std::str::from_utf8(media_type).unwrap_or_default();
                response.streams() && Cut::of(essence).is_some()
            };
            let is_seen = |media_type: &[u8]| {
                (is_endless(media_type) || is_streamed(media_type))
                    && outbound.looks_at(Some(media_type))
            };
            let declared = response.declares(is_seen);
            declared.filter(|_| outbound.reach == Reach::All)
        };
        let Some(media_type) = waf.outbound.as_ref().and_then(sees_all) else {
            return;
        };
        let said = own.and_then(|own| own.responses.as_ref());
        let said = said.or(self.api.inspected.responses.as_ref());
        let position = said.map_or(self.name.position, |at| at.position);
        let message = format!(
            "operation \"{id}\" answers with {media_type} as it comes, which may have no end: rules cannot see all of it"
        );
        let hint =
            "write waf_responses = \"collected\" for this operation: rules see the head then";
        self.error(position, message, hint);
    }

    fn hosts(&self) -> Vec<String> {
        let hosts = self.api.hosts.iter().map(|host| {
            let name = host.value.trim_end_matches('.').to_ascii_lowercase();
            let is_name = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
            if !is_name || name.len() > 253 {
                let message = format!("\"{}\" is no host name", host.value);
                self.error(
                    host.position,
                    message,
                    "write the name alone, as in api.example.com",
                );
            }
            name
        });
        hosts.collect()
    }

    fn upstream(&self) -> usize {
        self.api.upstream.as_ref().map_or(0, |name| {
            self.index(name, "upstream", &self.names.upstreams)
        })
    }

    fn index(&self, name: &At<String>, kind: &str, known: &[&str]) -> usize {
        let found = known.iter().position(|each| *each == name.value);
        if found.is_none() && !self.reader.is_unread(Position::START, kind) {
            let message = format!("there is no {kind} \"{}\"", name.value);
            let hint = match nearest(&name.value, known.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("add [{kind}.{}]", name.value),
            };
            self.error(name.position, message, hint);
        }
        found.unwrap_or(0)
    }

    /// The bytes that its path parameters may hold percent-encoded.
    fn reserved(&self, extra: &file::Operation) -> Reserved {
        let names = extra.encoded_in_path.iter();
        names.fold(Reserved::default(), |all, name| {
            let byte = match name.value.as_str() {
                "/" => Reserved::SLASH,
                "\\" => Reserved::BACKSLASH,
                "%" => Reserved::PERCENT,
                ";" => Reserved::SEMICOLON,
                other => {
                    let message = format!("\"{other}\" is not refused in paths, or always is");
                    let hint = "write \"/\", \"\\\\\", \"%\" or \";\"";
                    self.error(name.position, message, hint);
                    Reserved::default()
                }
            };
            all.with(byte)
        })
    }

    /// Who may call: an issuer's tokens, or everybody when that is said aloud.
    fn authentication(
        &self,
        extra: Option<&file::Operation>,
        security: &Security,
    ) -> Authentication {
        let api = self.api;
        let own = extra.and_then(|extra| extra.authentication.as_ref());
        let word = own.or(api.authentication.as_ref());
        if let Some(word) = word.filter(|word| word.value != "none") {
            let message = format!("there is no authentication \"{}\"", word.value);
            self.error(
                word.position,
                message,
                "write \"none\", or name an `issuer`",
            );
        }
        match (&api.issuer, word) {
            (Some(_), Some(word)) if own.is_none() => {
                let hint = "keep one of them, or put authentication = \"none\" to an operation";
                let message = "`issuer` and `authentication` exclude each other";
                self.error(word.position, message, hint);
                Authentication::None
            }
            (_, Some(word)) => {
                if let Security::Scopes(_) = security {
                    let hint = "name the `issuer` of its tokens, or change the document";
                    let message = "the document asks for a token here";
                    self.error(word.position, message, hint);
                }
                Authentication::None
            }
            (Some(name), None) => {
                if *security == Security::Anonymous {
                    let hint = "add authentication = \"none\" to [api.NAME.operation.ID] to agree, or \
                                change the document";
                    let message = "the document opens an operation of this API to everybody";
                    self.error(name.position, message, hint);
                }
                Authentication::Bearer(self.index(name, "issuer", &self.names.issuers))
            }
            (None, None) => {
                let hint = "add issuer = \"NAME\", or authentication = \"none\"";
                let message = "the API does not say who may call it";
                let said_by = ["issuer", "authentication"];
                self.reader.absent(api.position, &said_by, message, hint);
                Authentication::None
            }
        }
    }

    fn ownership(
        &self,
        extra: Option<&file::Operation>,
        places: &[(Location, String, usize)],
        authentication: Authentication,
    ) -> Box<[Ownership]> {
        let rules = extra.map_or(&[][..], |extra| &extra.ownership);
        let rules = rules.iter().filter_map(|rule| {
            let (value, claim) = (rule.value.as_ref()?, rule.claim.as_ref()?);
            if authentication == Authentication::None {
                let hint = "name an `issuer`, or remove the rule";
                self.error(value.position, "without a token nobody owns anything", hint);
            }
            Some(Ownership {
                place: self.place(value, places)?,
                claim: claim.value.as_str().into(),
            })
        });
        rules.collect()
    }

    /// A value that is never what a token names would refuse everybody.
    fn check_owned(&self, extra: Option<&file::Operation>, declared: &[DeclaredParameter]) {
        let rules = extra.map_or(&[][..], |extra| &extra.ownership);
        for value in rules.iter().filter_map(|rule| rule.value.as_ref()) {
            let is_named = |each: &&DeclaredParameter| {
                value.value == format!("{}.{}", each.location.name(), each.name)
            };
            let found = declared.iter().find(is_named);
            if found.is_some_and(|each| !each.is_plain) {
                let message = format!("\"{}\" is never a claim as it stands", value.value);
                let hint = "only a plain value can be owned: no label or matrix style, no object, \
                            no `content`";
                self.error(value.position, message, hint);
            }
        }
    }

    fn place(&self, value: &At<String>, places: &[(Location, String, usize)]) -> Option<Place> {
        let named = |wanted: Location, name: &str| {
            let mut found = places.iter();
            found.find(|(location, each, _)| *location == wanted && each == name)
        };
        let text = value.value.as_str();
        let place = if let Some(name) = text.strip_prefix("path.") {
            named(Location::Path, name).map(|(_, _, index)| Place::Path(*index))
        } else if let Some(name) = text.strip_prefix("query.") {
            named(Location::Query, name).map(|_| Place::Query(name.into()))
        } else {
            let pointer = text
                .strip_prefix("body.")
                .filter(|pointer| pointer.starts_with('/'));
            pointer.map(|pointer| Place::Body(pointer.into()))
        };
        if place.is_none() {
            let names: Vec<String> = places
                .iter()
                .map(|(location, name, _)| format!("{}.{name}", location.name()))
                .collect();
            let message = format!("\"{text}\" is no value of this operation");
            let hint = format!("write body./POINTER or one of: {}", names.join(", "));
            self.error(value.position, message, hint);
        }
        place
    }

    fn limits(
        &self,
        id: &str,
        extra: Option<&file::Operation>,
        authentication: Authentication,
    ) -> Limits {
        let api = self.api;
        let own = extra.map_or(&[][..], |extra| &extra.limits);
        // Those of the API are shared by its operations, those of an operation are its own.
        let shared = api
            .limits
            .iter()
            .map(|limit| (limit, format!("api {}", self.name.value)));
        let place = format!("operation {} {id}", self.name.value);
        let own = own.iter().map(|limit| (limit, place.clone()));
        let mut limits: Vec<Limit> = Vec::new();
        // An operation that is open to everybody has no clients to count, although its API has.
        let is_opened = authentication == Authentication::None && api.issuer.is_some();
        let shared = shared.filter(|(limit, _)| {
            let per = limit.per.as_ref().map(|per| per.value.as_str());
            !(is_opened && matches!(per, Some("client" | "user")))
        });
        for (declared, place) in shared.chain(own) {
            let Some(limit) = self.limit(declared, authentication) else {
                continue;
            };
            if limits
                .iter()
                .any(|each| each.quota.name() == limit.quota.name())
            {
                let message = format!("two limits are named \"{}\"", limit.quota.name());
                self.error(
                    declared.position,
                    message,
                    "clients tell limits apart by their names",
                );
            }
            // What counts everybody together on an operation is never shared by two of them.
            let place = match limit.per {
                Per::Operation => format!("operation {} {id}", self.name.value),
                Per::Source | Per::Client | Per::User => place,
            };
            limits.push(Limit {
                quota: limit.quota.within(&place),
                ..limit
            });
        }
        if limits.len() > MOST_LIMITS {
            let message = format!("more than {MOST_LIMITS} limits for {id}");
            self.error(api.position, message, "keep the tightest");
        }
        Limits::new(limits, self.prefix())
    }

    fn limit(&self, declared: &file::Limit, authentication: Authentication) -> Option<Limit> {
        let (name, per, rate) = (
            declared.name.as_ref()?,
            declared.per.as_ref()?,
            declared.rate.as_ref()?,
        );
        let known = [
            ("source", Per::Source),
            ("client", Per::Client),
            ("user", Per::User),
            ("operation", Per::Operation),
        ];
        let Some((_, counted)) = known.iter().find(|(word, _)| *word == per.value) else {
            let message = format!("\"{}\" cannot be counted", per.value);
            self.error(
                per.position,
                message,
                "write source, client, user or operation",
            );
            return None;
        };
        if authentication == Authentication::None && matches!(counted, Per::Client | Per::User) {
            let message = format!("without tokens there is no {}", per.value);
            self.error(
                per.position,
                message,
                "write source or operation, or name an `issuer`",
            );
        }
        let rate = match &declared.burst {
            None => Ok(rate.value),
            Some(burst) => rate.value.with_burst(burst.value as u64),
        };
        let quota = rate.and_then(|rate| Quota::new(&name.value, rate));
        match quota {
            Ok(quota) => Some(Limit {
                per: *counted,
                quota,
            }),
            Err(reason) => {
                self.error(
                    declared.position,
                    reason,
                    "write rate = \"100/s\", burst = 200",
                );
                None
            }
        }
    }

    fn prefix(&self) -> SourcePrefix {
        let width = |declared: &Option<At<usize>>, default: u8| {
            let declared = declared.as_ref();
            declared.map_or(default, |at| u8::try_from(at.value).unwrap_or(u8::MAX))
        };
        let api = self.api;
        let prefix = SourcePrefix::new(
            width(&api.source_prefix_v4, 32),
            width(&api.source_prefix_v6, 64),
        );
        prefix.unwrap_or_else(|reason| {
            let at = api
                .source_prefix_v4
                .as_ref()
                .or(api.source_prefix_v6.as_ref());
            let position = at.map_or(api.position, |at| at.position);
            self.error(
                position,
                reason,
                "write up to 32 for IPv4 and up to 128 for IPv6",
            );
            SourcePrefix::default()
        })
    }
}

/// What differs between described and undescribed operations.
struct Outline<'o> {
    template: Vec<Segment>,
    id: &'o str,
    method: &'o str,
    path: &'o str,
    contract: Contract,
    response: Option<ResponseContract>,
    is_covered: bool,
    authentication: Authentication,
    requirement: Requirement,
}

fn is_told(name: &str) -> bool {
    let name = name.as_bytes();
    tells_the_way(name) || SealedNames::new(TOLD_BY_THE_GATEWAY).cover(name)
}

fn scopes(security: &Security) -> Box<[ScopeSet]> {
    let Security::Scopes(alternatives) = security else {
        return Box::default();
    };
    let sets = alternatives.iter().map(|set| {
        let scopes = set.iter().map(|scope| scope.as_str().into());
        scopes.collect::<ScopeSet>()
    });
    sets.collect()
}

/// The parameters of a described operation, those of the path with their segments.
fn places(operation: &openapi::Operation) -> Vec<(Location, String, usize)> {
    let query = operation
        .parameters
        .iter()
        .filter(|each| each.location == Location::Query);
    let query = query.map(|each| (Location::Query, each.name.clone(), 0));
    segments(&operation.template)
        .into_iter()
        .chain(query)
        .collect()
}

fn segments(template: &[Segment]) -> Vec<(Location, String, usize)> {
    let named = template
        .iter()
        .enumerate()
        .filter_map(|(index, segment)| match segment {
            Segment::Parameter(name) => Some((Location::Path, name.to_string(), index)),
            Segment::Literal(_) | Segment::Rest => None,
        });
    named.collect()
}
