//! What inspection costs per request: by the rules that stand in the binary, and by the OWASP Core
//! Rule Set. The latter needs PORTCULLIS_CONFORMANCE, as the conformance tests do.
//!
//! `cold`: no value was seen before. `warm`: all were. Parsing of bodies is part of both. Times
//! are medians of single requests, of the processor for long bodies. `compare PROGRAM DIRECTORY`
//! takes turns with another engine: see `bench/modsecurity/run`. For a profile of one thing:
//! `RULES_LEVELS=1 RULES_ONLY="1 KB" RULES_ONLY_AS=warm RULES_MILLISECONDS=5000`.

use std::alloc::{GlobalAlloc, Layout};
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use mimalloc::MiMalloc;
use nix::time::{ClockId, clock_gettime};
use portcullis::config::rules::{builtin, disk};
use portcullis::policy::waf::budget::Budget;
use portcullis::policy::waf::draft::Engine;
use portcullis::policy::waf::inspection::{Inspection, Tuning};
use portcullis::policy::waf::load::Settings;
use portcullis::policy::waf::memory::Memory;
use portcullis::policy::waf::message::{Headers, Request};
use portcullis::policy::waf::rule::RuleSet;
use portcullis::policy::waf::view::View;

/// Counts the bytes that are in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one only counts"
)]
// SAFETY: every call is handed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as asked by the caller.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as asked by the caller.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        IN_USE.fetch_add(size, Ordering::Relaxed);
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as asked by the caller.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn in_use() -> f64 {
    IN_USE.load(Ordering::Relaxed) as f64 / (1024.0 * 1024.0)
}

fn main() {
    let is_profile = std::env::var_os("RULES_LEVELS").is_some_and(|levels| !levels.is_empty());
    if !is_profile && !std::env::args().any(|each| each == "compare") {
        native();
    }
    let Some(root) = std::env::var_os("PORTCULLIS_CONFORMANCE") else {
        eprintln!("rules: PORTCULLIS_CONFORMANCE is not set: NOTHING IS MEASURED HERE");
        return;
    };
    let root = Path::new(&root).join("crs-v4");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let place = arguments.iter().position(|each| each == "compare");
    if let Some(place) = place {
        let [program, directory] = &arguments[place + 1..place + 3] else {
            panic!("usage: rules compare PROGRAM DIRECTORY");
        };
        return compare(&root, program, Path::new(directory));
    }
    let levels = std::env::var("RULES_LEVELS").unwrap_or_else(|_| "1 2 4".to_owned());
    for level in levels.split(' ').filter(|level| !level.is_empty()) {
        let (started, before) = (Instant::now(), in_use());
        let rules = rules(&root, level);
        let loading = started.elapsed();
        let (behind, with_texts, forms) = rules.extent();
        println!(
            "paranoia level {level}: {} rules run, {behind} behind the prefilter, {with_texts} with texts, {forms} steps; loaded in {} ms, {:.1} MiB shared",
            rules.len(),
            loading.as_millis(),
            in_use() - before
        );
        let mut shard = Shard::default();
        let before = in_use();
        benign(&rules, &mut shard);
        large(&rules, &mut shard);
        if level != "4" && only().is_empty() {
            adversarial(&rules, &mut shard);
        }
        println!(
            "  {:.1} MiB in use by the shard after all of these",
            in_use() - before
        );
    }
}

/// What a shard keeps.
#[derive(Default)]
struct Shard {
    memory: Memory,
    inspection: Inspection,
    /// What is looked at besides what the rule language knows of.
    view: Option<Arc<View>>,
}

/// The built-in rules, as an operation is inspected that says no more than `waf = "builtin"`.
fn native() {
    let started = Instant::now();
    let rules = builtin::rule_set();
    println!(
        "built-in rules: {} run; loaded in {} ms",
        rules.len(),
        started.elapsed().as_millis()
    );
    let mut shard = Shard {
        view: Some(Arc::new(View::default())),
        ..Shard::default()
    };
    benign(&rules, &mut shard);
    large(&rules, &mut shard);
}

