//! The regression suite of the rule set: which rules match, request by request.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use portcullis::policy::waf::draft::Engine;
use portcullis::policy::waf::inspection::{Inspection, Tuning};
use portcullis::policy::waf::memory::Memory;
use portcullis::policy::waf::message::{Request, Response};
use portcullis::policy::waf::rule::RuleSet;

use crate::request::{Case, Sent};
use crate::rule_set;

/// Checks that must hold, of a hundred.
const ENOUGH: f64 = 99.5;

pub fn cases(root: &Path) -> Vec<Case> {
    let text = fs::read_to_string(root.join("regression-cases.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The rules that a request and the answer to it meet.
pub fn met(
    rules: &RuleSet,
    memory: &mut Memory,
    inspection: &mut Inspection,
    sent: &Sent,
) -> BTreeSet<u32> {
    let headers = sent.borrowed();
    let request = Request {
        method: &sent.method,
        target: &sent.target,
        version: &sent.version,
        headers: &headers,
        peer: Some("192.0.2.7:4711".parse().unwrap()),
        local: Some("192.0.2.1:80".parse().unwrap()),
        id: b"17283940abcdef",
    };
    let tuning = Tuning {
        engine: Engine::DetectionOnly,
        ..Tuning::default()
    };
    inspection.begin(rules, tuning);
    inspection.head(rules, memory, &request);
    inspection.body(rules, memory, &sent.body);
    let response = Response {
        status: 200,
        version: b"HTTP/1.1",
        headers: &[(b"Content-Type", b"text/html")],
    };
    inspection.response_head(rules, memory, &response);
    inspection.response_body(rules, memory, &sent.reflected());
    inspection.finish(rules, memory);
    inspection.hits().iter().map(|hit| hit.rule).collect()
}

#[derive(Default)]
struct Tally {
    held: usize,
    failed: Vec<String>,
}

#[test]
fn the_rule_set_matches_as_its_project_says() {
    let Some(root) = rule_set::root() else { return };
    let rules = rule_set::compiled(&root, rule_set::SUITE).rules;
    let (mut memory, mut inspection) = (Memory::default(), Inspection::default());
    let mut files: BTreeMap<String, Tally> = BTreeMap::new();
    for case in cases(&root) {
        let tally = files.entry(case.group.clone()).or_default();
        for stage in &case.stages {
            let found = met(&rules, &mut memory, &mut inspection, &stage.sent());
            let missing = stage.expect_ids.iter().filter(|id| !found.contains(id));
            let spurious = stage.no_expect_ids.iter().filter(|id| found.contains(id));
            let failed: Vec<String> = missing
                .map(|id| format!("{} -{id}", case.id))
                .chain(spurious.map(|id| format!("{} +{id}", case.id)))
                .collect();
            tally.held += stage.expect_ids.len() + stage.no_expect_ids.len() - failed.len();
            tally.failed.extend(failed);
        }
    }
    report(&files);
}

fn report(files: &BTreeMap<String, Tally>) {
    let (mut held, mut failed) = (0, 0);
    for (file, tally) in files {
        let Tally {
            held: here,
            failed: not,
        } = tally;
        held += here;
        failed += not.len();
        println!("{file}: {here} of {}", here + not.len());
        if !not.is_empty() {
            println!("    {}", not.join(", "));
        }
    }
    let rate = 100.0 * held as f64 / (held + failed) as f64;
    println!("{held} of {} checks hold: {rate:.2} %", held + failed);
    assert!(held > 2900, "the suite is not whole");
    assert!(rate >= ENOUGH, "{rate:.2} % of the checks hold");
}
