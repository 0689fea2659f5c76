//! The generator: connections that are kept, one request on each at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;

use crate::bounds::Bounds;
use crate::message;
use crate::schedule::Schedule;
use crate::workload::{Kind, Workload};

/// Longest wait for answers after the end of a slice.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest wait between looks at the bounds of the run.
const LOOK: Duration = Duration::from_millis(100);

/// The latency that all longer ones are told as: an hour, in nanoseconds.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// Where the requests go, and over how many connections.
#[derive(Clone, Copy)]
pub struct Generator<'a> {
    pub address: SocketAddr,
    pub workload: &'a Workload,
    pub connections: usize,
    pub bounds: &'a Bounds,
}

/// What a slice brought.
pub struct Ran {
    pub sent: u64,
    /// Good answers, with those that came after the end of the slice.
    pub answered: u64,
    /// Good answers within the slice.
    pub in_time: u64,
    /// Bad answers, requests without one and connections that broke.
    pub errors: u64,
    pub elapsed: Duration,
    /// Nanoseconds from when a request was due to the end of its good answer.
    pub latency: Histogram<u64>,
}

impl Ran {
    pub fn rate(&self) -> f64 {
        self.in_time as f64 / self.elapsed.as_secs_f64()
    }
}

impl Generator<'_> {
    /// As fast as the answers come.
    pub fn closed(&self, kind: Kind, time: Duration) -> Result<Ran, String> {
        let mut slice = Slice::new(self, kind)?;
        let start = Instant::now();
        while start.elapsed() < time {
            self.bounds.check()?;
            // At first all of them, later those that broke and were replaced.
            for index in std::mem::take(&mut slice.free) {
                slice.send(index, Instant::now()).map_err(text)?;
            }
            slice.wait(EpollTimeout::from(100_u8), true).map_err(text)?;
        }
        slice.end(start);
        slice.finish()
    }

    /// At a fixed rate, whatever the answers do: a request that is due while no connection is free
    /// is late from then on.
    pub fn open(&self, kind: Kind, rate: f64, time: Duration) -> Result<Ran, String> {
        let mut slice = Slice::new(self, kind)?;
        let start = Instant::now();
        let schedule = Schedule::new(start, time, rate);
        let mut schedule =
            schedule.ok_or_else(|| format!("{rate} requests a second is no rate"))?;
        while !schedule.is_over() {
            self.bounds.check()?;
            let now = Instant::now();
            schedule.advance(now);
            while schedule.has_due()
                && let Some(index) = slice.free.pop()
                && let Some(due) = schedule.take()
            {
                slice.send(index, due).map_err(text)?;
            }
            if now > start + time + PATIENCE {
                // An arm that cannot keep up fails these; they must not vanish.
                slice.ran.errors += schedule.waiting() as u64;
                break;
            }
            let next = schedule.next().unwrap_or(now + LOOK);
            slice.sleep_until(next.min(now + LOOK)).map_err(text)?;
            slice.wait(EpollTimeout::ZERO, false).map_err(text)?;
        }
        slice.end(start);
        slice.finish()
    }
}

fn text(error: std::io::Error) -> String {
    format!("the generator failed: {error}")
}

struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
    /// When the request on it was due; none if there is none.
    since: Option<Instant>,
}

struct Slice<'a> {
    generator: Generator<'a>,
    kind: Kind,
    epoll: Epoll,
    connections: Vec<Connection>,
    free: Vec<usize>,
    events: Vec<EpollEvent>,
    block: Vec<u8>,
    ran: Ran,
}

