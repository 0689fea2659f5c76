//! Regular expressions as rules write them, run by a linear engine on bytes.
//!
//! Rules are written for PCRE without UTF. What its dialect spells otherwise is rewritten
//! ([`dialect`]); what a linear engine cannot do is refused: references back, and looking around
//! where it cannot be said without ([`look_around`]).
//! A possessive quantifier and an atomic group become plain ones: they match what they matched,
//! and also what they only gave up to save time.

use std::ops::Range;

use regex_automata::meta::{Cache, Config, Regex};
use regex_automata::util::captures::Captures;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, nfa::thompson::WhichCaptures};
use regex_syntax::hir::Hir;

use crate::policy::waf::bounded::Bounded;
use crate::policy::waf::look_around;

/// A lazy automaton of one pattern may take so many bytes on one shard.
const CACHE_BYTES: usize = 256 * 1024;
/// The program of one pattern; the largest of the known rule sets takes a third of it.
const PROGRAM_BYTES: usize = 4 * 1024 * 1024;
const NESTING: u32 = 100;

/// A compiled pattern and its text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    regex: Regex,
    /// What long values are asked by; none: the engine needs no help.
    bounded: Option<Box<Bounded>>,
}

impl Pattern {
    /// `groups`: whether what the groups matched will be asked for. Errors say why in one line.
    pub fn compile(text: &str, groups: bool) -> Result<Pattern, String> {
        if groups && look_around::without(text).is_some() {
            return Err("groups are asked for in a pattern that looks around".to_owned());
        }
        let hir = hir(text)?;
        let captures = if groups {
            WhichCaptures::All
        } else {
            WhichCaptures::Implicit
        };
        let config = Config::new()
            .utf8_empty(false)
            .hybrid_cache_capacity(CACHE_BYTES)
            .nfa_size_limit(Some(PROGRAM_BYTES))
            .which_captures(captures)
            .onepass(false)
            .dfa(false);
        let regex = Regex::builder().configure(config).build_from_hir(&hir);
        let regex = regex.map_err(|error| one_line(&error.to_string()))?;
        let bounded = Bounded::of(&hir, CACHE_BYTES, PROGRAM_BYTES);
        Ok(Pattern {
            text: text.into(),
            regex,
            bounded: bounded.map_err(|error| one_line(&error))?.map(Box::new),
        })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// What has to be asked in place of the engine where that would take too long.
    pub fn bounded(&self) -> Option<&Bounded> {
        self.bounded.as_deref()
    }

    pub fn counts(&self) -> bool {
        self.bounded.is_some()
    }

    /// Off the request's hot path: takes its memory from a pool.
    pub fn matches(&self, value: &[u8]) -> bool {
        self.regex.is_match(value)
    }

    /// Where a match could end first.
    pub fn end_with(&self, cache: &mut Cache, value: &[u8]) -> Option<usize> {
        let input = Input::new(value).earliest(true).anchored(Anchored::No);
        let found = self.regex.search_half_with(cache, &input);
        found.map(|found| found.offset())
    }

    /// Where the whole match in a part of a value, and its groups, are: what stands around the part
    /// is seen. `captures` is of this pattern.
    pub fn captures_with(
        &self,
        cache: &mut Cache,
        captures: &mut Captures,
        (value, part): (&[u8], Range<usize>),
    ) -> bool {
        let input = Input::new(value).range(part);
        self.regex.search_captures_with(cache, &input, captures);
        captures.is_match()
    }

    pub fn cache(&self) -> Cache {
        self.regex.create_cache()
    }

    pub fn empty_captures(&self) -> Captures {
        self.regex.create_captures()
    }
}

/// The meaning of a pattern, for compiling it and for finding out what it requires.
pub fn hir(text: &str) -> Result<Hir, String> {
    let config = syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .nest_limit(NESTING);
    let said = look_around::without(text);
    let text = said.as_deref().unwrap_or(text);
    let hir = syntax::parse_with(&dialect(text), &config);
    hir.map_err(|error| one_line(&error.to_string()))
}

/// Errors of the parser draw the pattern; the last line says what is wrong.
fn one_line(error: &str) -> String {
    let last = error.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// From the dialect of PCRE to that of this engine.
fn dialect(text: &str) -> String {
    let mut translation = Translation {
        rest: text.as_bytes(),
        out: String::with_capacity(text.len() + 16),
    };
    while let Some(byte) = translation.take() {
        translation.outside(byte);
    }
    translation.out
}

struct Translation<'a> {
    rest: &'a [u8],
    out: String,
}

impl Translation<'_> {
    fn take(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn skip(&mut self, prefix: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn outside(&mut self, byte: u8) {
        match byte {
            b'\\' => self.escape(),
            b'[' => self.class(),
            b'(' if self.skip(b"?>") => self.out.push_str("(?:"),
            b'{' if !is_repetition(self.rest) => self.out.push_str("\\{"),
            b'}' | b'*' | b'+' | b'?' => {
                self.out.push(char::from(byte));
                // The possessive mark, of which an unescaped brace could be no part.
                if byte != b'}' || self.closes_repetition() {
                    self.skip(b"+");
                }
            }
            other => self.literal(other),
        }
    }

    fn closes_repetition(&self) -> bool {
        let open = self.out.rfind('{');
        open.is_some_and(|open| {
            !self.out[..open].ends_with('\\') && is_repetition(&self.out.as_bytes()[open + 1..])
        })
    }

    fn literal(&mut self, byte: u8) {
        if byte.is_ascii() {
            self.out.push(char::from(byte));
        } else {
            self.byte(byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        use std::fmt::Write;
        // Writing to a string cannot fail.
        let _ = write!(self.out, "\\x{byte:02x}");
    }

    fn escape(&mut self) {
        let Some(byte) = self.take() else {
            self.out.push('\\');
            return;
        };
        match byte {
            b'<' | b'>' => self.out.push(char::from(byte)),
            b'e' => self.byte(0x1b),
            b'h' => self.out.push_str("[ \\t]"),
            b'Z' => self.out.push_str("\\z"),
            b'x' => self.hexadecimal(),
            byte if byte.is_ascii() => self.out.extend(['\\', char::from(byte)]),
            byte => self.byte(byte),
        }
    }

    /// `\x41` and `\x{41}` are one byte; with fewer digits than two the rest is zero.
    fn hexadecimal(&mut self) {
        let braced = self.skip(b"{");
        let mut value = 0_u32;
        let limit = if braced { 8 } else { 2 };
        for _ in 0..limit {
            let digit = self.rest.first().and_then(|&d| char::from(d).to_digit(16));
            let Some(digit) = digit else { break };
            value = value.saturating_mul(16).saturating_add(digit);
            self.take();
        }
        if braced && !self.skip(b"}") {
            self.out.push_str("\\x{");
            return;
        }
        match u8::try_from(value) {
            Ok(byte) => self.byte(byte),
            // No byte has this value, so nothing can match: left to the parser to refuse.
            Err(_) => self.out.push_str("\\x{110000}"),
        }
    }

    /// What stands between brackets: signs that have a meaning there only for this engine are
    /// escaped.
    fn class(&mut self) {
        self.out.push('[');
        if self.skip(b"^") {
            self.out.push('^');
        }
        if self.skip(b"]") {
            self.out.push_str("\\]");
        }
        let mut has_start = false;
        while let Some(byte) = self.take() {
            match byte {
                b']' => {
                    self.out.push(']');
                    return;
                }
                b'\\' if self.skip(b"h") => self.out.push_str(" \\t"),
                b'\\' if self.skip(b"b") => self.byte(8),
                b'\\' => self.escape(),
                b'[' if self.rest.starts_with(b":") => self.posix(),
                b'[' | b'&' | b'~' => self.out.extend(['\\', char::from(byte)]),
                b'-' if self.rest.starts_with(b"-") && has_start => {
                    self.take();
                    self.out.push_str("-\\-");
                }
                b'-' if self.rest.starts_with(b"-") => self.out.push_str("\\-"),
                other => self.literal(other),
            }
            has_start = true;
        }
    }

    fn posix(&mut self) {
        let end = self.rest.windows(2).position(|pair| pair == b":]");
        let name = end.map(|end| &self.rest[..end + 2]);
        match name {
            Some(name)
                if name[1..name.len() - 2]
                    .iter()
                    .all(|b| b.is_ascii_lowercase() || *b == b'^') =>
            {
                self.out.push('[');
                self.out.extend(name.iter().map(|&b| char::from(b)));
                self.rest = &self.rest[name.len()..];
            }
            _ => self.out.push_str("\\["),
        }
    }
}

/// Whether what follows an opening brace makes it `{n}`, `{n,}` or `{n,m}`.
fn is_repetition(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|&b| b == b'}') else {
        return false;
    };
    let text = &text[..end];
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    match text.iter().position(|&b| b == b',') {
        Some(comma) => comma > 0 && digits(&text[..comma]) && digits(&text[comma + 1..]),
        None => !text.is_empty() && digits(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_is_translated() {
        for (pattern, matching, other) in [
            (r"a{b", &b"a{b"[..], &b"ab"[..]),
            (r"^a{2}b{1,}$", b"aab", b"ab"),
            (r"^a++b*+$", b"aab", b"c"),
            (r"^(?>ab)$", b"ab", b"a"),
            (r"^[[a]$", b"[", b"b"),
            (r"^[+--]$", b",", b"."),
            (r"^[--0]$", b".", b"a"),
            (r"^[a&&b]$", b"&", b"c"),
            (r"^[[:digit:]x]$", b"7", b"y"),
            (r"^\<a\/\>$", b"<a/>", b"a"),
            (r"^[\x5c\h]$", b"\t", b"h"),
            (r"^\x{c2}\xb4$", b"\xc2\xb4", b"\xb4"),
            ("^\u{b4}$", "\u{b4}".as_bytes(), b"\xb4"),
            (r"^.$", b"\n", b""),
            (r"a$", b"a", b"a\n"),
            (r"^[^]]$", b"a", b"]"),
            (r"(?i)^K$", b"k", b"\xe2\x84\xaa"),
        ] {
            let compiled = Pattern::compile(pattern, false).unwrap();
            assert!(compiled.matches(matching), "{pattern}");
            assert!(!compiled.matches(other), "{pattern}");
        }
    }

    #[test]
    fn what_is_not_linear_is_refused() {
        for pattern in [
            r"(?=a)b",
            r"a(?<!a)",
            r"(a)\1",
            r"a(",
            r"[a",
            r"\",
            r"a{9999}{9999}",
            r"\x{100}",
        ] {
            assert!(Pattern::compile(pattern, false).is_err(), "{pattern}");
        }
    }
}
