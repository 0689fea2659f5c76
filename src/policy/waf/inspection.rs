//! One message through the phases.
//!
//! ```text
//! begin -> head (phase 1) -> body (phase 2) -> [response_head (3) -> response_body (4)] -> finish (5)
//! ```
//! A phase may be left out at the end, not in the middle: `finish` can follow any of them.

use std::sync::Arc;

use crate::policy::waf::body;
use crate::policy::waf::body_values;
use crate::policy::waf::budget::{Bound, Budget, Exceeded};
use crate::policy::waf::candidates::Candidates;
use crate::policy::waf::draft::{Disruption, Engine, Phase, Scope};
use crate::policy::waf::evaluate::{Buffers, Evaluation};
use crate::policy::waf::exclusion::Exclusions;
use crate::policy::waf::fuel::Fuel;
use crate::policy::waf::gather::Gather;
use crate::policy::waf::hit::{Hit, beginning};
use crate::policy::waf::mark::Mark;
use crate::policy::waf::memory::Memory;
use crate::policy::waf::message::{Processor, Request, Response};
use crate::policy::waf::rule::{Rule, RuleSet};
use crate::policy::waf::schedule::Due;
use crate::policy::waf::score::Score;
use crate::policy::waf::state::State;
use crate::policy::waf::template::Slot;
use crate::policy::waf::tx::Place;
use crate::policy::waf::view::View;
use crate::proto::limits;

/// So many hits of one message are kept.
const HITS: usize = 256;

/// What the head of an answer may add to the budget: more than the longest head that is read.
const HEAD_BYTES: usize = 64 * 1024;
const HEAD_VALUES: usize = 4 * limits::FIELDS;

/// The variable that the rule set compares the sum of scores with.
pub const THRESHOLD: &str = "inbound_anomaly_score_threshold";

/// The same for answers.
pub const RESPONSE_THRESHOLD: &str = "outbound_anomaly_score_threshold";

/// The variables that rules sum scores up in: those of files, for the lowest paranoia level of
/// version 4, of version 3, or else in all, of which the first that is there counts; and those of
/// native rules, which may stand beside the others with a verdict of their own.
const SUMS: [&[&str]; 2] = [
    &[
        "inbound_anomaly_score_pl1",
        "anomaly_score_pl1",
        "anomaly_score",
        "score",
    ],
    &["native_score"],
];

/// How an operation wants its messages inspected.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tuning {
    pub engine: Engine,
    pub budget: Budget,
    pub over_budget: OverBudget,
    /// What the sum of scores must reach for the rules to refuse a request, in place of what the
    /// rule set says.
    pub threshold: Option<i64>,
    /// The same for answers.
    pub response_threshold: Option<i64>,
    /// Run every rule on every value: what the prefilter is measured against.
    pub exhaustive: bool,
}

/// What to do with a message that is more than the budget allows to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverBudget {
    #[default]
    Refuse,
    /// Look at what was taken, and report that it was not all.
    Report,
}

/// What the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Refuse(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Rule {
        id: u32,
        status: u16,
    },
    /// There was more than the budget allows to look at.
    Budget,
}

/// The state of one message; kept for the next one, so that its memory is.
#[derive(Debug, Default)]
pub struct Inspection {
    state: State,
    buffers: Buffers,
    candidates: Candidates,
    tuning: Tuning,
    allowed: Option<Scope>,
    verdict: Option<Reason>,
    progress: Progress,
    mark: Mark,
    /// Which rules of the phase have to run.
    due: Due,
    /// For messages of which nothing is excluded.
    nothing: Arc<Exclusions>,
}

/// Where a phase stands.
#[derive(Clone, Copy, Debug, Default)]
enum Progress {
    #[default]
    Done,
    /// At the new values: which rules could match them?
    Looking(Phase),
    /// At a place in the list of rules.
    Asking(Phase, usize),
}

impl Inspection {
    /// Forgets the last message.
    pub fn begin(&mut self, rules: &RuleSet, tuning: Tuning) {
        self.state.clear(rules.slots.len(), tuning.budget);
        self.state.engine = tuning.engine;
        // Those of the last message need not be those of this one.
        self.state.exclusions = Arc::clone(&self.nothing);
        self.candidates.clear(tuning.exhaustive);
        for (threshold, name) in [
            (tuning.threshold, THRESHOLD),
            (tuning.response_threshold, RESPONSE_THRESHOLD),
        ] {
            if let (Some(threshold), Some(slot)) = (threshold, rules.slots.find(name)) {
                self.state.tx.pin(slot, threshold);
            }
        }
        self.tuning = tuning;
        self.allowed = None;
        self.verdict = None;
        self.progress = Progress::Done;
    }

