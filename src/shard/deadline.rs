//! The only place that gives up on an operation.
//!
//! A deadline never drops a pending socket operation: a completion that races with a drop loses
//! its bytes. It shuts the socket down instead, so that the operation ends by itself and gives its
//! buffer back. One coarse ticker per shard looks after all deadlines; setting one is a store.

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};
use socket2::SockRef;

/// How often deadlines are looked at; they fire at most this much late.
pub const TICK: Duration = Duration::from_millis(1000 / TICKS_PER_SECOND as u64);

const TICKS_PER_SECOND: u32 = 50;

const NEVER: u32 = u32::MAX;

/// The ticks after which a time has surely passed: one more than it holds, because the current one
/// has partly gone by.
pub fn in_ticks(time: Duration) -> u32 {
    let whole = time.as_secs().saturating_mul(u64::from(TICKS_PER_SECOND));
    let part = time.subsec_millis().div_ceil(1000 / TICKS_PER_SECOND);
    let ticks = whole.saturating_add(u64::from(part) + 1);
    u32::try_from(ticks).unwrap_or(NEVER / 2).min(NEVER / 2)
}

/// What a socket is used for: some uses can be ended before their time when the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Exchange,
    /// Nothing is under way and nothing would be lost.
    Nothing,
    /// It never ends by itself.
    Tunnel,
}

/// What happens when a deadline passes.
enum Action {
    /// Ends what is pending in one direction or both of a socket.
    Shutdown(RawFd),
    /// Wakes a task that waits for something other than a socket.
    Wake(Option<Waker>),
}

struct Entry {
    action: Action,
    fired: bool,
    end: Shutdown,
    used: Use,
}

/// All deadlines of a shard. The times stand in a table of their own, so that looking for those
/// that have passed reads four bytes each.
#[derive(Default)]
struct Table {
    now: u32,
    when: Vec<u32>,
    /// What no setting goes beyond.
    limits: Vec<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Clone, Default)]
pub struct Deadlines(Rc<RefCell<Table>>);

/// The deadline of one socket or one waiting task. It must be dropped before its socket is
/// closed, so that a recycled descriptor is never shut down in its place.
pub struct Deadline {
    table: Rc<RefCell<Table>>,
    index: u32,
}

impl Deadlines {
    /// A deadline for operations on `socket`, not set yet.
    pub fn socket(&self, socket: RawFd) -> Deadline {
        self.enter(Action::Shutdown(socket))
    }

    /// A deadline that wakes a task.
    pub fn task(&self) -> Deadline {
        self.enter(Action::Wake(None))
    }

    /// Counts the steps of time.
    pub fn now(&self) -> u32 {
        self.0.borrow().now
    }

    /// One step of time; called every [`TICK`].
    pub fn tick(&self) {
        let table = &mut *self.0.borrow_mut();
        // At 20 ms a tick the counter lasts two years, then every deadline fires early once.
        table.now = (table.now + 1) % NEVER;
        let now = table.now;
        for (index, when) in table.when.iter_mut().enumerate() {
            if *when <= now {
                *when = NEVER;
                table.entries[index].fire();
            }
        }
    }

    /// Fires every deadline of sockets that are used so.
    pub fn end_all(&self, used: Use) {
        let table = &mut *self.0.borrow_mut();
        for (when, entry) in table.when.iter_mut().zip(&mut table.entries) {
            if *when != NEVER && entry.used == used {
                *when = NEVER;
                entry.fire();
            }
        }
    }

    fn enter(&self, action: Action) -> Deadline {
        let table = &mut *self.0.borrow_mut();
        let entry = Entry {
            action,
            fired: false,
            end: Shutdown::Both,
            used: Use::Exchange,
        };
        let index = match table.free.pop() {
            Some(index) => {
                table.entries[index as usize] = entry;
                table.limits[index as usize] = NEVER;
                index
            }
            None => {
                table.entries.push(entry);
                table.when.push(NEVER);
                table.limits.push(NEVER);
                (table.entries.len() - 1) as u32
            }
        };
        Deadline {
            table: self.0.clone(),
            index,
        }
    }
}

impl Entry {
    fn fire(&mut self) {
        self.fired = true;
        match &mut self.action {
            // The peer may have closed already; there is nothing more to end then.
            Action::Shutdown(socket) => drop(shutdown(*socket, self.end)),
            Action::Wake(waker) => {
                if let Some(waker) = waker.take() {
                    waker.wake();
                }
            }
        }
    }
}

impl Deadline {
    /// Ends both directions of the socket, or wakes the task, after `time`.
    pub fn set(&self, time: Duration) {
        self.arm(time, Shutdown::Both, Use::Exchange);
    }

    /// As [`set`](Deadline::set), for a socket on which nothing is under way.
    pub fn set_idle(&self, time: Duration) {
        self.arm(time, Shutdown::Both, Use::Nothing);
    }

    /// Ends reading only, so that an answer can still be written.
    pub fn set_for_reading(&self, time: Duration) {
        self.arm(time, Shutdown::Read, Use::Exchange);
    }

    /// As [`set_for_reading`](Deadline::set_for_reading), for a side of a tunnel.
    pub fn set_for_tunnel(&self, time: Duration) {
        self.arm(time, Shutdown::Read, Use::Tunnel);
    }

    /// Fires now: what is pending ends.
    pub fn end(&self) {
        self.end_now(Shutdown::Both);
    }

    /// Fires now for reading only.
    pub fn end_reading(&self) {
        self.end_now(Shutdown::Read);
    }

