//! Answers of records against a real process: each is judged and cut while the others are still to
//! come, in the memory of one record.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::gateway::{Client, backend};
use crate::setup::{Running, Setup};

const DOCUMENT: &str = r##"
openapi: 3.1.0
info: { title: Feed, version: "1" }
paths:
  /feed: { get: { operationId: feed, responses: { "200": { $ref: "#/components/responses/Feed" } } } }
  /plain: { get: { operationId: plain, responses: { "200": { $ref: "#/components/responses/Plain" } } } }
  /noted: { get: { operationId: noted, responses: { "200": { $ref: "#/components/responses/Plain" } } } }
  /whole:
    get:
      operationId: whole
      responses: { "200": { description: ok, content: { application/json: { schema: { type: object } } } } }
components:
  responses:
    Feed:
      description: ok
      content:
        application/x-ndjson: { schema: { $ref: "#/components/schemas/Record" } }
        application/json-seq: { schema: { $ref: "#/components/schemas/Record" } }
    Plain:
      description: ok
      content:
        application/x-ndjson: { schema: { type: object, required: [id], properties: { id: { type: integer }, note: { type: string } } } }
  schemas:
    Record:
      type: object
      required: [id]
      properties:
        id: { type: integer }
        iban: { type: string, x-mask: last4 }
        secret: { type: string, writeOnly: true }
        risk: { type: number, x-visible-to: [risk] }
"##;

const KEYS: &str = r#"
responses = "strip"
stream_responses = true
max_response_body = "2KiB"
[api.feed.operation.plain]
responses = "reject"
[api.feed.operation.noted]
responses = "report"
"#;

fn setup(keys: &str) -> Setup<'static> {
    Setup::new("feed", DOCUMENT).api(keys)
}

const NDJSON: &str = "Content-Type: application/x-ndjson\r\n";

/// Answers with pieces as they are sent to it, and ends the connection where it gets an empty one.
fn prompted() -> (SocketAddr, Sender<Vec<u8>>) {
    let (sender, receiver): (_, Receiver<Vec<u8>>) = channel();
    let receiver = Mutex::new(receiver);
    let address = backend(move |_, mut client| {
        if client.request_head().is_some() {
            let receiver = receiver.lock().unwrap();
            while let Ok(piece) = receiver.recv() {
                if piece.is_empty() || client.stream.write_all(&piece).is_err() {
                    return;
                }
            }
        }
    });
    (address, sender)
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn get(path: &str, version: &str) -> String {
    format!("GET {path} HTTP/{version}\r\nHost: h\r\n\r\n")
}

/// The content of one chunk; none at the last.
fn next_chunk(client: &mut Client) -> Option<String> {
    let mut size = String::new();
    while !size.ends_with("\r\n") {
        let mut byte = [0];
        client.reader.read_exact(&mut byte).ok()?;
        size.push(byte[0] as char);
    }
    let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
    let mut content = vec![0; size + 2];
    client.reader.read_exact(&mut content).ok()?;
    content.truncate(size);
    (size > 0).then(|| String::from_utf8(content).unwrap())
}

/// Reads chunks until so much content has come.
fn content(client: &mut Client, expected: &str) {
    let mut all = String::new();
    while all.len() < expected.len() {
        all += &next_chunk(client).unwrap_or_else(|| panic!("only {all:?}"));
    }
    assert_eq!(all, expected);
}

#[test]
fn records_leave_one_by_one_rid_of_what_is_not_for_the_reader() {
    let (address, pieces) = prompted();
    let running = setup(KEYS).start("feed", address);
    let mut client = running.connect();
    for (media, separator) in [
        ("application/x-ndjson", ""),
        ("application/json-seq", "\u{1e}"),
    ] {
        let send = |text: &str| pieces.send(text.as_bytes().to_vec()).unwrap();
        client.send(get("/feed", "1.1"));
        let record = |id: u8| {
            format!(
                "{separator}{{\"id\":{id},\"iban\":\"DE0012345678\",\"secret\":\"s\",\"risk\":1,\"more\":2}}\n"
            )
        };
        let left = |id: u8| format!("{separator}{{\"id\":{id},\"iban\":\"****5678\"}}\n");
        send(&format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nETag: \"a\"\r\nX-Row: 1\r\n\
             Digest: sha-256=x\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            chunk(&record(1))
        ));
        let head = client.answer_head();
        assert_eq!((head.status, head.field("etag")), (200, Some("W/\"a\"")));
        assert_eq!((head.field("digest"), head.field("x-row")), (None, None));
        assert_eq!(head.field("transfer-encoding"), Some("chunked"));
        // The backend has more to say, and says it when the first has arrived.
        content(&mut client, &left(1));
        let (first, second) = (record(2), record(3));
        let (begin, end) = first.split_at(20);
        send(&chunk(begin));
        send(&chunk(&format!("{end}{second}")));
        content(
            &mut client,
            &format!("{}{}", left(2), left(3)).replacen('\u{1e}', "\u{1e}", 1),
        );
        send("0\r\n\r\n");
        assert_eq!(next_chunk(&mut client), None);
        // The backend waits for more to say: it is let go.
        pieces.send(Vec::new()).unwrap();
        client = running.connect();
    }
}

