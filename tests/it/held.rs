//! What a shard holds of bodies that a stage has to see: what has come counts, what was announced does
//! not, and all of it comes back.

use std::io::{BufRead, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::gateway::{Client, PATIENCE, backend, echo};
use crate::process::Process;
use crate::setup::{Running, Setup};

const DOCUMENT: &str = "
openapi: 3.1.0
info: { title: t, version: '1' }
paths:
  /one:
    post:
      operationId: one
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: '#/components/schemas/Record' } } }
      responses: { '200': { description: ok } }
  /many:
    post:
      operationId: many
      requestBody:
        required: true
        content:
          application/json:
            schema: { type: array, maxItems: 1000, items: { $ref: '#/components/schemas/Record' } }
      responses: { '200': { description: ok } }
components:
  schemas:
    Record:
      type: object
      additionalProperties: false
      required: [id]
      properties: { id: { type: integer }, note: { type: string } }
";

/// Three quarters of what is held at all.
const BUFFERED: usize = 192 * 1024;

fn start(name: &str, api: &str) -> Running {
    setup(api).start(name, taking())
}

fn setup(api: &str) -> Setup<'static> {
    let server = "shards = 1\nmax_buffered = \"256KiB\"\nmax_buffered_per_source = \"256KiB\"";
    let api = format!("responses = \"off\"\nwaf = \"off\"\n{api}");
    Setup::new("app", DOCUMENT).server(server).api(api)
}

/// A backend that takes what comes, and answers what is whole.
fn taking() -> SocketAddr {
    backend(|_, mut client| {
        while let Some(head) = client.request_head() {
            let is_whole = match head.field("content-length") {
                Some(length) => {
                    let mut body = vec![0; length.parse().unwrap()];
                    client.reader.read_exact(&mut body).is_ok()
                }
                None => ends(&mut client),
            };
            if !is_whole {
                return;
            }
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    })
}

/// Whether the last chunk comes.
fn ends(client: &mut Client) -> bool {
    let mut line = String::new();
    loop {
        line.clear();
        let _ = client.reader.read_line(&mut line);
        let Ok(size) = u64::from_str_radix(line.trim_end(), 16) else {
            return false;
        };
        let mut chunk = (&mut client.reader).take(size + 2);
        let _ = std::io::copy(&mut chunk, &mut std::io::sink());
        if size == 0 {
            return true;
        }
    }
}

fn head(path: &str, length: usize, more: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{more}\r\n"
    )
}

/// A record of this many bytes.
fn record(length: usize) -> String {
    let frame = "{\"id\":1,\"note\":\"\"}".len();
    format!("{{\"id\":1,\"note\":\"{}\"}}", "x".repeat(length - frame))
}

fn post(running: &Running, length: usize) -> (u16, bool) {
    let mut client = running.connect();
    client.send(head("/one", length, ""));
    // The answer may come before all of it was taken.
    let _ = client.stream.write_all(record(length).as_bytes());
    let answer = client.answer(false);
    (answer.status, answer.field("retry-after").is_some())
}

/// Until the shard holds as much as that.
fn holds(process: &Process, is_wanted: impl Fn(usize) -> bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        let held = process.counted("portcullis_buffered_bytes") as usize;
        if is_wanted(held) {
            return;
        }
        assert!(Instant::now() < until, "{held} bytes are held");
    }
}

#[test]
fn bodies_that_are_only_announced_take_no_room() {
    let running = start("held-announced", "max_body = \"128KiB\"");
    let announced: Vec<Client> = (0..32)
        .map(|_| {
            let mut client = running.connect();
            client.send(head("/one", 100_000, "Expect: 100-continue\r\n"));
            assert_eq!(client.answer_head().status, 100);
            client.send("{\"id\":");
            client
        })
        .collect();
    assert_eq!(post(&running, 100_000), (200, false));
    drop(announced);
    holds(&running.process, |held| held == 0);
}

#[test]
fn beyond_the_bound_a_body_is_refused_and_what_was_held_comes_back() {
    let running = start("held-bound", "max_body = \"512KiB\"");
    assert_eq!(post(&running, BUFFERED), (200, false));
    assert_eq!(post(&running, BUFFERED + 1), (503, true));
    holds(&running.process, |held| held == 0);
    // What has come of a body that is not whole leaves less for others.
    let mut half = running.connect();
    half.send(head("/one", 150_000, ""));
    half.send(&record(150_000)[..100_000]);
    holds(&running.process, |held| held >= 100_000);
    assert_eq!(post(&running, 150_000), (503, true));
    assert_eq!(post(&running, 20_000), (200, false));
    drop(half);
    holds(&running.process, |held| held == 0);
    assert_eq!(post(&running, 150_000), (200, false));
}

