//! Which rules could match which value of one message.

use crate::policy::waf::answers::{Key, Known};
use crate::policy::waf::budget::Bound;
use crate::policy::waf::collection::Collection;
use crate::policy::waf::fuel::Fuel;
use crate::policy::waf::memory::Memory;
use crate::policy::waf::prefilter::{Bits, Prefilter, ROOM, Room, Wanted};
use crate::policy::waf::rule::RuleSet;
use crate::policy::waf::transform::ByteSet;
use crate::policy::waf::values::{Id, Values};

/// What a value costs beside its bytes.
const VALUE: usize = 64;

/// How many values were looked at, and what they could match.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    values: usize,
    request: Bits,
    response: Bits,
}

/// Filled before each phase with the values that are new.
#[derive(Debug, Default)]
pub struct Candidates {
    /// Every rule runs on every value.
    exhaustive: bool,
    /// Of each value that was looked at.
    of_value: Vec<Looked>,
    /// The values that each rule could match, in order: few of many.
    likely: Vec<Likely>,
    /// By the number of a rule, its first and its last place in `likely`, plus one.
    ends: Vec<(u32, u32)>,
    /// The bytes of values that rules were asked about.
    seen: Vec<Option<ByteSet>>,
    /// Of all values of the request, of the response.
    request: Bits,
    response: Bits,
    /// Values of which the answer is kept when all rules have run, with their forms.
    fresh: Vec<(Id, (Key, usize))>,
    /// A value that is looked at in parts.
    open: Option<Open>,
    room: Room,
}

/// What is said of a value.
#[derive(Clone, Copy, Debug)]
struct Looked {
    /// The rules that could match it.
    found: Bits,
    /// What it took to say so, in steps.
    cost: usize,
    /// Whether rules were asked since, and did not match.
    is_refuted: bool,
}

/// A value that a rule could match.
#[derive(Clone, Copy, Debug)]
struct Likely {
    part: Collection,
    id: Id,
    number: u16,
    /// The next one of this rule, as its place plus one.
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    wanted: Wanted,
    key: Option<Key>,
    found: Bits,
    cost: usize,
}

impl Candidates {
    /// Forgets the last message.
    pub fn clear(&mut self, exhaustive: bool) {
        self.exhaustive = exhaustive;
        self.of_value.clear();
        self.keep_likely(0);
        self.seen.clear();
        self.fresh.clear();
        self.open = None;
        self.request = Bits::default();
        self.response = Bits::default();
    }

    pub fn mark(&self) -> Mark {
        Mark {
            values: self.of_value.len(),
            request: self.request,
            response: self.response,
        }
    }

    /// Forgets the values that came since.
    pub fn rewind(&mut self, mark: Mark) {
        self.of_value.truncate(mark.values);
        let is_kept = |likely: &Likely| (likely.id as usize) < mark.values;
        self.keep_likely(self.likely.partition_point(is_kept));
        self.seen.truncate(mark.values);
        self.fresh.retain(|(id, _)| (*id as usize) < mark.values);
        self.open = None;
        self.request = mark.request;
        self.response = mark.response;
    }

    pub fn is_exhaustive(&self) -> bool {
        self.exhaustive
    }

    /// Of all values of the request, of the response.
    pub fn all(&self) -> (Bits, Bits) {
        (self.request, self.response)
    }

    /// Looks at the values that came since the last look. False if there are more, but no fuel.
    pub fn look(
        &mut self,
        rules: &RuleSet,
        memory: &mut Memory,
        values: &mut Values,
        fuel: &mut Fuel,
    ) -> bool {
        for id in self.of_value.len()..values.len() {
            let Ok(id) = Id::try_from(id) else { break };
            let filter = match values.at(id).0.is_of_request() {
                true => &rules.request,
                false => &rules.response,
            };
            let Some(known) = self.look_at(id, filter, memory, values, fuel) else {
                return false;
            };
            let Known {
                mut found, cost, ..
            } = known;
            if known.variants > values.budget().variants {
                values.exceed(Bound::Variants);
                // Who looks at it all the same asks every rule, so that nothing is missed.
                let (part, name, _) = values.at(id);
                found = filter.wanted(part, name).rules;
            }
            if found.any() {
                let part = values.at(id).0;
                match part.is_of_request() {
                    true => self.request |= found,
                    false => self.response |= found,
                }
                self.note(part, id, found);
            }
            self.of_value.push(Looked {
                found,
                cost,
                is_refuted: false,
            });
        }
        true
    }

