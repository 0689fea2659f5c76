//! Listening: which addresses, how their connections are treated, and accepting them.
//!
//! The control side binds and publishes; shards compare a number at each tick and follow. Accepting
//! waits until a socket is readable and takes what is there without waiting: a wait that is given up
//! loses no connection, which an accept on the ring that is cancelled may. So a socket can be left
//! to another process at any time.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use ipnet::IpNet;
use nix::sys::socket::{MsgFlags, Shutdown, send, shutdown};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::settings::Timeouts;
use crate::proto::proxy_protocol::Told;
use crate::shard::Shard;
use crate::shard::admission::Place;
use crate::shard::connection::{self, Peer};
use crate::shard::proxy;
use crate::shard::tls::Acceptor;

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long to wait when the process has no descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Connections taken at once, before those that are open get their turn again.
const BATCH: usize = 64;

/// What a client is told for which there is no place (RFC 9110 section 15.6.4).
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
    Content-Length: 0\r\n\r\n";

/// How connections of a listener are treated.
pub struct Settings {
    pub timeouts: Timeouts,
    /// Whose request ids and traces are kept.
    pub trusted_peers: Vec<IpNet>,
    pub tls: Option<Acceptor>,
    /// Every connection begins with a header that tells whose it is.
    pub proxy_protocol: bool,
}

/// A bound address: at least one socket per shard, over which the kernel spreads connections
/// (`SO_REUSEPORT`). More where a process with more shards has left its own.
pub struct Bound {
    pub address: SocketAddr,
    settings: ArcSwap<Settings>,
    sockets: Box<[TcpListener]>,
}

/// What listens now.
#[derive(Default)]
pub struct Listening {
    current: ArcSwap<Vec<Arc<Bound>>>,
    generation: AtomicU64,
}

impl Bound {
    /// Binds an address for each shard. All or none, so that a failure shows before anything is
    /// served.
    pub fn bind(address: SocketAddr, settings: Settings, shards: usize) -> io::Result<Arc<Bound>> {
        let mut address = address;
        let mut sockets = Vec::with_capacity(shards);
        for _ in 0..shards {
            let socket = bind_one(address)?;
            // Port 0 is chosen once; the other shards follow.
            address = socket.local_addr()?;
            sockets.push(socket);
        }
        Bound::adopt(sockets, settings)
    }

    /// Takes sockets that listen already, at least one per shard.
    pub fn adopt(sockets: Vec<TcpListener>, settings: Settings) -> io::Result<Arc<Bound>> {
        let first = sockets.first().ok_or(io::ErrorKind::InvalidInput)?;
        let address = first.local_addr()?;
        for socket in &sockets {
            // What is not there must not be waited for.
            socket.set_nonblocking(true)?;
        }
        Ok(Arc::new(Bound {
            address,
            settings: ArcSwap::from_pointee(settings),
            sockets: sockets.into(),
        }))
    }

