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
    /// What is known of upstreams that are declared as they were before stays known.
    pub fn keep_endpoints(&mut self, old: &Snapshot) {
        for upstream in &mut self.upstreams {
            let mut before = old.upstreams.iter();
            if let Some(same) = before.find(|each| each.settings == upstream.settings) {
                upstream.endpoints = same.endpoints.clone();
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
