//! Client certificates: who is let in, who is not, and what a session remembers of it.

use std::sync::Arc;

use rcgen::{SerialNumber, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, version};

use crate::process::Directory;
use crate::tls::{Authority, ask, client, start};

const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A client that shows a certificate.
pub fn showing(
    authority: &Authority,
    (chain, key): &(String, String),
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let chain = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![chain], key);
    Arc::new(config.unwrap())
}

pub fn numbered(authority: &Authority, serial: u64) -> (String, String) {
    authority.issue_with("client", |params| {
        params.serial_number = Some(SerialNumber::from(serial));
    })
}

#[test]
fn they_are_asked_for_and_verified() {
    let (directory, authority) = (Directory::new("mtls"), Authority::new());
    let tls = "client_certificates = \"required\"\nclient_ca = \"ca.pem\"";
    let process = start(&directory, &authority, tls);
    let expired = authority.issue_with("client", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let of_tomorrow = authority.issue_with("client", |params| {
        params.not_before = date_time_ymd(2100, 1, 1);
        params.not_after = date_time_ymd(2101, 1, 1);
    });
    for version in BOTH {
        let may = |shown: &(String, String)| {
            ask(&process, showing(&authority, shown, version), "api.example").is_ok()
        };
        assert!(may(&authority.issue("client")));
        assert!(!may(&Authority::new().issue("client")), "a stranger's");
        assert!(!may(&expired) && !may(&of_tomorrow));
        let without = Arc::new(client(&authority, &[version]));
        assert!(ask(&process, without, "api.example").is_err());
    }
}

#[test]
fn optional_ones_must_be_valid_if_they_are_shown() {
    let (directory, authority) = (Directory::new("optional"), Authority::new());
    let tls = "client_certificates = \"optional\"\nclient_ca = \"ca.pem\"";
    let process = start(&directory, &authority, tls);
    for version in BOTH {
        let without = Arc::new(client(&authority, &[version]));
        assert!(ask(&process, without, "api.example").is_ok());
        let good = showing(&authority, &authority.issue("client"), version);
        assert!(ask(&process, good, "api.example").is_ok());
        let bad = showing(&authority, &Authority::new().issue("client"), version);
        assert!(ask(&process, bad, "api.example").is_err());
    }
}

#[test]
fn revoked_ones_are_refused_and_a_stale_list_lets_nobody_in() {
    let (directory, authority) = (Directory::new("revoked"), Authority::new());
    let tls =
        "client_certificates = \"required\"\nclient_ca = \"ca.pem\"\nclient_crls = [\"ca.crl\"]";
    directory.write("ca.crl", &authority.revoke(&[7, 9], 2100));
    let process = start(&directory, &authority, tls);
    for version in BOTH {
        for (serial, is_good) in [(7, false), (8, true), (9, false)] {
            let shown = showing(&authority, &numbered(&authority, serial), version);
            let outcome = ask(&process, shown, "api.example");
            assert_eq!(outcome.is_ok(), is_good, "{serial}: {outcome:?}");
        }
    }
    drop(process);
    directory.write("ca.crl", &authority.revoke(&[7], 2025));
    let process = start(&directory, &authority, tls);
    let shown = showing(&authority, &numbered(&authority, 8), &version::TLS13);
    assert!(ask(&process, shown, "api.example").is_err());
}

/// A session of a listener that asks nobody for a certificate is worth nothing on one that does.
#[test]
fn sessions_do_not_cross_policies() {
    let authority = Authority::new();
    let (open, closed) = (Directory::new("cross-open"), Directory::new("cross-closed"));
    let open = (start(&open, &authority, ""), open);
    let tls = "client_certificates = \"optional\"\nclient_ca = \"ca.pem\"";
    let closed = (start(&closed, &authority, tls), closed);
    for version in BOTH {
        let client = showing(&authority, &authority.issue("client"), version);
        for (process, _) in [&open, &closed, &open] {
            let (_, kind) = ask(process, client.clone(), "api.example").unwrap();
            assert_eq!(kind, HandshakeKind::Full);
        }
        let (_, kind) = ask(&open.0, client, "api.example").unwrap();
        assert_eq!(kind, HandshakeKind::Resumed);
    }
}
