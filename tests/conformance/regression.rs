//! The regression suite of the rule set: which rules match, request by request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis::policy::waf::compile::OnUnsupported;
use portcullis::policy::waf::draft::Engine;
use portcullis::policy::waf::hit::Hit;
use portcullis::policy::waf::inspection::{Inspection, Tuning};
use portcullis::policy::waf::load::Settings;
use portcullis::policy::waf::memory::Memory;
use portcullis::policy::waf::message::{Headers, Request, Response};
use portcullis::policy::waf::rule::RuleSet;
use portcullis::policy::waf::view::View;

use crate::cases::cases;
use crate::request::Sent;
use crate::{folder, rule_set};

/// Checks that must hold, of a hundred.
const ENOUGH: f64 = 99.5;

/// The checks that do not hold, and why. Any other one fails the test.
const KNOWN: &[(&str, &str)] = &[
    (
        "920120-40",
        "a file name with a backslash is refused by the reader of multipart bodies, before rules",
    ),
    (
        "920120-41",
        "a field name with a backslash is refused by the reader of multipart bodies, before rules",
    ),
    (
        "920121-3",
        "a file name with a backslash is refused by the reader of multipart bodies, before rules",
    ),
    (
        "920121-6",
        "a file name with a backslash is refused by the reader of multipart bodies, before rules",
    ),
    (
        "920121-7",
        "a field name with a backslash is refused by the reader of multipart bodies, before rules",
    ),
    (
        "920181-1",
        "a server in front refuses Content-Length beside Transfer-Encoding; here the rule says it",
    ),
    (
        "920430-5",
        "the suite's server says HTTP/0.9 for a head without a version; here no such head comes to the rules, and \
         asked directly, the empty text is within every list",
    ),
    (
        "920620-1",
        "the suite's server joins two Content-Type fields into one; here they are two, and the rule says it",
    ),
    (
        "920640-5",
        "a client of the suite cannot send what the rule looks for; asked directly, it matches",
    ),
    (
        "921140-1",
        "a server in front refuses a line break in a field; here the rule says it",
    ),
    (
        "930110-11",
        "a file name with a backslash is refused by the reader of multipart bodies, before rules",
    ),
    (
        "942101-9",
        "the path is SQL to libinjection from an end of a comment on; here it is not",
    ),
    (
        "942101-10",
        "half a command in a path is SQL here; libinjection does not know its shape",
    ),
    (
        "942101-11",
        "a command in a path is SQL here; libinjection does not know its shape",
    ),
];

/// Rules, and what they run with.
pub struct Run<'a> {
    rules: &'a RuleSet,
    /// None: only what the rule language knows of is looked at.
    view: Option<Arc<View>>,
    memory: Memory,
    inspection: Inspection,
}

impl Run<'_> {
    pub fn of(rules: &RuleSet) -> Run<'_> {
        Run {
            rules,
            view: None,
            memory: Memory::default(),
            inspection: Inspection::default(),
        }
    }

    /// Looks at requests as an operation has them looked at that says nothing else.
    pub fn native(rules: &RuleSet) -> Run<'_> {
        Run {
            view: Some(Arc::default()),
            ..Run::of(rules)
        }
    }
}

/// The rules that a request and the answer to it meet.
pub fn met(run: &mut Run<'_>, sent: &Sent, exhaustive: bool) -> BTreeSet<u32> {
    hits(run, sent, exhaustive)
        .iter()
        .map(|hit| hit.rule)
        .collect()
}

/// What the rules find in a request and the answer to it.
pub fn hits(run: &mut Run<'_>, sent: &Sent, exhaustive: bool) -> Vec<Hit> {
    let Run {
        rules,
        view,
        memory,
        inspection,
    } = run;
    let headers = sent.borrowed();
    let request = Request {
        method: &sent.method,
        target: &sent.target,
        version: &sent.version,
        headers: Headers::Pairs(&headers),
        peer: Some("192.0.2.7:4711".parse().unwrap()),
        local: Some("192.0.2.1:80".parse().unwrap()),
        id: b"17283940abcdef",
    };
    let tuning = Tuning {
        engine: Engine::DetectionOnly,
        exhaustive,
        ..Tuning::default()
    };
    inspection.begin(rules, tuning);
    if let Some(view) = view {
        inspection.look_at(view);
    }
    inspection.head(rules, memory, &request);
    inspection.body(rules, memory, &sent.body);
    let response = Response {
        status: 200,
        version: b"HTTP/1.1",
        headers: Headers::Pairs(&[(b"Content-Type", b"text/html")]),
        is_decoded: false,
    };
    inspection.response_head(rules, memory, &response);
    inspection.response_body(rules, memory, &sent.reflected());
    inspection.finish(rules, memory);
    inspection.take_hits()
}

