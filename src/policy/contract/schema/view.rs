//! What a schema says of who sees its values, and of how they are shown: `x-visible-to` and
//! `x-mask`.

use super::mask::Mask;
use super::program::RuleId;

/// What one rule says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The index of the scopes and roles of which one is needed; none: everybody sees it.
    pub audience: Option<u16>,
    pub mask: Option<Mask>,
}

/// What the rules of a program say; nothing for most.
#[derive(Clone, Debug, Default)]
pub struct Views {
    /// By rule, or empty.
    list: Vec<View>,
    /// Names of scopes and roles.
    audiences: Vec<Box<[Box<str>]>>,
    /// What `format` says of a rule.
    formats: Vec<(RuleId, Box<str>)>,
    /// Whether there are members that never leave.
    pub bars: bool,
    /// Whether a keyword came by that says another thing in the other direction.
    pub is_directed: bool,
}

impl Views {
    #[inline]
    pub fn of(&self, id: RuleId) -> View {
        self.list.get(id).copied().unwrap_or_default()
    }

    pub fn audiences(&self) -> &[Box<[Box<str>]>] {
        &self.audiences
    }

    /// Whether anything may have to be taken out or changed.
    pub fn is_any(&self) -> bool {
        self.bars || !self.list.is_empty()
    }

    /// Whether a rule names who sees a value, or a mask.
    pub fn is_said(&self) -> bool {
        !self.list.is_empty()
    }

    pub fn show(&mut self, id: RuleId, names: Box<[Box<str>]>) {
        let known = self.audiences.iter().position(|each| *each == names);
        let index = known.unwrap_or_else(|| {
            self.audiences.push(names);
            self.audiences.len() - 1
        });
        // One too many is nobody's.
        self.at(id).audience = Some(u16::try_from(index).unwrap_or(u16::MAX));
    }

    pub fn mask(&mut self, id: RuleId, mask: Mask) {
        let view = self.at(id);
        view.mask = view.mask.max(Some(mask));
    }

    pub fn note_format(&mut self, id: RuleId, format: &str) {
        self.formats.push((id, format.into()));
    }

    pub fn has_format(&self, format: &str) -> bool {
        self.formats.iter().any(|(_, own)| **own == *format)
    }

    /// Masks all values of a format.
    pub fn mask_format(&mut self, format: &str, mask: Mask) {
        let formats = std::mem::take(&mut self.formats);
        for (id, _) in formats.iter().filter(|(_, own)| **own == *format) {
            self.mask(*id, mask);
        }
        self.formats = formats;
    }

    fn at(&mut self, id: RuleId) -> &mut View {
        if self.list.len() <= id {
            self.list.resize(id + 1, View::default());
        }
        &mut self.list[id]
    }
}
