//! Fuzz targets over kept inputs: every file of `tests/fuzz/<target>/` is replayed, and mutations
//! of it that are the same in every run.

use std::path::{Path, PathBuf};

use portcullis::policy::authn::sign::SigningKey;
use portcullis::policy::authn::{Issuer, IssuerSettings, Keys};
use portcullis::policy::contract::openapi::Document;
use portcullis::policy::contract::schema::{
    Backtracking, Compiler, Dialect, Direction, Schema, Scratch, Undeclared, Wanted,
};
use portcullis::proto::body::{Chunked, Framing};
use portcullis::proto::encode::{self, Forwarded};
use portcullis::proto::head::{RequestHead, ResponseHead};
use portcullis::proto::header::SealedNames;
use portcullis::proto::query;
use portcullis::proto::target::Path as Target;
use portcullis::proto::transcode::Transcoder;
use portcullis::time::Now;

use serde_json::{Value, json};

use crate::golden::{decide, policy, state};
use crate::reference::reference;

/// Mutations of each kept input.
const MUTATIONS: usize = 400;

pub fn inputs(target: &str) -> Vec<Vec<u8>> {
    let directory: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz")
        .join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let found: Vec<_> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    assert!(found.len() >= 8, "only {} inputs for {target}", found.len());
    found
}

/// Runs a target over all kept inputs and what comes of them.
pub fn fuzz(target: &str, mut run: impl FnMut(&[u8])) {
    let inputs = inputs(target);
    let mut random = fastrand::Rng::with_seed(0x0BAD_5EED);
    for input in &inputs {
        run(input);
        for _ in 0..MUTATIONS {
            run(&mutated(input, &inputs, &mut random));
        }
    }
}

pub fn mutated(input: &[u8], others: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=bytes.len());
        match random.u8(..6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            2 => bytes.insert(
                at,
                *random.choice(b"\r\n :;,%/{}\"\\\0\xff019aZ").unwrap_or(&0),
            ),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => {
                let end = random.usize(at..=bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let other = &others[random.usize(..others.len())];
                bytes.extend_from_slice(&other[random.usize(..=other.len())..]);
            }
        }
    }
    bytes
}

#[test]
fn request_heads() {
    let sealed = SealedNames::new(["X-User-ID"]);
    fuzz("request", |bytes| {
        let mut head = RequestHead::default();
        if head.read(bytes) != Ok(true) {
            return;
        }
        let mut path = Target::default();
        if path.read(head.path.of(bytes)).is_err() {
            return;
        }
        let mut out = Vec::new();
        let forwarded = Forwarded {
            head: &head,
            bytes,
            path: &path,
            sealed: &sealed,
            is_told: false,
            default_host: "backend.example",
            keeps_tracestate: true,
            added_pair: None,
            is_rewritten: false,
            keeps_pair: None,
            is_decoded: false,
            unwanted: None,
        };
        encode::request(&mut out, forwarded);
        encode::finish(&mut out, head.framing);
        // What is sent reads back as the same request.
        let mut again = RequestHead::default();
        assert_eq!(
            again.read(&out),
            Ok(true),
            "{:?}",
            String::from_utf8_lossy(&out)
        );
        assert_eq!(again.length, out.len());
        assert_eq!(again.framing, head.framing);
        assert_eq!(again.method(&out), head.method(bytes));
        let host = match head.host.of(bytes) {
            b"" => again.host.of(&out),
            host => host,
        };
        assert_eq!(again.host.of(&out), host);
        let mut canonical = Target::default();
        assert_eq!(canonical.read(again.path.of(&out)), Ok(()));
        assert_eq!(canonical, path);
    });
}

#[test]
fn response_heads() {
    fuzz("response", |bytes| {
        for to_head in [false, true] {
            let mut head = ResponseHead::default();
            if head.read(bytes, to_head) != Ok(true) {
                continue;
            }
            let mut out = Vec::new();
            encode::response(&mut out, bytes, &head, |_| true);
            encode::finish(&mut out, head.framing);
            let mut again = ResponseHead::default();
            assert_eq!(
                again.read(&out, to_head),
                Ok(true),
                "{:?}",
                String::from_utf8_lossy(&out)
            );
            assert_eq!((again.status, again.length), (head.status, out.len()));
        }
    });
}

