//! A gateway and a backend for tests: the real shard on real sockets, on port 0.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis::config::settings::Timeouts;
use portcullis::policy::authz::Requirement;
use portcullis::policy::catalogue::{Authentication, Catalogue, Declaration, Operation};
use portcullis::policy::contract::Contract;
use portcullis::policy::ratelimit::Limits;
use portcullis::policy::route;
use portcullis::policy::snapshot::Snapshot;
use portcullis::policy::upstream::{Address, Endpoints, Settings, Timeouts as Waits, Upstream};
use portcullis::proto::header::SealedNames;
use portcullis::proto::target::Reserved;
use portcullis::shard::listener::{self, Bound};
use portcullis::shard::ring::Mode;
use portcullis::shard::upstream::Error;
use portcullis::shard::{Shard, Shared};
use portcullis::telemetry::metrics::{Registry, ShardMetrics};

/// Longer than anything here takes; a test that runs into it has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One shard in a thread of its own, which ends with the value.
pub struct Gateway {
    pub address: SocketAddr,
    shared: Shared,
    registry: Registry,
    metrics: Arc<ShardMetrics>,
    thread: Option<JoinHandle<()>>,
}

/// An operation without authentication or contract.
pub fn open_operation(method: &str, path: &str) -> Declaration {
    Declaration {
        hosts: Vec::new(),
        template: route::template(path).unwrap(),
        operation: Operation {
            api: "test".into(),
            id: format!("{method} {path}").into(),
            owner: "tests".into(),
            method: method.into(),
            path: path.into(),
            upstream: 0,
            waf: None,
            inspector: None,
            authentication: Authentication::None,
            requirement: Requirement::default(),
            limits: Limits::default(),
            contract: Contract::none(),
            response: None,
            leaks: None,
            is_covered: false,
            max_body: 1 << 20,
            identity: std::sync::Arc::default(),
            timeouts: portcullis::policy::catalogue::Timeouts::default(),
            websocket: None,
            reserved: Reserved::default(),
        },
    }
}

fn open_operations() -> Vec<Declaration> {
    let methods = ["GET", "HEAD", "POST", "PUT"];
    methods.map(|method| open_operation(method, "/**")).into()
}

/// An upstream of one endpoint that is not waited for long.
pub fn upstream(address: Address) -> Upstream {
    Upstream {
        endpoints: Arc::new(Endpoints::new([address])),
        settings: Settings {
            authority: "backend.example".into(),
            timeouts: Waits {
                connect: Duration::from_millis(500),
                response: Duration::from_millis(500),
            },
            max_idle: 8,
            ..Settings::named("backend")
        },
    }
}

pub fn snapshot(generation: u64, backend: SocketAddr, declared: Vec<Declaration>) -> Snapshot {
    snapshot_of(generation, upstream(Address::Tcp(backend)), declared)
}

pub fn snapshot_of(generation: u64, upstream: Upstream, declared: Vec<Declaration>) -> Snapshot {
    Snapshot {
        generation,
        catalogue: Catalogue::new(declared).unwrap_or_else(|errors| panic!("{errors:?}")),
        issuers: Vec::new(),
        upstreams: vec![upstream],
        waf: Vec::new(),
        sealed: SealedNames::new([
            "X-User-ID",
            "X-Request-ID",
            "traceparent",
            "X-Forwarded-For",
        ]),
    }
}

pub fn timeouts() -> Timeouts {
    Timeouts {
        handshake: Duration::from_millis(300),
        first_byte: Duration::from_secs(10),
        head: Duration::from_millis(300),
        idle: Duration::from_secs(10),
        body: Duration::from_millis(300),
        body_rate: 64,
        exchange: PATIENCE,
    }
}

/// Of a listener that asks for nothing.
pub fn settings() -> listener::Settings {
    listener::Settings {
        timeouts: timeouts(),
        trusted_peers: Vec::new(),
        tls: None,
        proxy_protocol: false,
    }
}

impl Gateway {
    /// Any method on any path, to `backend`.
    pub fn open(backend: SocketAddr) -> Gateway {
        Gateway::open_to(upstream(Address::Tcp(backend)))
    }

    /// As [`open`](Gateway::open), to endpoints of the caller's choice.
    pub fn open_to(upstream: Upstream) -> Gateway {
        Gateway::start(
            snapshot_of(1, upstream, open_operations()),
            Mode::DeferTaskrun,
        )
    }

    pub fn start(snapshot: Snapshot, best: Mode) -> Gateway {
        let mode = Mode::probe(best);
        let shared = Shared::new(snapshot, 1, mode).unwrap();
        Gateway::serve(shared, settings())
    }

    /// With bounds and settings of the caller's choice.
    pub fn serve(shared: Shared, settings: listener::Settings) -> Gateway {
        let mode = shared.mode;
        let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), settings, 1).unwrap();
        let address = bound.address;
        shared.listening.publish(vec![bound]);
        let registry = Registry::new(1, &Error::names());
        registry.declare(&shared.published.load());
        let metrics = registry.shards()[0].clone();
        let (for_thread, counted) = (shared.clone(), metrics.clone());
        let thread = std::thread::spawn(move || {
            mode.run(async { Shard::new(0, for_thread, counted, None).run().await })
                .unwrap();
        });
        Gateway {
            address,
            shared,
            registry,
            metrics,
            thread: Some(thread),
        }
    }

    /// Puts another snapshot in force.
    pub fn publish(&self, snapshot: Snapshot) {
        let generation = snapshot.generation;
        self.registry.declare(&snapshot);
        self.shared.published.publish(snapshot);
        let until = Instant::now() + PATIENCE;
        while self.metrics.generation.value() != generation {
            assert!(Instant::now() < until, "it is not taken over");
            std::thread::yield_now();
        }
    }

    /// The same to another upstream, or to one whose table has changed.
    pub fn open_anew_to(&self, upstream: Upstream) {
        let generation = self.shared.published.generation() + 1;
        self.publish(snapshot_of(generation, upstream, open_operations()));
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    pub fn drain(&self) {
        self.shared.is_draining.store(true, Ordering::Relaxed);
    }

    /// Waits until the shard has ended by itself.
    pub fn join(&mut self) {
        self.thread.take().expect("joined once").join().unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.drain();
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().unwrap();
        }
        if !std::thread::panicking() {
            assert_eq!(self.metrics.panics.value(), 0, "exchanges that broke off");
        }
    }
}

