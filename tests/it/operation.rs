//! What an operator does to a process that serves: reloads, upgrades, stops, watches. Nobody who is
//! being served may notice.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::gateway::{Client, PATIENCE, backend, echo};
use crate::process::{Directory, Process, bank_setup, claims, get, portcullis};

/// Free when it was looked for, and not one that the system gives to others meanwhile: below the
/// range that it gives from, and another one each time.
fn free() -> SocketAddr {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let first = std::process::id() as usize * 16;
    let mut ports = std::iter::repeat_with(|| {
        let next = first + NEXT.fetch_add(1, Ordering::Relaxed);
        SocketAddr::from(([127, 0, 0, 1], 12_000 + (next % 18_000) as u16))
    });
    ports
        .find(|address| TcpListener::bind(address).is_ok())
        .unwrap()
}

/// A configuration with addresses that another process can be started on.
fn bank(name: &str) -> (Directory, String) {
    let any = "127.0.0.1:0";
    let (directory, key) = bank_setup(2, "")
        .replacing(any, &free().to_string())
        .replacing(any, &free().to_string())
        .write(name, echo());
    let token = key.sign(&claims()).unwrap();
    (directory, token)
}

/// Clients that ask without a pause: some keep their connection, some take a new one each time.
struct Load {
    is_over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr, token: &str) -> Load {
        let (is_over, served) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let clients = (0..6).map(|index| {
            let (is_over, served) = (is_over.clone(), Arc::<AtomicUsize>::clone(&served));
            let request = get("/accounts/a1/balances", token);
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !is_over.load(Ordering::Relaxed) {
                    let answer = client.ask(&request);
                    assert_eq!(answer.status, 200, "{answer:?}");
                    served.fetch_add(1, Ordering::Relaxed);
                    let is_last = answer.field("connection") == Some("close");
                    if is_last || index % 2 == 0 {
                        client = Client::connect(address);
                    }
                }
            })
        });
        let clients = clients.collect();
        Load {
            is_over,
            served,
            clients,
        }
    }

    /// Waits until so many more have been served.
    fn serve(&self, more: usize) {
        let (until, goal) = (
            Instant::now() + PATIENCE,
            self.served.load(Ordering::Relaxed) + more,
        );
        while self.served.load(Ordering::Relaxed) < goal {
            let is_failed = self.clients.iter().any(JoinHandle::is_finished);
            assert!(
                Instant::now() < until && !is_failed,
                "a request was not served"
            );
            std::thread::yield_now();
        }
    }

    /// Fails if one of them was ever refused.
    fn end(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        self.served.load(Ordering::Relaxed)
    }
}

#[test]
fn reloads_under_load_lose_no_request() {
    let (directory, token) = bank("reloads");
    let process = Process::start(&directory.path("gateway.toml"));
    let load = Load::start(process.address, &token);
    let text = std::fs::read_to_string(directory.path("gateway.toml")).unwrap();
    let mut settled = 0;
    for generation in 2..102 {
        // Each time a listener comes or goes beside the one that is asked.
        let extra = format!("[[listener]]\naddress = \"{}\"\n", free());
        let text = match generation % 2 {
            0 => format!("{text}\n{extra}"),
            _ => text.clone(),
        };
        directory.write("gateway.toml", &text);
        process.signal(Signal::SIGHUP);
        process.wait_for(&format!("generation {generation},"));
        load.serve(20);
        if generation == 21 {
            settled = process.resident();
        }
    }
    let grown = process.resident().saturating_sub(settled);
    assert!(grown < 8 << 20, "80 reloads have taken {grown} bytes");
    load.end();
    assert_eq!(
        process.metric("portcullis_reloads_total{outcome=\"done\"}"),
        100
    );
    assert_eq!(
        process.metric("portcullis_reloads_total{outcome=\"refused\"}"),
        0
    );
}

#[test]
fn an_upgrade_loses_no_request() {
    let (directory, token) = bank("upgrade");
    let mut process = Process::start(&directory.path("gateway.toml"));
    let load = Load::start(process.address, &token);
    load.serve(50);
    process.signal(Signal::SIGUSR2);
    let successor = successor(&process);
    process.wait_for("takes over from process");
    assert_eq!(process.ended(), Some(0), "the old one finishes and ends");
    load.serve(50);
    let served = load.end();
    assert!(served >= 100);
    // The new one is the process now, with the same admin plane.
    assert_eq!(
        process.metric("portcullis_snapshot_generation{shard=\"0\"}"),
        1
    );
    end(successor);
}

/// Not for a process that has ended and that nobody has waited for.
fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with('Z')
}

/// The process that takes over.
fn successor(process: &Process) -> i32 {
    let told = process.wait_for("is to take over");
    let told = told.split("process ").nth(1).unwrap();
    told.split(' ').next().unwrap().parse().unwrap()
}

/// A request that is under way until it is finished.
struct Slow(Client);

impl Slow {
    fn begin(process: &Process) -> Slow {
        let mut client = process.connect();
        client.send("GET /accounts/a1/balances HTTP/1.1\r\nHost: h\r\n");
        Slow(client)
    }

    fn finish(mut self, token: &str) {
        let rest = format!("Authorization: Bearer {token}\r\n\r\n");
        assert_eq!(self.0.ask(rest).status, 200);
    }
}

