//! GraphQL endpoints of the real process: what reaches the backend, what the log says of the rest,
//! and which tables are refused.

use serde_json::{Value, json};

use crate::gateway::echo;
use crate::setup::Setup;

/// A document that says nothing of the form of a body.
const API: &str = r"
openapi: 3.1.0
info: { title: Shop, version: 1.0.0 }
paths:
  /graphql:
    post:
      operationId: graphql
      requestBody: { content: { application/json: {} } }
      responses: { '200': { description: ok, content: { text/plain: {} } } }
";

fn post(body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: \
         {}\r\n\r\n{body}",
        body.len()
    )
}

/// An API that says by these keys what it declares, by the document or without it.
fn setup(api: &str) -> Setup<'static> {
    Setup::bare("shop").file("api.yaml", API).api(api)
}

fn checked(name: &str, api: &str, files: &[(&str, &str)]) -> String {
    let files = files.iter();
    let setup = files.fold(setup(api), |setup, (file, text)| setup.file(file, text));
    setup.check(name).1
}

#[test]
fn what_passes_is_forwarded_as_it_came_and_the_rest_is_told() {
    let api = "[api.shop.operation.graphql]\ngraphql = { max_depth = 2 }";
    let gateway = Setup::new("shop", API).api(api).start("graphql", echo());
    let mut client = gateway.connect();

    let good = json!({"query": "query Q { a { b } }", "operationName": "Q"});
    let answer = client.ask(post(&good));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.ends_with(good.to_string().as_bytes()));

    let mut details = Vec::new();
    for (body, status, kind, detail) in [
        (
            json!({"query": "{ a { b { c } } }"}),
            400,
            "graphql-limit-exceeded",
            "body /query depth",
        ),
        (
            json!({"query": "{ a "}),
            400,
            "invalid-graphql",
            "body /query syntax",
        ),
        (
            json!({"query": "{ __schema { a } }"}),
            403,
            "graphql-not-allowed",
            "body /query introspection",
        ),
        (
            json!({"query": "{ a }", "more": 1}),
            400,
            "invalid-body",
            "body /more additionalProperties",
        ),
        (
            json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "a".repeat(64)}}}),
            403,
            "unknown-graphql-query",
            "body /query persisted",
        ),
    ] {
        let answer = client.ask(post(&body));
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, kind),
            "{body}"
        );
        details.push(detail);
    }
    // Bodies that arrive in pieces are the same bodies.
    for byte in post(&good).bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer(false).status, 200);
    drop(client);
    let told: Vec<String> = gateway
        .lines()
        .iter()
        .filter_map(|line| Some(line["detail"].as_str()?.to_owned()))
        .filter(|detail| !detail.is_empty())
        .collect();
    assert_eq!(told, details);
}

#[test]
fn a_query_is_inspected_by_its_strings() {
    let rule = "SecRule ARGS \"@rx (?i)union\\s+select|first\" \"id:1,phase:2,deny,status:403\"\n";
    let api = "paths = [\"/graphql\"]\nmethods = [\"POST\"]\ncontract = \"graphql\"\nwaf = \"own\"";
    let setup = setup(api).rules(rule, "mode = \"block\"");
    let gateway = setup.start("graphql-waf", echo());
    let mut client = gateway.connect();
    // A name of the document is the schema's.
    let good = post(&json!({"query": "query($first: Int) { a(first: $first) }"}));
    assert_eq!(client.ask(good).status, 200);
    for attack in [
        json!({"query": "{ a(b: \"1 union select\") }"}),
        json!({"query": "{ a }", "variables": {"b": "1 union select"}}),
    ] {
        let answer = client.ask(post(&attack));
        assert_eq!(
            (answer.status, &*answer.problem()),
            (403, "attack-detected")
        );
    }
}

#[test]
fn what_a_table_cannot_mean_is_told_with_its_place() {
    let graphql = |table: &str| {
        format!(
            "paths = [\"/graphql\"]\nmethods = [\"POST\"]\ncontract = \"graphql\"\n[api.shop.graphql]\n{table}\n"
        )
    };
    let list = |text: &'static str| [("queries.json", text)];
    let (other, sound) = (
        r#"{"e0dac8d54d2dbf9bcd0ef1ee4ca3a3d92f4b1d6d0e4d1c7e6bd37e9b6a1b2c3d": "{a}"}"#,
        r#"["{a}",
 "mutation {b}"]"#,
    );
    for (table, files, place, message) in [
        (
            "max_depth = 51",
            &[][..],
            "gateway.toml:22:13",
            "51 is out of bounds",
        ),
        (
            "max_batch = 0",
            &[],
            "gateway.toml:22:13",
            "0 is out of bounds",
        ),
        (
            "weights = { \"a.b.c\" = 1 }",
            &[],
            "gateway.toml:22:13",
            "names no field",
        ),
        (
            "size_arguments = [\"first \"]",
            &[],
            "gateway.toml:22:19",
            "no name of GraphQL",
        ),
        (
            "persisted_only = true",
            &[],
            "gateway.toml:22:18",
            "allows no query",
        ),
        (
            "persisted = \"no.json\"",
            &[],
            "gateway.toml:22:13",
            "cannot be read",
        ),
        (
            "persisted = \"queries.json\"",
            &list("{"),
            "queries.json:1:1",
            "not JSON",
        ),
        (
            "persisted = \"queries.json\"",
            &list("[]"),
            "queries.json:1:1",
            "holds no query",
        ),
        (
            "persisted = \"queries.json\"",
            &list("[7]"),
            "queries.json:1:1",
            "holds no query",
        ),
        (
            "persisted = \"queries.json\"",
            &list("{\"x\": \"{a}\"}"),
            "queries.json:1:3",
            "no SHA-256",
        ),
        (
            "persisted = \"queries.json\"",
            &list(other),
            "queries.json:1:3",
            "not the SHA-256",
        ),
        (
            "persisted = \"queries.json\"\nmutations = false",
            &list(sound),
            "queries.json:2:3",
            "breaks the rule `mutation`",
        ),
        (
            "max_deph = 3",
            &[],
            "gateway.toml:22:1",
            "did you mean `max_depth`",
        ),
    ] {
        let told = checked("graphql-tables", &graphql(table), files);
        assert!(
            told.contains(place) && told.contains(message),
            "{table}: {told}"
        );
    }
    for (api, message) in [
        (
            "paths = [\"/g\"]\nmethods = [\"PUT\"]\ncontract = \"graphql\"\n",
            "PUT carries no GraphQL request",
        ),
        (
            "openapi = \"api.yaml\"\ngraphql = { max_depth = 3 }\n",
            "goes with contract = \"graphql\"",
        ),
    ] {
        let told = checked("graphql-apis", api, &[]);
        assert!(told.contains(message), "{told}");
    }
    let told = checked(
        "graphql-good",
        &graphql("persisted = \"queries.json\""),
        &list(sound),
    );
    assert!(
        told.contains("POST /graphql") && told.contains("graphql\n"),
        "{told}"
    );
    assert!(!told.contains("uncovered"), "{told}");
}