#[test]
fn chunked_bodies() {
    fuzz("chunked", |bytes| {
        let mut whole = Vec::new();
        let mut coder = Transcoder::new(Framing::Chunked, Framing::None);
        let outcome = coder.feed(bytes, &mut whole);
        // Byte by byte the same content comes out, and the same error.
        let (mut single, mut pieces) =
            (Transcoder::new(Framing::Chunked, Framing::None), Vec::new());
        let mut failed = None;
        for byte in bytes {
            match single.feed(&[*byte], &mut pieces) {
                Ok(_) => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        assert_eq!(outcome.err(), failed);
        assert_eq!(whole, pieces);
        assert_eq!(
            coder.is_done() || failed.is_some(),
            single.is_done() || failed.is_some()
        );
        let _ = Chunked::default().next(bytes);
    });
}

#[test]
fn paths_and_queries() {
    fuzz("target", |bytes| {
        let mut path = Target::default();
        if path.read(bytes).is_ok() {
            let mut again = Target::default();
            assert_eq!(again.read(path.wire().as_bytes()), Ok(()));
            assert_eq!(again, path, "a canonical path stays canonical");
        }
        for (name, value) in query::pairs(bytes) {
            let _ = (query::decode(name), query::decode(value));
        }
    });
}

#[test]
fn tokens() {
    let key = SigningKey::generate().unwrap();
    let algorithms = vec![jsonwebtoken::Algorithm::ES256];
    let keys = Keys::from_jwks(&key.jwks(), &algorithms).unwrap();
    let settings = IssuerSettings {
        issuer: "bank".to_owned(),
        audiences: vec!["api".to_owned()],
        algorithms,
        leeway_s: 0,
        max_token_size: 4096,
    };
    let issuer = Issuer::new(settings, keys);
    let now = Now {
        monotonic_ns: 0,
        unix_s: 1_800_000_000,
    };
    // Nothing of it is signed by this key.
    fuzz("token", |bytes| assert!(issuer.verify(bytes, now).is_err()));
    fuzz("jwks", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = Keys::from_jwks(
            &text,
            &[
                jsonwebtoken::Algorithm::ES256,
                jsonwebtoken::Algorithm::RS256,
            ],
        );
        let _ = Keys::from_pem(&text, &[jsonwebtoken::Algorithm::ES256]);
    });
}

#[test]
fn bodies_against_a_schema() {
    let schema = serde_json::json!({"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": "#"}},
        "b": {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "number", "maximum": 9}]}}});
    let schema = Schema::compile(&schema, "", Dialect::OpenApi31).unwrap();
    let mut scratch = Scratch::default();
    fuzz("json", |bytes| {
        let accepted = schema.check(bytes, &mut scratch).is_ok();
        // A reader that is not ours takes it for JSON too.
        let other = serde_json::from_slice::<&serde_json::value::RawValue>(bytes);
        assert!(
            !accepted || other.is_ok(),
            "{:?} {other:?}",
            String::from_utf8_lossy(bytes)
        );
    });
}

/// Whatever passes is a document of few words, and reads in the same way again.
#[test]
fn graphql() {
    use portcullis::policy::contract::graphql::{
        Endpoint, Limits, Memory, Persisted, Settings, Sizes, Weights,
    };
    let mut persisted = Persisted::default();
    persisted.add_text("query Menu { drinks { name } }");
    let endpoint = Endpoint::new(Settings {
        limits: Limits {
            batch: 2,
            ..Limits::default()
        },
        weights: Weights::new([("a", 2), ("T.x", 3)]),
        sizes: Sizes::new(["first", "last", "limit"], [("b", 2)]),
        introspection: false,
        mutations: true,
        subscriptions: true,
        persisted,
        persisted_only: false,
    });
    let (mut memory, mut scratch) = (Memory::default(), Scratch::default());
    fuzz("graphql", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let body = serde_json::json!({ "query": text }).to_string();
        for body in [bytes, body.as_bytes()] {
            let first = endpoint.check_body(body, &mut memory, &mut scratch);
            let again = endpoint.check_body(body, &mut Memory::default(), &mut scratch);
            assert_eq!(first, again);
        }
        let _ = endpoint.check_query(bytes, &mut memory, &mut scratch);
        let _ = endpoint.check_persisted(&text);
    });
}

