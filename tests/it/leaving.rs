//! What leaves the gateway in bodies, both ways: nothing undeclared, nothing that is not for its
//! reader, no more of a collection than was agreed, and every other byte as it came.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::gateway::{Answer, Client, Received, backend};
use crate::process::claims;
use crate::setup::{Running, Setup};

const SHOP: &str = r##"
openapi: 3.1.0
info: { title: Shop, version: 1.0.0 }
paths:
  /orders:
    get:
      operationId: listOrders
      security: [{ bearer: ["read:accounts"] }]
      parameters:
        - { name: limit, in: query, schema: { type: integer } }
        - { name: after, in: query, schema: { type: string } }
      responses:
        "200": { $ref: "#/components/responses/Orders" }
        "404": { $ref: "#/components/responses/None" }
    post:
      operationId: createOrder
      security: [{ bearer: ["write:payments"] }]
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } }
      responses:
        "200": { $ref: "#/components/responses/Orders" }
        "404": { $ref: "#/components/responses/None" }
  /open:
    get:
      operationId: listOpen
      responses:
        "200": { $ref: "#/components/responses/Orders" }
        "404": { $ref: "#/components/responses/None" }
  /refused:
    post:
      operationId: createRefused
      security: [{ bearer: ["write:payments"] }]
      requestBody:
        content:
          application/json: { schema: { $ref: "#/components/schemas/Order" } }
          application/x-ndjson: { schema: { $ref: "#/components/schemas/Order" } }
      responses:
        "200": { $ref: "#/components/responses/Orders" }
        "404": { $ref: "#/components/responses/None" }
  /reported:
    get:
      operationId: listReported
      security: [{ bearer: ["read:accounts"] }]
      responses:
        "200": { $ref: "#/components/responses/Orders" }
        "404": { $ref: "#/components/responses/None" }
    post:
      operationId: createReported
      security: [{ bearer: ["write:payments"] }]
      requestBody:
        content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } }
      responses:
        "200": { $ref: "#/components/responses/Orders" }
        "404": { $ref: "#/components/responses/None" }
components:
  securitySchemes: { bearer: { type: http, scheme: bearer } }
  responses:
    Orders:
      description: ok
      headers:
        ETag: { schema: { type: string } }
        Content-Digest: { schema: { type: string } }
      content: { application/json: { schema: { $ref: "#/components/schemas/Orders" } } }
    None:
      description: none
      content: { application/json: { schema: { type: object, required: [error], properties: { error: { type: string } } } } }
  schemas:
    Orders:
      type: object
      required: [items]
      properties:
        items: { type: array, items: { $ref: "#/components/schemas/Order" } }
    Order:
      type: object
      additionalProperties: false
      required: [id]
      properties:
        id: { type: integer }
        owner: { type: string }
        secret: { type: string, writeOnly: true }
        created: { type: string, readOnly: true }
        risk: { type: number, x-visible-to: [risk, admin] }
        iban: { type: string, x-mask: last4 }
        mail: { type: string, format: email }
        note: { type: string }
        more: { type: object, properties: { a: {} } }
"##;

/// A gateway with a shop behind it that answers what it is told to.
struct Shop {
    running: Running,
    answer: Arc<Mutex<Vec<u8>>>,
    received: Arc<Mutex<Vec<Received>>>,
}

fn setup(document: &str) -> Setup<'static> {
    Setup::new("shop", document).with_issuer().api(
        r#"
responses = "strip"
response_headers = ["Digest"]
max_response_body = "4KiB"
unknown_fields = "strip"
mask = [{ format = "email", how = "hash" }, { pointer = "/items/*/note", how = "fixed" }]
[api.shop.operation.listOrders]
collection = { size = "query.limit", max = 3, default = 2, items = "/items" }
[api.shop.operation.createOrder]
ownership = [{ value = "body./owner", claim = "accounts" }]
[api.shop.operation.listOpen]
authentication = "none"
responses = "reject"
[api.shop.operation.createRefused]
unknown_fields = "refuse"
[api.shop.operation.listReported]
responses = "report"
[api.shop.operation.createReported]
unknown_fields = "report"
responses = "report"
"#,
    )
}

