//! A gateway of one API in front of one backend: the configuration that most tests of the whole
//! need, with what a test adds to it.

use std::net::SocketAddr;

use portcullis::policy::authn::sign::SigningKey;
use serde_json::Value;

use crate::gateway::{Answer, Client};
use crate::process::{Directory, Process};

/// What differs from test to test.
pub struct Setup<'s> {
    /// Of the API and its upstream.
    name: &'s str,
    /// Keys of the API that say what it declares.
    declared: String,
    files: Vec<(String, String)>,
    server: String,
    api: String,
    tables: String,
    replaced: Vec<(String, String)>,
    has_issuer: bool,
}

/// The process, the files that it reads, and the key that signs its tokens.
pub struct Running {
    pub process: Process,
    pub directory: Directory,
    pub key: SigningKey,
}

impl Running {
    pub fn connect(&self) -> Client {
        self.process.connect()
    }

    /// Over a connection of its own.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        self.connect().ask(request)
    }

    /// Ends it, and reads what it logged of the requests, in order.
    pub fn lines(self) -> Vec<Value> {
        self.process.lines(&self.directory)
    }
}

impl<'s> Setup<'s> {
    /// One shard, an admin plane, a log of accesses in `access.log`, and an API that everybody may
    /// call.
    pub fn new(name: &'s str, document: &str) -> Setup<'s> {
        Setup {
            declared: "openapi = \"api.yaml\"".to_owned(),
            ..Setup::bare(name).file("api.yaml", document)
        }
    }

    /// The same with paths and methods in place of a document.
    pub fn paths(name: &'s str, paths: &[&str], methods: &[&str]) -> Setup<'s> {
        Setup {
            declared: format!("paths = {paths:?}\nmethods = {methods:?}\ncontract = \"none\""),
            ..Setup::bare(name)
        }
    }

    /// The same with neither: `api` says what is declared.
    pub fn bare(name: &'s str) -> Setup<'s> {
        Setup {
            name,
            declared: String::new(),
            files: Vec::new(),
            server: "shards = 1".to_owned(),
            api: String::new(),
            tables: String::new(),
            replaced: Vec::new(),
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

    /// Tables beside the API.
    pub fn tables(mut self, tables: &str) -> Setup<'s> {
        self.tables.push_str(tables);
        self.tables.push('\n');
        self
    }

    /// A file beside the configuration.
    pub fn file(mut self, name: &str, text: &str) -> Setup<'s> {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// The rule set `own` of these rules in SecLang, with keys of its table.
    pub fn rules(self, text: &str, keys: &str) -> Setup<'s> {
        let table = format!("[waf.own]\nrules = [\"rules.conf\"]\n{keys}");
        self.file("rules.conf", text).tables(&table)
    }

    /// The configuration with this text in place of the first that reads so.
    pub fn replacing(mut self, text: &str, with: &str) -> Setup<'s> {
        self.replaced.push((text.to_owned(), with.to_owned()));
        self
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
            name,
            declared,
            server,
            api,
            tables,
            replaced,
            ..
        } = self;
        let (issuer, caller) = match self.has_issuer {
            true => (
                "[issuer.bank]\nissuer = \"bank\"\naudiences = [\"api\"]\n\
                 algorithms = [\"ES256\"]\nkeys = \"keys.json\"",
                "issuer = \"bank\"",
            ),
            false => ("", "authentication = \"none\""),
        };
        let config = format!(
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
{declared}
upstream = "{name}"
owner = "team-{name}"
{caller}
{api}
{tables}"#
        );
        replaced.iter().fold(config, |config, (text, with)| {
            assert!(config.contains(text), "{text:?} is not in {config}");
            config.replacen(text, with, 1)
        })
    }

    /// The files, in a directory whose name begins with `prefix`.
    pub fn write(&self, prefix: &str, backend: SocketAddr) -> (Directory, SigningKey) {
        let directory = Directory::new(prefix);
        let key = self.write_into(&directory, backend);
        (directory, key)
    }

    /// The files; those of the same names are replaced.
    pub fn write_into(&self, directory: &Directory, backend: SocketAddr) -> SigningKey {
        let key = SigningKey::generate().unwrap();
        directory.write("keys.json", &key.jwks());
        for (name, text) in &self.files {
            directory.write(name, text);
        }
        directory.write("gateway.toml", &self.config(backend));
        key
    }

    pub fn start(&self, prefix: &str, backend: SocketAddr) -> Running {
        let (directory, key) = self.write(prefix, backend);
        Running {
            process: Process::start(&directory.path("gateway.toml")),
            directory,
            key,
        }
    }

    /// The exit code of `check`, and all that it says.
    pub fn check(&self, prefix: &str) -> (Option<i32>, String) {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        self.write(prefix, nobody).0.check(&[])
    }
}
