//! The shape of the configuration file: every key, its type and its default. Nothing is looked up
//! or judged here but the form of each value.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::reader::{At, Table};
use crate::config::settings::Shards;
use crate::config::units::{Seconds, Size, Span};
use crate::diagnostic::Position;
use crate::policy::contract::lint::Lint;
use crate::policy::ratelimit::Rate;

pub struct File {
    pub server: Server,
    pub admin: Option<At<SocketAddr>>,
    pub access_log: Option<At<String>>,
    pub listeners: Vec<Listener>,
    pub issuers: Vec<(At<String>, Issuer)>,
    pub upstreams: Vec<(At<String>, Upstream)>,
    pub waf: Vec<(At<String>, Waf)>,
    pub lint: Lints,
    pub inspectors: Vec<(At<String>, Inspector)>,
    pub apis: Vec<(At<String>, Api)>,
}

#[derive(Default)]
pub struct Server {
    pub shards: Option<At<Shards>>,
    pub ring: Option<At<String>>,
    pub drain_timeout: Option<Duration>,
    pub rate_limit_keys: Option<At<usize>>,
    pub max_connections: Option<At<usize>>,
    pub max_connections_per_source: Option<At<usize>>,
    pub max_in_flight: Option<At<usize>>,
    pub max_buffered: Option<At<Size>>,
    pub max_buffered_per_source: Option<At<Size>>,
    pub mask_key: Option<At<String>>,
}

pub struct Listener {
    pub position: Position,
    pub address: Option<At<SocketAddr>>,
    pub trusted_peers: Vec<At<IpNet>>,
    pub proxy_protocol: Option<At<bool>>,
    pub handshake_timeout: Duration,
    pub first_byte_timeout: Duration,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
    pub body_rate: Option<At<Size>>,
    pub exchange_timeout: Duration,
    pub tls: Option<Tls>,
}

#[derive(Clone, Debug)]
pub struct Tls {
    pub position: Position,
    pub certificates: Vec<Certificate>,
    pub minimum_version: Option<At<String>>,
    pub cipher_suites: Vec<At<String>>,
    pub client_certificates: Option<At<String>>,
    pub client_ca: Option<At<String>>,
    pub client_crls: Vec<At<String>>,
}

#[derive(Clone, Debug)]
pub struct Certificate {
    pub chain: Option<At<String>>,
    pub key: Option<At<String>>,
}

pub struct Issuer {
    pub position: Position,
    pub issuer: Option<At<String>>,
    pub audiences: Vec<At<String>>,
    pub algorithms: Vec<At<String>>,
    pub keys: Option<At<String>>,
    pub secret: Option<At<String>>,
    pub leeway: Seconds,
    pub max_token_size: Option<At<Size>>,
}

pub struct Upstream {
    pub address: Option<At<String>>,
    pub addresses: Vec<At<String>>,
    pub balance: Option<At<String>>,
    pub hash_key: Option<At<String>>,
    pub connect_timeout: Duration,
    pub response_timeout: Duration,
    pub max_idle: usize,
    pub idle_timeout: Duration,
    pub max_in_flight: Option<At<usize>>,
    pub retry_percent: Option<At<usize>>,
    pub slow_start: Span,
    pub ejection: Ejection,
    pub health: Option<Health>,
    pub tls: Option<UpstreamTls>,
}

pub struct UpstreamTls {
    pub ca: Option<At<String>>,
    pub name: Option<At<String>>,
    pub certificate: Option<Certificate>,
}

#[derive(Default)]
pub struct Ejection {
    pub failures: Option<At<usize>>,
    pub failure_percent: Option<At<usize>>,
    /// None: left out. An empty list is one.
    pub statuses: Option<Vec<At<usize>>>,
    pub time: Option<Duration>,
}

pub struct Health {
    pub path: Option<At<String>>,
    pub interval: Duration,
    pub timeout: Duration,
    pub healthy: Option<At<usize>>,
    pub unhealthy: Option<At<usize>>,
}

