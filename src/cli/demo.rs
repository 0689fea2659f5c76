//! `portcullis demo`: the whole product on loopback. A mobile banking client reads the balances of
//! an account; everything is checked before the bank sees anything.

mod bank;
mod requests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;

use crate::cli::diagnose;
use crate::cli::process::Process;
use crate::config;
use crate::policy::authn::sign::SigningKey;
use crate::telemetry::log::Sink;

#[derive(Args)]
pub struct Options {
    /// Run the requests, print what came of them, and end; the exit code tells whether all was well
    #[arg(long)]
    once: bool,

    /// The port of the gateway; 0 for any that is free
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// The directory with the files of the demo, removed when it ends.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Directory, String> {
        let name = format!("portcullis-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Directory(path))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.0.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Left behind is a handful of bytes in a directory for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn demo(options: &Options) -> Result<(), String> {
    let key = SigningKey::generate()?;
    let bank = bank::start().map_err(|error| format!("the bank does not start: {error}"))?;
    let directory = Directory::new()?;
    directory.write("accounts.yaml", include_str!("../../config/accounts.yaml"))?;
    directory.write("bank.jwks.json", &key.jwks())?;
    let port = if options.once { 0 } else { options.port };
    directory.write("gateway.toml", &configuration(port, bank))?;
    let path = directory.0.join("gateway.toml");

    let lines = Arc::new(Mutex::new(String::new()));
    let process = start(&path, options, &lines)?;
    let Some(&address) = process.addresses.first() else {
        return Err("the gateway has no address".to_owned());
    };
    let cases = requests::cases(&key)?;
    if options.once {
        let outcome = requests::run(address, &cases);
        process.stop()?;
        let log = lines.lock().unwrap_or_else(PoisonError::into_inner);
        return requests::report(&outcome?, &log);
    }
    let introduction = requests::introduction(address, process.admin, bank, &cases);
    process.run(move || print!("{introduction}"))
}

fn start(path: &Path, options: &Options, lines: &Arc<Mutex<String>>) -> Result<Process, String> {
    let loaded = config::load(path, 1).map_err(|found| diagnose::render(&found))?;
    let kept = lines.clone();
    let sink = Sink::Call(Box::new(move |bytes| {
        let mut lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_str(&String::from_utf8_lossy(bytes));
    }));
    let sink = options.once.then_some(sink);
    Process::start(loaded, path.to_owned(), sink)
        .map_err(|error| format!("{error}\n  hint: choose another port with --port N"))
}

fn configuration(port: u16, bank: SocketAddr) -> String {
    format!(
        r#"
[admin]
address = "127.0.0.1:0"

[[listener]]
address = "127.0.0.1:{port}"

[issuer.bank]
issuer = "{issuer}"
audiences = ["{audience}"]
algorithms = ["ES256"]
keys = "bank.jwks.json"
leeway = "1s"

[upstream.accounts]
address = "{bank}"

[api.accounts]
openapi = "accounts.yaml"
upstream = "accounts"
owner = "team-accounts"
issuer = "bank"
identity = {{ "X-User-ID" = "sub", "X-Client-ID" = "client_id" }}
limits = [
    {{ name = "source", per = "source", rate = "1000/s", burst = 2000 }},
    {{ name = "client", per = "client", rate = "30/m", burst = {burst} }},
]

[api.accounts.operation.getBalances]
ownership = [{{ value = "path.accountId", claim = "accounts" }}]

[api.accounts.operation.createPayment]
responses = "strip"
"#,
        issuer = requests::ISSUER,
        audience = requests::AUDIENCE,
        burst = requests::BURST,
    )
}
