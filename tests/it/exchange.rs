//! Requests through a shard to a backend and back.

use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::Duration;

use portcullis::shard::Shared;
use portcullis::shard::listener::Settings;
use portcullis::shard::ring::Mode;

use crate::gateway::{Gateway, backend, echo, open_operation, settings, snapshot};

const GET: &str = "GET /a/b?c=d HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_request_arrives_and_its_answer_comes_back_in_every_mode() {
    for mode in Mode::LADDER.into_iter().filter(|mode| mode.is_available()) {
        let declared = vec![open_operation("GET", "/**"), open_operation("POST", "/**")];
        let gateway = Gateway::start(snapshot(1, echo(), declared), mode);
        let mut client = gateway.connect();
        for _ in 0..3 {
            let answer = client.ask(GET);
            let text = String::from_utf8(answer.body.clone()).unwrap();
            assert_eq!(answer.status, 200, "{mode}: {text}");
            assert!(
                text.starts_with("GET /a/b?c=d HTTP/1.1\nHost: h\n"),
                "{mode}: {text}"
            );
            assert_eq!(answer.field("x-backend"), Some("yes"));
            assert!(answer.field("x-request-id").is_some());
        }
        let answer = client.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
        assert!(answer.body.ends_with(b"\n\nhello"), "{mode}");
    }
}

#[test]
fn identity_and_forwarding_headers_of_a_client_do_not_arrive() {
    let gateway = Gateway::open(echo());
    let answer = gateway.connect().ask(
        "GET / HTTP/1.1\r\nHost: h\r\nx_user.id: root\r\nX-Forwarded-For: 6.6.6.6\r\nTraceparent: \
         00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: a=b\r\nX-Request-ID: \
         mine\r\nConnection: close, x-secret\r\nX-Secret: 1\r\nTE: trailers\r\n\r\n",
    );
    let text = String::from_utf8(answer.body.clone())
        .unwrap()
        .to_lowercase();
    for absent in [
        "root",
        "6.6.6.6",
        "4bf92f",
        "tracestate",
        "mine",
        "x-secret",
        "te:",
    ] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
    assert!(text.contains("x-forwarded-for: 127.0.0.1\n"), "{text}");
    let id = answer.field("x-request-id").unwrap();
    assert!(text.contains(&format!("x-request-id: {id}\n")));
    assert_eq!(answer.field("connection"), Some("close"));
}

#[test]
fn nobody_who_is_not_trusted_tells_the_way_of_a_request() {
    let names = [
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "x_forwarded_prefix",
        "X-Forwarded-Ssl",
        "X.Forwarded.User",
        "X-Forwarded-Client-Cert",
        "X-Forwarded",
        "X-Envoy-Original-Path",
        "X-Envoy-External-Address",
        "X-Original-Forwarded-For",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "client_ip",
        "Forwarded",
    ];
    let lines: String = names.map(|name| format!("{name}: 6.6.6.6\r\n")).concat();
    let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}X-Forwardable: yes\r\n\r\n");
    let text = |answer: crate::gateway::Answer| {
        let text = String::from_utf8(answer.body).unwrap();
        text.to_lowercase()
    };
    let gateway = Gateway::open(echo());
    let got = text(gateway.connect().ask(&request));
    assert!(!got.contains("6.6.6.6"), "{got}");
    assert!(got.contains("x-forwardable: yes\n"), "{got}");
    // A trusted proxy is believed about what no address tells, in its own spelling.
    let shared = Shared::new(
        snapshot(1, echo(), vec![open_operation("GET", "/**")]),
        1,
        Mode::probe(Mode::DeferTaskrun),
    );
    let trusting = Settings {
        trusted_peers: vec!["127.0.0.0/8".parse().unwrap()],
        ..settings()
    };
    let gateway = Gateway::serve(shared.unwrap(), trusting);
    let got = text(gateway.connect().ask(&request));
    let mut told: Vec<&str> = got
        .lines()
        .filter(|line| line.ends_with(": 6.6.6.6"))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        ["x-forwarded-host: 6.6.6.6", "x-forwarded-port: 6.6.6.6"]
    );
}