/// What stripping leaves is valid, is what a reading by values leaves, is left as it is when it is
/// stripped again, and has lost bytes only.
#[test]
fn stripped_bodies() {
    let closed = json!({"type": "object", "properties": {"a": {}, "b": {"properties": {"a": {}}}},
        "additionalProperties": false});
    let silent = json!({"properties": {"a": {"items": {"properties": {"a": {}}}}, "kind": {}}});
    let documents = [
        json!({"allOf": [silent, {"properties": {"b": closed}}]}),
        json!({"properties": {"a": closed, "b": silent}, "additionalProperties": silent}),
        json!({"oneOf": [
            {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "x"}, "a": closed}},
            {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "y"}, "b": silent},
                "additionalProperties": false}]}),
        json!({"items": {"properties": {"a": {"properties": {"b": {}}, "additionalProperties": true}}}}),
    ];
    let schemas = documents.each_ref().map(|document| {
        let compiled = Schema::compile(document, "", Dialect::OpenApi31);
        compiled.unwrap_or_else(|errors| panic!("{errors:?}"))
    });
    let mut scratch = Scratch::default();
    let mut stripped = 0;
    fuzz("strip", |bytes| {
        let Some((&choice, body)) = bytes.split_first() else {
            return;
        };
        let at = usize::from(choice) % schemas.len();
        let (schema, wanted) = (&schemas[at], Wanted::of(Undeclared::Stripped));
        let Ok(edited) = schema.edit(body, wanted, &mut scratch) else {
            return;
        };
        let left = match edited.is_changed {
            true => scratch.rewritten().as_bytes().to_vec(),
            false => body.to_vec(),
        };
        stripped += usize::from(edited.is_changed);
        // Numbers beyond all machines are JSON, but not for the other reader.
        let (Ok(before), Ok(after)) = (
            serde_json::from_slice::<Value>(body),
            serde_json::from_slice::<Value>(&left),
        ) else {
            return;
        };
        let shown = String::from_utf8_lossy(body);
        assert_eq!(after, reference(&[&documents[at]], &before), "{shown}");
        assert!(schema.check(&left, &mut scratch).is_ok(), "{shown}");
        let again = schema.edit(&left, wanted, &mut scratch);
        assert!(again.is_ok_and(|again| !again.is_changed), "{shown}");
        let mut rest = body.iter();
        assert!(left.iter().all(|byte| rest.any(|other| other == byte)));
    });
    assert!(stripped > 200, "only {stripped} bodies were changed");
}

/// One that the direct walk takes whole: what it accepts the walk along the index, two other
/// readers of JSON and another validator accept as well.
#[test]
fn bodies_read_directly() {
    let schema = serde_json::json!({"additionalProperties": {"anyOf": [{}]}, "properties": {
        "a": {"type": ["array", "integer", "null"], "items": {"type": ["number", "string", "object", "array"], "maximum": 1000}},
        "b": {"type": "string", "maxLength": 8}, "c": {"enum": ["x", 1, null]}}});
    let plain = {
        let mut plain = schema.clone();
        plain["additionalProperties"] = serde_json::json!({});
        plain
    };
    let reference = jsonschema::validator_for(&schema).unwrap();
    let [direct, indexed] =
        [&plain, &schema].map(|each| Schema::compile(each, "", Dialect::OpenApi31).unwrap());
    let mut scratch = Scratch::default();
    fuzz("json", |bytes| {
        let accepted = direct.check(bytes, &mut scratch).is_ok();
        let told = String::from_utf8_lossy(bytes);
        assert_eq!(
            accepted,
            indexed.check(bytes, &mut scratch).is_ok(),
            "{told:?}"
        );
        assert_eq!(
            accepted,
            direct.violations(bytes, 1, &mut scratch).is_empty(),
            "{told:?}"
        );
        if accepted {
            let other = serde_json::from_slice::<&serde_json::value::RawValue>(bytes);
            assert!(other.is_ok(), "{told:?} {other:?}");
            // Numbers beyond the range of a double are no values there.
            if let Ok(value) = serde_json::from_slice(bytes) {
                assert!(reference.is_valid(&value), "{told:?}");
            }
        }
    });
}

