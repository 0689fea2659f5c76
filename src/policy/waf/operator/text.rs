//! `@streq`, `@contains`, `@containsWord`, `@beginsWith`, `@endsWith`, `@within`: two texts.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextTest {
    Equals,
    Contains,
    ContainsWord,
    BeginsWith,
    EndsWith,
    /// The value stands in the argument.
    Within,
}

impl TextTest {
    pub fn named(name: &str) -> Option<TextTest> {
        Some(match name {
            "streq" => TextTest::Equals,
            "contains" | "strmatch" => TextTest::Contains,
            "containsword" => TextTest::ContainsWord,
            "beginswith" => TextTest::BeginsWith,
            "endswith" => TextTest::EndsWith,
            "within" => TextTest::Within,
            _ => return None,
        })
    }

    pub fn matches(self, value: &[u8], argument: &[u8]) -> bool {
        match self {
            TextTest::Equals => value == argument,
            TextTest::Contains => contains(value, argument),
            TextTest::ContainsWord => contains_word(value, argument),
            TextTest::BeginsWith => value.starts_with(argument),
            TextTest::EndsWith => value.ends_with(argument),
            TextTest::Within => contains(argument, value),
        }
    }
}

/// In shorter texts a search of two bytes at once takes longer to prepare than to do without.
const SHORT: usize = 256;

fn contains(text: &[u8], part: &[u8]) -> bool {
    match part.first() {
        None => true,
        Some(&first) if text.len() < SHORT => {
            let mut places = memchr::memchr_iter(first, text);
            places.any(|at| text[at..].starts_with(part))
        }
        Some(_) => memchr::memmem::find(text, part).is_some(),
    }
}

fn contains_word(value: &[u8], word: &[u8]) -> bool {
    let is_word =
        |at: Option<&u8>| at.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    memchr::memmem::find_iter(value, word).any(|start| {
        let before = start.checked_sub(1).and_then(|before| value.get(before));
        !is_word(before) && !is_word(value.get(start + word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_in_short_and_in_long_texts() {
        for length in [0, 1, SHORT - 4, SHORT - 3, SHORT, 2 * SHORT] {
            let text = [&vec![b'a'; length][..], b"abc"].concat();
            assert!(contains(&text, b"abc") && contains(&text, b"c") && contains(&text, &text));
            assert!(!contains(&text, b"abd") && !contains(&text, b"cc"));
        }
        assert!(contains(b"", b"") && !contains(b"", b"a"));
    }

    #[test]
    fn texts_are_compared_byte_by_byte() {
        use TextTest::{BeginsWith, Contains, ContainsWord, EndsWith, Equals, Within};
        for (test, value, argument, expected) in [
            (Equals, "a", "a", true),
            (Equals, "a", "A", false),
            (Contains, "abc", "b", true),
            (Contains, "abc", "", true),
            (ContainsWord, "a select b", "select", true),
            (ContainsWord, "selected select", "select", true),
            (ContainsWord, "selected", "select", false),
            (BeginsWith, "abc", "ab", true),
            (EndsWith, "abc", "bc", true),
            (Within, "GET", "GET POST", true),
            (Within, "PUT", "GET POST", false),
            (Within, "", "GET", true),
        ] {
            let found = test.matches(value.as_bytes(), argument.as_bytes());
            assert_eq!(found, expected, "{test:?} {value} {argument}");
        }
    }
}