impl<'a> Slice<'a> {
    fn new(generator: &Generator<'a>, kind: Kind) -> Result<Slice<'a>, String> {
        let count = generator.connections;
        // With its bounds named: one that grows by itself does not grow for a saturating record.
        let latency = Histogram::new_with_bounds(1, LONGEST_NS, 3);
        let latency = latency.map_err(|error| error.to_string())?;
        let mut slice = Slice {
            generator: *generator,
            kind,
            epoll: Epoll::new(EpollCreateFlags::empty()).map_err(|error| text(error.into()))?,
            connections: Vec::with_capacity(count),
            free: (0..count).collect(),
            events: vec![EpollEvent::empty(); count.clamp(1, 1024)],
            block: vec![0; 16 * 1024],
            ran: Ran {
                sent: 0,
                answered: 0,
                in_time: 0,
                errors: 0,
                elapsed: Duration::ZERO,
                latency,
            },
        };
        for index in 0..count {
            let connection = slice.connect(index).map_err(text)?;
            slice.connections.push(connection);
        }
        Ok(slice)
    }

    fn connect(&self, index: usize) -> std::io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&self.generator.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
        self.epoll.add(&stream, event)?;
        Ok(Connection {
            stream,
            bytes: Vec::with_capacity(4096),
            since: None,
        })
    }

    fn send(&mut self, index: usize, due: Instant) -> std::io::Result<()> {
        let number = usize::try_from(self.ran.sent).unwrap_or_default();
        let request = self.generator.workload.request(self.kind, number);
        self.ran.sent += 1;
        let connection = &mut self.connections[index];
        connection.since = Some(due);
        // Two kilobytes always fit the socket of a peer that has answered the last request.
        match connection.stream.write_all(request) {
            Ok(()) => Ok(()),
            Err(_) => self.fail(index),
        }
    }

    /// Counts an error and begins anew on another connection. A peer that takes no connection is
    /// gone, which ends the run.
    fn fail(&mut self, index: usize) -> std::io::Result<()> {
        self.ran.errors += 1;
        self.connections[index] = self.connect(index)?;
        self.free.push(index);
        Ok(())
    }

