//! Backends: connections to them, and what can go wrong there.

pub mod affinity;
pub mod balance;
mod budget;
pub mod ejection;
pub mod inspect;
pub mod outbound;
pub mod pool;
pub mod relay;
mod release;
pub mod screen;
pub mod send;
pub mod tunnel;
mod wire;

use std::cell::Cell;
use std::fmt;

use crate::problem::Problem;

/// What failed on the way to a backend or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The connection was refused or reset before a request could be sent.
    Unreachable,
    ConnectTimeout,
    /// As many connections are being opened, or requests under way, as is allowed.
    Overloaded,
    /// Every endpoint has failed too often of late to be asked.
    CircuitOpen,
    /// There is no endpoint, or health checks call all of them down.
    NoEndpoint,
    /// The head of the response did not arrive in time.
    ResponseTimeout,
    /// The backend closed before a whole response head.
    ClosedEarly,
    /// What came is not a response (RFC 9112), or not one to this request.
    Malformed,
}

impl Error {
    /// The names of all of them, for the metrics.
    pub fn names() -> [&'static str; 8] {
        [
            Error::Unreachable,
            Error::ConnectTimeout,
            Error::Overloaded,
            Error::CircuitOpen,
            Error::NoEndpoint,
            Error::ResponseTimeout,
            Error::ClosedEarly,
            Error::Malformed,
        ]
        .map(Error::name)
    }

    /// Whether no byte of the request can have reached a backend.
    pub fn sent_nothing(self) -> bool {
        match self {
            Error::Unreachable
            | Error::ConnectTimeout
            | Error::Overloaded
            | Error::CircuitOpen
            | Error::NoEndpoint => true,
            Error::ResponseTimeout | Error::ClosedEarly | Error::Malformed => false,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Error::Unreachable => "upstream-unreachable",
            Error::ConnectTimeout => "upstream-connect-timeout",
            Error::Overloaded => "upstream-overloaded",
            Error::CircuitOpen => "upstream-circuit-open",
            Error::NoEndpoint => "upstream-no-endpoint",
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
            Error::Unreachable | Error::Overloaded | Error::CircuitOpen | Error::NoEndpoint => {
                (503, "The backend is unavailable")
            }
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
