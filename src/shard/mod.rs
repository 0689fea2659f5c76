//! The shell: sockets, memory, time. The only code that knows io_uring.
//!
//! A shard is one core: its ring, listeners, pools, caches and counters. It shares with others the
//! published snapshot, the cells of the rate limits and the drain flag, and never waits for them.

pub mod account;
pub mod admission;
pub mod answer;
pub mod buffer;
pub mod clock;
pub mod connection;
pub mod core;
pub mod deadline;
pub mod exchange;
pub mod inbox;
pub mod listener;
pub mod load;
pub mod pace;
mod proxy;
pub mod ring;
pub mod tls;
pub mod trace;
pub mod transport;
mod turn;
pub mod upstream;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use monoio::io::AsyncReadRent;

use crate::policy::authn::SignatureCache;
use crate::policy::contract::Scratch;
use crate::policy::denial::{Denial, Stage};
use crate::policy::pipeline::State;
use crate::policy::ratelimit::{Cells, Leases, Tuning};
use crate::policy::snapshot::{Published, Snapshot};
use crate::policy::waf::stage::Workspace;
use crate::proto::head::RequestHead;
use crate::shard::account::{Account, Decision};
use crate::shard::admission::{Admission, Full, Place};
use crate::shard::buffer::Buffer;
use crate::shard::clock::Clock;
use crate::shard::connection::{Peer, Tables};
use crate::shard::deadline::{Deadlines, Use};
use crate::shard::inbox::Inbox;
use crate::shard::listener::{Accepted, Accepting, Listening};
use crate::shard::load::Load;
use crate::shard::ring::Mode;
use crate::shard::trace::Trace;
use crate::shard::turn::Turn;
use crate::shard::upstream::balance::Cluster;
use crate::telemetry::access_log::Record;
use crate::telemetry::log::Lines;
use crate::telemetry::metrics::{self, Declared, ShardMetrics, State as Activity};

/// What a response is read into: two heads, or a good piece of a body.
const RESPONSE: usize = 32 * 1024;

/// Buffers of each kind kept for the next exchanges.
const SPARE_BUFFERS: usize = 64;

/// Beyond it a block is given back to the allocator: one large body must not stay for ever.
const LARGEST_BLOCK: usize = 64 * 1024;

/// Bytes of tokens and claims that the signature cache may hold, per shard.
const SIGNATURE_CACHE: usize = 32 * 1024 * 1024;

/// A tick that comes so much late is a stall: somebody's latency.
const STALL: Duration = Duration::from_millis(100);

/// Ticks between two looks at unspent leases: about as long as a lease lasts.
const LEASE_TICKS: u32 = 3;

/// Ticks for which a connection that is idle when draining begins may still send a request, which
/// is then answered with the word that it was the last: two seconds. A client that sends just
/// when an idle connection is closed has lost its request, and on a busy machine one that has just
/// connected may need a second for its first one.
const LAST_REQUEST: u32 = 100;

/// How long the end of tunnels may take in a drain.
const FAREWELL: Duration = Duration::from_secs(2);

/// When tunnels, which do not end by themselves, are ended in a drain: so long before its own end
/// that both sides can still be told.
fn tunnels_end(drain_timeout: Duration) -> Duration {
    drain_timeout - FAREWELL.min(drain_timeout / 2)
}

/// What all shards share.
#[derive(Clone)]
pub struct Shared {
    pub published: Arc<Published>,
    pub cells: Arc<Cells>,
    pub listening: Arc<Listening>,
    /// One per shard.
    pub inboxes: Arc<[Inbox]>,
    pub mode: Mode,
    pub admission: Arc<Admission>,
    /// The bounds of each shard.
    pub most: load::Most,
    pub is_draining: Arc<AtomicBool>,
    /// How long open exchanges may go on then.
    pub drain_timeout: Duration,
    /// Where the monotonic clock of the process begins.
    pub origin: Instant,
}

