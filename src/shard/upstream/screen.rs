//! What a body goes through between client and backend: its framing, and where contract and rules
//! check it on the way, the check.

use std::cell::RefCell;

use crate::policy::contract::sieve::Sieve;
use crate::policy::denial::Denial;
use crate::policy::pipeline::{Cleared, State};
use crate::policy::waf::found::Found;
use crate::policy::waf::fuel::Fuel;
use crate::policy::waf::stage::{Progress, Protection, Running, Workspace};
use crate::proto::body::Framing;
use crate::proto::transcode::Transcoder;
use crate::shard::Shard;
use crate::shard::load::Held;
use crate::shard::upstream::outbound::Around;

/// What a record costs beside its bytes: rules that run whatever it holds.
const RECORD: usize = 512;

/// Steps of patterns that backtrack, for the time of a byte that rules look at.
const STEPS: usize = 8;

/// How a body passes.
pub enum Passage<'a> {
    /// Looked at by nobody, with so many bytes of content at most.
    AsItComes(Transcoder, u64),
    Checked(Box<Screen<'a>>),
}

/// What became of bytes that came.
pub struct Fed {
    /// So many of them belonged to the body.
    pub used: usize,
    /// There is more to look at in them once others have had their turn.
    pub is_paused: bool,
}

/// A body that is checked record by record. What is good leaves in chunks; the last of them, without
/// which no request is whole, when all of it was good.
pub struct Screen<'a> {
    input: Transcoder,
    sieve: Sieve<'a>,
    rules: Option<Rules<'a>>,
    output: Transcoder,
    state: &'a RefCell<State>,
    /// Content as it came, and how much of it went through the sieve; kept for its memory.
    content: Vec<u8>,
    sifted: usize,
    /// What went through, and how much of that rules let pass.
    good: Vec<u8>,
    passed: usize,
    /// The memory of both.
    held: Held,
    is_finished: bool,
    is_ended: bool,
    left: Left,
}

/// What is told of a body that was looked at on its way.
#[derive(Default)]
pub struct Left {
    /// What exactly the contract refused.
    pub detail: String,
    pub found: Found,
}

/// The rules of the WAF that look at each record.
pub struct Rules<'a> {
    around: Around<'a>,
    protection: &'a Protection,
    look: Look,
}

/// Where the rules are.
enum Look {
    /// They wait for a record.
    Idle(Running),
    /// At a record, or at what they have left to say at the end.
    Open(Running),
    Over,
}

