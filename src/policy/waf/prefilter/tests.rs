//! A rule that matches is a candidate.

use proptest::prelude::*;

use super::*;
use crate::policy::waf::compile::{OnUnsupported, compile};
use crate::policy::waf::draft::Change;
use crate::policy::waf::fold::Folded;
use crate::policy::waf::memory::Memory;
use crate::policy::waf::rule::{Action, RuleSet};
use crate::policy::waf::seclang::{Files, load};
use crate::policy::waf::template::Piece;

const RULES: &str = r#"
SecRule ARGS "@rx (?i)select\s+\w+\s+from|;\s*drop" "id:1,phase:2,t:none,t:urlDecodeUni,t:lowercase"
SecRule ARGS "@pm etc/passwd x'" "id:2,phase:2,t:none,t:urlDecodeUni,t:normalizePath"
SecRule ARGS:q "@validateByteRange 32-126" "id:3,phase:2,t:none,t:htmlEntityDecode,multiMatch"
SecRule ARGS "@rx ^[^;]*$" "id:4,phase:2,t:removeNulls"
SecRule ARGS "!@rx ^\w*$" "id:5,phase:2"
SecRule ARGS "@endsWith .php" "id:6,phase:2,t:lowercase"
SecRule ARGS "@within a b c" "id:7,phase:2"
SecRule ARGS|TX:a "@rx a" "id:8,phase:2"
SecRule &ARGS "@gt 1" "id:9,phase:2"
SecRule ARGS "@rx \\n|\x0a" "id:10,phase:2,t:jsDecode,t:lowercase,t:jsDecode"
"#;

fn rules() -> RuleSet {
    let read = |_: &str| Ok(RULES.as_bytes().to_vec());
    let list = |_: &str| Ok(Vec::new());
    let files = Files {
        read: &read,
        list: &list,
    };
    let loaded = load(&["t.conf"], files).unwrap();
    compile(
        &Folded::nothing(loaded.items),
        loaded.slots,
        OnUnsupported::Refuse,
    )
    .unwrap()
    .rules
}

#[test]
fn what_depends_on_more_than_the_value_takes_no_part() {
    let rules = rules();
    let part = |id: u32| {
        let at = rules.rules().iter().position(|rule| rule.id == id).unwrap();
        rules.request.number(u16::try_from(at).unwrap()).is_some()
    };
    assert!([1, 2, 3, 4, 5, 6, 7, 10].into_iter().all(part));
    assert!(!part(8) && !part(9));
}

pub(super) fn first_link_matches(rule: &Rule, value: &[u8], memory: &mut Memory) -> bool {
    let link = &rule.links[0];
    let test = link.test.as_ref().unwrap();
    let argument = test.argument.as_text().unwrap().as_bytes();
    let mut forms = vec![value.to_vec()];
    for transformation in &link.transformations {
        let mut next = Vec::new();
        if transformation.apply(forms.last().unwrap(), &mut next) {
            forms.push(next);
        }
    }
    let looked_at = if link.multi_match {
        &forms[..]
    } else {
        &forms[forms.len() - 1..]
    };
    let mut looked_at = looked_at.iter();
    looked_at.any(|form| memory.find(test, form, argument, None).is_some() != test.negated)
}

/// Whether a rule that notes a value finds the note.
pub(super) fn finds_note(rule: &Rule, value: &[u8]) -> bool {
    let [first, second, ..] = &*rule.links else {
        panic!("{} notes nothing", rule.id);
    };
    let mut form = value.to_vec();
    for transformation in &first.transformations {
        let mut next = Vec::new();
        if transformation.apply(&form, &mut next) {
            form = next;
        }
    }
    let note = first.effects.iter().flat_map(|action| match action {
        Action::Set(_, Change::Assign(text)) => text.pieces.clone(),
        _ => Vec::new(),
    });
    let note = note.flat_map(|piece| match piece {
        Piece::Text(text) => text.as_bytes().to_vec(),
        Piece::Reference(_) => form.clone(),
    });
    let test = second.test.as_ref().unwrap();
    let argument = test.argument.as_text().unwrap().as_bytes();
    test.operator
        .find(&note.collect::<Vec<u8>>(), argument)
        .is_some()
}

const NOTING: &str = r#"
SecRule REQUEST_HEADERS_NAMES "@rx ^.*$" "id:1,phase:1,deny,capture,t:none,t:lowercase,setvar:'tx.name_1_%{tx.0}=/%{tx.0}/',chain"
  SecRule TX:/^name_1_/ "@within /proxy/ /content-range/"
SecRule REQUEST_HEADERS_NAMES "@rx ^.*$" "id:2,phase:1,deny,capture,setvar:'tx.name_2_%{tx.0}=/%{tx.0}/',chain"
  SecRule TX:/^name_2_/ "@within /x/"
"#;

fn noting(more: &str) -> RuleSet {
    compiled(format!("{NOTING}{more}\n"))
}

