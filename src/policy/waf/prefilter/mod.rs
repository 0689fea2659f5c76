//! Which rules could match a value at all: one search for the texts that rules require, one look at
//! the bytes that are there. Only these candidates run.
//!
//! A rule takes part if its first link asks nothing but values of the message, and its answer
//! depends on nothing but the value. All others run always. What must stay true: a rule whose
//! first link matches a value is a candidate for it, but for rules that [note](noted) values: those
//! are candidates for what they would find in their notes.

mod bits;
mod forms;
mod noted;
mod requirement;
mod search;

use std::ops::Range;

use ahash::AHashMap;

pub use self::bits::{Bits, ROOM};
pub use self::forms::Room;

use crate::policy::waf::collection::{Collection, STORED};
use crate::policy::waf::fuel::Fuel;
use crate::policy::waf::operator::Operator;
use crate::policy::waf::operator::bytes::ByteTest;
use crate::policy::waf::operator::text::TextTest;
use crate::policy::waf::pattern;
use crate::policy::waf::prefilter::forms::{Forms, Plan};
use crate::policy::waf::prefilter::noted::Noted;
use crate::policy::waf::prefilter::requirement::Requirement;
use crate::policy::waf::prefilter::search::Search;
use crate::policy::waf::rule::{Link, Rule, Test};
use crate::policy::waf::target::{Selector, Target};
use crate::policy::waf::transform::{ByteSet, Transformation};

/// A rule that takes no part.
const NONE: u16 = u16::MAX;

/// The rules that look at the values of one side, request or response.
#[derive(Debug)]
pub struct Prefilter {
    /// Of each rule its number here.
    numbers: Box<[u16]>,
    /// The rules that look at values of a collection whatever they are called.
    parts: Box<[Bits; STORED]>,
    /// The rules that look at values of one name, in the order of the collections.
    named: Box<[(Collection, Box<str>, Bits)]>,
    /// Of each collection, where its names stand, and the steps that any of its rules needs.
    names: Box<[Range<usize>; STORED]>,
    plans: Box<[Plan; STORED]>,
    forms: Forms,
    search: Option<Search>,
    /// The rules that require no text.
    unsearched: Bits,
    /// Of each rule, the sets of which a value must hold a byte.
    gates: Box<[Box<[ByteSet]>]>,
    /// The first of those sets from the other side: the rules that a byte lets through, and those
    /// that need none.
    opened: Box<[Bits; 256]>,
    /// The bytes that let any rule through.
    openers: ByteSet,
    open: Bits,
    /// Of each rule that requires nothing simpler, the question itself.
    questions: Box<[Option<Question>]>,
}

/// What a rule asks of a value, asked ahead of the rule: a value that no rule matches can then be
/// remembered as such.
#[derive(Debug)]
enum Question {
    Operator {
        operator: Operator,
        argument: Box<str>,
        negated: bool,
    },
    Noted(Noted),
}

/// The rules of which a value may be a match, and how it was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub rules: Bits,
    part: Collection,
    /// Equal for values that the same rules look at.
    pub class: u32,
}

impl Prefilter {
    /// Of the rules whose targets all satisfy `side`.
    pub fn of(rules: &[Rule], side: impl Fn(Collection) -> bool) -> Prefilter {
        let mut builder = Builder {
            numbers: vec![NONE; rules.len()],
            parts: Box::new([Bits::default(); STORED]),
            named: AHashMap::new(),
            forms: Forms::default(),
            texts: AHashMap::new(),
            unsearched: Bits::default(),
            gates: Vec::new(),
            questions: Vec::new(),
        };
        for (at, rule) in rules.iter().enumerate() {
            builder.add(at, rule, Noted::of(rules, at), &side);
        }
        builder.built()
    }

    /// The number of a rule here, if it takes part.
    pub fn number(&self, rule: u16) -> Option<usize> {
        let number = self.numbers.get(usize::from(rule)).copied();
        number.filter(|&number| number != NONE).map(usize::from)
    }

    /// The rules that look at a value of this name.
    pub fn wanted(&self, part: Collection, name: &[u8]) -> Wanted {
        let mut wanted = Wanted {
            rules: self.parts[part as usize],
            part,
            class: part as u32,
        };
        let range = self.names[part as usize].clone();
        let numbers = 1 + u32::try_from(range.start).unwrap_or(0)..;
        for (number, (_, known, rules)) in numbers.zip(&self.named[range]) {
            if known.as_bytes().eq_ignore_ascii_case(name) {
                wanted.rules |= *rules;
                wanted.class |= number << 8;
                break;
            }
        }
        wanted
    }

