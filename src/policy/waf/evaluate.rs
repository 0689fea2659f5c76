//! One rule on one request, exactly: links, targets, transformations, captures and effects.
//!
//! ```text
//! rule   = link, then link, ...: each needs a match
//! link   = for each target, for each of its values: transform, ask the operator;
//!          a match sets MATCHED_VAR, TX:0 and runs the effects at once
//! ```

use std::sync::Arc;

use crate::policy::waf::budget::Bound;
use crate::policy::waf::candidates::Candidates;
use crate::policy::waf::collection::Collection;
use crate::policy::waf::draft::{Change, Name};
use crate::policy::waf::fuel::Fuel;
use crate::policy::waf::hit::Found;
use crate::policy::waf::memory::Memory;
use crate::policy::waf::message::Processor;
use crate::policy::waf::operator::number::number;
use crate::policy::waf::rule::{Action, Link, Rule, RuleSet, Test};
use crate::policy::waf::state::State;
use crate::policy::waf::target::{Selector, Target};
use crate::policy::waf::transform::{ByteSet, Transformation};
use crate::policy::waf::tx::Place;
use crate::policy::waf::values::{Id, Origin, Values};

/// Controls in one request that exempt a target from rules; more than that is over the budget. What
/// the configuration excludes does not count.
const EXEMPTIONS: usize = 4096;

/// What a question to an operator costs beside the bytes that it looks at.
const QUESTION: usize = 64;

/// What rules run with.
pub struct Evaluation<'a> {
    pub rules: &'a RuleSet,
    pub memory: &'a mut Memory,
    pub state: &'a mut State,
    pub buffers: &'a mut Buffers,
    pub candidates: &'a mut Candidates,
    pub fuel: &'a mut Fuel,
}

/// Room for values that are made on the way.
#[derive(Debug, Default)]
pub struct Buffers {
    forms: Forms,
    argument: Vec<u8>,
    subject: Vec<u8>,
    name: Vec<u8>,
    text: Vec<u8>,
    places: Vec<Place>,
}

/// A value before and after each transformation.
#[derive(Debug, Default)]
struct Forms {
    current: Vec<u8>,
    next: Vec<u8>,
}

/// One value that is asked about.
enum Subject<'a> {
    Stored(Id),
    Made {
        collection: Collection,
        name: &'a [u8],
        value: &'a [u8],
    },
}

impl Subject<'_> {
    fn is_secret(&self, values: &Values) -> bool {
        match self {
            Subject::Stored(id) => values.origin(*id).is_secret,
            Subject::Made { .. } => false,
        }
    }
}

impl<'a> Evaluation<'a> {
    /// Whether all links match.
    pub fn rule(&mut self, number: u16) -> bool {
        let rule: &'a Rule = &self.rules.rules[usize::from(number)];
        if self.state.exclusions.removes(rule.id) || self.state.removed.contains(&rule.id) {
            return false;
        }
        self.state.matched.clear();
        self.memory.begin_rule();
        let mut links = rule.links.iter();
        let first = links.next();
        if !first.is_some_and(|first| self.link(rule, first, Some(number))) {
            return false;
        }
        let before = self.fuel.steps();
        let matches = links.all(|link| self.link(rule, link, None));
        if self.rules.notes(number) {
            // How much was noted depends on how the values were looked at.
            self.fuel.refund(self.fuel.steps() - before);
        }
        matches
    }

    fn link(&mut self, rule: &'a Rule, link: &'a Link, head_of: Option<u16>) -> bool {
        let Some(test) = &link.test else {
            if !rule.once || self.state.is_first(rule.id) {
                self.effects(link);
            }
            return true;
        };
        let mut argument = std::mem::take(&mut self.buffers.argument);
        argument.clear();
        let step = Step {
            rule,
            link,
            test,
            argument: match test.argument.as_text() {
                Some(text) => text.as_bytes(),
                None => {
                    self.state.expand(&test.argument, &mut argument);
                    &argument
                }
            },
        };
        let mut found = false;
        for target in &link.targets.included {
            found |= self.target(&step, target, head_of);
        }
        self.buffers.argument = argument;
        found
    }

