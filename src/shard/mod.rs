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
use crate::policy::denial::Stage;
use crate::policy::pipeline::State;
use crate::policy::ratelimit::{Cells, Leases, Tuning};
use crate::policy::snapshot::{Published, Snapshot};
use crate::proto::head::RequestHead;
use crate::shard::account::{Account, Decision};
use crate::shard::buffer::Buffer;
use crate::shard::clock::Clock;
use crate::shard::deadline::Deadlines;
use crate::shard::listener::Listener;
use crate::shard::trace::Trace;
use crate::shard::upstream::balance::Cluster;
use crate::telemetry::access_log::Record;
use crate::telemetry::log::Lines;
use crate::telemetry::metrics::{self, Declared, ShardMetrics, State as Activity};

/// What a response is read into: two heads, or a good piece of a body.
const RESPONSE: usize = 32 * 1024;

/// Response buffers kept for the next exchanges.
const SPARE_BUFFERS: usize = 64;

/// Bytes of tokens and claims that the signature cache may hold, per shard.
const SIGNATURE_CACHE: usize = 32 * 1024 * 1024;

/// Ticks between two looks at unspent leases: about as long as a lease lasts.
const LEASE_TICKS: u32 = 3;

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
    pub clusters: Vec<Rc<Cluster>>,
    /// The counters of its operations and pools.
    declared: Arc<Declared>,
}

/// One core's worth of gateway.
pub struct Shard {
    pub index: usize,
    pub clock: Clock,
    pub deadlines: Deadlines,
    pub state: RefCell<State>,
    shared: Shared,
    metrics: Arc<ShardMetrics>,
    /// None: nothing is logged.
    lines: Option<RefCell<Lines>>,
    /// A line on its way.
    line: RefCell<Vec<u8>>,
    view: RefCell<Rc<View>>,
    random: RefCell<fastrand::Rng>,
    buffers: RefCell<Vec<Buffer>>,
    open: Cell<usize>,
}

impl Shard {
    /// The counters of the published snapshot must have been declared in `metrics`.
    pub fn new(
        index: usize,
        shared: Shared,
        metrics: Arc<ShardMetrics>,
        lines: Option<Lines>,
    ) -> Rc<Shard> {
        let deadlines = Deadlines::default();
        let declared = metrics.declared.load_full();
        let view = View::of(shared.published.load(), declared, &[], &deadlines);
        metrics.generation.set(view.snapshot.generation);
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
            metrics,
            lines: lines.map(RefCell::new),
            line: RefCell::default(),
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
        self.metrics.set_state(Activity::Accepting);
        let mut is_closing = false;
        loop {
            monoio::time::sleep(deadline::TICK).await;
            self.tick();
            if !self.is_draining() {
                continue;
            }
            if !is_closing {
                is_closing = true;
                self.metrics.set_state(Activity::Draining);
                listeners.iter().for_each(|listener| listener.close());
            }
            self.deadlines.end_idle();
            let has_accepting = listeners.iter().any(|each| Rc::strong_count(each) > 1);
            if self.open.get() == 0 && !has_accepting {
                self.metrics.set_state(Activity::Stopped);
                return;
            }
        }
    }

    fn tick(&self) {
        self.deadlines.tick();
        self.clock.tick();
        self.renew();
        self.view().clusters.iter().for_each(|each| each.tick());
        self.give_back_leases();
        self.show();
    }

    /// Tokens that this shard took ahead and did not need belong to all again.
    fn give_back_leases(&self) {
        if !self.deadlines.now().is_multiple_of(LEASE_TICKS) {
            return;
        }
        let State { leases, cells, .. } = &mut *self.state.borrow_mut();
        leases.sweep(cells, self.clock.at(Instant::now()).monotonic_ns);
    }

    /// Copies what is counted elsewhere to where it is read.
    fn show(&self) {
        let signatures = &self.state.borrow().signatures;
        self.metrics.token_hits.set(signatures.hits());
        self.metrics.token_misses.set(signatures.misses());
        self.metrics.token_bytes.set(signatures.weight() as u64);
        self.metrics.connections_open.set(self.open.get() as u64);
        let view = self.view();
        for (cluster, shown) in view.clusters.iter().zip(&view.declared.pools) {
            let counters = &cluster.counters;
            shown.opened.set(counters.opened.get());
            shown.reused.set(counters.reused.get());
            shown.failed.set(counters.failed.get());
            shown.retried.set(counters.retried.get());
            shown.ejected.set(counters.ejected.get());
            shown.idle.set(cluster.idle_count() as u64);
            shown.in_use.set(cluster.in_use() as u64);
        }
    }

