//! What the rules will always do is done at load: paranoia gates, initialisation, skips over whole
//! sections, variables that never change.
//!
//! A variable of `TX` is *fixed* if every rule that sets it runs in the first phase, matches
//! whatever the request is, and sets what is known at load. All others are *volatile*, and nothing
//! is assumed of them. Which is which is found by running the rules without a request until no
//! further variable turns out to be volatile; then
//!
//! * rules that cannot match, or that a certain skip passes over, are dropped,
//! * rules that only set fixed variables are dropped as well,
//! * fixed variables are replaced by their values wherever they are read,
//! * links that always hold are taken out of their chains.
//!
//! What a request meets stays the same, rule by rule.

mod constant;
mod substitute;
#[cfg(test)]
mod tests;

use ahash::AHashSet;

use crate::policy::waf::collection::Collection;
use crate::policy::waf::draft::{
    Change, Disruption, Effect, Item, LinkDraft, Name, PHASES, Phase, RuleDraft, Skip,
};
use crate::policy::waf::fold::constant::{Constants, Outcome};
use crate::policy::waf::target::Selector;
use crate::policy::waf::template::{CAPTURES, Piece, Slot, Slots, Template};

/// Rules without what is certain, and what the fixed variables hold in the end.
#[derive(Debug)]
pub struct Folded {
    pub items: Vec<Item>,
    pub constants: Vec<(Slot, String)>,
}

/// Folds rules; the variables in `open` are decided per request by someone else.
pub fn fold(items: &[Item], slots: &Slots, open: &[&str]) -> Folded {
    let mut volatile: AHashSet<Slot> = open.iter().filter_map(|name| slots.find(name)).collect();
    volatile.extend((0..CAPTURES).filter_map(|capture| Some(Slot(u16::try_from(capture).ok()?))));
    volatile.extend(selected_by_pattern(items, slots));
    let removable = removable(items);
    loop {
        let before = volatile.len();
        let run = Run::over(items, slots, &removable, volatile);
        volatile = run.volatile;
        if volatile.len() == before {
            return Folded {
                items: run.folded.into_iter().flatten().collect(),
                constants: run.constants.fixed(&volatile),
            };
        }
    }
}

/// Variables that a rule reads by a pattern, or all of them at once.
fn selected_by_pattern<'a>(items: &'a [Item], slots: &'a Slots) -> impl Iterator<Item = Slot> + 'a {
    let links = items.iter().flat_map(|item| match item {
        Item::Rule(rule) => rule.links.as_slice(),
        Item::Marker(_) => &[],
    });
    let targets = links.flat_map(|link| &link.targets.included);
    let read = targets.filter(|target| {
        target.collection == Collection::Tx && !matches!(target.selector, Selector::Slot(_))
    });
    read.flat_map(|target| {
        slots
            .all()
            .filter(|(_, name)| target.selector.selects(name.as_bytes()))
            .map(|(slot, _)| slot)
    })
}

/// Of each item, whether a control may remove the rule, by the rule that has the control.
fn removable(items: &[Item]) -> Vec<Vec<usize>> {
    let mut removed_by = vec![Vec::new(); items.len()];
    for (at, item) in items.iter().enumerate() {
        let Item::Rule(rule) = item else { continue };
        for effect in rule.links.iter().flat_map(|link| &link.effects) {
            match effect {
                Effect::RemoveRules(which) => {
                    for (other, removed) in items.iter().zip(&mut removed_by) {
                        if matches!(other, Item::Rule(other) if which.is(other)) {
                            removed.push(at);
                        }
                    }
                }
                Effect::Engine(_) => removed_by.iter_mut().for_each(|removed| removed.push(at)),
                _ => {}
            }
        }
    }
    removed_by
}

/// One run of all rules without a request.
struct Run<'a> {
    items: &'a [Item],
    slots: &'a Slots,
    removable: &'a [Vec<usize>],
    volatile: AHashSet<Slot>,
    constants: Constants,
    /// What is left of each item.
    folded: Vec<Option<Item>>,
    /// Rules that are known not to run.
    dead: Vec<bool>,
}

/// Where a run is within a phase.
#[derive(Default)]
struct Path {
    /// Items before this one are passed over for certain.
    skipped: usize,
    /// Items before this one may be passed over.
    unsure: usize,
}

impl Folded {
    /// Rules as they are, with nothing done at load.
    pub fn nothing(items: Vec<Item>) -> Folded {
        Folded {
            items,
            constants: Vec::new(),
        }
    }
}

