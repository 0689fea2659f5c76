//! Requests as clients of an API send them, of texts.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::random::Random;
use super::texts::Texts;
use crate::request::Sent;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Members of records, and the kinds of texts that they hold.
const MEMBERS: [(&str, &[&str]); 22] = [
    ("id", &["id"]),
    ("name", &["name"]),
    ("displayName", &["name", "company"]),
    ("company", &["company"]),
    ("street", &["address"]),
    ("description", &["comment", "code", "html", "sqlish"]),
    ("comment", &["comment"]),
    ("body", &["comment", "code", "trace", "mail", "html"]),
    ("title", &["comment", "search", "sqlish"]),
    ("query", &["search", "sqlish", "graphql"]),
    ("url", &["url"]),
    ("reference", &["id", "url"]),
    ("schedule", &["cron"]),
    ("pattern", &["regex"]),
    ("path", &["file"]),
    ("attributes", &["json"]),
    ("html", &["html"]),
    ("message", &["log", "trace", "comment"]),
    ("data", &["csv", "json", "log"]),
    ("expression", &["code", "search"]),
    ("email", &["mail"]),
    ("image", &["id"]),
];

/// Parameters of queries, and the kinds of texts that they hold.
const PARAMETERS: [(&str, &[&str]); 10] = [
    ("q", &["search", "sqlish", "name"]),
    ("filter", &["search"]),
    ("filter[name]", &["name", "company"]),
    ("cursor", &["id"]),
    ("redirect_uri", &["url"]),
    ("sort", &["id"]),
    ("city", &["address"]),
    ("path", &["file"]),
    ("where", &["json", "search"]),
    ("since", &["id", "cron"]),
];

const AGENTS: [&str; 5] = [
    "okhttp/4.12.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "python-requests/2.32.3",
    "Shop/5.2 (com.example.shop; build:812; iOS 19.1.0) Alamofire/5.9.1",
];

pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => write!(out, "%{byte:02X}").unwrap(),
        }
    }
    out
}

/// A request without a body.
pub fn get(target: String) -> Sent {
    let headers = [
        ("Host", "api.example.com"),
        ("User-Agent", AGENTS[0]),
        ("Accept", "application/json, text/plain, */*"),
        ("Accept-Encoding", "gzip, deflate, br"),
    ];
    let owned = headers.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    Sent {
        method: b"GET".to_vec(),
        target: target.into_bytes(),
        version: b"HTTP/1.1".to_vec(),
        headers: owned.to_vec(),
        body: Vec::new(),
    }
}

pub fn post(target: String, content_type: &str, body: Vec<u8>) -> Sent {
    let mut sent = get(target);
    sent.method = b"POST".to_vec();
    add(&mut sent, "Content-Type", content_type);
    add(&mut sent, "Content-Length", &body.len().to_string());
    sent.body = body;
    sent
}

fn add(sent: &mut Sent, name: &str, value: &str) {
    sent.headers.push((name.into(), value.into()));
}

/// The requests that a text alone stands in.
pub fn alone(kind: &str, text: &str) -> Vec<Sent> {
    if kind == "graphql" {
        return vec![graphql(text)];
    }
    let body = json!({ "items": [{ "note": text }] });
    vec![
        get(format!("/v1/items?q={}&page=2", escaped(text))),
        post(
            "/v1/items".into(),
            FORM,
            format!("note={}", escaped(text)).into(),
        ),
        post("/v1/items".into(), JSON, body.to_string().into()),
    ]
}

fn graphql(query: &str) -> Sent {
    let body =
        json!({ "query": query, "variables": { "first": 10, "after": null, "q": "is:open" } });
    post("/graphql".into(), JSON, body.to_string().into())
}

/// A request of some form.
pub fn made(texts: &Texts, random: &mut Random) -> Sent {
    let mut sent = match random.below(12) {
        0..=3 => get(target(texts, random)),
        4..=8 => {
            let record = record(texts, random, 2);
            post("/v1/items".into(), JSON, record.to_string().into())
        }
        9 => form(texts, random),
        10 => multipart(texts, random),
        _ => graphql(&texts.text("graphql", random)),
    };
    sent.headers[1].1 = random.one_of(&AGENTS).as_bytes().to_vec();
    dress(&mut sent, texts, random);
    sent
}