#[test]
fn an_answer_that_is_cut_off_does_not_look_whole_to_an_old_client() {
    let head = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let cut = backend(move |_, mut client| {
        client.request_head();
        client.send(head);
    });
    let gateway = Gateway::open(cut);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    let mut got = Vec::new();
    let outcome = std::io::Read::read_to_end(&mut client.stream, &mut got);
    let kind = outcome.map_err(|error| error.kind());
    assert_eq!(kind, Err(std::io::ErrorKind::ConnectionReset), "{got:?}");
    let whole = backend(move |_, mut client| {
        client.request_head();
        client.send([head, "0\r\n\r\n"].concat());
    });
    let gateway = Gateway::open(whole);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    let got = String::from_utf8(client.rest()).unwrap();
    assert!(got.ends_with("\r\n\r\nhello"), "{got}");
}

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_split() {
    let gateway = Gateway::open(echo());
    let wire = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
                GET /2 HTTP/1.1\r\nHost: h\r\n\r\n\
                POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\nT: x\r\n\r\n\
                HEAD /4 HTTP/1.1\r\nHost: h\r\n\r\n\
                GET /5 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        .as_bytes();
    for split in 0..wire.len() {
        let mut client = gateway.connect();
        client.send(&wire[..split]);
        client.send(&wire[split..]);
        for (number, body) in [("1", "abc"), ("2", ""), ("3", "def"), ("4", ""), ("5", "")] {
            let answer = client.answer(number == "4");
            assert_eq!(answer.status, 200, "split at {split}");
            let text = String::from_utf8(answer.body).unwrap();
            if number != "4" {
                assert!(
                    text.contains(&format!(" /{number} ")),
                    "split at {split}: {text}"
                );
                assert!(
                    text.ends_with(&format!("\n\n{body}")),
                    "split at {split}: {text}"
                );
            }
        }
        assert!(client.is_closed(), "split at {split}");
    }
}

#[test]
fn undeclared_paths_and_methods_do_not_exist() {
    let gateway = Gateway::start(
        snapshot(
            1,
            echo(),
            vec![
                open_operation("GET", "/known"),
                open_operation("PUT", "/known"),
            ],
        ),
        Mode::DeferTaskrun,
    );
    let mut client = gateway.connect();
    let answer = client.ask("GET /unknown HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(
        (answer.status, &*answer.problem()),
        (404, "undeclared-operation")
    );
    let answer = client.ask("POST /known HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(
        (answer.status, &*answer.problem()),
        (405, "undeclared-method")
    );
    assert_eq!(answer.field("allow"), Some("GET, PUT"));
    // The body of a refused request is read, and the connection goes on.
    assert_eq!(
        client.ask("GET /known HTTP/1.1\r\nHost: h\r\n\r\n").status,
        200
    );
}

#[test]
fn malformed_requests_are_answered_and_the_connection_ends() {
    let gateway = Gateway::open(backend(|_, mut client| {
        if client.request_head().is_some() {
            panic!("a malformed request arrived");
        }
    }));
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: h\n\n", 400),
        ("GET /../x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET /%252e HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\n\r\n", 417),
        ("GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n", 400),
    ] {
        let mut client = gateway.connect();
        let answer = client.ask(request);
        assert_eq!(answer.status, status, "{request:?}");
        let kind = match status {
            505 => "unsupported-protocol",
            _ => "malformed-request",
        };
        assert_eq!(answer.problem(), kind);
        assert_eq!(answer.field("connection"), Some("close"));
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert!(client.is_closed(), "{request:?}");
    }
}

