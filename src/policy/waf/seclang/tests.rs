//! Whole files: what loads, and what is told of what does not.

use std::collections::BTreeMap;

use super::*;
use crate::policy::waf::draft::{Disruption, Item, Phase, RuleDraft};

fn load_all(files: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let read = |path: &str| {
        let text = files.get(path).ok_or("no such file")?;
        Ok(text.as_bytes().to_vec())
    };
    let list = |_: &str| Ok(files.keys().map(|path| (*path).to_owned()).collect());
    let loaded = load(
        &["/r/main.conf"],
        Files {
            read: &read,
            list: &list,
        },
    );
    loaded.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn rules(loaded: &Loaded) -> Vec<&RuleDraft> {
    let rules = loaded.items.iter().filter_map(|item| match item {
        Item::Rule(rule) => Some(rule.as_ref()),
        Item::Marker(_) => None,
    });
    rules.collect()
}

#[test]
fn files_include_others_and_chains_are_one_rule() {
    let loaded = load_all(&[
        ("/r/main.conf", "SecDefaultAction \"phase:2,deny,status:406,nolog\"\nInclude rules/*.conf\nIncludeOptional none.conf\n"),
        ("/r/rules/b.conf", "SecRule ARGS \"@rx a\" \"id:2,phase:2,block,chain\"\n SecRule TX:0 \"!@streq b\" \"setvar:tx.a=1\"\nSecMarker END\n"),
        ("/r/rules/a.conf", "SecAction \"id:1,phase:1,pass,nolog\"\n"),
        ("/r/rules/a.conf.example", "broken\n"),
    ])
    .unwrap();
    let rules = rules(&loaded);
    assert_eq!(rules.iter().map(|rule| rule.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(rules[1].links.len(), 2);
    assert_eq!(rules[1].disruption, Disruption::Deny { status: 406 });
    assert_eq!((rules[1].phase, rules[1].log), (Phase::RequestBody, false));
}

#[test]
fn later_directives_change_earlier_rules() {
    let text = "SecRule ARGS a \"id:1,tag:x\"\nSecRule ARGS a \"id:2\"\nSecRule ARGS a \"id:3,msg:'m'\"\n\
        SecRuleRemoveById 2 5-9\nSecRuleUpdateTargetByTag x \"!ARGS:b|REQUEST_LINE\"\nSecRuleRemoveByMsg m\n\
        SecRequestBodyAccess On\nSecRuleUpdateTargetById 77 \"!ARGS:c\"\n";
    let loaded = load_all(&[("/r/main.conf", text)]).unwrap();
    let rules = rules(&loaded);
    assert_eq!(rules.len(), 1);
    let targets = &rules[0].links[0].targets;
    assert_eq!((targets.included.len(), targets.excluded.len()), (2, 1));
    let notes: Vec<String> = loaded.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "/r/main.conf:4: `SecRuleRemoveById 2 5-9` names no rule that stands before it",
            "/r/main.conf:7: `SecRequestBodyAccess` has no effect here",
            "/r/main.conf:8: `SecRuleUpdateTargetById 77 !ARGS:c` names no rule that stands before it",
        ]
    );
}

#[test]
fn all_that_is_wrong_is_told_with_its_place() {
    let text = "SecRule ARGS \"@rx a\" \"id:7,phase:2,frobnicate\"\nSecFoo a\nSecRule NOPE a \"id:8\"\n\
        Include missing.conf\nSecRule ARGS a \"pass\"\nSecRule ARGS \"@pmFromFile words\" \"id:9\"\n\
        SecRule ARGS a \"id:10,chain\"\n";
    let errors = load_all(&[("/r/main.conf", text)]).unwrap_err();
    assert_eq!(
        errors,
        [
            "/r/main.conf:1: rule 7: there is no action `frobnicate`",
            "/r/main.conf:2: the directive `SecFoo` is not supported",
            "/r/main.conf:3: rule 8: there is no variable `NOPE`",
            "/r/main.conf:4: cannot read /r/missing.conf: no such file",
            "/r/main.conf:5: the rule has no id",
            "/r/main.conf:6: rule 9: cannot read /r/words: no such file",
            "/r/main.conf:7: rule 10: the chain has no further rule",
        ]
    );
}

#[test]
fn a_file_that_includes_itself_is_refused() {
    let errors = load_all(&[("/r/main.conf", "Include main.conf\n")]).unwrap_err();
    assert_eq!(
        errors,
        ["/r/main.conf:1: files are included more than 16 deep"]
    );
}

#[test]
fn an_id_is_that_of_one_rule() {
    let twice =
        "SecRule ARGS a \"id:8\"\nSecAction \"id:9,phase:1,pass,nolog\"\nSecRule ARGS b \"id:8\"\n";
    let errors = load_all(&[("/r/main.conf", twice)]).unwrap_err();
    let told = "/r/main.conf:3: rule 8: there is one with this id already, at /r/main.conf:1";
    assert_eq!(errors, [told]);
    // One that was taken out may be written anew.
    let anew = "SecRule ARGS a \"id:8\"\nSecRuleRemoveById 8\nSecRule ARGS b \"id:8\"\n";
    assert_eq!(
        rules(&load_all(&[("/r/main.conf", anew)]).unwrap()).len(),
        1
    );
}

#[test]
fn what_is_unsupported_is_kept_with_its_rule() {
    let text = "SecRule GEO:COUNTRY \"@rx a\" \"id:7,phase:1,pass\"\n";
    let loaded = load_all(&[("/r/main.conf", text)]).unwrap();
    assert_eq!(
        rules(&loaded)[0].unsupported.as_deref(),
        Some("the variable `GEO`")
    );
}
