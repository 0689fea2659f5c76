//! How much work may be done before others get their turn, in bytes that are looked at: policy has
//! no clock.

/// What one slice may look at. Most steps take 1 to 4 ns a byte.
const SLICE: usize = 16 * 1024;

#[derive(Debug)]
pub struct Fuel(usize);

impl Fuel {
    /// For one slice.
    pub fn slice() -> Fuel {
        Fuel(SLICE)
    }

    /// For all that is to be done.
    pub fn endless() -> Fuel {
        Fuel(usize::MAX)
    }

    pub fn of(bytes: usize) -> Fuel {
        Fuel(bytes)
    }

    pub fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    pub fn is_spent(&self) -> bool {
        self.0 == 0
    }
}
