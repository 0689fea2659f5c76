//! From what the file names for TLS to a policy: certificates, keys, authorities and revocation
//! lists are read, and whatever is missing, empty or broken is told where it is named.

use std::sync::Arc;

use rustls::SupportedCipherSuite;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::config::compile::{one_of, read_text};
use crate::config::file;
use crate::config::reader::{At, Reader};
use crate::config::secret;
use crate::config::tls::{self, ClientCertificates, Policy, Settings};

/// Reads all files that are named. None: the reader has been told why.
pub fn compile(reader: &Reader<'_>, named: &file::Tls) -> Option<Arc<Policy>> {
    let versions = [("1.2", true), ("1.3", false)];
    let allows_tls12 = one_of(reader, named.minimum_version.as_ref(), &versions, true);
    let suites = suites(reader, named, allows_tls12);
    let client_certificates = client_certificates(reader, named);
    let client_ca = client_ca(reader, named);
    let client_crls = client_crls(reader, named, client_ca.as_deref());
    if named.certificates.is_empty() {
        let hint = "add certificates = [{ chain = \"api.pem\", key = \"file:api.key\" }]";
        reader.error(named.position, "TLS needs a certificate", hint);
        return None;
    }
    // Each is looked at, so that one mistake does not hide the next.
    let certificates: Vec<_> = named
        .certificates
        .iter()
        .map(|pair| certificate(reader, pair))
        .collect();
    let settings = Settings {
        certificates: certificates.into_iter().collect::<Option<_>>()?,
        allows_tls12,
        suites: suites?,
        client_certificates: client_certificates?,
        client_ca: client_ca?,
        client_crls: client_crls?,
    };
    let policy = tls::policy(settings).map_err(|error| {
        let hint = "check what is named here";
        let message = format!("TLS cannot be set up: {error}");
        reader.error(named.position, message, hint);
    });
    policy.ok().map(Arc::new)
}

/// `Some(None)`: nothing is said about them.
fn suites(
    reader: &Reader<'_>,
    named: &file::Tls,
    allows_tls12: bool,
) -> Option<Option<Vec<SupportedCipherSuite>>> {
    let Some(first) = named.cipher_suites.first() else {
        return Some(None);
    };
    let mut suites: Vec<SupportedCipherSuite> = Vec::new();
    for at in &named.cipher_suites {
        match suite(at, allows_tls12, &suites) {
            Ok(suite) => suites.push(suite),
            Err((message, hint)) => reader.error(at.position, message, hint),
        }
    }
    if suites.len() < named.cipher_suites.len() {
        return None;
    }
    // A version without a suite would be offered and never agreed upon.
    let (message, hint) = if allows_tls12 && suites.iter().all(tls::is_tls13) {
        let hint = "add one, or write minimum_version = \"1.3\"";
        ("no suite of TLS 1.2 is named", hint)
    } else if !suites.iter().any(tls::is_tls13) {
        let hint = "add \"TLS_AES_128_GCM_SHA256\"";
        ("no suite of TLS 1.3 is named", hint)
    } else {
        return Some(Some(suites));
    };
    reader.error(first.position, message, hint);
    None
}

/// A suite that may be named behind `others`, or what is wrong with it and what to do.
fn suite(
    at: &At<String>,
    allows_tls12: bool,
    others: &[SupportedCipherSuite],
) -> Result<SupportedCipherSuite, (String, String)> {
    let name = &at.value;
    let Some(suite) = tls::suite(name) else {
        let hint = format!("write one of {}", tls::suite_names().join(", "));
        return Err((
            format!("the cipher suite \"{name}\" is not known here"),
            hint,
        ));
    };
    if !allows_tls12 && !tls::is_tls13(&suite) {
        let hint = "leave it out, or write minimum_version = \"1.2\"".to_owned();
        return Err((format!("{name} is not a suite of TLS 1.3"), hint));
    }
    if others.contains(&suite) {
        return Err((format!("{name} is named twice"), "leave one out".to_owned()));
    }
    Ok(suite)
}

