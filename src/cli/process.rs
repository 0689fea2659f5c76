//! A running gateway: its shards, its log and its control side, put together from a configuration.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_thp_disable;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::cli::diagnose;
use crate::cli::inherited::Inherited;
use crate::cli::listeners::Listeners;
use crate::cli::refused::refused;
use crate::cli::upgrade;
use crate::config::settings::{self, AccessLog, Ring, Server, Shards};
use crate::config::{self, Configuration, Kept};
use crate::control::{Control, End, Order};
use crate::policy::contract::schema::STACK;
use crate::policy::ratelimit::Cells;
use crate::policy::snapshot::{Published, Snapshot};
use crate::shard::admission::{self, Admission};
use crate::shard::ring::Mode;
use crate::shard::{Shard, Shared, core, load, upstream};
use crate::telemetry::log::{Lines, Log, Sink};
use crate::telemetry::metrics::{Registry, State};

/// Everything that runs.
pub struct Process {
    pub addresses: Vec<SocketAddr>,
    pub admin: SocketAddr,
    pub mode: Mode,
    registry: Arc<Registry>,
    shared: Shared,
    threads: Vec<JoinHandle<io::Result<()>>>,
    log: Option<Log>,
    control: Control,
}

impl Process {
    /// Binds every socket first, so that what cannot run says so before anything is served.
    /// `path` is where a reload looks; `sink` overrides the access log of the configuration.
    pub fn start(
        configuration: Configuration,
        path: PathBuf,
        sink: Option<Sink>,
    ) -> Result<Process, String> {
        let Configuration {
            server,
            listeners,
            snapshot,
            warnings: _,
            kept,
        } = configuration;
        let mode = Mode::probe(best(server.ring));
        use_small_pages();
        let cores = core::allowed().map_err(|error| format!("the cores are unknown: {error}"))?;
        let count = match server.shards {
            Shards::Auto => cores.len(),
            Shards::Count(count) => count,
        };
        let registry = Arc::new(Registry::new(count, &upstream::Error::names()));
        registry.declare(&snapshot);
        let mut listening = Listeners::new(count);
        let mut inherited = Inherited::take()
            .map_err(|error| format!("portcullis: a socket that was passed: {error}"))?;
        let prepared = listening.prepare(&listeners, &mut inherited)?;
        listening.commit(prepared);
        let admin = match inherited.at(server.admin).pop() {
            Some(passed) => passed,
            None => bind(server.admin)?,
        };
        for address in inherited.unused() {
            eprintln!("portcullis: a socket at {address} was passed that no listener has");
        }
        let unbounded = Shared::new(snapshot, count, mode)
            .map_err(|error| format!("portcullis: no socket pair: {error}"))?;
        let shared = Shared {
            listening: listening.listening(),
            admission: Admission::new(connections(server.most)?),
            most: load::Most {
                in_flight: server.most.in_flight,
                buffered: server.most.buffered,
                per_source: server.most.buffered_per_source,
            },
            cells: Arc::new(Cells::new(server.rate_limit_keys)),
            drain_timeout: server.drain_timeout,
            ..unbounded
        };
        let (log, mut lines) = start_log(&server, sink, count)?;
        let admin_address = admin.local_addr().map_err(|error| error.to_string())?;
        let mut threads = Vec::new();
        for index in 0..count {
            let start = Start {
                index,
                core: cores[index % cores.len()],
                mode,
                shared: shared.clone(),
                metrics: registry.shards()[index].clone(),
                lines: lines.pop(),
            };
            threads.push(
                start
                    .thread()
                    .map_err(|error| format!("no thread: {error}"))?,
            );
        }
        await_shards(&registry, &threads)?;
        let addresses = listening.addresses();
        let in_force = InForce {
            path,
            server: server.clone(),
            listeners: listening,
            admin: admin.try_clone().map_err(|error| error.to_string())?,
            registry: registry.clone(),
            published: shared.published.clone(),
            retired: Vec::new(),
            successor: Arc::default(),
            kept,
        };
        let control = Control {
            registry: registry.clone(),
            admin,
            published: shared.published.clone(),
            is_draining: shared.is_draining.clone(),
            drain_timeout: server.drain_timeout,
            obey: in_force.into_closure(),
            serving: Box::new(|| {}),
        };
        Ok(Process {
            addresses,
            admin: admin_address,
            mode,
            registry,
            shared,
            threads,
            log,
            control,
        })
    }

