//! Requests against the contract of a bank's description, each one a real head.

use std::path::Path as FilePath;

use crate::policy::contract::detail::NAME;
use crate::policy::contract::openapi::{Document, Operation};
use crate::policy::contract::parameters::{ITEMS, PAIRS};
use crate::policy::contract::{Body, Contract, Scratch};
use crate::policy::denial::Denial;
use crate::proto::head::RequestHead;
use crate::proto::target::Path;
use proptest::prelude::*;

const BANK: &str = include_str!("openapi/bank.yaml");

struct Bench {
    operations: Vec<Operation>,
    scratch: Scratch,
}

/// A request in parts; `body` is sent with its length.
struct Request<'a> {
    target: &'a str,
    fields: &'a str,
    body: &'a str,
}

impl Bench {
    fn new(text: &str) -> Bench {
        let document = Document::read(FilePath::new("bank.yaml"), text).unwrap();
        Bench {
            operations: document.operations().unwrap(),
            scratch: Scratch::default(),
        }
    }

    fn head(&mut self, id: &str, target: &str, fields: &str) -> Result<Body, Denial> {
        let text = format!("POST {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let mut head = RequestHead::default();
        assert_eq!(head.read(text.as_bytes()), Ok(true), "{text}");
        let mut path = Path::default();
        path.read(head.path.of(text.as_bytes())).unwrap();
        let operation = self.operations.iter().find(|each| each.id == id).unwrap();
        let contract = &operation.contract;
        contract.check_head(&head, text.as_bytes(), &path, &mut self.scratch)
    }

    fn send(&mut self, id: &str, request: Request<'_>) -> Result<(), Denial> {
        let Request {
            target,
            fields,
            body,
        } = request;
        let fields = format!("{fields}Content-Length: {}\r\n", body.len());
        let expected = self.head(id, target, &fields)?;
        if !expected.is_read() {
            return Ok(());
        }
        let operation = self.operations.iter().find(|each| each.id == id).unwrap();
        let contract = &operation.contract;
        contract.check_body(expected, body.as_bytes(), &mut self.scratch)
    }

    fn query(&mut self, query: &str) -> Result<(), Denial> {
        let target = format!("/open/v1/accounts?{query}");
        self.head("listAccounts", &target, "").map(|_| ())
    }

    /// Part, name and rule of the last refusal.
    fn detail(&self) -> (&str, &str, &str) {
        let detail = self.scratch.detail().unwrap();
        (detail.part, &detail.name, detail.rule)
    }
}

const JSON: &str = "Content-Type: application/json\r\n";
const PAYMENT: &str = r#"{"from":"A1B2C3D4","to":"E5F6A7B8","amount":1250}"#;

#[test]
fn nothing_is_checked_without_a_description() {
    let mut scratch = Scratch::default();
    let none = Contract::none();
    let text = b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
    let mut head = RequestHead::default();
    head.read(text).unwrap();
    let body = none
        .check_head(&head, text, &Path::default(), &mut scratch)
        .unwrap();
    assert!(!body.is_read() && !none.reads_body());
    assert_eq!(none.check_body(body, b"{x", &mut scratch), Ok(()));
}

#[test]
fn declared_queries_pass() {
    let mut bench = Bench::new(BANK);
    for query in [
        "",
        "&",
        "limit=1",
        "limit=100&q=",
        "q",
        "q=a+b%20c",
        "l%69mit=7",
        "status=open",
        "status=open&limit=2&status=closed",
        "currencies=EUR,CHF",
        "currencies=EUR",
        "q=%F0%9F%92%B6",
    ] {
        assert_eq!(bench.query(query), Ok(()), "{query}");
        assert_eq!(bench.scratch.detail(), None);
    }
}

#[test]
fn other_queries_are_refused_with_the_reason() {
    let mut bench = Bench::new(BANK);
    let (invalid, undeclared) = (Denial::InvalidParameter, Denial::UndeclaredParameter);
    for (query, denial, name, rule) in [
        ("limit=0", invalid, "limit", "minimum"),
        ("limit=101", invalid, "limit", "maximum"),
        ("limit=1x", invalid, "limit", "type"),
        ("limit=", invalid, "limit", "type"),
        ("limit", invalid, "limit", "type"),
        ("limit=1&limit=1", invalid, "limit", "repeated"),
        ("limit=1&l%69mit=1", invalid, "limit", "repeated"),
        ("limit=%zz", invalid, "", ""),
        ("q=%ff", invalid, "q", "encoding"),
        ("q=%00", invalid, "q", "encoding"),
        ("%ff=1", invalid, "", "encoding"),
        ("q=123456789012345678901", invalid, "q", "maxLength"),
        ("q=a;limit=1", invalid, "", "separator"),
        ("Limit=1", undeclared, "Limit", "declared"),
        ("limit[]=1", undeclared, "limit[]", "declared"),
        ("=1", undeclared, "", "declared"),
        ("%0aname=1", undeclared, "name", "declared"),
        ("status=gone", invalid, "status", "enum"),
        ("status=open,closed", invalid, "status", "enum"),
        (
            "status=open&status=open&status=open&status=open",
            invalid,
            "status",
            "maxItems",
        ),
        ("status=%e9", invalid, "status", "encoding"),
        (
            "currencies=EUR&currencies=CHF",
            invalid,
            "currencies",
            "repeated",
        ),
        ("currencies=EUR%2CCHF", invalid, "currencies", "separator"),
        ("currencies=EUR,,CHF", invalid, "currencies", "pattern"),
        ("currencies=", invalid, "currencies", "pattern"),
        ("currencies=EUR,%ff", invalid, "currencies", "encoding"),
    ] {
        // Broken percent-encodings do not get past the head.
        if query.contains("%zz") {
            continue;
        }
        assert_eq!(bench.query(query), Err(denial), "{query}");
        assert_eq!(bench.detail(), ("query", name, rule), "{query}");
    }
}

#[test]
fn pairs_and_items_are_bounded() {
    let text = BANK.replace("            maxItems: 3\n", "");
    let mut bench = Bench::new(&text);
    let pairs = |count: usize| vec!["status=open"; count].join("&");
    assert_eq!(bench.query(&pairs(PAIRS)), Ok(()));
    assert_eq!(
        bench.query(&pairs(PAIRS + 1)),
        Err(Denial::InvalidParameter)
    );
    assert_eq!(bench.detail(), ("query", "status", "too-many"));
    let items = |count: usize| format!("currencies={}", vec!["EUR"; count].join(","));
    assert_eq!(bench.query(&items(ITEMS)), Ok(()));
    assert_eq!(
        bench.query(&items(ITEMS + 1)),
        Err(Denial::InvalidParameter)
    );
    assert_eq!(bench.detail(), ("query", "currencies", "too-many"));
}

#[test]
fn required_query_parameters_are_missed() {
    let text = BANK.replace(
        "          in: query\n          explode",
        "          in: query\n          required: true\n          explode",
    );
    let mut bench = Bench::new(&text);
    assert_eq!(bench.query("currencies=EUR"), Ok(()));
    assert_eq!(bench.query("limit=1"), Err(Denial::MissingParameter));
    assert_eq!(bench.detail(), ("query", "currencies", "required"));
    assert_eq!(bench.query(""), Err(Denial::MissingParameter));
    let without = bench.head("listAccounts", "/open/v1/accounts", "");
    assert_eq!(without, Err(Denial::MissingParameter));
}

#[test]
fn path_values_are_checked_decoded() {
    let mut bench = Bench::new(BANK);
    let mut read = |id: &str| {
        let outcome = bench.head("readAccount", &format!("/open/v1/accounts/{id}"), "");
        outcome.map(|_| ())
    };
    assert_eq!(read("A1B2C3D4"), Ok(()));
    assert_eq!(read("%411B2C3D4"), Ok(()));
    for bad in [
        "A1B2C3D",
        "A1B2C3D45",
        "a1b2c3d4",
        "A1B2C3D%C3%A9",
        "A1B2C3D4%20",
    ] {
        assert_eq!(read(bad), Err(Denial::InvalidParameter), "{bad}");
    }
    assert_eq!(bench.detail(), ("path", "accountId", "pattern"));
    let query = bench.head("readAccount", "/open/v1/accounts/A1B2C3D4?x=1", "");
    assert_eq!(query, Err(Denial::UndeclaredParameter));
}

#[test]
fn declared_headers_are_checked_and_others_pass() {
    let mut bench = Bench::new(BANK);
    let mut close = |fields: &str| {
        let target = "/open/v1/accounts/A1B2C3D4";
        let outcome = bench.head("closeAccount", target, fields).map(|_| ());
        let detail = bench.scratch.detail();
        outcome.map_err(|denial| (denial, detail.map_or("", |detail| detail.rule)))
    };
    for good in [
        "X-Trace: 1234\r\n",
        "x-trace: 12345678\r\nX-Other: a\r\nX-Other: b\r\n",
        "X-Trace: 1234\r\nX-Reasons: 1, 2\t,3\r\nx-reasons: 4\r\n",
    ] {
        assert_eq!(close(good), Ok(()), "{good:?}");
    }
    for (fields, denial, rule) in [
        ("", Denial::MissingParameter, "required"),
        ("X-Trace: 123\r\n", Denial::InvalidParameter, "minLength"),
        ("X-Trace:\r\n", Denial::InvalidParameter, "minLength"),
        (
            "X-Trace: 123456789\r\n",
            Denial::InvalidParameter,
            "maxLength",
        ),
        (
            "X-Trace: 1234\r\nX-Trace: 1234\r\n",
            Denial::InvalidParameter,
            "repeated",
        ),
        (
            "X-Trace: 1234\r\nX_Trace: 99\r\n",
            Denial::InvalidParameter,
            "alias",
        ),
        ("X_Trace: 1234\r\n", Denial::InvalidParameter, "alias"),
        (
            "Connection: X-Trace\r\nX-Trace: 1234\r\n",
            Denial::MissingParameter,
            "required",
        ),
        (
            "X-Trace: 1234\r\nX-Reasons: 1,0\r\n",
            Denial::InvalidParameter,
            "minimum",
        ),
        (
            "X-Trace: 1234\r\nX-Reasons: 1,,2\r\n",
            Denial::InvalidParameter,
            "type",
        ),
        (
            "X-Trace: 1234\r\nX-Reasons: 1\r\nX.Reasons: 2\r\n",
            Denial::InvalidParameter,
            "alias",
        ),
    ] {
        assert_eq!(close(fields), Err((denial, rule)), "{fields:?}");
    }
}

#[test]
fn undeclared_bodies_are_refused_however_they_are_framed() {
    let mut bench = Bench::new(BANK);
    let mut list = |fields: &str| {
        bench
            .head("listAccounts", "/open/v1/accounts", fields)
            .map(|_| ())
    };
    assert_eq!(list("Content-Length: 0\r\n"), Ok(()));
    assert_eq!(list("Content-Type: application/json\r\n"), Ok(()));
    assert_eq!(list("Content-Length: 1\r\n"), Err(Denial::UndeclaredBody));
    assert_eq!(
        list("Transfer-Encoding: chunked\r\n"),
        Err(Denial::UndeclaredBody)
    );
}

#[test]
fn the_media_type_is_declared_or_the_body_refused() {
    let mut bench = Bench::new(BANK);
    let mut pay = |fields: &str| {
        let request = Request {
            target: "/open/v1/payments",
            fields,
            body: PAYMENT,
        };
        let outcome = bench.send("createPayment", request);
        let detail = bench.scratch.detail();
        outcome.map_err(|denial| (denial, detail.map_or("", |detail| detail.rule)))
    };
    for good in [
        JSON,
        "content-type: APPLICATION/JSON; charset=\"UTF-8\"\r\n",
        "Content-Type: application/json\r\nContent-Encoding: Identity\r\n",
    ] {
        assert_eq!(pay(good), Ok(()), "{good:?}");
    }
    let undeclared = Denial::UndeclaredMediaType;
    for (fields, denial, rule) in [
        ("", Denial::MissingMediaType, "content-type"),
        ("Content-Type:\r\n", undeclared, "malformed"),
        ("Content-Type: json\r\n", undeclared, "malformed"),
        ("Content-Type: text/json\r\n", undeclared, "content"),
        (
            "Content-Type: application/json, text/plain\r\n",
            undeclared,
            "malformed",
        ),
        (
            "Content-Type: application/json; charset=utf-16\r\n",
            undeclared,
            "charset",
        ),
        (
            "Content-Type: application/json\r\ncontent-type: application/json\r\n",
            undeclared,
            "repeated",
        ),
        (
            "Content-Type: application/json\r\nContent_Type: text/plain\r\n",
            undeclared,
            "alias",
        ),
        ("Content.Type: application/json\r\n", undeclared, "alias"),
        (
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
            Denial::EncodedBody,
            "content-encoding",
        ),
        (
            "Content-Encoding:\r\nContent-Type: application/json\r\n",
            Denial::EncodedBody,
            "content-encoding",
        ),
        (
            "Content_Encoding: br\r\nContent-Type: application/json\r\n",
            Denial::EncodedBody,
            "content-encoding",
        ),
    ] {
        assert_eq!(pay(fields), Err((denial, rule)), "{fields:?}");
    }
}

#[test]
fn each_media_type_has_its_own_schema() {
    let mut bench = Bench::new(BANK);
    let mut pay = |fields: &str, body: &str| {
        bench.send(
            "createPayment",
            Request {
                target: "/open/v1/payments",
                fields,
                body,
            },
        )
    };
    let own = "Content-Type: application/vnd.bank.payment+json\r\n";
    let with_reference = PAYMENT.replace('}', r#","reference":"rent"}"#);
    assert_eq!(pay(JSON, PAYMENT), Ok(()));
    assert_eq!(pay(own, PAYMENT), Err(Denial::InvalidBody));
    assert_eq!(pay(own, &with_reference), Ok(()));
    for bad in [
        "{",
        "[]",
        "{}",
        &PAYMENT.replace("1250", "0"),
        &PAYMENT.replace("1250", "\"1250\""),
    ] {
        assert_eq!(pay(JSON, bad), Err(Denial::InvalidBody), "{bad}");
    }
    assert_eq!(bench.detail(), ("body", "/amount", "type"));
}

#[test]
fn required_bodies_are_missed() {
    let mut bench = Bench::new(BANK);
    let mut pay = |fields: &str| bench.head("createPayment", "/open/v1/payments", fields);
    assert_eq!(pay(""), Err(Denial::MissingBody));
    assert_eq!(pay("Content-Length: 0\r\n"), Err(Denial::MissingBody));
    let chunked = pay(&format!("{JSON}Transfer-Encoding: chunked\r\n")).unwrap();
    assert!(chunked.is_read());
    let contract = &bench.operations[3].contract;
    assert_eq!(
        contract.check_body(chunked, b"", &mut bench.scratch),
        Err(Denial::MissingBody)
    );
    assert_eq!(bench.detail(), ("body", "", "required"));
}

#[test]
fn optional_and_unread_bodies() {
    let mut bench = Bench::new(BANK);
    let mut put = |fields: &str, body: &str| {
        bench.send(
            "uploadStatement",
            Request {
                target: "/open/v1/statements",
                fields,
                body,
            },
        )
    };
    assert_eq!(put("", ""), Ok(()));
    assert_eq!(
        put(
            "Content-Type: application/octet-stream; x=y\r\n",
            "{not json"
        ),
        Ok(())
    );
    // Declared without a schema: any JSON, but nothing else.
    assert_eq!(put(JSON, "[1]"), Ok(()));
    assert_eq!(put(JSON, "{not json"), Err(Denial::InvalidBody));
    assert_eq!(
        put("Content-Type: text/plain\r\n", "x"),
        Err(Denial::UndeclaredMediaType)
    );
    let octets = "Content-Type: application/octet-stream\r\nContent-Length: 5\r\n";
    let unread = bench
        .head("uploadStatement", "/open/v1/statements", octets)
        .unwrap();
    assert!(!unread.is_read());
}

#[test]
fn values_of_an_earlier_body_are_never_looked_up() {
    let mut bench = Bench::new(BANK);
    bench.scratch.keep_bodies(true);
    let pay = |bench: &mut Bench, body: &str| {
        let request = Request {
            target: "/open/v1/payments",
            fields: JSON,
            body,
        };
        bench.send("createPayment", request)
    };
    assert_eq!(pay(&mut bench, PAYMENT), Ok(()));
    assert_eq!(bench.scratch.lookup("/from").as_deref(), Some("A1B2C3D4"));
    assert_eq!(bench.scratch.lookup("/nothing"), None);
    assert_eq!(
        pay(&mut bench, &PAYMENT.replace("1250", "0")),
        Err(Denial::InvalidBody)
    );
    assert_eq!(bench.scratch.lookup("/from"), None);
    assert_eq!(pay(&mut bench, PAYMENT), Ok(()));
    assert!(bench.query("limit=1").is_ok());
    assert_eq!(bench.scratch.lookup("/from"), None);
    assert_eq!(pay(&mut bench, PAYMENT), Ok(()));
    let unread = Contract::none().check_body(Body::default(), b"", &mut bench.scratch);
    assert_eq!(unread, Ok(()));
    assert_eq!(bench.scratch.lookup("/from"), None);
}

#[test]
fn names_in_the_log_are_bounded() {
    let mut bench = Bench::new(BANK);
    let long = "a".repeat(3000);
    assert_eq!(
        bench.query(&format!("{long}=1")),
        Err(Denial::UndeclaredParameter)
    );
    assert_eq!(bench.detail().1.len(), NAME);
}

/// What a reader that knows nothing of the table would say of a query.
fn oracle(query: &str) -> bool {
    let mut limits = 0;
    !query.contains(';')
        && query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .all(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                limits += usize::from(name == "limit");
                match name {
                    "limit" => {
                        limits == 1
                            && value
                                .parse::<u8>()
                                .is_ok_and(|value| (1..=100).contains(&value))
                            && !value.starts_with(['0', '+'])
                    }
                    "status" => ["open", "closed"].contains(&value),
                    _ => false,
                }
            })
        && query.matches("status").count() <= 3
}

proptest! {
    #[test]
    fn queries_pass_exactly_when_a_plain_reading_lets_them(
        pairs in prop::collection::vec("(limit=(1|50|100|101|0|x|))|(status=(open|closed|gone|))|other=1|", 0..5),
        separator in "[&;]",
    ) {
        let query = pairs.join(&separator);
        let passed = Bench::new(BANK).query(&query).is_ok();
        prop_assert_eq!(passed, oracle(&query), "{}", query);
    }

    #[test]
    fn no_query_panics(query in "[-a-z=&;+,%0-9A-F/?]{0,60}") {
        let text = format!("GET /a?{query} HTTP/1.1\r\nHost: h\r\n\r\n");
        if RequestHead::default().read(text.as_bytes()) == Ok(true) {
            let _ = Bench::new(BANK).query(&query);
        }
    }
}

#[test]
fn numbers_are_compared_as_a_document_writes_them() {
    let text = r#"openapi: 3.1.0
paths:
  /n:
    post:
      operationId: n
      requestBody:
        content:
          application/json:
            schema:
              type: object
              example: { deep: 1e999 }
              default: 0.12345678901234567890
              properties:
                least: { minimum: 18446744073709551617, example: 1e400 }
                most: { exclusiveMaximum: 0.30000000000000000001 }
                one: { enum: [123456789012345678901, { a: [1e400] }, x] }
                only: { const: 0.1000000000000000000000001 }
                step: { multipleOf: 0.1234567890123456789 }
      responses: { "200": { description: ok } }
"#;
    let mut bench = Bench::new(text);
    let mut check = |body: &str| {
        let request = Request {
            target: "/n",
            fields: JSON,
            body,
        };
        bench.send("n", request)
    };
    for (name, good, bad) in [
        ("least", "18446744073709551617", "18446744073709551616"),
        ("least", "1e20", "18446744073709551616.9"),
        ("most", "0.3", "0.30000000000000000001"),
        ("most", "0.300000000000000000009", "0.4"),
        ("one", "123456789012345678901", "123456789012345678902"),
        ("one", "{\"a\":[10e399]}", "{\"a\":[1e401]}"),
        ("one", "\"x\"", "123456789012345680000"),
        ("only", "0.1000000000000000000000001", "0.1"),
        ("step", "0.2469135780246913578", "0.2469135780246913"),
    ] {
        let with = |value: &str| format!("{{\"{name}\":{value}}}");
        assert_eq!(check(&with(good)), Ok(()), "{name} {good}");
        assert_eq!(check(&with(bad)), Err(Denial::InvalidBody), "{name} {bad}");
    }
    let long = text.replace("0.1234567890123456789 ", "0.12345678901234567891 ");
    let document = Document::read(FilePath::new("n.yaml"), &long).unwrap();
    let errors = document.operations().err().unwrap();
    assert!(errors[0].message.contains("too many digits"), "{errors:?}");
}
