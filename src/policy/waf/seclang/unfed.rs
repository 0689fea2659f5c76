//! Rules that read what other requests left in a persistent collection. Nothing is kept from request
//! to request here, so that all they ever see is what their own request has put there.

use crate::policy::waf::draft::{Change, Effect, Item, Name, RuleDraft};
use crate::policy::waf::place::LoadError;
use crate::policy::waf::target::Selector;
use crate::policy::waf::template::{PERSISTENT, Slot, Slots, Template};

/// These rules, each with a variable that it reads.
pub fn among(items: &[Item], slots: &Slots) -> Vec<LoadError> {
    let rules = items.iter().filter_map(|item| match item {
        Item::Rule(rule) => Some(rule),
        Item::Marker(_) => None,
    });
    let found = rules.filter_map(|rule| {
        let variable = read_by(rule)
            .into_iter()
            .find(|&slot| is_persistent(slots, slot))?;
        let variable = slots.name(variable).to_ascii_uppercase();
        let message = format!("`{variable}` holds nothing of other requests here");
        Some(LoadError::new(&rule.place, message).of_rule(rule.id))
    });
    found.collect()
}

fn is_persistent(slots: &Slots, slot: Slot) -> bool {
    let name = slots.name(slot).split_once(':');
    name.is_some_and(|(collection, _)| PERSISTENT.contains(&collection))
}

/// The variables whose values a rule asks for.
fn read_by(rule: &RuleDraft) -> Vec<Slot> {
    let mut found = Vec::new();
    for link in &rule.links {
        found.extend(
            link.targets
                .included
                .iter()
                .filter_map(|target| match target.selector {
                    Selector::Slot(slot) => Some(slot),
                    _ => None,
                }),
        );
        let mut templates: Vec<&Template> = Vec::new();
        templates.extend(link.condition.iter().map(|condition| &condition.argument));
        for effect in &link.effects {
            let Effect::Set(name, change) = effect else {
                continue;
            };
            if let Name::Made(name) = name {
                templates.push(name);
            }
            match change {
                Change::Assign(text) | Change::Add(text) | Change::Subtract(text) => {
                    templates.push(text);
                }
                Change::Remove => {}
            }
        }
        found.extend(templates.into_iter().flat_map(Template::slots));
    }
    found
}
