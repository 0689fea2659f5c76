//! What the OWASP Core Rule Set costs per request. Needs PORTCULLIS_CONFORMANCE, as the
//! conformance tests do.
//!
//! `cold`: no value was seen before. `warm`: all were. Parsing of bodies is part of both, except
//! where a row says otherwise. Times are medians of single requests.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use portcullis::policy::waf::draft::Engine;
use portcullis::policy::waf::inspection::{Inspection, Tuning};
use portcullis::policy::waf::load::{Settings, load};
use portcullis::policy::waf::memory::Memory;
use portcullis::policy::waf::message::{Headers, Request};
use portcullis::policy::waf::rule::RuleSet;
use portcullis::policy::waf::seclang::Files;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let Some(root) = std::env::var_os("PORTCULLIS_CONFORMANCE") else {
        eprintln!("rules: PORTCULLIS_CONFORMANCE is not set: NOTHING IS MEASURED HERE");
        return;
    };
    let root = Path::new(&root).join("crs-v4");
    for level in ["1", "2", "4"] {
        let started = Instant::now();
        let rules = rules(&root, level);
        let loading = started.elapsed();
        let (behind, with_texts, forms) = rules.extent();
        println!(
            "paranoia level {level}: {} rules run, {behind} behind the prefilter, {with_texts} with texts, {forms} steps; loaded in {} ms",
            rules.len(),
            loading.as_millis()
        );
        benign(&rules);
        if level != "4" && std::env::var_os("RULES_ONLY").is_none() {
            adversarial(&rules);
        }
    }
}

fn rules(root: &Path, level: &str) -> RuleSet {
    let root = root.display();
    let main = format!("Include {root}/crs-setup.conf.example\nInclude {root}/rules/*.conf\n");
    let read = |path: &str| match path {
        "main" => Ok(main.clone().into_bytes()),
        path => std::fs::read(path).map_err(|error| error.to_string()),
    };
    let list = |folder: &str| {
        let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path().to_str()?.to_owned()));
        Ok(paths.collect())
    };
    let files = Files {
        read: &read,
        list: &list,
    };
    let variables = [
        ("blocking_paranoia_level", level),
        ("allowed_methods", "GET HEAD POST OPTIONS PUT PATCH DELETE"),
    ];
    let settings = Settings {
        variables: &variables,
        ..Settings::default()
    };
    match load(&["main"], files, &settings) {
        Ok(loaded) => loaded.rules,
        Err(errors) => panic!("{}", errors[0]),
    }
}

const FIELDS: [(&[u8], &[u8]); 6] = [
    (b"Host", b"api.example.com"),
    (b"User-Agent", b"shop-mobile/4.12.0 (Android 14; Pixel 8)"),
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"X-Request-Id", b"0b1f6f6e-8f0e-4c8f-9a53-7d3f5a2f8c11"),
    (
        b"Authorization",
        b"Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1LTE3In0.c2lnbmF0dXJl",
    ),
];

struct Message {
    name: &'static str,
    method: &'static [u8],
    target: &'static [u8],
    content_type: Option<&'static [u8]>,
    body: Vec<u8>,
}

fn benign(rules: &RuleSet) {
    let get = |name, target| Message {
        name,
        method: b"GET",
        target,
        content_type: None,
        body: Vec::new(),
    };
    let post = |name, content_type, body: String| Message {
        name,
        method: b"POST",
        target: b"/v1/orders",
        content_type: Some(content_type),
        body: body.into_bytes(),
    };
    let messages = [
        get("GET, no parameters", b"/v1/health"),
        get(
            "GET, 4 parameters",
            b"/v1/orders?page=3&limit=50&sort=created&status=shipped",
        ),
        post(
            "POST form, 4 fields",
            b"application/x-www-form-urlencoded",
            FORM.to_owned(),
        ),
        post("POST JSON, 1 KB", b"application/json", order(4)),
        post("POST JSON, 32 KB", b"application/json", order(150)),
    ];
    let only = std::env::var("RULES_ONLY").unwrap_or_default();
    for message in messages.iter().filter(|each| each.name.contains(&only)) {
        let cold = median(rules, message, true);
        let warm = median(rules, message, false);
        println!(
            "  {:<24} {:>6} bytes  cold {cold:>9.2} us  warm {warm:>9.2} us",
            message.name,
            message.body.len()
        );
    }
}

