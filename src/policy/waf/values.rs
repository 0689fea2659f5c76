//! What a message says, value by value, as the rules see it.
//!
//! Values stand one behind the other in one buffer that is kept from request to request; a value
//! is known by its number, and each collection knows the numbers of its values in order.

use crate::policy::waf::budget::{Bound, Budget, Exceeded};
use crate::policy::waf::collection::{Collection, STORED};

/// A part of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// What was appended to a buffer since it was `start` long.
    pub fn since(start: usize, buffer: &[u8]) -> Span {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span {
            start: place(start),
            end: place(buffer.len()),
        }
    }

    pub fn of(self, buffer: &[u8]) -> &[u8] {
        buffer
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The longest value that is taken, in bytes: one pattern over one value is not split into slices,
/// and takes up to 40 ns a byte.
pub const LONGEST: usize = 512 * 1024;

/// What is known of a value beside its collection and its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The body is JSON, and this is what it holds at the place that the name tells.
    pub is_at_place: bool,
    /// It stands for a name that its own does not tell, and that is the name of a secret.
    pub is_secret: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    part: Collection,
    name: Span,
    value: Span,
    origin: Origin,
}

/// How many values there were, and what might still be taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    bytes: usize,
    entries: usize,
    budget: Budget,
    exceeded: Exceeded,
}

/// The number of a value.
pub type Id = u32;

/// The values of one message.
#[derive(Debug)]
pub struct Values {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    lists: [Vec<Id>; STORED],
    budget: Budget,
    exceeded: Exceeded,
    /// That of the values that are taken next.
    pub origin: Origin,
    /// Memory for what is decoded before it is taken.
    pub spare: Vec<u8>,
}

impl Default for Values {
    fn default() -> Values {
        Values {
            bytes: Vec::new(),
            entries: Vec::new(),
            lists: std::array::from_fn(|_| Vec::new()),
            budget: Budget::default(),
            exceeded: Exceeded::default(),
            origin: Origin::default(),
            spare: Vec::new(),
        }
    }
}

impl Values {
    /// Forgets the last message.
    pub fn clear(&mut self, budget: Budget) {
        self.bytes.clear();
        for entry in self.entries.drain(..) {
            self.lists[entry.part as usize].clear();
        }
        self.budget = budget;
        self.exceeded = Exceeded::default();
        self.origin = Origin::default();
    }

    pub fn mark(&self) -> Mark {
        Mark {
            bytes: self.bytes.len(),
            entries: self.entries.len(),
            budget: self.budget,
            exceeded: self.exceeded,
        }
    }

    /// Forgets what was taken since.
    pub fn rewind(&mut self, mark: Mark) {
        for entry in self.entries.drain(mark.entries..) {
            // The numbers of each collection are in order.
            self.lists[entry.part as usize].pop();
        }
        self.bytes.truncate(mark.bytes);
        self.budget = mark.budget;
        self.exceeded = mark.exceeded;
    }

    /// Takes a value, or remembers that there was one too many.
    pub fn push(&mut self, part: Collection, name: &[u8], value: &[u8]) {
        self.push_with(part, name, |bytes| bytes.extend_from_slice(value));
    }

    /// Takes a value that is written in place.
    pub fn push_with(&mut self, part: Collection, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let name = Span::since(start, &self.bytes);
        let middle = self.bytes.len();
        write(&mut self.bytes);
        let value = Span::since(middle, &self.bytes);
        self.enter(part, name, value, start);
    }

    /// Takes a value whose name is written in place as well.
    pub fn push_both(
        &mut self,
        part: Collection,
        name: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.bytes.len();
        name(&mut self.bytes);
        let name = Span::since(start, &self.bytes);
        let middle = self.bytes.len();
        value(&mut self.bytes);
        let value = Span::since(middle, &self.bytes);
        self.enter(part, name, value, start);
    }

    /// Shows the name of the last value as a value of another collection.
    pub fn push_last_name(&mut self, part: Collection) {
        if self.is_full() {
            return;
        }
        if let Some(name) = self.entries.last().map(|entry| entry.name) {
            self.enter(part, name, name, self.bytes.len());
        }
    }

    fn enter(&mut self, part: Collection, name: Span, value: Span, start: usize) {
        let too_long = self.bytes.len() > self.budget.bytes || value.len() > LONGEST;
        let too_many = self.entries.len() >= self.budget.values;
        if too_long || too_many {
            self.bytes.truncate(start);
            self.exceed(if too_long {
                Bound::Bytes
            } else {
                Bound::Values
            });
            return;
        }
        let id = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let origin = self.origin;
        self.entries.push(Entry {
            part,
            name,
            value,
            origin,
        });
        self.lists[part as usize].push(id);
    }

    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// Lets so many more bytes and values be taken.
    pub fn extend_budget(&mut self, bytes: usize, values: usize) {
        self.budget.bytes = self.bytes.len() + bytes;
        self.budget.values = self.entries.len() + values;
    }

