//! The stages, in order. The only maker of [`Cleared`], without which nothing goes upstream.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::policy::authn::{SignatureCache, TokenError, bearer};
use crate::policy::authz::Place;
use crate::policy::catalogue::{Authentication, Operation};
use crate::policy::contract::sieve::Sieve;
use crate::policy::contract::{Body, Details, Scratch};
use crate::policy::denial::Denial;
use crate::policy::identity::Principal;
use crate::policy::inspector::{Asked, Inspector, OnFailure, Verdict};
use crate::policy::ratelimit::{Cells, Leases, Limited, Remaining};
use crate::policy::route::Match;
use crate::policy::snapshot::Snapshot;
use crate::policy::waf;
use crate::policy::waf::found::Found;
use crate::policy::waf::fuel::Fuel;
use crate::policy::waf::stage::{Bodies, Progress, Workspace};
use crate::proto;
use crate::proto::body::Framing;
use crate::proto::coding::Coding;
use crate::proto::head::RequestHead;
use crate::proto::header::overrides;
use crate::proto::target::{Path, Reserved};
use crate::time::Now;

/// A request as all stages read it: one parse, one canonical path.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub head: &'a RequestHead,
    /// The bytes that `head` points into.
    pub bytes: &'a [u8],
    pub path: &'a Path,
    pub source: IpAddr,
}

/// What a shard keeps between requests for the stages to use.
pub struct State {
    pub signatures: SignatureCache,
    pub leases: Leases,
    pub cells: std::sync::Arc<Cells>,
    pub scratch: Scratch,
    pub waf: Workspace,
}

impl State {
    /// Gets ready for the requests under a snapshot, so that the first ones need not wait for it.
    pub fn warm(&mut self, snapshot: &Snapshot) {
        self.waf.warm(&snapshot.waf);
    }
}

/// Proof that a request passed every stage.
#[derive(Debug)]
pub struct Cleared {
    operation: usize,
    principal: Option<Rc<Principal>>,
    remaining: Option<Remaining>,
    /// The body that goes on in place of the one that came.
    instead: Option<Rc<[u8]>>,
    /// What the head says of a body that is checked while it is passed on.
    streamed: Option<Body>,
    /// What the contract let pass to be noted only.
    noted: Option<Noted>,
    /// The inspection that goes on with the answer.
    waf: RefCell<Option<waf::stage::Running>>,
    /// The inspection that goes on with the records of the body.
    records: RefCell<Option<waf::stage::Running>>,
}

/// What was let pass although it is not as agreed; for the log.
pub type Noted = (Denial, Details);

/// What has to happen before a request may go on.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once for each request, where a box would be an allocation for each"
)]
pub enum Next {
    /// Nothing: send it.
    Forward(Cleared),
    /// A stage has to see the body, or takes more than one slice.
    Inspect(Inspection),
}

/// How far the inspection of a request is.
#[derive(Debug)]
pub enum Step {
    Cleared(Cleared),
    /// Others get their turn first.
    Pause(Inspection),
    /// Somebody outside has to be [asked](Inspection::question) first.
    Ask(Inspection),
}

/// A request that passed every stage that could decide at once, on its way through the others.
#[derive(Debug)]
pub struct Inspection {
    cleared: Cleared,
    /// What the contract says of the body.
    body: Body,
    reads_body: bool,
    /// The contract and the owner have had their say.
    is_agreed: bool,
    /// The score that the service outside gives the request, once it was asked.
    said: Option<u32>,
    found: Found,
    waf: Option<waf::stage::Running>,
}

/// A refused request: why, and what is known of it.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub denial: Denial,
    pub operation: Option<usize>,
    pub principal: Option<Rc<Principal>>,
    /// The quota that refused, for [`Denial::RateLimited`].
    pub limited: Option<Limited>,
}