    fn target(&mut self, step: &Step<'a, '_>, target: &'a Target, head_of: Option<u16>) -> bool {
        if target.count {
            let mut digits = itoa::Buffer::new();
            let count = digits.format(self.count(step.rule, step.link, target));
            return self.made(
                step,
                target.collection,
                count_name(target),
                count.as_bytes(),
            );
        }
        match target.collection {
            Collection::Tx => self.variables(step, target),
            Collection::MatchedVar | Collection::MatchedVarName => {
                self.matches(step, target, self.state.matched.len().saturating_sub(1))
            }
            Collection::MatchedVars | Collection::MatchedVarsNames => self.matches(step, target, 0),
            Collection::ArgsCombinedSize
            | Collection::FilesCombinedSize
            | Collection::RequestBodyLength
            | Collection::HighestSeverity => {
                let mut digits = itoa::Buffer::new();
                let size = digits.format(self.state.measure(target.collection));
                self.made(step, target.collection, b"", size.as_bytes())
            }
            Collection::Rule => false,
            _ => self.stored(step, target, head_of),
        }
    }

    fn stored(&mut self, step: &Step<'a, '_>, target: &Target, head_of: Option<u16>) -> bool {
        let rules = self.rules;
        let number = head_of.and_then(|rule| self.candidates.narrows(rules, rule));
        let mut found = false;
        for &part in target.collection.parts() {
            let mut from = 0;
            while let Some((id, next)) = self.value(number, part, from) {
                from = next;
                // What was found so far counts, and no more is looked for.
                if self.fuel.is_over() {
                    return found;
                }
                if !self.is_selected(step.rule, step.link, target, id) {
                    continue;
                }
                let before = self.fuel.steps();
                let matches = self.ask(step, &Subject::Stored(id));
                let cost = self.fuel.steps() - before;
                if head_of.is_some_and(|rule| !self.candidates.counts(rules, rule, id)) {
                    self.fuel.refund(cost);
                }
                match (matches, head_of) {
                    (true, _) => found = true,
                    // A search that gave up has said nothing that could be remembered.
                    (false, Some(rule)) if !self.memory.has_given_up() => {
                        self.candidates.refute(rules, (rule, id), cost);
                    }
                    (false, _) => {}
                }
            }
        }
        found
    }

    /// The next value of a collection, of those that a rule behind the prefilter may match.
    fn value(&self, number: Option<usize>, part: Collection, from: usize) -> Option<(Id, usize)> {
        match number {
            Some(number) => self.candidates.next(number, part, from),
            None => {
                let id = self.state.values.of(part).get(from);
                id.map(|&id| (id, from + 1))
            }
        }
    }

    fn is_selected(&self, rule: &Rule, link: &Link, target: &Target, id: Id) -> bool {
        let (part, name, _) = self.state.values.at(id);
        target.selector.selects(name)
            && !link.targets.excludes(part, name)
            && !self.is_exempt(rule, part, (name, self.state.values.origin(id)))
    }

    fn is_exempt(&self, rule: &Rule, part: Collection, (name, origin): (&[u8], Origin)) -> bool {
        let mut exempt = self.state.exempt.iter();
        exempt.any(|(id, target)| *id == rule.id && target.selects(part, name))
            || self.state.exclusions.exempts(rule.id, part, (name, origin))
    }

    fn count(&mut self, rule: &Rule, link: &Link, target: &Target) -> usize {
        match target.collection {
            Collection::Tx => {
                self.collect_places(target);
                self.buffers.places.len()
            }
            Collection::MatchedVars | Collection::MatchedVarsNames => self.state.matched.len(),
            _ => {
                let parts = target.collection.parts().iter();
                let ids = parts.flat_map(|&part| self.state.values.of(part));
                ids.filter(|&&id| self.is_selected(rule, link, target, id))
                    .count()
            }
        }
    }

    /// The variables of `TX` that are set and selected, into the buffer.
    fn collect_places(&mut self, target: &Target) {
        let State { tx, .. } = &*self.state;
        let places = &mut self.buffers.places;
        places.clear();
        match &target.selector {
            Selector::Slot(slot) => places.extend(tx.is_set(*slot).then_some(Place::Slot(*slot))),
            Selector::Variables(pattern, slots) => {
                let set = slots.iter().filter(|&&slot| tx.is_set(slot));
                places.extend(set.map(|&slot| Place::Slot(slot)));
                let names = &self.rules.slots;
                places.extend(
                    tx.made()
                        .filter(|&place| pattern.matches(tx.name(place, names))),
                );
            }
            selector => {
                let slots = &self.rules.slots;
                places.extend(
                    tx.set()
                        .filter(|&place| selector.selects(tx.name(place, slots))),
                );
            }
        }
    }

