//! A place that an inspection goes back to: where another record, or another answer, is looked at
//! in place of the last one.

use crate::policy::waf::body;
use crate::policy::waf::candidates::{self, Candidates};
use crate::policy::waf::draft::{Engine, Scope};
use crate::policy::waf::message::Processor;
use crate::policy::waf::state::State;
use crate::policy::waf::tx::Tx;
use crate::policy::waf::values;

/// What changes while rules run. Findings are kept.
#[derive(Debug, Default)]
pub struct Mark {
    tx: Tx,
    values: values::Mark,
    candidates: candidates::Mark,
    engine: Engine,
    processor: Processor,
    force_body: bool,
    body_fault: Option<body::Error>,
    allowed: Option<Scope>,
    removed: usize,
    exempt: usize,
    steps: usize,
}

impl Mark {
    pub fn set(&mut self, state: &State, candidates: &Candidates, allowed: Option<Scope>) {
        self.tx.copy(&state.tx);
        self.values = state.values.mark();
        self.candidates = candidates.mark();
        self.engine = state.engine;
        self.processor = state.processor;
        self.force_body = state.force_body;
        self.body_fault = state.body_fault;
        self.allowed = allowed;
        self.removed = state.removed.len();
        self.exempt = state.exempt.len();
        self.steps = state.steps;
    }

    /// Back to where it was set.
    pub fn restore(
        &self,
        state: &mut State,
        candidates: &mut Candidates,
        allowed: &mut Option<Scope>,
    ) {
        state.tx.copy(&self.tx);
        state.values.rewind(self.values);
        candidates.rewind(self.candidates);
        state.engine = self.engine;
        state.processor = self.processor;
        state.force_body = self.force_body;
        state.body_fault = self.body_fault;
        state.removed.truncate(self.removed);
        state.exempt.truncate(self.exempt);
        state.steps = self.steps;
        *allowed = self.allowed;
    }
}