#[test]
fn records_that_are_not_whole_count() {
    let api = "max_body = \"64B\"\nstream_body = \"8MiB\"\nmax_record = \"120KiB\"";
    let running = start(
        "held-records",
        &format!("{api}\n[api.app.operation.one]\nmax_body = \"1KiB\""),
    );
    let piece = format!("[{}", &record(110_000)[..90_000]);
    let begin = || {
        let mut client = running.connect();
        client.send(head("/many", 1_000_000, "Expect: 100-continue\r\n"));
        assert_eq!(client.answer_head().status, 100);
        client
    };
    // All begin while there is room for each of them.
    let (mut one, mut other, mut last) = (begin(), begin(), begin());
    one.send(&piece);
    holds(&running.process, |held| held >= 90_000);
    other.send(&piece);
    holds(&running.process, |held| held >= 180_000);
    let _ = last.stream.write_all(piece.as_bytes());
    let answer = last.answer(false);
    assert_eq!((answer.status, &*answer.problem()), (503, "overloaded"));
    assert!(answer.field("retry-after").is_some());
    // Nobody else is let begin, until one of them has gone.
    let late = running.ask(head("/many", 1_000_000, "Expect: 100-continue\r\n"));
    assert_eq!((late.status, &*late.problem()), (503, "overloaded"));
    drop((one, other));
    holds(&running.process, |held| held == 0);
    let mut whole = running.connect();
    let body = format!("[{0},{0},{0}]", record(110_000));
    whole.send(head("/many", body.len(), ""));
    whole.send(&body);
    assert_eq!(whole.answer(false).status, 200);
    holds(&running.process, |held| held == 0);
}

#[test]
fn an_exchange_ends_while_its_body_is_waited_for() {
    let setup = Setup::new("app", DOCUMENT).api("max_body = \"1KiB\"");
    let listener = "[[listener]]\nexchange_timeout = \"300ms\"";
    let running = setup
        .replacing("[[listener]]", listener)
        .start("held-exchange", echo());
    let chunked = "POST /one HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
                   Transfer-Encoding: chunked\r\n\r\n5\r\n{\"id\"\r\n";
    let length = head("/one", 100, "") + "{\"id\"";
    for request in [chunked, &length] {
        let begun = Instant::now();
        let answer = running.ask(request);
        assert_eq!(answer.status, 408);
        // Long before the floor of the pace would have counted.
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

/// What leaves is a second copy where members are taken out of what came.
#[test]
fn a_copy_counts_as_well() {
    let api = "max_body = \"512KiB\"\nunknown_fields = \"strip\"";
    let running = start("held-copy", api);
    assert_eq!(post(&running, BUFFERED / 2), (200, false));
    assert_eq!(post(&running, BUFFERED / 2 + 1), (503, true));
    holds(&running.process, |held| held == 0);
}

/// A quarter when nothing else is said.
#[test]
fn one_source_leaves_room_for_others() {
    let all = "max_buffered_per_source = \"256KiB\"";
    let running = setup("max_body = \"512KiB\"")
        .replacing(all, "")
        .replacing(
            "[[listener]]",
            "[[listener]]\ntrusted_peers = [\"127.0.0.1/32\"]",
        )
        .start("held-source", taking());
    let begin = |source: &str, length: usize| {
        let mut client = running.connect();
        client.send(head(
            "/one",
            length,
            &format!("X-Forwarded-For: {source}\r\n"),
        ));
        client
    };
    let whole = |source: &str, length: usize| {
        let mut client = begin(source, length);
        let _ = client.stream.write_all(record(length).as_bytes());
        let answer = client.answer(false);
        (answer.status, answer.field("retry-after").is_some())
    };
    let part = 64 * 1024;
    assert_eq!(whole("192.0.2.1", part), (200, false));
    assert_eq!(whole("192.0.2.1", part + 1), (503, true));
    let mut half = begin("192.0.2.1", 50_000);
    half.send(&record(50_000)[..40_000]);
    holds(&running.process, |held| held >= 40_000);
    assert_eq!(whole("192.0.2.1", 40_000), (503, true));
    assert_eq!(whole("192.0.2.2", 40_000), (200, false));
    drop(half);
    holds(&running.process, |held| held == 0);
    assert_eq!(whole("192.0.2.1", 40_000), (200, false));
}

#[test]
fn bodies_that_come_in_leave_room_for_answers() {
    const ANSWER: usize = 60_000;
    let document = DOCUMENT.replace(
        "components:",
        "  /text:
    get:
      operationId: text
      responses:
        '200':
          description: ok
          content: { application/json: { schema: { $ref: '#/components/schemas/Record' } } }
components:",
    );
    let answering = backend(|_, mut client| {
        while client.request_head().is_some() {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
            client.send(format!("{head}: {ANSWER}\r\n\r\n{}", record(ANSWER)));
        }
    });
    let running = setup("max_body = \"512KiB\"\n[api.app.operation.text]\nresponses = \"reject\"")
        .file("api.yaml", &document)
        .start("held-answers", answering);
    let halves = [(); 2].map(|()| {
        let mut client = running.connect();
        client.send(head("/one", 96_000, ""));
        client.send(&record(96_000)[..95_000]);
        client
    });
    holds(&running.process, |held| held >= 190_000);
    assert_eq!(post(&running, 40_000), (503, true));
    let answer = running.ask("GET /text HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.status, answer.body.len()), (200, ANSWER));
    drop(halves);
    holds(&running.process, |held| held == 0);
}
