//! Asking a service about a request, on connections of the pool of its upstream.

use std::time::{Duration, Instant};

use crate::policy::inspector::{Inspector, LONGEST_ANSWER, Verdict};
use crate::proto::body::Framing;
use crate::proto::head::ResponseHead;
use crate::proto::transcode::Transcoder;
use crate::shard::buffer::Buffer;
use crate::shard::connection::{fill, send};
use crate::shard::upstream::Error;
use crate::shard::upstream::ejection::Outcome;
use crate::shard::upstream::pool::Connection;
use crate::shard::{Shard, View};

/// A longer head is no answer.
const LONGEST_HEAD: usize = 16 * 1024;

/// What the service says. A kept connection that has gone meanwhile is no failure of it: then it
/// is asked once more on a new one.
pub async fn ask(
    shard: &Shard,
    view: &View,
    inspector: &Inspector,
    question: &[u8],
) -> Result<Verdict, Error> {
    let until = Instant::now() + inspector.timeout;
    let cluster = &view.clusters[inspector.upstream];
    let mut is_again = false;
    loop {
        let turn = cluster.choose(None, None)?;
        let mut connection = match is_again {
            false => turn.checkout().await?,
            true => turn.open().await?,
        };
        let left = until.saturating_duration_since(Instant::now());
        let mut buffer = shard.take_buffer();
        let outcome = exchange(&mut connection, &mut buffer, question, left).await;
        let is_silent = outcome == Err(Error::ClosedEarly) && buffer.is_empty();
        let is_clean = buffer.is_empty();
        shard.give_buffer(buffer);
        if is_silent && connection.is_reused && !is_again {
            is_again = true;
            continue;
        }
        turn.note(match outcome {
            Ok(_) => Outcome::Answered,
            Err(_) => Outcome::Failed,
        });
        let (verdict, keeps) = outcome?;
        if keeps && is_clean {
            turn.put_back(connection);
        }
        return Ok(verdict);
    }
}

/// One question and its answer, and whether another one may follow on this connection.
async fn exchange(
    connection: &mut Connection,
    buffer: &mut Buffer,
    question: &[u8],
    left: Duration,
) -> Result<(Verdict, bool), Error> {
    connection.deadline.set(left);
    let mut bytes = question.to_vec();
    if send(&mut connection.writer, &mut bytes).await.is_err() {
        return Err(ended(connection));
    }
    let mut head = ResponseHead::default();
    loop {
        match head.read(buffer.bytes(), false) {
            Ok(true) => break,
            Ok(false) if buffer.len() > LONGEST_HEAD => return Err(Error::Malformed),
            Ok(false) => {}
            Err(_) => return Err(Error::Malformed),
        }
        if more(connection, buffer).await? == 0 {
            return Err(Error::ClosedEarly);
        }
    }
    buffer.consume(head.length);
    if head.status != 200 {
        return Err(Error::Malformed);
    }
    let mut coder = Transcoder::new(head.framing, Framing::None);
    let mut content = Vec::new();
    loop {
        let fed = coder.feed(buffer.bytes(), &mut content);
        buffer.consume(fed.map_err(|_| Error::Malformed)?);
        if content.len() > LONGEST_ANSWER {
            return Err(Error::Malformed);
        }
        if coder.is_done() {
            break;
        }
        if more(connection, buffer).await? == 0 {
            let closed = coder.close(&mut content);
            closed.map_err(|_| Error::ClosedEarly)?;
            break;
        }
    }
    let verdict = Verdict::read(&content).ok_or(Error::Malformed)?;
    Ok((verdict, head.keep_alive))
}

async fn more(connection: &mut Connection, buffer: &mut Buffer) -> Result<usize, Error> {
    if buffer.room() == 0 {
        let twice = buffer.len() * 2;
        buffer.reserve_total(twice);
    }
    match fill(&mut connection.reader, buffer).await {
        // An end that came by force is no end of an answer.
        _ if connection.deadline.has_fired() => Err(Error::ResponseTimeout),
        Ok(count) => Ok(count),
        Err(_) => Err(Error::ClosedEarly),
    }
}

fn ended(connection: &Connection) -> Error {
    match connection.deadline.has_fired() {
        true => Error::ResponseTimeout,
        false => Error::ClosedEarly,
    }
}
