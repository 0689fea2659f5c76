//! Requests and responses that two parties could read in two ways. Each is refused with a definite
//! status, the connection ends, and nothing of it reaches the other side.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::gateway::{Client, Gateway, backend};

/// A backend that notes every request line and answers.
fn noting() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = seen.clone();
    let address = backend(move |_, mut client| {
        while let Some(request) = client.request() {
            noted.lock().unwrap().push(request.line);
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    (address, seen)
}

/// What a client reads until the end: statuses in their order.
fn statuses(client: &mut Client) -> Vec<u16> {
    let mut bytes = Vec::new();
    // A reset after the answer is as good an end as any.
    let _ = client.stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.split("HTTP/1.1 ").skip(1);
    lines.map(|line| line[..3].parse().unwrap()).collect()
}

const CANARY: &str = "GET /canary HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn no_request_that_can_be_read_in_two_ways_arrives() {
    let post =
        |fields: &str, body: &str| format!("POST /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}");
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let get = |line: &str, fields: &str| format!("{line}\r\n{fields}\r\n");
    let many = "X: y\r\n".repeat(200);
    let cases: Vec<(&str, String, u16)> = vec![
        // Content-Length.
        (
            "cl-te",
            post(
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            400,
        ),
        (
            "te-cl",
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                "0\r\n\r\n",
            ),
            400,
        ),
        (
            "cl-differ",
            post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"),
            400,
        ),
        (
            "cl-same-twice",
            post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
            400,
        ),
        ("cl-list", post("Content-Length: 3, 3\r\n", "abc"), 400),
        ("cl-plus", post("Content-Length: +3\r\n", "abc"), 400),
        ("cl-minus", post("Content-Length: -3\r\n", "abc"), 400),
        ("cl-hex", post("Content-Length: 0x3\r\n", "abc"), 400),
        (
            "cl-underscore",
            post("Content-Length: 1_0\r\n", "0123456789"),
            400,
        ),
        ("cl-empty", post("Content-Length:\r\n", "abc"), 400),
        ("cl-spaces", post("Content-Length: 3 3\r\n", "abc"), 400),
        (
            "cl-overflow",
            post("Content-Length: 18446744073709551617\r\n", "a"),
            400,
        ),
        ("cl-comma-empty", post("Content-Length: ,3\r\n", "abc"), 400),
        // Transfer-Encoding.
        (
            "te-identity",
            post("Transfer-Encoding: identity\r\n", "abc"),
            400,
        ),
        (
            "te-gzip",
            post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "te-not-last",
            post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "te-twice",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            400,
        ),
        (
            "te-twice-in-one",
            post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "te-x",
            post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "te-quoted",
            post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "te-vertical-tab",
            post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "te-parameter",
            post("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"),
            400,
        ),
        ("te-empty", post("Transfer-Encoding:\r\n", "0\r\n\r\n"), 400),
        (
            "te-1.0",
            "POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            400,
        ),
        (
            "te-space-colon",
            post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "te-folded",
            post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        // What a backend that takes `_` for `-` may read as framing.
        (
            "te-underscore",
            post("Content-Length: 3\r\nTransfer_Encoding: chunked\r\n", "abc"),
            400,
        ),
        (
            "cl-underscore-name",
            post("Content-Length: 3\r\nContent_Length: 1\r\n", "abc"),
            400,
        ),
        ("cl-dot-name", post("Content.Length: 3\r\n", "abc"), 400),
        // What a backend may take for another method or path.
        (
            "method-override",
            get(
                "GET /a HTTP/1.1",
                "Host: h\r\nX_HTTP_Method-Override: DELETE\r\nConnection: close\r\n",
            ),
            400,
        ),
        (
            "original-url",
            get(
                "GET /a HTTP/1.1",
                "Host: h\r\nX-Original-URL: /admin\r\nConnection: close\r\n",
            ),
            400,
        ),
        // Lines.
        ("bare-lf", "GET /a HTTP/1.1\nHost: h\n\n".into(), 400),
        (
            "bare-lf-in-field",
            get("GET /a HTTP/1.1", "Host: h\r\nX: a\nY: b\r\n"),
            400,
        ),
        (
            "bare-cr",
            get("GET /a HTTP/1.1", "Host: h\r\nX: a\rb\r\n"),
            400,
        ),
        ("nul", get("GET /a HTTP/1.1", "Host: h\r\nX: a\0b\r\n"), 400),
        (
            "fold",
            get("GET /a HTTP/1.1", "Host: h\r\nX: a\r\n b\r\n"),
            400,
        ),
        (
            "fold-first",
            get("GET /a HTTP/1.1", " X: a\r\nHost: h\r\n"),
            400,
        ),
        (
            "space-before-colon",
            get("GET /a HTTP/1.1", "Host: h\r\nX : a\r\n"),
            400,
        ),
        (
            "empty-name",
            get("GET /a HTTP/1.1", "Host: h\r\n: a\r\n"),
            400,
        ),
        (
            "no-colon",
            get("GET /a HTTP/1.1", "Host: h\r\nX a\r\n"),
            400,
        ),
        (
            "name-bytes",
            get("GET /a HTTP/1.1", "Host: h\r\nX(y): a\r\n"),
            400,
        ),
        (
            "many-fields",
            get("GET /a HTTP/1.1", &format!("Host: h\r\n{many}")),
            431,
        ),
        (
            "long-field",
            get(
                "GET /a HTTP/1.1",
                &format!("Host: h\r\nX: {}\r\n", "y".repeat(20_000)),
            ),
            431,
        ),
        // Host.
        ("no-host", get("GET /a HTTP/1.1", ""), 400),
        (
            "two-hosts",
            get("GET /a HTTP/1.1", "Host: h\r\nHost: h\r\n"),
            400,
        ),
        ("host-list", get("GET /a HTTP/1.1", "Host: h, i\r\n"), 400),
        ("host-path", get("GET /a HTTP/1.1", "Host: h/x\r\n"), 400),
        ("host-user", get("GET /a HTTP/1.1", "Host: u@h\r\n"), 400),
        ("host-space", get("GET /a HTTP/1.1", "Host: h x\r\n"), 400),
        (
            "absolute-differs",
            get("GET http://other/a HTTP/1.1", "Host: h\r\n"),
            400,
        ),
        // The request line.
        ("http-0.9", "GET /a\r\n".into(), 400),
        ("http-2", get("GET /a HTTP/2.0", "Host: h\r\n"), 505),
        ("http-1.2", get("GET /a HTTP/1.2", "Host: h\r\n"), 505),
        ("http-lower", get("GET /a http/1.1", "Host: h\r\n"), 505),
        (
            "space-in-target",
            get("GET /a b HTTP/1.1", "Host: h\r\n"),
            505,
        ),
        ("tab", get("GET\t/a HTTP/1.1", "Host: h\r\n"), 400),
        ("two-spaces", get("GET  /a HTTP/1.1", "Host: h\r\n"), 400),
        ("method-bytes", get("G@T /a HTTP/1.1", "Host: h\r\n"), 400),
        (
            "connect",
            get("CONNECT h:80 HTTP/1.1", "Host: h:80\r\n"),
            400,
        ),
        ("fragment", get("GET /a#b HTTP/1.1", "Host: h\r\n"), 400),
        ("backslash", get("GET /a\\b HTTP/1.1", "Host: h\r\n"), 400),
        (
            "long-line",
            get(
                &format!("GET /{} HTTP/1.1", "a".repeat(9000)),
                "Host: h\r\n",
            ),
            414,
        ),
        // The path.
        ("dot-dot", get("GET /a/../b HTTP/1.1", "Host: h\r\n"), 400),
        (
            "encoded-dot-dot",
            get("GET /a/%2e%2e/b HTTP/1.1", "Host: h\r\n"),
            400,
        ),
        (
            "double-encoded",
            get("GET /a/%252e%252e/b HTTP/1.1", "Host: h\r\n"),
            400,
        ),
        (
            "encoded-slash",
            get("GET /a%2fb HTTP/1.1", "Host: h\r\n"),
            400,
        ),
        (
            "encoded-backslash",
            get("GET /a%5cb HTTP/1.1", "Host: h\r\n"),
            400,
        ),
        (
            "encoded-nul",
            get("GET /a%00b HTTP/1.1", "Host: h\r\n"),
            400,
        ),
        (
            "overlong",
            get("GET /a%c0%afb HTTP/1.1", "Host: h\r\n"),
            400,
        ),
        ("bad-escape", get("GET /a%zz HTTP/1.1", "Host: h\r\n"), 400),
        (
            "parameters",
            get("GET /a;b=c/d HTTP/1.1", "Host: h\r\n"),
            400,
        ),
        ("empty-segment", get("GET //a HTTP/1.1", "Host: h\r\n"), 400),
        // An expectation that nobody knows.
        (
            "expect",
            post("Expect: 200-ok\r\nContent-Length: 1\r\n", "a"),
            417,
        ),
    ];
    let in_body: Vec<(&str, String)> = vec![
        ("chunk-negative", chunked("-1\r\n\r\n")),
        ("chunk-plus", chunked("+1\r\na\r\n0\r\n\r\n")),
        ("chunk-0x", chunked("0x1\r\na\r\n0\r\n\r\n")),
        ("chunk-underscore", chunked("1_0\r\n")),
        ("chunk-empty", chunked("\r\na\r\n0\r\n\r\n")),
        ("chunk-space", chunked(" 1\r\na\r\n0\r\n\r\n")),
        ("chunk-wrap", chunked("10000000000000001\r\na\r\n0\r\n\r\n")),
        ("chunk-max", chunked("ffffffffffffffff\r\na\r\n0\r\n\r\n")),
        ("chunk-lf", chunked("1\na\r\n0\r\n\r\n")),
        (
            "chunk-extension-quoted",
            chunked(&format!("1;a=\"\r\nX\r\n0\r\n\r\n{CANARY}")),
        ),
        ("chunk-extension-lf", chunked("1;a\nb\r\na\r\n0\r\n\r\n")),
        ("chunk-extension-cr", chunked("1;a\rb\r\na\r\n0\r\n\r\n")),
        (
            "chunk-extension-long",
            chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(5000))),
        ),
        ("chunk-data-end", chunked("1\r\naXX0\r\n\r\n")),
        ("chunk-data-long", chunked("1\r\nab\r\n0\r\n\r\n")),
        ("trailer-bad", chunked("0\r\nX y\r\n\r\n")),
        (
            "trailer-long",
            chunked(&format!("0\r\nX: {}\r\n\r\n", "y".repeat(20_000))),
        ),
    ];
    let (address, seen) = noting();
    let gateway = Gateway::open(address);
    let mut wrong = Vec::new();
    for (name, request, expected) in &cases {
        let mut client = gateway.connect();
        // The rest may be refused before it is all written.
        let _ = std::io::Write::write_all(&mut client.stream, request.as_bytes());
        let _ = std::io::Write::write_all(&mut client.stream, CANARY.as_bytes());
        let got = statuses(&mut client);
        if got != [*expected] {
            wrong.push(format!("{name}: {got:?} instead of {expected}"));
        }
        assert_eq!(seen.lock().unwrap().len(), 0, "{name} arrived");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (name, request) in &in_body {
        let mut client = gateway.connect();
        let _ = std::io::Write::write_all(&mut client.stream, request.as_bytes());
        let _ = std::io::Write::write_all(&mut client.stream, CANARY.as_bytes());
        assert_eq!(statuses(&mut client), [400], "{name}");
        // A head may have gone ahead of a streamed body; what stands behind it never does.
        let seen = seen.lock().unwrap();
        assert!(
            seen.iter().all(|line| !line.contains("canary")),
            "{name}: {seen:?}"
        );
    }
    // And after all of it the gateway serves.
    assert_eq!(gateway.connect().ask(CANARY).body, b"ok");
}

#[test]
fn no_response_that_can_be_read_in_two_ways_is_passed_on() {
    let many = "X: y\r\n".repeat(200);
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20);
    let cases: Vec<(&str, String)> = vec![
        ("garbage", "SSH-2.0-OpenSSH\r\n\r\n".into()),
        ("http-0.9", "<html>\r\n\r\n".into()),
        (
            "http-2",
            "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok".into(),
        ),
        (
            "status",
            "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok".into(),
        ),
        (
            "status-letters",
            "HTTP/1.1 2xx OK\r\nContent-Length: 2\r\n\r\nok".into(),
        ),
        (
            "cl-te",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .into(),
        ),
        (
            "cl-differ",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!".into(),
        ),
        (
            "cl-plus",
            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok".into(),
        ),
        (
            "te-unknown",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok".into(),
        ),
        ("bare-lf", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".into()),
        (
            "fold",
            "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok".into(),
        ),
        (
            "space-colon",
            "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok".into(),
        ),
        (
            "nul",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok".into(),
        ),
        (
            "many",
            format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 2\r\n\r\nok"),
        ),
        (
            "interim-flood",
            format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ),
        ("switch", "HTTP/1.1 101 x\r\nUpgrade: foo\r\n\r\n".into()),
        ("cut-head", "HTTP/1.1 200 OK\r\nContent-Le".into()),
        (
            "chunk-first",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n".into(),
        ),
    ];
    for (name, response) in cases {
        let broken = backend(move |_, mut client| {
            while client.request().is_some() {
                client.send(&response);
                let _ = client.stream.shutdown(std::net::Shutdown::Write);
            }
        });
        let gateway = Gateway::open(broken);
        let mut client = gateway.connect();
        let mut answer = client.ask(CANARY);
        while answer.status == 103 {
            answer = client.answer(false);
        }
        assert_eq!(
            (answer.status, &*answer.problem()),
            (502, "bad-gateway"),
            "{name}"
        );
        // The client's connection is as good as before.
        let again = client.ask(CANARY).status;
        assert!(matches!(again, 502 | 103), "{name}: {again}");
    }
}
