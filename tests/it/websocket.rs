//! A switch to WebSocket: checked like any request, then passed on unread.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis::shard::ring::Mode;
use serde_json::json;

use crate::gateway::{Client, Gateway, PATIENCE, backend, open_operation, snapshot};
use crate::process::{bank_setup, claims};

const SWITCH: &str = "GET /accounts/a1/balances HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A backend that answers a handshake with these bytes and then echoes whatever comes.
fn echo(answer: &'static str) -> SocketAddr {
    backend(move |_, mut client| {
        let Some(request) = client.request_head() else {
            return;
        };
        if request.field("upgrade").is_none() {
            client.send("HTTP/1.1 426 x\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        assert_eq!(request.field("upgrade"), Some("websocket"));
        assert_eq!(request.field("connection"), Some("Upgrade"));
        client.send(answer);
        let mut block = [0; 4096];
        while let Ok(count @ 1..) = client.stream.read(&mut block) {
            if client.stream.write_all(&block[..count]).is_err() {
                return;
            }
        }
        let _ = client.stream.write_all(b"bye");
    })
}

/// A backend that counts requests and answers each with these bytes.
fn counting(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let seen: Arc<AtomicUsize> = Arc::default();
    let counted = seen.clone();
    let address = backend(move |_, mut client| {
        while client.request_head().is_some() {
            counted.fetch_add(1, Ordering::Relaxed);
            client.send(answer);
        }
    });
    (address, seen)
}

fn gateway(backend: SocketAddr, idle: Option<Duration>) -> Gateway {
    let mut operation = open_operation("GET", "/**");
    operation.operation.websocket = idle;
    Gateway::start(snapshot(1, backend, vec![operation]), Mode::DeferTaskrun)
}

fn exact(client: &mut Client, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    client.stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, expected);
}

/// Reads byte by byte up to the end of the head, so that what follows stays in the socket.
fn head(client: &mut Client) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn bytes_go_both_ways_after_a_switch() {
    let gateway = gateway(echo(SWITCHED), Some(PATIENCE));
    let mut client = gateway.connect();
    // What stands behind the handshake belongs to the other protocol already.
    client.send([SWITCH.as_bytes(), b"early"].concat());
    let answer = head(&mut client);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    for line in [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ] {
        assert_eq!(answer.matches(line).count(), 1, "{line} in {answer}");
    }
    exact(&mut client, b"early");
    for length in [1, 125, 70_000] {
        let message = vec![0x82; length];
        client.send(&message);
        exact(&mut client, &message);
    }
    // One side may end and still hear the other.
    client.stream.shutdown(Shutdown::Write).unwrap();
    exact(&mut client, b"bye");
    assert!(client.is_closed());
}

#[test]
fn nobody_switches_where_that_is_not_allowed() {
    let gateway = gateway(echo(SWITCHED), None);
    let answer = gateway.connect().ask(SWITCH);
    assert_eq!(answer.status, 426, "the wish did not reach the backend");
    assert_eq!(answer.field("upgrade"), None);
}

#[test]
fn a_handshake_that_is_not_one_goes_no_further() {
    let gateway = gateway(echo(SWITCHED), Some(PATIENCE));
    let answer = gateway
        .connect()
        .ask(SWITCH.replace("Version: 13", "Version: 12"));
    assert_eq!(
        (answer.status, &*answer.problem()),
        (400, "malformed-request")
    );
    // Another protocol is no WebSocket: the wish is dropped, the request is served.
    let answer = gateway.connect().ask(SWITCH.replace("websocket", "foo"));
    assert_eq!(answer.status, 426);
}

#[test]
fn nobody_goes_on_in_http_2() {
    let switched = "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let wish = SWITCH.replace("websocket", "h2c");
    let settings = SWITCH.replace("Upgrade: websocket", "HTTP2-Settings: AAMAAABk");
    for idle in [None, Some(PATIENCE)] {
        for request in [&*wish, &*settings, preface] {
            let (address, seen) = counting(switched);
            let gateway = gateway(address, idle);
            let mut client = gateway.connect();
            let answer = client.ask(format!("{request}{preface}"));
            assert_eq!(
                (answer.status, &*answer.problem()),
                (505, "unsupported-protocol"),
                "{request}"
            );
            assert!(client.is_closed());
            assert_eq!(seen.load(Ordering::Relaxed), 0, "{request}");
        }
    }
}

#[test]
fn a_backend_switches_by_the_right_answer_only() {
    for wrong in [
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 x\r\n\r\n",
    ] {
        let gateway = gateway(echo(wrong), Some(PATIENCE));
        let answer = gateway.connect().ask(SWITCH);
        assert_eq!((answer.status, &*answer.problem()), (502, "bad-gateway"));
    }
    // An answer that is no switch is an answer like any other, and bytes behind it are nobody's.
    let plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokSMUGGLED";
    let gateway = gateway(echo(plain), Some(PATIENCE));
    let mut client = gateway.connect();
    assert_eq!(client.ask(SWITCH).body, b"ok");
    assert_eq!(client.ask(SWITCH).body, b"ok");
}

#[test]
fn silence_ends_a_tunnel() {
    let gateway = gateway(echo(SWITCHED), Some(Duration::from_millis(200)));
    let mut client = gateway.connect();
    client.send(SWITCH);
    head(&mut client);
    let start = Instant::now();
    assert!(client.is_closed());
    assert!(start.elapsed() < PATIENCE / 2);
}

#[test]
fn a_tunnel_ends_with_the_token_that_opened_it() {
    let operation = "[api.bank.operation.getBalances]";
    let setup = bank_setup(1, "").replacing(operation, &format!("{operation}\nwebsocket = true"));
    let gateway = setup.start("websocket", echo(SWITCHED));
    let mut short = claims();
    // The leeway of the issuer lets it begin; the tunnel ends at the time itself.
    short["exp"] = json!(short["exp"].as_u64().unwrap() - 599);
    let token = gateway.key.sign(&short).unwrap();
    let mut client = gateway.connect();
    client.send(SWITCH.replace(
        "\r\n\r\n",
        &format!("\r\nAuthorization: Bearer {token}\r\n\r\n"),
    ));
    assert!(head(&mut client).starts_with("HTTP/1.1 101 "));
    client.send("x");
    exact(&mut client, b"x");
    let start = Instant::now();
    assert!(client.is_closed());
    assert!(start.elapsed() < PATIENCE / 2);
    // Without a token there is no way in.
    assert_eq!(gateway.ask(SWITCH).status, 401);
}
