//! `@pm` and `@pmFromFile`: does one of many phrases stand in a value, in any case?

use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

#[derive(Clone, Debug)]
pub struct Phrases {
    phrases: Arc<[Box<[u8]>]>,
    automaton: AhoCorasick,
}

impl Phrases {
    /// Phrases with blanks between.
    pub fn of_words(text: &str) -> Result<Phrases, String> {
        Phrases::new(
            text.split_ascii_whitespace()
                .map(|word| word.as_bytes().into())
                .collect(),
        )
    }

    /// One a line; a line that begins with `#` is a comment.
    pub fn of_lines(lines: &[u8]) -> Result<Phrases, String> {
        let lines = lines.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        let phrases = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        Phrases::new(phrases.map(Into::into).collect())
    }

    fn new(phrases: Vec<Box<[u8]>>) -> Result<Phrases, String> {
        if phrases.is_empty() {
            return Err("there are no phrases".to_owned());
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&phrases);
        Ok(Phrases {
            automaton: automaton.map_err(|error| error.to_string())?,
            phrases: phrases.into(),
        })
    }

    pub fn phrases(&self) -> &[Box<[u8]>] {
        &self.phrases
    }

    /// Where the phrase stands that ends first.
    pub fn find(&self, value: &[u8]) -> Option<Range<usize>> {
        self.automaton.find(value).map(|found| found.range())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_in_any_case() {
        let phrases = Phrases::of_lines(b"# one\n\n /etc/passwd \r\nC:\\\n").unwrap();
        assert_eq!(phrases.phrases().len(), 2);
        assert_eq!(phrases.find(b"x/ETC/passwd"), Some(1..12));
        assert_eq!(phrases.find(b"etc"), None);
        assert!(Phrases::of_words(" ").is_err());
        assert!(Phrases::of_words("a b").unwrap().find(b"xB").is_some());
    }
}
