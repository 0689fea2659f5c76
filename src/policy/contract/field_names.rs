//! A set of header field names, compared as HTTP does: letter case is ignored, nothing else is.

/// Names in groups of one length each.
#[derive(Clone, Debug, Default)]
pub struct FieldNames {
    names: Box<[Box<[u8]>]>,
    /// One bit per length, the long ones sharing the last: most names are told apart by it alone.
    lengths: u64,
}

impl FieldNames {
    pub fn new<'n>(names: impl Iterator<Item = &'n str>) -> FieldNames {
        let mut found: Vec<Box<[u8]>> = names.map(|name| name.as_bytes().into()).collect();
        found.sort_unstable_by_key(|name| (name.len(), name.to_ascii_lowercase()));
        found.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
        FieldNames {
            lengths: found.iter().fold(0, |bits, name| bits | bit(name.len())),
            names: found.into(),
        }
    }

    pub fn contain(&self, name: &[u8]) -> bool {
        if self.lengths & bit(name.len()) == 0 {
            return false;
        }
        let first = self.names.partition_point(|each| each.len() < name.len());
        let same = self.names[first..].iter();
        let mut same = same.take_while(|each| each.len() == name.len());
        same.any(|each| each.eq_ignore_ascii_case(name))
    }
}

fn bit(length: usize) -> u64 {
    1 << length.min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_letter_case_and_in_no_other_spelling() {
        let long = "x".repeat(80);
        let names =
            FieldNames::new(["ETag", "Vary", "Link", "etag", "Retry-After", &long].into_iter());
        for name in ["ETag", "etag", "VARY", "link", "retry-after", &long] {
            assert!(names.contain(name.as_bytes()), "{name}");
        }
        let longer = "x".repeat(81);
        for name in ["", "ETags", "Eta", "Retry_After", "Date", &longer] {
            assert!(!names.contain(name.as_bytes()), "{name}");
        }
        assert!(!FieldNames::default().contain(b""));
    }
}
