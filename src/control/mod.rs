//! The slow side: signals, reload, the admin plane. It never touches a client's bytes.

mod admin;
mod health;
mod resolve;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::policy::snapshot::Published;
use crate::policy::upstream::Upstream;
use crate::telemetry::metrics::{Registry, State};

/// How often the end of the shards is looked for.
const POLL: Duration = Duration::from_millis(10);

/// What the control side looks after.
pub struct Control {
    pub registry: Arc<Registry>,
    pub admin: TcpListener,
    pub published: Arc<Published>,
    pub is_draining: Arc<AtomicBool>,
    pub drain_timeout: Duration,
    /// Loads the configuration again. `Ok` says what is in force now, `Err` why the old one stays.
    pub reload: Box<dyn FnMut() -> Result<String, String> + Send>,
}

/// How the process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every open exchange was finished.
    Drained,
    /// Time was up, or a second signal came.
    CutShort,
}

impl Control {
    /// Runs until a SIGTERM or SIGINT, then waits for the shards to drain. `greet` is called once
    /// signals are received, so that nobody who was greeted can kill with a SIGHUP.
    pub fn run(self, greet: impl FnOnce()) -> io::Result<End> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.serve(greet))
    }

    async fn serve(mut self, greet: impl FnOnce()) -> io::Result<End> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        self.admin.set_nonblocking(true)?;
        let admin = tokio::net::TcpListener::from_std(self.admin.try_clone()?)?;
        tokio::spawn(admin::serve(admin, self.registry.clone()));
        let mut watchers = watch(&self.published);
        greet();
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    self.reload_now();
                    watchers.shutdown().await;
                    watchers = watch(&self.published);
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        eprintln!(
            "portcullis: draining, at most {} s",
            self.drain_timeout.as_secs()
        );
        self.is_draining.store(true, Ordering::Relaxed);
        Ok(self.drained(&mut terminate, &mut interrupt).await)
    }

    /// The admin plane waits meanwhile: nothing else has to be fast here.
    fn reload_now(&mut self) {
        match (self.reload)() {
            Ok(told) => {
                self.registry.reloads_done.add(1);
                eprintln!("portcullis: reloaded: {told}");
            }
            Err(told) => {
                self.registry.reloads_refused.add(1);
                eprintln!(
                    "portcullis: reload refused, the old configuration stays in force:\n{told}"
                );
            }
        }
    }

    async fn drained(&self, terminate: &mut Signal, interrupt: &mut Signal) -> End {
        let all_stopped = async {
            let is_stopped = || {
                let mut shards = self.registry.shards().iter();
                shards.all(|shard| shard.state() == State::Stopped)
            };
            while !is_stopped() {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::select! {
            () = all_stopped => End::Drained,
            () = tokio::time::sleep(self.drain_timeout) => End::CutShort,
            _ = terminate.recv() => End::CutShort,
            _ = interrupt.recv() => End::CutShort,
        }
    }
}

/// Looks after the endpoints of the published upstreams for as long as the set lives.
fn watch(published: &Published) -> JoinSet<()> {
    let mut watched = JoinSet::new();
    let snapshot = published.load();
    let resolver = resolver(&snapshot.upstreams);
    for upstream in &snapshot.upstreams {
        if upstream.settings.health.is_some() {
            watched.spawn(health::keep(upstream.clone()));
        }
        if let Some(resolver) = resolver.as_ref().filter(|_| resolve::has_names(upstream)) {
            watched.spawn(resolve::keep(upstream.clone(), resolver.clone()));
        }
    }
    watched
}

/// As the system is set up; none if there is nothing to resolve.
fn resolver(upstreams: &[Upstream]) -> Option<TokioResolver> {
    if !upstreams.iter().any(resolve::has_names) {
        return None;
    }
    let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    built
        .map_err(|error| eprintln!("portcullis: names stay as they were at the start: {error}"))
        .ok()
}
