//! Patterns that look around, said without it where that is exact: behind at the start of an
//! alternative of the whole pattern, ahead at the end of one, and for a list of words.
//!
//! There nothing else binds what stands around, so that a look becomes a part of the match:
//!
//! ```text
//! <\?(?!xml)      <\?(?:\z|[^x]|x(?:\z|[^m]|m(?:\z|[^l])))
//! (?<!&lt);       (?:\A|[^t]|(?:\A|[^l]|(?:\A|[^&])l)t);
//! ```
//! The same values match. The match as a whole is longer by what was looked at.

use std::collections::BTreeSet;
use std::fmt::Write;

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::policy::waf::pattern;

/// So many words may be looked for.
const WORDS: usize = 512;

/// Where a look goes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Behind,
    Ahead,
}

/// The pattern without its looks; `None` if it has none that can be said without.
pub fn without(text: &str) -> Option<String> {
    if !["(?=", "(?!", "(?<=", "(?<!"]
        .iter()
        .any(|look| text.contains(look))
    {
        return None;
    }
    let (flags, rest) = flags(text);
    // Flags that begin within would have to be followed through the groups.
    let any_case = flags.contains('i');
    if rest.contains("(?i)") {
        return None;
    }
    let alternatives = alternatives(rest).into_iter();
    let said: Option<Vec<String>> = alternatives
        .map(|each| alternative(each, any_case))
        .collect();
    let said = format!("{flags}{}", said?.join("|"));
    (said != text).then_some(said)
}

/// Leading flags such as `(?i)`.
fn flags(text: &str) -> (&str, &str) {
    let end = text.strip_prefix("(?").and_then(|rest| {
        let end = rest.find(|sign: char| !sign.is_ascii_lowercase())?;
        (end > 0 && rest[end..].starts_with(')')).then_some(end + 3)
    });
    text.split_at(end.unwrap_or(0))
}

/// The places of signs that stand outside of classes and are not escaped, with how deep in groups.
fn signs(text: &str) -> impl Iterator<Item = (usize, u8, usize)> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut class) = (0, 0, None);
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let here = at;
            at += 1;
            match (bytes[here], class) {
                (b'\\', _) => at += 1,
                // A bracket that comes first is one of the class.
                (b']', Some(start)) if here > start => class = None,
                (_, Some(_)) => {}
                (b'[', None) => class = Some(at + usize::from(bytes.get(at) == Some(&b'^'))),
                (b'(', None) => {
                    depth += 1;
                    return Some((here, b'(', depth - 1));
                }
                (b')', None) => {
                    depth = usize::saturating_sub(depth, 1);
                    return Some((here, b')', depth));
                }
                (b'|', None) => return Some((here, b'|', depth)),
                _ => {}
            }
        }
        None
    })
}

fn alternatives(text: &str) -> Vec<&str> {
    let bars = signs(text).filter(|&(_, sign, depth)| sign == b'|' && depth == 0);
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, ..) in bars {
        parts.push(&text[start..at]);
        start = at + 1;
    }
    parts.push(&text[start..]);
    parts
}

fn alternative(text: &str, any_case: bool) -> Option<String> {
    let groups: Vec<(usize, u8, usize)> = signs(text)
        .filter(|&(_, sign, depth)| sign != b'|' && depth == 0)
        .collect();
    let group = |open: Option<&(usize, u8, usize)>, close: Option<&(usize, u8, usize)>| {
        let (&(open, b'(', _), &(close, b')', _)) = (open?, close?) else {
            return None;
        };
        Some((open, close))
    };
    let (mut before, mut after) = (String::new(), String::new());
    let (mut start, mut end) = (0, text.len());
    if let Some((0, close)) = group(groups.first(), groups.get(1))
        && let Some(look) = text[1..close].strip_prefix("?<")
        && look.starts_with(['=', '!'])
        && !text[close + 1..].starts_with(['*', '+', '?', '{'])
    {
        before = said(look, Side::Behind, any_case)?;
        start = close + 1;
    }
    if let Some((open, close)) = group(groups.iter().nth_back(1), groups.last())
        && close + 1 == text.len()
        && open >= start
        && let Some(look) = text[open + 1..close].strip_prefix('?')
        && look.starts_with(['=', '!'])
    {
        after = said(look, Side::Ahead, any_case)?;
        end = open;
    }
    Some(format!("{before}{}{after}", &text[start..end]))
}

/// What a look says: its sign and its words.
fn said(look: &str, side: Side, any_case: bool) -> Option<String> {
    let (sign, words) = look.split_at(1);
    if sign == "=" {
        return Some(format!("(?:{words})"));
    }
    let mut list = all(&pattern::hir(words).ok()?)?;
    for word in &mut list {
        if any_case {
            word.make_ascii_lowercase();
        }
        if side == Side::Behind {
            word.reverse();
        }
    }
    let list: BTreeSet<&[u8]> = list.iter().map(Vec::as_slice).collect();
    lacking(&list, side)
}

