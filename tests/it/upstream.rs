//! Several endpoints: which one is asked, which one is left out, and what is tried again.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis::policy::upstream::{
    Address, Balance, Ejection, Endpoints, HashKey, Settings, Upstream,
};

use crate::gateway::{Client, Gateway, PATIENCE, backend, upstream};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";

/// A backend that answers with its name.
fn named(name: &'static str) -> SocketAddr {
    backend(move |_, mut client| while client.request().is_some() && client.tell(name) {})
}

impl Client {
    /// `false`: nobody listens any more.
    fn tell(&mut self, text: &str) -> bool {
        let length = text.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}");
        self.stream.write_all(answer.as_bytes()).is_ok()
    }

    fn ask_name(&mut self, request: impl AsRef<[u8]>) -> String {
        let answer = self.ask(request);
        assert_eq!(answer.status, 200, "{answer:?}");
        String::from_utf8(answer.body).unwrap()
    }
}

/// A backend that counts requests and closes in place of an answer.
fn cutting(seen: &Arc<AtomicUsize>) -> SocketAddr {
    let count = seen.clone();
    backend(move |_, mut client| {
        if client.request().is_some() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// One endpoint that is asked whatever it does.
fn never_ejected(address: SocketAddr) -> Upstream {
    let mut upstream = several(&[address], Balance::RoundRobin);
    upstream.settings.ejection.failures = u32::MAX;
    upstream.settings.ejection.failure_percent = 100;
    upstream
}

/// Nobody listens there, and nobody will: the port stays taken by a socket that does not accept.
fn refusing() -> (SocketAddr, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    (socket.local_addr().unwrap().as_socket().unwrap(), socket)
}

fn several(addresses: &[SocketAddr], balance: Balance) -> Upstream {
    let addresses: Vec<Address> = addresses.iter().copied().map(Address::Tcp).collect();
    let one = upstream(addresses[0].clone());
    Upstream {
        endpoints: Arc::new(Endpoints::new(addresses)),
        settings: Settings {
            balance,
            ejection: Ejection {
                failures: 3,
                failure_percent: 50,
                time: Duration::from_millis(200),
            },
            slow_start: Duration::from_millis(20),
            ..one.settings
        },
    }
}

fn counts(gateway: &Gateway, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut client = gateway.connect();
    for _ in 0..requests {
        *counts.entry(client.ask_name(GET)).or_default() += 1;
    }
    counts
}

#[test]
fn every_balance_uses_every_endpoint() {
    let addresses = [named("a"), named("b"), named("c")];
    for balance in [
        Balance::RoundRobin,
        Balance::LeastRequest,
        Balance::PowerOfTwo,
    ] {
        let is_exact = balance != Balance::PowerOfTwo;
        let gateway = Gateway::open_to(several(&addresses, balance));
        let counts = counts(&gateway, 90);
        assert_eq!(counts.len(), 3, "{counts:?}");
        if is_exact {
            assert!(counts.values().all(|&count| count == 30), "{counts:?}");
        }
    }
}

/// After an outage of all of them every endpoint is in its slow start at once.
#[test]
fn a_slow_start_of_every_endpoint_costs_no_request() {
    let addresses = [named("a"), named("b")];
    for balance in [
        Balance::RoundRobin,
        Balance::LeastRequest,
        Balance::PowerOfTwo,
        Balance::Hash(HashKey::Source),
    ] {
        let mut upstream = several(&addresses, balance);
        upstream.settings.slow_start = Duration::from_secs(3600);
        let endpoints = upstream.endpoints.load();
        let gateway = Gateway::open_to(upstream);
        let until = Instant::now() + PATIENCE;
        for (is_up, status) in [(false, 503), (true, 200)] {
            endpoints.iter().for_each(|each| each.set_up(is_up));
            let mut client = gateway.connect();
            while client.ask(GET).status != status {
                assert!(Instant::now() < until, "up: {is_up}");
            }
        }
        assert_eq!(counts(&gateway, 500).values().sum::<usize>(), 500);
    }
}

#[test]
fn a_busy_endpoint_gets_no_request_while_another_is_free() {
    for balance in [Balance::LeastRequest, Balance::PowerOfTwo] {
        all_go_to_the_free_one(balance);
    }
}

fn all_go_to_the_free_one(balance: Balance) {
    let (arrived, at_slow) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let slow = backend(move |_, mut client| {
        while client.request().is_some() {
            arrived.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            if !client.tell("slow") {
                return;
            }
        }
    });
    let mut upstream = several(&[slow, named("quick")], balance);
    upstream.settings.timeouts.response = PATIENCE;
    let gateway = Gateway::open_to(upstream);
    // Equals take turns, so one of the first requests hangs at the slow endpoint.
    let mut hung = gateway.connect();
    hung.stream.set_nonblocking(true).unwrap();
    let until = Instant::now() + PATIENCE;
    'sent: loop {
        hung.send(GET);
        loop {
            assert!(Instant::now() < until, "nobody gets the request");
            if at_slow.try_recv().is_ok() {
                break 'sent;
            }
            if hung.stream.peek(&mut [0; 1]).is_ok() {
                hung.stream.set_nonblocking(false).unwrap();
                assert_eq!(hung.answer(false).body, b"quick");
                hung.stream.set_nonblocking(true).unwrap();
                break;
            }
            std::thread::yield_now();
        }
    }
    // While it hangs there, all others go to the quick one.
    let mut other = gateway.connect();
    for _ in 0..20 {
        assert_eq!(other.ask_name(GET), "quick");
    }
    release.send(()).unwrap();
    hung.stream.set_nonblocking(false).unwrap();
    assert_eq!(hung.answer(false).body, b"slow");
}

#[test]
fn a_hash_keeps_a_key_at_one_endpoint() {
    let addresses = [named("a"), named("b"), named("c")];
    let key = HashKey::Header("x-session".into());
    let gateway = Gateway::open_to(several(&addresses, Balance::Hash(key)));
    let mut client = gateway.connect();
    let mut used = BTreeMap::new();
    for session in 0..30 {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\nX-Session: {session}\r\n\r\n");
        let name = client.ask_name(&request);
        for _ in 0..3 {
            assert_eq!(client.ask_name(&request), name);
        }
        *used.entry(name).or_insert(0) += 1;
    }
    assert_eq!(used.len(), 3, "{used:?}");
}

#[test]
fn one_that_refuses_costs_no_request_and_is_left_out() {
    let (gone, _held) = refusing();
    let gateway = Gateway::open_to(several(&[gone, named("b")], Balance::RoundRobin));
    let mut client = gateway.connect();
    for request in [GET, POST].into_iter().cycle().take(40) {
        assert_eq!(client.ask_name(request), "b");
    }
}

#[test]
fn one_that_cuts_off_costs_no_request_that_may_be_repeated() {
    let cut = backend(|_, mut client| drop(client.request()));
    let gateway = Gateway::open_to(several(&[cut, named("b")], Balance::RoundRobin));
    let mut client = gateway.connect();
    for _ in 0..20 {
        assert_eq!(client.ask_name(GET), "b");
    }
}

/// It ends each connection behind an answer without a word, as one does that is being restarted.
#[test]
fn one_that_has_closed_behind_an_answer_costs_no_request_at_all() {
    let (closed, at_closed) = std::sync::mpsc::channel();
    let closing = backend(move |_, mut client| {
        let _ = client.request().is_some() && client.tell("served");
        drop(client);
        closed.send(()).unwrap();
    });
    let gateway = Gateway::open_to(several(&[closing], Balance::LeastRequest));
    let mut client = gateway.connect();
    for _ in 0..40 {
        assert_eq!(client.ask_name(POST), "served");
        at_closed.recv_timeout(PATIENCE).unwrap();
    }
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                       2\r\n{}\r\n0\r\n\r\n";

/// Nobody can have noticed a request of which nothing was sent, whatever it asks for.
#[test]
fn one_that_refuses_costs_no_request_that_may_not_be_repeated() {
    let (refusing, _socket) = refusing();
    for request in [POST, CHUNKED] {
        let mut upstream = several(&[refusing, named("well")], Balance::RoundRobin);
        upstream.settings.ejection.failures = u32::MAX;
        upstream.settings.retry_percent = 100;
        let gateway = Gateway::open_to(upstream);
        let mut client = gateway.connect();
        for _ in 0..10 {
            assert_eq!(client.ask_name(request), "well");
        }
    }
}

/// The backend reads no more on a connection that it keeps: its socket takes nothing, which shows
/// when something is sent only.
#[test]
fn a_request_of_which_nothing_was_sent_goes_over_another_connection() {
    let directory = std::env::temp_dir().join(format!("portcullis-deaf-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("backend.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (heard, at_test) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            heard.send(one_request(&mut stream)).unwrap();
            stream.shutdown(std::net::Shutdown::Read).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell")
                .unwrap();
            kept.push(stream);
        }
    });
    let long = "x".repeat(100_000);
    let length = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        long.len()
    );
    let mut upstream = upstream(Address::Unix(path));
    upstream.settings.retry_percent = 100;
    upstream.settings.timeouts.response = PATIENCE;
    let gateway = Gateway::open_to(upstream);
    let mut client = gateway.connect();
    for (request, body) in [
        (POST.to_owned(), "{}"),
        (POST.to_owned(), "{}"),
        (CHUNKED.to_owned(), "2\r\n{}\r\n0\r\n\r\n"),
        (length + &long, long.as_str()),
        (POST.to_owned(), "{}"),
    ] {
        assert_eq!(client.ask_name(&request), "well");
        let heard = at_test.recv_timeout(PATIENCE).unwrap();
        assert!(
            heard.ends_with(body) && heard.matches("POST").count() == 1,
            "{heard}"
        );
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The head and the body of a request, as they came.
fn one_request(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let mut block = [0; 64 * 1024];
    loop {
        let count = stream.read(&mut block).unwrap();
        text.extend_from_slice(&block[..count]);
        let shown = String::from_utf8_lossy(&text);
        let Some((head, body)) = shown.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let is_whole = match length {
            Some(length) => body.len() == length.parse::<usize>().unwrap(),
            None => body.ends_with("0\r\n\r\n"),
        };
        if is_whole {
            return shown.into_owned();
        }
    }
}

#[test]
fn a_request_that_may_not_be_repeated_is_never_sent_twice() {
    let seen = Arc::new(AtomicUsize::new(0));
    let cut = cutting(&seen);
    let gateway = Gateway::open_to(several(&[cut, cut], Balance::RoundRobin));
    let answer = gateway.connect().ask(POST);
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (502, "bad-gateway")
    );
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

#[test]
fn retries_end_with_their_budget() {
    let seen = Arc::new(AtomicUsize::new(0));
    let cut = cutting(&seen);
    let mut upstream = never_ejected(cut);
    upstream.settings.retry_percent = 0;
    let gateway = Gateway::open_to(upstream);
    let mut client = gateway.connect();
    for _ in 0..10 {
        assert_eq!(client.ask(GET).status, 502);
    }
    assert_eq!(seen.load(Ordering::Relaxed), 10);
}

#[test]
fn the_circuit_opens_for_one_that_fails_and_closes_when_it_is_well() {
    let is_well = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::new(AtomicUsize::new(0));
    let (well, count) = (is_well.clone(), seen.clone());
    let sick = backend(move |_, mut client| {
        while client.request().is_some() {
            count.fetch_add(1, Ordering::Relaxed);
            if !well.load(Ordering::Relaxed) || !client.tell("well") {
                return;
            }
        }
    });
    let gateway = Gateway::open_to(several(&[sick], Balance::LeastRequest));
    let mut client = gateway.connect();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(client.ask(POST).status);
    }
    assert_eq!(statuses, [502, 502, 502, 503, 503, 503]);
    let refused = client.ask(POST);
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(
        seen.load(Ordering::Relaxed),
        3,
        "what is refused does not arrive"
    );
    is_well.store(true, Ordering::Relaxed);
    let until = Instant::now() + PATIENCE;
    while client.ask(POST).status != 200 {
        assert!(Instant::now() < until, "it stays open");
    }
    assert_eq!(client.ask(POST).status, 200);
}

/// A backend that answers everything so.
fn answering(answer: &'static str) -> SocketAddr {
    backend(move |_, mut client| {
        while client.request().is_some() && client.stream.write_all(answer.as_bytes()).is_ok() {
            if answer.contains("Content-Length: 9") {
                return;
            }
        }
    })
}

const FAILURE: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut";

/// How many of so many requests get a whole answer that is no failure.
fn good(gateway: &Gateway, requests: usize) -> usize {
    let served = (0..requests).filter(|_| {
        let mut client = gateway.connect();
        client.send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        client.rest().ends_with(b"\r\n\r\nwell")
    });
    served.count()
}

#[test]
fn one_of_three_that_answers_with_failures_is_left_out() {
    // How many bad answers are seen before: 20 for a share, three in a row for a 503.
    for (answer, most) in [(FAILURE, 20), (CUT, 20), (UNAVAILABLE, 3)] {
        let addresses = [answering(answer), named("well"), named("well")];
        let mut upstream = several(&addresses, Balance::RoundRobin);
        upstream.settings.ejection.time = Duration::from_secs(3600);
        let gateway = Gateway::open_to(upstream);
        let bad = 75 - good(&gateway, 75);
        assert!((1..=most).contains(&bad), "{bad} bad: {answer}");
        assert_eq!(good(&gateway, 60), 60, "it is still asked: {answer}");
    }
}

#[test]
fn the_only_one_is_asked_whatever_it_answers_and_so_are_all_if_all_answer_so() {
    for count in [1, 3] {
        let addresses: Vec<_> = (0..count).map(|_| answering(UNAVAILABLE)).collect();
        let mut upstream = several(&addresses, Balance::RoundRobin);
        upstream.settings.ejection.time = Duration::from_secs(3600);
        let gateway = Gateway::open_to(upstream);
        let mut client = gateway.connect();
        for _ in 0..60 {
            let answer = client.ask(GET);
            let is_own = answer.field("content-type").is_none();
            assert!(answer.status == 503 && is_own, "{answer:?}");
        }
    }
}

#[test]
fn statuses_that_are_no_failures_leave_nobody_out() {
    let addresses = [answering(FAILURE), named("well")];
    let mut upstream = several(&addresses, Balance::RoundRobin);
    upstream.settings.failure_statuses = Box::default();
    let gateway = Gateway::open_to(upstream);
    assert_eq!(good(&gateway, 100), 50);
}

/// As many at once as may be under way: none of them is turned away for having to connect.
#[test]
fn a_cold_burst_is_served() {
    let mut upstream = several(&[named("well")], Balance::LeastRequest);
    upstream.settings.timeouts.connect = PATIENCE;
    upstream.settings.timeouts.response = PATIENCE;
    let gateway = Gateway::open_to(upstream);
    let mut clients: Vec<_> = (0..400).map(|_| gateway.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    for client in &mut clients {
        assert_eq!(client.answer(false).status, 200);
    }
}

#[test]
fn one_that_comes_back_is_used_at_once_if_there_is_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut upstream = several(&[address], Balance::LeastRequest);
    upstream.settings.ejection.time = Duration::from_secs(3600);
    let gateway = Gateway::open_to(upstream);
    let mut client = gateway.connect();
    for _ in 0..10 {
        assert_eq!(client.ask(GET).status, 503);
    }
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut backend = Client::accepted(stream);
        while backend.request().is_some() && backend.tell("back") {}
    });
    assert_eq!(client.ask_name(GET), "back");
}

