//! What the rules said of values that come again: names of parameters, enumerations and header
//! fields. Kept is a hash of the value, and which rules may still match it.
//!
//! Only rules behind the prefilter take part, since their first link asks nothing but the value.
//! A rule that said no to a value says no again; a rule that said yes, or was not asked, is asked
//! again. Two hashes of 64 bits with keys that nobody outside knows, so that a value that looks
//! like a benign one cannot be made. Secrets are not kept, not even as hashes, but for bearer
//! tokens, which are too long for anybody to guess what their hash is of: every request of a client
//! brings the same one, longer than all its other fields together.

use std::hash::{BuildHasher, Hasher};
use std::ops::RangeInclusive;

use ahash::{AHashMap, RandomState};

use crate::policy::redact;
use crate::policy::waf::collection::Collection;
use crate::policy::waf::prefilter::Bits;

/// So many values are kept; a new one takes the place of the older of two.
const PLACES: usize = 16 * 1024;

/// So many different answers are kept; then all is forgotten.
const ANSWERS: usize = 4096;

/// Longer values hardly come again.
const LONGEST: usize = 256;

/// Bearer tokens that are known again, in bytes: long enough not to be guessed.
const TOKEN: RangeInclusive<usize> = 64..=4096;

/// What a value is known by: its bytes and the rules that look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key([u64; 2]);

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    key: Key,
    answer: u16,
    variants: u16,
    cost: u32,
}

/// What is known of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The rules that may match it.
    pub found: Bits,
    /// How many forms it has.
    pub variants: usize,
    /// In how many steps that was found out.
    pub cost: usize,
}

#[derive(Debug)]
pub struct Answers {
    seeds: [RandomState; 2],
    places: Vec<Place>,
    /// Each different answer once: most values share one of a few.
    answers: Vec<Bits>,
    numbers: AHashMap<Bits, u16>,
}

impl Default for Answers {
    fn default() -> Answers {
        Answers {
            seeds: [RandomState::new(), RandomState::new()],
            places: Vec::new(),
            answers: Vec::new(),
            numbers: AHashMap::new(),
        }
    }
}

impl Answers {
    /// Forgets all, and takes other seeds: no hash of before is that of a value any more.
    pub fn forget(&mut self) {
        self.seeds = [RandomState::new(), RandomState::new()];
        self.answers.clear();
        self.numbers.clear();
    }

    /// What a value of this class is known by; nothing for guessable secrets and for long values.
    pub fn key(&self, part: Collection, class: u32, name: &[u8], value: &[u8]) -> Option<Key> {
        let is_secret = part == Collection::RequestCookies || redact::is_credential_field(name);
        let is_kept = match is_secret {
            true => is_token(name, value),
            false => value.len() <= LONGEST,
        };
        if !is_kept {
            return None;
        }
        let one = |seed: &RandomState| {
            let mut hasher = seed.build_hasher();
            hasher.write_u32(class);
            hasher.write(value);
            hasher.finish()
        };
        // No key is that of an empty place.
        Some(Key([one(&self.seeds[0]) | 1, one(&self.seeds[1])]))
    }

    pub fn of(&self, key: Key) -> Option<Known> {
        let mut places = places(key).into_iter().filter_map(|at| self.places.get(at));
        let place = places.find(|place| place.key == key)?;
        Some(Known {
            found: self.answers[usize::from(place.answer)],
            variants: usize::from(place.variants),
            cost: place.cost as usize,
        })
    }

    pub fn keep(&mut self, key: Key, known: Known) {
        let answer = known.found;
        if self.places.is_empty() {
            self.places.resize(PLACES, Place::default());
        }
        let number = match self.numbers.get(&answer) {
            Some(&number) => number,
            None => {
                if self.answers.len() == ANSWERS {
                    self.places.fill(Place::default());
                    self.answers.clear();
                    self.numbers.clear();
                }
                let number = u16::try_from(self.answers.len()).unwrap_or(0);
                self.answers.push(answer);
                self.numbers.insert(answer, number);
                number
            }
        };
        let [first, second] = places(key);
        let is_second = self.places[second].key == key;
        let older = self.places[first];
        if !is_second && older.key != key && older.key != Key::default() {
            self.places[second] = older;
        }
        self.places[if is_second { second } else { first }] = Place {
            key,
            answer: number,
            variants: u16::try_from(known.variants).unwrap_or(u16::MAX),
            cost: u32::try_from(known.cost).unwrap_or(u32::MAX),
        };
    }
}

