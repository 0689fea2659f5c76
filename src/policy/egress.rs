//! The stages that a backend's answer passes before the client sees any of it.
//!
//! The head is judged first and says whether the body has to be seen. Until then nothing of the
//! answer has left, so a refusal can still be told in its place.

use crate::policy::catalogue::Operation;
use crate::policy::contract::ResponseContract;
use crate::policy::contract::response::{Expected, Stream, UndeclaredFields};
use crate::policy::denial::Denial;
use crate::policy::identity::Principal;
use crate::policy::leak::Watch;
use crate::policy::pipeline::State;
use crate::proto::head::{Field, ResponseHead};

/// The head of an answer.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    pub head: &'a ResponseHead,
    /// The bytes that `head` points into.
    pub bytes: &'a [u8],
    /// Whether it answers a `HEAD`.
    pub to_head: bool,
}

/// What was found wrong with an answer, whatever came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub denial: Denial,
    /// For the log.
    pub detail: String,
}

/// An answer whose head may leave, with its body or after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    expected: Expected,
    /// A fault that is let pass, or what was taken out.
    pub reported: Option<Fault>,
}

/// Judges the head of an answer.
pub fn check_head(
    operation: &Operation,
    state: &mut State,
    answer: Answer<'_>,
) -> Result<Passed, Fault> {
    let Some(contract) = &operation.response else {
        return Ok(Passed::default());
    };
    let Answer {
        head,
        bytes,
        to_head,
    } = answer;
    let outcome = contract.check_head(head, bytes, to_head, &mut state.scratch);
    judged(outcome, None, state)
}

/// `earlier`: what has been let pass before.
fn judged(
    outcome: Result<Expected, Denial>,
    earlier: Option<Fault>,
    state: &State,
) -> Result<Passed, Fault> {
    let fault = |denial| Fault {
        denial,
        detail: state.scratch.details().to_string(),
    };
    let expected = outcome.map_err(fault)?;
    Ok(Passed {
        expected,
        reported: earlier.or_else(|| expected.reported.map(fault)),
    })
}

impl Passed {
    /// The head of a switch of protocols, of which only the fields are asked about.
    pub fn switch(operation: &Operation) -> Passed {
        let contract = operation.response.as_ref();
        Passed {
            expected: contract.map_or_else(Expected::default, ResponseContract::of_switch),
            reported: None,
        }
    }

    /// The longest body that has to be seen before any of it may leave; none: it leaves as it
    /// comes.
    pub fn longest(&self, operation: &Operation) -> Option<usize> {
        let contract = operation.response.as_ref()?;
        let is_collected = self.expected.is_read() && contract.stream(self.expected).is_none();
        is_collected.then(|| contract.max_body())
    }

