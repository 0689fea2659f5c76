//! Schemas as they are written, and what they make of bodies and parameters.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn schema(schema: Value) -> Schema {
    Schema::compile(&schema, "", Dialect::OpenApi31).unwrap()
}

fn check(schema: &Schema, body: &str) -> Result<(), (String, &'static str)> {
    let mut scratch = Scratch::default();
    let outcome = schema.check(body.as_bytes(), &mut scratch);
    outcome.map_err(|violation| (violation.pointer, violation.keyword))
}

fn refused(pointer: &str, keyword: &'static str) -> Result<(), (String, &'static str)> {
    Err((pointer.to_owned(), keyword))
}

#[test]
fn a_payment_is_checked_to_its_leaves() {
    let payment = schema(json!({
        "type": "object", "additionalProperties": false,
        "required": ["id", "amount"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "amount": {"type": "integer", "minimum": 1, "maximum": 1000},
            "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 3}},
            "a/b~c": {"type": "boolean"}
        }
    }));
    let id = "2eb8aa08-aa98-11ea-b4aa-73b441d16380";
    let with = |rest: &str| format!("{{\"id\":\"{id}\",\"amount\":5{rest}}}");
    assert_eq!(check(&payment, &with("")), Ok(()));
    assert_eq!(
        check(
            &payment,
            &with(",\"tags\":[\"a\",\"\\u00e9\\u00e9\\u00e9\"]")
        ),
        Ok(())
    );
    for (body, pointer, keyword) in [
        (with(",\"x\":1"), "/x", "additionalProperties"),
        (with(",\"tags\":[\"a\",\"abcd\"]"), "/tags/1", "maxLength"),
        (with(",\"tags\":[\"a\",\"b\",\"c\"]"), "/tags", "maxItems"),
        (with(",\"tags\":[1]"), "/tags/0", "type"),
        (with(",\"a/b~c\":0"), "/a~1b~0c", "type"),
        (with(",\"amount\":6"), "", "unique names"),
        (with(",\"\\u0061mount\":6"), "", "unique names"),
        (
            format!("{{\"id\":\"{id}\",\"amount\":1.5}}"),
            "/amount",
            "type",
        ),
        (
            format!("{{\"id\":\"{id}\",\"amount\":1001}}"),
            "/amount",
            "maximum",
        ),
        (
            format!("{{\"id\":\"{id}\",\"amount\":18446744073709551616}}"),
            "/amount",
            "maximum",
        ),
        ("{\"amount\":5}".to_owned(), "", "required"),
        ("[]".to_owned(), "", "type"),
        (with("") + "x", "", "json"),
        (with("") + "{}", "", "json"),
        (String::new(), "", "json"),
    ] {
        assert_eq!(check(&payment, &body), refused(pointer, keyword), "{body}");
    }
    assert_eq!(
        check(&payment, &format!("{{\"id\":\"{id}\",\"amount\":5.0}}")),
        Ok(())
    );
}

#[test]
fn what_no_schema_describes_is_still_checked_as_json() {
    let any = schema(json!({}));
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(check(&any, &deep(60)), Ok(()));
    assert_eq!(check(&any, &deep(100)), refused("", "json"));
    assert_eq!(
        check(&any, "{\"a\":{\"b\":[{\"c\":1,\"c\":2}]}}"),
        refused("/a/b/0", "unique names")
    );
    let many: String = (0..40).map(|n| format!("\"k{n}\":{n},")).collect();
    assert_eq!(check(&any, &format!("{{{many}\"last\":0}}")), Ok(()));
    assert_eq!(
        check(&any, &format!("{{{many}\"k7\":0}}")),
        refused("", "unique names")
    );
    for bad in [
        &b"\"\xff\""[..],
        b"\"\x01\"",
        b"\"\\ud800\"",
        b"\xef\xbb\xbf1",
        b"01",
        b"[1,]",
    ] {
        let outcome = any.check(bad, &mut Scratch::default());
        assert!(outcome.is_err(), "{bad:?}");
    }
}

