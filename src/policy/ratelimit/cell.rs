//! The buckets all shards share: a fixed table of theoretical arrival times (TAT, from GCRA).
//!
//! What stays true:
//!
//! * A key has at most one live slot. Its slot lies in the one group its tag selects. Adding a key
//!   takes the group's `turn` from the even value read *before* the search that missed to the next
//!   odd one, so the search is still valid when the claim begins. Only adding takes turns:
//!   requests for keys already present never look at it.
//! * A spend never lands on another key's bucket. It compares the tag between a load of the TAT
//!   and a compare-exchange of that same TAT value. A claim first moves the TAT to `CLAIMING`, then
//!   writes the tag, then stores a TAT above every TAT the slot had before (the group's `floor`).
//!   Give-backs only undo draws of the present tenant, so they never go below that first value.
//!   TAT values of different tenants are therefore disjoint, and the exchange fails if the tenant
//!   changed in between: no ABA, no version counter.
//! * Only idle slots are claimed: TAT < now is a full bucket, which is what a new key starts with
//!   (not TAT = now, so that starting above the old TAT costs the new key nothing).
//!   A shard with an older clock reading gets no more either: a new key starts above `floor`, the
//!   latest TAT ever evicted from its group.
//! * No free slot means refusal, and refusals are counted. The table never grows.

use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;

use super::quota::Quota;

/// Slots a key can live in. Wide enough that a table at half load almost never has a full group:
/// a Poisson(16) count passes 32 once in ten thousand groups.
const GROUP: usize = 32;
/// A slot whose tag is being written; above every reachable TAT.
const CLAIMING: u64 = u64::MAX;
/// Tries while another shard adds a key to the same group. Adding takes a few stores, so running
/// out means that shard was descheduled half way; refusing beats waiting for the scheduler.
const TURN_TRIES: u32 = 4096;

/// Stands for one client under one quota: a keyed hash, so clients cannot aim for collisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    high: u64,
    low: u64,
}

/// Tokens taken from a shared bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How many; at least one.
    pub tokens: u64,
    /// Tokens left in the shared bucket.
    pub remaining: u64,
    /// The bucket's TAT after this grant; with it the tokens can be given back.
    pub end_ns: u64,
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bucket is empty; one token is back after this long.
    Empty { retry_after_ns: u64 },
    /// The table has no slot for a new key.
    Full,
}

#[derive(Default)]
#[repr(align(32))]
struct Slot {
    tat: AtomicU64,
    high: AtomicU64,
    low: AtomicU64,
}

impl Slot {
    /// Acquire: seeing a tag word implies seeing the `CLAIMING` that preceded it.
    fn holds(&self, key: Key) -> bool {
        self.high.load(Ordering::Acquire) == key.high && self.low.load(Ordering::Acquire) == key.low
    }
}

#[derive(Default)]
struct Group {
    /// Odd while a key is being added.
    turn: AtomicU64,
    /// The latest TAT evicted from this group; written only by the holder of the turn.
    floor: AtomicU64,
    slots: [Slot; GROUP],
}

/// The shared table. Put it in an `Arc` and hand it to every shard.
pub struct Cells {
    groups: Box<[Group]>,
    hash_high: RandomState,
    hash_low: RandomState,
    refused: AtomicU64,
}

