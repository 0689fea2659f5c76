//! Texts with `%{...}` in them, and the names that the scratch variables of a request have.

use ahash::AHashMap;

use crate::policy::waf::collection::Collection;

/// The number of a variable of `TX`; the first ten are what a pattern captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

/// How many slots belong to captures.
pub const CAPTURES: usize = 10;

/// The names of slots, in lower case. Variables of the persistent collections live for one request
/// and stand beside those of `TX`, under names such as `ip:counter`.
#[derive(Clone, Debug)]
pub struct Slots {
    names: Vec<Box<str>>,
    numbers: AHashMap<Box<str>, Slot>,
}

impl Default for Slots {
    fn default() -> Slots {
        let mut slots = Slots {
            names: Vec::new(),
            numbers: AHashMap::new(),
        };
        for capture in 0..CAPTURES {
            slots.intern(&capture.to_string());
        }
        slots
    }
}

impl Slots {
    /// The slot of a name, a new one if need be.
    pub fn intern(&mut self, name: &str) -> Slot {
        let name = name.to_ascii_lowercase();
        if let Some(&slot) = self.numbers.get(name.as_str()) {
            return slot;
        }
        let number = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        self.names.push(name.as_str().into());
        self.numbers.insert(name.into(), Slot(number));
        Slot(number)
    }

    /// The name must be in lower case.
    pub fn find(&self, name: &str) -> Option<Slot> {
        self.numbers.get(name).copied()
    }

    pub fn name(&self, slot: Slot) -> &str {
        self.names.get(usize::from(slot.0)).map_or("", |name| name)
    }

    /// Every slot and its name.
    pub fn all(&self) -> impl Iterator<Item = (Slot, &str)> {
        let numbers = 0..u16::MAX;
        numbers
            .zip(&self.names)
            .map(|(number, name)| (Slot(number), &**name))
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: captures have slots of their own.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// What stands for `%{...}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Tx(Slot),
    /// The first value of a collection, or that of a name in it, which is in lower case.
    Value(Collection, Option<Box<str>>),
    /// A name that no collection has, such as `unique_id.x` or `time`: expands to nothing.
    Unknown(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(Box<str>),
    Reference(Reference),
}

/// A text in which references are replaced at the time of use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub pieces: Vec<Piece>,
}

/// Collections that outlive a request in other engines.
pub const PERSISTENT: [&str; 5] = ["ip", "global", "session", "user", "resource"];

impl Template {
    /// An unclosed `%{` is text.
    pub fn parse(text: &str, slots: &mut Slots) -> Template {
        let mut template = Template::default();
        let mut rest = text;
        while let Some(start) = rest.find("%{") {
            let Some(length) = rest[start..].find('}') else {
                break;
            };
            template.push_text(&rest[..start]);
            let name = &rest[start + 2..start + length];
            template
                .pieces
                .push(Piece::Reference(reference(name, slots)));
            rest = &rest[start + length + 1..];
        }
        template.push_text(rest);
        template
    }

    pub fn text(text: &str) -> Template {
        let mut template = Template::default();
        template.push_text(text);
        template
    }

    pub fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(Piece::Text(last)) = self.pieces.last_mut() {
            *last = format!("{last}{text}").into();
        } else {
            self.pieces.push(Piece::Text(text.into()));
        }
    }

    /// The text, if nothing in it is replaced.
    pub fn as_text(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Reference(Reference::Tx(slot)) => Some(*slot),
            Piece::Reference(_) | Piece::Text(_) => None,
        })
    }
}

fn reference(name: &str, slots: &mut Slots) -> Reference {
    let (collection, key) = match name.split_once(['.', ':']) {
        Some((collection, key)) => (collection, Some(key)),
        None => (name, None),
    };
    let lower = collection.to_ascii_lowercase();
    match (lower.as_str(), key) {
        ("tx", Some(key)) => return Reference::Tx(slots.intern(key)),
        (store, Some(key)) if PERSISTENT.contains(&store) => {
            return Reference::Tx(slots.intern(&format!("{store}:{key}")));
        }
        _ => {}
    }
    match Collection::named(collection) {
        Some(collection) => {
            Reference::Value(collection, key.map(|key| key.to_ascii_lowercase().into()))
        }
        None => Reference::Unknown(name.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_and_names_have_one_slot() {
        let mut slots = Slots::default();
        let template = Template::parse("a %{TX.Score}%{request_headers.Host}% %{tx", &mut slots);
        let score = slots.find("score").unwrap();
        assert_eq!(usize::from(score.0), CAPTURES);
        assert_eq!(slots.intern("SCORE"), score);
        let host = Reference::Value(Collection::RequestHeaders, Some("host".into()));
        assert_eq!(
            template.pieces,
            [
                Piece::Text("a ".into()),
                Piece::Reference(Reference::Tx(score)),
                Piece::Reference(host),
                Piece::Text("% %{tx".into()),
            ]
        );
        assert_eq!(template.as_text(), None);
        assert_eq!(Template::parse("", &mut slots).as_text(), Some(""));
        assert_eq!(slots.find("3"), Some(Slot(3)));
    }
}
