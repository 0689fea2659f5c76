//! What is left of rules, and that it is what they would do.

use super::*;
use crate::policy::waf::seclang::{Files, load};

fn folded(text: &str, open: &[&str]) -> (Vec<u32>, Folded) {
    let read = |_: &str| Ok(text.as_bytes().to_vec());
    let list = |_: &str| Ok(Vec::new());
    let files = Files {
        read: &read,
        list: &list,
    };
    let loaded = load(&["t.conf"], files).unwrap();
    let folded = fold(&loaded.items, &loaded.slots, open);
    let ids = folded.items.iter().filter_map(|item| match item {
        Item::Rule(rule) => Some(rule.id),
        Item::Marker(_) => None,
    });
    (ids.collect(), folded)
}

fn rule(folded: &Folded, id: u32) -> &RuleDraft {
    let mut rules = folded.items.iter().filter_map(|item| match item {
        Item::Rule(rule) => Some(rule),
        Item::Marker(_) => None,
    });
    rules.find(|rule| rule.id == id).unwrap()
}

const GATED: &str = "\
SecRule &TX:level \"@eq 0\" \"id:1,phase:1,pass,nolog,setvar:tx.level=2\"\n\
SecRule &TX:level \"@eq 0\" \"id:2,phase:1,pass,nolog,setvar:tx.level=9\"\n\
SecAction \"id:3,phase:1,pass,nolog,setvar:tx.score=0,setvar:tx.weight=5\"\n\
SecRule ARGS \"@rx a\" \"id:4,phase:2,pass,setvar:tx.score=+%{tx.weight}\"\n\
SecRule TX:level \"@lt 3\" \"id:5,phase:2,pass,nolog,skipAfter:END\"\n\
SecRule ARGS \"@rx b\" \"id:6,phase:2,pass,setvar:tx.score=+%{tx.weight}\"\n\
SecRule ARGS \"@rx c\" \"id:7,phase:1,pass\"\n\
SecMarker END\n\
SecRule TX:level \"@eq 2\" \"id:8,phase:2,pass,chain\"\n\
SecRule ARGS \"@gt %{tx.level}\" \"setvar:tx.score=+1\"\n\
SecRule TX:score \"@ge 5\" \"id:9,phase:2,deny\"\n";

#[test]
fn gates_are_decided_and_constants_written_in() {
    let (ids, folded) = folded(GATED, &[]);
    assert_eq!(ids, [3, 4, 7, 8, 9]);
    let Effect::Set(_, Change::Add(weight)) = &rule(&folded, 4).links[0].effects[0] else {
        panic!("no effect")
    };
    assert_eq!(weight.as_text(), Some("5"));
    // The score is not known before the request; the weight is gone.
    assert_eq!(rule(&folded, 3).links[0].effects.len(), 1);
    let chained = rule(&folded, 8);
    assert_eq!(chained.links.len(), 1);
    let argument = &chained.links[0].condition.as_ref().unwrap().argument;
    assert_eq!(argument.as_text(), Some("2"));
}

#[test]
fn what_others_decide_is_not_assumed() {
    let (ids, _) = folded(GATED, &["level"]);
    assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_variable_that_a_rule_may_set_is_volatile() {
    for setter in [
        "SecRule ARGS a \"id:1,phase:1,pass,nolog,setvar:tx.level=1\"\n",
        "SecAction \"id:1,phase:2,pass,nolog,setvar:tx.level=1\"\n",
        "SecRule ARGS a \"id:1,phase:1,pass,nolog,setvar:tx.le%{matched_var}=1\"\n",
        "SecRule ARGS a \"id:1,phase:1,pass,nolog,skipAfter:END\"\nSecAction \"id:2,phase:1,pass,nolog,setvar:tx.level=1\"\nSecMarker END\n",
        "SecRule ARGS a \"id:1,phase:1,pass,nolog,ctl:ruleRemoveById=2\"\nSecAction \"id:2,phase:1,pass,nolog,setvar:tx.level=1\"\n",
    ] {
        let text = format!("{setter}SecRule TX:level \"@eq 1\" \"id:5,phase:2,deny\"\n");
        let (ids, folded) = folded(&text, &[]);
        assert!(ids.contains(&5), "{setter}");
        assert!(rule(&folded, 5).links[0].condition.is_some(), "{setter}");
    }
}

#[test]
fn a_gate_that_may_be_removed_passes_over_its_kind_alone() {
    let text = "SecRule ARGS a \"id:1,phase:1,pass,nolog,ctl:ruleRemoveByTag=t\"\n\
        SecRule &TX:x \"@eq 0\" \"id:2,phase:1,pass,nolog,tag:t,skipAfter:END\"\n\
        SecRule ARGS a \"id:3,phase:1,pass,tag:t\"\n\
        SecMarker END\n";
    assert_eq!(folded(text, &[]).0, [1]);
    let other = text.replace("id:3,phase:1,pass,tag:t", "id:3,phase:1,pass");
    assert_eq!(folded(&other, &[]).0, [1, 2, 3]);
}