#[test]
fn alternatives_are_counted() {
    let one = schema(json!({"oneOf": [{"type": "integer"}, {"minimum": 2}]}));
    assert_eq!(check(&one, "1"), Ok(()));
    assert_eq!(check(&one, "2.5"), Ok(()));
    assert_eq!(check(&one, "3"), refused("", "oneOf"));
    assert_eq!(check(&one, "1.5"), refused("", "oneOf"));
    let any = schema(json!({"anyOf": [{"type": "string"}, {"type": "null"}]}));
    assert_eq!(check(&any, "null"), Ok(()));
    assert_eq!(check(&any, "1"), refused("", "anyOf"));
}

#[test]
fn nested_alternatives_end() {
    let tree = schema(json!({"anyOf": [
        {"type": "array", "items": {"$ref": "#"}, "minItems": 2},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 3},
        {"type": "array", "items": {"$ref": "#"}, "maxItems": 0}]}));
    let body = "[".repeat(50) + &"]".repeat(50);
    assert!(check(&tree, &body).is_err());
    assert_eq!(check(&tree, "[[],[]]"), Ok(()));
}

#[test]
fn values_are_equal_however_they_are_written() {
    let values = schema(json!({"enum": [1, "a", {"x": [1, null], "y": true}]}));
    for good in [
        "1",
        "1.0",
        "\"a\"",
        "\"\\u0061\"",
        "{\"y\":true,\"x\":[1.0,null]}",
    ] {
        assert_eq!(check(&values, good), Ok(()), "{good}");
    }
    for bad in [
        "true",
        "2",
        "\"A\"",
        "{\"x\":[1,null]}",
        "{\"x\":[null,1],\"y\":true}",
        "null",
    ] {
        assert_eq!(check(&values, bad), refused("", "enum"), "{bad}");
    }
}

#[test]
fn parameters_are_read_as_the_schema_allows() {
    let mut scratch = Scratch::default();
    let mut fits =
        |declared: Value, text: &str| schema(declared).check_text(text, &mut scratch).is_ok();
    assert!(fits(json!({"type": "integer", "maximum": 5}), "5"));
    assert!(!fits(json!({"type": "integer"}), "5a"));
    assert!(!fits(json!({"type": "integer"}), "05"));
    assert!(!fits(json!({"type": "integer"}), " 5"));
    assert!(fits(json!({"type": "integer"}), "99999999999999999999"));
    assert!(!fits(
        json!({"type": "integer", "format": "int64"}),
        "99999999999999999999"
    ));
    assert!(fits(json!({"type": "string", "maxLength": 2}), "12"));
    assert!(fits(json!({"type": "boolean"}), "true"));
    assert!(!fits(json!({"type": "boolean"}), "True"));
    assert!(fits(json!({"type": ["null", "number"]}), "-1.5e3"));
    let list = schema(json!({"type": "array", "maxItems": 2, "items": {"type": "integer"}}));
    assert!(list.check_texts(&["1", "2"], &mut scratch).is_ok());
    assert!(list.check_texts(&["1", "x"], &mut scratch).is_err());
    assert!(list.check_texts(&["1", "2", "3"], &mut scratch).is_err());
    let texts = schema(json!({"type": "array", "items": {"type": "string"}}));
    assert!(texts.check_texts(&["1", "true"], &mut scratch).is_ok());
}

#[test]
fn values_can_be_looked_up_in_what_was_checked() {
    let mut scratch = Scratch::default();
    let body = br#"{"a":{"b":["x","\u0079"]},"n":7,"f":1.5}"#;
    assert!(schema(json!({})).check(body, &mut scratch).is_ok());
    assert_eq!(scratch.lookup("/n"), None, "nobody asked for it");
    scratch.keep_bodies(true);
    assert!(schema(json!({})).check(body, &mut scratch).is_ok());
    assert_eq!(scratch.lookup("/a/b/1").as_deref(), Some("y"));
    assert_eq!(scratch.lookup("/n").as_deref(), Some("7"));
    for absent in ["/f", "/a", "/x", "/a/b/2", "a"] {
        assert_eq!(scratch.lookup(absent), None, "{absent}");
    }
}

