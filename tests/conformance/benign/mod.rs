//! How many benign requests the built-in rules flag: requests that are made of texts as people and
//! programs write them, and requests that published descriptions tell of by their examples.
//!
//! `cargo test --test conformance -- benign --nocapture` prints the rate, and of each rule that
//! flagged something one sample.

mod described;
mod random;
mod requests;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portcullis::config::rules;

use crate::regression::{Run, hits, met};
use crate::request::Sent;
use crate::{folder, published};
use random::Random;
use texts::Texts;

/// Requests that are made of texts.
const GENERATED: usize = 12_000;

/// At most so many of a thousand may be flagged.
const FLAGGED: f64 = 2.0;

fn texts() -> Texts {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/benign");
    Texts::read(&std::fs::read_to_string(folder.join("texts.txt")).unwrap())
}

/// What came of one kind of requests.
#[derive(Default)]
struct Tally {
    requests: usize,
    flagged: usize,
    /// By rule: how many requests, and what it found in the first.
    rules: BTreeMap<u32, (usize, String)>,
}

impl Tally {
    /// Flagged is what would be refused: whose scores reach the threshold.
    fn count(&mut self, run: &mut Run<'_>, sent: &Sent) -> bool {
        self.requests += 1;
        let hits = hits(run, sent, false);
        if !hits.iter().any(|hit| hit.rule == rules::VERDICT) {
            return false;
        }
        self.flagged += 1;
        let mut seen = BTreeSet::new();
        let found = hits.iter().filter(|hit| hit.rule != rules::VERDICT);
        for hit in found.filter(|hit| seen.insert(hit.rule)) {
            let sample = || format!("{} {}={}", hit.message, hit.variable, hit.value);
            self.rules
                .entry(hit.rule)
                .or_insert_with(|| (0, sample()))
                .0 += 1;
        }
        true
    }

    fn rate(&self) -> f64 {
        1000.0 * self.flagged as f64 / self.requests.max(1) as f64
    }

    fn print(&self, of: &str) {
        let Tally {
            requests, flagged, ..
        } = self;
        let rate = self.rate() / 10.0;
        println!("{of}: {requests} requests, {flagged} flagged: {rate:.3} %");
        for (rule, (count, sample)) in &self.rules {
            println!("    {rule} {count:>4}  {sample}");
        }
    }
}

#[test]
fn benign_texts_are_not_flagged() {
    let rules = folder::rule_set();
    let mut run = Run::native(&rules);
    let texts = texts();
    let mut random = Random::seeded(20_261_125);
    let mut tally = Tally::default();
    for _ in 0..GENERATED {
        let sent = requests::made(&texts, &mut random);
        tally.count(&mut run, &sent);
    }
    tally.print("texts in requests");
    assert!(tally.rate() <= FLAGGED);
}

/// What is searched for first says which rules need not be asked, and nothing else.
#[test]
fn what_is_not_looked_at_of_benign_texts_changes_nothing() {
    let rules = folder::rule_set();
    let (mut run, mut plain) = (Run::native(&rules), Run::native(&rules));
    let texts = texts();
    let mut random = Random::seeded(20_261_126);
    for _ in 0..GENERATED / 8 {
        let sent = requests::made(&texts, &mut random);
        let expected = met(&mut plain, &sent, true);
        assert_eq!(met(&mut run, &sent, false), expected, "{sent:?}");
    }
}

/// Pictures, archives, messages of protocols: bytes that mean nothing as a text.
#[test]
fn benign_binary_bodies_are_not_flagged() {
    const BODIES: usize = 6_000;
    const TYPES: [&str; 4] = [
        "image/png",
        "application/gzip",
        "application/octet-stream",
        "application/x-protobuf",
    ];
    let rules = folder::rule_set();
    let mut run = Run::native(&rules);
    let texts = texts();
    // Those of the kind `known` are flagged wherever they stand.
    let lines = texts.templates().filter(|(kind, _)| *kind != "known");
    let lines: Vec<&str> = lines.map(|(_, text)| text).collect();
    let mut random = Random::seeded(7);
    let mut tallies = [Tally::default(), Tally::default()];
    for at in 0..BODIES {
        let length = 16 << random.below(13);
        let mut body = random.bytes(length);
        // In every second one there are texts, as the tags of a picture are.
        for _ in 0..(at % 2) * 4 {
            let template: &str = lines[random.below(lines.len())];
            let text = texts.filled(template, &mut random);
            body.extend_from_slice(&[10, 0, 0, 1]);
            body.extend_from_slice(text.as_bytes());
            body.extend(random.bytes(24));
        }
        let media_type = TYPES[random.below(TYPES.len())];
        let sent = requests::post("/files".to_owned(), media_type, body);
        tallies[at % 2].count(&mut run, &sent);
    }
    let [bare, texted] = &tallies;
    bare.print("binary bodies");
    texted.print("binary bodies with texts in them, in front of random bytes");
    assert_eq!(bare.flagged, 0);
    assert!(texted.rate() <= FLAGGED);
}

/// Each text by itself, so that none hides behind those that are drawn more often.
#[test]
fn benign_texts_that_are_flagged_are_known() {
    let rules = folder::rule_set();
    let mut run = Run::native(&rules);
    let texts = texts();
    let mut random = Random::seeded(1);
    let (mut flagged, mut count) = (BTreeSet::new(), 0);
    let mut tally = Tally::default();
    for (kind, template) in texts.templates() {
        count += 1;
        for _ in 0..4 {
            let text = texts.filled(template, &mut random);
            for sent in requests::alone(kind, &text) {
                if tally.count(&mut run, &sent) {
                    flagged.insert(template);
                }
            }
        }
    }
    tally.print("each text by itself");
    println!(
        "{} of {count} texts are flagged: {flagged:#?}",
        flagged.len()
    );
    let known: BTreeSet<&str> = texts.of("known").collect();
    assert!(flagged.is_subset(&known));
}

#[test]
fn benign_examples_of_published_descriptions_are_not_flagged() {
    let documents = published::documents();
    if documents.is_empty() {
        eprintln!(
            "SKIPPED: no published descriptions in {}: run tests/published first",
            published::directory().display()
        );
        return;
    }
    let rules = folder::rule_set();
    let mut run = Run::native(&rules);
    let mut random = Random::seeded(3);
    let mut tally = Tally::default();
    for path in &documents {
        let Some(document) = described::read(path) else {
            continue;
        };
        for sent in described::requests(&document, &mut random) {
            tally.count(&mut run, &sent);
        }
    }
    tally.print("examples of published descriptions");
    assert!(tally.requests > 1000, "the descriptions tell of nothing");
    assert!(tally.rate() <= FLAGGED);
}
