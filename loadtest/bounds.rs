//! When a run has to stop: on a signal, or when its time is up.
//!
//! What is asked to stop returns an error and so drops what it has started; nothing here ends the
//! process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

pub struct Bounds {
    is_stopped: Arc<AtomicBool>,
    until: Instant,
}

impl Bounds {
    /// Looks for SIGINT, SIGTERM and SIGHUP from now on, in a thread of its own.
    pub fn watch(limit: Duration) -> io::Result<Bounds> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        // Taken before the thread starts, so that no signal is missed.
        let [mut interrupt, mut terminate, mut hangup] = {
            let _context = runtime.enter();
            [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ]
        };
        let told = is_stopped.clone();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hangup.recv() => {}
                    }
                });
                told.store(true, Ordering::Relaxed);
            })?;
        Ok(Bounds {
            is_stopped,
            until: Instant::now() + limit,
        })
    }

    pub fn check(&self) -> Result<(), String> {
        if self.is_stopped.load(Ordering::Relaxed) {
            return Err("interrupted".to_owned());
        }
        match Instant::now() > self.until {
            true => Err("out of time".to_owned()),
            false => Ok(()),
        }
    }

    /// Until the time is up.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    #[cfg(test)]
    pub fn of(limit: Duration) -> Bounds {
        Bounds {
            is_stopped: Arc::default(),
            until: Instant::now() + limit,
        }
    }

    #[cfg(test)]
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_and_the_end_of_the_time_are_told_apart() {
        let bounds = Bounds::of(Duration::from_secs(60));
        assert_eq!(bounds.check(), Ok(()));
        bounds.stop();
        assert_eq!(bounds.check(), Err("interrupted".to_owned()));
        let over = Bounds {
            is_stopped: Arc::default(),
            until: Instant::now() - Duration::from_millis(1),
        };
        assert_eq!(over.check(), Err("out of time".to_owned()));
        assert_eq!(over.left(), Duration::ZERO);
    }
}