pub struct Api {
    pub position: Position,
    pub openapi: Option<At<String>>,
    pub base_path: Option<At<String>>,
    pub paths: Vec<At<String>>,
    pub methods: Vec<At<String>>,
    pub contract: Option<At<String>>,
    pub upstream: Option<At<String>>,
    pub owner: Option<At<String>>,
    pub hosts: Vec<At<String>>,
    pub issuer: Option<At<String>>,
    pub authentication: Option<At<String>>,
    pub identity: Vec<(At<String>, At<String>)>,
    pub limits: Vec<Limit>,
    pub source_prefix_v4: Option<At<usize>>,
    pub source_prefix_v6: Option<At<usize>>,
    pub max_body: Option<At<Size>>,
    pub requests: Requests,
    pub answers: Answers,
    pub inspected: Inspected,
    pub graphql: Option<Graphql>,
    pub backtracking: Option<Backtracking>,
    pub lint: Lints,
    pub operations: Vec<(At<String>, Operation)>,
}

/// The levels that are set for kinds of findings.
#[derive(Default)]
pub struct Lints(pub Vec<(Lint, At<String>)>);

/// Patterns that need not run in linear time.
pub struct Backtracking {
    pub position: Position,
    pub patterns: Vec<At<String>>,
    pub max_steps: Option<At<usize>>,
}

/// What a GraphQL endpoint allows.
#[derive(Default)]
pub struct Graphql {
    pub position: Position,
    pub max_depth: Option<At<usize>>,
    pub max_aliases: Option<At<usize>>,
    pub max_fields: Option<At<usize>>,
    pub max_root_fields: Option<At<usize>>,
    pub max_directives: Option<At<usize>>,
    pub max_tokens: Option<At<usize>>,
    pub max_batch: Option<At<usize>>,
    pub max_cost: Option<At<usize>>,
    pub weights: Vec<(At<String>, At<usize>)>,
    pub size_arguments: Vec<At<String>>,
    pub list_sizes: Vec<(At<String>, At<usize>)>,
    pub introspection: Option<At<bool>>,
    pub mutations: Option<At<bool>>,
    pub subscriptions: Option<At<bool>>,
    pub persisted: Option<At<String>>,
    pub persisted_only: Option<At<bool>>,
}

/// A rule set of the WAF.
#[derive(Default)]
pub struct Waf {
    pub rules: Vec<At<String>>,
    pub mode: Option<At<String>>,
    pub paranoia_level: Option<At<usize>>,
    pub threshold: Option<At<usize>>,
    pub response_threshold: Option<At<usize>>,
    pub variables: Vec<(At<String>, At<String>)>,
    pub on_unsupported: Option<At<String>>,
    pub bodies: Option<At<bool>>,
    pub headers: Vec<At<String>>,
    pub files: Option<At<bool>>,
    pub max_bytes: Option<At<Size>>,
    pub max_values: Option<At<usize>>,
    pub max_depth: Option<At<usize>>,
    pub max_variants: Option<At<usize>>,
    pub max_steps: Option<At<usize>>,
    pub over_budget: Option<At<String>>,
    pub responses: Option<At<String>>,
    pub max_response_bytes: Option<At<Size>>,
    pub exclusions: Vec<Exclusion>,
}

/// A service outside that is asked about requests.
pub struct Inspector {
    pub upstream: Option<At<String>>,
    pub path: Option<At<String>>,
    pub timeout: Option<At<Duration>>,
    pub on_failure: Option<At<String>>,
    pub mode: Option<At<String>>,
    pub max_body: Option<At<Size>>,
    pub threshold: Option<At<usize>>,
}

/// What an API or an operation says about its requests, beside their description.
pub struct Requests {
    pub unknown_fields: Option<At<String>>,
    pub unknown_query: Option<At<String>>,
    pub encodings: Vec<At<String>>,
    pub check_accept: Option<At<bool>>,
    pub max_violations: Option<At<usize>>,
    pub tell_violations: Option<At<bool>>,
    pub stream_body: Option<At<Size>>,
    pub max_record: Option<At<Size>>,
}

