//! What a value must hold for a pattern to match it: one of some texts, and a byte of each of some
//! sets.
//!
//! Both say less than the pattern does, never more. Case counts nowhere, so that a value may be
//! looked at before its letters are made small.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::policy::waf::transform::ByteSet;

/// An alternative may have so many texts, all alternatives together.
const TEXTS: usize = 1024;
/// Texts are multiplied out up to so many.
const PRODUCT: usize = 64;
/// A class of more letters is not multiplied out.
const LETTERS: usize = 6;
/// So many sets are kept, the narrowest ones.
const SETS: usize = 4;
/// A shorter text stands in too many values.
const SHORTEST: usize = 2;

#[derive(Clone, Debug, Default)]
pub struct Requirement {
    /// One of these stands in every match, in any case; `None` if nothing is known.
    pub texts: Option<Vec<Vec<u8>>>,
    /// A byte of each of these stands in every match.
    pub sets: Vec<ByteSet>,
}

impl Requirement {
    pub fn of(hir: &Hir) -> Requirement {
        let mut node = node(hir);
        let texts = node.best();
        node.sets.retain(|set| weight(set) < weight(&all()));
        narrowest(&mut node.sets);
        Requirement {
            texts,
            sets: node.sets,
        }
    }

    /// Any one of these texts, which need not be patterns.
    pub fn of_texts<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Requirement {
        let texts: Vec<Vec<u8>> = texts.map(<[u8]>::to_ascii_lowercase).collect();
        if texts.iter().all(|text| text.len() >= SHORTEST) {
            return Requirement {
                texts: (!texts.is_empty()).then_some(texts),
                sets: Vec::new(),
            };
        }
        // Texts too short to be searched for: the first byte of one of them has to be there.
        let firsts: Option<Vec<u8>> = texts.iter().map(|text| text.first().copied()).collect();
        firsts.map_or_else(Requirement::default, |firsts| {
            Requirement::of_set(ByteSet::named(&firsts))
        })
    }

    /// A byte of this set.
    pub fn of_set(set: ByteSet) -> Requirement {
        Requirement {
            texts: None,
            sets: vec![in_any_case(set)],
        }
    }
}

/// What is known of a part of a pattern.
#[derive(Default)]
struct Node {
    /// All that it matches, if that is little.
    exact: Option<Vec<Vec<u8>>>,
    texts: Option<Vec<Vec<u8>>>,
    sets: Vec<ByteSet>,
}

impl Node {
    fn exact(texts: Vec<Vec<u8>>) -> Node {
        Node {
            exact: Some(texts),
            ..Node::default()
        }
    }

    /// The texts of which one is required, the best that are known.
    fn best(&self) -> Option<Vec<Vec<u8>>> {
        better(self.exact.clone(), self.texts.clone())
    }
}

