//! The process as a whole.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::config::compile::one_of;
use crate::config::file::{self, File};
use crate::config::reader::{At, Reader};
use crate::config::settings::{AccessLog, Most, Ring, Server, Shards};

const DRAIN: Duration = Duration::from_secs(30);
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// Enough for a quarter of a million clients in 6 MiB.
const KEYS: usize = 1 << 18;

/// Requests of a shard under way: what a core can serve in a tenth of a second.
const IN_FLIGHT: usize = 8192;

/// Bytes of bodies in a shard.
const BUFFERED: usize = 256 << 20;

pub fn compile(reader: &Reader<'_>, file: &File) -> Server {
    let rings = [
        ("auto", Ring::DeferTaskrun),
        ("defer_taskrun", Ring::DeferTaskrun),
        ("coop_taskrun", Ring::CoopTaskrun),
        ("plain", Ring::Plain),
        ("epoll", Ring::Epoll),
    ];
    let server = &file.server;
    Server {
        shards: server.shards.as_ref().map_or(Shards::Auto, |at| at.value),
        ring: one_of(reader, server.ring.as_ref(), &rings, Ring::DeferTaskrun),
        drain_timeout: server.drain_timeout.unwrap_or(DRAIN),
        rate_limit_keys: rate_limit_keys(reader, file),
        most: most(reader, file),
        admin: admin(reader, file),
        access_log: access_log(reader, file),
    }
}

fn most(reader: &Reader<'_>, file: &File) -> Most {
    let server = &file.server;
    let count = |written: &Option<At<usize>>| {
        let written = written.as_ref()?;
        if !(1..=1 << 24).contains(&written.value) {
            let message = format!("{} is out of range", written.value);
            reader.error(
                written.position,
                message,
                "write a number from 1 to 16777216",
            );
        }
        Some(written.value)
    };
    let buffered = server.max_buffered.as_ref();
    let buffered = buffered.map_or(BUFFERED, |at| at.value.0);
    Most {
        connections: count(&server.max_connections),
        connections_per_source: count(&server.max_connections_per_source),
        in_flight: count(&server.max_in_flight).unwrap_or(IN_FLIGHT),
        buffered,
        buffered_per_source: per_source(reader, server, buffered),
    }
}

/// A quarter when nothing else is said.
fn per_source(reader: &Reader<'_>, server: &file::Server, buffered: usize) -> usize {
    let Some(part) = &server.max_buffered_per_source else {
        return buffered / 4;
    };
    if part.value.0 > buffered {
        let message = "`max_buffered_per_source` is more than all may take together";
        let hint = "write no more than `max_buffered`";
        reader.error(part.position, message, hint);
    }
    part.value.0
}

fn rate_limit_keys(reader: &Reader<'_>, file: &File) -> usize {
    let Some(keys) = &file.server.rate_limit_keys else {
        return KEYS;
    };
    if !(1024..=1 << 26).contains(&keys.value) {
        let message = format!("{} keys are out of range", keys.value);
        reader.error(
            keys.position,
            message,
            "write a number from 1024 to 67108864",
        );
    }
    keys.value
}

/// The admin plane tells much and asks nobody who they are, so it stays on the machine.
fn admin(reader: &Reader<'_>, file: &File) -> SocketAddr {
    let Some(admin) = &file.admin else {
        return ADMIN;
    };
    if !admin.value.ip().is_loopback() {
        let message = format!(
            "the admin address {} is not a loopback address",
            admin.value
        );
        reader.error(
            admin.position,
            message,
            "write \"127.0.0.1:9901\" or \"[::1]:9901\"",
        );
    }
    admin.value
}

fn access_log(reader: &Reader<'_>, file: &File) -> AccessLog {
    match file.access_log.as_ref().map(|at| at.value.as_str()) {
        None | Some("stdout") => AccessLog::Stdout,
        Some("stderr") => AccessLog::Stderr,
        Some("off") => AccessLog::Off,
        Some(path) => AccessLog::File(reader.resolve(path)),
    }
}
