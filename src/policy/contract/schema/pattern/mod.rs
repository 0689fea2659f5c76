//! Patterns: regular expressions of ECMA-262, by code points, as its flag `u` has them.
//!
//! A pattern runs on an engine that takes linear time. Look-around and back-references have no
//! linear form: they are refused, unless the configuration allows the one pattern to be tried path
//! by path, with a bound on the steps of each evaluation and of each check. What takes more has no
//! answer, which no caller may take for one.

mod backtrack;
mod extent;
mod linear;
mod parse;
mod tree;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use backtrack::{MOST_STEPS, Over, STEPS, Trail};

use backtrack::Program;
use linear::Linear;

use super::sequence::Sequence;

/// A pattern of a schema; copies share what it was compiled to.
#[derive(Clone, Debug)]
pub struct Pattern(Arc<Engine>);

#[derive(Debug)]
enum Engine {
    Linear(Linear),
    Backtracking(Program),
}

/// Why there is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is none, and why.
    Malformed(String),
    /// What it asks for has no linear form.
    NotLinear(&'static str),
    TooLarge,
}

impl Pattern {
    /// A pattern in linear time; it may match anywhere in a text unless it is anchored.
    pub fn new(pattern: &str) -> Result<Pattern, Refusal> {
        let tree = parse::parse(pattern).map_err(Refusal::Malformed)?;
        let linear = Linear::new(&tree)?;
        Ok(Pattern(Arc::new(Engine::Linear(linear))))
    }

    /// The same, or else one that is tried path by path, with at most so many steps for a text.
    pub fn backtracking(pattern: &str, steps: u32) -> Result<Pattern, Refusal> {
        let tree = parse::parse(pattern).map_err(Refusal::Malformed)?;
        let engine = match Linear::new(&tree) {
            Ok(linear) => Engine::Linear(linear),
            Err(Refusal::NotLinear(_)) => {
                let program = Program::new(&tree, steps).ok_or(Refusal::TooLarge)?;
                Engine::Backtracking(program)
            }
            Err(refusal) => return Err(refusal),
        };
        Ok(Pattern(Arc::new(engine)))
    }

    /// The table that it runs on, if it does.
    pub fn sequence(&self) -> Option<Arc<Sequence>> {
        match &*self.0 {
            Engine::Linear(Linear::Sequence(sequence)) => Some(Arc::clone(sequence)),
            Engine::Linear(Linear::Automaton(_)) | Engine::Backtracking(_) => None,
        }
    }

    #[inline]
    pub fn is_match(&self, text: &str, trail: &mut Trail) -> Result<bool, Over> {
        match &*self.0 {
            Engine::Linear(linear) => Ok(linear.is_match(text)),
            Engine::Backtracking(program) => program.is_match(text, trail),
        }
    }
}

/// Whether a text is a pattern at all, whichever engine it takes.
pub fn is_pattern(text: &str) -> bool {
    parse::parse(text).is_ok()
}

/// Whether a pattern lets texts up to some length pass only, as it is anchored at both ends and
/// repeats nothing without an end in between.
pub fn bounds_length(text: &str) -> bool {
    parse::parse(text).is_ok_and(|tree| extent::is_bounded(&tree))
}
