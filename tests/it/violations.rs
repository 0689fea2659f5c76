//! All that is wrong with a message, where more than the first fault is asked for: what the client
//! is told, what the log says, and that neither holds a value.

use std::io::Write;

use serde_json::{Value, json};

use crate::gateway::{Answer, backend};
use crate::process::Process;
use crate::setup::Setup;

const DOCUMENT: &str = r"
openapi: 3.1.0
paths:
  /orders/{id}:
    post:
      operationId: order
      parameters:
        - { name: id, in: path, required: true, schema: { type: integer } }
        - { name: limit, in: query, required: true, schema: { type: integer, maximum: 9 } }
        - { name: X-Tag, in: header, schema: { type: string, pattern: '^t' } }
        - { name: c, in: cookie, schema: { type: integer } }
      requestBody:
        content:
          application/json: { schema: { $ref: '#/components/schemas/Order' } }
          application/x-ndjson: { schema: { $ref: '#/components/schemas/Order' } }
          application/x-www-form-urlencoded: { schema: { $ref: '#/components/schemas/Order' } }
      responses: { '200': { description: ok, content: { application/json: { schema: { $ref: '#/components/schemas/Order' } } } } }
  /first:
    post:
      operationId: first
      requestBody: { content: { application/json: { schema: { $ref: '#/components/schemas/Order' } } } }
      responses: { '200': { description: ok, content: { application/json: { schema: { $ref: '#/components/schemas/Order' } } } } }
components:
  schemas:
    Order:
      type: object
      required: [id]
      properties: { id: { type: integer, maximum: 5 }, 'a b': { type: string, maxLength: 3 }, n: { type: boolean } }
";

const API: &str = r#"
max_violations = 3
tell_violations = true
unknown_fields = "report"
responses = "report"
[api.app.operation.first]
max_violations = 1
tell_violations = false
unknown_fields = "reject"
responses = "reject"
"#;

const GOOD: &str = "/orders/1?limit=1";
const BAD: &str = r#"{"id":77777,"a b":"secret","n":1,"x":1}"#;

fn post(process: &Process, (path, fields): (&str, &str), body: &str) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut client = process.connect();
    client
        .stream
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    client.answer(false)
}

fn errors(answer: &Answer) -> Value {
    assert_eq!(answer.status, 400);
    let errors = serde_json::from_slice::<Value>(&answer.body).unwrap()["errors"].clone();
    let text = errors.to_string();
    let is_silent = ["secret", "777", "schemas"]
        .iter()
        .all(|word| !text.contains(word));
    assert!(is_silent, "{text}");
    errors
}

#[test]
fn all_that_is_wrong_is_told_where_it_is_asked_for() {
    let address = backend(|_, mut client| {
        if client.request_head().is_some() {
            let body = r#"{"id":9,"n":0,"x":1,"a b":"secret"}"#;
            client.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            ));
        }
    });
    let running = Setup::new("app", DOCUMENT)
        .server("")
        .api(API)
        .start("violations", address);
    let process = &running.process;
    let kind = |name: &str| format!("Content-Type: {name}\r\n");
    let body = |pointer: &str, keyword: &str, detail: &str| json!({"detail": detail, "pointer": pointer, "keyword": keyword});

    let json = kind("application/json");
    let told = errors(&post(process, (GOOD, &json), BAD));
    let expected = json!([
        body("#/id", "maximum", "too large"),
        body("#/a%20b", "maxLength", "too long"),
        body("#/n", "type", "not of the declared type"),
    ]);
    assert_eq!(told, expected);
    let form = kind("application/x-www-form-urlencoded");
    let told = errors(&post(process, (GOOD, &form), "id=77777&a+b=secret"));
    let both = json!([expected[0], expected[1]]);
    let pointers = |told: &Value| {
        let mut all: Vec<String> = told
            .as_array()
            .unwrap()
            .iter()
            .map(|each| each["pointer"].to_string())
            .collect();
        all.sort();
        all
    };
    assert_eq!(pointers(&told), pointers(&both));
    let lines = kind("application/x-ndjson");
    let told = errors(&post(
        process,
        (GOOD, &lines),
        "{\"id\":1}\n{\"id\":9}\n{\"id\":2}\n{\"n\":1}\n{\"id\":7}",
    ));
    assert_eq!(
        told,
        json!([
            body("#/1/id", "maximum", "too large"),
            body("#/3/n", "type", "not of the declared type"),
            body("#/3", "required", "something that is required is missing"),
        ])
    );
    let told = errors(&post(
        process,
        (
            "/orders/x?limit=77777&other=secret",
            &format!("{json}X-Tag: secret\r\nCookie: c=x\r\n"),
        ),
        "{}",
    ));
    let parameter = |place: &str, name: &str, keyword: &str, detail: &str| json!({"detail": detail, "in": place, "name": name, "keyword": keyword});
    assert_eq!(
        told,
        json!([
            parameter("path", "id", "type", "not of the declared type"),
            parameter("query", "other", "declared", "not declared"),
            parameter("query", "limit", "maximum", "too large"),
        ])
    );
    let told = errors(&post(
        process,
        (
            "/orders/1",
            &format!("{json}X-Tag: secret\r\nCookie: c=x\r\n"),
        ),
        "{}",
    ));
    assert_eq!(told[0]["keyword"], "required");
    assert_eq!(
        (&told[1]["in"], &told[2]["in"]),
        (&"header".into(), &"cookie".into())
    );

    // One is named to the log, and none to the client, where nothing is said.
    assert_eq!(errors(&post(process, ("/first", &json), BAD)), Value::Null);
    // What the client is told of answers is nothing, whatever the log says.
    let answer = post(process, ("/first", &json), r#"{"id":1}"#);
    assert_eq!(answer.status, 502);
    assert!(!String::from_utf8_lossy(&answer.body).contains("errors"));
    assert_eq!(
        post(process, (GOOD, &json), r#"{"id":1,"x":1,"y":{}}"#).status,
        200
    );

    // Shards write in any order.
    let log = running.lines();
    let place = "/components/schemas/Order";
    for detail in [
        format!(
            "body /id maximum by {place}/properties/id; \
             body /a b maxLength by {place}/properties/a b; body /n type by {place}/properties/n"
        ),
        format!("body /id maximum by {place}/properties/id"),
        format!("response /id maximum by {place}/properties/id"),
    ] {
        let mut details = log.iter().map(|line| &line["detail"]);
        assert!(details.any(|told| *told == detail), "{detail} {log:?}");
    }
    let reported: Vec<&str> = log
        .iter()
        .filter(|line| line["reported"] == "invalid-response")
        .filter_map(|line| line["detail"].as_str())
        .collect();
    let is_told =
        |told: &str| told.starts_with("response /id maximum") && told.contains("response /n type");
    assert!(reported.len() == 1 && is_told(reported[0]), "{reported:?}");
    let is_silent = !log.iter().any(|line| line.to_string().contains("secret"));
    assert!(is_silent, "{log:?}");
}