#[test]
fn a_client_that_waits_for_leave_gets_it_only_when_it_may_send() {
    let gateway = Gateway::start(
        snapshot(1, echo(), vec![open_operation("PUT", "/known")]),
        Mode::DeferTaskrun,
    );
    let head = |path: &str| {
        format!(
            "PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut client = gateway.connect();
    client.send(head("/known"));
    assert_eq!(client.answer_head().status, 100);
    let answer = client.ask("abc");
    assert_eq!(answer.status, 200);
    assert!(
        !String::from_utf8_lossy(&answer.body)
            .to_lowercase()
            .contains("expect")
    );
    let answer = client.ask(head("/unknown"));
    assert_eq!(
        (answer.status, answer.field("connection")),
        (404, Some("close"))
    );
}

#[test]
fn large_bodies_stream_both_ways_in_both_framings() {
    let gateway = Gateway::open(echo());
    let body: Vec<u8> = (0..900_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = gateway.connect();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = client.ask([head.as_bytes(), &body].concat());
    assert!(answer.body.ends_with(&body));
    let mut wire = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in body.chunks(70_001) {
        wire.extend_from_slice(format!("{:x};ext=1\r\n", piece.len()).as_bytes());
        wire.extend_from_slice(piece);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\nTrailer: dropped\r\n\r\n");
    let answer = client.ask(wire);
    assert!(answer.body.ends_with(&body));
    assert!(!String::from_utf8_lossy(&answer.body[..400]).contains("Trailer"));
}

#[test]
fn a_body_beyond_the_limit_is_refused_told_or_not() {
    let gateway = Gateway::open(echo());
    let mut client = gateway.connect();
    let answer = client.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n");
    assert_eq!((answer.status, &*answer.problem()), (413, "body-too-large"));
    let mut client = gateway.connect();
    let chunk = [b"80000\r\n".to_vec(), vec![b'a'; 0x80000], b"\r\n".to_vec()].concat();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(&chunk);
    client.send(&chunk);
    client.send(b"1\r\na\r\n");
    let answer = client.answer(false);
    assert_eq!((answer.status, &*answer.problem()), (413, "body-too-large"));
    // One chunk, of which most passes without being looked at.
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n");
    let block = vec![b'a'; 0x80000];
    // The last of it may meet a connection that has ended.
    (0..3).for_each(|_| drop(client.stream.write_all(&block)));
    let answer = client.answer(false);
    assert_eq!((answer.status, &*answer.problem()), (413, "body-too-large"));
}

#[test]
fn every_framing_of_a_response_reaches_every_version() {
    let gateway = Gateway::open(backend(|_, mut client| {
        while let Some(request) = client.request() {
            let (answer, closes): (&[u8], bool) = match request.line.split(' ').nth(1).unwrap() {
                "/length" => (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false),
                "/chunked" => (
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nX: y\r\n\r\n",
                    false,
                ),
                "/close" => (b"HTTP/1.1 200 OK\r\n\r\nabc", true),
                "/old" => (b"HTTP/1.0 200 OK\r\n\r\nabc", true),
                _ => (b"HTTP/1.1 204 No Content\r\n\r\n", false),
            };
            client.send(answer);
            if closes {
                return;
            }
        }
    }));
    for path in ["/length", "/chunked", "/close", "/old"] {
        let mut client = gateway.connect();
        for _ in 0..2 {
            let answer = client.ask(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
            assert_eq!((answer.status, &*answer.body), (200, &b"abc"[..]), "{path}");
            assert_eq!(answer.is_chunked, path != "/length", "{path}");
        }
        assert_eq!(
            client.ask("GET /none HTTP/1.1\r\nHost: h\r\n\r\n").status,
            204
        );
        let mut old = gateway.connect();
        let answer = old.ask(format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert_eq!((answer.status, &*answer.body), (200, &b"abc"[..]), "{path}");
        assert!(!answer.is_chunked && old.is_closed(), "{path}");
    }
    let mut old = gateway.connect();
    for _ in 0..2 {
        let answer = old.ask("GET /length HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(answer.field("connection"), Some("keep-alive"));
    }
}

#[test]
fn interim_responses_are_passed_on_but_not_to_http_1_0() {
    let gateway = Gateway::open(backend(|_, mut client| {
        while client.request().is_some() {
            client.send(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            );
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
        }
    }));
    let mut client = gateway.connect();
    client.send(GET);
    let hints = client.answer_head();
    assert_eq!((hints.status, hints.field("link")), (103, Some("</a>")));
    assert_eq!(client.answer(false).body, b"a");
    let answer = gateway.connect().ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status, &*answer.body), (200, &b"a"[..]));
}

#[test]
fn a_backend_that_fails_costs_nobody_else() {
    let gateway = Gateway::open(backend(|_, mut client| {
        while let Some(request) = client.request() {
            let answer: &[u8] = match request.line.split(' ').nth(1).unwrap() {
                "/early" => return,
                "/half-head" => {
                    client.send("HTTP/1.1 200 OK\r\nX:");
                    return;
                }
                "/garbage" => b"SSH-2.0-OpenSSH\r\n\r\n",
                "/two-lengths" => {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
                }
                "/switch" => b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
                "/slow" => {
                    let _ = client.request_head();
                    return;
                }
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            };
            client.send(answer);
        }
    }));
    let mut client = gateway.connect();
    for (path, status, kind) in [
        ("/early", 502, "bad-gateway"),
        ("/half-head", 502, "bad-gateway"),
        ("/garbage", 502, "bad-gateway"),
        ("/two-lengths", 502, "bad-gateway"),
        ("/switch", 502, "bad-gateway"),
        ("/slow", 504, "backend-timeout"),
    ] {
        let answer = client.ask(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, kind),
            "{path}"
        );
        assert_eq!(client.ask(GET).status, 200, "after {path}");
    }
}

#[test]
fn a_backend_that_is_down_is_503() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let gateway = Gateway::open(address);
    let mut client = gateway.connect();
    for _ in 0..2 {
        let answer = client.ask(GET);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (503, "backend-unavailable")
        );
    }
    let answer = client.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(answer.status, 503);
    assert_eq!(client.ask(GET).status, 503);
}

#[test]
fn a_truncated_response_is_never_passed_off_as_whole() {
    let gateway = Gateway::open(backend(|_, mut client| {
        while let Some(request) = client.request() {
            client.send(match request.line.split(' ').nth(1).unwrap() {
                "/length" => &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"[..],
                "/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                _ => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nXX",
            });
            if !request.line.contains("garbage") {
                return;
            }
        }
    }));
    let garbage = gateway
        .connect()
        .ask("GET /garbage HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(garbage.status, 502);
    for path in ["/length", "/chunked"] {
        let mut client = gateway.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let head = client.answer_head();
        let rest = client.rest();
        assert_eq!(head.status, 200);
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{path}: {rest:?}");
        assert!(
            rest.len() < 10 || head.field("content-length").is_none(),
            "{path}"
        );
    }
}

#[test]
fn a_stale_connection_is_replaced_for_what_may_be_sent_again() {
    // Each connection serves one request, then closes when the next one has arrived.
    let gateway = Gateway::open(backend(|_, mut client| {
        if client.request().is_some() {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
            let _ = client.request();
        }
    }));
    let mut client = gateway.connect();
    for _ in 0..4 {
        assert_eq!(client.ask(GET).status, 200);
    }
    let mut client = gateway.connect();
    assert_eq!(client.ask(GET).status, 200);
    let answer = client.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(answer.status, 502, "a POST may have been acted upon");
}

#[test]
fn an_early_answer_ends_the_upload() {
    let gateway = Gateway::open(backend(|_, mut client| {
        if client.request_head().is_some() {
            client.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
            let _ = client.rest();
        }
    }));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\nabc");
    let answer = client.answer(false);
    assert_eq!((answer.status, &*answer.body), (403, &b"no"[..]));
    // The client never sends the rest: the connection ends, it does not hang.
    assert!(client.is_closed());
}

#[test]
fn slow_clients_are_told_and_dropped() {
    let gateway = Gateway::open(echo());
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    assert_eq!(client.answer(false).status, 408);
    assert!(client.is_closed());
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut client = gateway.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n3\r\na"
        ));
        let answer = client.answer(false);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (408, "request-timeout"),
            "{framing}"
        );
        assert!(client.is_closed());
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_costs_the_backend_no_request() {
    let (sender, receiver) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let gateway = Gateway::open(backend(move |_, mut client| {
        let whole = client.request_head().is_some() && client.rest().len() >= 10;
        sender.lock().unwrap().send(whole).unwrap();
    }));
    // A short body is waited for, a long one is passed on as it comes.
    for length in [10, 1 << 17] {
        let mut client = gateway.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\nabc"
        ));
        client.stream.shutdown(Shutdown::Write).unwrap();
        let answer = client.answer(false);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "incomplete-request")
        );
    }
    // Nothing of the first has reached the backend.
    assert!(!receiver.recv_timeout(crate::gateway::PATIENCE).unwrap());
    assert!(receiver.try_recv().is_err());
}

