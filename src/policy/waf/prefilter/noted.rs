//! Rules that note each value under a name of its own, and then look at what they noted:
//!
//! ```text
//! SecRule REQUEST_HEADERS_NAMES "@rx ^.*$" "capture,setvar:'tx.name_%{tx.0}=/%{tx.0}/',chain"
//! SecRule TX:/^name_/ "@within /proxy/ /content-range/"
//! ```
//! The first link matches whatever there is, so that it would run for each header field of each
//! request. What the second link asks of a note can be asked of the value, before anything is noted:
//! a value of which the answer is no leaves nothing behind that any rule could tell.

use crate::policy::waf::collection::Collection;
use crate::policy::waf::draft::{Change, Name};
use crate::policy::waf::operator::Operator;
use crate::policy::waf::operator::text::TextTest;
use crate::policy::waf::pattern::Pattern;
use crate::policy::waf::rule::{Action, Link, Rule};
use crate::policy::waf::target::{Selector, Targets};
use crate::policy::waf::template::{CAPTURES, Piece, Reference, Slot, Template};

/// Shortest text by which a name may be told from those that another rule looks for.
const TELLING: usize = 4;

/// What stands around the value in its note, and the text that the note has to stand in.
#[derive(Debug)]
pub struct Noted {
    before: Box<[u8]>,
    behind: Box<[u8]>,
    within: Box<[u8]>,
    /// With one of these in it, in small letters, the name of a note is also another rule's.
    shared: Box<[Box<str>]>,
}

impl Noted {
    /// Of a rule that is one of these, if no other rule can see what it notes.
    pub fn of(rules: &[Rule], at: usize) -> Option<Noted> {
        let [first, second, ..] = &*rules.get(at)?.links else {
            return None;
        };
        let (prefix, before, behind) = note(first)?;
        let within = asked(second, prefix)?;
        let mut shared = Vec::new();
        for (other, rule) in rules.iter().enumerate() {
            if other == at {
                continue;
            }
            if reads_old_captures(rule) || !shares(rule, prefix, &mut shared) {
                return None;
            }
        }
        Some(Noted {
            before: before.as_bytes().into(),
            behind: behind.as_bytes().into(),
            within: within.as_bytes().into(),
            shared: shared.into(),
        })
    }

    /// Whether the note of a value, in any case of its letters, stands in the text, or anybody else
    /// may look at it.
    pub fn holds(&self, value: &[u8]) -> bool {
        let is_shared = |text: &str| {
            let mut parts = value.windows(text.len());
            parts.any(|part| part.eq_ignore_ascii_case(text.as_bytes()))
        };
        if self.shared.iter().any(|text| is_shared(text)) {
            return true;
        }
        let Some(&first) = self.before.first() else {
            return true;
        };
        memchr::memchr_iter(first, &self.within).any(|at| {
            let part = self.within[at..].strip_prefix(&*self.before);
            let part = part.and_then(|part| part.split_at_checked(value.len()));
            part.is_some_and(|(part, rest)| {
                rest.starts_with(&self.behind) && part.eq_ignore_ascii_case(value)
            })
        })
    }
}

/// What the first link notes: the beginning of the name, and what stands around the value.
fn note(link: &Link) -> Option<(&str, &str, &str)> {
    let test = link.test.as_ref()?;
    let takes_all =
        matches!(&test.operator, Operator::Pattern(pattern) if pattern.text() == "^.*$");
    if !takes_all || test.negated || !link.capture || link.multi_match {
        return None;
    }
    let [Action::Set(Name::Made(name), Change::Assign(content))] = &*link.effects else {
        return None;
    };
    let (prefix, "") = around_value(name)? else {
        return None;
    };
    let (before, behind) = around_value(content)?;
    (!prefix.is_empty() && prefix == prefix.to_ascii_lowercase() && !before.is_empty())
        .then_some((prefix, before, behind))
}

/// What stands around `%{tx.0}` in a text that holds nothing else.
fn around_value(template: &Template) -> Option<(&str, &str)> {
    let value = Piece::Reference(Reference::Tx(Slot(0)));
    match &*template.pieces {
        [Piece::Text(before), found, Piece::Text(behind)] if *found == value => {
            Some((before, behind))
        }
        [Piece::Text(before), found] if *found == value => Some((before, "")),
        _ => None,
    }
}

