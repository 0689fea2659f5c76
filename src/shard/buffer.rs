//! Memory lent to the kernel. The only `unsafe` of the product lives here.
//!
//! A completion-based read owns its buffer until it is done, so buffers are values that travel
//! into an operation and come back with it. One [`Buffer`] holds unread bytes at the front and
//! room for more behind them: a read appends, a parser consumes.
#![expect(
    unsafe_code,
    reason = "monoio's buffer traits hand raw pointers to the kernel"
)]

use monoio::buf::{IoBuf, IoBufMut};

/// A block of initialised memory with a window of live bytes.
#[derive(Debug, Default)]
pub struct Buffer {
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub fn with_capacity(capacity: usize) -> Buffer {
        Buffer {
            block: vec![0; capacity],
            start: 0,
            end: 0,
        }
    }

    /// The live bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Bytes that a read can still append.
    pub fn room(&self) -> usize {
        self.block.len() - self.end
    }

    pub fn capacity(&self) -> usize {
        self.block.len()
    }

    /// Drops `count` live bytes at the front.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.start += count;
        if self.start >= self.end {
            self.clear();
        }
    }

    /// Drops live bytes from the middle; what stands behind them moves up.
    pub fn remove(&mut self, range: std::ops::Range<usize>) {
        debug_assert!(range.start <= range.end && range.end <= self.len());
        let from = self.start + range.end;
        self.block
            .copy_within(from..self.end, self.start + range.start);
        self.end -= range.len();
    }

    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Moves the live bytes to the front, so that all the room is behind them.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Makes the whole block hold at least `capacity` bytes from the first live one on.
    pub fn reserve_total(&mut self, capacity: usize) {
        self.compact();
        if self.block.len() < capacity {
            self.block.resize(capacity, 0);
        }
    }

    /// Gives memory beyond `capacity` back, where no live byte stands there.
    pub fn shrink(&mut self, capacity: usize) {
        if self.block.len() > capacity {
            self.compact();
            if self.end <= capacity {
                self.block.truncate(capacity);
                self.block.shrink_to_fit();
            }
        }
    }

    pub fn append(&mut self, bytes: &[u8]) {
        if self.room() < bytes.len() {
            self.reserve_total(self.len() + bytes.len());
        }
        self.block[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }
}

// SAFETY: the block is heap memory that is not moved while the operation owns the value, and the
// window lies inside it: every method above keeps `start <= end <= block.len()`.
unsafe impl IoBuf for Buffer {
    fn read_ptr(&self) -> *const u8 {
        self.bytes().as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above; all of the block is initialised, and only the room behind `end` is lent, so
// `set_init` cannot pass the end of the block for a count that the kernel was allowed to write.
unsafe impl IoBufMut for Buffer {
    fn write_ptr(&mut self) -> *mut u8 {
        self.block[self.end..].as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.room()
    }

    unsafe fn set_init(&mut self, count: usize) {
        self.end = (self.end + count).min(self.block.len());
    }
}

/// A caller's buffer while what is received into it is not yet what the caller asked for: bytes
/// stand in its room, and the caller learns of them with [`keep`](Room::keep) only.
pub struct Room<T> {
    buffer: T,
    filled: usize,
}

impl<T: IoBufMut> Room<T> {
    pub fn new(buffer: T) -> Room<T> {
        Room { buffer, filled: 0 }
    }

    /// Bytes that can still be put there.
    pub fn left(&mut self) -> usize {
        self.buffer.bytes_total() - self.filled
    }

    pub fn len(&self) -> usize {
        self.filled
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// What stands there.
    pub fn bytes(&mut self) -> &[u8] {
        // SAFETY: `filled` bytes from `write_ptr` on lie inside the buffer and have been written,
        // by `push` or by the kernel that `set_init` speaks for.
        unsafe { std::slice::from_raw_parts(self.buffer.write_ptr(), self.filled) }
    }

    /// Puts as much as has room; tells how much.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let count = self.left().min(bytes.len());
        // SAFETY: `left` bytes behind those that are filled belong to the buffer, which nobody else
        // borrows, so that `bytes` is elsewhere.
        unsafe {
            let end = self.buffer.write_ptr().add(self.filled);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), end, count);
        }
        self.filled += count;
        count
    }

    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// The buffer with what stands there as read.
    pub fn keep(mut self) -> T {
        // SAFETY: so many bytes have been written.
        unsafe { self.buffer.set_init(self.filled) };
        self.buffer
    }

    /// The buffer as if nothing had been put there.
    pub fn forget(self) -> T {
        self.buffer
    }
}

// SAFETY: the memory is that of the caller's buffer, whose promises hold while it is owned here;
// the room behind what is filled is lent, and `set_init` counts what was written there.
unsafe impl<T: IoBufMut> IoBufMut for Room<T> {
    fn write_ptr(&mut self) -> *mut u8 {
        // SAFETY: `filled` is at most `bytes_total`.
        unsafe { self.buffer.write_ptr().add(self.filled) }
    }

    fn bytes_total(&mut self) -> usize {
        self.left()
    }

    unsafe fn set_init(&mut self, count: usize) {
        self.filled += count.min(self.left());
    }
}

/// The bytes of a buffer that somebody hands over to be written.
pub fn contents<T: IoBuf>(buffer: &T) -> &[u8] {
    // SAFETY: `bytes_init` bytes from `read_ptr` on are initialised and stay where they are, which
    // is what the trait promises.
    unsafe { std::slice::from_raw_parts(buffer.read_ptr(), buffer.bytes_init()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_room_of_a_buffer_is_told_at_the_end() {
        let mut buffer = Buffer::with_capacity(8);
        buffer.append(b"abc");
        let mut room = Room::new(buffer);
        assert_eq!((room.left(), room.push(b"secret!")), (5, 5));
        assert_eq!(room.bytes(), b"secre");
        assert_eq!(room.left(), 0);
        room.clear();
        assert_eq!(room.push(b"de"), 2);
        let mut room = Room::new(room.keep());
        room.push(b"xyz");
        assert_eq!(room.push(b"more"), 0);
        let buffer = room.forget();
        assert_eq!(contents(&buffer), b"abcde");
        let mut room = Room::new(Vec::with_capacity(4));
        room.push(b"ab");
        assert_eq!(contents(&room.keep()), b"ab");
    }

    #[test]
    fn reads_append_and_parsers_consume() {
        let mut buffer = Buffer::with_capacity(4);
        buffer.append(b"abc");
        buffer.consume(2);
        assert_eq!((buffer.bytes(), buffer.room()), (&b"c"[..], 1));
        buffer.append(b"defg");
        assert_eq!(buffer.bytes(), b"cdefg");
        buffer.consume(5);
        assert!(buffer.is_empty() && buffer.room() == buffer.capacity());
    }

    #[test]
    fn the_middle_can_be_taken_out() {
        let mut buffer = Buffer::with_capacity(8);
        buffer.append(b"xabcdef");
        buffer.consume(1);
        buffer.remove(1..4);
        assert_eq!(buffer.bytes(), b"aef");
        buffer.remove(3..3);
        buffer.remove(0..3);
        assert!(buffer.is_empty());
    }

    #[test]
    fn shrinking_keeps_what_is_alive() {
        let mut buffer = Buffer::with_capacity(2);
        buffer.append(b"abcdef");
        buffer.shrink(4);
        assert_eq!(buffer.bytes(), b"abcdef");
        buffer.consume(3);
        buffer.shrink(4);
        assert_eq!((buffer.bytes(), buffer.capacity()), (&b"def"[..], 4));
    }
}
