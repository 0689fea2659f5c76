//! What a walk finds to take out of a body or to change in it.
//!
//! *Undeclared* is a member that no schema which applies to its object declares, be it by
//! `properties`, `patternProperties`, a schema for others or their explicit welcome
//! (`additionalProperties: true`), where at least one of these schemas lists members at all; and
//! any member that one of them refuses (`additionalProperties` or `unevaluatedProperties: false`,
//! or the schema `false`). Where alternatives only hold without such members, those that hold so
//! are the ones that apply.

use super::super::mask::Mask;
use super::super::program::{Additional, Branches, ObjectRule, RuleId};
use super::super::view::Views;
use super::{Fault, Walk};

/// Tokens from the first of a member or value to the one behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub start: u32,
    pub end: u32,
}

/// What one walk has noted; its memory is used again.
#[derive(Debug, Default)]
pub struct Edits {
    /// Whether undeclared members are taken out.
    takes_undeclared: bool,
    /// By audience, whether the reader belongs to it.
    sees: Vec<bool>,
    /// Members that a schema refuses.
    refused: Vec<Part>,
    /// Members that a schema does not declare.
    doubtful: Vec<Part>,
    /// Names that a schema declares.
    declared: Vec<u32>,
    /// Members that do not leave in this direction: `writeOnly`, `readOnly`.
    pub(super) barred: Vec<Part>,
    /// Members that the reader does not see.
    pub(super) hidden: Vec<Part>,
    pub(super) masked: Vec<(Part, Mask)>,
    /// Above zero where a schema only tests.
    testing: usize,
}

/// What is to be done with undeclared members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Undeclared {
    /// What a schema refuses is a fault.
    #[default]
    Refused,
    /// They are taken out.
    Stripped,
    /// They stay and are noted.
    Noted,
    /// They are a fault, also where no schema refuses them.
    Forbidden,
}

impl Edits {
    pub fn begin(&mut self, takes_undeclared: bool) {
        self.takes_undeclared = takes_undeclared;
        self.sees.clear();
        self.refused.clear();
        self.doubtful.clear();
        self.declared.clear();
        self.barred.clear();
        self.hidden.clear();
        self.masked.clear();
        self.testing = 0;
    }

    pub fn admit(&mut self, sees: bool) {
        self.sees.push(sees);
    }

    /// Leaves to the doubtful what nobody declares; in the order of the text.
    pub fn decide(&mut self) {
        self.declared.sort_unstable();
        let declared = &self.declared;
        self.doubtful
            .retain(|part| declared.binary_search(&part.start).is_err());
    }

    /// Whether there is anything to take out for all readers.
    pub fn has_cuts(&self) -> bool {
        !self.barred.is_empty()
    }

    /// Whether there is anything that this reader does not see, or not as it is.
    pub fn has_views(&self) -> bool {
        !self.hidden.is_empty() || !self.masked.is_empty()
    }

    /// Undeclared members in the order of the text, at most so many.
    pub fn undeclared(&self, most: usize) -> Vec<Fault> {
        let mut parts: Vec<&Part> = self.refused.iter().chain(&self.doubtful).collect();
        parts.sort_unstable();
        parts.dedup();
        parts.truncate(most);
        let faults = parts.into_iter();
        faults
            .map(|part| Fault::undeclared(part.start as usize + 3))
            .collect()
    }

    /// Undeclared members are to be taken out.
    pub fn cut_undeclared(&mut self) {
        self.barred.append(&mut self.refused);
        self.barred.append(&mut self.doubtful);
    }
}

impl<'w> Walk<'w> {
    pub fn edits(&mut self) -> &mut Edits {
        &mut self.memory.edits
    }

    /// Begins to note edits.
    pub fn edit(
        &mut self,
        views: &'w Views,
        takes_undeclared: bool,
        mut sees: impl FnMut(&[Box<str>]) -> bool,
    ) {
        self.views = Some(views);
        self.is_editing = true;
        self.is_lenient = true;
        self.memory.edits.begin(takes_undeclared);
        for audience in views.audiences() {
            let sees = sees(audience);
            self.memory.edits.admit(sees);
        }
    }

    /// Whether edits are noted here: not within an alternative that is only tried.
    fn is_noting(&self) -> bool {
        self.is_lenient && self.quiet == 0
    }

    /// The member that a value belongs to; none: it is an item, or the whole.
    fn member_of(&self, value: usize) -> Option<usize> {
        let colon = value.checked_sub(1)?;
        (self.byte(colon) == b':').then(|| value - 3)
    }

    /// Whether an undeclared member is no fault, as it will be taken out or stays on purpose.
    pub(super) fn tolerates(&self) -> bool {
        self.is_lenient && self.memory.edits.takes_undeclared
    }

    /// Takes out a member that does not leave in this direction. False: there is none to take out.
    #[cold]
    pub(super) fn takes_out(&mut self, value: usize, keyword: &str) -> bool {
        let is_barred = self.is_editing && matches!(keyword, "readOnly" | "writeOnly");
        let Some(name) = self.member_of(value).filter(|_| is_barred) else {
            return false;
        };
        if self.is_noting() {
            let part = self.part(name, value);
            self.memory.edits.barred.push(part);
        }
        true
    }

