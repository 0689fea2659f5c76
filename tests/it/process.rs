//! The real process: configuration, signals, admin plane, log.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portcullis::policy::authn::sign::SigningKey;
use serde_json::{Value, json};

use crate::gateway::{Answer, Client, PATIENCE, echo};
use crate::setup::Setup;

pub fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).stdin(Stdio::null());
    command
}

pub fn run(arguments: &[&str]) -> Output {
    portcullis(arguments).output().unwrap()
}

/// The rules of the WAF that a line of the log names.
pub fn rules(line: &Value) -> Vec<u64> {
    let hits = line["waf"].as_array().into_iter().flatten();
    hits.map(|hit| hit["rule"].as_u64().unwrap()).collect()
}

/// A directory that is removed with the value.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(name: &str) -> Directory {
        let path =
            std::env::temp_dir().join(format!("portcullis-test-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// The exit code of `check` for the `gateway.toml` in it, and what it says, without the path of
    /// the directory: one document where JSON was asked for, and all of it otherwise.
    pub fn check(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let config = self.path("gateway.toml");
        let output = run(&[&["check", "--config", &config], arguments].concat());
        let told = match arguments.contains(&"json") {
            true => output.stdout,
            false => [output.stdout, output.stderr].concat(),
        };
        let told = String::from_utf8(told).unwrap();
        (output.status.code(), told.replace(&self.path(""), ""))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running gateway, ended with the value.
pub struct Process {
    pub address: SocketAddr,
    admin: SocketAddr,
    child: Child,
    /// What it says on standard error, line by line.
    told: mpsc::Receiver<String>,
}

impl Process {
    pub fn start(config: &str) -> Process {
        Process::of(portcullis(&["run", "--config", config]))
    }

    /// From a command that runs a gateway.
    pub fn of(mut command: Command) -> Process {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let line: String = told.recv_timeout(PATIENCE).unwrap();
        let after = |word: &str| -> SocketAddr {
            let rest = line.split(word).nth(1).unwrap_or_else(|| panic!("{line}"));
            let end = rest.find([',', ';']).unwrap();
            rest[..end].parse().unwrap()
        };
        Process {
            address: after("listening on "),
            admin: after("admin on "),
            child,
            told,
        }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn admin(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        Client::connect(self.admin).ask(request)
    }

    pub fn metric(&self, line: &str) -> u64 {
        let text = String::from_utf8(self.admin("/metrics").body).unwrap();
        let value = text.lines().find_map(|each| each.strip_prefix(line));
        let value = value.unwrap_or_else(|| panic!("{line} is not in:\n{text}"));
        value.trim().parse().unwrap()
    }

    /// The sum of all samples whose lines begin so.
    pub fn counted(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.admin("/metrics").body).unwrap();
        let samples = text.lines().filter(|line| line.starts_with(name));
        samples
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    /// Waits until a counter stands there: a request is counted when its answer has left.
    pub fn counts(&self, name: &str, expected: u64) {
        let until = Instant::now() + PATIENCE;
        loop {
            let count = self.counted(name);
            if count == expected {
                return;
            }
            let may_come = count < expected && Instant::now() < until;
            assert!(may_come, "{name} is {count}, not {expected}");
        }
    }

    /// Bytes of memory that are resident.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line
            .unwrap()
            .trim()
            .strip_suffix(" kB")
            .unwrap()
            .parse()
            .unwrap();
        kib * 1024
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        open.unwrap().count()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits until it says something with these words.
    pub fn wait_for(&self, words: &str) -> String {
        loop {
            let line = self.told.recv_timeout(PATIENCE).unwrap();
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Ends it, and reads what it logged of the requests, in order.
    pub fn lines(mut self, directory: &Directory) -> Vec<Value> {
        self.signal(Signal::SIGTERM);
        self.ended();
        let log = std::fs::read_to_string(directory.path("access.log")).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    /// The exit code, once it has ended by itself.
    pub fn ended(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end");
    }
}

impl Process {
    /// How many exchanges have broken off in a panic, as long as somebody answers.
    fn panics(&self) -> Option<u64> {
        let stream = TcpStream::connect(self.admin).ok()?;
        let mut asked = Client::accepted(stream);
        let request = "GET /metrics HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n";
        asked.stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        asked.reader.read_to_string(&mut text).ok()?;
        let lines = text.lines();
        let samples = lines.filter(|line| line.starts_with("portcullis_panics_total"));
        Some(
            samples
                .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
                .sum(),
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !std::thread::panicking() && matches!(self.child.try_wait(), Ok(None)) {
            assert_eq!(self.panics().unwrap_or(0), 0, "exchanges that broke off");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub const API: &str = r##"
openapi: 3.1.0
info: { title: Bank, version: 1.0.0 }
paths:
  /accounts/{accountId}/balances:
    get:
      operationId: getBalances
      security: [{ bearer: ["read:accounts"] }]
      parameters:
        - { name: accountId, in: path, required: true, schema: { type: string } }
      responses: { "200": { description: ok, content: { text/plain: {} } } }
  /payments:
    post:
      operationId: createPayment
      security: [{ bearer: ["write:payments"] }]
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              additionalProperties: false
              required: [from, amount]
              properties:
                from: { type: string }
                amount: { type: integer, minimum: 1 }
      responses: { "200": { description: ok, content: { text/plain: {} } } }
components:
  securitySchemes: { bearer: { type: http, scheme: bearer } }
"##;

/// The gateway of a bank, with these limits of its API.
pub fn bank_setup(shards: usize, limits: &str) -> Setup<'static> {
    let server = format!("shards = {shards}\ndrain_timeout = \"10s\"");
    let api = format!(
        r#"
identity = {{ "X-User-ID" = "sub", "X-Client-ID" = "client_id" }}
limits = [{limits}]
[api.bank.operation.getBalances]
ownership = [{{ value = "path.accountId", claim = "accounts" }}]
[api.bank.operation.createPayment]
ownership = [{{ value = "body./from", claim = "accounts" }}]
"#
    );
    Setup::new("bank", API)
        .with_issuer()
        .server(server)
        .api(api)
}

pub fn claims() -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    json!({"iss": "bank", "aud": "api", "sub": "alice", "client_id": "app", "exp": now + 600,
        "scope": "read:accounts write:payments", "accounts": ["a1", "a2"]})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// A gateway with a bank behind it, and the key that signs its tokens.
fn bank(name: &str, shards: usize, limits: &str) -> (Directory, SigningKey, Process) {
    let running = bank_setup(shards, limits).start(name, echo());
    (running.directory, running.key, running.process)
}

pub fn get(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n")
}

fn pay(body: &str, token: &str) -> String {
    format!(
        "POST /payments HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn the_whole_pipeline_decides_and_the_backend_learns_who_asks() {
    let (directory, key, mut process) = bank("pipeline", 1, "");
    let sign = |claims: Value| key.sign(&claims).unwrap();
    let token = sign(claims());
    let mut client = process.connect();

    let answer = client.ask(
        get("/accounts/a1/balances", &token).replace("Host: h", "Host: h\r\nx_user_id: mallory"),
    );
    assert_eq!(answer.status, 200);
    let seen = String::from_utf8(answer.body).unwrap();
    assert!(
        seen.contains("X-User-ID: alice\n") && seen.contains("X-Client-ID: app\n"),
        "{seen}"
    );
    assert!(!seen.contains("mallory"));

    let body = r#"{"from": "a2", "amount":  5}"#;
    let answer = client.ask(pay(body, &token));
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.ends_with(body.as_bytes()),
        "the body is forwarded as it came"
    );

    let other = SigningKey::generate().unwrap().sign(&claims()).unwrap();
    for (request, status, kind) in [
        (get("/accounts/a3/balances", &token), 403, "not-owner"),
        (
            get("/accounts/a1/balances?x=1", &token),
            400,
            "undeclared-parameter",
        ),
        (get("/accounts/a1", &token), 404, "undeclared-operation"),
        (
            get(
                "/accounts/a1/balances",
                &sign(with("scope", json!("write:payments"))),
            ),
            403,
            "insufficient-scope",
        ),
        (
            get("/accounts/a1/balances", &sign(with("exp", json!(1)))),
            401,
            "expired-token",
        ),
        (
            get("/accounts/a1/balances", &sign(with("aud", json!("other")))),
            401,
            "invalid-token",
        ),
        (
            get(
                "/accounts/a1/balances",
                &sign(with("sub", json!("a\r\nX-User-ID: root"))),
            ),
            401,
            "invalid-token",
        ),
        (get("/accounts/a1/balances", &other), 401, "invalid-token"),
        (get("/accounts/a1/balances", "x"), 401, "invalid-token"),
        (
            "GET /accounts/a1/balances HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            401,
            "missing-token",
        ),
        (
            pay(r#"{"from":"a1","amount":0}"#, &token),
            400,
            "invalid-body",
        ),
        (
            pay(r#"{"from":"a1","amount":1,"amount":2}"#, &token),
            400,
            "invalid-body",
        ),
        (pay(r#"{"from":"a3","amount":1}"#, &token), 403, "not-owner"),
        (pay("", &token), 400, "missing-body"),
    ] {
        let answer = client.ask(&request);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, kind),
            "{request}"
        );
        let challenge = answer.field("www-authenticate");
        assert_eq!(
            challenge.is_some(),
            status == 401 || kind == "insufficient-scope",
            "{request}"
        );
    }
    let answer = client.ask(
        "POST /payments HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ".to_owned()
            + &token
            + "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"fro\r\n13\r\nm\":\"a1\",\"amount\":1}\r\n0\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    let seen = String::from_utf8(answer.body).unwrap();
    assert!(
        seen.contains("Content-Length: 24\n") && seen.ends_with("\n{\"from\":\"a1\",\"amount\":1}"),
        "{seen}"
    );

    let denied = "portcullis_denials_total{stage=\"authorization\",reason=\"not-owner\"}";
    process.counts(denied, 2);
    let forwarded =
        "portcullis_requests_total{api=\"bank\",operation=\"getBalances\",decision=\"forwarded\"}";
    process.counts(forwarded, 1);

    process.signal(Signal::SIGTERM);
    drop(client);
    assert_eq!(process.ended(), Some(0));
    let log = std::fs::read_to_string(directory.path("access.log")).unwrap();
    assert!(!log.contains(&token[..40]) && !log.contains("x=1"), "{log}");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 17);
    assert_eq!(
        (&lines[0]["subject"], &lines[0]["operation"]),
        (&json!("alice"), &json!("getBalances"))
    );
    let invalid = lines
        .iter()
        .find(|line| line["reason"] == "invalid-body")
        .unwrap();
    let place =
        "/paths/~1payments/post/requestBody/content/application~1json/schema/properties/amount";
    assert_eq!(
        invalid["detail"],
        format!("body /amount minimum by {place}")
    );
}

#[test]
fn limits_hold_across_shards() {
    let limits = r#"{ name = "client", per = "client", rate = "1/h", burst = 10 }"#;
    let (_directory, key, process) = bank("limits", 2, limits);
    let token = key.sign(&claims()).unwrap();
    let mut passed = 0;
    for _ in 0..40 {
        // A new connection each, so that the kernel spreads them over the shards.
        let answer = process.connect().ask(get("/accounts/a1/balances", &token));
        match answer.status {
            200 => {
                passed += 1;
                assert!(
                    answer
                        .field("ratelimit")
                        .unwrap()
                        .starts_with("\"client\";r=")
                );
            }
            429 => {
                assert_eq!(answer.problem(), "quota-exceeded");
                let retry: u64 = answer.field("retry-after").unwrap().parse().unwrap();
                assert!((3590..=3600).contains(&retry), "{retry}");
                assert_eq!(
                    answer.field("ratelimit-policy"),
                    Some("\"client\";q=1;w=3600")
                );
            }
            status => panic!("{status}"),
        }
    }
    assert_eq!(passed, 10);
    let other = key.sign(&with("client_id", json!("another"))).unwrap();
    assert_eq!(
        process
            .connect()
            .ask(get("/accounts/a1/balances", &other))
            .status,
        200
    );
}

#[test]
fn bad_tokens_are_limited_before_they_are_verified() {
    let limits = r#"{ name = "source", per = "source", rate = "1/h", burst = 5 }"#;
    let (_directory, _key, process) = bank("guessing", 1, limits);
    let mut client = process.connect();
    let statuses: Vec<u16> = (0..8)
        .map(|_| client.ask(get("/accounts/a1/balances", "a.b.c")).status)
        .collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
}

#[test]
fn a_reload_is_whole_or_not_at_all() {
    let (directory, key, process) = bank("reload", 2, "");
    let token = key.sign(&claims()).unwrap();
    let mut client = process.connect();
    assert_eq!(client.ask(get("/accounts/a1/balances", &token)).status, 200);

    directory.write("api.yaml", &API.replace("read:accounts", "read:everything"));
    process.signal(Signal::SIGHUP);
    process.wait_for("reloaded: generation 2");
    let until = Instant::now() + PATIENCE;
    // Every shard takes it over at its next tick, on connections that are open too.
    while client.ask(get("/accounts/a1/balances", &token)).status != 403 {
        assert!(Instant::now() < until, "the new policy is not in force");
    }

    directory.write(
        "api.yaml",
        &API.replace("operationId: getBalances", "operationId:"),
    );
    process.signal(Signal::SIGHUP);
    process.wait_for("reload refused");
    process.wait_for("api.yaml:");
    assert_eq!(client.ask(get("/accounts/a1/balances", &token)).status, 403);

    directory.write("api.yaml", API);
    let moved = std::fs::read_to_string(directory.path("gateway.toml")).unwrap();
    directory.write("gateway.toml", &moved.replace("shards = 2", "shards = 1"));
    process.signal(Signal::SIGHUP);
    process.wait_for("reload refused");
    process.wait_for("restart");
    assert_eq!(
        process.metric("portcullis_reloads_total{outcome=\"refused\"}"),
        2
    );
    assert_eq!(
        process.metric("portcullis_reloads_total{outcome=\"done\"}"),
        1
    );
    // Each shard follows at its own next tick.
    while process.metric("portcullis_snapshot_generation{shard=\"1\"}") != 2 {
        assert!(Instant::now() < until, "a shard stays behind");
    }
}

#[test]
fn the_admin_plane_answers_and_nothing_else() {
    let (_directory, _key, process) = bank("admin", 1, "");
    assert_eq!(process.admin("/healthz").status, 200);
    assert_eq!(process.admin("/readyz").status, 200);
    assert_eq!(process.admin("/other").status, 404);
    let posted = Client::connect(process.admin)
        .ask("POST /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (posted.status, posted.field("allow")),
        (405, Some("GET, HEAD"))
    );
    let text = String::from_utf8(process.admin("/metrics").body).unwrap();
    for family in [
        "portcullis_ring_info",
        "portcullis_token_cache_hits_total",
        "portcullis_upstream_connections_opened_total",
        "portcullis_before_upstream_seconds_bucket",
    ] {
        assert!(text.contains(family), "{family}");
    }
}

#[test]
fn addresses_in_use_are_told_before_anything_is_served() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let setup = bank_setup(1, "").replacing(
        "[[listener]]\naddress = \"127.0.0.1:0\"",
        &format!("[[listener]]\naddress = \"{address}\""),
    );
    let (directory, _) = setup.write("taken", address);
    let output = run(&["run", "--config", &directory.path("gateway.toml")]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let refused = format!("{address} cannot be listened on");
    assert!(
        told.contains(&refused) && told.contains("hint: another process has it"),
        "{told}"
    );
}

#[test]
fn the_demo_shows_every_decision() {
    let output = run(&["demo", "--once"]);
    let table = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{table}\n{told}");
    for stage in [
        "forward",
        "contract",
        "authentication",
        "authorization",
        "route",
        "rate_limit",
        "response",
        "an answer rid of an undeclared member",
    ] {
        assert!(table.contains(stage), "{stage} in {table}");
    }
}

#[test]
fn the_reference_configuration_loads_and_lists_what_it_opens() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.toml");
    // Also strictly: what is copied from here begins without warnings.
    let reference = reference.display().to_string();
    let output = run(&["check", "--strict", "--config", &reference]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert!(
        table.contains("GET /accounts/{accountId}/balances"),
        "{table}"
    );
    assert!(table.contains("owning it by `accounts`"), "{table}");
}

#[test]
fn check_tells_everything_at_once_with_its_place() {
    let directory = Directory::new("check");
    directory.write("api.yaml", &API.replace("minimum: 1", "minimun: 1"));
    directory.write("keys.json", "{\"keys\":[]}");
    directory.write(
        "gateway.toml",
        r#"[admin]
address = "0.0.0.0:9901"
[[listener]]
adress = "127.0.0.1:8080"
[issuer.bank]
issuer = "bank"
audiences = ["api"]
algorithms = ["none"]
secret = "hunter2hunter2hunter2hunter2hunter2"
[upstream.bank]
address = "nowhere"
[api.bank]
openapi = "api.yaml"
upstream = "bnak"
issuer = "bank"
identity = { "Connection" = "sub" }
limits = [{ name = "a", per = "planet", rate = "10/s" }]
[api.legacy]
paths = ["/x/{a"]
methods = ["GET"]
upstream = "bank"
owner = "me"
authentication = "none"
[api.files]
paths = ["/files/{name}"]
methods = ["GET"]
contract = "none"
upstream = "bank"
owner = "me"
authentication = "none"
[api.files.operation."GET /files/{name}"]
encoded_in_path = ["/", "."]
"#,
    );
    let output = run(&["check", "--config", &directory.path("gateway.toml")]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(!told.contains("has no `address`"), "it is misspelt: {told}");
    for (place, words) in [
        ("gateway.toml:2:11", "loopback"),
        ("gateway.toml:4:1", "unknown key `adress`"),
        ("gateway.toml:8:15", "no signature algorithm"),
        ("gateway.toml:9:10", "must not stand in the configuration"),
        ("gateway.toml:11:11", "no address with a port"),
        ("gateway.toml:12:6", "has no `owner`"),
        ("gateway.toml:14:12", "no upstream \"bnak\""),
        ("gateway.toml:16:14", "has a meaning of its own"),
        ("gateway.toml:17:31", "cannot be counted"),
        ("gateway.toml:19:10", "no path pattern"),
        ("gateway.toml:18:6", "need `contract`"),
        ("gateway.toml:32:25", "is not refused in paths"),
        ("api.yaml:", "`minimun` is not enforced"),
    ] {
        assert!(told.contains(place), "{place} in {told}");
        assert!(told.contains(words), "{words} in {told}");
    }
    assert!(
        !told.contains("hunter2hunter2hunter2hunter2hunter2\n  hint"),
        "{told}"
    );
    assert_eq!(run(&["check", "--nonsense"]).status.code(), Some(2));
}

#[test]
fn what_has_no_contract_is_listed_as_uncovered() {
    let directory = Directory::new("uncovered");
    directory.write(
        "gateway.toml",
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[upstream.old]\naddress = \"127.0.0.1:9\"\n[api.old]\npaths = \
         [\"/old/**\"]\nmethods = [\"GET\"]\ncontract = \"none\"\nauthentication = \"none\"\nupstream = \
         \"old\"\nowner = \"me\"\n",
    );
    let (code, text) = directory.check(&[]);
    assert_eq!(code, Some(0));
    assert!(
        text.contains("1 uncovered") && text.contains("  old GET /old/**"),
        "{text}"
    );
}

#[test]
fn tokens_from_the_command_line_open_the_door() {
    let directory = Directory::new("token");
    let minted = run(&["token", "--new-key", &directory.path("key.pem")]);
    assert_eq!(minted.status.code(), Some(0));
    directory.write("keys.json", &String::from_utf8(minted.stdout).unwrap());
    let again = run(&["token", "--new-key", &directory.path("key.pem")]);
    assert_eq!(again.status.code(), Some(1), "a key is never overwritten");
    directory.write("api.yaml", API);
    directory.write("gateway.toml", &bank_setup(1, "").config(echo()));
    let process = Process::start(&directory.path("gateway.toml"));
    let key = directory.path("key.pem");
    let token = |scope: &str| {
        let minted = run(&[
            "token",
            "--key",
            &key,
            "--issuer",
            "bank",
            "--audience",
            "api",
            "--scope",
            scope,
            "--client",
            "app",
            "--claim",
            "accounts=[\"a1\"]",
        ]);
        String::from_utf8(minted.stdout).unwrap().trim().to_owned()
    };
    let mut client = process.connect();
    assert_eq!(
        client
            .ask(get("/accounts/a1/balances", &token("read:accounts")))
            .status,
        200
    );
    assert_eq!(
        client
            .ask(get("/accounts/a1/balances", &token("other")))
            .status,
        403
    );
    let bad = run(&[
        "token", "--key", &key, "--issuer", "bank", "--claim", "accounts",
    ]);
    let told = String::from_utf8(bad.stderr).unwrap();
    assert!(
        bad.status.code() == Some(1) && told.contains("NAME=JSON"),
        "{told}"
    );
}

#[test]
fn help_teaches() {
    for command in ["", "run", "check", "token", "demo"] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let mut text = String::new();
        let mut child = portcullis(&arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert!(
            child.wait().unwrap().success() && text.contains("Usage:"),
            "{command}"
        );
    }
}
