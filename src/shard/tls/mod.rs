//! TLS on the ring: from an accepted socket to a stream of what the client says.
//!
//! [`Stream`](stream::Stream) joins a session of rustls with a socket of monoio. Nobody but this
//! folder knows both.

mod session;
pub mod stream;

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use monoio::net::TcpStream;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::{HandshakeKind, ServerConnection};

use crate::config::tls::Policy;
use crate::shard::tls::session::Session;
use crate::shard::tls::stream::Stream;

/// Accepts TLS with the policy that was published last.
#[derive(Clone)]
pub struct Acceptor(Arc<ArcSwap<Policy>>);

impl Acceptor {
    pub fn new(policy: Arc<Policy>) -> Acceptor {
        Acceptor(Arc::new(ArcSwap::new(policy)))
    }

    /// Puts a policy in force for connections to come. `false`: it says what the one in force says,
    /// which stays with its tickets. Tickets of a policy that goes are void.
    pub fn publish(&self, policy: Arc<Policy>) -> bool {
        if self.0.load().fingerprint == policy.fingerprint {
            return false;
        }
        self.0.store(policy);
        true
    }

    /// Shakes hands. The deadline of the socket bounds it in time.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<Stream> {
        let policy = self.0.load_full();
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