/// What an API or an operation says about its responses.
pub struct Answers {
    pub responses: Option<At<String>>,
    pub headers: Vec<At<String>>,
    pub max_body: Option<At<Size>>,
    pub leaks: Option<At<String>>,
    pub masks: Vec<Mask>,
    pub streams: Option<At<bool>>,
}

/// Values that are not shown as they are.
pub struct Mask {
    pub position: Position,
    pub pointer: Option<At<String>>,
    pub format: Option<At<String>>,
    pub how: Option<At<String>>,
}

/// How much of a collection may be asked for and answered at once.
pub struct Collection {
    pub position: Position,
    pub size: Option<At<String>>,
    pub max: Option<At<usize>>,
    pub default: Option<At<usize>>,
    pub items: Option<At<String>>,
}

/// What an API or an operation says about its inspection.
pub struct Inspected {
    pub waf: Option<At<String>>,
    pub mode: Option<At<String>>,
    pub threshold: Option<At<usize>>,
    pub response_threshold: Option<At<usize>>,
    pub bodies: Option<At<bool>>,
    pub responses: Option<At<String>>,
    pub headers: Vec<At<String>>,
    pub exclusions: Vec<Exclusion>,
    pub inspector: Option<At<String>>,
}

/// Rules that are not run, or that do not look at something.
pub struct Exclusion {
    pub position: Position,
    pub rules: Vec<At<String>>,
    pub target: Option<At<String>>,
    pub pointer: Option<At<String>>,
}

pub struct Limit {
    pub position: Position,
    pub name: Option<At<String>>,
    pub per: Option<At<String>>,
    pub rate: Option<At<Rate>>,
    pub burst: Option<At<usize>>,
}

pub struct Operation {
    pub authentication: Option<At<String>>,
    pub ownership: Vec<Ownership>,
    pub limits: Vec<Limit>,
    pub max_body: Option<At<Size>>,
    pub requests: Requests,
    pub answers: Answers,
    pub collection: Option<Collection>,
    pub inspected: Inspected,
    pub graphql: Option<Graphql>,
    pub response_timeout: Option<Duration>,
    pub exchange_timeout: Option<Duration>,
    pub body_timeout: Option<Duration>,
    pub body_rate: Option<Size>,
    pub websocket: WebSocket,
    pub encoded_in_path: Vec<At<String>>,
}

/// Keys of an operation that begin so.
pub struct WebSocket {
    pub is_wanted: Option<At<bool>>,
    pub idle_timeout: Option<At<Duration>>,
    pub max_time: Option<At<Duration>>,
    pub max_message: Option<At<Size>>,
}

pub struct Ownership {
    pub value: Option<At<String>>,
    pub claim: Option<At<String>>,
}

const SECOND: Duration = Duration::from_secs(1);

pub fn file(root: &Table<'_, '_>) -> File {
    File {
        server: root.table("server", server).unwrap_or_default(),
        admin: root
            .table("admin", |admin| admin.required("address"))
            .flatten(),
        access_log: root.table("log", |log| log.optional("access")).flatten(),
        listeners: root.tables("listener", listener),
        issuers: root.named("issuer", issuer),
        upstreams: root.named("upstream", upstream),
        waf: root.named("waf", waf),
        lint: root.table("lint", lints).unwrap_or_default(),
        inspectors: root.named("inspector", inspector),
        apis: root.named("api", api),
    }
}

fn server(table: &Table<'_, '_>) -> Server {
    Server {
        shards: table.optional("shards"),
        ring: table.optional("ring"),
        drain_timeout: table.optional("drain_timeout").map(|found| found.value),
        rate_limit_keys: table.optional("rate_limit_keys"),
        max_connections: table.optional("max_connections"),
        max_connections_per_source: table.optional("max_connections_per_source"),
        max_in_flight: table.optional("max_in_flight"),
        max_buffered: table.optional("max_buffered"),
        max_buffered_per_source: table.optional("max_buffered_per_source"),
        mask_key: table.optional("mask_key"),
    }
}