#[test]
fn unusable_schemas_say_where_and_why() {
    for (declared, pointer) in [
        (json!({"uniqueItems": 1}), "/uniqueItems"),
        (
            json!({"properties": {"a": {"iff": {}}}}),
            "/properties/a/iff",
        ),
        (json!({"items": {"format": "iri"}}), "/items/format"),
        (json!({"multipleOf": 0}), "/multipleOf"),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "/$schema",
        ),
        (json!({"$dynamicRef": "#none"}), "/$dynamicRef"),
        (json!({"prefixItems": {}}), "/prefixItems"),
        (
            json!({"dependentRequired": {"a": 1}}),
            "/dependentRequired/a",
        ),
        (
            json!({"patternProperties": {"(?=a)": true}}),
            "/patternProperties/(?=a)",
        ),
        (
            json!({"discriminator": {}, "oneOf": [true]}),
            "/discriminator",
        ),
        (json!({"type": "strnig"}), "/type"),
        (json!({"nullable": true, "type": "string"}), "/nullable"),
        (json!({"pattern": "(?=x)"}), "/pattern"),
        (json!({"$ref": "other.yaml#/X"}), "/$ref"),
        (json!({"$ref": "#/nowhere"}), "/$ref"),
        (json!({"minLength": -1}), "/minLength"),
        (json!({"exclusiveMinimum": true}), "/exclusiveMinimum"),
        (json!({"allOf": []}), "/allOf"),
        (json!({"required": "a"}), "/required"),
    ] {
        let errors = Schema::compile(&declared, "", Dialect::OpenApi31).unwrap_err();
        let places: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(places, [pointer], "{declared}");
    }
    let looping = json!({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}});
    let errors = Schema::compile(&looping, "", Dialect::OpenApi31).unwrap_err();
    assert_eq!(errors[0].pointer, "/properties/a");
    let several = json!({"nope": {}, "properties": {"a": {"nope": {}}}});
    let errors = Schema::compile(&several, "", Dialect::OpenApi31).unwrap_err();
    assert_eq!(errors.len(), 2);
}