fn rules(root: &Path, level: &str) -> RuleSet {
    let variables = [
        ("blocking_paranoia_level", level),
        ("allowed_methods", "GET HEAD POST OPTIONS PUT PATCH DELETE"),
    ];
    let settings = Settings {
        variables: &variables,
        ..Settings::default()
    };
    let loaded = disk::core_rule_set(root, &settings);
    loaded.unwrap_or_else(|errors| panic!("{errors}")).rules
}

const FIELDS: [(&[u8], &[u8]); 5] = [
    (b"Host", b"api.example.com"),
    (b"User-Agent", b"shop-mobile/4.12.0 (Android 14; Pixel 8)"),
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"X-Request-Id", b"0b1f6f6e-8f0e-4c8f-9a53-7d3f5a2f8c11"),
];

/// A bearer token as long as those of issuers are: a head, claims and a signature in base64url.
static TOKEN: LazyLock<String> = LazyLock::new(|| {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut digits = |count: usize| -> String {
        let digit = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(DIGITS[(state >> 32) as usize % 64])
        };
        (0..count).map(digit).collect()
    };
    format!("Bearer eyJ{}.eyJ{}.{}", digits(61), digits(570), digits(86))
});

#[derive(Clone)]
struct Message {
    name: &'static str,
    method: &'static [u8],
    target: &'static [u8],
    content_type: Option<&'static [u8]>,
    body: Vec<u8>,
}

/// What the names of messages must hold to be measured.
fn only() -> String {
    std::env::var("RULES_ONLY").unwrap_or_default()
}