    pub fn shards(&self) -> usize {
        self.registry.shards().len()
    }

    pub fn operations(&self) -> usize {
        self.shared.published.load().catalogue.operations().len()
    }

    /// Serves until a signal ends it. `greet` is called when everything is in place.
    pub fn run(self, greet: impl FnOnce() + Send + 'static) -> Result<(), String> {
        let reopened = self.log.as_ref().map(Log::reopener);
        let mut control = self.control;
        let mut obey = control.obey;
        control.obey = Box::new(move |order| {
            if let (Order::Reload, Some(reopen)) = (order, &reopened) {
                reopen();
            }
            obey(order)
        });
        control.serving = Box::new(|| {
            greet();
            upgrade::relieve_predecessor();
        });
        let end = control
            .run()
            .map_err(|error| format!("signals cannot be received: {error}"))?;
        if end == End::CutShort {
            return Err("portcullis: ended with exchanges still open".to_owned());
        }
        Self::finish(self.threads, self.log)
    }

    /// Ends at once what is idle, waits for the rest; for a process that runs within a command.
    pub fn stop(self) -> Result<(), String> {
        self.shared.is_draining.store(true, Ordering::Relaxed);
        Self::finish(self.threads, self.log)
    }

    fn finish(threads: Vec<JoinHandle<io::Result<()>>>, log: Option<Log>) -> Result<(), String> {
        let mut outcome = Ok(());
        for thread in threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => outcome = Err(format!("portcullis: a shard failed: {error}")),
                Err(_) => outcome = Err("portcullis: a shard panicked".to_owned()),
            }
        }
        if let Some(log) = log {
            log.finish();
        }
        outcome
    }
}

/// What a shard's thread begins with.
struct Start {
    index: usize,
    core: usize,
    mode: Mode,
    shared: Shared,
    metrics: Arc<crate::telemetry::metrics::ShardMetrics>,
    lines: Option<Lines>,
}

impl Start {
    fn thread(self) -> io::Result<JoinHandle<io::Result<()>>> {
        let name = format!("shard-{}", self.index);
        let thread = std::thread::Builder::new().name(name);
        thread.stack_size(STACK).spawn(move || {
            // Without its core a shard is slower, not wrong.
            if let Err(error) = core::pin(self.core) {
                eprintln!("portcullis: shard {} is not pinned: {error}", self.index);
            }
            // Written once, here.
            let _ = self.metrics.ring.set(self.mode.to_string());
            self.mode.run(async {
                let shard = Shard::new(self.index, self.shared, self.metrics, self.lines);
                shard.run().await;
            })
        })
    }
}

/// How long the shards may take to accept.
const START: Duration = Duration::from_secs(10);

