//! A pattern that counts, over a long value, within bounds.
//!
//! A lazy automaton makes a state for each set of places that a pattern can be at. One that counts
//! (`\$\{[^}]{0,400}x`) has as many as there are ways to be at several counts at once, and hostile
//! values ask for a new one with each byte, each as large as the count. The engine falls back to a
//! simulation then, which took 2.8 us a byte: 185 ms for 64 KiB of `${`. Here the search goes on
//! as an automaton, and gives up where that does not pay: the value is then more than the budget
//! allows to look at.

use std::ops::Range;

use regex_automata::Input;
use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_syntax::hir::{Hir, HirKind};

/// Patterns that count from here on are bounded.
const COUNT: u32 = 16;

/// States of the program times bytes of the values that one rule asks about: up to here a
/// simulation takes some 10 ms at worst.
pub const SIMULATED: usize = 1 << 21;

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
    /// Of the memory for states, in bytes.
    capacity: usize,
    /// The longest match; none: there is no bound.
    longest: Option<usize>,
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
        Ok(Some(Bounded {
            automaton,
            states,
            capacity: cache_bytes,
            longest: hir.properties().maximum_len(),
        }))
    }

    /// What a value costs the engine that falls back, beside [`SIMULATED`].
    pub fn cost(&self, value: &[u8]) -> usize {
        value.len().saturating_mul(self.states)
    }

    /// What a search took to make its states, in steps, from the memory for them before and after. A
    /// byte of a state takes some 2 ns to make.
    pub fn effort(&self, before: usize, after: usize) -> usize {
        match after.checked_sub(before) {
            Some(made) => made,
            // It was emptied meanwhile.
            None => self.capacity.saturating_add(after),
        }
    }

    pub fn cache(&self) -> Cache {
        self.automaton.create_cache()
    }

    pub fn is_match(&self, cache: &mut Cache, value: &[u8]) -> Result<bool, GaveUp> {
        let input = Input::new(value).earliest(true);
        let found = self.automaton.try_search_fwd(cache, &input);
        found.map(|found| found.is_some()).map_err(|_| GaveUp)
    }

    /// The part of a value in which a search for groups finds what it would in all of it; none: the
    /// pattern does not match.
    ///
    /// It ends where the leftmost match ends, and begins before that by the longest match. A match
    /// in it that began earlier would be one of the whole value, further left than the leftmost;
    /// and of those that begin at the same place the one that is preferred is whole in it.
    pub fn around(&self, cache: &mut Cache, value: &[u8]) -> Result<Option<Range<usize>>, GaveUp> {
        let found = self.automaton.try_search_fwd(cache, &Input::new(value));
        let found = found.map_err(|_| GaveUp)?;
        Ok(found.map(|found| {
            let end = found.offset();
            let longest = self.longest.unwrap_or(end);
            end.saturating_sub(longest)..end
        }))
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
    use crate::policy::waf::budget::Budget;
    use crate::policy::waf::draft::Engine;
    use crate::policy::waf::inspection::{Inspection, Reason, Tuning, Verdict};
    use crate::policy::waf::load::{Settings, load};
    use crate::policy::waf::memory::Memory;
    use crate::policy::waf::message::{Headers, Request};
    use crate::policy::waf::pattern::{self, Pattern};
    use crate::policy::waf::rule::RuleSet;
    use crate::policy::waf::seclang::Files;

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
        assert!(counting.cost(b"short") < SIMULATED);
        assert!(counting.cost(&[b'a'; 65_536]) > SIMULATED);
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
            cache = bounded.cache();
            let found = bounded.is_match(&mut cache, value.as_bytes());
            assert_eq!(found, Ok(plain.matches(value.as_bytes())), "{value}");
        }
        let benign = "The price of ${item} is #{price}, as agreed. ".repeat(5000);
        assert_eq!(bounded.is_match(&mut cache, benign.as_bytes()), Ok(false));
        // No beginning of it is like another one.
        let parts = ["${", "c"];
        let hostile: String = (0..100_000).filter_map(|_| random.choice(parts)).collect();
        let found = bounded.is_match(&mut cache, hostile.as_bytes());
        assert_eq!(found, Err(GaveUp));
        // In small parts as well.
        cache = bounded.cache();
        let mut parts = hostile.as_bytes().chunks(1024);
        assert!(parts.any(|part| bounded.is_match(&mut cache, part).is_err()));
        // Who comes after that is looked at as ever.
        cache = bounded.cache();
        assert_eq!(bounded.is_match(&mut cache, benign.as_bytes()), Ok(false));
        let found = bounded.is_match(&mut cache, b"a ${getruntime");
        assert_eq!(found, Ok(true));
    }

    /// Groups are those that the whole value would give.
    #[test]
    fn groups_of_a_long_value_are_looked_for_around_the_match() {
        let text = r"\$\{(\w{0,20})[^}]{0,400}?(getruntime|new)\b(.{0,3})";
        let pattern = Pattern::compile(text, true).unwrap();
        let bounded = bounded(text).unwrap();
        let (mut scratch, mut captures) = (pattern.cache(), pattern.empty_captures());
        let mut random = fastrand::Rng::with_seed(11);
        let parts = ["${", "}", "abc", "new", "getruntime", " ", "newer", "x"];
        let mut matches = 0;
        for _ in 0..500 {
            let value: String = (0..30).filter_map(|_| random.choice(parts)).collect();
            let value = format!("{}{value}{}", "y".repeat(500), "z".repeat(500));
            let bytes = value.as_bytes();
            let whole = (bytes, 0..bytes.len());
            let is_match = pattern.captures_with(&mut scratch, &mut captures, whole);
            let groups: Vec<_> = (0..4).map(|group| captures.get_group(group)).collect();
            let around = bounded.around(&mut bounded.cache(), bytes).unwrap();
            assert_eq!(around.is_some(), is_match, "{value}");
            let Some(around) = around else { continue };
            matches += 1;
            assert!(around.len() < 600);
            assert!(pattern.captures_with(&mut scratch, &mut captures, (bytes, around)));
            let within: Vec<_> = (0..4).map(|group| captures.get_group(group)).collect();
            assert_eq!(within, groups, "{value}");
        }
        assert!(matches > 100, "{matches}");
    }

    const RULE: &str =
        r#"SecRule ARGS "@rx [$%#*]\{[^}]{0,400}(?:getruntime|new x)" "id:1,phase:2,deny,t:none""#;

    fn rules() -> RuleSet {
        let files = Files {
            read: &|_: &str| Ok(RULE.as_bytes().to_vec()),
            list: &|_: &str| Ok(Vec::new()),
        };
        load(&["t.conf"], files, &Settings::default())
            .unwrap()
            .rules
    }

    fn verdict(rules: &RuleSet, memory: &mut Memory, body: &str) -> Verdict {
        let fields = [(
            &b"Content-Type"[..],
            &b"application/x-www-form-urlencoded"[..],
        )];
        let request = Request {
            method: b"POST",
            target: b"/",
            version: b"HTTP/1.1",
            headers: Headers::Pairs(&fields),
            peer: None,
            local: None,
            id: b"1",
        };
        let tuning = Tuning {
            engine: Engine::On,
            budget: Budget {
                bytes: 1 << 20,
                values: 1000,
                ..Budget::default()
            },
            ..Tuning::default()
        };
        let mut inspection = Inspection::default();
        inspection.begin(rules, tuning);
        assert_eq!(inspection.head(rules, memory, &request), Verdict::Pass);
        inspection.body(rules, memory, body.as_bytes())
    }

    #[test]
    fn what_a_search_that_gave_up_did_not_say_is_not_remembered() {
        let (rules, mut memory) = (rules(), Memory::default());
        let mut random = fastrand::Rng::with_seed(7);
        let mut hostile = |length: usize| -> String {
            let parts = (0..length).filter_map(|_| random.choice(["${", "c"]));
            format!("getruntime{}", parts.collect::<String>())
        };
        let attack = "b=${getruntime";
        let refused = Verdict::Refuse(Reason::Rule { id: 1, status: 403 });
        let over = Verdict::Refuse(Reason::Budget);
        let long = format!("a={}&{attack}", hostile(100_000));
        // The same in many values, of which each alone would do.
        let many: Vec<String> = (0..200)
            .map(|at| format!("a{at}={}", hostile(900)))
            .collect();
        let many = format!("{}&{attack}", many.join("&"));
        for body in [&long, &many] {
            assert_eq!(verdict(&rules, &mut memory, body), over);
            assert_eq!(verdict(&rules, &mut memory, attack), refused);
            assert_eq!(verdict(&rules, &mut memory, body), over);
        }
        assert_eq!(verdict(&rules, &mut memory, "b=c"), Verdict::Pass);
    }
}