    /// Takes over a snapshot that was published since.
    fn renew(&self) {
        let current = self.view();
        if self.shared.published.generation() == current.snapshot.generation {
            return;
        }
        let snapshot = self.shared.published.load();
        let declared = self.metrics.declared.load_full();
        // A newer one is on its way: it is taken whole at the next tick.
        if declared.generation != snapshot.generation {
            return;
        }
        let view = View::of(snapshot, declared, &current.clusters, &self.deadlines);
        self.metrics.generation.set(view.snapshot.generation);
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

    fn note_accepted(&self) {
        self.open.set(self.open.get() + 1);
        self.metrics.connections_accepted.add(1);
    }

    fn note_closed(&self) {
        self.open.set(self.open.get() - 1);
    }

    fn note_panic(&self) {
        self.metrics.panics.add(1);
    }

    fn note_failed_handshake(&self) {
        self.metrics.failed_handshakes.add(1);
    }

    /// Counts a finished exchange and logs it.
    pub fn report(&self, view: &View, account: &Account, path: &str) {
        let end = Instant::now();
        let (decision, word) = match account.decision {
            Decision::Forwarded => (metrics::Decision::Forwarded, "forwarded"),
            Decision::Denied(denial) => {
                self.metrics.deny(denial);
                (metrics::Decision::Denied, "denied")
            }
            Decision::Failed(error) => {
                self.metrics.fail(error.name());
                (metrics::Decision::Failed, "failed")
            }
        };
        let counted = account
            .operation
            .map(|index| &*view.declared.operations[index]);
        counted.unwrap_or(&self.metrics.unmatched).count(decision);
        self.metrics.before_upstream.record(account.before(end));
        if account.answered.is_some() && account.relayed.is_some() {
            self.metrics.after_upstream.record(account.after());
        }
        if let Some(lines) = &self.lines {
            let mut line = self.line.borrow_mut();
            line.clear();
            self.record(view, account, path, word, end).write(&mut line);
            if !lines.borrow_mut().push(&line) {
                self.metrics.log_dropped.add(1);
            }
        }
    }

    fn record<'a>(
        &self,
        view: &'a View,
        account: &'a Account,
        path: &'a str,
        decision: &'a str,
        end: Instant,
    ) -> Record<'a> {
        let operations = view.snapshot.catalogue.operations();
        let operation = account.operation.map(|index| &operations[index]);
        let principal = account.principal.as_deref();
        let (stage, reason) = match account.decision {
            Decision::Forwarded => (Stage::Forward, ""),
            Decision::Denied(denial) => (denial.stage(), denial.reason()),
            Decision::Failed(error) => (Stage::Forward, error.name()),
        };
        Record {
            unix_ms: self.clock.unix_ms(account.received),
            request_id: account.trace.id(),
            trace_id: account.trace.trace_id(),
            peer: account.peer,
            is_tls: account.is_tls,
            method: account.method(),
            path,
            api: operation.map_or("", |operation| &operation.api),
            operation: operation.map_or("", |operation| &operation.id),
            subject: principal.map_or("", |principal| &principal.subject),
            client: principal
                .and_then(|principal| principal.client.as_deref())
                .unwrap_or(""),
            decision,
            stage: stage.name(),
            reason,
            detail: &account.detail,
            status: account.status,
            bytes_in: account.bytes_in,
            bytes_out: account.bytes_out,
            is_truncated: account.is_truncated,
            before: account.before(end),
            upstream: account.upstream(),
            after: account.after(),
            shard: self.index,
        }
    }
}

impl View {
    /// Upstreams that stay as they are keep their connections and what was seen of them.
    fn of(
        snapshot: Arc<Snapshot>,
        declared: Arc<Declared>,
        old: &[Rc<Cluster>],
        deadlines: &Deadlines,
    ) -> View {
        let clusters = snapshot.upstreams.iter().map(|upstream| {
            let same = old.iter().find(|cluster| cluster.is_of(upstream));
            same.cloned()
                .unwrap_or_else(|| Cluster::new(upstream.clone(), deadlines.clone()))
        });
        View {
            clusters: clusters.collect(),
            snapshot: snapshot.clone(),
            declared,
        }
    }
}
