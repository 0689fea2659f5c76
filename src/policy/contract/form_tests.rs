//! Bodies that are no JSON: forms, texts, bytes, and the types that announce them.

use std::path::Path as FilePath;

use crate::policy::contract::openapi::{Document, Operation};
use crate::policy::contract::{Contract, Scratch};
use crate::policy::denial::Denial;
use crate::proto::head::RequestHead;
use crate::proto::target::Path;
use proptest::prelude::*;

fn operation(version: &str, content: &str) -> Operation {
    let text = format!(
        "openapi: {version}\npaths:\n  /a:\n    post:\n      operationId: a\n      requestBody:\n        required: true\n        content: {content}\n"
    );
    let document = Document::read(FilePath::new("a.yaml"), &text).unwrap();
    let mut operations = document
        .operations()
        .unwrap_or_else(|found| panic!("{found:#?}"));
    operations.remove(0)
}

/// Name and rule of what is refused.
type Outcome = Result<(), (Denial, String, &'static str)>;

fn send(contract: &Contract, media_type: &str, body: &[u8]) -> Outcome {
    send_framed(
        contract,
        media_type,
        body,
        &format!("Content-Length: {}", body.len()),
    )
    .0
}

/// The outcome, and whether the body had to be seen.
fn send_framed(
    contract: &Contract,
    media_type: &str,
    body: &[u8],
    framing: &str,
) -> (Outcome, bool) {
    let text =
        format!("POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: {media_type}\r\n{framing}\r\n\r\n");
    let mut head = RequestHead::default();
    assert_eq!(head.read(text.as_bytes()), Ok(true), "{text}");
    let mut path = Path::default();
    path.read(b"/a").unwrap();
    let mut scratch = Scratch::default();
    let expected = contract.check_head(&head, text.as_bytes(), &path, &mut scratch);
    let is_read = expected.is_ok_and(|expected| expected.is_read());
    let outcome = expected.and_then(|expected| contract.check_body(expected, body, &mut scratch));
    let told = outcome.map_err(|denial| {
        let detail = scratch.detail().cloned().unwrap_or_default();
        (denial, detail.name, detail.rule)
    });
    (told, is_read)
}

fn refused(name: &str, rule: &'static str) -> Outcome {
    Err((Denial::InvalidBody, name.to_owned(), rule))
}

const FORM: &str = "{application/x-www-form-urlencoded: {schema: {type: object, required: [id], properties: {id: {type: integer, minimum: 1}, name: {type: string, maxLength: 5}, tags: {type: array, maxItems: 2, items: {type: string}}, at: {type: object, required: [x], properties: {x: {type: number}}}, deep: {type: object, properties: {k: {type: boolean}}}, list: {type: array, items: {type: integer}}}}, encoding: {deep: {style: deepObject, explode: true}, list: {style: form, explode: false}}}}";

#[test]
fn encoded_forms_are_typed_by_their_schema() {
    let operation = operation("3.0.3", FORM);
    let check = |body: &str| {
        send(
            &operation.contract,
            "application/x-www-form-urlencoded",
            body.as_bytes(),
        )
    };
    for good in [
        "id=1",
        "id=1&name=a+b%C3%A9",
        "name=12&id=7",
        "id=1&tags=a&name=x&tags=2",
        "id=1&at=%7B%22x%22:1.5%7D",
        "id=1&deep[k]=true",
        "id=1&deep%5Bk%5D=false",
        "id=1&list=1,2,3",
    ] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for (bad, name, rule) in [
        ("name=x", "", "required"),
        ("id=0", "/id", "minimum"),
        ("id=x", "/id", "type"),
        ("id=1&id=1", "/id", "repeated"),
        ("id=1&name=abcdef", "/name", "maxLength"),
        ("id=1&tags=a&tags=b&tags=c", "/tags", "maxItems"),
        ("id=1&at=x", "/at", "json"),
        ("id=1&at=%7B%22x%22:%22y%22%7D", "/at/x", "type"),
        // No text closes the object that it stands in.
        ("id=1&at=1,%22name%22:2", "/at", "json"),
        ("id=1&at=%7B%7D,%22id%22:0", "/at", "json"),
        ("id=1&deep[k]=1", "/deep/k", "type"),
        ("id=1&deep[z]=1", "/deep", "declared"),
        ("id=1&deep=1", "/deep", "declared"),
        ("id=1&list=1,x", "/list/1", "type"),
        ("id=1&list=1%2C2", "/list", "separator"),
        ("id=1&other=1", "/other", "declared"),
        ("id=1&a~/=1", "/a~0~1", "declared"),
        ("id=1&name=%zz", "", "encoding"),
        ("id=1&name=%ff", "/name", "encoding"),
        ("id=1&name=%00", "/name", "encoding"),
        ("id=1;name=x", "", "separator"),
    ] {
        let found = check(bad).unwrap_err();
        assert_eq!((found.0, found.2), (Denial::InvalidBody, rule), "{bad}");
        if rule != "encoding" {
            assert_eq!(found.1, name, "{bad}");
        }
    }
    let many = format!("id=1{}", "&tags=a".repeat(2000));
    assert_eq!(check(&many), refused("", "too-many"));
    let (outcome, _) = send_framed(
        &operation.contract,
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        b"id=1",
        "Content-Length: 4",
    );
    assert_eq!(
        outcome,
        Err((Denial::UndeclaredMediaType, String::new(), "charset"))
    );
}

#[test]
fn other_fields_have_a_schema_or_are_refused() {
    let content = "{application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {type: string}}, additionalProperties: {type: integer}}}}";
    let operation = operation("3.1.0", content);
    let check = |body: &str| {
        send(
            &operation.contract,
            "application/x-www-form-urlencoded",
            body.as_bytes(),
        )
    };
    assert_eq!(check("a=x&b=1&c=2"), Ok(()));
    assert_eq!(check("b=x"), refused("/b", "type"));
    assert!(check("b=1&b=2").is_err());
}

const PARTS: &str = "{multipart/form-data: {schema: {type: object, required: [file], properties: {file: {type: string, format: binary, minLength: 2, maxLength: 8}, files: {type: array, maxItems: 2, items: {type: string, format: binary}}, note: {type: string, maxLength: 5}, count: {type: integer}, meta: {type: object, additionalProperties: false, properties: {a: {type: integer}}}, csv: {type: string}}}, encoding: {file: {contentType: 'image/png, image/jpeg', headers: {x-id: {required: true, schema: {type: integer}}}}, csv: {contentType: text/csv}}}}";

fn part(head: &str, content: &[u8]) -> Vec<u8> {
    let mut part = format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n").into_bytes();
    part.extend_from_slice(content);
    part.extend_from_slice(b"\r\n");
    part
}

fn file(content: &[u8]) -> Vec<u8> {
    part(
        "name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\nX-Id: 7",
        content,
    )
}

fn parts(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut body = parts.concat();
    body.extend_from_slice(b"--b--\r\n");
    body
}

#[test]
fn parts_are_checked_by_kind_size_and_type() {
    let operation = operation("3.0.3", PARTS);
    let check = |list: &[Vec<u8>]| {
        send(
            &operation.contract,
            "multipart/form-data; boundary=b",
            &parts(list),
        )
    };
    let png = || file(b"\x89PNG\0\xff");
    let with = |other: Vec<u8>| check(&[png(), other]);
    let field = |name: &str, content: &str| part(&format!("name=\"{name}\""), content.as_bytes());
    assert_eq!(check(&[png()]), Ok(()));
    assert_eq!(with(field("note", "h\u{e9}llo")), Ok(()));
    assert_eq!(with(field("note", "12")), Ok(()));
    assert_eq!(with(field("count", "12")), Ok(()));
    assert_eq!(with(field("meta", "{\"a\": 1}")), Ok(()));
    let json = "name=\"meta\"; filename=\"blob\"\r\nContent-Type: application/json";
    assert_eq!(with(part(json, b"{}")), Ok(()));
    let any = |count: usize| {
        let one = part("name=\"files\"; filename=\"x\"", b"\xff");
        let mut list = vec![png()];
        list.extend(std::iter::repeat_n(one, count));
        check(&list)
    };
    assert_eq!(any(2), Ok(()));
    assert_eq!(any(3), refused("/files", "maxItems"));
    let csv = "name=\"csv\"; filename=\"x.csv\"\r\nContent-Type: text/csv; charset=utf-8";
    assert_eq!(with(part(csv, b"a,b")), Ok(()));

    assert_eq!(check(&[field("note", "x")]), refused("", "required"));
    assert_eq!(check(&[file(b"1")]), refused("/file", "minLength"));
    assert_eq!(check(&[file(b"12345678")]), Ok(()));
    assert_eq!(check(&[file(b"123456789")]), refused("/file", "maxLength"));
    assert_eq!(check(&[png(), png()]), refused("/file", "repeated"));
    for (head, rule) in [
        (
            "name=\"file\"; filename=\"a\"\r\nContent-Type: text/html\r\nX-Id: 7",
            "content-type",
        ),
        ("name=\"file\"; filename=\"a\"\r\nX-Id: 7", "content-type"),
        (
            "name=\"file\"; filename=\"a\"\r\nContent-Type: image/png",
            "part-header",
        ),
        (
            "name=\"file\"\r\nContent-Type: image/png\r\nX-Id: x",
            "type",
        ),
        (
            "name=\"file\"\r\nContent-Type: image/png\r\nX-Id: 1\r\nx-id: 1",
            "repeated-field",
        ),
    ] {
        assert_eq!(
            check(&[part(head, b"1234")]),
            refused("/file", rule),
            "{head}"
        );
    }
    for (name, content, at, rule) in [
        ("note", "abcdef", "/note", "maxLength"),
        ("count", "x", "/count", "type"),
        ("meta", "{\"b\": 1}", "/meta", "additionalProperties"),
        ("meta", "{", "/meta", "json"),
        ("other", "x", "/other", "declared"),
    ] {
        let found = with(field(name, content)).unwrap_err();
        assert_eq!(found.2, rule, "{name} {content}");
        assert!(found.1.starts_with(at), "{name} {content} {}", found.1);
    }
    for (head, at, rule) in [
        ("name=\"note\"; filename=\"x\"", "/note", "file-name"),
        (
            "name=\"note\"\r\nContent-Type: text/html",
            "/note",
            "content-type",
        ),
        (
            "name=\"note\"\r\nContent-Type: text/plain; charset=utf-16",
            "/note",
            "charset",
        ),
        (
            "name=\"csv\"\r\nContent-Type: text/plain",
            "/csv",
            "content-type",
        ),
        ("name=\"note\"; name=\"count\"", "", "part-name"),
        ("filename=\"x\"", "", "part-name"),
        ("name=\"note\"; filename*=utf-8''x", "", "file-name"),
        (
            "name=\"note\"\r\nContent-Transfer-Encoding: base64",
            "",
            "transfer-encoding",
        ),
        ("name=\"note\"\r\n x", "", "folded-field"),
    ] {
        assert_eq!(with(part(head, b"x")), refused(at, rule), "{head}");
    }
    assert_eq!(
        with(part("name=\"note\"", b"\xff")),
        refused("/note", "encoding")
    );
}

#[test]
fn boundaries_are_kept_strictly() {
    let operation = operation("3.0.3", PARTS);
    let whole = parts(&[file(b"1234")]);
    let check = |media_type: &str, body: &[u8]| send(&operation.contract, media_type, body);
    assert_eq!(check("multipart/form-data; boundary=\"b\"", &whole), Ok(()));
    for media_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"b \"",
    ] {
        let found = check(media_type, &whole).unwrap_err();
        assert_eq!(found.0, Denial::UndeclaredMediaType, "{media_type}");
    }
    let text = |bytes: &[u8]| bytes.to_vec();
    let cut = whole.len() - 4;
    for (body, rule) in [
        ([b"x".to_vec(), text(&whole)].concat(), "preamble"),
        ([text(&whole), b"x".to_vec()].concat(), "epilogue"),
        (text(&whole[..cut]), "boundary"),
        (b"--c--".to_vec(), "boundary"),
        (b"--b\n".to_vec(), "line-end"),
    ] {
        let found = check("multipart/form-data; boundary=b", &body).unwrap_err();
        assert_eq!(found.2, rule, "{}", String::from_utf8_lossy(&body));
    }
}

