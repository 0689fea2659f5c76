//! Golden cases of responses: one text file each, with a request, what the backend answers, and
//! what of it the client gets.
//!
//! ```text
//! --- request                a head; {{token {...}}} is signed, with these claims changed
//! --- backend                head and body of its answer; the length is added
//! --- decision               status, and the type of the problem where there is one
//! --- client                 lines that the client gets, each once
//! --- absent                 texts that it does not get
//! ```

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::gateway::backend;
use crate::process::claims;
use crate::setup::{Running, Setup};

const DOCUMENT: &str = include_str!("../golden/policy/answers.yaml");
const API: &str = include_str!("../golden/policy/answers.toml");

/// Head and body as they go over the wire.
fn wire(text: &str) -> Vec<u8> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let body = body.strip_suffix('\n').unwrap_or(body);
    let length = match head.starts_with("GET ") || head.contains(" 204 ") {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = head.replace('\n', "\r\n");
    format!("{head}\r\n{length}\r\n{body}").into_bytes()
}

impl Running {
    fn with_token(&self, text: &str) -> String {
        let (before, rest) = text.split_once("{{token").expect("a token");
        let (changes, after) = match rest.strip_prefix("}}") {
            Some(after) => ("{}", after),
            None => {
                let end = rest.find("}}}").expect("the end of a token");
                (&rest[..=end], &rest[end + 3..])
            }
        };
        let changes: Value = serde_json::from_str(changes.trim()).unwrap();
        let mut all = claims();
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        format!("{before}{}{after}", self.key.sign(&all).unwrap())
    }
}

#[test]
fn every_answer_leaves_as_written() {
    let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
    let next = answer.clone();
    let backend = backend(move |_, mut client| {
        while client.request_head().is_some() {
            let bytes = next.lock().unwrap().clone();
            if client.stream.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    let setup = Setup::new("shop", DOCUMENT).with_issuer().api(API);
    let running = setup.start("golden-responses", backend);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/response");
    let mut wrong = Vec::new();
    let mut cases = 0;
    for file in std::fs::read_dir(folder).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let section = |name: &str| {
            let rest = text.split_once(&format!("--- {name}\n"));
            let rest = rest.map_or("", |(_, rest)| rest);
            rest.split("\n--- ").next().unwrap_or(rest)
        };
        *answer.lock().unwrap() = wire(section("backend"));
        let request = wire(&running.with_token(section("request")));
        let got = running.process.connect().ask(request);
        let problem = got.field("content-type") == Some("application/problem+json");
        let told = match problem {
            true => format!("{} {}", got.status, got.problem()),
            false => got.status.to_string(),
        };
        cases += 1;
        if told != section("decision").trim() {
            wrong.push(format!("{name}: {told}"));
        }
        let fields = got.fields.iter();
        let fields = fields.fold(String::new(), |all, (name, value)| {
            format!("{all}{name}: {value}\r\n")
        });
        let shown = format!("{fields}{}", String::from_utf8_lossy(&got.body));
        for line in section("client").trim().lines() {
            let count = shown
                .split("\r\n")
                .filter(|each| each.eq_ignore_ascii_case(line))
                .count();
            if count != 1 {
                wrong.push(format!("{name}: {count} times {line} in {shown}"));
            }
        }
        for absent in section("absent").trim().lines() {
            if shown.contains(absent) {
                wrong.push(format!("{name}: {absent} in {shown}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(cases >= 40, "only {cases} cases were found");
}
