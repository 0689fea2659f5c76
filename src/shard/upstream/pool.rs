//! Connections of one shard to one backend: opened when needed, kept while idle, last in first out.
//!
//! Opening is never cancelled, because monoio 0.2.4 leaks the descriptor of a connect that succeeds
//! while it is being cancelled. It runs as a task of its own; who no longer waits for it leaves the
//! connection to the pool.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use crate::policy::upstream::{Address, Settings, Timeouts, Tls};
use crate::shard::deadline::{Deadline, Deadlines, in_ticks};
use crate::shard::upstream::wire::{self, Reader, Writer};
use crate::shard::upstream::{Error, Unopened};

/// One connection to a backend.
pub struct Connection {
    // Before the halves: it must be gone when the socket closes.
    pub deadline: Deadline,
    pub reader: Reader,
    pub writer: Writer,
    socket: RawFd,
    /// The tick in which it became idle.
    idle_since: u32,
    /// How long to wait for the backend on it.
    pub response_timeout: Duration,
    /// Whether an earlier exchange used it: the backend may be about to close it.
    pub is_reused: bool,
}

/// What the pools of an upstream have done, for the metrics.
#[derive(Default)]
pub struct Counters {
    pub opened: Cell<u64>,
    pub reused: Cell<u64>,
    pub failed: Cell<u64>,
    /// Requests that were tried a second time.
    pub retried: Cell<u64>,
    /// How often an endpoint was left out.
    pub ejected: Cell<u64>,
}

pub struct Pool {
    address: Address,
    timeouts: Timeouts,
    tls: Option<Tls>,
    max_idle: usize,
    /// Ticks after which an idle connection is closed.
    longest_idle: u32,
    /// Connections being opened at once. Each request opens one at most, so it is reached only where
    /// many were given up on that the system still tries to open.
    max_opening: usize,
    counters: Rc<Counters>,
    deadlines: Deadlines,
    idle: RefCell<Vec<Connection>>,
    opening: Cell<usize>,
}

/// Where an opening task leaves its outcome.
#[derive(Default)]
struct Slot {
    outcome: Option<io::Result<Connection>>,
    waker: Option<std::task::Waker>,
    is_abandoned: bool,
}

impl Pool {
    pub fn new(
        address: Address,
        settings: &Settings,
        counters: Rc<Counters>,
        deadlines: Deadlines,
    ) -> Rc<Pool> {
        Rc::new(Pool {
            address,
            timeouts: settings.timeouts,
            tls: settings.tls.clone(),
            max_idle: settings.max_idle,
            longest_idle: in_ticks(settings.idle),
            max_opening: settings.max_in_flight,
            counters,
            deadlines,
            idle: RefCell::default(),
            opening: Cell::new(0),
        })
    }

    pub fn idle_count(&self) -> usize {
        self.idle.borrow().len()
    }

    /// An idle connection that is still quiet, or a new one. Each is looked at, however short a
    /// time it was idle: what has come behind an answer would be the next client's, and a backend
    /// that has closed takes no request that may not be repeated.
    pub async fn checkout(self: &Rc<Self>) -> Result<Connection, Unopened> {
        while let Some(mut connection) = self.take_idle() {
            if is_quiet(connection.socket) && connection.reader.is_empty() {
                connection.is_reused = true;
                increment(&self.counters.reused);
                return Ok(connection);
            }
        }
        self.open().await
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle.borrow_mut().pop()
    }

    /// Takes back a connection whose last exchange ended cleanly, with nothing left unread.
    pub fn put_back(&self, mut connection: Connection) {
        connection.deadline.lift();
        connection.idle_since = self.deadlines.now();
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.max_idle {
            idle.push(connection);
        }
    }

    /// Closes what has been idle for too long. The last in are the first out, so the oldest stand
    /// in front.
    pub fn sweep(&self) {
        let now = self.deadlines.now();
        let mut idle = self.idle.borrow_mut();
        let is_old = |each: &Connection| now.wrapping_sub(each.idle_since) > self.longest_idle;
        let old = idle.iter().take_while(|each| is_old(each)).count();
        idle.drain(..old);
    }

    /// A connection that no request has used yet.
    pub async fn open(self: &Rc<Self>) -> Result<Connection, Unopened> {
        if self.opening.get() >= self.max_opening {
            return Err(Error::Overloaded.into());
        }
        self.opening.set(self.opening.get() + 1);
        let slot = Rc::new(RefCell::new(Slot::default()));
        monoio::spawn(open_into(self.clone(), slot.clone()));

        let deadline = self.deadlines.task();
        deadline.set(self.timeouts.connect);
        let outcome = std::future::poll_fn(|context| {
            let slot = &mut *slot.borrow_mut();
            if let Some(outcome) = slot.outcome.take() {
                return Poll::Ready(outcome.map_err(Unopened::from));
            }
            if deadline.has_fired() {
                slot.is_abandoned = true;
                return Poll::Ready(Err(Error::ConnectTimeout.into()));
            }
            slot.waker = Some(context.waker().clone());
            deadline.register(context.waker());
            Poll::Pending
        })
        .await;
        if outcome.is_err() {
            increment(&self.counters.failed);
        }
        outcome
    }