#[test]
fn draining_finishes_what_is_under_way_and_closes_what_is_idle() {
    let (sender, receiver) = mpsc::channel::<()>();
    let receiver = std::sync::Mutex::new(receiver);
    let mut gateway = Gateway::open(backend(move |_, mut client| {
        while client.request().is_some() {
            receiver.lock().unwrap().recv().unwrap();
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
        }
    }));
    let (mut idle, mut busy) = (gateway.connect(), gateway.connect());
    let mut last = gateway.connect();
    for client in [&mut idle, &mut last] {
        sender.send(()).unwrap();
        assert_eq!(client.ask(GET).status, 200);
    }
    busy.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n");
    gateway.drain();
    // One more request on a connection that was idle is served, with the word that it was the last.
    sender.send(()).unwrap();
    let answer = last.ask(GET);
    assert_eq!(
        (answer.status, answer.field("connection")),
        (200, Some("close"))
    );
    assert!(last.is_closed());
    busy.send("x");
    sender.send(()).unwrap();
    assert_eq!(busy.answer(false).status, 200);
    assert!(busy.is_closed());
    assert!(idle.is_closed());
    gateway.join();
}

#[test]
fn a_client_may_close_its_half_and_still_be_answered() {
    let gateway = Gateway::open(echo());
    let mut client = gateway.connect();
    client.send(GET);
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer(false).status, 200);
    assert!(client.is_closed());
    let _ = client.stream.flush();
}

