//! A shard's own share of the buckets, spent without atomics.
//!
//! What stays true:
//!
//! * Tokens are debited from the shared bucket before any of them is spent.
//! * A lease shrinks as the bucket refills. A draw that moves a bucket's TAT to `end` owns the
//!   `b * T` nanoseconds of virtual time below it, and no other draw owns any of them. At time `u`
//!   the lease is good for at most `(end - u) / T` tokens, so all leases together never hold
//!   more than the bucket still counts as spent. Without that rule tokens could sit in a lease
//!   while the bucket fills again, and be spent on top of a full burst.
//! * A denied request consumes nothing: what it took goes back to where it came from.
//! * The map is bounded. When it is full, requests draw one token at a time from the shared
//!   bucket: slower, never looser.

use std::collections::HashMap;

use ahash::RandomState;

use super::cell::{Cells, Key, Refusal};
use super::quota::Quota;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How eagerly a shard takes tokens ahead of need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Shards that draw from the same cells.
    pub shards: u64,
    /// Most tokens in one lease.
    pub max_tokens: u64,
    /// How long unspent tokens stay with a shard.
    pub lease_ns: u64,
    /// Most leases a shard holds.
    pub max_leases: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            shards: 1,
            max_tokens: 64,
            lease_ns: 50_000_000,
            max_leases: 4096,
        }
    }
}

/// One quota a request has to pass, and the client it is counted for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub quota: &'a Quota,
    pub key: Key,
}

/// The tightest quota after a request passed: the values of the `RateLimit` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Index into the requests.
    pub quota: usize,
    /// Tokens left, as this shard knows it.
    pub left: u64,
    /// Seconds until the bucket is full, rounded up.
    pub reset_s: u64,
}

/// The quota that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Index into the requests.
    pub quota: usize,
    /// Seconds until a token is back, rounded up; at least one.
    pub retry_after_s: u64,
}

struct Lease {
    tokens: u64,
    end_ns: u64,
    expires_ns: u64,
    /// What the shared bucket held after the draw.
    shared: u64,
    emission_ns: u64,
}

impl Lease {
    fn usable(&self, now_ns: u64) -> u64 {
        let covered = self.end_ns.saturating_sub(now_ns) / self.emission_ns;
        self.tokens.min(covered)
    }
}

/// One token in hand.
struct Taken {
    key: Key,
    emission_ns: u64,
    left: u64,
    end_ns: u64,
}

impl Taken {
    fn new(request: &Request<'_>, left: u64, end_ns: u64) -> Taken {
        Taken {
            key: request.key,
            emission_ns: request.quota.emission_ns(),
            left,
            end_ns,
        }
    }
}

/// The leases of one shard.
pub struct Leases {
    tuning: Tuning,
    held: HashMap<Key, Lease, RandomState>,
    /// Kept between calls so that taking allocates nothing.
    taken: Vec<Taken>,
    next_sweep_ns: u64,
}

impl Leases {
    #[must_use]
    pub fn new(tuning: Tuning) -> Self {
        Self {
            tuning,
            held: HashMap::with_hasher(RandomState::new()),
            taken: Vec::new(),
            next_sweep_ns: 0,
        }
    }

