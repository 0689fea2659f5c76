//! Patterns: regular expressions of ECMA-262 on an engine that takes linear time.
//!
//! What means the same is passed on, what means something else is rewritten, what has no linear
//! form (look-around, back-references) or could be read in two ways is refused.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::sequence::Sequence;

/// Bytes that a compiled pattern may take.
const SIZE: usize = 1 << 20;

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
/// ECMA-262 `WhiteSpace` and `LineTerminator`.
const SPACE: &str = "\\t\\n\\x0B\\x0C\\r \\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\
                     \\x{202F}\\x{205F}\\x{3000}\\x{FEFF}";
/// What `.` does not match.
const LINE_END: &str = "\\n\\r\\x{2028}\\x{2029}";

/// A pattern of a schema; copies share what it was compiled to.
#[derive(Clone, Debug)]
pub struct Pattern(Arc<Engine>);

#[derive(Debug)]
enum Engine {
    /// A table, where that is possible.
    Sequence(Sequence),
    Automaton(Regex),
}

impl Pattern {
    /// Compiles a pattern; it may match anywhere in a text unless it is anchored.
    pub fn new(pattern: &str) -> Result<Pattern, String> {
        let translated = Translation::new(pattern).run()?;
        let tree = regex_syntax::parse(&translated).ok();
        if let Some(sequence) = tree.and_then(|tree| Sequence::new(&tree)) {
            return Ok(Pattern(Arc::new(Engine::Sequence(sequence))));
        }
        let automaton = RegexBuilder::new(&translated).size_limit(SIZE).build();
        let automaton = automaton.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
            _ => "the pattern is not a regular expression that is supported".to_owned(),
        })?;
        Ok(Pattern(Arc::new(Engine::Automaton(automaton))))
    }

    #[inline]
    pub fn is_match(&self, text: &str) -> bool {
        match &*self.0 {
            Engine::Sequence(sequence) => sequence.is_match(text.as_bytes()),
            Engine::Automaton(automaton) => automaton.is_match(text),
        }
    }
}

struct Translation<'p> {
    rest: std::iter::Peekable<std::str::Chars<'p>>,
    out: String,
}

