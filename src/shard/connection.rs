//! One client connection: requests one after the other until somebody closes.
//!
//! A connection without traffic is a small task that waits for its socket. What serving takes, the
//! tables, the buffers and the task itself, is there from the first byte of a request until the
//! connection has been quiet for a moment.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use monoio::buf::IoBuf;
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, CancelableAsyncReadRent, Canceller,
    OwnedReadHalf, OwnedWriteHalf,
};

use crate::config::settings::Timeouts;
use crate::policy::denial::Denial;
use crate::proto::forwarded::Chain;
use crate::proto::head::{RequestHead, ResponseHead};
use crate::proto::target::Path;
use crate::proto::{self, limits};
use crate::shard::Shard;
use crate::shard::buffer::Buffer;
use crate::shard::deadline::Deadline;
use crate::shard::exchange;
use crate::shard::listener::Settings;
use crate::shard::load::Held;
use crate::shard::pace::Pace;
use crate::shard::transport::{Transport, is_given_up};

/// Room for the head of a usual request; it grows to [`limits::HEAD`] for a long one.
const INBOUND: usize = 4 * 1024;

/// The largest piece in which a body is passed on.
const LARGE: usize = 128 * 1024;

/// What a request may take without being counted.
const FREE: usize = 32 * 1024;

/// How long a connection keeps what serving takes while no request comes.
const QUIET: Duration = Duration::from_millis(200);

/// How long and how much is read from a client that was refused, so that it gets to read why
/// instead of a reset (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(1);
pub(super) const LINGER_BYTES: u64 = 64 * 1024;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub address: IpAddr,
    /// Whether its word on request ids and traces is taken.
    pub is_trusted: bool,
    pub is_tls: bool,
}

/// A client connection and what is reused from one of its requests to the next.
pub struct Client<S: AsyncWriteRent> {
    // Before the halves: it must be gone when the socket closes.
    pub deadline: Deadline,
    /// Tells that no request has come for a moment.
    quiet: Deadline,
    canceller: Canceller,
    pub reader: OwnedReadHalf<S>,
    pub writer: OwnedWriteHalf<S>,
    pub inbound: Buffer,
    /// To the backend.
    pub request: Vec<u8>,
    /// To the client.
    pub answer: Vec<u8>,
    pub head: RequestHead,
    pub response: ResponseHead,
    pub path: Path,
    pub peer: Peer,
    /// The way of the request, as far as it is believed.
    pub chain: Chain,
    pub settings: Arc<Settings>,
    pub timeouts: Timeouts,
    /// Of the body that is coming in.
    pub pace: Pace,
}

/// What is reused from one request to the next, whosever they are.
#[derive(Default)]
pub struct Tables {
    inbound: Buffer,
    head: RequestHead,
    response: ResponseHead,
    path: Path,
    chain: Chain,
}

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    KeepAlive,
    /// The client has all it will get and knows that the end has come.
    Close,
    /// It has been cut off in a body that only the end of the connection ends, so that must not look
    /// like one.
    Reset,
    /// As `Close`, but it may still be sending what nobody wants.
    Linger,
}

/// How serving came to an end.
enum Served<S> {
    /// Nothing has come for a moment. What is left waits.
    Quiet(S, Deadline),
    Closed,
}

/// Why no further head came.
enum End {
    /// The client left between requests, or was idle for too long.
    Gone,
    /// Nothing has come for a moment.
    Quiet,
    Refused(Denial),
}

/// Serves a connection to its end.
pub async fn serve<S: Transport>(
    shard: Rc<Shard>,
    mut stream: S,
    mut deadline: Deadline,
    peer: Peer,
    settings: Arc<Settings>,
) {
    deadline.set_idle(settings.timeouts.first_byte);
    loop {
        stream.readable().await;
        // In a box, and made there: a connection that waits does not have the memory of it.
        let (shard, settings) = (shard.clone(), settings.clone());
        let served = Box::pin(async move {
            let mut client = Client::new(&shard, (stream, deadline), peer, settings);
            match client.requests(&shard).await {
                Some(After::Reset) => {
                    client.reset();
                    Served::Closed
                }
                Some(after) => {
                    client.end(after).await;
                    Served::Closed
                }
                None => client.rest(&shard),
            }
        });
        match served.await {
            Served::Quiet(socket, on_it) => (stream, deadline) = (socket, on_it),
            Served::Closed => return,
        }
    }
}

