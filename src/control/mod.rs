//! The slow side: signals, reload, the admin plane. It never touches a client's bytes.

mod admin;
mod health;
mod resolve;
mod service;

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
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
    pub obey: Obey,
    /// What is called once the process serves.
    pub serving: Box<dyn FnOnce() + Send>,
}

/// Carries an order out. `Ok` says what is so now, `Err` why all stays as it was.
pub type Obey = Box<dyn FnMut(Order) -> Result<String, String> + Send>;

/// A reload that is being carried out.
type UnderWay = oneshot::Receiver<Result<String, String>>;

/// How far a reload stands back for the shards where there are not cores enough for all: it gets a
/// tenth of what each of them gets.
const STAND_BACK: i32 = 10;

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
        let mut watch = Watch::default();
        watch.renew(&self.published);
        std::mem::replace(&mut self.serving, Box::new(|| {}))();
        tell_left_out(&self.published);
        service::ready();
        let registry = self.registry.clone();
        let mut watchdog = std::pin::pin!(service::keep_watchdog(&registry));
        let nobody: Obey = Box::new(|_| Err("the process ends".to_owned()));
        let obey = Arc::new(Mutex::new(std::mem::replace(&mut self.obey, nobody)));
        let mut reload: Option<UnderWay> = None;
        loop {
            tokio::select! {
                // One that comes meanwhile waits, and stands for all that come with it.
                _ = hangup.recv(), if reload.is_none() => reload = self.begin_reload(&obey),
                Some(outcome) = ended(&mut reload) => {
                    reload = None;
                    let is_new = outcome.is_ok();
                    self.report_reload(outcome);
                    if is_new {
                        tell_left_out(&self.published);
                        watch.renew(&self.published);
                    }
                }
                _ = upgrade.recv(), if reload.is_none() => upgrade_now(&obey),
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

    /// In a thread of its own, so that the admin plane and the watchdog need not wait for it.
    fn begin_reload(&self, obey: &Arc<Mutex<Obey>>) -> Option<UnderWay> {
        service::reloading();
        let (sender, receiver) = oneshot::channel();
        let thread = std::thread::Builder::new().name("reload".to_owned());
        let obey = obey.clone();
        let started = thread.spawn(move || {
            // Linux counts it by thread. Without it a reload is dearer to the others, not wrong.
            let _ = rustix::process::nice(STAND_BACK);
            // Nobody waits any more if the process has been told to end.
            let _ = sender.send(carry_out(&obey, Order::Reload));
        });
        if let Err(error) = started {
            self.report_reload(Err(format!("no thread for it: {error}")));
            return None;
        }
        Some(receiver)
    }

    fn report_reload(&self, outcome: Result<String, String>) {
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

/// In the thread that asks: a process that is started inherits how far that one stands back.
fn upgrade_now(obey: &Mutex<Obey>) {
    match carry_out(obey, Order::Upgrade) {
        Ok(told) => eprintln!("portcullis: {told}"),
        Err(told) => eprintln!("portcullis: no successor, this process goes on: {told}"),
    }
}

fn carry_out(obey: &Mutex<Obey>, order: Order) -> Result<String, String> {
    // One that broke off has changed nothing: what is in force is replaced in its last steps.
    let mut obey = obey.lock().unwrap_or_else(PoisonError::into_inner);
    (*obey)(order)
}

/// What a reload has come to. None: there is none under way.
async fn ended(reload: &mut Option<UnderWay>) -> Option<Result<String, String>> {
    let outcome = reload.as_mut()?.await;
    Some(outcome.unwrap_or_else(|_| Err("it broke off".to_owned())))
}

/// Rules of the WAF that were left out guard nothing: whoever allowed it is told each of them.
fn tell_left_out(published: &Published) {
    for set in &published.load().waf {
        for error in set.rules.left_out() {
            eprintln!("portcullis: [waf.{}] leaves out {error}", set.name);
        }
    }
}

/// Who looks after the endpoints of the published upstreams, for as long as the value lives.
#[derive(Default)]
struct Watch {
    health: Vec<(Upstream, JoinSet<()>)>,
    names: JoinSet<()>,
}

impl Watch {
    /// Goes on with what a reload has published. The health checks of an upstream that stays as it
    /// is go on as they were; names are asked for anew, at the name servers that there are now.
    fn renew(&mut self, published: &Published) {
        let snapshot = published.load();
        let mut before = std::mem::take(&mut self.health);
        let checked = snapshot.upstreams.iter();
        let checked = checked.filter(|upstream| upstream.settings.health.is_some());
        self.health = checked
            .map(|upstream| {
                let same = before.iter().position(|(each, _)| each.is(upstream));
                same.map(|same| before.swap_remove(same))
                    .unwrap_or_else(|| {
                        let mut watched = JoinSet::new();
                        watched.spawn(health::keep(upstream.clone()));
                        (upstream.clone(), watched)
                    })
            })
            .collect();
        self.names = JoinSet::new();
        let resolver = resolver(&snapshot.upstreams);
        for upstream in &snapshot.upstreams {
            if let Some(resolver) = resolver.as_ref().filter(|_| resolve::has_names(upstream)) {
                self.names
                    .spawn(resolve::keep(upstream.clone(), resolver.clone()));
            }
        }
    }
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
