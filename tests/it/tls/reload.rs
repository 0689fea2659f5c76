//! Certificates, authorities and revocation lists that change while connections are open.

use std::io::Write;
use std::sync::Arc;

use nix::sys::signal::Signal;
use rustls::{HandshakeKind, version};

use super::client_certificates::{numbered, showing};
use super::{Authority, answer, ask, client, connect, start};
use crate::process::{Directory, Process};

const GET: &[u8] = b"GET /open/a HTTP/1.1\r\nHost: h\r\n\r\n";

fn reload(process: &Process, generation: u64) {
    process.signal(Signal::SIGHUP);
    process.wait_for(&format!("generation {generation},"));
}

#[test]
fn a_new_certificate_serves_new_connections_and_old_ones_go_on() {
    let (directory, authority) = (Directory::new("tls-renewed"), Authority::new());
    let process = start(&directory, &authority, "");
    let old = Arc::new(client(&authority, &[&version::TLS13]));
    let mut open = connect(&process, old.clone());
    open.write_all(GET).unwrap();
    assert!(answer(&mut open).0.starts_with("HTTP/1.1 200 "));

    let other = Authority::new();
    let (chain, key) = other.issue("api.example");
    directory.write("api.example.pem", &chain);
    directory.write("api.example.key", &key);
    reload(&process, 2);
    assert!(ask(&process, old.clone(), "api.example").is_err());
    let new = Arc::new(client(&other, &[&version::TLS13]));
    assert!(ask(&process, new.clone(), "api.example").is_ok());
    open.write_all(GET).unwrap();
    assert!(answer(&mut open).0.starts_with("HTTP/1.1 200 "));

    // A key that does not fit, or half a file: all stays as it was.
    directory.write("api.example.key", &authority.issue("api.example").1);
    process.signal(Signal::SIGHUP);
    process.wait_for("do not fit");
    directory.write("api.example.key", &key);
    directory.write("api.example.pem", &chain[..chain.len() / 2]);
    process.signal(Signal::SIGHUP);
    process.wait_for("is expected");
    assert!(ask(&process, new, "api.example").is_ok());
}

#[test]
fn sessions_outlive_a_reload_that_changes_nothing_and_no_other() {
    let (directory, authority) = (Directory::new("tls-tickets"), Authority::new());
    let tls =
        "client_certificates = \"required\"\nclient_ca = \"ca.pem\"\nclient_crls = [\"ca.crl\"]";
    directory.write("ca.crl", &authority.revoke(&[9], 2100));
    let process = start(&directory, &authority, tls);
    for (round, version) in [&version::TLS12, &version::TLS13].into_iter().enumerate() {
        let first = 2 + 3 * round as u64;
        let (kept, revoked) = (numbered(&authority, 7), numbered(&authority, 8));
        let kept = showing(&authority, &kept, version);
        let revoked = showing(&authority, &revoked, version);
        for client in [&kept, &revoked] {
            let (_, kind) = ask(&process, client.clone(), "api.example").unwrap();
            assert_eq!(kind, HandshakeKind::Full);
        }
        reload(&process, first);
        for client in [&kept, &revoked] {
            let (_, kind) = ask(&process, client.clone(), "api.example").unwrap();
            assert_eq!(kind, HandshakeKind::Resumed);
        }
        directory.write("ca.crl", &authority.revoke(&[8, 9], 2100));
        reload(&process, first + 1);
        // A ticket of before does not bring back whom the list names now.
        assert!(ask(&process, revoked, "api.example").is_err());
        let (_, kind) = ask(&process, kept, "api.example").unwrap();
        assert_eq!(kind, HandshakeKind::Full);
        directory.write("ca.crl", &authority.revoke(&[9], 2100));
        reload(&process, first + 2);
    }
}
