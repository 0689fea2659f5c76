//! Backends: connections to them, and what can go wrong there.

pub mod pool;
pub mod relay;
pub mod send;

use std::cell::Cell;
use std::fmt;

use crate::problem::Problem;

/// What failed on the way to a backend or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The connection was refused or reset before a request could be sent.
    Unreachable,
    ConnectTimeout,
    /// As many connections are being opened as the pool allows.
    Overloaded,
    /// The head of the response did not arrive in time.
    ResponseTimeout,
    /// The backend closed before a whole response head.
    ClosedEarly,
    /// What came is not a response (RFC 9112), or not one to this request.
    Malformed,
}

impl Error {
    /// The names of all of them, for the metrics.
    pub fn names() -> [&'static str; 6] {
        [
            Error::Unreachable,
            Error::ConnectTimeout,
            Error::Overloaded,
            Error::ResponseTimeout,
            Error::ClosedEarly,
            Error::Malformed,
        ]
        .map(Error::name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Error::Unreachable => "upstream-unreachable",
            Error::ConnectTimeout => "upstream-connect-timeout",
            Error::Overloaded => "upstream-overloaded",
            Error::ResponseTimeout => "upstream-response-timeout",
            Error::ClosedEarly => "upstream-closed-early",
            Error::Malformed => "upstream-malformed-response",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What the two directions of one exchange know of each other.
#[derive(Default)]
pub struct Link {
    /// The whole request left, or what is left of it is nobody's business any more.
    pub is_uploaded: Cell<bool>,
    /// The response is over, well or not: the backend wants no more of the request.
    pub is_answered: Cell<bool>,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let (status, title) = match error {
            Error::Unreachable | Error::Overloaded => (503, "The backend is unavailable"),
            Error::ConnectTimeout | Error::ResponseTimeout => {
                (504, "The backend did not answer in time")
            }
            Error::ClosedEarly | Error::Malformed => (502, "The backend gave no valid answer"),
        };
        Problem {
            status,
            kind: match status {
                502 => "bad-gateway",
                503 => "backend-unavailable",
                _ => "backend-timeout",
            },
            title,
        }
    }
}
