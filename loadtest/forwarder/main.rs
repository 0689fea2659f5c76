//! The bare forwarder: bytes from a client to the backend and back on io_uring, with nothing looked
//! at. What a proxy costs beyond this is its own doing; what this costs is the machine's.
//!
//! One thread, one ring, one connection to the backend per client. Sends report only failures,
//! receives poll first, because nothing is there yet when they are queued: two completions a
//! request. Runs until a signal ends it.
#![expect(
    unsafe_code,
    reason = "operations on a ring take pointers to memory that outlives them"
)]

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use io_uring_0_7::{IoUring, opcode, squeue, types};

/// Bytes of one direction of one connection.
const BLOCK: usize = 16 * 1024;

/// Connections that it takes.
const MOST: usize = 1024;

/// `IORING_RECVSEND_POLL_FIRST`.
const POLL_FIRST: u16 = 1;

const ACCEPT: u64 = u64::MAX;
const FAILED_SEND: u64 = u64::MAX - 1;

/// A client and its connection to the backend, each with what was read from it.
struct Pair {
    sockets: [TcpStream; 2],
    blocks: [Box<[u8; BLOCK]>; 2],
}

fn main() -> io::Result<()> {
    let usage =
        || io::Error::other("usage: forwarder FILE, with the addresses to listen on and to go to");
    let path = std::env::args().nth(1).ok_or_else(usage)?;
    let text = std::fs::read_to_string(path)?;
    let mut addresses = text
        .split_whitespace()
        .map(|text| text.parse::<SocketAddr>());
    let (Some(Ok(listen)), Some(Ok(backend))) = (addresses.next(), addresses.next()) else {
        return Err(usage());
    };
    forward(TcpListener::bind(listen)?, backend)
}

fn forward(listener: TcpListener, backend: SocketAddr) -> io::Result<()> {
    // Pairs are never removed, and dropped after the ring: no operation outlives its memory.
    let mut pairs: Vec<Pair> = Vec::with_capacity(MOST);
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(4 * MOST as u32)
        .build(MOST as u32)?;
    // Those whose client has gone: their memory is used again.
    let mut free: Vec<usize> = Vec::with_capacity(MOST);
    push(&mut ring, accept(&listener))?;
    let mut done: Vec<(u64, i32)> = Vec::with_capacity(4 * MOST);
    loop {
        ring.submit_and_wait(1)?;
        let completions = ring.completion();
        done.extend(completions.map(|entry| (entry.user_data(), entry.result())));
        for (key, result) in done.drain(..) {
            if key == ACCEPT {
                if result >= 0 {
                    let sockets = connect(result, backend)?;
                    let index = match free.pop() {
                        Some(index) => {
                            pairs[index].sockets = sockets;
                            index
                        }
                        None if pairs.len() < MOST => {
                            pairs.push(Pair::new(sockets));
                            pairs.len() - 1
                        }
                        None => return Err(io::Error::other("too many clients")),
                    };
                    let entry = pairs[index].receive(0, index as u64 * 2);
                    push(&mut ring, entry)?;
                }
                push(&mut ring, accept(&listener))?;
                continue;
            }
            if key == FAILED_SEND {
                continue;
            }
            let (index, from) = ((key / 2) as usize, (key % 2) as usize);
            let Ok(length @ 1..) = u32::try_from(result) else {
                pairs[index].end();
                free.push(index);
                continue;
            };
            // The answer, or the next request, is waited for before it can be there.
            let entries = [
                pairs[index].send(from, length),
                pairs[index].receive(1 - from, key ^ 1),
            ];
            for entry in entries {
                push(&mut ring, entry)?;
            }
        }
    }
}

fn accept(listener: &TcpListener) -> squeue::Entry {
    let listener = types::Fd(listener.as_raw_fd());
    let entry = opcode::Accept::new(listener, std::ptr::null_mut(), std::ptr::null_mut());
    entry.build().user_data(ACCEPT)
}

fn push(ring: &mut IoUring, entry: squeue::Entry) -> io::Result<()> {
    // SAFETY: every pointer in an entry is to a block of a pair, which lives as long as the ring.
    while unsafe { ring.submission().push(&entry) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}

fn connect(client: i32, backend: SocketAddr) -> io::Result<[TcpStream; 2]> {
    use std::os::fd::FromRawFd;
    // SAFETY: the kernel has just made this descriptor for us.
    let client = unsafe { TcpStream::from_raw_fd(client) };
    let backend = TcpStream::connect(backend)?;
    client.set_nodelay(true)?;
    backend.set_nodelay(true)?;
    Ok([client, backend])
}

impl Pair {
    fn new(sockets: [TcpStream; 2]) -> Pair {
        Pair {
            sockets,
            blocks: [Box::new([0; BLOCK]), Box::new([0; BLOCK])],
        }
    }

    /// Waits for bytes of one side.
    fn receive(&mut self, from: usize, key: u64) -> squeue::Entry {
        let socket = types::Fd(self.sockets[from].as_raw_fd());
        let block = self.blocks[from].as_mut_ptr();
        let entry = opcode::Recv::new(socket, block, BLOCK as u32).ioprio(POLL_FIRST);
        entry.build().user_data(key)
    }

    /// Passes on what one side has sent.
    fn send(&mut self, from: usize, length: u32) -> squeue::Entry {
        let socket = types::Fd(self.sockets[1 - from].as_raw_fd());
        let flags = nix::libc::MSG_NOSIGNAL | nix::libc::MSG_WAITALL;
        let entry = opcode::Send::new(socket, self.blocks[from].as_ptr(), length).flags(flags);
        // Told of only when it fails, and then the receive ends too.
        let entry = entry.build().user_data(FAILED_SEND);
        entry.flags(squeue::Flags::SKIP_SUCCESS)
    }

    fn end(&self) {
        for socket in &self.sockets {
            // It may be closed already.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}
