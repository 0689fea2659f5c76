//! Names of endpoints: resolved off the shards, and again when their time to live has passed.
//!
//! What stays true: a name that cannot be resolved keeps the addresses that it had. An answer
//! without addresses is no reason to stop serving; an answer with others replaces them.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;

use crate::policy::upstream::{Address, Place, Upstream};

/// However short a time to live is, and however long, a name is asked for again after this.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(300);

/// After a failure.
const AGAIN: Duration = Duration::from_secs(1);

/// A name and a port, as they are declared.
type Named = (Box<str>, u16);

/// Keeps the endpoints of an upstream as its names say, for as long as the future lives.
pub async fn keep(upstream: Upstream, resolver: TokioResolver) {
    let mut known: HashMap<Named, Vec<SocketAddr>> = HashMap::new();
    let mut failing: HashSet<Named> = HashSet::new();
    loop {
        let mut next = Instant::now() + LATEST;
        for place in &upstream.settings.places {
            let Place::Name { host, port } = place else {
                continue;
            };
            let named = (host.clone(), *port);
            match lookup(&resolver, host, *port).await {
                Ok((found, until)) => {
                    next = next.min(until);
                    failing.remove(&named);
                    known.insert(named, found);
                }
                Err(reason) => {
                    next = next.min(Instant::now() + AGAIN);
                    if failing.insert(named) {
                        let name = &upstream.settings.name;
                        eprintln!(
                            "portcullis: upstream {name}: {host} keeps its addresses: {reason}"
                        );
                    }
                }
            }
        }
        publish(&upstream, &known);
        let wait = next.saturating_duration_since(Instant::now());
        tokio::time::sleep(wait.clamp(SOONEST, LATEST)).await;
    }
}

/// Whether an upstream has anything to resolve.
pub fn has_names(upstream: &Upstream) -> bool {
    let mut places = upstream.settings.places.iter();
    places.any(|place| matches!(place, Place::Name { .. }))
}

/// The addresses behind a name, at least one, and how long they hold.
async fn lookup(
    resolver: &TokioResolver,
    host: &str,
    port: u16,
) -> Result<(Vec<SocketAddr>, Instant), String> {
    let found = resolver.lookup_ip(host).await;
    let found = found.map_err(|error| error.to_string())?;
    let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, port)).collect();
    match addresses.is_empty() {
        true => Err("it has none now".to_owned()),
        false => Ok((addresses, found.valid_until())),
    }
}

/// Nothing changes until every name has been resolved once: what the configuration found stands.
fn publish(upstream: &Upstream, known: &HashMap<Named, Vec<SocketAddr>>) {
    let mut addresses = Vec::new();
    for place in &upstream.settings.places {
        match place {
            Place::Address(address) => addresses.push(address.clone()),
            Place::Name { host, port } => {
                let Some(found) = known.get(&(host.clone(), *port)) else {
                    return;
                };
                addresses.extend(found.iter().copied().map(Address::Tcp));
            }
        }
    }
    if upstream.endpoints.replace(addresses) {
        let now: Vec<String> = upstream
            .endpoints
            .load()
            .iter()
            .map(|endpoint| endpoint.address.to_string())
            .collect();
        let (name, now) = (&upstream.settings.name, now.join(", "));
        eprintln!("portcullis: upstream {name} is now at {now}");
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hickory_resolver::Resolver;
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
    use hickory_resolver::proto::rr::{RData, Record, RecordType};
    use tokio::net::UdpSocket;

    use super::*;
    use crate::policy::upstream::{Endpoints, Settings};

    type Answers = Arc<Mutex<Option<Vec<Ipv4Addr>>>>;

    /// A name server with one list of addresses for every name; `None`: it fails. Counts how often
    /// it is asked.
    async fn name_server(answers: Answers, asked: Arc<AtomicUsize>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut block = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut block).await {
                asked.fetch_add(1, Ordering::Relaxed);
                let query = Message::from_vec(&block[..length]).unwrap();
                let answer = answer(&query, answers.lock().unwrap().as_deref());
                let _ = socket.send_to(&answer.to_vec().unwrap(), peer).await;
            }
        });
        address
    }

    fn answer(query: &Message, addresses: Option<&[Ipv4Addr]>) -> Message {
        let mut answer = Message::new(query.id, MessageType::Response, OpCode::Query);
        let question = query.queries[0].clone();
        let is_v4 = question.query_type() == RecordType::A;
        answer.add_query(question.clone());
        match addresses {
            None => answer.metadata.response_code = ResponseCode::ServFail,
            Some(addresses) => {
                for address in addresses.iter().filter(|_| is_v4) {
                    let data = RData::A((*address).into());
                    answer.add_answer(Record::from_rdata(question.name().clone(), 1, data));
                }
            }
        }
        answer
    }

    fn resolver(server: SocketAddr) -> TokioResolver {
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().timeout = Duration::from_millis(200);
        builder.options_mut().attempts = 1;
        builder.build().unwrap()
    }

    #[tokio::test]
    async fn endpoints_follow_a_name_and_survive_its_server() {
        let one = Ipv4Addr::new(10, 0, 0, 1);
        let two = Ipv4Addr::new(10, 0, 0, 2);
        let answers: Answers = Arc::new(Mutex::new(Some(vec![one])));
        let asked = Arc::new(AtomicUsize::new(0));
        let server = name_server(answers.clone(), asked.clone()).await;
        let literal = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 1)));
        let name = Place::Name {
            host: "backend.example.".into(),
            port: 9000,
        };
        let upstream = Upstream {
            settings: Settings {
                places: Box::new([Place::Address(literal.clone()), name]),
                ..Settings::named("backend")
            },
            endpoints: Arc::new(Endpoints::default()),
        };
        assert!(has_names(&upstream));
        let endpoints = upstream.endpoints.clone();
        let keeping = tokio::spawn(keep(upstream, resolver(server)));
        let at = |ip: Ipv4Addr| Address::Tcp(SocketAddr::new(IpAddr::V4(ip), 9000));
        let until = |expected: Vec<Address>| {
            let endpoints = endpoints.clone();
            tokio::time::timeout(Duration::from_secs(20), async move {
                loop {
                    let now = endpoints.load();
                    if now.iter().map(|each| &each.address).eq(&expected) {
                        return endpoints.generation();
                    }
                    tokio::task::yield_now().await;
                }
            })
        };
        until(vec![at(one), literal.clone()]).await.unwrap();
        *answers.lock().unwrap() = Some(vec![two, one]);
        let generation = until(vec![at(one), at(two), literal]).await.unwrap();
        // A server that fails, and one that knows no address, change nothing.
        for nothing in [None, Some(Vec::new())] {
            *answers.lock().unwrap() = nothing;
            let before = asked.load(Ordering::Relaxed);
            // Twice for addresses of both families, so that one answer has surely been taken in.
            while asked.load(Ordering::Relaxed) < before + 4 {
                tokio::task::yield_now().await;
            }
            assert_eq!(endpoints.generation(), generation);
        }
        keeping.abort();
    }
}
