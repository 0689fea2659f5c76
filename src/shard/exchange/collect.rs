//! The body of a request, collected for a stage that has to see it.

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::policy::denial::Denial;
use crate::proto::body::Framing;
use crate::proto::coding::{Coding, Decoder, Fault};
use crate::proto::transcode::Transcoder;
use crate::shard::Shard;
use crate::shard::connection::{Client, fill};
use crate::shard::load::Held;

/// How much of a coded body is decoded in one turn: at most a hundred times as much comes out.
const PIECE: usize = 4 * 1024;

/// The first memory for a body beyond what every connection has; it doubles with what comes.
const FIRST: usize = 16 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Whether a body of this length has arrived with its head.
pub fn is_here<S: AsyncWriteRent>(client: &Client<S>, length: u64) -> bool {
    client.inbound.len().saturating_sub(client.head.length) as u64 >= length
}

/// Reads until `length` bytes of body stand behind the head. The head stays where it is. What has
/// not come takes no memory, so that nobody takes all of it by announcing bodies; a body for which
/// there is no room now, with all its copies, is refused before it is sent.
pub async fn collect<S>(
    client: &mut Client<S>,
    (length, copies): (usize, usize),
    held: &mut Held,
) -> Result<(), Denial>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    if !held.has_room_for(copies * length) {
        return Err(Denial::Overloaded);
    }
    confirm_expectation(client).await?;
    let head = client.head.length;
    while client.inbound.len() < head + length {
        let here = client.inbound.len() - head;
        let room = match client.inbound.room() {
            0 => length.min(2 * here.max(FIRST)),
            _ => here,
        };
        if !held.grow_to(room) {
            return Err(Denial::Overloaded);
        }
        if room > here {
            client.inbound.reserve_total(head + room);
        }
        read_body(client).await?;
    }
    if !held.grow_to(copies * length) {
        return Err(Denial::Overloaded);
    }
    client.deadline.clear();
    Ok(())
}

/// Decodes a chunked body into `body`, leaving the head where it is; the length of head and body
/// as they came.
pub async fn decode<S>(
    client: &mut Client<S>,
    max: usize,
    body: &mut Vec<u8>,
    held: &mut Held,
) -> Result<usize, Denial>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    let mut at = client.head.length;
    let mut coder = Transcoder::new(client.head.framing, Framing::None);
    if client.inbound.len() == at && !coder.is_done() {
        confirm_expectation(client).await?;
    }
    loop {
        let fed = coder.feed(&client.inbound.bytes()[at..], body);
        at += fed.map_err(Denial::Malformed)?;
        if body.len() > max {
            return Err(Denial::BodyTooLarge);
        }
        if !held.grow_to(body.len()) {
            return Err(Denial::Overloaded);
        }
        if coder.is_done() {
            client.deadline.clear();
            return Ok(at);
        }
        // What was decoded is not needed any more: only the head and the undecoded rest are kept.
        client.inbound.remove(client.head.length..at);
        at = client.head.length;
        read_body(client).await?;
    }
}

/// Takes a coding off a whole body, with turns for the others on this shard in between.
pub async fn uncode(
    shard: &Shard,
    (coding, max): (Coding, usize),
    coded: &[u8],
    held: &mut Held,
) -> Result<Vec<u8>, Denial> {
    let mut decoder = Decoder::new(coding, max);
    for (index, piece) in coded.chunks(PIECE).enumerate() {
        if index > 0 {
            shard.give_way().await;
        }
        decoder.feed(piece).map_err(refused)?;
        if !held.grow_to(coded.len() + decoder.decoded()) {
            return Err(Denial::Overloaded);
        }
    }
    decoder.finish().map_err(refused)
}

fn refused(fault: Fault) -> Denial {
    match fault {
        Fault::Malformed => Denial::InvalidCoding,
        Fault::TooLarge => Denial::BodyTooLarge,
    }
}

pub async fn read_body<S>(client: &mut Client<S>) -> Result<(), Denial>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    if client.inbound.room() == 0 {
        let more = client.inbound.len() * 2;
        client.inbound.reserve_total(more);
    }
    client.pace.begin(&client.deadline);
    match fill(&mut client.reader, &mut client.inbound).await {
        Ok(count) if count > 0 => {
            client.pace.end(&client.deadline, count);
            Ok(())
        }
        _ if client.deadline.has_fired() => Err(Denial::TooSlow),
        _ => Err(Denial::Incomplete),
    }
}

/// RFC 9110 section 10.1.1: tells a client that waits for leave to send its body.
pub async fn confirm_expectation<S>(client: &mut Client<S>) -> Result<(), Denial>
where
    S: AsyncReadRent + AsyncWriteRent,
{
    if client.head.expects_continue {
        client.answer.extend_from_slice(CONTINUE);
        client.send_answer().await.map_err(|_| Denial::Incomplete)?;
        client.head.expects_continue = false;
    }
    Ok(())
}