impl<'a> Run<'a> {
    fn over(
        items: &'a [Item],
        slots: &'a Slots,
        removable: &'a [Vec<usize>],
        volatile: AHashSet<Slot>,
    ) -> Run<'a> {
        let mut run = Run {
            items,
            slots,
            removable,
            volatile,
            constants: Constants::default(),
            folded: items.iter().cloned().map(Some).collect(),
            dead: vec![false; items.len()],
        };
        for phase in PHASES {
            let mut path = Path::default();
            for (at, item) in items.iter().enumerate() {
                if let Item::Rule(rule) = item
                    && rule.phase == phase
                {
                    run.rule(at, rule, &mut path);
                }
            }
        }
        run
    }

    fn drop(&mut self, at: usize) {
        self.folded[at] = None;
        self.dead[at] = true;
    }

    fn rule(&mut self, at: usize, rule: &RuleDraft, path: &mut Path) {
        if at < path.skipped {
            self.drop(at);
            return;
        }
        let outcomes: Vec<Outcome> = rule.links.iter().map(|link| self.ask(link)).collect();
        if self.cannot_match(rule, &outcomes) {
            self.drop(at);
            return;
        }
        if rule.unsupported.is_some() {
            // It is refused, or told and left out: either must find it here. What it would set
            // is not known.
            self.taint(rule, &[]);
            path.unsure = path.unsure.max(self.end_of(at, rule));
            return;
        }
        let certain = outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Holds(_)));
        let certain = certain && at >= path.unsure;
        // Phases after the first may be left out, so that what they set is never certain.
        if certain && rule.phase == Phase::RequestHead && !self.may_be_removed(at) {
            self.run_certain(at, rule, &outcomes, path);
            return;
        }
        self.taint(rule, &outcomes);
        let mut kept = rule.clone();
        let end = self.end_of(at, rule);
        if certain && self.passes_over_its_kind(at, end) {
            // The gate can only be missing where all that it guards is missing as well.
            path.skipped = path.skipped.max(end);
            kept.skip = None;
            if is_idle(&kept) {
                self.drop(at);
                return;
            }
        } else {
            path.unsure = path.unsure.max(end);
        }
        self.simplify(&mut kept, &outcomes);
        self.keep(at, kept);
    }

    /// Whether a rule that may run before this one removes it.
    fn may_be_removed(&self, at: usize) -> bool {
        self.removers(at).next().is_some()
    }

    fn removers(&self, at: usize) -> impl Iterator<Item = usize> {
        let when = |item: usize| match &self.items[item] {
            Item::Rule(rule) => (rule.phase as usize, item),
            Item::Marker(_) => (0, item),
        };
        let removers = self.removable[at].iter().copied();
        removers.filter(move |&by| !self.dead[by] && when(by) < when(at))
    }

    /// Whether whatever removes this rule also removes all those that it skips.
    fn passes_over_its_kind(&self, at: usize, end: usize) -> bool {
        let Item::Rule(gate) = &self.items[at] else {
            return false;
        };
        let mut skipped = (at + 1..end.min(self.items.len())).filter(
            |&other| matches!(&self.items[other], Item::Rule(rule) if rule.phase == gate.phase),
        );
        skipped.all(|other| {
            self.removers(at)
                .all(|by| self.removable[other].contains(&by))
        })
    }

    fn ask(&self, link: &LinkDraft) -> Outcome {
        self.constants.ask(link, self.slots, &self.volatile)
    }

    /// A link fails for certain, and those before it change nothing.
    fn cannot_match(&self, rule: &RuleDraft, outcomes: &[Outcome]) -> bool {
        let fails = outcomes
            .iter()
            .position(|outcome| *outcome == Outcome::Fails);
        fails.is_some_and(|fails| {
            rule.links[..fails]
                .iter()
                .all(|link| link.effects.is_empty())
        })
    }

    /// A rule that matches whatever comes: what it sets is set now.
    fn run_certain(&mut self, at: usize, rule: &RuleDraft, outcomes: &[Outcome], path: &mut Path) {
        let mut kept = rule.clone();
        for (link, outcome) in kept.links.iter_mut().zip(outcomes) {
            let Outcome::Holds(times) = *outcome else {
                continue;
            };
            let effects = std::mem::take(&mut link.effects);
            for effect in effects {
                if !self.set(&effect, times) {
                    self.taint_effect(&effect);
                    link.effects.push(self.substituted(effect));
                }
            }
        }
        path.skipped = path.skipped.max(self.end_of(at, rule));
        let ends_phase = matches!(rule.disruption, Disruption::Allow(_));
        if ends_phase {
            path.unsure = usize::MAX;
        }
        if is_idle(&kept) && !ends_phase {
            self.drop(at);
            return;
        }
        kept.skip = None;
        self.simplify(&mut kept, outcomes);
        self.keep(at, kept);
    }

    /// Does what an effect does, if it can be done now.
    fn set(&mut self, effect: &Effect, times: usize) -> bool {
        let Effect::Set(Name::Slot(slot), change) = effect else {
            return false;
        };
        if self.volatile.contains(slot) {
            return false;
        }
        (0..times).all(|_| self.constants.change(*slot, change, &self.volatile))
    }

    /// Whatever a rule sets that may or may not run is volatile.
    fn taint(&mut self, rule: &RuleDraft, outcomes: &[Outcome]) {
        for link in &rule.links {
            link.effects
                .iter()
                .for_each(|effect| self.taint_effect(effect));
        }
        for (link, outcome) in rule.links.iter().zip(outcomes) {
            if matches!(outcome, Outcome::Depends) {
                let slots = link.targets.included.iter();
                self.volatile
                    .extend(slots.filter_map(|target| match target.selector {
                        Selector::Slot(slot) => Some(slot),
                        _ => None,
                    }));
            }
        }
    }

    fn taint_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Set(Name::Slot(slot), _) => {
                self.volatile.insert(*slot);
            }
            Effect::Set(Name::Made(name), _) => {
                let start = match name.pieces.first() {
                    Some(Piece::Text(text)) => text.to_ascii_lowercase(),
                    _ => String::new(),
                };
                let slots = self.slots.all();
                let made = slots.filter(|(_, name)| name.starts_with(&start));
                self.volatile.extend(made.map(|(slot, _)| slot));
            }
            _ => {}
        }
    }

    /// The first item after those that a match of this rule passes over.
    fn end_of(&self, at: usize, rule: &RuleDraft) -> usize {
        match &rule.skip {
            None if matches!(rule.disruption, Disruption::Allow(_)) => usize::MAX,
            None => 0,
            Some(Skip::Rules(_)) => usize::MAX,
            Some(Skip::Marker(name)) => {
                let mut rest = self.items[at..].iter();
                let below = rest.position(|item| matches!(item, Item::Marker(m) if m == name));
                // A marker that is missing is told when the rules are compiled.
                below.map_or(usize::MAX, |below| at + below)
            }
        }
    }

    /// Takes links out that always hold and change nothing.
    fn simplify(&self, rule: &mut RuleDraft, outcomes: &[Outcome]) {
        let mut at = 0;
        for outcome in outcomes {
            let link = &rule.links[at];
            let later = &rule.links[at + 1..];
            let is_idle = matches!(outcome, Outcome::Holds(1))
                && link.effects.is_empty()
                && !link.capture
                && rule.links.len() > 1
                && !later.iter().any(reads_matches);
            if is_idle {
                rule.links.remove(at);
                continue;
            }
            if matches!(outcome, Outcome::Holds(1))
                && !link.capture
                && !rule.links.iter().any(reads_matches)
            {
                let link = &mut rule.links[at];
                link.condition = None;
                link.targets = Default::default();
            }
            at += 1;
        }
    }

    fn keep(&mut self, at: usize, mut rule: RuleDraft) {
        self.substitute_all(&mut rule);
        self.folded[at] = Some(Item::Rule(Box::new(rule)));
    }

    fn substitute(&self, template: &mut Template) {
        substitute::fixed(template, &self.constants, &self.volatile);
    }

    fn substituted(&self, mut effect: Effect) -> Effect {
        self.substitute_effect(&mut effect);
        effect
    }

    fn substitute_effect(&self, effect: &mut Effect) {
        let Effect::Set(name, change) = effect else {
            return;
        };
        if let Name::Made(name) = name {
            self.substitute(name);
        }
        match change {
            Change::Assign(text) | Change::Add(text) | Change::Subtract(text) => {
                self.substitute(text)
            }
            Change::Remove => {}
        }
    }

    fn substitute_all(&self, rule: &mut RuleDraft) {
        self.substitute(&mut rule.message);
        self.substitute(&mut rule.log_text);
        for link in &mut rule.links {
            if let Some(condition) = &mut link.condition {
                self.substitute(&mut condition.argument);
            }
            link.effects
                .iter_mut()
                .for_each(|effect| self.substitute_effect(effect));
        }
    }
}

/// Whether a match would show in nothing.
fn is_idle(rule: &RuleDraft) -> bool {
    let ends = matches!(
        rule.disruption,
        Disruption::Deny { .. } | Disruption::Allow(_)
    );
    !rule.log && !ends && rule.links.iter().all(|link| link.effects.is_empty())
}

/// Whether a link asks what the links before it matched.
fn reads_matches(link: &LinkDraft) -> bool {
    use Collection::{MatchedVar, MatchedVarName, MatchedVars, MatchedVarsNames};
    let mut targets = link.targets.included.iter();
    targets.any(|target| {
        matches!(
            target.collection,
            MatchedVar | MatchedVarName | MatchedVars | MatchedVarsNames
        )
    })
}