fn client_certificates(reader: &Reader<'_>, named: &file::Tls) -> Option<ClientCertificates> {
    let known = [
        ("none", ClientCertificates::None),
        ("optional", ClientCertificates::Optional),
        ("required", ClientCertificates::Required),
    ];
    let wanted = named.client_certificates.as_ref();
    let wanted = one_of(reader, wanted, &known, ClientCertificates::None);
    match (wanted, &named.client_ca) {
        (ClientCertificates::None, Some(path)) => {
            let hint = "write client_certificates = \"required\" or \"optional\", or leave it out";
            reader.error(path.position, "`client_ca` is not used", hint);
            None
        }
        (ClientCertificates::Optional | ClientCertificates::Required, None) => {
            let hint = "add client_ca = \"clients.pem\": who may sign them";
            let message = "client certificates need a `client_ca`";
            reader.absent(named.position, &["client_ca"], message, hint);
            None
        }
        _ => Some(wanted),
    }
}

fn client_ca(reader: &Reader<'_>, named: &file::Tls) -> Option<Vec<CertificateDer<'static>>> {
    let Some(path) = &named.client_ca else {
        return Some(Vec::new());
    };
    let found = chain(reader, path)?;
    match tls::client_verifier(&found, &[], true) {
        Ok(_) => Some(found),
        Err(error) => {
            let message = format!("it cannot be a certificate authority: {error}");
            let hint = "put certificates of those who sign client certificates there";
            reader.error(path.position, message, hint);
            None
        }
    }
}

fn client_crls(
    reader: &Reader<'_>,
    named: &file::Tls,
    ca: Option<&[CertificateDer<'static>]>,
) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    if let (Some(path), None) = (named.client_crls.first(), &named.client_ca) {
        let hint = "add client_ca and client_certificates, or leave it out";
        reader.error(path.position, "`client_crls` is not used", hint);
        return None;
    }
    let lists: Vec<_> = named
        .client_crls
        .iter()
        .map(|path| revocation_lists(reader, path, ca?))
        .collect();
    let lists: Option<Vec<Vec<_>>> = lists.into_iter().collect();
    lists.map(|lists| lists.into_iter().flatten().collect())
}

fn revocation_lists(
    reader: &Reader<'_>,
    path: &At<String>,
    ca: &[CertificateDer<'static>],
) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    let found = pem::<CertificateRevocationListDer<'static>>(reader, path, "X509 CRL")?;
    match tls::client_verifier(ca, &found, true) {
        Ok(_) => Some(found),
        Err(error) => {
            let message = format!("it is no revocation list: {error}");
            reader.error(path.position, message, "ask who signs it for another");
            None
        }
    }
}

fn certificate(reader: &Reader<'_>, pair: &file::Certificate) -> Option<CertifiedKey> {
    let chain_path = pair.chain.as_ref()?;
    let (chain, key) = chain_and_key(reader, pair)?;
    tls::certified(chain, key)
        .map_err(|error| {
            let message = format!("the certificate and its key do not fit: {error}");
            reader.error(
                chain_path.position,
                message,
                "name the key that belongs to the first certificate of the chain; that of the \
                 server comes first, then those who signed it",
            );
        })
        .ok()
}

/// A chain, the end-entity certificate first, and its private key.
pub fn chain_and_key(
    reader: &Reader<'_>,
    pair: &file::Certificate,
) -> Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let (chain_path, key_reference) = (pair.chain.as_ref()?, pair.key.as_ref()?);
    let chain = chain(reader, chain_path)?;
    let secret = secret::resolve(reader, key_reference.position, &key_reference.value)?;
    let key = PrivateKeyDer::from_pem_slice(secret.reveal());
    if key.is_err() {
        let hint = "a PEM file with -----BEGIN PRIVATE KEY----- is expected";
        let message = "there is no private key in it";
        reader.error(key_reference.position, message, hint);
    }
    Some((chain, key.ok()?))
}

/// The certificates of a PEM file, at least one.
pub fn chain(reader: &Reader<'_>, path: &At<String>) -> Option<Vec<CertificateDer<'static>>> {
    pem(reader, path, "CERTIFICATE")
}

/// All of one kind in a file: at least one, and none that is broken.
fn pem<T: PemObject>(reader: &Reader<'_>, path: &At<String>, kind: &str) -> Option<Vec<T>> {
    let text = read_text(reader, path)?;
    let found: Result<Vec<T>, PemError> = T::pem_slice_iter(text.as_bytes()).collect();
    let message = match found {
        Ok(found) if !found.is_empty() => return Some(found),
        Ok(_) => format!("there is no {} in it", kind.to_lowercase()),
        Err(error) => format!("it is broken: {error}"),
    };
    let hint = format!("a PEM file with -----BEGIN {kind}----- is expected");
    reader.error(path.position, message, hint);
    None
}
