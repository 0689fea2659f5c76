//! Drafts to rules that run.
//!
//! What cannot be run is an error with its place, or, where the operator of the gateway says so, a
//! rule that is left out and listed.

use std::sync::Arc;

use ahash::AHashSet;

use crate::policy::waf::collection::{Collection, STORED};
use crate::policy::waf::draft::{
    Change, Condition, Effect, Item, LinkDraft, Name, RuleDraft, Skip, Which,
};
use crate::policy::waf::fold::Folded;
use crate::policy::waf::operator::Operator;
use crate::policy::waf::place::LoadError;
use crate::policy::waf::prefilter::Prefilter;
use crate::policy::waf::rule::{Action, Link, Rule, RuleSet, Test, next_generation};
use crate::policy::waf::schedule::Schedule;
use crate::policy::waf::score::Scores;
use crate::policy::waf::target::{Selector, Targets};
use crate::policy::waf::template::{CAPTURES, Piece, Reference, Slots, Template};

/// What to do with a rule that cannot be run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnsupported {
    #[default]
    Refuse,
    Skip,
}

/// Rules, and those that were left out.
#[derive(Debug)]
pub struct Compiled {
    pub rules: RuleSet,
    pub skipped: Vec<LoadError>,
}

/// Compiles rules in the order in which they stand.
///
/// # Errors
/// All rules that cannot be run, unless those are to be skipped; jumps that lead nowhere, always.
pub fn compile(
    folded: &Folded,
    slots: Slots,
    on_unsupported: OnUnsupported,
) -> Result<Compiled, Vec<LoadError>> {
    let items = folded.items.as_slice();
    let mut compiler = Compiler::of(items, &slots);
    for (at, item) in items.iter().enumerate() {
        if let Item::Rule(draft) = item {
            compiler.rule(at, draft);
        }
    }
    if on_unsupported == OnUnsupported::Refuse && !compiler.unusable.is_empty() {
        return Err(compiler.unusable);
    }
    let phases = compiler.phases()?;
    let Compiler {
        rules,
        patterns,
        unusable,
        ..
    } = compiler;
    let request = Prefilter::of(&rules, Collection::is_of_request);
    let response = Prefilter::of(&rules, |part| !part.is_of_request());
    Ok(Compiled {
        rules: RuleSet {
            schedules: std::array::from_fn(|at| Schedule::of(&phases[at], &request, &response)),
            request,
            response,
            used: used(&rules),
            rules: rules.into(),
            phases,
            scores: Scores::among(&slots),
            slots,
            patterns,
            left_out: unusable.clone().into(),
            generation: next_generation(),
        },
        skipped: unusable,
    })
}

/// Rules that folding took out and that could not run if it had not: nobody would hear of them until
/// another setting switches them on.
pub fn unusable(items: &[Item], folded: &Folded, slots: &Slots) -> Vec<LoadError> {
    let id = |item: &Item| match item {
        Item::Rule(rule) => Some(rule.id),
        Item::Marker(_) => None,
    };
    let left: AHashSet<u32> = folded.items.iter().filter_map(id).collect();
    let mut compiler = Compiler::of(items, slots);
    for (at, item) in items.iter().enumerate() {
        if let Item::Rule(draft) = item
            && !left.contains(&draft.id)
        {
            compiler.rule(at, draft);
        }
    }
    compiler.unusable
}

struct Compiler<'a> {
    items: &'a [Item],
    slots: &'a Slots,
    rules: Vec<Rule>,
    /// Of each rule, the item it comes from.
    draft_of: Vec<usize>,
    patterns: u16,
    /// A rule asks for groups that another one captured.
    groups_everywhere: bool,
    unusable: Vec<LoadError>,
}