fn benign(rules: &RuleSet, shard: &mut Shard) {
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
    for message in messages.iter().filter(|each| each.name.contains(&only())) {
        let cold = median(rules, shard, message, true);
        let warm = median(rules, shard, message, false);
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

fn form(seed: &str, length: usize) -> Message {
    let mut body = b"a=".to_vec();
    body.extend(seed.bytes().cycle().take(length));
    Message {
        name: "",
        method: b"POST",
        target: b"/v1/orders",
        content_type: Some(b"application/x-www-form-urlencoded"),
        body,
    }
}

/// Bodies of some hundred kilobytes: nanoseconds a byte.
fn large(rules: &RuleSet, shard: &mut Shard) {
    let fields: Vec<String> = (0..2000)
        .map(|at| format!("field{at}=Please+ring+twice+at+number+{at}+and+wait+for+Jane+Miller"))
        .collect();
    let json = Message {
        name: "JSON",
        content_type: Some(b"application/json"),
        body: order(500).into_bytes(),
        ..form("", 0)
    };
    let form_of_many = Message {
        name: "form of 2000 fields",
        body: fields.join("&").into_bytes(),
        ..form("", 0)
    };
    let text = Message {
        name: "form of one text",
        ..form(
            "The+parcel+stands+behind+the+door+of+number+7,+as+Jane+said.+",
            100_000,
        )
    };
    let messages = [json, form_of_many, text];
    for message in messages.iter().filter(|each| each.name.contains(&only())) {
        let (cold, warm) = (
            median(rules, shard, message, true),
            median(rules, shard, message, false),
        );
        let each = |time: f64| time * 1000.0 / message.body.len() as f64;
        println!(
            "  {:<24} {:>6} bytes  cold {:>9.2} ns/byte  warm {:>6.2} ns/byte",
            message.name,
            message.body.len(),
            each(cold),
            each(warm)
        );
    }
}

fn adversarial(rules: &RuleSet, shard: &mut Shard) {
    let (mut worst, mut of) = (0.0, "");
    for seed in SEEDS {
        let times = [16, 32, 64].map(|kb| median(rules, shard, &form(seed, kb * 1024), true));
        println!(
            "  16, 32, 64 KB of {seed:<8} {:>7.2} {:>7.2} {:>7.2} ms, {:.1} times for 4 times",
            times[0] / 1000.0,
            times[1] / 1000.0,
            times[2] / 1000.0,
            times[2] / times[0]
        );
        if times[1] > worst {
            (worst, of) = (times[1], seed);
        }
    }
    println!("  worst of 32 KB: {of} with {:.2} ms", worst / 1000.0);
}

/// Bodies from here on are measured by the time of the processor.
const LONG: usize = 8 * 1024;

/// Of this thread, in nanoseconds.
fn processor_time() -> u128 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a thread may ask");
    Duration::from(time).as_nanos()
}

/// How long each message is measured, in milliseconds; longer for a profile.
static LONGEST: LazyLock<u128> = LazyLock::new(|| {
    let told = std::env::var("RULES_MILLISECONDS").ok();
    told.and_then(|told| told.parse().ok()).unwrap_or(150)
});

/// Microseconds. With RULES_ONLY_AS=cold or warm only that is measured.
fn median(rules: &RuleSet, shard: &mut Shard, message: &Message, cold: bool) -> f64 {
    let only = std::env::var("RULES_ONLY_AS").unwrap_or_default();
    if !only.is_empty() && (only == "cold") != cold {
        return f64::NAN;
    }
    let mut times = Vec::new();
    let started = Instant::now();
    let most = 20_000 * (*LONGEST / 150).max(1) as usize;
    while times.len() < 10 || (started.elapsed().as_millis() < *LONGEST && times.len() < most) {
        if cold {
            shard.memory.forget();
        }
        // What takes longer than a slice of the scheduler would be charged with others' work.
        times.push(match message.body.len() > LONG {
            false => {
                let now = Instant::now();
                inspect(rules, shard, message);
                now.elapsed().as_nanos()
            }
            true => {
                let before = processor_time();
                inspect(rules, shard, message);
                processor_time() - before
            }
        });
    }
    times.sort_unstable();
    if std::env::var_os("RULES_SHOW_HITS").is_some() && cold {
        let hits: Vec<u32> = shard.inspection.hits().iter().map(|hit| hit.rule).collect();
        println!("    hits {hits:?}");
    }
    times[times.len() / 2] as f64 / 1000.0
}

fn inspect(rules: &RuleSet, shard: &mut Shard, message: &Message) {
    let mut headers = FIELDS.to_vec();
    headers.push((b"Authorization", TOKEN.as_bytes()));
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
        budget: Budget {
            bytes: 1024 * 1024,
            values: 16 * 1024,
            ..Budget::default()
        },
        ..Tuning::default()
    };
    let Shard {
        memory,
        inspection,
        view,
    } = shard;
    inspection.begin(rules, tuning);
    if let Some(view) = view {
        inspection.look_at(view);
    }
    black_box(inspection.head(rules, memory, black_box(&request)));
    black_box(inspection.body(rules, memory, black_box(&message.body)));
}

/// Twenty requests to APIs, none of them an attack.
fn twenty() -> Vec<Message> {
    let json = b"application/json";
    let mut all: Vec<Message> = [
        "/v1/health",
        "/v1/orders?page=3&limit=50&sort=created&status=shipped",
        "/v1/orders/20931",
        "/v1/customers/0b1f6f6e-8f0e-4c8f-9a53-7d3f5a2f8c11/addresses",
        "/v1/search?q=blue+cotton+shirt&size=M&colour=navy",
        "/v1/products?ids=1,2,3,4,5,6,7&fields=name,price",
        "/v1/rates?from=EUR&to=USD&date=2026-11-25",
        "/v1/stores?lat=38.7223&lon=-9.1393&radius=5000",
        "/v1/me",
        "/v1/orders/20931/events?since=2026-11-01T00:00:00Z",
    ]
    .map(|target| Message {
        name: "",
        method: b"GET",
        target: target.as_bytes(),
        content_type: None,
        body: Vec::new(),
    })
    .into();
    let bodies = [
        "{\"email\":\"jane.miller@example.com\",\"password\":\"correct horse battery\"}".to_owned(),
        order(1),
        order(2),
        order(4),
        order(8),
        order(16),
        "{\"note\":\"Please ring twice, the bell is old.\",\"rating\":5}".to_owned(),
        "[1,2,3,4,5,6,7,8,9,10]".to_owned(),
    ];
    all.extend(bodies.map(|body| Message {
        name: "",
        method: b"POST",
        target: b"/v1/orders",
        content_type: Some(json),
        body: body.into_bytes(),
    }));
    all.extend([form("", 0), form("", 0)].map(|message| Message {
        body: FORM.as_bytes().to_vec(),
        ..message
    }));
    all
}

