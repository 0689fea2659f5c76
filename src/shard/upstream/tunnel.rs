//! Bytes both ways after a backend has switched to WebSocket: each side is passed on as it comes,
//! with bounded memory, until one has ended or breaks the protocol, nobody has said anything for too
//! long, or its time is over. The client is told why where a frame has just ended.

use std::cell::Cell;
use std::time::Duration;

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::proto::websocket::frames::{self, Frames, Reason, Rules};
use crate::shard::buffer::Buffer;
use crate::shard::connection::{fill, pass, send};
use crate::shard::deadline::Deadline;

/// Bytes read at once.
const PIECE: usize = 16 * 1024;

/// What is left to write when the gateway ends a tunnel.
const FAREWELL: Duration = Duration::from_secs(1);

/// Both sockets of a tunnel. They are given up together.
pub struct Tunnel<'a> {
    pub deadlines: [&'a Deadline; 2],
    /// How long both sides may be silent.
    pub idle: Duration,
    pub rules: Rules,
    /// Why the gateway ends it, once it does.
    pub ended: Cell<Option<Reason>>,
}

impl Tunnel<'_> {
    /// Passes bytes on until both ways have ended; how many went each way.
    pub async fn run<R1, W1, R2, W2>(
        &self,
        (client, to_client, from_client): (&mut R1, &mut W1, &mut Buffer),
        (backend, to_backend, from_backend): (&mut R2, &mut W2, &mut Buffer),
    ) -> [u64; 2]
    where
        R1: AsyncReadRent,
        W1: AsyncWriteRent,
        R2: AsyncReadRent,
        W2: AsyncWriteRent,
    {
        self.renew();
        let counts = [Cell::new(0), Cell::new(0)];
        let mut up = Frames::of_client(self.rules);
        let mut down = Frames::of_server(self.rules);
        futures_util::future::join(
            self.pass((client, from_client, &mut up), to_backend, &counts[0]),
            self.pass((backend, from_backend, &mut down), to_client, &counts[1]),
        )
        .await;
        if let Some(reason) = self.ended.get().filter(|_| down.is_between()) {
            // Whoever has gone need not be told.
            let _ = send(to_client, &mut frames::close(reason).to_vec()).await;
        }
        counts.map(Cell::into_inner)
    }

    async fn pass<R, W>(
        &self,
        (reader, buffer, frames): (&mut R, &mut Buffer, &mut Frames),
        writer: &mut W,
        count: &Cell<u64>,
    ) where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        loop {
            if !buffer.is_empty() {
                let length = buffer.len();
                if let Err(reason) = frames.follow(buffer.bytes()) {
                    return self.finish(reason);
                }
                if pass(writer, buffer).await.is_err() {
                    // Whoever takes no more will say no more that matters.
                    return self.end();
                }
                count.set(count.get() + length as u64);
                self.renew();
            }
            buffer.reserve_total(PIECE);
            let outcome = fill(reader, buffer).await;
            if self.ended.get().is_some() {
                return;
            }
            match outcome {
                _ if self.is_over() => return self.finish(Reason::GoingAway),
                Ok(1..) => self.renew(),
                // It has said all; the other side may still answer.
                Ok(0) => {
                    if writer.shutdown().await.is_err() {
                        self.end();
                    }
                    return;
                }
                Err(_) => return self.end(),
            }
        }
    }

    fn renew(&self) {
        // Both ways must see that the time is over.
        if self.ended.get().is_none() && !self.is_over() {
            let deadlines = self.deadlines.iter();
            deadlines.for_each(|each| each.set_for_tunnel(self.idle));
        }
    }

    /// Somebody has looked at the clock: silence, the end of its time, a drain.
    fn is_over(&self) -> bool {
        self.deadlines.iter().any(|each| each.has_fired())
    }

    /// Nothing more is read from either side; what is being written has a moment left.
    fn finish(&self, reason: Reason) {
        self.ended.set(Some(self.ended.get().unwrap_or(reason)));
        for each in self.deadlines {
            each.end_reading();
            each.set(FAREWELL);
        }
    }

    fn end(&self) {
        self.deadlines.iter().for_each(|each| each.end());
    }
}
