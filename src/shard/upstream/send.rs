//! From the client to the backend: the head that policy cleared, then the body as it comes.

use std::time::Duration;

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::policy::denial::Denial;
use crate::policy::pipeline::{Cleared, Request};
use crate::policy::snapshot::Snapshot;
use crate::proto::body::Framing;
use crate::proto::encode::{self, Forwarded, Keeps};
use crate::proto::forwarded::Chain;
use crate::proto::websocket;
use crate::shard::Shard;
use crate::shard::buffer::Buffer;
use crate::shard::connection::{LINGER_BYTES, fill_large, pass, send_paced};
use crate::shard::deadline::Deadline;
use crate::shard::load::Held;
use crate::shard::pace::Pace;
use crate::shard::trace::Trace;
use crate::shard::upstream::Link;
use crate::shard::upstream::screen::Passage;
use crate::shard::upstream::wire::Taken;

/// How much of a body is read at once while it is passed on.
const PIECE: usize = 32 * 1024;

/// How long an answer may take to come from a backend that takes nothing.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A request head to be written for a backend.
pub struct Outgoing<'a> {
    pub snapshot: &'a Snapshot,
    pub request: Request<'a>,
    pub chain: &'a Chain,
    pub trace: &'a Trace,
    pub framing: Framing,
    /// A coding was taken off the body.
    pub is_decoded: bool,
    /// The client asks to switch to WebSocket, which the operation allows.
    pub upgrades: bool,
}

impl Outgoing<'_> {
    /// Writes the head. Nothing else writes one, and nothing but the pipeline makes a [`Cleared`].
    pub fn write(&self, cleared: &Cleared, out: &mut Vec<u8>) {
        let Request {
            head, bytes, path, ..
        } = self.request;
        let operation = &self.snapshot.catalogue.operations()[cleared.operation()];
        let unwanted = operation.unwanted();
        let stripped = operation.contract.strips_query();
        let declares = stripped.map(|parameters| |pair: &[u8]| parameters.declares(pair));
        let forwarded = Forwarded {
            head,
            bytes,
            path,
            sealed: &self.snapshot.sealed,
            is_told: self.chain.is_told,
            default_host: self.default_host(cleared),
            keeps_tracestate: self.trace.is_continued,
            added_pair: operation
                .contract
                .added_pair(head.query.map_or(&[][..], |query| query.of(bytes))),
            keeps_pair: declares.as_ref().map(|declares| declares as &Keeps<'_>),
            is_decoded: self.is_decoded,
            unwanted,
            is_rewritten: self.is_decoded || cleared.instead().is_some(),
        };
        encode::request(out, forwarded);
        if unwanted.is_some() {
            out.extend_from_slice(b"Accept-Encoding: identity\r\n");
        }
        if let Some(principal) = cleared.principal()
            && let Ok(lines) = principal.lines(&operation.identity)
        {
            out.extend_from_slice(&lines);
        }
        for part in [
            b"X-Request-ID: ",
            self.trace.id().as_bytes(),
            b"\r\ntraceparent: ",
            self.trace.parent(),
            b"\r\n",
        ] {
            out.extend_from_slice(part);
        }
        self.chain.write(out);
        if self.upgrades {
            out.extend_from_slice(websocket::LINES);
        }
        encode::finish(out, self.framing);
    }
}

impl Outgoing<'_> {
    fn default_host(&self, cleared: &Cleared) -> &str {
        let operation = &self.snapshot.catalogue.operations()[cleared.operation()];
        &self.snapshot.upstreams[operation.upstream]
            .settings
            .authority
    }
}

/// How the client's side of an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadEnd {
    /// The backend was sent all of it.
    Complete,
    /// The client sent all of it, the backend did not want it.
    Dropped,
    /// The socket took no byte of it: nobody can have noticed.
    Unsent,
    /// The client has more to send than is worth reading.
    Unfinished,
    /// The client broke a rule in the middle of its body.
    Refused(Denial),
}

/// The way from the client to the backend, for one exchange.
pub struct Upload<'a, 'p> {
    pub shard: &'a Shard,
    pub link: &'a Link,
    /// Of the body that is still to come.
    pub passage: Passage<'p>,
    pub client_deadline: &'a Deadline,
    pub pace: Pace,
    pub deadline: &'a Deadline,
    pub timeout: Duration,
    /// What the backend's socket has taken.
    pub taken: Taken,
    /// Of a buffer that has grown.
    pub held: Held,
    /// The head, and a body that is whole already.
    pub bytes: Vec<u8>,
}