fn listener(table: &Table<'_, '_>) -> Listener {
    Listener {
        position: table.position,
        address: table.required("address"),
        trusted_peers: table.list("trusted_peers"),
        proxy_protocol: table.optional("proxy_protocol"),
        handshake_timeout: table.or("handshake_timeout", 10 * SECOND),
        first_byte_timeout: table.or("first_byte_timeout", 30 * SECOND),
        head_timeout: table.or("head_timeout", 10 * SECOND),
        idle_timeout: table.or("idle_timeout", 60 * SECOND),
        body_timeout: table.or("body_timeout", 30 * SECOND),
        body_rate: table.optional("body_rate"),
        exchange_timeout: table.or("exchange_timeout", 600 * SECOND),
        tls: table.table("tls", tls),
    }
}

fn tls(table: &Table<'_, '_>) -> Tls {
    Tls {
        position: table.position,
        certificates: table.tables("certificates", certificate),
        minimum_version: table.optional("minimum_version"),
        cipher_suites: table.list("cipher_suites"),
        client_certificates: table.optional("client_certificates"),
        client_ca: table.optional("client_ca"),
        client_crls: table.list("client_crls"),
    }
}

fn issuer(table: &Table<'_, '_>) -> Issuer {
    Issuer {
        position: table.position,
        issuer: table.required("issuer"),
        audiences: table.list("audiences"),
        algorithms: table.list("algorithms"),
        keys: table.optional("keys"),
        secret: table.optional("secret"),
        leeway: table.or("leeway", Seconds(30)),
        max_token_size: table.optional("max_token_size"),
    }
}

fn upstream(table: &Table<'_, '_>) -> Upstream {
    Upstream {
        address: table.optional("address"),
        addresses: table.list("addresses"),
        balance: table.optional("balance"),
        hash_key: table.optional("hash_key"),
        connect_timeout: table.or("connect_timeout", SECOND),
        response_timeout: table.or("response_timeout", 10 * SECOND),
        max_idle: table.or("max_idle", 64),
        idle_timeout: table.or("idle_timeout", 4 * SECOND),
        max_in_flight: table.optional("max_in_flight"),
        retry_percent: table.optional("retry_percent"),
        slow_start: table.or("slow_start", Span(10 * SECOND)),
        ejection: table.table("ejection", ejection).unwrap_or_default(),
        health: table.table("health", health),
        tls: table.table("tls", upstream_tls),
    }
}

fn upstream_tls(table: &Table<'_, '_>) -> UpstreamTls {
    UpstreamTls {
        ca: table.required("ca"),
        name: table.optional("name"),
        certificate: table.table("certificate", certificate),
    }
}

fn certificate(table: &Table<'_, '_>) -> Certificate {
    Certificate {
        chain: table.required("chain"),
        key: table.required("key"),
    }
}

fn ejection(table: &Table<'_, '_>) -> Ejection {
    Ejection {
        failures: table.optional("failures"),
        failure_percent: table.optional("failure_percent"),
        statuses: table.has("statuses").then(|| table.list("statuses")),
        time: table.optional("time").map(|found| found.value),
    }
}

fn health(table: &Table<'_, '_>) -> Health {
    Health {
        path: table.optional("path"),
        interval: table.or("interval", 5 * SECOND),
        timeout: table.or("timeout", SECOND),
        healthy: table.optional("healthy"),
        unhealthy: table.optional("unhealthy"),
    }
}