    /// The head of the request. As all that stand beside it, this only enters the phase:
    /// [`advance`](Inspection::advance) runs it.
    pub fn enter_head(&mut self, rules: &RuleSet, request: &Request<'_>) {
        let content_type = request.headers.first(b"content-type");
        let declared = content_type.map(Processor::of_content_type);
        self.state.processor = declared.unwrap_or_default();
        if let Some(value) = content_type {
            self.state.content_type.extend_from_slice(value);
        }
        self.state.content_types = request.headers.count(b"content-type");
        self.state.is_encoded = request
            .headers
            .first(b"content-encoding")
            .is_some_and(|value| !value.trim_ascii().eq_ignore_ascii_case(b"identity"));
        let mut gather = Gather {
            values: &mut self.state.values,
            used: rules.used,
            inner: self.state.view.is_some().then_some(&mut self.state.inner),
            is_graphql: self.state.is_graphql,
        };
        gather.request(request);
        gather.processor(self.state.processor);
        if let Some(view) = self.state.view.as_deref() {
            gather.more(request, view);
        }
        self.enter(Phase::RequestHead);
    }

    /// The body comes without the coding that the head names.
    pub fn take_as_decoded(&mut self) {
        self.state.is_encoded = false;
    }

    /// The body as a whole.
    pub fn enter_body(&mut self, rules: &RuleSet, body: &[u8]) {
        self.state.body_length = body.len();
        self.state.steps = self.state.steps.saturating_add(body.len());
        if self.state.is_graphql {
            self.state.processor = Processor::Graphql;
        }
        body_values::read(&mut self.state, rules.used, body);
        self.enter(Phase::RequestBody);
    }

    /// One record of a body, in place of the one that was looked at since the mark.
    pub fn enter_record(&mut self, rules: &RuleSet, record: &[u8], index: Option<usize>) {
        self.state.item = index;
        self.enter_body(rules, record);
    }

    /// Remembers this place, to [come back](Inspection::rewind) to.
    pub fn mark(&mut self) {
        self.mark.set(&self.state, &self.candidates, self.allowed);
    }

    /// Forgets what was looked at since the mark, but not what was found.
    pub fn rewind(&mut self) {
        let Inspection {
            state,
            candidates,
            allowed,
            ..
        } = self;
        self.mark.restore(state, candidates, allowed);
        self.verdict = None;
    }

    /// The head of the answer, of which up to `longest` bytes of body may be taken later.
    pub fn enter_response_head(
        &mut self,
        rules: &RuleSet,
        response: &Response<'_>,
        longest: usize,
    ) {
        // The answer is a message of its own.
        self.state.steps = 0;
        let bytes = HEAD_BYTES + longest;
        self.state.values.extend_budget(bytes, HEAD_VALUES);
        let mut gather = Gather {
            values: &mut self.state.values,
            used: rules.used,
            inner: None,
            is_graphql: false,
        };
        gather.response(response);
        self.enter(Phase::ResponseHead);
    }

    /// What of the body there is to be seen. `is_whole`: that is all of it.
    pub fn enter_response_body(&mut self, rules: &RuleSet, body: &[u8], is_whole: bool) {
        let mut gather = Gather {
            values: &mut self.state.values,
            used: rules.used,
            inner: None,
            is_graphql: false,
        };
        gather.response_body(body, is_whole);
        self.enter(Phase::ResponseBody);
    }

    /// What rules have left to say when all is over.
    pub fn enter_end(&mut self) {
        self.enter(Phase::Logging);
    }

    /// What rules have left to say somebody else asks.
    pub fn leave(&mut self) {
        self.progress = Progress::Done;
    }

    pub fn head(&mut self, rules: &RuleSet, memory: &mut Memory, request: &Request<'_>) -> Verdict {
        self.enter_head(rules, request);
        self.run(rules, memory)
    }

    pub fn body(&mut self, rules: &RuleSet, memory: &mut Memory, body: &[u8]) -> Verdict {
        self.enter_body(rules, body);
        self.run(rules, memory)
    }

    pub fn response_head(
        &mut self,
        rules: &RuleSet,
        memory: &mut Memory,
        response: &Response<'_>,
    ) -> Verdict {
        self.enter_response_head(rules, response, self.tuning.budget.bytes);
        self.run(rules, memory)
    }

