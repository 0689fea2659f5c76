//! Taking over from a running process without losing a connection.
//!
//! SIGUSR2 starts the program anew, as it is on disk now, and passes it the listening sockets. Both
//! processes have the same sockets, so no connection ever waits at one that is closed. When the new
//! one serves it asks the old one, by SIGTERM, to finish what it has. If it does not come to serve,
//! the old one goes on as if nothing had been.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

use command_fds::{CommandFdExt, FdMapping};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

/// The first descriptor that is passed, sd_listen_fds(3).
const FIRST: i32 = 3;

/// Names the process to take over from.
const PREDECESSOR: &str = "PORTCULLIS_PREDECESSOR";

/// Starts the successor with these sockets.
pub fn start(sockets: Vec<OwnedFd>) -> io::Result<Child> {
    keep_others_back()?;
    let program = std::env::args_os().next().ok_or(io::ErrorKind::NotFound)?;
    let count = sockets.len();
    let mappings = sockets.into_iter().zip(FIRST..);
    let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping {
        parent_fd,
        child_fd,
    });
    let mut command = Command::new(program);
    command
        .args(std::env::args_os().skip(1))
        .env("LISTEN_FDS", count.to_string())
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDNAMES")
        // It is not the process that this variable was meant for.
        .env_remove("WATCHDOG_PID")
        .env(PREDECESSOR, std::process::id().to_string());
    command
        .fd_mappings(mappings.collect())
        .map_err(io::Error::other)?
        .spawn()
}

/// The runtime opens sockets that a child would inherit, and with them the connections to backends.
fn keep_others_back() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(descriptor) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if descriptor >= FIRST {
            // The one that reads this directory is gone again.
            let _ = fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        }
    }
    Ok(())
}

/// Asks the process that started this one, if it did so to be followed, to finish.
pub fn relieve_predecessor() {
    let Some(predecessor) = std::env::var(PREDECESSOR).ok() else {
        return;
    };
    let parent = getppid();
    // A process with this number that is not the parent is somebody else by now.
    if predecessor.parse() == Ok(parent.as_raw()) {
        eprintln!("portcullis: takes over from process {parent}");
        let _ = kill(Pid::from_raw(parent.as_raw()), Signal::SIGTERM);
    }
}
