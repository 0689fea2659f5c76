//! Access tokens as signed JWTs (RFC 7519, RFC 9068, and the rules of RFC 8725).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::fingerprint::Fingerprint;
use crate::policy::authn::TokenError;
use crate::policy::authn::jwk::{Key, Keys, algorithm};
use crate::policy::identity::{Principal, Written};
use crate::time::Now;

/// Keys tried for a token that names none, at most.
const MOST_TRIES: usize = 8;

/// What an issuer's tokens must say.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud` must hold one of these.
    pub audiences: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    /// Clock skew that is tolerated, in seconds.
    pub leeway_s: u32,
    /// Longest token in bytes.
    pub max_token_size: usize,
}

/// Who signs tokens, and how they are checked.
#[derive(Debug)]
pub struct Issuer {
    settings: IssuerSettings,
    keys: Keys,
    definition: Fingerprint,
}

/// A token that passed every check.
#[derive(Clone, Debug)]
pub struct Verified {
    pub principal: Arc<Principal>,
    pub expires_at: i64,
    pub not_before: Option<i64>,
}

/// The protected header (RFC 7515 section 4.1). A repeated parameter is an error.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

impl IssuerSettings {
    fn definition(&self, keys: &Keys) -> Fingerprint {
        // Named one by one, so that none can be forgotten that is added.
        let IssuerSettings {
            issuer,
            audiences,
            algorithms,
            leeway_s,
            max_token_size,
        } = self;
        let rest = format!("{algorithms:?} {leeway_s} {max_token_size}");
        let origin = keys.origin();
        let parts = [issuer.as_bytes(), rest.as_bytes(), origin.bytes()];
        Fingerprint::of(
            parts
                .into_iter()
                .chain(audiences.iter().map(String::as_bytes)),
        )
    }
}

impl Issuer {
    pub fn new(settings: IssuerSettings, keys: Keys) -> Issuer {
        Issuer {
            definition: settings.definition(&keys),
            settings,
            keys,
        }
    }

    pub fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    /// All that the verdict on a token depends on beside the token and the time: verified tokens
    /// are remembered with it.
    pub fn definition(&self) -> Fingerprint {
        self.definition
    }

    /// Checks form, algorithm and signature first, then the claims.
    pub fn verify(&self, token: &[u8], now: Now) -> Result<Verified, TokenError> {
        if token.len() > self.settings.max_token_size {
            return Err(TokenError::TooLarge);
        }
        let (message, header, payload, signature) = parts(token)?;
        let header: Header = object(header)?;
        self.verify_signature(&header, message, &decoded(signature)?)?;
        let claims: UniqueMap = object(payload)?;
        self.verified(claims.0, now)
    }

    fn verify_signature(
        &self,
        header: &Header,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        let algorithm = algorithm(&header.alg)
            .filter(|named| self.settings.algorithms.contains(named))
            .ok_or(TokenError::AlgorithmNotAllowed)?;
        if header.crit.is_some() {
            return Err(TokenError::UnknownCriticalHeader);
        }
        // RFC 8725 section 3.11: a token made for another purpose is not an access token.
        if header
            .typ
            .as_deref()
            .is_some_and(|typ| !is_access_token(typ))
        {
            return Err(TokenError::Malformed);
        }
        let mut candidates = self
            .keys
            .candidates(algorithm, header.kid.as_deref())
            .peekable();
        if candidates.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        let verifies = |key: &Key| key.verifies(message, signature);
        match candidates.take(MOST_TRIES).any(verifies) {
            true => Ok(()),
            false => Err(TokenError::BadSignature),
        }
    }

    fn verified(&self, claims: Map<String, Value>, now: Now) -> Result<Verified, TokenError> {
        let expires_at = time(&claims, "exp")?.ok_or(TokenError::MissingClaim)?;
        let not_before = time(&claims, "nbf")?;
        time(&claims, "iat")?;
        self.check_times(expires_at, not_before, now)?;
        if text(&claims, "iss")? != Some(&self.settings.issuer) {
            return Err(TokenError::WrongIssuer);
        }
        if !self.is_meant_for_us(&claims) {
            return Err(TokenError::WrongAudience);
        }
        let subject = text(&claims, "sub")?.ok_or(TokenError::MissingClaim)?;
        let client = match text(&claims, "client_id")? {
            Some(client) => Some(client),
            None => text(&claims, "azp")?,
        };
        Ok(Verified {
            principal: Arc::new(Principal {
                subject: subject.into(),
                client: client.map(Into::into),
                scopes: scopes(&claims)?,
                claims,
                written: Written::default(),
            }),
            expires_at,
            not_before,
        })
    }

