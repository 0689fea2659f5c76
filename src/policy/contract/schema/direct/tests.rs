//! What the direct walk accepts the walk along the index accepts as well, and it accepts what
//! bodies look like.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::walk::{self, Walk};
use super::super::{Dialect, Schema};
use super::quick::WINDOW;
use super::{Direct, Memory};
use crate::policy::contract::schema::pattern::Trail;

struct Bench {
    schema: Schema,
    memory: Memory,
    walk: walk::Memory,
    trail: Trail,
}

impl Bench {
    fn new(schema: &Value) -> Bench {
        Bench {
            schema: Schema::compile(schema, "", Dialect::OpenApi31).unwrap(),
            memory: Memory::default(),
            walk: walk::Memory::default(),
            trail: Trail::default(),
        }
    }

    fn direct(&mut self, body: &str) -> bool {
        let Schema { plan, root, .. } = &self.schema;
        Direct::new(plan, body, &mut self.memory, &mut self.trail).accepts(*root)
    }

    fn index(&mut self, body: &str) -> bool {
        let Schema { program, root, .. } = &self.schema;
        let walk = Walk::new(program, body, &mut self.walk, &mut self.trail);
        walk.is_some_and(|mut walk| walk.run(*root).is_ok())
    }

    /// The direct walk never accepts what the other refuses.
    fn agree(&mut self, body: &str) {
        let (direct, index) = (self.direct(body), self.index(body));
        assert!(index || !direct, "{body}");
        assert!(
            !direct || serde_json::from_str::<Value>(body).is_ok(),
            "{body}"
        );
    }
}

fn order() -> Bench {
    Bench::new(&json!({
        "type": "object", "additionalProperties": false, "required": ["id", "items"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "a name longer than sixteen": {"type": ["string", "null"], "maxLength": 5},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 3},
            "kind": {"enum": ["a", "b", 3, null]},
            "any": {},
            "items": {"type": "array", "minItems": 1, "maxItems": 4, "items": {
                "type": "object", "required": ["sku"],
                "properties": {
                    "sku": {"type": "string", "pattern": "^[A-Z0-9-]{4,20}$"},
                    "quantity": {"type": "integer", "minimum": 1, "exclusiveMaximum": 1000},
                    "price": {"type": "number", "exclusiveMinimum": 0, "maximum": 99.5},
                    "gift": {"type": "boolean"}}}}}
    }))
}

const ID: &str = "2eb8aa08-aa98-11ea-b4aa-73b441d16380";

fn body() -> String {
    format!(
        r#"{{"id":"{ID}","a name longer than sixteen":null,"tags":{{"x":"y","z":"\u00e9\n"}},"kind":3,"any":[{{"b":[-1.5e3,true]}},"é"],"items":[{{"sku":"SKU-1","quantity":1,"price":19.99,"gift":true}},{{"sku":"SKU-2","quantity":999,"price":0.01,"gift":false,"more":{{}}}}]}}"#
    )
}

#[test]
fn what_bodies_look_like_is_accepted_at_once() {
    let mut bench = order();
    let plain = body();
    let value: Value = serde_json::from_str(&plain).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let spaced = plain.replace(':', " : ").replace(',', " ,\t");
    for body in [
        &plain,
        &value.to_string(),
        &pretty,
        &spaced,
        &format!(" {plain}\r\n "),
    ] {
        assert!(bench.direct(body), "{body}");
        assert!(bench.index(body), "{body}");
    }
}

#[test]
fn no_edit_of_a_body_is_accepted_that_the_index_refuses() {
    let mut bench = order();
    let plain = body();
    let positions: Vec<usize> = plain.char_indices().map(|(at, _)| at).collect();
    for &at in &positions {
        bench.agree(&plain[..at]);
        let (before, after) = plain.split_at(at);
        let mut rest = after.chars();
        rest.next();
        for insert in [
            "", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "9", "-", ".", "e", " ", "\n",
            "\u{1}", "t", "null",
        ] {
            bench.agree(&format!("{before}{insert}{after}"));
            bench.agree(&format!("{before}{insert}{}", rest.as_str()));
        }
    }
}

