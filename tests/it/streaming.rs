//! Bodies of records against a real process: checked while they are passed on, in the memory of one
//! record.

use std::io::{BufRead, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::gateway::{Answer, Client, backend, echo};
use crate::process::{Directory, Process};
use crate::setup::Setup;

const DOCUMENT: &str = r"
openapi: 3.1.0
paths:
  /array:
    post:
      operationId: array
      requestBody:
        required: true
        content:
          application/json:
            schema: { $ref: '#/components/schemas/Batch' }
  /lines:
    post:
      operationId: lines
      requestBody:
        content:
          application/x-ndjson: { schema: { $ref: '#/components/schemas/Record' } }
          application/json-seq: { schema: { $ref: '#/components/schemas/Record' } }
  /whole:
    post:
      operationId: whole
      requestBody:
        required: true
        content:
          application/json:
            schema: { type: array, uniqueItems: true, items: { $ref: '#/components/schemas/Record' } }
components:
  schemas:
    Batch: { type: array, maxItems: 2000000, minItems: 1, items: { $ref: '#/components/schemas/Record' } }
    Record:
      type: object
      additionalProperties: false
      required: [id]
      properties: { id: { type: integer }, note: { type: string } }
";

fn setup(document: &str) -> Setup<'static> {
    Setup::new("app", document).api(
        r#"
responses = "off"
waf_bodies = false
max_body = "64B"
stream_body = "200MiB"
max_record = "4KiB"
[api.app.operation.lines]
stream_body = "1KiB"
"#,
    )
}

fn start(name: &str, backend: SocketAddr) -> (Directory, Process) {
    let running = setup(DOCUMENT).start(name, backend);
    (running.directory, running.process)
}

const JSON: &str = "application/json";

fn head(path: &str, media: &str, framing: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {media}\r\n{framing}\r\n\r\n")
}

fn post(process: &Process, (path, media): (&str, &str), body: &[u8]) -> Answer {
    let mut client = process.connect();
    let framing = format!("Content-Length: {}", body.len());
    client.send(head(path, media, &framing));
    // The answer may come before all of it was taken.
    let _ = client.stream.write_all(body);
    client.answer(false)
}

/// One chunk for each piece.
fn chunks<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> Vec<u8> {
    let mut wire = Vec::new();
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        wire.extend_from_slice(piece);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}

/// What a backend saw of one request: how many bytes of content, and whether it was ended.
type Seen = (Vec<u8>, bool);

