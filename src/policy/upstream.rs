//! A backend as it is declared: where its endpoints are, how one of them is chosen, when one is
//! left out, and what the control side has found out about them.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use crate::fingerprint::Fingerprint;

/// A backend and all that the shards and the control side have to know of it.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub settings: Settings,
    pub endpoints: Arc<Endpoints>,
}

impl Upstream {
    /// Whether both are the same, with the same endpoints and not only equal ones.
    pub fn is(&self, other: &Upstream) -> bool {
        self.settings == other.settings && Arc::ptr_eq(&self.endpoints, &other.endpoints)
    }
}

/// What the configuration says of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub name: Box<str>,
    /// Its first address as configured, for requests that come without a host.
    pub authority: Box<str>,
    pub places: Box<[Place]>,
    pub balance: Balance,
    pub timeouts: Timeouts,
    /// Idle connections kept per endpoint and shard.
    pub max_idle: usize,
    /// How long one of them is kept.
    pub idle: Duration,
    /// Requests under way, and connections being opened, per endpoint and shard.
    pub max_in_flight: usize,
    /// Of a hundred requests, how many may be second tries.
    pub retry_percent: u32,
    pub ejection: Ejection,
    /// Answers with these are failures of the endpoint.
    pub failure_statuses: Box<[u16]>,
    /// How long an endpoint that has come back gets less than its share.
    pub slow_start: Duration,
    pub health: Option<HealthCheck>,
    /// None: in the clear.
    pub tls: Option<Tls>,
}

/// How a backend is known for who it is, and what it is shown.
#[derive(Clone)]
pub struct Tls {
    /// The name that its certificate must be valid for.
    pub name: ServerName<'static>,
    pub config: Arc<ClientConfig>,
    /// Of all that `config` was made from.
    pub fingerprint: Fingerprint,
}

impl PartialEq for Tls {
    fn eq(&self, other: &Tls) -> bool {
        self.name == other.name && self.fingerprint == other.fingerprint
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// The defaults, with no endpoint.
    pub fn named(name: &str) -> Settings {
        Settings {
            name: name.into(),
            authority: name.into(),
            places: Box::default(),
            balance: Balance::LeastRequest,
            timeouts: Timeouts {
                connect: Duration::from_secs(1),
                response: Duration::from_secs(10),
            },
            max_idle: 64,
            idle: Duration::from_secs(4),
            max_in_flight: 1024,
            retry_percent: 20,
            ejection: Ejection {
                failures: 5,
                failure_percent: 50,
                time: Duration::from_secs(5),
            },
            failure_statuses: Box::new([500, 502, 503, 504]),
            slow_start: Duration::from_secs(10),
            health: None,
            tls: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// From the end of the request to the head of the response, and between parts of its body.
    pub response: Duration,
}

/// Where an endpoint is, as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Address(Address),
    /// A name that is resolved, and again when its time to live has passed.
    Name {
        host: Box<str>,
        port: u16,
    },
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(out),
            Address::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

/// How an endpoint is chosen among those that are in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
    /// The one with the fewest requests under way in this shard.
    LeastRequest,
    /// The less busy of two that are drawn: nearly as even, at the cost of two looks.
    PowerOfTwo,
    /// The same one for the same key, as long as it is in use (rendezvous hashing).
    Hash(HashKey),
}

/// What is hashed. A request without it goes where chance sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    Source,
    Subject,
    Client,
    Header(Box<str>),
}

/// When an endpoint that fails is left out, and for how long (passive health).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// So many requests in a row that got no answer, or were told that there is nobody to answer.
    pub failures: u32,
    /// Or so many of a hundred, once there were enough to tell.
    pub failure_percent: u32,
    /// The first time; it doubles each time in a row, up to [`Ejection::LONGEST`] times.
    pub time: Duration,
}

impl Ejection {
    /// Most doublings of the time.
    pub const LONGEST: u32 = 5;
}

/// How the control side asks an endpoint whether it can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub probe: Probe,
    pub interval: Duration,
    pub timeout: Duration,
    /// So many good answers in a row bring it back.
    pub healthy: u32,
    /// So many bad ones in a row take it out.
    pub unhealthy: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It takes a connection.
    Tcp,
    /// It answers a GET of this path with a status from 200 to 299.
    Http { path: Box<str> },
}

/// One endpoint, shared by the shards and the control side.
#[derive(Debug)]
pub struct Endpoint {
    pub address: Address,
    is_up: AtomicBool,
    is_checked: AtomicBool,
}

impl Endpoint {
    pub fn new(address: Address) -> Endpoint {
        Endpoint {
            address,
            is_up: AtomicBool::new(true),
            is_checked: AtomicBool::new(false),
        }
    }

    /// What the last health checks say; true without any.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Whether health checks had an answer of it before; they have one now.
    pub fn note_checked(&self) -> bool {
        self.is_checked.swap(true, Ordering::Relaxed)
    }

    pub fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }
}

/// The endpoints that are known now. Written by the control side, read by the shards, which compare
/// a number and never wait.
#[derive(Debug, Default)]
pub struct Endpoints {
    current: ArcSwap<Vec<Arc<Endpoint>>>,
    generation: AtomicU64,
}

impl Endpoints {
    pub fn new(addresses: impl IntoIterator<Item = Address>) -> Endpoints {
        let endpoints = Endpoints::default();
        endpoints.replace(addresses);
        endpoints
    }

    /// Takes these addresses for the ones there are; what is known of those that stay is kept.
    /// `false`: they are the same as before.
    pub fn replace(&self, addresses: impl IntoIterator<Item = Address>) -> bool {
        let old = self.load();
        let mut addresses: Vec<Address> = addresses.into_iter().collect();
        addresses.sort();
        addresses.dedup();
        if addresses.iter().eq(old.iter().map(|each| &each.address)) {
            return false;
        }
        let kept = |address: &Address| old.iter().find(|each| each.address == *address).cloned();
        let fresh = addresses
            .into_iter()
            .map(|address| kept(&address).unwrap_or_else(|| Arc::new(Endpoint::new(address))));
        self.current.store(Arc::new(fresh.collect()));
        // Release: who sees the number finds the list.
        self.generation.fetch_add(1, Ordering::Release);
        true
    }

    /// Takes over what is known there of the addresses that are here too.
    pub fn learn(&self, known: &Endpoints) {
        let (own, known) = (self.load(), known.load());
        let learned = own.iter().map(|each| {
            let same = known.iter().find(|known| known.address == each.address);
            same.unwrap_or(each).clone()
        });
        self.current.store(Arc::new(learned.collect()));
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub fn load(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.current.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(port: u16) -> Address {
        Address::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn what_is_known_of_an_endpoint_stays_with_its_address() {
        let endpoints = Endpoints::new([tcp(2), tcp(1), tcp(2)]);
        let first = endpoints.load();
        assert_eq!((first.len(), endpoints.generation()), (2, 1));
        first[0].set_up(false);
        assert!(!endpoints.replace([tcp(1), tcp(2)]));
        assert!(endpoints.replace([tcp(1), tcp(3)]));
        let second = endpoints.load();
        assert!(!second[0].is_up() && second[1].is_up());
        assert_eq!(endpoints.generation(), 2);
        assert!(endpoints.replace([]));
        assert!(endpoints.load().is_empty());
    }
}