    /// Begins with a value: [`candidates`](Prefilter::candidates) goes on with it.
    pub fn begin(&self, value: &[u8], wanted: &Wanted, room: &mut Room) {
        let plan = &self.plans[wanted.part as usize];
        self.forms.begin(plan, value, wanted.rules, room);
    }

    /// Adds the rules whose first link may match a value. False if there is more to look at, but
    /// no fuel.
    pub fn candidates(
        &self,
        value: &[u8],
        wanted: &Wanted,
        room: (&mut Room, &mut Fuel),
        found: &mut Bits,
    ) -> bool {
        let plan = &self.plans[wanted.part as usize];
        let look = |form: &[u8], seen: &ByteSet, rules| *found |= self.look(form, seen, rules);
        self.forms.each(plan, value, wanted.rules, room, look)
    }

    fn look(&self, form: &[u8], seen: &ByteSet, rules: Bits) -> Bits {
        let openers = seen.and(&self.openers).iter();
        let open = openers.fold(self.open, |open, byte| {
            open | self.opened[usize::from(byte)]
        });
        let rules = rules & open;
        let mut likely = self.unsearched & rules;
        let searched = rules.without(&self.unsearched);
        if let Some(search) = self.search.as_ref().filter(|_| searched.any()) {
            likely |= search.met(form, searched);
        }
        let mut found = Bits::default();
        for rule in likely.iter() {
            let is_open = self.gates[rule].iter().all(|set| seen.meets(set));
            let question = self.questions[rule].as_ref();
            if is_open && question.is_none_or(|question| question.holds(form)) {
                found.insert(rule);
            }
        }
        found
    }

    /// Whether a rule, by its number here, looks at what it noted of values.
    pub fn notes(&self, number: usize) -> bool {
        matches!(self.questions.get(number), Some(Some(Question::Noted(_))))
    }

    /// How many rules take part, how many of them require a text, and how many forms there are.
    pub fn extent(&self) -> (usize, usize, usize) {
        let rules = self.gates.len();
        (
            rules,
            rules - self.unsearched.count() as usize,
            self.forms.len(),
        )
    }
}

struct Builder {
    numbers: Vec<u16>,
    parts: Box<[Bits; STORED]>,
    named: AHashMap<(Collection, Box<str>), Bits>,
    forms: Forms,
    texts: AHashMap<Vec<u8>, Bits>,
    unsearched: Bits,
    gates: Vec<Box<[ByteSet]>>,
    questions: Vec<Option<Question>>,
}

impl Builder {
    fn add(
        &mut self,
        at: usize,
        rule: &Rule,
        noted: Option<Noted>,
        side: &impl Fn(Collection) -> bool,
    ) {
        let Some(link) = rule.links.first() else {
            return;
        };
        let number = self.gates.len();
        let (Some(test), true) = (&link.test, number < ROOM) else {
            return;
        };
        let of_side = |target: &Target| {
            let parts = target.collection.parts();
            !target.count && !parts.is_empty() && parts.iter().all(|&part| side(part))
        };
        if !link.targets.included.iter().all(of_side) {
            return;
        }
        let Some(requirement) = requirement(test) else {
            return;
        };
        if !self.forms.has_room(&link.transformations) {
            return;
        }
        self.numbers[at] = u16::try_from(number).unwrap_or(NONE);
        self.targets(number, link);
        self.forms
            .add(number, &link.transformations, link.multi_match);
        match requirement.texts {
            Some(texts) => {
                for text in texts {
                    self.texts.entry(text).or_default().insert(number);
                }
            }
            None => self.unsearched.insert(number),
        }
        self.gates.push(requirement.sets.into());
        let question = noted.map(Question::Noted);
        self.questions
            .push(question.or_else(|| Question::of(test, &link.transformations)));
    }

    fn targets(&mut self, number: usize, link: &Link) {
        for target in &link.targets.included {
            for &part in target.collection.parts() {
                match &target.selector {
                    Selector::Name(name) => {
                        let named = self.named.entry((part, name.clone())).or_default();
                        named.insert(number);
                    }
                    _ => self.parts[part as usize].insert(number),
                }
            }
        }
    }

