//! What a schema says of who sees its values, and of how they are shown: `x-visible-to` and
//! `x-mask`.

use super::mask::Mask;
use super::program::RuleId;
use crate::diagnostic::distance;

/// The keywords that are ours.
pub const VIEW_KEYWORDS: [&str; 2] = [VISIBLE, MASK];

const VISIBLE: &str = "x-visible-to";
const MASK: &str = "x-mask";

/// The keyword of ours that whoever wrote another one means: letter case, hyphens, a word more or a
/// letter wrong. An extension that nobody reads protects nothing. None for one of ours, and for
/// those that others use (`x-visible` belongs to forms).
pub fn meant(key: &str) -> Option<&'static str> {
    let rest = key.strip_prefix(['x', 'X'])?.strip_prefix(['-', '_'])?;
    if VIEW_KEYWORDS.contains(&key) || rest.len() > 40 {
        return None;
    }
    let letters = rest.chars().filter(char::is_ascii_alphanumeric);
    let letters: String = letters.map(|each| each.to_ascii_lowercase()).collect();
    let name = letters.strip_prefix("portcullis").unwrap_or(&letters);
    let same_letters = |own: &str| {
        let sorted = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.sort_unstable();
            bytes
        };
        sorted(name) == sorted(own)
    };
    let is_mask = name.starts_with("mask")
        || name.starts_with('m') && (distance(name, "mask") <= 1 || same_letters("mask"));
    let is_visible =
        name.starts_with("visibleto") || name != "visible" && distance(name, "visibleto") <= 2;
    match (is_mask, is_visible) {
        (true, _) => Some(MASK),
        (_, true) => Some(VISIBLE),
        _ => None,
    }
}

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

    pub fn formats(&self) -> impl Iterator<Item = &str> {
        self.formats.iter().map(|(_, own)| &**own)
    }

    /// Whether no other rules than some have a format.
    pub fn has_formats_only_of(&self, is_one: impl Fn(RuleId) -> bool) -> bool {
        self.formats.iter().all(|(id, _)| is_one(*id))
    }

    /// The same with the formats of some rules only.
    pub fn with_formats_of(&self, is_kept: impl Fn(RuleId) -> bool) -> Views {
        let mut views = self.clone();
        views.formats.retain(|(id, _)| is_kept(*id));
        views
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_that_mean_ours_are_told_from_those_of_others() {
        for key in [
            "x-visible-too",
            "x-visible_to",
            "x-visibleTo",
            "X-Visible-To",
            "x-visible-to-roles",
            "x-visible-for",
            "x-visbile-to",
            "x-portcullis-visible-to",
        ] {
            assert_eq!(meant(key), Some(VISIBLE), "{key}");
        }
        for key in [
            "x-masked",
            "x-mask-with",
            "x-Mask",
            "x_mask",
            "x-masking",
            "x-maks",
            "x-msk",
            "x-portcullis-mask",
        ] {
            assert_eq!(meant(key), Some(MASK), "{key}");
        }
        for key in [
            "x-mask",
            "x-visible-to",
            "mask",
            "x-",
            "x-nullable",
            "x-example",
            "x-examples",
            "x-internal",
            "x-visible",
            "x-visibility",
            "x-ms-visibility",
            "x-max",
            "x-task",
            "x-tags",
            "x-meta",
            "x-order",
            "x-faker",
            "x-enum-varnames",
            "x-go-type",
            "x-amazon-apigateway-integration",
            "x-speakeasy-retries",
            "x-readme",
            "x-codeSamples",
            "x-displayName",
            "x-logo",
            "x-stoplight",
        ] {
            assert_eq!(meant(key), None, "{key}");
        }
    }
}
