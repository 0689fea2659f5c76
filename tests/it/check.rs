//! `portcullis check`: what documents leave open, by kind and level, for people and programs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::process::Directory;

const CONFIG: &str = r#"
[[listener]]
address = "127.0.0.1:0"
[upstream.app]
address = "127.0.0.1:9"
[api.app]
openapi = "api.yaml"
authentication = "none"
upstream = "app"
owner = "team"
"#;

/// Runs `check` on a document; the exit code and all that is said.
fn check(name: &str, api: &str, more: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let directory = Directory::new(name);
    directory.write("api.yaml", api);
    directory.write("gateway.toml", &format!("{CONFIG}{more}"));
    directory.check(arguments)
}

fn json(name: &str, api: &str, more: &str) -> (Option<i32>, Value) {
    let (code, text) = check(name, api, more, &["--format", "json"]);
    (
        code,
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")),
    )
}

/// One operation whose body has this schema, in the flow style.
fn with_body(schema: &str) -> String {
    format!(
        r#"openapi: 3.1.0
info: {{ title: T, version: "1" }}
paths:
  /a:
    post:
      operationId: a
      requestBody: {{ content: {{ application/json: {{ schema: {schema} }} }} }}
      responses: {{ "204": {{ description: ok }}, "4XX": {{ description: bad }} }}
"#
    )
}

