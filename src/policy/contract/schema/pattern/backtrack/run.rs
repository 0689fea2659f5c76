//! Runs a pattern over a text, path by path, in steps that are counted.

use super::{Bounds, Instruction, Over, Program, Way};

/// Steps of all evaluations of one check together.
const TOTAL: u32 = 2_000_000;

/// Most places to come back to.
const ENTRIES: usize = 1 << 16;

/// A slot that holds no place.
const NOWHERE: u32 = u32::MAX;

/// What a run keeps to come back to; one per shard.
#[derive(Debug, Default)]
pub struct Trail {
    entries: Vec<Entry>,
    slots: Vec<u32>,
    /// What is left to the check that is under way, and what it has taken.
    steps: u32,
    spent: u32,
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    /// Another way to go on from a place.
    Path { next: u32, at: u32 },
    /// What a slot held before.
    Slot { slot: u32, held: u32 },
    /// A run of characters that may give `left` of them back, or take as many more.
    Run {
        instruction: u32,
        at: u32,
        left: u32,
    },
}

impl Trail {
    /// Begins a check, with all its steps.
    pub fn begin(&mut self) {
        self.steps = TOTAL;
        self.spent = 0;
    }

    /// What the check that began last took so far.
    pub fn spent(&self) -> usize {
        self.spent as usize
    }
}

impl Program {
    /// Whether the pattern matches somewhere.
    pub fn is_match(&self, text: &str, trail: &mut Trail) -> Result<bool, Over> {
        // Places are kept as 32 bits.
        u32::try_from(text.len()).map_err(|_| Over)?;
        let steps = self.steps.min(trail.steps);
        trail.entries.clear();
        trail.slots.clear();
        trail.slots.resize(self.slots, NOWHERE);
        let mut run = Run {
            program: self,
            text,
            trail,
            steps,
        };
        let found = run.anywhere();
        let left = run.steps;
        trail.steps -= steps - left;
        trail.spent += steps - left;
        found
    }
}

struct Run<'r> {
    program: &'r Program,
    text: &'r str,
    trail: &'r mut Trail,
    /// What is left.
    steps: u32,
}