#[test]
fn repeated_names_are_never_accepted() {
    let mut bench = order();
    for (body, holds) in [
        (
            format!(r#"{{"id":"{ID}","items":[{{"sku":"SKU-1"}}]}}"#),
            true,
        ),
        (
            format!(r#"{{"id":"{ID}","items":[{{"sku":"SKU-1","sku":"SKU-1"}}]}}"#),
            false,
        ),
        (
            format!(r#"{{"id":"{ID}","items":[{{"sku":"SKU-1","x":1,"x":2}}]}}"#),
            false,
        ),
        (
            format!(r#"{{"id":"{ID}","items":[{{"sku":"SKU-1","x":1,"\u0078":2}}]}}"#),
            false,
        ),
        (
            format!(r#"{{"id":"{ID}","items":[{{"sku":"SKU-1"}}],"id":"{ID}"}}"#),
            false,
        ),
        (
            format!(r#"{{"id":"{ID}","any":{{"a":1,"a":1}},"items":[{{"sku":"SKU-1"}}]}}"#),
            false,
        ),
    ] {
        // Twice, as the first time teaches the order.
        assert_eq!(
            (bench.direct(&body), bench.direct(&body)),
            (holds, holds),
            "{body}"
        );
        assert_eq!(bench.index(&body), holds, "{body}");
    }
}

#[test]
fn numbers_at_their_bounds() {
    let mut bench = Bench::new(
        &json!({"type": "array", "items": {"type": "object", "properties": {
            "i": {"type": "integer", "minimum": -5, "maximum": 5},
            "open": {"type": "number", "exclusiveMinimum": -1, "exclusiveMaximum": 1},
            "half": {"type": "number", "minimum": 0.5, "maximum": 1.5},
            "cent": {"type": "number", "multipleOf": 0.01},
            "wide": {"type": "integer", "format": "int64"},
            "narrow": {"type": "integer", "format": "int32"}
        }}}),
    );
    for name in ["i", "open", "half", "cent", "wide", "narrow", "free"] {
        for number in [
            "0",
            "-0",
            "5",
            "5.0",
            "6",
            "-5",
            "-5.0",
            "-5.1",
            "-6",
            "1",
            "0.99",
            "-0.99",
            "-1",
            "1.0",
            "-1.0",
            "0.5",
            "0.49",
            "1.5",
            "1.51",
            "0.07",
            "0.075",
            "9223372036854775807",
            "9223372036854775808",
            "1234567",
            "2147483647",
            "2147483648",
            "12345678",
            "123456.7",
            "1e0",
            "1E1",
            "01",
            "00",
            "-",
            "1.",
            ".5",
            "1.e1",
            "1e",
            "--1",
            "+1",
            "1.2.3",
        ] {
            // So much that follows lets it be read in one window.
            let padding = " ".repeat(WINDOW);
            bench.agree(&format!(r#"[{{"{name}":{number}}}]"#));
            bench.agree(&format!(r#"[{{"{name}": {number} }}]{padding}"#));
            let body = format!(r#"[{{"{name}":{number}}}]{padding}"#);
            bench.agree(&body);
            let is_plain = number.len() < 7 && !number.contains(['e', 'E']);
            if is_plain {
                assert_eq!(bench.direct(&body), bench.index(&body), "{body}");
            }
        }
    }
}

#[test]
fn values_of_every_length_behind_names_of_every_length() {
    let names: Vec<String> = (1..40).map(|length| "n".repeat(length)).collect();
    for (schema, values) in [
        (
            json!({"type": "string", "minLength": 2, "maxLength": 20}),
            ["", "a", "é", "ab", "\\n", "éé", "a\u{1}"].map(|text| format!("\"{text}\"")),
        ),
        (
            json!({"type": "string", "pattern": "^[a-z]{3,18}$"}),
            ["", "ab", "abc", "aBc", "abcd1", "a\\u0062c", "abcé"]
                .map(|text| format!("\"{text}\"")),
        ),
        (
            json!({"type": "number", "maximum": 5000}),
            ["0", "00", "4999.9", "5000", "5000.0", "5000.1", "1e3"].map(str::to_owned),
        ),
        (
            json!({"type": "boolean"}),
            ["true", "false", "tru", "falsy", "null", "truefalse", "t"].map(str::to_owned),
        ),
    ] {
        let properties: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| (name.clone(), schema.clone()))
            .collect();
        let mut bench = Bench::new(&json!({"properties": properties}));
        for name in &names {
            for value in &values {
                for after in ["}", ",\"n\": true}", "x}"] {
                    let padding = " ".repeat(WINDOW);
                    bench.agree(&format!("{{\"{name}\":{value}{after}{padding}"));
                    bench.agree(&format!("{{\"{name}\": {value}{after}{padding}"));
                    bench.agree(&format!("{{\"{name}\":{value}{after}"));
                }
            }
        }
    }
}

#[test]
fn texts_and_numbers_as_long_as_a_block_and_longer() {
    let mut bench = Bench::new(&json!({"properties": {
        "text": {"type": "string", "pattern": "^[a-z]*$"},
        "number": {"type": "number"},
        "narrow": {"type": "integer", "format": "int32"}
    }}));
    let padding = " ".repeat(WINDOW);
    for length in 0..40 {
        let (text, digits) = ("a".repeat(length), "1".repeat(length));
        let point = format!("{}.{}", &digits[..length / 2], &digits[length / 2..]);
        for value in [
            format!("\"{text}\""),
            format!("\"{text}é\""),
            format!("\"{text}"),
        ] {
            bench.agree(&format!("{{\"text\":{value}}}{padding}"));
        }
        assert!(bench.direct(&format!("{{\"text\":\"{text}\"}}{padding}")));
        for value in [
            digits.clone(),
            point,
            format!("{digits}."),
            format!("{digits}e1"),
            format!("{digits}.5.5"),
        ] {
            bench.agree(&format!("{{\"number\":{value}}}{padding}"));
            bench.agree(&format!("{{\"narrow\":{value}}}{padding}"));
        }
    }
}

#[test]
fn nesting_has_a_bound() {
    let mut bench = Bench::new(&json!({}));
    for (depth, holds) in [(64, true), (65, false), (100_000, false)] {
        let body = "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(bench.direct(&body), holds, "{depth}");
        assert_eq!(bench.index(&body), holds, "{depth}");
        let body = "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        assert_eq!(bench.direct(&body), holds, "{depth}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_alike(text in "([\\[\\]{}:,]|\"[ab\\\\u0061é]{0,3}\"|-?[0-9.eE+]{1,4}|true|false|null| ){0,24}") {
        let integers = json!({"properties": {"a": {"type": "integer"}}});
        Bench::new(&integers).agree(&text);
        Bench::new(&integers).agree(&format!("{text}{}", " ".repeat(WINDOW)));
        Bench::new(&json!({"type": "array", "items": {"additionalProperties": {"type": "number"}}})).agree(&text);
    }
}