    /// Checks the value of a member, which the schema `false` declares only to refuse it.
    pub(super) fn judge(&mut self, id: RuleId, value: usize) -> Option<usize> {
        if self.tolerates() && self.program.rules[id].never == Some("false") {
            self.note_refused(value);
            return self.skip(value);
        }
        self.value(id, value)
    }

    pub(super) fn part(&self, start: usize, value: usize) -> Part {
        Part {
            start: start as u32,
            end: self.past(value) as u32,
        }
    }

    pub(super) fn note_refused(&mut self, value: usize) {
        if self.is_noting() {
            let part = self.part(value - 3, value);
            self.memory.edits.refused.push(part);
        }
    }

    /// Notes who sees a value, and how. `end` is the token behind it.
    pub(super) fn note_view(&mut self, id: RuleId, value: usize, end: usize) -> Option<()> {
        let Some(views) = self.views.filter(|_| self.is_noting()) else {
            return Some(());
        };
        let view = views.of(id);
        if let Some(mask) = view.mask {
            let part = Part {
                start: value as u32,
                end: end as u32,
            };
            self.memory.edits.masked.push((part, mask));
        }
        let is_seen = view.audience.is_none_or(|audience| {
            let sees = self.memory.edits.sees.get(usize::from(audience));
            sees == Some(&true)
        });
        if is_seen {
            return Some(());
        }
        match self.member_of(value) {
            Some(name) => {
                let part = Part {
                    start: name as u32,
                    end: end as u32,
                };
                self.memory.edits.hidden.push(part);
                Some(())
            }
            // What cannot be taken out does not leave at all.
            None => self.fails(value, id, "x-visible-to"),
        }
    }

    /// Notes what an object's schema says of one of its members.
    pub(super) fn note_member(
        &mut self,
        rule: &ObjectRule,
        name: usize,
        end: usize,
        is_declared: bool,
    ) {
        if !self.is_noting() || !self.memory.edits.takes_undeclared {
            return;
        }
        let part = Part {
            start: name as u32,
            end: end as u32,
        };
        let edits = &mut self.memory.edits;
        match rule.additional {
            _ if is_declared => {}
            Additional::Checked(_) | Additional::Allowed => {}
            Additional::Refused => return edits.refused.push(part),
            Additional::Open if lists(rule) && edits.testing == 0 => {
                return edits.doubtful.push(part);
            }
            Additional::Open => return,
        }
        if self.program.traits.overlaps {
            edits.declared.push(part.start);
        }
    }

    pub(super) fn note_evaluated(&mut self, value: usize) {
        if self.is_noting()
            && let Some(name) = self.member_of(value)
        {
            self.memory.edits.declared.push(name as u32);
        }
    }

    /// What a test that holds names is declared by it, but it lists nothing.
    pub(super) fn note_test(&mut self, id: RuleId, token: usize) -> Option<()> {
        if self.is_noting() {
            self.memory.edits.testing += 1;
            self.value(id, token)?;
            self.memory.edits.testing -= 1;
        }
        Some(())
    }

    /// Whether alternatives hold without what is taken out only.
    pub(super) fn forgives(&mut self, list: &[RuleId], token: usize) -> Option<bool> {
        if !self.is_lenient {
            return Some(false);
        }
        for &next in list {
            if self.holds(next, token)? {
                return Some(false);
            }
        }
        Some(true)
    }

    pub(super) fn fits(&mut self, id: RuleId, token: usize, is_forgiving: bool) -> Option<bool> {
        match is_forgiving {
            true => self.tries(id, token),
            false => self.holds(id, token),
        }
    }

    /// `anyOf` and `oneOf` where members are taken out: all that apply are walked again, so that
    /// what they declare is known.
    pub(super) fn settle(&mut self, rule: &Branches, id: RuleId, token: usize) -> Option<()> {
        for (list, keyword) in [(&rule.any_of, "anyOf"), (&rule.one_of, "oneOf")] {
            if list.is_empty() {
                continue;
            }
            let is_forgiving = self.forgives(list, token)?;
            let mut count = 0_usize;
            for &next in list {
                if self.fits(next, token, is_forgiving)? {
                    count += 1;
                    if self.is_noting() {
                        self.value(next, token)?;
                    }
                }
            }
            let holds = count == 1 || count > 1 && keyword == "anyOf";
            self.expect(holds, token, id, keyword)?;
        }
        Some(())
    }

    /// The token behind a value of a text that is known to be JSON up to its end.
    pub(super) fn past(&self, value: usize) -> usize {
        let (mut token, mut depth) = (value, 0_usize);
        loop {
            match self.byte(token) {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                b'"' => token += 1,
                // Behind the last token.
                0 => return token,
                _ => {}
            }
            token += 1;
            if depth == 0 {
                return token;
            }
        }
    }
}

/// Whether a schema says which members there are.
fn lists(rule: &ObjectRule) -> bool {
    let mut members = rule.members.list.iter();
    !rule.patterns.is_empty() || members.any(|member| member.rule.is_some())
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