impl<'a> Compiler<'a> {
    fn of(items: &'a [Item], slots: &'a Slots) -> Compiler<'a> {
        Compiler {
            items,
            slots,
            rules: Vec::new(),
            draft_of: Vec::new(),
            patterns: 0,
            groups_everywhere: items.iter().any(borrows_groups),
            unusable: Vec::new(),
        }
    }

    fn rule(&mut self, at: usize, draft: &RuleDraft) {
        let links = match self.links(draft) {
            Ok(links) => links,
            Err(message) => {
                let error = LoadError::new(&draft.place, message).of_rule(draft.id);
                self.unusable.push(error);
                return;
            }
        };
        self.draft_of.push(at);
        self.rules.push(Rule {
            id: draft.id,
            place: draft.place.clone(),
            phase: draft.phase,
            links: links.into(),
            disruption: draft.disruption.clone(),
            next: None,
            log: draft.log,
            message: draft.message.clone(),
            log_text: draft.log_text.clone(),
            severity: draft.severity,
            once: draft.once,
            tags: draft.tags.clone().into(),
        });
    }

    fn links(&mut self, draft: &RuleDraft) -> Result<Vec<Link>, String> {
        if let Some(what) = &draft.unsupported {
            return Err(format!("{what} is not supported"));
        }
        let groups = self.groups_everywhere || asks_for_groups(draft);
        let links = draft.links.iter().map(|link| self.link(link, groups));
        links.collect()
    }

    fn link(&mut self, draft: &LinkDraft, groups: bool) -> Result<Link, String> {
        let test = match &draft.condition {
            Some(condition) => Some(self.test(condition, groups && draft.capture)?),
            None => None,
        };
        let effects = draft.effects.iter().map(|effect| self.action(effect));
        let included = draft.targets.included.iter();
        let included = included.map(|target| target.with_slots(self.slots));
        Ok(Link {
            targets: Targets {
                included: included.collect(),
                excluded: draft.targets.excluded.clone(),
            },
            test,
            transformations: draft.transformations.clone().into(),
            multi_match: draft.multi_match,
            capture: draft.capture,
            effects: effects.collect(),
        })
    }

    fn test(&mut self, condition: &Condition, groups: bool) -> Result<Test, String> {
        let operator = Operator::compile(condition, groups).map_err(|unusable| unusable.0)?;
        let pattern = self.patterns;
        if matches!(operator, Operator::Pattern(_)) {
            self.patterns += 1;
        }
        Ok(Test {
            negated: condition.negated,
            operator,
            argument: condition.argument.clone(),
            groups,
            pattern,
        })
    }

    fn action(&self, effect: &Effect) -> Action {
        match effect {
            Effect::Set(name, change) => Action::Set(name.clone(), change.clone()),
            Effect::RemoveRules(which) => Action::RemoveRules(self.ids(which)),
            Effect::RemoveTarget(which, target) => {
                Action::RemoveTarget(self.ids(which), Arc::new(target.clone()))
            }
            Effect::Engine(engine) => Action::Engine(*engine),
            Effect::BodyProcessor(name) => Action::BodyProcessor(name.clone()),
            Effect::ForceBody(force) => Action::ForceBody(*force),
        }
    }

    /// The ids of the rules that are meant. Ids, since rules further down have no number yet.
    fn ids(&self, which: &Which) -> Box<[u32]> {
        let rules = self.items.iter().filter_map(|item| match item {
            Item::Rule(rule) if which.is(rule) => Some(rule.id),
            Item::Rule(_) | Item::Marker(_) => None,
        });
        let mut ids: Vec<u32> = rules.collect();
        ids.sort_unstable();
        ids.into()
    }

    /// The rules of each phase in order, and where a match makes them go on.
    fn phases(&mut self) -> Result<[Box<[u16]>; 5], Vec<LoadError>> {
        let mut errors = Vec::new();
        let mut lists: [Vec<u16>; 5] = Default::default();
        for (number, rule) in self.rules.iter().enumerate() {
            let list = &mut lists[rule.phase as usize - 1];
            list.push(u16::try_from(number).unwrap_or(u16::MAX));
        }
        if self.rules.len() >= usize::from(u16::MAX) {
            let place = self.rules[0].place.clone();
            errors.push(LoadError::new(&place, "there are more than 65534 rules"));
        }
        for list in &lists {
            for (at, &number) in list.iter().enumerate() {
                match self.next(list, at) {
                    Ok(next) => self.rules[usize::from(number)].next = next,
                    Err(error) => errors.push(error),
                }
            }
        }
        if errors.is_empty() {
            Ok(lists.map(Into::into))
        } else {
            Err(errors)
        }
    }

    fn next(&self, list: &[u16], at: usize) -> Result<Option<usize>, LoadError> {
        let number = usize::from(list[at]);
        let item = self.draft_of[number];
        let Item::Rule(draft) = &self.items[item] else {
            return Ok(None);
        };
        match &draft.skip {
            None => Ok(None),
            Some(Skip::Rules(count)) => Ok(Some(at + 1 + *count as usize)),
            Some(Skip::Marker(name)) => {
                let below = self.items[item..]
                    .iter()
                    .position(|item| matches!(item, Item::Marker(marker) if marker == name));
                let Some(below) = below else {
                    let message = format!("no marker `{name}` stands below");
                    return Err(LoadError::new(&draft.place, message).of_rule(draft.id));
                };
                let marker = item + below;
                let rest = list[at..].iter();
                let before = rest.take_while(|&&rule| self.draft_of[usize::from(rule)] < marker);
                Ok(Some(at + before.count()))
            }
        }
    }
}

