//! Keys that verify signatures (RFC 7517, RFC 7518), parsed once when they are loaded.
//!
//! Each key is bound to the algorithms it may be used with, so a token cannot choose to have a
//! public key taken for a secret (RFC 8725 section 2.1).

use std::str::FromStr;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{PublicEncryptingKey, PublicKeyComponents};
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

use crate::fingerprint::Fingerprint;

/// Most keys of one issuer: a rotation has two or three, a large provider a dozen.
const MOST_KEYS: usize = 64;

/// One key under one algorithm.
#[derive(Debug)]
pub(super) struct Key {
    pub id: Option<Box<str>>,
    pub algorithm: Algorithm,
    material: Material,
}

enum Material {
    Public(ParsedPublicKey),
    // Large beside a public key, which is a pointer.
    Secret(Box<hmac::Key>),
}

impl std::fmt::Debug for Material {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Material::Public(_) => "public key",
            Material::Secret(_) => "[secret]",
        })
    }
}

impl Key {
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

/// The keys of one issuer.
#[derive(Debug, Default)]
pub struct Keys {
    keys: Vec<Key>,
    /// What they were read from, and for which algorithms.
    origin: Fingerprint,
}

/// The algorithm of a name such as `ES256`; `none` is none.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    Algorithm::from_str(name).ok()
}

fn is_symmetric(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    )
}

impl Keys {
    /// A JWK set (RFC 7517 section 5). A key that could never verify anything is an error, so
    /// that a rotation with a typing mistake shows when it is loaded.
    pub fn from_jwks(text: &str, algorithms: &[Algorithm]) -> Result<Keys, String> {
        let set: JwkSet =
            serde_json::from_str(text).map_err(|error| format!("not a JWK set: {error}"))?;
        let mut keys = Vec::new();
        for (index, jwk) in set.keys.iter().enumerate() {
            if !verifies(jwk) {
                continue;
            }
            let name = jwk.common.key_id.clone();
            let name = name.unwrap_or_else(|| format!("number {}", index + 1));
            let found =
                of_jwk(jwk, algorithms).map_err(|reason| format!("key {name}: {reason}"))?;
            keys.extend(found);
        }
        Keys::checked(keys, ("jwks", text.as_bytes(), algorithms))
    }

    /// Public keys in PEM (`-----BEGIN PUBLIC KEY-----`, RFC 7468 section 13).
    pub fn from_pem(text: &str, algorithms: &[Algorithm]) -> Result<Keys, String> {
        let mut keys = Vec::new();
        for info in SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()) {
            let info = info.map_err(|error| format!("not PEM: {error}"))?;
            let before = keys.len();
            for &algorithm in algorithms.iter().filter(|&&each| !is_symmetric(each)) {
                // A key fits the algorithms of its own kind and is refused by the others.
                if let Ok(key) = of_pem(info.as_ref(), algorithm) {
                    keys.push(Key {
                        id: None,
                        algorithm,
                        material: Material::Public(key),
                    });
                }
            }
            if keys.len() == before {
                return Err(format!(
                    "a public key fits none of the algorithms {algorithms:?}"
                ));
            }
        }
        Keys::checked(keys, ("pem", text.as_bytes(), algorithms))
    }

    /// A shared secret, at least as long as the hash (RFC 7518 section 3.2).
    pub fn from_secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Keys, String> {
        let keys = algorithms.iter().map(|&algorithm| {
            Ok(Key {
                id: None,
                algorithm,
                material: Material::Secret(Box::new(secret_key(algorithm, secret)?)),
            })
        });
        let keys = keys.collect::<Result<_, String>>()?;
        Keys::checked(keys, ("secret", secret, algorithms))
    }

    fn checked(
        keys: Vec<Key>,
        (kind, source, algorithms): (&str, &[u8], &[Algorithm]),
    ) -> Result<Keys, String> {
        match keys.len() {
            0 => Err("there is no key for the algorithms of this issuer".to_owned()),
            count if count > MOST_KEYS => Err(format!("more than {MOST_KEYS} keys")),
            _ => Ok(Keys {
                keys,
                origin: Fingerprint::of([
                    kind.as_bytes(),
                    source,
                    format!("{algorithms:?}").as_bytes(),
                ]),
            }),
        }
    }

    /// What the keys were made from: where that is the same, so are they.
    pub(super) fn origin(&self) -> Fingerprint {
        self.origin
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that may have signed: of the algorithm, and of the id if the token names one. A
    /// key without an id is taken for any, as a single PEM file is meant to be.
    pub(super) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Key> {
        let keys = self
            .keys
            .iter()
            .filter(move |key| key.algorithm == algorithm);
        keys.filter(move |key| match (&key.id, id) {
            (Some(held), Some(wanted)) => **held == *wanted,
            (None, _) | (_, None) => true,
        })
    }
}