/// Takes a head through the stages.
pub fn decide(
    snapshot: &Snapshot,
    state: &mut State,
    request: Request<'_>,
    now: Now,
) -> Result<Next, Refusal> {
    let index = route(snapshot, request)?;
    let operation = &snapshot.catalogue.operations()[index];
    let mut refusal = Refusal::of(index);

    limit_source(operation, state, request, now).map_err(|limited| refusal.limited(limited))?;
    refusal.principal = authenticate(snapshot, operation, state, request, now)
        .map_err(|denial| refusal.because(denial))?;
    let principal = refusal.principal.as_deref();
    authorize(operation, principal, request).map_err(|denial| refusal.because(denial))?;
    let remaining = operation
        .limits
        .take(
            &mut state.leases,
            &state.cells,
            request.source,
            principal,
            now.monotonic_ns,
        )
        .map_err(|limited| refusal.limited(limited))?;
    let body = operation
        .contract
        .check_head(
            request.head,
            request.bytes,
            request.path,
            &mut state.scratch,
        )
        .map_err(|denial| refusal.because(denial))?;

    let streamed = streamed(operation, body, request.head.framing);
    limit_body(operation, streamed, request).map_err(|denial| refusal.because(denial))?;

    let is_inspected = operation.collects_body(request.head.framing);
    // A body that is not collected is seen by the contract and by rules, record by record; what
    // others have to see is not streamed.
    let reads_body = streamed.is_none()
        && (body.is_read() || operation.requirement.reads_body() || is_inspected);
    if reads_body && body.is_opaque() {
        return Err(refusal.because(Denial::EncodedBody));
    }
    let inspection = Inspection {
        cleared: Cleared {
            operation: index,
            principal: refusal.principal,
            remaining,
            instead: None,
            streamed,
            noted: state.scratch.take_noted(),
            waf: RefCell::default(),
            records: RefCell::default(),
        },
        body,
        reads_body,
        is_agreed: !reads_body,
        said: None,
        found: Found::default(),
        waf: None,
    };
    // Head and body are inspected together.
    if reads_body {
        return Ok(Next::Inspect(inspection));
    }
    Ok(match inspection.advance(snapshot, state, request, None)? {
        Step::Cleared(cleared) => Next::Forward(cleared),
        Step::Pause(inspection) | Step::Ask(inspection) => Next::Inspect(inspection),
    })
}

/// A body whose length is told is refused before it is sent; others are counted as they come.
fn limit_body(
    operation: &Operation,
    streamed: Option<Body>,
    request: Request<'_>,
) -> Result<(), Denial> {
    let sieve = streamed.and_then(|body| operation.contract.sieve(body));
    let longest = sieve.map_or(operation.max_body as u64, |sieve| sieve.bounds().body);
    match request.head.framing {
        Framing::Length(length) if length > longest => Err(Denial::BodyTooLarge),
        Framing::None | Framing::Length(_) | Framing::Chunked | Framing::UntilClose => Ok(()),
    }
}

/// A body that is checked while it is passed on: where that may be, one that is longer than what
/// is collected, or of which nobody knows how long it is.
fn streamed(operation: &Operation, body: Body, framing: Framing) -> Option<Body> {
    let is_long = match framing {
        Framing::None => false,
        Framing::Length(length) => length > operation.max_body as u64,
        Framing::Chunked | Framing::UntilClose => true,
    };
    let streams = is_long && operation.contract.sieve(body).is_some();
    streams.then_some(body)
}

fn route(snapshot: &Snapshot, request: Request<'_>) -> Result<usize, Refusal> {
    let Request {
        head, bytes, path, ..
    } = request;
    let found = snapshot
        .catalogue
        .find(head.host.of(bytes), path, head.method(bytes));
    let (matrix, reserved) = match found {
        Match::Found(index) => {
            let operation = &snapshot.catalogue.operations()[index];
            (operation.contract.matrix(), operation.reserved)
        }
        Match::MethodNotDeclared(_) | Match::NotDeclared => (0, Reserved::default()),
    };
    if path.matrix() & !matrix != 0 || !path.encoded().is_within(reserved) {
        let ambiguous = Denial::Malformed(proto::Error::AmbiguousPath);
        return Err(Refusal::nowhere(ambiguous));
    }
    match found {
        Match::Found(index) => {
            let operation = &snapshot.catalogue.operations()[index];
            let mut names = head.fields.iter().map(|field| field.name.of(bytes));
            let is_other = names.any(|name| overrides(name) && !operation.contract.takes(name));
            match is_other {
                false => Ok(index),
                true => Err(Refusal::of(index).because(Denial::UndeclaredOverride)),
            }
        }
        Match::MethodNotDeclared(_) => Err(Refusal::nowhere(Denial::UndeclaredMethod)),
        Match::NotDeclared => Err(Refusal::nowhere(Denial::UndeclaredOperation)),
    }
}

/// Before the credential, so that bad signatures cannot burn a core.
fn limit_source(
    operation: &Operation,
    state: &State,
    request: Request<'_>,
    now: Now,
) -> Result<(), Limited> {
    let State { leases, cells, .. } = state;
    operation
        .limits
        .peek_source(leases, cells, request.source, now.monotonic_ns)
}

fn authenticate(
    snapshot: &Snapshot,
    operation: &Operation,
    state: &mut State,
    request: Request<'_>,
    now: Now,
) -> Result<Option<Rc<Principal>>, Denial> {
    let Authentication::Bearer(index) = operation.authentication else {
        return Ok(None);
    };
    let issuer = &snapshot.issuers[index];
    let outcome = bearer(request.head, request.bytes).and_then(|token| {
        let signatures = &mut state.signatures;
        let principal = signatures.authenticate(issuer, token, now, snapshot.generation);
        let principal = principal.map_err(Denial::InvalidToken)?;
        // Whoever cannot be named to the backend is not let through to it.
        let is_sendable = principal.lines(&operation.identity).is_ok();
        is_sendable
            .then_some(principal)
            .ok_or(Denial::InvalidToken(TokenError::Malformed))
    });
    if outcome.is_err() {
        let State { leases, cells, .. } = state;
        operation
            .limits
            .charge_source(leases, cells, request.source, now.monotonic_ns);
    }
    outcome.map(Some)
}

