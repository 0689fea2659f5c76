//! Schemas against what a gateway would otherwise use, in one run: serde_json and the `jsonschema`
//! crate; beside them the tape of simd-json, which no schema has seen yet: the most that a validator over
//! a tape could reach. All arms take turns, so that whatever else the machine does befalls all.
//!
//! `cargo bench --bench schema` prints, beside what is asked for, the medians of a body and their
//! ratio, the allocations of a valid body, and what it takes to load a description of ten megabytes.

use std::alloc::{GlobalAlloc, Layout};
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis::policy::contract::openapi::Document;
use portcullis::policy::contract::schema::{Dialect, Schema, Scratch};
use serde_json::Value;

mod order;

use order::{order, schema};

/// Counts allocations while it is asked to.
struct Counting(mimalloc::MiMalloc);

#[global_allocator]
static ALLOCATOR: Counting = Counting(mimalloc::MiMalloc);

static IS_COUNTED: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

fn count() {
    if IS_COUNTED.load(Ordering::Relaxed) {
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
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as asked by the caller.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as asked by the caller.
        unsafe { self.0.realloc(pointer, layout, size) }
    }
}

/// Turns of each arm.
const TURNS: usize = 60;

/// Resources of a description of ten megabytes.
const RESOURCES: usize = 3_150;

/// How long one turn takes.
const TURN: Duration = Duration::from_millis(5);

fn main() {
    let is_timed = std::env::args().any(|each| each == "--bench" || each == "all");
    println!(
        "{:>8} {:>10} {:>10} {:>6} {:>6} {:>11} {:>10} {:>10} {:>9}  asked",
        "bytes",
        "ns",
        "pair ns",
        "ratio",
        "GB/s",
        "allocations",
        "tape ns",
        "tape ratio",
        "tape GB/s"
    );
    for (items, asked) in [
        (12, "ratio 6 (of a tape 2.8), 600 ns, no allocation"),
        (156, "no allocation"),
        (1632, "1.8 GB/s (of a tape 0.8), no allocation"),
    ] {
        compare(&order(items), if is_timed { TURNS } else { 1 }, asked);
    }
    load(if is_timed { RESOURCES } else { 30 });
}