#[test]
fn texts_and_bytes_have_a_length() {
    let content = "{text/plain: {schema: {type: string, maxLength: 3, pattern: '^[a-z\u{e9}]*$'}}, text/csv: {schema: {type: integer}}, image/*: {schema: {type: string, format: binary, minLength: 2, maxLength: 3}}, application/octet-stream: {}}";
    let operation = operation("3.1.0", content);
    let check = |media_type: &str, body: &[u8]| send(&operation.contract, media_type, body);
    assert_eq!(check("text/plain", "a\u{e9}b".as_bytes()), Ok(()));
    assert_eq!(check("text/plain; charset=UTF-8", b"abc"), Ok(()));
    assert_eq!(check("text/plain", b"abcd"), refused("", "maxLength"));
    assert_eq!(check("text/plain", b"a1"), refused("", "pattern"));
    assert_eq!(check("text/plain", b"\xff"), refused("", "encoding"));
    assert_eq!(check("text/csv", b"12"), Ok(()));
    assert_eq!(check("text/csv", b"x"), refused("", "type"));
    let charset = Err((Denial::UndeclaredMediaType, String::new(), "charset"));
    assert_eq!(check("text/plain; charset=latin1", b"a"), charset);
    for (body, outcome) in [
        (&b"1"[..], refused("", "minLength")),
        (b"\xff\0", Ok(())),
        (b"123", Ok(())),
        (b"1234", refused("", "maxLength")),
    ] {
        assert_eq!(check("image/png", body), outcome);
        // Of a length that is told nothing has to be seen.
        let (told, is_read) = send_framed(
            &operation.contract,
            "image/png",
            body,
            "Transfer-Encoding: chunked",
        );
        assert_eq!((told, is_read), (outcome, true));
        let framing = format!("Content-Length: {}", body.len());
        assert!(!send_framed(&operation.contract, "image/png", body, &framing).1);
    }
    assert_eq!(check("application/octet-stream", b"\xff"), Ok(()));
}

