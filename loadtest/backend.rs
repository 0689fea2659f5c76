//! A backend that answers as fast as it can, in a thread beside the generator.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 65\r\n\r\n\
    {\"account\":\"a-1\",\"balances\":[{\"currency\":\"EUR\",\"amount\":104250}]}";

/// The key of the listening socket.
const LISTENER: u64 = u64::MAX;

pub struct Backend {
    pub address: SocketAddr,
    identified: Arc<AtomicU64>,
}

impl Backend {
    /// Requests that came with a verified user.
    pub fn identified(&self) -> u64 {
        self.identified.load(Ordering::Relaxed)
    }
}

/// Serves in a thread of its own until the process ends.
pub fn start() -> io::Result<Backend> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let identified = Arc::new(AtomicU64::new(0));
    let seen = identified.clone();
    std::thread::Builder::new()
        .name("backend".to_owned())
        .spawn(move || serve(&listener, &seen))?;
    Ok(Backend {
        address,
        identified,
    })
}

struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
}

fn serve(listener: &TcpListener, identified: &AtomicU64) -> io::Result<()> {
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
                && !connection.answer(identified)
            {
                connections.remove(&event.data());
            }
        }
    }
}

impl Connection {
    /// `false`: the connection is over.
    fn answer(&mut self, identified: &AtomicU64) -> bool {
        let mut block = [0; 16 * 1024];
        match self.stream.read(&mut block) {
            Ok(0) => return false,
            Ok(count) => self.bytes.extend_from_slice(&block[..count]),
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
        while let Some(length) = request_length(&self.bytes) {
            if contains(&self.bytes[..length], b"\r\nX-User-ID: ") {
                identified.fetch_add(1, Ordering::Relaxed);
            }
            self.bytes.drain(..length);
            // A hundred bytes always fit the socket of a client that reads.
            if self.stream.write_all(ANSWER).is_err() {
                return false;
            }
        }
        true
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// The length of the complete request at the front; what is sent here has a `Content-Length` or no
/// body.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let (head, body) = crate::generator::message(bytes)?;
    (bytes.len() >= head + body).then_some(head + body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        assert_eq!(request_length(ANSWER), Some(ANSWER.len()));
    }
}