    /// The token is good before `exp` and from `nbf` on, give or take the leeway.
    pub(super) fn check_times(
        &self,
        expires_at: i64,
        not_before: Option<i64>,
        now: Now,
    ) -> Result<(), TokenError> {
        let leeway = i64::from(self.settings.leeway_s);
        if now.unix_s >= expires_at.saturating_add(leeway) {
            return Err(TokenError::Expired);
        }
        if not_before.is_some_and(|start| now.unix_s < start.saturating_sub(leeway)) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }

    fn is_meant_for_us(&self, claims: &Map<String, Value>) -> bool {
        let is_ours = |audience: &Value| {
            let audience = audience.as_str();
            audience.is_some_and(|name| self.settings.audiences.iter().any(|ours| ours == name))
        };
        match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(is_ours),
            Some(audience) => is_ours(audience),
            None => false,
        }
    }
}

/// What is signed, and the three parts.
type Parts<'a> = (&'a [u8], &'a [u8], &'a [u8], &'a [u8]);

/// RFC 7515 section 3.1: exactly three parts.
fn parts(token: &[u8]) -> Result<Parts<'_>, TokenError> {
    let mut dots = memchr::memchr_iter(b'.', token);
    let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
        return Err(TokenError::Malformed);
    };
    let (header, payload) = (&token[..first], &token[first + 1..second]);
    Ok((&token[..second], header, payload, &token[second + 1..]))
}

/// Strict base64url: no padding, no stray bits, so that a token has one spelling.
fn decoded(part: &[u8]) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)
}

fn object<T: for<'de> Deserialize<'de>>(part: &[u8]) -> Result<T, TokenError> {
    serde_json::from_slice(&decoded(part)?).map_err(|_| TokenError::Malformed)
}

/// `JWT`, or the media type of RFC 9068 section 2.1 with or without `application/`.
fn is_access_token(typ: &str) -> bool {
    ["jwt", "at+jwt", "application/jwt", "application/at+jwt"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(typ))
}

/// A `NumericDate` (RFC 7519 section 2): whole seconds of it.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(seconds), _) => Ok(Some(seconds)),
            // Beyond 2^53 a fraction does not know its own seconds.
            (None, Some(seconds)) if seconds.abs() < 9e15 => Ok(Some(seconds.floor() as i64)),
            _ => Err(TokenError::Malformed),
        },
        Some(_) => Err(TokenError::Malformed),
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(TokenError::Malformed),
    }
}

/// `scope` as one string of words (RFC 9068 section 2.2.3), or `scp` as a list.
fn scopes(claims: &Map<String, Value>) -> Result<Box<[Box<str>]>, TokenError> {
    match (claims.get("scope"), claims.get("scp")) {
        (Some(Value::String(words)), _) => Ok(words
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(Into::into)
            .collect()),
        (None, Some(Value::Array(list))) => {
            let words = list.iter().map(|word| word.as_str().map(Into::into));
            words.collect::<Option<_>>().ok_or(TokenError::Malformed)
        }
        (None, None) => Ok(Box::default()),
        _ => Err(TokenError::Malformed),
    }
}

