//! The slow side: signals, reload, the admin plane. It never touches a client's bytes.

mod admin;
mod health;
mod resolve;
mod service;

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
    /// Carries an order out. `Ok` says what is so now, `Err` why all stays as it was.
    pub obey: Box<dyn FnMut(Order) -> Result<String, String> + Send>,
    /// What is called once the process serves.
    pub serving: Box<dyn FnOnce() + Send>,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// SIGHUP: load the configuration again.
    Reload,
    /// SIGUSR2: start a process that takes over.
    Upgrade,
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
    /// Runs until a SIGTERM or SIGINT, then waits for the shards to drain. `serving` is called once
    /// signals are received, so that nobody who was told can kill with a SIGHUP.
    pub fn run(self) -> io::Result<End> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(mut self) -> io::Result<End> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut upgrade = signal(SignalKind::user_defined2())?;
        self.admin.set_nonblocking(true)?;
        let admin = tokio::net::TcpListener::from_std(self.admin.try_clone()?)?;
        tokio::spawn(admin::serve(admin, self.registry.clone()));
        let mut watchers = watch(&self.published);
        std::mem::replace(&mut self.serving, Box::new(|| {}))();
        service::ready();
        let registry = self.registry.clone();
        let mut watchdog = std::pin::pin!(service::keep_watchdog(&registry));
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    self.reload_now();
                    watchers.shutdown().await;
                    watchers = watch(&self.published);
                }
                _ = upgrade.recv() => self.upgrade_now(),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = &mut watchdog => {}
            }
        }
        service::stopping();
        eprintln!(
            "portcullis: draining, at most {} s",
            self.drain_timeout.as_secs()
        );
        self.is_draining.store(true, Ordering::Relaxed);
        Ok(self.drained(&mut terminate, &mut interrupt).await)
    }

    /// The admin plane waits meanwhile: nothing else has to be fast here.
    fn reload_now(&mut self) {
        service::reloading();
        let outcome = (self.obey)(Order::Reload);
        service::reloaded();
        match outcome {
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

    fn upgrade_now(&mut self) {
        match (self.obey)(Order::Upgrade) {
            Ok(told) => eprintln!("portcullis: {told}"),
            Err(told) => eprintln!("portcullis: no successor, this process goes on: {told}"),
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
