//! Listeners.

use std::net::SocketAddr;

use crate::config::compile::tls;
use crate::config::file::File;
use crate::config::reader::Reader;
use crate::config::settings::Listener;
use crate::diagnostic::Position;

pub fn compile(reader: &Reader<'_>, file: &File) -> Vec<Listener> {
    if file.listeners.is_empty() {
        let start = Position { line: 1, column: 1 };
        let hint = "add [[listener]] with address = \"127.0.0.1:8080\"";
        reader.error(start, "there is no listener", hint);
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
            head_timeout: listener.head_timeout,
            idle_timeout: listener.idle_timeout,
            body_timeout: listener.body_timeout,
            tls: listener
                .tls
                .as_ref()
                .and_then(|named| tls::compile(reader, named)),
        })
    });
    listeners.collect()
}
