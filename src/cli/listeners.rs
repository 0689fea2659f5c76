//! The listeners in force. A change binds what is new first, and only then closes what is gone, so
//! that it is made whole or not at all.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::cli::inherited::{Inherited, per_shard};
use crate::cli::refused::refused;
use crate::config::settings;
use crate::shard::listener::{Bound, Listening, Settings};
use crate::shard::tls::Acceptor;

pub struct Listeners {
    listening: Arc<Listening>,
    shards: usize,
    /// With the address that was asked for, which may leave the port open.
    bound: Vec<(SocketAddr, Arc<Bound>)>,
}

impl Listeners {
    pub fn new(shards: usize) -> Listeners {
        Listeners {
            listening: Arc::default(),
            shards,
            bound: Vec::new(),
        }
    }

    pub fn listening(&self) -> Arc<Listening> {
        self.listening.clone()
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|(_, bound)| bound.address).collect()
    }

    /// Binds what `declared` adds, or takes it from what was inherited. Nothing is served by it
    /// before [`Listeners::commit`].
    pub fn prepare(
        &self,
        declared: &[settings::Listener],
        inherited: &mut Inherited,
    ) -> Result<Prepared, String> {
        let listeners = declared.iter().map(|listener| {
            let mut settings = settings_of(listener);
            if let Some(bound) = self.at(listener.address) {
                let before = bound.tls();
                if let (Some(before), Some(policy)) = (before, &listener.tls) {
                    settings.tls = Some(before.renewed(policy.clone()));
                }
                return Ok((listener.address, bound, Some(settings)));
            }
            let passed = inherited.at(listener.address);
            let bound = if passed.is_empty() {
                Bound::bind(listener.address, settings, self.shards)
            } else {
                per_shard(passed, self.shards).and_then(|passed| Bound::adopt(passed, settings))
            };
            let bound = bound.map_err(|error| refused(listener.address, "[[listener]]", &error));
            Ok((listener.address, bound?, None))
        });
        listeners.collect::<Result<_, String>>().map(Prepared)
    }

    /// All sockets, for a process that is to take over.
    pub fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        let sockets = self.bound.iter().flat_map(|(_, bound)| bound.sockets());
        sockets
            .map(|socket| Ok(socket.try_clone()?.into()))
            .collect()
    }

    fn at(&self, address: SocketAddr) -> Option<Arc<Bound>> {
        let mut bound = self.bound.iter();
        let found = bound.find(|(declared, _)| *declared == address);
        found.map(|(_, bound)| bound.clone())
    }

    pub fn commit(&mut self, prepared: Prepared) {
        let listeners = prepared.0.into_iter().map(|(address, bound, settings)| {
            if let Some(settings) = settings {
                bound.publish(settings);
            }
            (address, bound)
        });
        self.bound = listeners.collect();
        let current = self.bound.iter().map(|(_, bound)| bound.clone());
        self.listening.publish(current.collect());
    }
}

/// Listeners that are bound: with new settings where they were there before.
pub struct Prepared(Vec<(SocketAddr, Arc<Bound>, Option<Settings>)>);

fn settings_of(listener: &settings::Listener) -> Settings {
    Settings {
        timeouts: listener.timeouts,
        trusted_peers: listener.trusted_peers.clone(),
        tls: listener.tls.clone().map(Acceptor::new),
        proxy_protocol: listener.proxy_protocol,
    }
}