impl Cells {
    /// A table for at least `slots` keys. Give it twice the clients expected at once.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        let groups = slots.div_ceil(GROUP).max(1);
        Self {
            groups: (0..groups).map(|_| Group::default()).collect(),
            hash_high: RandomState::new(),
            hash_low: RandomState::new(),
            refused: AtomicU64::new(0),
        }
    }

    /// The key of a client under a quota. All of the quota is hashed, so a changed quota starts
    /// with fresh buckets instead of reading the old ones in other units.
    #[must_use]
    pub fn key(&self, quota: &Quota, client: &[u8]) -> Key {
        let seed = quota.seed();
        Key {
            high: self.hash_high.hash_one((seed, client)),
            // Never all zeros, which is the tag of a slot nobody has used.
            low: self.hash_low.hash_one((seed, client)) | 1,
        }
    }

    /// How many requests were refused because the table had no slot.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Takes up to `tokens` (at least one) of the key's bucket.
    pub fn acquire(
        &self,
        quota: &Quota,
        key: Key,
        tokens: u64,
        now_ns: u64,
    ) -> Result<Grant, Refusal> {
        self.draw(quota, key, now_ns, |_| tokens)
    }

    /// Takes as many tokens as `want` says, given how many there are; at least one is wanted and
    /// never more than there are is granted.
    pub(super) fn draw(
        &self,
        quota: &Quota,
        key: Key,
        now_ns: u64,
        want: impl Fn(u64) -> u64,
    ) -> Result<Grant, Refusal> {
        let group = self.group(key);
        for _ in 0..TURN_TRIES {
            let turn = group.turn.load(Ordering::Acquire);
            if let Some(answer) = spend_present(group, quota, key, now_ns, &want) {
                return answer;
            }
            if turn.is_multiple_of(2) && group.begin(turn) {
                let answer = add(group, quota, key, now_ns, &want);
                group.turn.store(turn + 2, Ordering::Release);
                if answer == Err(Refusal::Full) {
                    break;
                }
                return answer;
            }
            std::hint::spin_loop();
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Refusal::Full)
    }

    /// Whether a token could be had now; takes none. A key without a slot has a full bucket.
    pub(super) fn peek(&self, quota: &Quota, key: Key, now_ns: u64) -> Result<(), Refusal> {
        for slot in &self.group(key).slots {
            let tat = slot.tat.load(Ordering::Acquire);
            if tat != CLAIMING && slot.holds(key) {
                return decide(quota, tat, now_ns, &|_| 1).map(drop);
            }
        }
        Ok(())
    }

    /// Undoes part of a draw that ended at `end_ns`, if nothing was drawn after it.
    ///
    /// Only the latest draw can be undone: lowering the TAT under a later one would refill the
    /// bucket while the later tokens are still to be spent. Otherwise the tokens are dropped and
    /// come back with time, as spent ones do.
    pub(super) fn give_back(
        &self,
        emission_ns: u64,
        key: Key,
        tokens: u64,
        end_ns: u64,
        now_ns: u64,
    ) -> bool {
        if end_ns <= now_ns {
            return false;
        }
        let lowered = end_ns.saturating_sub(tokens.saturating_mul(emission_ns));
        self.group(key).slots.iter().any(|slot| {
            slot.tat.load(Ordering::Acquire) == end_ns
                && slot.holds(key)
                && exchange(&slot.tat, end_ns, lowered)
        })
    }

    fn group(&self, key: Key) -> &Group {
        // Multiply-shift maps the hash to 0..len evenly without a division.
        let index = (u128::from(key.high) * self.groups.len() as u128) >> 64;
        &self.groups[index as usize]
    }
}

impl Group {
    fn begin(&self, turn: u64) -> bool {
        exchange(&self.turn, turn, turn + 1)
    }
}

fn exchange(word: &AtomicU64, from: u64, to: u64) -> bool {
    word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
}

/// What GCRA says about a bucket whose TAT is `tat`.
fn decide(
    quota: &Quota,
    tat: u64,
    now_ns: u64,
    want: &impl Fn(u64) -> u64,
) -> Result<Grant, Refusal> {
    let base = tat.max(now_ns);
    let limit = now_ns.saturating_add(quota.fill_ns()).min(CLAIMING - 1);
    let available = limit.saturating_sub(base) / quota.emission_ns();
    if available == 0 {
        let next = base.saturating_add(quota.emission_ns());
        return Err(Refusal::Empty {
            retry_after_ns: next.saturating_sub(limit),
        });
    }
    let tokens = want(available).clamp(1, available);
    Ok(Grant {
        tokens,
        remaining: available - tokens,
        end_ns: base + tokens * quota.emission_ns(),
    })
}

/// Spends from the key's slot; `None` if it has none.
fn spend_present(
    group: &Group,
    quota: &Quota,
    key: Key,
    now_ns: u64,
    want: &impl Fn(u64) -> u64,
) -> Option<Result<Grant, Refusal>> {
    // Keys begin their search in different places, so a hit is usually found at once.
    let home = key.low as usize >> 1;
    for step in 0..GROUP {
        let slot = &group.slots[home.wrapping_add(step) % GROUP];
        loop {
            let tat = slot.tat.load(Ordering::Acquire);
            if tat == CLAIMING || !slot.holds(key) {
                break;
            }
            let answer = decide(quota, tat, now_ns, want);
            match answer {
                Ok(grant) if !exchange(&slot.tat, tat, grant.end_ns) => {}
                _ => return Some(answer),
            }
        }
    }
    None
}

