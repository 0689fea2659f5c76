//! Tokens whose signature has been verified, so that each is verified once per shard.
//!
//! What stays true: an entry is found by a keyed hash and believed only if every byte of the token
//! is the same; it is written only after a success; expiry and the generations of keys and policy
//! are looked at on every hit; memory is bounded, the entries longest unused go first.

use std::rc::Rc;
use std::sync::Arc;

use ahash::RandomState;

use crate::policy::authn::TokenError;
use crate::policy::authn::jwt::{Issuer, Verified};
use crate::policy::identity::Principal;
use crate::time::Now;

/// Entries that one hash can be in.
const WAYS: usize = 8;

/// What an entry weighs beside its token: its principal and claims are about as large again.
const WEIGHT_PER_BYTE: usize = 3;
const WEIGHT: usize = 256;

struct Entry {
    token: Box<[u8]>,
    principal: Rc<Principal>,
    expires_at: i64,
    not_before: Option<i64>,
    key_generation: u64,
    policy_generation: u64,
    issuer: usize,
    /// Used since the hand of the clock went by.
    is_fresh: bool,
}

impl Entry {
    fn weight(&self) -> usize {
        WEIGHT + self.token.len() * WEIGHT_PER_BYTE
    }
}

/// Entries of one place, and their hashes side by side: one line of memory tells which to look at.
#[derive(Default)]
struct Set {
    hashes: [u64; WAYS],
    entries: [Option<Entry>; WAYS],
}

impl Set {
    fn position(&self, hash: u64, token: &[u8]) -> Option<usize> {
        let mut ways = 0..WAYS;
        ways.find(|&way| {
            let entry = self.entries[way].as_ref();
            self.hashes[way] == hash && entry.is_some_and(|entry| *entry.token == *token)
        })
    }
}

/// The cache of one shard.
pub struct SignatureCache {
    hasher: RandomState,
    sets: Box<[Set]>,
    /// Where the next eviction for memory begins to look.
    hand: usize,
    weight: usize,
    max_weight: usize,
    hits: u64,
    misses: u64,
}

impl SignatureCache {
    /// `max_bytes` bounds tokens and principals together.
    pub fn new(max_bytes: usize) -> SignatureCache {
        // Tokens of 512 bytes fill the sets to a quarter when memory is full.
        let usual = WEIGHT + 512 * WEIGHT_PER_BYTE;
        let sets = (max_bytes / usual * 4 / WAYS).next_power_of_two().max(1);
        SignatureCache {
            hasher: RandomState::new(),
            sets: (0..sets).map(|_| Default::default()).collect(),
            hand: 0,
            weight: 0,
            max_weight: max_bytes,
            hits: 0,
            misses: 0,
        }
    }

    pub fn hits(&self) -> u64 {
        self.hits
    }

    pub fn misses(&self) -> u64 {
        self.misses
    }

    /// Bytes held, as bounded.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Verifies a token, by memory if it was verified before. `issuer` is its index in the
    /// snapshot of `policy_generation`.
    pub fn authenticate(
        &mut self,
        (index, issuer): (usize, &Issuer),
        token: &[u8],
        now: Now,
        policy_generation: u64,
    ) -> Result<Rc<Principal>, TokenError> {
        let hash = self.hasher.hash_one(token);
        let generations = (issuer.key_generation(), policy_generation, index);
        if let Some(entry) = self.find(hash, token) {
            let known = (entry.key_generation, entry.policy_generation, entry.issuer);
            if known == generations {
                let times = issuer.check_times(entry.expires_at, entry.not_before, now);
                entry.is_fresh = true;
                let principal = entry.principal.clone();
                self.hits += 1;
                return times.map(|()| principal);
            }
        }
        self.misses += 1;
        let verified = issuer.verify(token, now)?;
        Ok(self.keep(hash, token, verified, generations))
    }

    fn find(&mut self, hash: u64, token: &[u8]) -> Option<&mut Entry> {
        let at = self.at(hash);
        let set = &mut self.sets[at];
        let way = set.position(hash, token)?;
        set.entries[way].as_mut()
    }

    fn keep(
        &mut self,
        hash: u64,
        token: &[u8],
        verified: Verified,
        (key_generation, policy_generation, issuer): (u64, u64, usize),
    ) -> Rc<Principal> {
        let principal = Rc::new(Arc::unwrap_or_clone(verified.principal));
        let entry = Entry {
            token: token.into(),
            principal: principal.clone(),
            expires_at: verified.expires_at,
            not_before: verified.not_before,
            key_generation,
            policy_generation,
            issuer,
            is_fresh: false,
        };
        if entry.weight() > self.max_weight {
            return principal;
        }
        let set = self.at(hash);
        let way = self.victim(set, hash, token);
        self.remove(set, way);
        while self.weight + entry.weight() > self.max_weight {
            self.evict();
        }
        self.weight += entry.weight();
        self.sets[set].hashes[way] = hash;
        self.sets[set].entries[way] = Some(entry);
        principal
    }

    /// Where a new entry goes: over its own older self, into a free place, or over one that was
    /// not used lately.
    fn victim(&mut self, set: usize, hash: u64, token: &[u8]) -> usize {
        let place = self.sets[set].position(hash, token);
        let ways = &mut self.sets[set].entries;
        let place = place.or_else(|| ways.iter().position(Option::is_none));
        let place = place.or_else(|| ways.iter().position(|entry| !is_fresh(entry)));
        place.unwrap_or_else(|| {
            for entry in ways.iter_mut().flatten() {
                entry.is_fresh = false;
            }
            (hash >> 32) as usize % WAYS
        })
    }