impl<'a> Screen<'a> {
    pub fn new(
        framing: Framing,
        sieve: Sieve<'a>,
        rules: Option<Rules<'a>>,
        (shard, held): (&'a Shard, Held),
    ) -> Screen<'a> {
        Screen {
            input: Transcoder::new(framing, Framing::None),
            sieve,
            rules,
            output: Transcoder::new(Framing::UntilClose, Framing::Chunked),
            state: &shard.state,
            content: Vec::new(),
            sifted: 0,
            good: Vec::new(),
            passed: 0,
            held,
            is_finished: false,
            is_ended: false,
            left: Left::default(),
        }
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Fed, Denial> {
        let mut used = 0;
        // Of what came before nothing is left.
        if self.sifted == self.content.len() && self.passed == self.good.len() {
            self.content.clear();
            self.sifted = 0;
            used = self
                .input
                .feed(bytes, &mut self.content)
                .map_err(Denial::Malformed)?;
            if self.input.content() > self.sieve.bounds().body {
                return Err(Denial::BodyTooLarge);
            }
        }
        let is_paused = !self.sift()?;
        self.hold()?;
        let written = self.output.feed(&self.good[..self.passed], out);
        written.map_err(Denial::Malformed)?;
        self.good.drain(..self.passed);
        self.passed = 0;
        self.hold()?;
        self.is_ended = !is_paused && self.is_finished;
        if self.is_ended && self.output.close(out).is_err() {
            return Err(Denial::Incomplete);
        }
        Ok(Fed { used, is_paused })
    }

    /// Counts what stands here, a record that is not whole yet above all, among all that the shard
    /// holds.
    fn hold(&mut self) -> Result<(), Denial> {
        let left = self.content.len() - self.sifted;
        let amount = left + self.sieve.pending() + self.good.len();
        match self.held.turn_to(amount) {
            true => Ok(()),
            false => Err(Denial::Overloaded),
        }
    }

    /// Takes what came through sieve and rules. False: others get their turn first.
    fn sift(&mut self) -> Result<bool, Denial> {
        let state = &mut *self.state.borrow_mut();
        let mut fuel = Fuel::slice();
        loop {
            if let Some(rules) = &mut self.rules
                && !rules.advance(&mut state.waf, &mut fuel, &mut self.left.found)?
            {
                return Ok(false);
            }
            self.passed = self.good.len();
            if fuel.is_spent() {
                return Ok(false);
            }
            let piece = &self.content[self.sifted..];
            let piece = match piece.is_empty() {
                false => Some(piece),
                true if self.input.is_done() && !self.is_finished => None,
                true if self.is_finished => {
                    let rules = self.rules.as_mut();
                    match rules.is_some_and(|rules| rules.enter_end(&mut state.waf)) {
                        true => continue,
                        false => return Ok(true),
                    }
                }
                true => return Ok(true),
            };
            self.is_finished = piece.is_none();
            let cut = state.scratch.sift(&mut self.sieve, piece, &mut self.good);
            let cut = cut.inspect_err(|_| {
                // Before another request uses the same memory.
                self.left.detail = state.scratch.details().to_string();
            })?;
            self.sifted += cut.used;
            if let Some(record) = cut.record {
                let text = &self.good[record.place];
                fuel.spend(RECORD + text.len() + state.scratch.pattern_steps() / STEPS);
                if let Some(rules) = &mut self.rules {
                    rules.enter(&mut state.waf, (text, record.index));
                }
            }
        }
    }
}

impl<'a> Rules<'a> {
    /// None: rules do not look at the body of this request.
    pub fn of(around: Around<'a>, cleared: &Cleared) -> Option<Rules<'a>> {
        Some(Rules {
            protection: around.operation.waf.as_ref()?,
            around,
            look: Look::Idle(cleared.take_records()?),
        })
    }

    fn enter(&mut self, waf: &mut Workspace, record: (&[u8], Option<usize>)) {
        let rules = (&*self.around.snapshot.waf, self.protection);
        self.look = match std::mem::replace(&mut self.look, Look::Over) {
            Look::Idle(mut running) => {
                waf.enter_record(rules, &mut running, record);
                Look::Open(running)
            }
            other => other,
        };
    }

    /// There are no more records. False: all has been said.
    fn enter_end(&mut self, waf: &mut Workspace) -> bool {
        self.look = match std::mem::replace(&mut self.look, Look::Over) {
            Look::Idle(mut running) => {
                waf.enter_end(&self.around.snapshot.waf, self.protection, &mut running);
                Look::Open(running)
            }
            other => other,
        };
        matches!(self.look, Look::Open(_))
    }

    /// Goes on with what was entered. False: there is more to do, but no fuel.
    fn advance(
        &mut self,
        waf: &mut Workspace,
        fuel: &mut Fuel,
        found: &mut Found,
    ) -> Result<bool, Denial> {
        let running = match std::mem::replace(&mut self.look, Look::Over) {
            Look::Open(running) => running,
            other => {
                self.look = other;
                return Ok(true);
            }
        };
        let sets = &self.around.snapshot.waf;
        match waf.advance(sets, self.protection, running, None, fuel) {
            Progress::Paused(running) => {
                self.look = Look::Open(running);
                Ok(false)
            }
            Progress::Waiting(running) => {
                found.add(waf.take_found());
                self.look = Look::Idle(running);
                Ok(true)
            }
            Progress::Done(outcome) => {
                found.add(waf.take_found());
                outcome.map(|()| true)
            }
        }
    }
}

impl Passage<'_> {
    /// Appends what `bytes` bring to `out` and says how many of them belonged to the body.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Fed, Denial> {
        match self {
            Passage::AsItComes(coder, _) => {
                let used = coder.feed(bytes, out).map_err(Denial::Malformed)?;
                match self.is_too_long() {
                    true => Err(Denial::BodyTooLarge),
                    false => Ok(Fed {
                        used,
                        is_paused: false,
                    }),
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
            Passage::Checked(screen) => screen.is_ended,
        }
    }

    /// Bytes of content so far.
    pub fn content(&self) -> u64 {
        match self {
            Passage::AsItComes(coder, _) => coder.content(),
            Passage::Checked(screen) => screen.input.content(),
        }
    }

    /// What the check has to tell.
    pub fn into_left(self) -> Left {
        match self {
            Passage::AsItComes(..) => Left::default(),
            Passage::Checked(screen) => screen.left,
        }
    }
}
