//! Golden cases: one text file each, with a request and the decision about it.
//!
//! ```text
//! repeat: 3                  how often it is asked; the last decision counts
//! --- request                lines end as HTTP wants them, {{token {...}}} is minted
//! --- decision               status, stage, reason; or 200, forward, operation
//! --- upstream               lines that the backend gets; those of the body where it is another one
//! --- absent                 texts that it does not get
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis::config;
use portcullis::policy::authn::SignatureCache;
use portcullis::policy::authn::sign::SigningKey;
use portcullis::policy::contract::Scratch;
use portcullis::policy::denial::Denial;
use portcullis::policy::pipeline::{self, Cleared, Next, Refusal, Request, State, Step};
use portcullis::policy::ratelimit::{Cells, Leases, Tuning};
use portcullis::policy::snapshot::Snapshot;
use portcullis::policy::waf::stage::Workspace;
use portcullis::proto::body::Framing;
use portcullis::proto::forwarded::Chain;
use portcullis::proto::head::RequestHead;
use portcullis::proto::target::Path as Target;
use portcullis::shard::trace::Trace;
use portcullis::shard::upstream::send::Outgoing;
use portcullis::time::Now;
use serde_json::{Value, json};

use crate::process::Directory;

const NOW: Now = Now {
    monotonic_ns: 1_000_000_000,
    unix_s: 1_800_000_000,
};

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The policy of the cases, and the key that signs its tokens.
pub fn policy(name: &str) -> (Snapshot, SigningKey) {
    let directory = Directory::new(name);
    for file in ["gateway.toml", "api.yaml", "queries.json"] {
        directory.write(
            file,
            &std::fs::read_to_string(root().join("policy").join(file)).unwrap(),
        );
    }
    let key = SigningKey::generate().unwrap();
    directory.write("keys.json", &key.jwks());
    let loaded = config::load(&directory.0.join("gateway.toml"), 1);
    let loaded = loaded.unwrap_or_else(|found| panic!("{found:#?}"));
    (loaded.snapshot, key)
}

pub fn state() -> State {
    State {
        signatures: SignatureCache::new(1 << 20),
        leases: Leases::new(Tuning::default()),
        cells: Arc::new(Cells::new(256)),
        scratch: Scratch::default(),
        waf: Workspace::default(),
    }
}

/// What the pipeline says of the bytes of a request; with what goes upstream.
pub fn decide(
    snapshot: &Snapshot,
    state: &mut State,
    bytes: &[u8],
) -> Result<(Cleared, Vec<u8>), Refusal> {
    let mut head = RequestHead::default();
    match head.read(bytes) {
        Ok(true) => {}
        Ok(false) => return Err(Refusal::nowhere(Denial::Incomplete)),
        Err(error) => return Err(Refusal::nowhere(Denial::Malformed(error))),
    }
    let mut path = Target::default();
    let canonical = path.read(head.path.of(bytes));
    canonical.map_err(|error| Refusal::nowhere(Denial::Malformed(error)))?;
    let source = [192, 0, 2, 1].into();
    let request = Request {
        head: &head,
        bytes,
        path: &path,
        source,
    };
    let body = &bytes[head.length..];
    let cleared = match pipeline::decide(snapshot, state, request, NOW)? {
        Next::Forward(cleared) => cleared,
        Next::Inspect(mut inspection) => loop {
            let body = inspection.reads_body().then_some(body);
            match inspection.advance(snapshot, state, request, body)? {
                Step::Cleared(cleared) => break cleared,
                Step::Pause(paused) => inspection = paused,
                Step::Ask(_) => panic!("there is nobody to ask"),
            }
        },
    };
    let mut out = Vec::new();
    let mut chain = Chain::default();
    chain.read((source, true), None, |_| false);
    let outgoing = Outgoing {
        snapshot,
        request,
        chain: &chain,
        trace: &Trace::new(&mut fastrand::Rng::with_seed(1), 0, None),
        framing: match cleared.instead() {
            Some(body) => Framing::Length(body.len() as u64),
            None => head.framing,
        },
        is_decoded: false,
        upgrades: false,
    };
    outgoing.write(&cleared, &mut out);
    Ok((cleared, out))
}

