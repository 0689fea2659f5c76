//! The stages, in order. The only maker of [`Cleared`], without which nothing goes upstream.

use std::net::IpAddr;
use std::rc::Rc;

use crate::policy::authn::{SignatureCache, TokenError, bearer};
use crate::policy::authz::Place;
use crate::policy::catalogue::{Authentication, Operation};
use crate::policy::contract::body::is_announced;
use crate::policy::contract::{Body, Scratch};
use crate::policy::denial::Denial;
use crate::policy::identity::Principal;
use crate::policy::ratelimit::{Cells, Leases, Limited, Remaining};
use crate::policy::route::Match;
use crate::policy::snapshot::Snapshot;
use crate::policy::waf::stage::Workspace;
use crate::proto::body::Framing;
use crate::proto::head::RequestHead;
use crate::proto::target::Path;
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

/// Proof that a request passed every stage.
#[derive(Clone, Debug)]
pub struct Cleared {
    operation: usize,
    principal: Option<Rc<Principal>>,
    remaining: Option<Remaining>,
}

/// What has to happen before a request may go on.
#[derive(Debug)]
pub enum Next {
    /// Nothing: send it.
    Forward(Cleared),
    /// A stage has to see the body.
    Inspect(Inspection),
}

/// A request that passed every stage that could decide without the body.
#[derive(Debug)]
pub struct Inspection(Cleared, Body);

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

    limit_body(operation, request).map_err(|denial| refusal.because(denial))?;

    let has_body = is_announced(request.head.framing);
    let waf = operation.waf.as_ref();
    let waf_reads = has_body && waf.is_some_and(|waf| waf.reads_body);
    let reads_body = body.is_read() || operation.requirement.reads_body() || waf_reads;
    // Otherwise head and body are inspected together.
    if let Some(waf) = waf.filter(|_| !reads_body) {
        let outcome = state.waf.inspect(&snapshot.waf, waf, request, None);
        outcome.map_err(|denial| refusal.because(denial))?;
    }
    let cleared = Cleared {
        operation: index,
        principal: refusal.principal,
        remaining,
    };
    Ok(match reads_body {
        true => Next::Inspect(Inspection(cleared, body)),
        false => Next::Forward(cleared),
    })
}

/// A body whose length is told is refused before it is sent; others are counted as they come.
fn limit_body(operation: &Operation, request: Request<'_>) -> Result<(), Denial> {
    match request.head.framing {
        Framing::Length(length) if length > operation.max_body as u64 => Err(Denial::BodyTooLarge),
        Framing::None | Framing::Length(_) | Framing::Chunked | Framing::UntilClose => Ok(()),
    }
}

fn route(snapshot: &Snapshot, request: Request<'_>) -> Result<usize, Refusal> {
    let Request {
        head, bytes, path, ..
    } = request;
    match snapshot
        .catalogue
        .find(head.host.of(bytes), path, head.method(bytes))
    {
        Match::Found(index) => Ok(index),
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
    let issuer = (index, &snapshot.issuers[index]);
    let outcome = bearer(request.head, request.bytes).and_then(|token| {
        let signatures = &mut state.signatures;
        let principal = signatures.authenticate(issuer, token, now, snapshot.generation);
        let principal = principal.map_err(Denial::InvalidToken)?;
        // Whoever cannot be named to the backend is not let through to it.
        let is_sendable = operation.can_name(&principal);
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
    /// The longest body that will be looked at.
    pub fn operation(&self) -> usize {
        self.0.operation
    }

    /// Refuses, for a reason found while the body arrived.
    pub fn refuse(self, denial: Denial) -> Refusal {
        self.0.refuse(denial)
    }

    /// Takes the whole body through the stages that were waiting for it.
    pub fn finish(
        self,
        snapshot: &Snapshot,
        state: &mut State,
        request: Request<'_>,
        body: &[u8],
    ) -> Result<Cleared, Refusal> {
        let operation = &snapshot.catalogue.operations()[self.0.operation];
        let outcome = self.inspect(operation, state, body).and_then(|()| {
            let waf = operation.waf.as_ref();
            waf.map_or(Ok(()), |waf| {
                let body = waf.reads_body.then_some(body);
                state.waf.inspect(&snapshot.waf, waf, request, body)
            })
        });
        match outcome {
            Ok(()) => Ok(self.0),
            Err(denial) => Err(self.refuse(denial)),
        }
    }

    fn inspect(&self, operation: &Operation, state: &mut State, body: &[u8]) -> Result<(), Denial> {
        let Inspection(cleared, expected) = self;
        let contract = &operation.contract;
        contract.check_body(*expected, body, &mut state.scratch)?;
        let Some(principal) = cleared.principal.as_deref() else {
            return Ok(());
        };
        for rule in &operation.requirement.ownership {
            if let Place::Body(pointer) = &rule.place {
                rule.check(principal, state.scratch.lookup(pointer).as_deref())?;
            }
        }
        Ok(())
    }
}

impl Cleared {
    /// Refuses after all, for a reason that only the way to the backend shows.
    pub fn refuse(self, denial: Denial) -> Refusal {
        let mut refusal = Refusal::of(self.operation);
        refusal.principal = self.principal;
        refusal.because(denial)
    }

    pub fn operation(&self) -> usize {
        self.operation
    }

    pub fn principal(&self) -> Option<&Rc<Principal>> {
        self.principal.as_ref()
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
