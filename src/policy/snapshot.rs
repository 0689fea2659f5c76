//! All that decides about requests, as one immutable value. A reload makes another one and swaps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::policy::authn::Issuer;
use crate::policy::catalogue::Catalogue;
use crate::policy::upstream::Upstream;
use crate::policy::waf::stage::Named;
use crate::proto::header::SealedNames;

/// A published policy.
#[derive(Default)]
pub struct Snapshot {
    /// Counts up with every reload.
    pub generation: u64,
    pub catalogue: Catalogue,
    pub issuers: Vec<Issuer>,
    pub upstreams: Vec<Upstream>,
    /// Rule sets of the WAF.
    pub waf: Vec<Named>,
    /// Every identity header of every operation: a client's are dropped wherever it sends them.
    pub sealed: SealedNames,
}

impl Snapshot {
    /// What is known of upstreams that are declared as they were before stays known, and of others
    /// of the same name what health checks have found: one that is down takes no requests because
    /// its table has changed.
    pub fn keep_endpoints(&mut self, old: &Snapshot) {
        for upstream in &mut self.upstreams {
            let settings = &upstream.settings;
            let mut before = old.upstreams.iter();
            let Some(known) = before.find(|each| each.settings.name == settings.name) else {
                continue;
            };
            if known.settings == *settings {
                upstream.endpoints = known.endpoints.clone();
            } else if settings.health.is_some() {
                // Without checks nobody would ever call it up again.
                upstream.endpoints.learn(&known.endpoints);
            }
        }
    }
}

/// Where the control side puts a snapshot and the shards find it.
pub struct Published {
    current: ArcSwap<Snapshot>,
    generation: AtomicU64,
}

impl Published {
    pub fn new(snapshot: Snapshot) -> Published {
        Published {
            generation: AtomicU64::new(snapshot.generation),
            current: ArcSwap::from_pointee(snapshot),
        }
    }

    /// Replaces the snapshot. The old one is handed back, to be freed where freeing may be slow.
    pub fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let generation = snapshot.generation;
        let old = self.current.swap(Arc::new(snapshot));
        // Release: who sees the number finds the snapshot.
        self.generation.store(generation, Ordering::Release);
        old
    }

    /// One load, to be compared with the generation of the snapshot in hand.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::upstream::{Address, Endpoints, HealthCheck, Probe, Settings};
    use std::time::Duration;

    fn snapshot(max_idle: usize, is_checked: bool) -> Snapshot {
        let check = HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy: 2,
            unhealthy: 3,
        };
        let address = |port| Address::Tcp(([127, 0, 0, 1], port).into());
        Snapshot {
            upstreams: vec![Upstream {
                settings: Settings {
                    max_idle,
                    health: is_checked.then_some(check),
                    ..Settings::named("backend")
                },
                endpoints: Arc::new(Endpoints::new([address(1), address(2)])),
            }],
            ..Snapshot::default()
        }
    }

    #[test]
    fn what_health_checks_have_found_outlives_a_change_of_the_table() {
        let old = snapshot(1, true);
        old.upstreams[0].endpoints.load()[0].set_up(false);
        for (max_idle, is_checked, is_same, is_up) in [
            (1, true, true, false),
            (2, true, false, false),
            // Nobody would find out when it is up again.
            (1, false, false, true),
        ] {
            let mut new = snapshot(max_idle, is_checked);
            new.keep_endpoints(&old);
            let upstream = &new.upstreams[0];
            assert_eq!(upstream.is(&old.upstreams[0]), is_same);
            let ups = upstream.endpoints.load();
            let ups: Vec<bool> = ups.iter().map(|each| each.is_up()).collect();
            assert_eq!(ups, [is_up, true], "{max_idle} {is_checked}");
        }
    }
}
