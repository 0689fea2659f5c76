//! Log lines from the shards to one writer: a bounded ring each, and a thread that may wait for the
//! disk. A line that finds no room is dropped whole and counted; a shard never waits.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

/// Bytes that wait for the writer, per shard: some 3,000 lines.
const RING: usize = 1 << 20;

/// How long lines may wait when there are few.
const PAUSE: Duration = Duration::from_millis(10);

/// Somebody who is handed lines.
pub type Listener = Box<dyn FnMut(&[u8]) + Send>;

/// Where lines go.
pub enum Sink {
    Stdout,
    Stderr,
    /// Appended to; opened anew after [`Log::reopener`], so that it can be rotated.
    File(PathBuf),
    /// Handed over in whole lines.
    Call(Listener),
}

/// A shard's end of its ring.
pub struct Lines {
    producer: Producer<u8>,
}

impl Lines {
    /// Takes a whole line. `false`: there was no room.
    pub fn push(&mut self, line: &[u8]) -> bool {
        let Ok(chunk) = self.producer.write_chunk_uninit(line.len()) else {
            return false;
        };
        chunk.fill_from_iter(line.iter().copied());
        true
    }
}

/// The writer.
pub struct Log {
    control: Arc<Control>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Control {
    ends: AtomicBool,
    reopens: AtomicBool,
}

impl Log {
    /// Starts the writer, and hands out one end for each shard. A file that cannot be opened shows
    /// here.
    pub fn start(sink: Sink, shards: usize) -> io::Result<(Log, Vec<Lines>)> {
        let mut output = Output::open(sink)?;
        let (lines, mut rings): (Vec<_>, Vec<_>) = (0..shards)
            .map(|_| {
                let (producer, consumer) = RingBuffer::new(RING);
                (Lines { producer }, consumer)
            })
            .unzip();
        let control = Arc::new(Control::default());
        let seen = control.clone();
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                loop {
                    // Looked at first, so that what was pushed before it is still written.
                    let ends = seen.ends.load(Ordering::Acquire);
                    if seen.reopens.swap(false, Ordering::AcqRel) {
                        output.reopen();
                    }
                    let written: usize =
                        rings.iter_mut().map(|ring| drain(ring, &mut output)).sum();
                    if ends && written == 0 {
                        return;
                    }
                    if written == 0 {
                        std::thread::park_timeout(PAUSE);
                    }
                }
            })?;
        Ok((Log { control, thread }, lines))
    }

    /// Opens a file again under its name when it is called.
    pub fn reopener(&self) -> impl Fn() + Send + use<> {
        let control = self.control.clone();
        move || control.reopens.store(true, Ordering::Release)
    }

    /// Writes what is left and ends. The shards must have ended before.
    pub fn finish(self) {
        self.control.ends.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // A writer that panicked has nothing left to say.
        let _ = self.thread.join();
    }
}

/// Moves what is in a ring; lines are pushed whole, so it always ends with a line.
fn drain(ring: &mut Consumer<u8>, output: &mut Output) -> usize {
    let Ok(chunk) = ring.read_chunk(ring.slots()) else {
        return 0;
    };
    let count = chunk.len();
    if count > 0 {
        let (first, second) = chunk.as_slices();
        output.write(first, second);
        chunk.commit_all();
    }
    count
}

enum Output {
    Stream(Box<dyn Write + Send>),
    File(File, PathBuf),
    Call(Listener, Vec<u8>),
}

impl Output {
    fn open(sink: Sink) -> io::Result<Output> {
        Ok(match sink {
            Sink::Stdout => Output::Stream(Box::new(io::stdout())),
            Sink::Stderr => Output::Stream(Box::new(io::stderr())),
            Sink::File(path) => Output::File(append(&path)?, path),
            Sink::Call(call) => Output::Call(call, Vec::new()),
        })
    }

    fn reopen(&mut self) {
        if let Output::File(file, path) = self
            && let Ok(fresh) = append(path)
        {
            *file = fresh;
        }
    }

    /// What cannot be written is lost: there is nowhere left to say so.
    fn write(&mut self, first: &[u8], second: &[u8]) {
        let _ = match self {
            Output::Stream(stream) => stream
                .write_all(first)
                .and_then(|()| stream.write_all(second))
                .and_then(|()| stream.flush()),
            Output::File(file, _) => file.write_all(first).and_then(|()| file.write_all(second)),
            Output::Call(call, whole) => {
                whole.clear();
                whole.extend_from_slice(first);
                whole.extend_from_slice(second);
                call(whole);
                Ok(())
            }
        };
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn lines_arrive_whole_from_every_shard() {
        let (sender, receiver) = mpsc::channel();
        let sink = Sink::Call(Box::new(move |bytes| {
            let _ = sender.send(bytes.to_vec());
        }));
        let (log, lines) = Log::start(sink, 2).unwrap();
        let writers: Vec<_> = lines
            .into_iter()
            .enumerate()
            .map(|(shard, mut lines)| {
                std::thread::spawn(move || {
                    (0..2000)
                        .filter(|n| lines.push(format!("{shard} {n}\n").as_bytes()))
                        .count()
                })
            })
            .collect();
        let pushed: usize = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
        log.finish();
        let text = String::from_utf8(receiver.iter().flatten().collect()).unwrap();
        assert_eq!(text.lines().count(), pushed);
        for shard in 0..2 {
            let numbers = text
                .lines()
                .filter_map(|line| line.strip_prefix(&format!("{shard} ")));
            let numbers: Vec<u32> = numbers.map(|n| n.parse().unwrap()).collect();
            assert!(numbers.is_sorted() && !numbers.is_empty());
        }
    }

    #[test]
    fn a_full_ring_drops_whole_lines() {
        let (producer, consumer) = RingBuffer::new(10);
        let mut lines = Lines { producer };
        assert!(lines.push(b"12345\n"));
        assert!(!lines.push(b"12345\n"));
        assert!(lines.push(b"123\n"));
        assert_eq!(consumer.slots(), 10);
    }
}