const FORM: &str =
    "name=Jane+Miller&email=jane.miller%40example.com&city=Lisbon&comment=Please+ring+twice";

/// A JSON document like those that shops send, of about 240 bytes an item.
fn order(items: usize) -> String {
    let mut text = String::from("{\"customer\":\"c-20931\",\"currency\":\"EUR\",\"items\":[");
    for item in 0..items {
        let comma = if item == 0 { "" } else { "," };
        let _ = write!(
            text,
            "{comma}{{\"sku\":\"SKU-{:05}\",\"name\":\"Blue cotton shirt {item}\",\"quantity\":{},\"price\":{}.95,\"gift\":false,\
             \"options\":{{\"size\":\"M\",\"colour\":\"navy\"}},\"note\":\"please wrap number {item} separately\",\"warehouse\":\"lis-{}\"}}",
            item * 37,
            item + 1,
            item + 10,
            item % 7
        );
    }
    text.push_str(
        "],\"shipping\":{\"street\":\"Rua Augusta 24\",\"city\":\"Lisbon\",\"zip\":\"1100-053\"}}",
    );
    text
}

const SEEDS: [&str; 14] = [
    "'", "(", "$(", "${", "%u00", "/*", "<", "&#", "\\u", "..%2f", "a=", ";", "\"'`", "select ",
];

fn adversarial(rules: &RuleSet) {
    let (mut worst, mut of) = (0.0, "");
    for seed in SEEDS {
        let mut body = b"a=".to_vec();
        body.extend(seed.bytes().cycle().take(32 * 1024));
        let message = Message {
            name: "",
            method: b"POST",
            target: b"/v1/orders",
            content_type: Some(b"application/x-www-form-urlencoded"),
            body,
        };
        let time = median(rules, &message, true);
        println!("  32 KB of {seed:<12} {:>9.2} ms", time / 1000.0);
        if time > worst {
            (worst, of) = (time, seed);
        }
    }
    println!("  worst: {of} with {:.2} ms", worst / 1000.0);
}

/// Microseconds.
fn median(rules: &RuleSet, message: &Message, cold: bool) -> f64 {
    let mut headers = FIELDS.to_vec();
    let length = message.body.len().to_string();
    if let Some(content_type) = message.content_type {
        headers.push((b"Content-Type", content_type));
        headers.push((b"Content-Length", length.as_bytes()));
    }
    let request = Request {
        method: message.method,
        target: message.target,
        version: b"HTTP/1.1",
        headers: Headers::Pairs(&headers),
        peer: "198.51.100.7:51312".parse().ok(),
        local: None,
        id: b"00112233445566778899",
    };
    let tuning = Tuning {
        engine: Engine::DetectionOnly,
        ..Tuning::default()
    };
    let (mut memory, mut inspection) = (Memory::default(), Inspection::default());
    let mut times = Vec::new();
    let started = Instant::now();
    while times.len() < 20 || (started.elapsed().as_millis() < 200 && times.len() < 20_000) {
        if cold {
            memory.forget();
        }
        let now = Instant::now();
        inspection.begin(rules, tuning);
        black_box(inspection.head(rules, &mut memory, black_box(&request)));
        black_box(inspection.body(rules, &mut memory, black_box(&message.body)));
        times.push(now.elapsed().as_nanos());
    }
    times.sort_unstable();
    if std::env::var_os("RULES_SHOW_HITS").is_some() && cold {
        let hits: Vec<u32> = inspection.hits().iter().map(|hit| hit.rule).collect();
        println!("    hits {hits:?}");
    }
    times[times.len() / 2] as f64 / 1000.0
}
