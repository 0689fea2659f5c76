//! Every reason to refuse a request, the stage that decided it, and what the client is told.

use crate::policy::authn::TokenError;
use crate::problem::Problem;
use crate::proto;

/// The stages in the order in which a request meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Protocol,
    Route,
    Authentication,
    Authorization,
    RateLimit,
    Contract,
    Waf,
    /// All stages passed.
    Forward,
    /// What the backend answered.
    Response,
}

impl Stage {
    pub const ALL: [Stage; 9] = [
        Stage::Protocol,
        Stage::Route,
        Stage::Authentication,
        Stage::Authorization,
        Stage::RateLimit,
        Stage::Contract,
        Stage::Waf,
        Stage::Forward,
        Stage::Response,
    ];

    /// As it stands in logs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Protocol => "protocol",
            Stage::Route => "route",
            Stage::Authentication => "authentication",
            Stage::Authorization => "authorization",
            Stage::RateLimit => "rate_limit",
            Stage::Contract => "contract",
            Stage::Waf => "waf",
            Stage::Forward => "forward",
            Stage::Response => "response",
        }
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    Malformed(proto::Error),
    /// The head or body did not arrive in time.
    TooSlow,
    /// The client closed in the middle of its request.
    Incomplete,
    /// As many requests are under way, or as many bytes held, as are allowed.
    Overloaded,

    UndeclaredOperation,
    UndeclaredMethod,
    /// A field by which a backend may take the request for another than the one that is judged.
    UndeclaredOverride,

    MissingToken,
    /// More than one credential: which of them counts is anyone's guess.
    RepeatedCredential,
    InvalidToken(TokenError),

    InsufficientScope,
    NotOwner,

    RateLimited,

    MissingParameter,
    InvalidParameter,
    UndeclaredParameter,
    UndeclaredBody,
    MissingBody,
    MissingMediaType,
    UndeclaredMediaType,
    EncodedBody,
    /// It is not in the coding that it says.
    InvalidCoding,
    /// The client accepts nothing of what the operation answers with.
    NotAcceptable,
    BodyTooLarge,
    InvalidBody,
    /// A value takes more steps to be checked than it may: nobody knows whether it is valid.
    TooComplex,
    /// A GraphQL request that is not one, or does not say which operation to run.
    InvalidGraphql,
    /// It asks for more than the endpoint allows.
    GraphqlLimit,
    /// Introspection, or a type of operation that the endpoint does not allow.
    GraphqlNotAllowed,
    /// A query that is not on the list.
    UnknownGraphqlQuery,

    /// Rules of the WAF add up to an attack.
    AttackDetected,
    /// A body that is not what its media type says, or could be read in two ways.
    UninspectableBody,
    /// More values or bytes than may be inspected.
    TooMuchToInspect,
    /// The inspector outside says no.
    InspectorRefused,
    /// It says nothing, and what it does not say is a no.
    InspectorFailed,

    /// The backend answered with a status or media type that is not declared.
    UndeclaredResponse,
    /// The backend's answer does not match its declaration.
    InvalidResponse,
    /// The answer is longer than may be read for its check.
    ResponseTooLarge,
    /// The answer holds more items than may leave at once.
    TooManyItems,
    /// The answer tells what nobody outside should know.
    LeakDetected,
    /// Rules of the WAF do not let the answer out.
    RefusedAnswer,
    /// The answer is in a coding that rules cannot look into.
    EncodedAnswer,
    /// The answer comes for as long as somebody listens, so that rules cannot look at it whole.
    EndlessAnswer,
}

