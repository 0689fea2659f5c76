//! Inspection in mode block, of a benign request of every kind: what was warmed up takes nothing
//! from the heap, whichever rules run.

use std::path::Path;
use std::sync::Arc;

use portcullis::config::rules::{builtin, disk};
use portcullis::policy::waf::compile::OnUnsupported;
use portcullis::policy::waf::draft::Engine;
use portcullis::policy::waf::inspection::{Inspection, Tuning, Verdict};
use portcullis::policy::waf::load::Settings;
use portcullis::policy::waf::memory::Memory;
use portcullis::policy::waf::message::{Headers, Request};
use portcullis::policy::waf::rule::RuleSet;
use portcullis::policy::waf::view::View;
use serde_json::json;

use crate::least_allocations;

/// Where the distribution puts its rule set.
const RULES: &str = "/usr/share/modsecurity-crs/rules";
const SETUP: &str = "/etc/modsecurity/crs/crs-setup.conf";

struct Message {
    name: &'static str,
    target: &'static str,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    is_graphql: bool,
}

fn message(name: &'static str, content_type: &'static str, body: &str) -> Message {
    Message {
        name,
        target: "/v1/items",
        content_type: Some(content_type),
        body: body.as_bytes().to_vec(),
        is_graphql: false,
    }
}

fn messages() -> Vec<Message> {
    let get = |name, target| Message {
        name,
        target,
        content_type: None,
        body: Vec::new(),
        is_graphql: false,
    };
    let document = json!({"name": "O'Brien", "tags": ["a", "b", "a"], "n": [1, 2.5, null, true],
        "packed": "{\"a\": [1, \"b\"]}", "coded": "SGVsbG8sIHRoaXMgaXMgYSB0ZXh0IGZvciB5b3Uu",
        "next": "https://app.example/done?x=1&y=two#top", "escaped": "caf\u{e9} \n \"x\""});
    let parts = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nO'Brien\r\n\
        --b\r\nContent-Disposition: form-data; name=\"c\"\r\nContent-Type: application/json\r\n\r\n{\"x\":\"y\"}\r\n\
        --b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\na text\r\n\
        --b--\r\n";
    let xml = "<?xml version=\"1.0\"?><a xmlns:x=\"urn:x\" b=\"c\"><!-- d --><x:e>Tom &amp; Jerry</x:e><![CDATA[f]]></a>";
    let query = json!({"query": "query Q($n: Int = 5) { me(name: \"O'Brien\", text: \"\"\"it's\"\"\") { id } }",
        "operationName": "Q", "variables": {"n": 3, "m": "a"}, "extensions": {"client": "app"}});
    vec![
        get("no parameters", "/v1/health"),
        get(
            "parameters",
            "/v1/J%C3%BCrg/items?page=3&q=O%27Brien&q=two&sort[name]=asc",
        ),
        Message {
            is_graphql: true,
            ..get(
                "GraphQL, GET",
                "/graphql?query=%7B%20me(name:%20%22Ann%22)%20%7B%20id%20%7D%20%7D",
            )
        },
        message("JSON", "application/json", &document.to_string()),
        message(
            "lines of JSON",
            "application/x-ndjson",
            "{\"a\":1}\n{\"a\":\"b\"}\n",
        ),
        message(
            "form",
            "application/x-www-form-urlencoded",
            "a=O%27Brien&a=2&b=%C3%BC&c=x+y",
        ),
        message("multipart", "multipart/form-data; boundary=b", parts),
        message("XML", "text/xml", xml),
        Message {
            is_graphql: true,
            target: "/graphql",
            ..message("GraphQL", "application/json", &query.to_string())
        },
        message(
            "a text",
            "text/plain",
            "Dear all, \u{fc}ber \"this\" see you \\u0061t 5.",
        ),
        message(
            "JSON to some",
            "text/plain",
            ")]}',\n{\"a\": \"b \\u0063\"} x",
        ),
    ]
}

