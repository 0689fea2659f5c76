//! How many connections there may be, in all and from one source prefix.
//!
//! What stays true: the total is exact over all shards. The count of a prefix is an upper bound
//! (a count-min sketch of two rows, Cormode and Muthukrishnan 2005, under a key of this process): it
//! never lets more in than allowed, and refuses one too early only when both rows collide.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use ahash::RandomState;

use crate::policy::ratelimit::SourcePrefix;

/// Counters of a row; four times the connections that a usual process may have.
const ROW: usize = 1 << 16;

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    pub connections: usize,
    pub per_source: u32,
}

/// The connections of all shards.
pub struct Admission {
    most: Most,
    open: AtomicUsize,
    rows: [Box<[AtomicU32]>; 2],
    keys: [RandomState; 2],
}

/// The place of one connection, given back when it is dropped.
pub struct Place {
    admission: Arc<Admission>,
    /// None: a source that is not counted.
    counters: Option<[usize; 2]>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Total,
    Source,
}

impl Admission {
    pub fn new(most: Most) -> Arc<Admission> {
        let row = || (0..ROW).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Admission {
            most,
            open: AtomicUsize::new(0),
            rows: [row(), row()],
            keys: [RandomState::new(), RandomState::new()],
        })
    }

    /// A place for a connection. A trusted source, such as a balancer in front, is not counted by
    /// itself.
    pub fn admit(self: &Arc<Self>, source: IpAddr, is_trusted: bool) -> Result<Place, Full> {
        if !raise(&self.open, self.most.connections) {
            return Err(Full::Total);
        }
        let mut place = Place {
            admission: self.clone(),
            counters: None,
        };
        if !is_trusted {
            place.counters = Some(self.count(source)?);
        }
        Ok(place)
    }

    fn count(&self, source: IpAddr) -> Result<[usize; 2], Full> {
        let prefix = SourcePrefix::default().key(source);
        let counters = [0, 1].map(|row| self.keys[row].hash_one(prefix) as usize % ROW);
        let [first, second] = [0, 1].map(|row| &self.rows[row][counters[row]]);
        let before = [first, second].map(|counter| counter.fetch_add(1, Ordering::Relaxed));
        // The lower row is the better guess.
        if before.into_iter().min() >= Some(self.most.per_source) {
            self.uncount(counters);
            return Err(Full::Source);
        }
        Ok(counters)
    }

    fn uncount(&self, counters: [usize; 2]) {
        for (row, counter) in self.rows.iter().zip(counters) {
            row[counter].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Place {
    /// Counts the source that a balancer has told of its connection.
    pub fn is_of(&mut self, source: IpAddr) -> Result<(), Full> {
        if self.counters.is_none() {
            self.counters = Some(self.admission.count(source)?);
        }
        Ok(())
    }
}

/// Adds one where that does not go beyond `most`.
fn raise(count: &AtomicUsize, most: usize) -> bool {
    let step = |count| (count < most).then_some(count + 1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
        .is_ok()
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(counters) = self.counters {
            self.admission.uncount(counters);
        }
        self.admission.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn neither_bound_is_passed_and_every_place_comes_back() {
        let most = Most {
            connections: 5,
            per_source: 2,
        };
        let admission = Admission::new(most);
        let admit = |text| admission.admit(source(text), false);
        let (first, second) = (admit("10.0.0.1").unwrap(), admit("10.0.0.1").unwrap());
        assert_eq!(admit("10.0.0.1").err(), Some(Full::Source));
        // Addresses of one IPv6 prefix are one source.
        let v6 = (admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap());
        assert_eq!(admit("2001:db8::3").err(), Some(Full::Source));
        let third = admit("10.0.0.2").unwrap();
        assert_eq!(admit("10.0.0.3").err(), Some(Full::Total));
        drop((first, v6));
        let again = admit("10.0.0.1").unwrap();
        assert_eq!(admit("10.0.0.1").err(), Some(Full::Source));
        drop((second, third, again));
        assert_eq!(admission.open.load(Ordering::Relaxed), 0);
        let counters = admission.rows.iter().flatten();
        assert!(
            counters
                .into_iter()
                .all(|counter| counter.load(Ordering::Relaxed) == 0)
        );
    }

    #[test]
    fn a_trusted_source_is_bounded_by_the_total_alone() {
        let most = Most {
            connections: 3,
            per_source: 1,
        };
        let admission = Admission::new(most);
        let admit = |_| admission.admit(source("10.0.0.1"), true);
        let places: Vec<_> = (0..3).map(admit).collect();
        assert!(places.iter().all(Result::is_ok));
        assert_eq!(admit(3).err(), Some(Full::Total));
    }

    #[test]
    fn who_stands_behind_a_trusted_source_is_bounded() {
        let admission = Admission::new(Most {
            connections: 9,
            per_source: 1,
        });
        let mut places = [0, 1].map(|_| admission.admit(source("10.0.0.1"), true).unwrap());
        assert_eq!(places[0].is_of(source("9.9.9.9")), Ok(()));
        assert_eq!(places[1].is_of(source("9.9.9.9")), Err(Full::Source));
        assert_eq!(places[1].is_of(source("9.9.8.9")), Ok(()));
        drop(places);
        assert!(admission.admit(source("9.9.9.9"), false).is_ok());
    }
}
