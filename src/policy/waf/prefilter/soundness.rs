//! A rule whose first link matches a value is a candidate for it: of the built-in rules, and of the
//! Core Rule Set, wherever it is unpacked. Values are made from what the rules themselves look for,
//! and mutated.

#![cfg(test)]

use std::path::Path;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::tests::{finds_note, first_link_matches};
use super::*;
use crate::config::rules::{builtin, disk};
use crate::policy::waf::load::Settings;
use crate::policy::waf::memory::Memory;
use crate::policy::waf::rule::RuleSet;
use crate::policy::waf::transform::Transformation;

/// Values of each rule.
const VALUES: usize = 24;

/// So many other rules look at each of them.
const OTHERS: usize = 8;

fn core_rule_set() -> Option<RuleSet> {
    let root = std::env::var("PORTCULLIS_CONFORMANCE").ok();
    let Some(root) = root.map(|root| root + "/crs-v4") else {
        eprintln!("soundness: PORTCULLIS_CONFORMANCE is not set: NOTHING IS TESTED HERE");
        return None;
    };
    let settings = Settings {
        variables: &[("blocking_paranoia_level", "4")],
        ..Settings::default()
    };
    let root = Path::new(&root);
    Some(disk::core_rule_set(root, &settings).unwrap().rules)
}

/// Appends something that a pattern matches, but for what stands around it.
fn write(hir: &Hir, random: &mut fastrand::Rng, out: &mut Vec<u8>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(Class::Bytes(class)) => {
            if let Some(range) = random.choice(class.ranges()) {
                out.push(random.u8(range.start()..=range.end()));
            }
        }
        HirKind::Class(Class::Unicode(class)) => {
            if let Some(range) = random.choice(class.ranges()) {
                let one = random.char(range.start()..=range.end());
                out.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX).min(repetition.min + 3);
            for _ in 0..random.u32(repetition.min..=most).min(300) {
                write(&repetition.sub, random, out);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, random, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, random, out)),
        HirKind::Alternation(parts) => {
            if let Some(part) = random.choice(parts) {
                write(part, random, out);
            }
        }
    }
}

/// A value that the first link is likely to match.
fn made_for(link: &Link, random: &mut fastrand::Rng) -> Vec<u8> {
    let test = link.test.as_ref().unwrap();
    let argument = test.argument.as_text().unwrap_or_default();
    let mut value = Vec::new();
    match &test.operator {
        // What no pattern and no range of bytes of the rule set is about.
        Operator::Pattern(_) if test.negated => value.extend_from_slice(b"\x01?"),
        Operator::Bytes(_) if test.negated => value.extend_from_slice(b"abc"),
        // Overlong, a NUL, and an escape that is none.
        Operator::Bytes(_) => value.extend_from_slice(b"\xc0\xaf\x01\0%zz"),
        Operator::Addresses(_) => {
            let first = argument.split(',').next().unwrap_or_default();
            value.extend_from_slice(first.as_bytes());
        }
        // Also one more, and so many bytes, where it is their number that is compared.
        Operator::Number(_) => {
            let number = argument.parse::<usize>().unwrap_or_default() + random.usize(..2);
            match link.transformations.contains(&Transformation::Length) {
                true => value.resize(number, b'a'),
                false => value.extend_from_slice(number.to_string().as_bytes()),
            }
        }
        Operator::Pattern(pattern) => {
            write(&pattern::hir(pattern.text()).unwrap(), random, &mut value);
        }
        Operator::Phrases(phrases) => {
            value.extend_from_slice(random.choice(phrases.phrases()).unwrap());
        }
        Operator::Sql => value.extend_from_slice(b"1' or '1'='1"),
        Operator::Script => value.extend_from_slice(b"<img src=x onerror=alert(1)>"),
        _ => value.extend(argument.bytes()),
    }
    match decodes_plus(link) {
        true => escape_plus(&value),
        false => value,
    }
}

/// A value whose note the second link is likely to find.
fn made_for_notes(rule: &Rule, random: &mut fastrand::Rng) -> Vec<u8> {
    let test = rule.links[1].test.as_ref().unwrap();
    let names: Vec<&str> = test.argument.as_text().unwrap().split('/').collect();
    random.choice(names).unwrap().as_bytes().to_vec()
}

fn decodes_plus(link: &Link) -> bool {
    let decoding = [Transformation::UrlDecode, Transformation::UrlDecodeUni];
    let mut transformations = link.transformations.iter();
    transformations.any(|transformation| decoding.contains(transformation))
}