/// Schemas of every kind of keyword that a body of `tests/fuzz/json` or what comes of it may meet.
fn compared() -> Vec<Value> {
    vec![
        json!({"type": ["object", "array"], "minProperties": 1, "maxProperties": 3, "minItems": 2, "uniqueItems": true}),
        json!({"properties": {"a": {"type": "integer", "readOnly": true}, "b": {"type": "string", "writeOnly": true}},
            "patternProperties": {"^[a-c]$": {"not": {"type": "boolean"}}}, "unevaluatedProperties": {"type": ["number", "array", "object"]}}),
        json!({"oneOf": [{"type": "object", "required": ["a"]}, {"type": "object", "required": ["b"]}, {"type": "array", "contains": {"type": "number"}}]}),
        json!({"if": {"type": "object"}, "then": {"propertyNames": {"maxLength": 2}, "dependentRequired": {"a": ["b"]}},
            "else": {"prefixItems": [{"type": "number"}], "items": {"type": ["string", "null", "array"]}}}),
        json!({"$defs": {"node": {"anyOf": [{"type": "object", "additionalProperties": {"$ref": "#/$defs/node"}},
            {"type": "array", "items": {"$ref": "#/$defs/node"}}, {"type": "number", "exclusiveMaximum": 1000}, {"enum": ["x", true, null]}]}},
            "$ref": "#/$defs/node"}),
    ]
}

/// Members of the other direction are none that a schema knows.
fn directed(schema: &Value, keyword: &str) -> Value {
    match schema {
        Value::Object(map) if map.get(keyword) == Some(&Value::Bool(true)) => Value::Bool(false),
        Value::Object(map) => {
            let members = map.iter();
            members
                .map(|(name, value)| (name.clone(), directed(value, keyword)))
                .collect()
        }
        Value::Array(list) => list.iter().map(|value| directed(value, keyword)).collect(),
        other => other.clone(),
    }
}

/// A body is accepted exactly where another validator accepts it, in requests and in responses.
#[test]
fn bodies_against_another_validator() {
    let both = [
        (Direction::Request, "readOnly"),
        (Direction::Response, "writeOnly"),
    ];
    let schemas = compared();
    let pairs: Vec<_> = schemas
        .iter()
        .flat_map(|schema| both.map(|(direction, other)| (schema, direction, other)))
        .map(|(schema, direction, other)| {
            let compiler = Compiler::new(schema, Dialect::OpenApi31).direction(direction);
            let reference = jsonschema::validator_for(&directed(schema, other)).unwrap();
            (compiler.compile("").unwrap(), reference)
        })
        .collect();
    let (mut scratch, mut accepted, mut refused) = (Scratch::default(), 0, 0);
    fuzz("json", |bytes| {
        let read = serde_json::from_slice::<Value>(bytes).ok();
        // Names once, and numbers as others read them.
        let text = read.as_ref().map(Value::to_string);
        for (ours, reference) in &pairs {
            if ours.check(bytes, &mut scratch).is_ok()
                && let Some(value) = &read
            {
                let told = String::from_utf8_lossy(bytes);
                assert!(reference.is_valid(value), "{told:?}");
            }
            if let (Some(value), Some(text)) = (&read, &text) {
                let holds = ours.check(text.as_bytes(), &mut scratch);
                let depth = text.bytes().filter(|byte| b"[{".contains(byte)).count();
                if depth < 60 {
                    assert_eq!(holds.is_ok(), reference.is_valid(value), "{text} {holds:?}");
                }
                *if holds.is_ok() {
                    &mut accepted
                } else {
                    &mut refused
                } += 1;
            }
        }
    });
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} {refused}");
}

