//! One client connection: requests one after the other until somebody closes.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use monoio::io::{
    AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable,
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
use crate::shard::pace::Pace;

/// Room for the head of a usual request; it grows to [`limits::HEAD`] for a long one.
const INBOUND: usize = 4 * 1024;

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
    is_new: bool,
}

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    KeepAlive,
    /// The client has all it will get and knows that the end has come.
    Close,
    /// As `Close`, but it may still be sending what nobody wants.
    Linger,
}

/// Why no further head came.
enum End {
    /// The client left between requests, or was idle for too long.
    Quiet,
    Refused(Denial),
}

/// Serves a connection to its end.
pub async fn serve<S>(
    shard: Rc<Shard>,
    stream: S,
    deadline: Deadline,
    peer: Peer,
    settings: Arc<Settings>,
) where
    S: AsyncReadRent + AsyncWriteRent,
    S: Splitable<OwnedRead = OwnedReadHalf<S>, OwnedWrite = OwnedWriteHalf<S>>,
{
    let (reader, writer) = stream.into_split();
    let timeouts = settings.timeouts;
    let mut client = Client {
        deadline,
        reader,
        writer,
        inbound: Buffer::with_capacity(INBOUND),
        request: Vec::new(),
        answer: Vec::new(),
        head: RequestHead::default(),
        response: ResponseHead::default(),
        path: Path::default(),
        peer,
        chain: Chain::default(),
        settings,
        timeouts,
        pace: Pace::new(timeouts.body, timeouts.body_rate),
        is_new: true,
    };
    let after = client.requests(&shard).await;
    client.end(after).await;
}

impl<S: AsyncReadRent + AsyncWriteRent> Client<S> {
    async fn requests(&mut self, shard: &Rc<Shard>) -> After {
        loop {
            let head = self.read_head().await;
            // Only a connection on which something happens has memory for it.
            (self.request, self.answer) = (shard.take_block(), shard.take_block());
            let after = match head {
                Ok(received) => exchange::serve(shard, self, received).await,
                Err(End::Quiet) => After::Close,
                Err(End::Refused(denial)) => {
                    exchange::refuse_unread(shard, self, denial).await;
                    After::Linger
                }
            };
            if after != After::KeepAlive {
                return after;
            }
            shard.give_block(std::mem::take(&mut self.request));
            shard.give_block(std::mem::take(&mut self.answer));
            self.inbound.shrink(INBOUND);
        }
    }

    /// Waits for the next head. `Ok` tells when it was complete.
    async fn read_head(&mut self) -> Result<Instant, End> {
        let mut has_begun = false;
        loop {
            // RFC 9112 section 2.2: an empty line before a request is passed over.
            if self.inbound.bytes().starts_with(b"\r\n") {
                self.inbound.consume(2);
            }
            if !self.inbound.is_empty() && self.inbound.bytes() != b"\r" {
                match self.head.read(self.inbound.bytes()) {
                    Ok(true) => {
                        self.is_new = false;
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
            } else {
                let patience = match self.is_new {
                    true => self.timeouts.first_byte,
                    false => self.timeouts.idle,
                };
                self.deadline.set_idle(patience);
            }
            self.make_room_for_head();
            match fill(&mut self.reader, &mut self.inbound).await {
                Ok(count) if count > 0 => {}
                _ if !has_begun => return Err(End::Quiet),
                _ if self.deadline.has_fired() => return Err(End::Refused(Denial::TooSlow)),
                Ok(_) => {
                    let error = proto::Error::MalformedRequestLine;
                    return Err(End::Refused(Denial::Malformed(error)));
                }
                Err(_) => return Err(End::Quiet),
            }
        }
    }

    fn make_room_for_head(&mut self) {
        if self.inbound.room() == 0 {
            self.inbound.compact();
        }
        if self.inbound.room() == 0 {
            self.inbound.reserve_total(limits::HEAD + INBOUND);
        }
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
