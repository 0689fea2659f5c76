//! The variables that rules keep during one request.

use crate::policy::waf::budget::{Bound, Exceeded};
use crate::policy::waf::operator::number::number;
use crate::policy::waf::template::{CAPTURES, Slot, Slots};
use crate::policy::waf::values::Span;

/// Variables with made names; more than that is over the budget.
const MADE: usize = 2048;

/// Variables that the configuration sets for good: the two thresholds.
const PINNED: usize = 2;

/// The text of all variables; more than that is over the budget.
const TEXT: usize = 1024 * 1024;

/// What a variable holds: counters as numbers, so that raising one makes no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Number(i64),
    Text(Span),
    Captured(Span),
}

#[derive(Debug, Default)]
pub struct Tx {
    slots: Vec<Option<Content>>,
    /// Names that are no slot, as they were made.
    made: Vec<(Span, Content)>,
    text: Vec<u8>,
    /// The text of captures, which the next capture replaces.
    captured: Vec<u8>,
    /// Variables that rules do not change.
    pinned: [Option<Slot>; PINNED],
    exceeded: Exceeded,
}

/// A variable that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Slot(Slot),
    Made(usize),
}

impl Tx {
    pub fn clear(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.resize(slots, None);
        self.made.clear();
        self.text.clear();
        self.exceeded = Exceeded::default();
        self.pinned = [None; PINNED];
    }

    /// Becomes the same as another one, in the memory that is there.
    pub fn copy(&mut self, other: &Tx) {
        self.slots.clone_from(&other.slots);
        self.made.clone_from(&other.made);
        self.text.clone_from(&other.text);
        self.captured.clone_from(&other.captured);
        self.pinned = other.pinned;
        self.exceeded = other.exceeded;
    }

    /// Sets a variable for good.
    pub fn pin(&mut self, slot: Slot, value: i64) {
        self.assign_number(slot, value);
        let mut places = self.pinned.iter_mut();
        if let Some(place) = places.find(|place| place.is_none()) {
            *place = Some(slot);
        }
    }

    /// What there was too much of.
    pub fn exceeded(&self) -> Exceeded {
        self.exceeded
    }

    pub fn is_set(&self, slot: Slot) -> bool {
        self.content(Place::Slot(slot)).is_some()
    }

    pub fn number(&self, slot: Slot) -> i64 {
        self.number_at(Place::Slot(slot))
    }

    fn number_at(&self, place: Place) -> i64 {
        match self.content(place) {
            Some(Content::Number(value)) => value,
            Some(Content::Text(span)) => number(span.of(&self.text)),
            Some(Content::Captured(span)) => number(span.of(&self.captured)),
            None => 0,
        }
    }

    fn content(&self, place: Place) -> Option<Content> {
        match place {
            Place::Slot(slot) => self.slots.get(usize::from(slot.0)).copied().flatten(),
            Place::Made(at) => self.made.get(at).map(|(_, content)| *content),
        }
    }