fn compare(body: &str, turns: usize, asked: &str) {
    let ours = Schema::compile(&schema(), "", Dialect::OpenApi31).expect("a sound schema");
    let theirs = jsonschema::options().should_validate_formats(true);
    let theirs = theirs.build(&schema()).expect("a sound schema");
    let mut scratch = Scratch::default();
    let mut check = || {
        let outcome = ours.check(black_box(body.as_bytes()), &mut scratch);
        assert_eq!(outcome, Ok(()));
    };
    check();
    let mut pair = || {
        let value: Value = serde_json::from_str(black_box(body)).expect("a sound body");
        assert!(theirs.is_valid(&value));
    };
    let (mut copy, mut buffers) = (Vec::new(), simd_json::Buffers::default());
    let mut tape = || {
        // The parser writes into what it reads.
        copy.clear();
        copy.extend_from_slice(black_box(body.as_bytes()));
        let tape = simd_json::to_tape_with_buffers(&mut copy, &mut buffers);
        black_box(tape.expect("a sound body").0.len());
    };
    let (mut ours, mut theirs, mut tapes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..turns {
        ours.push(turn(&mut check));
        theirs.push(turn(&mut pair));
        tapes.push(turn(&mut tape));
    }
    IS_COUNTED.store(true, Ordering::Relaxed);
    check();
    IS_COUNTED.store(false, Ordering::Relaxed);
    let allocations = COUNT.swap(0, Ordering::Relaxed);
    let (ours, theirs, tape) = (median(ours), median(theirs), median(tapes));
    let (ratio, rate) = (theirs / ours, body.len() as f64 / ours);
    println!(
        "{:>8} {ours:>10.0} {theirs:>10.0} {ratio:>6.2} {rate:>6.2} {allocations:>11} {tape:>10.0} {:>10.2} {:>9.2}  {asked}",
        body.len(),
        theirs / tape,
        body.len() as f64 / tape,
    );
}

/// Nanoseconds of one call.
fn turn(run: &mut dyn FnMut()) -> f64 {
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < TURN {
        run();
        count += 1;
    }
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

fn median(mut list: Vec<f64>) -> f64 {
    list.sort_by(f64::total_cmp);
    list[list.len() / 2]
}

/// The whole way from the text of a description to its operations.
fn load(resources: usize) {
    let text = description(resources);
    let before = resident();
    let start = Instant::now();
    let document = Document::read(Path::new("large.yaml"), &text).expect("a sound description");
    let read = start.elapsed();
    let operations = document.operations().expect("sound operations");
    let all = start.elapsed();
    println!(
        "description of {:.1} MB, {} operations: read {:.2} s, all {:.2} s (asked: 2 s), {} MB with the text's tree",
        text.len() as f64 / 1e6,
        operations.len(),
        read.as_secs_f64(),
        all.as_secs_f64(),
        resident().saturating_sub(before) / 1024,
    );
    drop(document);
    println!("without it {} MB", resident().saturating_sub(before) / 1024);
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().split(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Resources with a collection and an item each, and their schemas in families that share parts.
fn description(resources: usize) -> String {
    let mut out = String::from(
        "openapi: 3.1.0\ninfo: {title: Large, version: '1'}\nservers: [{url: https://api.example/v1}]\npaths:\n",
    );
    for at in 0..resources {
        let answer = |schema: &str| {
            format!(
                "responses:\n        '200':\n          description: Done\n          content:\n            application/json:\n              schema: {schema}\n        '404':\n          description: Unknown\n          content:\n            application/json:\n              schema: {{$ref: '#/components/schemas/Problem'}}\n"
            )
        };
        let one = format!("{{$ref: '#/components/schemas/Thing{at}'}}");
        let body = format!(
            "requestBody:\n        required: true\n        content:\n          application/json:\n            schema: {one}\n"
        );
        let _ = write!(
            out,
            "  /things{at}:\n    get:\n      operationId: list{at}\n      summary: All things of kind {at}\n      parameters:\n        - {{name: limit, in: query, schema: {{type: integer, minimum: 1, maximum: 100}}}}\n        - {{name: after, in: query, schema: {{type: string, maxLength: 64}}}}\n      {}    post:\n      operationId: create{at}\n      summary: One more thing of kind {at}\n      {body}      {}",
            answer(&format!("{{type: array, maxItems: 100, items: {one}}}")),
            answer(&one),
        );
        let _ = write!(
            out,
            "  /things{at}/{{id}}:\n    parameters:\n      - {{name: id, in: path, required: true, schema: {{type: string, format: uuid}}}}\n    get:\n      operationId: read{at}\n      summary: One thing of kind {at}\n      {}    put:\n      operationId: replace{at}\n      summary: Another in place of a thing of kind {at}\n      {body}      {}",
            answer(&one),
            answer(&one),
        );
    }
    out.push_str("components:\n  schemas:\n    Problem: {type: object, required: [title], properties: {type: {type: string, maxLength: 200}, title: {type: string, maxLength: 200}, status: {type: integer, minimum: 100, maximum: 599}}}\n    Address: {type: object, required: [street, city], properties: {street: {type: string, maxLength: 100}, city: {type: string, maxLength: 100}, country: {type: string, pattern: '^[A-Z]{2}$'}, postcode: {type: string, pattern: '^[A-Z0-9 -]{3,10}$'}}}\n    Money: {type: object, additionalProperties: false, required: [amount, currency], properties: {amount: {type: number, multipleOf: 0.01}, currency: {type: string, enum: [EUR, USD, GBP, CHF]}}}\n");
    for at in 0..resources {
        // A family of ten, each but the first below the one before.
        let parent = match at % 10 {
            0 => String::new(),
            _ => format!(
                "        parent: {{$ref: '#/components/schemas/Thing{}'}}\n",
                at - 1
            ),
        };
        let _ = write!(
            out,
            "    Thing{at}:\n      type: object\n      description: A thing of kind {at}, as it is kept in the warehouse and told to whom it concerns.\n      required: [id, name, price]\n      additionalProperties: false\n      properties:\n        id: {{type: string, format: uuid, description: What it is known by}}\n        name: {{type: string, minLength: 1, maxLength: 120, description: What it is called}}\n        code: {{type: string, pattern: '^[A-Z]{{2,4}}-[0-9]{{1,8}}$'}}\n        kind: {{type: string, enum: [small, medium, large]}}\n        count: {{type: integer, format: int32, minimum: 0, maximum: 100000}}\n        created: {{type: string, format: date-time}}\n        tags: {{type: array, maxItems: 20, uniqueItems: true, items: {{type: string, maxLength: 40}}}}\n        price: {{$ref: '#/components/schemas/Money'}}\n        address: {{$ref: '#/components/schemas/Address'}}\n{parent}"
        );
    }
    out
}
