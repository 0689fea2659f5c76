//! The shell: sockets, memory, time. The only code that knows io_uring.
//!
//! A shard is one core: its ring, listeners, pools, caches and counters. It shares with others the
//! published snapshot, the cells of the rate limits and the drain flag, and never waits for them.

pub mod account;
pub mod answer;
pub mod buffer;
pub mod clock;
pub mod connection;
pub mod core;
pub mod deadline;
pub mod exchange;
pub mod listener;
pub mod ring;
pub mod tls;
pub mod trace;
pub mod upstream;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::policy::authn::SignatureCache;
use crate::policy::contract::Scratch;
use crate::policy::pipeline::State;
use crate::policy::ratelimit::{Cells, Leases, Tuning};
use crate::policy::snapshot::{Published, Snapshot};
use crate::proto::head::RequestHead;
use crate::shard::account::Account;
use crate::shard::buffer::Buffer;
use crate::shard::clock::Clock;
use crate::shard::deadline::Deadlines;
use crate::shard::listener::Listener;
use crate::shard::trace::Trace;
use crate::shard::upstream::pool::Pool;

/// What a response is read into: two heads, or a good piece of a body.
const RESPONSE: usize = 32 * 1024;

/// Response buffers kept for the next exchanges.
const SPARE_BUFFERS: usize = 64;

/// Bytes of tokens and claims that the signature cache may hold, per shard.
const SIGNATURE_CACHE: usize = 32 * 1024 * 1024;

/// What all shards share.
#[derive(Clone)]
pub struct Shared {
    pub published: Arc<Published>,
    pub cells: Arc<Cells>,
    pub is_draining: Arc<AtomicBool>,
    /// Where the monotonic clock of the process begins.
    pub origin: Instant,
    pub shards: usize,
}

/// A snapshot as one shard uses it.
pub struct View {
    pub snapshot: Arc<Snapshot>,
    /// One per upstream of the snapshot, in its order.
    pub pools: Vec<Rc<Pool>>,
}

/// One core's worth of gateway.
pub struct Shard {
    pub index: usize,
    pub clock: Clock,
    pub deadlines: Deadlines,
    pub state: RefCell<State>,
    shared: Shared,
    view: RefCell<Rc<View>>,
    random: RefCell<fastrand::Rng>,
    buffers: RefCell<Vec<Buffer>>,
    open: Cell<usize>,
}

impl Shard {
    pub fn new(index: usize, shared: Shared) -> Rc<Shard> {
        let deadlines = Deadlines::default();
        let view = View::of(shared.published.load(), &[], &deadlines);
        let tuning = Tuning {
            shards: shared.shards as u64,
            ..Tuning::default()
        };
        Rc::new(Shard {
            index,
            clock: Clock::new(shared.origin),
            state: RefCell::new(State {
                signatures: SignatureCache::new(SIGNATURE_CACHE),
                leases: Leases::new(tuning),
                cells: shared.cells.clone(),
                scratch: Scratch::default(),
            }),
            deadlines,
            shared,
            view: RefCell::new(Rc::new(view)),
            random: RefCell::new(fastrand::Rng::new()),
            buffers: RefCell::default(),
            open: Cell::new(0),
        })
    }

    /// Accepts and serves until the drain flag is up and the last connection has ended.
    pub async fn run(self: Rc<Self>, listeners: Vec<Listener>) {
        let listeners: Vec<Rc<Listener>> = listeners.into_iter().map(Rc::new).collect();
        for listener in &listeners {
            monoio::spawn(listener::accept(self.clone(), listener.clone()));
        }
        let mut is_closing = false;
        loop {
            monoio::time::sleep(deadline::TICK).await;
            self.tick();
            if !self.is_draining() {
                continue;
            }
            if !is_closing {
                is_closing = true;
                listeners.iter().for_each(|listener| listener.close());
            }
            self.deadlines.end_idle();
            let has_accepting = listeners.iter().any(|each| Rc::strong_count(each) > 1);
            if self.open.get() == 0 && !has_accepting {
                return;
            }
        }
    }

    fn tick(&self) {
        self.deadlines.tick();
        self.clock.tick();
        self.renew();
    }

    /// Takes over a snapshot that was published since.
    fn renew(&self) {
        let current = self.view();
        if self.shared.published.generation() == current.snapshot.generation {
            return;
        }
        let snapshot = self.shared.published.load();
        let view = View::of(snapshot, &current.pools, &self.deadlines);
        *self.view.borrow_mut() = Rc::new(view);
    }

    pub fn view(&self) -> Rc<View> {
        self.view.borrow().clone()
    }

    pub fn is_draining(&self) -> bool {
        self.shared.is_draining.load(Ordering::Relaxed)
    }

    /// Names for a request; those that a trusted peer sent are kept.
    pub fn trace(&self, received: Instant, trusted: Option<(&RequestHead, &[u8])>) -> Trace {
        let unix_ms = u64::try_from(self.clock.unix_ms(received)).unwrap_or(0);
        Trace::new(&mut self.random.borrow_mut(), unix_ms, trusted)
    }

    pub fn take_buffer(&self) -> Buffer {
        let spare = self.buffers.borrow_mut().pop();
        spare.unwrap_or_else(|| Buffer::with_capacity(RESPONSE))
    }

    pub fn give_buffer(&self, mut buffer: Buffer) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < SPARE_BUFFERS && buffer.capacity() == RESPONSE {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    pub(in crate::shard) fn note_panic(&self) {}

    pub(in crate::shard) fn note_failed_handshake(&self) {}

    /// Notes a finished exchange.
    pub fn report(&self, _view: &View, _account: &Account, _path: &str) {}
}

impl View {
    /// Pools of backends that stay are kept with their connections.
    fn of(snapshot: Arc<Snapshot>, old: &[Rc<Pool>], deadlines: &Deadlines) -> View {
        let pools = snapshot.upstreams.iter().map(|upstream| {
            let same = old.iter().find(|pool| pool.settings == *upstream);
            same.cloned()
                .unwrap_or_else(|| Pool::new(upstream.clone(), deadlines.clone()))
        });
        View {
            pools: pools.collect(),
            snapshot: snapshot.clone(),
        }
    }
}
