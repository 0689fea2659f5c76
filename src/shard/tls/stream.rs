//! What a TLS connection looks like to the code that serves it: bytes in, bytes out.

use std::cell::UnsafeCell;
use std::io;
use std::rc::Rc;

use monoio::BufResult;
use monoio::buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent, OwnedReadHalf,
    OwnedWriteHalf, Splitable,
};

use crate::shard::tls::session::Session;

/// A connection whose handshake is over, or one half of it: the halves share the session, which
/// lets them work at once.
pub struct Stream(Rc<Session>);

impl Stream {
    pub(super) fn new(session: Session) -> Stream {
        Stream(Rc::new(session))
    }

    /// Waits until a read may bring something. Nobody else may use the session meanwhile.
    pub async fn readable(&self) {
        self.0.readable().await;
    }

    /// The stream that a reading half stands for; its writing half must be used no more. Nothing
    /// if somebody else has it as well.
    pub fn whole(reader: OwnedReadHalf<Stream>) -> Option<Stream> {
        Rc::try_unwrap(reader.0).ok().map(UnsafeCell::into_inner)
    }
}

impl Splitable for Stream {
    type OwnedRead = OwnedReadHalf<Stream>;
    type OwnedWrite = OwnedWriteHalf<Stream>;

    fn into_split(self) -> (OwnedReadHalf<Stream>, OwnedWriteHalf<Stream>) {
        // Each half owns a value of its own, so that neither ever refers into the other's.
        let reader = Stream(self.0.clone());
        (
            OwnedReadHalf(Rc::new(UnsafeCell::new(reader))),
            OwnedWriteHalf(Rc::new(UnsafeCell::new(self))),
        )
    }
}

impl AsyncReadRent for Stream {
    /// `Ok(0)`: the client said that it has no more to say. An end without that word is an error
    /// (RFC 8446 section 6.1), so that nobody can cut a message short.
    async fn read<T: IoBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        self.0.read(buffer, None).await
    }

    async fn readv<T: IoVecBufMut>(&mut self, buffer: T) -> BufResult<usize, T> {
        (Err(io::ErrorKind::Unsupported.into()), buffer)
    }
}

impl CancelableAsyncReadRent for Stream {
    async fn cancelable_read<T: IoBufMut>(
        &mut self,
        buffer: T,
        given_up: CancelHandle,
    ) -> BufResult<usize, T> {
        self.0.read(buffer, Some(given_up)).await
    }

    async fn cancelable_readv<T: IoVecBufMut>(
        &mut self,
        buffer: T,
        _: CancelHandle,
    ) -> BufResult<usize, T> {
        (Err(io::ErrorKind::Unsupported.into()), buffer)
    }
}

impl AsyncWriteRent for Stream {
    /// Takes all of the buffer, and returns when the socket has it.
    async fn write<T: IoBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        self.0.write(buffer).await
    }

    async fn writev<T: IoVecBuf>(&mut self, buffer: T) -> BufResult<usize, T> {
        (Err(io::ErrorKind::Unsupported.into()), buffer)
    }

    /// A write leaves nothing behind.
    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.close().await
    }
}
