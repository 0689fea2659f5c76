//! An answer of records that leaves record by record, each when policy has let it out.

use std::time::Instant;

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::policy::denial::Denial;
use crate::policy::egress::{Fault, Passed, Records};
use crate::proto::body::Framing;
use crate::proto::head::Version;
use crate::proto::transcode::Transcoder;
use crate::shard::buffer::Buffer;
use crate::shard::connection::{fill_large, send};
use crate::shard::load::Held;
use crate::shard::upstream::Error;
use crate::shard::upstream::relay::{Download, Relay, Response, broken_off, none, truncated};

/// The way of the content through the check.
struct Strainer<'a> {
    records: Records<'a>,
    input: Transcoder,
    output: Transcoder,
    /// Taken out of its framing, and let out.
    content: Vec<u8>,
    good: Vec<u8>,
    /// The memory of all of it.
    held: Held,
}

impl Relay<'_> {
    /// Until a part of the answer has left, what is wrong with it can still be told in its place.
    pub(super) async fn strain<R, W>(
        &mut self,
        (reader, buffer): (&mut R, &mut Buffer),
        writer: &mut W,
        (passed, records): (Passed, Records<'_>),
        download: &mut Download,
    ) where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        let status = self.response.status;
        let framing = match self.request.version {
            Version::Http10 => Framing::UntilClose,
            Version::Http11 => Framing::Chunked,
        };
        let closes = self.closes || framing == Framing::UntilClose;
        let mut strainer = Strainer {
            records,
            input: Transcoder::new(self.response.framing, Framing::None),
            output: Transcoder::new(Framing::UntilClose, framing),
            content: Vec::new(),
            good: Vec::new(),
            held: self.shard.load.for_answer(self.source),
        };
        // For a buffer that grows, beside what the check holds.
        let mut read = self.shard.load.for_answer(self.source);
        let mut is_over = false;
        loop {
            let head = match download.relayed {
                Some(_) => 0,
                None => self.response.length,
            };
            let fed = self.feed(&mut strainer, (buffer, head), is_over);
            let is_done = strainer.input.is_done();
            if let Err(unfit) = fed {
                return self.cut_off(buffer, unfit, download);
            }
            if download.relayed.is_none() {
                let body = std::mem::take(self.out);
                self.write_head(buffer, (framing, closes), &passed);
                self.out.extend_from_slice(&body);
                buffer.consume(self.response.length);
                download.relayed = Some(Instant::now());
            }
            download.response = truncated(status);
            download.content = strainer.output.content();
            download.fault = strainer.records.reported().or(passed.reported.clone());
            if !self.out.is_empty() {
                self.client_deadline.set(self.client_timeout);
                if send(writer, self.out).await.is_err() {
                    return;
                }
            }
            if is_done {
                download.response = Response::Complete { status, closes };
                download.is_clean = self.response.keep_alive && buffer.is_empty();
                return;
            }
            if self.link.is_uploaded.get() {
                self.client_deadline.clear();
            }
            self.deadline.set(self.timeout);
            is_over = match fill_large(reader, buffer, &mut read).await {
                Ok(count) if count > 0 => false,
                // An end that came by force is no end of a body.
                Ok(_) if !self.deadline.has_fired() => true,
                Ok(_) | Err(_) => {
                    download.response = broken_off(status);
                    return;
                }
            };
        }
    }

    /// Takes what has come behind the head through the check, and writes what may leave.
    fn feed(
        &mut self,
        strainer: &mut Strainer<'_>,
        (buffer, head): (&mut Buffer, usize),
        is_over: bool,
    ) -> Result<(), Unfit> {
        let Strainer {
            records,
            input,
            output,
            content,
            good,
            held,
        } = strainer;
        let fed = input.feed(&buffer.bytes()[head..], content);
        let used = fed.map_err(|_| Unfit::Malformed)?;
        buffer.remove(head..head + used);
        if is_over && input.close(content).is_err() {
            return Err(Unfit::Malformed);
        }
        let reader = self.cleared.principal().map(|principal| &**principal);
        let state = &mut self.shard.state.borrow_mut();
        let mut judged = records.next(Some(content), state, reader, good);
        content.clear();
        if judged.is_ok() && input.is_done() {
            judged = records.next(None, state, reader, good);
        }
        if !held.turn_to(records.pending() + good.len()) {
            return Err(Unfit::Refused(Fault {
                denial: Denial::Overloaded,
                detail: String::new(),
            }));
        }
        judged.map_err(Unfit::Refused)?;
        // Whoever writes without a framing has no way to fail.
        let _ = output.feed(good, self.out);
        good.clear();
        if input.is_done() {
            let _ = output.close(self.out);
        }
        Ok(())
    }

    fn cut_off(&mut self, buffer: &Buffer, unfit: Unfit, download: &mut Download) {
        self.out.clear();
        match (unfit, download.relayed) {
            (Unfit::Refused(fault), None) => self.refused(buffer, fault, download),
            (Unfit::Refused(fault), Some(_)) => {
                download.fault = Some(fault);
                download.response = truncated(self.response.status);
            }
            (Unfit::Malformed, None) => download.response = none(Error::Malformed),
            (Unfit::Malformed, Some(_)) => {
                download.response = broken_off(self.response.status);
            }
        }
    }
}

/// Why no more of an answer leaves.
enum Unfit {
    /// By policy.
    Refused(Fault),
    /// The backend broke off, or its framing.
    Malformed,
}
