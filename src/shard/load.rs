//! What one shard has taken on: requests under way and bytes held. Beyond the bounds a request is
//! refused at once, before memory is taken for it.

use std::cell::Cell;
use std::rc::Rc;

/// The bounds of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    pub in_flight: usize,
    /// Bytes of bodies that a stage has to see whole.
    pub buffered: usize,
}

#[derive(Debug)]
pub struct Load {
    most: Most,
    in_flight: Rc<Cell<usize>>,
    buffered: Rc<Cell<usize>>,
}

/// A part of a bounded sum, given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    sum: Rc<Cell<usize>>,
    most: usize,
    amount: usize,
}

impl Load {
    pub fn new(most: Most) -> Load {
        Load {
            most,
            in_flight: Rc::default(),
            buffered: Rc::default(),
        }
    }

    /// A request begins; none if as many are under way as may be.
    pub fn begin(&self) -> Option<Held> {
        let mut held = Held::none(&self.in_flight, self.most.in_flight);
        held.grow_to(1).then_some(held)
    }

    /// For bytes, of which none are held yet.
    pub fn bytes(&self) -> Held {
        Held::none(&self.buffered, self.most.buffered)
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    pub fn buffered(&self) -> usize {
        self.buffered.get()
    }
}

impl Held {
    fn none(sum: &Rc<Cell<usize>>, most: usize) -> Held {
        Held {
            sum: sum.clone(),
            most,
            amount: 0,
        }
    }

    /// Whether there would be room now to hold `amount` in all.
    pub fn has_room_for(&self, amount: usize) -> bool {
        let more = amount.saturating_sub(self.amount);
        self.sum.get().saturating_add(more) <= self.most
    }

    /// Holds `amount` in all, if not more already. `false`: there is no room, and nothing has
    /// changed.
    pub fn grow_to(&mut self, amount: usize) -> bool {
        self.turn_to(amount.max(self.amount))
    }

    /// Holds `amount` in all, which may be less than before. `false`: there is no room, and nothing
    /// has changed.
    pub fn turn_to(&mut self, amount: usize) -> bool {
        if !self.has_room_for(amount) {
            return false;
        }
        self.sum.set(self.sum.get() - self.amount + amount);
        self.amount = amount;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.sum.set(self.sum.get() - self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sum_goes_beyond_its_bound_and_all_comes_back() {
        let load = Load::new(Most {
            in_flight: 2,
            buffered: 100,
        });
        let (first, second) = (load.begin(), load.begin());
        assert!(first.is_some() && second.is_some() && load.begin().is_none());
        drop(first);
        assert!(load.begin().is_some());
        let (mut one, mut other) = (load.bytes(), load.bytes());
        assert!(one.grow_to(60) && !other.grow_to(41) && other.grow_to(40));
        assert!(one.grow_to(50) && !one.grow_to(61) && !other.grow_to(usize::MAX));
        assert_eq!(load.buffered(), 100);
        assert!(!one.turn_to(61) && one.turn_to(10) && other.has_room_for(90));
        assert!(!other.has_room_for(91) && other.grow_to(90));
        assert_eq!(load.buffered(), 100);
        drop((one, other));
        assert_eq!((load.buffered(), load.in_flight()), (0, 1));
    }
}