/// Claims an idle slot for a key that has none. The caller holds the group's turn.
fn add(
    group: &Group,
    quota: &Quota,
    key: Key,
    now_ns: u64,
    want: &impl Fn(u64) -> u64,
) -> Result<Grant, Refusal> {
    let home = key.low as usize >> 1;
    for step in 0..GROUP {
        let slot = &group.slots[home.wrapping_add(step) % GROUP];
        let old = slot.tat.load(Ordering::Acquire);
        if old >= now_ns || !exchange(&slot.tat, old, CLAIMING) {
            continue;
        }
        let floor = group.floor.load(Ordering::Relaxed).max(old);
        group.floor.store(floor, Ordering::Relaxed);
        // Release: a reader that sees the new tag must also see `CLAIMING`.
        slot.high.store(key.high, Ordering::Release);
        slot.low.store(key.low, Ordering::Release);
        // One above the floor even when nothing is granted, so tenants never share a TAT value.
        let start = now_ns.max(floor + 1);
        let answer = decide(quota, start, now_ns, want);
        let tat = answer.map_or(start, |grant| grant.end_ns);
        slot.tat.store(tat, Ordering::Release);
        return answer;
    }
    Err(Refusal::Full)
}

#[cfg(test)]
mod tests {
    use super::super::quota::Rate;
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    const S: u64 = 1_000_000_000;

    fn quota(rate: &str, burst: u64) -> Quota {
        Quota::new("q", Rate::parse(rate).unwrap().with_burst(burst).unwrap()).unwrap()
    }

    #[test]
    fn grants_the_burst_then_refuses_then_refills() {
        let (cells, q) = (Cells::new(64), quota("10/s", 5));
        let key = cells.key(&q, b"a");
        for left in (0..5).rev() {
            assert_eq!(cells.acquire(&q, key, 1, S).unwrap().remaining, left);
        }
        let refusal = cells.acquire(&q, key, 1, S);
        assert_eq!(
            refusal,
            Err(Refusal::Empty {
                retry_after_ns: S / 10
            })
        );
        assert!(cells.acquire(&q, key, 1, S + S / 10 - 1).is_err());
        assert!(cells.acquire(&q, key, 1, S + S / 10).is_ok());
        assert!(cells.acquire(&q, key, 1, S + S / 10).is_err());
        assert_eq!(cells.acquire(&q, key, 99, 60 * S).unwrap().tokens, 5);
    }

    #[test]
    fn full_table_refuses_new_keys_and_keeps_old_ones() {
        let (cells, q) = (Cells::new(GROUP), quota("1/s", 2));
        let keys: Vec<Key> = (0..=GROUP as u32)
            .map(|i| cells.key(&q, &i.to_be_bytes()))
            .collect();
        for &key in &keys[..GROUP] {
            assert!(cells.acquire(&q, key, 1, S).is_ok());
        }
        assert_eq!(cells.acquire(&q, keys[GROUP], 1, S), Err(Refusal::Full));
        assert_eq!(cells.refused(), 1);
        assert!(cells.acquire(&q, keys[0], 1, S).is_ok());
        // One second on, slots with one token spent are idle; keys[0] still owes one.
        assert!(cells.acquire(&q, keys[GROUP], 2, 2 * S + 1).is_ok());
        assert!(cells.acquire(&q, keys[0], 1, 2 * S + 1).is_ok());
        assert!(cells.acquire(&q, keys[0], 1, 2 * S + 1).is_err());
    }

    #[test]
    fn an_evicted_key_gains_nothing_from_an_older_clock() {
        let q = quota("1/s", 1);
        for round in 0..20u32 {
            let cells = Cells::new(GROUP);
            let old = cells.key(&q, b"old");
            assert!(cells.acquire(&q, old, 1, S).is_ok());
            // One slot stays free; the evicted key could take it.
            for i in 1..GROUP as u32 {
                let other = cells.key(&q, &(round * 100 + i).to_be_bytes());
                assert!(cells.acquire(&q, other, 1, 2 * S + 1).is_ok());
            }
            // A shard whose reading lags may not see the key as new with a full bucket.
            let late = cells.acquire(&q, old, 1, 2 * S - 1);
            assert!(matches!(late, Err(Refusal::Empty { .. })), "{late:?}");
        }
    }