#[test]
fn beyond_its_fill_an_endpoint_gets_no_request() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let slow = backend(move |_, mut client| {
        while client.request().is_some() {
            count.fetch_add(1, Ordering::Relaxed);
            released.lock().unwrap().recv().unwrap();
            client.tell("slow");
        }
    });
    let mut upstream = several(&[slow], Balance::LeastRequest);
    upstream.settings.max_in_flight = 1;
    upstream.settings.timeouts.response = PATIENCE;
    let gateway = Gateway::open_to(upstream);
    let mut first = gateway.connect();
    first.send(GET);
    let until = Instant::now() + PATIENCE;
    while seen.load(Ordering::Relaxed) == 0 {
        assert!(Instant::now() < until, "it never arrives");
        std::thread::yield_now();
    }
    let mut second = gateway.connect();
    assert_eq!(second.ask(GET).status, 503);
    release.send(()).unwrap();
    assert_eq!(first.answer(false).status, 200);
    release.send(()).unwrap();
    assert_eq!(second.ask(GET).status, 200);
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

#[test]
fn what_health_checks_call_down_gets_no_request() {
    let upstream = several(&[named("a"), named("b")], Balance::RoundRobin);
    let endpoints = upstream.endpoints.load();
    let gateway = Gateway::open_to(upstream.clone());
    endpoints[0].set_up(false);
    let only = counts(&gateway, 10);
    assert_eq!(only.len(), 1, "{only:?}");
    endpoints[1].set_up(false);
    let answer = gateway.connect().ask(GET);
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "backend-unavailable")
    );
    endpoints[0].set_up(true);
    endpoints[1].set_up(true);
    let until = Instant::now() + PATIENCE;
    while counts(&gateway, 10).len() < 2 {
        assert!(Instant::now() < until, "one stays out");
    }
}