fn api(table: &Table<'_, '_>) -> Api {
    Api {
        position: table.position,
        openapi: table.optional("openapi"),
        base_path: table.optional("base_path"),
        paths: table.list("paths"),
        methods: table.list("methods"),
        contract: table.optional("contract"),
        upstream: table.required("upstream"),
        owner: table.required("owner"),
        hosts: table.list("hosts"),
        issuer: table.optional("issuer"),
        authentication: table.optional("authentication"),
        identity: table.pairs("identity"),
        limits: table.tables("limits", limit),
        source_prefix_v4: table.optional("source_prefix_v4"),
        source_prefix_v6: table.optional("source_prefix_v6"),
        max_body: table.optional("max_body"),
        requests: requests(table),
        answers: answers(table),
        inspected: inspected(table),
        graphql: table.table("graphql", graphql),
        backtracking: table.table("backtracking", backtracking),
        lint: table.table("lint", lints).unwrap_or_default(),
        operations: table.named("operation", operation),
    }
}

fn lints(table: &Table<'_, '_>) -> Lints {
    let levels = Lint::ALL.into_iter();
    let levels = levels.filter_map(|lint| Some((lint, table.optional(lint.name())?)));
    Lints(levels.collect())
}

fn backtracking(table: &Table<'_, '_>) -> Backtracking {
    Backtracking {
        position: table.position,
        patterns: table.list("patterns"),
        max_steps: table.optional("max_steps"),
    }
}

fn graphql(table: &Table<'_, '_>) -> Graphql {
    Graphql {
        position: table.position,
        max_depth: table.optional("max_depth"),
        max_aliases: table.optional("max_aliases"),
        max_fields: table.optional("max_fields"),
        max_root_fields: table.optional("max_root_fields"),
        max_directives: table.optional("max_directives"),
        max_tokens: table.optional("max_tokens"),
        max_batch: table.optional("max_batch"),
        max_cost: table.optional("max_cost"),
        weights: table.pairs("weights"),
        size_arguments: table.list("size_arguments"),
        list_sizes: table.pairs("list_sizes"),
        introspection: table.optional("introspection"),
        mutations: table.optional("mutations"),
        subscriptions: table.optional("subscriptions"),
        persisted: table.optional("persisted"),
        persisted_only: table.optional("persisted_only"),
    }
}

fn waf(table: &Table<'_, '_>) -> Waf {
    Waf {
        rules: table.list("rules"),
        mode: table.optional("mode"),
        paranoia_level: table.optional("paranoia_level"),
        threshold: table.optional("threshold"),
        response_threshold: table.optional("response_threshold"),
        variables: table.pairs("variables"),
        on_unsupported: table.optional("on_unsupported"),
        bodies: table.optional("bodies"),
        headers: table.list("headers"),
        files: table.optional("files"),
        max_bytes: table.optional("max_bytes"),
        max_values: table.optional("max_values"),
        max_depth: table.optional("max_depth"),
        max_variants: table.optional("max_variants"),
        max_steps: table.optional("max_steps"),
        over_budget: table.optional("over_budget"),
        responses: table.optional("responses"),
        max_response_bytes: table.optional("max_response_bytes"),
        exclusions: table.tables("exclusions", exclusion),
    }
}

fn inspector(table: &Table<'_, '_>) -> Inspector {
    Inspector {
        upstream: table.required("upstream"),
        path: table.required("path"),
        timeout: table.optional("timeout"),
        on_failure: table.required("on_failure"),
        mode: table.optional("mode"),
        max_body: table.optional("max_body"),
        threshold: table.optional("threshold"),
    }
}

fn websocket(table: &Table<'_, '_>) -> WebSocket {
    WebSocket {
        is_wanted: table.optional("websocket"),
        idle_timeout: table.optional("websocket_idle_timeout"),
        max_time: table.optional("websocket_max_time"),
        max_message: table.optional("websocket_max_message"),
    }
}

fn requests(table: &Table<'_, '_>) -> Requests {
    Requests {
        unknown_fields: table.optional("unknown_fields"),
        unknown_query: table.optional("unknown_query"),
        encodings: table.list("request_encodings"),
        check_accept: table.optional("check_accept"),
        max_violations: table.optional("max_violations"),
        tell_violations: table.optional("tell_violations"),
        stream_body: table.optional("stream_body"),
        max_record: table.optional("max_record"),
    }
}

