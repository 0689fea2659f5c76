//! Tokens whose signature has been verified, so that each is verified once per shard.
//!
//! What stays true: an entry is found by a keyed hash and believed only if every byte of the token
//! is the same; it is written only after a success; on every hit expiry is looked at, and that the
//! issuer is defined as it was, with the same keys; memory is bounded, the entries longest unused go
//! first.

use std::rc::Rc;
use std::sync::Arc;

use ahash::RandomState;

use crate::fingerprint::Fingerprint;
use crate::policy::authn::TokenError;
use crate::policy::authn::jwt::{Issuer, Verified};
use crate::policy::identity::{Principal, Written};
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
    /// Of the issuer that verified it.
    definition: Fingerprint,
    /// Of the policy that it was used under last.
    policy_generation: u64,
    /// Used since the hand of the clock went by.
    is_fresh: bool,
}

impl Entry {
    fn weight(&self) -> usize {
        WEIGHT + self.token.len() * WEIGHT_PER_BYTE
    }

    /// Another policy may write other identity headers: they are written anew, for its own lists.
    fn come_under(&mut self, policy_generation: u64) {
        if self.policy_generation != policy_generation {
            self.policy_generation = policy_generation;
            Rc::make_mut(&mut self.principal).written = Written::default();
        }
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

    /// Verifies a token, by memory if it was verified before by an issuer that is defined as this
    /// one, which is of the snapshot of `policy_generation`.
    pub fn authenticate(
        &mut self,
        issuer: &Issuer,
        token: &[u8],
        now: Now,
        policy_generation: u64,
    ) -> Result<Rc<Principal>, TokenError> {
        let hash = self.hasher.hash_one(token);
        let made_by = (issuer.definition(), policy_generation);
        if let Some(entry) = self.find(hash, token)
            && entry.definition == issuer.definition()
        {
            let times = issuer.check_times(entry.expires_at, entry.not_before, now);
            entry.is_fresh = true;
            entry.come_under(policy_generation);
            let principal = entry.principal.clone();
            self.hits += 1;
            return times.map(|()| principal);
        }
        self.misses += 1;
        let verified = issuer.verify(token, now)?;
        Ok(self.keep(hash, token, verified, made_by))
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
        (definition, policy_generation): (Fingerprint, u64),
    ) -> Rc<Principal> {
        let principal = Rc::new(Arc::unwrap_or_clone(verified.principal));
        let entry = Entry {
            token: token.into(),
            principal: principal.clone(),
            expires_at: verified.expires_at,
            not_before: verified.not_before,
            definition,
            policy_generation,
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
    use crate::policy::identity::IdentityField;
    use jsonwebtoken::Algorithm;
    use serde_json::json;
    use std::borrow::Cow;

    fn at(unix_s: i64) -> Now {
        Now {
            monotonic_ns: 0,
            unix_s,
        }
    }

    fn issuer(key: &SigningKey) -> Issuer {
        Issuer::new(settings(), keys(key))
    }

    fn keys(key: &SigningKey) -> Keys {
        Keys::from_jwks(&key.jwks(), &[Algorithm::ES256]).unwrap()
    }

    fn settings() -> IssuerSettings {
        IssuerSettings {
            issuer: "i".into(),
            audiences: vec!["a".into()],
            algorithms: vec![Algorithm::ES256],
            leeway_s: 0,
            max_token_size: 4096,
        }
    }

    fn token(key: &SigningKey, subject: &str) -> String {
        let claims = json!({"iss": "i", "aud": "a", "sub": subject, "exp": 100, "nbf": 10});
        key.sign(&claims).unwrap()
    }

    #[test]
    fn a_second_use_is_a_hit_that_still_ends_with_the_token() {
        let key = SigningKey::generate().unwrap();
        let issuer = issuer(&key);
        let token = token(&key, "alice");
        let mut cache = SignatureCache::new(1 << 20);
        let mut ask = |now, policy| {
            let outcome = cache.authenticate(&issuer, token.as_bytes(), at(now), policy);
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
            (Ok(alice), 4, 1),
            "another policy, the same issuer"
        );
        assert_eq!(ask(100, 3), (Err(TokenError::Expired), 5, 1));
    }

    #[test]
    fn whatever_changes_in_an_issuer_voids_what_is_remembered() {
        let (key, rotated) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let token = token(&key, "alice");
        let changed = |change: fn(&mut IssuerSettings)| {
            let mut settings = settings();
            change(&mut settings);
            Issuer::new(settings, keys(&key))
        };
        let both = [Algorithm::ES256, Algorithm::ES384];
        let cases = [
            (issuer(&rotated), Err(TokenError::BadSignature)),
            (
                changed(|settings| settings.issuer = "other".into()),
                Err(TokenError::WrongIssuer),
            ),
            (
                changed(|settings| settings.audiences = vec!["b".into()]),
                Err(TokenError::WrongAudience),
            ),
            (
                changed(|settings| settings.algorithms = vec![Algorithm::ES384]),
                Err(TokenError::AlgorithmNotAllowed),
            ),
            (
                changed(|settings| settings.max_token_size = 10),
                Err(TokenError::TooLarge),
            ),
            // These are found good again, but not from memory.
            (changed(|settings| settings.leeway_s = 1), Ok(())),
            (
                changed(|settings| settings.audiences.push("b".into())),
                Ok(()),
            ),
            (
                changed(|settings| settings.algorithms.push(Algorithm::ES384)),
                Ok(()),
            ),
            (
                Issuer::new(settings(), Keys::from_jwks(&key.jwks(), &both).unwrap()),
                Ok(()),
            ),
        ];
        for (index, (after, expected)) in cases.into_iter().enumerate() {
            let mut cache = SignatureCache::new(1 << 20);
            let mut ask = |issuer: &Issuer, policy| {
                let outcome = cache.authenticate(issuer, token.as_bytes(), at(50), policy);
                (outcome.map(drop), cache.hits(), cache.misses())
            };
            assert_eq!(ask(&issuer(&key), 1), (Ok(()), 0, 1));
            // Read anew from the same file, in the place of another one.
            assert_eq!(ask(&issuer(&key), 2), (Ok(()), 1, 1));
            assert_eq!(ask(&after, 3), (expected, 1, 2), "case {index}");
        }
    }

    #[test]
    fn a_secret_that_changes_voids_what_is_remembered() {
        let of = |secret: &[u8]| {
            let algorithms = vec![Algorithm::HS256];
            let keys = Keys::from_secret(secret, &algorithms).unwrap();
            let settings = IssuerSettings {
                algorithms,
                ..settings()
            };
            Issuer::new(settings, keys)
        };
        let token = token(&SigningKey::secret(&[7; 32]), "alice");
        let mut cache = SignatureCache::new(1 << 20);
        let mut ask = |issuer: &Issuer| {
            let outcome = cache.authenticate(issuer, token.as_bytes(), at(50), 1);
            (outcome.map(drop), cache.hits())
        };
        assert_eq!(ask(&of(&[7; 32])), (Ok(()), 0));
        assert_eq!(ask(&of(&[7; 32])), (Ok(()), 1));
        assert_eq!(ask(&of(&[8; 32])), (Err(TokenError::BadSignature), 1));
    }

    #[test]
    fn a_principal_that_is_known_gets_the_headers_of_the_policy_in_force() {
        let key = SigningKey::generate().unwrap();
        let (issuer, token) = (issuer(&key), token(&key, "alice"));
        let list = |name: &str| -> Arc<[IdentityField]> {
            let field = IdentityField {
                name: name.into(),
                claim: "sub".into(),
            };
            [field].into()
        };
        let (before, after) = (list("X-User"), list("X-Subject"));
        let mut cache = SignatureCache::new(1 << 20);
        let mut ask = |policy| {
            let outcome = cache.authenticate(&issuer, token.as_bytes(), at(50), policy);
            outcome.unwrap()
        };
        // This request is still under way when the policy changes.
        let held = ask(1);
        assert_eq!(&*held.lines(&before).unwrap(), b"X-User: alice\r\n");
        for _ in 0..2 {
            let principal = ask(2);
            let lines = principal.lines(&after).unwrap();
            assert_eq!(&*lines, b"X-Subject: alice\r\n");
            assert!(matches!(lines, Cow::Borrowed(_)), "written once");
        }
        let lines = held.lines(&before).unwrap();
        assert!(matches!(lines, Cow::Borrowed(b"X-User: alice\r\n")));
    }

    #[test]
    fn refused_tokens_are_not_remembered() {
        let key = SigningKey::generate().unwrap();
        let issuer = issuer(&key);
        let mut token = token(&key, "alice").into_bytes();
        let mut cache = SignatureCache::new(1 << 20);
        assert!(cache.authenticate(&issuer, &token, at(50), 1).is_ok());
        let last = token.len() - 3;
        token[last] = if token[last] == b'A' { b'B' } else { b'A' };
        for misses in 2..5 {
            assert!(cache.authenticate(&issuer, &token, at(50), 1).is_err());
            assert_eq!((cache.hits(), cache.misses()), (0, misses));
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let key = SigningKey::generate().unwrap();
        let issuer = issuer(&key);
        let mut cache = SignatureCache::new(16 * 1024);
        let favourite = token(&key, "favourite");
        for index in 0..200 {
            let other = token(&key, &format!("subject-{index}"));
            for token in [&favourite, &other] {
                assert!(
                    cache
                        .authenticate(&issuer, token.as_bytes(), at(50), 1)
                        .is_ok()
                );
                assert!(cache.weight() <= 16 * 1024);
            }
        }
        assert!(cache.hits() > 150, "{} hits", cache.hits());
        let mut tiny = SignatureCache::new(100);
        assert!(
            tiny.authenticate(&issuer, favourite.as_bytes(), at(50), 1)
                .is_ok()
        );
        assert_eq!(tiny.weight(), 0);
    }
}
