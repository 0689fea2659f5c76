//! Links that ask only what is known at load, and variables whose values are.

use ahash::{AHashMap, AHashSet};

use crate::policy::waf::collection::Collection;
use crate::policy::waf::draft::{Change, LinkDraft};
use crate::policy::waf::operator::Operator;
use crate::policy::waf::operator::number::number;
use crate::policy::waf::target::{Selector, Target};
use crate::policy::waf::template::{Piece, Reference, Slot, Slots, Template};
use crate::policy::waf::transform::Transformation;

/// What comes of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Fails,
    /// With so many values.
    Holds(usize),
    /// On the request.
    Depends,
}

/// What the fixed variables hold where the run is now.
#[derive(Debug, Default)]
pub struct Constants {
    values: AHashMap<Slot, String>,
}

impl Constants {
    pub fn of(&self, slot: Slot) -> Option<&str> {
        self.values.get(&slot).map(String::as_str)
    }

    pub fn fixed(self, volatile: &AHashSet<Slot>) -> Vec<(Slot, String)> {
        let values = self.values.into_iter();
        let mut fixed: Vec<_> = values
            .filter(|(slot, _)| !volatile.contains(slot))
            .collect();
        fixed.sort();
        fixed
    }

    /// The text of a template, if the request has no say in it.
    pub fn text(&self, template: &Template, volatile: &AHashSet<Slot>) -> Option<String> {
        let mut text = String::new();
        for piece in &template.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Reference(Reference::Tx(slot)) if !volatile.contains(slot) => {
                    text.push_str(self.of(*slot).unwrap_or_default());
                }
                Piece::Reference(_) => return None,
            }
        }
        Some(text)
    }

    /// Changes a fixed variable; false if what it becomes depends on the request.
    pub fn change(&mut self, slot: Slot, change: &Change, volatile: &AHashSet<Slot>) -> bool {
        let before = number(self.of(slot).unwrap_or_default().as_bytes());
        let value = match change {
            Change::Assign(text) => self.text(text, volatile),
            Change::Add(text) => self
                .number(text, volatile)
                .map(|by| before.saturating_add(by).to_string()),
            Change::Subtract(text) => self
                .number(text, volatile)
                .map(|by| before.saturating_sub(by).to_string()),
            // A variable that was there and is gone: too rare to be worth a state of its own.
            Change::Remove => None,
        };
        let is_known = value.is_some();
        if let Some(value) = value {
            self.values.insert(slot, value);
        }
        is_known
    }

    fn number(&self, template: &Template, volatile: &AHashSet<Slot>) -> Option<i64> {
        self.text(template, volatile)
            .map(|text| number(text.as_bytes()))
    }

    /// Whether a link holds, as far as that is known.
    pub fn ask(&self, link: &LinkDraft, slots: &Slots, volatile: &AHashSet<Slot>) -> Outcome {
        let Some(condition) = &link.condition else {
            return Outcome::Holds(1);
        };
        let fixed = |target: &Target| match target.selector {
            Selector::Slot(slot) => {
                target.collection == Collection::Tx
                    && !volatile.contains(&slot)
                    && usize::from(slot.0) < slots.len()
            }
            _ => false,
        };
        let targets = &link.targets;
        // None at all are those of a link that could not be read.
        let is_known = !targets.included.is_empty() && targets.excluded.is_empty();
        if !is_known || !targets.included.iter().all(fixed) || link.capture || link.multi_match {
            return Outcome::Depends;
        }
        let Some(argument) = self.text(&condition.argument, volatile) else {
            return Outcome::Depends;
        };
        let mut known = condition.clone();
        known.argument = Template::text(&argument);
        let Ok(operator) = Operator::compile(&known, false) else {
            return Outcome::Depends;
        };
        let values = link
            .targets
            .included
            .iter()
            .filter_map(|target| self.value(target));
        let matching = values.filter(|value| {
            let value = transformed(&link.transformations, value.as_bytes());
            operator.find(&value, argument.as_bytes()).is_some() != condition.negated
        });
        match matching.count() {
            0 => Outcome::Fails,
            times => Outcome::Holds(times),
        }
    }

    fn value(&self, target: &Target) -> Option<String> {
        let Selector::Slot(slot) = target.selector else {
            return None;
        };
        let value = self.of(slot);
        if target.count {
            return Some(usize::from(value.is_some()).to_string());
        }
        value.map(ToOwned::to_owned)
    }
}

fn transformed(transformations: &[Transformation], value: &[u8]) -> Vec<u8> {
    let mut current = value.to_vec();
    for transformation in transformations {
        let mut next = Vec::new();
        if transformation.apply(&current, &mut next) {
            current = next;
        }
    }
    current
}