/// What is left of an upload.
pub struct Uploaded<'p> {
    pub end: UploadEnd,
    /// What was sent last: all of the request if it was whole from the start, and if nothing of it
    /// was sent.
    pub bytes: Vec<u8>,
    /// Where it may go on that sent nothing.
    pub passage: Passage<'p>,
}

impl<'p> Upload<'_, 'p> {
    pub async fn run<R, W>(
        mut self,
        reader: &mut R,
        inbound: &mut Buffer,
        writer: &mut W,
    ) -> Uploaded<'p>
    where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        let before = self.taken.bytes();
        let end = if self.passage.is_done() {
            match self.write(writer).await {
                true => UploadEnd::Complete,
                false if self.taken.bytes() == before => UploadEnd::Unsent,
                false => UploadEnd::Dropped,
            }
        } else {
            self.stream((reader, inbound), writer, before).await
        };
        self.link.is_uploaded.set(true);
        match end {
            // Nothing more will come that the backend could answer.
            UploadEnd::Refused(_) => self.deadline.end(),
            // One that takes nothing may have said why.
            UploadEnd::Unsent => self.deadline.set(LAST_WORDS),
            // From here on it is the backend's turn.
            _ if !self.link.is_answered.get() => self.deadline.set(self.timeout),
            _ => {}
        }
        Uploaded {
            end,
            bytes: self.bytes,
            passage: self.passage,
        }
    }

    async fn stream<R, W>(
        &mut self,
        (reader, inbound): (&mut R, &mut Buffer),
        writer: &mut W,
        before: u64,
    ) -> UploadEnd
    where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        let mut wanted = true;
        let mut unwanted: u64 = 0;
        loop {
            let is_as_it_came = self.bytes.is_empty() && self.passage.passes(inbound.len());
            if !is_as_it_came {
                match self.passage.feed(inbound.bytes(), &mut self.bytes) {
                    Ok(fed) => {
                        inbound.consume(fed.used);
                        if fed.is_paused {
                            self.shard.give_way().await;
                            continue;
                        }
                    }
                    Err(denial) => return UploadEnd::Refused(denial),
                }
            } else if self.passage.is_too_long() {
                return UploadEnd::Refused(Denial::BodyTooLarge);
            }
            wanted = wanted && !self.link.is_answered.get();
            if !wanted {
                let rest = if is_as_it_came {
                    inbound.len()
                } else {
                    self.bytes.len()
                };
                unwanted += rest as u64;
            } else if is_as_it_came {
                self.deadline.set(self.timeout);
                wanted = pass(writer, inbound).await.is_ok();
            } else if !self.bytes.is_empty() {
                wanted = self.write(writer).await;
                // The head goes first, so that nothing was sent in another way.
                if !wanted && self.taken.bytes() == before {
                    return UploadEnd::Unsent;
                }
            }
            if is_as_it_came {
                inbound.clear();
            }
            self.bytes.clear();
            if self.passage.is_done() {
                self.client_deadline.clear();
                return if wanted {
                    UploadEnd::Complete
                } else {
                    UploadEnd::Dropped
                };
            }
            if unwanted > LINGER_BYTES {
                return UploadEnd::Unfinished;
            }
            if let Err(end) = self.read(reader, inbound).await {
                return end;
            }
        }
    }

    async fn read<R: AsyncReadRent>(
        &mut self,
        reader: &mut R,
        inbound: &mut Buffer,
    ) -> Result<(), UploadEnd> {
        inbound.reserve_total(PIECE);
        // Once the response is over, the deadline that was set then stands.
        let was_answered = self.link.is_answered.get();
        if !was_answered {
            // The backend need not hurry while the client does not.
            self.deadline.clear();
            self.pace.begin(self.client_deadline);
        }
        match fill_large(reader, inbound, &mut self.held).await {
            Ok(count) if count > 0 => {
                self.pace.end(self.client_deadline, count);
                Ok(())
            }
            _ if self.link.is_answered.get() => Err(UploadEnd::Unfinished),
            _ if self.client_deadline.has_fired() => Err(UploadEnd::Refused(Denial::TooSlow)),
            _ => Err(UploadEnd::Refused(Denial::Incomplete)),
        }
    }

    /// `false`: the backend takes no more. What it answers is still read.
    async fn write<W: AsyncWriteRent>(&mut self, writer: &mut W) -> bool {
        let paced = (self.deadline, self.timeout);
        let (outcome, back) = send_paced(writer, std::mem::take(&mut self.bytes), paced).await;
        self.bytes = back;
        outcome.is_ok()
    }
}
