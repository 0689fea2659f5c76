//! TLS towards clients: versions, suites, certificates by server name, session tickets, client
//! certificates and their revocation (RFC 8446, RFC 6066 section 3, RFC 7301, RFC 5280 section 5).
//!
//! A policy belongs to one listener. Its tickets are sealed with keys of its own, so that a session
//! is never resumed where another policy stands: not on another listener, and not after a change.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version,
};

use crate::fingerprint::Fingerprint;

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
    /// In order of preference. None: those of the library, in the client's order.
    pub suites: Option<Vec<SupportedCipherSuite>>,
    pub client_certificates: ClientCertificates,
    /// Who may sign client certificates.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// Client certificates that are no longer good. If there is one, then every authority in a
    /// chain needs one of its own that has not expired.
    pub client_crls: Vec<CertificateRevocationListDer<'static>>,
}

/// What all shards share of one listener's TLS, the keys of its tickets included.
///
/// Those change every six hours, and the last ones stay good for six more: a ticket lives for six
/// to twelve hours, and nothing that is recorded can be opened with a key that is found later.
#[derive(Debug)]
pub struct Policy {
    pub config: Arc<ServerConfig>,
    /// Of all that was set; policies with the same say the same.
    pub fingerprint: Fingerprint,
    /// Set if clients may show certificates.
    pub client_verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// Joins a chain, the end-entity certificate first, with its key; they must belong together.
pub fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(chain, key, &provider::default_provider())
}

/// A cipher suite by its name in the registry of IANA, such as `TLS_AES_128_GCM_SHA256`.
pub fn suite(name: &str) -> Option<SupportedCipherSuite> {
    let mut known = provider::ALL_CIPHER_SUITES.iter();
    known.find(|suite| suite_name(suite) == name).copied()
}

/// All names that [`suite`] knows.
pub fn suite_names() -> Vec<String> {
    provider::ALL_CIPHER_SUITES.iter().map(suite_name).collect()
}

pub fn is_tls13(suite: &SupportedCipherSuite) -> bool {
    suite.tls13().is_some()
}

fn suite_name(suite: &SupportedCipherSuite) -> String {
    let name = suite.suite();
    let name = name.as_str().unwrap_or_default();
    // The library sets those of TLS 1.3 apart, the registry does not.
    name.replacen("TLS13_", "TLS_", 1)
}

/// Judges client certificates.
pub fn client_verifier(
    ca: &[CertificateDer<'static>],
    crls: &[CertificateRevocationListDer<'static>],
    is_required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in ca {
        roots.add(certificate.clone())?;
    }
    let provider = Arc::new(provider::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
        .with_crls(crls.iter().cloned())
        .enforce_revocation_expiration();
    let verifier = match is_required {
        true => verifier,
        false => verifier.allow_unauthenticated(),
    };
    let verifier = verifier.build();
    verifier.map_err(|error| rustls::Error::General(error.to_string()))
}

/// Builds what all shards share.
pub fn policy(settings: Settings) -> Result<Policy, rustls::Error> {
    let fingerprint = fingerprint(&settings);
    let mut provider = provider::default_provider();
    if let Some(suites) = settings.suites {
        provider.cipher_suites = suites;
    }
    let versions: &[&SupportedProtocolVersion] = if settings.allows_tls12 {
        &[&version::TLS13, &version::TLS12]
    } else {
        &[&version::TLS13]
    };
    let client_verifier = match settings.client_certificates {
        ClientCertificates::None => None,
        wanted @ (ClientCertificates::Optional | ClientCertificates::Required) => {
            let is_required = wanted == ClientCertificates::Required;
            let (ca, crls) = (&settings.client_ca, &settings.client_crls);
            Some(client_verifier(ca, crls, is_required)?)
        }
    };
    let provider: Arc<CryptoProvider> = provider.into();
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let builder = match &client_verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
    };
    let keys = settings.certificates.into_iter().map(Arc::new).collect();
    let mut config = builder.with_cert_resolver(Arc::new(ByServerName(keys)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // The order is policy, also where nobody wrote one: a client in bad hands has no say in it.
    config.ignore_client_order = true;
    config.ticketer = provider::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    // Tickets carry the sessions; nothing is kept per client.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Policy {
        config: Arc::new(config),
        fingerprint,
        client_verifier,
    })
}

/// Of all that is set. A private key is told by the certificate that it belongs to.
fn fingerprint(settings: &Settings) -> Fingerprint {
    let chains = settings.certificates.iter();
    let chains = chains.map(|each| Fingerprint::of(each.cert.iter().map(AsRef::as_ref)));
    let suites = settings.suites.iter().flatten();
    let suites: Vec<[u8; 2]> = suites
        .map(|each| u16::from(each.suite()).to_be_bytes())
        .collect();
    let lists = chains.chain([
        Fingerprint::of(suites.iter().map(|each| &each[..])),
        Fingerprint::of(settings.client_ca.iter().map(AsRef::as_ref)),
        Fingerprint::of(settings.client_crls.iter().map(AsRef::as_ref)),
    ]);
    let lists: Vec<Fingerprint> = lists.collect();
    let switches = [
        u8::from(settings.allows_tls12),
        settings.client_certificates as u8,
    ];
    let lists = lists.iter().map(Fingerprint::bytes);
    Fingerprint::of(std::iter::once(&switches[..]).chain(lists))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_the_names_of_the_registry() {
        let names = suite_names();
        for name in [
            "TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ] {
            assert!(names.iter().any(|known| known == name), "{names:?}");
            assert!(suite(name).is_some());
        }
        for name in [
            "",
            "TLS13_AES_128_GCM_SHA256",
            "tls_aes_128_gcm_sha256",
            "AES128-SHA",
        ] {
            assert!(suite(name).is_none(), "{name}");
        }
    }
}
