//! TLS towards clients: versions, certificates by server name, session tickets, client
//! certificates (RFC 8446, RFC 6066 section 3, RFC 7301).

use std::sync::Arc;

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

/// What a listener offers.
pub struct Settings {
    /// The first serves clients whose server name no other is valid for.
    pub certificates: Vec<CertifiedKey>,
    pub allows_tls12: bool,
    pub client_certificates: ClientCertificates,
    /// Who may sign client certificates.
    pub client_ca: Vec<CertificateDer<'static>>,
}

/// Joins a chain, the end-entity certificate first, with its key; they must belong together.
pub fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
}

/// Builds what all shards share, the keys of session tickets included.
pub fn server_config(settings: Settings) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions: &[&SupportedProtocolVersion] = if settings.allows_tls12 {
        &[&version::TLS13, &version::TLS12]
    } else {
        &[&version::TLS13]
    };
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(versions)?;
    let builder = match settings.client_certificates {
        ClientCertificates::None => builder.with_no_client_auth(),
        wanted @ (ClientCertificates::Optional | ClientCertificates::Required) => {
            let mut roots = RootCertStore::empty();
            for certificate in settings.client_ca {
                roots.add(certificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            let verifier = match wanted {
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
                ClientCertificates::None | ClientCertificates::Required => verifier,
            };
            let verifier = verifier.build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| rustls::Error::General(error.to_string()))?,
            )
        }
    };
    let keys = settings.certificates.into_iter().map(Arc::new).collect();
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
        let name = hello.server_name();
        let name = name.and_then(|name| ServerName::try_from(name).ok());
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
