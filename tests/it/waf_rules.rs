//! The built-in rules, one by one: attacks that each must find, and their benign twins, which none
//! may.
//!
//! ```text
//! 1101 sql-injection
//! + 1' or '1'='1                     an attack, as a value in a query, a form and a document
//! + @name 1' or '1'='1               ... as the name of one
//! + @header:referer ...              ... as a header field; @cookie, @file, @path, @target
//! + @body application/json {...}     ... as a body
//! - O'Brien                          its benign twin
//! ```
//! `<CR>`, `<LF>`, `<NUL>` and `<x41>` stand for bytes.

#[path = "../rules/folder.rs"]
mod folder;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use portcullis::config::rules::{self, builtin};
use portcullis::policy::waf::draft::Engine;
use portcullis::policy::waf::inspection::{Inspection, Tuning};
use portcullis::policy::waf::memory::Memory;
use portcullis::policy::waf::message::{Headers, Request};
use portcullis::policy::waf::rule::RuleSet;
use portcullis::policy::waf::view::View;

/// So many attacks and benign twins each rule has at least.
const ENOUGH: usize = 5;

/// A request as bytes.
#[derive(Debug)]
pub struct Sent {
    pub target: Vec<u8>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Sent {
    pub fn get(target: impl Into<Vec<u8>>) -> Sent {
        Sent {
            target: target.into(),
            headers: vec![
                ("Host".into(), b"api.example".to_vec()),
                ("User-Agent".into(), b"okhttp/4.12.0".to_vec()),
                ("Accept".into(), b"application/json".to_vec()),
            ],
            body: Vec::new(),
        }
    }

    pub fn post(content_type: &str, body: Vec<u8>) -> Sent {
        let mut sent = Sent::get("/v1/items");
        sent = sent.with("Content-Type", content_type.as_bytes());
        sent.body = body;
        sent
    }

    pub fn with(mut self, name: &str, value: &[u8]) -> Sent {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.to_vec()));
        self
    }
}

/// Rules, and what they run with.
pub struct Run {
    pub rules: Arc<RuleSet>,
    /// Every rule is asked about every value.
    exhaustive: bool,
    memory: Memory,
    inspection: Inspection,
}

impl Run {
    pub fn of(rules: Arc<RuleSet>) -> Run {
        Run {
            rules,
            exhaustive: false,
            memory: Memory::default(),
            inspection: Inspection::default(),
        }
    }

    /// The rules that a request meets, without the verdict, and what each found.
    pub fn met(&mut self, sent: &Sent) -> BTreeMap<u32, String> {
        let tuning = Tuning {
            engine: Engine::DetectionOnly,
            exhaustive: self.exhaustive,
            ..Tuning::default()
        };
        let headers: Vec<(&[u8], &[u8])> = sent
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_slice()))
            .collect();
        let request = Request {
            method: if sent.body.is_empty() {
                b"GET"
            } else {
                b"POST"
            },
            target: &sent.target,
            version: b"HTTP/1.1",
            headers: Headers::Pairs(&headers),
            peer: Some("192.0.2.7:4711".parse().unwrap()),
            local: None,
            id: b"1",
        };
        let Run {
            rules,
            memory,
            inspection,
            ..
        } = self;
        inspection.begin(rules, tuning);
        inspection.look_at(&Arc::new(View::default()));
        inspection.head(rules, memory, &request);
        inspection.body(rules, memory, &sent.body);
        inspection.finish(rules, memory);
        let hits = inspection.hits().iter();
        hits.filter(|hit| hit.rule != rules::VERDICT)
            .map(|hit| (hit.rule, format!("{}={}", hit.variable, hit.value)))
            .collect()
    }
}

/// One line of a file of cases.
struct Case {
    place: String,
    rule: u32,
    is_attack: bool,
    text: String,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let mut cases = Vec::new();
    for (name, _) in builtin::FILES {
        let file = folder.join(name).with_extension("txt");
        let text = std::fs::read_to_string(&file).unwrap();
        let mut rule = 0;
        for (at, line) in text.lines().enumerate() {
            let place = format!("{}:{}", file.file_name().unwrap().display(), at + 1);
            match line.split_once(' ') {
                Some((sign @ ("+" | "-"), text)) => cases.push(Case {
                    place,
                    rule,
                    is_attack: sign == "+",
                    text: text.to_owned(),
                }),
                Some((id, _)) => rule = id.parse().unwrap(),
                None => assert!(line.is_empty(), "{place}: {line}"),
            }
        }
    }
    cases
}

fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        out.extend_from_slice(&rest.as_bytes()[..start]);
        rest = &rest[start..];
        let known = [("<CR>", b'\r'), ("<LF>", b'\n'), ("<NUL>", 0)];
        let token = known.iter().find(|(token, _)| rest.starts_with(token));
        let hex = rest.strip_prefix("<x").and_then(|rest| rest.get(..3));
        let hex = hex.and_then(|hex| u8::from_str_radix(hex.strip_suffix('>')?, 16).ok());
        let (length, byte) = match (token, hex) {
            (Some((token, byte)), _) => (token.len(), *byte),
            (None, Some(byte)) => (5, byte),
            (None, None) => (1, b'<'),
        };
        out.push(byte);
        rest = &rest[length..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

pub fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").unwrap(),
        }
    }
    out
}

