//! Who: what authentication says about the sender of a request.

use serde_json::{Map, Value};

/// The subject of a verified credential, immutable and shared by the requests that carry it.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// `sub` (RFC 7519 section 4.1.2).
    pub subject: Box<str>,
    /// `client_id` (RFC 9068 section 2.2), or `azp` where an issuer writes that.
    pub client: Option<Box<str>>,
    /// `scope`, one entry each (RFC 9068 section 2.2.3), or the members of a `scp` array.
    pub scopes: Box<[Box<str>]>,
    /// All claims, for ownership rules and identity headers.
    pub claims: Map<String, Value>,
}

impl Principal {
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| &**held == scope)
    }
}
