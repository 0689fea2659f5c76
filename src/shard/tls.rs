//! TLS towards clients: versions, certificates by server name, session tickets, client
//! certificates (RFC 8446, RFC 6066 section 3, RFC 7301).

use std::sync::Arc;

use arc_swap::ArcSwap;
use monoio::net::TcpStream;
use monoio_rustls::{ServerTlsStream, TlsAcceptor, TlsError};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    #[default]
    None,
    /// One that is shown must be valid.
    Optional,
    Required,
}

/// A chain, the end-entity certificate first, and its key.
pub struct Certificate {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// What a listener offers.
pub struct Settings {
    /// The first serves clients whose server name no other is valid for.
    pub certificates: Vec<Certificate>,
    pub allows_tls12: bool,
    pub client_certificates: ClientCertificates,
    /// Who may sign client certificates.
    pub client_ca: Vec<CertificateDer<'static>>,
}

/// Accepts TLS with the configuration that was published last.
#[derive(Clone)]
pub struct Acceptor(Arc<ArcSwap<ServerConfig>>);

impl Acceptor {
    pub fn new(config: ServerConfig) -> Acceptor {
        Acceptor(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// Replaces certificates for connections to come; tickets of the old ones are void.
    pub fn publish(&self, config: ServerConfig) {
        self.0.store(Arc::new(config));
    }

    pub async fn accept(&self, stream: TcpStream) -> Result<ServerTlsStream<TcpStream>, TlsError> {
        TlsAcceptor::from(self.0.load_full()).accept(stream).await
    }
}

/// Builds what all shards share, the keys of session tickets included.
pub fn server_config(settings: Settings) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions: &[&SupportedProtocolVersion] = if settings.allows_tls12 {
        &[&version::TLS13, &version::TLS12]
    } else {
        &[&version::TLS13]
    };
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = match settings.client_certificates {
        ClientCertificates::None => builder.with_no_client_auth(),
        wanted @ (ClientCertificates::Optional | ClientCertificates::Required) => {
            let mut roots = RootCertStore::empty();
            for certificate in settings.client_ca {
                roots.add(certificate)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
            let verifier = match wanted {
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
                ClientCertificates::None | ClientCertificates::Required => verifier,
            };
            let verifier = verifier
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let keys = settings.certificates.into_iter().map(|certificate| {
        CertifiedKey::from_der(certificate.chain, certificate.key, &provider).map(Arc::new)
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let mut config = builder.with_cert_resolver(Arc::new(ByServerName(keys)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    // Tickets carry the sessions; nothing is kept per client.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// The first certificate that is valid for the name that the client asks for, or the first.
#[derive(Debug)]
struct ByServerName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| self.0.iter().find(|key| is_valid_for(key, &name)));
        named.or_else(|| self.0.first()).cloned()
    }
}

fn is_valid_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Some(end_entity) = key.cert.first() else {
        return false;
    };
    ParsedCertificate::try_from(end_entity)
        .is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, name).is_ok())
}
