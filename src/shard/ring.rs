//! Ring flags, their probe and the fallback.
//!
//! What makes io_uring pay for a proxy is when completions are delivered. The kinds of ring are
//! tried from the best to the plainest, and the first that this kernel and sandbox allow is used.
//! Containers often forbid io_uring altogether, so epoll is a supported mode, not an accident.

use std::fmt;
use std::future::Future;
use std::io;

use io_uring::IoUring;
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

/// Submission entries of a shard's ring: one per operation queued in a pass of the loop.
const ENTRIES: u32 = 4096;

/// Completion entries. An overflowing queue is an error that monoio does not report, so it is
/// sized well above the operations in flight.
const COMPLETIONS: u32 = 4 * ENTRIES;

/// How a shard talks to the kernel, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `SINGLE_ISSUER | DEFER_TASKRUN | SUBMIT_ALL`, Linux 6.1: completions are worked on only
    /// when the shard asks for them.
    DeferTaskrun,
    /// `COOP_TASKRUN | SUBMIT_ALL`, Linux 5.19: completions do not interrupt the shard.
    CoopTaskrun,
    /// A ring without flags.
    Plain,
    Epoll,
}

impl Mode {
    pub const LADDER: [Mode; 4] = [
        Mode::DeferTaskrun,
        Mode::CoopTaskrun,
        Mode::Plain,
        Mode::Epoll,
    ];

    /// The first mode at or below `best` that works here.
    pub fn probe(best: Mode) -> Mode {
        let from = Mode::LADDER.iter().position(|&mode| mode == best);
        Mode::LADDER[from.unwrap_or(0)..]
            .iter()
            .copied()
            .find(|mode| mode.is_available())
            .unwrap_or(Mode::Epoll)
    }

    /// Whether the kernel sets up a ring of this kind; tried on a small one that is dropped at once.
    pub fn is_available(self) -> bool {
        match self {
            Mode::Epoll => true,
            // monoio wants more than a ring: operations that came with Linux 5.6 to 5.11.
            Mode::DeferTaskrun | Mode::CoopTaskrun | Mode::Plain => {
                monoio::utils::detect_uring() && self.builder().build(8).is_ok()
            }
        }
    }

    fn builder(self) -> io_uring::Builder {
        let mut builder = IoUring::builder();
        match self {
            Mode::DeferTaskrun => {
                builder
                    .setup_single_issuer()
                    .setup_defer_taskrun()
                    .setup_submit_all();
            }
            Mode::CoopTaskrun => {
                builder.setup_coop_taskrun().setup_submit_all();
            }
            Mode::Plain | Mode::Epoll => {}
        }
        builder
    }

    /// Runs `main` to its end on a runtime of this mode, on the calling thread.
    ///
    /// The runtime is dropped afterwards, when nothing may be in flight any more: monoio frees the
    /// buffers of pending operations that the kernel could still write to.
    pub fn run<F: Future>(self, main: F) -> io::Result<F::Output> {
        match self {
            Mode::Epoll => {
                let mut runtime = RuntimeBuilder::<TimeDriver<LegacyDriver>>::new().build()?;
                Ok(runtime.block_on(main))
            }
            Mode::DeferTaskrun | Mode::CoopTaskrun | Mode::Plain => {
                let mut ring = self.builder();
                ring.setup_cqsize(COMPLETIONS);
                let mut runtime = RuntimeBuilder::<TimeDriver<IoUringDriver>>::new()
                    .with_entries(ENTRIES)
                    .uring_builder(ring)
                    .build()?;
                Ok(runtime.block_on(main))
            }
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Mode::DeferTaskrun => "io_uring defer_taskrun",
            Mode::CoopTaskrun => "io_uring coop_taskrun",
            Mode::Plain => "io_uring plain",
            Mode::Epoll => "epoll",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
    use monoio::net::{TcpListener, TcpStream};

    /// Sends a message to itself over a real socket.
    async fn exchange() -> io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut client = TcpStream::connect_addr(listener.local_addr()?).await?;
        let (mut server, _) = listener.accept().await?;
        client.write_all(b"ping").await.0?;
        let (outcome, bytes) = server.read(Vec::with_capacity(16)).await;
        outcome.map(|_| bytes)
    }

    #[test]
    fn every_available_mode_moves_bytes() {
        let modes = Mode::LADDER.into_iter().filter(|mode| mode.is_available());
        let mut ran = 0;
        for mode in modes {
            let received = std::thread::spawn(move || mode.run(exchange())).join();
            assert_eq!(received.unwrap().unwrap().unwrap(), b"ping", "{mode}");
            ran += 1;
        }
        assert!(ran >= 1, "epoll is always there");
    }

    #[test]
    fn the_probe_never_climbs_above_the_wanted_mode() {
        assert_eq!(Mode::probe(Mode::Epoll), Mode::Epoll);
        for (rank, best) in Mode::LADDER.into_iter().enumerate() {
            let found = Mode::probe(best);
            let found = Mode::LADDER.iter().position(|&mode| mode == found);
            assert!(found >= Some(rank), "{best}");
        }
    }
}