    /// Until an answer has come or the next request is due; the backend runs on this core too, so
    /// spinning would take its time.
    fn sleep_until(&self, due: Instant) -> std::io::Result<()> {
        let left = due.saturating_duration_since(Instant::now());
        let mut sources = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut sources, Some(TimeSpec::from_duration(left)), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes what has come; `again` sends the next request on each connection at once.
    fn wait(&mut self, timeout: EpollTimeout, again: bool) -> std::io::Result<()> {
        let count = match self.epoll.wait(&mut self.events, timeout) {
            Err(nix::errno::Errno::EINTR) => 0,
            outcome => outcome?,
        };
        for event in 0..count {
            let Ok(index) = usize::try_from(self.events[event].data()) else {
                continue;
            };
            match self.read(index) {
                Ok(true) if again => self.send(index, Instant::now())?,
                Ok(true) => self.free.push(index),
                Ok(false) => {}
                Err(_) => self.fail(index)?,
            }
        }
        Ok(())
    }

    /// `true`: the answer is complete. An error: this connection cannot go on.
    fn read(&mut self, index: usize) -> std::io::Result<bool> {
        let connection = &mut self.connections[index];
        match connection.stream.read(&mut self.block) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => connection.bytes.extend_from_slice(&self.block[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        let framed = message::answer(&connection.bytes).map_err(|_| ErrorKind::InvalidData)?;
        let Some(answer) = framed else {
            return Ok(false);
        };
        // One request, one answer: nothing may follow, and nothing may come unasked.
        let since = connection.since.take().ok_or(ErrorKind::InvalidData)?;
        if connection.bytes.len() != answer.length {
            return Err(ErrorKind::InvalidData.into());
        }
        connection.bytes.clear();
        if answer.status != 200 {
            self.ran.errors += 1;
            return Ok(true);
        }
        let time = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.ran.latency.saturating_record(time.max(1));
        self.ran.answered += 1;
        Ok(true)
    }

    /// The time is up.
    fn end(&mut self, start: Instant) {
        self.ran.elapsed = start.elapsed();
        self.ran.in_time = self.ran.answered;
    }

    /// Waits for the answers that are still under way.
    fn finish(mut self) -> Result<Ran, String> {
        let until = Instant::now() + PATIENCE;
        let is_open = |each: &&Connection| each.since.is_some();
        while self.connections.iter().any(|each| is_open(&each)) {
            self.generator.bounds.check()?;
            if Instant::now() > until {
                self.ran.errors += self.connections.iter().filter(is_open).count() as u64;
                break;
            }
            self.wait(EpollTimeout::from(10_u8), false).map_err(text)?;
        }
        Ok(self.ran)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const SLICE: Duration = Duration::from_millis(200);

    fn generator<'a>(
        address: SocketAddr,
        workload: &'a Workload,
        bounds: &'a Bounds,
    ) -> Generator<'a> {
        Generator {
            address,
            workload,
            connections: 4,
            bounds,
        }
    }

    #[test]
    fn both_loops_measure_a_real_backend() {
        let backend = crate::backend::start(None).unwrap();
        let workload = Workload::new().unwrap();
        let bounds = Bounds::of(Duration::from_secs(60));
        let generator = generator(backend.address, &workload, &bounds);
        for kind in Kind::ALL {
            let before = backend.seen();
            let closed = generator.closed(kind, SLICE).unwrap();
            assert!(closed.in_time > 0 && closed.in_time <= closed.answered);
            let open = generator.open(kind, 1000.0, SLICE).unwrap();
            // All that fell due was sent and answered, however busy the machine is.
            assert_eq!(
                (open.sent, open.answered, open.latency.len()),
                (200, 200, 200)
            );
            assert_eq!((closed.errors, open.errors), (0, 0));
            // No answer crosses two sockets in less; a histogram without room would say so of all.
            assert!(open.latency.max() > 5_000, "{} ns", open.latency.max());
            let seen = backend.seen().since(before);
            assert_eq!(seen.requests, closed.sent + open.sent);
            assert_eq!(seen.identified, 0);
            assert_eq!(seen.body_bytes, workload.body_length(kind) * seen.requests);
        }
    }

    /// A peer that gives each connection this answer to whatever comes first.
    fn peer(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut block = [0; 4096];
                // The generator may have hung up by now.
                let _ = stream.read(&mut block);
                let _ = stream.write_all(answer);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                while matches!(stream.read(&mut block), Ok(1..)) {}
            }
        });
        address
    }

    #[test]
    fn bad_answers_are_errors_and_no_figures() {
        let workload = Workload::new().unwrap();
        let bounds = Bounds::of(Duration::from_secs(60));
        for answer in [
            &b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na",
            b"",
        ] {
            let mut generator = generator(peer(answer), &workload, &bounds);
            generator.connections = 1;
            let ran = generator.open(Kind::Get, 100.0, SLICE / 10).unwrap();
            assert_eq!((ran.answered, ran.latency.len()), (0, 0));
            assert!(ran.errors >= ran.sent && ran.sent == 2, "{answer:?}");
        }
    }

    #[test]
    fn a_peer_that_is_gone_ends_the_run() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let workload = Workload::new().unwrap();
        let bounds = Bounds::of(Duration::from_secs(60));
        assert!(
            generator(address, &workload, &bounds)
                .closed(Kind::Get, SLICE)
                .is_err()
        );
    }

    #[test]
    fn a_signal_ends_a_slice() {
        let backend = crate::backend::start(None).unwrap();
        let workload = Workload::new().unwrap();
        let bounds = Bounds::of(Duration::from_secs(60));
        bounds.stop();
        let generator = generator(backend.address, &workload, &bounds);
        let hour = Duration::from_secs(3600);
        assert_eq!(
            generator.closed(Kind::Get, hour).err().as_deref(),
            Some("interrupted")
        );
        assert_eq!(
            generator.open(Kind::Get, 1.0, hour).err().as_deref(),
            Some("interrupted")
        );
    }
}
