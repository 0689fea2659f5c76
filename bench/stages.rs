//! Every pure stage on its own. `bench/run` prints nanoseconds and instructions of each.
//!
//! `all` times every stage. With a stage and a count it runs that stage so often and prints nothing, which is what
//! `bench/run` counts instructions of.

use std::hint::black_box;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Instant;

use jsonwebtoken::Algorithm;
use portcullis::policy::authn::sign::SigningKey;
use portcullis::policy::authn::{Issuer, IssuerSettings, Keys, SignatureCache};
use portcullis::policy::contract::Scratch as ContractScratch;
use portcullis::policy::contract::graphql::{
    Endpoint, Limits, Memory, Persisted, Settings, Sizes, Weights,
};
use portcullis::policy::contract::openapi::{Document, Operation};
use portcullis::policy::contract::schema::{
    Backtracking, Dialect, Schema, Scratch, Undeclared, Wanted,
};
use portcullis::policy::contract::sieve::Bounds;
use portcullis::policy::ratelimit::{Cells, Leases, Quota, Rate, Request, SourcePrefix, Tuning};
use portcullis::policy::route::{self, Routes};
use portcullis::proto::coding::{Coding, Decoder};
use portcullis::proto::encode::{self, Forwarded};
use portcullis::proto::head::RequestHead;
use portcullis::proto::header::SealedNames;
use portcullis::proto::target::Path;
use portcullis::time::Now;
use serde_json::{Value, json};

mod order;

use order::{order, schema};

/// Items of an order of about 1 KB.
const ITEMS: usize = 12;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: Now = Now {
    monotonic_ns: 1_000_000_000,
    unix_s: 1_800_000_000,
};

/// How long each stage is timed, in nanoseconds.
const TIME: u128 = 300_000_000;

type Stage = Box<dyn FnMut()>;

type Make = fn() -> Stage;

/// The stages by name; each is made when it is asked for.
const STAGES: [(&str, Make); 23] = [
    ("parse", parse),
    ("path", path),
    ("route", find),
    ("token_hit", token_hit),
    ("token_miss", token_miss),
    ("limiter", limiter),
    ("contract_1k", || contract(1)),
    ("contract_10k", || contract(13)),
    ("contract_100k", || contract(136)),
    // Undeclared members are taken out: there are none, and one in each record.
    ("strip_1k", || strip(1, false)),
    ("strip_100k", || strip(136, false)),
    ("strip_each_1k", || strip(1, true)),
    ("strip_each_100k", || strip(136, true)),
    // Parameters of a query by their schemas, also where one may backtrack; records while they come
    // in; what gzip has made of a body.
    ("query", || query("^[a-z0-9]{4,16}$")),
    ("query_backtracking", || {
        query("^(?=.*[0-9])[a-z0-9]{4,16}$")
    }),
    ("stream_100k", stream),
    ("inflate_100k", inflate),
    // What serde_json and the `jsonschema` crate take for the same.
    ("tree_1k", || tree(1)),
    ("tree_10k", || tree(13)),
    ("tree_100k", || tree(136)),
    ("graphql", || graphql(1)),
    ("graphql_8", || graphql(8)),
    ("head_rewrite", head_rewrite),
];

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|each| each != "--bench")
        .collect();
    if let [name, count] = arguments.as_slice() {
        let found = STAGES.iter().find(|(stage, _)| stage == name);
        let (Some((_, make)), Ok(count)) = (found, count.parse::<u64>()) else {
            eprintln!("usage: stages [STAGE COUNT]");
            std::process::exit(2);
        };
        let mut stage = make();
        (0..count).for_each(|_| stage());
        return;
    }
    // `cargo test` runs this too, to see that every stage still does.
    let is_timed = std::env::args().any(|each| each == "--bench" || each == "all");
    for (name, make) in STAGES {
        let mut stage = make();
        stage();
        if is_timed {
            println!("{name} {:.1}", nanoseconds(&mut stage));
        }
    }
}

/// The best of several slices: whatever else runs only ever adds.
fn nanoseconds(stage: &mut Stage) -> f64 {
    let mut best = f64::MAX;
    let start = Instant::now();
    while start.elapsed().as_nanos() < TIME {
        let slice = Instant::now();
        (0..200).for_each(|_| stage());
        best = best.min(slice.elapsed().as_nanos() as f64 / 200.0);
    }
    best
}