#[derive(Default)]
struct Tally {
    held: usize,
    failed: Vec<String>,
}

#[test]
fn the_rule_set_matches_as_its_project_says() {
    let Some(root) = rule_set::root() else { return };
    let settings = Settings {
        variables: rule_set::SUITE,
        on_unsupported: OnUnsupported::Skip,
        ..Settings::default()
    };
    let rules = rule_set::loaded(&root, &settings).rules;
    let mut run = Run::of(&rules);
    let mut files: BTreeMap<String, Tally> = BTreeMap::new();
    for case in cases(&root) {
        let tally = files.entry(case.group.clone()).or_default();
        for stage in &case.stages {
            let found = met(&mut run, &stage.sent(), false);
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
    let mut unknown = Vec::new();
    for (file, tally) in files {
        let Tally {
            held: here,
            failed: not,
        } = tally;
        held += here;
        failed += not.len();
        println!("{file}: {here} of {}", here + not.len());
        for failed in not {
            let case = failed.split(' ').next();
            let known = KNOWN.iter().find(|(known, _)| case == Some(known));
            match known {
                Some((_, why)) => println!("    {failed}: {why}"),
                None => unknown.push(failed.as_str()),
            }
        }
    }
    let rate = 100.0 * held as f64 / (held + failed) as f64;
    println!("{held} of {} checks hold: {rate:.2} %", held + failed);
    assert!(
        unknown.is_empty(),
        "these do not hold, for no known reason: {}",
        unknown.join(", ")
    );
    assert!(held > 2900, "the suite is not whole");
    assert!(rate >= ENOUGH, "{rate:.2} % of the checks hold");
}

/// Folding and the prefilter change how long it takes, and nothing else.
#[test]
fn what_is_done_at_load_and_what_is_not_looked_at_changes_nothing() {
    let Some(root) = rule_set::root() else { return };
    // The levels between the lowest and the highest on every fifth case.
    for (level, step) in [("1", 1), ("2", 5), ("3", 5), ("4", 1)] {
        let mut variables = rule_set::SUITE.to_vec();
        variables[0].1 = level;
        let settings = Settings {
            variables: &variables,
            on_unsupported: OnUnsupported::Skip,
            folded: true,
        };
        let plain = Settings {
            folded: false,
            ..settings
        };
        let (folded, plain) = (
            rule_set::loaded(&root, &settings),
            rule_set::loaded(&root, &plain),
        );
        println!(
            "level {level}: {} of {} rules run, {:?} of them behind the prefilter (rules, with texts, forms)",
            folded.rules.len(),
            folded.written,
            folded.rules.extent(),
        );
        let (mut folded, mut plain) = (Run::of(&folded.rules), Run::of(&plain.rules));
        for case in cases(&root).iter().step_by(step) {
            for stage in &case.stages {
                let sent = stage.sent();
                let expected = met(&mut plain, &sent, true);
                assert_eq!(met(&mut folded, &sent, false), expected, "{}", case.id);
                assert_eq!(
                    met(&mut folded, &sent, false),
                    expected,
                    "{}, seen before",
                    case.id
                );
            }
        }
    }
}

/// The same of the built-in rules, on the requests of the suite.
#[test]
fn what_the_built_in_rules_do_not_look_at_changes_nothing() {
    let Some(root) = rule_set::root() else { return };
    let rules = folder::rule_set();
    let (mut run, mut plain) = (Run::native(&rules), Run::native(&rules));
    for case in cases(&root) {
        for stage in &case.stages {
            let sent = stage.sent();
            let expected = met(&mut plain, &sent, true);
            for seen in ["", ", seen before"] {
                assert_eq!(met(&mut run, &sent, false), expected, "{}{seen}", case.id);
            }
        }
    }
}
