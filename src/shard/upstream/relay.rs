//! From the backend to the client: interim responses, the head written anew, the body as it comes.

use std::time::{Duration, Instant};

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::policy::catalogue::Operation;
use crate::policy::contract::response::UndeclaredFields;
use crate::policy::denial::Denial;
use crate::policy::egress::{self, Answer, Fault, Passed};
use crate::policy::pipeline::Cleared;
use crate::policy::ratelimit::write_remaining;
use crate::policy::snapshot::Snapshot;
use crate::policy::waf::found::Found;
use crate::proto::body::Framing;
use crate::proto::head::{Field, RequestHead, ResponseHead, Version};
use crate::proto::transcode::Transcoder;
use crate::proto::websocket::{self, Accept};
use crate::proto::{cache_control, encode, limits};
use crate::shard::Shard;
use crate::shard::answer;
use crate::shard::buffer::Buffer;
use crate::shard::connection::{fill, fill_large, pass, send};
use crate::shard::deadline::Deadline;
use crate::shard::load::Source;
use crate::shard::trace::Trace;
use crate::shard::upstream::outbound::{Around, Inspected};
use crate::shard::upstream::release::{Begun, Judge};
use crate::shard::upstream::{Error, Link};

/// How long the rest of a request is read that the backend has answered already.
const LINGER: Duration = Duration::from_secs(1);

/// The way from the backend to the client, for one exchange.
pub struct Relay<'a> {
    pub shard: &'a Shard,
    pub snapshot: &'a Snapshot,
    pub link: &'a Link,
    pub cleared: &'a Cleared,
    pub operation: &'a Operation,
    pub trace: &'a Trace,
    /// Whom a body is held for.
    pub source: Source,
    /// Takes the names of fields that nothing declares.
    pub undeclared: &'a mut UndeclaredFields,
    pub client_deadline: &'a Deadline,
    pub client_timeout: Duration,
    pub deadline: &'a Deadline,
    pub timeout: Duration,
    pub is_head: bool,
    pub request: &'a RequestHead,
    /// The answer that a switch to WebSocket must carry, if the client may switch.
    pub accept: Option<Accept>,
    pub response: &'a mut ResponseHead,
    /// Whether the client's connection ends with this exchange in any case.
    pub closes: bool,
    pub out: &'a mut Vec<u8>,
}

/// What became of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// The client has got all of it.
    Complete { status: u16, closes: bool },
    /// The client has got the head of a switch of protocols; what follows is not HTTP.
    Switched { is_extended: bool },
    /// The client has got a part, and knows it from the end of the connection.
    Truncated {
        status: u16,
        /// The backend broke off, not the client.
        by_backend: bool,
    },
    /// The client has got nothing: policy does not let out what the backend answered.
    Refused { denial: Denial, status: u16 },
    /// The client has got nothing.
    None {
        error: Error,
        /// The backend closed without a word, as it does when it had given up on an idle
        /// connection.
        was_silent: bool,
    },
}

/// What one exchange brought back.
pub struct Download {
    pub response: Response,
    pub answered: Option<Instant>,
    pub relayed: Option<Instant>,
    /// Bytes of content.
    pub content: u64,
    /// Whether the connection is ready for another request.
    pub is_clean: bool,
    /// What policy found wrong with the answer.
    pub fault: Option<Fault>,
    /// Lines of a refused answer that the client is told nevertheless.
    pub told: Vec<u8>,
    /// What rules of the WAF found in it.
    pub found: Found,
}

