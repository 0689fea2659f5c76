//! Sockets that somebody else has bound: a service manager (`LISTEN_FDS`, sd_listen_fds(3)) or the
//! process that this one takes over from.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

#[derive(Debug, Default)]
pub struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// What the environment tells of. Taken once, by the one process that is meant.
    pub fn take() -> io::Result<Inherited> {
        let mut passed = ListenFd::from_env();
        let mut found = Vec::new();
        for index in 0..passed.len() {
            let Some(socket) = passed.take_tcp_listener(index)? else {
                continue;
            };
            found.push((socket.local_addr()?, socket));
        }
        Ok(Inherited(found))
    }

    /// The sockets of an address.
    pub fn at(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        let is_wanted = |each: &mut (SocketAddr, TcpListener)| each.0 == address;
        let wanted = self.0.extract_if(.., is_wanted);
        wanted.map(|(_, socket)| socket).collect()
    }

    /// The addresses that nobody has asked for: connections that wait there would wait for ever.
    pub fn unused(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = self.0.iter().map(|(address, _)| *address).collect();
        addresses.dedup();
        addresses
    }
}

/// At least one socket per shard out of at least one: shards beyond them share, which is slower, not
/// wrong. Sockets beyond the shards stay: the kernel goes on giving each of them its part of the
/// connections for as long as any process has it.
pub fn per_shard(sockets: Vec<TcpListener>, shards: usize) -> io::Result<Vec<TcpListener>> {
    let shared = (0..shards.saturating_sub(sockets.len()))
        .map(|index| sockets[index % sockets.len()].try_clone())
        .collect::<io::Result<Vec<_>>>()?;
    Ok(sockets.into_iter().chain(shared).collect())
}