fn token(key: &SigningKey) -> String {
    let claims = json!({
        "iss": "https://issuer.bank.example", "aud": ["https://api.bank.example"],
        "sub": "8d0f2c1e-7a55-4f0b-9a51-000000000001", "client_id": "mobile-app-1",
        "scope": "openid profile read:accounts write:orders",
        "iat": NOW.unix_s, "nbf": NOW.unix_s, "exp": NOW.unix_s + 3600,
        "jti": "5f1d3a70-11aa-4b8c-8f0e-000000000001", "accounts": ["acc-000001", "savings-000001"],
        "name": "Alexandra Beispiel-Musterfrau", "email": "customer1@mail.example",
        "roles": ["customer", "premium"], "session": "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071",
    });
    key.sign(&claims).expect("a fresh key signs")
}

/// With something as long as a token: nothing here depends on chance, so instructions compare.
fn request() -> Vec<u8> {
    format!(
        "GET /accounts/acc-000001/balances HTTP/1.1\r\nHost: api.bank.example\r\nUser-Agent: \
         bench/1.0\r\nAccept: application/json\r\nAccept-Encoding: identity\r\nAuthorization: \
         Bearer {}\r\n\r\n",
        "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9".repeat(20)
    )
    .into_bytes()
}

fn parse() -> Stage {
    let bytes = request();
    let mut head = RequestHead::default();
    Box::new(move || {
        let complete = head.read(black_box(&bytes));
        assert_eq!(complete, Ok(true));
    })
}

fn path() -> Stage {
    let mut path = Path::default();
    Box::new(move || {
        let outcome = path.read(black_box(b"/accounts/acc-000001/balances"));
        assert!(outcome.is_ok());
    })
}

fn find() -> Stage {
    let mut routes = Routes::default();
    for number in 0..200 {
        let text = format!("/resource-{number}/{{id}}/part");
        let template = route::template(&text).expect("a sound template");
        routes
            .declare(&template, "GET", number)
            .expect("declared once");
    }
    let mut path = Path::default();
    path.read(b"/resource-77/abc/part").expect("a sound path");
    Box::new(move || {
        black_box(routes.find(black_box(&path), b"GET"));
    })
}

fn settings(algorithm: Algorithm) -> IssuerSettings {
    IssuerSettings {
        issuer: "https://issuer.bank.example".to_owned(),
        audiences: vec!["https://api.bank.example".to_owned()],
        algorithms: vec![algorithm],
        leeway_s: 30,
        max_token_size: 4096,
    }
}

/// With a shared secret, whose signatures do not depend on chance: a hit never looks at them.
fn token_hit() -> Stage {
    let secret = [7; 32];
    let keys = Keys::from_secret(&secret, &[Algorithm::HS256]).expect("a sound secret");
    let issuer = Issuer::new(settings(Algorithm::HS256), keys);
    let token = token(&SigningKey::secret(&secret));
    let mut cache = SignatureCache::new(1 << 20);
    Box::new(move || {
        let principal = cache.authenticate(&issuer, black_box(token.as_bytes()), NOW, 1);
        assert!(principal.is_ok());
    })
}

fn token_miss() -> Stage {
    let key = SigningKey::generate().expect("there are random numbers");
    let keys = Keys::from_jwks(&key.jwks(), &[Algorithm::ES256]).expect("a sound key set");
    let issuer = Issuer::new(settings(Algorithm::ES256), keys);
    let token = token(&key);
    Box::new(move || {
        assert!(issuer.verify(black_box(token.as_bytes()), NOW).is_ok());
    })
}

/// One quota for one source, as the request path asks for it: the key included.
fn limiter() -> Stage {
    let rate = Rate::parse("1000000/s").and_then(|rate| rate.with_burst(1_000_000_000));
    let quota = rate
        .and_then(|rate| Quota::new("source", rate))
        .expect("a sound quota");
    let cells = Arc::new(Cells::new(1 << 16));
    let mut leases = Leases::new(Tuning::default());
    let source: IpAddr = [192, 0, 2, 1].into();
    let prefix = SourcePrefix::default();
    let mut now_ns = NOW.monotonic_ns;
    Box::new(move || {
        now_ns += 1_000;
        let key = cells.key(&quota, prefix.key(black_box(source)).as_bytes());
        let request = Request { quota: &quota, key };
        assert!(leases.take(&cells, [request], now_ns).is_ok());
    })
}