    fn built(self) -> Prefilter {
        let mut named: Vec<_> = self.named.into_iter().collect();
        named.sort_by(|((part, a), _), ((other, b), _)| {
            (*part as usize, a).cmp(&(*other as usize, b))
        });
        let named = named
            .into_iter()
            .map(|((part, name), rules)| (part, name, rules));
        let named: Box<[_]> = named.collect();
        let names: [Range<usize>; STORED] = std::array::from_fn(|part| {
            let start = named.partition_point(|(other, ..)| (*other as usize) < part);
            start..named.partition_point(|(other, ..)| (*other as usize) <= part)
        });
        let plans = std::array::from_fn(|part| {
            let of_names = named[names[part].clone()].iter();
            let rules = of_names.fold(self.parts[part], |all, (_, _, rules)| all | *rules);
            self.forms.plan(rules)
        });
        let (opened, open) = opened(&self.gates);
        let openers = (0..=u8::MAX).filter(|&byte| opened[usize::from(byte)].any());
        let openers = openers.fold(ByteSet::default(), |all, byte| {
            all.or(ByteSet::range(byte, byte))
        });
        Prefilter {
            numbers: self.numbers.into(),
            parts: self.parts,
            named,
            names: Box::new(names),
            plans: Box::new(plans),
            forms: self.forms,
            search: (!self.texts.is_empty()).then(|| Search::of(self.texts)),
            unsearched: self.unsearched,
            gates: self.gates.into(),
            opened,
            openers,
            open,
            questions: self.questions.into(),
        }
    }
}

/// The rules that each byte lets through their first gate, and those without one.
fn opened(gates: &[Box<[ByteSet]>]) -> (Box<[Bits; 256]>, Bits) {
    let mut opened = Box::new([Bits::default(); 256]);
    let mut open = Bits::default();
    for (rule, gates) in gates.iter().enumerate() {
        match gates.first() {
            Some(set) => set
                .iter()
                .for_each(|byte| opened[usize::from(byte)].insert(rule)),
            None => open.insert(rule),
        }
    }
    (opened, open)
}

impl Question {
    /// None: texts or bytes say enough, or the answer depends on more than the form of a value.
    fn of(test: &Test, chain: &[Transformation]) -> Option<Question> {
        let argument = test.argument.as_text()?;
        // Forms are made without regard to case.
        let keeps_case = |each: &Transformation| {
            use Transformation::{CmdLine, Lowercase, Uppercase};
            !matches!(each, CmdLine | Lowercase | Uppercase)
        };
        let is_worth_it = match test.operator {
            Operator::Pattern(ref pattern) => test.negated && !pattern.counts(),
            Operator::Phrases(_) | Operator::Text(_) => test.negated,
            Operator::Sql | Operator::Script | Operator::Bytes(_) | Operator::Addresses(_) => true,
            Operator::Number(_) => true,
            Operator::Always | Operator::Never => false,
        };
        (is_worth_it && chain.iter().all(keeps_case)).then(|| Question::Operator {
            operator: test.operator.clone(),
            argument: argument.into(),
            negated: test.negated,
        })
    }

    fn holds(&self, form: &[u8]) -> bool {
        match self {
            Question::Operator {
                operator,
                argument,
                negated,
            } => operator.find(form, argument.as_bytes()).is_some() != *negated,
            Question::Noted(noted) => noted.holds(form),
        }
    }
}

/// What a value must hold for a link to match; `None` if that depends on more than the value.
fn requirement(test: &Test) -> Option<Requirement> {
    let argument = test.argument.as_text();
    if test.negated {
        return argument.map(|_| Requirement::default());
    }
    Some(match &test.operator {
        Operator::Pattern(pattern) => {
            // It was parsed before, so that it can be parsed again.
            pattern::hir(pattern.text())
                .map_or_else(|_| Requirement::default(), |hir| Requirement::of(&hir))
        }
        Operator::Phrases(phrases) => {
            Requirement::of_texts(phrases.phrases().iter().map(|phrase| &**phrase))
        }
        Operator::Bytes(ByteTest::Outside(set)) => Requirement::of_set(*set),
        Operator::Bytes(ByteTest::UrlEncoding) => Requirement::of_set(ByteSet::named(b"%")),
        Operator::Bytes(ByteTest::Utf8) => Requirement::of_set(ByteSet::range(0x80, 0xff)),
        Operator::Text(TextTest::Within) => {
            argument?;
            Requirement::default()
        }
        Operator::Text(_) => Requirement::of_texts(std::iter::once(argument?.as_bytes())),
        Operator::Number(_) => {
            argument?;
            Requirement::default()
        }
        Operator::Always
        | Operator::Never
        | Operator::Addresses(_)
        | Operator::Sql
        | Operator::Script => Requirement::default(),
    })
}

#[cfg(test)]
mod soundness;
#[cfg(test)]
mod tests;
