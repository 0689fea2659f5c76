//! A session of rustls and the socket that it speaks through (RFC 8446, RFC 5246).
//!
//! What is received goes into the caller's own buffer first, from there into the session, and comes
//! back in clear into the same buffer: a connection that waits holds no memory of ours. What one
//! write makes of records leaves in one send. Whoever holds the writing half of the socket is the
//! only one to send, so records leave in the order in which they were sealed.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, BufRead, Write};
use std::task::{Poll, Waker};

use monoio::BufResult;
use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, CancelHandle, CancelableAsyncReadRent,
    OwnedReadHalf, OwnedWriteHalf, Splitable,
};
use monoio::net::TcpStream;
use rustls::{ProtocolVersion, ServerConnection};

use crate::shard::buffer::{Buffer, Room, contents};
use crate::shard::transport::is_given_up;

/// The longest handshake of a client, in bytes: room for two certificate chains of a usual size.
const HANDSHAKE: usize = 64 * 1024;

/// What is received at once while shaking hands.
const PIECE: usize = 4 * 1024;

/// The session takes no more records while it holds this much in clear.
const CLEAR: usize = 16 * 1024;

/// Buffers kept per shard for sends to come, and how long such a one may be.
const SPARE: usize = 64;
const SPARE_LENGTH: usize = 80 * 1024;

