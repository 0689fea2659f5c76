//! A running gateway: its shards, its log and its control side, put together from a configuration.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::cli::diagnose;
use crate::config::settings::{self, AccessLog, Ring, Server, Shards};
use crate::config::{self, Configuration};
use crate::control::{Control, End};
use crate::policy::ratelimit::Cells;
use crate::policy::snapshot::{Published, Snapshot};
use crate::shard::connection::Timeouts;
use crate::shard::listener::{self, Listener};
use crate::shard::ring::Mode;
use crate::shard::tls::Acceptor;
use crate::shard::{Shard, Shared, core, upstream};
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
        } = configuration;
        let mode = Mode::probe(best(server.ring));
        let cores = core::allowed().map_err(|error| format!("the cores are unknown: {error}"))?;
        let count = match server.shards {
            Shards::Auto => cores.len(),
            Shards::Count(count) => count,
        };
        let registry = Arc::new(Registry::new(count, &upstream::Error::names()));
        registry.declare(&snapshot);
        let shared = Shared {
            published: Arc::new(Published::new(snapshot)),
            cells: Arc::new(Cells::new(server.rate_limit_keys)),
            is_draining: Arc::new(AtomicBool::new(false)),
            origin: Instant::now(),
            shards: count,
        };
        let (log, mut lines) = start_log(&server, sink, count)?;
        let admin = bind(server.admin)?;
        let admin_address = admin.local_addr().map_err(|error| error.to_string())?;
        let acceptors: Vec<Option<Acceptor>> = listeners
            .iter()
            .map(|listener| listener.tls.clone().map(Acceptor::new))
            .collect();
        let (addresses, per_shard) = bind_all(&listeners, &acceptors, count, mode)?;
        let mut threads = Vec::new();
        for (index, listeners) in per_shard.into_iter().enumerate() {
            let start = Start {
                index,
                core: cores[index % cores.len()],
                mode,
                shared: shared.clone(),
                metrics: registry.shards()[index].clone(),
                lines: lines.pop(),
                listeners,
            };
            threads.push(
                start
                    .thread()
                    .map_err(|error| format!("no thread: {error}"))?,
            );
        }
        await_shards(&registry, &threads)?;
        let reload = Reload {
            path,
            server: server.clone(),
            listeners,
            acceptors,
            registry: registry.clone(),
            published: shared.published.clone(),
            retired: Vec::new(),
        };
        let control = Control {
            registry: registry.clone(),
            admin,
            published: shared.published.clone(),
            is_draining: shared.is_draining.clone(),
            drain_timeout: server.drain_timeout,
            reload: reload.into_closure(),
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
    pub fn run(self, greet: impl FnOnce()) -> Result<(), String> {
        let reopened = self.log.as_ref().map(Log::reopener);
        let mut control = self.control;
        let mut reload = control.reload;
        control.reload = Box::new(move || {
            if let Some(reopen) = &reopened {
                reopen();
            }
            reload()
        });
        let end = control
            .run(greet)
            .map_err(|error| format!("signals cannot be received: {error}"))?;
        if end == End::CutShort {
            return Err("portcullis: ended with exchanges still open".to_owned());
        }
        Self::finish(self.threads, self.log)
    }

    /// Ends at once what is idle, waits for the rest; for a process that runs within a command.
    pub fn stop(self) -> Result<(), String> {
        self.shared
            .is_draining
            .store(true, std::sync::atomic::Ordering::Relaxed);
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
    listeners: Vec<Listener>,
}

impl Start {
    fn thread(self) -> io::Result<JoinHandle<io::Result<()>>> {
        let name = format!("shard-{}", self.index);
        let thread = std::thread::Builder::new().name(name);
        thread.spawn(move || {
            // Without its core a shard is slower, not wrong.
            if let Err(error) = core::pin(self.core) {
                eprintln!("portcullis: shard {} is not pinned: {error}", self.index);
            }
            // Written once, here.
            let _ = self.metrics.ring.set(self.mode.to_string());
            self.mode.run(async {
                let shard = Shard::new(self.index, self.shared, self.metrics, self.lines);
                shard.run(self.listeners).await;
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
    let (log, lines) =
        Log::start(sink, shards).map_err(|error| format!("the access log: {error}"))?;
    Ok((Some(log), lines))
}

fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| format!("portcullis: {address}: {error}"))
}

type Bound = (Vec<SocketAddr>, Vec<Vec<Listener>>);

fn bind_all(
    listeners: &[settings::Listener],
    acceptors: &[Option<Acceptor>],
    shards: usize,
    mode: Mode,
) -> Result<Bound, String> {
    let mut addresses = Vec::new();
    let mut per_shard: Vec<Vec<Listener>> = (0..shards).map(|_| Vec::new()).collect();
    for (declared, acceptor) in listeners.iter().zip(acceptors) {
        let settings = listener::Settings {
            timeouts: Timeouts {
                head: declared.head_timeout,
                idle: declared.idle_timeout,
                body: declared.body_timeout,
            },
            trusted_peers: declared.trusted_peers.clone(),
            tls: acceptor.clone(),
        };
        let sockets = listener::bind(declared.address, shards, mode);
        let sockets =
            sockets.map_err(|error| format!("portcullis: {}: {error}", declared.address))?;
        addresses.extend(sockets.first().and_then(|socket| socket.local_addr().ok()));
        for (shard, socket) in per_shard.iter_mut().zip(sockets) {
            shard.push(Listener {
                socket,
                settings: settings.clone(),
            });
        }
    }
    Ok((addresses, per_shard))
}

/// Loads the configuration again and puts it in force, whole or not at all.
struct Reload {
    path: PathBuf,
    server: Server,
    listeners: Vec<settings::Listener>,
    acceptors: Vec<Option<Acceptor>>,
    registry: Arc<Registry>,
    published: Arc<Published>,
    /// Old snapshots until no shard has them, so that none has to free one.
    retired: Vec<Arc<Snapshot>>,
}

impl Reload {
    fn into_closure(mut self) -> Box<dyn FnMut() -> Result<String, String> + Send> {
        Box::new(move || self.reload())
    }

    fn reload(&mut self) -> Result<String, String> {
        let generation = self.published.generation() + 1;
        let loaded = config::load(&self.path, generation);
        let mut loaded = loaded.map_err(|found| diagnose::render(&found))?;
        self.check_restart(&loaded)?;
        for (acceptor, listener) in self.acceptors.iter().zip(&loaded.listeners) {
            if let (Some(acceptor), Some(config)) = (acceptor, &listener.tls) {
                acceptor.publish(config.clone());
            }
        }
        loaded.snapshot.keep_endpoints(&self.published.load());
        self.registry.declare(&loaded.snapshot);
        let operations = loaded.snapshot.catalogue.operations().len();
        self.retired.push(self.published.publish(loaded.snapshot));
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        Ok(format!("generation {generation}, {operations} operations"))
    }

    /// Sockets and threads stay as they are, so a change to them must not look as if it were made.
    fn check_restart(&self, loaded: &Configuration) -> Result<(), String> {
        let fixed = |listener: &settings::Listener| {
            let settings::Listener {
                address,
                trusted_peers,
                head_timeout,
                idle_timeout,
                body_timeout,
                tls,
            } = listener;
            let timeouts = (*head_timeout, *idle_timeout, *body_timeout);
            (*address, trusted_peers.clone(), timeouts, tls.is_some())
        };
        let is_same = loaded.server == self.server
            && loaded
                .listeners
                .iter()
                .map(fixed)
                .eq(self.listeners.iter().map(fixed));
        match is_same {
            true => Ok(()),
            false => Err(
                "[server], [admin], [log] and [[listener]] (but for its certificates) \
                          change with a restart only"
                    .to_owned(),
            ),
        }
    }
}
