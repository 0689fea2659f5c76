//! Patterns that may backtrack, in all places where a pattern may stand: their answers, and that
//! nothing makes an acceptance of one that has none.

use serde_json::{Value, json};

use super::*;

const SAME: &str = "^(a+)+\\1$";
const STEPS: u32 = 5_000;

fn compile(document: &Value) -> Schema {
    let allowed = Backtracking::new([SAME.to_owned()], STEPS);
    let compiler = Compiler::new(document, Dialect::OpenApi31).backtracking(&allowed);
    let schema = compiler.compile("").unwrap();
    assert_eq!(allowed.unused().count(), 0);
    schema
}

fn check(schema: &Schema, body: &str) -> Result<(), (String, &'static str, String)> {
    let mut scratch = Scratch::default();
    let outcome = schema.check(body.as_bytes(), &mut scratch);
    // The walk that finds all faults says the same.
    let all = schema.violations(body.as_bytes(), 1, &mut scratch);
    assert_eq!(outcome.clone().err(), all.into_iter().next());
    outcome.map_err(|told| (told.pointer, told.keyword, told.schema))
}

/// A text that takes more steps than there are.
fn endless() -> String {
    format!("{}b", "a".repeat(40))
}

#[test]
fn a_pattern_answers_until_its_steps_are_over() {
    let schema = compile(&json!({"properties": {"x": {"type": "string", "pattern": SAME}}}));
    let with = |text: &str| check(&schema, &format!("{{\"x\": \"{text}\"}}"));
    assert_eq!(with("aa"), Ok(()));
    let place = || "/properties/x".to_owned();
    assert_eq!(with("ab"), Err(("/x".to_owned(), "pattern", place())));
    let over = Err(("/x".to_owned(), "pattern steps", place()));
    assert_eq!(with(&endless()), over);
    // The same behind an escape.
    assert_eq!(with("\\u0061a"), Ok(()));
    assert_eq!(with(&format!("\\u0061{}", endless())), over);
}

#[test]
fn nothing_around_a_pattern_makes_up_for_steps_that_are_over() {
    let pattern = json!({"pattern": SAME});
    let endless = endless();
    let text = format!("\"{endless}\"");
    let named = format!("{{\"{endless}\": 1}}");
    let listed = format!("[\"b\", \"{endless}\"]");
    for (schema, body) in [
        (json!({"not": pattern}), &text),
        (json!({"not": {"not": pattern}}), &text),
        (json!({"anyOf": [pattern, true]}), &text),
        (json!({"oneOf": [pattern, true]}), &text),
        (json!({"oneOf": [pattern, {"minLength": 1}]}), &text),
        (json!({"if": pattern, "then": true, "else": true}), &text),
        (json!({"if": {"not": pattern}, "then": true}), &text),
        (json!({"contains": pattern}), &listed),
        (json!({"contains": pattern, "minContains": 0}), &listed),
        (json!({"items": {"not": pattern}}), &listed),
        (json!({"propertyNames": {"not": pattern}}), &named),
        (json!({"patternProperties": {SAME: false}}), &named),
        (
            json!({"patternProperties": {SAME: {}}, "additionalProperties": true}),
            &named,
        ),
        (
            json!({"not": {"patternProperties": {SAME: {"type": "string"}}}}),
            &named,
        ),
        (
            json!({"anyOf": [{"patternProperties": {SAME: true}}, true],
                "unevaluatedProperties": false}),
            &named,
        ),
        (
            json!({"dependentSchemas": {&endless: {"propertyNames": {"not": pattern}}}}),
            &named,
        ),
        (
            json!({"prefixItems": [true], "anyOf": [{"contains": pattern}, true],
                "unevaluatedItems": false}),
            &listed,
        ),
    ] {
        let compiled = compile(&schema);
        let keyword = check(&compiled, body).unwrap_err().1;
        assert_eq!(keyword, "pattern steps", "{schema}");
        // Also where members are taken out or only noted.
        for undeclared in [Undeclared::Stripped, Undeclared::Noted] {
            let mut scratch = Scratch::default();
            let edited = compiled.edit(body.as_bytes(), Wanted::of(undeclared), &mut scratch);
            assert_eq!(edited.unwrap_err().keyword, "pattern steps", "{schema}");
        }
    }
}

#[test]
fn texts_of_parameters_are_refused_as_bodies_are() {
    let mut scratch = Scratch::default();
    let endless = endless();
    let text = compile(&json!({"type": ["string", "integer"], "not": {"pattern": SAME}}));
    assert!(text.check_text("ab", &mut scratch).is_ok());
    assert!(text.check_text("7", &mut scratch).is_ok());
    let refused = text.check_text(&endless, &mut scratch).unwrap_err();
    assert_eq!(refused.keyword, "pattern steps");
    let list = compile(&json!({"type": "array", "items": {"not": {"pattern": SAME}}}));
    assert!(list.check_texts(&["ab", "b"], &mut scratch).is_ok());
    let refused = list.check_texts(&["b", &endless], &mut scratch);
    assert_eq!(refused.unwrap_err().keyword, "pattern steps");
    let each = compile(&json!({"type": "array", "items": {"anyOf": [{"pattern": SAME}, true]}}));
    let item = format!("\"{endless}\"");
    let refused = each.check_one(each.each().unwrap(), item.as_bytes(), &mut scratch);
    assert_eq!(refused.unwrap_err().keyword, "pattern steps");
}

#[test]
fn a_pattern_is_allowed_by_its_text_or_by_its_place_and_no_other_is() {
    let document = json!({"properties": {
        "a": {"pattern": "(?=a)"}, "b/c": {"pattern": "(?=a)"}}, "patternProperties": {"(?!x)": {}}});
    let compile = |named: &[&str]| {
        let allowed = Backtracking::new(named.iter().map(|&name| name.to_owned()), STEPS);
        let compiler = Compiler::new(&document, Dialect::OpenApi31).backtracking(&allowed);
        let errors = compiler.compile("").err().unwrap_or_default();
        let refused = errors.into_iter().map(|error| {
            assert!(error.hint.unwrap().contains("backtracking.patterns"));
            assert_eq!(error.message, "look-around does not run in linear time");
            error.pointer
        });
        let mut refused: Vec<String> = refused.collect();
        refused.sort();
        (refused, allowed.unused().collect::<Vec<_>>())
    };
    let (a, bc) = ("/properties/a/pattern", "/properties/b~1c/pattern");
    let names = "/patternProperties/(?!x)";
    assert_eq!(compile(&["(?=a)", "(?!x)"]), (vec![], vec![]));
    let place = "#/properties/b~1c/pattern";
    assert_eq!(
        compile(&[place, "(?= a)"]),
        (vec![names.to_owned(), a.to_owned()], vec![1])
    );
    assert_eq!(
        compile(&["#/patternProperties/(?!x)"]),
        (vec![a.to_owned(), bc.to_owned()], vec![])
    );
    // What runs in linear time need not be named.
    let linear = json!({"pattern": "^a$"});
    let allowed = Backtracking::new(["^a$".to_owned()], STEPS);
    let compiler = Compiler::new(&linear, Dialect::OpenApi31).backtracking(&allowed);
    assert!(compiler.compile("").is_ok());
    assert_eq!(allowed.unused().collect::<Vec<_>>(), [0]);
}
