//! What answers must not tell: every rule on its cases, and the real process.

use std::collections::BTreeSet;
use std::path::Path;

use portcullis::policy::leak::Leaks;

use crate::gateway::backend;
use crate::setup::Setup;

/// `\n`, `\t` and `\\` stand for themselves; other backslashes are kept.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let escaped = match (character, rest.peek()) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('t')) => '\t',
            ('\\', Some('\\')) => '\\',
            (other, _) => {
                out.push(other);
                continue;
            }
        };
        rest.next();
        out.push(escaped);
    }
    out
}

#[test]
fn every_rule_finds_its_leaks_and_leaves_their_twins() {
    let leaks = Leaks::compile().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/leak");
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let (mut bad, mut good) = (0, 0);
        for line in text.lines() {
            let (sign, case) = line.split_at(2);
            let case = unescaped(case);
            let padded = format!("{{\"a\":\"{}\"}} {case} and more", "x".repeat(500));
            let found = [&case, &padded].map(|text| leaks.find(text.as_bytes()));
            match sign {
                "+ " => {
                    bad += 1;
                    let rules = found.map(|leak| leak.map(|leak| leak.rule));
                    assert!(rules.iter().all(Option::is_some), "{name}: {case}");
                    let alone = Leaks::only(&name).unwrap();
                    assert!(alone.find(case.as_bytes()).is_some(), "{name}: {case}");
                }
                "- " => {
                    good += 1;
                    assert_eq!(found, [None, None], "{name}: {case}");
                }
                _ => assert!(line.starts_with('#'), "{name}: {line}"),
            }
        }
        assert!(bad >= 5 && good >= 5, "{name}: {bad} leaks, {good} twins");
        seen.insert(name);
    }
    assert_eq!(seen, Leaks::names().map(str::to_owned).collect());
}

const API: &str = r##"
openapi: 3.1.0
info: { title: A, version: 1.0.0 }
paths:
  /a:
    get:
      operationId: getA
      responses: { "200": { description: ok, content: { application/json: { schema: { type: object } } } } }
  /b:
    get:
      operationId: getB
      responses: { "200": { description: ok, content: { application/json: { schema: { type: object } } } } }
  /c:
    get:
      operationId: getC
      responses: { "200": { description: ok, content: { application/json: { schema: { type: object } } } } }
"##;

#[test]
fn an_answer_that_leaks_is_withheld_or_told() {
    let upstream = backend(|_, mut client| {
        while let Some(request) = client.request() {
            let body = match request.line.contains("?fine") {
                true => "{\"note\":\"Traceback lessons at noon\"}",
                false => {
                    "{\"error\":\"Traceback (most recent call last):\\n  File \\\"a.py\\\", line 1, in b\"}"
                }
            };
            client.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
    });
    let setup = Setup::new("app", API).api(
        r#"
[api.app.operation.getA]
leaks = "block"
[api.app.operation.getC]
leaks = "off"
"#,
    );
    let gateway = setup.start("leak", upstream);
    let mut client = gateway.connect();
    let mut ask = |target: &str| {
        let answer = client.ask(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        if answer.field("connection") == Some("close") {
            client = gateway.connect();
        }
        answer
    };
    let withheld = ask("/a");
    assert_eq!(withheld.status, 502, "{withheld:?}");
    assert_eq!(withheld.problem(), "withheld-response");
    assert!(
        !String::from_utf8(withheld.body)
            .unwrap()
            .contains("Traceback")
    );
    for target in ["/b", "/c"] {
        assert_eq!(ask(target).status, 200, "{target}");
    }
    let lines = gateway.lines();
    let of = |path: &str| {
        lines
            .iter()
            .find(|line| line["path"] == path)
            .unwrap()
            .to_string()
    };
    for path in ["/a", "/b"] {
        assert!(
            of(path).contains("stack-trace-python at byte 10"),
            "{}",
            of(path)
        );
    }
    assert!(!of("/c").contains("stack-trace"), "{}", of("/c"));

    let (_, told) = setup.replacing("\"block\"", "\"stop\"").check("leak-check");
    assert!(told.contains("\"stop\" is not known here"), "{told}");
}