fn contract(size: usize) -> Stage {
    let schema = Schema::compile(&schema(), "", Dialect::OpenApi31).expect("a sound schema");
    let body = order(size * ITEMS);
    let mut scratch = Scratch::default();
    Box::new(move || {
        let outcome = schema.check(black_box(body.as_bytes()), &mut scratch);
        assert_eq!(outcome, Ok(()));
    })
}

fn strip(size: usize, has_undeclared: bool) -> Stage {
    let schema = Schema::compile(&schema(), "", Dialect::OpenApi31).expect("a sound schema");
    let declared = order(size * ITEMS);
    let body = match has_undeclared {
        true => declared.replace("\"gift\":", "\"row\":90210,\"gift\":"),
        false => declared.clone(),
    };
    let mut scratch = Scratch::default();
    let wanted = Wanted::of(Undeclared::Stripped);
    let edited = schema.edit(body.as_bytes(), wanted, &mut scratch);
    let edited = edited.expect("a sound body");
    assert_eq!(edited.is_changed, has_undeclared);
    assert!(!has_undeclared || scratch.rewritten() == declared);
    Box::new(move || {
        let edited = schema.edit(black_box(body.as_bytes()), wanted, &mut scratch);
        assert!(edited.is_ok_and(|edited| edited.is_changed == has_undeclared));
    })
}

/// An operation of this method, by its parts in the flow style.
fn operation(method: &str, parts: &str) -> Operation {
    let text = format!(
        "openapi: 3.1.0\npaths:\n  /orders:\n    {method}:\n      operationId: orders\n      {parts}\n"
    );
    let allowed = Backtracking::new(
        ["^(?=.*[0-9])[a-z0-9]{4,16}$".to_owned()],
        Backtracking::STEPS,
    );
    let document = Document::read(FilePath::new("orders.yaml"), &text).expect("a sound document");
    let document = document.with_backtracking(allowed);
    document.operations().expect("sound operations").remove(0)
}

fn query(pattern: &str) -> Stage {
    let parameters = format!(
        "parameters: [{{ name: limit, in: query, schema: {{ type: integer, minimum: 1, maximum: 100 }} }}, \
         {{ name: after, in: query, schema: {{ type: string, pattern: '{pattern}' }} }}, \
         {{ name: state, in: query, schema: {{ type: array, maxItems: 5, items: {{ enum: [open, closed] }} }} }}, \
         {{ name: since, in: query, schema: {{ type: string, format: date }} }}]"
    );
    let contract = operation("get", &parameters).contract;
    let bytes = b"GET /orders?limit=20&after=abc123def&state=open&state=closed&since=2026-11-23 HTTP/1.1\r\n\
                  Host: h\r\n\r\n";
    let mut head = RequestHead::default();
    assert_eq!(head.read(bytes), Ok(true));
    let mut path = Path::default();
    path.read(head.path.of(bytes)).expect("a sound path");
    let mut scratch = ContractScratch::default();
    Box::new(move || {
        let outcome = contract.check_head(&head, black_box(bytes), &path, &mut scratch);
        assert!(outcome.is_ok());
    })
}

