//! When the requests of an open loop are due.
//!
//! The times depend on the rate alone, never on the answers: a gateway that stalls makes the
//! requests that fall into the stall late, and their latency counts from when they were due. With
//! a clock that starts at sending, a stall of a second would be one slow request among thousands of
//! quick ones (coordinated omission).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub struct Schedule {
    /// When the request that is not yet in the queue is due.
    next: Instant,
    step: Duration,
    end: Instant,
    /// Due and not yet sent, oldest first.
    queue: VecDeque<Instant>,
}

impl Schedule {
    /// `rate` requests a second from `start` on; `None` if that is no rate.
    pub fn new(start: Instant, time: Duration, rate: f64) -> Option<Schedule> {
        let step = Duration::try_from_secs_f64(1.0 / rate).ok()?;
        (!step.is_zero()).then(|| Schedule {
            next: start,
            step,
            end: start + time,
            queue: VecDeque::new(),
        })
    }

    /// What is due at this time joins the queue. The requests that fell due before the end stay in
    /// it however late they are sent.
    pub fn advance(&mut self, now: Instant) {
        while self.next <= now && self.next < self.end {
            self.queue.push_back(self.next);
            self.next += self.step;
        }
    }

    /// The request that has waited longest: when it was due.
    pub fn take(&mut self) -> Option<Instant> {
        self.queue.pop_front()
    }

    pub fn has_due(&self) -> bool {
        !self.queue.is_empty()
    }

    /// When the next one will be due, if there is one.
    pub fn next(&self) -> Option<Instant> {
        (self.next < self.end).then_some(self.next)
    }

    /// Nothing more will be due and nothing waits.
    pub fn is_over(&self) -> bool {
        self.next().is_none() && !self.has_due()
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// One connection whose answers take 1 ms, but for a stall of `stall` ms at 500 ms: the
    /// latencies of a second at 100 a second.
    fn run(stall: u32) -> Histogram<u64> {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, MS * 1000, 100.0).unwrap();
        let mut latency = Histogram::new(3).unwrap();
        let mut now = start;
        while !schedule.is_over() {
            schedule.advance(now);
            let Some(due) = schedule.take() else {
                now = schedule.next().unwrap();
                continue;
            };
            let stalls = now < start + MS * 500 && now + MS * 10 >= start + MS * 500;
            now += if stalls { MS * stall } else { MS };
            latency.record((now - due).as_millis() as u64).unwrap();
        }
        latency
    }

    #[test]
    fn a_stall_shows_in_every_request_that_fell_into_it() {
        let calm = run(1);
        assert_eq!((calm.len(), calm.max()), (100, 1));
        let stalled = run(200);
        // Every request was sent, none twice.
        assert_eq!(stalled.len(), 100);
        assert_eq!(stalled.max(), 200);
        // Twenty fell due meanwhile, each 10 ms later than the one before, and the queue empties at
        // 1 ms each: a fifth of all requests is late, not a hundredth.
        assert!(
            stalled.value_at_quantile(0.90) > 90,
            "{}",
            stalled.value_at_quantile(0.90)
        );
        assert_eq!(stalled.value_at_quantile(0.50), 1);
    }

    #[test]
    fn what_waits_at_the_end_is_still_to_be_sent() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, MS * 10, 1000.0).unwrap();
        schedule.advance(start + MS * 5000);
        assert_eq!(schedule.waiting(), 10);
        assert_eq!(schedule.next(), None);
        let due: Vec<_> = std::iter::from_fn(|| schedule.take()).collect();
        assert_eq!(due, (0..10).map(|ms| start + MS * ms).collect::<Vec<_>>());
        assert!(schedule.is_over());
    }

    #[test]
    fn what_is_no_rate_makes_no_schedule() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, f64::MAX] {
            assert!(Schedule::new(Instant::now(), MS, rate).is_none(), "{rate}");
        }
    }
}