fn authorize(
    operation: &Operation,
    principal: Option<&Principal>,
    request: Request<'_>,
) -> Result<(), Denial> {
    let requirement = &operation.requirement;
    let Some(principal) = principal else {
        return Ok(());
    };
    requirement.authorize_scopes(principal)?;
    let query = request.head.query.map(|query| query.of(request.bytes));
    let mut rules = requirement.ownership.iter();
    rules.try_for_each(|rule| rule.check_head(principal, request.path, query))
}

impl Inspection {
    pub fn operation(&self) -> usize {
        self.cleared.operation
    }

    /// Whether the body has to be collected first.
    pub fn reads_body(&self) -> bool {
        self.reads_body
    }

    /// The coding that has to be taken off the body first.
    pub fn coding(&self) -> Option<Coding> {
        self.body.coding()
    }

    /// Refuses, for a reason found while the body arrived.
    pub fn refuse(self, denial: Denial) -> Refusal {
        self.cleared.refuse(denial)
    }

    /// Takes the request, with the whole body if that was collected, through the stages that are
    /// left, for one slice.
    pub fn advance(
        mut self,
        snapshot: &Snapshot,
        state: &mut State,
        request: Request<'_>,
        body: Option<&[u8]>,
    ) -> Result<Step, Refusal> {
        let operation = &snapshot.catalogue.operations()[self.cleared.operation];
        if !self.is_agreed {
            match self.agree(operation, state, body.unwrap_or_default()) {
                Ok(()) => {
                    // Before anybody else has their turn and uses the same memory.
                    self.is_agreed = true;
                    self.cleared.instead = state.scratch.instead().map(Into::into);
                    let noted = state.scratch.take_noted();
                    self.cleared.noted = self.cleared.noted.take().or(noted);
                }
                Err(denial) => return Err(self.refuse(denial)),
            }
        }
        if operation.inspector.is_some() && self.said.is_none() {
            return Ok(Step::Ask(self));
        }
        let Some(waf) = &operation.waf else {
            state.waf.tell_too(std::mem::take(&mut self.found));
            return Ok(Step::Cleared(self.cleared));
        };
        let sets = &snapshot.waf;
        let is_by_record = self.cleared.streamed.is_some() && waf.bodies != Bodies::None;
        let said = self.said.unwrap_or_default();
        let running = self.waf.take().unwrap_or_else(|| {
            let running = state.waf.begin(sets, waf, request, said);
            match is_by_record {
                true => running.for_records(),
                false => running,
            }
        });
        // What goes on is what is inspected.
        let body = self.cleared.instead.as_deref().or(body);
        let body = body.filter(|_| waf.bodies != Bodies::None);
        let fuel = &mut Fuel::slice();
        match state.waf.advance(sets, waf, running, body, fuel) {
            Progress::Paused(running) => {
                self.waf = Some(running);
                Ok(Step::Pause(self))
            }
            Progress::Waiting(mut running) if running.is_for_records() => {
                self.found.add(state.waf.take_found());
                if waf.outbound.is_some() {
                    // Records and answer may come at the same time.
                    let answer = state.waf.begin(sets, waf, request, said);
                    self.waf = Some(answer.for_answer(&mut running));
                }
                self.cleared.records.replace(Some(running));
                if self.waf.is_some() {
                    return Ok(Step::Pause(self));
                }
                state.waf.tell_too(std::mem::take(&mut self.found));
                Ok(Step::Cleared(self.cleared))
            }
            Progress::Waiting(running) => {
                state.waf.tell_too(std::mem::take(&mut self.found));
                self.cleared.waf.replace(Some(running));
                Ok(Step::Cleared(self.cleared))
            }
            Progress::Done(outcome) => {
                state.waf.tell_too(std::mem::take(&mut self.found));
                match outcome {
                    Ok(()) => Ok(Step::Cleared(self.cleared)),
                    Err(denial) => Err(self.refuse(denial)),
                }
            }
        }
    }