impl Denial {
    /// Every denial, for the metrics.
    pub fn all() -> Vec<Denial> {
        let malformed = proto::Error::ALL.into_iter().map(Denial::Malformed);
        let invalid = TokenError::ALL.into_iter().map(Denial::InvalidToken);
        let others = [
            Denial::TooSlow,
            Denial::Incomplete,
            Denial::Overloaded,
            Denial::UndeclaredOperation,
            Denial::UndeclaredMethod,
            Denial::UndeclaredOverride,
            Denial::MissingToken,
            Denial::RepeatedCredential,
            Denial::InsufficientScope,
            Denial::NotOwner,
            Denial::RateLimited,
            Denial::MissingParameter,
            Denial::InvalidParameter,
            Denial::UndeclaredParameter,
            Denial::UndeclaredBody,
            Denial::MissingBody,
            Denial::MissingMediaType,
            Denial::UndeclaredMediaType,
            Denial::EncodedBody,
            Denial::InvalidCoding,
            Denial::NotAcceptable,
            Denial::BodyTooLarge,
            Denial::InvalidBody,
            Denial::TooComplex,
            Denial::InvalidGraphql,
            Denial::GraphqlLimit,
            Denial::GraphqlNotAllowed,
            Denial::UnknownGraphqlQuery,
            Denial::AttackDetected,
            Denial::UninspectableBody,
            Denial::TooMuchToInspect,
            Denial::InspectorRefused,
            Denial::InspectorFailed,
            Denial::UndeclaredResponse,
            Denial::InvalidResponse,
            Denial::ResponseTooLarge,
            Denial::TooManyItems,
            Denial::LeakDetected,
            Denial::RefusedAnswer,
            Denial::EncodedAnswer,
            Denial::EndlessAnswer,
        ];
        malformed.chain(invalid).chain(others).collect()
    }

    pub fn stage(self) -> Stage {
        match self {
            Denial::Malformed(_) | Denial::TooSlow | Denial::Incomplete | Denial::Overloaded => {
                Stage::Protocol
            }
            Denial::UndeclaredOperation | Denial::UndeclaredMethod | Denial::UndeclaredOverride => {
                Stage::Route
            }
            Denial::MissingToken | Denial::RepeatedCredential | Denial::InvalidToken(_) => {
                Stage::Authentication
            }
            Denial::InsufficientScope | Denial::NotOwner => Stage::Authorization,
            Denial::RateLimited => Stage::RateLimit,
            Denial::MissingParameter
            | Denial::InvalidParameter
            | Denial::UndeclaredParameter
            | Denial::UndeclaredBody
            | Denial::MissingBody
            | Denial::MissingMediaType
            | Denial::UndeclaredMediaType
            | Denial::EncodedBody
            | Denial::InvalidCoding
            | Denial::NotAcceptable
            | Denial::BodyTooLarge
            | Denial::InvalidBody
            | Denial::TooComplex
            | Denial::InvalidGraphql
            | Denial::GraphqlLimit
            | Denial::GraphqlNotAllowed
            | Denial::UnknownGraphqlQuery => Stage::Contract,
            Denial::AttackDetected
            | Denial::UninspectableBody
            | Denial::TooMuchToInspect
            | Denial::InspectorRefused
            | Denial::InspectorFailed => Stage::Waf,
            Denial::UndeclaredResponse
            | Denial::InvalidResponse
            | Denial::ResponseTooLarge
            | Denial::TooManyItems
            | Denial::LeakDetected
            | Denial::RefusedAnswer
            | Denial::EncodedAnswer
            | Denial::EndlessAnswer => Stage::Response,
        }
    }