impl<'a> Relay<'a> {
    pub async fn run<R, W>(
        mut self,
        reader: &mut R,
        buffer: &mut Buffer,
        writer: &mut W,
    ) -> Download
    where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        let mut download = Download {
            response: Response::None {
                error: Error::ClosedEarly,
                was_silent: false,
            },
            answered: None,
            relayed: None,
            content: 0,
            is_clean: false,
            fault: None,
            told: Vec::new(),
            found: Found::default(),
        };
        match self.head(reader, buffer, writer).await {
            Ok(()) => {
                download.answered = Some(Instant::now());
                self.body((reader, buffer), writer, &mut download).await;
            }
            Err(response) => download.response = response,
        }
        self.link.is_answered.set(true);
        self.deadline.clear();
        if !self.link.is_uploaded.get() {
            // A backend that has answered reads no more; the client gets a moment to notice.
            self.deadline.end();
            self.client_deadline.set_for_reading(LINGER);
        }
        download
    }

    /// Reads up to the final head; interim responses are passed on (RFC 9110 section 15.2).
    async fn head<R, W>(
        &mut self,
        reader: &mut R,
        buffer: &mut Buffer,
        writer: &mut W,
    ) -> Result<(), Response>
    where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        let mut interim = 0;
        loop {
            match self.response.read(buffer.bytes(), self.is_head) {
                Ok(true) if self.response.status >= 200 => return Ok(()),
                Ok(true) => {
                    interim += 1;
                    if self.response.status == 101 && self.switches(buffer) {
                        return Err(self.pass_switch(buffer, writer).await);
                    }
                    if self.response.status == 101 || interim > limits::INTERIM_RESPONSES {
                        return Err(none(Error::Malformed));
                    }
                    self.pass_interim(buffer, writer).await?;
                }
                Ok(false) => {
                    let is_silent = buffer.is_empty() && interim == 0;
                    match fill(reader, buffer).await {
                        Ok(count) if count > 0 => {}
                        _ if self.deadline.has_fired() => {
                            return Err(none(Error::ResponseTimeout));
                        }
                        _ => {
                            return Err(Response::None {
                                error: Error::ClosedEarly,
                                was_silent: is_silent,
                            });
                        }
                    }
                }
                Err(_) => return Err(none(Error::Malformed)),
            }
        }
    }

    fn switches(&self, buffer: &Buffer) -> bool {
        let is_accepted = |accept| websocket::is_accepted(self.response, buffer.bytes(), accept);
        self.accept.is_some_and(is_accepted)
    }

    /// Writes the head of the switch anew; from here on bytes are passed on as they come.
    async fn pass_switch<W: AsyncWriteRent>(
        &mut self,
        buffer: &mut Buffer,
        writer: &mut W,
    ) -> Response {
        let is_extended = websocket::is_extended(self.response, buffer.bytes());
        let (passed, bytes) = (Passed::switch(self.operation), buffer.bytes());
        encode::response(self.out, bytes, self.response, |field| {
            websocket::is_own(field.name.of(bytes))
                || passed.keeps(self.operation, (field, bytes), self.undeclared)
        });
        self.out.extend_from_slice(websocket::LINES);
        encode::finish(self.out, Framing::None);
        buffer.consume(self.response.length);
        self.client_deadline.set(self.client_timeout);
        match send(writer, self.out).await {
            Ok(()) => Response::Switched { is_extended },
            Err(_) => truncated(101),
        }
    }

    /// `100` has been answered here, and an HTTP/1.0 client knows no interim responses.
    async fn pass_interim<W: AsyncWriteRent>(
        &mut self,
        buffer: &mut Buffer,
        writer: &mut W,
    ) -> Result<(), Response> {
        let length = self.response.length;
        if self.response.status != 100 && self.request.version == Version::Http11 {
            let (passed, bytes) = (Passed::default(), buffer.bytes());
            encode::response(self.out, bytes, self.response, |field| {
                passed.keeps(self.operation, (field, bytes), self.undeclared)
            });
            encode::finish(self.out, Framing::None);
            self.client_deadline.set(self.client_timeout);
            let outcome = send(writer, self.out).await;
            let status = self.response.status;
            outcome.map_err(|_| truncated(status))?;
        }
        buffer.consume(length);
        Ok(())
    }

    async fn body<R, W>(
        &mut self,
        (reader, buffer): (&mut R, &mut Buffer),
        writer: &mut W,
        download: &mut Download,
    ) where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        let Some((passed, begun)) = self.judge((reader, buffer), writer, download).await else {
            return;
        };
        if let Some(records) = passed.records(self.operation) {
            return self
                .strain((reader, buffer), writer, (passed, records), download)
                .await;
        }
        let status = self.response.status;
        download.response = truncated(status);
        let framing = self.client_framing();
        let closes = self.closes || framing == Framing::UntilClose;
        self.write_head(buffer, (framing, closes), &passed);
        download.fault = passed.reported;
        buffer.consume(self.response.length);
        let mut coder = match begun {
            None => Transcoder::new(self.response.framing, framing),
            Some((mut coder, mut content)) => {
                if framing == Framing::Chunked {
                    coder.turn_to_chunks(&mut content);
                }
                self.out.extend_from_slice(&content);
                coder
            }
        };
        let mut held = self.shard.load.for_answer(self.source);
        loop {
            if !self.pass((&mut coder, buffer), writer, download).await {
                return;
            }
            if coder.is_done() {
                download.response = Response::Complete { status, closes };
                download.is_clean = self.response.keep_alive && buffer.is_empty();
                return;
            }
            if self.link.is_uploaded.get() {
                self.client_deadline.clear();
            }
            self.deadline.set(self.timeout);
            match fill_large(reader, buffer, &mut held).await {
                Ok(count) if count > 0 => {}
                // An end that came by force is no end of a body.
                Ok(_) if !self.deadline.has_fired() => {
                    if coder.close(self.out).is_err() {
                        download.response = broken_off(status);
                        return;
                    }
                }
                Ok(_) | Err(_) => {
                    download.response = broken_off(status);
                    return;
                }
            }
        }
    }

    /// Passes on what has come of a body, behind what is written already. `false`: that is the end.
    async fn pass<W: AsyncWriteRent>(
        &mut self,
        (coder, buffer): (&mut Transcoder, &mut Buffer),
        writer: &mut W,
        download: &mut Download,
    ) -> bool {
        let is_as_it_came = self.out.is_empty() && coder.passes(buffer.len());
        if !is_as_it_came {
            match coder.feed(buffer.bytes(), self.out) {
                Ok(used) => buffer.consume(used),
                Err(_) => {
                    if download.relayed.is_none() {
                        // The client has seen nothing of it yet.
                        self.out.clear();
                        download.response = none(Error::Malformed);
                    } else {
                        download.response = broken_off(self.response.status);
                    }
                    return false;
                }
            }
        }
        download.content = coder.content();
        download.relayed.get_or_insert_with(Instant::now);
        if is_as_it_came {
            self.client_deadline.set(self.client_timeout);
            return pass(writer, buffer).await.is_ok();
        }
        if !self.out.is_empty() {
            self.client_deadline.set(self.client_timeout);
            return send(writer, self.out).await.is_ok();
        }
        true
    }

    /// What policy says of the answer. None: it has been sent, or refused; otherwise it leaves as
    /// it comes, and what of its body has been read already is told with it.
    async fn judge<R, W>(
        &mut self,
        (reader, buffer): (&mut R, &mut Buffer),
        writer: &mut W,
        download: &mut Download,
    ) -> Option<(Passed, Option<Begun>)>
    where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        let answer = Answer {
            head: self.response,
            bytes: buffer.bytes(),
            to_head: self.is_head,
        };
        let state = &self.shard.state;
        let judged = egress::check_head(self.operation, &mut state.borrow_mut(), answer);
        match judged {
            Ok(passed) => {
                self.agreed((reader, buffer), writer, passed, download)
                    .await
            }
            Err(fault) => {
                self.withhold((reader, buffer), fault, download).await;
                None
            }
        }
    }

    /// What rules say of an answer that is as agreed, and what has to be seen of its body.
    async fn agreed<R, W>(
        &mut self,
        (reader, buffer): (&mut R, &mut Buffer),
        writer: &mut W,
        mut passed: Passed,
        download: &mut Download,
    ) -> Option<(Passed, Option<Begun>)>
    where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        // Nobody reads from the backend meanwhile, so it cannot be late.
        self.deadline.clear();
        let around = self.around();
        let head = (&*self.response, buffer.bytes());
        let inspected = around.inspect(self.cleared, head, &mut download.found);
        let inspected = match inspected.await {
            Ok(inspected) => inspected,
            Err(fault) => {
                self.withhold((reader, buffer), fault, download).await;
                return None;
            }
        };
        let own = passed.longest(self.operation);
        let wanted = inspected.as_ref().and_then(Inspected::longest);
        if let Some(longest) = own.or(wanted) {
            let judge = Judge {
                passed,
                longest,
                reads: own.is_some(),
                inspected,
            };
            return self
                .release((reader, buffer), writer, judge, download)
                .await;
        }
        let Some(inspected) = inspected else {
            return Some((passed, None));
        };
        match inspected.uncollected(&mut download.found).await {
            Ok(note) => {
                passed.note(note);
                Some((passed, None))
            }
            Err(fault) => {
                self.withhold((reader, buffer), fault, download).await;
                None
            }
        }
    }

    fn around(&self) -> Around<'a> {
        Around {
            shard: self.shard,
            snapshot: self.snapshot,
            operation: self.operation,
        }
    }

    /// How the client is told where the body ends.
    fn client_framing(&self) -> Framing {
        match self.response.framing {
            Framing::Chunked | Framing::UntilClose if self.request.version == Version::Http10 => {
                Framing::UntilClose
            }
            Framing::Chunked | Framing::UntilClose => Framing::Chunked,
            told @ (Framing::None | Framing::Length(_)) => told,
        }
    }

    pub(super) fn write_head(
        &mut self,
        buffer: &Buffer,
        (framing, closes): (Framing, bool),
        passed: &Passed,
    ) {
        let (out, bytes) = (&mut *self.out, buffer.bytes());
        // RFC 9110 section 8.8.1: what names the bytes that came names others no longer.
        let weakens = |field: &Field| passed.is_changed() && is_strong(field, bytes);
        // Each reader has a view of their own, which nobody else may be shown.
        let is_personal = passed.is_personal(self.operation);
        let caches =
            |field: &Field| is_personal && cache_control::tells_caches(field.name.of(bytes));
        encode::response(out, bytes, self.response, |field| {
            let keeps = passed.keeps(self.operation, (field, bytes), self.undeclared);
            keeps && !weakens(field) && !caches(field)
        });
        if is_personal {
            let fields = self.response.fields.iter();
            let said = fields.filter(|field| {
                let name = field.name.of(bytes);
                name.eq_ignore_ascii_case(b"Cache-Control")
            });
            cache_control::write_private(said.map(|field| field.value.of(bytes)), out);
        }
        for field in self.response.fields.iter().filter(|field| weakens(field)) {
            if passed.keeps(self.operation, (field, bytes), self.undeclared) {
                for part in [b"ETag: W/", field.value.of(bytes), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
        for part in [b"X-Request-ID: ", self.trace.id().as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
        if let Some(remaining) = self.cleared.remaining() {
            let limits = &self.operation.limits;
            for part in [b"RateLimit-Policy: ", limits.policy(), b"\r\nRateLimit: "] {
                out.extend_from_slice(part);
            }
            let quota = limits.quota(remaining.quota);
            write_remaining(out, quota, remaining.left, remaining.reset_s);
            out.extend_from_slice(b"\r\n");
        }
        let confirms = self.request.version == Version::Http10;
        out.extend_from_slice(answer::connection(closes, confirms));
        encode::finish(out, framing);
    }
}

/// Whether a field is an entity tag that stands for the very bytes (RFC 9110 section 8.8.3).
fn is_strong(field: &Field, bytes: &[u8]) -> bool {
    !field.hop_by_hop
        && field.name.of(bytes).eq_ignore_ascii_case(b"ETag")
        && field.value.of(bytes).starts_with(b"\"")
}

/// By the client, or by nobody's fault.
pub(super) fn truncated(status: u16) -> Response {
    Response::Truncated {
        status,
        by_backend: false,
    }
}

/// By the backend.
pub(super) fn broken_off(status: u16) -> Response {
    Response::Truncated {
        status,
        by_backend: true,
    }
}

pub(super) fn none(error: Error) -> Response {
    Response::None {
        error,
        was_silent: false,
    }
}
