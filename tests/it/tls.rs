//! TLS towards clients, with a client that is not ours.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use portcullis::policy::authn::sign::SigningKey;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, version};

use crate::gateway::{PATIENCE, echo};
use crate::process::{API, Directory, Process, config};

/// A certificate authority and what it has signed.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, and its key, both in PEM.
    pub fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn start(directory: &Directory, authority: &Authority, tls: &str) -> Process {
    for name in ["api.example", "other.example"] {
        let (chain, key) = authority.issue(name);
        directory.write(&format!("{name}.pem"), &chain);
        directory.write(&format!("{name}.key"), &key);
    }
    directory.write("ca.pem", &authority.0.pem());
    directory.write("keys.json", &SigningKey::generate().unwrap().jwks());
    directory.write("api.yaml", API);
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let text = config(echo(), 2, "").replacen(
        listener,
        &format!(
            "{listener}[listener.tls]\ncertificates = [{{ chain = \"api.example.pem\", key = \
             \"file:api.example.key\" }}, {{ chain = \"other.example.pem\", key = \
             \"file:other.example.key\" }}]\n{tls}\n"
        ),
        1,
    );
    directory.write("gateway.toml", &text);
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
fn client_certificates_are_asked_for_and_verified() {
    let (directory, authority) = (Directory::new("mtls"), Authority::new());
    let tls = "client_certificates = \"required\"\nclient_ca = \"ca.pem\"";
    let process = start(&directory, &authority, tls);
    let with = |issuer: &Authority| {
        let (chain, key) = issuer.issue("client");
        let chain = rustls_pki_types::pem::PemObject::from_pem_slice(chain.as_bytes());
        let chain: CertificateDer<'static> = chain.unwrap();
        let key = rustls_pki_types::pem::PemObject::from_pem_slice(key.as_bytes());
        let key: PrivateKeyDer<'static> = key.unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![chain], key);
        Arc::new(config.unwrap())
    };
    assert!(ask(&process, with(&authority), "api.example").is_ok());
    assert!(ask(&process, with(&Authority::new()), "api.example").is_err());
    let without = Arc::new(client(&authority, &[&version::TLS13]));
    assert!(ask(&process, without, "api.example").is_err());
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
