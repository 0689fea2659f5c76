//! The longest that one step of an inspection keeps a shard: what is done between two looks at the
//! fuel. Steps are the reading of a whole body and single slices; one pattern over one value is not
//! split.
//!
//! `cargo bench --bench stall [BYTES ...]`: hostile bodies of these sizes. Times are of the
//! processor, the best of three runs. The Core Rule Set needs PORTCULLIS_CONFORMANCE.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mimalloc::MiMalloc;
use nix::time::{ClockId, clock_gettime};
use portcullis::config::rules::{builtin, disk};
use portcullis::policy::waf::budget::Budget;
use portcullis::policy::waf::draft::Engine;
use portcullis::policy::waf::fuel::Fuel;
use portcullis::policy::waf::inspection::{Inspection, Tuning};
use portcullis::policy::waf::load::Settings;
use portcullis::policy::waf::memory::Memory;
use portcullis::policy::waf::message::{Headers, Request, Response};
use portcullis::policy::waf::rule::RuleSet;
use portcullis::policy::waf::view::View;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SIZES: [usize; 3] = [64 * 1024, 128 * 1024, 256 * 1024];

/// Texts that are repeated: what tokenisers, decoders and patterns find hardest.
const SEEDS: [&str; 28] = [
    "a",
    " ",
    "'",
    "\\\"",
    "(",
    "$(",
    "${",
    "%u00",
    "%25",
    "/*",
    "<",
    "&#",
    "&lt",
    "&lt;",
    "%2",
    "#",
    "\\\\u0041",
    "..%2f",
    "a=",
    ";",
    "select ",
    "union all select a,",
    "<img src=x onerror=",
    "a.b(c)[d].",
    "http://a/",
    "1-1-",
    "\\u0027",
    "O:8:\\\"a\\\":1:{",
];

struct Body {
    name: String,
    media: &'static [u8],
    bytes: Vec<u8>,
}

fn repeated(seed: &str, size: usize) -> String {
    let count = size / seed.len();
    seed.repeat(count.max(1))
}

fn bodies(size: usize) -> Vec<Body> {
    let json: &[u8] = b"application/json";
    let form: &[u8] = b"application/x-www-form-urlencoded";
    let mut all = Vec::new();
    let mut add = |name: String, media: &'static [u8], text: String| {
        all.push(Body {
            name,
            media,
            bytes: text.into_bytes(),
        });
    };
    for seed in SEEDS {
        let text = repeated(seed, size - 16);
        add(
            format!("json {seed}"),
            json,
            format!("{{\"a\":\"{text}\"}}"),
        );
        add(
            format!("form {seed}"),
            form,
            format!("a={}", text.replace('&', "%26")),
        );
    }
    // Short values that a pattern which counts takes long over, each unlike the others.
    let mut random = fastrand::Rng::with_seed(7);
    let values = (0..size / 1400).map(|_| {
        let parts = (0..900).filter_map(|_| random.choice(["${", "c"]));
        format!("\"getruntime {}\"", parts.collect::<String>())
    });
    add(
        "json counted".to_owned(),
        json,
        format!("[{}]", values.collect::<Vec<_>>().join(",")),
    );
    // All at once, so that no rule is left out by what it requires.
    let mixed = repeated(&SEEDS.join(" "), size - 16);
    add(
        "json mixed".to_owned(),
        json,
        format!("{{\"a\":\"{mixed}\"}}"),
    );
    add(
        "form mixed".to_owned(),
        form,
        format!("a={}", mixed.replace('&', "%26")),
    );
    add(
        "json numbers".to_owned(),
        json,
        format!("[{}1]", repeated("1,", size - 16)),
    );
    add(
        "json names".to_owned(),
        json,
        format!("[{}1]", repeated("{\"abcdefgh\":{}},", size - 16)),
    );
    let inner = repeated("{\\\"a\\\":\\\"b c\\\"},", size - 32);
    add(
        "json in json".to_owned(),
        json,
        format!("{{\"a\":\"[{inner}{{}}]\"}}"),
    );
    add(
        "base64".to_owned(),
        json,
        format!(
            "{{\"a\":\"{}\"}}",
            repeated("c2VsZWN0IGEgZnJvbSBi", size - 16)
        ),
    );
    add("form fields".to_owned(), form, repeated("a=1&", size));
    add(
        "form escapes".to_owned(),
        form,
        format!("a={}", repeated("%27%20", size - 16)),
    );
    add(
        "xml text".to_owned(),
        b"text/xml",
        format!("<a>{}</a>", repeated("b&lt;c ", size - 16)),
    );
    add(
        "xml elements".to_owned(),
        b"text/xml",
        format!("<a>{}</a>", repeated("<b c='d'/>", size - 16)),
    );
    let part = repeated("x' or 1=1 ", size - 128);
    add(
        "multipart".to_owned(),
        b"multipart/form-data; boundary=b",
        format!("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{part}\r\n--b--\r\n"),
    );
    add(
        "text".to_owned(),
        b"text/plain",
        repeated("select a from b -- ", size),
    );
    let query = repeated("{a(b:\\\"c\\\")}", size - 64);
    add(
        "graphql".to_owned(),
        b"application/graphql",
        repeated("{a(b:\"c d\")}", size),
    );
    add(
        "graphql in json".to_owned(),
        json,
        format!("{{\"query\":\"{query}\"}}"),
    );
    all
}

