//! The slow side: signals, reload, the admin plane. It never touches a client's bytes.

mod admin;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::telemetry::metrics::{Registry, State};

/// How often the end of the shards is looked for.
const POLL: Duration = Duration::from_millis(10);

/// How often the files of TLS are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What the control side looks after.
pub struct Control {
    pub registry: Arc<Registry>,
    pub admin: TcpListener,
    pub is_draining: Arc<AtomicBool>,
    pub drain_timeout: Duration,
    /// Loads what is asked for again. `Ok` says what is in force now, `Err` why the old one stays;
    /// `None`: there is nothing new.
    pub reload: Box<dyn FnMut(Occasion) -> Option<Result<String, String>> + Send>,
}

/// Why something is loaded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Somebody asked for it: the whole configuration.
    Asked,
    /// It is time to look whether the files of TLS have changed.
    Look,
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
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        greet();
        loop {
            tokio::select! {
                _ = hangup.recv() => self.reload_now(Occasion::Asked),
                _ = look.tick() => self.reload_now(Occasion::Look),
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
    fn reload_now(&mut self, occasion: Occasion) {
        let Some(outcome) = (self.reload)(occasion) else {
            return;
        };
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
