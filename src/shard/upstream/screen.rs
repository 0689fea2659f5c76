//! What a body goes through between client and backend: its framing, and where the contract checks
//! it on the way, the check.

use std::cell::RefCell;

use crate::policy::contract::Detail;
use crate::policy::contract::sieve::Sieve;
use crate::policy::denial::Denial;
use crate::policy::pipeline::State;
use crate::proto::body::Framing;
use crate::proto::transcode::Transcoder;

/// How a body passes.
pub enum Passage<'a> {
    /// Looked at by nobody, with so many bytes of content at most.
    AsItComes(Transcoder, u64),
    Checked(Box<Screen<'a>>),
}

/// A body that is checked record by record. What is good leaves in chunks; the last of them, without
/// which no request is whole, when all of it was good.
pub struct Screen<'a> {
    input: Transcoder,
    sieve: Sieve<'a>,
    output: Transcoder,
    state: &'a RefCell<State>,
    /// Content as it came, and what of it may go on; kept for their memory.
    content: Vec<u8>,
    good: Vec<u8>,
    detail: String,
}

impl<'a> Screen<'a> {
    pub fn new(framing: Framing, sieve: Sieve<'a>, state: &'a RefCell<State>) -> Screen<'a> {
        Screen {
            input: Transcoder::new(framing, Framing::None),
            sieve,
            output: Transcoder::new(Framing::UntilClose, Framing::Chunked),
            state,
            content: Vec::new(),
            good: Vec::new(),
            detail: String::new(),
        }
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Denial> {
        self.content.clear();
        let used = self.input.feed(bytes, &mut self.content);
        let used = used.map_err(Denial::Malformed)?;
        if self.input.content() > self.sieve.bounds().body {
            return Err(Denial::BodyTooLarge);
        }
        self.good.clear();
        self.sift()?;
        let written = self.output.feed(&self.good, out);
        written.map_err(Denial::Malformed)?;
        if self.input.is_done() && self.output.close(out).is_err() {
            return Err(Denial::Incomplete);
        }
        Ok(used)
    }

    fn sift(&mut self) -> Result<(), Denial> {
        let mut state = self.state.borrow_mut();
        let scratch = &mut state.scratch;
        let (sieve, good) = (&mut self.sieve, &mut self.good);
        let mut outcome = scratch.sift(sieve, Some(&self.content), good);
        if outcome.is_ok() && self.input.is_done() {
            outcome = scratch.sift(sieve, None, good);
        }
        if outcome.is_err() {
            // Before another request uses the same memory.
            self.detail = scratch.detail().map_or_else(String::new, Detail::to_string);
        }
        outcome
    }
}

impl Passage<'_> {
    /// Appends what `bytes` bring to `out` and says how many of them belonged to the body.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Denial> {
        match self {
            Passage::AsItComes(coder, _) => {
                let used = coder.feed(bytes, out).map_err(Denial::Malformed)?;
                match self.is_too_long() {
                    true => Err(Denial::BodyTooLarge),
                    false => Ok(used),
                }
            }
            Passage::Checked(screen) => screen.feed(bytes, out),
        }
    }

    /// Whether the next `count` bytes are content that leaves as it comes.
    pub fn passes(&mut self, count: usize) -> bool {
        match self {
            Passage::AsItComes(coder, _) => coder.passes(count),
            Passage::Checked(_) => false,
        }
    }

    /// Whether more has come than may.
    pub fn is_too_long(&self) -> bool {
        match self {
            Passage::AsItComes(coder, most) => coder.content() > *most,
            Passage::Checked(screen) => screen.input.content() > screen.sieve.bounds().body,
        }
    }

    pub fn is_done(&self) -> bool {
        match self {
            Passage::AsItComes(coder, _) => coder.is_done(),
            Passage::Checked(screen) => screen.input.is_done(),
        }
    }

    /// Bytes of content so far.
    pub fn content(&self) -> u64 {
        match self {
            Passage::AsItComes(coder, _) => coder.content(),
            Passage::Checked(screen) => screen.input.content(),
        }
    }

    /// What exactly the check refused; empty where it refused nothing.
    pub fn into_detail(self) -> String {
        match self {
            Passage::AsItComes(..) => String::new(),
            Passage::Checked(screen) => screen.detail,
        }
    }
}