/// What browsers, proxies and clients add.
fn dress(sent: &mut Sent, texts: &Texts, random: &mut Random) {
    if random.below(3) == 0 {
        let token = texts.filled("Bearer ‹jwt›", random);
        add(sent, "Authorization", &token);
    }
    if random.below(4) == 0 {
        let cookie =
            "sid=‹hex›; theme=dark; csrf=‹b64›; consent=%7B%22ads%22%3Afalse%7D; _ga=GA1.2.‹n›.‹n›";
        let cookie = texts.filled(cookie, random);
        add(sent, "Cookie", &cookie);
    }
    if random.below(4) == 0 {
        let query = escaped(&texts.text("search", random));
        add(
            sent,
            "Referer",
            &format!("https://shop.example.com/find?q={query}"),
        );
    }
    if random.below(4) == 0 {
        let trace = texts.filled("00-‹hex›‹hex›-‹hex›-01", random);
        add(sent, "traceparent", &trace);
        let from = texts.filled("‹ip›, 198.51.100.7", random);
        add(sent, "X-Forwarded-For", &from);
    }
}

fn target(texts: &Texts, random: &mut Random) -> String {
    let nouns = ["items", "users", "orders", "search", "files", "reports"];
    let mut target = format!("/v1/{}", random.one_of(&nouns));
    if random.below(2) == 0 {
        let id = escaped(&texts.filled("‹uuid›", random));
        write!(target, "/{id}").unwrap();
    }
    write!(
        target,
        "?page={}&fields=id,name,items(id)",
        random.below(99)
    )
    .unwrap();
    for _ in 0..random.below(4) {
        let (name, kinds) = random.one_of(&PARAMETERS);
        let text = texts.any(kinds, random);
        write!(target, "&{}={}", escaped(name), escaped(&text)).unwrap();
    }
    target
}

fn record(texts: &Texts, random: &mut Random, depth: usize) -> Value {
    let mut members = Map::new();
    for _ in 0..2 + random.below(6) {
        let (name, kinds) = random.one_of(&MEMBERS);
        let text = texts.any(kinds, random);
        members.insert((*name).into(), text.into());
    }
    members.insert(
        "total".into(),
        (random.below(100_000) as f64 / 100.0).into(),
    );
    members.insert("active".into(), (random.below(2) == 0).into());
    members.insert("deletedAt".into(), Value::Null);
    let count = random.below(4);
    let tags = (0..count).map(|_| Value::from(texts.filled("‹noun›", random)));
    members.insert("tags".into(), tags.collect());
    if depth > 0 {
        let count = random.below(3);
        let items = (0..count).map(|_| record(texts, random, depth - 1));
        members.insert("items".into(), items.collect());
    }
    Value::Object(members)
}

fn form(texts: &Texts, random: &mut Random) -> Sent {
    let mut body = format!("id={}", random.below(999));
    for _ in 0..1 + random.below(5) {
        let (name, kinds) = random.one_of(&MEMBERS);
        let text = texts.any(kinds, random);
        write!(body, "&{name}={}", escaped(&text)).unwrap();
    }
    post("/v1/items".into(), FORM, body.into_bytes())
}

fn multipart(texts: &Texts, random: &mut Random) -> Sent {
    let mark = format!("----WebKitFormBoundary{}", random.hex());
    let note = texts.text("comment", random).replace('\n', "\r\n");
    let name = texts.text("name", random).replace('"', "%22");
    let data = texts.text("csv", random);
    let body = format!(
        "--{mark}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n{note}\r\n\
         --{mark}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}.csv\"\r\n\
         Content-Type: text/csv\r\n\r\n{data}\r\n--{mark}--\r\n"
    );
    let content_type = format!("multipart/form-data; boundary={mark}");
    post("/v1/files".into(), &content_type, body.into_bytes())
}
