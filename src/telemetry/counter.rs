//! Numbers with one writer and any readers: plain loads and stores, no locked instruction.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows. Only one thread may write it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_add(count), Ordering::Relaxed);
    }

    /// For numbers that are counted elsewhere and shown here.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets in nanoseconds: from a microsecond to a second.
pub const BOUNDS_NS: [u64; 19] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
];

/// How long something took, in buckets. Only one thread may write it.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One more than there are bounds: the last is for all beyond them.
    buckets: [Counter; BOUNDS_NS.len() + 1],
    sum_ns: Counter,
}

impl Histogram {
    pub fn record(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.iter().position(|bound| ns <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS_NS.len())].add(1);
        self.sum_ns.add(ns);
    }

    /// How many were recorded in each bucket, not cumulated.
    pub fn counts(&self) -> [u64; BOUNDS_NS.len() + 1] {
        std::array::from_fn(|bucket| self.buckets[bucket].value())
    }

    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.value()
    }
}
