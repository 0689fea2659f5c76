//! An answer that policy has to see whole before any of it leaves, or that it does not let out.

use std::ops::Range;
use std::time::Instant;

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::policy::denial::Denial;
use crate::policy::egress::{Fault, Passed};
use crate::proto::body::Framing;
use crate::proto::transcode::Transcoder;
use crate::shard::RESPONSE;
use crate::shard::buffer::Buffer;
use crate::shard::connection::{fill, send_paced};
use crate::shard::load::Held;
use crate::shard::upstream::Error;
use crate::shard::upstream::outbound::Inspected;
use crate::shard::upstream::relay::{Download, Relay, Response, none, truncated};

/// The longest body of a refused answer that is read, so that the connection can be used again.
const DRAINED: usize = 64 * 1024;

/// What a refused answer still tells the client (RFC 9110 sections 10.2.1, 10.2.3 and 11.6.1).
const TOLD: [&str; 3] = ["Allow", "Retry-After", "WWW-Authenticate"];

/// A body of which the beginning has been decoded.
pub type Begun = (Transcoder, Vec<u8>);

/// Who has to see a body.
pub(super) struct Judge<'a> {
    pub passed: Passed,
    /// The longest that is collected.
    pub longest: usize,
    /// Whether the contract reads it.
    pub reads: bool,
    /// None: rules of the WAF do not.
    pub inspected: Option<Inspected<'a>>,
}

/// Why a body could not be collected.
enum Short {
    /// With what was taken out of its chunks.
    TooLong(Option<Begun>),
    Failed(Error),
    Overloaded,
}

/// A collected body.
enum Content {
    /// So many bytes behind the head, where they came in.
    Here(usize),
    /// Taken out of its chunks.
    Decoded(Vec<u8>),
}

impl Content {
    fn of<'a>(&'a self, buffer: &'a Buffer, head: usize) -> &'a [u8] {
        match self {
            Content::Here(length) => &buffer.bytes()[head..head + length],
            Content::Decoded(body) => body,
        }
    }
}

