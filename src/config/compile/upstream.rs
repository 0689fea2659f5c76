//! Upstreams: where their endpoints are and how they are treated.

use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::compile::{one_of, upstream_tls};
use crate::config::file::{self, File};
use crate::config::reader::{At, Reader};
use crate::policy::upstream::{
    Address, Balance, Ejection, Endpoints, HashKey, HealthCheck, Place, Probe, Settings, Timeouts,
    Upstream,
};

/// Most endpoints of one upstream: each request may look at all of them.
const MOST_ENDPOINTS: usize = 256;

pub fn compile(reader: &Reader<'_>, file: &File) -> Vec<Upstream> {
    let declared = file.upstreams.iter();
    declared
        .filter_map(|(name, declared)| upstream(reader, name, declared))
        .collect()
}

fn upstream(reader: &Reader<'_>, name: &At<String>, declared: &file::Upstream) -> Option<Upstream> {
    let written = addresses(reader, name, declared);
    let authority = match &written.first()?.value {
        // A path is no host (RFC 9110 section 7.2).
        path if path.starts_with("unix:") => name.value.as_str().into(),
        address => address.as_str().into(),
    };
    let found: Vec<_> = written
        .iter()
        .filter_map(|address| place(reader, address))
        .collect();
    if declared.tls.is_some() {
        for unix in written.iter().filter(|at| at.value.starts_with("unix:")) {
            let hint = "leave out [upstream.NAME.tls], or use a TCP address";
            reader.error(unix.position, "a Unix socket has no TLS", hint);
        }
    }
    let (places, known): (Vec<Place>, Vec<Vec<Address>>) = found.into_iter().unzip();
    let known: Vec<Address> = known.into_iter().flatten().collect();
    if known.len() > MOST_ENDPOINTS {
        let message = format!("{} endpoints are too many", known.len());
        let hint = format!("at most {MOST_ENDPOINTS}");
        reader.error(name.position, message, hint);
    }
    Some(Upstream {
        endpoints: Arc::new(Endpoints::new(known)),
        settings: Settings {
            name: name.value.as_str().into(),
            authority,
            places: places.into(),
            balance: balance(reader, name, declared),
            timeouts: Timeouts {
                connect: declared.connect_timeout,
                response: declared.response_timeout,
            },
            max_idle: declared.max_idle,
            idle: declared.idle_timeout,
            max_in_flight: at_least_one(reader, &declared.max_in_flight, 1024),
            retry_percent: percent(reader, declared.retry_percent.as_ref(), 20),
            ejection: ejection(reader, &declared.ejection),
            failure_statuses: failure_statuses(reader, &declared.ejection),
            slow_start: declared.slow_start.0,
            health: declared.health.as_ref().map(|health| check(reader, health)),
            tls: match &declared.tls {
                Some(tls) => Some(upstream_tls::compile(reader, tls, &written.first()?.value)?),
                None => None,
            },
        },
    })
}

/// Either the one of `address` or those of `addresses`.
fn addresses<'f>(
    reader: &Reader<'_>,
    name: &At<String>,
    declared: &'f file::Upstream,
) -> Vec<&'f At<String>> {
    let one = declared.address.as_ref();
    let hint = "write address = \"127.0.0.1:9000\", or addresses = [...] for several";
    match (one, declared.addresses.is_empty()) {
        (Some(_), true) | (None, false) => {}
        (Some(address), false) => {
            let message = "`address` and `addresses` exclude each other";
            reader.error(address.position, message, hint);
        }
        (None, true) => {
            let message = format!("upstream.{} has no `address`", name.value);
            reader.absent(name.position, &["address", "addresses"], message, hint);
        }
    }
    one.into_iter().chain(&declared.addresses).collect()
}

/// A place as it is declared, and the addresses that it has now.
fn place(reader: &Reader<'_>, written: &At<String>) -> Option<(Place, Vec<Address>)> {
    if let Some(path) = written.value.strip_prefix("unix:") {
        let path: PathBuf = reader.resolve(path);
        let address = Address::Unix(path);
        return Some((Place::Address(address.clone()), vec![address]));
    }
    if let Ok(address) = written.value.parse() {
        let address = Address::Tcp(address);
        return Some((Place::Address(address.clone()), vec![address]));
    }
    let named = written.value.rsplit_once(':');
    let named = named.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let resolved = named.and_then(|(host, port)| {
        let found = (host, port).to_socket_addrs().ok()?;
        let found: Vec<Address> = found.map(Address::Tcp).collect();
        let host = host.into();
        (!found.is_empty()).then_some((Place::Name { host, port }, found))
    });
    if resolved.is_none() {
        let (message, hint) = match named {
            _ if written.value.contains("://") => (
                format!("\"{}\" has a scheme", written.value),
                "write host and port alone; TLS to a backend is [upstream.NAME.tls]",
            ),
            Some((host, _)) => (
                format!("\"{host}\" cannot be resolved"),
                "names have to resolve whenever the configuration loads: look at the spelling and at \
                 the name servers of this machine",
            ),
            None => (
                format!("\"{}\" is no address with a port", written.value),
                "write \"127.0.0.1:9000\", \"backend.example:9000\" or \"unix:/run/backend.sock\"",
            ),
        };
        reader.error(written.position, message, hint);
    }
    resolved
}

