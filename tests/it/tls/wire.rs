//! What the wire may do to a session: any split, noise, silence, both ways at once, an end at any
//! point.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, version};

use super::{Authority, answer, client, connect, start};
use crate::gateway::{Client, PATIENCE};
use crate::process::{Directory, Process};

const GET: &str = "GET /open/a HTTP/1.1\r\nHost: h\r\n\r\n";

fn gateway(name: &str) -> (Directory, Authority, Process) {
    let (directory, authority) = (Directory::new(name), Authority::new());
    let process = start(&directory, &authority, "");
    (directory, authority, process)
}

/// The first flight of a client.
fn hello(authority: &Authority) -> (ClientConnection, Vec<u8>) {
    let config = Arc::new(client(authority, &[&version::TLS13]));
    let name = ServerName::try_from("api.example").unwrap();
    let mut session = ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut bytes).unwrap();
    }
    (session, bytes)
}

/// Whether the other side closes without a byte of HTTP.
fn ends(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut rest);
    rest
}

fn serves(process: &Process, authority: &Authority) {
    let config = Arc::new(client(authority, &[&version::TLS13]));
    let mut stream = connect(process, config);
    stream.write_all(GET.as_bytes()).unwrap();
    assert!(answer(&mut stream).0.starts_with("HTTP/1.1 200 "));
}

/// Passes on in pieces of one byte what a session writes.
struct Drops(TcpStream);

impl Read for Drops {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Drops {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let (_directory, authority, process) = gateway("tls-drops");
    for version in [&version::TLS12, &version::TLS13] {
        let config = Arc::new(client(&authority, &[version]));
        let name = ServerName::try_from("api.example").unwrap();
        let session = ClientConnection::new(config, name).unwrap();
        let socket = TcpStream::connect(process.address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, Drops(socket));
        for _ in 0..3 {
            stream.write_all(GET.as_bytes()).unwrap();
            assert!(answer(&mut stream).0.starts_with("HTTP/1.1 200 "));
        }
    }
}

#[test]
fn a_hello_in_many_records_is_one_hello() {
    let (_directory, authority, process) = gateway("tls-records");
    let (mut session, bytes) = hello(&authority);
    // One handshake record becomes many of a few bytes each (RFC 8446 section 5.1).
    let (head, content) = bytes.split_at(5);
    let mut records = Vec::new();
    for piece in content.chunks(7) {
        records.extend_from_slice(&head[..3]);
        records.extend_from_slice(&(piece.len() as u16).to_be_bytes());
        records.extend_from_slice(piece);
    }
    let mut socket = TcpStream::connect(process.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(&records).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut socket).unwrap();
    }
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    stream.write_all(GET.as_bytes()).unwrap();
    assert!(answer(&mut stream).0.starts_with("HTTP/1.1 200 "));
}

#[test]
fn what_is_no_tls_is_never_served_and_harms_nobody() {
    let (_directory, authority, process) = gateway("tls-noise");
    let (_, bytes) = hello(&authority);
    let mut huge = vec![22, 3, 1, 255, 255];
    huge.resize(70_000, 0);
    for noise in [
        GET.as_bytes().to_vec(),
        vec![0; 400],
        vec![22, 3, 1, 0, 0, 22, 3, 1, 0, 0],
        huge,
        [&bytes[..], &[21, 3, 3, 0, 2, 1, 0]].concat(),
        [&bytes[..], GET.as_bytes()].concat(),
    ] {
        let mut socket = TcpStream::connect(process.address).unwrap();
        // It may be gone before all is written.
        let _ = socket.write_all(&noise);
        let _ = socket.shutdown(Shutdown::Write);
        let rest = ends(socket);
        assert!(!rest.windows(5).any(|five| five == b"HTTP/"), "{rest:?}");
        serves(&process, &authority);
    }
    for cut in [0, 1, 5, 100, bytes.len() - 1, bytes.len()] {
        let mut socket = TcpStream::connect(process.address).unwrap();
        socket.write_all(&bytes[..cut]).unwrap();
        drop(socket);
    }
    serves(&process, &authority);
}

#[test]
fn both_ways_at_once_and_new_keys_in_between() {
    let (_directory, authority, process) = gateway("tls-duplex");
    let config = Arc::new(client(&authority, &[&version::TLS13]));
    let mut stream = connect(&process, config);
    let body = vec![b'x'; 3 << 20];
    for round in 0..3 {
        let head = format!(
            "POST /open/a HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        let (head, echoed) = answer(&mut stream);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(echoed.len() > body.len(), "{round}: {}", echoed.len());
        stream.conn.refresh_traffic_keys().unwrap();
    }
}

#[test]
fn requests_behind_one_another_are_answered_in_order_and_the_end_is_told() {
    let (_directory, authority, process) = gateway("tls-pipeline");
    let config = Arc::new(client(&authority, &[&version::TLS13]));
    let mut stream = connect(&process, config);
    let last = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    stream
        .write_all([GET, GET, &last].concat().as_bytes())
        .unwrap();
    for _ in 0..3 {
        assert!(answer(&mut stream).0.starts_with("HTTP/1.1 200 "));
    }
    // Without close_notify this would be an error: a cut connection.
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_handshake_that_does_not_come_to_an_end_is_ended() {
    let (directory, authority, process) = gateway("tls-silent");
    let text = std::fs::read_to_string(directory.path("gateway.toml")).unwrap();
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let hurried = format!("{listener}handshake_timeout = \"200ms\"\n");
    directory.write("gateway.toml", &text.replacen(listener, &hurried, 1));
    drop(process);
    let process = Process::start(&directory.path("gateway.toml"));
    let (_, bytes) = hello(&authority);
    for cut in [1, 20, bytes.len() - 1] {
        let mut socket = TcpStream::connect(process.address).unwrap();
        socket.write_all(&bytes[..cut]).unwrap();
        assert_eq!(ends(socket), b"");
    }
    let mut plain = Client::connect(process.address);
    assert!(plain.is_closed(), "a connection without a byte");
}

/// The machine of a client that has Nagle's algorithm on keeps its request back until the end of the
/// handshake is acknowledged: something must come at once. And what has waited for long is served.
#[test]
fn tickets_come_before_the_first_request_is_sent() {
    let (_directory, authority, process) = gateway("tls-tickets-first");
    let config = Arc::new(client(&authority, &[&version::TLS13]));
    let name = ServerName::try_from("api.example").unwrap();
    let mut session = ClientConnection::new(config, name).unwrap();
    let mut socket = TcpStream::connect(process.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut socket).unwrap();
    }
    while session.wants_write() {
        session.write_tls(&mut socket).unwrap();
    }
    while session.tls13_tickets_received() == 0 {
        assert!(session.read_tls(&mut socket).unwrap() > 0);
        session.process_new_packets().unwrap();
    }
    let mut stream = rustls::StreamOwned::new(session, socket);
    for _ in 0..2 {
        // Nothing comes for longer than a connection keeps its buffers. They are lent again, also
        // for a request that comes in two records.
        let quiet = Some(Duration::from_millis(300));
        stream.sock.set_read_timeout(quiet).unwrap();
        assert!(stream.sock.read(&mut [0]).is_err());
        stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        let (first, second) = GET.split_at(9);
        stream.write_all(first.as_bytes()).unwrap();
        stream.write_all(second.as_bytes()).unwrap();
        assert!(answer(&mut stream).0.starts_with("HTTP/1.1 200 "));
    }
}
