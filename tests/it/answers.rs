//! Answers of every media type against what is declared of them, and what caches are told of those
//! that differ from reader to reader.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::gateway::{Answer, Client, backend};
use crate::process::claims;
use crate::setup::{Running, Setup};

const DOCUMENT: &str = r##"
openapi: 3.1.0
info: { title: Answers, version: 1.0.0 }
paths:
  /any:
    get: { operationId: any, responses: { $ref: "#/x-responses" } }
  /strict:
    get: { operationId: strict, responses: { $ref: "#/x-responses" } }
"##;

const RESPONSES: &str = r##"{ "200": { description: ok, content: {
        text/plain: { schema: { type: string, maxLength: 5, pattern: "^[a-z]*$" } },
        text/csv: { schema: { type: integer, maximum: 9 } },
        image/*: { schema: { type: string, format: binary, minLength: 2, maxLength: 4 } },
        image/gif: { schema: { type: string, format: binary } },
        application/*+json: { schema: { type: object, required: [suffix] } },
        application/vnd.x+json: { schema: { type: object, required: [exact] } },
        application/x-ndjson: { schema: { $ref: "#/components/schemas/Record" } },
        application/json-seq: { schema: { type: array, maxItems: 2, items: { $ref: "#/components/schemas/Record" } } },
        "*/*": { schema: { type: object, required: [any] } } } } }"##;

const SCHEMAS: &str = r##"
components:
  securitySchemes: { bearer: { type: http, scheme: bearer } }
  schemas:
    Record:
      type: object
      required: [id]
      properties:
        id: { type: integer }
        secret: { type: string, writeOnly: true }
        risk: { type: number, x-visible-to: [risk] }
        card: { type: string, x-mask: last4 }
security: [{ bearer: ["read:accounts"] }]
"##;