/// The requests that a case stands for.
fn requests(text: &str) -> Vec<Sent> {
    let form = "application/x-www-form-urlencoded";
    let place = text.strip_prefix('@').and_then(|text| text.split_once(' '));
    let is_place = |place: &str| {
        place.starts_with("header:")
            || ["name", "cookie", "path", "target", "file", "body"].contains(&place)
    };
    let Some((place, text)) = place.filter(|(place, _)| is_place(place)) else {
        let value = bytes(text);
        let mut sent = vec![
            Sent::get(format!("/v1/items?q={}&page=2", escaped(&value))),
            Sent::post(form, format!("id=7&note={}", escaped(&value)).into_bytes()),
        ];
        if let Ok(value) = std::str::from_utf8(&value) {
            let body = serde_json::json!({ "id": 7, "items": [{ "note": value }] });
            sent.push(Sent::post(
                "application/json",
                body.to_string().into_bytes(),
            ));
        }
        return sent;
    };
    let value = bytes(text);
    match place {
        "name" => vec![
            Sent::get(format!("/v1/items?{}=1", escaped(&value))),
            Sent::post(form, format!("{}=1", escaped(&value)).into_bytes()),
            Sent::post(
                "application/json",
                serde_json::json!({ text: 1 }).to_string().into_bytes(),
            ),
        ],
        "cookie" => {
            vec![Sent::get("/v1/items").with("Cookie", &[b"theme=dark; s=", &value[..]].concat())]
        }
        "path" | "target" => vec![Sent::get(value)],
        "file" => {
            let head = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"";
            let tail = "\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n";
            let body = [head.as_bytes(), &value, tail.as_bytes()].concat();
            vec![Sent::post("multipart/form-data; boundary=b", body)]
        }
        "body" => {
            let (content_type, body) = text.split_once(' ').unwrap();
            vec![Sent::post(content_type, bytes(body))]
        }
        header => {
            let name = header.strip_prefix("header:").unwrap();
            vec![Sent::get("/v1/items").with(name, &value)]
        }
    }
}

#[test]
fn every_rule_finds_its_attacks_and_no_rule_a_benign_twin() {
    let mut run = Run::of(folder::rule_set());
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<u32, [usize; 2]> = BTreeMap::new();
    for case in cases() {
        counts.entry(case.rule).or_default()[usize::from(case.is_attack)] += 1;
        for sent in requests(&case.text) {
            // Twice: what is remembered of a value must not change the answer.
            for _ in 0..2 {
                let met = run.met(&sent);
                let is_right = match case.is_attack {
                    true => met.contains_key(&case.rule),
                    false => met.is_empty(),
                };
                if !is_right {
                    let target = String::from_utf8_lossy(&sent.target).into_owned();
                    let body = String::from_utf8_lossy(&sent.body).into_owned();
                    wrong.push(format!(
                        "{} {}: {target} {body:?} met {met:?}",
                        case.place, case.rule
                    ));
                    break;
                }
            }
        }
    }
    let ids: Vec<u32> = run.rules.rules().iter().map(|rule| rule.id).collect();
    let ids: Vec<u32> = ids.into_iter().filter(|&id| id > rules::VERDICT).collect();
    assert!((60..=80).contains(&ids.len()), "{} rules", ids.len());
    for id in ids {
        let [benign, attacks] = counts.get(&id).copied().unwrap_or_default();
        if benign < ENOUGH || attacks < ENOUGH {
            wrong.push(format!(
                "rule {id} has {attacks} attacks and {benign} benign twins"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What is searched for first says which rules need not be asked, and nothing else: attacks and
/// benign twins of all rules, each rule asked about each value.
#[test]
fn what_is_not_looked_at_changes_nothing() {
    let mut run = Run::of(folder::rule_set());
    let mut exhaustive = Run {
        exhaustive: true,
        ..Run::of(folder::rule_set())
    };
    let mut found = 0;
    for case in cases() {
        for sent in requests(&case.text) {
            let expected = exhaustive.met(&sent);
            found += expected.len();
            assert_eq!(run.met(&sent), expected, "{}", case.place);
            assert_eq!(run.met(&sent), expected, "{}, seen before", case.place);
        }
    }
    assert!(found > 1000, "{found} findings are too few");
}

#[test]
fn the_binary_holds_the_rules_of_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/waf");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    let mut known: Vec<&str> = builtin::FILES.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
    for (name, text) in builtin::FILES {
        assert_eq!(std::fs::read_to_string(folder.join(name)).unwrap(), text);
    }
    assert_eq!(builtin::rule_set().len(), folder::rule_set().len());
}