impl Shared {
    /// With bounds that are never met.
    pub fn new(snapshot: Snapshot, shards: usize, mode: Mode) -> io::Result<Shared> {
        let inboxes = (0..shards).map(|_| Inbox::new());
        Ok(Shared {
            published: Arc::new(Published::new(snapshot)),
            listening: Arc::default(),
            inboxes: inboxes.collect::<io::Result<_>>()?,
            mode,
            admission: Admission::new(admission::Most {
                connections: usize::MAX,
                per_source: u32::MAX,
            }),
            most: load::Most {
                in_flight: usize::MAX,
                buffered: usize::MAX,
                per_source: usize::MAX,
            },
            cells: Arc::new(Cells::new(1024)),
            is_draining: Arc::default(),
            drain_timeout: Duration::MAX,
            origin: Instant::now(),
        })
    }
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
    pub load: Load,
    shared: Shared,
    metrics: Arc<ShardMetrics>,
    /// None: nothing is logged.
    lines: Option<RefCell<Lines>>,
    /// A line on its way.
    line: RefCell<Vec<u8>>,
    view: RefCell<Rc<View>>,
    random: RefCell<fastrand::Rng>,
    buffers: RefCell<Vec<Buffer>>,
    blocks: RefCell<Vec<Vec<u8>>>,
    tables: RefCell<Vec<Tables>>,
    accepting: RefCell<Vec<Rc<Accepting>>>,
    /// The generation of the list that `accepting` follows.
    listening: Cell<u64>,
    ticked: Cell<Instant>,
    /// As many as ever gave way at once.
    turns: RefCell<Vec<Turn>>,
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
            shards: shared.inboxes.len() as u64,
            ..Tuning::default()
        };
        let mut state = State {
            signatures: SignatureCache::new(SIGNATURE_CACHE),
            leases: Leases::new(tuning),
            cells: shared.cells.clone(),
            scratch: Scratch::default(),
            waf: Workspace::default(),
        };
        state.warm(&view.snapshot);
        Rc::new(Shard {
            index,
            clock: Clock::new(shared.origin),
            state: RefCell::new(state),
            deadlines,
            load: Load::new(shared.most),
            shared,
            metrics,
            lines: lines.map(RefCell::new),
            line: RefCell::default(),
            view: RefCell::new(Rc::new(view)),
            random: RefCell::new(fastrand::Rng::new()),
            buffers: RefCell::default(),
            blocks: RefCell::default(),
            tables: RefCell::default(),
            accepting: RefCell::default(),
            listening: Cell::new(0),
            ticked: Cell::new(Instant::now()),
            turns: RefCell::default(),
        })
    }

    /// Accepts and serves until the drain flag is up and the last connection has ended.
    pub async fn run(self: Rc<Self>) {
        monoio::spawn(self.clone().listen_to_bell());
        self.follow_listening();
        self.metrics.set_state(Activity::Accepting);
        let mut draining_since = None;
        loop {
            monoio::time::sleep(deadline::TICK).await;
            self.tick();
            if !self.is_draining() {
                self.follow_listening();
                continue;
            }
            let now = self.deadlines.now();
            let since = *draining_since.get_or_insert_with(|| {
                self.metrics.set_state(Activity::Draining);
                self.accepting.take().iter().for_each(|each| each.close());
                now
            });
            if now.wrapping_sub(since) >= LAST_REQUEST {
                self.deadlines.end_all(Use::Nothing);
            }
            if now.wrapping_sub(since) >= deadline::in_ticks(tunnels_end(self.shared.drain_timeout))
            {
                self.deadlines.end_all(Use::Tunnel);
            }
            if self.inbox().open() == 0 {
                self.metrics.set_state(Activity::Stopped);
                return;
            }
        }
    }

    /// Lets the others on this shard have their turn, in the middle of an inspection.
    pub async fn give_way(&self) {
        self.metrics.waf_pauses.add(1);
        let spare = self.turns.borrow_mut().pop();
        let turn = spare.map_or_else(|| Turn::new(self.shared.mode), Ok);
        if let Ok(mut turn) = turn
            && turn.give_way().await.is_ok()
        {
            self.turns.borrow_mut().push(turn);
            return;
        }
        // Without descriptors for it: the next beat of the timer is everybody's turn as well.
        monoio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Opens what listens since the last look and closes what does not any more.
    fn follow_listening(self: &Rc<Self>) {
        let generation = self.shared.listening.generation();
        if self.listening.replace(generation) == generation {
            return;
        }
        let wanted = self.shared.listening.load();
        let mut accepting = self.accepting.borrow_mut();
        accepting.retain(|each| {
            let stays = wanted.iter().any(|bound| Arc::ptr_eq(bound, &each.bound));
            if !stays {
                each.close();
            }
            stays
        });
        for bound in &*wanted {
            if accepting.iter().any(|each| Arc::ptr_eq(&each.bound, bound)) {
                continue;
            }
            for socket in bound.of_shard(self.index, self.shared.inboxes.len()) {
                let fresh = Accepting::new(bound.clone(), socket);
                monoio::spawn(listener::accept(self.clone(), fresh.clone()));
                accepting.push(fresh);
            }
        }
    }

    fn tick(&self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.ticked.replace(now)) > deadline::TICK + STALL {
            self.metrics.stalls.add(1);
        }
        self.metrics.ticks.add(1);
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
        self.metrics
            .connections_open
            .set(self.inbox().open() as u64);
        self.metrics.in_flight.set(self.load.in_flight() as u64);
        self.metrics.buffered.set(self.load.buffered() as u64);
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
        self.state.borrow_mut().warm(&view.snapshot);
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

    fn inbox(&self) -> &Inbox {
        &self.shared.inboxes[self.index]
    }

    fn is_on_ring(&self) -> bool {
        self.shared.mode != Mode::Epoll
    }

    fn admit(&self, peer: Peer) -> Result<Place, Full> {
        self.shared.admission.admit(peer.address, peer.is_trusted)
    }

    /// Serves an accepted connection, here or where there are fewer of them.
    fn place(self: &Rc<Self>, accepted: Accepted) {
        self.metrics.connections_accepted.add(1);
        let chosen = inbox::choose(&self.shared.inboxes, self.index);
        let own = if chosen == self.index {
            Some(accepted)
        } else {
            self.shared.inboxes[chosen].hand(accepted).err()
        };
        if let Some(accepted) = own {
            self.inbox().enter();
            listener::start(self, accepted);
        }
    }

    /// Serves what other shards hand over, for as long as the shard runs.
    async fn listen_to_bell(self: Rc<Self>) {
        let ear = self.inbox().ear().and_then(|ear| {
            ear.set_nonblocking(!self.is_on_ring())?;
            monoio::net::UnixStream::from_std(ear)
        });
        let Ok(mut ear) = ear else {
            return;
        };
        let mut block = vec![0; 64];
        loop {
            for accepted in self.inbox().take() {
                listener::start(&self, accepted);
            }
            let (outcome, back) = ear.read(block).await;
            block = back;
            if !matches!(outcome, Ok(1..)) {
                return;
            }
        }
    }

    /// For a head on its way out, and what goes with it.
    fn take_block(&self) -> Vec<u8> {
        self.blocks.borrow_mut().pop().unwrap_or_default()
    }

    fn give_block(&self, mut block: Vec<u8>) {
        let mut blocks = self.blocks.borrow_mut();
        if blocks.len() < SPARE_BUFFERS && block.capacity() <= LARGEST_BLOCK {
            block.clear();
            blocks.push(block);
        }
    }

    /// For a connection on which a request is coming.
    fn take_tables(&self) -> Tables {
        self.tables.borrow_mut().pop().unwrap_or_default()
    }

    fn give_tables(&self, tables: Tables) {
        let mut spare = self.tables.borrow_mut();
        if spare.len() < SPARE_BUFFERS {
            spare.push(tables);
        }
    }

    fn note_refused(&self) {
        self.metrics.connections_refused.add(1);
    }

    fn note_pause(&self) {
        self.metrics.accept_pauses.add(1);
    }

    fn note_closed(&self) {
        self.inbox().leave();
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
        if let Some(denial) = account.reported {
            self.metrics.report(denial);
        }
        if !account.found.hits.is_empty() {
            self.metrics.waf_flagged.add(1);
        }
        self.metrics.exceed(account.found.exceeded);
        if account.found.hits.iter().any(|hit| hit.denies) {
            self.metrics.waf_attacks.add(1);
        }
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
            reported: account.reported.map_or("", Denial::reason),
            detail: &account.detail,
            undeclared: &account.undeclared,
            hits: &account.found.hits,
            scores: &account.found.scores,
            exceeded: account.found.exceeded,
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
    /// Upstreams that stay as they are keep their connections and what was seen of them; those whose
    /// table has changed keep what was seen of endpoints that stay.
    fn of(
        snapshot: Arc<Snapshot>,
        declared: Arc<Declared>,
        old: &[Rc<Cluster>],
        deadlines: &Deadlines,
    ) -> View {
        let clusters = snapshot.upstreams.iter().map(|upstream| {
            let same = old.iter().find(|cluster| cluster.is_of(upstream));
            let name = &upstream.settings.name;
            let named = || old.iter().find(|each| each.settings.name == *name);
            match (same, named()) {
                (Some(same), _) => same.clone(),
                (None, Some(changed)) => changed.changed(upstream.clone()),
                (None, None) => Cluster::new(upstream.clone(), deadlines.clone()),
            }
        });
        View {
            clusters: clusters.collect(),
            snapshot: snapshot.clone(),
            declared,
        }
    }
}
