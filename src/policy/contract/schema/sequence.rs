//! Patterns that are one class after another, which most are that describe identifiers: a table of
//! bytes in place of an automaton.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Most classes, one bit of the table each.
const STEPS: usize = 8;

/// `^[A-Z]{2}[0-9]+$` and the like: from the beginning on, each class as often as it goes.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// For each byte, the steps whose class it belongs to.
    table: [u8; 256],
    steps: Box<[Step]>,
    /// Whether nothing may follow.
    is_closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    least: usize,
    most: usize,
}

impl Sequence {
    /// None: an automaton is needed.
    pub fn new(pattern: &Hir) -> Option<Sequence> {
        let HirKind::Concat(parts) = pattern.kind() else {
            return None;
        };
        let (first, rest) = parts.split_first()?;
        let is_end = |part: &Hir| *part.kind() == HirKind::Look(Look::End);
        let (rest, is_closed) = match rest.split_last() {
            Some((last, rest)) if is_end(last) => (rest, true),
            _ => (rest, false),
        };
        let mut sequence = Sequence {
            table: [0; 256],
            steps: Box::default(),
            is_closed,
        };
        let mut steps = Vec::new();
        for part in rest {
            sequence.take(part, &mut steps)?;
        }
        let is_start = *first.kind() == HirKind::Look(Look::Start);
        let is_known = is_start && sequence.is_greedy(&steps);
        sequence.steps = steps.into();
        is_known.then_some(sequence)
    }

    fn take(&mut self, part: &Hir, steps: &mut Vec<Step>) -> Option<()> {
        let once = Step { least: 1, most: 1 };
        match part.kind() {
            HirKind::Capture(inner) => match inner.sub.kind() {
                HirKind::Concat(parts) => parts.iter().try_for_each(|part| self.take(part, steps)),
                _ => self.take(&inner.sub, steps),
            },
            HirKind::Repetition(repetition) => {
                let most = repetition.max.map_or(usize::MAX, |most| most as usize);
                let least = repetition.min as usize;
                let sub = match repetition.sub.kind() {
                    HirKind::Capture(inner) => &*inner.sub,
                    _ => &*repetition.sub,
                };
                self.step(sub, Step { least, most }, steps)
            }
            HirKind::Literal(literal) if literal.0.len() > 1 => literal
                .0
                .iter()
                .try_for_each(|byte| self.class(&[(*byte, *byte)], once, steps)),
            _ => self.step(part, once, steps),
        }
    }

    /// One class, or one byte.
    fn step(&mut self, part: &Hir, step: Step, steps: &mut Vec<Step>) -> Option<()> {
        match part.kind() {
            HirKind::Literal(literal) => match literal.0[..] {
                [byte] => self.class(&[(byte, byte)], step, steps),
                _ => None,
            },
            HirKind::Class(Class::Unicode(class)) => {
                let ranges = class.ranges().iter();
                let ranges: Option<Vec<(u8, u8)>> = ranges
                    .map(|range| {
                        let (start, end) = (range.start(), range.end());
                        end.is_ascii().then_some((start as u8, end as u8))
                    })
                    .collect();
                self.class(&ranges?, step, steps)
            }
            _ => None,
        }
    }

    fn class(&mut self, ranges: &[(u8, u8)], step: Step, steps: &mut Vec<Step>) -> Option<()> {
        // A byte beyond ASCII is not a character.
        let is_known = steps.len() < STEPS && ranges.iter().all(|(_, end)| end.is_ascii());
        is_known.then_some(())?;
        for &(start, end) in ranges {
            for byte in start..=end {
                self.table[usize::from(byte)] |= 1 << steps.len();
            }
        }
        steps.push(step);
        Some(())
    }