fn compiled(text: String) -> RuleSet {
    let read = |_: &str| Ok(text.clone().into_bytes());
    let list = |_: &str| Ok(Vec::new());
    let files = Files {
        read: &read,
        list: &list,
    };
    let loaded = load(&["t.conf"], files).unwrap();
    let items = Folded::nothing(loaded.items);
    compile(&items, loaded.slots, OnUnsupported::Refuse)
        .unwrap()
        .rules
}

/// Those whose chains would need more steps than can be told apart are asked always.
#[test]
fn rules_take_part_as_long_as_there_is_room_for_their_steps() {
    static STEPS: [&str; 7] = [
        "lowercase",
        "urlDecode",
        "removeNulls",
        "trim",
        "jsDecode",
        "cssDecode",
        "cmdLine",
    ];
    let pairs = STEPS
        .iter()
        .flat_map(|one| STEPS.iter().map(move |two| (one, two)));
    let chains = pairs.flat_map(|(one, two)| {
        let chain = move |three| format!("t:none,t:{one},t:{two},t:{three}");
        STEPS.iter().map(chain)
    });
    let rules = chains
        .zip(1..)
        .map(|(chain, id)| format!("SecRule ARGS \"@rx attack\" \"id:{id},phase:2,{chain}\"\n"));
    let rules = compiled(rules.collect());
    let (behind, _, steps) = rules.extent();
    assert!(steps <= 128 && steps > 100, "{steps}");
    assert!(
        behind > 50 && behind < rules.len(),
        "{behind} of {}",
        rules.len()
    );
}

#[test]
fn rules_that_note_values_are_candidates_for_what_they_would_find() {
    let rules = noting("");
    assert!(rules.notes(0) && rules.notes(1));
    let candidates = |name: &[u8]| {
        let (mut room, mut found) = (Room::default(), Bits::default());
        let wanted = rules.request.wanted(Collection::RequestHeadersNames, name);
        rules.request.begin(name, &wanted, &mut room);
        let at = (&mut room, &mut Fuel::endless());
        assert!(rules.request.candidates(name, &wanted, at, &mut found));
        found.iter().collect::<Vec<_>>()
    };
    assert_eq!(candidates(b"Proxy"), [0]);
    assert_eq!(candidates(b"content-RANGE"), [0]);
    assert_eq!(candidates(b"x"), [1]);
    assert_eq!(candidates(b"range"), [0_usize; 0]);
}

#[test]
fn notes_that_another_rule_may_see_are_made_for_every_value() {
    for more in [
        "SecRule TX:/^name_/ \"@rx x\" \"id:3,phase:2\"",
        "SecRule TX:/x/ \"@rx x\" \"id:3,phase:2\"",
        "SecRule TX:/name_1_x/ \"@rx x\" \"id:3,phase:2\"",
        "SecRule TX:/_abcde/ \"@rx x\" \"id:3,phase:2\"",
        "SecRule TX:/^(name_1_|b)/ \"@rx x\" \"id:3,phase:2\"",
        "SecRule TX:/^name_1_x*/ \"@rx x\" \"id:3,phase:2\"",
        "SecRule &TX \"@gt 1\" \"id:3,phase:2\"",
        "SecRule TX:name_1_proxy \"@rx x\" \"id:3,phase:2\"",
        "SecRule TX:0 \"@rx x\" \"id:3,phase:2\"",
        "SecAction \"id:3,phase:2,setvar:'tx.a=%{tx.0}'\"",
    ] {
        assert!(!noting(more).notes(0), "{more}");
    }
    for more in [
        "SecRule TX:/counter_.*/ \"@rx x\" \"id:3,phase:2\"",
        "SecRule TX:/^named/ \"@rx x\" \"id:3,phase:2\"",
        "SecRule ARGS \"@rx x\" \"id:3,phase:2,capture,chain\"\nSecRule TX:0 \"@rx x\"",
    ] {
        assert!(noting(more).notes(0), "{more}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_match_is_a_candidate(
        value in r"(select|SELECT| +|[a-z]|from|;|drop|%20|%3[bB]|/?etc/\./passwd|&lt;|&#0;|\\n|\\N|.php|.PHP|[ -~]|\PC){0,6}"
    ) {
        let rules = rules();
        let (mut memory, mut room) = (Memory::default(), Room::default());
        memory.belong_to(&rules);
        let wanted = rules.request.wanted(Collection::ArgsGet, b"q");
        let (mut candidates, mut fuel) = (Bits::default(), Fuel::endless());
        rules.request.begin(value.as_bytes(), &wanted, &mut room);
        let at = (&mut room, &mut fuel);
        prop_assert!(rules.request.candidates(value.as_bytes(), &wanted, at, &mut candidates));
        for (at, rule) in rules.rules().iter().enumerate() {
            let Some(number) = rules.request.number(u16::try_from(at).unwrap()) else {
                continue;
            };
            let matches = first_link_matches(rule, value.as_bytes(), &mut memory);
            prop_assert!(!matches || candidates.contains(number), "rule {}", rule.id);
        }
    }
}
