//! A process under test: started on its core, waited for, ended with the value.
//!
//! What stays true: no child outlives the run. Each is ended by its pid when the value is dropped,
//! on errors too, and the kernel ends it should this process be killed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::bounds::Bounds;

/// For a process to become ready, or to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// For one attempt at the admin listener.
const ATTEMPT: Duration = Duration::from_millis(500);

/// How a process tells that it is ready.
#[derive(Clone, Copy)]
pub enum Ready {
    /// It takes connections.
    Listens(SocketAddr),
    /// Its admin listener says so, at `/readyz`.
    Answers(SocketAddr),
}

impl Ready {
    fn is_now(self) -> bool {
        match self {
            Ready::Listens(address) => TcpStream::connect_timeout(&address, ATTEMPT).is_ok(),
            Ready::Answers(admin) => is_ready(admin).unwrap_or(false),
        }
    }
}

fn is_ready(admin: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&admin, ATTEMPT)?;
    stream.set_read_timeout(Some(ATTEMPT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    Ok(&line == b"HTTP/1.1 200")
}

pub struct Process(Child);

/// A command that will run on this core alone. Both wrappers replace themselves, so the child's pid
/// is that of the command.
pub fn pinned(binary: &Path, core: usize) -> Command {
    let core = core.to_string();
    // Of util-linux, as taskset is. Without it a killed run would leave its children behind.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "-c", &core]);
    command.arg(binary);
    command
}

impl Process {
    /// Starts it and waits until it is ready. The kernel ends it with the thread that calls this.
    pub fn start(
        mut command: Command,
        log: &Path,
        ready: Ready,
        bounds: &Bounds,
    ) -> Result<Process, String> {
        let log = File::create(log).map_err(|error| error.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // A Ctrl-C is for the load test, which ends its children in order.
            .process_group(0)
            .spawn();
        let mut process = Process(child.map_err(|error| format!("does not start: {error}"))?);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            bounds.check()?;
            // Before the port is asked: somebody else may have it, which is why it ended.
            if let Ok(Some(status)) = process.0.try_wait() {
                return Err(format!("ended with {status}"));
            }
            if ready.is_now() {
                return Ok(process);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("does not become ready".to_owned())
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Ok(pid) = i32::try_from(self.0.id()).map(Pid::from_raw) else {
            return;
        };
        // The pid of a child that has been waited for may be somebody else's by now.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = kill(pid, Signal::SIGTERM);
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // With the workers of its group, which nobody would end after it.
        let _ = killpg(pid, Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Free when they were looked for, and not the same.
pub fn free_addresses() -> io::Result<[SocketAddr; 2]> {
    let one = TcpListener::bind("127.0.0.1:0")?;
    let other = TcpListener::bind("127.0.0.1:0")?;
    Ok([one.local_addr()?, other.local_addr()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_core() -> usize {
        portcullis::shard::core::allowed().unwrap()[0]
    }

    fn log() -> std::path::PathBuf {
        let name = std::thread::current()
            .name()
            .unwrap_or("test")
            .replace(':', "-");
        std::env::temp_dir().join(format!("portcullis-loadtest-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_child_that_ends_at_once_is_told() {
        let bounds = Bounds::of(Duration::from_secs(60));
        let [address, _] = free_addresses().unwrap();
        let command = pinned(Path::new("false"), first_core());
        let log = log();
        let started = Process::start(command, &log, Ready::Listens(address), &bounds);
        std::fs::remove_file(log).unwrap();
        assert!(started.err().unwrap().starts_with("ended with"));
    }

    #[test]
    fn a_child_ends_with_the_value() {
        let bounds = Bounds::of(Duration::from_secs(60));
        // Somebody listens, so that the child counts as ready.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = pinned(Path::new("tail"), first_core());
        command.args(["-f", "/dev/null"]);
        let ready = Ready::Listens(listener.local_addr().unwrap());
        let log = log();
        let process = Process::start(command, &log, ready, &bounds).unwrap();
        std::fs::remove_file(log).unwrap();
        let directory = format!("/proc/{}", process.id());
        assert!(Path::new(&directory).exists());
        drop(process);
        assert!(!Path::new(&directory).exists());
    }

    #[test]
    fn ready_is_what_the_admin_listener_says() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = std::thread::spawn(move || {
            for status in ["503 Service Unavailable", "200 OK"] {
                let (mut stream, _) = listener.accept().unwrap();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                let mut block = [0; 1024];
                assert!(stream.read(&mut block).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let ready = Ready::Answers(address);
        assert!(!ready.is_now());
        assert!(ready.is_now());
        peer.join().unwrap();
        // Nobody listens any more.
        assert!(!ready.is_now());
    }
}
