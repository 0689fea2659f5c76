//! Giving way: a task that has more to do lets the others on its shard have their turn.
//!
//! A task that only woke itself would keep the run queue filled, and while that is so monoio 0.2.4
//! asks the kernel for nothing: with `DEFER_TASKRUN` no completion is delivered, on epoll no event
//! is looked for, and everybody but this task waits. So it waits for the kernel as all others do:
//! for a byte on a socket pair, sent when the wait has begun. With it comes whatever else has
//! happened.

use std::io::{self, Write};
use std::os::unix::net::UnixStream as Pair;
use std::pin::pin;
use std::task::Poll;

use monoio::io::AsyncReadRent;
use monoio::net::UnixStream;

use crate::shard::ring::Mode;

/// For one task at a time.
pub struct Turn {
    near: UnixStream,
    far: Pair,
    block: Vec<u8>,
}

impl Turn {
    /// Within a runtime of this mode.
    pub fn new(mode: Mode) -> io::Result<Turn> {
        let (near, far) = Pair::pair()?;
        near.set_nonblocking(mode == Mode::Epoll)?;
        far.set_nonblocking(true)?;
        Ok(Turn {
            near: UnixStream::from_std(near)?,
            far,
            block: vec![0; 1],
        })
    }

    /// Goes on when everybody who was ready has had a turn. An error: nothing was waited for.
    pub async fn give_way(&mut self) -> io::Result<()> {
        let Turn { near, far, block } = self;
        let mut read = pin!(near.read(std::mem::take(block)));
        let mut is_sent = false;
        let (outcome, back) = std::future::poll_fn(|context| {
            if let Poll::Ready(read) = read.as_mut().poll(context) {
                return Poll::Ready(Ok(read));
            }
            if !std::mem::replace(&mut is_sent, true)
                && let Err(error) = far.write_all(&[0])
            {
                return Poll::Ready(Err(error));
            }
            Poll::Pending
        })
        .await?;
        *block = back;
        outcome.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use monoio::io::{AsyncReadRent, AsyncWriteRentExt};

    use super::*;
    use crate::shard::ring::Mode;

    const MOST: u32 = 100_000;

    /// Somebody who waits for the kernel is served between two turns of tasks that go on for ever.
    #[test]
    fn completions_come_while_tasks_give_way() {
        for mode in Mode::LADDER.into_iter().filter(|mode| mode.is_available()) {
            let turns = mode.run(async {
                let (is_over, turns) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0_u32)));
                let mut tasks = Vec::new();
                for _ in 0..3 {
                    let (is_over, turns) = (is_over.clone(), turns.clone());
                    let mut turn = Turn::new(mode).unwrap();
                    tasks.push(monoio::spawn(async move {
                        while !is_over.get() && turns.get() < MOST {
                            turns.set(turns.get() + 1);
                            turn.give_way().await.unwrap();
                        }
                    }));
                }
                let (near, far) = Pair::pair().unwrap();
                for end in [&near, &far] {
                    end.set_nonblocking(mode == Mode::Epoll).unwrap();
                }
                let mut near = UnixStream::from_std(near).unwrap();
                let mut far = UnixStream::from_std(far).unwrap();
                tasks.push(monoio::spawn(async move {
                    let mut buffer = vec![0; 1];
                    loop {
                        let (count, read) = far.read(buffer).await;
                        if !matches!(count, Ok(1)) {
                            return;
                        }
                        buffer = far.write_all(read).await.1;
                    }
                }));
                for _ in 0..100 {
                    near.write_all(vec![7]).await.0.unwrap();
                    assert_eq!(near.read(vec![0; 1]).await.0.unwrap(), 1);
                }
                is_over.set(true);
                drop(near);
                for task in tasks {
                    task.await;
                }
                turns.get()
            });
            let turns = turns.unwrap();
            assert!(turns > 0 && turns < MOST, "{mode}: {turns}");
        }
    }
}
