//! Which header fields of an answer nothing declares, for the log: names only, for values may be
//! secrets.

/// So many bytes of names are kept.
const BYTES: usize = 240;

/// Names of fields in the order in which they came; of those that find no place only the number.
/// Memory of a fixed size, so that an answer with such fields costs no allocation.
#[derive(Clone, Debug)]
pub struct UndeclaredFields {
    /// Each name with its length before it.
    names: [u8; BYTES],
    used: u8,
    more: u16,
}

impl Default for UndeclaredFields {
    fn default() -> UndeclaredFields {
        UndeclaredFields {
            names: [0; BYTES],
            used: 0,
            more: 0,
        }
    }
}

impl UndeclaredFields {
    /// Adds a name, unless it is there: a field may come in several lines.
    pub fn add(&mut self, name: &[u8]) {
        if self
            .names()
            .any(|known| known.as_bytes().eq_ignore_ascii_case(name))
        {
            return;
        }
        let start = usize::from(self.used);
        let end = start + 1 + name.len();
        let place = self.names.get_mut(start..end);
        // After one that found no place none is named, so that those named are the first.
        match (place, u8::try_from(end), u8::try_from(name.len())) {
            (Some(place), Ok(used), Ok(length)) if self.more == 0 && name.is_ascii() => {
                place[0] = length;
                place[1..].copy_from_slice(name);
                self.used = used;
            }
            _ => self.more = self.more.saturating_add(1),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut rest = &self.names[..usize::from(self.used)];
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first()?;
            let (name, left) = after.split_at_checked(usize::from(length))?;
            rest = left;
            std::str::from_utf8(name).ok()
        })
    }

    /// Lines of fields that are not among the names.
    pub fn more(&self) -> u16 {
        self.more
    }

    pub fn is_empty(&self) -> bool {
        self.used == 0 && self.more == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(names: &[&str]) -> (Vec<String>, u16) {
        let mut fields = UndeclaredFields::default();
        names.iter().for_each(|name| fields.add(name.as_bytes()));
        (fields.names().map(str::to_owned).collect(), fields.more())
    }

    #[test]
    fn the_first_names_are_told_and_the_rest_is_counted() {
        assert_eq!(told(&[]), (vec![], 0));
        let twice = told(&["Server", "X-Row", "server"]);
        assert_eq!(twice, (vec!["Server".to_owned(), "X-Row".to_owned()], 0));
        let whole = "n".repeat(BYTES - 1);
        assert_eq!(told(&[&whole]), (vec![whole.clone()], 0));
        assert_eq!(told(&[&whole, "a"]), (vec![whole.clone()], 1));
        let long = "n".repeat(BYTES);
        assert_eq!(told(&[&long, "a", "b"]), (vec![], 3));
        let longer = "n".repeat(70_000);
        assert_eq!(told(&["a", &longer]), (vec!["a".to_owned()], 1));
    }

    proptest! {
        #[test]
        fn every_field_is_named_or_counted(names in proptest::collection::vec("[A-Za-z-]{1,60}", 0..40)) {
            let lower = |name: &String| name.to_ascii_lowercase();
            let (kept, more) = told(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let mut distinct: Vec<_> = names.iter().map(lower).collect();
            distinct.sort();
            distinct.dedup();
            prop_assert!(kept.len() + usize::from(more) >= distinct.len());
            prop_assert!(kept.len() + usize::from(more) <= names.len());
            prop_assert!(kept.iter().all(|name| names.contains(name)));
        }
    }
}