/// Whatever is written as a schema compiles or is refused with a reason, in bounded time, and what
/// compiles can be checked against.
#[test]
fn schemas() {
    let mut scratch = Scratch::default();
    fuzz("schema", |bytes| {
        let Ok(schema) = serde_json::from_slice::<serde_json::Value>(bytes) else {
            return;
        };
        let start = std::time::Instant::now();
        for dialect in [Dialect::OpenApi30, Dialect::OpenApi31] {
            match Schema::compile(&schema, "", dialect) {
                Ok(schema) => {
                    for body in [
                        &b"{\"a\":[1,\"b\",{}]}"[..],
                        b"[[],0.5,null]",
                        b"\"text\"",
                        bytes,
                    ] {
                        let holds = schema.check(body, &mut scratch).is_ok();
                        let faults = schema.violations(body, 4, &mut scratch);
                        assert_eq!(
                            holds,
                            faults.is_empty(),
                            "{:?}",
                            String::from_utf8_lossy(bytes)
                        );
                    }
                }
                Err(errors) => assert!(!errors.is_empty()),
            }
        }
        assert!(
            start.elapsed().as_secs() < 5,
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    });
}

/// A pattern in the first line and a text in the others: it is a pattern or is refused, and of it and
/// its opposite exactly one holds, unless neither is known.
#[test]
fn patterns() {
    let mut scratch = Scratch::default();
    fuzz("pattern", |bytes| {
        let input = String::from_utf8_lossy(bytes);
        let (pattern, text) = input.split_once('\n').unwrap_or((&input, ""));
        let allowed = Backtracking::new([pattern.to_owned()], 20_000);
        let start = std::time::Instant::now();
        let mut holds = |schema: serde_json::Value| {
            let compiler = Compiler::new(&schema, Dialect::OpenApi31).backtracking(&allowed);
            let schema = compiler.compile("").ok()?;
            let body = serde_json::Value::from(text).to_string();
            let outcome = schema.check(body.as_bytes(), &mut scratch);
            let faults = schema.violations(body.as_bytes(), 1, &mut scratch);
            assert_eq!(outcome.is_ok(), faults.is_empty(), "{input}");
            Some(outcome.map_err(|violation| violation.keyword))
        };
        let own = holds(json!({ "pattern": pattern }));
        let other = holds(json!({"not": {"pattern": pattern}}));
        match (own, other) {
            (None, None) => {}
            (Some(Ok(())), Some(Err("not"))) | (Some(Err("pattern")), Some(Ok(()))) => {}
            (Some(Err("pattern steps")), Some(Err("pattern steps"))) => {}
            (own, other) => panic!("{input}: {own:?} {other:?}"),
        }
        assert!(start.elapsed().as_secs() < 5, "{input}");
    });
}

#[test]
fn documents() {
    fuzz("openapi", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(document) = Document::read(Path::new("x.yaml"), &text) {
            let _ = document.operations();
        }
    });
}

#[test]
fn configurations() {
    let directory = crate::process::Directory::new("fuzz");
    fuzz("config", |bytes| {
        let path = directory.0.join("gateway.toml");
        std::fs::write(&path, bytes).unwrap();
        if let Err(found) = portcullis::config::load(&path, 1) {
            assert!(!found.is_empty());
        }
    });
}

#[test]
fn the_whole_pipeline() {
    let (snapshot, _key) = policy("fuzz-pipeline");
    let mut state = state();
    fuzz("request", |bytes| {
        if let Ok((_, sent)) = decide(&snapshot, &mut state, bytes) {
            let mut head = RequestHead::default();
            assert_eq!(head.read(&sent), Ok(true));
            assert_eq!(head.length, sent.len());
        }
    });
}