    /// What the service outside is to be asked, of a request that is known as `id`.
    pub fn question(
        &self,
        snapshot: &Snapshot,
        (request, id): (Request<'_>, &str),
        body: Option<&[u8]>,
    ) -> Option<(Arc<Inspector>, Vec<u8>)> {
        let operation = &snapshot.catalogue.operations()[self.cleared.operation];
        let body = self.cleared.instead.as_deref().or(body);
        let inspector = operation.inspector.as_ref()?;
        let asked = Asked {
            id,
            api: &operation.api,
            operation: &operation.id,
        };
        let authority = &snapshot.upstreams[inspector.upstream].settings.authority;
        let question = inspector.question(authority, asked, request, body);
        Some((inspector.clone(), question))
    }

    /// Takes what the service said, or why it said nothing.
    pub fn answered(
        mut self,
        state: &mut State,
        inspector: &Inspector,
        outcome: Result<Verdict, &str>,
    ) -> Result<Inspection, Refusal> {
        self.found.hits.extend(inspector.finding(&outcome));
        let (score, denial) = match outcome {
            Ok(Verdict::Allow) => (0, None),
            Ok(Verdict::Deny { .. }) => (0, Some(Denial::InspectorRefused)),
            Ok(Verdict::Score { score, .. }) => {
                let is_enough = score >= inspector.threshold;
                (score, is_enough.then_some(Denial::InspectorRefused))
            }
            Err(_) if inspector.on_failure == OnFailure::Open => (0, None),
            Err(_) => (0, Some(Denial::InspectorFailed)),
        };
        match denial.filter(|_| inspector.blocks) {
            Some(denial) => {
                state.waf.tell_too(std::mem::take(&mut self.found));
                Err(self.refuse(denial))
            }
            None => {
                self.said = Some(if inspector.blocks { score } else { 0 });
                Ok(self)
            }
        }
    }

    fn agree(&self, operation: &Operation, state: &mut State, body: &[u8]) -> Result<(), Denial> {
        let contract = &operation.contract;
        let ownership = &operation.requirement.ownership;
        let mut places = ownership.iter().map(|rule| &rule.place);
        let is_read = places.any(|place| matches!(place, Place::Body(_)));
        state.scratch.keep_bodies(is_read);
        contract.check_body(self.body, body, &mut state.scratch)?;
        let Some(principal) = self.cleared.principal.as_deref() else {
            return Ok(());
        };
        for rule in ownership {
            if let Place::Body(pointer) = &rule.place {
                rule.check(principal, state.scratch.lookup(pointer).as_deref())?;
            }
        }
        Ok(())
    }
}

impl Cleared {
    /// Refuses after all, for a reason that only the way to the backend shows.
    pub fn refuse(&self, denial: Denial) -> Refusal {
        let mut refusal = Refusal::of(self.operation);
        refusal.principal.clone_from(&self.principal);
        refusal.because(denial)
    }

    pub fn operation(&self) -> usize {
        self.operation
    }

    pub fn principal(&self) -> Option<&Rc<Principal>> {
        self.principal.as_ref()
    }

    /// The body that goes on in place of the one that came.
    pub fn instead(&self) -> Option<&[u8]> {
        self.instead.as_deref()
    }

    /// Whether the body still has to be checked, while it is passed on.
    pub fn is_streamed(&self) -> bool {
        self.streamed.is_some()
    }

    /// What such a body has to go through: none of it goes on without.
    pub fn sieve<'s>(&self, snapshot: &'s Snapshot) -> Option<Sieve<'s>> {
        let operation = &snapshot.catalogue.operations()[self.operation];
        operation.contract.sieve(self.streamed?)
    }

    /// The rules that such a body has to go through as well, once; none: they do not look at it.
    pub fn take_records(&self) -> Option<waf::stage::Running> {
        self.records.take()
    }

    /// What the contract let pass to be noted only.
    pub fn noted(&self) -> Option<&Noted> {
        self.noted.as_ref()
    }

    /// The inspection that goes on with the answer; none if that is not inspected, or is already.
    pub fn take_inspection(&self) -> Option<waf::stage::Running> {
        self.waf.take()
    }

    /// Gives it back: the answer did not come to its end, and another one may take its place.
    pub fn put_inspection(&self, running: waf::stage::Running) {
        self.waf.replace(Some(running));
    }

    /// The tightest quota, for the `RateLimit` field.
    pub fn remaining(&self) -> Option<Remaining> {
        self.remaining
    }
}

impl Refusal {
    fn of(operation: usize) -> Refusal {
        Refusal {
            operation: Some(operation),
            ..Refusal::nowhere(Denial::UndeclaredOperation)
        }
    }

    /// A request that no operation can be named for.
    pub fn nowhere(denial: Denial) -> Refusal {
        Refusal {
            denial,
            operation: None,
            principal: None,
            limited: None,
        }
    }

    fn because(&self, denial: Denial) -> Refusal {
        Refusal {
            denial,
            ..self.clone()
        }
    }

    fn limited(&self, limited: Limited) -> Refusal {
        Refusal {
            limited: Some(limited),
            ..self.because(Denial::RateLimited)
        }
    }
}
