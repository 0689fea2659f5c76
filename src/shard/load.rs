//! What one shard has taken on: requests under way and bytes held. Beyond the bounds a request is
//! refused at once, before memory is taken for it.
//!
//! Bytes are those of bodies that a stage has to see whole, with each copy that is there while
//! somebody waits, and what buffers take beyond the room that every request under way has. Requests
//! get three quarters of them, so that bodies which come in leave room for answers to those that have
//! come; one source gets no more than its part of either.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use ahash::AHashMap;

use crate::policy::ratelimit::{SourceKey, SourcePrefix};

/// What one can do without is taken only as long as no more than this part of a bound is held.
const LEISURE: usize = 4;

/// The bounds of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    pub in_flight: usize,
    /// Bytes that are held.
    pub buffered: usize,
    /// Of these, for one source prefix.
    pub per_source: usize,
}

#[derive(Debug)]
pub struct Load {
    most: Most,
    in_flight: Rc<Cell<usize>>,
    bytes: Rc<Bytes>,
}

/// The place of a request among those under way, given back when it is dropped.
#[derive(Debug)]
pub struct UnderWay(Rc<Cell<usize>>);

/// Whom bytes are held for. None: nobody who is bounded by himself, such as a trusted proxy that does
/// not tell for whom it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(Option<SourceKey>);

impl Source {
    pub const UNBOUNDED: Source = Source(None);

    pub fn of(address: IpAddr) -> Source {
        Source(Some(SourcePrefix::default().key(address)))
    }
}

#[derive(Debug)]
struct Bytes {
    most: usize,
    for_requests: usize,
    per_source: usize,
    all: Cell<usize>,
    requests: Cell<usize>,
    /// Only those for whom any are held.
    sources: RefCell<AHashMap<SourceKey, usize>>,
}

/// Bytes that are held, given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    bytes: Rc<Bytes>,
    is_request: bool,
    source: Source,
    amount: usize,
}

impl Load {
    pub fn new(most: Most) -> Load {
        Load {
            most,
            in_flight: Rc::default(),
            bytes: Rc::new(Bytes {
                most: most.buffered,
                for_requests: most.buffered - most.buffered / 4,
                per_source: most.per_source,
                all: Cell::default(),
                requests: Cell::default(),
                sources: RefCell::default(),
            }),
        }
    }

    /// A request begins; none if as many are under way as may be.
    pub fn begin(&self) -> Option<UnderWay> {
        let count = self.in_flight.get();
        (count < self.most.in_flight).then(|| {
            self.in_flight.set(count + 1);
            UnderWay(self.in_flight.clone())
        })
    }

    /// For bytes of a request, of which none are held yet.
    pub fn for_request(&self, source: Source) -> Held {
        self.bytes(source, true)
    }

    /// The same of an answer.
    pub fn for_answer(&self, source: Source) -> Held {
        self.bytes(source, false)
    }