impl Shop {
    fn new(name: &str) -> Shop {
        let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (next, seen) = (answer.clone(), received.clone());
        let backend = backend(move |_, mut client| {
            while let Some(request) = client.request() {
                seen.lock().unwrap().push(request);
                let bytes = next.lock().unwrap().clone();
                if client.stream.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        Shop {
            running: setup(SHOP).start(name, backend),
            answer,
            received,
        }
    }

    fn token(&self, changes: Value) -> String {
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.running.key.sign(&claims).unwrap()
    }

    /// The backend answers this status with this body and these lines from now on.
    fn answers(&self, status: u16, fields: &str, body: &str) {
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{fields}");
        let whole = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        *self.answer.lock().unwrap() = whole.into_bytes();
    }

    fn answers_in_chunks(&self, body: &str) {
        let chunks: String = body.as_bytes().chunks(7).fold(String::new(), |all, chunk| {
            let text = String::from_utf8_lossy(chunk);
            format!("{all}{:x}\r\n{text}\r\n", chunk.len())
        });
        let head = "HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked";
        *self.answer.lock().unwrap() = format!("{head}\r\n\r\n{chunks}0\r\n\r\n").into_bytes();
    }

    fn get(&self, client: &mut Client, target: &str, changes: Value) -> Answer {
        let token = self.token(changes);
        client.ask(format!(
            "GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n"
        ))
    }

    fn post(&self, client: &mut Client, target: &str, fields: &str, body: &str) -> Answer {
        let token = self.token(json!({}));
        client.ask(format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn last(&self) -> Received {
        self.received.lock().unwrap().last().unwrap().clone()
    }

    fn asked(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// The log once it holds as many lines.
    fn log(&self, lines: usize) -> Vec<Value> {
        let path = self.running.directory.path("access.log");
        loop {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let found: Vec<Value> = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            if found.len() >= lines {
                return found;
            }
            std::thread::yield_now();
        }
    }
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn responses_lose_what_is_undeclared_or_not_for_the_reader() {
    let shop = Shop::new("leaving-strip");
    let mut client = shop.running.process.connect();
    let body = "{ \"items\": [ {\"id\": 1, \"row\": 90210, \"secret\": \"s\", \"risk\": 0.5,\n \
                \"iban\": \"DE89370400440532013000\", \"note\": \"n\\u0022\", \"more\": {\"a\": 1, \"b\": 2}} ] , \"took\": 3 }";
    let digests = "ETag: \"v1\"\r\nContent-Digest: sha-256=:AA==:\r\nDigest: x\r\n";
    let seen = "{ \"items\": [ {\"id\": 1, \"iban\": \"****3000\", \"note\": \"****\", \"more\": {\"a\": 1}} ]  }";
    let risky = seen.replace("1, \"iban\"", "1, \"risk\": 0.5,\n \"iban\"");
    for (changes, expected) in [
        (json!({}), seen),
        (json!({"roles": ["other"]}), seen),
        (json!({"roles": ["risk"]}), &risky),
        (json!({"scope": "read:accounts admin"}), &risky),
    ] {
        shop.answers(200, digests, body);
        let answer = shop.get(&mut client, "/orders", changes.clone());
        assert_eq!((answer.status, text(&answer)), (200, expected), "{changes}");
        assert_eq!(answer.field("etag"), Some("W/\"v1\""));
        assert_eq!(answer.field("content-digest"), None);
        assert_eq!(answer.field("digest"), None);
        shop.answers_in_chunks(body);
        assert_eq!(text(&shop.get(&mut client, "/orders", changes)), expected);
    }
    // What needs no change leaves byte by byte, with all that describes it.
    let plain = "{ \"items\" : [ { \"id\" : 1.0 } ] }\n";
    shop.answers(200, digests, plain);
    let answer = shop.get(&mut client, "/orders", json!({}));
    assert_eq!((answer.status, text(&answer)), (200, plain));
    assert_eq!(answer.field("etag"), Some("\"v1\""));
    assert_eq!(answer.field("content-digest"), Some("sha-256=:AA==:"));
    let log = shop.log(9);
    assert_eq!(log[0]["reported"], "invalid-response");
    assert_eq!(log[0]["detail"], "response /items/0/row undeclared");
    assert!(log[8].get("reported").is_none_or(|reported| reported == ""));
}

#[test]
fn hashes_are_the_same_for_the_same_value_and_tell_nothing() {
    let shop = Shop::new("leaving-hash");
    let mut client = shop.running.process.connect();
    shop.answers(
        200,
        "",
        r#"{"items":[{"id":1,"mail":"a@b.example"},{"id":2,"mail":"a\u0040b.example"},{"id":3,"mail":"c@b.example"}]}"#,
    );
    let answer = shop.get(&mut client, "/orders", json!({}));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let mails = [0, 1, 2].map(|at| body["items"][at]["mail"].as_str().unwrap().to_owned());
    assert_eq!(mails[0], mails[1]);
    assert_ne!(mails[0], mails[2]);
    assert!(!text(&answer).contains("example"));
}

#[test]
fn other_modes_hide_all_the_same() {
    let shop = Shop::new("leaving-modes");
    let mut client = shop.running.process.connect();
    let hidden = r#"{"items":[{"id":1,"secret":"s","risk":1,"iban":"1234567890"}]}"#;
    let left = r#"{"items":[{"id":1,"iban":"****7890"}]}"#;
    let undeclared = r#"{"items":[{"id":1,"row":2,"risk":1}]}"#;
    shop.answers(200, "", hidden);
    for target in ["/open", "/reported"] {
        let answer = shop.get(&mut client, target, json!({}));
        assert_eq!((answer.status, text(&answer)), (200, left), "{target}");
    }
    // Rejected is what the schema refuses; reported stays, but what is hidden does not.
    shop.answers(200, "", undeclared);
    let answer = shop.get(&mut client, "/open", json!({}));
    assert_eq!(
        (answer.status, &*answer.problem()),
        (502, "invalid-response")
    );
    let answer = shop.get(&mut client, "/reported", json!({}));
    assert_eq!(
        (answer.status, text(&answer)),
        (200, r#"{"items":[{"id":1,"row":2}]}"#)
    );
    let log = shop.log(4);
    assert_eq!(log[3]["detail"], "response /items/0/row undeclared");
    // A body that cannot be read is not let out to be reported: nobody knows what it shows.
    for (status, fields, body, problem) in [
        (
            200,
            "",
            r#"{"items":[{"id":"1","risk":1}]}"#,
            "invalid-response",
        ),
        (200, "", "{", "invalid-response"),
        (200, "Content-Encoding: gzip\r\n", "{}", "invalid-response"),
        (201, "", hidden, "undeclared-response"),
    ] {
        shop.answers(status, fields, body);
        let answer = shop.get(&mut client, "/reported", json!({}));
        assert_eq!(
            (answer.status, &*answer.problem()),
            (502, problem),
            "{body}"
        );
    }
    let long = format!(r#"{{"items":[{{"id":1,"note":"{}"}}]}}"#, "n".repeat(5000));
    shop.answers(200, "", &long);
    for target in ["/reported", "/open", "/orders"] {
        let answer = shop.get(&mut client, target, json!({}));
        let told = (answer.status, &*answer.problem());
        assert_eq!(told, (502, "response-too-large"), "{target}");
    }
    shop.answers_in_chunks(&long);
    let answer = shop.get(&mut client, "/reported", json!({}));
    assert_eq!(answer.problem(), "response-too-large");
}

#[test]
fn header_fields_that_nothing_declares_are_named_without_their_values() {
    let shop = Shop::new("leaving-fields");
    let mut client = shop.running.process.connect();
    let fields = "ETag: \"v\"\r\nX-Row: 90210\r\nDigest: x\r\nServer: s1\r\nx-row: 90211\r\n";
    for (index, (target, leaves)) in [("/orders", false), ("/open", false), ("/reported", true)]
        .into_iter()
        .enumerate()
    {
        shop.answers(200, fields, r#"{"items":[]}"#);
        let answer = shop.get(&mut client, target, json!({}));
        assert_eq!(answer.status, 200, "{target}");
        for name in ["x-row", "server"] {
            let has = |(field, _): &(String, String)| field.eq_ignore_ascii_case(name);
            assert_eq!(answer.fields.iter().any(has), leaves, "{target} {name}");
        }
        let line = &shop.log(index + 1)[index];
        let named = &line["undeclared_headers"];
        assert_eq!(named, &json!(["X-Row", "Server"]), "{target}");
        assert!(!line.to_string().contains("9021"), "{line}");
    }
    // More than a line may hold: the first are named, the rest is counted.
    let many: String = (0..40)
        .map(|at| format!("X-Undeclared-{at}: 1\r\n"))
        .collect();
    shop.answers(200, &many, r#"{"items":[]}"#);
    assert_eq!(shop.get(&mut client, "/orders", json!({})).status, 200);
    let line = &shop.log(4)[3];
    let named = line["undeclared_headers"].as_array().unwrap().len();
    assert_eq!((named, &line["undeclared_headers_more"]), (15, &json!(25)));
    // The next exchange begins with none.
    shop.answers(200, "", r#"{"items":[]}"#);
    assert_eq!(shop.get(&mut client, "/orders", json!({})).status, 200);
    assert!(shop.log(5)[4].get("undeclared_headers").is_none());
}

#[test]
fn what_strip_would_take_out_is_reported_where_it_stays() {
    let shop = Shop::new("leaving-preview");
    let mut client = shop.running.process.connect();
    // JSON Schema lets it pass: `more` has `properties`, and no `additionalProperties`.
    let body = r#"{"items":[{"id":1,"more":{"a":1,"b":2}}]}"#;
    shop.answers(200, "", body);
    for (index, target) in ["/reported", "/orders"].into_iter().enumerate() {
        let answer = shop.get(&mut client, target, json!({}));
        let left = match target {
            "/reported" => body,
            _ => r#"{"items":[{"id":1,"more":{"a":1}}]}"#,
        };
        assert_eq!((answer.status, text(&answer)), (200, left), "{target}");
        let line = &shop.log(index + 1)[index];
        assert_eq!(line["reported"], "invalid-response", "{target}");
        let detail = line["detail"].as_str().unwrap();
        let is_told = detail.starts_with("response /items/0/more/b undeclared");
        assert!(is_told, "{target}: {detail}");
    }
}

#[test]
fn errors_of_a_backend_keep_their_status_and_lose_their_words() {
    let shop = Shop::new("leaving-errors");
    let mut client = shop.running.process.connect();
    shop.answers(404, "", r#"{"error":"none","trace":"at db.rs:7"}"#);
    let answer = shop.get(&mut client, "/orders", json!({}));
    assert_eq!((answer.status, text(&answer)), (404, r#"{"error":"none"}"#));
    for (status, fields, body) in [
        (404, "", r#"{"stack":"at db.rs:7"}"#),
        (404, "", "not json"),
        (409, "", r#"{"error":"x"}"#),
        (500, "Retry-After: 7\r\n", r#"{"error":"select * from"}"#),
        (503, "", "{}"),
    ] {
        shop.answers(status, fields, body);
        let answer = shop.get(&mut client, "/orders", json!({}));
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, "backend-error"),
            "{body}"
        );
        assert_eq!(answer.field("retry-after"), (status == 500).then_some("7"));
    }
}

#[test]
fn a_page_is_no_larger_than_agreed() {
    let shop = Shop::new("leaving-pages");
    let mut client = shop.running.process.connect();
    let page = |count: usize| {
        let items: Vec<Value> = (0..count).map(|id| json!({ "id": id })).collect();
        json!({ "items": items }).to_string()
    };
    shop.answers(200, "", &page(3));
    for (target, sent) in [
        ("/orders?limit=3", "/orders?limit=3"),
        ("/orders?limit=0&after=x", "/orders?limit=0&after=x"),
        ("/orders", "/orders?limit=2"),
        ("/orders?after=x", "/orders?after=x&limit=2"),
    ] {
        let answer = shop.get(&mut client, target, json!({}));
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(shop.last().line, format!("GET {sent} HTTP/1.1"));
    }
    let asked = shop.asked();
    for target in [
        "/orders?limit=4",
        "/orders?limit=99999999999999999999",
        "/orders?limit=-1",
        "/orders?limit=1e1",
        "/orders?limit=1&limit=1",
        "/orders?limit=",
    ] {
        let answer = shop.get(&mut client, target, json!({}));
        let told = (answer.status, &*answer.problem());
        assert_eq!(told, (400, "invalid-parameter"), "{target}");
    }
    assert_eq!(shop.asked(), asked);
    shop.answers(200, "", &page(4));
    let answer = shop.get(&mut client, "/orders?limit=3", json!({}));
    assert_eq!((answer.status, &*answer.problem()), (502, "too-many-items"));
    let log = shop.log(11);
    assert_eq!(log[10]["detail"], "response 4 of 3 items");
}

#[test]
fn requests_reach_the_backend_without_undeclared_members() {
    let shop = Shop::new("leaving-requests");
    let mut client = shop.running.process.connect();
    shop.answers(200, "", r#"{"items":[]}"#);
    let body = "{\"role\": \"admin\", \"id\": 1,\n \"owner\":\"a1\", \"created\": \"now\", \"more\":{\"b\":1,\"a\":2} , \"x\":{} }";
    let left = "{\"id\": 1,\n \"owner\":\"a1\", \"more\":{\"a\":2}  }";
    let digest = "Content-Digest: sha-256=:AA==:\r\nX-Other: 1\r\n";
    let answer = shop.post(&mut client, "/orders", digest, body);
    assert_eq!(answer.status, 200, "{answer:?}");
    let sent = shop.last();
    assert_eq!(String::from_utf8_lossy(&sent.body), left);
    assert_eq!(sent.field("content-length"), Some(&*left.len().to_string()));
    assert_eq!(sent.field("content-digest"), None);
    assert_eq!(sent.field("x-other"), Some("1"));
    // The same in chunks, and what needs no change goes as it came.
    let token = shop.token(json!({}));
    let head = format!(
        "POST /orders HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    );
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert_eq!(client.ask(chunked).status, 200);
    assert_eq!(String::from_utf8_lossy(&shop.last().body), left);
    let plain = "{ \"id\" : 1e0 , \"owner\" : \"a1\" }";
    assert_eq!(shop.post(&mut client, "/orders", digest, plain).status, 200);
    assert_eq!(shop.last().body, plain.as_bytes());
    assert_eq!(shop.last().field("content-digest"), Some("sha-256=:AA==:"));
    // Ownership is judged by what goes on, and the rest of the contract still holds.
    let asked = shop.asked();
    let answer = shop.post(&mut client, "/orders", "", r#"{"id":1,"x":{"owner":"a1"}}"#);
    assert_eq!((answer.status, &*answer.problem()), (403, "not-owner"));
    for bad in [
        r#"{"x":1}"#,
        r#"{"id":"1","x":1}"#,
        r#"{"id":1,"x":1,"x":2}"#,
        r#"{"id":1,"x":01}"#,
    ] {
        let answer = shop.post(&mut client, "/orders", "", bad);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "invalid-body"),
            "{bad}"
        );
    }
    assert_eq!(shop.asked(), asked);
    // Two requests in one go: what is taken out shifts nothing.
    client.send(format!(
        "{head}Content-Length: {}\r\n\r\n{body}{head}Content-Length: {}\r\n\r\n{plain}",
        body.len(),
        plain.len()
    ));
    assert_eq!(client.answer(false).status, 200);
    assert_eq!(client.answer(false).status, 200);
    assert_eq!(shop.last().body, plain.as_bytes());
}

#[test]
fn undeclared_members_of_requests_can_be_reported_only() {
    let shop = Shop::new("leaving-report");
    let mut client = shop.running.process.connect();
    shop.answers(200, "", r#"{"items":[]}"#);
    let body = r#"{"id":1,"role":"admin"}"#;
    assert_eq!(shop.post(&mut client, "/reported", "", body).status, 200);
    assert_eq!(shop.last().body, body.as_bytes());
    let log = shop.log(1);
    assert_eq!(log[0]["reported"], "invalid-body");
    assert_eq!(log[0]["detail"], "body /role undeclared");
    let answer = shop.post(&mut client, "/reported", "", r#"{"id":"1"}"#);
    assert_eq!(answer.status, 400);
}

#[test]
fn requests_with_undeclared_members_can_be_refused_where_no_schema_refuses_them() {
    let shop = Shop::new("leaving-refuse");
    let mut client = shop.running.process.connect();
    shop.answers(200, "", r#"{"items":[]}"#);
    // `more` is not closed: JSON Schema lets `b` pass.
    for (index, (body, place)) in [
        (r#"{"id":1,"more":{"a":1,"b":2}}"#, "/more/b"),
        (r#"{"id":1,"role":"admin"}"#, "/role"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = shop.post(&mut client, "/refused", "", body);
        let told = (answer.status, &*answer.problem());
        assert_eq!(told, (400, "invalid-body"), "{body}");
        let line = &shop.log(index + 1)[index];
        let detail = line["detail"].as_str().unwrap();
        assert!(
            detail.starts_with(&format!("body {place} undeclared")),
            "{detail}"
        );
        assert_eq!(line["decision"], "denied");
    }
    let records = "{\"id\":1}\n{\"id\":2,\"more\":{\"b\":2}}\n";
    let token = shop.token(json!({}));
    let answer = client.ask(format!(
        "POST /refused HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{records}",
        records.len()
    ));
    assert_eq!(answer.status, 400);
    assert_eq!(shop.asked(), 0);
    let body = r#"{ "id": 1, "more": {"a": {"any": 1}} }"#;
    assert_eq!(shop.post(&mut client, "/refused", "", body).status, 200);
    assert_eq!(shop.last().body, body.as_bytes());
}

/// An API of one operation that answers this content, with these keys.
fn answering<'s>(content: &str, more: &str, keys: &str) -> Setup<'s> {
    let document = format!(
        r##"openapi: 3.1.0
info: {{ title: T, version: "1" }}
paths:
  /a:
    get:
      operationId: a
      responses: {{ "200": {{ description: ok, content: {{ {content} }} {more} }} }}
  /b:
    get:
      operationId: b
      responses: {{ "200": {{ description: ok, content: {{ application/json: {{ schema: {{ type: object, properties: {{ mail: {{ type: string, format: email }}, list: {{ type: array, items: {{ type: string }} }} }} }} }} }} }} }}
"##
    );
    Setup::new("t", &document).api(keys)
}

#[test]
fn what_would_be_hidden_or_masked_nowhere_does_not_load() {
    let json = |schema: &str| format!("application/json: {{ schema: {schema} }}");
    let plain = json("{ type: object, properties: { id: { type: string, format: uuid } } }");
    let mask = |how: &str| format!("mask = [{{ {how}, how = \"fixed\" }}]");
    let own = |how: &str| format!("[api.t.operation.a]\n{}", mask(how));
    let wrong = "format = \"emial\"";
    let good = "format = \"email\"";
    for (keys, words) in [
        (mask(good), ""),
        (own("format = \"uuid\""), ""),
        (mask("pointer = \"/list/*\""), ""),
        (
            mask(wrong),
            "nothing that any operation of the API answers has the format \"emial\"",
        ),
        (
            mask("format = \"date\""),
            "formats of what is answered: email, uuid",
        ),
        (
            own(good),
            "nothing that the operation answers has the format \"email\"",
        ),
        (
            mask("pointer = \"/list/*/x\""),
            "\"/list/*/x\" leads to nothing that any operation of the API answers",
        ),
        (mask("pointer = \"/lsit\""), "\"/lsit\" leads to nothing"),
    ] {
        let (code, text) = answering(&plain, "", &keys).check("leaving-lost");
        assert_eq!(code == Some(0), words.is_empty(), "{keys}: {text}");
        assert!(text.contains(words), "{keys}: {text}");
        let is_near = keys.contains("emial");
        assert_eq!(text.contains("did you mean \"email\"?"), is_near, "{text}");
    }
    // A value that leaves in a header is not masked.
    let header = ", headers: { X-Mail: { schema: { type: string, format: email } } }";
    let (code, text) = answering(&plain, header, &mask(good)).check("leaving-lost");
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("the header `X-Mail` has the format \"email\""),
        "{text}"
    );
    // What an API says may belong to one operation, which need not be the first.
    let off = "responses = \"off\"";
    for (member, loads) in [("writeOnly: true", false), ("readOnly: true", true)] {
        let hidden = json(&format!(
            "{{ type: object, properties: {{ a: {{ type: string, {member} }} }} }}"
        ));
        let (code, text) = answering(&hidden, "", off).check("leaving-lost");
        assert_eq!(code == Some(0), loads, "{member}: {text}");
        assert_eq!(
            text.contains("hides or masks values"),
            !loads,
            "{member}: {text}"
        );
    }
}

#[test]
fn what_is_no_member_cannot_be_taken_out_and_does_not_load() {
    let object = "type: object, properties: { a: { type: string, writeOnly: true } }";
    for (media, schema, words) in [
        ("application/json", format!("{{ {object} }}"), ""),
        ("application/json", format!("{{ type: array, items: {{ {object} }} }}"), ""),
        ("application/json", "{ type: array, items: { type: string, x-mask: last4 } }".to_owned(), ""),
        ("application/json", "{ type: array, writeOnly: true, items: { type: string } }".to_owned(), "`writeOnly` of a whole body"),
        ("application/json", "{ type: array, items: { type: string, writeOnly: true } }".to_owned(), "`writeOnly` takes no items out of a list"),
        ("application/json", "{ anyOf: [{ type: 'null' }, { type: string, x-visible-to: [a] }] }".to_owned(), "`x-visible-to` of a whole body"),
        ("application/json", "{ type: object, properties: { a: { type: array, prefixItems: [{ type: string, x-visible-to: [a] }] } } }".to_owned(), "`x-visible-to` takes no items"),
        ("application/x-ndjson", format!("{{ x-visible-to: [a], {object} }}"), "`x-visible-to` of a whole body"),
        ("text/plain", "{ type: string, writeOnly: true }".to_owned(), "x-visible-to, x-mask and writeOnly have no effect on `text/plain`"),
    ] {
        let content = format!("{media}: {{ schema: {schema} }}");
        let (code, text) = answering(&content, "", "").check("leaving-unremovable");
        assert_eq!(code == Some(0), words.is_empty(), "{schema}: {text}");
        assert!(text.contains(words), "{schema}: {text}");
    }
}

#[test]
fn what_could_not_be_kept_does_not_load() {
    let told = |setup: Setup<'_>| {
        let (code, text) = setup.check("leaving-config");
        (code == Some(0), text)
    };
    let (is_good, text) = told(setup(SHOP));
    assert!(is_good, "{text}");
    for (from, to, words) in [
        (
            "how = \"hash\"",
            "how = \"md5\"",
            "there is no mask \"md5\"",
        ),
        (
            "format = \"email\", how",
            "how",
            "either `pointer` or `format`",
        ),
        ("\"/items/*/note\"", "\"items/*\"", "is no JSON pointer"),
        (
            "query.limit",
            "query.size",
            "is no parameter of this operation",
        ),
        ("default = 2", "default = 4", "above the `max`"),
        (
            "items = \"/items\"",
            "items = \"items\"",
            "is no JSON pointer",
        ),
        (
            "items = \"/items\"",
            "items = \"/itmes\"",
            "no answer of the operation has a list at \"/itmes\"",
        ),
        (
            ", items = \"/items\"",
            "",
            "no answer of the operation is a list",
        ),
        (
            "collection =",
            "mask = [{ pointer = \"/items/*/nope\", how = \"fixed\" }]\ncollection =",
            "leads to nothing that the operation answers",
        ),
        (
            "unknown_fields = \"report\"",
            "unknown_fields = \"drop\"",
            "unknown_fields cannot be",
        ),
        (
            "responses = \"reject\"",
            "responses = \"off\"",
            "hides or masks values",
        ),
        (
            "shards = 1",
            "shards = 1\nmask_key = \"file:keys.json\"\n#",
            "",
        ),
        (
            "shards = 1",
            "shards = 1\nmask_key = \"secret\"\n#",
            "must not stand in the configuration",
        ),
    ] {
        let (is_good, text) = told(setup(SHOP).replacing(from, to));
        assert_eq!(is_good, words.is_empty(), "{to}: {text}");
        assert!(text.contains(words), "{to}: {text}");
    }
    for (from, to, words) in [
        ("x-mask: last4", "x-mask: half", "there is no mask \"half\""),
        (
            "content: { application/json: { schema: { type: object, required: [error]",
            "content: { text/event-stream: { schema: { type: string } }, application/json: { schema: { type: object, required: [error]",
            "`text/event-stream` has no end",
        ),
        ("[risk, admin]", "[]", "must list scopes or roles"),
        ("[risk, admin]", "risk", "must list scopes or roles"),
    ] {
        let (is_good, text) = told(setup(&SHOP.replacen(from, to, 1)));
        assert!(!is_good && text.contains(words), "{to}: {text}");
    }
}
