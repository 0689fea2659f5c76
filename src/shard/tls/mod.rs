//! TLS on the ring: from an accepted socket to a stream of what the client says.
//!
//! [`Stream`](stream::Stream) joins a session of rustls with a socket of monoio. Nobody but this
//! folder knows both.

mod session;
pub mod stream;

use std::io;
use std::sync::Arc;

use monoio::net::TcpStream;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::{HandshakeKind, ServerConnection};

use crate::config::tls::Policy;
use crate::shard::tls::session::Session;
use crate::shard::tls::stream::Stream;

/// Accepts TLS with one policy.
#[derive(Clone)]
pub struct Acceptor(Arc<Policy>);

impl Acceptor {
    pub fn new(policy: Arc<Policy>) -> Acceptor {
        Acceptor(policy)
    }

    /// For a policy that may say the same: then the old one stays, with its tickets. Those of a
    /// policy that goes are void.
    pub fn renewed(&self, policy: Arc<Policy>) -> Acceptor {
        match self.0.fingerprint == policy.fingerprint {
            true => self.clone(),
            false => Acceptor(policy),
        }
    }

    /// Shakes hands. The deadline of the socket bounds it in time.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<Stream> {
        let policy = &*self.0;
        let session = ServerConnection::new(policy.config.clone()).map_err(io::Error::other)?;
        let session = Session::new(session, socket);
        session.shake_hands().await?;
        if let Some(verifier) = &policy.client_verifier {
            session.ask(|session| verify_again(session, &**verifier))?;
        }
        Ok(Stream::new(session))
    }
}

/// A ticket holds the client's certificate as it was verified once. It may have expired since.
fn verify_again(session: &ServerConnection, verifier: &dyn ClientCertVerifier) -> io::Result<()> {
    let Some([end_entity, intermediates @ ..]) = session.peer_certificates() else {
        return Ok(());
    };
    if session.handshake_kind() != Some(HandshakeKind::Resumed) {
        return Ok(());
    }
    let verified = verifier.verify_client_cert(end_entity, intermediates, UnixTime::now());
    verified.map(drop).map_err(io::Error::other)
}