/// Status and body of the answer to a request.
fn seen(running: &Running, request: &str) -> (u16, String) {
    let mut client = running.connect();
    client.send(request);
    let head = client.answer_head();
    if head.field("transfer-encoding") != Some("chunked") {
        let length = head.field("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        client.reader.read_exact(&mut body).unwrap();
        return (head.status, String::from_utf8(body).unwrap());
    }
    let mut all = String::new();
    loop {
        match next_chunk(&mut client) {
            Some(content) => all += &content,
            None => return (head.status, all),
        }
    }
}

fn answering(answer: String) -> SocketAddr {
    backend(move |_, mut client| {
        if client.request_head().is_some() {
            client.send(&answer);
        }
    })
}

#[test]
fn a_bad_record_ends_the_answer_and_is_never_seen() {
    let good = "{\"id\":1}\n";
    for (path, body, status, left, reported) in [
        (
            "/plain",
            format!("{good}{{\"id\":2}}\n"),
            200,
            "{\"id\":1}\n{\"id\":2}\n",
            "",
        ),
        ("/plain", String::new(), 200, "", ""),
        // Nothing has left yet.
        (
            "/plain",
            "{\"id\":\"BAD\"}\n".to_owned(),
            502,
            "",
            "invalid-response",
        ),
        (
            "/plain",
            format!("{good}{{\"id\":\"BAD\"}}\n"),
            502,
            "",
            "invalid-response",
        ),
        (
            "/plain",
            format!("{good}BAD\n"),
            502,
            "",
            "invalid-response",
        ),
        (
            "/plain",
            format!("{good}{{\"id\":1,\"note\":\"{}\"}}", "BAD".repeat(999)),
            502,
            "",
            "response-too-large",
        ),
        (
            "/noted",
            format!("{good}{{\"id\":\"BAD\"}}\n"),
            200,
            "{\"id\":1}\n{\"id\":\"BAD\"}\n",
            "invalid-response",
        ),
    ] {
        for framing in [
            format!("Content-Length: {}\r\n\r\n{body}", body.len()),
            format!("\r\n{body}"),
        ] {
            let running = setup(KEYS).start(
                "feed-bad",
                answering(format!("HTTP/1.1 200 OK\r\n{NDJSON}{framing}")),
            );
            let told = seen(&running, &get(path, "1.1"));
            assert_eq!(told.0, status, "{body}: {told:?}");
            if status == 200 {
                assert_eq!(told.1, left);
            } else {
                assert!(
                    told.1.contains(reported) && !told.1.contains("BAD"),
                    "{told:?}"
                );
            }
            let line = running.lines().remove(0);
            let denial = if status == 200 { "reported" } else { "reason" };
            assert_eq!(
                line[denial].as_str().unwrap_or_default(),
                reported,
                "{line}"
            );
        }
    }
    // Behind a record that has left.
    let (address, pieces) = prompted();
    let running = setup(KEYS).start("feed-later", address);
    let mut client = running.connect();
    client.send(get("/plain", "1.1"));
    let head = format!("HTTP/1.1 200 OK\r\n{NDJSON}Transfer-Encoding: chunked\r\n\r\n");
    pieces
        .send(format!("{head}{}", chunk(good)).into())
        .unwrap();
    assert_eq!(client.answer_head().status, 200);
    content(&mut client, good);
    pieces
        .send(chunk("{\"id\":\"BAD\"}\n{\"id\":3}\n").into())
        .unwrap();
    let rest = String::from_utf8(client.rest()).unwrap();
    assert_eq!(rest, "", "neither the record nor an end");
    pieces.send(Vec::new()).unwrap();
    let line = running.lines().remove(0);
    assert_eq!(line["reported"], "invalid-response", "{line}");
    assert_eq!(line["truncated"], true, "{line}");
    assert!(
        line["detail"]
            .as_str()
            .unwrap()
            .starts_with("response /1/id type"),
        "{line}"
    );
}

#[test]
fn an_answer_that_breaks_off_has_no_end_for_the_client_either() {
    let head = format!("HTTP/1.1 200 OK\r\n{NDJSON}Transfer-Encoding: chunked\r\n\r\n");
    let running = setup(KEYS).start(
        "feed-broken",
        answering(format!("{head}{}", chunk("{\"id\":1}\n"))),
    );
    let mut client = running.connect();
    client.send(get("/plain", "1.1"));
    assert_eq!(client.answer_head().status, 200);
    content(&mut client, "{\"id\":1}\n");
    assert_eq!(client.rest(), b"");
    // A client of HTTP/1.0 gets the same records, up to the end of the connection.
    let whole = answering(format!("HTTP/1.1 200 OK\r\n{NDJSON}\r\n{{\"id\":1}}\n"));
    let running = setup(KEYS).start("feed-old", whole);
    let mut old = running.connect();
    old.send("GET /plain HTTP/1.0\r\nHost: h\r\n\r\n");
    let head = old.answer_head();
    assert_eq!((head.status, head.field("transfer-encoding")), (200, None));
    assert_eq!(old.rest(), b"{\"id\":1}\n");
}

#[test]
fn a_hundred_megabytes_of_records_leave_in_constant_memory() {
    let record = format!(
        "{{\"id\":7,\"iban\":\"DE0012345678\",\"secret\":\"{}\"}}\n",
        "x".repeat(1000)
    );
    let block = record.repeat(64);
    let blocks = |size: usize| size / block.len();
    let sent = block.clone();
    let address = backend(move |_, mut client| {
        while let Some(request) = client.request_head() {
            let size = if request.field("x-large").is_some() {
                100 << 20
            } else {
                10 << 20
            };
            client.send(format!(
                "HTTP/1.1 200 OK\r\n{NDJSON}Transfer-Encoding: chunked\r\n\r\n"
            ));
            let chunk = chunk(&sent);
            for _ in 0..blocks_of(size, sent.len()) {
                client.send(&chunk);
            }
            client.send("0\r\n\r\n");
        }
    });
    let running = setup(KEYS).start("feed-memory", address);
    let left = record
        .replace("DE0012345678", "****5678")
        .replace(&format!(",\"secret\":\"{}\"", "x".repeat(1000)), "");
    let pass = |lines: &str, size: usize| {
        let mut client = running.connect();
        client.send(format!("GET /feed HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        assert_eq!(client.answer_head().status, 200);
        let (mut most, mut total, mut count) = (0, 0, 0);
        while let Some(content) = next_chunk(&mut client) {
            total += content.len();
            count += 1;
            if count % 64 == 0 {
                most = most.max(running.process.resident());
            }
        }
        assert_eq!(total, blocks(size) * 64 * left.len());
        most
    };
    let before = pass("", 10 << 20);
    let grown = pass("X-Large: 1\r\n", 100 << 20).saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more");
}

fn blocks_of(size: usize, block: usize) -> usize {
    size / block
}

#[test]
fn streams_that_could_not_be_do_not_load() {
    let own = |id: &str, more: &str| {
        format!("{more}\n[api.feed.operation.{id}]\nstream_responses = true\n")
    };
    for (keys, words) in [
        (KEYS.to_owned(), ""),
        (own("feed", ""), ""),
        (
            own("whole", ""),
            "answers with no records that could leave one by one",
        ),
        (
            own("plain", "responses = \"off\""),
            "leave as they come anyway",
        ),
        (
            own("plain", "waf = \"own\"\nwaf_responses = \"all\""),
            "rules cannot see all of it",
        ),
        (
            own("plain", "waf = \"own\"\nwaf_responses = \"collected\""),
            "",
        ),
    ] {
        let rule = "SecRule RESPONSE_BODY \"@contains x\" \"id:1,phase:4,deny\"\n";
        let setup = match keys.contains("waf_responses") {
            true => setup(&keys).rules(rule, "mode = \"detect\""),
            false => setup(&keys),
        };
        let (code, text) = setup.check("feed-config");
        assert_eq!(code == Some(0), words.is_empty(), "{keys}: {text}");
        assert!(text.contains(words), "{keys}: {text}");
    }
}