/// Whether a key is meant for signatures (RFC 7517 sections 4.2 and 4.3).
fn verifies(jwk: &Jwk) -> bool {
    let used = jwk.common.public_key_use.as_ref();
    let operations = jwk.common.key_operations.as_ref();
    used.is_none_or(|used| *used == PublicKeyUse::Signature)
        && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

fn of_jwk(jwk: &Jwk, algorithms: &[Algorithm]) -> Result<Vec<Key>, String> {
    let declared = match jwk.common.key_algorithm {
        Some(named) => Some(algorithm(&named.to_string()).ok_or("its `alg` is not a signature")?),
        None => None,
    };
    let fits = |each: &Algorithm| declared.is_none_or(|declared| declared == *each);
    let mut keys = Vec::new();
    for &algorithm in algorithms.iter().filter(|each| fits(each)) {
        if let Some(key) = parsed(jwk, algorithm)? {
            keys.push(Key {
                id: jwk.common.key_id.as_deref().map(Into::into),
                algorithm,
                material: Material::Public(key),
            });
        }
    }
    Ok(keys)
}

/// The key for one algorithm; `None` if it is of another kind.
fn parsed(jwk: &Jwk, algorithm: Algorithm) -> Result<Option<ParsedPublicKey>, String> {
    let bytes = match (&jwk.algorithm, algorithm) {
        (
            AlgorithmParameters::RSA(rsa),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
        ) => {
            return rsa_key(&rsa.n, &rsa.e, algorithm).map(Some);
        }
        (AlgorithmParameters::EllipticCurve(point), Algorithm::ES256 | Algorithm::ES384) => {
            let (curve, length) = match algorithm {
                Algorithm::ES256 => (EllipticCurve::P256, 32),
                _ => (EllipticCurve::P384, 48),
            };
            if point.curve != curve {
                return Ok(None);
            }
            let (x, y) = (decoded(&point.x)?, decoded(&point.y)?);
            if x.len() != length || y.len() != length {
                return Err("its coordinates have the wrong length".to_owned());
            }
            // SEC 1 section 2.3.3: the uncompressed form.
            [&[4][..], &x, &y].concat()
        }
        (AlgorithmParameters::OctetKeyPair(pair), Algorithm::EdDSA) => {
            if pair.curve != EllipticCurve::Ed25519 {
                return Ok(None);
            }
            decoded(&pair.x)?
        }
        (AlgorithmParameters::OctetKey(_), _) => {
            return Err("a shared secret does not belong in a key set; use `secret`".to_owned());
        }
        _ => return Ok(None),
    };
    let key = ParsedPublicKey::new(verification(algorithm)?, &bytes);
    key.map(Some)
        .map_err(|_| "it is not a valid public key".to_owned())
}

fn rsa_key(n: &str, e: &str, algorithm: Algorithm) -> Result<ParsedPublicKey, String> {
    let components = PublicKeyComponents {
        n: decoded(n)?,
        e: decoded(e)?,
    };
    let key: PublicKeyX509Der<'_> = components
        .as_der()
        .map_err(|_| "it is not a valid RSA key")?;
    rsa_public(key.as_ref(), algorithm)
}

/// RFC 7518 section 3.3: 2048 bits at least. The library looks at the size only when it verifies.
fn rsa_public(der: &[u8], algorithm: Algorithm) -> Result<ParsedPublicKey, String> {
    let size = PublicEncryptingKey::from_der(der).map(|key| key.key_size_bits());
    if !size.is_ok_and(|bits| (2048..=8192).contains(&bits)) {
        return Err("an RSA key needs 2048 to 8192 bits".to_owned());
    }
    ParsedPublicKey::new(verification(algorithm)?, der)
        .map_err(|_| "it is not a valid RSA key".to_owned())
}

fn of_pem(der: &[u8], algorithm: Algorithm) -> Result<ParsedPublicKey, String> {
    match algorithm.family() {
        AlgorithmFamily::Rsa => rsa_public(der, algorithm),
        _ => ParsedPublicKey::new(verification(algorithm)?, der)
            .map_err(|_| "it is not a key of this kind".to_owned()),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    let bytes = URL_SAFE_NO_PAD.decode(text);
    bytes.map_err(|_| "a number is not base64url".to_owned())
}

fn verification(algorithm: Algorithm) -> Result<&'static dyn VerificationAlgorithm, String> {
    Ok(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &signature::ED25519,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            return Err(format!("{algorithm:?} needs a `secret`, not public keys"));
        }
        // The library may learn others; here they are unknown until somebody has looked at them.
        other => return Err(format!("{other:?} is not supported")),
    })
}