/// A plus sign that is still one when it was decoded.
fn escape_plus(value: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = value.split(|&byte| byte == b'+').collect();
    parts.join(&b"%2B"[..])
}

fn mutate(value: &mut Vec<u8>, random: &mut fastrand::Rng) {
    const PARTS: [&[u8]; 12] = [
        b" ",
        b"  ",
        b"/**/",
        b"%20",
        b"&lt;",
        b"\\x41",
        b"\0",
        b"\n",
        b"a",
        b"'",
        b"/./",
        b"\xc3\xa9",
    ];
    for _ in 0..random.usize(..4) {
        let at = random.usize(..=value.len());
        match random.u8(..5) {
            0 => {
                let part = random.choice(PARTS).unwrap_or_default();
                value.splice(at..at, part.iter().copied());
            }
            1 if at < value.len() => value[at] ^= 0x20,
            2 if at < value.len() => drop(value.remove(at)),
            3 if at < value.len() => {
                let escaped = format!("%{:02x}", value[at]);
                value.splice(at..=at, escaped.bytes());
            }
            _ => value.extend_from_slice(b" plain text"),
        }
    }
}

/// A value of which the rule is asked: its collection and name.
fn place(link: &Link) -> Option<(Collection, &str)> {
    let target = link.targets.included.first()?;
    let name = match &target.selector {
        Selector::Name(name) => name,
        _ => "q",
    };
    Some((*target.collection.parts().first()?, name))
}

#[test]
fn a_match_of_the_built_in_rules_is_a_candidate() {
    let matched = candidates_of_what_matches(&builtin::rule_set());
    assert!(matched > 500, "{matched} matches are too few");
}

#[test]
fn a_match_of_the_core_rule_set_is_a_candidate() {
    let Some(rules) = core_rule_set() else { return };
    let notes = (0..rules.rules().len()).filter(|&at| rules.notes(u16::try_from(at).unwrap()));
    let notes: Vec<u32> = notes.map(|at| rules.rules()[at].id).collect();
    assert_eq!(notes, [920_450, 920_451], "rules that note header fields");
    let matched = candidates_of_what_matches(&rules);
    assert!(matched > 2000, "{matched} matches are too few");
}

/// How many values were matched: each by a candidate, and each rule matched one of its own.
fn candidates_of_what_matches(rules: &RuleSet) -> usize {
    let mut random = fastrand::Rng::with_seed(0x0BAD_5EED);
    let (mut memory, mut room) = (Memory::default(), Room::default());
    memory.belong_to(rules);
    let (mut asked, mut matched, mut unmatched) = (0, 0, Vec::new());
    for filter in [&rules.request, &rules.response] {
        let all: Vec<(usize, &Rule)> = rules.rules().iter().enumerate().collect();
        let all = all.into_iter().filter_map(|(at, rule)| {
            let number = filter.number(u16::try_from(at).unwrap())?;
            Some((number, rule))
        });
        let all: Vec<(usize, &Rule)> = all.collect();
        for &(own, rule) in &all {
            let link = &rule.links[0];
            let (part, name) = place(link).unwrap();
            let mut has_matched = false;
            for round in 0..VALUES {
                let mut value = match filter.notes(own) {
                    true => made_for_notes(rule, &mut random),
                    false => made_for(link, &mut random),
                };
                if round > VALUES / 4 {
                    mutate(&mut value, &mut random);
                }
                let wanted = filter.wanted(part, name.as_bytes());
                assert!(wanted.rules.contains(own), "rule {}", rule.id);
                let mut found = Bits::default();
                filter.begin(&value, &wanted, &mut room);
                let at = (&mut room, &mut Fuel::endless());
                assert!(filter.candidates(&value, &wanted, at, &mut found));
                let others = (0..OTHERS).map(|_| all[random.usize(..all.len())]);
                for (number, other) in others.collect::<Vec<_>>().into_iter().chain([(own, rule)]) {
                    if !wanted.rules.contains(number) {
                        continue;
                    }
                    asked += 1;
                    let matches = match filter.notes(number) {
                        true => finds_note(other, &value),
                        false => first_link_matches(other, &value, &mut memory),
                    };
                    matched += usize::from(matches);
                    has_matched |= matches && number == own;
                    assert!(
                        !matches || found.contains(number),
                        "rule {} on {:?}",
                        other.id,
                        String::from_utf8_lossy(&value)
                    );
                }
            }
            if !has_matched {
                unmatched.push(rule.id);
            }
        }
    }
    println!(
        "{asked} questions, {matched} matches; never matched by values of their own: {unmatched:?}"
    );
    assert!(unmatched.is_empty(), "{unmatched:?}");
    matched
}
