//! Every operation that exists, with all that is known of it. Deny-all: what is not here does not
//! exist.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;

use crate::policy::authz::Requirement;
use crate::policy::contract::body::is_announced;
use crate::policy::contract::{Contract, ResponseContract};
use crate::policy::identity::IdentityField;
use crate::policy::inspector::Inspector;
use crate::policy::leak::Watch;
use crate::policy::ratelimit::Limits;
use crate::policy::route::{Match, Routes, Segment, TemplateError};
use crate::policy::waf::outbound::Reach;
use crate::policy::waf::stage::Protection;
use crate::proto::body::Framing;
use crate::proto::header::SealedNames;
use crate::proto::target::{Path, Reserved};

/// How a caller proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Declared to need none.
    None,
    /// A bearer token (RFC 6750) of the issuer with this index in the snapshot.
    Bearer(usize),
}

/// One operation of one API.
pub struct Operation {
    pub api: Box<str>,
    pub id: Box<str>,
    pub owner: Box<str>,
    pub method: Box<str>,
    /// The path as declared, for people.
    pub path: Box<str>,
    /// The index of the upstream in the snapshot.
    pub upstream: usize,
    pub authentication: Authentication,
    pub requirement: Requirement,
    pub limits: Limits,
    pub contract: Contract,
    /// None: responses are not checked.
    pub response: Option<ResponseContract>,
    /// None: answers are not searched for leaks.
    pub leaks: Option<Watch>,
    /// Whether `contract` comes from a description.
    pub is_covered: bool,
    /// None: requests are not inspected by the WAF.
    pub waf: Option<Protection>,
    /// None: nobody outside is asked about requests.
    pub inspector: Option<Arc<Inspector>>,
    /// Longest body in bytes.
    pub max_body: usize,
    /// The headers that say who a request is from: one list for all operations of an API.
    pub identity: Arc<[IdentityField]>,
    pub timeouts: Timeouts,
    /// None: a client may not switch to WebSocket.
    pub websocket: Option<WebSocket>,
    /// What path parameters may hold percent-encoded.
    pub reserved: Reserved,
}

/// What an open WebSocket may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocket {
    /// How long both sides may be silent.
    pub idle: Duration,
    /// How long it may last, whoever talks.
    pub time: Duration,
    /// Bytes of a message, either way.
    pub message: u64,
}

/// How long an operation may take, where that differs from its upstream and its listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the end of the request to the head of the response, and between parts of its body.
    pub response: Option<Duration>,
    /// From the end of the request's head to the end of the answer.
    pub exchange: Option<Duration>,
    /// Between parts of a body, either way.
    pub body: Option<Duration>,
    /// Slowest that a body may come in, in bytes a second.
    pub body_rate: Option<u64>,
}

impl Operation {
    /// Whether rules or somebody outside look at a body in this framing.
    pub fn collects_body(&self, framing: Framing) -> bool {
        let waf = self.waf.as_ref();
        let is_asked = self.asks_about_bodies() && is_announced(framing);
        is_asked || waf.is_some_and(|waf| waf.collects(framing))
    }

    /// Whether somebody outside is asked about bodies.
    pub fn asks_about_bodies(&self) -> bool {
        let inspector = self.inspector.as_deref();
        inspector.is_some_and(|inspector| inspector.max_body > 0)
    }

    /// Fields of a request that ask for a part of an answer or for an encoded one, where answers
    /// have to be seen.
    pub fn unwanted(&self) -> Option<&SealedNames> {
        let contract = self.response.as_ref().and_then(ResponseContract::unwanted);
        let outbound = self.waf.as_ref().and_then(|waf| waf.outbound.as_ref());
        let collecting = outbound.filter(|outbound| outbound.reach == Reach::All);
        contract.or_else(|| collecting.map(|outbound| &*outbound.unwanted))
    }
}

/// An operation on its way into the catalogue.
pub struct Declaration {
    /// Lower-case names without a port; none: any host.
    pub hosts: Vec<String>,
    pub template: Vec<Segment>,
    pub operation: Operation,
}

/// The operations and the way to them.
#[derive(Default)]
pub struct Catalogue {
    operations: Vec<Operation>,
    any_host: Routes,
    /// Each with the operations that belong to any host as well.
    hosts: AHashMap<Box<str>, Routes>,
}