#[test]
fn what_a_backend_may_take_for_a_second_request_gets_a_connection_of_its_own() {
    // A backend that does not read the body of a GET answers what stands in it.
    let gateway = Gateway::open(backend(|_, mut client| {
        while let Some(request) = client.request_head() {
            let name = request.line.split(' ').nth(1).unwrap().to_owned();
            client.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}",
                name.len()
            ));
        }
    }));
    let smuggled = "GET /admin HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut attacker = gateway.connect();
    let answer = attacker.ask(format!(
        "GET /first HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    ));
    assert_eq!(answer.body, b"/first");
    for _ in 0..20 {
        let victim = gateway
            .connect()
            .ask("GET /victim HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(victim.body, b"/victim");
    }
}

/// A body where none may be, a moment after the head: what stands in it is nobody's answer.
#[test]
fn what_comes_late_behind_an_answer_is_no_answer() {
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
    ] {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (told, late) = std::sync::mpsc::channel();
        let (wait, told) = (std::sync::Mutex::new(wait), std::sync::Mutex::new(told));
        let gateway = Gateway::open(backend(move |index, mut client| {
            if index == 0 && client.request_head().is_some() {
                client.send(head);
                wait.lock().unwrap().recv().unwrap();
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
                told.lock().unwrap().send(()).unwrap();
            }
            while client.request_head().is_some() {
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }));
        let mut attacker = gateway.connect();
        attacker.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert!(attacker.answer(method == "HEAD").status < 400);
        let mut victim = gateway.connect();
        go.send(()).unwrap();
        late.recv().unwrap();
        assert_eq!(victim.ask(GET).body, b"ok", "{head}");
    }
}

/// Bytes behind an answer, and a connection that the backend has called its last: nobody gets an
/// answer from there.
#[test]
fn a_connection_that_is_not_clean_is_not_used_again() {
    for first in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let gateway = Gateway::open(backend(move |index, mut client| {
            let mut answer = match index {
                0 => first,
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh",
            };
            while client.request_head().is_some() {
                client.send(answer);
                answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain";
            }
        }));
        let mut client = gateway.connect();
        assert_eq!(client.ask(GET).body, b"ok", "{first}");
        assert_eq!(client.ask(GET).body, b"fresh", "{first}");
    }
}

/// A body that ends with the connection, which the gateway itself has given up on, is not whole.
#[test]
fn an_end_by_force_is_no_end_of_a_body() {
    let address = backend(|_, mut client| {
        if client.request_head().is_some() {
            client.send("HTTP/1.1 200 OK\r\n\r\nabc");
            // Until the gateway ends it.
            let _ = client.rest();
        }
    });
    let mut operation = open_operation("GET", "/**");
    operation.operation.timeouts.response = Some(Duration::from_millis(100));
    let gateway = Gateway::start(snapshot(1, address, vec![operation]), Mode::DeferTaskrun);
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.answer_head().status, 200);
    let rest = client.rest();
    // One chunk, and not the one that ends a body.
    assert!(rest.ends_with(b"3\r\nabc\r\n"), "{rest:?}");
}

#[test]
fn the_id_of_a_request_is_the_gateways() {
    let gateway = Gateway::open(backend(|_, mut client| {
        while client.request_head().is_some() {
            client.send("HTTP/1.1 200 OK\r\nX-Request-ID: theirs\r\nContent-Length: 0\r\n\r\n");
        }
    }));
    let answer = gateway.connect().ask(GET);
    let ids = answer
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-request-id"));
    let ids: Vec<_> = ids.map(|(_, id)| &**id).collect();
    assert!(ids.len() == 1 && ids[0] != "theirs", "{ids:?}");
}
