//! What a client connection runs over, as far as waiting for the next request goes.
//!
//! A receive that waits in the kernel holds a buffer for as long as nothing comes; a wait for
//! readiness holds none. The first is quicker when something comes soon, so a connection begins to
//! wait with it and gives it up for the second.

use std::io;

use monoio::io::{
    AsyncWriteRent, CancelableAsyncReadRent, OwnedReadHalf, OwnedWriteHalf, Splitable,
};
use monoio::net::TcpStream;

use crate::shard::tls::stream::Stream;

/// A [cancelable](CancelableAsyncReadRent) read that is given up before something has come loses
/// nothing: see [`is_given_up`].
pub trait Transport:
    Sized
    + CancelableAsyncReadRent
    + AsyncWriteRent
    + Splitable<OwnedRead = OwnedReadHalf<Self>, OwnedWrite = OwnedWriteHalf<Self>>
{
    /// Waits until a read may bring something: bytes, the end, or an error.
    fn readable(&self) -> impl Future<Output = ()>;

    /// One stream of both halves; nothing if they are not of one.
    fn reunited(reader: OwnedReadHalf<Self>, writer: OwnedWriteHalf<Self>) -> Option<Self>;
}

/// Whether a read has ended because it was given up.
pub fn is_given_up(outcome: &io::Result<usize>) -> bool {
    let canceled = Some(nix::libc::ECANCELED);
    outcome
        .as_ref()
        .is_err_and(|error| error.raw_os_error() == canceled)
}

impl Transport for TcpStream {
    async fn readable(&self) {
        // An error is told by the read that follows.
        let _ = TcpStream::readable(self, false).await;
    }

    fn reunited(
        reader: OwnedReadHalf<TcpStream>,
        writer: OwnedWriteHalf<TcpStream>,
    ) -> Option<TcpStream> {
        reader.reunite(writer).ok()
    }
}

impl Transport for Stream {
    async fn readable(&self) {
        Stream::readable(self).await;
    }

    fn reunited(reader: OwnedReadHalf<Stream>, _: OwnedWriteHalf<Stream>) -> Option<Stream> {
        Stream::whole(reader)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream as Std};

    use monoio::io::{AsyncReadRent, Canceller};

    use super::*;
    use crate::shard::buffer::Buffer;
    use crate::shard::ring::Mode;

    #[test]
    fn a_read_that_is_given_up_loses_nothing() {
        for mode in Mode::LADDER.into_iter().filter(|mode| mode.is_available()) {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = Std::connect(listener.local_addr().unwrap()).unwrap();
            let own = listener.accept().unwrap().0;
            own.set_nonblocking(mode == Mode::Epoll).unwrap();
            let run = mode.run(async {
                let (mut reader, writer) = TcpStream::from_std(own).unwrap().into_split();
                let canceller = Canceller::new();
                let handle = canceller.handle();
                let (outcome, buffer) = {
                    let buffer = Buffer::with_capacity(16);
                    let reading = reader.cancelable_read(buffer, handle);
                    let mut reading = std::pin::pin!(reading);
                    assert!(futures_util::poll!(reading.as_mut()).is_pending());
                    canceller.cancel();
                    reading.await
                };
                assert!(
                    is_given_up(&outcome) && buffer.is_empty(),
                    "{mode}: {outcome:?}"
                );
                let stream = reader.reunite(writer).unwrap();
                client.write_all(b"late").unwrap();
                Transport::readable(&stream).await;
                let (mut reader, _writer) = stream.into_split();
                let (outcome, buffer) = reader.read(buffer).await;
                assert_eq!(
                    (outcome.unwrap(), buffer.bytes()),
                    (4, &b"late"[..]),
                    "{mode}"
                );
            });
            run.unwrap();
        }
    }
}
