//! TLS towards backends: by the right authority, for the right name, or not at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::process::{Directory, Process, bank_setup, claims, get};
use crate::tls::Authority;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nsecret";

/// A backend for `name`; with an authority for clients it wants their certificates.
fn backend(authority: &Authority, name: &str, clients: Option<&Authority>) -> SocketAddr {
    backend_that(authority, name, clients, |_, stream| {
        stream.write_all(ANSWER)
    })
}

/// A backend that answers the requests of a connection, which are counted from one, in its own way.
fn backend_that(
    authority: &Authority,
    name: &str,
    clients: Option<&Authority>,
    answer: fn(usize, &mut StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<()>,
) -> SocketAddr {
    let (chain, key) = authority.issue(name);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let config = config.clone();
            std::thread::spawn(move || {
                let connection = ServerConnection::new(config).unwrap();
                let mut stream = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
                let (mut line, mut count) = (String::new(), 0);
                while matches!(stream.read_line(&mut line), Ok(1..)) {
                    if line == "\r\n" {
                        count += 1;
                        if answer(count, stream.get_mut()).is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

fn gateway(
    name: &str,
    backend: SocketAddr,
    authority: &Authority,
    tls: &str,
) -> (Directory, Process, String) {
    let (chain, secret) = authority.issue("gateway.example");
    let upstream = format!("[upstream.bank]\naddress = \"{backend}\"\n");
    let table = format!("{upstream}[upstream.bank.tls]\nca = \"backends.pem\"\n{tls}\n");
    let running = bank_setup(1, "")
        .replacing(&upstream, &table)
        .file("backends.pem", &authority.pem())
        .file("gateway.pem", &chain)
        .file("gateway.key", &secret)
        .start(name, backend);
    let token = running.key.sign(&claims()).unwrap();
    let request = get("/accounts/a1/balances", &token);
    (running.directory, running.process, request)
}

#[test]
fn a_backend_of_the_right_authority_and_name_is_used_and_its_connection_kept() {
    let authority = Authority::new();
    let address = backend(&authority, "bank.example", None);
    let (_directory, process, request) =
        gateway("tls-up", address, &authority, "name = \"bank.example\"");
    let mut client = process.connect();
    for _ in 0..10 {
        let answer = client.ask(&request);
        assert_eq!((answer.status, &*answer.body), (200, &b"secret"[..]));
    }
    let opened = "portcullis_upstream_connections_opened_total{upstream=\"bank\"}";
    assert!(process.metric(opened) <= 2);
}

#[test]
fn what_comes_in_one_piece_with_an_answer_is_nobodys_answer() {
    /// Bytes that are read at once by who reads records: an answer that fills them leaves the next
    /// record unread, where a look at the socket does not find it.
    const AT_ONCE: usize = 4096;
    /// Of a record of TLS 1.3 beside what it carries.
    const AROUND: usize = 22;
    let authority = Authority::new();
    let address = backend_that(&authority, "bank.example", None, |count, stream| {
        if count != 2 {
            return stream.write_all(ANSWER);
        }
        let head = |length: usize| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
            )
        };
        let room = AT_ONCE - AROUND;
        let length = room - head(1000).len();
        let mut answer = head(length).into_bytes();
        answer.resize(room, b'x');
        // Both records leave in one piece.
        stream.conn.writer().write_all(&answer)?;
        stream
            .conn
            .writer()
            .write_all(format!("{}forged", head(6)).as_bytes())?;
        let mut records = Vec::new();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut records)?;
        }
        assert!(records.len() > AT_ONCE + AROUND);
        stream.sock.write_all(&records)
    });
    let (_directory, process, request) =
        gateway("tls-late", address, &authority, "name = \"bank.example\"");
    for index in 1..=4 {
        let answer = process.connect().ask(&request);
        assert_eq!(answer.status, 200);
        let expected = if index % 2 == 1 { 6 } else { 3900 };
        assert!(answer.body.len() >= expected, "{index}");
        assert!(
            !answer.body.ends_with(b"forged"),
            "{index}: another's answer"
        );
    }
}

#[test]
fn another_name_or_another_authority_is_nobody() {
    let authority = Authority::new();
    let address = backend(&authority, "bank.example", None);
    for (directory, trusted, tls) in [
        ("tls-name", &authority, "name = \"other.example\""),
        ("tls-address", &authority, ""),
        ("tls-ca", &Authority::new(), "name = \"bank.example\""),
    ] {
        let (directory, process, request) = gateway(directory, address, trusted, tls);
        let answer = process.connect().ask(&request);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (503, "backend-unavailable"),
            "{tls}"
        );
        let line = &process.lines(&directory)[0];
        let reason = line["detail"].as_str().unwrap_or_default();
        assert!(reason.contains("certificate"), "{line}");
    }
}

#[test]
fn a_backend_may_ask_for_the_certificate_of_the_gateway() {
    let authority = Authority::new();
    let address = backend(&authority, "bank.example", Some(&authority));
    let shown = "name = \"bank.example\"\n\
        certificate = { chain = \"gateway.pem\", key = \"file:gateway.key\" }";
    let (_directory, process, request) = gateway("tls-mutual", address, &authority, shown);
    assert_eq!(process.connect().ask(&request).status, 200);
    let (_directory, process, request) = gateway(
        "tls-not-mutual",
        address,
        &authority,
        "name = \"bank.example\"",
    );
    assert!(process.connect().ask(&request).status >= 502);
}

#[test]
fn an_answer_in_the_clear_is_not_passed_on() {
    // CVE-2026-1642: bytes before the handshake are nobody's answer.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(ANSWER);
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    let authority = Authority::new();
    let (_directory, process, request) =
        gateway("tls-clear", address, &authority, "name = \"bank.example\"");
    let answer = process.connect().ask(&request);
    assert_eq!(
        (answer.status, &*answer.problem()),
        (503, "backend-unavailable")
    );
}