#[test]
fn a_changed_list_of_endpoints_is_taken_over() {
    let (a, b) = (named("a"), named("b"));
    let upstream = several(&[a], Balance::RoundRobin);
    let gateway = Gateway::open_to(upstream.clone());
    assert_eq!(counts(&gateway, 5).into_keys().collect::<Vec<_>>(), ["a"]);
    upstream.endpoints.replace([Address::Tcp(b)]);
    let until = Instant::now() + PATIENCE;
    while !counts(&gateway, 1).contains_key("b") {
        assert!(Instant::now() < until, "the old one is still asked");
    }
    assert_eq!(counts(&gateway, 5).into_keys().collect::<Vec<_>>(), ["b"]);
    upstream.endpoints.replace([]);
    while gateway.connect().ask(GET).status != 503 {
        assert!(Instant::now() < until, "there is nobody to ask");
    }
}

/// The same endpoints below a table that has changed in one place.
fn changed(upstream: &Upstream, change: impl FnOnce(&mut Settings)) -> Upstream {
    let addresses = upstream.endpoints.load();
    let addresses = addresses.iter().map(|each| each.address.clone());
    let mut changed = Upstream {
        endpoints: Arc::new(Endpoints::new(addresses)),
        settings: upstream.settings.clone(),
    };
    change(&mut changed.settings);
    changed
}

