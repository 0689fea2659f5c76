//! One search for all texts that rules require, in any case.
//!
//! Of each text, the three bytes in a row that plain text holds least often are its anchor. A map of
//! bits says of nearly every place of a value that no anchor is there; only where one is are the texts
//! behind it compared. No step waits for the one before, as the steps of an automaton do, and what
//! was met once is not compared again.

use std::ops::Range;

use crate::policy::waf::prefilter::bits::Bits;

/// Sets the case of all letters aside, and tells some other bytes apart no more.
const FOLD: u32 = 0x0020_2020;
const PAIR: u32 = 0x0000_ffff;

/// The map of anchors has so many bits, as a power of two: it stays in the first cache.
const MAP: u32 = 17;

/// How much a text more behind an anchor counts against it.
const CROWD: u32 = 24;

/// From this length on a search has maps of its own.
const LONG: usize = 4096;

/// Of all bytes, the most frequent in plain text first.
const FREQUENT: &[u8] = b" etaoinsrhldcumfpg-./wyb_,vk=:1203456789xjqz";

/// The texts, and where they have to be looked for.
#[derive(Debug)]
pub struct Search {
    /// By the hash of an anchor.
    map: Map<{ 1 << (MAP - 6) }>,
    /// Texts of two bytes are anchors of their own, in a map without hashes.
    pairs: Map<1024>,
    has_pairs: bool,
    /// In the order of the bits that are set in the maps, `map` first.
    anchors: Box<[Anchor]>,
    texts: Box<[Text]>,
    bytes: Box<[u8]>,
    /// Each set of rules that requires the same texts.
    rules: Box<[Bits]>,
}

/// A set of places that numbers its members in their order.
#[derive(Debug)]
struct Map<const WORDS: usize> {
    bits: Box<[u64; WORDS]>,
    /// How many members stand before each word, read only where one is met.
    before: Box<[u32; WORDS]>,
}

impl<const WORDS: usize> Map<WORDS> {
    fn new() -> Self {
        Map {
            bits: Box::new([0; WORDS]),
            before: Box::new([0; WORDS]),
        }
    }

    fn insert(&mut self, place: usize) {
        self.bits[place / 64] |= 1 << (place % 64);
    }

    /// Numbers the members from `first` on; the number that is next.
    fn number(&mut self, first: u32) -> u32 {
        let words = self.bits.iter().zip(self.before.iter_mut());
        words.fold(first, |next, (word, before)| {
            *before = next;
            next + word.count_ones()
        })
    }

    fn number_of(&self, place: usize) -> usize {
        let before = self.bits[place / 64] & ((1 << (place % 64)) - 1);
        (self.before[place / 64] + before.count_ones()) as usize
    }
}

#[derive(Debug)]
struct Anchor {
    /// All rules of its texts.
    rules: Bits,
    texts: Range<u32>,
}

#[derive(Debug)]
struct Text {
    /// So many of its bytes stand before the anchor.
    before: u32,
    bytes: Range<u32>,
    rules: u32,
}

/// A text that is to be placed: its bytes in small letters, and the number of its rules.
struct Unplaced {
    place: usize,
    before: usize,
    bytes: Vec<u8>,
    rules: u32,
}

/// The maps that a search goes by: those of all searches, which stay as they are, or its own.
struct Maps<M, P>(M, P);

trait Words {
    fn has(&self, place: usize) -> bool;

    fn clear(&mut self, place: usize);
}

impl<const WORDS: usize> Words for &[u64; WORDS] {
    #[inline(always)]
    fn has(&self, place: usize) -> bool {
        self[place / 64] >> (place % 64) & 1 == 1
    }

    fn clear(&mut self, _: usize) {}
}

impl<const WORDS: usize> Words for &mut [u64; WORDS] {
    #[inline(always)]
    fn has(&self, place: usize) -> bool {
        self[place / 64] >> (place % 64) & 1 == 1
    }

    #[inline(always)]
    fn clear(&mut self, place: usize) {
        self[place / 64] &= !(1 << (place % 64));
    }
}