impl Catalogue {
    /// `Err` names the declarations (by index) that cannot be taken, and why.
    pub fn new(declared: Vec<Declaration>) -> Result<Catalogue, Vec<(usize, TemplateError)>> {
        let mut catalogue = Catalogue::default();
        let mut errors = Vec::new();
        for host in declared.iter().flat_map(|declaration| &declaration.hosts) {
            catalogue.hosts.entry(host.as_str().into()).or_default();
        }
        for (index, declaration) in declared.iter().enumerate() {
            if let Err(error) = catalogue.declare(index, declaration) {
                errors.push((index, error));
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        catalogue.operations = declared.into_iter().map(|each| each.operation).collect();
        Ok(catalogue)
    }

    fn declare(&mut self, index: usize, declaration: &Declaration) -> Result<(), TemplateError> {
        let Declaration {
            hosts, template, ..
        } = declaration;
        let method = &*declaration.operation.method;
        if hosts.is_empty() {
            let tables = self.hosts.values_mut().chain([&mut self.any_host]);
            return tables
                .map(|routes| routes.declare(template, method, index))
                .fold(Ok(()), Result::and);
        }
        let mut outcome = Ok(());
        for (host, routes) in &mut self.hosts {
            if hosts.iter().any(|name| name.as_str() == &**host) {
                outcome = outcome.and(routes.declare(template, method, index));
            }
        }
        outcome
    }

    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The index of the operation for a request; `host` is the `Host` field's value.
    pub fn find(&self, host: &[u8], path: &Path, method: &[u8]) -> Match<'_> {
        self.routes(host).find(path, method)
    }

    fn routes(&self, host: &[u8]) -> &Routes {
        if self.hosts.is_empty() {
            return &self.any_host;
        }
        let mut name = [0; 255];
        let host = without_port(host);
        let Some(name) = name.get_mut(..host.len()) else {
            return &self.any_host;
        };
        name.copy_from_slice(host);
        name.make_ascii_lowercase();
        let name = std::str::from_utf8(name).unwrap_or_default();
        self.hosts.get(name).unwrap_or(&self.any_host)
    }
}

/// The name of `name:port`; a bracketed IPv6 address keeps its colons (RFC 3986 section 3.2.2).
/// One final dot names the same host.
fn without_port(host: &[u8]) -> &[u8] {
    let end = match host.iter().rposition(|&byte| byte == b']') {
        Some(bracket) => bracket + 1,
        None => memchr::memchr(b':', host).unwrap_or(host.len()),
    };
    let name = &host[..end];
    name.strip_suffix(b".").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::route;

    fn declaration(hosts: &[&str], method: &str, path: &str) -> Declaration {
        Declaration {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            template: route::template(path).unwrap(),
            operation: Operation {
                api: "a".into(),
                id: format!("{method} {path}").into(),
                owner: "o".into(),
                method: method.into(),
                path: path.into(),
                upstream: 0,
                waf: None,
                inspector: None,
                authentication: Authentication::None,
                requirement: Requirement::default(),
                limits: Limits::default(),
                contract: Contract::none(),
                response: None,
                leaks: None,
                is_covered: false,
                max_body: 0,
                identity: Arc::default(),
                timeouts: Timeouts::default(),
                websocket: None,
                reserved: Reserved::default(),
            },
        }
    }

    fn find(catalogue: &Catalogue, host: &str, path: &str) -> Option<usize> {
        let mut canonical = Path::default();
        canonical.read(path.as_bytes()).unwrap();
        match catalogue.find(host.as_bytes(), &canonical, b"GET") {
            Match::Found(index) => Some(index),
            Match::MethodNotDeclared(_) | Match::NotDeclared => None,
        }
    }

    #[test]
    fn a_host_has_its_own_operations_and_those_of_any_host() {
        let catalogue = Catalogue::new(vec![
            declaration(&[], "GET", "/health"),
            declaration(&["api.example"], "GET", "/x"),
            declaration(&["other.example", "third.example"], "GET", "/x"),
        ])
        .ok()
        .unwrap();
        for host in [
            "api.example",
            "API.Example:8443",
            "api.example.",
            "api.example.:80",
        ] {
            assert_eq!(find(&catalogue, host, "/x"), Some(1), "{host}");
            assert_eq!(find(&catalogue, host, "/health"), Some(0), "{host}");
        }
        assert_eq!(find(&catalogue, "third.example", "/x"), Some(2));
        for host in ["", "unknown.example", "[::1]:80", &"a".repeat(300)] {
            assert_eq!(find(&catalogue, host, "/x"), None, "{host}");
            assert_eq!(find(&catalogue, host, "/health"), Some(0), "{host}");
        }
    }

    #[test]
    fn one_path_cannot_mean_two_operations_on_one_host() {
        let conflicts = |declared| Catalogue::new(declared).err().unwrap();
        let twice = conflicts(vec![
            declaration(&[], "GET", "/x/{a}"),
            declaration(&["h"], "GET", "/x/{b}"),
        ]);
        assert_eq!(twice, [(1, TemplateError::Conflict(0))]);
        let many = conflicts(vec![
            declaration(&["h"], "GET", "/x"),
            declaration(&["h", "i"], "GET", "/x"),
            declaration(&[], "GET", "/x"),
        ]);
        assert_eq!(many.len(), 2);
    }
}