#[derive(Clone, Copy)]
enum Kind {
    RoundRobin,
    LeastRequest,
    PowerOfTwo,
    Hash,
}

fn balance(reader: &Reader<'_>, name: &At<String>, declared: &file::Upstream) -> Balance {
    let known = [
        ("least_request", Kind::LeastRequest),
        ("round_robin", Kind::RoundRobin),
        ("power_of_two", Kind::PowerOfTwo),
        ("hash", Kind::Hash),
    ];
    let kind = one_of(
        reader,
        declared.balance.as_ref(),
        &known,
        Kind::LeastRequest,
    );
    let key = declared.hash_key.as_ref();
    let hint = "write hash_key = \"source\", \"subject\", \"client\" or \"header:NAME\"";
    match (kind, key) {
        (Kind::RoundRobin, None) => Balance::RoundRobin,
        (Kind::LeastRequest, None) => Balance::LeastRequest,
        (Kind::PowerOfTwo, None) => Balance::PowerOfTwo,
        (Kind::Hash, Some(key)) => Balance::Hash(hash_key(&key.value).unwrap_or_else(|| {
            let message = format!("\"{}\" is nothing to hash", key.value);
            reader.error(key.position, message, hint);
            HashKey::Source
        })),
        (Kind::Hash, None) => {
            let message = "balance = \"hash\" needs a `hash_key`";
            reader.error(name.position, message, hint);
            Balance::RoundRobin
        }
        (_, Some(key)) => {
            let message = "`hash_key` is not used";
            reader.error(key.position, message, "write balance = \"hash\" with it");
            Balance::RoundRobin
        }
    }
}

fn hash_key(text: &str) -> Option<HashKey> {
    match text {
        "source" => Some(HashKey::Source),
        "subject" => Some(HashKey::Subject),
        "client" => Some(HashKey::Client),
        text => {
            let name = text.strip_prefix("header:")?;
            (!name.is_empty()).then(|| HashKey::Header(name.to_ascii_lowercase().into()))
        }
    }
}

fn ejection(reader: &Reader<'_>, declared: &file::Ejection) -> Ejection {
    let default = Settings::named("").ejection;
    let failures = at_least_one(reader, &declared.failures, default.failures as usize);
    Ejection {
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        failure_percent: percent(
            reader,
            declared.failure_percent.as_ref(),
            default.failure_percent,
        ),
        time: declared.time.unwrap_or(default.time),
    }
}

/// Only what a backend says of itself: what it says of a request is no failure.
fn failure_statuses(reader: &Reader<'_>, declared: &file::Ejection) -> Box<[u16]> {
    let Some(written) = &declared.statuses else {
        return Settings::named("").failure_statuses;
    };
    let read = written.iter().filter_map(|status| {
        let known = u16::try_from(status.value).ok();
        let known = known.filter(|known| (500..=599).contains(known));
        if known.is_none() {
            let message = format!("{} is no status of a server that fails", status.value);
            reader.error(status.position, message, "write statuses from 500 to 599");
        }
        known
    });
    read.collect()
}

fn check(reader: &Reader<'_>, declared: &file::Health) -> HealthCheck {
    let times = |written: &Option<At<usize>>, default| {
        u32::try_from(at_least_one(reader, written, default)).unwrap_or(u32::MAX)
    };
    let probe = match &declared.path {
        None => Probe::Tcp,
        Some(path) => {
            let is_path = path.value.starts_with('/')
                && path.value.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_path {
                let message = format!("\"{}\" is no path", path.value);
                reader.error(path.position, message, "write path = \"/healthz\"");
            }
            Probe::Http {
                path: path.value.as_str().into(),
            }
        }
    };
    HealthCheck {
        probe,
        interval: declared.interval,
        timeout: declared.timeout,
        healthy: times(&declared.healthy, 2),
        unhealthy: times(&declared.unhealthy, 3),
    }
}

fn at_least_one(reader: &Reader<'_>, written: &Option<At<usize>>, default: usize) -> usize {
    let Some(written) = written else {
        return default;
    };
    if written.value == 0 {
        reader.error(
            written.position,
            "0 would let nothing through",
            "write at least 1",
        );
    }
    written.value
}

fn percent(reader: &Reader<'_>, written: Option<&At<usize>>, default: u32) -> u32 {
    let Some(written) = written else {
        return default;
    };
    match u32::try_from(written.value) {
        Ok(percent @ 0..=100) => percent,
        _ => {
            let message = format!("{} percent are out of range", written.value);
            reader.error(written.position, message, "write a number from 0 to 100");
            default
        }
    }
}