    /// For a body whose records are judged one by one; none where it leaves whole.
    pub fn records<'o>(&self, operation: &'o Operation) -> Option<Records<'o>> {
        let contract = operation.response.as_ref()?;
        Some(Records {
            stream: contract.stream(self.expected)?,
            watch: operation.leaks.as_ref(),
            leaked: None,
        })
    }

    /// Takes note of a fault that is let pass, unless there was another one before.
    pub fn note(&mut self, fault: Option<Fault>) {
        if self.reported.is_none() {
            self.reported = fault;
        }
    }

    /// Whether a field may leave. One that nothing declares is noted, also where it may.
    pub fn keeps(
        &self,
        operation: &Operation,
        (field, bytes): (&Field, &[u8]),
        undeclared: &mut UndeclaredFields,
    ) -> bool {
        let named = (field.kind, field.name.of(bytes));
        let contract = operation.response.as_ref();
        contract.is_none_or(|contract| contract.keeps(self.expected, named, undeclared))
    }

    /// Whether what leaves depends on who reads it.
    pub fn is_personal(&self, operation: &Operation) -> bool {
        let contract = operation.response.as_ref();
        contract.is_some_and(|contract| contract.is_personal(self.expected))
    }

    /// Judges the body: the whole content without its framing. `reader` gets it.
    pub fn check_body(
        self,
        operation: &Operation,
        state: &mut State,
        body: &[u8],
        reader: Option<&Principal>,
    ) -> Result<Passed, Fault> {
        let Some(contract) = &operation.response else {
            return Ok(self);
        };
        let sees = |names: &[Box<str>]| reader.is_some_and(|reader| reader.is_any_of(names));
        let outcome = contract.check_body(self.expected, body, &sees, &mut state.scratch);
        let passed = judged(outcome, self.reported, state)?;
        let Some(watch) = &operation.leaks else {
            return Ok(passed);
        };
        match passed.is_changed() {
            true => passed.watched(watch, state.scratch.rewritten()),
            false => passed.watched(watch, body),
        }
    }

    /// Whether the body that leaves is that of [`Scratch::rewritten`], and not the one that came.
    ///
    /// [`Scratch::rewritten`]: crate::policy::contract::Scratch::rewritten
    pub fn is_changed(&self) -> bool {
        self.expected.is_changed
    }

    /// Looks for what the answer must not tell.
    fn watched(mut self, watch: &Watch, body: &[u8]) -> Result<Passed, Fault> {
        let Some(leak) = watch.leaks.find(body) else {
            return Ok(self);
        };
        let fault = Fault {
            denial: Denial::LeakDetected,
            detail: format!("{} at byte {}", leak.rule, leak.at),
        };
        if watch.blocks {
            return Err(fault);
        }
        self.reported.get_or_insert(fault);
        Ok(self)
    }

    /// Judges a body that is longer than [`longest`](Passed::longest). What passes may leave as it
    /// comes.
    pub fn too_long(self, operation: &Operation, state: &mut State) -> Result<Passed, Fault> {
        let Some(contract) = &operation.response else {
            return Ok(self);
        };
        let outcome = contract.too_long(self.expected, &mut state.scratch);
        let passed = judged(outcome, self.reported, state)?;
        // What must not leak does not leave unread.
        match (&operation.leaks, passed.reported.clone()) {
            (Some(Watch { blocks: true, .. }), Some(fault)) => Err(fault),
            _ => Ok(passed),
        }
    }
}

/// The records of an answer on their way to the client.
pub struct Records<'o> {
    stream: Stream<'o>,
    watch: Option<&'o Watch>,
    /// What was found that must not leak, and is let pass.
    leaked: Option<Fault>,
}

impl Records<'_> {
    /// How much there is of a record that is not whole yet.
    pub fn pending(&self) -> usize {
        self.stream.pending()
    }

    /// Judges the next piece of the content, or its end, for `reader`. What may leave is appended to
    /// `out`.
    pub fn next(
        &mut self,
        piece: Option<&[u8]>,
        state: &mut State,
        reader: Option<&Principal>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let sees = |names: &[Box<str>]| reader.is_some_and(|reader| reader.is_any_of(names));
        let (start, scratch) = (out.len(), &mut state.scratch);
        let judged = match piece {
            Some(piece) => self.stream.feed(piece, &sees, scratch, out),
            None => self.stream.finish(&sees, scratch, out),
        };
        let judged = judged.map_err(|denial| Fault {
            denial,
            detail: scratch.details().to_string(),
        });
        self.watch_for_leaks(start, out)?;
        judged
    }

    fn watch_for_leaks(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        let found = |watch: &Watch| {
            watch
                .leaks
                .find(&out[start..])
                .map(|leak| (watch.blocks, leak))
        };
        let Some((blocks, leak)) = self.watch.and_then(found) else {
            return Ok(());
        };
        let fault = Fault {
            denial: Denial::LeakDetected,
            detail: format!("{} in a record", leak.rule),
        };
        if blocks {
            out.truncate(start);
            return Err(fault);
        }
        self.leaked.get_or_insert(fault);
        Ok(())
    }

    /// The first fault that was let pass.
    pub fn reported(&self) -> Option<Fault> {
        let noted = self.stream.reported().map(|(denial, detail)| Fault {
            denial: *denial,
            detail: detail.clone(),
        });
        noted.or_else(|| self.leaked.clone())
    }
}