    fn variables(&mut self, step: &Step<'a, '_>, target: &Target) -> bool {
        self.collect_places(target);
        let places = std::mem::take(&mut self.buffers.places);
        let mut subject = std::mem::take(&mut self.buffers.subject);
        let mut name = std::mem::take(&mut self.buffers.name);
        let mut found = false;
        for &place in &places {
            subject.clear();
            name.clear();
            self.state.tx.write(place, &mut subject);
            name.extend_from_slice(self.state.tx.name(place, &self.rules.slots));
            let excluded = step
                .link
                .targets
                .excluded
                .iter()
                .any(|target| match &target.selector {
                    Selector::Slot(slot) => place == Place::Slot(*slot),
                    selector => target.collection == Collection::Tx && selector.selects(&name),
                });
            if !excluded {
                found |= self.made(step, Collection::Tx, &name, &subject);
            }
        }
        self.buffers.places = places;
        self.buffers.subject = subject;
        self.buffers.name = name;
        found
    }

    /// What was matched before this link, from a number on.
    fn matches(&mut self, step: &Step<'a, '_>, target: &Target, from: usize) -> bool {
        let names = matches!(
            target.collection,
            Collection::MatchedVarName | Collection::MatchedVarsNames
        );
        let mut subject = std::mem::take(&mut self.buffers.subject);
        let mut name = std::mem::take(&mut self.buffers.name);
        let mut found = false;
        for at in from..self.state.matched.len() {
            let Some(Found {
                variable, value, ..
            }) = self.state.matched.at(at)
            else {
                break;
            };
            if !target.selector.selects(variable) {
                continue;
            }
            subject.clear();
            subject.extend_from_slice(if names { variable } else { value });
            name.clear();
            name.extend_from_slice(variable);
            found |= self.made(step, target.collection, &name, &subject);
        }
        self.buffers.subject = subject;
        self.buffers.name = name;
        found
    }

    fn made(
        &mut self,
        step: &Step<'a, '_>,
        collection: Collection,
        name: &[u8],
        value: &[u8],
    ) -> bool {
        let subject = Subject::Made {
            collection,
            name,
            value,
        };
        self.ask(step, &subject)
    }

    /// Transforms a value and asks the operator; what matches has its effects.
    fn ask(&mut self, step: &Step<'a, '_>, subject: &Subject<'_>) -> bool {
        let mut forms = std::mem::take(&mut self.buffers.forms);
        forms.current.clear();
        let value = match subject {
            Subject::Stored(id) => self.state.values.at(*id).2,
            Subject::Made { value, .. } => value,
        };
        self.fuel.spend(QUESTION + value.len());
        let transformations = &step.link.transformations;
        let seen = match subject {
            _ if transformations.is_empty() || step.link.multi_match => ByteSet::default(),
            Subject::Stored(id) => self.candidates.seen(*id, value),
            Subject::Made { .. } => ByteSet::of(value),
        };
        let mut found = false;
        if step.link.multi_match {
            forms.current.extend_from_slice(value);
            found |= self.ask_form(step, subject, &forms.current);
            for &transformation in transformations {
                if forms.step(transformation) {
                    found |= self.ask_form(step, subject, &forms.current);
                }
            }
        } else if forms.run(transformations, value, seen) {
            found = self.ask_form(step, subject, &forms.current);
        } else {
            found = self.ask_plain(step, subject);
        }
        self.buffers.forms = forms;
        self.fuel.spend(self.memory.take_effort());
        found
    }

    /// A value that no transformation changed is asked about where it stands.
    fn ask_plain(&mut self, step: &Step<'a, '_>, subject: &Subject<'_>) -> bool {
        let State {
            values,
            tx,
            matched,
            ..
        } = &mut *self.state;
        let (collection, name, value) = match subject {
            Subject::Stored(id) => values.at(*id),
            Subject::Made {
                collection,
                name,
                value,
            } => (*collection, *name, *value),
        };
        let capture = (step.link.capture && !step.test.negated).then_some(tx);
        let spot = self.memory.find(step.test, value, step.argument, capture);
        if spot.is_some() == step.test.negated {
            return false;
        }
        let found = Found {
            variable: name,
            value,
            is_secret: subject.is_secret(values),
            spot: spot.unwrap_or_default(),
        };
        matched.push(shown_as(collection), found);
        self.effects(step.link);
        true
    }

    fn ask_form(&mut self, step: &Step<'a, '_>, subject: &Subject<'_>, form: &[u8]) -> bool {
        let State {
            values,
            tx,
            matched,
            ..
        } = &mut *self.state;
        let capture = (step.link.capture && !step.test.negated).then_some(tx);
        let spot = self.memory.find(step.test, form, step.argument, capture);
        if spot.is_some() == step.test.negated {
            return false;
        }
        let (collection, name) = match subject {
            Subject::Stored(id) => {
                let (part, name, _) = values.at(*id);
                (part, name)
            }
            Subject::Made {
                collection, name, ..
            } => (*collection, *name),
        };
        let found = Found {
            variable: name,
            value: form,
            is_secret: subject.is_secret(values),
            spot: spot.unwrap_or_default(),
        };
        matched.push(shown_as(collection), found);
        self.effects(step.link);
        true
    }

