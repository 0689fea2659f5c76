//! TLS towards backends: by the right authority, for the right name, or not at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
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
                let mut line = String::new();
                while matches!(stream.read_line(&mut line), Ok(1..)) {
                    if line == "\r\n" && stream.get_mut().write_all(ANSWER).is_err() {
                        return;
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