impl<S: Transport> Client<S> {
    fn new(
        shard: &Shard,
        (stream, deadline): (S, Deadline),
        peer: Peer,
        settings: Arc<Settings>,
    ) -> Client<S> {
        let timeouts = settings.timeouts;
        let Tables {
            mut inbound,
            head,
            response,
            path,
            chain,
        } = shard.take_tables();
        inbound.reserve_total(INBOUND);
        let (reader, writer) = stream.into_split();
        Client {
            deadline,
            quiet: shard.deadlines.task(),
            canceller: Canceller::new(),
            reader,
            writer,
            inbound,
            request: Vec::new(),
            answer: Vec::new(),
            head,
            response,
            path,
            peer,
            chain,
            settings,
            timeouts,
            pace: Pace::new(timeouts.body, timeouts.body_rate),
        }
    }

    /// Gives back what serving took; what is left is what a wait takes.
    fn rest(self, shard: &Shard) -> Served<S> {
        shard.give_tables(Tables {
            inbound: self.inbound,
            head: self.head,
            response: self.response,
            path: self.path,
            chain: self.chain,
        });
        match S::reunited(self.reader, self.writer) {
            Some(stream) => Served::Quiet(stream, self.deadline),
            // Nobody else has a half of it, so this does not happen.
            None => Served::Closed,
        }
    }

    /// Serves requests. `None`: nothing has come for a moment, and nothing is under way.
    async fn requests(&mut self, shard: &Rc<Shard>) -> Option<After> {
        loop {
            let head = self.read_head().await;
            if matches!(head, Err(End::Quiet)) {
                return None;
            }
            // Only a connection on which something happens has memory for it.
            (self.request, self.answer) = (shard.take_block(), shard.take_block());
            let after = match head {
                Ok(received) => exchange::serve(shard, self, received).await,
                Err(End::Gone | End::Quiet) => After::Close,
                Err(End::Refused(denial)) => {
                    exchange::refuse_unread(shard, self, denial).await;
                    After::Linger
                }
            };
            if after != After::KeepAlive {
                return Some(after);
            }
            shard.give_block(std::mem::take(&mut self.request));
            shard.give_block(std::mem::take(&mut self.answer));
            self.inbound.shrink(INBOUND);
            self.deadline.set_idle(self.timeouts.idle);
        }
    }

    /// Waits for the next head. `Ok` tells when it was complete. How long it may take to begin has
    /// been set before: what is no part of a head, such as an empty line, gives no more time.
    async fn read_head(&mut self) -> Result<Instant, End> {
        let mut has_begun = false;
        loop {
            // RFC 9112 section 2.2: empty lines before a request are passed over.
            while self.inbound.bytes().starts_with(b"\r\n") {
                self.inbound.consume(2);
            }
            if !self.inbound.is_empty() && self.inbound.bytes() != b"\r" {
                match self.head.read(self.inbound.bytes()) {
                    Ok(true) => {
                        self.pace = Pace::new(self.timeouts.body, self.timeouts.body_rate);
                        return Ok(Instant::now());
                    }
                    Ok(false) => {}
                    Err(error) => return Err(End::Refused(Denial::Malformed(error))),
                }
                if !has_begun {
                    has_begun = true;
                    self.deadline.set_for_reading(self.timeouts.head);
                }
            }
            self.make_room_for_head();
            let outcome = match self.inbound.is_empty() {
                true => self.fill_soon().await,
                false => fill(&mut self.reader, &mut self.inbound).await,
            };
            match outcome {
                Ok(count) if count > 0 => {}
                outcome if is_given_up(&outcome) => return Err(End::Quiet),
                _ if !has_begun => return Err(End::Gone),
                _ if self.deadline.has_fired() => return Err(End::Refused(Denial::TooSlow)),
                Ok(_) => {
                    let error = proto::Error::MalformedRequestLine;
                    return Err(End::Refused(Denial::Malformed(error)));
                }
                Err(_) => return Err(End::Gone),
            }
        }
    }

    /// Reads the first bytes of a request, unless none come for a moment.
    async fn fill_soon(&mut self) -> io::Result<usize> {
        self.quiet.set(QUIET);
        let (buffer, handle) = (std::mem::take(&mut self.inbound), self.canceller.handle());
        let (outcome, back) = {
            let mut reading = pin!(self.reader.cancelable_read(buffer, handle));
            std::future::poll_fn(|context| {
                if let Poll::Ready(read) = reading.as_mut().poll(context) {
                    return Poll::Ready(read);
                }
                if self.quiet.has_fired() {
                    // What has come meanwhile is read nevertheless.
                    self.canceller = std::mem::take(&mut self.canceller).cancel();
                } else {
                    self.quiet.register(context.waker());
                }
                Poll::Pending
            })
            .await
        };
        self.inbound = back;
        self.quiet.clear();
        outcome
    }

