//! A backend that answers as fast as it can, in a thread beside the generator.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::message::{self, Asked};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 65\r\n\r\n\
    {\"account\":\"a-1\",\"balances\":[{\"currency\":\"EUR\",\"amount\":104250}]}";

/// The key of the listening socket.
const LISTENER: u64 = u64::MAX;

pub struct Backend {
    pub address: SocketAddr,
    counters: Arc<Counters>,
}

/// What has arrived so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub requests: u64,
    /// Of these with a verified user.
    pub identified: u64,
    pub body_bytes: u64,
}

impl Seen {
    /// What has arrived between the two.
    pub fn since(self, before: Seen) -> Seen {
        Seen {
            requests: self.requests.saturating_sub(before.requests),
            identified: self.identified.saturating_sub(before.identified),
            body_bytes: self.body_bytes.saturating_sub(before.body_bytes),
        }
    }
}

/// Written by the backend's thread alone, before it answers: who has an answer reads them complete.
#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    identified: AtomicU64,
    body_bytes: AtomicU64,
}

impl Counters {
    fn count(&self, asked: Asked) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.identified
            .fetch_add(u64::from(asked.is_identified), Ordering::Relaxed);
        self.body_bytes
            .fetch_add(asked.body as u64, Ordering::Relaxed);
    }
}

impl Backend {
    pub fn seen(&self) -> Seen {
        Seen {
            requests: self.counters.requests.load(Ordering::Relaxed),
            identified: self.counters.identified.load(Ordering::Relaxed),
            body_bytes: self.counters.body_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Serves in a thread of its own until the process ends.
pub fn start(address: Option<SocketAddr>) -> io::Result<Backend> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(address.unwrap_or(any))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let counters = Arc::new(Counters::default());
    let own = counters.clone();
    std::thread::Builder::new()
        .name("backend".to_owned())
        .spawn(move || serve(&listener, &own))?;
    Ok(Backend { address, counters })
}

struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
}

fn serve(listener: &TcpListener, counters: &Counters) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut events = [EpollEvent::empty(); 256];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            outcome => outcome?,
        };
        for event in &events[..count] {
            if event.data() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let key = stream.as_raw_fd() as u64;
                    epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, key))?;
                    let bytes = Vec::new();
                    connections.insert(key, Connection { stream, bytes });
                }
            } else if let Some(connection) = connections.get_mut(&event.data())
                && !connection.answer(counters)
            {
                connections.remove(&event.data());
            }
        }
    }
}

impl Connection {
    /// `false`: the connection is over.
    fn answer(&mut self, counters: &Counters) -> bool {
        let mut block = [0; 16 * 1024];
        match self.stream.read(&mut block) {
            Ok(0) => return false,
            Ok(count) => self.bytes.extend_from_slice(&block[..count]),
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
        loop {
            let asked = match message::request(&self.bytes) {
                Ok(Some(asked)) => asked,
                Ok(None) => return true,
                // The arm garbled it; its client sees the connection break.
                Err(_) => return false,
            };
            counters.count(asked);
            self.bytes.drain(..asked.length);
            // A hundred bytes always fit the socket of a client that reads.
            if self.stream.write_all(ANSWER).is_err() {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let answer = message::answer(ANSWER).unwrap().unwrap();
        assert_eq!((answer.status, answer.length), (200, ANSWER.len()));
    }
}