    /// Whether taking as much as there is for each step is always right: no byte of a step that may
    /// be repeated can begin what follows it.
    fn is_greedy(&self, steps: &[Step]) -> bool {
        steps.iter().enumerate().all(|(at, step)| {
            let mut followers = 0_u8;
            for (next, other) in steps.iter().enumerate().skip(at + 1) {
                followers |= 1 << next;
                if other.least > 0 {
                    break;
                }
            }
            let own = 1_u8 << at;
            let is_shared = |entry: &u8| entry & own != 0 && entry & followers != 0;
            step.least == step.most || !self.table.iter().any(is_shared)
        })
    }

    #[inline(always)]
    pub fn is_match(&self, text: &[u8]) -> bool {
        match (self.is_closed, &*self.steps) {
            (true, [step]) => {
                step.least <= text.len() && text.len() <= step.most && self.are_first(text)
            }
            _ => self.follow(text),
        }
    }

    /// Step by step.
    #[inline(never)]
    fn follow(&self, text: &[u8]) -> bool {
        let mut rest = text;
        for (at, step) in self.steps.iter().enumerate() {
            let bit = 1_u8 << at;
            let reach = &rest[..rest.len().min(step.most)];
            let others = reach
                .iter()
                .position(|&byte| self.table[usize::from(byte)] & bit == 0);
            let count = others.unwrap_or(reach.len());
            if count < step.least {
                return false;
            }
            rest = &rest[count..];
        }
        !self.is_closed || rest.is_empty()
    }

    /// Whether all bytes are of the first class, four at a time and without asking after each.
    #[inline(always)]
    fn are_first(&self, text: &[u8]) -> bool {
        let table = &self.table;
        let mut bits = 1;
        let (fours, rest) = text.as_chunks::<4>();
        for [a, b, c, d] in fours {
            bits &= table[usize::from(*a)] & table[usize::from(*b)];
            bits &= table[usize::from(*c)] & table[usize::from(*d)];
        }
        for byte in rest {
            bits &= table[usize::from(*byte)];
        }
        bits != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sequence(pattern: &str) -> Option<Sequence> {
        Sequence::new(&regex_syntax::parse(pattern).unwrap())
    }

    #[test]
    fn only_what_is_certain_is_a_sequence() {
        for pattern in [
            "^[A-Z]{2}[0-9]+$",
            "^[a-z]*$",
            "^SKU-[0-9]{4}$",
            "^[A-Z0-9-]{4,20}$",
            "^a",
            "^(ab)c?d$",
            "^[0-9]{4}-[0-9]{2}$",
            "^[a-z][a-z0-9]$",
        ] {
            assert!(sequence(pattern).is_some(), "{pattern}");
        }
        for pattern in [
            "[a-z]+",
            "a$",
            "^a|b$",
            "^[^a]$",
            "^é$",
            "^[a-z]+[a-z0-9]+$",
            "^a?b?a$",
            "^(a|bc)+$",
            "^(ab)?$",
            "^a+?b?a*$",
            "^abcdefghi$",
            "^$",
            "",
        ] {
            let found = sequence(pattern);
            assert!(found.is_none() || pattern == "^$", "{pattern} {found:?}");
        }
    }

    proptest! {
        #[test]
        fn sequences_match_what_an_automaton_does(
            parts in proptest::collection::vec(("[a-d]|\\[[a-c]-d\\]|\\[ab\\]|\\[cd\\]", "|\\?|\\*|\\+|\\{2\\}|\\{1,2\\}|\\{0,3\\}"), 1..5),
            closed: bool,
            texts in proptest::collection::vec("[a-e]{0,7}|[a-d]{0,4}é", 20),
        ) {
            let mut pattern = String::from("^");
            parts.iter().for_each(|(class, often)| pattern.extend([class.as_str(), often.as_str()]));
            pattern.push_str(if closed { "$" } else { "" });
            let automaton = regex::Regex::new(&pattern).unwrap();
            if let Some(sequence) = sequence(&pattern) {
                for text in &texts {
                    prop_assert_eq!(sequence.is_match(text.as_bytes()), automaton.is_match(text), "{} {}", pattern, text);
                }
            }
        }
    }
}
