//! Minting: signed tokens for trying things out, and for tests. The gateway itself signs nothing.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;

/// The `kid` of keys that are made here.
const KEY_ID: &str = "portcullis-1";

/// A private key and how it signs.
pub struct SigningKey {
    key: EncodingKey,
    algorithm: Algorithm,
    id: Option<String>,
    /// The public half of a key that was made here.
    public: Option<Public>,
    private_pem: String,
}

struct Public {
    point: Vec<u8>,
    der: Vec<u8>,
}

impl SigningKey {
    /// A fresh key for ES256.
    pub fn generate() -> Result<SigningKey, String> {
        let failed = |_| "the system gave no random numbers".to_owned();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
        let private = pair.to_pkcs8v1().map_err(failed)?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
        Ok(SigningKey {
            key: EncodingKey::from_ec_der(private.as_ref()),
            algorithm: Algorithm::ES256,
            id: Some(KEY_ID.to_owned()),
            public: Some(Public {
                point: pair.public_key().as_ref().to_vec(),
                der: public.as_ref().to_vec(),
            }),
            private_pem: pem("PRIVATE KEY", private.as_ref()),
        })
    }

    /// A private key in PEM.
    pub fn from_pem(text: &str, algorithm: Algorithm) -> Result<SigningKey, String> {
        let bytes = text.as_bytes();
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(bytes),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(bytes),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => EncodingKey::from_rsa_pem(bytes),
            other => return Err(format!("{other:?} does not sign with a PEM file")),
        };
        Ok(SigningKey {
            key: key.map_err(|error| format!("not a private key for {algorithm:?}: {error}"))?,
            algorithm,
            id: None,
            public: None,
            private_pem: text.to_owned(),
        })
    }

    /// A shared secret, for HS256.
    pub fn secret(secret: &[u8]) -> SigningKey {
        SigningKey::from_secret(secret, Algorithm::HS256)
    }

    pub fn from_secret(secret: &[u8], algorithm: Algorithm) -> SigningKey {
        SigningKey {
            key: EncodingKey::from_secret(secret),
            algorithm,
            id: None,
            public: None,
            private_pem: String::new(),
        }
    }

    #[must_use]
    pub fn with_id(mut self, id: Option<String>) -> SigningKey {
        self.id = id;
        self
    }

    /// The compact serialisation (RFC 7515 section 7.1) with `typ` `at+jwt` (RFC 9068).
    pub fn sign(&self, claims: &Value) -> Result<String, String> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some("at+jwt".to_owned());
        header.kid = self.id.clone();
        let token = jsonwebtoken::encode(&header, claims, &self.key);
        token.map_err(|error| format!("cannot sign with this key: {error}"))
    }

    /// The key set that verifies what this key signs; empty for keys that were not made here.
    pub fn jwks(&self) -> String {
        let keys = self.public.as_ref().map(|public| {
            let (x, y) = public.point[1..].split_at(32);
            serde_json::json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
                "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            })
        });
        serde_json::json!({"keys": Vec::from_iter(keys)}).to_string()
    }

    pub fn private_pem(&self) -> &str {
        &self.private_pem
    }

    /// Empty for keys that were not made here.
    pub fn public_pem(&self) -> String {
        let public = self.public.as_ref();
        public.map_or_else(String::new, |public| pem("PUBLIC KEY", &public.der))
    }
}

/// RFC 7468 section 2: lines of 64 digits.
fn pem(label: &str, der: &[u8]) -> String {
    let digits = STANDARD.encode(der);
    let mut lines = vec![format!("-----BEGIN {label}-----")];
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, others) = rest.split_at(rest.len().min(64));
        lines.push(line.to_owned());
        rest = others;
    }
    lines.push(format!("-----END {label}-----\n"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pem(key.private_pem(), Algorithm::ES256).unwrap();
        assert!(again.sign(&serde_json::json!({"sub": "a"})).is_ok());
        assert!(SigningKey::from_pem(key.private_pem(), Algorithm::HS256).is_err());
        assert!(SigningKey::from_pem("nonsense", Algorithm::ES256).is_err());
    }
}
