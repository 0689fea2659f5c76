//! A body on its way from one framing to another, piece by piece.

use super::Error;
use super::body::{Chunked, Event, Framing};

/// Where the end of the incoming body is.
#[derive(Clone, Debug)]
enum Input {
    Remaining(u64),
    Chunked(Chunked),
    UntilClose,
}

/// Reads a body in the framing it comes in and writes it in the one it leaves in.
#[derive(Clone, Debug)]
pub struct Transcoder {
    input: Input,
    writes_chunks: bool,
    is_done: bool,
    content: u64,
}

/// The peer closed before the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

/// Digits of a chunk size that is written before the size is known; leading zeros are allowed
/// (RFC 9112 section 7.1).
const SIZE_DIGITS: usize = 8;

impl Transcoder {
    /// From `input` to chunks, or to the bare content for every other `output`.
    pub fn new(input: Framing, output: Framing) -> Transcoder {
        Transcoder {
            input: match input {
                Framing::None => Input::Remaining(0),
                Framing::Length(length) => Input::Remaining(length),
                Framing::Chunked => Input::Chunked(Chunked::default()),
                Framing::UntilClose => Input::UntilClose,
            },
            writes_chunks: output == Framing::Chunked,
            is_done: matches!(input, Framing::None | Framing::Length(0)),
            content: 0,
        }
    }

    /// Goes on in chunks; `content`, all that was written so far, becomes the first of them.
    pub fn turn_to_chunks(&mut self, content: &mut Vec<u8>) {
        let size = *b"00000000\r\n";
        content.splice(0..0, size);
        finish_chunk(content, 0, SIZE_DIGITS + 2);
        if self.is_done {
            content.extend_from_slice(b"0\r\n\r\n");
        }
        self.writes_chunks = true;
    }

    /// Whether all of the body has been read and written.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Bytes of content so far.
    pub fn content(&self) -> u64 {
        self.content
    }