    pub fn response_body(&mut self, rules: &RuleSet, memory: &mut Memory, body: &[u8]) -> Verdict {
        self.enter_response_body(rules, body, true);
        self.run(rules, memory)
    }

    pub fn finish(&mut self, rules: &RuleSet, memory: &mut Memory) {
        self.enter_end();
        self.run(rules, memory);
    }

    /// Runs a phase to its end.
    fn run(&mut self, rules: &RuleSet, memory: &mut Memory) -> Verdict {
        let mut fuel = Fuel::endless();
        loop {
            if let Some(verdict) = self.advance(rules, memory, &mut fuel) {
                return verdict;
            }
        }
    }

    /// Leaves out rules and values, for the message that has just begun.
    pub fn exclude(&mut self, exclusions: &Arc<Exclusions>) {
        self.state.exclusions = Arc::clone(exclusions);
    }

    /// Looks at more than the rule language knows of, in the message that has just begun.
    pub fn look_at(&mut self, view: &Arc<View>) {
        self.state.view = Some(Arc::clone(view));
    }

    /// Reads an argument as a GraphQL document, and the body as one of these requests, whatever
    /// their types say.
    pub fn read_as_graphql(&mut self) {
        self.state.is_graphql = true;
    }

    /// Adds to what the rules sum up, between the head, which sets it to nothing, and the body.
    pub fn add_score(&mut self, rules: &RuleSet, score: u32) {
        for names in SUMS {
            let mut names = names.iter();
            if let Some(name) = names.find(|name| rules.slots.find(name).is_some()) {
                self.add_to(rules, name, i64::from(score));
            }
        }
    }

    /// Adds to a variable that rules know.
    pub fn add_to(&mut self, rules: &RuleSet, name: &str, score: i64) {
        if let Some(slot) = rules.slots.find(name).filter(|_| score != 0) {
            self.state.tx.add_at(Place::Slot(slot), score);
        }
    }

    /// Adds to a variable.
    pub fn add_at(&mut self, slot: Slot, score: i64) {
        if score != 0 {
            self.state.tx.add_at(Place::Slot(slot), score);
        }
    }

    /// What a variable holds.
    pub fn number(&self, slot: Slot) -> i64 {
        self.state.tx.number(slot)
    }

    /// The rule of its kind that the body breaks.
    pub fn body_fault(&self) -> Option<body::Error> {
        self.state.body_fault
    }

    /// What was found, for keeps.
    pub fn take_hits(&mut self) -> Vec<Hit> {
        std::mem::take(&mut self.state.hits)
    }

    /// What the scores of the rules add up to, by category.
    pub fn scores<'a>(&'a self, rules: &'a RuleSet) -> impl Iterator<Item = Score> + 'a {
        rules.scores.read(&self.state.tx)
    }

    /// What was found, in the order of the rules.
    pub fn hits(&self) -> &[Hit] {
        &self.state.hits
    }

    /// What there was more of than the budget allows to look at.
    pub fn exceeded(&self) -> Exceeded {
        let mut exceeded = self.state.values.exceeded();
        exceeded.add(self.state.tx.exceeded());
        exceeded
    }

    /// What the message has taken of its budget.
    pub fn steps(&self) -> usize {
        self.state.steps
    }

    /// The number that a variable of `TX` holds, 0 if none. The name is in lower case.
    pub fn score(&self, rules: &RuleSet, name: &str) -> i64 {
        rules
            .slots
            .find(name)
            .map_or(0, |slot| self.state.tx.number(slot))
    }

    fn enter(&mut self, phase: Phase) {
        let over = |allowed: Option<Scope>| match allowed {
            Some(Scope::All) => phase != Phase::Logging,
            Some(Scope::Request) => phase <= Phase::RequestBody,
            Some(Scope::Phase) | None => false,
        };
        let is_over = self.verdict.is_some() && phase != Phase::Logging;
        let is_out = is_over || over(self.allowed) || self.state.engine == Engine::Off;
        self.progress = match is_out {
            true => Progress::Done,
            false => Progress::Looking(phase),
        };
    }

