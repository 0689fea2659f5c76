//! Rules that an operation does without, and values that a rule does not look at.

use crate::config::compile::waf::rules::warn;
use crate::config::file;
use crate::config::reader::{At, Reader};
use crate::policy::contract::lint::Level;
use crate::policy::waf::collection::Collection;
use crate::policy::waf::exclusion::{Excluded, Exclusions};
use crate::policy::waf::pattern::Pattern;
use crate::policy::waf::pointer::Pointer;
use crate::policy::waf::rule::RuleSet;
use crate::policy::waf::target::{Selector, Target};

pub(super) fn compile(
    reader: &Reader<'_>,
    (set, rules, void): (&str, &RuleSet, Level),
    declared: &[file::Exclusion],
) -> Exclusions {
    let mut found = Exclusions::default();
    for exclusion in declared {
        let mut ids = Vec::new();
        for range in &exclusion.rules {
            let Some(range) = range_of(reader, range) else {
                continue;
            };
            let (from, to) = range.value;
            let before = ids.len();
            let known = rules.rules().iter().map(|rule| rule.id);
            ids.extend(known.filter(|id| (from..=to).contains(id)));
            if ids.len() == before {
                let message = format!("no rule that runs in [waf.{set}] is excluded by this");
                let hint = "name rules by their ids, as findings in the log do";
                warn(reader, void, range.position, (message, hint));
            }
        }
        if exclusion.rules.is_empty() {
            let hint = "add rules = [\"942100\"]";
            reader.error(exclusion.position, "the exclusion names no rules", hint);
        }
        let values = match (&exclusion.target, &exclusion.pointer) {
            (None, None) => {
                found.remove(&ids);
                continue;
            }
            (Some(target), Some(_)) => {
                let message = "`target` and `pointer` exclude each other";
                reader.error(target.position, message, "keep one of them");
                continue;
            }
            (Some(text), None) => target(reader, text).map(Excluded::Target),
            (None, Some(text)) => place(reader, text).map(Excluded::Place),
        };
        if let Some(values) = values {
            found.exempt(ids, values);
        }
    }
    found
}

/// An id, or those from one to another.
fn range_of(reader: &Reader<'_>, text: &At<String>) -> Option<At<(u32, u32)>> {
    let (from, to) = text
        .value
        .split_once('-')
        .unwrap_or((&text.value, &text.value));
    let (message, hint) = match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) if from <= to => {
            return Some(At {
                value: (from, to),
                position: text.position,
            });
        }
        (Ok::<u32, _>(from), Ok::<u32, _>(to)) => {
            let message = format!("\"{}\" ends before it begins", text.value);
            (message, format!("write \"{to}-{from}\""))
        }
        _ => {
            let message = format!("\"{}\" names no rules", text.value);
            (
                message,
                "write an id, or a range such as \"942000-942999\"".to_owned(),
            )
        }
    };
    reader.error(text.position, message, hint);
    None
}

/// `ARGS`, `ARGS:name`, `ARGS:/^id_/` or `REQUEST_HEADERS:Referer`, as rules name what they look at.
/// Unlike there, names are the same in any case only where they are in HTTP: a backend may read
/// `Note` and `note` as two arguments, of which one is meant.
fn target(reader: &Reader<'_>, text: &At<String>) -> Option<Target> {
    let wrong = |message: String, hint: &str| reader.error(text.position, message, hint);
    // The path of XML stands behind a colon and is part of the name.
    let (name, member) = match (Collection::named(&text.value), text.value.split_once(':')) {
        (None, Some((name, member))) => (name, Some(member)),
        _ => (text.value.as_str(), None),
    };
    let Some(collection) = Collection::named(name) else {
        let hint = "write ARGS:name, REQUEST_HEADERS:name, REQUEST_COOKIES:name or REQUEST_URI";
        wrong(format!("there is no variable {name}"), hint);
        return None;
    };
    if collection.parts().is_empty() {
        let message = format!("{name} is not part of a message: nothing would be excluded");
        wrong(message, "name what the client sends, such as ARGS:name");
        return None;
    }
    let selector = match member {
        None => Selector::All,
        Some(_) if !collection.is_keyed() => {
            let message = format!("{name} has no values of its own to select");
            wrong(message, &format!("write \"{name}\""));
            return None;
        }
        Some(member) => {
            let is_pattern = member.len() > 2 && member.starts_with('/') && member.ends_with('/');
            match (is_pattern, is_of_fields(collection)) {
                (true, any_case) => {
                    let inner = &member[1..member.len() - 1];
                    let flag = if any_case { "(?i)" } else { "" };
                    let pattern = Pattern::compile(&format!("{flag}{inner}"), false);
                    let pattern = pattern.map_err(|why| wrong(why, "write a simpler pattern"));
                    Selector::Pattern(Box::new(pattern.ok()?))
                }
                (false, true) => Selector::Name(member.to_ascii_lowercase().into()),
                (false, false) => Selector::Exact(member.as_bytes().into()),
            }
        }
    };
    Some(Target {
        collection,
        selector,
        count: false,
    })
}

/// Whether names are those of header fields, which are the same in any case (RFC 9110 section 5.1).
fn is_of_fields(collection: Collection) -> bool {
    use Collection::{RequestHeaders, RequestHeadersNames, ResponseHeaders, ResponseHeadersNames};
    matches!(
        collection,
        RequestHeaders | RequestHeadersNames | ResponseHeaders | ResponseHeadersNames
    )
}

/// A JSON pointer into the body.
fn place(reader: &Reader<'_>, text: &At<String>) -> Option<Pointer> {
    let pointer = Pointer::read(&text.value);
    let pointer = pointer.map_err(|why| {
        let message = format!("\"{}\" is no JSON pointer: {why}", text.value);
        reader.error(text.position, message, "write \"/items/*/note\"");
    });
    pointer.ok()
}
