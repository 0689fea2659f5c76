//! Which patterns of a document may be tried path by path, because somebody has looked at them.

use std::cell::Cell;

use super::pattern;

/// Patterns by their exact text, or by the place of the keyword as a fragment
/// (`#/components/schemas/Password/pattern`).
#[derive(Debug)]
pub struct Backtracking {
    /// With each, whether any pattern has asked for it.
    named: Vec<(String, Cell<bool>)>,
    /// For one evaluation.
    pub(super) steps: u32,
}

impl Backtracking {
    /// The steps of one evaluation when nothing else is said, and the most that may be allowed.
    pub const STEPS: u32 = pattern::STEPS;
    pub const MOST_STEPS: u32 = pattern::MOST_STEPS;

    pub fn new(named: impl IntoIterator<Item = String>, steps: u32) -> Backtracking {
        let named = named.into_iter().map(|name| (name, Cell::new(false)));
        Backtracking {
            named: named.collect(),
            steps: steps.min(Backtracking::MOST_STEPS),
        }
    }

    /// Whether a pattern that needs it may backtrack.
    pub(super) fn allows(&self, text: &str, pointer: &str) -> bool {
        let mut is_allowed = false;
        for (name, is_used) in &self.named {
            if name == text || name.strip_prefix('#') == Some(pointer) {
                is_used.set(true);
                is_allowed = true;
            }
        }
        is_allowed
    }

    /// By their order, those that no pattern has asked for.
    pub fn unused(&self) -> impl Iterator<Item = usize> {
        let all = self.named.iter().enumerate();
        all.filter_map(|(at, (_, is_used))| (!is_used.get()).then_some(at))
    }
}