#[test]
fn the_most_exact_range_decides() {
    let content = "{'*/*': {schema: {type: object, required: [any]}}, application/*+json: {schema: {required: [suffix]}}, application/vnd.x+json: {schema: {required: [exact]}}, application/json; version=2: {schema: {required: [two]}}, application/json: {schema: {required: [one]}}, text/*: {}}";
    let operation = operation("3.1.0", content);
    let needs = |media_type: &str| {
        let all = ["any", "suffix", "exact", "two", "one"];
        let passes = all.into_iter().filter(|name| {
            let body = format!("{{\"{name}\": 1}}");
            send(&operation.contract, media_type, body.as_bytes()).is_ok()
        });
        passes.collect::<Vec<_>>()
    };
    assert_eq!(needs("application/vnd.x+json"), ["exact"]);
    assert_eq!(needs("application/vnd.y+json"), ["suffix"]);
    assert_eq!(needs("application/json"), ["one"]);
    assert_eq!(needs("application/json; charset=utf-8"), ["one"]);
    assert_eq!(needs("application/json; version=2"), ["two"]);
    // Nothing says what another version would mean.
    assert_eq!(needs("application/json; version=3"), [""; 0]);
    // What the last resort declares is JSON, and no other type is.
    assert_eq!(needs("application/xml"), [""; 0]);
    assert_eq!(needs("text/xml").len(), 5);
}

