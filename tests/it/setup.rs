//! A gateway of one API in front of one backend: the configuration that most tests of the whole
//! need, with what a test adds to it.

use std::net::SocketAddr;

use portcullis::policy::authn::sign::SigningKey;

use crate::process::{Directory, Process};

/// What differs from test to test.
pub struct Setup<'s> {
    /// Of the API and its upstream.
    name: &'s str,
    document: &'s str,
    server: String,
    api: String,
    has_issuer: bool,
}

/// The process, the files that it reads, and the key that signs its tokens.
pub struct Running {
    pub process: Process,
    pub directory: Directory,
    pub key: SigningKey,
}

impl<'s> Setup<'s> {
    /// One shard, an admin plane, a log of accesses in `access.log`, and an API that everybody may
    /// call.
    pub fn new(name: &'s str, document: &'s str) -> Setup<'s> {
        Setup {
            name,
            document,
            server: "shards = 1".to_owned(),
            api: String::new(),
            has_issuer: false,
        }
    }

    /// Keys of the API, and tables below it.
    pub fn api(self, keys: impl Into<String>) -> Setup<'s> {
        let api = keys.into();
        Setup { api, ..self }
    }

    /// Keys of the server, in place of the one shard.
    pub fn server(self, keys: impl Into<String>) -> Setup<'s> {
        let server = keys.into();
        Setup { server, ..self }
    }

    /// Callers need a token of the issuer `bank`.
    pub fn with_issuer(self) -> Setup<'s> {
        Setup {
            has_issuer: true,
            ..self
        }
    }

    pub fn config(&self, backend: SocketAddr) -> String {
        let Setup {
            name, server, api, ..
        } = self;
        let (issuer, caller) = match self.has_issuer {
            true => (
                "[issuer.bank]\nissuer = \"bank\"\naudiences = [\"api\"]\n\
                 algorithms = [\"ES256\"]\nkeys = \"keys.json\"",
                "issuer = \"bank\"",
            ),
            false => ("", "authentication = \"none\""),
        };
        format!(
            r#"
[server]
{server}
[admin]
address = "127.0.0.1:0"
[log]
access = "access.log"
[[listener]]
address = "127.0.0.1:0"
{issuer}
[upstream.{name}]
address = "{backend}"
[api.{name}]
openapi = "api.yaml"
upstream = "{name}"
owner = "team-{name}"
{caller}
{api}
"#
        )
    }

    /// The files, in a directory whose name begins with `prefix`.
    pub fn write(&self, prefix: &str, backend: SocketAddr) -> (Directory, SigningKey) {
        let directory = Directory::new(prefix);
        let key = SigningKey::generate().unwrap();
        directory.write("keys.json", &key.jwks());
        directory.write("api.yaml", self.document);
        directory.write("gateway.toml", &self.config(backend));
        (directory, key)
    }

    pub fn start(&self, prefix: &str, backend: SocketAddr) -> Running {
        let (directory, key) = self.write(prefix, backend);
        Running {
            process: Process::start(&directory.path("gateway.toml")),
            directory,
            key,
        }
    }
}