/// Until every shard accepts, so that who is told of the gateway finds it there.
fn await_shards(registry: &Registry, threads: &[JoinHandle<io::Result<()>>]) -> Result<(), String> {
    let until = Instant::now() + START;
    let is_starting = || {
        let mut shards = registry.shards().iter();
        shards.any(|shard| shard.state() == State::Starting)
    };
    while is_starting() {
        if threads.iter().any(JoinHandle::is_finished) || Instant::now() > until {
            return Err("portcullis: a shard does not start; try ring = \"epoll\"".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A shard that first touches a huge page waits for milliseconds until all of it is zero, and whose
/// request it serves waits with it; a small page takes a microsecond.
fn use_small_pages() {
    // A kernel that has no huge pages has none to switch off.
    let _ = set_thp_disable(true);
}

/// How many connections there may be: as configured, or so many that each can have one to a
/// backend.
fn connections(most: settings::Most) -> Result<admission::Most, String> {
    let descriptors = raise_descriptors()
        .map_err(|error| format!("portcullis: the limit of descriptors is unknown: {error}"))?;
    let connections = most.connections.unwrap_or(descriptors / 2).max(1);
    let per_source = most
        .connections_per_source
        .unwrap_or(connections / 4)
        .max(1);
    Ok(admission::Most {
        connections,
        per_source: u32::try_from(per_source).unwrap_or(u32::MAX),
    })
}

/// As many as the process may have.
fn raise_descriptors() -> nix::Result<usize> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}

fn best(ring: Ring) -> Mode {
    match ring {
        Ring::DeferTaskrun => Mode::DeferTaskrun,
        Ring::CoopTaskrun => Mode::CoopTaskrun,
        Ring::Plain => Mode::Plain,
        Ring::Epoll => Mode::Epoll,
    }
}

fn start_log(
    server: &Server,
    sink: Option<Sink>,
    shards: usize,
) -> Result<(Option<Log>, Vec<Lines>), String> {
    let configured = || match &server.access_log {
        AccessLog::Off => None,
        AccessLog::Stdout => Some(Sink::Stdout),
        AccessLog::Stderr => Some(Sink::Stderr),
        AccessLog::File(path) => Some(Sink::File(path.clone())),
    };
    let Some(sink) = sink.or_else(configured) else {
        return Ok((None, Vec::new()));
    };
    let place = match &sink {
        Sink::File(path) => path.display().to_string(),
        _ => "the access log".to_owned(),
    };
    let (log, lines) = Log::start(sink, shards).map_err(|error| {
        let hint = "make its directory, writable for the user that runs this, or change `access` of \
                    [log]: \"stdout\" needs no file";
        format!("portcullis: {place} cannot be opened for the log: {error}\n  hint: {hint}")
    })?;
    Ok((Some(log), lines))
}

fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| refused(address, "[admin]", &error))
}

/// What is in force, and how it is changed: whole or not at all.
struct InForce {
    path: PathBuf,
    server: Server,
    listeners: Listeners,
    admin: TcpListener,
    registry: Arc<Registry>,
    published: Arc<Published>,
    /// Old snapshots until no shard has them, so that none has to free one.
    retired: Vec<Arc<Snapshot>>,
    /// The process that is to take over; zero: there is none.
    successor: Arc<AtomicU32>,
    /// What of the configuration in force need not be made again.
    kept: Kept,
}

impl InForce {
    fn into_closure(mut self) -> Box<dyn FnMut(Order) -> Result<String, String> + Send> {
        Box::new(move |order| match order {
            Order::Reload => self.reload(),
            Order::Upgrade => self.upgrade(),
        })
    }

    /// Starts a successor with the sockets of this process. One at a time: two would both serve, and
    /// both ask this process to end.
    fn upgrade(&self) -> Result<String, String> {
        let told = |error: io::Error| error.to_string();
        let other = self.successor.load(Ordering::Acquire);
        if other != 0 {
            return Err(format!("process {other} is on its way to take over"));
        }
        let mut sockets = self.listeners.sockets().map_err(told)?;
        sockets.push(self.admin.try_clone().map_err(told)?.into());
        let mut child = upgrade::start(sockets).map_err(told)?;
        let id = child.id();
        // Until this process ends, it is told what became of the other one.
        self.successor.store(id, Ordering::Release);
        let successor = self.successor.clone();
        let waiter = std::thread::Builder::new().name("successor".to_owned());
        let waiting = waiter.spawn(move || {
            let outcome = child.wait();
            successor.store(0, Ordering::Release);
            if let Ok(status) = outcome {
                eprintln!("portcullis: process {id} ended with {status}; this process goes on");
            }
        });
        waiting.map_err(told)?;
        Ok(format!("process {id} is to take over"))
    }

    fn reload(&mut self) -> Result<String, String> {
        let generation = self.published.generation() + 1;
        let loaded = config::load_after(&self.kept, &self.path, generation);
        let mut loaded = loaded.map_err(|found| diagnose::render(&found))?;
        self.check_restart(&loaded)?;
        let prepared = self
            .listeners
            .prepare(&loaded.listeners, &mut Inherited::default())?;
        loaded.snapshot.keep_endpoints(&self.published.load());
        self.registry.declare(&loaded.snapshot);
        let operations = loaded.snapshot.catalogue.operations().len();
        self.retired.push(self.published.publish(loaded.snapshot));
        self.kept = loaded.kept;
        self.listeners.commit(prepared);
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        Ok(format!("generation {generation}, {operations} operations"))
    }

    /// Threads and what is shared by them stay as they are, so a change to them must not look as if
    /// it were made.
    fn check_restart(&self, loaded: &Configuration) -> Result<(), String> {
        match loaded.server == self.server {
            true => Ok(()),
            false => Err("[server], [admin] and [log] change with a restart only".to_owned()),
        }
    }
}