    async fn connect(&self) -> io::Result<Connection> {
        let opened = wire::open(&self.address).await?;
        let socket = opened.socket();
        let deadline = self.deadlines.socket(socket);
        // Who waits for it gives up by itself; this ends a handshake that nobody waits for.
        deadline.set(self.timeouts.connect);
        let (reader, writer) = opened.ready(self.tls.as_ref()).await?;
        deadline.clear();
        increment(&self.counters.opened);
        Ok(Connection {
            deadline,
            reader,
            writer,
            socket,
            idle_since: 0,
            response_timeout: self.timeouts.response,
            is_reused: false,
        })
    }
}

async fn open_into(pool: Rc<Pool>, slot: Rc<RefCell<Slot>>) {
    let outcome = pool.connect().await;
    pool.opening.set(pool.opening.get() - 1);
    let mut slot = slot.borrow_mut();
    if slot.is_abandoned {
        if let Ok(connection) = outcome {
            pool.put_back(connection);
        }
        return;
    }
    slot.outcome = Some(outcome);
    if let Some(waker) = slot.waker.take() {
        waker.wake();
    }
}

/// Whether nothing has come on an idle connection. An end means that the backend closed it; bytes
/// that nobody asked for would be taken for the answer to the next request.
fn is_quiet(socket: RawFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(socket, &mut [0; 1], flags) == Err(Errno::EAGAIN)
}

pub fn increment(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    use crate::shard::ring::Mode;
    use monoio::io::AsyncWriteRentExt;
    use monoio::net::TcpListener;

    fn on_ring(test: impl AsyncFnOnce()) {
        Mode::probe(Mode::DeferTaskrun).run(test()).unwrap();
    }

    fn pool(address: SocketAddr, max_idle: usize) -> (Rc<Pool>, Deadlines) {
        let deadlines = Deadlines::default();
        let settings = Settings {
            timeouts: Timeouts {
                connect: Duration::from_millis(60),
                response: Duration::from_secs(1),
            },
            max_idle,
            ..Settings::named("backend")
        };
        let address = Address::Tcp(address);
        let pool = Pool::new(address, &settings, Rc::default(), deadlines.clone());
        (pool, deadlines)
    }

    #[test]
    fn an_idle_connection_is_used_again_unless_the_backend_spoke_or_left() {
        on_ring(async || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (pool, _deadlines) = pool(listener.local_addr().unwrap(), 8);
            let first = pool.checkout().await.unwrap();
            let (mut backend, _) = listener.accept().await.unwrap();
            let socket = first.socket;
            pool.put_back(first);

            let again = pool.checkout().await.unwrap();
            assert!(again.is_reused && again.socket == socket);
            pool.put_back(again);

            // Bytes that nobody asked for: the connection is not used again.
            backend
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
                .await
                .0
                .unwrap();
            let fresh = pool.checkout().await.unwrap();
            assert!(!fresh.is_reused);
            let (backend, _) = listener.accept().await.unwrap();
            pool.put_back(fresh);

            drop(backend);
            monoio::time::timeout(Duration::from_secs(5), async {
                while is_quiet(pool.idle.borrow()[0].socket) {
                    monoio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await
            .unwrap();
            assert!(!pool.checkout().await.unwrap().is_reused);
            assert_eq!(
                (pool.counters.opened.get(), pool.counters.reused.get()),
                (3, 1)
            );
        });
    }

    #[test]
    fn no_more_than_the_allowed_number_stays_idle() {
        on_ring(async || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (pool, _deadlines) = pool(listener.local_addr().unwrap(), 1);
            let (a, b) = (
                pool.checkout().await.unwrap(),
                pool.checkout().await.unwrap(),
            );
            pool.put_back(a);
            pool.put_back(b);
            assert_eq!(pool.idle_count(), 1);
        });
    }

    #[test]
    fn what_is_idle_for_too_long_is_closed() {
        on_ring(async || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (pool, deadlines) = pool(listener.local_addr().unwrap(), 8);
            let (old, young) = (
                pool.checkout().await.unwrap(),
                pool.checkout().await.unwrap(),
            );
            pool.put_back(old);
            (0..pool.longest_idle).for_each(|_| deadlines.tick());
            pool.put_back(young);
            pool.sweep();
            assert_eq!(pool.idle_count(), 2);
            deadlines.tick();
            pool.sweep();
            assert_eq!(pool.idle_count(), 1);
        });
    }

    #[test]
    fn what_this_machine_lacks_is_no_fault_of_the_backend() {
        for (number, error) in [
            (Errno::EMFILE, Error::LocalFault),
            (Errno::EADDRNOTAVAIL, Error::LocalFault),
            (Errno::ECONNREFUSED, Error::Unreachable),
            (Errno::EHOSTUNREACH, Error::Unreachable),
        ] {
            let failed = io::Error::from_raw_os_error(number as i32);
            assert_eq!(Unopened::from(failed).error, error, "{number}");
        }
    }

    #[test]
    fn a_refused_connection_is_unreachable() {
        on_ring(async || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            drop(listener);
            let (pool, _deadlines) = pool(address, 8);
            let unopened = pool.checkout().await.err().unwrap();
            assert_eq!(unopened.error, Error::Unreachable);
            assert!(unopened.reason.contains("refused"), "{}", unopened.reason);
            assert_eq!((pool.counters.failed.get(), pool.opening.get()), (1, 0));
        });
    }
}
