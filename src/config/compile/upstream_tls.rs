//! TLS towards backends: who may sign their certificates, which name they must have, and what the
//! gateway shows them.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;

use crate::config::compile::tls::{chain, chain_and_key};
use crate::config::file::UpstreamTls;
use crate::config::reader::Reader;
use crate::fingerprint::Fingerprint;
use crate::policy::upstream::Tls;

/// `address` is the first of the upstream: its host is the name unless another one is written.
pub fn compile(reader: &Reader<'_>, declared: &UpstreamTls, address: &str) -> Option<Tls> {
    let ca = declared.ca.as_ref()?;
    let mut roots = RootCertStore::empty();
    let authorities = chain(reader, ca)?;
    let authority = Fingerprint::of(authorities.iter().map(AsRef::as_ref));
    for certificate in authorities {
        if let Err(error) = roots.add(certificate) {
            let message = format!("a certificate in it is no authority: {error}");
            reader.error(ca.position, message, "name a file of CA certificates");
            return None;
        }
    }
    let name = name(reader, declared, address)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.ok()?.with_root_certificates(roots);
    let mut shown = Fingerprint::default();
    let mut config = match &declared.certificate {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let (chain, key) = chain_and_key(reader, pair)?;
            let certificates = chain.iter().map(AsRef::as_ref);
            shown = Fingerprint::of(certificates.chain([key.secret_der()]));
            let built = builder.with_client_auth_cert(chain, key);
            built
                .map_err(|error| {
                    let message = format!("the certificate and its key do not fit: {error}");
                    let hint = "put the end-entity certificate first";
                    reader.error(ca.position, message, hint);
                })
                .ok()?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Tls {
        name,
        config: Arc::new(config),
        fingerprint: Fingerprint::of([authority.bytes(), shown.bytes()]),
    })
}

fn name(reader: &Reader<'_>, declared: &UpstreamTls, address: &str) -> Option<ServerName<'static>> {
    let position = declared.name.as_ref().or(declared.ca.as_ref())?.position;
    let written = declared.name.as_ref().map(|at| at.value.as_str());
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = ServerName::try_from(written.unwrap_or(host).to_owned());
    if found.is_err() {
        let message = format!(
            "\"{}\" is no name for a certificate",
            written.unwrap_or(host)
        );
        reader.error(position, message, "write name = \"backend.example\"");
    }
    found.ok()
}
