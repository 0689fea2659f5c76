//! Real backends (nginx) that are killed, stopped and started again while clients ask: no request
//! is lost that another backend could have served.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portcullis::policy::upstream::{Address, Balance, Endpoints, Settings, Upstream};

use crate::gateway::{Client, Gateway, PATIENCE, backend, upstream};
use crate::process::{Directory, Process};
use crate::setup::Setup;

const GET: &str = "GET /index HTTP/1.1\r\nHost: h\r\n\r\n";

/// A backend that is somebody else's program, ended with the value.
struct Nginx {
    directory: Directory,
    address: SocketAddr,
    child: Child,
}

impl Nginx {
    fn start(name: &str) -> Nginx {
        let directory = Directory::new(name);
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr crit;
             events {{ worker_connections 512; }}
             http {{
               access_log off;
               client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
               uwsgi_temp_path t4; scgi_temp_path t5;
               server {{ listen {address} reuseport; location / {{ return 200 served; }} }}
             }}"
        );
        directory.write("nginx.conf", &config);
        let child = Nginx::spawn(&directory);
        let nginx = Nginx {
            directory,
            address,
            child,
        };
        nginx.await_it();
        nginx
    }

    fn spawn(directory: &Directory) -> Child {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        Command::new("nginx")
            .args(["-p", &directory.path(""), "-c", "nginx.conf"])
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx is needed: tests/run installs it")
    }

    fn await_it(&self) {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < until, "nginx does not listen");
            std::thread::yield_now();
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = Nginx::spawn(&self.directory);
        self.await_it();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Clients that ask without a pause and fail at the first answer that is not 200.
