//! Accepting, and what a gateway takes on at once.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis::config::settings::Timeouts;
use portcullis::policy::snapshot::Snapshot;
use portcullis::shard::admission::{self, Admission};
use portcullis::shard::listener::{Bound, Settings};
use portcullis::shard::ring::Mode;
use portcullis::shard::upstream::Error;
use portcullis::shard::{Shard, Shared, load};
use portcullis::telemetry::metrics::Registry;

use crate::gateway::{
    Client, Gateway, PATIENCE, backend, echo, open_operation, settings, snapshot, timeouts,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn open(backend: SocketAddr) -> Snapshot {
    let methods = ["GET", "POST"].map(|method| open_operation(method, "/**"));
    snapshot(1, backend, methods.into())
}

fn shared(backend: SocketAddr) -> Shared {
    Shared::new(open(backend), 1, Mode::probe(Mode::DeferTaskrun)).unwrap()
}

fn timed(timeouts: Timeouts) -> Settings {
    Settings {
        timeouts,
        ..settings()
    }
}

fn balancer() -> Settings {
    Settings {
        trusted_peers: vec!["127.0.0.0/8".parse().unwrap()],
        proxy_protocol: true,
        ..settings()
    }
}

fn told(answer: &crate::gateway::Answer) -> String {
    String::from_utf8(answer.body.clone())
        .unwrap()
        .to_lowercase()
}

#[test]
fn a_balancer_tells_whose_connection_it_is_however_it_is_split() {
    let gateway = Gateway::serve(shared(echo()), balancer());
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    v2.extend_from_slice(&[9, 8, 7, 6, 127, 0, 0, 1, 0, 1, 0, 2, 4, 0, 0]);
    let v1 = b"PROXY TCP4 9.8.7.6 127.0.0.1 1 2\r\n".to_vec();
    for header in [v1, v2] {
        for split in 0..header.len() {
            let mut client = gateway.connect();
            client.send(&header[..split]);
            // Whatever the kernel makes of two sends, the bytes are the same.
            client.send(&header[split..]);
            let answer = client.ask(GET);
            assert!(
                told(&answer).contains("x-forwarded-for: 9.8.7.6\n"),
                "{split}"
            );
            assert!(!told(&answer).contains("127.0.0.1"), "{split}");
        }
        let mut client = gateway.connect();
        client.send([&header[..], GET.as_bytes()].concat());
        assert_eq!(client.answer(false).status, 200);
    }
    // The balancer's own connections, and those of kinds that have no address.
    let local: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";
    let unspecified: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x00\0\x02xx";
    let unix = [b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8", &[b'/'; 216][..]].concat();
    for header in [b"PROXY UNKNOWN\r\n", local, unspecified, &unix] {
        let mut own = gateway.connect();
        own.send(header);
        assert!(told(&own.ask(GET)).contains("x-forwarded-for: 127.0.0.1\n"));
    }
    // As much as there may be, and then at once a request.
    let mut long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\0".to_vec();
    long.extend_from_slice(&[9, 8, 7, 6, 127, 0, 0, 1, 0, 1, 0, 2, 4, 0x0f, 0xf1]);
    long.resize(16 + 4096, 0);
    long.extend_from_slice(GET.as_bytes());
    let mut client = gateway.connect();
    client.send(&long);
    assert!(told(&client.answer(false)).contains("x-forwarded-for: 9.8.7.6\n"));
}

#[test]
fn what_is_no_proxy_header_ends_the_connection() {
    let gateway = Gateway::serve(shared(echo()), balancer());
    let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
    for bytes in [
        GET,
        "PROXY TCP4 a b c d\r\n",
        &*long,
        "\r\n\r\n\0\r\nQUIT\n\x51\x11\0\x0c",
        // Too long; something that is not whole; a checksum of something else.
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\x01",
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10123456789012\x04\0\x02\0",
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13123456789012\x03\0\x04abcd",
    ] {
        let mut client = gateway.connect();
        client.send(bytes);
        // Closed or reset, as bytes were left unread; never an answer.
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut client.stream, &mut rest);
        assert!(rest.is_empty(), "{bytes:?}: {rest:?}");
    }
    let mut silent = gateway.connect();
    assert!(
        silent.is_closed(),
        "the header is waited for no longer than a handshake"
    );
}

#[test]
fn a_header_from_anybody_else_is_not_taken() {
    let settings = Settings {
        trusted_peers: vec!["10.0.0.0/8".parse().unwrap()],
        ..balancer()
    };
    let gateway = Gateway::serve(shared(echo()), settings);
    let mut client = gateway.connect();
    let _ = client
        .stream
        .write_all(b"PROXY TCP4 9.8.7.6 127.0.0.1 1 2\r\n");
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.stream, &mut rest);
    assert!(rest.is_empty());
}