    /// Appends the text of a variable; nothing if it is not set.
    pub fn write(&self, place: Place, out: &mut Vec<u8>) {
        match self.content(place) {
            Some(Content::Number(value)) => {
                out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            Some(Content::Text(span)) => out.extend_from_slice(span.of(&self.text)),
            Some(Content::Captured(span)) => out.extend_from_slice(span.of(&self.captured)),
            None => {}
        }
    }

    pub fn assign(&mut self, slot: Slot, text: &[u8]) {
        let content = self.keep(text);
        self.put(Place::Slot(slot), Some(content));
    }

    pub fn assign_number(&mut self, slot: Slot, value: i64) {
        self.put(Place::Slot(slot), Some(Content::Number(value)));
    }

    pub fn assign_at(&mut self, place: Place, text: &[u8]) {
        let content = self.keep(text);
        self.put(place, Some(content));
    }

    pub fn add_at(&mut self, place: Place, value: i64) {
        let sum = self.number_at(place).saturating_add(value);
        self.put(place, Some(Content::Number(sum)));
    }

    pub fn remove(&mut self, place: Place) {
        match place {
            Place::Slot(_) => self.put(place, None),
            Place::Made(at) if at < self.made.len() => {
                self.made.remove(at);
            }
            Place::Made(_) => {}
        }
    }

    /// Numbers as they are usually written are kept as numbers.
    fn keep(&mut self, text: &[u8]) -> Content {
        if is_as_usual(text) {
            return Content::Number(number(text));
        }
        if self.text.len() + text.len() > TEXT {
            self.exceeded.insert(Bound::Bytes);
            return Content::Number(number(text));
        }
        let start = self.text.len();
        self.text.extend_from_slice(text);
        Content::Text(Span::since(start, &self.text))
    }

    fn put(&mut self, place: Place, content: Option<Content>) {
        match (place, content) {
            (Place::Slot(slot), _) if self.pinned.contains(&Some(slot)) => {}
            (Place::Slot(slot), content) => {
                if let Some(found) = self.slots.get_mut(usize::from(slot.0)) {
                    *found = content;
                }
            }
            (Place::Made(at), Some(content)) => {
                if let Some((_, found)) = self.made.get_mut(at) {
                    *found = content;
                }
            }
            (Place::Made(_), None) => {}
        }
    }

    /// Where a variable with a made name is, which is a slot if rules name it elsewhere.
    pub fn place(&mut self, name: &[u8], slots: &Slots) -> Option<Place> {
        let start = self.text.len();
        self.text.extend(name.iter().map(u8::to_ascii_lowercase));
        let span = Span::since(start, &self.text);
        let lower = span.of(&self.text);
        let slot = std::str::from_utf8(lower)
            .ok()
            .and_then(|name| slots.find(name));
        let found = match slot {
            Some(slot) => Some(Place::Slot(slot)),
            None => {
                let mut made = self.made.iter();
                made.position(|(known, _)| known.of(&self.text) == lower)
                    .map(Place::Made)
            }
        };
        if found.is_some() {
            self.text.truncate(start);
            return found;
        }
        if self.made.len() >= MADE {
            self.text.truncate(start);
            self.exceeded.insert(Bound::Values);
            return None;
        }
        self.made.push((span, Content::Number(0)));
        Some(Place::Made(self.made.len() - 1))
    }

    /// What a rule captured, in place of what an earlier one did.
    pub fn capture(&mut self, number: usize, text: &[u8]) {
        if number == 0 {
            self.slots
                .iter_mut()
                .take(CAPTURES)
                .for_each(|slot| *slot = None);
            self.captured.clear();
        }
        if let Some(slot) = u16::try_from(number).ok().filter(|_| number < CAPTURES) {
            let start = self.captured.len();
            self.captured.extend_from_slice(text);
            let content = Content::Captured(Span::since(start, &self.captured));
            self.put(Place::Slot(Slot(slot)), Some(content));
        }
    }

    /// A group took no part in the match: its variable is empty, not absent.
    pub fn capture_nothing(&mut self, number: usize) {
        self.capture(number, b"");
    }

    /// The variables that are set, slots first.
    pub fn set(&self) -> impl Iterator<Item = Place> {
        let slots = (0..self.slots.len()).filter(|&slot| self.slots[slot].is_some());
        let slots = slots
            .filter_map(|slot| u16::try_from(slot).ok())
            .map(|slot| Place::Slot(Slot(slot)));
        slots.chain(self.made())
    }

    /// The variables whose names were made by rules.
    pub fn made(&self) -> impl Iterator<Item = Place> + use<> {
        (0..self.made.len()).map(Place::Made)
    }

    pub fn name<'a>(&'a self, place: Place, slots: &'a Slots) -> &'a [u8] {
        match place {
            Place::Slot(slot) => slots.name(slot).as_bytes(),
            Place::Made(at) => self
                .made
                .get(at)
                .map_or(&[], |(name, _)| name.of(&self.text)),
        }
    }
}

/// Whether a number is written without anything that writing it again would not bring back.
fn is_as_usual(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let begins = match digits {
        [b'0'] => digits.len() == text.len(),
        [first, ..] => matches!(first, b'1'..=b'9'),
        [] => false,
    };
    begins && text.len() < 18 && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_as_they_are_usually_written_are_kept_as_numbers() {
        for text in ["0", "1", "-1", "10", "99999999999999999"] {
            assert!(is_as_usual(text.as_bytes()), "{text}");
            assert_eq!(number(text.as_bytes()).to_string(), text);
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "+1",
            " 1",
            "1 ",
            "1a",
            "a",
            "999999999999999999",
        ] {
            assert!(!is_as_usual(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn variables_hold_numbers_and_texts() {
        let mut slots = Slots::default();
        let score = slots.intern("score");
        let mut tx = Tx::default();
        tx.clear(slots.len());
        assert!(!tx.is_set(score));
        tx.assign(score, b"5");
        tx.add_at(Place::Slot(score), 3);
        assert_eq!(tx.number(score), 8);
        tx.assign(score, b"05");
        let mut text = Vec::new();
        tx.write(Place::Slot(score), &mut text);
        assert_eq!(text, b"05");
        tx.remove(Place::Slot(score));
        assert_eq!(tx.number(score), 0);
    }

    #[test]
    fn made_names_are_the_same_in_any_case_and_bounded() {
        let mut slots = Slots::default();
        let known = slots.intern("known");
        let mut tx = Tx::default();
        tx.clear(slots.len());
        assert_eq!(tx.place(b"KNOWN", &slots), Some(Place::Slot(known)));
        assert_eq!(tx.place(b"A\xff", &slots), Some(Place::Made(0)));
        assert_eq!(tx.place(b"a\xff", &slots), Some(Place::Made(0)));
        for number in 1..MADE {
            assert!(tx.place(number.to_string().as_bytes(), &slots).is_some() || number < 10);
        }
        tx.place(b"x", &slots);
        for number in 0..20 {
            tx.place(format!("y{number}").as_bytes(), &slots);
        }
        assert!(tx.exceeded().contains(Bound::Values));
    }

    #[test]
    fn a_capture_replaces_the_last_ones() {
        let slots = Slots::default();
        let mut tx = Tx::default();
        tx.clear(slots.len());
        tx.capture(0, b"a");
        tx.capture(3, b"b");
        tx.capture(0, b"c");
        assert!(!tx.is_set(Slot(3)));
        tx.capture(12, b"x");
        assert_eq!(tx.set().count(), 1);
    }
}
