//! Bytes both ways, unread, after a backend has switched protocols: each side is passed on as it
//! comes, with bounded memory, until one has ended, nobody has said anything for too long, or the
//! credential that opened it has run out.

use std::cell::Cell;
use std::time::Duration;

use monoio::io::{AsyncReadRent, AsyncWriteRent};

use crate::shard::buffer::Buffer;
use crate::shard::connection::{fill, pass};
use crate::shard::deadline::Deadline;

/// Bytes read at once.
const PIECE: usize = 16 * 1024;

/// Both sockets of a tunnel. They are given up together.
pub struct Tunnel<'a> {
    pub deadlines: [&'a Deadline; 2],
    /// How long both sides may be silent.
    pub idle: Duration,
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
        futures_util::future::join(
            self.pass(client, from_client, to_backend, &counts[0]),
            self.pass(backend, from_backend, to_client, &counts[1]),
        )
        .await;
        counts.map(Cell::into_inner)
    }

    async fn pass<R, W>(
        &self,
        reader: &mut R,
        buffer: &mut Buffer,
        writer: &mut W,
        count: &Cell<u64>,
    ) where
        R: AsyncReadRent,
        W: AsyncWriteRent,
    {
        loop {
            if !buffer.is_empty() {
                let length = buffer.len();
                if pass(writer, buffer).await.is_err() {
                    // Whoever takes no more will say no more that matters.
                    return self.end();
                }
                count.set(count.get() + length as u64);
                self.renew();
            }
            buffer.reserve_total(PIECE);
            match fill(reader, buffer).await {
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
        self.deadlines.iter().for_each(|each| each.set(self.idle));
    }

    fn end(&self) {
        self.deadlines.iter().for_each(|each| each.end());
    }
}