/// Of this thread, in milliseconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a thread may ask");
    Duration::from(time).as_secs_f64() * 1000.0
}

#[derive(Default)]
struct Shard {
    memory: Memory,
    inspection: Inspection,
    view: Option<Arc<View>>,
}

/// The longest reading of a body, and the longest slice.
type Longest = (f64, f64);

fn longest(rules: &RuleSet, shard: &mut Shard, body: &Body, is_answer: bool) -> Longest {
    let Shard {
        memory,
        inspection,
        view,
    } = shard;
    let fields = [(&b"Content-Type"[..], body.media)];
    let bytes = 4 * body.bytes.len() + 64 * 1024;
    let tuning = Tuning {
        engine: Engine::DetectionOnly,
        budget: Budget {
            bytes,
            values: 1 << 20,
            ..Budget::default()
        },
        ..Tuning::default()
    };
    let request = Request {
        method: b"POST",
        target: b"/",
        version: b"HTTP/1.1",
        headers: Headers::Pairs(&fields),
        peer: None,
        local: None,
        id: b"",
    };
    memory.forget();
    inspection.begin(rules, tuning);
    if let Some(view) = view {
        inspection.look_at(view);
    }
    inspection.head(rules, memory, &request);
    if is_answer {
        inspection.body(rules, memory, b"");
        let response = Response {
            status: 500,
            version: b"HTTP/1.1",
            headers: Headers::Pairs(&fields),
            is_decoded: false,
        };
        inspection.response_head(rules, memory, &response);
    }
    let before = processor_time();
    match is_answer {
        false => inspection.enter_body(rules, &body.bytes),
        true => inspection.enter_response_body(rules, &body.bytes, true),
    }
    let read = processor_time() - before;
    let mut slice: f64 = 0.0;
    loop {
        let before = processor_time();
        let outcome = inspection.advance(rules, memory, &mut Fuel::slice());
        slice = slice.max(processor_time() - before);
        if outcome.is_some() {
            return (read, slice);
        }
    }
}

fn report(name: &str, rules: &RuleSet, shard: &mut Shard, size: usize, is_answer: bool) {
    let mut rows: Vec<(f64, f64, String)> = bodies(size)
        .into_iter()
        .map(|body| {
            let runs = [(); 3].map(|()| longest(rules, shard, &body, is_answer));
            let best = |of: fn(&Longest) -> f64| runs.iter().map(of).fold(f64::MAX, f64::min);
            (best(|run| run.0), best(|run| run.1), body.name)
        })
        .collect();
    println!("{name}, {} KiB", size / 1024);
    for what in [0, 1] {
        rows.sort_by(|a, b| [b.0, b.1][what].total_cmp(&[a.0, a.1][what]));
        let shown = rows
            .iter()
            .take(4)
            .map(|row| format!("{:.1} ms {:?}", [row.0, row.1][what], row.2));
        let shown: Vec<String> = shown.collect();
        println!(
            "  longest {}: {}",
            ["reading", "slice"][what],
            shown.join(", ")
        );
    }
}

fn main() {
    let given = std::env::args().filter_map(|word| word.parse().ok());
    let mut sizes: Vec<usize> = given.collect();
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    let view = Some(Arc::new(View::default()));
    for &size in &sizes {
        let mut shard = Shard {
            view: view.clone(),
            ..Shard::default()
        };
        report(
            "built-in rules",
            &builtin::rule_set(),
            &mut shard,
            size,
            false,
        );
    }
    let Some(root) = std::env::var_os("PORTCULLIS_CONFORMANCE") else {
        eprintln!("stall: PORTCULLIS_CONFORMANCE is not set: THE CORE RULE SET IS NOT MEASURED");
        return;
    };
    let root = Path::new(&root).join("crs-v4");
    for level in ["1", "4"] {
        let variables = [("blocking_paranoia_level", level)];
        let settings = Settings {
            variables: &variables,
            ..Settings::default()
        };
        let loaded = disk::core_rule_set(&root, &settings);
        let rules = loaded.unwrap_or_else(|errors| panic!("{errors}")).rules;
        for &size in &sizes {
            let mut shard = Shard {
                view: view.clone(),
                ..Shard::default()
            };
            let name = format!("Core Rule Set, level {level}, requests");
            report(&name, &rules, &mut shard, size, false);
            let name = format!("Core Rule Set, level {level}, answers");
            report(&name, &rules, &mut shard, size, true);
        }
    }
}