    fn look_at(
        &mut self,
        id: Id,
        filter: &Prefilter,
        memory: &mut Memory,
        values: &Values,
        fuel: &mut Fuel,
    ) -> Option<Known> {
        let (part, name, value) = values.at(id);
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                if fuel.is_spent() {
                    return None;
                }
                if fuel.is_over() {
                    return Some(Known::default());
                }
                fuel.spend(VALUE);
                let wanted = filter.wanted(part, name);
                if !wanted.rules.any() {
                    return Some(Known::default());
                }
                let key = memory.answers.key(part, wanted.class, name, value);
                if let Some(known) = key.and_then(|key| memory.answers.of(key)) {
                    fuel.charge(known.cost);
                    return Some(known);
                }
                filter.begin(value, &wanted, &mut self.room);
                Open {
                    wanted,
                    key,
                    found: Bits::default(),
                    cost: 0,
                }
            }
        };
        let before = fuel.steps();
        let room = (&mut self.room, &mut *fuel);
        let is_done = filter.candidates(value, &open.wanted, room, &mut open.found);
        open.cost += fuel.steps() - before;
        if !is_done {
            self.open = Some(open);
            return None;
        }
        let known = Known {
            found: open.found,
            variants: self.room.variants(),
            cost: open.cost,
        };
        // What has too many forms is not kept: all rules are asked about it.
        let is_kept = known.variants <= values.budget().variants;
        if let Some(key) = open.key.filter(|_| is_kept) {
            // The same value may stand further down in this message.
            memory.answers.keep(key, known);
            self.fresh.push((id, (key, known.variants)));
        }
        Some(known)
    }

    /// Which bytes a value holds: looked up once for all rules that are asked about it.
    pub fn seen(&mut self, id: Id, value: &[u8]) -> ByteSet {
        let at = id as usize;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, None);
        }
        *self.seen[at].get_or_insert_with(|| ByteSet::of(value))
    }

    /// Whether a question counts: one that nobody would ask who does not run every rule does not.
    pub fn counts(&self, rules: &RuleSet, rule: u16, id: Id) -> bool {
        if !self.exhaustive {
            return true;
        }
        match (rules.number(rule), self.of_value.get(id as usize)) {
            (Some(number), Some(looked)) => looked.found.contains(number),
            (None, _) | (_, None) => true,
        }
    }

    /// Takes note that the first link of a rule does not match a value, and what it took to say so.
    pub fn refute(&mut self, rules: &RuleSet, (rule, id): (u16, Id), cost: usize) {
        let number = rules.number(rule);
        if let (Some(number), Some(looked)) = (number, self.of_value.get_mut(id as usize))
            && looked.found.contains(number)
        {
            looked.found.remove(number);
            looked.cost += cost;
            looked.is_refuted = true;
        }
    }

    /// Keeps what the rules said, for the next time that a value comes.
    pub fn settle(&mut self, memory: &mut Memory) {
        for (id, (key, variants)) in self.fresh.drain(..) {
            // What nobody said more of is kept as it is.
            let looked = self.of_value.get(id as usize);
            if let Some(looked) = looked.filter(|looked| looked.is_refuted) {
                let known = Known {
                    found: looked.found,
                    variants,
                    cost: looked.cost,
                };
                memory.answers.keep(key, known);
            }
        }
    }

    /// Whether only some values can match the first link of a rule: the [next](Self::next) ones.
    pub fn narrows(&self, rules: &RuleSet, rule: u16) -> Option<usize> {
        let number = rules.number(rule);
        number.filter(|_| !self.exhaustive)
    }

    fn note(&mut self, part: Collection, id: Id, found: Bits) {
        self.ends.resize(self.ends.len().max(ROOM), (0, 0));
        for number in found.iter() {
            self.likely.push(Likely {
                part,
                id,
                number: u16::try_from(number).unwrap_or(u16::MAX),
                next: 0,
            });
            self.link(self.likely.len() - 1);
        }
    }

    /// Puts a likely value behind the last one of its rule.
    fn link(&mut self, at: usize) {
        let place = u32::try_from(at + 1).unwrap_or(u32::MAX);
        self.likely[at].next = 0;
        let (first, last) = &mut self.ends[usize::from(self.likely[at].number)];
        match *last {
            0 => *first = place,
            last => self.likely[last as usize - 1].next = place,
        }
        *last = place;
    }

    /// Forgets all likely values but the first ones.
    fn keep_likely(&mut self, count: usize) {
        for likely in &self.likely {
            self.ends[usize::from(likely.number)] = (0, 0);
        }
        self.likely.truncate(count);
        (0..count).for_each(|at| self.link(at));
    }

    /// The next value of a collection that a rule, by its number, may match, and where to go on
    /// after that; 0 is where to begin.
    pub fn next(&self, number: usize, part: Collection, from: usize) -> Option<(Id, usize)> {
        let mut at = match from.checked_sub(1) {
            None => self.ends.get(number)?.0,
            Some(last) => self.likely[last].next,
        };
        while let Some(place) = at.checked_sub(1) {
            let Likely {
                part: of, id, next, ..
            } = self.likely[place as usize];
            if of == part && self.of_value[id as usize].found.contains(number) {
                return Some((id, at as usize));
            }
            at = next;
        }
        None
    }
}