#[test]
fn a_trusted_proxy_is_believed_about_the_source_and_the_scheme() {
    let settings = Settings {
        trusted_peers: vec!["127.0.0.0/8".parse().unwrap()],
        ..settings()
    };
    let gateway = Gateway::serve(shared(echo()), settings);
    let answer = gateway.connect().ask(
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6, 9.8.7.6\r\nX-Forwarded-Proto: https\r\n\r\n",
    );
    let told = told(&answer);
    assert!(
        told.contains("x-forwarded-for: 9.8.7.6, 127.0.0.1\n"),
        "{told}"
    );
    assert!(told.contains("x-forwarded-proto: https\n"), "{told}");
    assert!(
        told.contains("forwarded: for=9.8.7.6;proto=https, for=127.0.0.1\n"),
        "{told}"
    );
    assert!(!told.contains("6.6.6.6"), "{told}");
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    for (connections, per_source) in [(2, 10), (10, 2)] {
        let mut shared = shared(echo());
        shared.admission = Admission::new(admission::Most {
            connections,
            per_source,
        });
        let gateway = Gateway::serve(shared, settings());
        let (mut first, mut second) = (gateway.connect(), gateway.connect());
        assert_eq!(first.ask(GET).status, 200);
        assert_eq!(second.ask(GET).status, 200);
        let mut third = gateway.connect();
        let answer = third.answer(false);
        assert_eq!(
            (answer.status, answer.field("retry-after")),
            (503, Some("1"))
        );
        assert!(third.is_closed());
        // A place that is free again is given again.
        drop(first);
        let until = Instant::now() + PATIENCE;
        loop {
            let mut client = gateway.connect();
            let _ = client.stream.write_all(GET.as_bytes());
            let mut status = [0; 12];
            let read = std::io::Read::read_exact(&mut client.stream, &mut status);
            if read.is_ok() && &status == b"HTTP/1.1 200" {
                break;
            }
            assert!(Instant::now() < until, "the place does not come back");
        }
        assert_eq!(second.ask(GET).status, 200);
    }
}

