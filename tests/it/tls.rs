//! TLS towards clients, with a client that is not ours.

mod client_certificates;
mod reload;
mod wire;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, version};

use crate::gateway::{PATIENCE, echo};
use crate::process::{Directory, Process, bank_setup};

/// A certificate authority and what it has signed.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, and its key, both in PEM.
    pub fn issue(&self, name: &str) -> (String, String) {
        self.issue_with(name, |_| {})
    }

    fn issue_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A list that revokes these serial numbers, in PEM.
    fn revoke(&self, serials: &[u64], next_update: i32) -> String {
        let revoked = serials.iter().map(|&serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(next_update, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// Writes what a gateway with TLS needs. `/open/**` goes to a backend that echoes.
fn write(directory: &Directory, authority: &Authority, tls: &str) {
    for name in ["api.example", "other.example"] {
        let (chain, key) = authority.issue(name);
        directory.write(&format!("{name}.pem"), &chain);
        directory.write(&format!("{name}.key"), &key);
    }
    directory.write("ca.pem", &authority.0.pem());
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let table = format!(
        "{listener}[listener.tls]\ncertificates = [{{ chain = \"api.example.pem\", key = \
         \"file:api.example.key\" }}, {{ chain = \"other.example.pem\", key = \
         \"file:other.example.key\" }}]\n{tls}\n"
    );
    let open = "[api.open]\npaths = [\"/open/**\"]\nmethods = [\"GET\", \"POST\"]\ncontract = \"none\"\n\
                authentication = \"none\"\nupstream = \"bank\"\nowner = \"tests\"\nmax_body = \"8MiB\"";
    let setup = bank_setup(2, "").replacing(listener, &table).tables(open);
    setup.write_into(directory, echo());
}

fn start(directory: &Directory, authority: &Authority, tls: &str) -> Process {
    write(directory, authority, tls);
    Process::start(&directory.path("gateway.toml"))
}

fn client(
    authority: &Authority,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The same, offering protocols.
fn offering(authority: &Authority, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut config = client(authority, &[&version::TLS13]);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(process: &Process, config: Arc<ClientConfig>) -> Tls {
    let name = ServerName::try_from("api.example").unwrap();
    let session = ClientConnection::new(config, name).unwrap();
    let stream = TcpStream::connect(process.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(session, stream)
}

/// The head and the whole body of the next answer that has a length.
fn answer(stream: &mut impl Read) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .split("Content-Length: ")
        .nth(1)
        .unwrap_or_else(|| panic!("{head}"));
    let length = length.split('\r').next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

/// Asks for a page that does not exist: the answer, and how the handshake went.
fn ask(
    process: &Process,
    config: Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<(String, HandshakeKind)> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(config, name).map_err(std::io::Error::other)?;
    let stream = TcpStream::connect(process.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(session, stream);
    stream.write_all(b"GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let kind = stream.conn.handshake_kind().expect("the handshake is over");
    Ok((answer, kind))
}

#[test]
fn both_versions_serve_and_the_name_chooses_the_certificate() {
    let (directory, authority) = (Directory::new("tls"), Authority::new());
    let process = start(&directory, &authority, "");
    for version in [&version::TLS12, &version::TLS13] {
        let config = Arc::new(client(&authority, &[version]));
        for name in ["api.example", "other.example"] {
            let (answer, _) = ask(&process, config.clone(), name).unwrap();
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        }
        // The first certificate serves whom no other is valid for, and is not valid for them.
        assert!(ask(&process, config, "third.example").is_err());
    }
}

#[test]
fn sessions_resume_on_whichever_shard_answers() {
    let (directory, authority) = (Directory::new("resume"), Authority::new());
    let process = start(&directory, &authority, "");
    for version in [&version::TLS12, &version::TLS13] {
        let config = Arc::new(client(&authority, &[version]));
        assert_eq!(
            ask(&process, config.clone(), "api.example").unwrap().1,
            HandshakeKind::Full
        );
        for _ in 0..12 {
            let (_, kind) = ask(&process, config.clone(), "api.example").unwrap();
            assert_eq!(kind, HandshakeKind::Resumed);
        }
    }
}

#[test]
fn the_minimum_version_is_kept() {
    let (directory, authority) = (Directory::new("minimum"), Authority::new());
    let process = start(&directory, &authority, "minimum_version = \"1.3\"");
    let old = Arc::new(client(&authority, &[&version::TLS12]));
    assert!(ask(&process, old, "api.example").is_err());
    let new = Arc::new(client(&authority, &[&version::TLS13]));
    assert!(ask(&process, new, "api.example").is_ok());
}

#[test]
fn only_the_suites_that_are_named_are_agreed_upon() {
    let (directory, authority) = (Directory::new("suites"), Authority::new());
    let tls = "cipher_suites = [\"TLS_CHACHA20_POLY1305_SHA256\", \
               \"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\"]";
    let process = start(&directory, &authority, tls);
    for (version, name) in [
        (&version::TLS13, "TLS13_CHACHA20_POLY1305_SHA256"),
        (&version::TLS12, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ] {
        let mut stream = connect(&process, Arc::new(client(&authority, &[version])));
        stream
            .write_all(b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n")
            .unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
        let agreed = stream.conn.negotiated_cipher_suite().unwrap();
        assert_eq!(agreed.suite().as_str(), Some(name));
    }
    // A client that knows none of them is refused, in both versions.
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| {
        let name = suite.suite().as_str().unwrap_or_default();
        name.contains("AES_128_GCM")
    });
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(ask(&process, Arc::new(config), "api.example").is_err());
}

#[test]
fn the_order_of_suites_is_not_the_clients() {
    let (directory, authority) = (Directory::new("suite-order"), Authority::new());
    for (more, expected) in [
        ("", "AES_256_GCM"),
        (
            "cipher_suites = [\"TLS_CHACHA20_POLY1305_SHA256\", \"TLS_AES_128_GCM_SHA256\", \
              \"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256\"]",
            "CHACHA20_POLY1305",
        ),
    ] {
        let process = start(&directory, &authority, more);
        for version in [&version::TLS13, &version::TLS12] {
            let mut provider = rustls::crypto::aws_lc_rs::default_provider();
            provider.cipher_suites.reverse();
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).unwrap();
            let config = ClientConfig::builder_with_provider(provider.into());
            let config = config.with_protocol_versions(&[version]).unwrap();
            let config = config.with_root_certificates(roots).with_no_client_auth();
            let mut stream = connect(&process, Arc::new(config));
            let request = b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
            stream.write_all(request).unwrap();
            stream.read_exact(&mut [0; 12]).unwrap();
            let agreed = stream.conn.negotiated_cipher_suite().unwrap().suite();
            let agreed = agreed.as_str().unwrap_or_default();
            assert!(agreed.contains(expected), "{agreed}, not {expected}");
        }
    }
}

#[test]
fn what_is_wrong_with_tls_is_told_where_it_stands() {
    let authority = Authority::new();
    let mtls = "client_certificates = \"required\"\n";
    for (tls, told) in [
        (
            "cipher_suites = [\"AES128-SHA\"]",
            "the cipher suite \"AES128-SHA\" is not known here",
        ),
        (
            "cipher_suites = [\"TLS_AES_128_GCM_SHA256\"]",
            "no suite of TLS 1.2 is named",
        ),
        (
            "cipher_suites = [\"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\"]",
            "no suite of TLS 1.3 is named",
        ),
        (
            "minimum_version = \"1.3\"\ncipher_suites = [\"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\"]",
            "is not a suite of TLS 1.3",
        ),
        (
            "minimum_version = \"1.3\"\ncipher_suites = [\"TLS_AES_128_GCM_SHA256\", \
             \"TLS_AES_128_GCM_SHA256\"]",
            "is named twice",
        ),
        ("minimum_version = \"1.1\"", "\"1.1\" is not known here"),
        (
            "client_certificates = \"maybe\"",
            "\"maybe\" is not known here",
        ),
        (mtls, "client certificates need a `client_ca`"),
        ("client_ca = \"ca.pem\"", "`client_ca` is not used"),
        ("client_crls = [\"good.crl\"]", "`client_crls` is not used"),
        (
            &format!("{mtls}client_ca = \"missing.pem\""),
            "cannot be read",
        ),
        (
            &format!("{mtls}client_ca = \"empty.pem\""),
            "there is no certificate in it",
        ),
        (
            &format!("{mtls}client_ca = \"corrupt.pem\""),
            "it is broken",
        ),
        (
            &format!("{mtls}client_ca = \"junk.pem\""),
            "it cannot be a certificate authority",
        ),
        (
            &format!("{mtls}client_ca = \"ca.pem\"\nclient_crls = [\"missing.crl\"]"),
            "cannot be read",
        ),
        (
            &format!("{mtls}client_ca = \"ca.pem\"\nclient_crls = [\"empty.pem\"]"),
            "there is no x509 crl in it",
        ),
        (
            &format!("{mtls}client_ca = \"ca.pem\"\nclient_crls = [\"good.crl\", \"junk.crl\"]"),
            "it is no revocation list",
        ),
    ] {
        let directory = Directory::new("wrong-tls");
        write(&directory, &authority, tls);
        directory.write("empty.pem", "");
        directory.write(
            "corrupt.pem",
            &authority.0.pem().replace("-----END", "----END"),
        );
        let junk = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
        directory.write("junk.pem", &junk("CERTIFICATE"));
        directory.write("junk.crl", &junk("X509 CRL"));
        directory.write("good.crl", &authority.revoke(&[], 2100));
        let (code, text) = directory.check(&[]);
        assert!(code == Some(1) && text.contains(told), "{tls}\n{text}");
    }
}

#[test]
fn only_what_is_spoken_here_is_agreed_upon() {
    let (directory, authority) = (Directory::new("alpn"), Authority::new());
    let process = start(&directory, &authority, "");
    assert!(
        ask(
            &process,
            offering(&authority, &[b"h2", b"http/1.1"]),
            "api.example"
        )
        .is_ok()
    );
    assert!(ask(&process, offering(&authority, &[b"h2"]), "api.example").is_err());
}