    /// Takes one token for every request, or none at all. `None` if there was nothing to pass.
    pub fn take<'a>(
        &mut self,
        cells: &Cells,
        requests: impl IntoIterator<Item = Request<'a>>,
        now_ns: u64,
    ) -> Result<Option<Remaining>, Limited> {
        self.taken.clear();
        let mut tightest: Option<Remaining> = None;
        for (index, request) in requests.into_iter().enumerate() {
            match self.take_one(cells, &request, now_ns) {
                Ok(taken) => {
                    if tightest.is_none_or(|t| taken.left < t.left) {
                        tightest = Some(Remaining {
                            quota: index,
                            left: taken.left,
                            reset_s: seconds(taken.end_ns.saturating_sub(now_ns)),
                        });
                    }
                    self.taken.push(taken);
                }
                Err(refusal) => {
                    self.undo(cells, now_ns);
                    return Err(limited(index, refusal));
                }
            }
        }
        Ok(tightest)
    }

    /// Whether a token could be had now; takes none. For work that must not be done for a sender
    /// who would be refused anyway.
    pub fn peek(&self, cells: &Cells, request: Request<'_>, now_ns: u64) -> Result<(), Limited> {
        let held = self
            .held
            .get(&request.key)
            .is_some_and(|lease| lease.expires_ns > now_ns && lease.usable(now_ns) > 0);
        if held {
            return Ok(());
        }
        let seen = cells.peek(request.quota, request.key, now_ns);
        seen.map_err(|refusal| limited(0, refusal))
    }

    /// Gives back what expired leases still hold. Call it about once per lease time.
    pub fn sweep(&mut self, cells: &Cells, now_ns: u64) {
        self.next_sweep_ns = now_ns.saturating_add(self.tuning.lease_ns);
        self.held.retain(|&key, lease| {
            let keep = lease.expires_ns > now_ns && lease.usable(now_ns) > 0;
            if !keep {
                release(cells, key, lease, now_ns);
            }
            keep
        });
    }

    fn take_one(
        &mut self,
        cells: &Cells,
        request: &Request<'_>,
        now_ns: u64,
    ) -> Result<Taken, Refusal> {
        if let Some(lease) = self.held.get_mut(&request.key) {
            let usable = lease.usable(now_ns);
            if usable > 0 && lease.expires_ns > now_ns {
                lease.tokens = usable - 1;
                let left = lease.tokens.saturating_add(lease.shared);
                return Ok(Taken::new(request, left, lease.end_ns));
            }
            release(cells, request.key, lease, now_ns);
            self.held.remove(&request.key);
        }
        self.draw(cells, request, now_ns)
    }

    fn draw(
        &mut self,
        cells: &Cells,
        request: &Request<'_>,
        now_ns: u64,
    ) -> Result<Taken, Refusal> {
        let most = if self.has_room(cells, now_ns) {
            // No more than refills in a lease time: a lease that another shard's draw keeps from
            // being returned is then soon made up for, and slow quotas (100/h) lose nothing.
            let refilled = self.tuning.lease_ns / request.quota.emission_ns();
            self.tuning.max_tokens.min(refilled).max(1)
        } else {
            1
        };
        let share = self.tuning.shards.saturating_mul(4).max(1);
        let grant = cells.draw(request.quota, request.key, now_ns, |available| {
            (available / share).clamp(1, most)
        })?;
        if grant.tokens > 1 {
            let lease = Lease {
                tokens: grant.tokens - 1,
                end_ns: grant.end_ns,
                expires_ns: now_ns.saturating_add(self.tuning.lease_ns),
                shared: grant.remaining,
                emission_ns: request.quota.emission_ns(),
            };
            self.held.insert(request.key, lease);
        }
        let left = grant.remaining + (grant.tokens - 1);
        Ok(Taken::new(request, left, grant.end_ns))
    }

    /// Sweeps a full map at most once per lease time, so a flood of keys cannot make every
    /// request walk all of it.
    fn has_room(&mut self, cells: &Cells, now_ns: u64) -> bool {
        if self.held.len() >= self.tuning.max_leases && now_ns >= self.next_sweep_ns {
            self.sweep(cells, now_ns);
        }
        self.held.len() < self.tuning.max_leases
    }

    /// Returns the tokens of a denied request, latest first so that draws on the same bucket
    /// unwind in order.
    fn undo(&mut self, cells: &Cells, now_ns: u64) {
        while let Some(taken) = self.taken.pop() {
            match self.held.get_mut(&taken.key) {
                // Only into the lease it came from: the end tells draws on one bucket apart.
                Some(lease) if lease.end_ns == taken.end_ns => lease.tokens += 1,
                _ => self.undo_draw(cells, &taken, now_ns),
            }
        }
    }

    /// Returns a token that no lease stands behind: to the bucket, or if another shard has drawn
    /// since, to a lease of its own.
    fn undo_draw(&mut self, cells: &Cells, taken: &Taken, now_ns: u64) {
        let returned = cells.give_back(taken.emission_ns, taken.key, 1, taken.end_ns, now_ns);
        let room = self.held.len() < self.tuning.max_leases;
        if returned || !room || self.held.contains_key(&taken.key) {
            return;
        }
        let lease = Lease {
            tokens: 1,
            end_ns: taken.end_ns,
            expires_ns: now_ns.saturating_add(self.tuning.lease_ns),
            shared: 0,
            emission_ns: taken.emission_ns,
        };
        self.held.insert(taken.key, lease);
    }
}

fn release(cells: &Cells, key: Key, lease: &Lease, now_ns: u64) {
    let unspent = lease.usable(now_ns);
    if unspent > 0 {
        // Dropping them when they cannot be returned only ever admits less.
        cells.give_back(lease.emission_ns, key, unspent, lease.end_ns, now_ns);
    }
}

