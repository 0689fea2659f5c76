//! The service manager: told of readiness, reloads and the end (sd_notify(3)), and, if it wants to
//! hear of it, that every shard still runs (`WatchdogSec`).

use std::time::Duration;

use sd_notify::NotifyState;

use crate::telemetry::metrics::{Registry, State};

/// Nobody listens where there is no service manager, and nothing depends on its hearing.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

/// Serving. A process that took over from another is the service from now on.
pub fn ready() {
    tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);
}

pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// Reloaded, or refused to: serving either way.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells that all is well twice in the time that is allowed, for as long as every shard ticks.
pub async fn keep_watchdog(registry: &Registry) {
    let Some(allowed) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut last: Vec<u64> = Vec::new();
    loop {
        tokio::time::sleep((allowed / 2).max(Duration::from_millis(1))).await;
        let now: Vec<u64> = registry
            .shards()
            .iter()
            .map(|shard| shard.ticks.value())
            .collect();
        let is_alive = |(index, ticks): (usize, &u64)| {
            let has_ended = registry.shards()[index].state() == State::Stopped;
            has_ended || last.get(index) != Some(ticks)
        };
        if now.iter().enumerate().all(is_alive) {
            tell(&[NotifyState::Watchdog]);
        }
        last = now;
    }
}