/// The list whose worst text is the rarer one; lists with too short a text are worth nothing.
fn better(a: Option<Vec<Vec<u8>>>, b: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let usable = |list: Option<Vec<Vec<u8>>>| list.filter(|list| value_of(list).0 > 0);
    match (usable(a), usable(b)) {
        (Some(a), Some(b)) => Some(if value_of(&a) >= value_of(&b) { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// How rare the most common text is, and how few there are; nothing if one is too short.
fn value_of(list: &[Vec<u8>]) -> (usize, usize) {
    let rarity = |text: &Vec<u8>| match text.len() {
        short if short < SHORTEST => 0,
        _ => text
            .iter()
            .take(6)
            .map(|byte| if byte.is_ascii_alphanumeric() { 2 } else { 3 })
            .sum(),
    };
    let worst = list.iter().map(rarity).min().unwrap_or(0);
    (worst, usize::MAX - list.len())
}

fn node(hir: &Hir) -> Node {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Node::exact(vec![Vec::new()]),
        HirKind::Literal(literal) => {
            let text = literal.0.to_ascii_lowercase();
            let sets = text
                .iter()
                .map(|&byte| in_any_case(ByteSet::named(&[byte])));
            Node {
                sets: sets.collect(),
                ..Node::exact(vec![text.clone()])
            }
        }
        HirKind::Class(class) => of_class(class),
        HirKind::Capture(capture) => node(&capture.sub),
        HirKind::Repetition(repetition) => {
            let sub = node(&repetition.sub);
            repeated(sub, repetition.min, repetition.max)
        }
        HirKind::Concat(parts) => concatenated(parts.iter().map(node)),
        HirKind::Alternation(parts) => alternated(parts.iter().map(node).collect()),
    }
}

fn of_class(class: &Class) -> Node {
    let mut set = ByteSet::named(b"");
    match class {
        Class::Bytes(class) => {
            for range in class.iter() {
                set = set.or(ByteSet::range(range.start(), range.end()));
            }
        }
        // Without Unicode there are none but of ASCII; any other is not looked into.
        Class::Unicode(class) => {
            for range in class.iter() {
                let (Ok(start), Ok(end)) = (u8::try_from(range.start()), u8::try_from(range.end()))
                else {
                    return Node::default();
                };
                if !end.is_ascii() {
                    return Node::default();
                }
                set = set.or(ByteSet::range(start, end));
            }
        }
    }
    let set = in_any_case(set);
    let small = (0..=u8::MAX).filter(|byte| set.contains(*byte) && !byte.is_ascii_uppercase());
    let small: Vec<Vec<u8>> = small.take(LETTERS + 1).map(|byte| vec![byte]).collect();
    Node {
        exact: (small.len() <= LETTERS).then_some(small),
        texts: None,
        sets: vec![set],
    }
}

fn repeated(sub: Node, min: u32, max: Option<u32>) -> Node {
    match (min, max) {
        (0, Some(1)) => Node {
            exact: sub.exact.map(|mut texts| {
                texts.push(Vec::new());
                texts
            }),
            ..Node::default()
        },
        (0, _) => Node::default(),
        (1, Some(1)) => sub,
        _ => Node {
            texts: sub.best(),
            exact: None,
            sets: sub.sets,
        },
    }
}

fn concatenated(parts: impl Iterator<Item = Node>) -> Node {
    let mut whole = Node::default();
    let mut open: Vec<Vec<u8>> = vec![Vec::new()];
    let mut is_exact = true;
    for part in parts {
        whole.sets.extend(part.sets);
        narrowest(&mut whole.sets);
        let product = part.exact.as_ref().map(|texts| texts.len() * open.len());
        match part.exact {
            Some(texts) if product.is_some_and(|product| product <= PRODUCT) => {
                open = crossed(&open, &texts);
            }
            exact => {
                is_exact = false;
                let ended = std::mem::replace(&mut open, vec![Vec::new()]);
                whole.texts = better(whole.texts, Some(ended));
                whole.texts = better(whole.texts, part.texts);
                open = exact.unwrap_or(open);
            }
        }
    }
    if is_exact {
        whole.exact = Some(open);
    } else {
        whole.texts = better(whole.texts, Some(open));
    }
    whole
}

fn crossed(heads: &[Vec<u8>], tails: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let pairs = heads
        .iter()
        .flat_map(|head| tails.iter().map(move |tail| (head, tail)));
    let mut texts: Vec<Vec<u8>> = pairs
        .map(|(head, tail)| [head.as_slice(), tail].concat())
        .collect();
    texts.sort();
    texts.dedup();
    texts
}

fn alternated(parts: Vec<Node>) -> Node {
    let exact: Option<Vec<Vec<u8>>> = parts
        .iter()
        .map(|part| part.exact.clone())
        .collect::<Option<Vec<_>>>()
        .map(|lists| lists.concat())
        .filter(|texts| texts.len() <= TEXTS);
    let texts = parts
        .iter()
        .map(Node::best)
        .collect::<Option<Vec<_>>>()
        .map(|lists| lists.concat())
        .filter(|texts| texts.len() <= TEXTS);
    let narrow = parts
        .iter()
        .map(|part| part.sets.iter().min_by_key(|set| weight(set)));
    let union = narrow.collect::<Option<Vec<_>>>().map(|sets| {
        let sets = sets.into_iter().copied();
        sets.fold(ByteSet::named(b""), ByteSet::or)
    });
    Node {
        exact,
        texts,
        sets: union.into_iter().collect(),
    }
}

/// Keeps the sets that the fewest values meet.
fn narrowest(sets: &mut Vec<ByteSet>) {
    sets.sort_by_cached_key(weight);
    sets.dedup();
    sets.truncate(SETS);
}

/// How likely a value holds a byte of the set.
fn weight(set: &ByteSet) -> u32 {
    let bytes = (0..=u8::MAX).filter(|byte| set.contains(*byte));
    bytes
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' => 16,
            b'0'..=b'9' | b' ' | b'-' | b'.' | b'_' | b'/' => 12,
            0x21..=0x7e => 3,
            _ => 1,
        })
        .sum()
}

const fn all() -> ByteSet {
    ByteSet::range(0, 255)
}

fn in_any_case(set: ByteSet) -> ByteSet {
    let letters = (b'a'..=b'z')
        .filter(|&small| set.contains(small) || set.contains(small.to_ascii_uppercase()));
    let letters: Vec<u8> = letters
        .flat_map(|small| [small, small.to_ascii_uppercase()])
        .collect();
    set.or(ByteSet::named(&letters))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::waf::pattern::{Pattern, hir};

    fn of(pattern: &str) -> Requirement {
        Requirement::of(&hir(pattern).unwrap())
    }

    fn texts(pattern: &str) -> Option<Vec<String>> {
        let texts = of(pattern).texts?;
        Some(
            texts
                .into_iter()
                .map(|text| String::from_utf8(text).unwrap())
                .collect(),
        )
    }

    #[test]
    fn the_rarest_texts_are_required() {
        let list = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(texts("(?i)Select.*From"), list(&["select"]));
        assert_eq!(texts("(?:ab|cd)+x?"), list(&["ab", "cd"]));
        assert_eq!(texts("x(?:ab|[cd]e)"), list(&["xab", "xce", "xde"]));
        assert_eq!(texts("^ab?c$"), list(&["abc", "ac"]));
        assert_eq!(texts("a|bcd"), None);
        assert_eq!(texts("[^a]*"), None);
        assert_eq!(texts(r"\bjava\.lang\b"), list(&["java.lang"]));
    }

    #[test]
    fn bytes_are_required_where_texts_are_not() {
        let sets = of(r"^[^;]*;\s*\w").sets;
        assert!(sets[0].contains(b';') && !sets[0].contains(b'a'));
        assert!(of("[^a]*").sets.is_empty());
    }

    fn holds(requirement: &Requirement, value: &[u8]) -> bool {
        let lower = value.to_ascii_lowercase();
        let seen = ByteSet::of(value);
        let has = |text: &Vec<u8>| {
            text.is_empty() || lower.windows(text.len()).any(|window| window == text)
        };
        requirement
            .texts
            .as_ref()
            .is_none_or(|texts| texts.iter().any(has))
            && requirement.sets.iter().all(|set| seen.meets(set))
    }

    const PATTERNS: &[&str] = &[
        "(?i)(?:a|bc+)d?[x-z]{2}",
        "^(?:ab|a[bc]d|)e*f",
        "[^a]b|c{2,3}(?:d|e)",
        r"(?:\bab|c)\s*(?:d|[e-f])+$",
        "a(?:b(?:c|d)?|e)*f?",
        "(?i:AB)|[a-c]{3}d",
    ];

    proptest! {
        #[test]
        fn a_match_holds_what_is_required(value in "[a-fx-zA-F ]{0,8}") {
            for pattern in PATTERNS {
                let matches = Pattern::compile(pattern, false).unwrap().matches(value.as_bytes());
                prop_assert!(!matches || holds(&of(pattern), value.as_bytes()), "{pattern}");
            }
        }
    }
}