#[test]
fn what_a_value_refers_to_is_looked_at_wherever_it_comes_in() {
    let api = r##"openapi: 3.1.0
info: { title: T, version: "1" }
paths:
  /a:
    get:
      operationId: a
      parameters:
        - { name: doc, in: query, content: { application/json: { schema: { $ref: "#/components/schemas/Text" } } } }
        - { name: short, in: query, schema: { $ref: "#/components/schemas/Name", maxLength: 9 } }
        - { name: both, in: query, schema: { allOf: [{ $ref: "#/components/schemas/Other" }, { $ref: "#/components/schemas/Short" }] } }
        - { name: bare, in: query, schema: { allOf: [{ $ref: "#/components/schemas/Bare" }] } }
      responses: { "200": { description: ok, headers: { X-Any: { schema: {} } } }, "4XX": { description: bad } }
components:
  schemas:
    Text: { type: string }
    Name: { type: string }
    Other: { type: string }
    Bare: { type: string }
    Short: { maxLength: 3 }
"##;
    let (code, told) = json("check-refers", api, "");
    assert_eq!(code, Some(0), "{told:#}");
    let warnings = told["warnings"].as_array().unwrap().iter();
    let found: Vec<_> = warnings
        .map(|each| {
            (
                each["kind"].as_str().unwrap(),
                each["pointer"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (
                "open_schema",
                "/paths/~1a/get/responses/200/headers/X-Any/schema"
            ),
            ("unbounded_string", "/components/schemas/Text"),
            ("unbounded_string", "/components/schemas/Bare"),
        ]
    );
}

/// The kinds of findings and their pointers below the schema.
fn found(schema: &str) -> Vec<(String, String)> {
    let (code, told) = json("check-found", &with_body(schema), "");
    assert_eq!(code, Some(0), "{told}");
    let root = "/paths/~1a/post/requestBody/content/application~1json/schema";
    let each = told["warnings"].as_array().unwrap().iter().map(|each| {
        assert!(each["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
        assert_eq!(each["line"], 7);
        let pointer = each["pointer"].as_str().unwrap();
        let below = pointer
            .strip_prefix(root)
            .unwrap_or_else(|| panic!("{pointer}"));
        (each["kind"].as_str().unwrap().to_owned(), below.to_owned())
    });
    let mut found: Vec<_> = each.collect();
    found.sort();
    found
}

#[test]
fn what_a_schema_leaves_open_is_told_and_what_it_bounds_is_not() {
    let closed = |members: &str| {
        format!("{{ type: object, additionalProperties: false, properties: {{ {members} }} }}")
    };
    for (schema, expected) in [
        ("{}".to_owned(), &[("open_schema", "")][..]),
        ("true".to_owned(), &[("open_schema", "")]),
        ("{ maxLength: 3 }".to_owned(), &[("open_schema", "")]),
        ("{ enum: [1, 2] }".to_owned(), &[]),
        ("{ type: object }".to_owned(), &[("open_object", "")]),
        ("{ type: object, additionalProperties: { type: boolean } }".to_owned(), &[]),
        (closed("a: { type: string }"), &[("unbounded_string", "/properties/a")]),
        (closed("a: { type: string, maxLength: 9 }, b: { type: string, format: date }, c: { type: string, enum: [x] }, d: { const: x }, e: { type: string, pattern: '^a$' }"), &[]),
        (closed("a: { type: [string, 'null'] }"), &[("unbounded_string", "/properties/a")]),
        (closed("a: { type: string, format: byte }"), &[("unbounded_string", "/properties/a")]),
        (closed("a: { type: number, minimum: 0 }"), &[("unbounded_number", "/properties/a")]),
        (closed("a: { type: number, minimum: 0, exclusiveMaximum: 9 }, b: { type: integer, format: int32 }"), &[]),
        (closed("a: { type: array, maxItems: 3 }"), &[("open_schema", "/properties/a")]),
        (closed("a: { type: array, items: { type: boolean } }"), &[("unbounded_array", "/properties/a")]),
        (closed("a: { type: string, readOnly: true }"), &[]),
        (closed("a: { type: boolean, minContains: 1 }"), &[("ineffective_keyword", "/properties/a/minContains")]),
        ("{ type: string, minLength: 3, maxLength: 2 }".to_owned(), &[("impossible_schema", "")]),
        ("{ type: object, additionalProperties: false, required: [b], properties: { a: { type: boolean } } }".to_owned(), &[("impossible_schema", "")]),
        ("{ additionalProperties: false, type: object, properties: { a: { type: boolean } }, allOf: [{ properties: { b: { type: boolean } } }] }".to_owned(), &[("closed_beside_all_of", "")]),
        ("{ type: object, unevaluatedProperties: false, allOf: [{ properties: { b: { type: string } } }] }".to_owned(), &[("unbounded_string", "/allOf/0/properties/b")]),
        ("{ oneOf: [{ type: string }, { type: 'null' }] }".to_owned(), &[("unbounded_string", "/oneOf/0")]),
        ("{ type: string, maxLength: 3, anyOf: [{ pattern: '^a' }, { minLength: 2 }] }".to_owned(), &[]),
        // What parts of one value say counts together, wherever it stands.
        ("{ allOf: [{ type: string }] }".to_owned(), &[("unbounded_string", "/allOf/0")]),
        ("{ allOf: [{ type: string }, { maxLength: 3 }] }".to_owned(), &[]),
        ("{ allOf: [{ allOf: [{ type: array, items: { type: string } }] }, { maxItems: 2, items: { maxLength: 3 } }] }".to_owned(), &[]),
        ("{ allOf: [{ type: number, minimum: 0 }, { maximum: 9 }] }".to_owned(), &[]),
        ("{ allOf: [{ type: number, minimum: 0 }, { minimum: 1 }] }".to_owned(), &[("unbounded_number", "/allOf/0")]),
        ("{ allOf: [{}] }".to_owned(), &[("open_schema", "/allOf/0")]),
        ("{ allOf: [{ type: object, properties: { a: { type: boolean } } }] }".to_owned(), &[("open_object", "/allOf/0")]),
        ("{ allOf: [{ type: object, properties: { a: { type: boolean } } }, { required: [a] }] }".to_owned(), &[("open_object", "")]),
        ("{ oneOf: [{ description: any }, { type: boolean }] }".to_owned(), &[("open_schema", "/oneOf/0")]),
        (closed("a: { allOf: [{ type: string }] }"), &[("unbounded_string", "/properties/a/allOf/0")]),
        (closed("a: { type: string, oneOf: [{ maxLength: 3 }, { pattern: '^a{2}$' }] }"), &[]),
        (closed("a: { type: string, oneOf: [{ maxLength: 3 }, { pattern: '^a' }] }"), &[("unbounded_string", "/properties/a")]),
        (closed("a: { type: [string, boolean], anyOf: [{ type: boolean }, { format: uuid }] }"), &[]),
        (closed("a: { anyOf: [{ type: string, maxLength: 3 }, { type: number }] }"), &[("unbounded_number", "/properties/a/anyOf/1")]),
        (closed("a: { type: string, if: { pattern: a }, then: { maxLength: 3 }, else: { maxLength: 2 } }"), &[]),
        (closed("a: { type: string, not: { properties: { b: { type: string } } } }"), &[("unbounded_string", "/properties/a")]),
        ("{ type: object, unevaluatedProperties: false, properties: { a: { type: string } }, allOf: [{ properties: { a: { maxLength: 3 } } }] }".to_owned(), &[]),
        ("{ type: object, unevaluatedProperties: false, properties: { a: { type: string } }, anyOf: [{ properties: { a: { maxLength: 3 } } }, { properties: { a: { const: b } } }] }".to_owned(), &[]),
        ("{ type: object, unevaluatedProperties: false, properties: { a: { maxLength: 3 } }, anyOf: [{ properties: { a: { type: string } } }, { properties: { b: { type: string } } }] }".to_owned(), &[("open_schema", "/properties/a"), ("unbounded_string", "/anyOf/1/properties/b")]),
        ("{ type: object, oneOf: [{ additionalProperties: false, properties: { a: { type: boolean } } }, { additionalProperties: false }] }".to_owned(), &[]),
        ("{ type: object, additionalProperties: false, properties: { a: { allOf: [{ type: string, readOnly: true }] } } }".to_owned(), &[]),
        // What only looks like a bound.
        (closed("a: { type: string, pattern: '^.*$' }"), &[("unbounded_string", "/properties/a")]),
        (closed("a: { type: string, pattern: '^[a-z]+$' }"), &[("unbounded_string", "/properties/a")]),
        (closed("a: { type: string, pattern: 'a{3}' }"), &[("unbounded_string", "/properties/a")]),
        (closed("a: { type: string, pattern: '^[a-z]{1,9}$' }"), &[]),
        (closed("a: { type: string, format: uri }, b: { type: string, format: regex }, c: { type: string, format: json-pointer }"), &[("unbounded_string", "/properties/a"), ("unbounded_string", "/properties/b"), ("unbounded_string", "/properties/c")]),
        (closed("a: { type: string, format: email }, b: { type: string, format: date-time }, c: { type: string, format: ipv6 }"), &[]),
        (closed("a: { type: string, maxLength: 5, maximum: 3 }"), &[("ineffective_keyword", "/properties/a/maximum")]),
        (closed("a: { type: boolean, pattern: '^a$', maxItems: 3 }"), &[("ineffective_keyword", "/properties/a/maxItems"), ("ineffective_keyword", "/properties/a/pattern")]),
        (closed("a: { type: [integer, 'null'], minimum: 1, maximum: 3, required: [b] }"), &[("ineffective_keyword", "/properties/a/required")]),
        (closed("a: { type: [string, 'null'], maxLength: 3, enum: [a, null] }"), &[]),
        (closed("a: { type: string, enum: [1, 2] }"), &[("impossible_schema", "/properties/a")]),
        (closed("a: { type: string, format: int64 }"), &[("ineffective_keyword", "/properties/a/format"), ("unbounded_string", "/properties/a")]),
        (closed("a: { type: number, format: double }"), &[("unbounded_number", "/properties/a")]),
        (closed("a: { type: boolean, format: uuid }"), &[("ineffective_keyword", "/properties/a/format")]),
        (closed("a: { type: [integer, 'null'], format: int64 }"), &[]),
    ] {
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(kind, at)| ((*kind).to_owned(), (*at).to_owned()))
            .collect();
        assert_eq!(found(&schema), expected, "{schema}");
    }
}

#[test]
fn extensions_that_mean_ours_are_told_wherever_they_stand() {
    let member = |key: &str| {
        with_body(&format!(
            "{{ type: object, additionalProperties: false, properties: {{ a: {{ type: boolean, {key} }} }} }}"
        ))
    };
    for (key, own) in [
        ("x-visible-too: [a]", "x-visible-to"),
        ("x-visible_to: [a]", "x-visible-to"),
        ("x-Mask: last4", "x-mask"),
        ("x-masked: last4", "x-mask"),
        ("x-mask-with: last4", "x-mask"),
    ] {
        let (code, text) = check("check-meant", &member(key), "", &[]);
        let name = key.split(':').next().unwrap();
        assert_eq!(code, Some(1), "{key}: {text}");
        assert!(
            text.contains(&format!("the keyword `{name}` is not enforced")),
            "{text}"
        );
        assert!(text.contains(&format!("did you mean `{own}`?")), "{text}");
        let (code, text) = check(
            "check-meant",
            &member(key),
            "[lint]\nunknown_keyword = \"warn\"\n",
            &[],
        );
        assert_eq!(code, Some(0), "{key}: {text}");
        assert!(text.contains(&format!("did you mean `{own}`?")), "{text}");
    }
    for key in [
        "x-nullable: true",
        "x-examples: {}",
        "x-internal: true",
        "x-visible: true",
        "x-order: 1",
    ] {
        let (code, text) = check("check-meant", &member(key), "", &["--strict"]);
        assert_eq!(code, Some(0), "{key}: {text}");
    }
    // Where no value stands they take nothing out.
    let elsewhere = with_body("{ type: boolean }");
    for (from, to, what) in [
        (
            "operationId: a",
            "operationId: a\n      x-visible-to: [a]",
            "an operation",
        ),
        (
            "application/json: {",
            "application/json: { x-mask: last4,",
            "a media type",
        ),
        ("\"204\": {", "\"204\": { x-masked: last4,", "a response"),
        (
            "\"204\": {",
            "\"204\": { headers: { X-A: { x-mask: last4, schema: { type: string } } },",
            "a header",
        ),
    ] {
        let api = elsewhere.replacen(from, to, 1);
        let (code, text) = check("check-meant", &api, "", &[]);
        assert_eq!(code, Some(1), "{what}: {text}");
        assert!(
            text.contains(&format!("has no effect on {what}")),
            "{what}: {text}"
        );
    }
}

const SHARED: &str = r##"openapi: 3.1.0
info: { title: T, version: "1" }
paths:
  /a/{kind}:
    parameters:
      - { name: kind, in: path, required: true, schema: { type: string, enum: [x, y] } }
    get:
      operationId: getKind
      parameters: [{ name: Connection, in: header, required: true, schema: { type: string, maxLength: 3 } }]
      responses: { "200": { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/A" } } } } }
  /a/x:
    get:
      operationId: getX
      responses: { default: { description: ok, content: { application/json: {} } } }
  /a/y:
    get:
      operationId: getY
      responses: { "200": { description: ok, content: { image/png: {} } }, "4XX": { description: bad } }
  /b:
    post: { operationId: b, requestBody: { $ref: "#/components/requestBodies/A" }, responses: { default: { description: ok } } }
    put: { operationId: c, requestBody: { $ref: "#/components/requestBodies/A" }, responses: { default: { description: ok } } }
components:
  requestBodies: { A: { content: { application/json: { schema: { $ref: "#/components/schemas/A" } } } } }
  schemas:
    A: { type: object, properties: { name: { type: string } } }
"##;

#[test]
fn shared_schemas_are_told_once_and_counted_by_kind() {
    let (code, told) = json("check-shared", SHARED, "");
    assert_eq!((code, &told["loads"]), (Some(0), &Value::Bool(true)));
    let summary: BTreeMap<&str, u64> = told["summary"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(kind, count)| (kind.as_str(), count.as_u64().unwrap()))
        .collect();
    let expected = [
        ("open_object", 1),
        ("open_schema", 1),
        ("unbounded_string", 1),
        ("unchecked_content", 1),
        ("undeclared_response", 1),
        ("unreachable_operation", 1),
    ];
    assert_eq!(summary, expected.into(), "{told:#}");
    assert_eq!(told["operations"].as_array().unwrap().len(), 5);
    let open = &told["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|each| each["kind"] == "open_object");
    let open = open.unwrap();
    assert_eq!(open["pointer"], "/components/schemas/A");
    assert_eq!((&open["line"], &open["column"]), (&25.into(), &5.into()));

    let (code, text) = check("check-shared-text", SHARED, "", &[]);
    assert_eq!(code, Some(0));
    for words in [
        "api.yaml:25:5: members of any name pass",
        "hint: add `additionalProperties: false`",
        "at /components/schemas/A",
        "unbounded_string",
        "6 warnings: it loads all the same",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (code, text) = check("check-strict", SHARED, "", &["--strict"]);
    assert!(code == Some(1) && text.contains("--strict"), "{text}");
}

#[test]
fn levels_decide_what_loads() {
    let api = with_body(
        "{ type: object, properties: { a: { type: string, format: made-up }, b: { type: string, x-y: 1, minLenght: 3 } } }",
    );
    // As it stands, what would not be enforced is an error.
    let (code, told) = json("check-levels", &api, "");
    let kinds = |told: &Value, list: &str| {
        let each = told[list].as_array().unwrap().iter();
        let mut kinds: Vec<String> = each
            .map(|each| each["kind"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds.join(" ")
    };
    assert_eq!((code, kinds(&told, "errors").as_str()), (Some(1), "error"));
    assert!(told.to_string().contains("made-up") && told.to_string().contains("minLenght"));

    let tolerant = "[lint]\nunknown_format = \"warn\"\nunknown_keyword = \"warn\"\nunbounded_string = \"off\"\n";
    let (code, told) = json("check-levels", &api, tolerant);
    assert_eq!(code, Some(0), "{told:#}");
    assert_eq!(
        kinds(&told, "warnings"),
        "open_object unknown_format unknown_keyword"
    );

    let strict = format!("{tolerant}open_object = \"error\"\n");
    let (code, told) = json("check-levels", &api, &strict);
    assert_eq!(
        (code, kinds(&told, "errors").as_str()),
        (Some(1), "open_object")
    );
    // One API may differ.
    let (code, _) = json(
        "check-levels",
        &api,
        &format!("{strict}[api.app.lint]\nopen_object = \"off\"\n"),
    );
    assert_eq!(code, Some(0));

    let (code, text) = check(
        "check-levels",
        &api,
        "[lint]\nopen_objects = \"warn\"\n",
        &[],
    );
    assert!(
        code == Some(1) && text.contains("did you mean `open_object`"),
        "{text}"
    );
    let (code, text) = check(
        "check-levels",
        &api,
        "[lint]\nopen_object = \"loud\"\n",
        &[],
    );
    assert!(
        code == Some(1) && text.contains("write off or warn or error"),
        "{text}"
    );
}

#[test]
fn operations_that_cannot_be_enforced_are_left_out_where_that_is_said() {
    let api = r#"openapi: 3.1.0
info: { title: T, version: "1" }
paths:
  /a:
    get: { operationId: a, responses: { default: { description: ok } } }
    put: { operationId: b, responses: { "200": { description: ok, content: { "text/*": { schema: { type: object } } } } } }
  /c/{x}.{y}:
    get: { operationId: c, responses: { default: { description: ok } } }
  /d:
    get: { operationId: d, security: [{ made_up: [] }], responses: { default: { description: ok } } }
  /e:
    unknown: 1
    get: { operationId: e, responses: { default: { description: ok } } }
"#;
    let (code, text) = check("check-left-out", api, "", &[]);
    assert!(code == Some(1) && text.contains("5 errors"), "{text}");
    let (code, told) = json("check-left-out", api, "[lint]\nleft_out = \"warn\"\n");
    assert_eq!(code, Some(0), "{told:#}");
    assert_eq!(told["operations"].as_array().unwrap().len(), 1);
    let left: Vec<&str> = told["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|each| each["kind"] == "left_out")
        .map(|each| each["message"].as_str().unwrap())
        .collect();
    for name in [
        "PUT /a is left out",
        "GET /c/{x}.{y} is",
        "GET /d is",
        "GET /e is",
    ] {
        assert!(
            left.iter().any(|each| each.contains(name)),
            "{name}: {left:?}"
        );
    }
    let none = api.replace("operationId: a,", "operationId: a, wrong: 1,");
    let (code, text) = check("check-left-out", &none, "[lint]\nleft_out = \"off\"\n", &[]);
    assert!(
        code == Some(1) && text.contains("no operation is left"),
        "{text}"
    );
}

#[test]
fn schemas_that_cannot_mean_anything_are_refused_with_their_place() {
    let body = |schema: &str| with_body(schema);
    let component = |schema: &str| {
        let mut api = with_body("{ $ref: '#/components/schemas/A' }");
        api.push_str(&format!("components:\n  schemas:\n    A: {schema}\n"));
        api
    };
    let root = "/paths/~1a/post/requestBody/content/application~1json/schema";
    let at = |below: &str| format!("{root}{below}");
    let own = |below: &str| format!("/components/schemas/A{below}");
    let dialect = with_body("{ type: boolean }").replace(
        "paths:",
        "jsonSchemaDialect: https://json-schema.org/draft-07/schema\npaths:",
    );
    for (api, message, place, pointer) in [
        (
            component("{ $ref: '#/components/schemas/A' }"),
            "without an end",
            (11, 5),
            own(""),
        ),
        (
            component("{ allOf: [{ type: object }, { $ref: '#/components/schemas/A' }] }"),
            "without an end",
            (11, 5),
            own(""),
        ),
        (
            component("{ anyOf: [{ not: { $ref: '#/components/schemas/A' } }] }"),
            "without an end",
            (11, 5),
            own(""),
        ),
        (
            body("{ $ref: '#/components/schemas/Absent' }"),
            "leads nowhere",
            (7, 63),
            at("/$ref"),
        ),
        (
            component("{ items: { $ref: '#/nowhere' } }"),
            "leads nowhere",
            (11, 19),
            own("/items/$ref"),
        ),
        (
            body("{ $schema: 'https://json-schema.org/draft-07/schema', type: boolean }"),
            "dialect",
            (7, 63),
            at("/$schema"),
        ),
        (dialect, "dialect", (3, 1), "/jsonSchemaDialect".to_owned()),
    ] {
        let (code, told) = json("check-places", &api, "");
        assert_eq!(code, Some(1), "{api}{told:#}");
        let errors = told["errors"].as_array().unwrap();
        let found = errors
            .iter()
            .find(|each| each["message"].as_str().unwrap().contains(message));
        let found = found.unwrap_or_else(|| panic!("{message}: {told:#}"));
        assert_eq!(found["pointer"], pointer.as_str(), "{told:#}");
        assert_eq!(
            (found["line"].as_u64(), found["column"].as_u64()),
            (Some(place.0), Some(place.1)),
            "{told:#}"
        );
        assert_eq!(found["file"], "api.yaml", "{told:#}");
    }
    // A loop that goes down into the value ends with it.
    let (code, told) = json(
        "check-places",
        &component("{ type: array, maxItems: 2, items: { $ref: '#/components/schemas/A' } }"),
        "",
    );
    assert_eq!(code, Some(0), "{told:#}");
}

#[test]
fn patterns_that_backtrack_are_refused_with_the_key_that_allows_them() {
    let twice = "^(a+)+\\1$";
    let api = with_body("{ type: string, pattern: '^(a+)+\\1$' }");
    let (code, told) = check("check-linear", &api, "", &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("a back-reference does not run in linear time")
            && told.contains("backtracking.patterns"),
        "{told}"
    );
    let place = "#/paths/~1a/post/requestBody/content/application~1json/schema/pattern";
    for named in [twice, place] {
        let more = format!("backtracking = {{ patterns = ['{named}'], max_steps = 1000 }}\n");
        let (code, told) = check("check-backtracking", &api, &more, &[]);
        assert_eq!(code, Some(0), "{told}");
    }
    for (more, expected) in [
        (
            format!("backtracking = {{ patterns = ['{twice}', '(?=b)'] }}\n"),
            "no pattern \"(?=b)\" has to backtrack",
        ),
        (
            format!("backtracking = {{ patterns = ['{twice}'], max_steps = 0 }}\n"),
            "0 is no bound on steps",
        ),
        (
            format!("backtracking = {{ patterns = ['{twice}'], max_steps = 1000001 }}\n"),
            "1000001 is no bound on steps",
        ),
        (
            "backtracking = { max_steps = 10 }\n".to_owned(),
            "no pattern is named",
        ),
        (
            format!("backtracking = {{ patterns = ['{twice}'], steps = 3 }}\n"),
            "max_steps",
        ),
    ] {
        let (code, told) = check("check-backtracking-wrong", &api, &more, &[]);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn tables_that_no_api_names_are_told() {
    let body = with_body("{ type: string, maxLength: 5 }");
    // An inspector's upstream is used, though no API names it.
    let more = "inspector = \"scan\"\n[inspector.scan]\nupstream = \"asked\"\npath = \"/\"\non_failure = \"closed\"\n\
                [waf.own]\nrules = [\"builtin\"]\nmode = \"block\"\n[upstream.old]\naddress = \"127.0.0.1:8\"\n\
                [upstream.asked]\naddress = \"127.0.0.1:7\"\n[waf.builtin]\nmode = \"detect\"\n";
    let (code, told) = json("check-unused", &body, more);
    assert_eq!(code, Some(0), "{told:#}");
    let lines: Vec<_> = told["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| (&each["kind"], &each["line"], &each["message"]))
        .collect();
    assert_eq!(
        lines,
        [
            (
                &"unused_table".into(),
                &16.into(),
                &"nothing uses [waf.own]".into()
            ),
            (
                &"unused_table".into(),
                &19.into(),
                &"nothing uses [upstream.old]".into()
            ),
        ]
    );
    let strict = format!("{more}[lint]\nunused_table = \"error\"\n");
    let (code, text) = check("check-unused-error", &body, &strict, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("write waf = \"own\" in [api.NAME], or remove it"),
        "{text}"
    );
    let quiet = format!("{more}[lint]\nunused_table = \"off\"\n");
    let (code, text) = check("check-unused-off", &body, &quiet, &[]);
    assert!(code == Some(0) && !text.contains("nothing uses"), "{text}");
}

#[test]
fn only_statuses_of_failing_servers_leave_an_endpoint_out() {
    let body = with_body("{ type: string, maxLength: 5 }");
    let table = |statuses: &str| {
        format!(
            "[upstream.web]\naddress = \"127.0.0.1:8\"\nidle_timeout = \"4s\"\n\
             [upstream.web.ejection]\nstatuses = [{statuses}]\n"
        )
    };
    for (statuses, told) in [
        ("500, 404", Some("404 is no status of a server that fails")),
        ("600", Some("write statuses from 500 to 599")),
        ("500, 599", None),
        ("", None),
    ] {
        let (code, text) = check("check-statuses", &body, &table(statuses), &[]);
        assert_eq!(code, Some(i32::from(told.is_some())), "{text}");
        assert!(told.is_none_or(|told| text.contains(told)), "{text}");
    }
}

#[test]
fn what_is_written_as_elsewhere_is_told_how_it_is_written_here() {
    let body = with_body("{ type: string, maxLength: 5 }");
    let more = "[upstream.web]\naddress = \"http://127.0.0.1:9\"\n[upstream.bare]\naddress = \"localhost\"\n\
                [issuer.main]\nissuer = \"https://i.example\"\naudiences = [\"a\"]\nalgorithms = [\"ES256\"]\n\
                keys = \"https://i.example/keys\"\n";
    let (code, text) = check("check-elsewhere", &body, more, &[]);
    assert_eq!(code, Some(1), "{text}");
    for told in [
        "\"http://127.0.0.1:9\" has a scheme",
        "write host and port alone",
        "\"localhost\" is no address with a port",
        "write \"127.0.0.1:9000\"",
        "nothing is fetched: download it and name the file",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
}