/// RFC 6750 section 2.1.
fn is_token(name: &[u8], value: &[u8]) -> bool {
    let scheme = value.get(..7);
    TOKEN.contains(&value.len())
        && scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
        && name.eq_ignore_ascii_case(b"authorization")
}

/// Where a value may be kept: the younger of two stands first. With one place for each, of 1,900
/// values of one document some 200 drive each other out every time that it comes.
fn places(key: Key) -> [usize; 2] {
    let first = usize::try_from(key.0[0] >> 1).unwrap_or(0) % PLACES;
    [first, first ^ 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use Collection::{ArgsGet, RequestCookies, RequestHeaders};

    fn known(number: usize) -> Known {
        let mut found = Bits::default();
        found.insert(number);
        Known {
            found,
            variants: 3,
            cost: 7,
        }
    }

    #[test]
    fn answers_are_kept_by_class_and_secrets_are_not() {
        let mut answers = Answers::default();
        let key = |answers: &Answers, class, value: &[u8]| {
            answers.key(ArgsGet, class, b"a", value).unwrap()
        };
        let x = key(&answers, 1, b"x");
        assert_eq!(answers.of(x), None);
        answers.keep(x, known(3));
        assert_eq!(answers.of(key(&answers, 1, b"x")), Some(known(3)));
        assert_eq!(answers.of(key(&answers, 2, b"x")), None);
        assert_eq!(answers.of(key(&answers, 1, b"y")), None);
        answers.keep(x, Known::default());
        assert_eq!(answers.of(x), Some(Known::default()));
        for (part, name) in [
            (RequestHeaders, &b"Authorization"[..]),
            (RequestHeaders, b"Cookie"),
            (RequestHeaders, b"x-api-key"),
            (RequestCookies, b"sid"),
        ] {
            assert_eq!(answers.key(part, 1, name, b"x"), None);
        }
        assert_eq!(answers.key(ArgsGet, 1, b"a", &[b'x'; 300]), None);
        answers.forget();
        assert_eq!(answers.of(key(&answers, 1, b"x")), None);
    }

    #[test]
    fn two_values_of_one_place_are_kept_and_the_younger_one_beside_a_third() {
        let mut answers = Answers::default();
        let key = |number: u64| Key([7 | number << 40, number]);
        answers.keep(key(1), known(1));
        answers.keep(key(2), known(2));
        let both = [answers.of(key(1)), answers.of(key(2))];
        assert_eq!(both, [Some(known(1)), Some(known(2))]);
        // What is said of them again stays where it is.
        answers.keep(key(1), known(4));
        answers.keep(key(2), known(5));
        let both = [answers.of(key(1)), answers.of(key(2))];
        assert_eq!(both, [Some(known(4)), Some(known(5))]);
        answers.keep(key(3), known(3));
        let all = [key(1), key(2), key(3)].map(|key| answers.of(key));
        assert_eq!(all, [None, Some(known(5)), Some(known(3))]);
    }

    #[test]
    fn a_bearer_token_is_known_again_where_nobody_can_guess_it() {
        let answers = Answers::default();
        let kept = |name: &[u8], scheme: &str, length: usize| {
            let value = format!("{scheme} {}", "x".repeat(length));
            let value = &value.as_bytes()[..length];
            answers.key(RequestHeaders, 1, name, value).is_some()
        };
        assert!(kept(b"authorization", "Bearer", 64));
        assert!(kept(b"Authorization", "bearer", 4096));
        assert!(!kept(b"Authorization", "Bearer", 63));
        assert!(!kept(b"Authorization", "Bearer", 4097));
        assert!(!kept(b"Authorization", "Basic", 64));
        assert!(!kept(b"Proxy-Authorization", "Bearer", 64));
        assert!(!kept(b"x-api-key", "Bearer", 64));
    }

    #[test]
    fn too_many_answers_are_forgotten_together() {
        let mut answers = Answers::default();
        for number in 0..=ANSWERS {
            let mut answer = Known::default();
            (0..13).for_each(|bit| {
                if number >> bit & 1 == 1 {
                    answer.found.insert(bit);
                }
            });
            let value = number.to_string();
            let key = answers.key(ArgsGet, 1, b"a", value.as_bytes()).unwrap();
            answers.keep(key, answer);
            assert_eq!(answers.of(key), Some(answer));
        }
        assert_eq!(answers.answers.len(), 1);
    }
}