fn secret_key(algorithm: Algorithm, secret: &[u8]) -> Result<hmac::Key, String> {
    let (hash, least) = match algorithm {
        Algorithm::HS256 => (hmac::HMAC_SHA256, 32),
        Algorithm::HS384 => (hmac::HMAC_SHA384, 48),
        Algorithm::HS512 => (hmac::HMAC_SHA512, 64),
        other => return Err(format!("{other:?} needs public keys, not a `secret`")),
    };
    if secret.len() < least {
        return Err(format!(
            "{algorithm:?} needs a secret of at least {least} bytes"
        ));
    }
    Ok(hmac::Key::new(hash, secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::authn::sign::SigningKey;

    fn jwks(keys: &[&str]) -> String {
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }

    /// RFC 7517 appendix A.1.
    const EC: &str = r#"{"kty":"EC","crv":"P-256","kid":"1","use":"sig",
        "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;

    #[test]
    fn keys_are_bound_to_the_algorithms_of_their_kind() {
        let set = jwks(&[EC]);
        let keys = Keys::from_jwks(&set, &[Algorithm::ES256, Algorithm::RS256]).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys.candidates(Algorithm::ES256, Some("1")).count(), 1);
        assert_eq!(keys.candidates(Algorithm::ES256, None).count(), 1);
        assert_eq!(keys.candidates(Algorithm::ES256, Some("2")).count(), 0);
        assert_eq!(keys.candidates(Algorithm::HS256, Some("1")).count(), 0);
    }

    #[test]
    fn what_could_never_verify_is_an_error_when_loaded() {
        let secret = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}"#;
        let off_curve = EC.replace("4Etl6SRW2", "5Etl6SRW2");
        let short = EC.replace("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "MKBC");
        let encryption = EC.replace("\"sig\"", "\"enc\"");
        let small = r#"{"kty":"RSA","n":"sXchDaQebHnPiGvyDOAT4saGEUetSyo9","e":"AQAB"}"#;
        for (keys, algorithms) in [
            (vec![secret], vec![Algorithm::HS256]),
            (vec![EC, &off_curve], vec![Algorithm::ES256]),
            (vec![&short], vec![Algorithm::ES256]),
            (vec![&encryption], vec![Algorithm::ES256]),
            (vec![small], vec![Algorithm::RS256]),
            (vec![EC], vec![Algorithm::ES384]),
            (vec![EC], vec![Algorithm::HS256]),
            (vec![], vec![Algorithm::ES256]),
        ] {
            let loaded = Keys::from_jwks(&jwks(&keys), &algorithms);
            assert!(loaded.is_err(), "{keys:?} {algorithms:?}");
        }
        assert!(Keys::from_jwks("{}", &[Algorithm::ES256]).is_err());
    }

    #[test]
    fn secrets_are_as_long_as_the_hash() {
        assert!(Keys::from_secret(&[1; 31], &[Algorithm::HS256]).is_err());
        assert!(Keys::from_secret(&[1; 32], &[Algorithm::HS256]).is_ok());
        assert!(Keys::from_secret(&[1; 63], &[Algorithm::HS256, Algorithm::HS512]).is_err());
        assert!(Keys::from_secret(&[1; 64], &[Algorithm::ES256]).is_err());
    }

    #[test]
    fn pem_keys_fit_the_algorithms_of_their_kind() {
        let pem = SigningKey::generate().unwrap().public_pem();
        let both = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA];
        assert_eq!(Keys::from_pem(&pem, &both).unwrap().len(), 1);
        assert!(Keys::from_pem(&pem, &[Algorithm::RS256]).is_err());
        assert!(Keys::from_pem("-----BEGIN NONSENSE-----", &both).is_err());
        assert!(Keys::from_pem("", &both).is_err());
    }
}