    fn make_room_for_head(&mut self) {
        if self.inbound.room() == 0 {
            self.inbound.compact();
        }
        if self.inbound.room() == 0 {
            self.inbound.reserve_total(limits::HEAD + INBOUND);
        }
    }

    /// Closes without an end that could be taken for that of an answer.
    fn reset(self) {
        self.deadline.reset_at_close();
        // A half that is dropped by itself says the end.
        drop(S::reunited(self.reader, self.writer));
    }

    async fn end(&mut self, after: After) {
        self.deadline.lift();
        self.deadline.set(LINGER);
        // What cannot be told any more is not worth a word.
        let _ = self.writer.shutdown().await;
        if after == After::Linger {
            let mut left = LINGER_BYTES;
            self.inbound.clear();
            while let Ok(count) = fill(&mut self.reader, &mut self.inbound).await {
                self.inbound.clear();
                left = left.saturating_sub(count as u64);
                if count == 0 || left == 0 {
                    break;
                }
            }
        }
    }
}

impl<S: AsyncReadRent + AsyncWriteRent> Client<S> {
    /// What a large body took is not kept while somebody else is slow.
    pub fn give_back_room(&mut self) {
        if self.inbound.capacity() > FREE {
            self.inbound
                .shrink(FREE.min(self.inbound.len().max(INBOUND)));
        }
    }

    /// Sends what stands in `answer`.
    pub async fn send_answer(&mut self) -> io::Result<()> {
        self.deadline.set(self.timeouts.body);
        let outcome = send(&mut self.writer, &mut self.answer).await;
        self.deadline.clear();
        outcome
    }
}

/// Reads more into the room of a buffer. `Ok(0)`: the peer will send no more.
pub async fn fill<R: AsyncReadRent>(reader: &mut R, buffer: &mut Buffer) -> io::Result<usize> {
    debug_assert!(buffer.room() > 0, "a read without room looks like an end");
    let (outcome, back) = reader.read(std::mem::take(buffer)).await;
    *buffer = back;
    outcome
}

/// Reads more of a body that is passed on. One that fills the buffer is read in larger pieces if
/// there is room for them.
pub async fn fill_large<R: AsyncReadRent>(
    reader: &mut R,
    buffer: &mut Buffer,
    held: &mut Held,
) -> io::Result<usize> {
    let outcome = fill(reader, buffer).await;
    if buffer.room() == 0 && buffer.capacity() < LARGE && held.grow_at_leisure_to(LARGE) {
        buffer.reserve_total(LARGE);
    }
    outcome
}

/// Writes all that is in a buffer and empties it.
pub async fn pass<W: AsyncWriteRent>(writer: &mut W, buffer: &mut Buffer) -> io::Result<()> {
    let (outcome, back) = writer.write_all(std::mem::take(buffer)).await;
    *buffer = back;
    buffer.clear();
    outcome.map(drop)
}

/// So much is written under one deadline: a peer that takes less in that time takes too little.
const SENT: usize = 128 * 1024;

/// Writes all of `bytes`, with a deadline for each part of them, so that who is slow but steady gets
/// all of a long message. The bytes come back.
pub async fn send_paced<W: AsyncWriteRent>(
    writer: &mut W,
    bytes: Vec<u8>,
    (deadline, time): (&Deadline, Duration),
) -> (io::Result<()>, Vec<u8>) {
    let mut bytes = bytes;
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + SENT);
        deadline.set(time);
        let (outcome, back) = writer.write_all(bytes.slice(at..end)).await;
        bytes = back.into_inner();
        if let Err(error) = outcome {
            return (Err(error), bytes);
        }
        at = end;
    }
    (Ok(()), bytes)
}

/// Writes all of `bytes` and empties it.
pub async fn send<W: AsyncWriteRent>(writer: &mut W, bytes: &mut Vec<u8>) -> io::Result<()> {
    let (outcome, back) = writer.write_all(std::mem::take(bytes)).await;
    *bytes = back;
    bytes.clear();
    outcome.map(drop)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The size of what a function of five parameters returns.
    fn returned<A, B, C, D, E, F>(_: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_that_waits_is_small() {
        let plain = returned(serve::<monoio::net::TcpStream>);
        let tls = returned(serve::<crate::shard::tls::stream::Stream>);
        assert!(plain.max(tls) < 512, "{plain} and {tls} bytes");
    }

    pub fn timeouts() -> Timeouts {
        let second = Duration::from_secs(1);
        Timeouts {
            handshake: second,
            first_byte: second,
            head: second,
            idle: second,
            body: second,
            body_rate: 1,
            exchange: second,
        }
    }
}