impl Run<'_> {
    fn anywhere(&mut self) -> Result<bool, Over> {
        let mut at = 0;
        loop {
            if self.matches(0, at)? {
                return Ok(true);
            }
            let next = self
                .character(at, Way::On)
                .filter(|_| !self.program.is_anchored);
            match next {
                Some((_, next)) => at = next,
                None => return Ok(false),
            }
        }
    }

    fn spend(&mut self, steps: usize) -> Result<(), Over> {
        let steps = u32::try_from(steps).map_err(|_| Over)?;
        self.steps = self.steps.checked_sub(steps).ok_or(Over)?;
        Ok(())
    }

    /// Runs from an instruction to the one that accepts, with all slots as they were if it is not
    /// reached.
    fn matches(&mut self, mut next: usize, mut at: usize) -> Result<bool, Over> {
        let base = self.trail.entries.len();
        loop {
            self.spend(1)?;
            if let Instruction::Accept = self.program.code[next] {
                return Ok(true);
            }
            (next, at) = match self.step(next, at)? {
                Some(further) => further,
                None => match self.back(base)? {
                    Some(other) => other,
                    None => return Ok(false),
                },
            };
        }
    }

    /// One instruction; where to go on, or nowhere.
    fn step(&mut self, own: usize, at: usize) -> Result<Option<(usize, usize)>, Over> {
        let goes_on = |holds: bool| holds.then_some((own + 1, at));
        Ok(match self.program.code[own] {
            Instruction::Set(set, way) => {
                let found = self.character(at, way);
                let members = &self.program.sets[set];
                let found = found.filter(|(one, _)| members.contains(*one));
                found.map(|(_, to)| (own + 1, to))
            }
            Instruction::Run(set, bounds, way) => {
                let to = self.run((own, set), bounds, way, at)?;
                to.map(|to| (own + 1, to))
            }
            Instruction::Start => goes_on(at == 0),
            Instruction::End => goes_on(at == self.text.len()),
            Instruction::Boundary { is_negated } => goes_on(self.is_boundary(at) != is_negated),
            Instruction::Split(first, second) => {
                self.keep(Entry::Path {
                    next: second as u32,
                    at: at as u32,
                })?;
                Some((first, at))
            }
            Instruction::Jump(next) => Some((next, at)),
            Instruction::Note(slot) => {
                self.note(slot, at as u32)?;
                goes_on(true)
            }
            Instruction::Progress(slot) => goes_on(self.trail.slots[slot] != at as u32),
            Instruction::Forget(first, last) => {
                self.spend(last - first)?;
                (first..last).try_for_each(|slot| self.note(slot, NOWHERE))?;
                goes_on(true)
            }
            Instruction::Back(group, way) => {
                let to = self.captured(group, way, at)?;
                to.map(|to| (own + 1, to))
            }
            Instruction::Look { is_negated, next } => {
                let holds = self.look(own + 1, at, is_negated)?;
                (holds != is_negated).then_some((next, at))
            }
            Instruction::Accept => None,
        })
    }

    fn keep(&mut self, entry: Entry) -> Result<(), Over> {
        if self.trail.entries.len() >= ENTRIES {
            return Err(Over);
        }
        self.trail.entries.push(entry);
        Ok(())
    }

    fn note(&mut self, slot: usize, place: u32) -> Result<(), Over> {
        let held = std::mem::replace(&mut self.trail.slots[slot], place);
        let slot = slot as u32;
        self.keep(Entry::Slot { slot, held })
    }

    /// The last other way that was kept since, if any is left.
    fn back(&mut self, base: usize) -> Result<Option<(usize, usize)>, Over> {
        while self.trail.entries.len() > base {
            let Some(entry) = self.trail.entries.pop() else {
                break;
            };
            match entry {
                Entry::Path { next, at } => return Ok(Some((next as usize, at as usize))),
                Entry::Slot { slot, held } => self.trail.slots[slot as usize] = held,
                Entry::Run {
                    instruction,
                    at,
                    left,
                } => {
                    self.spend(1)?;
                    let to = self.other_length(instruction, at as usize, left)?;
                    if let Some(to) = to {
                        return Ok(Some((instruction as usize + 1, to)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Looks from a place. What is captured by a look that holds stays, the ways not taken are
    /// forgotten (section 22.2.2.4).
    fn look(&mut self, first: usize, at: usize, is_negated: bool) -> Result<bool, Over> {
        let base = self.trail.entries.len();
        let holds = self.matches(first, at)?;
        if holds && is_negated {
            while self.trail.entries.len() > base {
                if let Some(Entry::Slot { slot, held }) = self.trail.entries.pop() {
                    self.trail.slots[slot as usize] = held;
                }
            }
        } else if holds {
            let mut to = base;
            for from in base..self.trail.entries.len() {
                if matches!(self.trail.entries[from], Entry::Slot { .. }) {
                    self.trail.entries.swap(from, to);
                    to += 1;
                }
            }
            self.trail.entries.truncate(to);
        }
        Ok(holds)
    }

    /// Characters of a set: as many as there are, or as few as there must be.
    fn run(
        &mut self,
        (own, set): (usize, usize),
        bounds: Bounds,
        way: Way,
        mut at: usize,
    ) -> Result<Option<usize>, Over> {
        let wanted = match bounds.is_greedy {
            true => bounds.most,
            false => bounds.least,
        };
        // Once they are spent the run ends, wherever this one would have.
        let wanted = wanted.min(self.steps);
        let members = &self.program.sets[set];
        let mut count = 0;
        while count < wanted {
            match self.character(at, way) {
                Some((one, to)) if members.contains(one) => at = to,
                _ => break,
            }
            count += 1;
        }
        self.spend(count as usize)?;
        if count < bounds.least {
            // It was the steps that ended, not the text: nothing can be said.
            return if count == wanted { Err(Over) } else { Ok(None) };
        }
        let left = match bounds.is_greedy {
            true => count - bounds.least,
            false => bounds.most - bounds.least,
        };
        self.keep_run(own as u32, at, left)?;
        Ok(Some(at))
    }

    fn keep_run(&mut self, instruction: u32, at: usize, left: u32) -> Result<(), Over> {
        let at = at as u32;
        match left {
            0 => Ok(()),
            _ => self.keep(Entry::Run {
                instruction,
                at,
                left,
            }),
        }
    }

    /// A run with one character less, or one more.
    fn other_length(&mut self, own: u32, at: usize, left: u32) -> Result<Option<usize>, Over> {
        let Instruction::Run(set, bounds, way) = self.program.code[own as usize] else {
            return Ok(None);
        };
        let to = match (bounds.is_greedy, way) {
            (true, Way::On) => self.character(at, Way::Back).map(|(_, to)| to),
            (true, Way::Back) => self.character(at, Way::On).map(|(_, to)| to),
            (false, way) => {
                let members = &self.program.sets[set];
                let found = self.character(at, way);
                let found = found.filter(|(one, _)| members.contains(*one));
                found.map(|(_, to)| to)
            }
        };
        if let Some(to) = to {
            self.keep_run(own, to, left - 1)?;
        }
        Ok(to)
    }

    /// A group that did not take part matches nothing, which is everywhere.
    fn captured(&mut self, group: usize, way: Way, at: usize) -> Result<Option<usize>, Over> {
        let slots = &self.trail.slots;
        let (start, end) = (slots[2 * group], slots[2 * group + 1]);
        if start == NOWHERE || end == NOWHERE {
            return Ok(Some(at));
        }
        let wanted = &self.text.as_bytes()[start as usize..end as usize];
        self.spend(wanted.len())?;
        let (before, after) = self.text.as_bytes().split_at(at);
        Ok(match way {
            Way::On => after.starts_with(wanted).then(|| at + wanted.len()),
            Way::Back => before.ends_with(wanted).then(|| at - wanted.len()),
        })
    }

    /// The character that comes next, and the place behind it.
    #[inline]
    fn character(&self, at: usize, way: Way) -> Option<(char, usize)> {
        match way {
            Way::On => {
                let one = self.text.get(at..)?.chars().next()?;
                Some((one, at + one.len_utf8()))
            }
            Way::Back => {
                let one = self.text.get(..at)?.chars().next_back()?;
                Some((one, at - one.len_utf8()))
            }
        }
    }

    fn is_boundary(&self, at: usize) -> bool {
        let bytes = self.text.as_bytes();
        let is_word = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        };
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        is_word(before) != is_word(bytes.get(at))
    }
}
