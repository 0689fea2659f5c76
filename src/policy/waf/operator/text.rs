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

    /// Where in the value the argument stands, or the beginning where all of it is meant.
    pub fn find(self, value: &[u8], argument: &[u8]) -> Option<usize> {
        match self {
            TextTest::Equals => (value == argument).then_some(0),
            TextTest::Contains => find(value, argument),
            TextTest::ContainsWord => find_word(value, argument),
            TextTest::BeginsWith => value.starts_with(argument).then_some(0),
            TextTest::EndsWith => value.strip_suffix(argument).map(<[u8]>::len),
            TextTest::Within => find(argument, value).map(|_| 0),
        }
    }
}

/// In shorter texts a search of two bytes at once takes longer to prepare than to do without.
const SHORT: usize = 256;

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    match part.first() {
        None => Some(0),
        Some(&first) if text.len() < SHORT => {
            let mut places = memchr::memchr_iter(first, text);
            places.find(|&at| text[at..].starts_with(part))
        }
        Some(_) => memchr::memmem::find(text, part),
    }
}

fn find_word(value: &[u8], word: &[u8]) -> Option<usize> {
    let is_word =
        |at: Option<&u8>| at.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    memchr::memmem::find_iter(value, word).find(|&start| {
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
            assert_eq!(find(&text, b"abc"), Some(length));
            assert_eq!(find(&text, b"c"), Some(length + 2));
            assert_eq!(find(&text, &text), Some(0));
            assert_eq!([find(&text, b"abd"), find(&text, b"cc")], [None; 2]);
        }
        assert_eq!((find(b"", b""), find(b"", b"a")), (Some(0), None));
    }

    #[test]
    fn texts_are_compared_byte_by_byte() {
        use TextTest::{BeginsWith, Contains, ContainsWord, EndsWith, Equals, Within};
        for (test, value, argument, expected) in [
            (Equals, "a", "a", Some(0)),
            (Equals, "a", "A", None),
            (Contains, "abc", "b", Some(1)),
            (Contains, "abc", "", Some(0)),
            (ContainsWord, "a select b", "select", Some(2)),
            (ContainsWord, "selected select", "select", Some(9)),
            (ContainsWord, "selected", "select", None),
            (BeginsWith, "abc", "ab", Some(0)),
            (EndsWith, "abc", "bc", Some(1)),
            (Within, "POST", "GET POST", Some(0)),
            (Within, "PUT", "GET POST", None),
            (Within, "", "GET", Some(0)),
        ] {
            let found = test.find(value.as_bytes(), argument.as_bytes());
            assert_eq!(found, expected, "{test:?} {value} {argument}");
        }
    }
}