/// A backend that tells what it saw of each request, and answers those that are whole.
fn telling() -> (SocketAddr, Receiver<Seen>) {
    let (sender, receiver) = channel();
    let sender = std::sync::Mutex::new(sender);
    let address = backend(move |_, mut client| {
        while let Some(head) = client.request_head() {
            let (content, is_whole) = match head.field("transfer-encoding") {
                Some(_) => content(&mut client, usize::MAX),
                None => {
                    let length = head.field("content-length").unwrap().parse().unwrap();
                    let mut body = vec![0; length];
                    let is_whole = client.reader.read_exact(&mut body).is_ok();
                    (body, is_whole)
                }
            };
            let _ = sender.lock().unwrap().send((content, is_whole));
            if !is_whole {
                return;
            }
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (address, receiver)
}

/// Reads chunks to the last one or to the end of the connection; keeps `most` bytes of content.
fn content(client: &mut Client, most: usize) -> Seen {
    let mut content = Vec::new();
    loop {
        let mut line = String::new();
        if client.reader.read_line(&mut line).unwrap_or(0) == 0 {
            return (content, false);
        }
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let mut piece = vec![0; size + 2];
        if client.reader.read_exact(&mut piece).is_err() {
            return (content, false);
        }
        if size == 0 {
            return (content, true);
        }
        piece.truncate(size.min(most.saturating_sub(content.len())));
        content.extend_from_slice(&piece);
    }
}

fn records(count: usize) -> Vec<u8> {
    let records: Vec<_> = (0..count)
        .map(|id| format!("{{\"id\":{id},\"note\":\"a]}}\\\"\"}}"))
        .collect();
    format!("[{}]", records.join(",")).into_bytes()
}

#[test]
fn a_body_reaches_the_backend_as_it_came_wherever_it_is_split() {
    let (address, seen) = telling();
    let (_directory, process) = start("streamed-splits", address);
    let body = br#" [ {"id":1} ,{"note":"]},\"","id":-2}, {"id":3}
 ] "#;
    for at in 0..body.len() {
        let mut client = process.connect();
        client.send(head("/array", JSON, "Transfer-Encoding: chunked"));
        let (first, second) = body.split_at(at);
        client.send(chunks([first, second].into_iter()));
        assert_eq!(client.answer(false).status, 200, "{at}");
        assert_eq!(seen.recv().unwrap(), (body.to_vec(), true), "{at}");
    }
    // Over one connection of a client, byte by byte, and with a length.
    let mut client = process.connect();
    for _ in 0..2 {
        client.send(head("/array", JSON, "Transfer-Encoding: chunked"));
        client.send(chunks(body.chunks(1)));
        assert_eq!(client.answer(false).status, 200);
        assert_eq!(seen.recv().unwrap(), (body.to_vec(), true));
    }
    let long = records(20);
    client.send(head(
        "/array",
        JSON,
        &format!("Content-Length: {}", long.len()),
    ));
    for byte in &long {
        client.send([*byte]);
    }
    assert_eq!(client.answer(false).status, 200);
    assert_eq!(seen.recv().unwrap(), (long, true));
    // What is short enough is collected, and leaves with its length.
    assert_eq!(
        post(&process, ("/array", JSON), b"[{\"id\":1}]").status,
        200
    );
    assert_eq!(seen.recv().unwrap(), (b"[{\"id\":1}]".to_vec(), true));
}

#[test]
fn a_fault_in_any_record_leaves_no_whole_request_behind() {
    let (address, seen) = telling();
    let (directory, mut process) = start("streamed-faults", address);
    let good = records(5_000);
    let text = String::from_utf8(good.clone()).unwrap();
    let late = text.replace("\"id\":4990,", "\"id\":\"4990\",");
    let cut = &text[..text.len() - 1];
    let extra = format!("{text}]");
    for (what, body) in [
        ("a wrong type near the end", late.as_str()),
        ("no end", cut),
        ("bytes behind the end", &extra),
    ] {
        for is_chunked in [false, true] {
            let answer = if is_chunked {
                let mut client = process.connect();
                client.send(head("/array", JSON, "Transfer-Encoding: chunked"));
                let _ = client
                    .stream
                    .write_all(&chunks(body.as_bytes().chunks(1000)));
                client.answer(false)
            } else {
                post(&process, ("/array", JSON), body.as_bytes())
            };
            assert_eq!(
                (answer.status, &*answer.problem()),
                (400, "invalid-body"),
                "{what}"
            );
            let (content, is_whole) = seen.recv_timeout(Duration::from_secs(10)).unwrap();
            assert!(!is_whole && body.as_bytes().starts_with(&content), "{what}");
        }
    }
    // A fault in the first record reaches nobody.
    let first = text.replacen("\"id\":0,", "\"ident\":0,", 1);
    let answer = post(&process, ("/array", JSON), first.as_bytes());
    assert_eq!((answer.status, &*answer.problem()), (400, "invalid-body"));
    let answer = post(&process, ("/array", JSON), &good);
    assert_eq!(answer.status, 200);
    let (content, is_whole) = std::iter::from_fn(|| seen.recv().ok())
        .find(|(content, _)| content.len() == good.len())
        .unwrap();
    assert!(is_whole && content == good);
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(process.ended(), Some(0));
    let log = std::fs::read_to_string(directory.path("access.log")).unwrap();
    assert!(log.contains("body /4990/id type"), "{log}");
}

#[test]
fn bodies_and_records_have_bounds_of_their_own() {
    let (address, seen) = telling();
    let (_directory, process) = start("streamed-bounds", address);
    let line = |length: usize| format!("{{\"id\":1,\"note\":\"{}\"}}\n", "x".repeat(length - 19));
    let whole = |count: usize, length: usize| line(length).repeat(count).into_bytes();
    let ndjson = ("/lines", "application/x-ndjson");
    for (body, status) in [
        (whole(16, 64), 200),
        ([whole(15, 64), whole(1, 65)].concat(), 413),
        (whole(17, 64), 413),
    ] {
        let answer = post(&process, ndjson, &body);
        assert_eq!(answer.status, status, "{}", body.len());
        let mut client = process.connect();
        client.send(head(ndjson.0, ndjson.1, "Transfer-Encoding: chunked"));
        let _ = client.stream.write_all(&chunks(body.chunks(10)));
        assert_eq!(client.answer(false).status, status, "{}", body.len());
        if status == 200 {
            assert_eq!(seen.recv().unwrap(), (body.clone(), true));
            assert_eq!(seen.recv().unwrap(), (body, true));
        } else {
            let mut seen = seen.try_iter();
            assert!(seen.all(|(_, is_whole)| !is_whole), "{}", body.len());
        }
    }
    let sequence = "\u{1e}{\"id\":1}\n".repeat(20);
    let seq = ("/lines", "application/json-seq");
    assert_eq!(post(&process, seq, sequence.as_bytes()).status, 200);
    let mut told = seen.iter();
    assert!(told.any(|(content, is_whole)| is_whole && content == sequence.as_bytes()));
    assert_eq!(post(&process, seq, &sequence.as_bytes()[..199]).status, 400);
    let record = |length: usize| format!("[{}]", line(length + 1).trim_end());
    assert_eq!(
        post(&process, ("/array", JSON), record(4096).as_bytes()).status,
        200
    );
    assert_eq!(
        post(&process, ("/array", JSON), record(4097).as_bytes()).status,
        413
    );
    // An empty one is what the document says of it.
    for (path, media, status) in [("/lines", ndjson.1, 200), ("/array", JSON, 400)] {
        let mut client = process.connect();
        client.send(head(path, media, "Transfer-Encoding: chunked"));
        client.send("0\r\n\r\n");
        assert_eq!(client.answer(false).status, status, "{path}");
    }
    // The API says it of all; this operation cannot.
    assert_eq!(post(&process, ("/whole", JSON), &records(20)).status, 413);
}

#[test]
fn a_hundred_megabytes_pass_in_constant_memory() {
    let sizes = channel();
    let sender = std::sync::Mutex::new(sizes.0);
    let address = backend(move |_, mut client| {
        while client.request_head().is_some() {
            let mut total = 0;
            loop {
                let mut line = String::new();
                client.reader.read_line(&mut line).unwrap();
                let size = u64::from_str_radix(line.trim_end(), 16).unwrap();
                let mut piece = (&mut client.reader).take(size + 2);
                std::io::copy(&mut piece, &mut std::io::sink()).unwrap();
                total += size;
                if size == 0 {
                    break;
                }
            }
            let _ = sender.lock().unwrap().send(total);
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let (_directory, process) = start("streamed-memory", address);
    let record = format!("{{\"id\":7,\"note\":\"{}\"}},", "x".repeat(1000));
    let (block, last) = (record.repeat(64), "{\"id\":8}]");
    // The most that is resident while so much passes.
    let pass = |size: usize| {
        let blocks = size / block.len();
        let total = 1 + blocks * block.len() + last.len();
        let mut client = process.connect();
        let framing = format!("Content-Length: {total}");
        client.send(head("/array", JSON, &framing));
        client.send("[");
        let mut most = 0;
        for index in 0..blocks {
            client.send(&block);
            if index % 16 == 0 {
                most = most.max(process.resident());
            }
        }
        client.send(last);
        assert_eq!(client.answer(false).status, 200);
        assert_eq!(sizes.1.recv().unwrap(), total as u64);
        most
    };
    // Ten megabytes make it touch all that it will ever use.
    let before = pass(10 << 20);
    let grown = pass(100 << 20).saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more");
}

#[test]
fn a_client_that_goes_leaves_an_unfinished_request() {
    let (address, seen) = telling();
    let (_directory, process) = start("streamed-gone", address);
    let body = records(1000);
    let mut client = process.connect();
    client.send(head("/array", JSON, "Transfer-Encoding: chunked"));
    let wire = chunks(body.chunks(100));
    client.send(&wire[..wire.len() - 5]);
    drop(client);
    let (content, is_whole) = seen.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(!is_whole && body.starts_with(&content));
}

#[test]
fn an_answer_that_comes_early_is_passed_on() {
    let address = backend(|_, mut client| {
        if client.request_head().is_some() {
            client.send("HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno");
            // Nothing of the body is read until the gateway closes.
            let _ = client.rest();
        }
    });
    let (_directory, process) = start("streamed-early", address);
    let body = records(1000);
    let mut client = process.connect();
    client.send(head(
        "/array",
        JSON,
        &format!("Content-Length: {}", body.len()),
    ));
    client.send(&body[..1000]);
    let answer = client.answer(false);
    assert_eq!((answer.status, &*answer.body), (409, &b"no"[..]));
}

#[test]
fn a_client_that_waits_for_leave_gets_it() {
    let (_directory, process) = start("streamed-expect", echo());
    let body = records(50);
    let mut client = process.connect();
    let framing = format!("Expect: 100-continue\r\nContent-Length: {}", body.len());
    client.send(head("/array", JSON, &framing));
    assert_eq!(client.answer_head().status, 100);
    client.send(&body);
    let answer = client.answer(false);
    assert_eq!(answer.status, 200);
    assert!(answer.body.ends_with(&body));
}

#[test]
fn a_slow_backend_holds_the_client_back_and_a_slow_client_is_waited_for() {
    let (go, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let address = backend(move |_, mut client| {
        while client.request_head().is_some() {
            wait.lock().unwrap().recv().unwrap();
            let (content, is_whole) = content(&mut client, 0);
            assert!(is_whole && content.is_empty());
            client.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let (_directory, process) = start("streamed-slow", address);
    go.send(()).unwrap();
    assert_eq!(
        post(&process, ("/array", JSON), &records(100_000)).status,
        204
    );
    let before = process.resident();
    let body = records(1_000_000);
    let mut client = process.connect();
    client.send(head(
        "/array",
        JSON,
        &format!("Content-Length: {}", body.len()),
    ));
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut sent = 0;
    // Until nobody takes any more.
    while let Ok(count) = client.stream.write(&body[sent..]) {
        sent += count;
        assert!(sent < body.len(), "all was taken");
    }
    let grown = process.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more");
    go.send(()).unwrap();
    client.stream.set_write_timeout(None).unwrap();
    let started = Instant::now();
    client.send(&body[sent..]);
    assert_eq!(client.answer(false).status, 204);
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn what_cannot_be_streamed_is_refused_at_load() {
    let (code, text) = setup(DOCUMENT).check("stream-load");
    assert_eq!(code, Some(0), "{text}");
    let whole = "[api.app.operation.whole]\nstream_body = \"1MiB\"\n";
    let array = |more: &str| format!("[api.app.operation.array]\n{more}\n");
    let cases = [
        (whole.to_owned(), "uniqueItems"),
        (
            array("stream_body = \"64B\""),
            "`max_body` is not smaller",
        ),
        (
            array("stream_body = \"1MiB\"\nrequest_encodings = [\"gzip\"]"),
            "request_encodings",
        ),
        (
            array("stream_body = \"1MiB\"\nunknown_fields = \"strip\""),
            "unknown_fields",
        ),
        (
            array("stream_body = \"1MiB\"\nunknown_fields = \"report\""),
            "unknown_fields",
        ),
        (
            array("max_record = \"0B\""),
            "no record is that short",
        ),
        (
            array("stream_body = \"1MiB\"\n[api.app.operation.array.graphql]\nmax_depth = 3"),
            "a GraphQL request is checked as a whole",
        ),
        (
            "[inspector.scan]\nupstream = \"app\"\npath = \"/\"\non_failure = \"closed\"\n[api.app.operation.array]\ninspector = \"scan\"\n"
                .to_owned(),
            "a service outside is asked about whole bodies",
        ),
    ];
    for (more, reason) in cases {
        let (code, text) = setup(DOCUMENT).tables(&more).check("stream-load");
        assert!(code == Some(1) && text.contains(reason), "{reason}: {text}");
        assert!(text.contains("gateway.toml:"), "{text}");
    }
    let lines = "[api.app.operation.lines]\nstream_body = \"1KiB\"\n";
    let (code, text) = setup(DOCUMENT)
        .replacing("stream_body = \"200MiB\"\n", "")
        .replacing(lines, "")
        .check("stream-load");
    assert!(
        code == Some(1) && text.contains("`max_record` is not used"),
        "{text}"
    );
    let objects = DOCUMENT.replace("type: array, ", "type: [array, \"null\"], ");
    let only = objects.replace("application/x-ndjson: { schema: { $ref: '#/components/schemas/Record' } }\n          application/json-seq: { schema: { $ref: '#/components/schemas/Record' } }", "text/plain: {}");
    let (code, text) = setup(&only).replacing(lines, "").check("stream-load");
    assert!(
        code == Some(1) && text.contains("no operation of the API has bodies"),
        "{text}"
    );
}