    /// What the client is told. Tokens fail in one way for the client, whatever was wrong with
    /// them, but for expiry, which an honest client acts upon.
    pub fn problem(self) -> Problem {
        let (status, kind, title) = match self {
            Denial::Malformed(
                error @ (proto::Error::UnsupportedVersion | proto::Error::UpgradeToHttp2),
            ) => (
                error.status(),
                "unsupported-protocol",
                "Only HTTP/1 is spoken here, without an upgrade to HTTP/2",
            ),
            Denial::Malformed(error) => (error.status(), "malformed-request", "Malformed request"),
            Denial::TooSlow => (
                408,
                "request-timeout",
                "The request took too long to arrive",
            ),
            Denial::Incomplete => (400, "incomplete-request", "The request ended too early"),
            Denial::Overloaded => (503, "overloaded", "The gateway has its hands full"),
            Denial::UndeclaredOperation => (404, "undeclared-operation", "No such operation"),
            Denial::UndeclaredMethod => (405, "undeclared-method", "Method not declared"),
            Denial::UndeclaredOverride => (
                400,
                "undeclared-override",
                "A header names another method or path than the request",
            ),
            Denial::MissingToken => (401, "missing-token", "An access token is required"),
            Denial::RepeatedCredential => (400, "repeated-credential", "More than one credential"),
            Denial::InvalidToken(TokenError::Expired) => {
                (401, "expired-token", "The access token has expired")
            }
            Denial::InvalidToken(_) => (401, "invalid-token", "The access token is not valid"),
            Denial::InsufficientScope => (403, "insufficient-scope", "The token lacks a scope"),
            Denial::NotOwner => (403, "not-owner", "The object belongs to someone else"),
            Denial::RateLimited => (429, "quota-exceeded", "Too many requests"),
            Denial::MissingParameter => (400, "missing-parameter", "A parameter is missing"),
            Denial::InvalidParameter => (400, "invalid-parameter", "A parameter is not valid"),
            Denial::UndeclaredParameter => {
                (400, "undeclared-parameter", "A parameter is not declared")
            }
            Denial::UndeclaredBody => (400, "undeclared-body", "The operation takes no body"),
            Denial::MissingBody => (400, "missing-body", "The operation needs a body"),
            Denial::MissingMediaType => (415, "missing-media-type", "Content-Type is missing"),
            Denial::UndeclaredMediaType => (
                415,
                "undeclared-media-type",
                "The media type is not declared",
            ),
            Denial::NotAcceptable => (
                406,
                "not-acceptable",
                "There is no answer that the client accepts",
            ),
            Denial::InvalidCoding => (
                400,
                "invalid-coding",
                "The body is not in the coding that it says",
            ),
            Denial::EncodedBody => (415, "encoded-body", "Encoded bodies are not accepted"),
            Denial::BodyTooLarge => (413, "body-too-large", "The body is too large"),
            Denial::InvalidBody => (400, "invalid-body", "The body does not match the contract"),
            Denial::TooComplex => (
                400,
                "too-complex",
                "The request takes too many steps to check",
            ),
            Denial::InvalidGraphql => (400, "invalid-graphql", "The GraphQL request is not valid"),
            Denial::GraphqlLimit => (
                400,
                "graphql-limit-exceeded",
                "The GraphQL query asks for too much",
            ),
            Denial::GraphqlNotAllowed => (
                403,
                "graphql-not-allowed",
                "The GraphQL operation is not allowed",
            ),
            Denial::UnknownGraphqlQuery => (
                403,
                "unknown-graphql-query",
                "The GraphQL query is not on the list",
            ),
            Denial::AttackDetected => (403, "attack-detected", "The request looks like an attack"),
            Denial::UninspectableBody => (
                400,
                "uninspectable-body",
                "The body is not what its media type says",
            ),
            Denial::TooMuchToInspect => (
                413,
                "too-much-to-inspect",
                "The request holds too much to inspect",
            ),
            Denial::InspectorRefused => (
                403,
                "refused-by-inspection",
                "The request did not pass inspection",
            ),
            Denial::InspectorFailed => (
                503,
                "inspection-unavailable",
                "The request cannot be inspected now",
            ),
            Denial::UndeclaredResponse => (
                502,
                "undeclared-response",
                "The backend's answer is not declared",
            ),
            Denial::InvalidResponse => (
                502,
                "invalid-response",
                "The backend's answer does not match the contract",
            ),
            Denial::TooManyItems => (
                502,
                "too-many-items",
                "The backend's answer holds too many items",
            ),
            Denial::LeakDetected => (502, "withheld-response", "The backend's answer is withheld"),
            Denial::RefusedAnswer => (
                502,
                "refused-response",
                "The backend's answer did not pass inspection",
            ),
            Denial::EncodedAnswer => (
                502,
                "encoded-response",
                "The backend's answer cannot be inspected",
            ),
            Denial::EndlessAnswer => (
                502,
                "endless-response",
                "The backend's answer has no end and cannot be inspected",
            ),
            Denial::ResponseTooLarge => (
                502,
                "response-too-large",
                "The backend's answer is too large",
            ),
        };
        Problem {
            status,
            kind,
            title,
        }
    }

    /// The exact reason, for logs and metrics: never for the client.
    pub fn reason(self) -> &'static str {
        match self {
            Denial::Malformed(error) => error.name(),
            Denial::InvalidToken(error) => error.name(),
            other => other.problem().kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_of_its_kind() {
        let mut reasons: Vec<&str> = Denial::all().iter().map(|denial| denial.reason()).collect();
        let count = reasons.len();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), count);
        for denial in Denial::all() {
            assert!((400..=505).contains(&denial.problem().status), "{denial:?}");
            assert_ne!(denial.stage(), Stage::Forward);
        }
    }
}
