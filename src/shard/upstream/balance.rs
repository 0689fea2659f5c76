//! One upstream as one shard uses it: its endpoints, and which of them a request goes to.
//!
//! Out of the question is an endpoint that health checks call down, one that is left out for what
//! this shard has seen of it, and one that has its fill of requests. Of the others the balance
//! picks. An endpoint that refused connections, or answered with failures, is asked after all if there
//! is no other: the first costs nothing and shows at once when it is back, and a poor answer is better
//! than none.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::policy::upstream::{Balance, Endpoint, Settings, Upstream};
use crate::shard::deadline::{Deadlines, in_ticks};
use crate::shard::upstream::affinity::{digest, weight};
use crate::shard::upstream::budget::Budget;
use crate::shard::upstream::ejection::{Outcome, Record, Standing};
use crate::shard::upstream::pool::{Connection, Counters, Pool};
use crate::shard::upstream::{Error, Unopened};

/// Least share that an endpoint gets at the beginning of its slow start, of 256.
const FIRST_SHARE: u32 = 26;

/// Endpoints of one upstream, in one shard.
pub struct Cluster {
    pub settings: Settings,
    pub budget: Budget,
    pub counters: Rc<Counters>,
    upstream: Upstream,
    deadlines: Deadlines,
    /// The generation of the list that `members` were made from.
    generation: Cell<u64>,
    members: RefCell<Vec<Rc<Member>>>,
    turn: Cell<usize>,
    random: RefCell<fastrand::Rng>,
}

/// One endpoint, in one shard.
struct Member {
    endpoint: Arc<Endpoint>,
    /// A hash of its address.
    seed: u64,
    pool: Rc<Pool>,
    in_flight: Rc<Cell<usize>>,
    seen: Rc<Seen>,
}

/// How an endpoint has done so far. Where its table changes it stays with the endpoint, and requests
/// that are under way add to it.
struct Seen {
    record: RefCell<Record>,
    was_up: Cell<bool>,
    /// When it came into use; none once its slow start is over or if it was there from the start.
    came_back: Cell<Option<u32>>,
}

/// A request's place at an endpoint, from choosing it to the end of the answer.
pub struct Turn {
    member: Rc<Member>,
    cluster: Rc<Cluster>,
}

/// Why an endpoint is not picked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bar {
    Down,
    Refusing,
    Unwell,
    Failing,
    Full,
}

impl Cluster {
    pub fn new(upstream: Upstream, deadlines: Deadlines) -> Rc<Cluster> {
        let budget = Budget::new(upstream.settings.retry_percent);
        let cluster = Cluster::with(upstream, deadlines, (budget, Rc::default()));
        cluster.renew();
        // What is there at the start has nothing to come back from.
        let members = cluster.members.borrow();
        members
            .iter()
            .for_each(|each| each.seen.came_back.set(None));
        drop(members);
        Rc::new(cluster)
    }

    /// In place of this one, whose table has changed. What was seen of endpoints that stay still
    /// holds unless they are reached or judged in another way now; requests that go on there are
    /// counted, and retries that were made stay spent.
    pub fn changed(&self, upstream: Upstream) -> Rc<Cluster> {
        let budget = self.budget.with(upstream.settings.retry_percent);
        let counted = (budget, self.counters.clone());
        let cluster = Cluster::with(upstream, self.deadlines.clone(), counted);
        let is_alike = is_judged_alike(&self.settings, &cluster.settings);
        let known = self.members.borrow();
        let members = cluster.upstream.endpoints.load();
        let members = members.iter().map(|endpoint| {
            let same = known
                .iter()
                .find(|each| each.endpoint.address == endpoint.address);
            let fresh = cluster.member(endpoint);
            match same {
                Some(known) => Rc::new(Member {
                    in_flight: known.in_flight.clone(),
                    seen: match is_alike {
                        true => known.seen.clone(),
                        false => Rc::new(Seen::of(endpoint, None)),
                    },
                    ..fresh
                }),
                None => Rc::new(fresh),
            }
        });
        *cluster.members.borrow_mut() = members.collect();
        Rc::new(cluster)
    }

    fn with(
        upstream: Upstream,
        deadlines: Deadlines,
        (budget, counters): (Budget, Rc<Counters>),
    ) -> Cluster {
        Cluster {
            budget,
            settings: upstream.settings.clone(),
            counters,
            // Not that of any list, so that the first is taken over.
            generation: Cell::new(u64::MAX),
            members: RefCell::default(),
            turn: Cell::new(0),
            random: RefCell::new(fastrand::Rng::new()),
            upstream,
            deadlines,
        }
    }

    /// Whether it serves this upstream, so that a reload may keep it.
    pub fn is_of(&self, upstream: &Upstream) -> bool {
        self.upstream.is(upstream)
    }