    /// Goes on with the phase that was entered last; nothing if there is more to do, but no fuel.
    pub fn advance(
        &mut self,
        rules: &RuleSet,
        memory: &mut Memory,
        fuel: &mut Fuel,
    ) -> Option<Verdict> {
        memory.belong_to(rules);
        fuel.meter(self.state.steps, self.tuning.budget.steps);
        let is_done = self.go_on(rules, memory, fuel);
        self.state.steps = fuel.steps();
        if fuel.is_over() {
            self.state.values.exceed(Bound::Steps);
        }
        is_done.then(|| self.answer())
    }

    /// False if there is more to do, but no fuel.
    fn go_on(&mut self, rules: &RuleSet, memory: &mut Memory, fuel: &mut Fuel) -> bool {
        if let Progress::Looking(phase) = self.progress {
            let values = &mut self.state.values;
            if !self.candidates.look(rules, memory, values, fuel) {
                return false;
            }
            let at = phase as usize - 1;
            match self.candidates.is_exhaustive() {
                true => self.due.all(rules.phases[at].len()),
                false => rules.schedules[at].write(self.candidates.all(), &mut self.due),
            }
            self.progress = Progress::Asking(phase, 0);
        }
        if let Progress::Asking(phase, from) = self.progress {
            let next = self.ask(rules, memory, (phase, from), fuel);
            if memory.take_gave_up() {
                self.state.values.exceed(Bound::Steps);
            }
            if let Some(next) = next {
                self.progress = Progress::Asking(phase, next);
                return false;
            }
            if phase != Phase::RequestHead && phase != Phase::ResponseHead {
                self.candidates.settle(memory);
            }
            self.progress = Progress::Done;
        }
        true
    }

    /// Runs the rules of a phase, from a place in its list on. Where to go on, if the fuel ended.
    fn ask(
        &mut self,
        rules: &RuleSet,
        memory: &mut Memory,
        (phase, from): (Phase, usize),
        fuel: &mut Fuel,
    ) -> Option<usize> {
        let list = &rules.phases[phase as usize - 1];
        let mut from = from;
        while let Some(at) = self.due.next(from) {
            if fuel.is_spent() {
                return Some(at);
            }
            from = at + 1;
            let number = list[at];
            let rule = &rules.rules[usize::from(number)];
            let mut evaluation = Evaluation {
                rules,
                memory,
                state: &mut self.state,
                buffers: &mut self.buffers,
                candidates: &mut self.candidates,
                fuel,
            };
            if evaluation.rule(number) {
                from = rule.next.unwrap_or(from);
                if self.matched(rule, fuel) {
                    break;
                }
            }
            if self.state.engine == Engine::Off {
                break;
            }
        }
        None
    }

    fn answer(&self) -> Verdict {
        if let Some(reason) = self.verdict {
            return Verdict::Refuse(reason);
        }
        let refuses =
            self.tuning.over_budget == OverBudget::Refuse && self.tuning.engine == Engine::On;
        if refuses && self.exceeded().any() {
            return Verdict::Refuse(Reason::Budget);
        }
        Verdict::Pass
    }

    /// Takes note of a match; whether the phase ends with it.
    fn matched(&mut self, rule: &Rule, fuel: &mut Fuel) -> bool {
        let denies = matches!(rule.disruption, Disruption::Deny { .. });
        if rule.log || denies {
            self.report(rule, denies, fuel);
        }
        match rule.disruption {
            Disruption::Pass | Disruption::Block => false,
            Disruption::Deny { status } => {
                if self.state.engine != Engine::On {
                    return false;
                }
                self.verdict = Some(Reason::Rule {
                    id: rule.id,
                    status,
                });
                true
            }
            Disruption::Allow(scope) => {
                self.allowed = Some(scope);
                true
            }
        }
    }

    fn report(&mut self, rule: &Rule, denies: bool, fuel: &mut Fuel) {
        if let Some(severity) = rule.severity {
            self.state.severity = self.state.severity.min(severity);
        }
        if self.state.hits.len() >= HITS {
            return;
        }
        let found = self.state.matched.at(0).unwrap_or_default();
        // All of it is searched for secrets.
        fuel.spend(found.value.len());
        let (value, at) = found.shown();
        let first = rule.links.first();
        let transformations = first.map_or(&[][..], |link| &link.transformations);
        let names: Vec<&str> = transformations.iter().map(|each| each.name()).collect();
        let hit = Hit {
            rule: rule.id,
            severity: rule.severity,
            variable: beginning(found.variable),
            value,
            at,
            transformations: names.join(","),
            message: self.state.tell(&rule.message),
            denies,
        };
        self.state.hits.push(hit);
    }
}
