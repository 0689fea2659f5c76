//! A pattern that counts, over a long value, within bounds.
//!
//! A lazy automaton makes a state for each set of places that a pattern can be at. One that counts
//! (`\$\{[^}]{0,400}x`) has as many as there are ways to be at several counts at once, and hostile
//! values ask for a new one with each byte, each as large as the count. The engine falls back to a
//! simulation then, which took 2.8 us a byte: 185 ms for 64 KiB of `${`. Here the search goes on
//! as an automaton, and gives up where that does not pay: the value is then more than the budget
//! allows to look at.

use regex_automata::Input;
use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_syntax::hir::{Hir, HirKind};

/// Patterns that count from here on are bounded.
const COUNT: u32 = 16;

/// States of the program times bytes of the value: up to here a simulation takes some 10 ms at
/// worst.
const SIMULATED: usize = 1 << 21;

/// The memory for states may be filled so often before each state has to be good for so many
/// bytes, on average. A state takes some 4 us to make.
const FILLS: usize = 4;
const BYTES_PER_STATE: usize = 128;

/// The search came to no end within its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaveUp;

#[derive(Clone, Debug)]
pub struct Bounded {
    automaton: DFA,
    states: usize,
}

impl Bounded {
    /// None: the pattern does not count.
    pub fn of(
        hir: &Hir,
        cache_bytes: usize,
        program_bytes: usize,
    ) -> Result<Option<Bounded>, String> {
        if !counts(hir) {
            return Ok(None);
        }
        let config = NFA::config()
            .utf8(false)
            .nfa_size_limit(Some(program_bytes))
            .which_captures(WhichCaptures::None);
        let program = thompson::Compiler::new()
            .configure(config)
            .build_from_hir(hir)
            .map_err(|error| error.to_string())?;
        let states = program.states().len();
        let config = Config::new()
            .cache_capacity(cache_bytes)
            .minimum_cache_clear_count(Some(FILLS))
            .minimum_bytes_per_state(Some(BYTES_PER_STATE));
        let automaton = DFA::builder().configure(config).build_from_nfa(program);
        let automaton =
            automaton.map_err(|_| "it counts too far to be run within bounds".to_owned())?;
        Ok(Some(Bounded { automaton, states }))
    }

    /// Whether the value is too long for the engine that falls back.
    pub fn is_asked_about(&self, value: &[u8]) -> bool {
        value.len().saturating_mul(self.states) > SIMULATED
    }

    pub fn cache(&self) -> Cache {
        self.automaton.create_cache()
    }

    /// Where the first match ends that is found.
    pub fn find(&self, cache: &mut Cache, value: &[u8]) -> Result<Option<usize>, GaveUp> {
        // What others asked for counts for nobody else.
        cache.reset(&self.automaton);
        let input = Input::new(value).earliest(true);
        let found = self.automaton.try_search_fwd(cache, &input);
        found
            .map(|found| found.map(|half| half.offset()))
            .map_err(|_| GaveUp)
    }
}

fn counts(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min);
            most >= COUNT || counts(&repetition.sub)
        }
        HirKind::Capture(capture) => counts(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(counts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::waf::pattern::{self, Pattern};

    fn bounded(text: &str) -> Option<Bounded> {
        let hir = pattern::hir(text).unwrap();
        Bounded::of(&hir, 256 * 1024, 4 * 1024 * 1024).unwrap()
    }

    #[test]
    fn what_does_not_count_is_left_to_the_engine() {
        for text in ["(?i)select.+from", "a{0,15}b", "[a-z]+$"] {
            assert!(bounded(text).is_none(), "{text}");
        }
        let counting = bounded(r"x[^}]{0,400}y").unwrap();
        assert!(!counting.is_asked_about(b"short") && counting.is_asked_about(&[b'a'; 65_536]));
    }

    #[test]
    fn it_says_what_the_engine_says_or_gives_up() {
        let text = r"[$%#*]\{[^}]{0,400}(?:getruntime|\bnew\s+[\w.]+\s*\()";
        let (bounded, plain) = (
            bounded(text).unwrap(),
            Pattern::compile(text, false).unwrap(),
        );
        let mut cache = bounded.cache();
        let mut random = fastrand::Rng::with_seed(7);
        let parts = [
            "${",
            "}",
            "new A(",
            "getruntime",
            " ",
            "text and more of it ",
            "x",
        ];
        for _ in 0..300 {
            let value: String = (0..20).filter_map(|_| random.choice(parts)).collect();
            let found = bounded.find(&mut cache, value.as_bytes());
            let found = found.map(|end| end.is_some());
            assert_eq!(found, Ok(plain.matches(value.as_bytes())), "{value}");
        }
        let benign = "The price of ${item} is #{price}, as agreed. ".repeat(5000);
        assert_eq!(bounded.find(&mut cache, benign.as_bytes()), Ok(None));
        // No beginning of it is like another one.
        let parts = ["${", "c"];
        let hostile: String = (0..100_000).filter_map(|_| random.choice(parts)).collect();
        assert_eq!(bounded.find(&mut cache, hostile.as_bytes()), Err(GaveUp));
        // Who comes after that is looked at as ever.
        assert_eq!(bounded.find(&mut cache, benign.as_bytes()), Ok(None));
        let found = bounded.find(&mut cache, b"a ${getruntime");
        assert_eq!(found, Ok(Some(14)));
    }
}
