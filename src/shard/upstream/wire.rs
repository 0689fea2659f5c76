//! A connection to a backend, whatever it runs over.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use monoio::BufResult;
use monoio::buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::{TcpStream, UnixStream};

use crate::policy::upstream::Address;

/// What comes from a backend.
pub enum Reader {
    Tcp(OwnedReadHalf<TcpStream>),
    Unix(OwnedReadHalf<UnixStream>),
}

/// What goes to a backend.
pub enum Writer {
    Tcp(OwnedWriteHalf<TcpStream>),
    Unix(OwnedWriteHalf<UnixStream>),
}

/// Opens a connection; the descriptor lives as long as both halves.
pub async fn connect(address: &Address) -> io::Result<(Reader, Writer, RawFd)> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_addr(*address).await?;
            stream.set_nodelay(true)?;
            let socket = stream.as_raw_fd();
            let (reader, writer) = stream.into_split();
            Ok((Reader::Tcp(reader), Writer::Tcp(writer), socket))
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            let socket = stream.as_raw_fd();
            let (reader, writer) = stream.into_split();
            Ok((Reader::Unix(reader), Writer::Unix(writer), socket))
        }
    }
}

impl AsyncReadRent for Reader {
    async fn read<T: IoBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self {
            Reader::Tcp(reader) => reader.read(buffer).await,
            Reader::Unix(reader) => reader.read(buffer).await,
        }
    }

    async fn readv<T: IoVecBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self {
            Reader::Tcp(reader) => reader.readv(buffer).await,
            Reader::Unix(reader) => reader.readv(buffer).await,
        }
    }
}

impl AsyncWriteRent for Writer {
    async fn write<T: IoBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self {
            Writer::Tcp(writer) => writer.write(buffer).await,
            Writer::Unix(writer) => writer.write(buffer).await,
        }
    }

    async fn writev<T: IoVecBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self {
            Writer::Tcp(writer) => writer.writev(buffer).await,
            Writer::Unix(writer) => writer.writev(buffer).await,
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        match self {
            Writer::Tcp(writer) => writer.flush().await,
            Writer::Unix(writer) => writer.flush().await,
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Writer::Tcp(writer) => writer.shutdown().await,
            Writer::Unix(writer) => writer.shutdown().await,
        }
    }
}