/// The text in which the second link looks for the notes.
fn asked<'l>(link: &'l Link, prefix: &str) -> Option<&'l str> {
    let test = link.test.as_ref()?;
    let is_within = matches!(test.operator, Operator::Text(TextTest::Within));
    let [target] = &*link.targets.included else {
        return None;
    };
    let Selector::Variables(pattern, slots) = &target.selector else {
        return None;
    };
    let is_of_notes = plain(pattern).strip_prefix('^') == Some(prefix) && slots.is_empty();
    let is_plain = link.transformations.is_empty() && link.targets.excluded.is_empty();
    (is_within && is_of_notes && is_plain && !test.negated && !target.count)
        .then(|| test.argument.as_text())?
}

/// Adds the texts by which a rule knows variables whose names begin so; false if it may know all.
fn shares(rule: &Rule, prefix: &str, shared: &mut Vec<Box<str>>) -> bool {
    let targets = rule.links.iter().flat_map(|link| {
        let Targets { included, excluded } = &link.targets;
        included.iter().chain(excluded)
    });
    let mut targets = targets.filter(|target| target.collection == Collection::Tx);
    targets.all(|target| {
        let pattern = match &target.selector {
            Selector::Slot(_) => return true,
            Selector::All | Selector::Name(_) | Selector::Exact(_) => return false,
            Selector::Pattern(pattern) | Selector::Variables(pattern, _) => pattern,
        };
        let (is_anchored, text) = beginning(pattern);
        let text = text.to_ascii_lowercase();
        if is_anchored {
            return !prefix.starts_with(&text) && !text.starts_with(prefix);
        }
        // It must not begin within what all names have in common.
        let straddles = (1..=text.len()).any(|length| prefix.ends_with(&text[..length]));
        let is_telling = text.len() >= TELLING && !straddles && !prefix.contains(&text);
        if is_telling {
            shared.push(text.into());
        }
        is_telling
    })
}

/// Patterns of names regard no case, and say so first.
fn plain(pattern: &Pattern) -> &str {
    let text = pattern.text();
    text.strip_prefix("(?i)").unwrap_or(text)
}

/// The letters, digits and underscores that a pattern begins with, which stand in all that it
/// matches, and whether they stand at the beginning.
fn beginning(pattern: &Pattern) -> (bool, &str) {
    let text = plain(pattern);
    let is_anchored = text.starts_with('^');
    let text = text.strip_prefix('^').unwrap_or(text);
    let is_plain = |sign: &u8| sign.is_ascii_alphanumeric() || *sign == b'_';
    let length = text.bytes().take_while(is_plain).count();
    let beginning = match text.contains('|') {
        // What has a choice has no beginning.
        true => "",
        // The last sign may be one that is repeated.
        false if length < text.len() => &text[..length.saturating_sub(1)],
        false => text,
    };
    (is_anchored, beginning)
}

/// Whether a rule reads what a pattern of another rule captured.
fn reads_old_captures(rule: &Rule) -> bool {
    let is_capture = |slot: Slot| usize::from(slot.0) < CAPTURES;
    let refers = |template: &Template| template.slots().any(is_capture);
    for link in &rule.links {
        let mut targets = link.targets.included.iter();
        let looks = targets.any(|target| match &target.selector {
            Selector::Slot(slot) => is_capture(*slot),
            Selector::Variables(_, slots) => slots.iter().copied().any(is_capture),
            Selector::All => target.collection == Collection::Tx,
            Selector::Name(_) | Selector::Exact(_) | Selector::Pattern(_) => false,
        });
        let asks = link
            .test
            .as_ref()
            .is_some_and(|test| refers(&test.argument));
        if looks || asks {
            return true;
        }
        if link.capture {
            return false;
        }
        if link.effects.iter().flat_map(Action::templates).any(refers) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_looked_for_in_any_case_and_whole() {
        let noted = Noted {
            before: (*b"/").into(),
            behind: (*b"/").into(),
            within: (*b"/proxy/ /content-range/ /").into(),
            shared: ["counter_".into()].into(),
        };
        for (value, holds) in [
            ("proxy", true),
            ("Content-Range", true),
            ("range", false),
            ("a-Counter_b", true),
            ("counter", false),
            ("proxy/ /content-range", true),
            ("", false),
            (" ", true),
        ] {
            assert_eq!(noted.holds(value.as_bytes()), holds, "{value}");
        }
    }
}