#[test]
fn open_api_3_0_has_its_own_reading() {
    let compile = |declared: Value| Schema::compile(&declared, "", Dialect::OpenApi30);
    let nullable = compile(json!({"type": "string", "nullable": true})).unwrap();
    assert_eq!(check(&nullable, "null"), Ok(()));
    let open = compile(json!({"minimum": 1, "exclusiveMinimum": true})).unwrap();
    assert_eq!(check(&open, "1"), refused("", "exclusiveMinimum"));
    assert_eq!(check(&open, "1.1"), Ok(()));
    for bad in [
        json!({"type": ["string", "null"]}),
        json!({"type": "null"}),
        json!({"const": 1}),
        json!({"nullable": true}),
        json!({"exclusiveMinimum": true}),
        json!({"exclusiveMinimum": 1}),
        json!({"$ref": "#/x", "maxLength": 1, "x": {}}),
        json!({"items": true}),
    ] {
        assert!(compile(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn what_belongs_to_responses_is_not_sent() {
    let order = schema(json!({"required": ["id", "sum"], "properties": {
        "id": {"type": "string", "readOnly": true}, "sum": {"type": "integer"}}}));
    assert_eq!(check(&order, "{\"sum\":1}"), Ok(()));
    assert_eq!(
        check(&order, "{\"sum\":1,\"id\":\"x\"}"),
        refused("/id", "readOnly")
    );
}

proptest! {
    #[test]
    fn bodies_are_refused_or_accepted_but_never_changed(body: Vec<u8>) {
        let before = body.clone();
        let mut scratch = Scratch::default();
        let any = schema(json!({}));
        let accepted = any.check(&body, &mut scratch).is_ok();
        prop_assert_eq!(&body, &before);
        if accepted {
            prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
        }
    }

    #[test]
    fn what_is_accepted_reads_the_same_elsewhere(text in "[\\[\\]{}:,\"a0-9.eE\\\\u-]{0,24}") {
        let any = schema(json!({}));
        if any.check(text.as_bytes(), &mut Scratch::default()).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
        }
    }
}

fn compiled(document: &Value, direction: Direction) -> Schema {
    let compiler = Compiler::new(document, Dialect::OpenApi31).direction(direction);
    compiler.compile("").unwrap()
}

#[test]
fn members_of_the_other_direction_are_refused() {
    let user = json!({"required": ["id", "password"], "properties": {
        "id": {"readOnly": true}, "password": {"$ref": "#/$defs/secret"}},
        "$defs": {"secret": {"writeOnly": true}}});
    let request = compiled(&user, Direction::Request);
    assert_eq!(check(&request, "{\"password\":1}"), Ok(()));
    assert_eq!(
        check(&request, "{\"id\":1,\"password\":1}"),
        refused("/id", "readOnly")
    );
    let response = compiled(&user, Direction::Response);
    assert_eq!(check(&response, "{\"id\":1}"), Ok(()));
    assert_eq!(
        check(&response, "{\"id\":1,\"password\":1}"),
        refused("/password", "writeOnly")
    );
    let neither = compiled(&user, Direction::Neither);
    assert_eq!(check(&neither, "{\"id\":1,\"password\":1}"), Ok(()));
    assert_eq!(check(&neither, "{\"id\":1}"), refused("", "required"));
}

#[test]
fn a_discriminator_names_the_alternative() {
    let document = json!({"components": {"schemas": {
        "Pet": {"oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
            "discriminator": {"propertyName": "kind", "mapping": {"hound": "Dog"}}},
        "Cat": {"type": "object", "properties": {"lives": {"type": "integer"}}},
        "Dog": {"type": "object", "required": ["bark"]}}}});
    let pet = Schema::compile(&document, "/components/schemas/Pet", Dialect::OpenApi31).unwrap();
    assert_eq!(check(&pet, "{\"kind\":\"Cat\",\"lives\":9}"), Ok(()));
    assert_eq!(check(&pet, "{\"kind\":\"hound\",\"bark\":1}"), Ok(()));
    assert_eq!(
        check(&pet, "{\"lives\":\"x\",\"kind\":\"Cat\"}"),
        refused("/lives", "type")
    );
    assert_eq!(check(&pet, "{\"kind\":\"hound\"}"), refused("", "required"));
    for body in [
        "{\"kind\":\"Dog\",\"bark\":1}",
        "{\"kind\":1}",
        "{}",
        "[]",
        "1",
    ] {
        assert_eq!(check(&pet, body), refused("", "discriminator"), "{body}");
    }
}

#[test]
fn alternatives_told_apart_by_a_member_are_jumped_to() {
    let event = schema(json!({"oneOf": [
        {"type": "object", "required": ["on"], "properties": {"on": {"const": "a"}, "x": {"type": "integer"}}},
        {"type": "object", "required": ["on"], "properties": {"on": {"enum": ["b", "c"]}}}]}));
    assert_eq!(check(&event, "{\"on\":\"c\"}"), Ok(()));
    assert_eq!(check(&event, "{\"x\":1,\"on\":\"\\u0061\"}"), Ok(()));
    assert_eq!(
        check(&event, "{\"on\":\"a\",\"x\":\"\"}"),
        refused("/x", "type")
    );
    for body in ["{\"on\":\"d\"}", "{}", "7", "{\"on\":[\"a\"]}"] {
        assert_eq!(check(&event, body), refused("", "oneOf"), "{body}");
    }
}

/// Two alternatives that lead on alike would be tried twice as often with each step down.
#[test]
fn alternatives_that_lead_to_each_other_are_judged_however_deep() {
    let node = |own: Value| {
        let mut properties = json!({"n": {"$ref": "#/$defs/a"}});
        properties["x"] = own;
        json!({"type": "object", "properties": properties})
    };
    let mut first = node(json!({"type": "integer"}));
    first["required"] = json!(["x"]);
    for keyword in ["anyOf", "oneOf"] {
        let tree = schema(json!({"$ref": "#/$defs/a",
            "$defs": {"a": {keyword: [first.clone(), node(json!({"type": "string"}))]}}}));
        let mut scratch = Scratch::default();
        for depth in [10, 16, 20, 40] {
            let body =
                |leaf: &str| format!("{}{leaf}{}", "{\"n\":".repeat(depth), "}".repeat(depth));
            let good = tree.check(body("{}").as_bytes(), &mut scratch);
            assert_eq!(good, Ok(()), "{keyword} {depth}");
            let bad = tree.check(body("1").as_bytes(), &mut scratch);
            assert_eq!(bad.unwrap_err().keyword, keyword, "{depth}");
            let edited = tree.edit(
                body("{}").as_bytes(),
                Wanted::of(Undeclared::Stripped),
                &mut scratch,
            );
            assert!(edited.is_ok(), "{keyword} {depth} {edited:?}");
        }
    }
}

#[test]
fn all_faults_are_told_up_to_a_limit() {
    let order = schema(
        json!({"type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {"id": {}, "items": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/n"}}},
        "$defs": {"n": {"type": "integer", "maximum": 5}}}),
    );
    let body = b"{\"x\":1,\"items\":[9,\"a\",1]}";
    let mut scratch = Scratch::default();
    let told = |limit, scratch: &mut Scratch| -> Vec<(String, &str, String)> {
        let all = order.violations(body, limit, scratch).into_iter();
        all.map(|each| (each.pointer, each.keyword, each.schema))
            .collect()
    };
    let each =
        |pointer: &str, keyword, place: &str| (pointer.to_owned(), keyword, place.to_owned());
    let expected = [
        each("/x", "additionalProperties", ""),
        each("/items/0", "maximum", "/$defs/n"),
        each("/items/1", "type", "/$defs/n"),
        each("/items", "maxItems", "/properties/items"),
        each("", "required", ""),
    ];
    assert_eq!(told(100, &mut scratch), expected);
    assert_eq!(told(2, &mut scratch), expected[..2]);
    assert!(order.violations(b"{\"id\":1}", 9, &mut scratch).is_empty());
    let broken = order.violations(b"{\"id\":1,}", 9, &mut scratch);
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].keyword, "json");
}