thread_local! {
    static OUTGOING: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

pub struct Session {
    state: RefCell<ServerConnection>,
    reader: Cell<Option<OwnedReadHalf<TcpStream>>>,
    /// Absent while somebody sends.
    writer: Cell<Option<OwnedWriteHalf<TcpStream>>>,
    /// Who sends next.
    waiting: Cell<Option<Waker>>,
    /// What was received behind more clear text than the session holds at once.
    unread: Cell<Vec<u8>>,
    /// Bytes of tickets that leave with the answer to a request that came with the handshake.
    deferred: Cell<usize>,
}

impl Session {
    pub fn new(state: ServerConnection, socket: TcpStream) -> Session {
        let (reader, writer) = socket.into_split();
        Session {
            state: RefCell::new(state),
            reader: Cell::new(Some(reader)),
            writer: Cell::new(Some(writer)),
            waiting: Cell::default(),
            unread: Cell::default(),
            deferred: Cell::new(0),
        }
    }

    /// Looks at the session.
    pub fn ask<T>(&self, question: impl FnOnce(&ServerConnection) -> T) -> T {
        question(&self.state.borrow())
    }

    pub async fn shake_hands(&self) -> io::Result<()> {
        let mut left = HANDSHAKE;
        let outcome = self.exchange_handshake(&mut left).await;
        if outcome.is_err() {
            self.say_why(left).await;
        }
        outcome
    }

    async fn exchange_handshake(&self, left: &mut usize) -> io::Result<()> {
        let mut piece = Buffer::with_capacity(PIECE);
        while self.ask(|state| state.is_handshaking()) {
            piece.clear();
            let (outcome, back) = self.receive(piece, None).await;
            piece = back;
            let count = outcome?;
            *left = left.saturating_sub(count);
            let is_endless = *left == 0;
            let fed = self.feed(piece.bytes())?;
            if fed < count {
                self.unread.set(piece.bytes()[fed..].to_vec());
            }
            let (is_handshaking, has_ended) = self.ask(|state| {
                let is_handshaking = state.is_handshaking();
                (is_handshaking, count == 0 || fed < count)
            });
            if is_handshaking && (has_ended || is_endless) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !is_handshaking && self.defers() {
                return Ok(());
            }
            self.answer().await?;
        }
        Ok(())
    }

    /// Tickets of TLS 1.3 can wait where the first request is here already. Where it is not, they
    /// must go: a client that has Nagle's algorithm on sends no request before its last flight is
    /// acknowledged, and without anything to send the kernel takes 40 ms for that. What ends a
    /// handshake of TLS 1.2 is waited for.
    fn defers(&self) -> bool {
        let state = &mut *self.state.borrow_mut();
        let is_13 = state.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        match state.process_new_packets() {
            Ok(now) if is_13 && now.plaintext_bytes_to_read() > 0 => {
                self.deferred.set(now.tls_bytes_to_write());
                true
            }
            _ => false,
        }
    }

    /// Tells the client why there will be no connection, and reads on for a while: a socket that is
    /// closed on unread bytes takes back what was said.
    async fn say_why(&self, mut left: usize) {
        let mut writer = self.turn().await;
        let said = self.send(&mut writer).await;
        let ended = writer.shutdown().await;
        self.end_turn(writer);
        if said.and(ended).is_err() {
            return;
        }
        let mut piece = Buffer::with_capacity(PIECE);
        while left > 0 {
            piece.clear();
            let (outcome, back) = self.receive(piece, None).await;
            piece = back;
            match outcome {
                Ok(count) if count > 0 => left = left.saturating_sub(count),
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Waits until there may be something to read. The socket is whole meanwhile, so nobody else
    /// may be reading or writing.
    pub async fn readable(&self) {
        let unread = self.unread.take();
        let has_unread = !unread.is_empty();
        self.unread.set(unread);
        if has_unread || !self.ask(|state| state.wants_read()) {
            return;
        }
        let (Some(reader), Some(writer)) = (self.reader.take(), self.writer.take()) else {
            return;
        };
        let Ok(socket) = reader.reunite(writer) else {
            return;
        };
        // An error is told by the read that follows.
        let _ = socket.readable(false).await;
        let (reader, writer) = socket.into_split();
        self.reader.set(Some(reader));
        self.writer.set(Some(writer));
    }

    /// A read that is given up before something has come loses nothing.
    pub async fn read<T: IoBufMut>(
        &self,
        buffer: T,
        given_up: Option<CancelHandle>,
    ) -> BufResult<usize, T> {
        let mut room = Room::new(buffer);
        if room.left() == 0 {
            return (Ok(0), room.forget());
        }
        loop {
            match self.take_clear(&mut room) {
                Ok(true) => {
                    let count = room.len();
                    return (Ok(count), room.keep());
                }
                Ok(false) => {}
                Err(error) => return (Err(error), room.forget()),
            }
            let (outcome, back) = self.read_more(room, given_up.clone()).await;
            room = back;
            if let Err(error) = outcome {
                return (Err(error), room.forget());
            }
        }
    }

    /// Moves what the session has in clear. `false`: more has to come first.
    fn take_clear<T: IoBufMut>(&self, room: &mut Room<T>) -> io::Result<bool> {
        let state = &mut *self.state.borrow_mut();
        let mut reader = state.reader();
        while room.left() > 0 {
            match reader.fill_buf() {
                Ok(clear) => {
                    let count = room.push(clear);
                    if count == 0 {
                        return Ok(true);
                    }
                    reader.consume(count);
                }
                // What came before an end is told first; the end is still there afterwards.
                Err(_) if !room.is_empty() => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Hands the session records that it has not seen, from the socket if there are no others.
    async fn read_more<T: IoBufMut>(
        &self,
        room: Room<T>,
        given_up: Option<CancelHandle>,
    ) -> (io::Result<()>, Room<T>) {
        let unread = self.unread.take();
        if !unread.is_empty() {
            let outcome = self.feed(&unread).map(|fed| self.set_aside(&unread[fed..]));
            return (self.told(outcome).await, room);
        }
        if let Err(error) = self.answer_unasked().await {
            return (Err(error), room);
        }
        let (outcome, mut room) = self.receive(room, given_up).await;
        if is_given_up(&outcome) {
            return (outcome.map(drop), room);
        }
        let outcome = outcome.and_then(|_| {
            let fed = self.feed(room.bytes())?;
            self.set_aside(&room.bytes()[fed..]);
            Ok(())
        });
        room.clear();
        (self.told(outcome).await, room)
    }

    fn set_aside(&self, rest: &[u8]) {
        if !rest.is_empty() {
            self.unread.set(rest.to_vec());
        }
    }

    /// An alert about what the client did wrong goes out before the error is told.
    async fn told(&self, outcome: io::Result<()>) -> io::Result<()> {
        if outcome.is_err() {
            // There may be nobody to hear it.
            let _ = self.answer().await;
        }
        outcome
    }

    async fn receive<T: IoBufMut>(
        &self,
        buffer: T,
        given_up: Option<CancelHandle>,
    ) -> BufResult<usize, T> {
        let Some(mut reader) = self.reader.take() else {
            return (Err(io::ErrorKind::NotConnected.into()), buffer);
        };
        let (outcome, buffer) = match given_up {
            Some(given_up) => reader.cancelable_read(buffer, given_up).await,
            None => reader.read(buffer).await,
        };
        self.reader.set(Some(reader));
        (outcome, buffer)
    }

    /// Has the session read records; none is the end of them. Tells how many bytes it took: fewer
    /// than there are if it holds enough in clear for now, or if the client had said its last.
    fn feed(&self, records: &[u8]) -> io::Result<usize> {
        let state = &mut *self.state.borrow_mut();
        let mut rest = records;
        loop {
            let taken = state.read_tls(&mut rest)?;
            let now = state.process_new_packets();
            let now = now.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let is_full = now.plaintext_bytes_to_read() >= CLEAR;
            if taken == 0 || rest.is_empty() || is_full {
                return Ok(records.len() - rest.len());
            }
        }
    }

    pub async fn write<T: IoBuf>(&self, buffer: T) -> BufResult<usize, T> {
        let mut writer = self.turn().await;
        let outcome = self.send_all(&mut writer, contents(&buffer)).await;
        self.end_turn(writer);
        (outcome, buffer)
    }

    async fn send_all(
        &self,
        writer: &mut OwnedWriteHalf<TcpStream>,
        bytes: &[u8],
    ) -> io::Result<usize> {
        let mut sealed = 0;
        while sealed < bytes.len() {
            let count = self.state.borrow_mut().writer().write(&bytes[sealed..])?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            sealed += count;
            self.send(writer).await?;
        }
        Ok(sealed)
    }

    /// Ends what we say (RFC 8446 section 6.1); what the client says is still read.
    pub async fn close(&self) -> io::Result<()> {
        let mut writer = self.turn().await;
        self.state.borrow_mut().send_close_notify();
        let said = self.send(&mut writer).await;
        let ended = writer.shutdown().await;
        self.end_turn(writer);
        said.and(ended)
    }

    /// Sends what the session has to say, unless somebody is sending, who takes it along.
    async fn answer(&self) -> io::Result<()> {
        let Some(mut writer) = self.writer.take() else {
            return Ok(());
        };
        let outcome = self.send(&mut writer).await;
        self.end_turn(writer);
        outcome
    }

    /// As [`answer`](Session::answer), but for tickets that can wait.
    async fn answer_unasked(&self) -> io::Result<()> {
        let deferred = self.deferred.get();
        let is_due = |state: &mut ServerConnection| {
            let now = state.wants_write().then(|| state.process_new_packets());
            now.is_some_and(|now| now.is_ok_and(|now| now.tls_bytes_to_write() > deferred))
        };
        let is_due = is_due(&mut self.state.borrow_mut());
        match is_due {
            true => self.answer().await,
            false => Ok(()),
        }
    }

    async fn send(&self, writer: &mut OwnedWriteHalf<TcpStream>) -> io::Result<()> {
        self.deferred.set(0);
        while self.ask(|state| state.wants_write()) {
            let mut out = OUTGOING.with_borrow_mut(|spare| spare.pop().unwrap_or_default());
            self.seal(&mut out)?;
            let (outcome, back) = writer.write_all(out).await;
            give_back(back);
            outcome?;
        }
        Ok(())
    }

    /// All that the session has to say, into one buffer.
    fn seal(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        while state.wants_write() {
            state.write_tls(out)?;
        }
        Ok(())
    }

    /// Waits until nobody sends.
    async fn turn(&self) -> OwnedWriteHalf<TcpStream> {
        poll_fn(|context| match self.writer.take() {
            Some(writer) => Poll::Ready(writer),
            None => {
                self.waiting.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    fn end_turn(&self, writer: OwnedWriteHalf<TcpStream>) {
        self.writer.set(Some(writer));
        if let Some(next) = self.waiting.take() {
            next.wake();
        }
    }
}

fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    OUTGOING.with_borrow_mut(|spare| {
        if spare.len() < SPARE && buffer.capacity() <= SPARE_LENGTH {
            spare.push(buffer);
        }
    });
}