/// A warm message; what the rules say of it is that it may pass, and nothing else.
fn allocations(rules: &RuleSet, message: &Message, shard: &mut (Memory, Inspection)) -> u64 {
    let length = message.body.len().to_string();
    let mut fields: Vec<(&[u8], &[u8])> = vec![
        (b"Host", b"api.example.com"),
        (b"User-Agent", b"shop-mobile/4.12.0 (Android 14; Pixel 8)"),
        (b"Accept", b"application/json"),
        (
            b"Cookie",
            b"theme=dark; s=eyJpZCI6MTIzNCwibmFtZSI6IkFubmEifQ==; j=j%3A%7B%22a%22%3A1%7D",
        ),
        (b"X-Filter", b"name eq bern"),
        (b"Authorization", b"Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln"),
    ];
    if let Some(content_type) = message.content_type {
        fields.push((b"Content-Type", content_type.as_bytes()));
        fields.push((b"Content-Length", length.as_bytes()));
    }
    let method: &[u8] = if message.body.is_empty() {
        b"GET"
    } else {
        b"POST"
    };
    let request = Request {
        method,
        target: message.target.as_bytes(),
        version: b"HTTP/1.1",
        headers: Headers::Pairs(&fields),
        peer: "198.51.100.7:51312".parse().ok(),
        local: None,
        id: b"00112233445566778899",
    };
    let tuning = Tuning {
        engine: Engine::On,
        ..Tuning::default()
    };
    let view = Arc::new(View {
        headers: ["x-filter".into()].into(),
        files: true,
    });
    let (memory, inspection) = shard;
    let mut run = || {
        inspection.begin(rules, tuning);
        inspection.look_at(&view);
        if message.is_graphql {
            inspection.read_as_graphql();
        }
        let head = inspection.head(rules, memory, &request);
        let body = inspection.body(rules, memory, &message.body);
        inspection.finish(rules, memory);
        assert_eq!(
            (head, body),
            (Verdict::Pass, Verdict::Pass),
            "{}",
            message.name
        );
        assert!(
            inspection.hits().is_empty(),
            "{}: {:?}",
            message.name,
            inspection.hits()
        );
    };
    (0..10).for_each(|_| run());
    least_allocations(run)
}

fn nothing_is_allocated(name: &str, rules: &RuleSet) {
    let mut shard = (Memory::default(), Inspection::default());
    let counts = messages().into_iter().map(|message| {
        let count = allocations(rules, &message, &mut shard);
        (message.name, count)
    });
    let wrong: Vec<(&str, u64)> = counts.filter(|(_, count)| *count > 0).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:?}");
}

#[test]
fn what_the_built_in_rules_pass_allocates_nothing() {
    nothing_is_allocated("built-in", &builtin::rule_set());
}

#[test]
fn what_the_core_rule_set_passes_allocates_nothing() {
    let variables = [
        ("allowed_methods", "GET POST"),
        (
            "allowed_request_content_type",
            "|application/x-www-form-urlencoded| |multipart/form-data| |text/xml| |application/json| \
             |application/x-ndjson| |text/plain|",
        ),
    ];
    let settings = Settings {
        variables: &variables,
        on_unsupported: OnUnsupported::Skip,
        ..Settings::default()
    };
    let mut is_tested = false;
    if let Some(root) = std::env::var_os("PORTCULLIS_CONFORMANCE") {
        let loaded = disk::core_rule_set(&Path::new(&root).join("crs-v4"), &settings);
        nothing_is_allocated("version 4", &loaded.unwrap().rules);
        is_tested = true;
    }
    if Path::new(RULES).is_dir() && Path::new(SETUP).is_file() {
        let loaded = disk::including(&[SETUP, &format!("{RULES}/*.conf")], &settings);
        nothing_is_allocated("the package modsecurity-crs", &loaded.unwrap().rules);
        is_tested = true;
    }
    if !is_tested {
        eprintln!(
            "allocations: PORTCULLIS_CONFORMANCE is not set, and the package modsecurity-crs is not \
             installed: NOTHING IS TESTED HERE"
        );
    }
}
