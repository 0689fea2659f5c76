//! From the shard that accepted a connection to the one that serves it.
//!
//! The kernel spreads connections over the shards by chance: with few of them one shard may have
//! twice its share. At accept, and only then, a shard that is ahead hands the connection to the one
//! with the fewest. A queue without locks carries it, a byte on a socket pair wakes the receiver.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;

use crate::shard::listener::Accepted;

/// Connections on their way to one shard; beyond it they stay where they are.
const CAPACITY: usize = 1024;

/// How far ahead a shard may be: so many connections, or an eighth of the fewest.
const SLACK: usize = 2;

/// The way into one shard.
pub struct Inbox {
    /// Connections that the shard has, those on their way included.
    open: CachePadded<AtomicUsize>,
    queue: ArrayQueue<Accepted>,
    bell: UnixStream,
    ear: UnixStream,
    /// A byte is on its way.
    is_rung: AtomicBool,
}

impl Inbox {
    pub fn new() -> io::Result<Inbox> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        Ok(Inbox {
            open: CachePadded::default(),
            queue: ArrayQueue::new(CAPACITY),
            bell,
            ear,
            is_rung: AtomicBool::new(false),
        })
    }

    /// What becomes readable when something has come.
    pub fn ear(&self) -> io::Result<UnixStream> {
        self.ear.try_clone()
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A connection is this shard's from now on.
    pub fn enter(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub fn leave(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Hands a connection over; it comes back if there is no room.
    pub fn hand(&self, accepted: Accepted) -> Result<(), Accepted> {
        self.queue.push(accepted)?;
        self.enter();
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            // A full pair has rung often enough.
            let _ = (&self.bell).write(&[0]);
        }
        Ok(())
    }

    /// What has come. The bell may ring again from here on.
    pub fn take(&self) -> impl Iterator<Item = Accepted> {
        self.is_rung.store(false, Ordering::Release);
        std::iter::from_fn(|| self.queue.pop())
    }
}

/// The shard that should serve a connection that shard `own` has accepted.
pub fn choose(inboxes: &[Inbox], own: usize) -> usize {
    let counts = inboxes.iter().map(Inbox::open).enumerate();
    let Some((fewest, least)) = counts.min_by_key(|&(_, open)| open) else {
        return own;
    };
    match inboxes[own].open() > least + SLACK.max(least / 8) {
        true => fewest,
        false => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shard_that_is_ahead_hands_over() {
        let inboxes: Vec<Inbox> = (0..3).map(|_| Inbox::new().unwrap()).collect();
        let set = |counts: [usize; 3]| {
            for (inbox, count) in inboxes.iter().zip(counts) {
                inbox.open.store(count, Ordering::Relaxed);
            }
        };
        for (counts, chosen) in [
            ([0, 0, 0], 0),
            ([2, 0, 1], 0),
            ([3, 0, 1], 1),
            ([90, 82, 80], 0),
            ([91, 82, 80], 2),
        ] {
            set(counts);
            assert_eq!(choose(&inboxes, 0), chosen, "{counts:?}");
        }
        assert_eq!(choose(&inboxes[..1], 0), 0);
    }
}
