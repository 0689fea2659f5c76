//! Bodies against a real process: of every kind, coded, and as bad as they come.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::gateway::{Answer, backend, echo};
use crate::process::{Directory, Process};
use crate::setup::Setup;

const DOCUMENT: &str = r"
openapi: 3.1.0
paths:
  /strict:
    post:
      operationId: strict
      requestBody:
        required: true
        content:
          application/json:
            schema: { type: object, additionalProperties: false, properties: { a: { type: integer }, t: { type: string } } }
  /any:
    post:
      operationId: any
      requestBody: { required: true, content: { application/json: {} } }
  /coded:
    post:
      operationId: coded
      requestBody:
        required: true
        content:
          application/json:
            schema: { type: object, additionalProperties: false, properties: { a: { type: integer, maximum: 9 }, t: { type: string } } }
  /upload:
    post:
      operationId: upload
      requestBody:
        required: true
        content:
          multipart/form-data:
            schema: { type: object, required: [file], properties: { file: { type: string, format: binary, maxLength: 16 }, note: { type: string } } }
            encoding: { file: { contentType: image/png } }
  /records:
    post:
      operationId: records
      requestBody:
        content:
          application/x-ndjson: { schema: { type: object, required: [a], additionalProperties: false, properties: { a: { type: integer } } } }
          application/json-seq: { schema: { type: array, maxItems: 2, items: { type: object, properties: { a: { type: integer } } } } }
  /search:
    get:
      operationId: search
      parameters: [{ name: id, in: query, schema: { type: integer } }]
  /report:
    get:
      operationId: report
      parameters: [{ name: id, in: query, schema: { type: integer } }]
      responses: { '200': { description: ok, content: { application/json: {}, text/csv: {} } } }
";

const API: &str = r#"
responses = "off"
max_body = "16MiB"
[api.app.operation.coded]
max_body = "1MiB"
request_encodings = ["gzip", "deflate"]
[api.app.operation.search]
unknown_query = "strip"
[api.app.operation.report]
unknown_query = "report"
check_accept = true
"#;

fn setup() -> Setup<'static> {
    Setup::new("app", DOCUMENT).server("").api(API)
}

fn start(name: &str, backend: SocketAddr) -> (Directory, Process) {
    let running = setup().start(name, backend);
    (running.directory, running.process)
}

