//! A switch to WebSocket: checked like any request, then passed on unread.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use portcullis::policy::catalogue::WebSocket;
use portcullis::shard::Shared;
use portcullis::shard::load::Most;
use portcullis::shard::ring::Mode;
use serde_json::json;

use crate::gateway::{Client, Gateway, PATIENCE, backend, open_operation, settings, snapshot};
use crate::process::{Process, bank_setup, claims};
use crate::setup::Setup;

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
        while let Some(length) = received(&mut client) {
            if client.stream.write_all(&frame(false, length)).is_err() {
                return;
            }
        }
        let _ = client.stream.write_all(&frame(false, 3));
    })
}

/// Reads a frame of a client; how much it carried.
fn received(client: &mut Client) -> Option<usize> {
    let mut head = [0; 2];
    client.stream.read_exact(&mut head).ok()?;
    let size = match head[1] & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut digits = [0; 8];
    client.stream.read_exact(&mut digits[8 - size..]).ok()?;
    let length = match size {
        0 => usize::from(head[1] & 0x7f),
        _ => u64::from_be_bytes(digits) as usize,
    };
    client.stream.read_exact(&mut vec![0; 4 + length]).ok()?;
    Some(length)
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

fn gateway(backend: SocketAddr, websocket: Option<WebSocket>) -> Gateway {
    let mut operation = open_operation("GET", "/**");
    operation.operation.websocket = websocket;
    Gateway::start(snapshot(1, backend, vec![operation]), Mode::DeferTaskrun)
}

const PATIENT: WebSocket = WebSocket {
    idle: PATIENCE,
    time: PATIENCE,
    message: 1 << 20,
};

/// A message in one frame; those of a client are masked.
fn frame(is_masked: bool, length: usize) -> Vec<u8> {
    let mut frame = vec![0x82];
    let mask = if is_masked { 0x80 } else { 0 };
    match length {
        0..126 => frame.push(mask | length as u8),
        126..0x1_0000 => {
            frame.push(mask | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(mask | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    if is_masked {
        frame.extend([0; 4]);
    }
    frame.extend(std::iter::repeat_n(b'x', length));
    frame
}

/// The gateway says why, then it ends the connection.
fn is_closed_with(client: &mut Client, code: u16) {
    let [high, low] = code.to_be_bytes();
    exact(client, &[0x88, 2, high, low]);
    assert!(client.is_closed());
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
    let gateway = gateway(echo(SWITCHED), Some(PATIENT));
    let mut client = gateway.connect();
    // What stands behind the handshake belongs to the other protocol already.
    client.send([SWITCH.as_bytes(), &frame(true, 5)].concat());
    let answer = head(&mut client);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    for line in [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ] {
        assert_eq!(answer.matches(line).count(), 1, "{line} in {answer}");
    }
    exact(&mut client, &frame(false, 5));
    for length in [1, 125, 126, 70_000] {
        client.send(frame(true, length));
        exact(&mut client, &frame(false, length));
    }
    // Byte by byte.
    for byte in frame(true, 3) {
        client.send([byte]);
    }
    exact(&mut client, &frame(false, 3));
    // One side may end and still hear the other.
    client.stream.shutdown(Shutdown::Write).unwrap();
    exact(&mut client, &frame(false, 3));
    assert!(client.is_closed());
}

#[test]
fn the_head_of_a_switch_has_the_fields_that_are_declared() {
    const FIELDS: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\nX-Room: 7\r\nServer: secret/1.0\r\nSet-Cookie: a=b\r\n\
        X-Total: 9\r\nDate: Thu, 26 Nov 2026 00:00:00 GMT\r\n\r\n";
    let api = |responses: &str| {
        format!(
            "openapi: 3.1.0\ninfo: {{ title: T, version: '1' }}\npaths:\n  /accounts/a1/balances:\n    \
             get: {{ operationId: watch, responses: {{ {responses} }} }}\n"
        )
    };
    let room = "headers: { X-Room: { schema: { type: integer } } }";
    let own = [
        "sec-websocket-accept: ",
        "sec-websocket-protocol: chat",
        "date: ",
    ];
    for (responses, mode, kept, dropped) in [
        (
            format!("'101': {{ description: ok, {room} }}"),
            "reject",
            &["x-room: 7", "x-total: 9"][..],
            &["server:", "set-cookie:"][..],
        ),
        (
            format!("default: {{ description: ok, {room} }}"),
            "strip",
            &["x-total: 9"],
            &["x-room:", "server:", "set-cookie:"],
        ),
        (
            "default: { description: ok }".to_owned(),
            "report",
            &["x-room: 7", "server: secret", "set-cookie: a=b"],
            &[],
        ),
    ] {
        let keys = format!(
            "responses = \"{mode}\"\nresponse_headers = [\"X-Total\"]\n\
             [api.chat.operation.watch]\nwebsocket = true\n"
        );
        let running = Setup::new("chat", &api(&responses)).api(keys);
        let running = running.start("switch-fields", echo(FIELDS));
        let mut client = running.connect();
        client.send(SWITCH);
        let answer = head(&mut client).to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        for line in own.iter().chain(kept) {
            assert_eq!(answer.matches(line).count(), 1, "{line} in {answer}");
        }
        for line in dropped {
            assert!(!answer.contains(line), "{line} in {answer}");
        }
        client.send(frame(true, 5));
        exact(&mut client, &frame(false, 5));
        drop(client);
        let line = &running.lines()[0];
        let undeclared = line["undeclared_headers"].to_string().to_ascii_lowercase();
        assert!(undeclared.contains("server"), "{line}");
        assert!(!undeclared.contains("websocket"), "{line}");
    }
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
    let gateway = gateway(echo(SWITCHED), Some(PATIENT));
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
    for websocket in [None, Some(PATIENT)] {
        for request in [&*wish, &*settings, preface] {
            let (address, seen) = counting(switched);
            let gateway = gateway(address, websocket);
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
        let gateway = gateway(echo(wrong), Some(PATIENT));
        let answer = gateway.connect().ask(SWITCH);
        assert_eq!((answer.status, &*answer.problem()), (502, "bad-gateway"));
    }
    // An answer that is no switch is an answer like any other, and bytes behind it are nobody's.
    let plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokSMUGGLED";
    let gateway = gateway(echo(plain), Some(PATIENT));
    let mut client = gateway.connect();
    assert_eq!(client.ask(SWITCH).body, b"ok");
    assert_eq!(client.ask(SWITCH).body, b"ok");
}

#[test]
fn silence_ends_a_tunnel() {
    let brief = WebSocket {
        idle: Duration::from_millis(200),
        ..PATIENT
    };
    let gateway = gateway(echo(SWITCHED), Some(brief));
    let mut client = switched(&gateway);
    let start = Instant::now();
    is_closed_with(&mut client, 1001);
    assert!(start.elapsed() < PATIENCE / 2);
}

/// A client that has switched.
fn switched(gateway: &Gateway) -> Client {
    let mut client = gateway.connect();
    client.send(SWITCH);
    assert!(head(&mut client).starts_with("HTTP/1.1 101 "));
    client
}

#[test]
fn a_tunnel_has_an_end_however_much_is_said() {
    let brief = WebSocket {
        time: Duration::from_millis(300),
        ..PATIENT
    };
    let gateway = gateway(echo(SWITCHED), Some(brief));
    let mut client = switched(&gateway);
    let start = Instant::now();
    let mut said = 0;
    while start.elapsed() < PATIENCE / 2 {
        client.send(frame(true, 1));
        let mut answer = [0; 3];
        client.stream.read_exact(&mut answer).unwrap();
        if answer != *frame(false, 1) {
            assert_eq!(answer, [0x88, 2, 0x03]);
            assert!(said > 0);
            return;
        }
        said += 1;
    }
    panic!("it does not end");
}

#[test]
fn what_is_no_frame_or_too_much_goes_no_further() {
    let bounded = WebSocket {
        message: 1000,
        ..PATIENT
    };
    let gateway = gateway(echo(SWITCHED), Some(bounded));
    for (bytes, code) in [
        // Not masked, a reserved opcode, a length without end, one byte more than allowed.
        (frame(false, 1), 1002),
        (vec![0x83, 0x80, 0, 0, 0, 0], 1002),
        (
            vec![0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            1002,
        ),
        (frame(true, 1001), 1009),
    ] {
        let mut client = switched(&gateway);
        client.send(frame(true, 1000));
        exact(&mut client, &frame(false, 1000));
        client.send(bytes);
        is_closed_with(&mut client, code);
    }
    // A backend that speaks something else: its bytes do not arrive.
    let strange = backend(|_, mut client| {
        client.request_head();
        client.send(SWITCHED);
        client.send("SSH-2.0-x\r\n");
        let _ = client.stream.read(&mut [0]);
    });
    let gateway = self::gateway(strange, Some(PATIENT));
    is_closed_with(&mut switched(&gateway), 1002);
}

#[test]
fn open_tunnels_are_no_requests_under_way() {
    let mut operation = open_operation("GET", "/**");
    operation.operation.websocket = Some(PATIENT);
    let snapshot = snapshot(1, echo(SWITCHED), vec![operation]);
    let shared = Shared::new(snapshot, 1, Mode::probe(Mode::DeferTaskrun)).unwrap();
    let shared = Shared {
        most: Most {
            in_flight: 1,
            ..shared.most
        },
        ..shared
    };
    let gateway = Gateway::serve(shared, settings());
    let mut tunnels = [switched(&gateway), switched(&gateway)];
    assert_eq!(
        gateway
            .connect()
            .ask("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
            .status,
        426
    );
    for client in &mut tunnels {
        client.send(frame(true, 1));
        exact(client, &frame(false, 1));
    }
}

#[test]
fn a_drain_ends_tunnels_in_its_time() {
    let operation = "[api.bank.operation.getBalances]";
    let (directory, key) = bank_setup(1, "")
        .replacing("drain_timeout = \"10s\"", "drain_timeout = \"1s\"")
        .replacing(operation, &format!("{operation}\nwebsocket = true"))
        .write("websocket-drain", echo(SWITCHED));
    let token = key.sign(&claims()).unwrap();
    let mut process = Process::start(&directory.path("gateway.toml"));
    let mut client = process.connect();
    client.send(SWITCH.replace(
        "\r\n\r\n",
        &format!("\r\nAuthorization: Bearer {token}\r\n\r\n"),
    ));
    assert!(head(&mut client).starts_with("HTTP/1.1 101 "));
    process.signal(Signal::SIGTERM);
    is_closed_with(&mut client, 1001);
    assert_eq!(process.ended(), Some(0), "nothing was cut short");
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
    client.send(frame(true, 1));
    exact(&mut client, &frame(false, 1));
    let start = Instant::now();
    is_closed_with(&mut client, 1001);
    assert!(start.elapsed() < PATIENCE / 2);
    // Without a token there is no way in.
    assert_eq!(gateway.ask(SWITCH).status, 401);
}