impl<'p> Translation<'p> {
    fn new(pattern: &'p str) -> Translation<'p> {
        Translation {
            rest: pattern.chars().peekable(),
            out: String::with_capacity(pattern.len() + 16),
        }
    }

    fn run(mut self) -> Result<String, String> {
        while let Some(each) = self.rest.next() {
            match each {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                '.' => self.out.push_str(&format!("[^{LINE_END}]")),
                '{' => self.repetition()?,
                ']' | '}' => {
                    return Err(format!("`{each}` stands alone; write `\\{each}`"));
                }
                other => self.out.push(other),
            }
        }
        Ok(self.out)
    }

    /// Groups, of which ECMA-262 has more kinds than can be run in linear time.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        match (self.rest.next(), self.rest.peek()) {
            (Some(':'), _) => self.out.push_str("?:"),
            (Some('<'), Some(next)) if !"=!".contains(*next) => self.out.push_str("?<"),
            (Some('=' | '!' | '<'), _) => return Err("look-around is not supported".to_owned()),
            _ => return Err("this kind of group is not supported".to_owned()),
        }
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,3}`; nothing else, although ECMA-262 lets a lone brace stand.
    fn repetition(&mut self) -> Result<(), String> {
        let mut inner = String::new();
        for each in self.rest.by_ref() {
            if each == '}' {
                let mut bounds = inner.splitn(2, ',');
                let is_number =
                    |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                let is_sound = bounds.next().is_some_and(is_number)
                    && bounds
                        .next()
                        .is_none_or(|end| end.is_empty() || is_number(end));
                if is_sound {
                    self.out.push_str(&format!("{{{inner}}}"));
                    return Ok(());
                }
                break;
            }
            inner.push(each);
        }
        Err("`{` begins no repetition; write `\\{`".to_owned())
    }

    fn class(&mut self) -> Result<(), String> {
        let is_negated = self.rest.next_if_eq(&'^').is_some();
        if self.rest.next_if_eq(&']').is_some() {
            // Nothing, and anything at all.
            self.out
                .push_str(if is_negated { "(?s:.)" } else { "[^\\s\\S]" });
            return Ok(());
        }
        self.out.push_str(if is_negated { "[^" } else { "[" });
        let mut previous = ' ';
        while let Some(each) = self.rest.next() {
            match each {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '\\' => self.escape(true)?,
                '-' if previous == '-' => {
                    return Err("two hyphens in a class are ambiguous; write `\\-`".to_owned());
                }
                // Operators of the engine that ECMA-262 takes for themselves.
                '[' | '&' | '~' => {
                    self.out.push('\\');
                    self.out.push(each);
                }
                other => self.out.push(other),
            }
            previous = each;
        }
        Err("a class is not closed".to_owned())
    }

    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(each) = self.rest.next() else {
            return Err("the pattern ends in a backslash".to_owned());
        };
        match each {
            'd' => self.set(DIGIT, false, in_class),
            'D' => self.set(DIGIT, true, in_class),
            'w' => self.set(WORD, false, in_class),
            'W' => self.set(WORD, true, in_class),
            's' => self.set(SPACE, false, in_class),
            'S' => self.set(SPACE, true, in_class),
            'b' if in_class => self.out.push_str("\\x08"),
            'b' => self.out.push_str("(?-u:\\b)"),
            't' | 'n' | 'r' => {
                self.out.push('\\');
                self.out.push(each);
            }
            'v' => self.out.push_str("\\x0B"),
            'f' => self.out.push_str("\\x0C"),
            '0' if !self.rest.peek().is_some_and(char::is_ascii_digit) => {
                self.out.push_str("\\x00");
            }
            'x' => self.code(2)?,
            'c' => match self.rest.next().filter(char::is_ascii_alphabetic) {
                Some(letter) => {
                    let code = u32::from(letter) % 32;
                    self.out.push_str(&format!("\\x{{{code:X}}}"));
                }
                None => return Err("`\\c` needs a letter".to_owned()),
            },
            'u' if self.rest.peek() == Some(&'{') => self.out.push_str("\\u"),
            'u' => self.code(4)?,
            'p' | 'P' if self.rest.peek() == Some(&'{') => {
                self.out.push('\\');
                self.out.push(each);
                self.braced()?;
            }
            punctuation if punctuation.is_ascii_punctuation() => {
                self.out.push('\\');
                self.out.push(punctuation);
            }
            '1'..='9' | 'k' => return Err("back-references are not supported".to_owned()),
            other => return Err(format!("`\\{other}` is not supported")),
        }
        // `\u{...}` goes on with its braces.
        if self.out.ends_with("\\u") {
            self.braced()?;
        }
        Ok(())
    }

    fn braced(&mut self) -> Result<(), String> {
        for each in self.rest.by_ref() {
            self.out.push(each);
            if each == '}' {
                return Ok(());
            }
        }
        Err("a brace is not closed".to_owned())
    }

    fn set(&mut self, members: &str, negated: bool, in_class: bool) {
        let sign = if negated { "^" } else { "" };
        self.out.push_str(&match in_class && !negated {
            true => members.to_owned(),
            false => format!("[{sign}{members}]"),
        });
    }

    fn code(&mut self, digits: usize) -> Result<(), String> {
        let text: String = self.rest.by_ref().take(digits).collect();
        let code = u32::from_str_radix(&text, 16)
            .ok()
            .filter(|_| text.len() == digits);
        let Some(code) = code.and_then(char::from_u32) else {
            return Err(format!("`{text}` is no code point"));
        };
        self.out.push_str(&format!("\\x{{{:X}}}", u32::from(code)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().is_match(text)
    }

    #[test]
    fn what_differs_between_the_dialects_means_what_ecma_says() {
        for (pattern, yes, no) in [
            ("a", "xay", "xyz"),
            ("^a$", "a", "a\n"),
            ("^\\d+$", "12", "\u{661}"),
            ("^\\w$", "_", "\u{e9}"),
            ("^\\s$", "\u{feff}", "x"),
            ("^.$", "x", "\u{2028}"),
            ("^[\\w.-]+$", "a.b-c", "a b"),
            ("^[[&~]+$", "[&~", "a"),
            ("^a\\/b$", "a/b", "ab"),
            ("^\\u0041\\x42$", "AB", "ab"),
            ("^\\u{1F600}$", "\u{1F600}", "x"),
            ("^[^\\D]$", "1", "a"),
            ("^\\p{L}+$", "\u{e9}a", "1"),
            ("^(?<year>\\d{4})-\\d{2,}$", "2026-11", "26-11"),
            ("\\bcat\\b", "a cat.", "concat"),
            ("^a{2}$", "aa", "a"),
            ("^a[^]b$", "a\nb", "ab"),
            ("^(a[]|b)$", "b", "a"),
            ("^\\cJ[\\ca]$", "\n\u{1}", "cJ"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes:?}");
            assert!(!matches(pattern, no), "{pattern} {no:?}");
        }
    }

    #[test]
    fn what_has_no_linear_or_no_single_meaning_is_refused() {
        for pattern in [
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<!a)",
            "(a)\\1",
            "\\k<a>",
            "(?i)a",
            "[a",
            "a{",
            "a{x}",
            "a{,3}",
            "]",
            "}",
            "\\",
            "\\c",
            "\\uD800",
            "[a--b]",
            "(",
            "*a",
            "\\q",
            "(?P<a>b)",
            "((a{1000}){1000}){1000}",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