fn limited(quota: usize, refusal: Refusal) -> Limited {
    let retry_after_s = match refusal {
        Refusal::Empty { retry_after_ns } => seconds(retry_after_ns).max(1),
        // Nobody knows when a slot falls idle; soon enough to ask again.
        Refusal::Full => 1,
    };
    Limited {
        quota,
        retry_after_s,
    }
}

fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(NANOS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::super::quota::Rate;
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const S: u64 = NANOS_PER_SECOND;

    fn quota(name: &str, rate: &str, burst: u64) -> Quota {
        Quota::new(name, Rate::parse(rate).unwrap().with_burst(burst).unwrap()).unwrap()
    }

    fn passes(leases: &mut Leases, cells: &Cells, quotas: &[&Quota], now: u64) -> bool {
        let requests: Vec<Request<'_>> = quotas
            .iter()
            .map(|&quota| Request {
                quota,
                key: cells.key(quota, b"client"),
            })
            .collect();
        leases.take(cells, requests, now).is_ok()
    }

    #[test]
    fn one_shard_gets_the_burst_and_not_one_more() {
        let (cells, q) = (Cells::new(64), quota("q", "100/s", 100));
        let mut leases = Leases::new(Tuning::default());
        let request = [Request {
            quota: &q,
            key: cells.key(&q, b"a"),
        }];
        for left in (0..100).rev() {
            let remaining = leases.take(&cells, request, S).unwrap().unwrap();
            assert_eq!((remaining.left, remaining.quota), (left, 0));
        }
        let limited = Limited {
            quota: 0,
            retry_after_s: 1,
        };
        assert_eq!(leases.take(&cells, request, S), Err(limited));
        assert!(leases.take(&cells, request, S + S / 100).is_ok());
        assert!(leases.take(&cells, request, S + S / 100).is_err());
        assert_eq!(leases.take(&cells, [], S), Ok(None));
    }

    #[test]
    fn peeking_takes_nothing_and_tells_what_taking_would() {
        let cells = Cells::new(64);
        for (rate, burst) in [("1000/s", 100), ("1/h", 3)] {
            let q = quota("q", rate, burst);
            let mut leases = Leases::new(Tuning::default());
            let request = Request {
                quota: &q,
                key: cells.key(&q, b"a"),
            };
            for _ in 0..burst {
                for _ in 0..3 {
                    assert_eq!(leases.peek(&cells, request, S), Ok(()));
                }
                assert!(leases.take(&cells, [request], S).is_ok());
            }
            let refused = leases.peek(&cells, request, S);
            assert_eq!(refused, leases.take(&cells, [request], S).map(drop));
            assert!(refused.is_err());
        }
    }

    #[test]
    fn equal_quotas_in_two_places_count_apart() {
        let cells = Cells::new(64);
        let (one, other) = (
            quota("q", "1/h", 1).within("a"),
            quota("q", "1/h", 1).within("b"),
        );
        let mut leases = Leases::new(Tuning::default());
        assert!(passes(&mut leases, &cells, &[&one], S));
        assert!(!passes(&mut leases, &cells, &[&one], S));
        assert!(passes(&mut leases, &cells, &[&other], S));
    }

    #[test]
    fn denial_consumes_from_no_bucket() {
        // The slow one is drawn token by token, the fast one through a lease.
        for rate in ["100/h", "1000/s"] {
            let (wide, tight) = (quota("wide", rate, 100), quota("tight", "1/h", 2));
            let cells = Cells::new(64);
            let mut leases = Leases::new(Tuning::default());
            for _ in 0..2 {
                assert!(passes(&mut leases, &cells, &[&wide, &tight], S));
            }
            for _ in 0..500 {
                assert!(!passes(&mut leases, &cells, &[&wide, &wide, &tight], S));
            }
            let rest = (0..200).filter(|_| passes(&mut leases, &cells, &[&wide], S));
            assert_eq!(rest.count(), 98);
        }
    }

    #[test]
    fn the_limit_is_named_with_seconds_to_wait() {
        let (wide, tight) = (quota("wide", "100/h", 100), quota("tight", "1/m", 1));
        let cells = Cells::new(64);
        let mut leases = Leases::new(Tuning::default());
        let requests = [&wide, &tight].map(|quota| Request {
            quota,
            key: cells.key(quota, b"a"),
        });
        let remaining = Remaining {
            quota: 1,
            left: 0,
            reset_s: 60,
        };
        assert_eq!(leases.take(&cells, requests, S), Ok(Some(remaining)));
        let limited = Limited {
            quota: 1,
            retry_after_s: 60,
        };
        assert_eq!(leases.take(&cells, requests, S + 1), Err(limited));
    }

    #[test]
    fn expired_leases_return_their_tokens() {
        let (cells, q) = (Cells::new(64), quota("q", "100/s", 100));
        let mut first = Leases::new(Tuning::default());
        let mut second = Leases::new(Tuning::default());
        let spent = (0..51).filter(|_| passes(&mut first, &cells, &[&q], S));
        assert_eq!(spent.count(), 51);
        assert!(first.held.values().any(|lease| lease.tokens == 4));
        let later = S + 50_000_000;
        first.sweep(&cells, later);
        assert!(first.held.is_empty());
        let rest = (0..200).filter(|_| passes(&mut second, &cells, &[&q], later));
        assert_eq!(rest.count(), 100 - 51 + 5);
    }

    #[test]
    fn slow_quotas_lose_nothing_between_shards() {
        let (cells, q) = (Cells::new(64), quota("q", "100/h", 100));
        let mut shards = [(); 4].map(|()| Leases::new(Tuning::default()));
        let passed = (0..200u64).filter(|&i| {
            let now = S + i * 60_000_000;
            passes(&mut shards[i as usize % 4], &cells, &[&q], now)
        });
        assert_eq!(passed.count(), 100);
    }

    #[test]
    fn a_full_map_still_limits() {
        let (cells, q) = (Cells::new(64), quota("q", "1000/s", 100));
        let mut leases = Leases::new(Tuning {
            max_leases: 0,
            ..Tuning::default()
        });
        let passed = (0..200).filter(|_| passes(&mut leases, &cells, &[&q], S));
        assert_eq!(passed.count(), 100);
        assert!(leases.held.is_empty());
    }

    #[test]
    fn shards_on_threads_never_exceed_the_limit() {
        let (cells, q) = (Cells::new(64), quota("q", "10000/s", 500));
        let clock = AtomicU64::new(S);
        let run = || {
            let mut leases = Leases::new(Tuning {
                shards: 3,
                ..Tuning::default()
            });
            let tick = || clock.fetch_add(5_000, Ordering::Relaxed);
            (0..20_000)
                .filter(|_| passes(&mut leases, &cells, &[&q], tick()))
                .count() as u64
        };
        let passed: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        let most = 500 + (clock.load(Ordering::Relaxed) - S) / q.emission_ns();
        assert!(passed <= most, "{passed} > {most}");
        assert!(passed >= most / 2, "{passed} of {most}");
    }

    proptest! {
        /// What several shards let through conforms to one exact GCRA bucket, over every window.
        #[test]
        fn shards_together_conform_to_one_bucket(
            burst in 1u64..60,
            steps in prop::collection::vec((0u64..6_000_000, 0usize..3, 1usize..12), 1..200),
        ) {
            let (cells, q) = (Cells::new(64), quota("q", "1000/s", burst));
            let tuning = Tuning { shards: 1, ..Tuning::default() };
            let mut shards: Vec<Leases> = (0..3).map(|_| Leases::new(tuning)).collect();
            let (mut now, mut tat) = (S, 0u64);
            for (pause, shard, tries) in steps {
                now += pause;
                for _ in 0..tries {
                    if passes(&mut shards[shard], &cells, &[&q], now) {
                        tat = tat.max(now) + q.emission_ns();
                        prop_assert!(tat - now <= q.fill_ns(), "over the limit");
                    }
                }
            }
        }

        /// With one shard nothing is lost either: it decides as the plain model does.
        #[test]
        fn a_shard_without_lookahead_is_exact(
            burst in 1u64..20,
            steps in prop::collection::vec(0u64..30_000_000, 1..300),
        ) {
            let (cells, q) = (Cells::new(64), quota("q", "100/s", burst));
            let mut leases = Leases::new(Tuning { max_tokens: 1, ..Tuning::default() });
            let (mut now, mut tat) = (S, 0u64);
            for pause in steps {
                now += pause;
                let next = tat.max(now) + q.emission_ns();
                let expected = next - now <= q.fill_ns();
                prop_assert_eq!(passes(&mut leases, &cells, &[&q], now), expected);
                if expected {
                    tat = next;
                }
            }
        }
    }
}
