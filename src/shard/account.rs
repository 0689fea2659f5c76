//! What one exchange was: the facts that its log line and its counters are made of.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::policy::contract::response::UndeclaredFields;
use crate::policy::denial::Denial;
use crate::policy::identity::Principal;
use crate::policy::waf::found::Found;
use crate::shard::load::{Source, UnderWay};
use crate::shard::trace::Trace;
use crate::shard::upstream;

/// Longest method that is remembered; the registered ones are shorter.
const METHOD: usize = 16;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It passed every stage and was answered by the backend.
    Forwarded,
    Denied(Denial),
    /// It passed every stage, but the backend gave no answer to pass on.
    Failed(upstream::Error),
}

/// One exchange from the last byte of the request head on.
pub struct Account {
    pub received: Instant,
    /// Time spent waiting for the client's body before a decision.
    pub waited: Duration,
    /// Its place among those under way.
    pub held: Option<UnderWay>,
    /// When the request left for the backend.
    pub sent: Option<Instant>,
    /// When the head of the response was complete.
    pub answered: Option<Instant>,
    /// When the first bytes of the answer were ready to leave.
    pub relayed: Option<Instant>,
    pub decision: Decision,
    pub status: u16,
    pub operation: Option<usize>,
    pub principal: Option<Rc<Principal>>,
    pub trace: Trace,
    pub peer: IpAddr,
    /// Whom bodies are held for.
    pub source: Source,
    pub is_tls: bool,
    /// Content bytes of both bodies.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// The answer did not reach the client whole.
    pub is_truncated: bool,
    /// What exactly a contract refused or reported.
    pub detail: String,
    /// What would have been denied, had it not been let pass to be reported only.
    pub reported: Option<Denial>,
    /// Header fields of the answer that nothing declares.
    pub undeclared: UndeclaredFields,
    /// What the WAF found, whatever came of it.
    pub found: Found,
    method: [u8; METHOD],
}

impl Account {
    pub fn new(received: Instant, trace: Trace, peer: IpAddr, is_tls: bool) -> Account {
        Account {
            received,
            waited: Duration::ZERO,
            held: None,
            sent: None,
            answered: None,
            relayed: None,
            // Until another decision is noted: an end without one is a failure.
            decision: Decision::Failed(upstream::Error::ClosedEarly),
            status: 0,
            operation: None,
            principal: None,
            trace,
            peer,
            source: Source::of(peer),
            is_tls,
            bytes_in: 0,
            bytes_out: 0,
            is_truncated: false,
            detail: String::new(),
            reported: None,
            undeclared: UndeclaredFields::default(),
            found: Found::default(),
            method: [0; METHOD],
        }
    }

    /// Remembers the method, cut at a length that no registered one has.
    pub fn set_method(&mut self, method: &[u8]) {
        let length = method.len().min(METHOD);
        self.method[..length].copy_from_slice(&method[..length]);
    }

    pub fn method(&self) -> &str {
        let length = self.method.iter().position(|&byte| byte == 0);
        std::str::from_utf8(&self.method[..length.unwrap_or(METHOD)]).unwrap_or_default()
    }

    /// What the gateway added before the backend was asked.
    pub fn before(&self, end: Instant) -> Duration {
        let until = self.sent.or(self.relayed).unwrap_or(end);
        until
            .saturating_duration_since(self.received)
            .saturating_sub(self.waited)
    }

    /// What the backend took.
    pub fn upstream(&self) -> Duration {
        match (self.sent, self.answered) {
            (Some(sent), Some(answered)) => answered.saturating_duration_since(sent),
            _ => Duration::ZERO,
        }
    }

    /// What the gateway added after the backend had answered.
    pub fn after(&self) -> Duration {
        match (self.answered, self.relayed) {
            (Some(answered), Some(relayed)) => relayed.saturating_duration_since(answered),
            _ => Duration::ZERO,
        }
    }
}