    /// What there was too much of.
    pub fn exceeded(&self) -> Exceeded {
        self.exceeded
    }

    /// Whether something was not taken.
    pub fn is_full(&self) -> bool {
        self.exceeded.contains(Bound::Bytes) || self.exceeded.contains(Bound::Values)
    }

    pub fn exceed(&mut self, bound: Bound) {
        self.exceeded.insert(bound);
    }

    pub fn of(&self, part: Collection) -> &[Id] {
        self.lists.get(part as usize).map_or(&[], Vec::as_slice)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The collection, the name and the value.
    pub fn at(&self, id: Id) -> (Collection, &[u8], &[u8]) {
        let entry = &self.entries[id as usize];
        (
            entry.part,
            entry.name.of(&self.bytes),
            entry.value.of(&self.bytes),
        )
    }

    pub fn origin(&self, id: Id) -> Origin {
        self.entries[id as usize].origin
    }

    /// How long all values of a collection are.
    pub fn size(&self, part: Collection) -> usize {
        let sizes = self
            .of(part)
            .iter()
            .map(|&id| self.entries[id as usize].value.len());
        sizes.sum()
    }

    /// The first value of a collection, or the first of that name, which is in lower case.
    pub fn first(&self, collection: Collection, name: Option<&str>) -> Option<&[u8]> {
        let parts = collection.parts().iter();
        let mut ids = parts.flat_map(|&part| self.of(part));
        ids.find_map(|&id| {
            let (_, found, value) = self.at(id);
            let fits = name.is_none_or(|name| found.eq_ignore_ascii_case(name.as_bytes()));
            fits.then_some(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_order_and_names() {
        let mut values = Values::default();
        values.push(Collection::ArgsGet, b"a", b"1");
        values.push_last_name(Collection::ArgsGetNames);
        values.push(Collection::ArgsPost, b"A", b"22");
        assert_eq!(
            values.at(1),
            (Collection::ArgsGetNames, &b"a"[..], &b"a"[..])
        );
        assert_eq!(values.first(Collection::Args, Some("a")), Some(&b"1"[..]));
        assert_eq!(values.of(Collection::ArgsPost), [2]);
        assert_eq!(values.size(Collection::ArgsPost), 2);
        values.clear(Budget::default());
        assert!(values.is_empty() && values.of(Collection::ArgsPost).is_empty());
    }

    #[test]
    fn what_was_taken_since_a_mark_is_forgotten() {
        let mut values = Values::default();
        values.push(Collection::ArgsGet, b"a", b"1");
        let mark = values.mark();
        for _ in 0..2 {
            values.push(Collection::ArgsPost, b"b", b"2");
            values.push_last_name(Collection::ArgsPostNames);
            values.push(Collection::ArgsGet, b"c", b"3");
            values.exceed(Bound::Steps);
            assert_eq!(values.of(Collection::ArgsGet), [0, 3]);
            values.rewind(mark);
            assert_eq!((values.len(), values.exceeded().any()), (1, false));
            assert_eq!(values.of(Collection::ArgsGet), [0]);
            assert!(values.of(Collection::ArgsPost).is_empty());
            assert_eq!(values.at(0).2, b"1");
        }
    }

    #[test]
    fn a_value_that_would_take_too_long_is_not_taken() {
        let mut values = Values::default();
        let budget = Budget {
            bytes: usize::MAX,
            values: 9,
            ..Budget::default()
        };
        values.clear(budget);
        values.push(Collection::ArgsGet, b"a", &vec![b'x'; LONGEST]);
        assert!(!values.is_full());
        values.push(Collection::ArgsGet, b"b", &vec![b'x'; LONGEST + 1]);
        assert!(values.is_full());
        assert_eq!(values.len(), 1);
    }

    #[test]
    fn one_too_many_is_remembered() {
        for budget in [
            Budget {
                bytes: 4,
                values: 9,
                ..Budget::default()
            },
            Budget {
                bytes: 99,
                values: 2,
                ..Budget::default()
            },
        ] {
            let mut values = Values::default();
            values.clear(budget);
            values.push(Collection::ArgsGet, b"a", b"1");
            values.push(Collection::ArgsGet, b"b", b"2");
            assert!(!values.is_full());
            values.push(Collection::ArgsGet, b"c", b"3");
            assert!(values.is_full());
            assert_eq!(values.len(), 2);
        }
    }
}