fn claims(changes: &str) -> Value {
    let mut claims = json!({"iss": "bank", "aud": "api", "sub": "alice", "client_id": "app",
        "exp": NOW.unix_s + 600, "accounts": ["a1", "a2"],
        "scope": "read:accounts read:payments write:payments"});
    if !changes.is_empty() {
        let changes: Value = serde_json::from_str(changes).unwrap();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
    }
    claims
}

/// Replaces `{{token ...}}` and `{{forged}}` by signed tokens.
fn with_tokens(text: &str, key: &SigningKey) -> String {
    let forged = || SigningKey::generate().unwrap().sign(&claims("")).unwrap();
    let text = text.replace("{{forged}}", &forged());
    let Some((before, rest)) = text.split_once("{{token") else {
        return text;
    };
    let (changes, after) = match rest.strip_prefix("}}") {
        Some(after) => ("", after),
        None => {
            let end = rest.find("}}}").expect("the end of a token");
            (&rest[..=end], &rest[end + 3..])
        }
    };
    format!(
        "{before}{}{after}",
        key.sign(&claims(changes.trim())).unwrap()
    )
}

/// The request as it goes over the wire: the lines of the head end in CRLF, the body's do not.
fn wire(text: &str) -> Vec<u8> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let body = body.strip_suffix('\n').unwrap_or(body);
    format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n")).into_bytes()
}

fn told(snapshot: &Snapshot, outcome: &Result<(Cleared, Vec<u8>), Refusal>) -> String {
    match outcome {
        Ok((cleared, _)) => {
            let operation = &snapshot.catalogue.operations()[cleared.operation()];
            format!("200 forward {}", operation.id)
        }
        Err(refusal) => {
            let denial = refusal.denial;
            let status = denial.problem().status;
            format!("{status} {} {}", denial.stage().name(), denial.reason())
        }
    }
}

#[test]
fn every_case_is_decided_as_written() {
    let (snapshot, key) = policy("golden");
    let mut cases = 0;
    let mut wrong = Vec::new();
    for stage in std::fs::read_dir(root()).unwrap().flatten() {
        // Answers, and the table of ways around inspection, have modules of their own.
        if stage.file_name() == "response" || stage.file_name() == "waf" {
            continue;
        }
        for file in std::fs::read_dir(stage.path()).unwrap().flatten() {
            let path = file.path();
            if path.extension().is_none_or(|extension| extension != "txt") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let section = |name: &str| {
                let rest = text
                    .split_once(&format!("--- {name}\n"))
                    .map(|(_, rest)| rest)?;
                Some(rest.split("\n--- ").next().unwrap_or(rest))
            };
            let repeat = text
                .strip_prefix("repeat: ")
                .map_or(1, |rest| rest.lines().next().unwrap().parse().unwrap());
            let request = wire(&with_tokens(section("request").unwrap(), &key));
            let mut state = state();
            let outcomes = (0..repeat).map(|_| decide(&snapshot, &mut state, &request));
            let outcome = outcomes.last().unwrap();
            let (expected, got) = (
                section("decision").unwrap().trim(),
                told(&snapshot, &outcome),
            );
            cases += 1;
            if got != expected {
                wrong.push(format!("{}: {got} instead of {expected}", path.display()));
            }
            let Ok((cleared, sent)) = &outcome else {
                continue;
            };
            let sent = [sent, cleared.instead().unwrap_or_default()].concat();
            let sent = String::from_utf8_lossy(&sent);
            for line in section("upstream").unwrap_or_default().trim().lines() {
                if sent.split("\r\n").filter(|each| *each == line).count() != 1 {
                    wrong.push(format!("{}: not once {line} in {sent}", path.display()));
                }
            }
            for absent in section("absent").unwrap_or_default().trim().lines() {
                if sent.contains(absent) {
                    wrong.push(format!("{}: {absent} in {sent}", path.display()));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(cases >= 60, "only {cases} cases were found");
}