impl Search {
    /// Of texts in small letters, of two bytes at least.
    pub fn of(texts: impl IntoIterator<Item = (Vec<u8>, Bits)>) -> Search {
        let mut rules: Vec<Bits> = Vec::new();
        let mut texts: Vec<(Vec<u8>, u32)> = texts
            .into_iter()
            .map(|(text, of)| {
                let known = rules.iter().position(|known| *known == of);
                let number = known.unwrap_or_else(|| {
                    rules.push(of);
                    rules.len() - 1
                });
                (text, narrow(number))
            })
            .collect();
        // Those that have little choice choose first.
        texts.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        let mut crowds = vec![0u32; 1 << MAP];
        let placed = texts
            .into_iter()
            .map(|(bytes, rules)| Unplaced::choose(bytes, rules, &mut crowds));
        Search::built(placed.collect(), rules)
    }

    fn built(mut placed: Vec<Unplaced>, rules: Vec<Bits>) -> Search {
        placed.sort_by_key(|text| text.place);
        let mut search = Search {
            map: Map::new(),
            pairs: Map::new(),
            has_pairs: false,
            anchors: Box::default(),
            texts: Box::default(),
            bytes: Box::default(),
            rules: rules.into(),
        };
        let (mut anchors, mut texts, mut bytes) = (Vec::<Anchor>::new(), Vec::new(), Vec::new());
        let mut last = None;
        for text in placed {
            let at = narrow(texts.len());
            if last != Some(text.place) {
                last = Some(text.place);
                search.mark(text.place);
                anchors.push(Anchor {
                    rules: Bits::default(),
                    texts: at..at,
                });
            }
            if let Some(anchor) = anchors.last_mut() {
                anchor.rules |= search.rules[text.rules as usize];
                anchor.texts.end = at + 1;
            }
            let start = narrow(bytes.len());
            bytes.extend_from_slice(&text.bytes);
            texts.push(Text {
                before: narrow(text.before),
                bytes: start..narrow(bytes.len()),
                rules: text.rules,
            });
        }
        let next = search.map.number(0);
        search.pairs.number(next);
        search.anchors = anchors.into();
        search.texts = texts.into();
        search.bytes = bytes.into();
        search
    }

    fn mark(&mut self, place: usize) {
        match place.checked_sub(1 << MAP) {
            Some(pair) => {
                self.has_pairs = true;
                self.pairs.insert(pair);
            }
            None => self.map.insert(place),
        }
    }

    /// Those of the wanted rules of which a text stands in the value.
    pub fn met(&self, value: &[u8], wanted: Bits) -> Bits {
        let mut open = wanted;
        if value.len() < LONG {
            self.look(
                value,
                &mut open,
                &mut Maps(&*self.map.bits, &*self.pairs.bits),
            );
        } else {
            self.look_long(value, &mut open);
        }
        wanted.without(&open)
    }

    /// An anchor behind which there is nothing left to find is taken out of a copy of the maps:
    /// those that plain text is full of are soon among them.
    #[inline(never)]
    fn look_long(&self, value: &[u8], open: &mut Bits) {
        let (mut map, mut pairs) = (*self.map.bits, *self.pairs.bits);
        self.look(value, open, &mut Maps(&mut map, &mut pairs));
    }

    #[inline(always)]
    fn look<M: Words, P: Words>(&self, value: &[u8], open: &mut Bits, maps: &mut Maps<M, P>) {
        for (at, four) in value.windows(4).enumerate() {
            self.look_at(window(four), value, at, open, maps);
        }
        // The last windows are not full.
        for at in value.len().saturating_sub(3)..value.len().saturating_sub(1) {
            let mut four = [0; 4];
            let rest = &value[at..];
            four[..rest.len()].copy_from_slice(rest);
            self.look_at(window(&four), value, at, open, maps);
        }
    }

    #[inline(always)]
    fn look_at<M: Words, P: Words>(
        &self,
        window: u32,
        value: &[u8],
        at: usize,
        open: &mut Bits,
        maps: &mut Maps<M, P>,
    ) {
        let place = hash(window);
        if maps.0.has(place) && !self.compare(self.map.number_of(place), value, at, open) {
            maps.0.clear(place);
        }
        let place = (window & PAIR) as usize;
        if self.has_pairs
            && maps.1.has(place)
            && !self.compare(self.pairs.number_of(place), value, at, open)
        {
            maps.1.clear(place);
        }
    }

