//! How many second tries an upstream may be given: a share of its requests, so that retries never
//! multiply the load of a backend that is failing.

use std::cell::Cell;

/// A hundredth of a try is the unit.
const TRY: u32 = 100;

/// Tries that may be saved up, and that a quiet upstream begins with.
const SAVED: u32 = 10 * TRY;

#[derive(Debug)]
pub struct Budget {
    left: Cell<u32>,
    percent: u32,
}

impl Budget {
    pub fn new(percent: u32) -> Budget {
        Budget {
            left: Cell::new(if percent == 0 { 0 } else { SAVED }),
            percent,
        }
    }

    /// What is left of it, with another share.
    pub fn with(&self, percent: u32) -> Budget {
        match (self.percent, percent) {
            (0, _) | (_, 0) => Budget::new(percent),
            _ => Budget {
                left: self.left.clone(),
                percent,
            },
        }
    }

    /// A request has begun.
    pub fn earn(&self) {
        self.left.set((self.left.get() + self.percent).min(SAVED));
    }

    /// Whether a request may be tried once more.
    pub fn spend(&self) -> bool {
        let left = self.left.get().checked_sub(TRY);
        if let Some(left) = left {
            self.left.set(left);
        }
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_a_share_of_the_requests() {
        let budget = Budget::new(20);
        let tries = (0..1000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        // A fifth, and the ten that were saved up; the first request finds no room for its share.
        assert_eq!(tries.count(), 209);
        let none = Budget::new(0);
        (0..1000).for_each(|_| none.earn());
        assert!(!none.spend());
        // Another share is no new beginning.
        assert!(!budget.with(30).spend() && !budget.with(0).spend());
        assert!(none.with(20).spend());
    }
}
