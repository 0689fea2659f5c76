//! The direct walk: a body read once from front to end, each value as its rule expects it, without
//! an index. It either accepts a body or does not know; what it does not know the walk along the
//! index decides, which also finds the fault.
//!
//! What stays true: what is accepted here is JSON to the last byte and holds every rule. A member
//! is looked for where it stood the last time, a number is taken for a short one, a string for one
//! without escapes; nothing depends on whether that comes true but the time it takes.

mod object;
mod plan;
mod quick;
mod scan;
mod value;

#[cfg(test)]
mod tests;

use std::cell::Cell;

pub use plan::Plan;

use super::names::Names;
use super::pattern::Trail;
use super::program::RuleId;

/// Deepest nesting of a body.
pub const DEPTH: usize = 64;

/// How many rows of guesses are kept, and how many each has: one for the first member and one for
/// what comes after each; both powers of two.
const ROWS: usize = 1 << 7;
const ROW: usize = 1 << 7;

/// Which member came after which the last time.
type Guesses = [[u8; ROW]; ROWS];

/// What a walk fills anew each time, but for the guesses.
#[derive(Debug)]
pub struct Memory {
    loose: Loose,
    /// A row for each object. Some may share one, which costs time only.
    guesses: Box<Guesses>,
}

/// What only some bodies need.
#[derive(Debug, Default)]
struct Loose {
    /// Names that are not declared.
    names: Names,
    decoded: String,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            loose: Loose::default(),
            guesses: Box::new([[0; ROW]; ROWS]),
        }
    }
}

pub struct Direct<'w> {
    plan: &'w Plan,
    text: &'w str,
    loose: &'w mut Loose,
    guesses: &'w [Cell<[u8; ROW]>; ROWS],
    trail: &'w mut Trail,
    depth: usize,
    has_undeclared: bool,
}

impl<'w> Direct<'w> {
    pub fn new(
        plan: &'w Plan,
        text: &'w str,
        memory: &'w mut Memory,
        trail: &'w mut Trail,
    ) -> Direct<'w> {
        memory.loose.names.clear();
        Direct {
            plan,
            text,
            loose: &mut memory.loose,
            guesses: Cell::from_mut(&mut *memory.guesses).as_array_of_cells(),
            trail,
            depth: 0,
            has_undeclared: false,
        }
    }

    /// Whether a member came by that no schema names.
    pub fn has_undeclared(&self) -> bool {
        self.has_undeclared
    }

    /// Whether the text is known to be good.
    pub fn accepts(&mut self, root: RuleId) -> bool {
        // Names are kept as places of 32 bits.
        let is_short = u32::try_from(self.text.len()).is_ok();
        let bytes = self.text.as_bytes();
        let end = match is_short && self.plan.nodes[root].is_whole {
            true => self.value(root, scan::blank(bytes, 0)),
            false => None,
        };
        end.is_some_and(|end| scan::blank(bytes, end) == bytes.len())
    }
}