    /// Takes over a changed list of endpoints and what health checks have found.
    pub fn tick(&self) {
        self.renew();
        for member in &*self.members.borrow() {
            let is_up = member.endpoint.is_up();
            if is_up && !member.seen.was_up.replace(is_up) {
                member.seen.came_back.set(Some(self.deadlines.now()));
            }
            member.seen.was_up.set(is_up);
            member.pool.sweep();
        }
    }

    fn renew(&self) {
        let generation = self.upstream.endpoints.generation();
        if self.generation.replace(generation) == generation {
            return;
        }
        let mut members = self.members.borrow_mut();
        let listed = self.upstream.endpoints.load();
        let fresh = listed.iter().map(|endpoint| {
            let known = members
                .iter()
                .find(|each| Arc::ptr_eq(&each.endpoint, endpoint));
            known
                .cloned()
                .unwrap_or_else(|| Rc::new(self.member(endpoint)))
        });
        *members = fresh.collect();
    }

    fn member(&self, endpoint: &Arc<Endpoint>) -> Member {
        let pool = Pool::new(
            endpoint.address.clone(),
            &self.settings,
            self.counters.clone(),
            self.deadlines.clone(),
        );
        Member {
            seed: digest(endpoint.address.to_string().as_bytes()),
            pool,
            in_flight: Rc::default(),
            seen: Rc::new(Seen::of(endpoint, Some(self.deadlines.now()))),
            endpoint: endpoint.clone(),
        }
    }

    pub fn idle_count(&self) -> usize {
        let members = self.members.borrow();
        members.iter().map(|each| each.pool.idle_count()).sum()
    }

    /// How many endpoints requests may go to now.
    pub fn in_use(&self) -> usize {
        let members = self.members.borrow();
        let open = members.iter().filter(|each| self.bar(each).is_none());
        open.count()
    }

    /// Whether requests may go to another endpoint than this.
    pub fn has_other(&self, turn: &Turn) -> bool {
        let members = self.members.borrow();
        let mut others = members
            .iter()
            .filter(|each| !Rc::ptr_eq(each, &turn.member));
        others.any(|each| self.bar(each).is_none())
    }

    /// An endpoint for a request. `key` is what a hash goes by; `not` has just failed it and is
    /// taken only if there is no other.
    pub fn choose(self: &Rc<Self>, key: Option<u64>, not: Option<&Turn>) -> Result<Turn, Error> {
        let members = self.members.borrow();
        let member = match &**members {
            // The usual case costs one look.
            [only] if self.bar(only).is_none() => only.clone(),
            several => self.pick(several, key, not)?,
        };
        member.in_flight.set(member.in_flight.get() + 1);
        Ok(Turn {
            member,
            cluster: self.clone(),
        })
    }

    fn pick(
        &self,
        members: &[Rc<Member>],
        key: Option<u64>,
        not: Option<&Turn>,
    ) -> Result<Rc<Member>, Error> {
        let is_failed = |each: &Rc<Member>| not.is_some_and(|turn| Rc::ptr_eq(&turn.member, each));
        let open = |each: &&Rc<Member>| self.bar(each).is_none();
        let others = members.iter().filter(open).filter(|each| !is_failed(each));
        let others: Vec<_> = others.collect();
        if let Some(picked) = self.started(&others, key) {
            return Ok(picked);
        }
        let bars = |bar| {
            let barred = members
                .iter()
                .filter(move |each| self.bar(each) == Some(bar));
            barred.filter(|each| !is_failed(each))
        };
        // One that refused before may be back, one that has just failed hardly is.
        for bar in [Bar::Unwell, Bar::Refusing] {
            let barred: Vec<_> = bars(bar).collect();
            if let Some(picked) = self.balanced(&barred, key) {
                return Ok(picked);
            }
        }
        if let Some(failed) = members.iter().find(|each| is_failed(each))
            && matches!(self.bar(failed), None | Some(Bar::Unwell | Bar::Refusing))
        {
            return Ok(failed.clone());
        }
        Err(if bars(Bar::Full).next().is_some() {
            Error::Overloaded
        } else if bars(Bar::Failing).next().is_some() {
            Error::CircuitOpen
        } else {
            Error::NoEndpoint
        })
    }

    fn bar(&self, member: &Member) -> Option<Bar> {
        if !member.endpoint.is_up() {
            return Some(Bar::Down);
        }
        let in_flight = member.in_flight.get();
        let left_out = match member.seen.record.borrow().standing(self.deadlines.now()) {
            Standing::InUse => None,
            Standing::LeftOut(why) => Some(why),
            // One at a time.
            Standing::OnTrial(why) => (in_flight > 0).then_some(why),
        };
        match left_out {
            Some(Outcome::Failed | Outcome::Answered) => Some(Bar::Failing),
            _ if in_flight >= self.settings.max_in_flight => Some(Bar::Full),
            Some(Outcome::Refused) => Some(Bar::Refusing),
            Some(Outcome::Unwell | Outcome::Faulty) => Some(Bar::Unwell),
            None => None,
        }
    }

