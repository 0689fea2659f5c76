//! How much of a message is looked at, and what there was too much of.
//!
//! A bound is counted in what a message holds or in what is done with it, never in time: the same
//! message is within its budget on every machine, cold or warm, with the prefilter or without.

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Bytes,
    Values,
    Depth,
    Variants,
    Steps,
}

impl Bound {
    pub const ALL: [Bound; 5] = [
        Bound::Bytes,
        Bound::Values,
        Bound::Depth,
        Bound::Variants,
        Bound::Steps,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Bound::Bytes => "bytes",
            Bound::Values => "values",
            Bound::Depth => "depth",
            Bound::Variants => "variants",
            Bound::Steps => "steps",
        }
    }
}

/// The most of each.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Of all values and names together, after decoding.
    pub bytes: usize,
    pub values: usize,
    /// Levels of objects, arrays and elements, in a body and in a text that is a document.
    pub depth: usize,
    /// Different forms of one value that the transformations of the rules make.
    pub variants: usize,
    /// Bytes that are looked at, each as often as it is, in all of the message.
    pub steps: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            bytes: 512 * 1024,
            values: 8192,
            depth: 64,
            variants: usize::MAX,
            steps: usize::MAX,
        }
    }
}

/// What a message had too much of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exceeded(u8);

impl Exceeded {
    pub fn insert(&mut self, bound: Bound) {
        self.0 |= 1 << bound as u8;
    }

    pub fn add(&mut self, other: Exceeded) {
        self.0 |= other.0;
    }

    pub fn any(self) -> bool {
        self.0 != 0
    }

    pub fn contains(self, bound: Bound) -> bool {
        self.0 & 1 << bound as u8 != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Bound> {
        Bound::ALL
            .into_iter()
            .filter(move |&bound| self.contains(bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_told_apart() {
        let mut exceeded = Exceeded::default();
        assert!(!exceeded.any());
        exceeded.insert(Bound::Steps);
        exceeded.insert(Bound::Depth);
        let names: Vec<&str> = exceeded.iter().map(Bound::name).collect();
        assert_eq!(names, ["depth", "steps"]);
        let mut other = Exceeded::default();
        other.insert(Bound::Bytes);
        exceeded.add(other);
        assert!(exceeded.contains(Bound::Bytes) && !exceeded.contains(Bound::Values));
    }
}
