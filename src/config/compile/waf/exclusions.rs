//! Rules that an operation does without, and values that a rule does not look at.

use std::sync::Arc;

use crate::config::file;
use crate::config::reader::{At, Reader};
use crate::policy::waf::collection::Collection;
use crate::policy::waf::inspection::Exclusions;
use crate::policy::waf::pattern::Pattern;
use crate::policy::waf::rule::RuleSet;
use crate::policy::waf::target::{Selector, Target};

pub(super) fn compile(
    reader: &Reader<'_>,
    rules: &RuleSet,
    declared: &[file::Exclusion],
) -> Exclusions {
    let mut found = Exclusions::default();
    for exclusion in declared {
        let mut ids = Vec::new();
        for range in &exclusion.rules {
            let Some((from, to)) = ids_of(&range.value) else {
                let message = format!("\"{}\" names no rules", range.value);
                let hint = "write an id, or a range such as \"942000-942999\"";
                reader.error(range.position, message, hint);
                continue;
            };
            let known = rules.rules().iter().map(|rule| rule.id);
            ids.extend(known.filter(|id| (from..=to).contains(id)));
        }
        if exclusion.rules.is_empty() {
            let hint = "add rules = [\"942100\"]";
            reader.error(exclusion.position, "the exclusion names no rules", hint);
        }
        match (&exclusion.target, &exclusion.pointer) {
            (None, None) => found.rules.extend(ids),
            (Some(target), Some(_)) => {
                let message = "`target` and `pointer` exclude each other";
                reader.error(target.position, message, "keep one of them");
            }
            (Some(text), None) => {
                if let Some(target) = target(reader, text) {
                    let target = Arc::new(target);
                    found
                        .targets
                        .extend(ids.iter().map(|&id| (id, Arc::clone(&target))));
                }
            }
            (None, Some(pointer)) => {
                if let Some(target) = member(reader, pointer) {
                    let target = Arc::new(target);
                    found
                        .targets
                        .extend(ids.iter().map(|&id| (id, Arc::clone(&target))));
                }
            }
        }
    }
    found
}

fn ids_of(text: &str) -> Option<(u32, u32)> {
    match text.split_once('-') {
        Some((from, to)) => Some((from.trim().parse().ok()?, to.trim().parse().ok()?)),
        None => text.parse().ok().map(|id| (id, id)),
    }
}

/// `ARGS`, `ARGS:name` or `REQUEST_HEADERS:Referer`, as rules name what they look at.
fn target(reader: &Reader<'_>, text: &At<String>) -> Option<Target> {
    let (name, member) = match text.value.split_once(':') {
        Some((name, member)) => (name, Some(member)),
        None => (text.value.as_str(), None),
    };
    let Some(collection) = Collection::named(name) else {
        let message = format!("there is no variable {name}");
        let hint = "write ARGS:name, REQUEST_HEADERS:name, REQUEST_COOKIES:name or REQUEST_URI";
        reader.error(text.position, message, hint);
        return None;
    };
    Some(Target {
        collection,
        selector: member.map_or(Selector::All, |member| {
            Selector::Name(member.to_ascii_lowercase().into())
        }),
        count: false,
    })
}

/// A JSON pointer (RFC 6901) into the body; `*` stands for any step.
fn member(reader: &Reader<'_>, pointer: &At<String>) -> Option<Target> {
    let Some(steps) = pointer.value.strip_prefix('/') else {
        let message = format!("\"{}\" is no JSON pointer", pointer.value);
        reader.error(pointer.position, message, "write \"/items/*/note\"");
        return None;
    };
    let mut pattern = "^(?i:json".to_owned();
    for step in steps.split('/') {
        pattern.push_str("\\.");
        match step {
            "*" => pattern.push_str("[^.]*"),
            step => {
                let step = step.replace("~1", "/").replace("~0", "~");
                pattern.push_str(&regex::escape(&step));
            }
        }
    }
    pattern.push_str(")$");
    let compiled = Pattern::compile(&pattern, false);
    let pattern = compiled.map_err(|why| {
        let hint = "name fewer or shorter steps";
        reader.error(pointer.position, why, hint);
    });
    Some(Target {
        collection: Collection::Args,
        selector: Selector::Pattern(Box::new(pattern.ok()?)),
        count: false,
    })
}
