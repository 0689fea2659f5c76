//! The responses that the gateway itself writes.

use crate::policy::authn::TokenError;
use crate::policy::catalogue::Operation;
use crate::policy::denial::Denial;
use crate::policy::pipeline::Refusal;
use crate::policy::ratelimit::{write_remaining, write_retry_after};
use crate::problem::{Fault, MEDIA_TYPE, Problem};

/// What surrounds a problem in its response.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    pub request_id: &'a str,
    /// HTTP/1.1 section 9.3.2: an answer to `HEAD` has the fields but not the body.
    pub to_head: bool,
    pub closes: bool,
    /// An HTTP/1.0 client is told when its connection stays.
    pub confirms_keep_alive: bool,
}

/// Writes a whole response that carries `problem`, with what exactly is wrong where the client may
/// know; `fields` are lines of its own.
pub fn problem(
    out: &mut Vec<u8>,
    (problem, faults): (Problem, &[Fault<'_>]),
    fields: &[u8],
    around: Circumstances<'_>,
) {
    let mut body = Vec::with_capacity(256);
    problem.write(around.request_id, faults, &mut body);
    let mut digits = itoa::Buffer::new();
    for part in [
        b"HTTP/1.1 ",
        digits.format(problem.status).as_bytes(),
        b" \r\nContent-Type: ",
        MEDIA_TYPE.as_bytes(),
        b"\r\nCache-Control: no-store\r\nX-Request-ID: ",
        around.request_id.as_bytes(),
        b"\r\n",
        fields,
    ] {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(connection(around.closes, around.confirms_keep_alive));
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    if !around.to_head {
        out.extend_from_slice(&body);
    }
}

/// The `Connection` line, where one is needed (RFC 9112 section 9.3).
pub fn connection(closes: bool, confirms_keep_alive: bool) -> &'static [u8] {
    match (closes, confirms_keep_alive) {
        (true, _) => b"Connection: close\r\n",
        (false, true) => b"Connection: keep-alive\r\n",
        (false, false) => b"",
    }
}

/// The fields that a refusal carries beside its problem.
pub fn fields(refusal: &Refusal, operation: Option<&Operation>, allow: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    match refusal.denial {
        Denial::UndeclaredMethod => line(&mut out, "Allow", allow.join(", ").as_bytes()),
        Denial::RateLimited => limited(&mut out, refusal, operation),
        // RFC 9110 section 12.5.3: which codings would have been taken.
        Denial::EncodedBody => {
            let codings = operation.map_or(&[][..], |operation| operation.contract.codings());
            let names: Vec<&str> = codings.iter().map(|coding| coding.name()).collect();
            let names = match &names[..] {
                [] => "identity".to_owned(),
                names => names.join(", "),
            };
            line(&mut out, "Accept-Encoding", names.as_bytes());
        }
        // RFC 9110 section 10.2.3.
        Denial::Overloaded => line(&mut out, "Retry-After", b"1"),
        denial => {
            if let Some(challenge) = challenge(denial, operation) {
                line(&mut out, "WWW-Authenticate", challenge.as_bytes());
            }
        }
    }
    out
}

fn limited(out: &mut Vec<u8>, refusal: &Refusal, operation: Option<&Operation>) {
    let (Some(limited), Some(operation)) = (refusal.limited, operation) else {
        return;
    };
    let mut value = Vec::new();
    write_retry_after(&mut value, limited.retry_after_s);
    line(out, "Retry-After", &value);
    line(out, "RateLimit-Policy", operation.limits.policy());
    value.clear();
    let quota = operation.limits.quota(limited.quota);
    write_remaining(&mut value, quota, 0, limited.retry_after_s);
    line(out, "RateLimit", &value);
}

/// RFC 6750 section 3: without a credential no error code is given, with a bad one it is.
fn challenge(denial: Denial, operation: Option<&Operation>) -> Option<String> {
    let realm = operation.map_or("", |operation| &*operation.api);
    let error = match denial {
        Denial::MissingToken => String::new(),
        Denial::RepeatedCredential => ", error=\"invalid_request\"".to_owned(),
        Denial::InvalidToken(TokenError::Expired) => {
            ", error=\"invalid_token\", error_description=\"the token has expired\"".to_owned()
        }
        Denial::InvalidToken(_) => ", error=\"invalid_token\"".to_owned(),
        Denial::InsufficientScope => {
            let sets = operation.map_or(&[][..], |operation| &operation.requirement.scopes);
            let scope = sets.first().map(|set| set.join(" ")).unwrap_or_default();
            format!(", error=\"insufficient_scope\", scope=\"{scope}\"")
        }
        Denial::Malformed(_)
        | Denial::TooSlow
        | Denial::Incomplete
        | Denial::Overloaded
        | Denial::UndeclaredOperation
        | Denial::UndeclaredMethod
        | Denial::UndeclaredOverride
        | Denial::NotOwner
        | Denial::RateLimited
        | Denial::MissingParameter
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
        | Denial::UnknownGraphqlQuery
        | Denial::AttackDetected
        | Denial::UninspectableBody
        | Denial::TooMuchToInspect
        | Denial::UndeclaredResponse
        | Denial::InvalidResponse
        | Denial::ResponseTooLarge
        | Denial::LeakDetected
        | Denial::RefusedAnswer
        | Denial::EncodedAnswer
        | Denial::EndlessAnswer
        | Denial::InspectorRefused
        | Denial::InspectorFailed
        | Denial::TooManyItems => return None,
    };
    Some(format!("Bearer realm=\"{realm}\"{error}"))
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}