/// Matches what stands at a side of a place where none of the words does; `None` if one is empty,
/// for it stands everywhere. The words read away from the place.
fn lacking(words: &BTreeSet<&[u8]>, side: Side) -> Option<String> {
    let firsts: Option<BTreeSet<u8>> = words.iter().map(|word| word.first().copied()).collect();
    let firsts = firsts?;
    let mut out = String::from(match side {
        Side::Behind => r"(?:\A|[^",
        Side::Ahead => r"(?:\z|[^",
    });
    let add = |out: &mut String, byte: u8| {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\x{byte:02x}");
    };
    firsts.iter().for_each(|&first| add(&mut out, first));
    out.push(']');
    for first in firsts {
        let rest = words.iter().filter_map(|word| word.strip_prefix(&[first]));
        let Some(rest) = lacking(&rest.collect(), side) else {
            continue;
        };
        out.push('|');
        if side == Side::Behind {
            out.push_str(&rest);
        }
        add(&mut out, first);
        if side == Side::Ahead {
            out.push_str(&rest);
        }
    }
    out.push(')');
    Some(out)
}

/// All that a pattern matches, if these are a few words.
fn all(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let list = match hir.kind() {
        HirKind::Empty => vec![Vec::new()],
        HirKind::Literal(literal) => vec![literal.0.to_vec()],
        HirKind::Class(Class::Bytes(class)) => {
            let ranges = class.iter();
            let bytes = ranges.flat_map(|range| range.start()..=range.end());
            bytes.map(|byte| vec![byte]).collect()
        }
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.iter();
            let signs = ranges.flat_map(|range| range.start()..=range.end());
            signs
                .take(WORDS + 1)
                .map(|sign| sign.to_string().into())
                .collect()
        }
        HirKind::Capture(capture) => all(&capture.sub)?,
        HirKind::Concat(parts) => {
            let mut whole = vec![Vec::new()];
            for part in parts {
                let tails = all(part)?;
                let pairs = whole.iter().flat_map(|head: &Vec<u8>| {
                    tails
                        .iter()
                        .map(move |tail| [head.as_slice(), tail].concat())
                });
                whole = pairs.take(WORDS + 1).collect();
            }
            whole
        }
        HirKind::Alternation(parts) => {
            let lists: Option<Vec<_>> = parts.iter().map(all).collect();
            lists?.concat()
        }
        HirKind::Repetition(_) | HirKind::Look(_) => return None,
    };
    (list.len() <= WORDS).then_some(list)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::waf::pattern::Pattern;

    fn matches(pattern: &str, value: &str) -> bool {
        let pattern = Pattern::compile(pattern, false).unwrap();
        pattern.matches(value.as_bytes())
    }

    #[test]
    fn looks_at_the_ends_are_said_without() {
        for (pattern, matching, other) in [
            (r"<\?(?!xml)", "<?php", "<?xml"),
            (r"<\?(?!xml)", "<?xm", "<xm"),
            (r"<\?(?!xml)", "<?", "<"),
            (r"(?i)<\?(?!xml)", "<?XMx", "<?XML"),
            (r"(?<!&lt|&(?:g|q)t);|=", "&mt;", "&qt;"),
            (r"(?<!&lt|&(?:g|q)t);|=", "lt;", "&lt;"),
            (r"(?<!&lt|&(?:g|q)t);|=", "&lt=", ""),
            (r"(?<!&lt|&(?:g|q)t);|=", ";", "&gt;"),
            (r"(?<=a)b(?=c|d)", "abd", "abe"),
            (r"[(|](?!a)", "(b", "|a"),
        ] {
            assert!(matches(pattern, matching), "{pattern} {matching}");
            assert!(!matches(pattern, other), "{pattern} {other}");
        }
    }

    #[test]
    fn looks_elsewhere_are_left_as_they_are() {
        for pattern in [
            r"(?=a)b",
            r"a(?!b)c",
            r"(?:a(?!b))+",
            r"a(?!b*)",
            r"a(?!\b)",
            r"a(?!)",
            r"(?!\1)(a)",
            r"(a(?i)b)(?!c)",
            r"a(?<!b)",
            r"(?<!a){2}b",
        ] {
            assert!(Pattern::compile(pattern, false).is_err(), "{pattern}");
        }
        assert!(Pattern::compile(r"(a)(?!b)", true).is_err());
        assert_eq!(without("(a)[(?!]b"), None);
        assert_eq!(without("ab"), None);
    }

    proptest! {
        #[test]
        fn they_say_the_same(value in "[abc;]{0,6}") {
            const WORDS: [&str; 4] = ["ab", "b", "ca", "cab"];
            let places: Vec<usize> = value.match_indices(';').map(|(at, _)| at).collect();
            let ahead = places.iter().any(|at| !WORDS.iter().any(|word| value[at + 1..].starts_with(word)));
            let behind = places.iter().any(|&at| !WORDS.iter().any(|word| value[..at].ends_with(word)));
            prop_assert_eq!(matches(";(?!ab|b|ca|cab)", &value), ahead);
            prop_assert_eq!(matches("(?<!ab|b|ca|cab);", &value), behind);
        }
    }
}