    fn effects(&mut self, link: &'a Link) {
        for action in &link.effects {
            self.effect(action);
        }
    }

    fn effect(&mut self, action: &'a Action) {
        match action {
            Action::Set(name, change) => self.set(name, change),
            Action::RemoveRules(ids) => self.state.removed.extend_from_slice(ids),
            Action::RemoveTarget(ids, target) => {
                for &id in ids {
                    self.exempt(id, target);
                }
            }
            Action::Engine(engine) => self.state.engine = *engine,
            Action::BodyProcessor(name) => {
                self.state.processor = Processor::named(name).unwrap_or_default();
            }
            Action::ForceBody(force) => self.state.force_body = *force,
        }
    }

    /// The same control may match many values; it counts once.
    fn exempt(&mut self, id: u32, target: &Arc<Target>) {
        let mut known = self.state.exempt.iter();
        if known.any(|(rule, known)| *rule == id && Arc::ptr_eq(known, target)) {
            return;
        }
        if self.state.exempt.len() < EXEMPTIONS {
            self.state.exempt.push((id, Arc::clone(target)));
        } else {
            self.state.values.exceed(Bound::Values);
        }
    }

    fn set(&mut self, name: &Name, change: &Change) {
        let mut text = std::mem::take(&mut self.buffers.text);
        let place = match name {
            Name::Slot(slot) => Some(Place::Slot(*slot)),
            Name::Made(template) => {
                text.clear();
                self.state.expand(template, &mut text);
                self.state.tx.place(&text, &self.rules.slots)
            }
        };
        if let Some(place) = place {
            self.change(place, change, &mut text);
        }
        self.buffers.text = text;
    }

    fn change(&mut self, place: Place, change: &Change, text: &mut Vec<u8>) {
        text.clear();
        match change {
            Change::Assign(template) => match template.as_text() {
                Some(text) => self.state.tx.assign_at(place, text.as_bytes()),
                None => {
                    self.state.expand(template, text);
                    self.state.tx.assign_at(place, text);
                }
            },
            Change::Add(template) => {
                self.state.expand(template, text);
                self.state.tx.add_at(place, number(text));
            }
            Change::Subtract(template) => {
                self.state.expand(template, text);
                self.state.tx.add_at(place, number(text).saturating_neg());
            }
            Change::Remove => self.state.tx.remove(place),
        }
    }
}

/// A link that is being evaluated.
struct Step<'a, 'b> {
    rule: &'a Rule,
    link: &'a Link,
    test: &'a Test,
    argument: &'b [u8],
}

impl Forms {
    /// Runs the transformations that could change the value, of which `seen` are the bytes; false if
    /// none did, and then nothing is kept.
    fn run(&mut self, transformations: &[Transformation], value: &[u8], seen: ByteSet) -> bool {
        let (mut is_changed, mut seen) = (false, seen);
        for (at, &transformation) in transformations.iter().enumerate() {
            if transformation.is_identity(&seen) {
                continue;
            }
            let changes = if is_changed {
                self.step(transformation)
            } else {
                self.current.clear();
                transformation.apply(value, &mut self.current)
            };
            is_changed |= changes;
            if changes && at + 1 < transformations.len() {
                seen = match transformation {
                    Transformation::Lowercase => seen.in_small_letters(),
                    _ => ByteSet::of(&self.current),
                };
            }
        }
        is_changed
    }

    fn step(&mut self, transformation: Transformation) -> bool {
        self.next.clear();
        let is_changed = transformation.apply(&self.current, &mut self.next);
        if is_changed {
            std::mem::swap(&mut self.current, &mut self.next);
        }
        is_changed
    }
}

/// The name under which people know a collection.
fn shown_as(collection: Collection) -> &'static str {
    match collection {
        Collection::ArgsGet | Collection::ArgsPost => "ARGS",
        Collection::ArgsGetNames | Collection::ArgsPostNames => "ARGS_NAMES",
        // A match of a match is known by the name that it has already.
        Collection::MatchedVar
        | Collection::MatchedVars
        | Collection::MatchedVarName
        | Collection::MatchedVarsNames => "",
        other => other.name(),
    }
}

fn count_name(target: &Target) -> &[u8] {
    match &target.selector {
        Selector::Name(name) => name.as_bytes(),
        _ => b"",
    }
}