    /// False if there was nothing left to find behind the anchor.
    #[inline(never)]
    fn compare(&self, number: usize, value: &[u8], at: usize, open: &mut Bits) -> bool {
        let anchor = &self.anchors[number];
        if !anchor.rules.meets(open) {
            return false;
        }
        for text in &self.texts[anchor.texts.start as usize..anchor.texts.end as usize] {
            let rules = &self.rules[text.rules as usize];
            let bytes = &self.bytes[text.bytes.start as usize..text.bytes.end as usize];
            let start = at.checked_sub(text.before as usize);
            let part = start.and_then(|start| value.get(start..start + bytes.len()));
            if part.is_some_and(|part| part.eq_ignore_ascii_case(bytes)) {
                *open = open.without(rules);
            }
        }
        true
    }
}

impl Unplaced {
    fn choose(bytes: Vec<u8>, rules: u32, crowds: &mut [u32]) -> Unplaced {
        let at = |before: usize| {
            let three = &bytes[before..before + 3];
            let place = hash(window(&[three[0], three[1], three[2], 0]));
            let common: u32 = three.iter().map(|&byte| frequency(byte)).sum();
            (common + CROWD * crowds[place], before, place)
        };
        let best = (0..bytes.len().saturating_sub(2)).map(at).min();
        let (before, place) = match best {
            Some((_, before, place)) => {
                crowds[place] += 1;
                (before, place)
            }
            None => {
                let pair = window(&[bytes[0], bytes[1], 0, 0]) & PAIR;
                (0, (1 << MAP) + pair as usize)
            }
        };
        Unplaced {
            place,
            before,
            bytes,
            rules,
        }
    }
}

/// Three bytes, of which case is set aside.
#[inline]
fn window(four: &[u8]) -> u32 {
    let four = four.first_chunk().copied().unwrap_or_default();
    (u32::from_le_bytes(four) & 0x00ff_ffff) | FOLD
}

#[inline]
fn hash(window: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> (32 - MAP)) as usize
}

fn frequency(byte: u8) -> u32 {
    let place = FREQUENT.iter().position(|&known| known == byte | 0x20);
    place.map_or(0, |place| narrow(FREQUENT.len() - place))
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(texts: &[&str]) -> Search {
        Search::of(texts.iter().enumerate().map(|(rule, text)| {
            let mut rules = Bits::default();
            rules.insert(rule);
            (text.as_bytes().to_vec(), rules)
        }))
    }

    fn every(texts: &[&str]) -> Bits {
        let mut all = Bits::default();
        (0..texts.len()).for_each(|rule| all.insert(rule));
        all
    }

    #[test]
    fn texts_are_met_at_both_ends_and_in_any_case() {
        let texts = ["ab", "abc", "(x", "union select", "c\u{e9}d"];
        let search = search(&texts);
        let met = |value: &str| {
            let met = search.met(value.as_bytes(), every(&texts));
            met.iter().collect::<Vec<_>>()
        };
        assert!(met("").is_empty() && met("a").is_empty());
        assert_eq!(met("ab"), [0]);
        assert_eq!(met("AbC"), [0, 1]);
        assert_eq!(met("..(X"), [2]);
        assert_eq!(met("(x.."), [2]);
        assert_eq!(met("UNION SELECT"), [3]);
        assert_eq!(met("c\u{e9}D"), [4]);
        assert!(met("union  select").is_empty());
    }

    #[test]
    fn long_values_are_searched_to_their_end() {
        let texts = ["ab", "abc", "xyz", "xyzz", "q(r"];
        let search = search(&texts);
        let mut value = "ab xyz ".repeat(LONG);
        let met = |value: &str| {
            let met = search.met(value.as_bytes(), every(&texts));
            met.iter().collect::<Vec<_>>()
        };
        assert_eq!(met(&value), [0, 2]);
        value += "xyzz q(r abc";
        assert_eq!(met(&value), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn rules_that_are_not_wanted_are_not_met() {
        let search = search(&["ab", "bc"]);
        let mut wanted = Bits::default();
        wanted.insert(1);
        assert_eq!(search.met(b"abc", wanted), wanted);
        assert!(!search.met(b"abc", Bits::default()).any());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn it_meets_what_stands_there(
            texts in prop::collection::vec("[a-c({@`. ]{2,5}", 1..40),
            value in "[a-cA-C({@`. ]{0,24}",
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let met = search(&texts).met(value.as_bytes(), every(&texts));
            let small = value.to_ascii_lowercase();
            for (rule, text) in texts.iter().enumerate() {
                prop_assert_eq!(met.contains(rule), small.contains(text), "{}", text);
            }
        }
    }
}