/// A response as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub is_chunked: bool,
}

impl Answer {
    /// The value of a field that must not be repeated.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self
            .fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let first = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is repeated: {self:?}");
        first
    }

    /// The last part of the problem's type.
    pub fn problem(&self) -> String {
        assert_eq!(
            self.field("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(body["status"], self.status);
        assert_eq!(body["instance"].as_str(), self.field("x-request-id"));
        let kind = body["type"].as_str().unwrap().rsplit(':').next().unwrap();
        kind.to_owned()
    }
}

/// A plain HTTP client that reads answers one by one.
pub struct Client {
    pub stream: TcpStream,
    pub reader: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Client { stream, reader }
    }

    /// The other side of a connection.
    pub fn accepted(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Client { stream, reader }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes);
        self.answer(false)
    }

    /// Reads a status line and fields.
    pub fn answer_head(&mut self) -> Answer {
        let status = self.line();
        let mut words = status.split(' ');
        assert_eq!(words.next(), Some("HTTP/1.1"), "{status:?}");
        let mut answer = Answer {
            status: words.next().unwrap().parse().unwrap(),
            fields: Vec::new(),
            body: Vec::new(),
            is_chunked: false,
        };
        loop {
            let line = self.line();
            if line.is_empty() {
                return answer;
            }
            let (name, value) = line.split_once(": ").expect("a field line");
            answer.fields.push((name.to_owned(), value.to_owned()));
        }
    }

    pub fn answer(&mut self, to_head: bool) -> Answer {
        let mut answer = self.answer_head();
        if to_head || answer.status < 200 || matches!(answer.status, 204 | 304) {
            return answer;
        }
        if answer.field("transfer-encoding") == Some("chunked") {
            answer.is_chunked = true;
            loop {
                let size = usize::from_str_radix(&self.line(), 16).unwrap();
                let at = answer.body.len();
                answer.body.resize(at + size, 0);
                self.reader.read_exact(&mut answer.body[at..]).unwrap();
                assert_eq!(self.line(), "");
                if size == 0 {
                    return answer;
                }
            }
        }
        match answer
            .field("content-length")
            .map(|length| length.parse().unwrap())
        {
            Some(length) => {
                answer.body = vec![0; length];
                self.reader.read_exact(&mut answer.body).unwrap();
            }
            None => {
                self.reader.read_to_end(&mut answer.body).unwrap();
            }
        }
        answer
    }

    /// Whether anything of an answer has come.
    pub fn has_answer(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let count = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        count.is_ok()
    }

    /// Everything until the gateway closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Whether the gateway has closed, with nothing more to read.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        // Reads on through interrupted calls, which a plain read does not.
        self.reader.read_to_end(&mut rest).unwrap();
        rest.is_empty()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n").expect("a whole line").to_owned()
    }
}

/// A backend that hands each connection to `serve` in a thread of its own.
pub fn backend(serve: impl Fn(usize, Client) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let client = Client::accepted(stream.unwrap());
            let serve = serve.clone();
            std::thread::spawn(move || serve(index, client));
        }
    });
    address
}

/// A request as the backend got it.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub line: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self
            .fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let first = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is repeated: {self:?}");
        first
    }
}

impl Client {
    /// Reads a request as a backend; `None` when the gateway has closed.
    pub fn request(&mut self) -> Option<Received> {
        let mut request = self.request_head()?;
        if request.field("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line(), 16).unwrap();
                let at = request.body.len();
                request.body.resize(at + size, 0);
                self.reader.read_exact(&mut request.body[at..]).ok()?;
                assert_eq!(self.line(), "");
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = request.field("content-length") {
            request.body = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut request.body).ok()?;
        }
        Some(request)
    }

    pub fn request_head(&mut self) -> Option<Received> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut request = Received {
            line: line.trim_end().to_owned(),
            ..Received::default()
        };
        loop {
            let line = self.line();
            if line.is_empty() {
                return Some(request);
            }
            let (name, value) = line.split_once(": ").expect("a field line");
            request.fields.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// A backend that answers every request with what it got: the request line, the fields, an empty
/// line and the body.
pub fn echo() -> SocketAddr {
    backend(|_, mut client| {
        while let Some(request) = client.request() {
            let mut body = format!("{}\n", request.line).into_bytes();
            for (name, value) in &request.fields {
                body.extend_from_slice(format!("{name}: {value}\n").as_bytes());
            }
            body.push(b'\n');
            body.extend_from_slice(&request.body);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nX-Backend: yes\r\n\r\n",
                body.len()
            );
            if request.line.starts_with("HEAD") {
                body.clear();
            }
            if client
                .stream
                .write_all(&[head.as_bytes(), &body].concat())
                .is_err()
            {
                return;
            }
        }
    })
}