/// What one header says is told by no more bytes than it has, and is an address or nobody.
#[test]
fn proxy_protocol() {
    use portcullis::proto::proxy_protocol::{
        FIRST, FIXED, Version, carried, read_binary, read_line, version,
    };
    fuzz("proxy_protocol", |bytes| {
        let told = version(bytes.get(..FIRST).unwrap_or(bytes));
        match (told, bytes.split_first_chunk::<FIXED>()) {
            (Ok(Version::Two), Some((fixed, rest))) => {
                if let Ok(length) = carried(fixed) {
                    let whole = rest.get(..length).unwrap_or(rest);
                    let _ = read_binary(fixed, whole);
                }
            }
            (Ok(Version::One), _) => {
                let end = bytes.iter().position(|&byte| byte == b'\n');
                if read_line(&bytes[..end.map_or(bytes.len(), |end| end + 1)]).is_ok() {
                    assert!(bytes.starts_with(b"PROXY "));
                }
            }
            _ => {}
        }
    });
}

/// A chain begins at the peer, goes on only behind trusted addresses, and what is written of it
/// reads back as a head.
#[test]
fn forwarded() {
    use portcullis::proto::forwarded::Chain;
    let peer = std::net::IpAddr::from([10, 0, 0, 1]);
    let is_trusted = |address: std::net::IpAddr| address.to_string().starts_with("10.");
    fuzz("forwarded", |bytes| {
        let mut head = RequestHead::default();
        if head.read(bytes) != Ok(true) {
            return;
        }
        let mut chain = Chain::default();
        chain.read((peer, false), Some((&head, bytes)), is_trusted);
        let mut out = b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec();
        chain.write(&mut out);
        out.extend_from_slice(b"\r\n");
        let mut written = RequestHead::default();
        assert_eq!(written.read(&out), Ok(true));
        // Read again by the next gateway, it is the same source.
        let mut again = Chain::default();
        again.read((peer, false), Some((&written, &out)), is_trusted);
        assert_eq!(again.source(), chain.source());
        chain.read((peer, false), None, is_trusted);
        assert_eq!(chain.source(), peer);
    });
}

/// Whatever is asked, the answer that is expected is one letter string of 28.
#[test]
fn websocket() {
    use portcullis::proto::websocket;
    fuzz("websocket", |bytes| {
        let mut head = RequestHead::default();
        if head.read(bytes) == Ok(true)
            && let Ok(Some(accept)) = websocket::asked(&head, bytes)
        {
            assert_eq!(head.method(bytes), b"GET");
            assert_eq!(head.framing, Framing::None);
            assert_eq!(websocket::asked(&head, bytes), Ok(Some(accept)));
        }
    });
}

/// Any split gives the same outcome.
#[test]
fn websocket_frames() {
    use portcullis::proto::websocket::frames::{Frames, Rules};
    fuzz("websocket_frames", |bytes| {
        let Some((&split, bytes)) = bytes.split_first() else {
            return;
        };
        let rules = Rules {
            most: 1 << 16,
            is_extended: split & 1 == 1,
        };
        let new = || match split & 2 {
            0 => Frames::of_client(rules),
            _ => Frames::of_server(rules),
        };
        let mut whole = new();
        let outcome = whole.follow(bytes);
        let mut parts = new();
        let in_parts = bytes
            .chunks(usize::from(split) + 1)
            .try_for_each(|part| parts.follow(part));
        assert_eq!(outcome, in_parts);
        if outcome.is_ok() {
            assert_eq!(whole.is_between(), parts.is_between());
        }
    });
}

/// A document whose one operation has these parameters and this body.
fn contract(inside: &str) -> portcullis::policy::contract::Contract {
    let text = format!("openapi: 3.1.0\npaths:\n  /a:\n    post:\n      operationId: a\n{inside}");
    let document = Document::read(Path::new("a.yaml"), &text).unwrap();
    let mut operations = document
        .operations()
        .unwrap_or_else(|found| panic!("{found:#?}"));
    operations.remove(0).contract
}