#[test]
fn fields_of_a_form_can_be_looked_up() {
    let operation = operation("3.0.3", FORM);
    let text = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 11\r\n\r\n";
    let mut head = RequestHead::default();
    head.read(text.as_bytes()).unwrap();
    let mut scratch = Scratch::default();
    scratch.keep_bodies(true);
    let mut path = Path::default();
    path.read(b"/a").unwrap();
    let contract = &operation.contract;
    let body = contract
        .check_head(&head, text.as_bytes(), &path, &mut scratch)
        .unwrap();
    contract
        .check_body(body, b"id=7&name=x", &mut scratch)
        .unwrap();
    assert_eq!(scratch.lookup("/name").as_deref(), Some("x"));
    assert_eq!(scratch.lookup("/id").as_deref(), Some("7"));
}

#[test]
fn records_are_checked_each_or_all_together() {
    let each = "{application/x-ndjson: {schema: {type: object, required: [a], additionalProperties: false, properties: {a: {type: integer}}}}, application/json-seq: {schema: {type: array, maxItems: 2, uniqueItems: true, items: {type: integer}}}}";
    let operation = operation("3.1.0", each);
    let check =
        |media_type: &str, body: &str| send(&operation.contract, media_type, body.as_bytes());
    let lines = "application/x-ndjson";
    assert_eq!(check(lines, "{\"a\":1}\n{\"a\":2}\n"), Ok(()));
    assert_eq!(
        check("Application/X-NDJSON; charset=utf-8", "{\"a\":1}"),
        Ok(())
    );
    for (body, name, rule) in [
        ("{\"a\":1}\n{\"a\":\"x\"}\n{", "/1/a", "type"),
        ("{\"a\":1}\n{\"b\":1}", "/1/b", "additionalProperties"),
        ("{\"a\":1}\n\n{\"a\":1}", "/1", "record"),
        ("{\"a\":1}{\"a\":2}", "/0", "json"),
        ("{\"a\":1},{\"a\":2}", "/0", "json"),
        ("[{\"a\":1}]", "/0", "type"),
        ("{\"a\":1,\n\"a\":2}", "/0", "json"),
        ("{\"a\":1,\"a\":2}", "/0/a", "unique names"),
    ] {
        assert_eq!(
            check(lines, body).map_err(|found| found.2),
            Err(rule),
            "{body}"
        );
        assert!(
            check(lines, body).unwrap_err().1.starts_with(&name[..2]),
            "{body}"
        );
    }
    let sequence = "application/json-seq";
    assert_eq!(check(sequence, "\u{1e}1\n\u{1e}2\n"), Ok(()));
    let rule = |body: &str| check(sequence, body).unwrap_err().2;
    assert_eq!(rule("\u{1e}1\n\u{1e}2\n\u{1e}3\n"), "maxItems");
    assert_eq!(rule("\u{1e}1\n\u{1e}1.0\n"), "uniqueItems");
    assert_eq!(rule("\u{1e}1,2\n"), "json");
    assert_eq!(rule("\u{1e}1\n2\n"), "record");
    assert_eq!(rule("\u{1e}1"), "record");
}