    /// Removes one entry that was not used since the hand last went by (CLOCK).
    fn evict(&mut self) {
        // Two rounds: the first may only find entries to forget the use of.
        for _ in 0..2 * self.sets.len() {
            let set = self.hand;
            self.hand = (self.hand + 1) % self.sets.len();
            let mut removed = false;
            for way in 0..WAYS {
                match &mut self.sets[set].entries[way] {
                    Some(entry) if entry.is_fresh => entry.is_fresh = false,
                    Some(_) => {
                        self.remove(set, way);
                        removed = true;
                    }
                    None => {}
                }
            }
            if removed {
                return;
            }
        }
    }

    fn remove(&mut self, set: usize, way: usize) {
        if let Some(entry) = self.sets[set].entries[way].take() {
            self.weight -= entry.weight();
        }
    }

    fn at(&self, hash: u64) -> usize {
        // The number of sets is a power of two.
        hash as usize & (self.sets.len() - 1)
    }
}

fn is_fresh(entry: &Option<Entry>) -> bool {
    entry.as_ref().is_some_and(|entry| entry.is_fresh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::authn::sign::SigningKey;
    use crate::policy::authn::{IssuerSettings, Keys};
    use jsonwebtoken::Algorithm;
    use serde_json::json;

    fn at(unix_s: i64) -> Now {
        Now {
            monotonic_ns: 0,
            unix_s,
        }
    }

    fn issuer(key: &SigningKey, key_generation: u64) -> Issuer {
        let settings = IssuerSettings {
            issuer: "i".into(),
            audiences: vec!["a".into()],
            algorithms: vec![Algorithm::ES256],
            leeway_s: 0,
            max_token_size: 4096,
        };
        let keys = Keys::from_jwks(&key.jwks(), &[Algorithm::ES256]).unwrap();
        Issuer::new(settings, keys, key_generation)
    }

    fn token(key: &SigningKey, subject: &str) -> String {
        let claims = json!({"iss": "i", "aud": "a", "sub": subject, "exp": 100, "nbf": 10});
        key.sign(&claims).unwrap()
    }

    #[test]
    fn a_second_use_is_a_hit_that_still_ends_with_the_token() {
        let key = SigningKey::generate().unwrap();
        let issuer = issuer(&key, 1);
        let token = token(&key, "alice");
        let mut cache = SignatureCache::new(1 << 20);
        let mut ask = |now, policy| {
            let outcome = cache.authenticate((0, &issuer), token.as_bytes(), at(now), policy);
            (
                outcome.map(|principal| principal.subject.clone()),
                cache.hits(),
                cache.misses(),
            )
        };
        let alice: Box<str> = "alice".into();
        assert_eq!(ask(50, 1), (Ok(alice.clone()), 0, 1));
        assert_eq!(ask(99, 1), (Ok(alice.clone()), 1, 1));
        assert_eq!(ask(100, 1), (Err(TokenError::Expired), 2, 1));
        assert_eq!(ask(9, 1), (Err(TokenError::NotYetValid), 3, 1));
        assert_eq!(
            ask(50, 2),
            (Ok(alice.clone()), 3, 2),
            "another policy verifies again"
        );
        assert_eq!(ask(50, 2), (Ok(alice), 4, 2));
    }

    #[test]
    fn another_key_or_issuer_voids_what_is_remembered() {
        let (old, new) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let (before, after) = (issuer(&old, 1), issuer(&new, 2));
        let token = token(&old, "alice");
        let mut cache = SignatureCache::new(1 << 20);
        assert!(
            cache
                .authenticate((0, &before), token.as_bytes(), at(50), 1)
                .is_ok()
        );
        let rotated = cache.authenticate((0, &after), token.as_bytes(), at(50), 1);
        assert_eq!(rotated, Err(TokenError::BadSignature));
        let other = issuer(&new, 1);
        let other = cache.authenticate((1, &other), token.as_bytes(), at(50), 1);
        assert_eq!(other, Err(TokenError::BadSignature));
    }

    #[test]
    fn refused_tokens_are_not_remembered() {
        let key = SigningKey::generate().unwrap();
        let issuer = issuer(&key, 1);
        let mut token = token(&key, "alice").into_bytes();
        let mut cache = SignatureCache::new(1 << 20);
        assert!(cache.authenticate((0, &issuer), &token, at(50), 1).is_ok());
        let last = token.len() - 3;
        token[last] = if token[last] == b'A' { b'B' } else { b'A' };
        for misses in 2..5 {
            assert!(cache.authenticate((0, &issuer), &token, at(50), 1).is_err());
            assert_eq!((cache.hits(), cache.misses()), (0, misses));
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let key = SigningKey::generate().unwrap();
        let issuer = issuer(&key, 1);
        let mut cache = SignatureCache::new(16 * 1024);
        let favourite = token(&key, "favourite");
        for index in 0..200 {
            let other = token(&key, &format!("subject-{index}"));
            for token in [&favourite, &other] {
                assert!(
                    cache
                        .authenticate((0, &issuer), token.as_bytes(), at(50), 1)
                        .is_ok()
                );
                assert!(cache.weight() <= 16 * 1024);
            }
        }
        assert!(cache.hits() > 150, "{} hits", cache.hits());
        let mut tiny = SignatureCache::new(100);
        assert!(
            tiny.authenticate((0, &issuer), favourite.as_bytes(), at(50), 1)
                .is_ok()
        );
        assert_eq!(tiny.weight(), 0);
    }
}