fn borrows_groups(item: &Item) -> bool {
    match item {
        Item::Rule(rule) => asks_for_groups(rule) && !rule.links.iter().any(|link| link.capture),
        Item::Marker(_) => false,
    }
}

/// Whether anything in a rule names what a group captured, rather than the whole match.
fn asks_for_groups(rule: &RuleDraft) -> bool {
    let is_group = |slot: u16| (1..CAPTURES as u16).contains(&slot);
    let in_template = |template: &Template| template.slots().any(|slot| is_group(slot.0));
    let in_target = |targets: &Targets| {
        let mut all = targets.included.iter();
        all.any(|target| matches!(target.selector, Selector::Slot(slot) if is_group(slot.0)))
    };
    in_template(&rule.message)
        || in_template(&rule.log_text)
        || rule.links.iter().any(|link| {
            in_target(&link.targets)
                || link.condition.iter().any(|c| in_template(&c.argument))
                || link.effects.iter().any(|effect| match effect {
                    Effect::Set(name, change) => {
                        matches!(name, Name::Made(name) if in_template(name))
                            || match change {
                                Change::Assign(t) | Change::Add(t) | Change::Subtract(t) => {
                                    in_template(t)
                                }
                                Change::Remove => false,
                            }
                    }
                    _ => false,
                })
        })
}

/// The stored collections that any rule looks at, as bits; the others need not be filled.
fn used(rules: &[Rule]) -> u64 {
    let mut used = 0_u64;
    let mut collection = |collection: Collection| {
        use Collection::{ArgsCombinedSize, FilesCombinedSize, RequestBodyLength};
        let parts: &[Collection] = match collection {
            ArgsCombinedSize => &[Collection::ArgsGet, Collection::ArgsPost],
            FilesCombinedSize => &[Collection::FilesSizes],
            RequestBodyLength => &[],
            other => other.parts(),
        };
        for part in parts {
            used |= 1 << *part as usize;
        }
    };
    for rule in rules {
        let mut templates = vec![&rule.message, &rule.log_text];
        for link in &rule.links {
            link.targets
                .included
                .iter()
                .for_each(|target| collection(target.collection));
            templates.extend(link.test.iter().map(|test| &test.argument));
            for effect in &link.effects {
                templates.extend(effect.templates());
            }
        }
        for piece in templates.iter().flat_map(|template| &template.pieces) {
            if let Piece::Reference(Reference::Value(named, _)) = piece {
                collection(*named);
            }
        }
    }
    used
}

const _: () = assert!(STORED <= 64, "a bit for each stored collection");