#[test]
fn numbers_are_compared_as_they_are_written() {
    let price = schema(json!({"multipleOf": 0.01, "maximum": 18446744073709551615_u64}));
    for good in ["19.99", "0.07", "18446744073709551615", "1e2", "-3.10"] {
        assert_eq!(check(&price, good), Ok(()), "{good}");
    }
    assert_eq!(check(&price, "0.075"), refused("", "multipleOf"));
    assert_eq!(
        check(&price, "18446744073709551616"),
        refused("", "maximum")
    );
    let unique = schema(json!({"uniqueItems": true}));
    assert_eq!(
        check(&unique, "[1,true,\"1\",[1],{\"a\":1},{\"b\":1}]"),
        Ok(())
    );
    for bad in [
        "[1,2,1.0]",
        "[{\"a\":1,\"b\":2},{\"b\":2.0,\"\\u0061\":1}]",
        "[\"a\",\"\\u0061\"]",
    ] {
        assert_eq!(check(&unique, bad), refused("", "uniqueItems"), "{bad}");
    }
}

#[test]
fn more_members_than_bits_are_told_apart() {
    let names: Vec<String> = (0..100).map(|n| format!("member{n}")).collect();
    let properties: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| (name.clone(), json!({"type": "integer"})))
        .collect();
    let wide =
        schema(json!({"properties": properties, "required": names, "additionalProperties": false}));
    let all: Vec<String> = names.iter().map(|name| format!("\"{name}\":1")).collect();
    let body = |members: &[String]| format!("{{{}}}", members.join(","));
    assert_eq!(check(&wide, &body(&all)), Ok(()));
    assert_eq!(check(&wide, &body(&all[1..])), refused("", "required"));
    let twice = [&all[..], &all[70..71]].concat();
    assert_eq!(check(&wide, &body(&twice)), refused("", "unique names"));
}

#[test]
fn other_documents_are_only_those_that_are_loaded() {
    let main = json!({"items": {"$ref": "parts.json#/$defs/n"}});
    let mut documents = Documents::new();
    let parts = json!({"$defs": {"n": {"$ref": "#/$defs/m"}, "m": {"type": "integer", "nope": 1}}});
    documents.insert("file:///api/parts.json".to_owned(), parts);
    let compile = |documents: &Documents| {
        let compiler = Compiler::new(&main, Dialect::OpenApi31);
        compiler
            .documents("file:///api/main.json", documents)
            .compile("")
    };
    let errors = compile(&documents).unwrap_err();
    assert_eq!(errors[0].pointer, "file:///api/parts.json#/$defs/m/nope");
    let sound = json!({"$defs": {"n": {"$ref": "#/$defs/m"}, "m": {"type": "integer"}}});
    documents.insert("file:///api/parts.json".to_owned(), sound);
    let list = compile(&documents).unwrap();
    assert_eq!(check(&list, "[1]"), Ok(()));
    assert_eq!(check(&list, "[\"a\"]"), refused("/0", "type"));
    documents.clear();
    assert_eq!(compile(&documents).unwrap_err()[0].pointer, "/items/$ref");
}

