//! What the shell is told: everything of a configuration that is not policy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::file;
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
    pub admin: SocketAddr,
    pub access_log: AccessLog,
}

/// A listener. Its certificates are renewed by a reload, the rest needs a restart.
#[derive(Clone, Debug)]
pub struct Listener {
    pub address: SocketAddr,
    pub trusted_peers: Vec<IpNet>,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
    pub tls: Option<Tls>,
}

/// TLS of a listener, and where it was read from, so that it can be read again.
#[derive(Clone, Debug)]
pub struct Tls {
    pub policy: Arc<Policy>,
    pub named: file::Tls,
}
