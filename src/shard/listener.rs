//! Accepting: from a bound socket to a connection with a known peer.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use ipnet::IpNet;
use monoio::net::TcpStream;
use nix::sys::socket::{Shutdown, shutdown};
use socket2::{Domain, Protocol, Socket, Type};

use crate::shard::Shard;
use crate::shard::connection::{self, Peer, Timeouts};
use crate::shard::ring::Mode;
use crate::shard::tls::Acceptor;

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long to wait when the process has no descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// How connections of a listener are treated.
#[derive(Clone)]
pub struct Settings {
    pub timeouts: Timeouts,
    /// Whose request ids and traces are kept.
    pub trusted_peers: Vec<IpNet>,
    pub tls: Option<Acceptor>,
}

/// A bound socket of one shard.
pub struct Listener {
    pub socket: TcpListener,
    pub settings: Settings,
}

/// Binds one socket per shard to the same address; the kernel spreads connections over them
/// (`SO_REUSEPORT`). All or none, so that a failure shows before anything is served.
pub fn bind(address: SocketAddr, shards: usize, mode: Mode) -> io::Result<Vec<TcpListener>> {
    let mut address = address;
    let mut sockets = Vec::with_capacity(shards);
    for _ in 0..shards {
        let socket = bind_one(address, mode)?;
        // Port 0 is chosen once; the other shards follow.
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn bind_one(address: SocketAddr, mode: Mode) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit it, which saves a call per connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    // A ring polls a non-blocking socket before each operation, which costs a pass.
    socket.set_nonblocking(mode == Mode::Epoll)?;
    Ok(socket.into())
}

impl Listener {
    /// Ends a pending accept. Connections that are open stay.
    pub fn close(&self) {
        // Fails only if it has been closed before.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
    }

    fn peer(&self, address: IpAddr) -> Peer {
        let address = address.to_canonical();
        let mut trusted = self.settings.trusted_peers.iter();
        Peer {
            address,
            is_trusted: trusted.any(|prefix| prefix.contains(&address)),
            is_tls: self.settings.tls.is_some(),
        }
    }
}

/// Accepts until the listener is closed.
pub async fn accept(shard: Rc<Shard>, listener: Rc<Listener>) {
    let Ok(socket) = listener.socket.try_clone() else {
        return;
    };
    let Ok(socket) = monoio::net::TcpListener::from_std(socket) else {
        return;
    };
    loop {
        match socket.accept().await {
            Ok((stream, address)) => {
                let peer = listener.peer(address.ip());
                shard.note_accepted();
                monoio::spawn(guard(shard.clone(), listener.clone(), stream, peer));
            }
            Err(_) if shard.is_draining() => return,
            // The peer left before it was accepted, or descriptors have run out.
            Err(error) if is_transient(&error) => {}
            Err(_) => monoio::time::sleep(EXHAUSTED).await,
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
    )
}

/// A panic costs one connection.
async fn guard(shard: Rc<Shard>, listener: Rc<Listener>, stream: TcpStream, peer: Peer) {
    if !contained(serve(&shard, &listener, stream, peer)).await {
        shard.note_panic();
    }
    shard.note_closed();
}

/// Runs to the end. `false`: it panicked, which nobody else notices. What a connection shares with
/// others is borrowed for single statements only, so that a panic leaves nothing half written.
async fn contained(work: impl Future<Output = ()>) -> bool {
    AssertUnwindSafe(work).catch_unwind().await.is_ok()
}

async fn serve(shard: &Rc<Shard>, listener: &Listener, stream: TcpStream, peer: Peer) {
    let socket: RawFd = stream.as_raw_fd();
    let deadline = shard.deadlines.socket(socket);
    let timeouts = listener.settings.timeouts;
    let Some(acceptor) = &listener.settings.tls else {
        return connection::serve(shard.clone(), stream, deadline, peer, timeouts).await;
    };
    deadline.set(timeouts.head);
    match acceptor.accept(stream).await {
        Ok(stream) => connection::serve(shard.clone(), stream, deadline, peer, timeouts).await,
        Err(_) => shard.note_failed_handshake(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_one_task_and_no_other() {
        let mode = Mode::probe(Mode::DeferTaskrun);
        let ended = mode.run(async {
            let broken = monoio::spawn(contained(async {
                monoio::time::sleep(Duration::from_millis(1)).await;
                panic!("as a test");
            }));
            let sound = monoio::spawn(contained(monoio::time::sleep(Duration::from_millis(5))));
            (broken.await, sound.await)
        });
        assert_eq!(ended.unwrap(), (false, true));
    }

    #[test]
    fn all_shards_of_a_listener_share_one_address() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 3, Mode::Epoll).unwrap();
        let addresses: Vec<_> = sockets
            .iter()
            .map(|each| each.local_addr().unwrap())
            .collect();
        assert!(addresses.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
