//! Listeners.

use std::net::SocketAddr;

use crate::config::compile::tls;
use crate::config::file::{self, File};
use crate::config::reader::Reader;
use crate::config::settings::{Listener, Timeouts};
use crate::diagnostic::Position;

/// Slowest that a body may come in, in bytes a second: less than any network that people use.
const BODY_RATE: u64 = 256;

pub fn compile(reader: &Reader<'_>, file: &File) -> Vec<Listener> {
    if file.listeners.is_empty() {
        let hint = "add [[listener]] with address = \"127.0.0.1:8080\"";
        reader.absent(Position::START, &["listener"], "there is no listener", hint);
    }
    let mut taken: Vec<SocketAddr> = Vec::new();
    let listeners = file.listeners.iter().filter_map(|listener| {
        let address = listener.address.as_ref()?;
        if address.value.port() != 0 && taken.contains(&address.value) {
            let message = format!("two listeners have the address {}", address.value);
            reader.error(
                address.position,
                message,
                "give each listener an address of its own",
            );
        }
        taken.push(address.value);
        Some(Listener {
            address: address.value,
            trusted_peers: listener.trusted_peers.iter().map(|at| at.value).collect(),
            proxy_protocol: proxy_protocol(reader, listener),
            timeouts: Timeouts {
                handshake: listener.handshake_timeout,
                first_byte: listener.first_byte_timeout,
                head: listener.head_timeout,
                idle: listener.idle_timeout,
                body: listener.body_timeout,
                body_rate: listener
                    .body_rate
                    .as_ref()
                    .map_or(BODY_RATE, |at| at.value.0 as u64),
                exchange: listener.exchange_timeout,
            },
            tls: listener
                .tls
                .as_ref()
                .and_then(|named| tls::compile(reader, named)),
        })
    });
    listeners.collect()
}

/// Whoever may send the header names the client, so it has to be said who may.
fn proxy_protocol(reader: &Reader<'_>, listener: &file::Listener) -> bool {
    let Some(wanted) = &listener.proxy_protocol else {
        return false;
    };
    let is_told = reader.is_unread(listener.position, "trusted_peers");
    if wanted.value && listener.trusted_peers.is_empty() && !is_told {
        let hint = "add trusted_peers = [\"10.0.0.0/8\"]: the balancers in front";
        let message = "`proxy_protocol` needs `trusted_peers`";
        reader.error(wanted.position, message, hint);
    }
    wanted.value
}