/// A JSON object in which no name is repeated (RFC 7519 section 4 lets us refuse those).
struct UniqueMap(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UniqueMap, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = UniqueMap;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object without repeated names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<UniqueMap, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if map.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a name is repeated"));
                    }
                }
                Ok(UniqueMap(map))
            }
        }
        deserializer.deserialize_map(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::authn::sign::SigningKey;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: Now = Now {
        monotonic_ns: 0,
        unix_s: 1_800_000_000,
    };

    fn settings(algorithms: &[Algorithm]) -> IssuerSettings {
        IssuerSettings {
            issuer: "https://issuer.example".into(),
            audiences: vec!["https://api.example".into(), "other".into()],
            algorithms: algorithms.to_vec(),
            leeway_s: 30,
            max_token_size: 4096,
        }
    }

    fn issuer(key: &SigningKey) -> Issuer {
        let keys = Keys::from_jwks(&key.jwks(), &[Algorithm::ES256]).unwrap();
        Issuer::new(settings(&[Algorithm::ES256]), keys)
    }

    fn claims() -> Value {
        json!({"iss": "https://issuer.example", "aud": "https://api.example", "sub": "alice",
            "client_id": "app", "exp": NOW.unix_s + 300, "scope": "read:accounts  write"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    fn without(name: &str) -> Value {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    #[test]
    fn a_good_token_names_its_principal() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign(&claims()).unwrap();
        let verified = issuer(&key).verify(token.as_bytes(), NOW).unwrap();
        let principal = &verified.principal;
        assert_eq!(
            (&*principal.subject, principal.client.as_deref()),
            ("alice", Some("app"))
        );
        assert!(principal.has_scope("read:accounts") && principal.has_scope("write"));
        assert_eq!(
            (principal.scopes.len(), verified.expires_at),
            (2, NOW.unix_s + 300)
        );
        for accepted in [
            with("aud", json!(["x", "other"])),
            with("exp", json!(NOW.unix_s as f64 + 0.5)),
            with("nbf", json!(NOW.unix_s + 30)),
            with("exp", json!(NOW.unix_s - 29)),
        ] {
            let token = key.sign(&accepted).unwrap();
            assert!(
                issuer(&key).verify(token.as_bytes(), NOW).is_ok(),
                "{accepted}"
            );
        }
        let listed = without("scope");
        let mut listed = listed.as_object().unwrap().clone();
        listed.insert("scp".into(), json!(["a", "b"]));
        listed.insert("azp".into(), json!("other-app"));
        listed.remove("client_id");
        let token = key.sign(&Value::Object(listed)).unwrap();
        let verified = issuer(&key).verify(token.as_bytes(), NOW).unwrap();
        assert!(verified.principal.has_scope("b"));
        assert_eq!(verified.principal.client.as_deref(), Some("other-app"));
    }

    #[test]
    fn every_wrong_claim_is_refused() {
        let key = SigningKey::generate().unwrap();
        for (claims, error) in [
            (without("exp"), TokenError::MissingClaim),
            (without("sub"), TokenError::MissingClaim),
            (without("iss"), TokenError::WrongIssuer),
            (without("aud"), TokenError::WrongAudience),
            (with("exp", json!(NOW.unix_s - 30)), TokenError::Expired),
            (with("exp", json!("soon")), TokenError::Malformed),
            (with("exp", json!(1e300)), TokenError::Malformed),
            (with("exp", json!(i64::MIN)), TokenError::Expired),
            (with("nbf", json!(NOW.unix_s + 31)), TokenError::NotYetValid),
            (with("nbf", json!(i64::MAX)), TokenError::NotYetValid),
            (with("nbf", json!(null)), TokenError::Malformed),
            (with("iat", json!("x")), TokenError::Malformed),
            (
                with("iss", json!("https://issuer.example/")),
                TokenError::WrongIssuer,
            ),
            (
                with("iss", json!(["https://issuer.example"])),
                TokenError::Malformed,
            ),
            (
                with("aud", json!("https://api.example.evil")),
                TokenError::WrongAudience,
            ),
            (with("aud", json!([])), TokenError::WrongAudience),
            (with("aud", json!([["other"]])), TokenError::WrongAudience),
            (with("sub", json!("")), TokenError::Malformed),
            (with("sub", json!(7)), TokenError::Malformed),
            (with("scope", json!(["read"])), TokenError::Malformed),
            (with("client_id", json!(1)), TokenError::Malformed),
        ] {
            let token = key.sign(&claims).unwrap();
            let outcome = issuer(&key).verify(token.as_bytes(), NOW).map(drop);
            assert_eq!(outcome, Err(error), "{claims}");
        }
    }

    fn raw(header: &str, payload: &str, signature: &[u8]) -> Vec<u8> {
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let parts = [
            encode(header.as_bytes()),
            encode(payload.as_bytes()),
            encode(signature),
        ];
        parts.join(".").into_bytes()
    }

    #[test]
    fn algorithms_are_chosen_by_us() {
        let key = SigningKey::generate().unwrap();
        let issuer = issuer(&key);
        let payload = claims().to_string();
        for (header, error) in [
            (r#"{"alg":"none"}"#, TokenError::AlgorithmNotAllowed),
            (r#"{"alg":"None"}"#, TokenError::AlgorithmNotAllowed),
            (r#"{"alg":"HS256"}"#, TokenError::AlgorithmNotAllowed),
            (r#"{"alg":"ES384"}"#, TokenError::AlgorithmNotAllowed),
            (
                r#"{"alg":"ES256","crit":["exp"]}"#,
                TokenError::UnknownCriticalHeader,
            ),
            (
                r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
                TokenError::UnknownCriticalHeader,
            ),
            (r#"{"alg":"ES256","kid":"another"}"#, TokenError::UnknownKey),
            (r#"{"alg":"ES256","alg":"none"}"#, TokenError::Malformed),
            (
                r#"{"alg":"ES256","typ":"logout+jwt"}"#,
                TokenError::Malformed,
            ),
            (r#"{"alg":"ES256"}"#, TokenError::BadSignature),
            (r#"{}"#, TokenError::Malformed),
            (r#"["ES256"]"#, TokenError::Malformed),
        ] {
            let outcome = issuer
                .verify(&raw(header, &payload, &[0; 64]), NOW)
                .map(drop);
            assert_eq!(outcome, Err(error), "{header}");
        }
    }

    #[test]
    fn a_public_key_is_never_a_secret() {
        let key = SigningKey::generate().unwrap();
        let both = [Algorithm::ES256, Algorithm::HS256];
        let keys = Keys::from_jwks(&key.jwks(), &both).unwrap();
        let issuer = Issuer::new(settings(&both), keys);
        let forged = SigningKey::secret(key.public_pem().as_bytes())
            .sign(&claims())
            .unwrap();
        let outcome = issuer.verify(forged.as_bytes(), NOW).map(drop);
        assert_eq!(outcome, Err(TokenError::UnknownKey));
    }

    #[test]
    fn shared_secrets_work_for_who_declares_them() {
        let secret = [7; 32];
        let keys = Keys::from_secret(&secret, &[Algorithm::HS256]).unwrap();
        let issuer = Issuer::new(settings(&[Algorithm::HS256]), keys);
        let token = SigningKey::secret(&secret).sign(&claims()).unwrap();
        assert!(issuer.verify(token.as_bytes(), NOW).is_ok());
        let other = SigningKey::secret(&[8; 32]).sign(&claims()).unwrap();
        let outcome = issuer.verify(other.as_bytes(), NOW).map(drop);
        assert_eq!(outcome, Err(TokenError::BadSignature));
    }

    #[test]
    fn one_token_has_one_spelling() {
        let key = SigningKey::generate().unwrap();
        let issuer = issuer(&key);
        let good = key.sign(&claims()).unwrap();
        let (message, signature) = good.rsplit_once('.').unwrap();
        // 64 bytes leave two bits of the last digit unused.
        let last = signature.chars().last().unwrap();
        let stray = char::from(last as u8 + 1);
        for bad in [
            format!("{good}="),
            format!("{message}.{}{stray}", &signature[..signature.len() - 1]),
            format!("{good}."),
            format!(".{good}"),
            message.to_owned(),
            format!("{message}."),
            format!(" {good}"),
            String::new(),
            "..".to_owned(),
        ] {
            assert!(issuer.verify(bad.as_bytes(), NOW).is_err(), "{bad}");
        }
        let large = key.sign(&with("x", json!("a".repeat(4096)))).unwrap();
        let outcome = issuer.verify(large.as_bytes(), NOW).map(drop);
        assert_eq!(outcome, Err(TokenError::TooLarge));
    }

    #[test]
    fn repeated_claims_are_refused() {
        let map: Result<UniqueMap, _> = serde_json::from_str(r#"{"sub":"a","s\u0075b":"b"}"#);
        assert!(map.is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_change_survives(at in any::<prop::sample::Index>(), byte: u8, junk: Vec<u8>) {
            let key = SigningKey::generate().unwrap();
            let issuer = issuer(&key);
            prop_assert!(issuer.verify(&junk, NOW).is_err());
            let mut token = key.sign(&claims()).unwrap().into_bytes();
            let at = at.index(token.len());
            prop_assume!(token[at] != byte);
            token[at] = byte;
            prop_assert!(issuer.verify(&token, NOW).is_err());
        }
    }
}