#[test]
fn schemas_that_speak_of_themselves_are_read_once() {
    let text = "openapi: 3.1.0\npaths:\n  /a:\n    post:\n      operationId: a\n      requestBody: {content: {application/x-www-form-urlencoded: {schema: {$ref: '#/components/schemas/T'}}}}\ncomponents:\n  schemas:\n    T: {type: object, properties: {a: {$ref: '#/components/schemas/T'}, b: {type: array, items: {$ref: '#/components/schemas/T'}}, c: {allOf: [{$ref: '#/components/schemas/T'}, {$ref: '#/components/schemas/T'}]}}}\n";
    let document = Document::read(FilePath::new("a.yaml"), text).unwrap();
    let operations = document.operations().unwrap();
    let contract = &operations[0].contract;
    let media_type = "application/x-www-form-urlencoded";
    let check = |body: &str| send(contract, media_type, body.as_bytes());
    assert_eq!(check("a=%7B%22b%22:%5B%5D%7D&b=%7B%7D"), Ok(()));
    assert_eq!(check("a=%7B%22b%22:1%7D"), refused("/a/b", "type"));
}

/// Whatever stands in a field, nothing but that field changes.
#[test]
fn no_text_of_a_field_is_structure() {
    let content = "{application/x-www-form-urlencoded: {schema: {type: object, additionalProperties: false, properties: {a: {}, b: {const: x}}}}}";
    let operation = operation("3.1.0", content);
    let media_type = "application/x-www-form-urlencoded";
    proptest!(|(value in "[\\PC\"\\\\{}\\[\\],:]{0,20}")| {
        let encoded: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let body = format!("a={encoded}&b=x");
        prop_assert_eq!(send(&operation.contract, media_type, body.as_bytes()), Ok(()));
    });
}

#[test]
fn no_bytes_of_a_form_panic() {
    let operation = operation("3.0.3", PARTS);
    proptest!(|(body in prop::collection::vec(any::<u8>(), 0..200))| {
        let body = [&b"--b\r\nContent-Disposition: form-data; name=\"file\""[..], &body].concat();
        let _ = send(&operation.contract, "multipart/form-data; boundary=b", &body);
    });
}
