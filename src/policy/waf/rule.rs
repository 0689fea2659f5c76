//! Rules as they run, and a set of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::policy::waf::collection::Collection;
use crate::policy::waf::draft::{Change, Disruption, Engine, Name, Phase};
use crate::policy::waf::operator::Operator;
use crate::policy::waf::place::{LoadError, Place};
use crate::policy::waf::prefilter::Prefilter;
use crate::policy::waf::schedule::Schedule;
use crate::policy::waf::score::Scores;
use crate::policy::waf::target::{Selector, Target, Targets};
use crate::policy::waf::template::{Slots, Template};
use crate::policy::waf::transform::Transformation;

/// One rule: it matches if all of its links do, one after the other.
#[derive(Debug)]
pub struct Rule {
    pub id: u32,
    pub place: Place,
    pub phase: Phase,
    pub links: Box<[Link]>,
    pub disruption: Disruption,
    /// Where in the list of its phase a match goes on, if not with the next rule.
    pub next: Option<usize>,
    pub log: bool,
    pub message: Template,
    pub log_text: Template,
    pub severity: Option<u8>,
    /// What its unconditional links do is done once in a request, of however many records.
    pub once: bool,
    pub tags: Box<[Box<str>]>,
}

#[derive(Debug)]
pub struct Link {
    pub targets: Targets,
    /// `None`: matches once, without looking at anything.
    pub test: Option<Test>,
    pub transformations: Box<[Transformation]>,
    pub multi_match: bool,
    pub capture: bool,
    /// Run with every value that matches.
    pub effects: Box<[Action]>,
}

#[derive(Debug)]
pub struct Test {
    pub negated: bool,
    pub operator: Operator,
    pub argument: Template,
    /// What groups captured is kept, not the whole match alone.
    pub groups: bool,
    /// The number of the pattern among all patterns, for its memory.
    pub pattern: u16,
}

/// What a match changes.
#[derive(Debug)]
pub enum Action {
    Set(Name, Change),
    /// Ids in order.
    RemoveRules(Box<[u32]>),
    RemoveTarget(Box<[u32]>, Arc<Target>),
    Engine(Engine),
    BodyProcessor(Box<str>),
    ForceBody(bool),
}

impl Action {
    pub fn templates(&self) -> Vec<&Template> {
        let Action::Set(name, change) = self else {
            return Vec::new();
        };
        let mut found = Vec::new();
        if let Name::Made(name) = name {
            found.push(name);
        }
        match change {
            Change::Assign(text) | Change::Add(text) | Change::Subtract(text) => found.push(text),
            Change::Remove => {}
        }
        found
    }
}

/// Compiled rules. Shared by all shards, and never changed.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) rules: Box<[Rule]>,
    /// The numbers of the rules of each phase.
    pub(super) phases: [Box<[u16]>; 5],
    /// Which of them have to run.
    pub(super) schedules: [Schedule; 5],
    pub(super) slots: Slots,
    /// What of them is told of a request.
    pub(super) scores: Scores,
    pub(super) patterns: u16,
    /// A bit for each stored collection that a rule looks at.
    pub(super) used: u64,
    /// Which rules could match a value of the request, of the response.
    pub(super) request: Prefilter,
    pub(super) response: Prefilter,
    /// Rules that cannot run here and were left out, as the configuration allows.
    pub(super) left_out: Box<[LoadError]>,
    /// A number that no other set of rules has.
    pub(super) generation: u64,
}

static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// A number that was not given before.
pub(super) fn next_generation() -> u64 {
    GENERATIONS.fetch_add(1, Ordering::Relaxed)
}

impl RuleSet {
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Of the rules that look at the request how many are behind the prefilter, how many of those
    /// require a text, and how many steps lead to the forms of a value.
    pub fn extent(&self) -> (usize, usize, usize) {
        self.request.extent()
    }

    /// The number of a rule behind the prefilter of its side.
    pub(super) fn number(&self, rule: u16) -> Option<usize> {
        let of_request = self.request.number(rule);
        of_request.or_else(|| self.response.number(rule))
    }

    /// Whether a rule looks at what it noted of values.
    pub(super) fn notes(&self, rule: u16) -> bool {
        let notes = |filter: &Prefilter| filter.number(rule).is_some_and(|at| filter.notes(at));
        notes(&self.request) || notes(&self.response)
    }

    /// Rules that cannot run here and were left out, and why.
    pub fn left_out(&self) -> &[LoadError] {
        &self.left_out
    }

    /// How many rules look at answers.
    pub fn for_answers(&self) -> usize {
        self.phases[2].len() + self.phases[3].len()
    }

    /// Whether any rule asks what a variable of `TX` holds. The name is in lower case.
    pub fn reads(&self, variable: &str) -> bool {
        let Some(slot) = self.slots.find(variable) else {
            return false;
        };
        let in_template = |template: &Template| template.slots().any(|found| found == slot);
        let in_target = |target: &Target| match &target.selector {
            Selector::Slot(found) => *found == slot,
            Selector::Variables(_, found) => found.contains(&slot),
            Selector::All => target.collection == Collection::Tx,
            Selector::Name(_) | Selector::Exact(_) | Selector::Pattern(_) => false,
        };
        let mut links = self.rules.iter().flat_map(|rule| &rule.links);
        links.any(|link| {
            link.targets.included.iter().any(in_target)
                || link.test.iter().any(|test| in_template(&test.argument))
                || link
                    .effects
                    .iter()
                    .any(|effect| effect.templates().into_iter().any(in_template))
        })
    }

    /// The rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}
