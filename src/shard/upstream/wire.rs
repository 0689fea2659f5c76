//! A connection to a backend, whatever it runs over.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use std::rc::Rc;

use futures_util::FutureExt;
use monoio::BufResult;
use monoio::buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Split, Splitable};
use monoio::net::{TcpStream, UnixStream};
use monoio_rustls::{ClientTlsStream, TlsConnector};

use crate::policy::upstream::{Address, Tls};

/// What comes from a backend.
pub enum Reader {
    Tcp(OwnedReadHalf<TcpStream>),
    Unix(OwnedReadHalf<UnixStream>),
    Tls(Box<OwnedReadHalf<ClientTlsStream<Below>>>, Rc<Cell<bool>>),
}

/// What goes to a backend.
pub struct Writer {
    way: Way,
    taken: Taken,
}

enum Way {
    Tcp(OwnedWriteHalf<TcpStream>),
    Unix(OwnedWriteHalf<UnixStream>),
    Tls(Box<OwnedWriteHalf<ClientTlsStream<Below>>>),
}

/// How many bytes a socket has taken. As long as there are no more than before, the backend cannot
/// have got any.
#[derive(Clone, Default)]
pub struct Taken(Rc<Cell<u64>>);

impl Taken {
    pub fn bytes(&self) -> u64 {
        self.0.get()
    }

    fn count<T>(&self, (outcome, buffer): BufResult<usize, T>) -> BufResult<usize, T> {
        if let Ok(count) = outcome {
            self.0.set(self.0.get() + count as u64);
        }
        (outcome, buffer)
    }
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
                Ok((Reader::Tcp(reader), Writer::of(Way::Tcp(writer))))
            }
            (Opened::Tcp(stream), Some(tls)) => {
                let connector = TlsConnector::from(tls.config.clone());
                let is_dry = Rc::<Cell<bool>>::default();
                let taken = Taken::default();
                let below = Below {
                    stream,
                    is_dry: is_dry.clone(),
                    taken: taken.clone(),
                };
                let stream = connector.connect(tls.name.clone(), below).await;
                let stream = stream.map_err(io::Error::other)?;
                let (reader, writer) = stream.into_split();
                let reader = Reader::Tls(Box::new(reader), is_dry);
                let way = Way::Tls(Box::new(writer));
                Ok((reader, Writer { way, taken }))
            }
            (Opened::Unix(stream), None) => {
                let (reader, writer) = stream.into_split();
                Ok((Reader::Unix(reader), Writer::of(Way::Unix(writer))))
            }
            // Refused when the configuration is loaded.
            (Opened::Unix(_), Some(_)) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// A socket below TLS, which can be told to have nothing: so what TLS has taken from it already and
/// nobody has asked for shows. What is written counts where the socket takes it.
pub struct Below {
    stream: TcpStream,
    is_dry: Rc<Cell<bool>>,
    taken: Taken,
}

#[expect(
    unsafe_code,
    reason = "a socket can be read and written at the same time"
)]
// SAFETY: reading and writing are those of the stream, for which it is promised.
unsafe impl Split for Below {}

impl AsyncReadRent for Below {
    async fn read<T: IoBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self.is_dry.get() {
            true => (Err(io::ErrorKind::WouldBlock.into()), buffer),
            false => self.stream.read(buffer).await,
        }
    }

    async fn readv<T: IoVecBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self.is_dry.get() {
            true => (Err(io::ErrorKind::WouldBlock.into()), buffer),
            false => self.stream.readv(buffer).await,
        }
    }
}

impl AsyncWriteRent for Below {
    async fn write<T: IoBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        self.taken.count(self.stream.write(buffer).await)
    }

    async fn writev<T: IoVecBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        self.taken.count(self.stream.writev(buffer).await)
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}

impl Reader {
    /// Whether nothing is left of what has been taken from the socket. Only TLS takes more than it
    /// is asked for: records that came together.
    pub fn is_empty(&mut self) -> bool {
        let Reader::Tls(reader, is_dry) = self else {
            return true;
        };
        is_dry.set(true);
        let outcome = reader.read(vec![0; 1]).now_or_never();
        is_dry.set(false);
        let wanted_more = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        outcome.is_some_and(|(read, _)| read.as_ref().is_err_and(wanted_more))
    }
}

impl AsyncReadRent for Reader {
    async fn read<T: IoBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self {
            Reader::Tcp(reader) => reader.read(buffer).await,
            Reader::Unix(reader) => reader.read(buffer).await,
            Reader::Tls(reader, _) => reader.read(buffer).await,
        }
    }

    async fn readv<T: IoVecBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        match self {
            Reader::Tcp(reader) => reader.readv(buffer).await,
            Reader::Unix(reader) => reader.readv(buffer).await,
            Reader::Tls(reader, _) => reader.readv(buffer).await,
        }
    }
}

impl Writer {
    fn of(way: Way) -> Writer {
        Writer {
            way,
            taken: Taken::default(),
        }
    }

    /// Follows what is written.
    pub fn taken(&self) -> Taken {
        self.taken.clone()
    }
}

impl AsyncWriteRent for Writer {
    async fn write<T: IoBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        match &mut self.way {
            Way::Tcp(writer) => self.taken.count(writer.write(buffer).await),
            Way::Unix(writer) => self.taken.count(writer.write(buffer).await),
            Way::Tls(writer) => writer.write(buffer).await,
        }
    }

    async fn writev<T: IoVecBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        match &mut self.way {
            Way::Tcp(writer) => self.taken.count(writer.writev(buffer).await),
            Way::Unix(writer) => self.taken.count(writer.writev(buffer).await),
            Way::Tls(writer) => writer.writev(buffer).await,
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::Tcp(writer) => writer.flush().await,
            Way::Unix(writer) => writer.flush().await,
            Way::Tls(writer) => writer.flush().await,
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::Tcp(writer) => writer.shutdown().await,
            Way::Unix(writer) => writer.shutdown().await,
            Way::Tls(writer) => writer.shutdown().await,
        }
    }
}