    /// Replaces the settings for connections to come.
    pub fn publish(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// What accepts TLS here.
    pub fn tls(&self) -> Option<Acceptor> {
        self.settings.load().tls.clone()
    }

    pub fn sockets(&self) -> &[TcpListener] {
        &self.sockets
    }

    /// Which of the sockets are this shard's: each is somebody's.
    pub fn of_shard(&self, index: usize, shards: usize) -> impl Iterator<Item = usize> {
        (index..self.sockets.len()).step_by(shards)
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
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
    Ok(socket.into())
}

impl Listening {
    pub fn publish(&self, listeners: Vec<Arc<Bound>>) {
        self.current.store(Arc::new(listeners));
        // Release: who sees the number finds the list.
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub fn load(&self) -> Arc<Vec<Arc<Bound>>> {
        self.current.load_full()
    }
}

impl Settings {
    /// Whether a word about others is taken from this address.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let mut trusted = self.trusted_peers.iter();
        trusted.any(|prefix| prefix.contains(&address))
    }

    fn peer(&self, address: IpAddr) -> Peer {
        let address = address.to_canonical();
        Peer {
            address,
            is_trusted: self.trusts(address),
            is_tls: self.tls.is_some(),
        }
    }
}

/// One socket of a listener, of which a shard accepts until it is closed.
pub struct Accepting {
    pub bound: Arc<Bound>,
    socket: usize,
    is_closed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Accepting {
    pub fn new(bound: Arc<Bound>, socket: usize) -> Rc<Accepting> {
        Rc::new(Accepting {
            bound,
            socket,
            is_closed: Cell::new(false),
            waker: RefCell::default(),
        })
    }

    /// Ends accepting. Connections that are open stay, and so does the socket.
    pub fn close(&self) {
        self.is_closed.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// `false`: closed. Otherwise the socket may have a connection.
    async fn readable(&self, socket: &monoio::net::TcpListener) -> bool {
        // It loses nothing when it is dropped: a poll takes nothing from the socket.
        let mut readable = pin!(socket.readable(false));
        std::future::poll_fn(|context| {
            if self.is_closed.get() {
                return Poll::Ready(false);
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            readable.as_mut().poll(context).map(|_| true)
        })
        .await
    }
}

/// A connection on its way to the shard that will serve it.
pub struct Accepted {
    pub stream: TcpStream,
    peer: Peer,
    settings: Arc<Settings>,
    place: Place,
}

/// Accepts until the listener is closed.
pub async fn accept(shard: Rc<Shard>, accepting: Rc<Accepting>) {
    let own = &accepting.bound.sockets[accepting.socket];
    let sockets = own.try_clone().and_then(|polled| {
        let polled = monoio::net::TcpListener::from_std(polled)?;
        Ok((own, polled))
    });
    let (socket, polled) = match sockets {
        Ok(sockets) => sockets,
        Err(error) => {
            let (index, address) = (shard.index, accepting.bound.address);
            return eprintln!("portcullis: shard {index} does not listen on {address}: {error}");
        }
    };
    while accepting.readable(&polled).await {
        for _ in 0..BATCH {
            match socket.accept() {
                Ok((stream, address)) => take(&shard, &accepting.bound, stream, address.ip()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The peer left before it was accepted.
                Err(error) if is_transient(&error) => {}
                // Descriptors have run out.
                Err(_) => {
                    shard.note_pause();
                    monoio::time::sleep(EXHAUSTED).await;
                    break;
                }
            }
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
    )
}

fn take(shard: &Rc<Shard>, bound: &Bound, stream: TcpStream, address: IpAddr) {
    let settings = bound.settings.load_full();
    let peer = settings.peer(address);
    // Whoever else tells whose connection it is could be anybody.
    if settings.proxy_protocol && !peer.is_trusted {
        return shard.note_refused();
    }
    match shard.admit(peer) {
        Ok(place) => shard.place(Accepted {
            stream,
            peer,
            settings,
            place,
        }),
        Err(_) => {
            shard.note_refused();
            turn_away(stream.as_raw_fd(), peer.is_tls);
        }
    }
}

/// Tells a client that there is no place, without waiting and without memory. It may not get to
/// read it if it has sent its request already, because the close then resets the connection.
fn turn_away(socket: RawFd, is_tls: bool) {
    if !is_tls {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        // Whoever does not take it goes without.
        let _ = send(socket, FULL, flags);
    }
    let _ = shutdown(socket, Shutdown::Write);
}

/// Serves a connection in a task of its own. A panic costs one connection.
pub fn start(shard: &Rc<Shard>, accepted: Accepted) {
    let Accepted {
        stream,
        peer,
        settings,
        mut place,
    } = accepted;
    // A ring polls a non-blocking socket before each operation, which costs a pass; epoll needs it.
    let ready = stream.set_nonblocking(!shard.is_on_ring());
    let stream = ready.and_then(|()| monoio::net::TcpStream::from_std(stream));
    let Ok(stream) = stream else {
        return shard.note_closed();
    };
    let shard = shard.clone();
    monoio::spawn(async move {
        if !contained(serve(&shard, settings, (stream, &mut place), peer)).await {
            shard.note_panic();
        }
        shard.note_closed();
        drop(place);
    });
}

/// Runs to the end. `false`: it panicked, which nobody else notices. What a connection shares with
/// others is borrowed for single statements only, so that a panic leaves nothing half written. No
/// `async fn`: that would hold the work twice, before and while it is waited for.
fn contained(work: impl Future<Output = ()>) -> impl Future<Output = bool> {
    let caught = AssertUnwindSafe(work).catch_unwind();
    caught.map(|outcome| outcome.is_ok())
}

async fn serve(
    shard: &Rc<Shard>,
    settings: Arc<Settings>,
    (mut stream, place): (monoio::net::TcpStream, &mut Place),
    mut peer: Peer,
) {
    let deadline = shard.deadlines.socket(stream.as_raw_fd());
    deadline.set(settings.timeouts.handshake);
    if settings.proxy_protocol {
        match proxy::read(&mut stream).await {
            Ok(Told::Client(client)) => {
                peer = settings.peer(client);
                if !peer.is_trusted && place.is_of(peer.address).is_err() {
                    shard.note_refused();
                    return turn_away(stream.as_raw_fd(), peer.is_tls);
                }
            }
            Ok(Told::Nobody) => {}
            Err(_) => return shard.note_failed_handshake(),
        }
    }
    let Some(acceptor) = settings.tls.clone() else {
        return connection::serve(shard.clone(), stream, deadline, peer, settings).await;
    };
    // In a box that is gone when hands are shaken: a connection that waits has no memory of it.
    match Box::pin(acceptor.accept(stream)).await {
        Ok(stream) => connection::serve(shard.clone(), stream, deadline, peer, settings).await,
        Err(_) => shard.note_failed_handshake(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::ring::Mode;

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
        let sockets: Vec<_> = {
            let first = bind_one("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = first.local_addr().unwrap();
            vec![first, bind_one(address).unwrap()]
        };
        let addresses: Vec<_> = sockets
            .iter()
            .map(|each| each.local_addr().unwrap())
            .collect();
        assert_eq!(addresses[0], addresses[1]);
    }

    #[test]
    fn a_wait_that_is_given_up_leaves_the_connection_for_others() {
        for mode in Mode::LADDER.into_iter().filter(|mode| mode.is_available()) {
            let socket = bind_one("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.set_nonblocking(true).unwrap();
            let address = socket.local_addr().unwrap();
            let settings = Settings {
                timeouts: crate::shard::connection::tests::timeouts(),
                trusted_peers: Vec::new(),
                tls: None,
                proxy_protocol: false,
            };
            let polled = socket.try_clone().unwrap();
            let accepting = Accepting::new(Bound::adopt(vec![socket], settings).unwrap(), 0);
            let outcome = mode.run(async {
                let polled = monoio::net::TcpListener::from_std(polled).unwrap();
                let waiting = accepting.readable(&polled);
                accepting.close();
                let closed = waiting.await;
                let client = TcpStream::connect(address).unwrap();
                let open = Accepting::new(accepting.bound.clone(), 0);
                let is_readable = open.readable(&polled).await;
                let (accepted, _) = accepting.bound.sockets[0].accept().unwrap();
                let is_its = accepted.peer_addr().unwrap() == client.local_addr().unwrap();
                (closed, is_readable, is_its)
            });
            assert_eq!(outcome.unwrap(), (false, true, true), "{mode}");
        }
    }
}
