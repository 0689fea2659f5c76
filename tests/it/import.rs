//! `portcullis import`: what it writes loads through `check` once the owner is filled in, whatever
//! the document says.

use std::path::Path;

use portcullis::policy::authn::sign::SigningKey;
use serde_json::{Value, json};

use crate::process::{API, Directory, run};

/// Imports a document, fills in the owner, and returns the configuration and what `check` says.
fn round_trip(name: &str, document: &str) -> (String, Value) {
    let directory = Directory::new(name);
    directory.write("api.yaml", document);
    directory.write("keys.json", &SigningKey::generate().unwrap().jwks());
    let config = directory.path("gateway.toml");
    let (api, keys) = (directory.path("api.yaml"), directory.path("keys.json"));
    let written = run(&["import", &api, "-o", &config, "--keys", &keys]);
    let said = String::from_utf8_lossy(&written.stderr).into_owned();
    assert!(written.status.success(), "{said}\n{document}");
    let text = std::fs::read_to_string(&config).unwrap();
    // No name of the document's is looked up here.
    let local = text
        .lines()
        .map(|line| match line.starts_with("address = ") {
            true => "address = \"127.0.0.1:9\"\n".to_owned(),
            false => format!("{line}\n"),
        });
    let local: String = local.collect();
    std::fs::write(&config, &local).unwrap();
    // Until somebody answers for it, it does not load, and nothing else is wrong.
    let (code, told) = check(&config);
    let errors = told["errors"].as_array().unwrap();
    assert_eq!(
        (code, errors.len()),
        (Some(1), 1),
        "{told:#}\n{text}\n{document}"
    );
    assert!(
        errors[0]["message"]
            .as_str()
            .unwrap()
            .contains("no owner yet")
    );
    assert!(errors[0]["hint"].as_str().unwrap().contains("team-"));
    let owned = local.replace("\"FILL IN\"", "\"team\"");
    std::fs::write(&config, &owned).unwrap();
    let (code, told) = check(&config);
    assert_eq!(code, Some(0), "{told:#}\n{owned}\n{document}");
    (text, told)
}