#[test]
fn beyond_the_requests_that_may_be_under_way_a_client_is_told_at_once() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let (seen, arrived) = std::sync::mpsc::channel();
    let slow = backend(move |_, mut client| {
        while client.request().is_some() {
            seen.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let mut shared = shared(slow);
    shared.most = load::Most {
        in_flight: 1,
        ..shared.most
    };
    let gateway = Gateway::serve(shared, settings());
    let (mut first, mut second) = (gateway.connect(), gateway.connect());
    first.send(GET);
    arrived.recv_timeout(PATIENCE).unwrap();
    let refused = second.ask(GET);
    assert_eq!((refused.status, &*refused.problem()), (503, "overloaded"));
    assert_eq!(refused.field("retry-after"), Some("1"));
    release.send(()).unwrap();
    assert_eq!(first.answer(false).status, 200);
    // The connection that was told stays good.
    second.send(GET);
    arrived.recv_timeout(PATIENCE).unwrap();
    release.send(()).unwrap();
    assert_eq!(second.answer(false).status, 200);
}

#[test]
fn a_drip_of_a_body_is_cut_off() {
    let settings = timed(Timeouts {
        body: PATIENCE,
        body_rate: 1 << 20,
        ..timeouts()
    });
    let gateway = Gateway::serve(shared(echo()), settings);
    let mut client = gateway.connect();
    let start = Instant::now();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nx");
    let answer = client.answer(false);
    assert_eq!(
        (answer.status, &*answer.problem()),
        (408, "request-timeout")
    );
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
}

/// Of two operations of one listener, one has no patience.
#[test]
fn an_operation_may_have_a_floor_and_a_patience_of_its_own() {
    for (is_floor, length) in [
        (true, 1000),
        (false, 1000),
        (true, 1 << 17),
        (false, 1 << 17),
    ] {
        let [mut strict, lenient] =
            ["/strict", "/lenient"].map(|path| open_operation("POST", path));
        let own = &mut strict.operation.timeouts;
        match is_floor {
            true => own.body_rate = Some(1 << 20),
            false => own.body = Some(Duration::from_millis(100)),
        }
        let shared = Shared::new(
            snapshot(1, echo(), vec![strict, lenient]),
            1,
            Mode::probe(Mode::DeferTaskrun),
        );
        let settings = timed(Timeouts {
            body: PATIENCE,
            body_rate: 1,
            ..timeouts()
        });
        let gateway = Gateway::serve(shared.unwrap(), settings);
        let ask = |path| {
            let mut client = gateway.connect();
            client.send(format!(
                "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\ntwenty bytes to begin"
            ));
            client
        };
        let mut lenient = ask("/lenient");
        let rest = vec![b'y'; length - 21];
        let start = Instant::now();
        let mut strict = ask("/strict");
        // The floor of the listener counts after some seconds, as that of the operation does.
        if is_floor {
            lenient.send(&rest);
        }
        let answer = strict.answer(false);
        assert_eq!(
            (answer.status, &*answer.problem()),
            (408, "request-timeout")
        );
        assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
        if !is_floor {
            lenient.send(&rest);
        }
        assert_eq!(lenient.answer(false).status, 200);
    }
}

#[test]
fn an_exchange_has_an_end_whatever_it_waits_for() {
    let silent = backend(|_, mut client| {
        let _ = client.request();
        // Nothing, until the gateway gives up.
        let _ = client.request_head();
    });
    let mut snapshot = open(silent);
    snapshot.upstreams[0].settings.timeouts.response = PATIENCE;
    let shared = Shared::new(snapshot, 1, Mode::probe(Mode::DeferTaskrun)).unwrap();
    let settings = timed(Timeouts {
        exchange: Duration::from_millis(200),
        ..timeouts()
    });
    let gateway = Gateway::serve(shared, settings);
    let start = Instant::now();
    let answer = gateway.connect().ask(GET);
    assert_eq!(
        (answer.status, &*answer.problem()),
        (504, "backend-timeout")
    );
    assert!(start.elapsed() < PATIENCE / 2);
}

#[test]
fn a_balancer_does_not_hide_how_many_connections_a_source_has() {
    let shared = shared(echo());
    let shared = Shared {
        admission: Admission::new(admission::Most {
            connections: 100,
            per_source: 2,
        }),
        ..shared
    };
    let gateway = Gateway::serve(shared, balancer());
    let ask = |source: &str| {
        let mut client = gateway.connect();
        client.send(format!("PROXY TCP4 {source} 127.0.0.1 1 2\r\n{GET}"));
        let status = client.answer(false).status;
        (client, status)
    };
    let open = [ask("9.9.9.9"), ask("9.9.9.9")];
    assert!(open.iter().all(|(_, status)| *status == 200));
    assert_eq!(ask("9.9.9.9").1, 503);
    assert_eq!(ask("9.9.8.9").1, 200);
    // Each connection that ends gives its place back.
    drop(open);
    let until = Instant::now() + PATIENCE;
    while ask("9.9.9.9").1 != 200 {
        assert!(Instant::now() < until, "no place comes back");
    }
}

#[test]
fn what_is_no_request_does_not_prolong_the_wait_for_one() {
    // Longer apart than a connection waits in earnest, so that each finds it at rest again.
    let apart = Duration::from_millis(300);
    for (first_byte, is_used) in [(900, false), (10_000, true)] {
        let settings = timed(Timeouts {
            first_byte: Duration::from_millis(first_byte),
            idle: Duration::from_millis(900),
            ..timeouts()
        });
        let gateway = Gateway::serve(shared(echo()), settings);
        let mut client = gateway.connect();
        if is_used {
            assert_eq!(client.ask(GET).status, 200);
        }
        // An empty line before each request is passed over (RFC 9112 section 2.2).
        let start = Instant::now();
        client.stream.set_read_timeout(Some(apart)).unwrap();
        let is_open = |client: &mut Client| {
            let mut byte = [0];
            match std::io::Read::read(&mut client.stream, &mut byte) {
                Ok(count) => count > 0,
                Err(error) => matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                ),
            }
        };
        while std::io::Write::write_all(&mut client.stream, b"\r\n").is_ok() && is_open(&mut client)
        {
            assert!(start.elapsed() < PATIENCE / 2, "it is open for ever");
        }
        assert!(start.elapsed() >= Duration::from_millis(800));
    }
}

#[test]
fn the_first_byte_is_waited_for_no_longer_than_said() {
    let settings = timed(Timeouts {
        first_byte: Duration::from_millis(100),
        idle: PATIENCE,
        ..timeouts()
    });
    let gateway = Gateway::serve(shared(echo()), settings);
    let start = Instant::now();
    assert!(gateway.connect().is_closed());
    assert!(start.elapsed() < PATIENCE / 2);
}

#[test]
fn listeners_come_and_go_while_connections_stay() {
    let gateway = Gateway::serve(shared(echo()), settings());
    let mut client = gateway.connect();
    assert_eq!(client.ask(GET).status, 200);
    let listening = gateway.shared().listening.clone();
    let second = Bound::bind("127.0.0.1:0".parse().unwrap(), settings(), 1).unwrap();
    let address = second.address;
    listening.publish(vec![second]);
    assert_eq!(Client::connect(address).ask(GET).status, 200);
    // The first is gone as soon as the shard has looked; what it had accepted is served on.
    let until = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(gateway.address).is_ok() {
        assert!(Instant::now() < until, "it still listens");
    }
    assert_eq!(client.ask(GET).status, 200);
}

#[test]
fn a_shard_that_is_ahead_hands_connections_over() {
    let mode = Mode::probe(Mode::DeferTaskrun);
    let shared = Shared::new(open(echo()), 2, mode).unwrap();
    let registry = Registry::new(2, &Error::names());
    registry.declare(&shared.published.load());
    // Only the first shard accepts: its socket twice, so that the second has nothing of its own.
    let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), settings(), 1).unwrap();
    let address = bound.address;
    let sockets = vec![
        bound.sockets()[0].try_clone().unwrap(),
        std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
    ];
    shared
        .listening
        .publish(vec![Bound::adopt(sockets, settings()).unwrap()]);
    let threads: Vec<_> = (0..2)
        .map(|index| {
            let (shared, metrics) = (shared.clone(), registry.shards()[index].clone());
            std::thread::spawn(move || {
                mode.run(async { Shard::new(index, shared, metrics, None).run().await })
            })
        })
        .collect();
    let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        assert_eq!(client.ask(GET).status, 200);
    }
    let open = [0, 1].map(|index: usize| shared.inboxes[index].open());
    assert_eq!(open.iter().sum::<usize>(), 40);
    assert!(open[0].abs_diff(open[1]) <= 6, "{open:?}");
    drop(clients);
    shared.is_draining.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    drop(Arc::new(shared));
}
