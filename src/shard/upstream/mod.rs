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
mod strain;
pub mod tunnel;
mod wire;

use std::cell::Cell;
use std::{fmt, io};

use nix::errno::Errno;

use crate::problem::Problem;

/// What failed on the way to a backend or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The connection was refused or reset before a request could be sent.
    Unreachable,
    /// This machine has no descriptor, port or leave for a connection: no fault of the backend.
    LocalFault,
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
    pub fn names() -> [&'static str; 9] {
        [
            Error::Unreachable,
            Error::LocalFault,
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
            | Error::LocalFault
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
            Error::LocalFault => "upstream-local-fault",
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

/// Why there is no connection.
#[derive(Debug)]
pub struct Unopened {
    pub error: Error,
    /// For the log; empty where the error says it all.
    pub reason: String,
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Unopened {
        Unopened {
            error,
            reason: String::new(),
        }
    }
}

impl From<io::Error> for Unopened {
    fn from(error: io::Error) -> Unopened {
        let number = error.raw_os_error().map(Errno::from_raw);
        let is_local = matches!(
            number,
            Some(
                Errno::EMFILE
                    | Errno::ENFILE
                    | Errno::EADDRNOTAVAIL
                    | Errno::ENOBUFS
                    | Errno::ENOMEM
                    | Errno::EACCES
                    | Errno::EPERM
            )
        );
        Unopened {
            error: match is_local {
                true => Error::LocalFault,
                false => Error::Unreachable,
            },
            reason: told(&error),
        }
    }
}

/// With what is behind it: the outermost of a failed handshake says no more than "io error".
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = causes.map(|cause| cause.to_string()).collect();
    causes.join(": ")
}

impl From<Unopened> for Error {
    fn from(unopened: Unopened) -> Error {
        unopened.error
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
            Error::Unreachable
            | Error::LocalFault
            | Error::Overloaded
            | Error::CircuitOpen
            | Error::NoEndpoint => (503, "The backend is unavailable"),
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