    fn bytes(&self, source: Source, is_request: bool) -> Held {
        Held {
            bytes: self.bytes.clone(),
            is_request,
            source,
            amount: 0,
        }
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    pub fn buffered(&self) -> usize {
        self.bytes.all.get()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Bytes {
    fn of(&self, source: SourceKey) -> usize {
        self.sources.borrow().get(&source).copied().unwrap_or(0)
    }

    fn set_of(&self, source: SourceKey, amount: usize) {
        let mut sources = self.sources.borrow_mut();
        match amount {
            0 => sources.remove(&source),
            amount => sources.insert(source, amount),
        };
    }
}

impl Held {
    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Whether there would be room now to hold `amount` in all.
    pub fn has_room_for(&self, amount: usize) -> bool {
        self.fits(amount, 1)
    }

    /// Whether there would be, in so small a part of the bounds.
    fn fits(&self, amount: usize, part: usize) -> bool {
        let bytes = &self.bytes;
        let more = amount.saturating_sub(self.amount);
        let fits = |held: usize, most: usize| held.saturating_add(more) <= most / part;
        more == 0
            || fits(bytes.all.get(), bytes.most)
                && (!self.is_request || fits(bytes.requests.get(), bytes.for_requests))
                && self
                    .source
                    .0
                    .is_none_or(|source| fits(bytes.of(source), bytes.per_source))
    }

    /// Holds `amount` in all, if not more already. `false`: there is no room, and nothing has
    /// changed.
    pub fn grow_to(&mut self, amount: usize) -> bool {
        self.turn_to(amount.max(self.amount))
    }

    /// The same for what one can do without: only where most of the room is free.
    pub fn grow_at_leisure_to(&mut self, amount: usize) -> bool {
        self.fits(amount, LEISURE) && self.grow_to(amount)
    }

    /// Holds `amount` in all, which may be less than before. `false`: there is no room, and nothing
    /// has changed.
    pub fn turn_to(&mut self, amount: usize) -> bool {
        let has_room = self.has_room_for(amount);
        if has_room {
            self.set(amount);
        }
        has_room
    }

    fn set(&mut self, amount: usize) {
        let turned = |sum: usize| sum - self.amount + amount;
        let bytes = &self.bytes;
        bytes.all.set(turned(bytes.all.get()));
        if self.is_request {
            bytes.requests.set(turned(bytes.requests.get()));
        }
        if let Source(Some(key)) = self.source {
            bytes.set_of(key, turned(bytes.of(key)));
        }
        self.amount = amount;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.set(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(per_source: usize) -> Load {
        Load::new(Most {
            in_flight: 2,
            buffered: 100,
            per_source,
        })
    }

    fn source(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    #[test]
    fn no_sum_goes_beyond_its_bound_and_all_comes_back() {
        let load = load(100);
        let (first, second) = (load.begin(), load.begin());
        assert!(first.is_some() && second.is_some() && load.begin().is_none());
        drop(first);
        assert!(load.begin().is_some());
        let bytes = || load.for_answer(source(1));
        let (mut one, mut other) = (bytes(), bytes());
        assert!(one.grow_to(60) && !other.grow_to(41) && other.grow_to(40));
        assert!(one.grow_to(50) && !one.grow_to(61) && !other.grow_to(usize::MAX));
        assert_eq!(load.buffered(), 100);
        assert!(!one.turn_to(61) && one.turn_to(10) && other.has_room_for(90));
        assert!(!other.has_room_for(91) && other.grow_to(90));
        assert_eq!(load.buffered(), 100);
        drop((one, other));
        assert_eq!((load.buffered(), load.in_flight()), (0, 1));
        assert!(load.bytes.sources.borrow().is_empty());
    }

    #[test]
    fn what_one_can_do_without_leaves_most_of_the_room() {
        let load = load(100);
        let (mut one, mut other) = (load.for_answer(source(1)), load.for_answer(source(2)));
        assert!(!one.grow_at_leisure_to(26) && one.grow_at_leisure_to(25));
        assert!(!other.grow_at_leisure_to(1) && other.grow_to(75));
    }

    #[test]
    fn requests_leave_room_for_answers() {
        let load = load(100);
        let mut requests = [1, 2].map(|last| load.for_request(source(last)));
        assert!(requests[0].grow_to(50) && !requests[1].grow_to(26) && requests[1].grow_to(25));
        let mut answer = load.for_answer(source(3));
        assert!(answer.grow_to(25) && !answer.grow_to(26));
        drop(requests);
        assert!(answer.grow_to(100));
        // What answers hold is not there for requests.
        assert!(!load.for_request(source(1)).grow_to(1));
    }

    #[test]
    fn one_source_gets_its_part_for_requests_and_answers_together() {
        let load = load(30);
        let (mut request, mut answer) = (load.for_request(source(1)), load.for_answer(source(1)));
        assert!(request.grow_to(20) && !answer.grow_to(11) && answer.grow_to(10));
        let mut other = load.for_request(source(2));
        assert!(other.grow_to(30) && !other.grow_to(31));
        // Addresses of one IPv6 prefix are one source.
        let v6 = |text: &str| Source::of(text.parse().unwrap());
        let (mut first, mut second) = (
            load.for_answer(v6("2001:db8::1")),
            load.for_answer(v6("2001:db8::2")),
        );
        assert!(first.grow_to(20) && !second.grow_to(11));
        let mut proxy = load.for_answer(Source::UNBOUNDED);
        assert!(proxy.grow_to(20) && !proxy.grow_to(21));
        request.turn_to(0);
        assert!(answer.grow_to(30));
        assert!(!other.grow_at_leisure_to(31) && other.grow_at_leisure_to(30));
        drop((request, answer, other, first, second, proxy));
        assert_eq!(load.buffered(), 0);
        assert!(load.bytes.sources.borrow().is_empty());
    }
}
