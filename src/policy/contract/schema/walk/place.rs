//! Places in a body, and the way to them along the index.

use super::super::mask::Mask;
use super::super::text;
use super::Walk;

/// A JSON pointer (RFC 6901) in which `*` stands for all members or items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Box<[Step]>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    All,
    Named(Box<str>),
}

impl Pointer {
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// None: it does not begin with `/`, or has a `~` that escapes nothing.
    pub fn read(text: &str) -> Option<Pointer> {
        if text.is_empty() {
            return Some(Pointer(Box::default()));
        }
        let steps = text.strip_prefix('/')?.split('/').map(|step| {
            let is_sound = !step.replace("~0", "").replace("~1", "").contains('~');
            let name = step.replace("~1", "/").replace("~0", "~");
            is_sound.then(|| match step {
                "*" => Step::All,
                _ => Step::Named(name.into()),
            })
        });
        steps.collect::<Option<_>>().map(Pointer)
    }
}

/// All of a text that is known to be JSON.
impl Walk<'_> {
    /// How many items the arrays at a pointer have.
    pub fn count_items(&self, pointer: &Pointer) -> usize {
        let mut count = 0;
        self.each(0, &pointer.0, &mut |walk, value| {
            if walk.byte(value) == b'[' {
                count += walk.elements(value).count();
            }
        });
        count
    }

    /// Masks what stands at a pointer.
    pub fn mask_at(&mut self, pointer: &Pointer, mask: Mask) {
        let mut masked = std::mem::take(&mut self.memory.edits.masked);
        self.each(0, &pointer.0, &mut |walk, value| {
            masked.push((walk.part(value, value), mask));
        });
        self.memory.edits.masked = masked;
    }

    /// Calls with every value that a pointer leads to.
    fn each(&self, value: usize, steps: &[Step], found: &mut impl FnMut(&Self, usize)) {
        let Some((step, rest)) = steps.split_first() else {
            return found(self, value);
        };
        let is_object = self.byte(value) == b'{';
        for (index, element) in self.elements(value).enumerate() {
            let next = if is_object { element + 3 } else { element };
            let leads = match step {
                Step::All => true,
                Step::Named(name) if is_object => self.is_named(element, name),
                Step::Named(name) => name.parse() == Ok(index),
            };
            if leads {
                self.each(next, rest, found);
            }
        }
    }

    fn is_named(&self, name: usize, wanted: &str) -> bool {
        let mut rest = Some(wanted);
        let pieces = text::pieces(self.raw(self.span(name)), |piece| {
            rest = rest.and_then(|rest| rest.strip_prefix(piece));
        });
        pieces.is_some() && rest == Some("")
    }

    /// The first tokens of the members of an object or the items of an array; nothing of others.
    fn elements(&self, value: usize) -> impl Iterator<Item = usize> {
        let is_object = self.byte(value) == b'{';
        let mut next = match self.byte(value) {
            b'{' | b'[' => Some(value + 1),
            _ => None,
        };
        std::iter::from_fn(move || {
            let element = next.filter(|&at| !matches!(self.byte(at), b'}' | b']' | 0))?;
            let end = self.past(if is_object { element + 3 } else { element });
            next = (self.byte(end) == b',').then_some(end + 1);
            Some(element)
        })
    }
}
