//! A warm request allocates nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod waf;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis::config;
use portcullis::config::settings::Timeouts;
use portcullis::policy::authn::sign::SigningKey;
use portcullis::policy::contract::graphql::{
    Endpoint, Limits, Memory, Persisted, Settings as GraphqlSettings, Sizes, Weights,
};
use portcullis::policy::contract::schema::{
    Backtracking, Compiler, Dialect, Schema, Scratch, Undeclared, Wanted,
};
use portcullis::shard::listener::{Bound, Settings};
use portcullis::shard::ring::Mode;
use portcullis::shard::upstream::Error;
use portcullis::shard::{Shard, Shared};
use portcullis::telemetry::log::{Log, Sink};
use portcullis::telemetry::metrics::Registry;
use serde_json::json;

/// Counts the allocations of the threads that ask for it.
struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    // A thread that is ending has no such value any more, and is not counted.
    if IS_COUNTED.try_with(Cell::get).unwrap_or(false) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one only counts"
)]
// SAFETY: every call is handed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as asked by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as asked by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as asked by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 65\r\n\r\n\
    {\"account\":\"a-1\",\"balances\":[{\"currency\":\"EUR\",\"amount\":104250}]}";

/// Answers whatever comes in one piece.
fn backend() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut block = [0; 8192];
                while stream.read(&mut block).is_ok_and(|count| count > 0) {
                    if stream.write_all(ANSWER).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_warm_request_allocates_nothing() {
    warm_requests_allocate_nothing("");
    // Nor where undeclared members are looked for, and there are none.
    warm_requests_allocate_nothing(
        "responses = \"strip\"\nunknown_fields = \"strip\"\n\
         mask = [{ format = \"email\", how = \"hash\" }, { pointer = \"/contact\", how = \"fixed\" }]\n",
    );
}

/// `settings`: more of the API.
fn warm_requests_allocate_nothing(settings: &str) {
    let directory =
        std::env::temp_dir().join(format!("portcullis-allocations-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let key = SigningKey::generate().unwrap();
    let text = include_str!("../../loadtest/portcullis/full.toml")
        .replace("{gateway}", "127.0.0.1:0")
        .replace("{admin_port}", "0")
        .replace(
            "owner = \"loadtest\"\n",
            &format!("owner = \"loadtest\"\n{settings}"),
        )
        .replace("{backend}", &backend().to_string());
    assert!(text.contains(settings));
    std::fs::write(directory.join("gateway.toml"), text).unwrap();
    std::fs::write(
        directory.join("api.yaml"),
        // Answers may have what is masked, and the backend's has none of it.
        include_str!("../../loadtest/portcullis/api.yaml").replace(
            "        account: { type",
            "        contact: { type: string, format: email }\n        account: { type",
        ),
    )
    .unwrap();
    std::fs::write(directory.join("bank.jwks.json"), key.jwks()).unwrap();
    let loaded = config::load(&directory.join("gateway.toml"), 1);
    std::fs::remove_dir_all(&directory).unwrap();
    let snapshot = loaded
        .map(|loaded| loaded.snapshot)
        .unwrap_or_else(|found| panic!("{found:?}"));

    let mode = Mode::probe(Mode::DeferTaskrun);
    let registry = Registry::new(1, &Error::names());
    let shared = Shared::new(snapshot, 1, mode).unwrap();
    registry.declare(&shared.published.load());
    let is_draining = shared.is_draining.clone();
    let (log, mut lines) = Log::start(Sink::Call(Box::new(|_| {})), 1).unwrap();
    let long = Duration::from_secs(30);
    let settings = Settings {
        timeouts: Timeouts {
            handshake: long,
            first_byte: long,
            head: long,
            idle: long,
            body: long,
            body_rate: 1,
            exchange: long,
        },
        trusted_peers: Vec::new(),
        tls: None,
        proxy_protocol: false,
    };
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), settings, 1).unwrap();
    let address = bound.address;
    shared.listening.publish(vec![bound]);
    let metrics = registry.shards()[0].clone();
    let line = lines.pop();
    let shard = std::thread::spawn(move || {
        mode.run(async {
            let shard = Shard::new(0, shared, metrics, line);
            IS_COUNTED.set(true);
            shard.run().await;
        })
        .unwrap();
    });

    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let token = key
        .sign(&json!({"iss": "https://issuer.bank.example", "aud": "https://api.bank.example", "sub": "u",
            "client_id": "c", "exp": now + 600, "scope": "read:accounts write:orders", "accounts": ["a-1"]}))
        .unwrap();
    let body =
        json!({"id": "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "created": "2026-11-23T10:15:30Z",
        "currency": "EUR", "customer": {"name": "A", "email": "a@b.example"},
        "items": [{"sku": "SKU-1", "quantity": 1, "price": 19.99}]})
        .to_string();
    let get = format!(
        "GET /accounts/a-1/balances HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let post = format!(
        "POST /accounts/a-1/orders HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(long)).unwrap();
    let mut ask = move |request: &str| {
        let mut block = [0; 8192];
        client.write_all(request.as_bytes()).unwrap();
        // The kernel may interrupt a call for reasons of its own.
        let count = loop {
            match client.read(&mut block) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                outcome => break outcome.unwrap(),
            }
        };
        assert!(
            block[..count].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&block[..count])
        );
    };
    for request in [&get, &post] {
        (0..300).for_each(|_| ask(request));
        let before = COUNT.load(Ordering::Relaxed);
        (0..1000).for_each(|_| ask(request));
        let allocated = COUNT.load(Ordering::Relaxed) - before;
        // The ticker of the runtime is not a request: some fifty times a second it may allocate.
        assert!(
            allocated < 100,
            "{allocated} allocations in 1000 requests: {}",
            &request[..20]
        );
    }
    is_draining.store(true, Ordering::Relaxed);
    shard.join().unwrap();
    log.finish();
}

#[test]
fn a_warm_graphql_query_allocates_nothing() {
    let query = "query Q($n: Int = 5) { me { ...F } a: list(first: $n, by: {last: 2}) { b @x } } \
                 fragment F on T { c }";
    let mut persisted = Persisted::default();
    persisted.add_text(query);
    let endpoint = Endpoint::new(GraphqlSettings {
        limits: Limits::default(),
        weights: Weights::new([("Query.me", 5), ("b", 2)]),
        sizes: Sizes::new(["first", "last"], [("list", 10)]),
        introspection: false,
        mutations: true,
        subscriptions: false,
        persisted,
        persisted_only: true,
    });
    let body = json!({"query": query, "operationName": "Q", "variables": {"n": 3}}).to_string();
    let (mut memory, mut scratch) = (Memory::default(), Scratch::default());
    let mut check = || endpoint.check_body(body.as_bytes(), &mut memory, &mut scratch);
    for _ in 0..10 {
        assert_eq!(check(), Ok(()));
    }
    assert_eq!(
        least_allocations(|| assert_eq!(check(), Ok(()))),
        0,
        "a GraphQL query"
    );
}

/// Other tests count as well, in threads of their own: the least of many runs is ours.
fn least_allocations(mut run: impl FnMut()) -> u64 {
    let counts = (0..100).map(|_| {
        let before = COUNT.load(Ordering::Relaxed);
        IS_COUNTED.set(true);
        run();
        IS_COUNTED.set(false);
        COUNT.load(Ordering::Relaxed) - before
    });
    counts.min().unwrap()
}

/// Bodies of 1 and 100 KB that are valid, by a schema that is walked directly, and by one with
/// alternatives, unique items and an automaton, which is walked along the index.
#[test]
fn a_pattern_that_backtracks_allocates_nothing_once_it_is_warm() {
    let pattern = "^(?=.*[0-9])(?!.*(.)\\1\\1)(?:[a-z0-9]+-?)+$";
    let allowed = Backtracking::new([pattern.to_owned()], Backtracking::STEPS);
    let document = json!({"items": {"type": "string", "pattern": pattern}});
    let compiler = Compiler::new(&document, Dialect::OpenApi31).backtracking(&allowed);
    let schema = compiler.compile("").unwrap();
    let body = serde_json::to_string(&vec!["abc-123-def"; 50]).unwrap();
    let mut scratch = Scratch::default();
    let least = least_allocations(|| {
        assert_eq!(schema.check(body.as_bytes(), &mut scratch), Ok(()));
    });
    assert_eq!(least, 0);
}

#[test]
fn a_valid_body_allocates_nothing() {
    let item = json!({"type": "object", "additionalProperties": false, "required": ["sku", "price"], "properties": {
        "sku": {"type": "string", "pattern": "^[A-Z0-9-]{4,20}$"}, "price": {"type": "number", "multipleOf": 0.01},
        "at": {"type": "string", "format": "date-time"}, "gift": {"type": "boolean"}}});
    let order = |items: serde_json::Value| {
        json!({"type": "object", "additionalProperties": false, "required": ["id", "items"], "properties": {
            "id": {"type": "string", "format": "uuid"}, "note": {"type": "string", "maxLength": 80}, "items": items}})
    };
    let direct = order(json!({"type": "array", "maxItems": 2000, "items": item}));
    let indexed = order(
        json!({"type": "array", "maxItems": 2000, "uniqueItems": true, "items": {"allOf": [item], "oneOf": [
        {"properties": {"gift": {"const": true}}}, {"properties": {"gift": {"const": false}, "sku": {"pattern": "(A|B)?SKU-[0-9]+"}}}]}}),
    );
    let body = |items: usize| {
        let item = |at: usize| json!({"sku": format!("SKU-{at:04}"), "price": 19.99, "at": "2026-11-23T10:15:30Z", "gift": at.is_multiple_of(2)});
        let list: Vec<_> = (0..items).map(item).collect();
        json!({"id": "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "note": "caf\u{e9} \"x\"", "items": list}).to_string()
    };
    for (name, schema) in [("direct", direct), ("index", indexed)] {
        let schema = Schema::compile(&schema, "", Dialect::OpenApi31).unwrap();
        for (items, bytes) in [(12, 1_000), (1_340, 100_000)] {
            let body = body(items);
            assert!(
                (bytes - bytes / 10..bytes + bytes / 10).contains(&body.len()),
                "{}",
                body.len()
            );
            let mut scratch = Scratch::default();
            let mut check = || assert_eq!(schema.check(body.as_bytes(), &mut scratch), Ok(()));
            (0..10).for_each(|_| check());
            assert_eq!(least_allocations(check), 0, "{name}, {} bytes", body.len());
            let wanted = Wanted::of(Undeclared::Stripped);
            let mut edit = || {
                let edited = schema.edit(body.as_bytes(), wanted, &mut scratch);
                assert!(edited.is_ok_and(|edited| !edited.is_changed));
            };
            (0..10).for_each(|_| edit());
            assert_eq!(
                least_allocations(edit),
                0,
                "{name} edited, {} bytes",
                body.len()
            );
        }
    }
}
