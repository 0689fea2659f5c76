//! The generator: connections that are kept, one request on each at a time.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;

use crate::workload::{Kind, Workload};

/// Longest wait for answers after the end of a slice.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a slice brought.
pub struct Ran {
    pub answered: u64,
    pub errors: u64,
    pub elapsed: Duration,
    /// Nanoseconds from when a request was due to the end of its answer.
    pub latency: Histogram<u64>,
}

impl Ran {
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }
}

/// As fast as the answers come.
pub fn closed(
    address: SocketAddr,
    workload: &Workload,
    kind: Kind,
    connections: usize,
    time: Duration,
) -> Result<Ran, String> {
    let mut slice = Slice::new(address, workload, kind, connections).map_err(text)?;
    let start = Instant::now();
    for index in 0..connections {
        slice.send(index, start).map_err(text)?;
    }
    while start.elapsed() < time {
        slice.wait(EpollTimeout::from(100_u8), true).map_err(text)?;
    }
    slice.ran.elapsed = start.elapsed();
    slice.finish().map_err(text)
}

/// At a fixed rate, whatever the answers do: a request that is due while no connection is free is
/// late from then on.
pub fn open(
    address: SocketAddr,
    workload: &Workload,
    kind: Kind,
    (connections, rate): (usize, f64),
    time: Duration,
) -> Result<Ran, String> {
    let mut slice = Slice::new(address, workload, kind, connections).map_err(text)?;
    let step = Duration::from_secs_f64(1.0 / rate);
    let start = Instant::now();
    let mut due = start;
    let mut late: VecDeque<Instant> = VecDeque::new();
    while start.elapsed() < time {
        let now = Instant::now();
        while due <= now {
            late.push_back(due);
            due += step;
        }
        while !late.is_empty()
            && let Some(index) = slice.free.pop()
            && let Some(intended) = late.pop_front()
        {
            slice.send(index, intended).map_err(text)?;
        }
        slice.sleep_until(due).map_err(text)?;
        slice.wait(EpollTimeout::ZERO, false).map_err(text)?;
    }
    slice.ran.elapsed = start.elapsed();
    slice.finish().map_err(text)
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

struct Slice<'w> {
    epoll: Epoll,
    address: SocketAddr,
    connections: Vec<Connection>,
    free: Vec<usize>,
    workload: &'w Workload,
    kind: Kind,
    sent: usize,
    events: [EpollEvent; 128],
    ran: Ran,
}

impl<'w> Slice<'w> {
    fn new(
        address: SocketAddr,
        workload: &'w Workload,
        kind: Kind,
        count: usize,
    ) -> std::io::Result<Slice<'w>> {
        let latency = Histogram::new(3).map_err(std::io::Error::other)?;
        let mut slice = Slice {
            epoll: Epoll::new(EpollCreateFlags::empty())?,
            address,
            connections: Vec::with_capacity(count),
            free: (0..count).collect(),
            workload,
            kind,
            sent: 0,
            events: [EpollEvent::empty(); 128],
            ran: Ran {
                answered: 0,
                errors: 0,
                elapsed: Duration::ZERO,
                latency,
            },
        };
        for index in 0..count {
            let connection = slice.connect(index)?;
            slice.connections.push(connection);
        }
        Ok(slice)
    }

    fn connect(&self, index: usize) -> std::io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
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
        let request = self.workload.request(self.kind, self.sent);
        self.sent += 1;
        let connection = &mut self.connections[index];
        connection.since = Some(due);
        // Two kilobytes always fit the socket of a peer that has answered the last request.
        if connection.stream.write_all(request).is_err() {
            self.fail(index)?;
        }
        Ok(())
    }

    /// Counts an error and begins anew on another connection.
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

    /// Takes what has come; `again` sends the next request on each connection that is free.
    fn wait(&mut self, timeout: EpollTimeout, again: bool) -> std::io::Result<()> {
        let mut events = self.events;
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(nix::errno::Errno::EINTR) => 0,
            outcome => outcome?,
        };
        for event in &events[..count] {
            let index = event.data() as usize;
            match self.read(index) {
                Ok(true) if again => self.send(index, Instant::now())?,
                Ok(true) => self.free.push(index),
                Ok(false) => {}
                Err(_) => {
                    self.fail(index)?;
                    if again {
                        self.free.pop();
                        self.send(index, Instant::now())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// `true`: the answer is complete.
    fn read(&mut self, index: usize) -> std::io::Result<bool> {
        let connection = &mut self.connections[index];
        let mut block = [0; 16 * 1024];
        match connection.stream.read(&mut block)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => connection.bytes.extend_from_slice(&block[..count]),
        }
        let Some((head, body)) = message(&connection.bytes) else {
            return Ok(false);
        };
        if connection.bytes.len() < head + body {
            return Ok(false);
        }
        let is_good = connection.bytes.starts_with(b"HTTP/1.1 200");
        connection.bytes.clear();
        if let Some(since) = connection.since.take() {
            let time = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            // It grows by itself, so every time fits.
            self.ran
                .latency
                .record(time.max(1))
                .map_err(std::io::Error::other)?;
            self.ran.answered += 1;
            self.ran.errors += u64::from(!is_good);
        }
        Ok(true)
    }

    /// Waits for the answers that are still under way, which are not counted in the rate.
    fn finish(mut self) -> std::io::Result<Ran> {
        let answered = self.ran.answered;
        let until = Instant::now() + PATIENCE;
        while self.connections.iter().any(|each| each.since.is_some()) {
            if Instant::now() > until {
                let lost = self.connections.iter().filter(|each| each.since.is_some());
                self.ran.errors += lost.count() as u64;
                break;
            }
            self.wait(EpollTimeout::from(10_u8), false)?;
        }
        self.ran.answered = answered;
        Ok(self.ran)
    }
}

/// The lengths of head and body of the message at the front, once its head is complete.
pub fn message(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let lines = std::str::from_utf8(&bytes[..head]).ok()?.split("\r\n");
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let body = length.and_then(|(_, value)| value.trim().parse().ok());
    Some((head, body.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_much_has_come() {
        let wire = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\n\r\nabcHTTP";
        assert_eq!(message(wire), Some((38, 3)));
        for end in 0..38 {
            assert_eq!(message(&wire[..end]), None);
        }
        assert_eq!(message(b"GET / HTTP/1.1\r\n\r\n"), Some((18, 0)));
    }

    #[test]
    fn both_loops_measure_a_real_backend() {
        let backend = crate::backend::start().unwrap();
        let workload = Workload::new().unwrap();
        let time = Duration::from_millis(200);
        for kind in Kind::ALL {
            let closed = closed(backend.address, &workload, kind, 4, time).unwrap();
            assert!(closed.answered > 100 && closed.errors == 0);
            let open = open(backend.address, &workload, kind, (4, 1000.0), time).unwrap();
            assert!((150..=250).contains(&open.answered), "{}", open.answered);
            assert_eq!((open.errors, backend.identified()), (0, 0));
        }
    }
}
