//! The whole connection as one state machine: whatever the bytes are, and however the network cuts
//! them into pieces, a client gets the same answers and the backend the same requests.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::fuzz::{inputs, mutated};
use crate::gateway::{Gateway, PATIENCE};

/// Mutations of each kept input; each is two connections.
const MUTATIONS: usize = 40;

/// A backend that answers with what it got, and is not disturbed by what breaks off.
fn reflecting() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || reflect(stream));
        }
    });
    address
}

fn reflect(mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let first = line(&mut reader)?;
        let mut told = first.clone() + "|";
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let field = line(&mut reader)?;
            let Some((name, value)) = field.split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "transfer-encoding" => is_chunked = true,
                // Names that are new each time.
                "x-request-id" | "traceparent" => {}
                _ => told += &format!("{name}={value}|"),
            }
        }
        let mut body = Vec::new();
        if is_chunked {
            loop {
                let size = usize::from_str_radix(&line(&mut reader)?, 16).ok()?;
                let at = body.len();
                body.resize(at + size, 0);
                reader.read_exact(&mut body[at..]).ok()?;
                line(&mut reader)?;
                if size == 0 {
                    break;
                }
            }
        } else {
            body.resize(length, 0);
            reader.read_exact(&mut body).ok()?;
        }
        // A body whose length was known when the head was sent may be told either way.
        let mut answer = told.into_bytes();
        answer.extend_from_slice(&body);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        if !first.starts_with("HEAD ") {
            stream.write_all(&answer).ok()?;
        }
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|&count| count > 0)?;
    Some(line.trim_end().to_owned())
}

/// One after the other: statuses and bodies, without what is new each time.
type Events = Vec<(u16, Vec<u8>)>;

/// Sends the pieces, says that this was all, and reads to the end.
fn events<'a>(gateway: SocketAddr, pieces: impl Iterator<Item = &'a [u8]>) -> Events {
    let mut stream = TcpStream::connect(gateway).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        // Whoever was refused may be sent no more.
        if stream.write_all(piece).is_err() {
            break;
        }
        std::thread::yield_now();
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    answers(&bytes)
}

fn answers(mut bytes: &[u8]) -> Events {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let end = memchr::memmem::find(bytes, b"\r\n\r\n").expect("a whole head") + 4;
        let head = std::str::from_utf8(&bytes[..end])
            .unwrap()
            .to_ascii_lowercase();
        let status: u16 = head.strip_prefix("http/1.1 ").unwrap()[..3]
            .parse()
            .unwrap();
        let length = head.split("content-length: ").nth(1);
        let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        bytes = &bytes[end..];
        // An answer to HEAD tells a length and has no body.
        let is_there = bytes.len() >= length && !bytes.starts_with(b"HTTP/1.1 ");
        let (body, rest) = bytes.split_at(if is_there { length } else { 0 });
        bytes = rest;
        let is_problem = head.contains("application/problem+json");
        events.push((
            status,
            if is_problem {
                Vec::new()
            } else {
                body.to_vec()
            },
        ));
    }
    events
}

fn cut<'a>(bytes: &'a [u8], ends: &[usize]) -> VecDeque<&'a [u8]> {
    let mut ends: Vec<usize> = ends.iter().map(|end| end % (bytes.len() + 1)).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.dedup();
    ends.windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect()
}

/// A good request, or one that ends the connection.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let field = "[a-z]{1,12}: [ -~]{0,40}\r\n";
    let fields = vec(field, 0..4).prop_map(|fields| fields.concat().replace(": ", ": v"));
    let body = vec(any::<u8>(), 0..3000);
    prop_oneof![
        6 => ("[a-z]{1,20}", fields.clone()).prop_map(|(path, fields)| {
            format!("GET /{path} HTTP/1.1\r\nHost: h\r\n{}\r\n", named(&fields)).into_bytes()
        }),
        6 => (body.clone(), fields).prop_map(|(body, fields)| {
            let head = format!("POST /b HTTP/1.1\r\nHost: h\r\n{}Content-Length: {}\r\n\r\n", named(&fields), body.len());
            [head.as_bytes(), &body].concat()
        }),
        6 => (vec(body, 0..4), any::<bool>()).prop_map(|(chunks, has_trailer)| {
            let mut all = b"PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                all.extend_from_slice(chunk);
                all.extend_from_slice(b"\r\n");
            }
            all.extend_from_slice(if has_trailer { b"0\r\nA: b\r\n\r\n" } else { b"0\r\n\r\n" });
            all
        }),
        1 => Just(b"\r\nGET /after-an-empty-line HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()),
        1 => Just(b"DELETE /undeclared HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()),
        1 => Just(b"GET /a/../b HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()),
        1 => Just(b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec()),
        1 => Just(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\na".to_vec()),
        1 => Just(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc".to_vec()),
    ]
}

/// Field names that mean nothing to anybody.
fn named(fields: &str) -> String {
    fields.lines().map(|line| format!("x-{line}\r\n")).collect()
}

#[test]
fn however_requests_are_split_the_same_happens() {
    let gateway = Gateway::open(reflecting());
    let mut runner = TestRunner::new(Config {
        cases: 150,
        failure_persistence: None,
        ..Config::default()
    });
    let cases = (vec(request(), 1..6), vec(any::<usize>(), 0..40));
    let outcome = runner.run(&cases, |(requests, ends)| {
        let bytes = requests.concat();
        let whole = events(gateway.address, std::iter::once(&*bytes));
        prop_assert!(!whole.is_empty());
        let split = events(gateway.address, cut(&bytes, &ends).into_iter());
        prop_assert_eq!(whole, split);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn byte_by_byte_is_no_different() {
    let gateway = Gateway::open(reflecting());
    for bytes in inputs("connection") {
        let whole = events(gateway.address, std::iter::once(&*bytes));
        assert_eq!(whole, events(gateway.address, bytes.chunks(1)));
    }
}

/// Bytes that are no requests any more, or others.
#[test]
fn whatever_comes_the_same_happens() {
    let gateway = Gateway::open(reflecting());
    let inputs = inputs("connection");
    let mut random = fastrand::Rng::with_seed(0x0005_EED5);
    for input in &inputs {
        for _ in 0..MUTATIONS {
            let bytes = mutated(input, &inputs, &mut random);
            // A client that waits for leave is given it or not, depending on what has come.
            let asks_leave = memchr::memmem::find(&bytes.to_ascii_lowercase(), b"expect").is_some();
            if bytes.is_empty() || asks_leave {
                continue;
            }
            let ends: Vec<usize> = (0..random.usize(1..8))
                .map(|_| random.usize(..1 << 16))
                .collect();
            let whole = events(gateway.address, std::iter::once(&*bytes));
            let split = events(gateway.address, cut(&bytes, &ends).into_iter());
            assert_eq!(
                whole,
                split,
                "{ends:?} {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}
