//! How many attacks of the rule set's suite the built-in rules find, by the file of the suite.
//!
//! `cargo test --test conformance -- detection --nocapture` prints it, with the rules whose
//! attacks are missed. All paranoia levels count, also rules that match what benign requests hold.

use std::collections::BTreeMap;

use portcullis::config::rules;

use crate::regression::{Run, cases, met};
use crate::{folder, rule_set};

/// Files of the suite that are about attacks on an application.
const FILES: std::ops::RangeInclusive<u32> = 930..=944;

/// Attacks that are found, of a hundred.
const ENOUGH: f64 = 23.0;

/// Found and missed of one file; of the missed, how many for which rule.
#[derive(Default)]
struct Tally {
    found: usize,
    missed: BTreeMap<u32, Vec<String>>,
}

#[test]
fn detection_of_the_attacks_of_the_suite() {
    let Some(root) = rule_set::root() else { return };
    let rules = folder::rule_set();
    let mut run = Run::native(&rules);
    let mut files: BTreeMap<String, Tally> = BTreeMap::new();
    for case in cases(&root) {
        let file = case.group.split('-').find_map(|part| part.parse().ok());
        if !file.is_some_and(|file: u32| FILES.contains(&file)) {
            continue;
        }
        for stage in &case.stages {
            let Some(expected) = stage.expect_ids.first() else {
                continue;
            };
            let is_found = met(&mut run, &stage.sent(), false).contains(&rules::VERDICT);
            let tally = files.entry(case.group.clone()).or_default();
            match is_found {
                true => tally.found += 1,
                false => {
                    let missed = tally.missed.entry(*expected).or_default();
                    missed.push(case.id.clone());
                }
            }
        }
    }
    let (mut found, mut all) = (0, 0);
    for (file, tally) in &files {
        let missed: usize = tally.missed.values().map(Vec::len).sum();
        println!("{file}: {} of {}", tally.found, tally.found + missed);
        let missed = tally.missed.iter();
        let missed: Vec<String> = missed
            .map(|(rule, cases)| format!("{rule} x{}", cases.len()))
            .collect();
        println!("    missed: {}", missed.join(", "));
        found += tally.found;
        all += tally.found + tally.missed.values().map(Vec::len).sum::<usize>();
    }
    let rate = 100.0 * found as f64 / all as f64;
    println!("{found} of {all} attacks are found: {rate:.1} %");
    assert!(all > 2000, "the suite is not whole");
    assert!(rate >= ENOUGH, "{rate:.1} %");
}
