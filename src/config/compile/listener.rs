//! Listeners and their certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::compile::{one_of, read_text};
use crate::config::file::{self, File};
use crate::config::reader::{At, Reader};
use crate::config::secret;
use crate::config::settings::{Listener, Timeouts};
use crate::config::tls::{self, ClientCertificates};
use crate::diagnostic::Position;

/// Slowest that a body may come in, in bytes a second: less than any network that people use.
const BODY_RATE: u64 = 256;

pub fn compile(reader: &Reader<'_>, file: &File) -> Vec<Listener> {
    if file.listeners.is_empty() {
        let start = Position { line: 1, column: 1 };
        let hint = "add [[listener]] with address = \"127.0.0.1:8080\"";
        reader.error(start, "there is no listener", hint);
    }
    let mut taken: Vec<SocketAddr> = Vec::new();
    let listeners = file.listeners.iter().filter_map(|listener| {
        let address = listener.address.as_ref()?;
        if address.value.port() != 0 && taken.contains(&address.value) {
            let message = format!("two listeners have the address {}", address.value);
            reader.error(
                address.position,
                message,
                "give each listener an address of its own",
            );
        }
        taken.push(address.value);
        Some(Listener {
            address: address.value,
            trusted_peers: listener.trusted_peers.iter().map(|at| at.value).collect(),
            proxy_protocol: proxy_protocol(reader, listener),
            timeouts: Timeouts {
                handshake: listener.handshake_timeout,
                first_byte: listener.first_byte_timeout,
                head: listener.head_timeout,
                idle: listener.idle_timeout,
                body: listener.body_timeout,
                body_rate: listener
                    .body_rate
                    .as_ref()
                    .map_or(BODY_RATE, |at| at.value.0 as u64),
                exchange: listener.exchange_timeout,
            },
            tls: listener.tls.as_ref().and_then(|tls| tls_of(reader, tls)),
        })
    });
    listeners.collect()
}

/// Whoever may send the header names the client, so it has to be said who may.
fn proxy_protocol(reader: &Reader<'_>, listener: &file::Listener) -> bool {
    let Some(wanted) = &listener.proxy_protocol else {
        return false;
    };
    if wanted.value && listener.trusted_peers.is_empty() {
        let hint = "add trusted_peers = [\"10.0.0.0/8\"]: the balancers in front";
        let message = "`proxy_protocol` needs `trusted_peers`";
        reader.error(wanted.position, message, hint);
    }
    wanted.value
}

fn tls_of(reader: &Reader<'_>, tls: &file::Tls) -> Option<Arc<ServerConfig>> {
    let client_certificates = client_certificates(reader, tls);
    let client_ca = match &tls.client_ca {
        Some(path) => chain(reader, path)?,
        None => Vec::new(),
    };
    let versions = [("1.2", true), ("1.3", false)];
    let allows_tls12 = one_of(reader, tls.minimum_version.as_ref(), &versions, true);
    if tls.certificates.is_empty() {
        let hint = "add certificates = [{ chain = \"api.pem\", key = \"file:api.key\" }]";
        reader.error(tls.position, "TLS needs a certificate", hint);
        return None;
    }
    let certificates = tls
        .certificates
        .iter()
        .map(|pair| certificate(reader, pair));
    let settings = tls::Settings {
        certificates: certificates.collect::<Option<_>>()?,
        allows_tls12,
        client_certificates,
        client_ca,
    };
    tls::server_config(settings)
        .map_err(|error| {
            let hint = "check the certificates named here";
            reader.error(tls.position, format!("TLS cannot be set up: {error}"), hint);
        })
        .map(Arc::new)
        .ok()
}

fn client_certificates(reader: &Reader<'_>, tls: &file::Tls) -> ClientCertificates {
    let known = [
        ("none", ClientCertificates::None),
        ("optional", ClientCertificates::Optional),
        ("required", ClientCertificates::Required),
    ];
    let wanted = tls.client_certificates.as_ref();
    let wanted = one_of(reader, wanted, &known, ClientCertificates::None);
    match (wanted, &tls.client_ca) {
        (ClientCertificates::None, Some(path)) => {
            let hint = "write client_certificates = \"required\" or \"optional\", or leave it out";
            reader.error(path.position, "`client_ca` is not used", hint);
        }
        (ClientCertificates::Optional | ClientCertificates::Required, None) => {
            let hint = "add client_ca = \"clients.pem\": who may sign them";
            reader.error(tls.position, "client certificates need a `client_ca`", hint);
        }
        _ => {}
    }
    wanted
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
                "put the end-entity certificate first",
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
    let text = read_text(reader, path)?;
    let found = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(chain) if !chain.is_empty() => Some(chain),
        Ok(_) | Err(_) => {
            let hint = "a PEM file with -----BEGIN CERTIFICATE----- is expected";
            reader.error(path.position, "there is no certificate in it", hint);
            None
        }
    }
}