    /// Appends what `bytes` bring to `out` and says how many of them belonged to the body.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Error> {
        if self.is_done || bytes.is_empty() {
            return Ok(0);
        }
        let from = out.len();
        if self.writes_chunks {
            out.extend_from_slice(&[b'0'; SIZE_DIGITS]);
            out.extend_from_slice(b"\r\n");
        }
        let start = out.len();
        let consumed = self.content_of(bytes, out)?;
        self.content += (out.len() - start) as u64;
        if self.writes_chunks {
            finish_chunk(out, from, start);
            if self.is_done {
                out.extend_from_slice(b"0\r\n\r\n");
            }
        }
        Ok(consumed)
    }

    /// Whether the next `count` bytes are content and leave as they come. If so, they count as read
    /// and written: whoever has them sends them himself.
    pub fn passes(&mut self, count: usize) -> bool {
        if self.is_done || self.writes_chunks || count == 0 {
            return false;
        }
        match &mut self.input {
            Input::Remaining(remaining) if *remaining >= count as u64 => {
                *remaining -= count as u64;
                self.is_done = *remaining == 0;
            }
            Input::UntilClose => {}
            Input::Remaining(_) | Input::Chunked(_) => return false,
        }
        self.content += count as u64;
        true
    }

    /// The peer closed: the end of a body without a length, too early for every other.
    pub fn close(&mut self, out: &mut Vec<u8>) -> Result<(), Truncated> {
        match self.input {
            Input::UntilClose if !self.is_done => {
                self.is_done = true;
                if self.writes_chunks {
                    out.extend_from_slice(b"0\r\n\r\n");
                }
                Ok(())
            }
            _ if self.is_done => Ok(()),
            Input::UntilClose | Input::Remaining(_) | Input::Chunked(_) => Err(Truncated),
        }
    }

    fn content_of(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Error> {
        match &mut self.input {
            Input::Remaining(remaining) => {
                // The smaller of the two fits, because one of them is a slice length.
                let count = (*remaining).min(bytes.len() as u64);
                out.extend_from_slice(&bytes[..count as usize]);
                *remaining -= count;
                self.is_done = *remaining == 0;
                Ok(count as usize)
            }
            Input::UntilClose => {
                out.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Input::Chunked(decoder) => {
                let mut at = 0;
                loop {
                    match decoder.next(&bytes[at..])? {
                        Event::Data { skip, data } => {
                            out.extend_from_slice(&bytes[at + skip..at + skip + data]);
                            at += skip + data;
                        }
                        Event::NeedMore { skip } => return Ok(at + skip),
                        Event::End { skip } => {
                            self.is_done = true;
                            return Ok(at + skip);
                        }
                    }
                }
            }
        }
    }
}

/// Writes the size in front of a chunk's content, or takes an empty chunk back: it would end the
/// body.
fn finish_chunk(out: &mut Vec<u8>, from: usize, start: usize) {
    let mut size = out.len() - start;
    if size == 0 {
        out.truncate(from);
        return;
    }
    for digit in out[from..from + SIZE_DIGITS].iter_mut().rev() {
        *digit = b"0123456789abcdef"[size & 0xf];
        size >>= 4;
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `wire` in pieces of `step` bytes; the output and how many bytes were the body's.
    fn run(mut coder: Transcoder, wire: &[u8], step: usize) -> (Vec<u8>, usize) {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < wire.len() && !coder.is_done() {
            let end = (at + step).min(wire.len());
            at += coder.feed(&wire[at..end], &mut out).unwrap();
        }
        if coder.close(&mut out).is_err() {
            panic!("truncated");
        }
        (out, at)
    }

    #[test]
    fn what_leaves_as_it_comes_is_counted_and_no_byte_beyond_the_end_passes() {
        let mut coder = Transcoder::new(Framing::Length(10), Framing::Length(10));
        assert!(coder.passes(4) && !coder.passes(0) && !coder.passes(7));
        assert_eq!((coder.content(), coder.is_done()), (4, false));
        assert!(coder.passes(6) && coder.is_done() && !coder.passes(1));
        let mut endless = Transcoder::new(Framing::UntilClose, Framing::UntilClose);
        assert!(endless.passes(5) && !endless.is_done());
        for (input, output) in [
            (Framing::Length(10), Framing::Chunked),
            (Framing::UntilClose, Framing::Chunked),
            (Framing::Chunked, Framing::Chunked),
            (Framing::Chunked, Framing::UntilClose),
            (Framing::None, Framing::None),
        ] {
            assert!(
                !Transcoder::new(input, output).passes(1),
                "{input:?} to {output:?}"
            );
        }
    }

    #[test]
    fn what_turns_to_chunks_is_ended_however_much_has_come() {
        let wire = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for at in 1..=wire.len() {
            let mut coder = Transcoder::new(Framing::Chunked, Framing::None);
            let mut out = Vec::new();
            let used = coder.feed(&wire[..at], &mut out).unwrap();
            assert_eq!(used, at);
            coder.turn_to_chunks(&mut out);
            let rest = coder.feed(&wire[at..], &mut out).unwrap();
            assert_eq!((rest, coder.is_done()), (wire.len() - at, true));
            let (content, _) = run(Transcoder::new(Framing::Chunked, Framing::None), &out, 1000);
            assert_eq!(content, b"abcde", "{at}");
        }
    }

    proptest! {
        #[test]
        fn content_survives_every_pair_of_framings_and_every_split(
            content in proptest::collection::vec(any::<u8>(), 0..200),
            step in 1_usize..64,
        ) {
            let length = Framing::Length(content.len() as u64);
            let (chunks, _) = run(Transcoder::new(Framing::UntilClose, Framing::Chunked), &content, step);
            for (wire, input) in [(&content, length), (&content, Framing::UntilClose), (&chunks, Framing::Chunked)] {
                let (plain, used) = run(Transcoder::new(input, length), wire, step);
                prop_assert_eq!(&plain, &content);
                prop_assert_eq!(used, wire.len());
                if input != length || !content.is_empty() {
                    let (coded, _) = run(Transcoder::new(input, Framing::Chunked), wire, step);
                    let (back, _) = run(Transcoder::new(Framing::Chunked, length), &coded, 7);
                    prop_assert_eq!(&back, &content);
                }
            }
        }
    }

    #[test]
    fn what_follows_the_body_is_left_alone() {
        for (wire, input) in [
            (&b"abcGET /"[..], Framing::Length(3)),
            (b"3\r\nabc\r\n0\r\n\r\nGET /", Framing::Chunked),
        ] {
            let mut coder = Transcoder::new(input, Framing::UntilClose);
            let mut out = Vec::new();
            let used = coder.feed(wire, &mut out).unwrap();
            assert!(coder.is_done() && coder.content() == 3);
            assert_eq!((&out[..], &wire[used..]), (&b"abc"[..], &b"GET /"[..]));
            assert_eq!(coder.feed(&wire[used..], &mut out), Ok(0));
        }
    }

    #[test]
    fn an_early_end_is_told() {
        let mut out = Vec::new();
        for input in [Framing::Length(4), Framing::Chunked] {
            let mut coder = Transcoder::new(input, Framing::Chunked);
            coder.feed(b"3\r\n", &mut out).unwrap();
            assert_eq!(coder.close(&mut out), Err(Truncated), "{input:?}");
        }
        assert!(!out.ends_with(b"0\r\n\r\n"));
        assert!(Transcoder::new(Framing::None, Framing::None).is_done());
    }
}
