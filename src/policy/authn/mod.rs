//! Who? Verifies the credential that a request carries.

mod bearer;
mod jwk;
mod jwt;
pub mod sign;
mod signature_cache;

pub use bearer::bearer;
pub use jwk::{Keys, algorithm};
pub use jwt::{Issuer, IssuerSettings, Verified};
pub use signature_cache::SignatureCache;

use std::fmt;

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Not three base64url parts holding JSON objects (RFC 7515 section 3.1), or a claim of a
    /// wrong type.
    Malformed,
    TooLarge,
    /// `alg` is not one of those that the issuer's declaration lists.
    AlgorithmNotAllowed,
    /// `crit` names what is not understood (RFC 7515 section 4.1.11).
    UnknownCriticalHeader,
    /// No key fits `kid` and `alg`.
    UnknownKey,
    BadSignature,
    Expired,
    NotYetValid,
    WrongIssuer,
    WrongAudience,
    /// `exp` or `sub` is absent.
    MissingClaim,
}

impl TokenError {
    /// Every reason, for the metrics.
    pub const ALL: [TokenError; 11] = [
        TokenError::Malformed,
        TokenError::TooLarge,
        TokenError::AlgorithmNotAllowed,
        TokenError::UnknownCriticalHeader,
        TokenError::UnknownKey,
        TokenError::BadSignature,
        TokenError::Expired,
        TokenError::NotYetValid,
        TokenError::WrongIssuer,
        TokenError::WrongAudience,
        TokenError::MissingClaim,
    ];

    pub fn name(self) -> &'static str {
        match self {
            TokenError::Malformed => "token-malformed",
            TokenError::TooLarge => "token-too-large",
            TokenError::AlgorithmNotAllowed => "token-algorithm-not-allowed",
            TokenError::UnknownCriticalHeader => "token-unknown-critical-header",
            TokenError::UnknownKey => "token-unknown-key",
            TokenError::BadSignature => "token-bad-signature",
            TokenError::Expired => "token-expired",
            TokenError::NotYetValid => "token-not-yet-valid",
            TokenError::WrongIssuer => "token-wrong-issuer",
            TokenError::WrongAudience => "token-wrong-audience",
            TokenError::MissingClaim => "token-missing-claim",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}
