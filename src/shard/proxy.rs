//! The PROXY protocol on the socket: exactly the header is read, not a byte of what follows.

use std::io;
use std::os::fd::AsRawFd;

use monoio::net::TcpStream;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use crate::proto::proxy_protocol::{self, FIRST, FIXED, LINE, Malformed, Told, Version};
use crate::shard::buffer::Buffer;
use crate::shard::connection::fill;

/// Reads the header that a balancer has put in front. Bounded in time by the deadline of the socket.
pub async fn read(stream: &mut TcpStream) -> io::Result<Told> {
    let mut header = Buffer::default();
    read_to(stream, &mut header, FIRST).await?;
    let told = match proxy_protocol::version(header.bytes()).map_err(malformed)? {
        Version::One => {
            while !header.bytes().ends_with(b"\n") && header.len() < LINE {
                let length = header.len() + up_to_line_end(stream, LINE - header.len());
                read_to(stream, &mut header, length).await?;
            }
            proxy_protocol::read_line(header.bytes())
        }
        Version::Two => {
            read_to(stream, &mut header, FIXED).await?;
            let fixed: [u8; FIXED] = *header.bytes().first_chunk().ok_or(Errno::EINVAL)?;
            let carried = proxy_protocol::carried(&fixed).map_err(malformed)?;
            read_to(stream, &mut header, FIXED + carried).await?;
            proxy_protocol::read_binary(&fixed, &header.bytes()[FIXED..])
        }
    };
    told.map_err(malformed)
}

fn malformed(_: Malformed) -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Reads until the header is `length` bytes long.
async fn read_to(stream: &mut TcpStream, header: &mut Buffer, length: usize) -> io::Result<()> {
    // The room of a buffer is what a read may fill, so it has no byte more.
    header.reserve_total(length);
    while header.len() < length {
        if fill(stream, header).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// How much can be read without reading past the end of the line: what is there of it, at least one
/// byte, which is waited for.
fn up_to_line_end(stream: &TcpStream, most: usize) -> usize {
    let mut block = [0; LINE];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let there = recv(stream.as_raw_fd(), &mut block[..most], flags).unwrap_or(0);
    let end = memchr::memchr(b'\n', &block[..there]);
    end.map_or(there, |end| end + 1).max(1)
}