struct Load {
    is_over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(gateway: &Gateway) -> Load {
        let (is_over, served) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let clients = (0..4).map(|_| {
            let (is_over, served) = (is_over.clone(), Arc::<AtomicUsize>::clone(&served));
            let mut client = gateway.connect();
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = client.ask(GET);
                    assert_eq!(
                        (answer.status, &*answer.body),
                        (200, &b"served"[..]),
                        "{answer:?}"
                    );
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Load {
            clients: clients.collect(),
            is_over,
            served,
        }
    }

    fn serve(&self, more: usize) {
        let (until, goal) = (
            Instant::now() + PATIENCE,
            self.served.load(Ordering::Relaxed) + more,
        );
        while self.served.load(Ordering::Relaxed) < goal {
            let is_failed = self.clients.iter().any(JoinHandle::is_finished);
            assert!(Instant::now() < until && !is_failed, "a request was lost");
            std::thread::yield_now();
        }
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
    }
}

fn over(backends: &[Nginx]) -> Upstream {
    let addresses = backends.iter().map(|each| Address::Tcp(each.address));
    let one = upstream(Address::Tcp(backends[0].address));
    Upstream {
        endpoints: Arc::new(Endpoints::new(addresses)),
        settings: Settings {
            balance: Balance::RoundRobin,
            retry_percent: 100,
            ..one.settings
        },
    }
}

#[test]
fn backends_that_are_killed_in_turn_lose_no_request() {
    let mut backends = [Nginx::start("killed-a"), Nginx::start("killed-b")];
    let gateway = Gateway::open_to(over(&backends));
    let load = Load::start(&gateway);
    for round in 0..6 {
        load.serve(100);
        let nginx = &mut backends[round % 2];
        nginx.kill();
        load.serve(100);
        nginx.restart();
    }
    load.end();
}

#[test]
fn a_backend_that_hangs_delays_but_loses_nothing() {
    let backends = [Nginx::start("hung-a"), Nginx::start("hung-b")];
    let gateway = Gateway::open_to(over(&backends));
    let load = Load::start(&gateway);
    load.serve(100);
    backends[0].signal(Signal::SIGSTOP);
    load.serve(200);
    backends[0].signal(Signal::SIGCONT);
    load.serve(200);
    load.end();
}

#[test]
fn the_only_backend_that_comes_back_is_used_at_once() {
    let mut backends = [Nginx::start("only")];
    let gateway = Gateway::open_to(over(&backends));
    let mut client: Client = gateway.connect();
    assert_eq!(client.ask(GET).status, 200);
    for _ in 0..3 {
        backends[0].kill();
        for _ in 0..10 {
            assert_eq!(client.ask(GET).status, 503);
        }
        backends[0].restart();
        let start = Instant::now();
        while client.ask(GET).status != 200 {
            assert!(start.elapsed() < PATIENCE, "it is not asked again");
        }
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );
    }
}

/// Two backends under load: one is real, the other breaks off in one way after the other.
#[test]
fn a_backend_that_breaks_off_before_an_answer_is_whole_loses_no_request() {
    let breaking = backend(|index, mut client| {
        let answer: &str = match index % 4 {
            0 => "",
            1 => "HTTP/1.1 20",
            2 => "HTTP/1.1 200 OK\r\nContent-Le",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n",
        };
        while client.request().is_some() {
            client.send(answer);
            let _ = client.stream.shutdown(std::net::Shutdown::Write);
        }
    });
    let backends = [Nginx::start("beside-one-that-breaks-off")];
    let mut upstream = over(&backends);
    let addresses = [backends[0].address, breaking].map(Address::Tcp);
    upstream.endpoints = Arc::new(Endpoints::new(addresses));
    let gateway = Gateway::open_to(upstream);
    let load = Load::start(&gateway);
    load.serve(800);
    load.end();
}

/// What has begun to reach the client cannot be taken back: it is told by the end of the
/// connection, and costs nobody else anything.
#[test]
fn an_answer_that_is_cut_off_is_never_passed_off_as_whole() {
    let cutting = backend(|_, mut client| {
        let mut count = 0;
        while client.request().is_some() {
            count += 1;
            if count % 5 == 0 {
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nser");
                return;
            }
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserved");
        }
    });
    let gateway = Gateway::open(cutting);
    let clients = (0..4).map(|_| {
        let address = gateway.address;
        std::thread::spawn(move || {
            let mut told = [0, 0];
            for _ in 0..100 {
                let mut client = Client::connect(address);
                client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
                let rest = String::from_utf8(client.rest()).unwrap();
                assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
                assert!(rest.contains("Content-Length: 6\r\n"), "{rest}");
                let is_whole = rest.ends_with("\r\n\r\nserved");
                assert!(is_whole || rest.ends_with("\r\n\r\nser"), "{rest}");
                told[usize::from(is_whole)] += 1;
            }
            told
        })
    });
    let clients: Vec<_> = clients.collect();
    for client in clients {
        let [cut, whole] = client.join().unwrap();
        assert!(cut > 0 && whole > cut, "{cut} cut off, {whole} whole");
    }
}

/// Descriptors run out: whoever is served goes on being served, nobody is served wrongly, and
/// when there are some again everybody is.
#[test]
fn descriptors_that_run_out_pause_accepting_and_no_more() {
    let served = backend(|_, mut client| {
        while client.request().is_some() {
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserved");
        }
    });
    let server = "shards = 1\nmax_connections = 1000\nmax_connections_per_source = 1000";
    let (directory, _) = Setup::paths("a", &["/**"], &["GET"])
        .server(server)
        .replacing("\"access.log\"", "\"off\"")
        .write("descriptors", served);
    let mut command = Command::new("prlimit");
    command.args(["--nofile=64", "--", env!("CARGO_BIN_EXE_portcullis")]);
    command.args(["run", "--config", &directory.path("gateway.toml")]);
    let process = Process::of(command);
    let start = Instant::now();
    let mut first = process.connect();
    assert_eq!(first.ask(GET).status, 200);
    let mut waiting: Vec<Client> = (0..100).map(|_| process.connect()).collect();
    let is_exhausted = || process.descriptors() >= 64;
    let until = start + PATIENCE;
    while !is_exhausted() {
        assert!(Instant::now() < until, "{}", process.descriptors());
        std::thread::yield_now();
    }
    let exhausted = Instant::now();
    while exhausted.elapsed() < Duration::from_millis(500) {
        assert_eq!(first.ask(GET).status, 200);
    }
    waiting.drain(..60);
    for client in &mut waiting {
        assert_eq!(client.ask(GET).status, 200);
    }
    assert_eq!(process.connect().ask(GET).status, 200);
    // Not a spin: an accept that fails is not tried again before a tenth of a second has passed.
    let pauses = process.metric("portcullis_accept_pauses_total{shard=\"0\"}");
    let most = start.elapsed().as_millis() as u64 / 100 + 1;
    assert!(
        (1..=most).contains(&pauses),
        "{pauses} pauses, {most} at most"
    );
}
