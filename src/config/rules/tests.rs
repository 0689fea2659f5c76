use super::*;

fn found(text: &str) -> Vec<String> {
    let found = read(Path::new("own.toml"), text, &mut Slots::default());
    let found = found.expect_err("something is wrong");
    found.iter().map(ToString::to_string).collect()
}

const SOUND: &str = r#"
[[rule]]
id = 20001
name = "own"
category = "sql"
severity = "critical"
"#;

#[test]
fn a_rule_becomes_a_draft_with_its_defaults() {
    let mut slots = Slots::default();
    let text =
        format!("{SOUND}score = 7\nreferences = [\"CWE-1\"]\nrx = 'a.b'\nexcept = [\"value:q\"]");
    let natives = read(Path::new("own.toml"), &text, &mut slots).unwrap();
    let draft = &natives[0].draft;
    assert_eq!((draft.id, draft.place.line), (20001, 3));
    assert_eq!(draft.severity, Some(2));
    assert_eq!(draft.tags, ["sql".into(), Box::<str>::from("CWE-1")]);
    let [asks, adds] = draft.links.as_slice() else {
        panic!("{:?}", draft.links)
    };
    assert_eq!(asks.transformations, CHAIN);
    assert!(
        asks.targets
            .included
            .iter()
            .any(|target| target.collection == Collection::Args)
    );
    assert!(asks.targets.excludes(Collection::ArgsGet, b"q"));
    assert!(!asks.targets.excludes(Collection::ArgsGet, b"p"));
    assert_eq!(adds.effects.len(), 2);
    assert!(slots.find("native_score").is_some() && slots.find("sql_score").is_some());
}

#[test]
fn a_second_condition_asks_what_the_first_found() {
    let text = format!("{SOUND}detect = \"script\"\nand = [{{ not = true, rx = 'b' }}]");
    let natives = read(Path::new("own.toml"), &text, &mut Slots::default()).unwrap();
    let link = &natives[0].draft.links[1];
    assert_eq!(link.targets.included[0].collection, Collection::MatchedVars);
    assert!(link.condition.as_ref().unwrap().negated);
    assert!(link.transformations.is_empty());
}

#[test]
fn every_mistake_has_its_place_and_a_hint() {
    for (rest, expected) in [
        ("", "own.toml:2:1: [rule] has no `id`\n"),
        ("id = 12\nrx = 'a'", "own.toml:3:6: 12 is no id of a rule"),
        (
            "id = 20001\nrx = '(a'",
            "own.toml:4:6: the pattern is invalid: ",
        ),
        (
            "id = 20001\nrx = '(?=a)b'",
            "own.toml:4:6: the pattern is invalid: ",
        ),
        (
            "id = 20001\nrxx = 'a'",
            "own.toml:4:1: unknown key `rxx` in [rule]",
        ),
        ("id = 20001", "own.toml:2:1: the rule asks nothing"),
        (
            "id = 20001\nrx = 'a'\ncontains = 'b'",
            "own.toml:2:1: the rule asks more than one thing",
        ),
        (
            "id = 20001\nrx = 'a'\ntargets = [\"value\"]",
            "own.toml:5:12: there is no target \"value\"",
        ),
        (
            "id = 20001\nrx = 'a'\ntargets = [\"valeus\"]",
            "own.toml:5:12: there is no target \"valeus\"",
        ),
        (
            "id = 20001\nrx = 'a'\ntargets = [\"path:x\"]",
            "own.toml:5:12: there is no target \"path:x\"",
        ),
        (
            "id = 20001\nrx = 'a'\ntargets = []",
            "own.toml:5:1: there are no targets",
        ),
        (
            "id = 20001\nrx = 'a'\ntargets = [\"header:bad name\"]",
            "own.toml:5:12: there is no target \"header:bad name\"",
        ),
        (
            "id = 20001\nrx = 'a'\ntransformations = [\"lowercas\"]",
            "own.toml:5:20: there is no transformation \"lowercas\"",
        ),
        (
            "id = 20001\ndetect = \"sqli\"",
            "own.toml:4:10: \"sqli\" cannot be detected",
        ),
        (
            "id = 20001\nphrases = []",
            "own.toml:4:1: there are no phrases",
        ),
        (
            "id = 20001\nphrases = [\" a\"]",
            "own.toml:4:12: a phrase begins or ends with a blank",
        ),
        (
            "id = 20001\nrx = 'a'\nscore = 101",
            "own.toml:5:9: a score of 101 is out of range",
        ),
        (
            "id = 20001\nrx = 'a'\nand = [{ rx = '[' }]",
            "own.toml:5:15: the pattern is invalid: ",
        ),
    ] {
        let text = format!(
            "\n[[rule]]\n{rest}\nname = \"own\"\ncategory = \"sql\"\nseverity = \"critical\"\n"
        );
        let found = found(&text);
        let starts = |text: &String| text.starts_with(expected.trim_end());
        assert!(found.iter().any(starts), "{rest}: {found:#?}");
        assert!(
            found.iter().all(|text| text.contains('\n')),
            "a hint: {found:#?}"
        );
    }
}

#[test]
fn words_are_checked_and_ids_are_given_once() {
    let text =
        "[[rule]]\nid = 20001\nname = \"A b\"\ncategory = \"sql\"\nseverity = \"high\"\nrx = 'a'\n";
    let told = found(text).join("\n");
    assert!(
        told.contains("own.toml:3:8: `name` is not made of small letters"),
        "{told}"
    );
    assert!(
        told.contains("own.toml:5:12: there is no severity \"high\""),
        "{told}"
    );
    let twice = format!("{SOUND}rx = 'a'\n{SOUND}rx = 'b'\n");
    let told = found(&twice).join("\n");
    assert!(
        told.contains("own.toml:10:6: there are two rules 20001"),
        "{told}"
    );
    assert!(found("").join("\n").contains("the file holds no rules"));
}

#[test]
fn the_built_in_rules_are_sound() {
    let rules = builtin::rule_set();
    assert!(rules.rules().iter().any(|rule| rule.id == VERDICT));
    let (behind, with_texts, _) = rules.extent();
    // A rule that requires no text runs on every value that holds one of its bytes.
    assert_eq!(
        behind,
        rules.len() - 2,
        "all but the verdict and the threshold"
    );
    assert!(behind - with_texts <= 16, "{with_texts} of {behind}");
}