/// The other engine reads the requests from a file, and answers each line that it is sent with
/// the microseconds of all of them.
fn compare(root: &Path, program: &str, directory: &Path) {
    let requests = twenty();
    let (file, main) = (directory.join("requests"), directory.join("main.conf"));
    let mut text = Vec::new();
    for each in &requests {
        for part in [
            each.method,
            b" ",
            each.target,
            b" ",
            each.content_type.unwrap_or(b"-"),
        ] {
            text.extend_from_slice(part);
        }
        text.extend_from_slice(format!(" {}\n", each.body.len()).as_bytes());
        text.extend_from_slice(&each.body);
        text.push(b'\n');
    }
    let root_shown = root.display();
    let conf = format!(
        "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\nSecAuditEngine Off\n\
         SecRule REQUEST_HEADERS:Content-Type \"@rx ^application/json\" \"id:200001,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
         SecAction \"id:900200,phase:1,pass,nolog,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE'\"\n\
         Include {root_shown}/crs-setup.conf.example\nInclude {root_shown}/rules/*.conf\n"
    );
    std::fs::write(&file, text).expect("the directory can be written to");
    std::fs::write(&main, conf).expect("the directory can be written to");
    let mut child = Command::new(program)
        .args([&main, &file])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the other engine starts");
    let mut ask = child.stdin.take().expect("it is piped");
    let mut answers = BufReader::new(child.stdout.take().expect("it is piped"));
    let (rules, mut shard) = (rules(root, "1"), Shard::default());
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..5 {
        ask.write_all(b"\n").expect("it listens");
        let mut line = String::new();
        answers.read_line(&mut line).expect("it answers");
        let times = line.split_whitespace().map(|time| time.parse::<f64>());
        let theirs: Vec<f64> = times.map(|time| time.expect("a number")).collect();
        assert_eq!(theirs.len(), requests.len(), "it has read all requests");
        let mut ours = [true, false].map(|cold| {
            let times = requests
                .iter()
                .map(|each| few(&rules, &mut shard, each, cold));
            times.collect::<Vec<f64>>()
        });
        let [cold, warm] = &mut ours;
        println!(
            "round {round}: libmodsecurity {:.0} us, here cold {:.1} us, warm {:.1} us (median of the requests)",
            middle(&theirs),
            middle(cold),
            middle(warm)
        );
        all[0].extend(theirs);
        all[1].append(cold);
        all[2].append(warm);
    }
    drop(ask);
    let _ = child.wait();
    let [theirs, cold, warm] = all.map(|times| (middle(&times), times.iter().sum::<f64>()));
    println!(
        "faster on the median: {:.0} times cold, {:.0} times warm; on the sum: {:.0} and {:.0}",
        theirs.0 / cold.0,
        theirs.0 / warm.0,
        theirs.1 / cold.1,
        theirs.1 / warm.1
    );
}

/// The median of as many runs as the other engine makes.
fn few(rules: &RuleSet, shard: &mut Shard, message: &Message, cold: bool) -> f64 {
    let times = (0..15).map(|_| {
        if cold {
            shard.memory.forget();
        }
        let now = Instant::now();
        inspect(rules, shard, message);
        now.elapsed().as_nanos() as f64 / 1000.0
    });
    middle(&times.collect::<Vec<_>>())
}

fn middle(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