#[test]
fn what_was_seen_of_an_endpoint_outlives_a_change_of_its_table() {
    let addresses = [answering(UNAVAILABLE), named("well"), named("well")];
    let mut upstream = several(&addresses, Balance::RoundRobin);
    upstream.settings.ejection.time = Duration::from_secs(3600);
    let gateway = Gateway::open_to(upstream.clone());
    assert_eq!(75 - good(&gateway, 75), 3);
    let upstream = changed(&upstream, |settings| settings.max_idle += 1);
    gateway.open_anew_to(upstream.clone());
    assert_eq!(good(&gateway, 60), 60, "it is asked again");
    // Under another rule it has to be seen anew.
    let upstream = changed(&upstream, |settings| settings.ejection.failures = 2);
    gateway.open_anew_to(upstream.clone());
    assert_eq!(75 - good(&gateway, 75), 2);
    let upstream = changed(&upstream, |settings| {
        settings.failure_statuses = [500].into()
    });
    gateway.open_anew_to(upstream);
    assert_eq!(60 - good(&gateway, 60), 20);
}

/// One that is added gets less than its share at first, as one does that a name has led to.
#[test]
fn an_endpoint_that_is_added_begins_slowly() {
    let (a, b) = (named("a"), named("b"));
    let slow = |addresses: &[SocketAddr]| {
        let mut upstream = several(addresses, Balance::RoundRobin);
        upstream.settings.slow_start = Duration::from_secs(3600);
        upstream
    };
    let gateway = Gateway::open_to(slow(&[a]));
    assert_eq!(counts(&gateway, 1)["a"], 1);
    gateway.open_anew_to(slow(&[a, b]));
    let counts = counts(&gateway, 400);
    assert!(counts["a"] > 300, "{counts:?}");
}

