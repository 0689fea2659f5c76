//! Patterns that may backtrack: what clients are told, what is logged and counted, and how long a
//! shard is held.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use portcullis::policy::contract::schema::{Backtracking, Compiler, Dialect, Scratch};
use serde_json::json;

use crate::gateway::echo;
use crate::setup::Setup;

const DOCUMENT: &str = r"
openapi: 3.1.0
info: { title: T, version: '1' }
paths:
  /words:
    parameters:
      - { name: word, in: query, schema: { not: { pattern: '^(a+)+\1$' } } }
    get: { operationId: list, responses: { '200': { description: ok } } }
    post:
      operationId: add
      requestBody:
        required: true
        content:
          application/json:
            schema: { type: object, properties: { word: { type: string, pattern: '^(a+)+\1$' } } }
      responses: { '200': { description: ok } }
";

#[test]
fn what_takes_too_many_steps_is_refused_logged_and_counted() {
    let keys =
        "responses = \"off\"\nbacktracking = { patterns = ['^(a+)+\\1$'], max_steps = 9000 }";
    let setup = Setup::new("words", DOCUMENT).api(keys);
    let mut running = setup.start("backtracking", echo());
    let mut client = running.process.connect();
    let mut get = |word: &str| {
        let answer = client.ask(format!(
            "GET /words?word={word} HTTP/1.1\r\nHost: h\r\n\r\n"
        ));
        (
            answer.status,
            (answer.status != 200).then(|| answer.problem()),
        )
    };
    let endless = format!("{}b", "a".repeat(40));
    assert_eq!(get("ab"), (200, None));
    assert_eq!(get("aa"), (400, Some("invalid-parameter".to_owned())));
    assert_eq!(get(&endless), (400, Some("too-complex".to_owned())));
    let mut client = running.process.connect();
    let mut post = |word: &str| {
        let body = format!("{{\"word\":\"{word}\"}}");
        let answer = client.ask(format!(
            "POST /words HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        (
            answer.status,
            (answer.status != 200).then(|| answer.problem()),
        )
    };
    assert_eq!(post("aa"), (200, None));
    assert_eq!(post("ab"), (400, Some("invalid-body".to_owned())));
    assert_eq!(post(&endless), (400, Some("too-complex".to_owned())));
    let counted = "portcullis_denials_total{stage=\"contract\",reason=\"too-complex\"} ";
    running.process.counts(counted, 2);
    running.process.signal(Signal::SIGTERM);
    assert_eq!(running.process.ended(), Some(0));
    let log = std::fs::read_to_string(running.directory.path("access.log")).unwrap();
    for detail in ["query word pattern steps", "body /word pattern steps"] {
        assert!(log.contains(detail), "{log}");
    }
}

/// Each value is just within its own bound; the bound of the whole check ends it.
#[test]
fn many_values_hold_a_shard_no_longer_than_one_check_may() {
    let pattern = "^(a+)+\\1$";
    let allowed = Backtracking::new([pattern.to_owned()], Backtracking::MOST_STEPS);
    let document = json!({"items": {"anyOf": [{"pattern": pattern}, true]}});
    let compiler = Compiler::new(&document, Dialect::OpenApi31).backtracking(&allowed);
    let schema = compiler.compile("").unwrap();
    let body = serde_json::to_string(&vec![format!("{}b", "a".repeat(14)); 1_000]).unwrap();
    let mut scratch = Scratch::default();
    let mut check = || {
        let begin = Instant::now();
        let refused = schema.check(body.as_bytes(), &mut scratch).unwrap_err();
        assert_eq!(refused.keyword, "pattern steps");
        begin.elapsed()
    };
    let best = (0..5).map(|_| check()).min().unwrap();
    println!("a check that spends all its steps: {best:?}");
    // Without optimization it takes many times as long.
    let most = match cfg!(debug_assertions) {
        true => Duration::from_millis(600),
        false => Duration::from_millis(20),
    };
    assert!(best < most, "{best:?}");
    assert!(schema.check(b"[\"aa\", \"b\"]", &mut scratch).is_ok());
}