/// Ends a process that is nobody's child.
fn end(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    let until = Instant::now() + PATIENCE;
    while is_running(pid) {
        assert!(Instant::now() < until, "the successor does not end");
        std::thread::yield_now();
    }
}

#[test]
fn an_upgrade_to_fewer_shards_or_more_loses_no_connection() {
    for (from, to) in [(2, 1), (1, 2)] {
        let (directory, token) = bank("upgrade-shards");
        let path = directory.path("gateway.toml");
        let shards = |count| format!("shards = {count}");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(&shards(2), &shards(from));
        directory.write("gateway.toml", &text);
        let mut process = Process::start(&path);
        // A request that is under way keeps the old process, and its sockets, until it is whole.
        let slow = Slow::begin(&process);
        directory.write("gateway.toml", &text.replace(&shards(from), &shards(to)));
        process.signal(Signal::SIGUSR2);
        let pid = successor(&process);
        process.wait_for("takes over from process");
        for _ in 0..64 {
            let answer = process.connect().ask(get("/accounts/a1/balances", &token));
            assert_eq!(answer.status, 200);
        }
        slow.finish(&token);
        assert_eq!(process.ended(), Some(0));
        end(pid);
    }
}

#[test]
fn only_one_successor_is_on_its_way() {
    let (directory, token) = bank("upgrade-twice");
    let mut process = Process::start(&directory.path("gateway.toml"));
    let slow = Slow::begin(&process);
    process.signal(Signal::SIGUSR2);
    let pid = successor(&process);
    process.signal(Signal::SIGUSR2);
    process.wait_for("is on its way to take over");
    process.wait_for("takes over from process");
    // What was under way is finished, not cut.
    slow.finish(&token);
    assert_eq!(process.ended(), Some(0));
    end(pid);
}

#[test]
fn a_successor_that_cannot_serve_changes_nothing() {
    let (directory, token) = bank("failed-upgrade");
    let process = Process::start(&directory.path("gateway.toml"));
    let load = Load::start(process.address, &token);
    directory.write("gateway.toml", "nonsense = true\n");
    process.signal(Signal::SIGUSR2);
    process.wait_for("this process goes on");
    load.serve(50);
    load.end();
}

#[test]
fn the_service_manager_is_told_what_happens() {
    let (directory, _token) = bank("notify");
    let path = directory.path("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = |words: &str| {
        let mut block = [0; 256];
        loop {
            let length = match manager.recv(&mut block) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                outcome => outcome.unwrap(),
            };
            let text = std::str::from_utf8(&block[..length]).unwrap();
            if text.contains(words) {
                return text.to_owned();
            }
        }
    };
    let mut command = portcullis(&["run", "--config", &directory.path("gateway.toml")]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000");
    let mut process = Process::of(command);
    let ready = heard("READY=1");
    assert!(ready.contains("MAINPID="), "{ready}");
    heard("WATCHDOG=1");
    heard("WATCHDOG=1");
    process.signal(Signal::SIGHUP);
    assert!(heard("RELOADING=1").contains("MONOTONIC_USEC="));
    heard("READY=1");
    process.signal(Signal::SIGTERM);
    heard("STOPPING=1");
    assert_eq!(process.ended(), Some(0));
}

#[test]
fn sockets_that_a_service_manager_has_bound_are_used() {
    use command_fds::{CommandFdExt, FdMapping};
    let (directory, token) = bank("activation");
    let text = std::fs::read_to_string(directory.path("gateway.toml")).unwrap();
    let at = text.find("[[listener]]\naddress = \"").unwrap() + "[[listener]]\naddress = \"".len();
    let address: SocketAddr = text[at..].split('"').next().unwrap().parse().unwrap();
    // Bound without SO_REUSEPORT: nobody else could bind it again.
    let socket = TcpListener::bind(address).unwrap();
    let mut command = portcullis(&["run", "--config", &directory.path("gateway.toml")]);
    command.env("LISTEN_FDS", "1");
    let mapping = FdMapping {
        parent_fd: socket.into(),
        child_fd: 3,
    };
    command.fd_mappings(vec![mapping]).unwrap();
    let process = Process::of(command);
    assert_eq!(process.address, address);
    for _ in 0..10 {
        let answer = Client::connect(address).ask(get("/accounts/a1/balances", &token));
        assert_eq!(answer.status, 200);
    }
}

/// The checks of an upstream that stays as it is go on: nobody is asked more often for a reload.
#[test]
fn reloads_do_not_begin_health_checks_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let address = backend(move |_, mut client| {
        while let Some(request) = client.request() {
            if request.line.starts_with("GET /healthz ") {
                count.fetch_add(1, Ordering::Relaxed);
            }
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let upstream = format!("[upstream.bank]\naddress = \"{address}\"\n");
    let health = "[upstream.bank.health]\npath = \"/healthz\"\ninterval = \"3600s\"\n";
    let running = bank_setup(1, "")
        .replacing(&upstream, &format!("{upstream}{health}"))
        .start("reload-health", address);
    let until = Instant::now() + PATIENCE;
    while asked.load(Ordering::Relaxed) == 0 {
        assert!(Instant::now() < until, "it is never asked");
        std::thread::yield_now();
    }
    for generation in 2..6 {
        running.process.signal(Signal::SIGHUP);
        running
            .process
            .wait_for(&format!("reloaded: generation {generation}"));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
