//! How many attacks of the rule set's suite the built-in rules find, by the file of the suite.
//!
//! `cargo test --test conformance -- detection --nocapture` prints it. The suite holds attacks of
//! all paranoia levels, also words that benign requests hold as well; what is not found is named
//! with its reason in `missed.txt`, case by case: what comes to it or goes from it fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portcullis::config::rules;
use portcullis::proto::head::RequestHead;
use portcullis::proto::target::{self, Path as Target};

use crate::cases::{cases, is_whole};
use crate::regression::{Run, met};
use crate::request::Sent;
use crate::{folder, rule_set};

/// Files of the suite that are about attacks on an application.
const FILES: std::ops::RangeInclusive<u32> = 930..=944;

/// Has no score, and refuses whatever the score is.
const BODY_NOT_AS_TOLD: u32 = 1706;

/// Attacks that are found, of a hundred of those that the rules claim to find.
const ENOUGH: f64 = 98.0;

/// Why attacks are not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Of a class that the rules claim to find: a hole.
    Open,
    /// A word, a name or a sign by itself, which only the place that it comes to makes an attack:
    /// clients send such things, and nothing in the request tells them apart.
    Word,
    /// Of a class that content does not tell at all, or that other stages are for.
    Elsewhere,
    /// A request that the gateway's own readers refuse, of the head or of the body, before any rule.
    Protocol,
}

impl Kind {
    fn named(name: &str) -> Kind {
        match name {
            "open" => Kind::Open,
            "word" => Kind::Word,
            "elsewhere" => Kind::Elsewhere,
            "protocol" => Kind::Protocol,
            _ => panic!("{name} is no kind"),
        }
    }
}

/// A line of `missed.txt`: `944130 word 1-227, 230: names of packages`.
fn known() -> BTreeMap<String, Kind> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/missed.txt");
    let text = std::fs::read_to_string(file).unwrap();
    let mut known = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (head, why) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
        assert!(why.len() > 10, "{line}: no reason");
        let mut words = head.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("{line}"));
        let (rule, kind, cases) = (word(), Kind::named(word()), word());
        for part in cases.split(", ") {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("{line}"));
            for case in number(from)..=number(to) {
                let before = known.insert(format!("{rule}-{case}"), kind);
                assert!(before.is_none(), "{rule}-{case} twice");
            }
        }
    }
    known
}

/// Whether the gateway refuses the head before any rule sees it.
fn is_refused(sent: &Sent) -> bool {
    let mut head = [&sent.method[..], b" ", &sent.target, b" HTTP/1.1\r\n"].concat();
    for (name, value) in &sent.headers {
        head.extend([name, &b": "[..], value, b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    let path = target::split(&sent.target).map(|(path, _)| path);
    let is_path = path.and_then(|path| Target::default().read(path)).is_ok();
    !is_path || RequestHead::default().read(&head).is_err()
}

/// Found and missed of one file.
#[derive(Default)]
struct Tally {
    found: usize,
    missed: usize,
}

fn missed_stages(files: &BTreeMap<String, Tally>) -> usize {
    files.values().map(|tally| tally.missed).sum()
}

/// `missed.txt` was written for the part of the suite that the lines hold; of the whole suite the
/// figures are told, and what is named has to be missed still.
#[test]
fn detection_of_the_attacks_of_the_suite() {
    let Some(root) = rule_set::root() else { return };
    let rules = folder::rule_set();
    let mut run = Run::native(&rules);
    let mut files: BTreeMap<String, Tally> = BTreeMap::new();
    let mut missed = BTreeSet::new();
    let mut refused = BTreeSet::new();
    for case in cases(&root) {
        let file = case.group.split('-').find_map(|part| part.parse().ok());
        if !file.is_some_and(|file: u32| FILES.contains(&file)) {
            continue;
        }
        for stage in case
            .stages
            .iter()
            .filter(|stage| !stage.expect_ids.is_empty())
        {
            let sent = stage.sent();
            let found = met(&mut run, &sent, false);
            let is_found = found.contains(&rules::VERDICT);
            let tally = files.entry(case.group.clone()).or_default();
            match is_found {
                true => tally.found += 1,
                false => {
                    tally.missed += 1;
                    missed.insert(case.id.clone());
                    if is_refused(&sent) || found.contains(&BODY_NOT_AS_TOLD) {
                        refused.insert(case.id.clone());
                    }
                }
            }
        }
    }
    for (file, Tally { found, missed }) in &files {
        println!("{file}: {found} of {}", found + missed);
    }
    let known = known();
    let named: BTreeSet<String> = known.keys().cloned().collect();
    let unnamed: Vec<&String> = missed.difference(&named).collect();
    let found_by_now: Vec<&String> = named.difference(&missed).collect();
    assert!(found_by_now.is_empty(), "named and found: {found_by_now:?}");
    if is_whole(&root) {
        let all: usize = files.values().map(|tally| tally.found + tally.missed).sum();
        println!("{} of {all} attacks are found", all - missed_stages(&files));
        println!(
            "{} of the missed are named in missed.txt; of {} others nobody has said which are holes",
            named.len(),
            unnamed.len()
        );
        return;
    }
    assert!(unnamed.is_empty(), "missed and not named: {unnamed:?}");
    let told = known.iter().filter(|(_, kind)| **kind == Kind::Protocol);
    let told: BTreeSet<String> = told.map(|(case, _)| case.clone()).collect();
    assert_eq!(told, refused, "what the reader of requests refuses");
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    for kind in known.values() {
        *kinds.entry(*kind).or_default() += 1;
    }
    let found: usize = files.values().map(|tally| tally.found).sum();
    let all = found + files.values().map(|tally| tally.missed).sum::<usize>();
    let share = |of: usize| 100.0 * found as f64 / of as f64;
    let open = kinds.get(&Kind::Open).copied().unwrap_or_default();
    println!("{found} of {all} attacks are found: {:.1} %", share(all));
    println!("not found: {kinds:?}");
    println!(
        "of those that the rules claim: {:.1} %",
        share(found + open)
    );
    assert!(all > 2000, "the suite is not whole");
    assert!(share(found + open) >= ENOUGH);
}