    /// One of these, of those in their slow start only if its lot says so or no other is there.
    fn started(&self, open: &[&Rc<Member>], key: Option<u64>) -> Option<Rc<Member>> {
        if open.iter().all(|each| each.seen.came_back.get().is_none()) {
            return self.balanced(open, key);
        }
        // The lot of each is drawn once: a second draw may say something else.
        let eager = open.iter().filter(|each| self.has_started(each));
        let eager: Vec<_> = eager.copied().collect();
        self.balanced(&eager, key)
            .or_else(|| self.balanced(open, key))
    }

    /// During a slow start, with a chance that grows with time.
    fn has_started(&self, member: &Member) -> bool {
        let Some(since) = member.seen.came_back.get() else {
            return true;
        };
        let whole = in_ticks(self.settings.slow_start);
        let age = self.deadlines.now().wrapping_sub(since);
        if age >= whole || self.settings.slow_start.is_zero() {
            member.seen.came_back.set(None);
            return true;
        }
        let share = (u64::from(age) * 256 / u64::from(whole)) as u32;
        self.random.borrow_mut().u32(..256) < share.max(FIRST_SHARE)
    }

    /// One of these; none if there is none.
    fn balanced(&self, open: &[&Rc<Member>], key: Option<u64>) -> Option<Rc<Member>> {
        let count = open.len();
        if count == 0 {
            return None;
        }
        let draw = |below| self.random.borrow_mut().usize(..below);
        let turn = || {
            self.turn.set(self.turn.get().wrapping_add(1));
            self.turn.get() % count
        };
        let load = |index: usize| open[index].in_flight.get();
        let index = match (&self.settings.balance, key) {
            (Balance::RoundRobin, _) => turn(),
            (Balance::LeastRequest, _) => {
                // From a place that moves, so that equals take turns.
                let first = turn();
                let places = (0..count).map(|offset| (first + offset) % count);
                places.min_by_key(|&index| load(index))?
            }
            (Balance::PowerOfTwo, _) => {
                let first = draw(count);
                // Another one, if there is one: so many places behind it, but not all the way round.
                let other = match count {
                    1 => first,
                    _ => (first + 1 + draw(count - 1)) % count,
                };
                if load(first) <= load(other) {
                    first
                } else {
                    other
                }
            }
            (Balance::Hash(_), Some(key)) => {
                (0..count).max_by_key(|&index| weight(key, open[index].seed))?
            }
            (Balance::Hash(_), None) => draw(count),
        };
        Some(open[index].clone())
    }
}

/// Whether a failure under the first settings would be one under the second.
fn is_judged_alike(before: &Settings, now: &Settings) -> bool {
    let judged = |settings: &Settings| (settings.ejection, settings.failure_statuses.clone());
    judged(before) == judged(now) && before.tls == now.tls
}

impl Seen {
    fn of(endpoint: &Endpoint, came_back: Option<u32>) -> Seen {
        Seen {
            record: RefCell::default(),
            was_up: Cell::new(endpoint.is_up()),
            came_back: Cell::new(came_back),
        }
    }
}

impl Turn {
    /// An idle connection to the endpoint, or a new one.
    pub async fn checkout(&self) -> Result<Connection, Unopened> {
        let outcome = self.member.pool.checkout().await;
        self.noted(outcome)
    }

    /// A connection that no request has used.
    pub async fn open(&self) -> Result<Connection, Unopened> {
        let outcome = self.member.pool.open().await;
        self.noted(outcome)
    }

    fn noted(&self, outcome: Result<Connection, Unopened>) -> Result<Connection, Unopened> {
        let error = outcome.as_ref().err().map(|unopened| unopened.error);
        if let Some(Error::Unreachable | Error::ConnectTimeout) = error {
            self.note(Outcome::Refused);
        }
        outcome
    }

    pub fn put_back(&self, connection: Connection) {
        self.member.pool.put_back(connection);
    }

    /// Notes how the request ended. One that is left out for it comes back slowly.
    pub fn note(&self, outcome: Outcome) {
        let now = self.cluster.deadlines.now();
        let mut record = self.member.seen.record.borrow_mut();
        let was = record.standing(now);
        let is_left_out = record.note(outcome, now, self.cluster.settings.ejection);
        if is_left_out {
            self.cluster
                .counters
                .ejected
                .set(self.cluster.counters.ejected.get() + 1);
        }
        if matches!(was, Standing::OnTrial(_)) && record.standing(now) == Standing::InUse {
            self.member.seen.came_back.set(Some(now));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.member.in_flight.set(self.member.in_flight.get() - 1);
    }
}
