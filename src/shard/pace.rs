//! How slowly a client may send a body: a floor in bytes a second beside the time between parts,
//! so that one byte now and then does not keep a connection and its memory for ever.

use std::time::Duration;

use crate::shard::deadline::{Deadline, TICK};

/// Before the floor counts: a slow start is no attack.
const GRACE: Duration = Duration::from_secs(5);

/// What one client has sent of one body, and how long that was waited for. Time in which nobody
/// read, because the backend was slow, does not count.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The longest time between parts.
    between: Duration,
    /// The floor, in bytes a second; at least 1.
    floor: u64,
    /// The longest time for all of it.
    longest: Duration,
    waited: Duration,
    received: u64,
    since: u32,
}

impl Pace {
    pub fn new(between: Duration, floor: u64) -> Pace {
        Pace {
            between,
            floor: floor.max(1),
            longest: Duration::MAX,
            waited: Duration::ZERO,
            received: 0,
            since: 0,
        }
    }

    /// The same with an end, however fast the body comes.
    pub fn within(self, longest: Duration) -> Pace {
        Pace { longest, ..self }
    }

    /// A read begins: the deadline is set to what is left.
    pub fn begin(&mut self, deadline: &Deadline) {
        self.since = deadline.now();
        deadline.set_for_reading(self.left());
    }

    /// A read has brought `count` bytes.
    pub fn end(&mut self, deadline: &Deadline, count: usize) {
        self.waited += TICK * deadline.now().wrapping_sub(self.since);
        self.received += count as u64;
    }

    fn left(&self) -> Duration {
        let paid = Duration::from_millis(self.received.saturating_mul(1000) / self.floor);
        let left = GRACE.saturating_add(paid).min(self.longest);
        left.saturating_sub(self.waited).min(self.between)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_runs_out_of_time_and_a_steady_stream_does_not() {
        let drip = |bytes: u64| {
            let mut pace = Pace::new(Duration::from_secs(30), 100);
            for second in 0..1000 {
                if pace.left() < Duration::from_secs(1) {
                    return Some(second);
                }
                pace.waited += Duration::from_secs(1);
                pace.received += bytes;
            }
            None
        };
        // A byte a second buys ten milliseconds each.
        assert_eq!(drip(1), Some(5));
        assert_eq!(drip(50), Some(9));
        assert_eq!(drip(100), None);
        assert_eq!(drip(u64::MAX / 2000), None);
        let mut ends = Pace::new(Duration::from_secs(30), 1).within(Duration::from_secs(20));
        (ends.received, ends.waited) = (1_000_000, Duration::from_secs(19));
        assert_eq!(ends.left(), Duration::from_secs(1));
        assert_eq!(
            Pace::new(Duration::from_secs(2), 0).left(),
            Duration::from_secs(2)
        );
    }
}