fn check(config: &str) -> (Option<i32>, Value) {
    let output = run(&["check", "-c", config, "--format", "json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let told = serde_json::from_str(&text);
    (
        output.status.code(),
        told.unwrap_or_else(|_| panic!("{text}")),
    )
}

fn count(told: &Value) -> usize {
    told["operations"].as_array().unwrap().len()
}

#[test]
fn documents_of_the_project_load_once_the_owner_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![API.to_owned()];
    for file in [
        "loadtest/portcullis/api.yaml",
        "tests/golden/policy/api.yaml",
        "config/accounts.yaml",
    ] {
        documents.push(std::fs::read_to_string(root.join(file)).unwrap());
    }
    for (index, document) in documents.iter().enumerate() {
        let (text, told) = round_trip(&format!("import-{index}"), document);
        assert!(count(&told) >= 1 && !text.contains("left out"), "{text}");
        let listed = format!("# {} operations:", count(&told));
        assert!(text.contains(&listed), "{text}");
    }
}

#[test]
fn servers_issuers_and_what_is_not_enforced_are_told() {
    let document = json!({
        "openapi": "3.1.0",
        "info": {"title": "My \"Shop\" API", "version": "1"},
        "servers": [{"url": "https://api.shop.example/v1"}, {"url": "https://eu.shop.example/v2"}],
        "security": [{"oidc": ["read"]}],
        "paths": {
            "/a": {
                "get": {"operationId": "a", "responses": {"200": {"description": "ok"}}},
                "put": {"operationId": "b", "security": [], "responses": {"200": {"description": "ok"}}},
            },
            "/b/{id}.json": {"get": {"operationId": "c", "responses": {"200": {"description": "ok"}}}},
            "/d": {"post": {"operationId": "d \u{7f}", "responses": {"200": {"description": "ok"}}}},
            "/e": {"get": {"operationId": "e", "responses": {"200": {"description": "ok",
                "content": {"text/*": {"schema": {"type": "object"}}}}}}},
            "/f": {"get": {"operationId": "f", "parameters": [{"name": "x", "in": "query",
                "schema": {"type": "string", "format": "made-up", "maxLenght": 3}}]}},
        },
        "components": {"securitySchemes": {"oidc": {"type": "openIdConnect",
            "openIdConnectUrl": "https://id.shop.example/.well-known/openid-configuration"}}},
    });
    let (text, told) = round_trip("import-shop", &document.to_string());
    for words in [
        "[api.\"my-shop-api\"]",
        "base_path = \"/v1\"",
        "address = \"api.shop.example:443\"",
        "issuer = \"https://id.shop.example\"",
        "audiences = [\"https://api.shop.example/v1\"]",
        "operation.\"b\"]\nauthentication = \"none\"",
        "operation.\"e\"]\nresponses = \"off\"  # a schema for `text/*` is not enforced",
        "operation.\"f\"]\nresponses = \"off\"  # the document declares none",
        "unknown_format = \"warn\"",
        "unknown_keyword = \"warn\"",
        "left_out = \"warn\"",
        "# 2 left out",
        "GET /v1/b/{id}.json",
        "`{id}.json` mixes a parameter with other text",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert_eq!(count(&told), 4);
    for kind in ["unknown_format", "unknown_keyword", "left_out"] {
        assert!(
            told["summary"][kind].as_u64() >= Some(1),
            "{kind}: {told:#}"
        );
    }
}

#[test]
fn a_file_is_never_overwritten_and_a_broken_document_is_told() {
    let directory = Directory::new("import-refused");
    directory.write("api.yaml", API);
    directory.write("gateway.toml", "mine");
    let (api, config) = (directory.path("api.yaml"), directory.path("gateway.toml"));
    let output = run(&["import", &api, "-o", &config]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "mine");

    let output = run(&["import", &api, "--name", "n", "--upstream", "10.0.0.1:80"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("[api.\"n\"]") && text.contains("\"10.0.0.1:80\""),
        "{text}"
    );

    for (broken, message) in [
        ("openapi: 3.1.0\npaths: [", "error"),
        ("swagger: '2.0'\n", "Swagger 2.0 is not supported"),
        ("{}", "not an OpenAPI document"),
    ] {
        directory.write("api.yaml", broken);
        let output = run(&["import", &api]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(1) && told.contains(message),
            "{told}"
        );
    }
    assert_eq!(run(&["import"]).status.code(), Some(2));
    let help = String::from_utf8(run(&["import", "--help"]).stdout).unwrap();
    assert!(
        help.contains("portcullis import openapi.yaml -o gateway.toml"),
        "{help}"
    );
}

/// A document of things that real ones say, some of which cannot be enforced.
fn generated(random: &mut fastrand::Rng) -> Value {
    let schema = |random: &mut fastrand::Rng| match random.u8(..9) {
        0 => json!({}),
        1 => json!({"type": "string", "format": "made-up"}),
        2 => json!({"type": "object", "properties": {"a": {"$ref": "#/components/schemas/A"}}}),
        3 => json!({"type": "array", "items": {"type": "integer", "format": "int64"}}),
        4 => json!({"$ref": "#/components/schemas/A"}),
        5 => json!({"allOf": [{"$ref": "#/components/schemas/A"}, {"type": "object"}]}),
        6 => json!({"type": "string", "pattern": "^(a)\\1$"}),
        7 => json!({"type": "string", "made": "up"}),
        _ => json!({"type": "string", "maxLength": 3}),
    };
    let mut paths = serde_json::Map::new();
    let count = random.usize(1..8);
    for index in 0..count {
        let mut operation = json!({"operationId": format!("op{index}"), "tags": ["t"]});
        if random.bool() {
            operation["responses"] = json!({"200": {"description": "ok", "content":
                {"application/json": {"schema": schema(random)}}}});
        }
        if random.bool() {
            let place = *random.choice(&["query", "header", "cookie"]).unwrap();
            operation["parameters"] = json!([{"name": "p", "in": place, "schema": schema(random)}]);
        }
        if random.bool() {
            let scheme = *random
                .choice(&["bearer", "oauth", "key", "missing"])
                .unwrap();
            operation["security"] = json!([{scheme: []}]);
        }
        if random.u8(..4) == 0 {
            operation["security"] = json!([]);
        }
        if random.u8(..8) == 0 {
            operation["operationId"] = json!("op0");
        }
        let method = *random.choice(&["get", "post", "put"]).unwrap();
        if method != "get" {
            operation["requestBody"] =
                json!({"content": {"application/json": {"schema": schema(random)}}});
        }
        let path = match random.u8(..6) {
            0 => format!("/p{index}/{{x}}.{{y}}"),
            1 => format!("/p{index}/{{id}}"),
            _ => format!("/p{index}"),
        };
        paths.insert(path, json!({method: operation}));
    }
    // One operation that is sound, so that there is something to load.
    paths.insert(
        "/sound".to_owned(),
        json!({"get": {"operationId": "sound",
        "responses": {"200": {"description": "ok"}}}}),
    );
    let servers = match random.u8(..4) {
        0 => json!([]),
        1 => json!([{"url": "relative/v1"}]),
        2 => json!([{"url": "https://{h}.example/v1", "variables": {"h": {"default": "a"}}}]),
        _ => json!([{"url": "http://a.example:81/x"}, {"url": "/y"}]),
    };
    json!({
        "openapi": *random.choice(&["3.0.3", "3.1.0"]).unwrap(),
        "info": {"title": "Generated", "version": "1"},
        "servers": servers,
        "paths": paths,
        "components": {
            "schemas": {"A": {"type": "object", "properties": {"b": {"type": "string"}}}},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "oauth": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://i.example/t", "scopes": {}}}},
                "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            },
        },
    })
}

#[test]
fn generated_documents_load_once_the_owner_is_there() {
    let mut random = fastrand::Rng::with_seed(0x1337);
    for _ in 0..60 {
        let document = generated(&mut random);
        let (_, told) = round_trip("import-generated", &document.to_string());
        assert!(count(&told) >= 1);
    }
}