/// Checks a request for `target` with a body.
fn checked(
    contract: &portcullis::policy::contract::Contract,
    (target, fields): (&[u8], &str),
    body: &[u8],
) -> Option<bool> {
    let framing = format!("Content-Length: {}\r\n", body.len());
    let parts = [
        b"POST ",
        target,
        b" HTTP/1.1\r\nHost: h\r\n",
        fields.as_bytes(),
        framing.as_bytes(),
        b"\r\n",
    ];
    let bytes = parts.concat();
    let mut head = RequestHead::default();
    if head.read(&bytes) != Ok(true) {
        return None;
    }
    let mut path = Target::default();
    path.read(head.path.of(&bytes)).ok()?;
    let mut scratch = portcullis::policy::contract::Scratch::default();
    let expected = contract.check_head(&head, &bytes, &path, &mut scratch);
    let outcome = expected.and_then(|expected| contract.check_body(expected, body, &mut scratch));
    Some(outcome.is_ok())
}

/// What is left of a query without what is undeclared passes where nothing undeclared does.
#[test]
fn parameters() {
    use portcullis::policy::contract::parameters::Unknown;
    let inside = r"      parameters:
        - { name: id, in: query, explode: false, schema: { type: array, items: { type: integer } } }
        - { name: filter, in: query, style: deepObject, schema: { type: object, properties: { state: { enum: [open, closed] }, after: { type: string, format: date } } } }
        - { name: where, in: query, content: { application/json: {} } }
        - { name: color, in: query, style: spaceDelimited, schema: { type: array, items: { type: string } } }
        - { name: bar, in: query, style: pipeDelimited, schema: { type: array, items: { type: string } } }
        - { name: rgb, in: query, schema: { type: object, properties: { R: { type: integer }, G: { type: integer }, B: {} } } }
";
    let (strict, lenient) = (
        contract(inside),
        contract(inside).with_unknown_query(Unknown::Strip),
    );
    fuzz("parameters", |query| {
        let target = |query: &[u8]| [b"/a?", query].concat();
        let passes = checked(&lenient, (&target(query), ""), b"") == Some(true);
        let declared = lenient.strips_query().unwrap();
        let kept: Vec<_> = query
            .split(|&byte| byte == b'&')
            .filter(|pair| declared.declares(pair))
            .collect();
        if passes {
            let kept = kept.join(&b'&');
            assert_eq!(checked(&strict, (&target(&kept), ""), b""), Some(true));
        }
        if checked(&strict, (&target(query), ""), b"") == Some(true) {
            assert!(passes && kept.join(&b'&') == query);
        }
    });
}

/// A form that passes has declared fields only, by a reader of another kind.
#[test]
fn forms() {
    let inside = r"      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema: { type: object, properties: { id: { type: integer }, name: { type: string }, tags: { type: array, items: { type: string } }, at: { type: object }, deep: { type: object, properties: { k: { type: boolean } } }, list: { type: array, items: { type: integer } } } }
            encoding: { deep: { style: deepObject }, list: { style: form, explode: false } }
";
    let contract = contract(inside);
    let fields = "Content-Type: application/x-www-form-urlencoded\r\n";
    fuzz("form", |body| {
        if body.is_empty() || checked(&contract, (b"/a", fields), body) != Some(true) {
            return;
        }
        let text = std::str::from_utf8(body).unwrap();
        let mut seen = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (plain(name), plain(value));
            let is_known = ["id", "name", "tags", "at", "deep[k]", "list"].contains(&&*name);
            assert!(is_known, "{name} in {text}");
            assert!(
                name == "tags" || !seen.contains(&name),
                "{name} twice in {text}"
            );
            match &*name {
                "id" => assert!(value.parse::<f64>().is_ok()),
                "deep[k]" => assert!(value == "true" || value == "false"),
                "at" => assert!(serde_json::from_str::<Value>(&value).unwrap().is_object()),
                _ => {}
            }
            seen.push(name);
        }
    });
}

fn plain(encoded: &str) -> String {
    query::decode(encoded.as_bytes()).unwrap().into_owned()
}

