//! What the shell is told: everything of a configuration that is not policy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::tls::Policy;

/// How many shards run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// One per core that the process may use.
    Auto,
    Count(usize),
}

/// The best kind of ring that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    DeferTaskrun,
    CoopTaskrun,
    Plain,
    Epoll,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    Off,
    Stdout,
    Stderr,
    File(PathBuf),
}

/// The process as a whole. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub shards: Shards,
    pub ring: Ring,
    /// How long open exchanges may go on after a SIGTERM.
    pub drain_timeout: Duration,
    /// Keys that all rate limits together can count at once.
    pub rate_limit_keys: usize,
    pub most: Most,
    pub admin: SocketAddr,
    pub access_log: AccessLog,
}

/// What the process takes on at once. Beyond it a client is told to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Client connections, of all shards together. None: half of the descriptors.
    pub connections: Option<usize>,
    /// Of these, from one source prefix. None: a quarter.
    pub connections_per_source: Option<usize>,
    /// Requests, per shard.
    pub in_flight: usize,
    /// Bytes of bodies that are held, per shard.
    pub buffered: usize,
    /// Of these, for one source prefix.
    pub buffered_per_source: usize,
}

/// How long a listener waits for its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The TLS handshake.
    pub handshake: Duration,
    /// From the connection to the first byte on it.
    pub first_byte: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
    /// Between parts of a body, either way.
    pub body: Duration,
    /// Slowest that a body may come in, in bytes a second.
    pub body_rate: u64,
    /// From the end of a request's head to the end of its answer.
    pub exchange: Duration,
}

/// A listener.
#[derive(Clone, Debug)]
pub struct Listener {
    pub address: SocketAddr,
    pub trusted_peers: Vec<IpNet>,
    pub proxy_protocol: bool,
    pub timeouts: Timeouts,
    pub tls: Option<Arc<Policy>>,
}
