//! What a document says, and everything that it may not say, with the place.

use std::path::Path;

use crate::diagnostic::{Diagnostic, Position};
use crate::policy::contract::openapi::{Document, Operation, Security, yaml};
use proptest::prelude::*;

/// A description as a bank publishes it.
pub const BANK: &str = include_str!("bank.yaml");

fn operations(text: &str) -> Result<Vec<Operation>, Vec<Diagnostic>> {
    Document::read(Path::new("api.yaml"), text)?.operations()
}

/// All errors as `line:column message`.
fn errors(text: &str) -> Vec<String> {
    let told = |each: &Diagnostic| {
        assert_eq!(each.file, Path::new("api.yaml"));
        let Position { line, column } = each.position;
        format!("{line}:{column} {}", each.message)
    };
    match operations(text) {
        Ok(_) => Vec::new(),
        Err(found) => found.iter().map(told).collect(),
    }
}

/// The bank's description with one change.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(BANK.matches(from).count(), 1, "{from:?} stands once");
    BANK.replace(from, to)
}

/// Exactly one error, at the place of `marked` and beginning with `message`.
#[track_caller]
fn assert_error(text: &str, marked: &str, message: &str) {
    let offset = text.find(marked).unwrap();
    let line = text[..offset].matches('\n').count() + 1;
    let column = offset - text[..offset].rfind('\n').map_or(0, |end| end + 1) + 1;
    let found = errors(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    let expected = format!("{line}:{column} {message}");
    assert!(
        found[0].starts_with(&expected),
        "{} is not {expected}",
        found[0]
    );
}

/// The same for the bank's description with one change.
#[track_caller]
fn refused(from: &str, to: &str, marked: &str, message: &str) {
    assert_error(&changed(from, to), marked, message);
}

/// A document with one `get` on `path` whose keys are `operation`, indented by six.
fn one(path: &str, operation: &str) -> String {
    format!(
        "openapi: 3.1.0\npaths:\n  {path}:\n    get:\n      operationId: op\n{operation}components:\n  securitySchemes:\n    bearer: {{type: http, scheme: bearer}}\n    key: {{type: apiKey, in: header, name: X-Key}}\n    loop: {{$ref: '#/components/securitySchemes/loop'}}\n"
    )
}

fn scopes(alternatives: &[&[&str]]) -> Security {
    let owned = |scopes: &&[&str]| scopes.iter().map(|&scope| scope.to_owned()).collect();
    Security::Scopes(alternatives.iter().map(owned).collect())
}

#[test]
fn the_operations_of_a_bank() {
    let operations = operations(BANK).unwrap();
    let told: Vec<_> = operations
        .iter()
        .map(|each| (&*each.id, &*each.method, &*each.path))
        .collect();
    let expected = [
        ("listAccounts", "GET", "/open/v1/accounts"),
        ("readAccount", "GET", "/open/v1/accounts/{accountId}"),
        ("closeAccount", "DELETE", "/open/v1/accounts/{accountId}"),
        ("createPayment", "POST", "/open/v1/payments"),
        ("uploadStatement", "PUT", "/open/v1/statements"),
        ("health", "GET", "/open/v1/health"),
    ];
    assert_eq!(told, expected);
    let security: Vec<_> = operations
        .iter()
        .map(|each| each.security.clone())
        .collect();
    let expected = [
        scopes(&[&["accounts:read"]]),
        scopes(&[&["accounts:read"]]),
        scopes(&[&["accounts:read", "accounts:close"], &[]]),
        scopes(&[&["payments:write"]]),
        scopes(&[&["accounts:read"]]),
        Security::Anonymous,
    ];
    assert_eq!(security, expected);
    let reads: Vec<_> = operations
        .iter()
        .map(|each| each.contract.reads_body())
        .collect();
    assert_eq!(reads, [false, false, false, true, true, false]);
    assert_eq!(
        operations[2].position,
        Position {
            line: 49,
            column: 5
        }
    );
    assert_eq!(operations[1].template.len(), 4);
}

#[test]
fn an_operation_replaces_the_parameters_of_its_path() {
    let operations = operations(BANK).unwrap();
    let told = |index: usize| {
        let parameters = operations[index].parameters.iter();
        let mut told: Vec<_> = parameters
            .map(|each| {
                format!(
                    "{} {} {} {}",
                    each.location.name(),
                    each.name,
                    each.required,
                    each.is_array
                )
            })
            .collect();
        told.sort();
        told
    };
    assert_eq!(
        told(1),
        ["header x-trace false false", "path accountId true false"]
    );
    assert_eq!(
        told(2),
        [
            "header x-reasons false true",
            "header x-trace true false",
            "path accountId true false"
        ]
    );
}

#[test]
fn the_base_path_can_be_told() {
    let document = Document::read(Path::new("api.yaml"), BANK).unwrap();
    for (base, path) in [
        ("", "/accounts"),
        ("/", "/accounts"),
        ("/x/", "/x/accounts"),
    ] {
        assert_eq!(document.all_operations(Some(base)).unwrap()[0].path, path);
    }
    assert!(
        !document.all_operations(Some("x")).unwrap()[0]
            .faults
            .is_empty()
    );
}

#[test]
fn json_says_the_same_as_yaml() {
    let tree = yaml::read(BANK).unwrap();
    let text = serde_json::to_string_pretty(&tree.root).unwrap();
    let ids = |operations: Vec<Operation>| {
        let mut ids: Vec<_> = operations.into_iter().map(|each| each.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(
        ids(operations(&text).unwrap()),
        ids(operations(BANK).unwrap())
    );
}

#[test]
fn only_openapi_3_0_and_3_1() {
    for (text, expected) in [
        (
            "swagger: '2.0'\npaths: {}\n",
            "1:1 Swagger 2.0 is not supported",
        ),
        (
            "info: {}\npaths: {}\n",
            "1:1 not an OpenAPI document: no `openapi`",
        ),
        ("openapi: 3.1\npaths: {}\n", "1:1 `openapi` must be a text"),
        (
            "openapi: '3.1'\npaths: {}\n",
            "1:1 this version of OpenAPI is not supported",
        ),
        (
            "openapi: 3.2.0\npaths: {}\n",
            "1:1 this version of OpenAPI is not supported",
        ),
        (
            "openapi: 4.0.0\npaths: {}\n",
            "1:1 this version of OpenAPI is not supported",
        ),
        ("- a\n", "1:1 not an OpenAPI document: no `openapi`"),
        ("openapi: 3.1.0\n", "1:1 the document has no `paths`"),
        (
            "openapi: 3.1.0\npaths: {}\n",
            "2:1 the document has no operation",
        ),
        (
            "openapi: 3.1.0\npaths: []\n",
            "2:1 `paths` must be a mapping",
        ),
        (
            "openapi: 3.1.0\njsonSchemaDialect: x\npaths: {}\n",
            "2:1 this schema dialect",
        ),
    ] {
        let found = errors(text);
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn unknown_keys_are_told_with_the_known_ones() {
    refused(
        "operationId: health",
        "operationID: x\n      operationId: health",
        "operationID",
        "unknown key `operationID` in an operation",
    );
    refused(
        "tags:\n  - name",
        "tag:\n  - name",
        "tag:\n",
        "unknown key `tag` in the document",
    );
    refused(
        "  requestBodies:",
        "  requestBody: {}\n  requestBodies:",
        "requestBody: {}",
        "unknown key `requestBody` in `components`",
    );
    refused(
        "/health:\n",
        "/health:\n    query: {}\n",
        "query: {}",
        "unknown key `query` in a path item",
    );
    refused(
        "explode: false",
        "explodes: false\n          explode: false",
        "explodes",
        "unknown key `explodes` in a parameter",
    );
    refused(
        "  Payment:\n      required: true",
        "  Payment:\n      require: true",
        "require: true",
        "unknown key `require` in a request body",
    );
    refused(
        "          example: { from",
        "          exampel: { from",
        "exampel",
        "unknown key `exampel` in a media type",
    );
    refused(
        "description: production",
        "descripton: production",
        "descripton",
        "unknown key `descripton` in a server",
    );
    let hint = operations(&changed(
        "operationId: health",
        "operationID: x\n      operationId: health",
    ));
    assert_eq!(
        hint.err().unwrap()[0].hint.as_deref(),
        Some("did you mean `operationId`?")
    );
    assert!(
        errors(&changed(
            "tags:\n  - name",
            "x-any: {a: 1}\ntags:\n  - name"
        ))
        .is_empty()
    );
}

#[test]
fn operations_have_a_name_of_their_own() {
    let nameless = operations(&changed("      operationId: health\n", "")).unwrap();
    assert!(
        nameless
            .iter()
            .any(|operation| operation.id == "GET /health")
    );
    refused(
        "operationId: health",
        "operationId: listAccounts",
        "operationId: listAccounts\n      security",
        "the operationId `listAccounts` is already in line 19",
    );
    refused(
        "operationId: health",
        "operationId: 7",
        "operationId: 7",
        "`operationId` must be a text",
    );
    for bad in ["''", "a b", "'a\"b'", "\u{e9}", &"a".repeat(129)] {
        refused(
            "operationId: health",
            &format!("operationId: {bad}"),
            &format!("operationId: {bad}"),
            "`operationId` must name",
        );
    }
    assert!(
        errors(&changed(
            "operationId: health",
            &format!("operationId: {}", "a".repeat(128))
        ))
        .is_empty()
    );
}

#[test]
fn paths_are_those_that_a_request_can_have() {
    for (path, message) in [
        ("/health/", "`/open/v1/health/`: an empty segment"),
        ("/a//b", "`/open/v1/a//b`: an empty segment"),
        ("/a/**", "`/open/v1/a/**`: `**` is not a path of OpenAPI"),
        ("/**/a", "`/open/v1/**/a`: `**` is not a path of OpenAPI"),
        ("/a{b}", "`/open/v1/a{b}`: `a{b}` mixes"),
        ("/a%20b", "`/open/v1/a%20b`: no request can match"),
        ("/a?b=c", "`/open/v1/a?b=c`: no request can match"),
        ("/a/..", "`/open/v1/a/..`: no request can match"),
        (
            "/payments/../x",
            "`/open/v1/payments/../x`: no request can match",
        ),
    ] {
        refused(
            "  /health:",
            &format!("  {path}:"),
            "get:\n      operationId: health",
            message,
        );
    }
    refused(
        "  /health:",
        "  /accounts:",
        "/accounts:\n    get:\n      operationId: health",
        "the key `/accounts` is already in line 17",
    );
    refused(
        "  /health:",
        "  health:",
        "health:\n",
        "the path `health` does not begin with `/`",
    );
    let found = errors(&changed(
        "  /health:\n    get:\n",
        "  /accounts/{id}:\n    parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n    get:\n",
    ));
    assert_eq!(
        found,
        ["86:5 `/open/v1/accounts/{id}`: the same method and path as `readAccount` in line 46"]
    );
}

#[test]
fn servers_agree_on_one_base_path() {
    let bank = |url: &str| {
        changed(
            "https://sandbox.bank.example/{release}/v1/",
            &format!("'{url}'"),
        )
    };
    for good in [
        "/open/v1",
        "//host/open/v1",
        "https://{release}.example/open/v1",
        "http://h/{release}/v1",
    ] {
        assert!(errors(&bank(good)).is_empty(), "{good}");
    }
    for (url, marked, message) in [
        (
            "https://h/other",
            "url: 'h",
            "the servers have different base paths: `/open/v1/` and `/other/`",
        ),
        (
            "https://h",
            "url: 'h",
            "the servers have different base paths: `/open/v1/` and `/`",
        ),
        ("open/v1", "url: 'o", "`open/v1` is relative"),
        (
            "https://h/open/v1?x=1",
            "url: 'h",
            "`/open/v1?x=1` is not a plain path",
        ),
        (
            "https://h/{other}/v1",
            "url: 'h",
            "the variable `other` has no default",
        ),
        (
            "https://h/{release",
            "url: 'h",
            "a brace that does not close",
        ),
    ] {
        assert_error(&bank(url), marked, message);
    }
    let from = "{ default: open }";
    let to = "{ default: open, enum: [open, closed] }";
    refused(
        from,
        to,
        "release: {",
        "the variable `release` gives several base paths",
    );
    for (servers, path) in [("[]", "/a"), ("[{url: /own/}]", "/own/a")] {
        let text = one("/a", &format!("      servers: {servers}\n"));
        let text = text.replace("paths:", "servers: [{url: /root}]\npaths:");
        assert_eq!(operations(&text).unwrap()[0].path, path);
    }
}

#[test]
fn security_says_who_or_is_an_error() {
    let security = |text: &str| {
        let text = one("/a", &format!("      security: {text}\n"));
        operations(&text).map(|mut all| all.remove(0).security)
    };
    let undeclared = operations(&one("/a", "")).map(|mut all| all.remove(0).security);
    assert_eq!(undeclared, Ok(Security::Undeclared));
    assert_eq!(security("[]"), Ok(Security::Anonymous));
    assert_eq!(security("[{}]"), Ok(Security::Anonymous));
    assert_eq!(security("[{bearer: [a]}, {}]"), Ok(Security::Anonymous));
    assert_eq!(security("[{bearer: []}]"), Ok(scopes(&[&[]])));
    assert_eq!(
        security("[{bearer: [a, b]}, {bearer: [c]}]"),
        Ok(scopes(&[&["a", "b"], &["c"]]))
    );
    for (text, marked, message) in [
        ("{}", "security:", "`security` must be a list"),
        ("", "security:", "`security` must be a list"),
        ("[x]", "x]", "a security requirement must be a mapping"),
        (
            "[{nobody: []}]",
            "nobody",
            "the security scheme `nobody` is not declared",
        ),
        (
            "[{key: []}]",
            "key: []",
            "a security scheme of type `apiKey` is not enforced yet",
        ),
        (
            "[{}, {key: []}]",
            "key: []",
            "a security scheme of type `apiKey` is not enforced yet",
        ),
        (
            "[{loop: []}]",
            "loop: {$ref",
            "a reference that leads to itself",
        ),
        (
            "[{bearer: [], key: []}]",
            "key: []",
            "two credentials for one request",
        ),
        (
            "[{bearer: a}]",
            "bearer: a",
            "the list of scopes must be a list",
        ),
        ("[{bearer: ['a b']}]", "'a b'", "not the name of a scope"),
        ("[{bearer: ['']}]", "'']", "not the name of a scope"),
        ("[{bearer: [1]}]", "1]", "not the name of a scope"),
    ] {
        assert_error(
            &one("/a", &format!("      security: {text}\n")),
            marked,
            message,
        );
    }
}

#[test]
fn schemes_of_other_kinds_are_refused_where_they_are_required() {
    refused(
        "- bank: [payments:write]",
        "- bank: [payments:wite]",
        "payments:wite",
        "the scheme `bank` does not declare the scope `payments:wite`",
    );
    refused(
        "- staff: []",
        "- staff: []\n        - stuff: []",
        "stuff",
        "the security scheme `stuff` is not declared",
    );
    for (kind, message) in [
        (
            "mutualTLS",
            "a security scheme of type `mutualTLS` is not enforced yet",
        ),
        (
            "http\n      scheme: basic",
            "a security scheme of type `http basic` is not enforced yet",
        ),
        (
            "http",
            "a security scheme of type `http` is not enforced yet",
        ),
        ("7", "a security scheme of type `` is not enforced yet"),
    ] {
        let to = format!("type: {kind}");
        refused("type: openIdConnect", &to, "staff: []", message);
    }
    let text = changed("type: openIdConnect", "type: http\n      scheme: bearer");
    assert!(errors(&text).is_empty());
    let text = text.replace("staff: []", "staff: [audit]");
    assert_error(
        &text,
        "audit]",
        "a scheme of type `http` has no scopes in OpenAPI 3.0",
    );
}

#[test]
fn parameters_are_enforced_or_refused() {
    let parameter =
        |path: &str, text: &str| one(path, &format!("      parameters: [{{{text}}}]\n"));
    for (text, marked, message) in [
        (
            "name: a, in: query",
            "{name",
            "the parameter `a` has no `schema`",
        ),
        (
            "name: a, in: cookie, schema: {type: object, additionalProperties: {type: string}}",
            "schema",
            "cookies of other names are no members",
        ),
        (
            "name: a, in: cookie, schema: {type: string}}, {name: b, in: cookie, schema: {properties: {a: {type: string}}}",
            "{name: b",
            "`a` is a member of `b` and a parameter",
        ),
        (
            "name: a, in: body, schema: {type: string}",
            "in: body",
            "no parameter is in `body`",
        ),
        (
            "in: query, schema: {type: string}",
            "{in",
            "the parameter has no `name`",
        ),
        (
            "name: '', in: query, schema: {type: string}",
            "{name",
            "a parameter with an empty name",
        ),
        (
            "name: a, in: query, content: {application/json: {}, text/plain: {}}",
            "content:",
            "`content` of a parameter has exactly one",
        ),
        (
            "name: a, in: query, content: {text/plain: {}}",
            "text/plain",
            "a parameter in `text/plain`",
        ),
        (
            "name: a, in: query, style: form, content: {application/json: {}}",
            "style:",
            "`style` has no effect beside `content`",
        ),
        (
            "name: a, in: query, schema: {type: string}, content: {application/json: {}}",
            "content:",
            "`schema` and `content`",
        ),
        (
            "name: a, in: query, style: deepObject, schema: {type: string}",
            "style:",
            "`deepObject` is for objects",
        ),
        (
            "name: a, in: query, style: pipeDelimited, schema: {type: string}",
            "style:",
            "this style is for arrays",
        ),
        (
            "name: a, in: query, style: pipeDelimited, explode: true, schema: {type: object}",
            "style:",
            "an object in this style does not explode",
        ),
        (
            "name: a, in: query, schema: {anyOf: [{type: string}, {type: object}]}",
            "schema:",
            "a value is either",
        ),
        (
            "name: a, in: query, schema: {type: object, properties: {b: {type: object}}}",
            "schema:",
            "an object within an object",
        ),
        (
            "name: b, in: query, schema: {type: string}}, {name: a, in: query, schema: {type: object, properties: {b: {type: string}}}",
            "{name: a",
            "`b` is a member of `a` and a parameter",
        ),
        (
            "name: a, in: query, schema: {type: [array, string], items: {type: string}}",
            "schema:",
            "a value is either",
        ),
        (
            "name: a, in: query, schema: {type: array, items: {type: array, items: {type: string}}}",
            "schema:",
            "only arrays of texts",
        ),
        (
            "name: a, in: query, schema: {type: array, items: {type: object}}",
            "schema:",
            "only arrays of texts",
        ),
        (
            "name: a, in: query, schema: {type: array, maxItems: 257, items: {type: string}}",
            "schema:",
            "arrays of parameters are read up to 256",
        ),
        (
            "name: a, in: header, allowReserved: true, schema: {type: string}",
            "allowReserved",
            "`allowReserved` is for query",
        ),
        (
            "name: a, in: cookie, allowEmptyValue: true, schema: {type: string}",
            "allowEmptyValue",
            "`allowEmptyValue` is for query",
        ),
        (
            "name: a, in: query, required: 'yes', schema: {type: string}",
            "required",
            "`required` must be true or false",
        ),
        (
            "name: a, in: query, schema: {type: string, nope: {}}",
            "nope:",
            "",
        ),
        (
            "name: a b, in: header, schema: {type: string}",
            "{name",
            "`a b` cannot be a header",
        ),
        (
            "name: AUTHORIZATION, in: header, schema: {type: string}",
            "{name",
            "`AUTHORIZATION` cannot be a header",
        ),
        (
            "name: a, in: header, style: form, schema: {type: string}",
            "style:",
            "there is no `style: form` for header",
        ),
        (
            "name: a, in: path, required: true, schema: {type: string}",
            "{name",
            "the path has no `{a}`",
        ),
        (
            "$ref: '#/components/parameters/x'",
            "$ref",
            "`#/components/parameters/x` names nothing",
        ),
        (
            "$ref: 'other.yaml#/x'",
            "$ref",
            "other.yaml is another file, and none is read here",
        ),
        ("$ref: 7", "$ref", "`$ref` must be a text"),
    ] {
        assert_error(&parameter("/a", text), marked, message);
    }
    let in_path = "name: a, in: path, required: true, schema: {type: string}";
    assert_error(&parameter("/", in_path), "{name", "the path has no `{a}`");
    for (text, marked, message) in [
        (
            "name: a, in: path, schema: {type: string}",
            "{name",
            "the path parameter `a` must be required",
        ),
        (
            "name: a, in: path, required: true, style: deepObject, schema: {type: string}",
            "style:",
            "there is no `style: deepObject` for path",
        ),
        (
            "name: b, in: query, schema: {type: string}",
            "get:",
            "the path parameter `a` is not declared",
        ),
    ] {
        assert_error(&parameter("/{a}", text), marked, message);
    }
    let twice = "name: a, in: header, schema: {type: string}}, {name: A, in: header, schema: {type: string}";
    assert_error(
        &parameter("/a", twice),
        "{name: A",
        "the header parameter `a` is declared twice",
    );
}

#[test]
fn query_parameters_are_counted() {
    let many = |count: usize| {
        let declared = |at: usize| format!("{{name: p{at}, in: query, schema: {{type: string}}}}");
        let list: Vec<_> = (0..count).map(declared).collect();
        errors(&one(
            "/a",
            &format!("      parameters: [{}]\n", list.join(", ")),
        ))
    };
    assert!(many(64).is_empty());
    assert_eq!(many(65), ["4:5 more than 64 query parameters"]);
}

#[test]
fn bodies_are_enforced_or_refused() {
    let body = |text: &str| {
        let text = one("/a", &format!("      requestBody: {text}\n"));
        text.replace("    get:", "    post:")
    };
    for (text, marked, message) in [
        ("[]", "requestBody", "a request body must be a mapping"),
        ("{}", "requestBody", "the request body has no `content`"),
        (
            "{content: {}}",
            "requestBody",
            "the request body has no `content`",
        ),
        (
            "{content: {json: {}}}",
            "json",
            "`json` is not a media type",
        ),
        (
            "{content: {'application/j*': {}}}",
            "'app",
            "`application/j*` is not a media type",
        ),
        (
            "{content: {a/b: {}, A/B: {}}}",
            "a/b",
            "the media type `a/b` is declared twice",
        ),
        (
            "{content: {a/b: {encoding: {}}}}",
            "encoding",
            "`encoding` is for forms of requests",
        ),
        (
            "{content: {a/b: {schema: {type: string, format: binary, pattern: x}}}}",
            "pattern",
            "`pattern` of bytes is not enforced",
        ),
        (
            "{content: {application/xml: {schema: {type: object}}}}",
            "schema: {type: o",
            "a schema for `application/xml` is not enforced",
        ),
        (
            "{content: {multipart/form-data: {schema: {type: string}}}}",
            "schema: {type: s",
            "the schema of a form must be an object",
        ),
        (
            "{content: {multipart/form-data: {schema: {type: object}, encoding: {b: {}}}}}",
            "b:",
            "the schema has no property `b`",
        ),
        (
            "{content: {multipart/form-data: {schema: {properties: {b: {type: string}}}, encoding: {b: {contentType: image}}}}}",
            "contentType",
            "`image` is no list of media types",
        ),
        (
            "{content: {multipart/form-data: {schema: {properties: {b: {type: string}}}, encoding: {b: {contentTyp: image}}}}}",
            "contentTyp",
            "unknown key `contentTyp` in an encoding",
        ),
        (
            "{content: {multipart/form-data: {schema: {properties: {b: {type: string}}}, encoding: {b: {style: deepObject}}}}}",
            "b: {style",
            "this style does not fit",
        ),
        (
            "{content: {multipart/form-data: {schema: {properties: {b: {type: string}}}, encoding: {b: {headers: {X: {schema: {type: array}}}}}}}}",
            "X:",
            "the header `X` of a part is not enforced",
        ),
        (
            "{content: {application/x-www-form-urlencoded: {schema: {properties: {b: {type: string}}}, encoding: {b: {contentType: text/plain}}}}}",
            "contentType",
            "`contentType` has no effect",
        ),
        (
            "{content: {application/json: {schema: {type: object, nope: {}}}}}",
            "nope:",
            "",
        ),
        (
            "{required: 1, content: {a/b: {}}}",
            "required",
            "`required` must be true or false",
        ),
        ("{$ref: '#/nowhere'}", "$ref", "`#/nowhere` names nothing"),
    ] {
        let text = body(text);
        assert_error(&text, marked, message);
    }
    for good in [
        "{content: {a/b: {}}}",
        "{content: {a/b: {schema: {}}}}",
        "{content: {a/b: {schema: true}}}",
        "{content: {Application/JSON; charset=utf-8: {schema: {type: object}}}}",
        "{content: {application/json; version=1: {}, 'application/*': {}, '*/*': {}}}",
        "{content: {text/plain: {schema: {type: string}}}}",
        "{content: {a/b: {schema: {type: string, format: binary, maxLength: 3}}}}",
        "{content: {application/x-www-form-urlencoded: {schema: {type: object}}}}",
        "{content: {image/png: {schema: {type: string, format: binary, description: A picture.}}}}",
    ] {
        assert!(errors(&body(good)).is_empty(), "{good}");
    }
    let get = one("/a", "      requestBody: {content: {a/b: {}}}\n");
    assert_error(
        &get,
        "requestBody",
        "a body of `get` has no meaning that readers agree on",
    );
}

/// What is wrong with the responses of the only operation, whose answer has this header.
fn answered(header: &str) -> Vec<String> {
    let answer =
        format!("      responses: {{'200': {{description: ok, headers: {{x-own: {header}}}}}}}\n");
    let operations = operations(&one("/a", &answer)).unwrap();
    match &operations[0].responses {
        Some(Err(found)) => found.iter().map(|each| each.message.clone()).collect(),
        Some(Ok(_)) => Vec::new(),
        None => panic!("no responses"),
    }
}

#[test]
fn headers_are_enforced_or_refused_however_they_are_written() {
    for (header, told) in [
        ("{schema: {type: integer}}", None),
        (
            "{schema: {type: [array, 'null'], items: {type: integer}}}",
            None,
        ),
        ("{schema: {type: [object]}}", Some("an object as a header")),
        (
            "{schema: {allOf: [{type: object}]}}",
            Some("an object as a header"),
        ),
        ("{schema: {type: strange}}", Some("")),
        ("{}", Some("the header `x-own` has no `schema`")),
        (
            "{schema: {type: string, x-mask: last4}}",
            Some("x-visible-to, x-mask"),
        ),
        (
            "{schema: {allOf: [{x-visible-to: [a]}]}}",
            Some("x-visible-to, x-mask"),
        ),
        (
            "{schema: {type: string, writeOnly: true}}",
            Some("x-visible-to, x-mask"),
        ),
    ] {
        let found = answered(header);
        assert_eq!(
            found.len(),
            usize::from(told.is_some()),
            "{header} {found:?}"
        );
        let told = told.unwrap_or_default();
        assert!(found.iter().all(|each| each.starts_with(told)), "{found:?}");
    }
}

#[test]
fn references_may_not_have_siblings_that_bind() {
    refused(
        "- $ref: '#/components/parameters/Limit'",
        "- $ref: '#/components/parameters/Limit'\n          required: true",
        "required: true\n        - name: status",
        "`required` beside `$ref` has no effect",
    );
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let text = changed("operationId: health", "operationId: 7")
        .replace(
            "- bank: [accounts:read]\ntags",
            "- bnak: [accounts:read]\ntags",
        )
        .replace(
            "in: header\n        schema: { type: string, maxLength: 8 }",
            "in: cooky\n        schema: { type: string }",
        );
    let found = errors(&text);
    let lines: Vec<_> = found
        .iter()
        .map(|each| each.split(':').next().unwrap())
        .collect();
    assert_eq!(lines, ["13", "44", "86"], "{found:#?}");
}

#[test]
fn a_broken_text_is_told_with_its_place() {
    assert_eq!(
        errors("openapi: 3.1.0\nopenapi: 3.1.0\n"),
        ["2:1 the key `openapi` is already in line 1"]
    );
}

#[test]
fn chains_of_references_are_bounded() {
    let chain = |length: usize| {
        let links = (0..length).map(|at| {
            let next = at + 1;
            format!("    p{at}: {{$ref: '#/components/parameters/p{next}'}}\n")
        });
        let links: String = links.collect();
        let end = format!("    p{length}: {{name: a, in: query, schema: {{type: string}}}}\n");
        let text = one(
            "/a",
            "      parameters: [{$ref: '#/components/parameters/p0'}]\n",
        );
        errors(&format!("{text}  parameters:\n{links}{end}"))
    };
    assert!(chain(0).is_empty());
    assert!(chain(14).is_empty());
    assert_eq!(chain(15).len(), 1);
    assert!(chain(15)[0].ends_with("a reference that leads to itself"));
}

#[test]
fn paths_may_be_references_to_shared_items() {
    let text = "openapi: 3.1.0\npaths:\n  /a:\n    $ref: '#/components/pathItems/shared'\n  /b:\n    $ref: '#/components/pathItems/absent'\ncomponents:\n  pathItems:\n    shared:\n      get:\n        operationId: shared\n";
    assert_error(
        text,
        "$ref: '#/components/pathItems/absent'",
        "`#/components/pathItems/absent` names nothing",
    );
    let good = text.replace("  /b:\n    $ref: '#/components/pathItems/absent'\n", "");
    assert_eq!(operations(&good).unwrap()[0].id, "shared");
}

/// One line of the bank's description taken out, doubled, moved or replaced.
fn edit(at: usize, kind: usize, replacement: &str) -> String {
    let mut lines: Vec<&str> = BANK.lines().collect();
    let at = at % lines.len();
    match kind {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at]),
        2 => lines.swap(at, (at + 1) % BANK.lines().count()),
        _ => lines[at] = replacement,
    }
    lines.join("\n")
}

proptest! {
    #[test]
    fn no_edit_panics_and_every_error_has_a_place(
        at in 0_usize..1000,
        kind in 0_usize..4,
        replacement in " {0,12}(- )?([a-z$]{0,9}: ?)?(\\[|\\{|#/components|get|1|null|\\{\\}|\\[\\])?",
    ) {
        let text = edit(at, kind, &replacement);
        if let Err(found) = operations(&text) {
            prop_assert!(!found.is_empty());
            for each in found {
                let line = text.lines().nth(each.position.line - 1);
                let width = line.map_or(0, |line| line.chars().count());
                prop_assert!(each.position.column <= width + 1, "{}", each);
            }
        }
    }
}