/// Records of an order, as they are checked one by one while they come in pieces of 16 KiB.
fn stream() -> Stage {
    let body = format!(
        "requestBody: {{ content: {{ application/x-ndjson: {{ schema: {} }} }} }}",
        schema()
    );
    let mut contract = operation("post", &body).contract;
    let bounds = Bounds {
        body: 1 << 20,
        record: 1 << 16,
    };
    contract.stream(bounds).expect("records");
    let records = format!("{}\n", order(ITEMS)).repeat(104);
    let head = b"POST /orders HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-ndjson\r\n\
                 Transfer-Encoding: chunked\r\n\r\n";
    let mut read = RequestHead::default();
    assert_eq!(read.read(head), Ok(true));
    let mut path = Path::default();
    path.read(read.path.of(head)).expect("a sound path");
    let mut scratch = ContractScratch::default();
    let expected = contract.check_head(&read, head, &path, &mut scratch);
    let expected = expected.expect("a sound head");
    let (mut memory, mut out) = (Scratch::default(), Vec::with_capacity(1 << 17));
    Box::new(move || {
        out.clear();
        let mut sieve = contract.sieve(expected).expect("a body that is streamed");
        for mut piece in black_box(records.as_bytes()).chunks(1 << 14) {
            while !piece.is_empty() {
                let cut = sieve.next(piece, &mut memory, &mut out);
                piece = &piece[cut.expect("a sound record").used..];
            }
        }
        assert_eq!(out.len(), records.len());
    })
}

fn inflate() -> Stage {
    let body = order(136 * ITEMS);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder
        .write_all(body.as_bytes())
        .expect("memory takes all");
    let coded = encoder.finish().expect("memory takes all");
    Box::new(move || {
        let mut decoder = Decoder::new(Coding::Gzip, 1 << 20);
        decoder.feed(black_box(&coded)).expect("a sound body");
        let decoded = decoder.finish().expect("a whole body");
        assert_eq!(decoded.len(), body.len());
    })
}

fn tree(size: usize) -> Stage {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema())
        .expect("a sound schema");
    let body = order(size * ITEMS);
    Box::new(move || {
        let value: Value = serde_json::from_str(black_box(&body)).expect("a sound body");
        assert!(validator.is_valid(&value));
    })
}

/// A query of a page's worth of fields, with variables and fragments, so many times over.
fn graphql(times: usize) -> Stage {
    let limits = Limits {
        fields: 1000,
        aliases: 1000,
        root_fields: 1000,
        cost: 1_000_000,
        ..Limits::default()
    };
    let endpoint = Endpoint::new(Settings {
        limits,
        weights: Weights::new([("Query.account", 5), ("payments", 2)]),
        sizes: Sizes::new(["first", "last", "limit"], [("balances", 10)]),
        introspection: false,
        mutations: true,
        subscriptions: false,
        persisted: Persisted::default(),
        persisted_only: false,
    });
    let account = |index: usize| {
        format!(
            "a{index}: account(id: $id) {{ id owner {{ ...Name }} balances {{ currency amount }} \
             payments(first: $first, after: \"c2\") {{ edges {{ cursor node {{ id amount currency \
             to {{ ...Name }} note }} }} pageInfo {{ hasNextPage endCursor }} }} }}"
        )
    };
    let accounts: Vec<String> = (0..times).map(account).collect();
    let query = format!(
        "query Overview($id: ID!, $first: Int = 20) {{\n{}\n}}\nfragment Name on Person {{ first last }}",
        accounts.join("\n")
    );
    let body = json!({"query": query, "operationName": "Overview", "variables": {"id": "a-1", "first": 10}});
    let body = body.to_string();
    let (mut memory, mut scratch) = (Memory::default(), Scratch::default());
    Box::new(move || {
        let outcome = endpoint.check_body(black_box(body.as_bytes()), &mut memory, &mut scratch);
        assert_eq!(outcome, Ok(()));
    })
}

fn head_rewrite() -> Stage {
    let bytes = request();
    let mut head = RequestHead::default();
    assert_eq!(head.read(&bytes), Ok(true));
    let mut path = Path::default();
    path.read(head.path.of(&bytes)).expect("a sound path");
    let sealed = SealedNames::new([
        "X-User-ID",
        "X-Client-ID",
        "X-Request-ID",
        "traceparent",
        "X-Forwarded-For",
    ]);
    let mut out = Vec::with_capacity(4096);
    Box::new(move || {
        out.clear();
        let forwarded = Forwarded {
            head: &head,
            bytes: black_box(&bytes),
            path: &path,
            sealed: &sealed,
            is_told: false,
            default_host: "backend.example",
            keeps_tracestate: false,
            added_pair: None,
            is_rewritten: false,
            keeps_pair: None,
            is_decoded: false,
            unwanted: None,
        };
        encode::request(&mut out, forwarded);
        encode::finish(&mut out, head.framing);
        black_box(&out);
    })
}