/// A multipart body that passes has the parts that a plain split at the delimiter finds.
#[test]
fn multipart() {
    use portcullis::proto::multipart::Parts;
    let inside = r"      requestBody:
        content:
          multipart/form-data:
            schema: { type: object, properties: { note: { type: string }, count: { type: integer }, file: { type: string, format: binary }, meta: { type: object } } }
";
    let contract = contract(inside);
    fuzz("multipart", |body| {
        let Ok(parts) = Parts::new(body, b"b") else {
            return;
        };
        let parts: Result<Vec<_>, _> = parts.collect();
        let fields = "Content-Type: multipart/form-data; boundary=b\r\n";
        let passes = checked(&contract, (b"/a", fields), body) == Some(true);
        let Ok(parts) = parts else {
            assert!(!passes);
            return;
        };
        let mut again = Vec::new();
        for part in &parts {
            again.extend_from_slice(b"--b\r\n");
            again.extend_from_slice(part.lines);
            again.extend_from_slice(b"\r\n\r\n");
            again.extend_from_slice(part.content);
            again.extend_from_slice(b"\r\n");
        }
        again.extend_from_slice(b"--b--");
        assert_eq!(body.strip_suffix(b"\r\n").unwrap_or(body), again);
        if passes {
            for part in parts {
                let name = part.head().unwrap().name.unwrap();
                assert!([&b"note"[..], b"count", b"file", b"meta"].contains(&name));
            }
        }
    });
}

/// Any split of a coded body gives the same, and what comes out is bounded.
#[test]
fn codings() {
    use portcullis::proto::coding::{Coding, Decoder, Fault};
    let decode = |coding, bytes: &[u8], step: usize| {
        let mut decoder = Decoder::new(coding, 4096);
        let outcome = bytes.chunks(step).try_for_each(|piece| decoder.feed(piece));
        outcome.and_then(|()| decoder.finish())
    };
    fuzz("coding", |bytes| {
        for coding in Coding::ALL {
            let whole = decode(coding, bytes, bytes.len().max(1));
            for step in [1, 2, 7] {
                // Which of two faults is met first may depend on it, a verdict does not.
                assert_eq!(decode(coding, bytes, step).ok(), whole.clone().ok());
            }
            match whole {
                Ok(content) => assert!(content.len() <= 4096),
                Err(Fault::Malformed | Fault::TooLarge) => {}
            }
        }
    });
}

/// Any split of a body of records gives the verdict on the whole, and nothing else goes on.
#[test]
fn records() {
    use portcullis::policy::contract::body::Content;
    use portcullis::policy::contract::sieve::{Bounds, Records, Sieve};
    let schema = json!({"type": "array", "maxItems": 8, "items": {"type": ["integer", "string",
        "boolean", "null", "array", "object"], "maximum": 9, "properties": {"a": {"type": "integer"}}}});
    let schema = Schema::compile(&schema, "", Dialect::OpenApi31).unwrap();
    let content = Content::Json(schema);
    let records = Records::of(&content).unwrap();
    let Content::Json(schema) = &content else {
        unreachable!()
    };
    let bounds = Bounds {
        body: 1 << 20,
        record: 1 << 20,
    };
    let mut scratch = Scratch::default();
    fuzz("records", |bytes| {
        let holds = schema.check(bytes, &mut scratch).is_ok();
        for step in [1, 2, 7, bytes.len().max(1)] {
            let mut sieve = Sieve::new(records, schema, bounds, true);
            let mut out = Vec::new();
            let mut pieces = bytes.chunks(step);
            let fed = pieces.try_for_each(|piece| {
                let mut rest = piece;
                while !rest.is_empty() {
                    rest = &rest[sieve.next(rest, &mut scratch, &mut out)?.used..];
                }
                Ok(())
            });
            let outcome = fed.and_then(|()| sieve.finish(&mut scratch, &mut out));
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(outcome.is_ok(), holds, "{text:?} {outcome:?}");
            assert!(bytes.starts_with(&out), "{text:?}");
            assert!(!holds || out == bytes, "{text:?}");
        }
    });
}
