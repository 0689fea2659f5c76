//! What is taken out and masked, against a reading of the same schemas that knows nothing of bytes.

use super::super::super::*;
use super::reference::reference;
use proptest::prelude::*;
use serde_json::{Map, json};

/// Compiled for responses, as OpenAPI 3.1 has it.
fn schema(schema: &Value) -> Schema {
    let compiler = Compiler::new(schema, Dialect::OpenApi31).direction(Direction::Response);
    compiler.compile("").unwrap()
}

fn wanted(undeclared: Undeclared) -> Wanted<'static> {
    Wanted {
        undeclared,
        sees: &|_| false,
        masks: &[],
        key: None,
        count: None,
    }
}

fn edit(schema: &Schema, body: &str, wanted: Wanted<'_>) -> Result<String, &'static str> {
    let mut scratch = Scratch::default();
    let edited = schema.edit(body.as_bytes(), wanted, &mut scratch);
    let edited = edited.map_err(|violation| violation.keyword)?;
    Ok(match edited.is_changed {
        true => scratch.rewritten().to_owned(),
        false => body.to_owned(),
    })
}

fn strip(schema: &Schema, body: &str) -> Result<String, &'static str> {
    edit(schema, body, wanted(Undeclared::Stripped))
}

#[test]
fn exactly_the_undeclared_members_go() {
    let order = schema(
        &json!({"type": "object", "additionalProperties": false, "properties": {
            "id": {"type": "integer"},
            "a\"b": {"type": "boolean"},
            "free": {"type": "object"},
            "any": {},
            "open": {"type": "object", "properties": {"a": {}}, "additionalProperties": true},
            "typed": {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
            "silent": {"type": "object", "properties": {"a": {}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {}}, "patternProperties": {"^p": {}}}}
        }}),
    );
    for (body, left) in [
        ("{}", "{}"),
        (r#"{"id":1}"#, r#"{"id":1}"#),
        (r#"{"x":1}"#, "{}"),
        (r#"{ "x" : 1 }"#, "{  }"),
        (r#"{"x":1,"id":1}"#, r#"{"id":1}"#),
        (r#"{"id":1,"x":1}"#, r#"{"id":1}"#),
        (r#"{"x":1,"id":1,"y":2}"#, r#"{"id":1}"#),
        (r#"{"x":1,"y":[{}],"id":1}"#, r#"{"id":1}"#),
        (r#"{"id":1,"x":1,"y":"}"}"#, r#"{"id":1}"#),
        (r#"{"x":1,"y":2,"z":3}"#, "{}"),
        (
            "{\n  \"id\" : 1 ,\n  \"x\" : [ 1 ] ,\n  \"any\" : 2\n}",
            "{\n  \"id\" : 1 ,\n  \"any\" : 2\n}",
        ),
        (
            "{\n  \"id\" : 1 ,\n  \"x\" : 1.5e3\n}",
            "{\n  \"id\" : 1 \n}",
        ),
        ("\t{\"x\":null }\n", "\t{ }\n"),
        (
            r#"{"i\u0064":1,"a\"b":true,"i\u0065":2}"#,
            r#"{"i\u0064":1,"a\"b":true}"#,
        ),
        (
            r#"{"free":{"x":1},"any":{"x":{"y":1}}}"#,
            r#"{"free":{"x":1},"any":{"x":{"y":1}}}"#,
        ),
        (
            r#"{"open":{"a":1,"x":1},"typed":{"a":1,"x":1}}"#,
            r#"{"open":{"a":1,"x":1},"typed":{"a":1,"x":1}}"#,
        ),
        (r#"{"silent":{"a":1,"x":1}}"#, r#"{"silent":{"a":1}}"#),
        (
            r#"{"silent":{"a":{"deep":1},"x":1}}"#,
            r#"{"silent":{"a":{"deep":1}}}"#,
        ),
        (
            r#"{"list":[{"a":1,"x":1},{"x":1},{"p1":1,"q":1}]}"#,
            r#"{"list":[{"a":1},{},{"p1":1}]}"#,
        ),
        (
            r#"{"x":{"silent":{"x":1}},"silent":{"x":1}}"#,
            r#"{"silent":{}}"#,
        ),
    ] {
        assert_eq!(strip(&order, body).as_deref(), Ok(left), "{body}");
    }
    for (body, keyword) in [
        (r#"{"id":"1","x":1}"#, "type"),
        (r#"{"typed":{"x":"1"}}"#, "type"),
        (r#"{"x":1,"x":2}"#, "unique names"),
        (r#"{"x":01}"#, "json"),
        (r#"{"x":1,}"#, "json"),
        (r#"{"x":1}}"#, "json"),
        ("[]", "type"),
        ("", "json"),
    ] {
        assert_eq!(strip(&order, body), Err(keyword), "{body}");
    }
}

#[test]
fn one_schema_declares_what_another_does_not() {
    let combined = schema(&json!({
        "$defs": {"base": {"type": "object", "properties": {"id": {}, "in": {"properties": {"b": {}}}}}},
        "$ref": "#/$defs/base",
        "allOf": [{"properties": {"more": {}, "in": {"properties": {"c": {}}}}}],
        "anyOf": [{"properties": {"one": {}}, "required": ["one"]}, {"properties": {"two": {}}, "required": ["two"]}, {}],
        "if": {"properties": {"kind": {"const": "x"}}, "required": ["kind"]},
        "then": {"properties": {"x": {}}},
        "else": {"properties": {"y": {}}}
    }));
    for (body, left) in [
        (r#"{"id":1,"more":2,"z":3}"#, r#"{"id":1,"more":2}"#),
        (r#"{"in":{"a":1,"b":2,"c":3}}"#, r#"{"in":{"b":2,"c":3}}"#),
        (r#"{"one":1,"two":2,"z":3}"#, r#"{"one":1,"two":2}"#),
        (r#"{"one":1,"z":3}"#, r#"{"one":1}"#),
        (r#"{"kind":"x","x":1,"y":2}"#, r#"{"kind":"x","x":1}"#),
        (r#"{"kind":"z","x":1,"y":2}"#, r#"{"y":2}"#),
    ] {
        assert_eq!(strip(&combined, body).as_deref(), Ok(left), "{body}");
    }
}

#[test]
fn alternatives_apply_that_hold_without_what_they_refuse() {
    let closed = |name: &str| {
        json!({"type": "object", "properties": {name: {"type": "integer"}}, "required": [name],
            "additionalProperties": false})
    };
    for keyword in ["oneOf", "anyOf"] {
        let either = schema(&json!({keyword: [closed("a"), closed("b"), {"type": "null"}]}));
        assert_eq!(
            strip(&either, r#"{"a":1,"x":1}"#).as_deref(),
            Ok(r#"{"a":1}"#)
        );
        assert_eq!(
            strip(&either, r#"{"x":1,"b":1}"#).as_deref(),
            Ok(r#"{"b":1}"#)
        );
        assert_eq!(strip(&either, "null").as_deref(), Ok("null"));
        assert_eq!(strip(&either, r#"{"x":1}"#), Err(keyword));
    }
    let either = schema(&json!({"oneOf": [closed("a"), closed("b")]}));
    assert_eq!(strip(&either, r#"{"a":1,"b":1}"#), Err("oneOf"));
    let unevaluated = schema(&json!({"allOf": [{"properties": {"a": {}}}],
        "oneOf": [{"properties": {"b": {"properties": {"c": {}}, "additionalProperties": false}}, "required": ["b"]},
            {"properties": {"d": {}}, "required": ["d"]}],
        "unevaluatedProperties": false}));
    for (body, left) in [
        (r#"{"a":1,"b":{"c":1},"x":1}"#, r#"{"a":1,"b":{"c":1}}"#),
        (
            r#"{"a":1,"b":{"c":1,"x":2},"d2":1}"#,
            r#"{"a":1,"b":{"c":1}}"#,
        ),
        (r#"{"x":0,"d":1}"#, r#"{"d":1}"#),
    ] {
        assert_eq!(strip(&unevaluated, body).as_deref(), Ok(left), "{body}");
    }
    let open =
        schema(&json!({"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": true}));
    assert_eq!(
        strip(&open, r#"{"a":1,"x":1}"#).as_deref(),
        Ok(r#"{"a":1,"x":1}"#)
    );
}

#[test]
fn what_remains_has_to_be_valid() {
    let least = schema(&json!({"properties": {"a": {}}, "minProperties": 1}));
    assert_eq!(
        strip(&least, r#"{"a":1,"x":1}"#).as_deref(),
        Ok(r#"{"a":1}"#)
    );
    assert_eq!(strip(&least, r#"{"x":1}"#), Err("minProperties"));
    let unique = schema(&json!({"uniqueItems": true, "items": {"properties": {"a": {}}}}));
    assert_eq!(
        strip(&unique, r#"[{"a":1,"x":1},{"a":1,"x":2}]"#),
        Err("uniqueItems")
    );
    let needed =
        schema(&json!({"properties": {"a": {}}, "required": ["x"], "additionalProperties": false}));
    assert_eq!(strip(&needed, r#"{"a":1,"x":1}"#), Err("required"));
    let forbidden =
        schema(&json!({"properties": {"a": {}, "x": false}, "patternProperties": {"^_": false}}));
    assert_eq!(
        strip(&forbidden, r#"{"x":1,"a":1,"_y":1}"#).as_deref(),
        Ok(r#"{"a":1}"#)
    );
    // What goes decides what else goes.
    let chain = schema(
        &json!({"properties": {"a": {}}, "if": {"required": ["x"]}, "then": {"properties": {"b": {}}}}),
    );
    assert_eq!(
        strip(&chain, r#"{"a":1,"b":2,"x":3}"#).as_deref(),
        Ok(r#"{"a":1}"#)
    );
}

#[test]
fn undeclared_members_are_refused_or_noted_as_well() {
    let closed =
        json!({"properties": {"a": {"properties": {"b": {}}}}, "additionalProperties": false});
    let closed = schema(&closed);
    let mut scratch = Scratch::default();
    let mut run = |body: &str, undeclared| {
        let edited = closed.edit(body.as_bytes(), wanted(undeclared), &mut scratch);
        edited.map(|edited| {
            (
                edited.is_changed,
                edited.undeclared.map(|told| told.pointer),
            )
        })
    };
    let body = r#"{"a":{"b":1},"x\/y":1}"#;
    assert_eq!(
        run(body, Undeclared::Refused).unwrap_err().keyword,
        "additionalProperties"
    );
    assert_eq!(
        run(body, Undeclared::Noted),
        Ok((false, Some("/x~1y".to_owned())))
    );
    assert_eq!(
        run(body, Undeclared::Stripped),
        Ok((true, Some("/x~1y".to_owned())))
    );
    let silent = r#"{"a":{"x":1}}"#;
    assert_eq!(run(silent, Undeclared::Refused), Ok((false, None)));
    for (body, at) in [(body, "/x~1y"), (silent, "/a/x")] {
        let refused = run(body, Undeclared::Forbidden).unwrap_err();
        assert_eq!((&*refused.pointer, refused.keyword), (at, "undeclared"));
    }
    let declared = r#"{"a":{"b":1}}"#;
    assert_eq!(run(declared, Undeclared::Forbidden), Ok((false, None)));
    assert_eq!(
        run(silent, Undeclared::Noted),
        Ok((false, Some("/a/x".to_owned())))
    );
    assert_eq!(
        run(silent, Undeclared::Stripped),
        Ok((true, Some("/a/x".to_owned())))
    );
}

#[test]
fn what_is_not_for_the_reader_does_not_leave() {
    let document = json!({"type": "object", "required": ["id", "score"], "properties": {
        "id": {},
        "password": {"type": "string", "writeOnly": true},
        "score": {"type": "integer", "x-visible-to": ["risk", "admin"]},
        "iban": {"type": "string", "x-mask": "last4"},
        "owner": {"$ref": "#/$defs/owner"},
        "list": {"type": "array", "items": {"$ref": "#/$defs/owner"}}
    }, "$defs": {"owner": {"type": "object", "properties": {
        "mail": {"type": "string", "format": "email", "x-visible-to": ["admin"]},
        "note": {"type": ["string", "null", "integer", "boolean", "object"], "x-mask": "fixed"}
    }}}});
    let schema = schema(&document);
    let see = |names: &'static [&'static str], body: &str| {
        let sees = |audience: &[Box<str>]| audience.iter().any(|each| names.contains(&&**each));
        edit(
            &schema,
            body,
            Wanted {
                sees: &sees,
                ..wanted(Undeclared::Refused)
            },
        )
    };
    let body = r#"{"password":5,"id":1,"score":7,"iban":"DE89370400440532013000","owner":{"mail":"a@b.example"},"more":1}"#;
    assert_eq!(
        see(&[], body).as_deref(),
        Ok(r#"{"id":1,"iban":"****3000","owner":{},"more":1}"#)
    );
    assert_eq!(
        see(&["risk"], body).as_deref(),
        Ok(r#"{"id":1,"score":7,"iban":"****3000","owner":{},"more":1}"#)
    );
    assert_eq!(
        see(&["admin"], body).as_deref(),
        Ok(r#"{"id":1,"score":7,"iban":"****3000","owner":{"mail":"a@b.example"},"more":1}"#)
    );
    // The contract is with the backend, whoever reads.
    assert_eq!(see(&[], r#"{"id":1}"#), Err("required"));
    let notes = r#"{"id":1,"score":1,"list":[{"note":"a"},{"note": {"b": [1]} },{"note":12345678},{"note":true},{"note":null}]}"#;
    assert_eq!(
        see(&["risk"], notes).as_deref(),
        Ok(
            r#"{"id":1,"score":1,"list":[{"note":"****"},{"note": "****" },{"note":"****"},{"note":"****"},{"note":null}]}"#
        )
    );
}

#[test]
fn what_cannot_be_taken_out_does_not_leave_at_all() {
    for hidden in [
        json!({"type": "object", "x-visible-to": ["admin"]}),
        json!({"items": {"x-visible-to": ["admin"]}}),
    ] {
        let schema = schema(&hidden);
        let body = if hidden.get("items").is_some() {
            "[1]"
        } else {
            "{}"
        };
        assert_eq!(
            edit(&schema, body, wanted(Undeclared::Refused)),
            Err("x-visible-to")
        );
        let all = Wanted {
            sees: &|_| true,
            ..wanted(Undeclared::Refused)
        };
        assert_eq!(edit(&schema, body, all).as_deref(), Ok(body));
    }
}

#[test]
fn a_member_that_never_leaves_opens_no_other_alternative() {
    let secret = json!({"properties": {"password": {"writeOnly": true}}, "required": ["id"]});
    let either = schema(&json!({"oneOf": [secret, {"required": ["key"]}]}));
    let run = |body: &str| edit(&either, body, wanted(Undeclared::Refused));
    assert_eq!(
        run(r#"{"id":1,"password":2}"#).as_deref(),
        Ok(r#"{"id":1}"#)
    );
    assert_eq!(run(r#"{"id":1,"key":1,"password":2}"#), Err("oneOf"));
}

#[test]
fn values_are_masked_by_place_and_by_format() {
    let mut schema =
        schema(&json!({"properties": {"mail": {"type": "string", "format": "email"}}}));
    schema.mask_format("email", Mask::Hash);
    let key = MaskKey::new(b"for this test");
    let masks = ["/items/*/iban", "/x/0", "/a~1b/~0", "/deep"]
        .map(|text| (Pointer::read(text).unwrap(), Mask::Last4));
    let with = Wanted {
        masks: &masks,
        key: Some(&key),
        ..wanted(Undeclared::Refused)
    };
    for (body, left) in [
        (
            r#"{"items":[{"iban":"1234567890"},{"iban":null},{"other":1}]}"#,
            r#"{"items":[{"iban":"****7890"},{"iban":null},{"other":1}]}"#,
        ),
        (
            r#"{"x":["1234567890","1234567890"]}"#,
            r#"{"x":["****7890","1234567890"]}"#,
        ),
        (
            r#"{"a\/b":{"~":1234567890, "~0":1}}"#,
            r#"{"a\/b":{"~":"****7890", "~0":1}}"#,
        ),
        (r#"{"deep":{"items":[1,2]}}"#, r#"{"deep":"****"}"#),
        (
            r#"{"deep":"\u0031\"34567\u0038"}"#,
            r#"{"deep":"****567\u0038"}"#,
        ),
        (r#"{"iban":"1234567890"}"#, r#"{"iban":"1234567890"}"#),
    ] {
        let left = left.replace(r"567\u0038", "5678");
        assert_eq!(edit(&schema, body, with).as_deref(), Ok(&*left), "{body}");
    }
    let hashed = edit(&schema, r#"{"mail":"a@b.example"}"#, with).unwrap();
    assert!(hashed.len() > 40 && !hashed.contains("example"), "{hashed}");
    assert_eq!(Pointer::read("a"), None);
    assert_eq!(Pointer::read("/~2"), None);
}

#[test]
fn items_are_counted_where_they_stand() {
    let schema = schema(&json!({}));
    let count = |pointer: &str, body: &str| {
        let pointer = Pointer::read(pointer).unwrap();
        let wanted = Wanted {
            count: Some(&pointer),
            ..wanted(Undeclared::Refused)
        };
        schema
            .edit(body.as_bytes(), wanted, &mut Scratch::default())
            .unwrap()
            .items
    };
    assert_eq!(count("", "[]"), Some(0));
    assert_eq!(count("", "[[1,2],{\"a\":[1]},3 ]"), Some(3));
    assert_eq!(count("/items", r#"{"n":1,"items":["a","]",{}]}"#), Some(3));
    assert_eq!(count("/items", r#"{"items":{"a":1}}"#), Some(0));
    assert_eq!(
        count("/*/items", r#"[{"items":[1]},{"items":[1,2]}]"#),
        Some(3)
    );
}

const NAMES: [&str; 5] = ["a", "b\"", "\u{e9}", "kind", "longer name"];

fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!({"type": ["object", "array", "string", "number"]}))
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let members = prop::collection::vec((prop::sample::select(&NAMES[..3]), inner.clone()), 0..4);
        let additional = prop_oneof![
            4 => Just(Value::Null), 2 => Just(json!(false)), 1 => Just(json!(true)), 1 => inner.clone(),
        ];
        let object = (members, additional).prop_map(|(members, additional)| {
            let members: Map<String, Value> = members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
            match additional {
                Value::Null => json!({"properties": members}),
                additional => json!({"properties": members, "additionalProperties": additional}),
            }
        });
        let kinds = prop::collection::vec(object.clone(), 2..4).prop_map(|list| {
            let each = list.into_iter().enumerate().map(|(at, mut each)| {
                each["properties"]["kind"] = json!({"const": format!("k{at}")});
                each["required"] = json!(["kind"]);
                each["type"] = json!("object");
                each
            });
            json!({"oneOf": each.collect::<Vec<_>>()})
        });
        prop_oneof![
            4 => object,
            2 => inner.clone().prop_map(|items| json!({"items": items})),
            2 => prop::collection::vec(inner, 1..3).prop_map(|list| json!({"allOf": list})),
            1 => kinds,
        ]
    })
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(1)), Just(json!("x,\"}")), Just(json!("k1"))];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let kind = prop::sample::select(vec!["k0", "k1", "k2"]);
        let members =
            prop::collection::vec((prop::sample::select(&NAMES[..]), inner.clone()), 0..5);
        let object = (members, kind).prop_map(|(members, kind)| {
            let mut map: Map<String, Value> = members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            map.entry("kind").and_modify(|value| *value = json!(kind));
            Value::Object(map)
        });
        prop_oneof![3 => object, 1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array)]
    })
}

/// Written with blanks between tokens and with names that are escaped throughout.
fn written(value: &Value, blank: &str, escapes: bool) -> String {
    match value {
        Value::Object(map) => {
            let each = map.iter().map(|(name, value)| {
                let plain = Value::String(name.clone()).to_string();
                let escaped: String = name
                    .encode_utf16()
                    .map(|unit| format!("\\u{unit:04x}"))
                    .collect();
                let name = if escapes {
                    format!("\"{escaped}\"")
                } else {
                    plain
                };
                format!(
                    "{blank}{name}{blank}:{blank}{}{blank}",
                    written(value, blank, escapes)
                )
            });
            format!("{{{blank}{}}}", each.collect::<Vec<_>>().join(","))
        }
        Value::Array(list) => {
            let each = list
                .iter()
                .map(|value| format!("{blank}{}{blank}", written(value, blank, escapes)));
            format!("[{}]", each.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// Whether the bytes are those of the other text with some left out.
fn is_part(part: &str, whole: &str) -> bool {
    let mut rest = whole.bytes();
    part.bytes().all(|byte| rest.any(|other| other == byte))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_remains_is_what_a_reading_by_values_leaves(
        document in schemas(), value in values(), blank in "[ \n\t]{0,2}", escapes: bool,
    ) {
        let schema = schema(&document);
        let body = written(&value, &blank, escapes);
        let Ok(left) = strip(&schema, &body) else {
            return Ok(());
        };
        let remaining: Value = serde_json::from_str(&left).unwrap();
        prop_assert_eq!(&remaining, &reference(&[&document], &value), "{} by {}", body, document);
        prop_assert!(schema.check(left.as_bytes(), &mut Scratch::default()).is_ok(), "{}", left);
        prop_assert_eq!(strip(&schema, &left), Ok(left.clone()));
        prop_assert!(is_part(&left, &body), "{} of {}", left, body);
        if remaining == value {
            prop_assert_eq!(left, body);
        }
    }
}