#[test]
fn hostile_bodies_end_with_a_refusal() {
    let tree = schema(json!({"$defs": {"t": {"anyOf": [
        {"type": "array", "items": {"$ref": "#/$defs/t"}},
        {"type": "object", "additionalProperties": {"$ref": "#/$defs/t"}, "unevaluatedProperties": false},
        {"type": "integer"}]}}, "$ref": "#/$defs/t", "uniqueItems": true}));
    for body in [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        "[".repeat(64) + &"]".repeat(64),
        "[1".repeat(63) + &"]".repeat(63),
        "{\"a\":[".repeat(30) + "1.5" + &"]}".repeat(30),
        "\"\\".repeat(1000),
        "1e999999999999999999999".to_owned(),
        format!("[{}]", "1,".repeat(10_000)),
        "{\"\\ud800\":1}".to_owned(),
        "{\"a\":1,\"\\u0061\":2}".to_owned(),
    ] {
        let _ = check(&tree, &body);
    }
    assert_eq!(check(&tree, &"[".repeat(100_000)), refused("", "json"));
    let many: String = (0..100_000).map(|n| format!("\"k{n}\":{n},")).collect();
    assert_eq!(
        check(&tree, &format!("{{{many}\"k1\":1}}")),
        refused("", "unique names")
    );
    assert_eq!(check(&tree, &format!("{{{many}\"k\":1}}")), Ok(()));
}

proptest! {
    #[test]
    fn json_is_what_others_take_for_json(text in "[\\[\\]{}:,\" a0-9.eEtrufalsn\\\\-]{0,12}") {
        let ours = check(&schema(json!({})), &text);
        let theirs = serde_json::from_str::<Value>(&text);
        // They let names repeat; and numbers too large for a double are JSON all the same.
        let told = theirs.as_ref().map_err(ToString::to_string);
        let is_large = told.is_err_and(|told| told.contains("out of range"));
        match ours {
            Ok(()) => prop_assert!(theirs.is_ok() || is_large, "{}", text),
            Err((_, "unique names")) => prop_assert!(theirs.is_ok() || is_large, "{}", text),
            Err(_) => prop_assert!(theirs.is_err(), "{}", text),
        }
        let mut bytes = text.clone().into_bytes();
        if ours == Ok(()) && !is_large {
            prop_assert!(simd_json::to_tape(&mut bytes).is_ok(), "{}", text);
        }
    }
}

#[test]
fn copies_share_everything_until_one_of_them_masks_a_format_that_it_has() {
    let declared = json!({"properties": {"mail": {"type": "string", "format": "email"}}});
    let first = compiled(&declared, Direction::Response);
    let (mut second, mut third) = (first.clone(), first.clone());
    second.mask_format("email", Mask::Fixed);
    third.mask_format("uuid", Mask::Fixed);
    assert!(second.has_views() && !first.has_views() && !third.has_views());
    assert!(std::sync::Arc::ptr_eq(&first.program, &second.program));
    assert!(std::sync::Arc::ptr_eq(&first.views, &third.views));
}

/// A schema of this many schemas for one value, the last of which goes down to the first again.
fn chain(length: usize, step: impl Fn(Value) -> Value) -> Value {
    let name = |at: usize| json!({"$ref": format!("#/$defs/s{at}")});
    let mut defs = serde_json::Map::new();
    for at in 1..length {
        defs.insert(format!("s{at}"), step(name(at + 1)));
    }
    let last = json!({"type": "object", "properties": {"x": name(1)}, "minProperties": 0});
    defs.insert(format!("s{length}"), last);
    json!({"$ref": "#/$defs/s1", "$defs": defs})
}