/// A backend that counts what reaches it.
fn counting() -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let address = backend(move |_, mut client| {
        while client.request_head().is_some() {
            seen.fetch_add(1, Ordering::SeqCst);
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (address, count)
}

fn post(process: &Process, (path, fields): (&str, &str), body: &[u8]) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut client = process.connect();
    // The answer may come before all of it was taken.
    let _ = client.stream.write_all(&[head.as_bytes(), body].concat());
    client.answer(false)
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn bad_bodies_get_a_definite_answer_and_reach_nobody() {
    let (address, count) = counting();
    let (_directory, process) = start("bad-bodies", address);
    assert_eq!(post(&process, ("/any", JSON), b"[1]").status, 200);
    let before = process.resident();
    let keys = |name: &dyn Fn(usize) -> String| {
        let members: Vec<_> = (0..1_000_000)
            .map(|at| format!("\"{}\":0", name(at)))
            .collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    };
    let deep = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    for (what, path, body) in [
        ("depth of ten thousand", "/any", deep(10_000)),
        ("depth of a million", "/any", deep(1_000_000)),
        ("brackets that never close", "/any", b"[".repeat(1_000_000)),
        ("objects within objects", "/any", b"{\"a\":".repeat(10_000)),
        ("a million keys", "/strict", keys(&|at| format!("k{at}"))),
        ("one key a million times", "/any", keys(&|_| "k".to_owned())),
        ("a key twice", "/any", b"{\"a\":1,\"a\":2}".to_vec()),
        (
            "a key twice, one escaped",
            "/any",
            b"{\"a\":1,\"\\u0061\":2}".to_vec(),
        ),
        ("half of a pair", "/any", b"[\"\\ud800\"]".to_vec()),
        ("the other half", "/any", b"[\"\\udc00\"]".to_vec()),
        ("invalid UTF-8", "/any", b"[\"\xff\"]".to_vec()),
        ("overlong UTF-8", "/any", b"[\"\xc0\xaf\"]".to_vec()),
        (
            "a surrogate in UTF-8",
            "/any",
            b"[\"\xed\xa0\x80\"]".to_vec(),
        ),
        ("NaN", "/any", b"[NaN]".to_vec()),
        ("infinity", "/any", b"[-Infinity]".to_vec()),
        ("a number with zeros", "/any", b"[01]".to_vec()),
        ("hexadecimal", "/any", b"[0x10]".to_vec()),
        ("trailing bytes", "/any", b"[1]x".to_vec()),
        ("two documents", "/any", b"{}{}".to_vec()),
        ("a trailing comma", "/any", b"[1,]".to_vec()),
        ("a comment", "/any", b"/**/[1]".to_vec()),
        ("a byte order mark", "/any", b"\xef\xbb\xbf[1]".to_vec()),
        ("UTF-16", "/any", b"[\x001\x00]\x00".to_vec()),
        ("a control character", "/any", b"[\"\x01\"]".to_vec()),
        ("NUL behind the document", "/any", b"[1]\0".to_vec()),
        ("nothing but blanks", "/any", b"   ".to_vec()),
        ("single quotes", "/any", b"['a']".to_vec()),
    ] {
        let started = Instant::now();
        let answer = post(&process, (path, JSON), &body);
        assert_eq!(answer.status, 400, "{what}");
        assert_eq!(answer.problem(), "invalid-body", "{what}");
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // A body of eleven million bytes is held at a time, and its index.
    let grown = process.resident().saturating_sub(before);
    assert!(grown < 256 << 20, "{grown} bytes more");
}

#[test]
fn a_body_of_a_gigabyte_is_refused_before_it_has_come() {
    let (address, count) = counting();
    let (_directory, process) = start("huge-bodies", address);
    let before = process.resident();
    let announced =
        format!("POST /any HTTP/1.1\r\nHost: h\r\n{JSON}Content-Length: 1000000000\r\n\r\n");
    assert_eq!(process.connect().ask(announced).status, 413);
    let mut client = process.connect();
    client.send(format!(
        "POST /any HTTP/1.1\r\nHost: h\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n"
    ));
    let chunk = [b"10000\r\n", &[b' '; 0x10000][..], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 1 << 30 && !client.has_answer() && client.stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    assert_eq!(client.answer(false).status, 413);
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let grown = process.resident().saturating_sub(before);
    assert!(grown < 96 << 20, "{grown} bytes more");
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn coded(coding: &str) -> String {
    format!("{JSON}Content-Encoding: {coding}\r\n")
}

#[test]
fn coded_bodies_are_checked_and_sent_decoded() {
    let (_directory, process) = start("coded-bodies", echo());
    let body = br#"{"a":7,"t":"text"}"#;
    for (coding, bytes) in [
        ("gzip", gzip(body)),
        ("X-GZIP", gzip(body)),
        ("deflate", zlib(body)),
    ] {
        // What describes the bytes that came would be wrong of those that go on.
        let digests = "content-digest: sha-256=:AA==:\r\nDigest: sha-256=AA==\r\nContent-MD5: AA==\r\nRepr-Digest: sha-256=:AA==:\r\n";
        let fields = format!("{}{digests}", coded(coding));
        let answer = post(&process, ("/coded", &fields), &bytes);
        assert_eq!(answer.status, 200, "{coding}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.ends_with("\n\n{\"a\":7,\"t\":\"text\"}"), "{text}");
        assert!(text.contains("Content-Length: 18\n"), "{text}");
        let lower = text.to_lowercase();
        let gone = ["content-encoding", "digest", "content-md5"];
        assert!(!gone.iter().any(|name| lower.contains(name)), "{text}");
        // In chunks of one byte.
        let mut client = process.connect();
        client.send(format!(
            "POST /coded HTTP/1.1\r\nHost: h\r\n{fields}Transfer-Encoding: chunked\r\n\r\n"
        ));
        for byte in &bytes {
            client.send([b"1\r\n", &[*byte][..], b"\r\n"].concat());
        }
        client.send("0\r\n\r\n");
        let answer = client.answer(false);
        assert_eq!(answer.status, 200, "{coding}");
        assert!(answer.body.ends_with(body));
    }
}

#[test]
fn what_is_wrong_in_a_coded_body_is_found() {
    let (address, count) = counting();
    let (_directory, process) = start("wrong-codings", address);
    let body = br#"{"a":7}"#;
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 1].to_vec();
    let with_more = |bytes: Vec<u8>| [bytes, b"x".to_vec()].concat();
    let bomb = gzip(&[&b"{\"t\":\""[..], &vec![b'x'; 64 << 20], b"\"}"].concat());
    for (path, coding, bytes, status, kind) in [
        ("/coded", "gzip", gzip(br#"{"a":10}"#), 400, "invalid-body"),
        ("/coded", "gzip", gzip(br#"{"b":1}"#), 400, "invalid-body"),
        ("/coded", "gzip", body.to_vec(), 400, "invalid-coding"),
        ("/coded", "gzip", zlib(body), 400, "invalid-coding"),
        ("/coded", "deflate", gzip(body), 400, "invalid-coding"),
        ("/coded", "gzip", cut(gzip(body)), 400, "invalid-coding"),
        (
            "/coded",
            "gzip",
            with_more(gzip(body)),
            400,
            "invalid-coding",
        ),
        (
            "/coded",
            "gzip",
            [gzip(body), gzip(body)].concat(),
            400,
            "invalid-coding",
        ),
        ("/coded", "gzip", bomb, 413, "body-too-large"),
        (
            "/coded",
            "gzip",
            gzip(&vec![b' '; 2 << 20]),
            413,
            "body-too-large",
        ),
        ("/coded", "br", gzip(body), 415, "encoded-body"),
        (
            "/coded",
            "gzip, gzip",
            gzip(&gzip(body)),
            415,
            "encoded-body",
        ),
        ("/coded", "", gzip(body), 415, "encoded-body"),
        ("/strict", "gzip", gzip(body), 415, "encoded-body"),
    ] {
        let answer = post(&process, (path, &coded(coding)), &bytes);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, kind),
            "{path} {coding}"
        );
        let accepts = answer.field("accept-encoding").map(str::to_owned);
        let expected = match (status, path) {
            (415, "/coded") => Some("gzip, deflate"),
            (415, _) => Some("identity"),
            _ => None,
        };
        assert_eq!(accepts.as_deref(), expected, "{path} {coding}");
    }
    let twice = format!("{}Content-Encoding: gzip\r\n", coded("gzip"));
    assert_eq!(
        post(&process, ("/coded", &twice), &gzip(&gzip(body))).status,
        415
    );
    let alias = format!("{JSON}Content_Encoding: gzip\r\n");
    assert_eq!(post(&process, ("/coded", &alias), &gzip(body)).status, 415);
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert_eq!(post(&process, ("/coded", JSON), body).status, 200);
}

#[test]
fn files_are_checked_and_sent_as_they_came() {
    let (_directory, process) = start("uploads", echo());
    let upload = |kind: &str, content: &[u8]| {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nContent-Type: {kind}\r\n\r\n"
        );
        let body = [head.as_bytes(), content, b"\r\n--b--\r\n"].concat();
        let answer = post(
            &process,
            (
                "/upload",
                "Content-Type: multipart/form-data; boundary=b\r\n",
            ),
            &body,
        );
        (answer, body)
    };
    let (answer, body) = upload("image/png", b"\x89PNG\r\n\x1a\n\0\xff");
    assert_eq!(answer.status, 200);
    assert!(answer.body.ends_with(&body));
    assert_eq!(upload("image/png", &[7; 17]).0.status, 400);
    assert_eq!(upload("text/html", b"<script>").0.status, 400);
}

#[test]
fn undeclared_queries_are_stripped_or_reported() {
    let (directory, mut process) = start("unknown-queries", echo());
    let get = |target: &str| {
        let answer = process
            .connect()
            .ask(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let text = String::from_utf8(answer.body).unwrap();
        (
            answer.status,
            text.lines().next().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(
        get("/search?utm=x&id=%37&y"),
        (200, "GET /search?id=%37 HTTP/1.1".to_owned())
    );
    assert_eq!(
        get("/search?id=7"),
        (200, "GET /search?id=7 HTTP/1.1".to_owned())
    );
    assert_eq!(get("/search?id=x&utm=x").0, 400);
    let reported = get("/report?utm=x&id=7");
    assert_eq!(
        reported,
        (200, "GET /report?utm=x&id=7 HTTP/1.1".to_owned())
    );
    let line = "portcullis_reported_total{stage=\"contract\",reason=\"undeclared-parameter\"} ";
    let started = Instant::now();
    // The line is not there before there is something to count.
    let is_counted = || {
        let body = process.admin("/metrics").body;
        String::from_utf8_lossy(&body).contains(line)
    };
    while !is_counted() {
        assert!(started.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(process.ended(), Some(0));
    let log = std::fs::read_to_string(directory.path("access.log")).unwrap();
    assert!(log.contains("query utm declared"), "{log}");
}

#[test]
fn a_client_that_accepts_no_answer_is_told_where_that_is_asked() {
    let (_directory, process) = start("accept", echo());
    let get = |path: &str, accept: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\n\r\n");
        process.connect().ask(request).status
    };
    assert_eq!(get("/report", "text/html, */*;q=0.1"), 200);
    assert_eq!(get("/report", "text/csv"), 200);
    assert_eq!(get("/report", "text/html, application/xml"), 406);
    assert_eq!(get("/report", "application/json;q=0"), 406);
    assert_eq!(get("/search", "text/html"), 200);
}

#[test]
fn keys_of_requests_are_checked() {
    for (from, to, message) in [
        (
            "\"gzip\", \"deflate\"",
            "\"br\"",
            "no body is decoded from \"br\"",
        ),
        (
            "= \"strip\"",
            "= \"ignore\"",
            "unknown_query cannot be \"ignore\"",
        ),
        (
            "[api.app.operation.search]",
            "[api.app.operation.upload]\nunknown_fields = \"strip\"\n[api.app.operation.search]",
            "undeclared fields of forms are always refused",
        ),
        (
            "unknown_query = \"report\"",
            "unknown_fields = \"report\"",
            "the operation takes no JSON whose members could be undeclared",
        ),
        (
            "[api.app.operation.search]",
            "[api.app.operation.upload]\nmax_violations = 0\n[api.app.operation.search]",
            "max_violations cannot be 0",
        ),
        (
            "[api.app.operation.search]",
            "[api.app.operation.upload]\nmax_violations = 101\n[api.app.operation.search]",
            "write a number from 1 to 100",
        ),
    ] {
        let (code, told) = setup().replacing(from, to).check("request-keys");
        assert!(code == Some(1) && told.contains(message), "{told}");
    }
}

#[test]
fn undeclared_members_of_records_go_or_are_noted() {
    let digest = "Content-Digest: sha-256=:AA==:\r\n";
    let lines = "Content-Type: application/x-ndjson\r\n";
    let sequence = "Content-Type: application/json-seq\r\n";
    let body = "{\"b\":\"\\n,\", \"a\":1}\r\n{\"a\":2,\"c\":[{}]}\n{ \"a\" : 3 }";
    let stripped = "{\"a\":1}\r\n{\"a\":2}\n{ \"a\" : 3 }";
    let array = "\u{1e}{\"b\":[1,2],\"a\":1}\n\u{1e}{\"a\":2 , \"c\":{}}\n";
    for (word, records, sent) in [
        ("strip", stripped, "\u{1e}{\"a\":1}\n\u{1e}{\"a\":2 }\n"),
        ("report", body, array),
        ("reject", body, array),
    ] {
        let api = API.replacen('\n', &format!("\nunknown_fields = \"{word}\"\n"), 1);
        let running = setup().api(api).start(&format!("records-{word}"), echo());
        let (directory, process) = (running.directory, running.process);
        for (kind, came, left) in [(lines, body, records), (sequence, array, sent)] {
            let fields = format!("{kind}{digest}");
            let answer = post(&process, ("/records", &fields), came.as_bytes());
            if word == "reject" && kind == lines {
                assert_eq!(answer.status, 400);
                continue;
            }
            let text = String::from_utf8(answer.body).unwrap();
            assert_eq!(answer.status, 200, "{word} {text}");
            assert!(text.ends_with(&format!("\n\n{left}")), "{word} {text}");
            assert!(
                text.contains(&format!("Content-Length: {}\n", left.len())),
                "{text}"
            );
            assert_eq!(text.contains("Content-Digest"), word != "strip", "{text}");
        }
        for bad in [
            "{\"a\":1}\n{\"b\":1}",
            "{\"a\":1,\"b\":01}",
            "{\"a\":1}\n\n{\"a\":1}",
            "{\"a\":1}{\"a\":1}",
            "{\"a\":1},{\"a\":1}",
        ] {
            let answer = post(&process, ("/records", lines), bad.as_bytes());
            assert_eq!(
                (answer.status, &*answer.problem()),
                (400, "invalid-body"),
                "{word} {bad}"
            );
        }
        let three = "\u{1e}{}\n\u{1e}{}\n\u{1e}{}\n";
        assert_eq!(
            post(&process, ("/records", sequence), three.as_bytes()).status,
            400
        );
        // What the API says goes for JSON: a field that no form declares is refused all the same.
        let form = "Content-Type: multipart/form-data; boundary=b\r\n";
        let part = "--b\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n--b--\r\n";
        let answer = post(&process, ("/upload", form), part.as_bytes());
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "invalid-body"),
            "{word}"
        );
        if word == "report" {
            // Of nine requests, in any order.
            let log = loop {
                let log = std::fs::read_to_string(directory.path("access.log")).unwrap_or_default();
                if log.lines().count() >= 9 {
                    break log;
                }
                std::thread::yield_now();
            };
            let noted = "\"detail\":\"body /0/b undeclared\"";
            // Of lines and of a sequence, whatever their schemas refuse: what "strip" takes out.
            assert_eq!(log.matches(noted).count(), 2, "{log}");
        }
    }
}