    /// Lets the socket be closed with a reset, so that its peer does not take that for an end.
    pub fn reset_at_close(&self) {
        if let Action::Shutdown(socket) = self.table.borrow().entries[self.index as usize].action {
            #[expect(
                unsafe_code,
                reason = "a deadline is dropped before its socket is closed"
            )]
            // SAFETY: so the descriptor is open, and it is this socket's.
            let socket = unsafe { BorrowedFd::borrow_raw(socket) };
            // One that cannot be reset has gone already.
            let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        }
    }

    fn end_now(&self, end: Shutdown) {
        let table = &mut *self.table.borrow_mut();
        table.when[self.index as usize] = NEVER;
        let entry = &mut table.entries[self.index as usize];
        entry.end = end;
        entry.fire();
    }

    /// Takes back what was set, but not the limit.
    pub fn clear(&self) {
        let table = &mut *self.table.borrow_mut();
        let limit = table.limits[self.index as usize];
        table.when[self.index as usize] = limit;
        if limit != NEVER {
            let entry = &mut table.entries[self.index as usize];
            (entry.fired, entry.end, entry.used) = (false, Shutdown::Both, Use::Exchange);
        }
    }

    /// Whatever is set from now on, and if nothing is, it fires after `time`.
    pub fn limit(&self, time: Duration) {
        {
            let table = &mut *self.table.borrow_mut();
            let at = table.now.saturating_add(in_ticks(time)).min(NEVER - 1);
            table.limits[self.index as usize] = at;
        }
        self.clear();
    }

    /// Takes back the limit and what was set.
    pub fn lift(&self) {
        let table = &mut *self.table.borrow_mut();
        table.limits[self.index as usize] = NEVER;
        table.when[self.index as usize] = NEVER;
    }

    /// Counts the steps of time.
    pub fn now(&self) -> u32 {
        self.table.borrow().now
    }

    /// Whether it passed since it was set last.
    pub fn has_fired(&self) -> bool {
        self.table.borrow().entries[self.index as usize].fired
    }

    /// The task to wake. Only the last one counts.
    pub fn register(&self, waker: &Waker) {
        let entry = &mut self.table.borrow_mut().entries[self.index as usize];
        if let Action::Wake(registered) = &mut entry.action {
            *registered = Some(waker.clone());
        }
    }

    fn arm(&self, time: Duration, end: Shutdown, used: Use) {
        let table = &mut *self.table.borrow_mut();
        let ticks = in_ticks(time);
        let entry = &mut table.entries[self.index as usize];
        entry.fired = false;
        entry.end = end;
        entry.used = used;
        let at = table.now.saturating_add(ticks).min(NEVER - 1);
        table.when[self.index as usize] = at.min(table.limits[self.index as usize]);
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let table = &mut *self.table.borrow_mut();
        table.when[self.index as usize] = NEVER;
        table.limits[self.index as usize] = NEVER;
        table.entries[self.index as usize].action = Action::Wake(None);
        table.free.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn ticks(deadlines: &Deadlines, count: u32) {
        (0..count).for_each(|_| deadlines.tick());
    }

    #[test]
    fn a_deadline_fires_once_at_its_time_and_ends_the_read() {
        let (mut client, _server) = pair();
        let deadlines = Deadlines::default();
        let deadline = deadlines.socket(client.as_raw_fd());
        deadline.set(TICK * 3);
        ticks(&deadlines, 3);
        assert!(!deadline.has_fired());
        ticks(&deadlines, 1);
        assert!(deadline.has_fired());
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn reading_alone_can_be_ended() {
        let (client, mut server) = pair();
        let deadlines = Deadlines::default();
        let deadline = deadlines.socket(client.as_raw_fd());
        deadline.set_for_reading(Duration::ZERO);
        ticks(&deadlines, 1);
        assert!(deadline.has_fired());
        std::io::Write::write_all(&mut &client, b"answer").unwrap();
        let mut received = [0; 6];
        server.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"answer");
    }

    #[test]
    fn nothing_goes_beyond_a_limit_until_it_is_lifted() {
        let (client, _server) = pair();
        let deadlines = Deadlines::default();
        let deadline = deadlines.socket(client.as_raw_fd());
        deadline.limit(TICK * 3);
        deadline.set(TICK * 10);
        deadline.clear();
        ticks(&deadlines, 3);
        assert!(!deadline.has_fired());
        ticks(&deadlines, 1);
        assert!(deadline.has_fired());
        deadline.lift();
        deadline.set(TICK * 10);
        ticks(&deadlines, 10);
        assert!(!deadline.has_fired());
        ticks(&deadlines, 1);
        assert!(deadline.has_fired());
    }

    #[test]
    fn what_is_cleared_renewed_or_dropped_does_not_fire() {
        let (client, _server) = pair();
        let deadlines = Deadlines::default();
        let cleared = deadlines.socket(client.as_raw_fd());
        cleared.set(TICK);
        cleared.clear();
        let renewed = deadlines.socket(client.as_raw_fd());
        renewed.set(TICK);
        ticks(&deadlines, 1);
        renewed.set(TICK * 5);
        let dropped = deadlines.socket(client.as_raw_fd());
        dropped.set(TICK);
        drop(dropped);
        ticks(&deadlines, 4);
        assert!(!cleared.has_fired() && !renewed.has_fired());
        let reused = deadlines.task();
        assert!(!reused.has_fired());
    }
}