#[test]
fn requests_under_way_are_counted_below_a_table_that_has_changed() {
    let (arrived, at_slow) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let slow = backend(move |_, mut client| {
        while client.request().is_some() {
            arrived.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            client.tell("slow");
        }
    });
    let mut upstream = several(&[slow], Balance::LeastRequest);
    upstream.settings.max_in_flight = 1;
    upstream.settings.timeouts.response = PATIENCE;
    let gateway = Gateway::open_to(upstream.clone());
    let mut first = gateway.connect();
    first.send(GET);
    at_slow.recv_timeout(PATIENCE).unwrap();
    gateway.open_anew_to(changed(&upstream, |settings| settings.max_idle += 1));
    let mut second = gateway.connect();
    assert_eq!(second.ask(GET).status, 503);
    release.send(()).unwrap();
    assert_eq!(first.answer(false).status, 200);
    release.send(()).unwrap();
    assert_eq!(second.ask(GET).status, 200);
}

#[test]
fn retries_stay_spent_below_a_table_that_has_changed() {
    let seen = Arc::new(AtomicUsize::new(0));
    let cut = cutting(&seen);
    let mut upstream = never_ejected(cut);
    upstream.settings.retry_percent = 1;
    let gateway = Gateway::open_to(upstream.clone());
    let ask = |requests: usize| {
        let before = seen.load(Ordering::Relaxed);
        let mut client = gateway.connect();
        (0..requests).for_each(|_| assert_eq!(client.ask(GET).status, 502));
        seen.load(Ordering::Relaxed) - before
    };
    assert_eq!(ask(9), 18, "ten are saved up");
    let upstream = changed(&upstream, |settings| settings.ejection.failures -= 1);
    gateway.open_anew_to(upstream);
    assert_eq!(ask(3), 4, "one is left");
}

#[test]
fn a_unix_socket_is_a_backend_like_any_other() {
    let directory = std::env::temp_dir().join(format!("portcullis-unix-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("backend.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Write};
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix";
                        (&stream).write_all(answer).unwrap();
                    }
                }
            });
        }
    });
    let gateway = Gateway::open_to(upstream(Address::Unix(path.clone())));
    let mut client = gateway.connect();
    for _ in 0..5 {
        assert_eq!(client.ask_name(GET), "unix");
    }
    std::fs::remove_dir_all(&directory).unwrap();
    // Connections that are there go on; new ones have nowhere to go.
    assert_eq!(client.ask_name(GET), "unix");
    let gone = Gateway::open_to(upstream(Address::Unix(path)));
    assert_eq!(gone.connect().ask(GET).status, 503);
}
