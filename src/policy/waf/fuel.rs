//! How much work may be done before others get their turn, in bytes that are looked at: policy has
//! no clock. The same bytes are the steps of the budget of a message.

/// What one slice may look at.
const SLICE: usize = 16 * 1024;

#[derive(Debug)]
pub struct Fuel {
    left: usize,
    /// What the message has taken, in this slice and in those before, and what it may take.
    steps: usize,
    most: usize,
}

impl Fuel {
    /// For one slice.
    pub fn slice() -> Fuel {
        Fuel::of(SLICE)
    }

    /// For all that is to be done.
    pub fn endless() -> Fuel {
        Fuel::of(usize::MAX)
    }

    pub fn of(bytes: usize) -> Fuel {
        Fuel {
            left: bytes,
            steps: 0,
            most: usize::MAX,
        }
    }

    /// Goes on with a message that has taken so many steps of those that it may.
    pub fn meter(&mut self, steps: usize, most: usize) {
        self.steps = steps;
        self.most = most;
    }

    pub fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.charge(bytes);
    }

    /// Counts what was done before and need not be done again: the budget of a message does not
    /// depend on what others sent.
    pub fn charge(&mut self, bytes: usize) {
        self.steps = self.steps.saturating_add(bytes);
    }

    /// Takes back what only a comparison has done.
    pub fn refund(&mut self, bytes: usize) {
        self.steps = self.steps.saturating_sub(bytes);
    }

    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Whether the message has taken more than it may.
    pub fn is_over(&self) -> bool {
        self.steps > self.most
    }
}
