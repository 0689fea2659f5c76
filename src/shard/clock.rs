//! Time as a shard reads it: one monotonic origin for all shards, the wall clock once per tick.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::Now;

/// The clock of one shard.
pub struct Clock {
    origin: Instant,
    /// Offset of the wall clock from the monotonic one, in milliseconds; set again each tick.
    wall_offset_ms: Cell<i64>,
}

impl Clock {
    /// `origin` must be the same for all shards, because their token buckets are.
    pub fn new(origin: Instant) -> Clock {
        let clock = Clock {
            origin,
            wall_offset_ms: Cell::new(0),
        };
        clock.tick();
        clock
    }

    /// Reads the wall clock, which may have been set meanwhile.
    pub fn tick(&self) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix = milliseconds(unix.unwrap_or_default());
        self.wall_offset_ms
            .set(unix - milliseconds(self.origin.elapsed()));
    }

    pub fn at(&self, instant: Instant) -> Now {
        let monotonic = instant.saturating_duration_since(self.origin);
        Now {
            monotonic_ns: u64::try_from(monotonic.as_nanos()).unwrap_or(u64::MAX),
            unix_s: self.unix_ms(instant).div_euclid(1000),
        }
    }

    pub fn unix_ms(&self, instant: Instant) -> i64 {
        let monotonic = instant.saturating_duration_since(self.origin);
        milliseconds(monotonic) + self.wall_offset_ms.get()
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readings_go_forward_together() {
        let origin = Instant::now();
        let clock = Clock::new(origin);
        let later = origin + Duration::from_secs(3);
        let (a, b) = (clock.at(origin), clock.at(later));
        assert_eq!(b.monotonic_ns - a.monotonic_ns, 3_000_000_000);
        assert_eq!(clock.unix_ms(later) - clock.unix_ms(origin), 3_000);
        assert!(a.unix_s > 1_700_000_000);
    }
}