    #[test]
    fn only_the_latest_draw_can_be_undone() {
        let (cells, q) = (Cells::new(64), quota("10/s", 10));
        let key = cells.key(&q, b"a");
        let first = cells.acquire(&q, key, 4, S).unwrap();
        let second = cells.acquire(&q, key, 4, S).unwrap();
        assert!(!cells.give_back(q.emission_ns(), key, 4, first.end_ns, S));
        assert!(cells.give_back(q.emission_ns(), key, 4, second.end_ns, S));
        assert_eq!(cells.acquire(&q, key, 99, S).unwrap().tokens, 6);
    }

    /// More keys than slots, so that slots change hands all the time under the threads.
    #[test]
    fn threads_never_exceed_the_limit_while_slots_change_hands() {
        const KEYS: usize = 48;
        const STEPS: u64 = 20_000;
        let (cells, q) = (Arc::new(Cells::new(GROUP)), quota("1000/s", 3));
        let clock = Arc::new(AtomicU64::new(S));
        let threads: Vec<_> = (0..4u64)
            .map(|seed| {
                let (cells, q, clock) = (cells.clone(), q.clone(), clock.clone());
                std::thread::spawn(move || {
                    let keys: Vec<Key> = (0..KEYS).map(|i| cells.key(&q, &[i as u8])).collect();
                    let mut granted = vec![0u64; KEYS];
                    let mut state = seed + 1;
                    for _ in 0..STEPS {
                        state = state.wrapping_mul(6_364_136_223_846_793_005) + 1;
                        let index = (state >> 33) as usize % KEYS;
                        let now = clock.fetch_add(20_000, Ordering::Relaxed);
                        if let Ok(grant) = cells.acquire(&q, keys[index], 2, now) {
                            granted[index] += grant.tokens;
                        }
                    }
                    granted
                })
            })
            .collect();
        let mut total = vec![0u64; KEYS];
        for thread in threads {
            for (sum, part) in total.iter_mut().zip(thread.join().unwrap()) {
                *sum += part;
            }
        }
        let elapsed = clock.load(Ordering::Relaxed) - S;
        let most = q.burst() + elapsed / q.emission_ns();
        assert!(total.iter().all(|&sum| sum <= most), "{total:?} > {most}");
        assert!(total.iter().sum::<u64>() > 0);
    }

    #[test]
    fn threads_adding_one_key_at_once_share_one_bucket() {
        const ROUNDS: u64 = 5_000;
        let (cells, q) = (Cells::new(8 * ROUNDS as usize), quota("1/s", 1));
        let arrived = AtomicU64::new(0);
        let run = || {
            let mut granted = 0;
            for round in 0..ROUNDS {
                let key = cells.key(&q, &round.to_be_bytes());
                // Both threads leave here within nanoseconds, when there are two cores.
                arrived.fetch_add(1, Ordering::AcqRel);
                let mut spins = 0u32;
                while arrived.load(Ordering::Acquire) < 2 * (round + 1) {
                    spins += 1;
                    if spins.is_multiple_of(1024) {
                        std::thread::yield_now();
                    }
                }
                granted += u64::from(cells.acquire(&q, key, 1, S).is_ok());
            }
            granted
        };
        let granted: u64 = std::thread::scope(|scope| {
            let threads = [scope.spawn(run), scope.spawn(run)];
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert!(granted <= ROUNDS, "{granted}");
        assert!(granted + cells.refused() >= ROUNDS, "{granted}");
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_model(
            burst in 1u64..8,
            steps in prop::collection::vec((0u64..400_000_000, 1u64..4, 0usize..40), 1..200),
        ) {
            let (cells, q) = (Cells::new(GROUP), quota("10/s", burst));
            let mut model = std::collections::HashMap::new();
            let mut now = S;
            for (pause, tokens, client) in steps {
                now += pause;
                let tat: &mut u64 = model.entry(client).or_insert(0);
                let base = (*tat).max(now);
                let available = (now + q.fill_ns() - base) / q.emission_ns();
                match cells.acquire(&q, cells.key(&q, &[client as u8]), tokens, now) {
                    Ok(grant) => {
                        prop_assert_eq!(grant.tokens, tokens.min(available));
                        *tat = base + grant.tokens * q.emission_ns();
                    }
                    Err(Refusal::Empty { retry_after_ns }) => {
                        prop_assert_eq!(available, 0);
                        prop_assert_eq!(
                            retry_after_ns,
                            base + q.emission_ns() - q.fill_ns() - now
                        );
                    }
                    Err(Refusal::Full) => prop_assert!(*tat <= now),
                }
            }
        }
    }
}
