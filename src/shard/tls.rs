//! TLS on the ring. Everything that knows `monoio-rustls` is here, so that it can be replaced.

use std::sync::Arc;

use arc_swap::ArcSwap;
use monoio::net::TcpStream;
use monoio_rustls::{ServerTlsStream, TlsAcceptor, TlsError};
use rustls::ServerConfig;

/// Accepts TLS with the configuration that was published last.
#[derive(Clone)]
pub struct Acceptor(Arc<ArcSwap<ServerConfig>>);

impl Acceptor {
    pub fn new(config: Arc<ServerConfig>) -> Acceptor {
        Acceptor(Arc::new(ArcSwap::new(config)))
    }

    /// Replaces certificates for connections to come; tickets of the old ones are void.
    pub fn publish(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }

    pub async fn accept(&self, stream: TcpStream) -> Result<ServerTlsStream<TcpStream>, TlsError> {
        TlsAcceptor::from(self.0.load_full()).accept(stream).await
    }
}