fn answers(table: &Table<'_, '_>) -> Answers {
    Answers {
        responses: table.optional("responses"),
        headers: table.list("response_headers"),
        max_body: table.optional("max_response_body"),
        leaks: table.optional("leaks"),
        masks: table.tables("mask", mask),
        streams: table.optional("stream_responses"),
    }
}

fn mask(table: &Table<'_, '_>) -> Mask {
    Mask {
        position: table.position,
        pointer: table.optional("pointer"),
        format: table.optional("format"),
        how: table.required("how"),
    }
}

fn collection(table: &Table<'_, '_>) -> Collection {
    Collection {
        position: table.position,
        size: table.optional("size"),
        max: table.required("max"),
        default: table.optional("default"),
        items: table.optional("items"),
    }
}

fn inspected(table: &Table<'_, '_>) -> Inspected {
    Inspected {
        waf: table.optional("waf"),
        mode: table.optional("waf_mode"),
        threshold: table.optional("waf_threshold"),
        response_threshold: table.optional("waf_response_threshold"),
        bodies: table.optional("waf_bodies"),
        responses: table.optional("waf_responses"),
        headers: table.list("waf_headers"),
        exclusions: table.tables("waf_exclusions", exclusion),
        inspector: table.optional("inspector"),
    }
}

fn exclusion(table: &Table<'_, '_>) -> Exclusion {
    Exclusion {
        position: table.position,
        rules: table.list("rules"),
        target: table.optional("target"),
        pointer: table.optional("pointer"),
    }
}

fn limit(table: &Table<'_, '_>) -> Limit {
    Limit {
        position: table.position,
        name: table.required("name"),
        per: table.required("per"),
        rate: table.required("rate"),
        burst: table.optional("burst"),
    }
}

fn operation(table: &Table<'_, '_>) -> Operation {
    Operation {
        authentication: table.optional("authentication"),
        ownership: table.tables("ownership", |rule| Ownership {
            value: rule.required("value"),
            claim: rule.required("claim"),
        }),
        limits: table.tables("limits", limit),
        max_body: table.optional("max_body"),
        requests: requests(table),
        answers: answers(table),
        collection: table.table("collection", collection),
        inspected: inspected(table),
        graphql: table.table("graphql", graphql),
        response_timeout: table.optional("response_timeout").map(|found| found.value),
        exchange_timeout: table.optional("exchange_timeout").map(|found| found.value),
        body_timeout: table.optional("body_timeout").map(|found| found.value),
        body_rate: table.optional("body_rate").map(|found| found.value),
        websocket: websocket(table),
        encoded_in_path: table.list("encoded_in_path"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::config::reader::Reader;

    /// The keys named in this file's code are those of the reference configuration, and none is
    /// there that is not read.
    #[test]
    fn the_reference_names_every_key() {
        let source = include_str!("file.rs")
            .split("#[cfg(test)]")
            .next()
            .unwrap();
        let asked: BTreeSet<&str> = source
            .match_indices("(\"")
            .map(|(at, _)| source[at + 2..].split('"').next().unwrap())
            .collect();
        let reference = include_str!("../../config/gateway.toml");
        for key in &asked {
            let is_key = |line: &str| {
                let line = line.trim_start().trim_start_matches("# ");
                line.starts_with(&format!("{key} = "))
                    || line.starts_with(&format!("[{key}"))
                    || line.starts_with(&format!("[[{key}"))
                    || line.contains(&format!(".{key}"))
                    || line.contains(&format!("{key} = "))
            };
            assert!(
                reference.lines().any(is_key),
                "{key} is not in the reference"
            );
        }
        // With its comment signs taken off, every example line is a key that is known.
        let uncommented: String = reference
            .lines()
            .map(|line| match line.strip_prefix("#| ") {
                Some(example) => format!("{example}\n"),
                None => format!("{line}\n"),
            })
            .collect();
        let reader = Reader::new(std::path::Path::new("gateway.toml"), &uncommented);
        reader.parse(super::file);
        assert_eq!(reader.into_diagnostics(), []);
    }
}