fn document() -> String {
    let personal = r##"
  /personal:
    get:
      operationId: personal
      responses: { "200": { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/Record" } } } } }
"##;
    let text = DOCUMENT.replace("{ $ref: \"#/x-responses\" }", RESPONSES);
    format!("{text}{personal}{SCHEMAS}")
}

struct Shop {
    running: Running,
    answer: Arc<Mutex<Vec<u8>>>,
}

const API: &str = r#"
responses = "strip"
response_headers = ["CDN-Cache-Control"]
max_response_body = "1KiB"
[api.shop.operation.strict]
responses = "reject"
"#;

fn setup(document: &str) -> Setup<'static> {
    Setup::new("shop", document).with_issuer().api(API)
}

impl Shop {
    fn new(name: &str) -> Shop {
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
        let document = document();
        Shop {
            running: setup(&document).start(name, backend),
            answer,
        }
    }

    /// What a client gets where the backend answers so.
    fn ask(
        &self,
        client: &mut Client,
        (target, roles): (&str, &[&str]),
        (fields, body): (&str, &[u8]),
    ) -> Answer {
        let head = format!("HTTP/1.1 200 X\r\n{fields}\r\n");
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        let head = match fields.contains("chunked") {
            true => format!("{head}\r\n"),
            false => format!("{head}{length}"),
        };
        *self.answer.lock().unwrap() = [head.as_bytes(), body].concat();
        let mut claims = claims();
        claims["roles"] = json!(roles);
        let token = self.running.key.sign(&claims).unwrap();
        client.ask(format!(
            "GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n"
        ))
    }

    /// The status and the body for an answer of this type; of a problem its type.
    fn judge(
        &self,
        client: &mut Client,
        (target, kind): (&str, &str),
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let fields = format!("Content-Type: {kind}");
        let answer = self.ask(client, (target, &[]), (&fields, body));
        match answer.status {
            200 => (200, answer.body),
            status => (status, answer.problem().into_bytes()),
        }
    }
}

#[test]
fn answers_of_every_kind_are_checked_by_what_names_their_type_most_exactly() {
    let shop = Shop::new("answers-kinds");
    let mut client = shop.running.process.connect();
    for (kind, body, passes) in [
        ("text/plain", &b"abcde"[..], true),
        ("Text/Plain; charset=UTF-8", b"abc", true),
        ("text/plain", b"abcdef", false),
        ("text/plain", b"ABC", false),
        ("text/plain", b"\xff", false),
        ("text/plain; charset=latin1", b"abc", false),
        ("text/csv", b"9", true),
        ("text/csv", b"10", false),
        ("text/csv", b"x", false),
        ("image/png", b"\xff\0", true),
        ("image/png", b"\xff", false),
        ("image/png", b"12345", false),
        ("image/gif", b"12345", true),
        ("application/vnd.x+json", b"{\"exact\":1}", true),
        ("application/vnd.x+json", b"{\"suffix\":1}", false),
        ("application/vnd.y+json", b"{\"suffix\":1}", true),
        (
            "application/vnd.y+json; version=2",
            b"{\"suffix\":1}",
            false,
        ),
        ("application/vnd.y+json", b"{\"any\":1}", false),
        ("application/json", b"{\"any\":1}", true),
        ("application/json", b"{\"suffix\":1}", false),
        // What the last resort declares is JSON.
        ("application/xml", b"{\"any\":1}", false),
        ("application/x-ndjson", b"{\"id\":1}\n{\"id\":2}\n", true),
        (
            "application/x-ndjson",
            b"{\"id\":1}\n{\"id\":\"2\"}\n",
            false,
        ),
        ("application/x-ndjson", b"{\"id\":1}\n\n{\"id\":2}", false),
        ("application/json-seq", b"\x1e{\"id\":1}\n", true),
        (
            "application/json-seq",
            b"\x1e{\"id\":1}\n\x1e{\"id\":2}\n\x1e{\"id\":3}\n",
            false,
        ),
        (
            "application/json-seq",
            b"\x1e{\"id\":1},{\"id\":2}\n",
            false,
        ),
    ] {
        let (status, told) = shop.judge(&mut client, ("/strict", kind), body);
        let shown = String::from_utf8_lossy(body);
        match passes {
            true => assert_eq!((status, &*told), (200, body), "{kind} {shown}"),
            false => assert_eq!(status, 502, "{kind} {shown}"),
        }
    }
    // In chunks the length is only known at the end.
    for (body, status) in [
        (&b"2\r\nab\r\n0\r\n\r\n"[..], 200),
        (b"1\r\na\r\n0\r\n\r\n", 502),
        (b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 502),
    ] {
        let fields = "Content-Type: image/png\r\nTransfer-Encoding: chunked";
        let answer = shop.ask(&mut client, ("/strict", &[]), (fields, body));
        assert_eq!(answer.status, status);
    }
    // A text is read whole or not let out; what is coded has another length.
    let long = [b'a'; 1025];
    let (status, told) = shop.judge(&mut client, ("/strict", "text/plain"), &long);
    assert_eq!((status, &*told), (502, &b"response-too-large"[..]));
    let fields = "Content-Type: image/png\r\nContent-Encoding: gzip";
    let answer = shop.ask(&mut client, ("/strict", &[]), (fields, b"123"));
    assert_eq!(answer.status, 502);
}

#[test]
fn records_lose_what_is_undeclared_or_not_for_the_reader() {
    let shop = Shop::new("answers-records");
    let mut client = shop.running.process.connect();
    let lines = "{\"id\":1, \"row\":7, \"risk\":0.5}\r\n{\"secret\":\"s\",\"id\":2 }\n{\"id\":3,\"card\":\"12345678\"}";
    let left = "{\"id\":1}\r\n{\"id\":2 }\n{\"id\":3,\"card\":\"****5678\"}";
    let risky = left.replace("1}", "1, \"risk\":0.5}");
    for (roles, expected) in [(&[][..], left), (&["risk"][..], &risky)] {
        let fields = "Content-Type: application/x-ndjson";
        let answer = shop.ask(&mut client, ("/any", roles), (fields, lines.as_bytes()));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(String::from_utf8_lossy(&answer.body), expected);
    }
    let sequence = b"\x1e{\"x\":\"\\n,\",\"id\":1}\n\x1e{\"id\":2,\"risk\":1}\n";
    let (status, told) = shop.judge(&mut client, ("/any", "application/json-seq"), sequence);
    let left = "\u{1e}{\"id\":1}\n\u{1e}{\"id\":2}\n";
    assert_eq!((status, &*String::from_utf8_lossy(&told)), (200, left));
    for bad in [
        "{\"id\":1}\n{\"x\":1}",
        "{\"id\":1}\n{\"id\":2,\"x\":01}",
        "{\"id\":1,\"x\":1,\"x\":1}",
    ] {
        let found = shop.judge(
            &mut client,
            ("/any", "application/x-ndjson"),
            bad.as_bytes(),
        );
        assert_eq!(found.0, 502, "{bad}");
    }
}

#[test]
fn no_shared_cache_keeps_what_one_reader_sees() {
    let shop = Shop::new("answers-caches");
    let mut client = shop.running.process.connect();
    for (said, told) in [
        ("", "private"),
        (
            "Cache-Control: public, s-maxage=60, max-age=5\r\n",
            "private, max-age=5",
        ),
        (
            "Cache-Control: max-age=5\r\ncache-control: PUBLIC\r\n",
            "private, max-age=5",
        ),
        (
            "CDN-Cache-Control: max-age=600\r\nCache-Control: no-store\r\n",
            "private, no-store",
        ),
    ] {
        for roles in [&[][..], &["risk"]] {
            let fields = format!("{said}Content-Type: application/json");
            let body = br#"{"id":1,"risk":2}"#;
            let answer = shop.ask(&mut client, ("/personal", roles), (&fields, body));
            assert_eq!(answer.status, 200);
            assert_eq!(answer.field("cache-control"), Some(told), "{said}");
            assert_eq!(answer.field("cdn-cache-control"), None);
        }
    }
    // Where nothing depends on the reader, nothing is changed.
    let fields =
        "Cache-Control: public\r\nCDN-Cache-Control: max-age=600\r\nContent-Type: text/plain";
    let plain = document().replace(", x-visible-to: [risk]", "");
    shop.running.directory.write("api.yaml", &plain);
    shop.running.process.signal(Signal::SIGHUP);
    loop {
        let answer = shop.ask(&mut client, ("/any", &[]), (fields, b"abc"));
        assert_eq!(answer.status, 200);
        if answer.field("cache-control") == Some("public") {
            assert_eq!(answer.field("cdn-cache-control"), Some("max-age=600"));
            return;
        }
        assert_eq!(answer.field("cache-control"), Some("private"));
    }
}

#[test]
fn what_would_not_be_enforced_of_answers_does_not_load() {
    let (code, said) = setup(&document()).check("answers-load");
    assert_eq!(code, Some(0), "{said}");
    let text = "{ type: string, maxLength: 5, pattern: \"^[a-z]*$\" }";
    for (from, to, message) in [
        (
            text,
            "{ type: string, x-mask: fixed }",
            "have no effect on `text/plain`",
        ),
        (
            text,
            "{ type: object, properties: { a: {} } }",
            "a schema for `text/plain` is not enforced",
        ),
        (
            text,
            "{ type: string, format: binary, x-visible-to: [a] }",
            "`x-visible-to` of bytes is not enforced",
        ),
        (
            text,
            "{ type: string, format: binary, pattern: a }",
            "`pattern` of bytes is not enforced",
        ),
        (
            "text/csv",
            "TEXT/PLAIN",
            "the media type `text/plain` is declared twice",
        ),
        ("text/csv", "'text/c*'", "`text/c*` is not a media type"),
        (
            "text/csv: { schema: { type: integer, maximum: 9 } }",
            "multipart/form-data: { schema: { type: object } }",
            "a schema for `multipart/form-data` is not enforced",
        ),
        (
            "text/csv: {",
            "text/csv: { encoding: {}, ",
            "`encoding` is for forms of requests",
        ),
    ] {
        let setup = setup(&document().replacen(from, to, 2));
        let (code, said) = setup.check("answers-load");
        assert!(code == Some(1) && said.contains(message), "{to}: {said}");
    }
    let masked = document().replacen(text, "{ type: string, format: email }", 2);
    let mask = "mask = [{ format = \"email\", how = \"fixed\" }]\nmax_response_body";
    let setup = setup(&masked).replacing("max_response_body", mask);
    let (code, said) = setup.check("answers-load");
    assert!(
        code == Some(1) && said.contains("a format of `text/plain` is to be masked"),
        "{said}"
    );
}

#[test]
fn what_is_never_a_claim_as_it_stands_cannot_be_owned() {
    let text = "schema: { type: string }";
    let object = "schema: { type: object, properties: { a: { type: string } } }";
    let list = "schema: { type: array, items: { type: string } }";
    for (value, path, query, loads) in [
        ("path.id", text, text, true),
        ("query.q", text, text, true),
        ("query.q", text, list, true),
        ("path.id", &format!("style: matrix, {text}"), text, false),
        ("path.id", &format!("style: label, {text}"), text, false),
        ("path.id", object, text, false),
        ("query.q", text, object, false),
        (
            "query.q",
            text,
            &format!("style: deepObject, {object}"),
            false,
        ),
        (
            "query.q",
            text,
            &format!("content: {{ application/json: {{ {text} }} }}"),
            false,
        ),
    ] {
        let api = format!(
            "openapi: 3.1.0\npaths:\n  /own/{{id}}:\n    get:\n      operationId: own\n      security: [{{ bearer: [read] }}]\n      parameters: [{{ name: id, in: path, required: true, {path} }}, {{ name: q, in: query, {query} }}]\n      responses: {{ '200': {{ description: ok }} }}\ncomponents:\n  securitySchemes: {{ bearer: {{ type: http, scheme: bearer }} }}\n"
        );
        let rule = format!(
            "[api.shop.operation.own]\nownership = [{{ value = \"{value}\", claim = \"ids\" }}]\n"
        );
        let strict = "[api.shop.operation.strict]\nresponses = \"reject\"";
        let setup = setup(&api).replacing(strict, &rule);
        let (code, said) = setup.check("answers-owned");
        assert_eq!(code == Some(0), loads, "{value} {path} {query}: {said}");
        let message = format!("\"{value}\" is never a claim as it stands");
        assert_eq!(said.contains(&message), !loads, "{said}");
    }
}