/// Runs with the stack of a shard.
fn with_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK);
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn bodies_may_be_as_deep_as_a_body_may_be_however_many_schemas_look_at_each_value() {
    type Step = fn(Value) -> Value;
    let steps: [Step; 8] = [
        |next| json!({"allOf": [next]}),
        |next| json!({"allOf": [next], "unevaluatedProperties": false}),
        |next| json!({"anyOf": [next, false]}),
        |next| json!({"anyOf": [next, {"minProperties": 2}], "unevaluatedProperties": {"not": {"type": "null"}}}),
        |next| json!({"oneOf": [false, next]}),
        |next| json!({"if": {"type": "array"}, "else": next}),
        |next| json!({"if": next, "else": false}),
        |next| json!({"dependentSchemas": {"x": next}}),
    ];
    let deep = |depth: usize| {
        let open = "{\"x\":".repeat(depth - 1);
        format!("{open}{{}}{}", "}".repeat(depth - 1))
    };
    for (at, step) in steps.into_iter().enumerate() {
        // Where each level asks for all below it more than once, a body of this depth takes too many
        // steps, which is told.
        let length = match at {
            3 => 2,
            6 => 2,
            _ => CHAIN,
        };
        with_stack(move || {
            let schema = schema(chain(length, step));
            for edits in [false, true] {
                let mut scratch = Scratch::default();
                let mut told = |body: &str| {
                    let wanted = Wanted::of(Undeclared::Stripped);
                    let outcome = match edits {
                        true => schema
                            .edit(body.as_bytes(), wanted, &mut scratch)
                            .map(|_| ()),
                        false => schema.check(body.as_bytes(), &mut scratch),
                    };
                    outcome.map_err(|violation| violation.keyword)
                };
                assert_eq!(told(&deep(4)), Ok(()), "{at}");
                let outcome = told(&deep(DEPTH));
                let asks_again = match edits {
                    true => matches!(at, 1 | 2 | 3 | 4 | 6),
                    false => matches!(at, 1 | 3 | 6),
                };
                let is_over = outcome == Err("complexity") && asks_again;
                assert!(outcome == Ok(()) || is_over, "{at} {outcome:?}");
                assert_eq!(told(&deep(DEPTH + 1)), Err("json"), "{at}");
            }
        });
    }
}

#[test]
fn chains_of_references_are_no_nesting_but_one_value_has_only_so_many_schemas() {
    // Through members: any number.
    let mut defs = serde_json::Map::new();
    for at in 0..3_000 {
        let next = json!({"$ref": format!("#/$defs/s{}", (at + 1) % 3_000)});
        defs.insert(format!("s{at}"), json!({"properties": {"x": next}}));
    }
    let long = schema(json!({"$ref": "#/$defs/s0", "$defs": defs}));
    assert_eq!(check(&long, "{\"x\": {\"x\": {}}}"), Ok(()));
    // For one value: as many as there may be, and one more.
    let compiled = |length| {
        let document = chain(length, |next| json!({"allOf": [next]}));
        Schema::compile(&document, "", Dialect::OpenApi31).map(|_| ())
    };
    assert_eq!(compiled(CHAIN), Ok(()));
    let error = compiled(CHAIN + 1).unwrap_err().remove(0);
    assert!(error.message.contains("for one value"), "{error:?}");
    // Loops that are longer than that end as well.
    for length in [1, 2, 31, 32, 33, 5_000] {
        let defs: serde_json::Map<_, _> = (0..length)
            .map(|at| {
                let next = json!({"$ref": format!("#/$defs/s{}", (at + 1) % length)});
                (format!("s{at}"), json!({"allOf": [next]}))
            })
            .collect();
        let document = json!({"$ref": "#/$defs/s0", "$defs": defs});
        let compiled = Schema::compile(&document, "", Dialect::OpenApi31);
        let error = compiled.unwrap_err().remove(0);
        assert!(error.message.contains("refer"), "{length} {error:?}");
    }
    // Schemas that only name another one, also for ever.
    for length in [1, 3, 70, 5_000] {
        let defs: serde_json::Map<_, _> = (0..length)
            .map(|at| {
                let next = format!("#/$defs/s{}", (at + 1) % length);
                (format!("s{at}"), json!({ "$ref": next }))
            })
            .collect();
        let document = json!({"$ref": "#/$defs/s0", "$defs": defs});
        let compiled = Schema::compile(&document, "", Dialect::OpenApi31);
        let error = compiled.unwrap_err().remove(0);
        assert!(error.message.contains("refer"), "{length} {error:?}");
    }
}

#[test]
fn what_only_a_run_finds_to_loop_ends() {
    let endless = json!({"$id": "https://example.com/a", "$dynamicAnchor": "n",
        "anyOf": [{"$dynamicRef": "#n"}]});
    let outcome = Schema::compile(&endless, "", Dialect::OpenApi31);
    if let Ok(schema) = outcome {
        with_stack(move || assert_eq!(check(&schema, "1"), refused("", "complexity")));
    }
}
