//! Which rules of a phase have to run, given which could match.

use crate::policy::waf::prefilter::{Bits, Prefilter};

const NOWHERE: u16 = u16::MAX;

/// Where the rules of one phase stand in its list.
#[derive(Debug)]
pub struct Schedule {
    /// A bit for each rule that runs whatever the message holds.
    always: Box<[u64]>,
    /// By the number of a rule behind the prefilter, of the request and of the response.
    request: Box<[u16]>,
    response: Box<[u16]>,
}

/// The places of rules that have to run, in order.
#[derive(Debug, Default)]
pub struct Due(Vec<u64>);

impl Schedule {
    pub fn of(list: &[u16], request: &Prefilter, response: &Prefilter) -> Schedule {
        let mut schedule = Schedule {
            always: vec![0; list.len().div_ceil(64)].into(),
            request: vec![NOWHERE; request.extent().0].into(),
            response: vec![NOWHERE; response.extent().0].into(),
        };
        for (at, &rule) in list.iter().enumerate() {
            let place = u16::try_from(at).unwrap_or(NOWHERE);
            match (request.number(rule), response.number(rule)) {
                (Some(number), _) => schedule.request[number] = place,
                (None, Some(number)) => schedule.response[number] = place,
                (None, None) => set(&mut schedule.always, at),
            }
        }
        schedule
    }

    /// Takes down the rules that run always, and of the others those that could match.
    pub fn write(&self, (request, response): (Bits, Bits), due: &mut Due) {
        due.0.clear();
        due.0.extend_from_slice(&self.always);
        for (candidates, places) in [(request, &self.request), (response, &self.response)] {
            for number in candidates.iter() {
                match places.get(number) {
                    Some(&NOWHERE) | None => {}
                    Some(&place) => set(&mut due.0, usize::from(place)),
                }
            }
        }
    }
}

impl Due {
    /// All of so many places.
    pub fn all(&mut self, count: usize) {
        self.0.clear();
        self.0.resize(count.div_ceil(64), 0);
        (0..count).for_each(|at| set(&mut self.0, at));
    }

    /// The first place from `at` on.
    pub fn next(&self, at: usize) -> Option<usize> {
        let first = at / 64;
        let words = self.0.get(first..)?.iter().enumerate();
        let masked = words.map(|(far, &word)| match far {
            0 => (first, word & (u64::MAX << (at % 64))),
            far => (first + far, word),
        });
        let mut found = masked.filter(|&(_, word)| word != 0);
        found
            .next()
            .map(|(place, word)| place * 64 + word.trailing_zeros() as usize)
    }
}

fn set(words: &mut [u64], at: usize) {
    if let Some(word) = words.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_in_order() {
        let mut due = Due::default();
        assert_eq!(due.next(0), None);
        due.all(130);
        assert_eq!(
            (due.next(0), due.next(64), due.next(129)),
            (Some(0), Some(64), Some(129))
        );
        assert_eq!((due.next(130), due.next(999)), (None, None));
        due.0 = vec![0, 1 << 3, 1];
        assert_eq!(
            (due.next(0), due.next(68), due.next(129)),
            (Some(67), Some(128), None)
        );
    }
}
