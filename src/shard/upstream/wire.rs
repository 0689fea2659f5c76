//! A connection to a backend, whatever it runs over.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use monoio::BufResult;
use monoio::buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::{TcpStream, UnixStream};
use monoio_rustls::{ClientTlsStream, TlsConnector};

use crate::policy::upstream::{Address, Tls};

/// What comes from a backend.
pub enum Reader {
    Tcp(OwnedReadHalf<TcpStream>),
    Unix(OwnedReadHalf<UnixStream>),
    Tls(Box<OwnedReadHalf<ClientTlsStream<TcpStream>>>),
}

/// What goes to a backend.
pub enum Writer {
    Tcp(OwnedWriteHalf<TcpStream>),
    Unix(OwnedWriteHalf<UnixStream>),
    Tls(Box<OwnedWriteHalf<ClientTlsStream<TcpStream>>>),
}

/// A socket to a backend, before TLS.
pub enum Opened {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Opens a socket.
pub async fn open(address: &Address) -> io::Result<Opened> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_addr(*address).await?;
            stream.set_nodelay(true)?;
            Ok(Opened::Tcp(stream))
        }
        Address::Unix(path) => UnixStream::connect(path).await.map(Opened::Unix),
    }
}

impl Opened {
    pub fn socket(&self) -> RawFd {
        match self {
            Opened::Tcp(stream) => stream.as_raw_fd(),
            Opened::Unix(stream) => stream.as_raw_fd(),
        }
    }

    /// Both ways of it, after a handshake if there is to be one. The descriptor lives as long as
    /// both.
    pub async fn ready(self, tls: Option<&Tls>) -> io::Result<(Reader, Writer)> {
        match (self, tls) {
            (Opened::Tcp(stream), None) => {
                let (reader, writer) = stream.into_split();
                Ok((Reader::Tcp(reader), Writer::Tcp(writer)))
            }
            (Opened::Tcp(stream), Some(tls)) => {
                let connector = TlsConnector::from(tls.config.clone());
                let stream = connector.connect(tls.name.clone(), stream).await;
                let stream = stream.map_err(io::Error::other)?;
                let (reader, writer) = stream.into_split();
                Ok((Reader::Tls(Box::new(reader)), Writer::Tls(Box::new(writer))))
            }
            (Opened::Unix(stream), None) => {
                let (reader, writer) = stream.into_split();
                Ok((Reader::Unix(reader), Writer::Unix(writer)))
            }
            // Refused when the configuration is loaded.
            (Opened::Unix(_), Some(_)) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl AsyncReadRent for Reader {
    async fn read<T: IoBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self {
            Reader::Tcp(reader) => reader.read(buffer).await,
            Reader::Unix(reader) => reader.read(buffer).await,
            Reader::Tls(reader) => reader.read(buffer).await,
        }
    }

    async fn readv<T: IoVecBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self {
            Reader::Tcp(reader) => reader.readv(buffer).await,
            Reader::Unix(reader) => reader.readv(buffer).await,
            Reader::Tls(reader) => reader.readv(buffer).await,
        }
    }
}

impl AsyncWriteRent for Writer {
    async fn write<T: IoBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self {
            Writer::Tcp(writer) => writer.write(buffer).await,
            Writer::Unix(writer) => writer.write(buffer).await,
            Writer::Tls(writer) => writer.write(buffer).await,
        }
    }

    async fn writev<T: IoVecBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self {
            Writer::Tcp(writer) => writer.writev(buffer).await,
            Writer::Unix(writer) => writer.writev(buffer).await,
            Writer::Tls(writer) => writer.writev(buffer).await,
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        match self {
            Writer::Tcp(writer) => writer.flush().await,
            Writer::Unix(writer) => writer.flush().await,
            Writer::Tls(writer) => writer.flush().await,
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Writer::Tcp(writer) => writer.shutdown().await,
            Writer::Unix(writer) => writer.shutdown().await,
            Writer::Tls(writer) => writer.shutdown().await,
        }
    }
}