impl Relay<'_> {
    /// Collects the body, has it judged, and sends head and body in one piece. What is too long
    /// to be collected and passes nevertheless comes back.
    pub(super) async fn release<R, W>(
        &mut self,
        (reader, buffer): (&mut R, &mut Buffer),
        writer: &mut W,
        judge: Judge<'_>,
        download: &mut Download,
    ) -> Option<(Passed, Option<Begun>)>
    where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        let mut held = self.shard.load.for_answer(self.source);
        let inspected = judge.inspected.as_ref();
        let beginning = inspected.map_or(0, |inspected| inspected.beginning(judge.longest));
        let sizes = (judge.longest, beginning);
        let content = match self
            .collect((&mut *reader, &mut *buffer), sizes, &mut held)
            .await
        {
            Ok(content) => content,
            Err(Short::TooLong(begun)) => {
                self.deadline.clear();
                let head = self.response.length;
                let begin = match &begun {
                    Some((_, content)) => content,
                    None => &buffer.bytes()[head..],
                };
                let judged = self.too_long(judge, begin, &mut held, download).await;
                return match judged {
                    Ok(passed) => Some((passed, begun)),
                    Err(fault) => {
                        self.refused(buffer, fault, download);
                        None
                    }
                };
            }
            Err(short) => {
                if let Some(inspected) = judge.inspected {
                    inspected.put_back(self.cleared);
                }
                self.cut_short(buffer, short, download);
                return None;
            }
        };
        self.deadline.clear();
        let judged = self
            .judge_whole((buffer, &content), judge, &mut held, download)
            .await;
        let is_clean = self.leave_body(buffer, &content);
        match judged {
            Ok(passed) => download.fault = passed.reported,
            Err(fault) => {
                self.refused(buffer, fault, download);
                download.is_clean = is_clean;
                return None;
            }
        }
        buffer.consume(self.response.length);
        download.is_clean = is_clean;
        download.relayed = Some(Instant::now());
        let status = self.response.status;
        // What leaves stands in `out`; a slow client keeps no second copy of it.
        drop(content);
        if buffer.is_empty() {
            buffer.shrink(RESPONSE);
        }
        // No more than was held for it where it came in, so there is room.
        held.turn_to(held.amount().min(self.out.len()));
        let paced = (self.client_deadline, self.client_timeout);
        let (outcome, back) = send_paced(writer, std::mem::take(self.out), paced).await;
        *self.out = back;
        self.out.clear();
        download.response = match outcome {
            Ok(()) => Response::Complete {
                status,
                closes: self.closes,
            },
            Err(_) => truncated(status),
        };
        None
    }

    /// Has a whole body judged, and writes what leaves of it behind its head.
    async fn judge_whole(
        &mut self,
        (buffer, content): (&Buffer, &Content),
        judge: Judge<'_>,
        held: &mut Held,
        download: &mut Download,
    ) -> Result<Passed, Fault> {
        let Judge {
            passed,
            reads,
            inspected,
            ..
        } = judge;
        let length = content.of(buffer, self.response.length).len();
        // What leaves stands beside what came for as long as it is looked at.
        if inspected.is_some() && !held.grow_to(held.amount() + length) {
            if let Some(inspected) = inspected {
                inspected.end(&mut download.found).await;
            }
            return Err(Fault {
                denial: Denial::Overloaded,
                detail: String::new(),
            });
        }
        let written = self.write_whole((buffer, content), passed, reads);
        download.content = written.as_ref().map_or(0, |(_, body)| body.len() as u64);
        let (mut passed, body, inspected) = match (written, inspected) {
            (Ok((passed, body)), Some(inspected)) => (passed, body, inspected),
            (Ok((passed, _)), None) => return Ok(passed),
            (Err(fault), Some(inspected)) => {
                inspected.end(&mut download.found).await;
                return Err(fault);
            }
            (Err(fault), None) => return Err(fault),
        };
        // What leaves is what is inspected.
        let body = (&self.out[body], true);
        match inspected.body(body, held, &mut download.found).await {
            Ok(note) => {
                passed.note(note);
                Ok(passed)
            }
            Err(fault) => {
                self.out.clear();
                download.content = 0;
                Err(fault)
            }
        }
    }

    /// Writes head and body of an answer whose body the contract lets out, and says where in what
    /// is written the body stands.
    fn write_whole(
        &mut self,
        (buffer, content): (&Buffer, &Content),
        mut passed: Passed,
        reads: bool,
    ) -> Result<(Passed, Range<usize>), Fault> {
        let body = content.of(buffer, self.response.length);
        let state = &mut self.shard.state.borrow_mut();
        let reader = self.cleared.principal().map(|principal| &**principal);
        if reads {
            passed = passed.check_body(self.operation, state, body, reader)?;
        }
        let body = match passed.is_changed() {
            true => state.scratch.rewritten(),
            false => body,
        };
        let framing = Framing::Length(body.len() as u64);
        self.write_head(buffer, (framing, self.closes), &passed);
        let start = self.out.len();
        self.out.extend_from_slice(body);
        Ok((passed, start..self.out.len()))
    }

    /// Has a body judged of which only the beginning is there.
    async fn too_long(
        &self,
        judge: Judge<'_>,
        begin: &[u8],
        held: &mut Held,
        download: &mut Download,
    ) -> Result<Passed, Fault> {
        let mut passed = judge.passed;
        if judge.reads {
            let state = &self.shard.state;
            passed = passed.too_long(self.operation, &mut state.borrow_mut())?;
        }
        if let Some(inspected) = judge.inspected {
            let body = (begin, false);
            passed.note(inspected.body(body, held, &mut download.found).await?);
        }
        Ok(passed)
    }

    /// Takes the body out of the buffer. Whether the connection may be used again.
    fn leave_body(&self, buffer: &mut Buffer, content: &Content) -> bool {
        let head = self.response.length;
        if let Content::Here(length) = content {
            buffer.remove(head..head + length);
        }
        self.response.keep_alive && buffer.len() == head
    }

    /// Refuses an answer by its head, and reads a short body, so that the connection stays.
    pub(super) async fn withhold<R: AsyncReadRent>(
        &mut self,
        (reader, buffer): (&mut R, &mut Buffer),
        fault: Fault,
        download: &mut Download,
    ) {
        let mut held = self.shard.load.for_answer(self.source);
        let content = self
            .collect((&mut *reader, &mut *buffer), (DRAINED, 0), &mut held)
            .await;
        download.is_clean = content.is_ok_and(|content| self.leave_body(buffer, &content));
        self.refused(buffer, fault, download);
    }

    /// Tells that the body could not be collected.
    fn cut_short(&mut self, buffer: &Buffer, short: Short, download: &mut Download) {
        match short {
            Short::Failed(error) => download.response = none(error),
            Short::Overloaded | Short::TooLong(_) => {
                let fault = Fault {
                    denial: Denial::Overloaded,
                    detail: String::new(),
                };
                self.refused(buffer, fault, download);
            }
        }
    }

    pub(super) fn refused(&mut self, buffer: &Buffer, fault: Fault, download: &mut Download) {
        let bytes = buffer.bytes();
        let told = self.response.fields.iter().filter(|field| {
            let name = field.name.of(bytes);
            TOLD.iter()
                .any(|told| name.eq_ignore_ascii_case(told.as_bytes()))
        });
        for field in told {
            for part in [field.name.of(bytes), b": ", field.value.of(bytes), b"\r\n"] {
                download.told.extend_from_slice(part);
            }
        }
        download.response = Response::Refused {
            denial: fault.denial,
            status: self.response.status,
        };
        download.fault = Some(fault);
    }

    /// Reads the body. The head stays where it is; what was decoded leaves the buffer.
    async fn collect<R: AsyncReadRent>(
        &mut self,
        (reader, buffer): (&mut R, &mut Buffer),
        (longest, beginning): (usize, usize),
        held: &mut Held,
    ) -> Result<Content, Short> {
        let head = self.response.length;
        let length = match self.response.framing {
            Framing::None => return Ok(Content::Here(0)),
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            Framing::Chunked | Framing::UntilClose => {
                let body = self.decode((reader, buffer), longest, held).await?;
                return Ok(Content::Decoded(body));
            }
        };
        // Of a longer one the beginning, if somebody makes do with that.
        let wanted = if length > longest { beginning } else { length };
        if !held.grow_to(wanted) {
            return Err(Short::Overloaded);
        }
        if buffer.len() < head + wanted {
            buffer.reserve_total(head + wanted);
        }
        while buffer.len() < head + wanted {
            match self.fill(reader, buffer).await? {
                0 => return Err(Short::Failed(Error::ClosedEarly)),
                _ => continue,
            }
        }
        match length > longest {
            true => Err(Short::TooLong(None)),
            false => Ok(Content::Here(length)),
        }
    }

    async fn decode<R: AsyncReadRent>(
        &mut self,
        (reader, buffer): (&mut R, &mut Buffer),
        longest: usize,
        held: &mut Held,
    ) -> Result<Vec<u8>, Short> {
        let head = self.response.length;
        let mut coder = Transcoder::new(self.response.framing, Framing::None);
        let mut body = Vec::new();
        loop {
            let fed = coder.feed(&buffer.bytes()[head..], &mut body);
            let used = fed.map_err(|_| Short::Failed(Error::Malformed))?;
            buffer.remove(head..head + used);
            if body.len() > longest {
                return Err(Short::TooLong(Some((coder, body))));
            }
            if !held.grow_to(body.len()) {
                return Err(Short::Overloaded);
            }
            if coder.is_done() {
                return Ok(body);
            }
            if buffer.room() == 0 {
                let more = buffer.len() * 2;
                buffer.reserve_total(more);
            }
            if self.fill(reader, buffer).await? == 0 && coder.close(&mut body).is_err() {
                return Err(Short::Failed(Error::ClosedEarly));
            }
        }
    }

    /// Reads more of the answer; 0 at its end.
    async fn fill<R: AsyncReadRent>(
        &mut self,
        reader: &mut R,
        buffer: &mut Buffer,
    ) -> Result<usize, Short> {
        if self.link.is_uploaded.get() {
            self.client_deadline.clear();
        }
        self.deadline.set(self.timeout);
        match fill(reader, buffer).await {
            // An end that came by force is no end of a body.
            _ if self.deadline.has_fired() => Err(Short::Failed(Error::ResponseTimeout)),
            Ok(count) => Ok(count),
            Err(_) => Err(Short::Failed(Error::ClosedEarly)),
        }
    }
}
