//! The stage of the pipeline: which rules an operation is inspected by, and what becomes of a hit.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::policy::denial::Denial;
use crate::policy::pipeline;
use crate::policy::waf::body;
use crate::policy::waf::budget::{Bound, Exceeded};
use crate::policy::waf::carry::Carry;
use crate::policy::waf::draft::Engine;
use crate::policy::waf::exclusion::Exclusions;
use crate::policy::waf::found::Found;
use crate::policy::waf::fuel::Fuel;
use crate::policy::waf::hit::Hit;
use crate::policy::waf::inspection::{Inspection, Reason, Tuning, Verdict};
use crate::policy::waf::memory::Memory;
use crate::policy::waf::message::{Headers, Request, Response};
use crate::policy::waf::outbound::Outbound;
use crate::policy::waf::rule::RuleSet;
use crate::policy::waf::view::View;
use crate::proto::body::Framing;
use crate::proto::head::Version;

/// Rules of one name in the configuration.
#[derive(Clone)]
pub struct Named {
    pub name: Box<str>,
    pub rules: Arc<RuleSet>,
}

/// How one operation is inspected.
#[derive(Clone)]
pub struct Protection {
    /// The index of the rules in the snapshot.
    pub set: usize,
    pub tuning: Tuning,
    pub exclusions: Arc<Exclusions>,
    pub bodies: Bodies,
    pub view: Arc<View>,
    /// Requests are GraphQL.
    pub is_graphql: bool,
    /// None: answers are not inspected.
    pub outbound: Option<Outbound>,
    /// Codings are taken off bodies before they come here, whatever the head says.
    pub is_decoded: bool,
}

/// Which bodies are inspected, which means that they are collected first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    None,
    /// Those whose length is told and within the budget, and those that another stage collects.
    /// Longer ones are passed on as they come: what only detects must not break an upload.
    Fitting,
    All,
}

impl Protection {
    /// Whether a body in this framing has to be collected.
    pub fn collects(&self, framing: Framing) -> bool {
        match (self.bodies, framing) {
            (Bodies::None, _) | (_, Framing::None | Framing::Length(0)) => false,
            (Bodies::All, _) => true,
            (Bodies::Fitting, Framing::Length(length)) => {
                usize::try_from(length).is_ok_and(|length| length <= self.tuning.budget.bytes)
            }
            (Bodies::Fitting, Framing::Chunked | Framing::UntilClose) => false,
        }
    }
}

/// Inspections that wait for a message; beyond these their memory is given back.
const IDLE: usize = 16;

/// What a client of an API might send.
const WARMING: Request<'static> = Request {
    method: b"POST",
    target: b"/orders?limit=10",
    version: b"HTTP/1.1",
    headers: Headers::Pairs(&[
        (b"Host", b"api.example"),
        (b"User-Agent", b"client/1.0"),
        (b"Accept", b"*/*"),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"47"),
    ]),
    peer: None,
    local: None,
    id: b"",
};
const WARMING_BODY: &[u8] = br#"{"customer":"c-1","items":[{"sku":"a","n":12}]}"#;

/// So much is told of the records of one body.
const TOLD: usize = 256;

/// Moved from request to request, and large: it stays where it is.
type Whole = Box<Inspection>;

/// What a shard keeps for inspections.
#[derive(Default)]
pub struct Workspace {
    idle: Vec<Whole>,
    /// By the index of the rules.
    memories: Vec<Memory>,
    found: Found,
}

/// The inspection of one request and of the answer to it, which may take several slices.
#[derive(Debug)]
pub struct Running {
    inspection: Whole,
    stage: Stage,
    outcome: Result<(), Denial>,
    /// What others than the rules think of the request.
    score: u32,
    /// None: the body is looked at as a whole.
    records: Option<Box<Records>>,
    /// What the records add up to, which others look at.
    carry: Option<Rc<RefCell<Carry>>>,
    /// Somebody else tells what is found in the request.
    is_silent: bool,
    /// There is a body, which rules would look at if it were not too long to be collected.
    is_owed: bool,
    /// What rules did not get to see.
    missed: Exceeded,
}

/// What is known of records that are looked at one by one.
#[derive(Debug, Default)]
struct Records {
    carry: Rc<RefCell<Carry>>,
    /// The rules that found something, and in which field.
    told: Vec<(u32, String)>,
    /// What comes at the end of all comes after the answer, which somebody else looks at.
    is_followed: bool,
}

/// Which part of the message is looked at.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Head,
    Body,
    Record,
    AnswerHead,
    AnswerBody,
    End,
}

/// How far an inspection is.
#[derive(Debug)]
pub enum Progress {
    /// It is somebody else's turn; to be [gone on](Workspace::advance) with after that.
    Paused(Running),
    /// So far all is well; it goes on with the next [record](Workspace::enter_record), or with the
    /// [head](Workspace::enter_answer) of the answer and its [body](Workspace::enter_answer_body).
    Waiting(Running),
    Done(Result<(), Denial>),
}

impl Workspace {
    /// What was found in the request whose inspection was done last, once.
    pub fn take_found(&mut self) -> Found {
        std::mem::take(&mut self.found)
    }

    /// Adds what others than the rules have found, or the rules before a pause.
    pub fn tell_too(&mut self, mut found: Found) {
        self.found.hits.append(&mut found.hits);
        self.found.exceeded.add(found.exceeded);
        if self.found.scores.is_empty() {
            self.found.scores = found.scores;
        }
    }

    /// Has new rules look at a message whose outcome nobody asks for. What a first inspection takes
    /// of memory and time is then not that of somebody's request. What is known of values stays with
    /// rules that stay, wherever they stand now.
    pub fn warm(&mut self, sets: &[Named]) {
        let mut before = std::mem::take(&mut self.memories);
        for Named { rules, .. } in sets {
            let known = before.iter().position(|memory| memory.is_of(rules));
            let memory = match known {
                Some(at) => before.swap_remove(at),
                None => self.warmed(rules),
            };
            self.memories.push(memory);
        }
    }

    fn warmed(&mut self, rules: &RuleSet) -> Memory {
        let mut memory = Memory::default();
        let mut inspection = self.idle.pop().unwrap_or_default();
        inspection.begin(rules, Tuning::default());
        inspection.head(rules, &mut memory, &WARMING);
        inspection.body(rules, &mut memory, WARMING_BODY);
        inspection.finish(rules, &mut memory);
        inspection.take_hits();
        self.idle.push(inspection);
        memory
    }

    fn make_room(&mut self, sets: &[Named]) {
        if self.memories.len() < sets.len() {
            self.memories.resize_with(sets.len(), Memory::default);
        }
    }

    /// Begins with a request that comes with a score from elsewhere.
    pub fn begin(
        &mut self,
        sets: &[Named],
        protection: &Protection,
        request: pipeline::Request<'_>,
        score: u32,
    ) -> Running {
        let rules = &sets[protection.set].rules;
        let mut inspection = self.idle.pop().unwrap_or_default();
        inspection.begin(rules, protection.tuning);
        inspection.look_at(&protection.view);
        inspection.exclude(&protection.exclusions);
        if protection.is_graphql {
            inspection.read_as_graphql();
        }
        inspection.enter_head(rules, &as_message(request));
        if protection.is_decoded {
            inspection.take_as_decoded();
        }
        Running {
            inspection,
            stage: Stage::Head,
            outcome: Ok(()),
            score,
            records: None,
            carry: None,
            is_silent: false,
            is_owed: protection.bodies == Bodies::Fitting
                && !matches!(request.head.framing, Framing::None | Framing::Length(0)),
            missed: Exceeded::default(),
        }
    }

    /// Inspects what was entered, with the body of the request if there is one, for one slice.
    pub fn advance(
        &mut self,
        sets: &[Named],
        protection: &Protection,
        mut running: Running,
        body: Option<&[u8]>,
        fuel: &mut Fuel,
    ) -> Progress {
        let rules = &sets[protection.set].rules;
        self.make_room(sets);
        let memory = &mut self.memories[protection.set];
        loop {
            let inspection = &mut running.inspection;
            let Some(verdict) = inspection.advance(rules, memory, fuel) else {
                return Progress::Paused(running);
            };
            running.stage = match (running.stage, verdict) {
                (Stage::Head, Verdict::Pass) => {
                    inspection.add_score(rules, running.score);
                    if running.records.is_some() {
                        inspection.mark();
                    }
                    if running.is_owed && body.is_none() && running.records.is_none() {
                        running.missed.insert(Bound::Bytes);
                    }
                    // Most rules wait for the body, also where there is none.
                    let body = body.unwrap_or_default();
                    fuel.spend(body.len());
                    inspection.enter_body(rules, body);
                    Stage::Body
                }
                (Stage::End, _) => {
                    self.tell(rules, &mut running);
                    let outcome = running.outcome;
                    self.rest(running);
                    return Progress::Done(outcome);
                }
                (stage, verdict) => {
                    running.outcome = outcome(inspection, protection, (stage, verdict));
                    let is_answer = matches!(stage, Stage::AnswerHead | Stage::AnswerBody);
                    let waits = match (stage, &mut running.records) {
                        (Stage::Head | Stage::Body, Some(records)) => {
                            records.carry.borrow_mut().set_base(inspection, rules);
                            true
                        }
                        (Stage::Record, Some(records)) => {
                            records.carry.borrow_mut().take(inspection, rules);
                            true
                        }
                        (Stage::Head | Stage::Body, None) => protection.outbound.is_some(),
                        (Stage::AnswerHead, _) => true,
                        (Stage::Record | Stage::AnswerBody | Stage::End, _) => false,
                    };
                    if waits && running.outcome.is_ok() {
                        if !is_answer {
                            self.tell(rules, &mut running);
                        }
                        return Progress::Waiting(running);
                    }
                    running.close(rules);
                    Stage::End
                }
            };
        }
    }

    /// Goes on with a record, which stands in place of the one before.
    pub fn enter_record(
        &mut self,
        (sets, protection): (&[Named], &Protection),
        running: &mut Running,
        (record, index): (&[u8], Option<usize>),
    ) {
        let rules = &sets[protection.set].rules;
        let inspection = &mut running.inspection;
        inspection.rewind();
        if let Some(records) = &running.records {
            records.carry.borrow().give(inspection, rules);
        }
        inspection.enter_record(rules, record, index);
        running.stage = Stage::Record;
    }

    /// Goes on with the head of the answer.
    pub fn enter_answer(
        &mut self,
        (sets, protection): (&[Named], &Protection),
        running: &mut Running,
        response: &Response<'_>,
    ) {
        let rules = &sets[protection.set].rules;
        let longest = protection.outbound.as_ref().map_or(0, |each| each.longest);
        let inspection = &mut running.inspection;
        match running.stage {
            // An answer that was begun did not come to its end: this is another one.
            Stage::AnswerHead | Stage::AnswerBody => inspection.rewind(),
            Stage::Head | Stage::Body | Stage::Record | Stage::End => inspection.mark(),
        }
        inspection.enter_response_head(rules, response, longest);
        running.stage = Stage::AnswerHead;
    }

    /// Goes on with what there is to see of its body. `is_whole`: that is all of it.
    pub fn enter_answer_body(
        &mut self,
        (sets, protection): (&[Named], &Protection),
        running: &mut Running,
        (body, is_whole): (&[u8], bool),
    ) {
        let rules = &sets[protection.set].rules;
        let inspection = &mut running.inspection;
        if !is_whole {
            running.missed.insert(Bound::Bytes);
        }
        inspection.enter_response_body(rules, body, is_whole);
        running.stage = Stage::AnswerBody;
    }

    /// Comes to an end without an answer, or without the rest of one.
    pub fn enter_end(&mut self, sets: &[Named], protection: &Protection, running: &mut Running) {
        running.close(&sets[protection.set].rules);
        running.stage = Stage::End;
    }

    /// Takes down what was found so far.
    fn tell(&mut self, rules: &RuleSet, running: &mut Running) {
        let is_silent = std::mem::take(&mut running.is_silent);
        let missed = std::mem::take(&mut running.missed);
        self.found.exceeded.add(missed);
        let inspection = &mut running.inspection;
        self.found.exceeded.add(inspection.exceeded());
        if inspection.hits().is_empty() {
            return;
        }
        let mut hits = inspection.take_hits();
        if is_silent {
            return;
        }
        if let Some(records) = &mut running.records {
            hits.retain(|hit| is_new(&mut records.told, hit));
        }
        self.found.hits.append(&mut hits);
        self.found.scores = inspection.scores(rules).collect();
    }

    fn rest(&mut self, running: Running) {
        if self.idle.len() < IDLE {
            self.idle.push(running.inspection);
        }
    }
}

impl Running {
    /// To look at the records of the body one by one.
    #[must_use]
    pub fn for_records(mut self) -> Running {
        self.records = Some(Box::default());
        self
    }

    /// To look at the answer: what is in the request the one for its records tells, while what rules
    /// have left to say when all is over is for this one.
    #[must_use]
    pub fn for_answer(mut self, request: &mut Running) -> Running {
        self.is_silent = true;
        if let Some(records) = &mut request.records {
            records.is_followed = true;
            self.carry = Some(Rc::clone(&records.carry));
        }
        self
    }

    /// Has rules say what they have left to say when all is over, once in an exchange.
    fn close(&mut self, rules: &RuleSet) {
        if self.records.as_ref().is_some_and(|each| each.is_followed) {
            return self.inspection.leave();
        }
        if let Some(carry) = self.carry.take() {
            carry.borrow().give_at_end(&mut self.inspection, rules);
        }
        self.inspection.enter_end();
    }

    pub fn is_for_records(&self) -> bool {
        self.records.is_some()
    }
}

/// Whether a finding was not told yet: of many records the same rule finds much in the same field.
fn is_new(told: &mut Vec<(u32, String)>, hit: &Hit) -> bool {
    let field = field_of(&hit.variable);
    let mut known = told.iter();
    let is_known = known.any(|(rule, known)| *rule == hit.rule && *known == field);
    if is_known || told.len() == TOLD {
        return false;
    }
    told.push((hit.rule, field));
    true
}

/// A variable whatever the index of its item.
fn field_of(variable: &str) -> String {
    let steps = variable.split('.');
    let is_index = |step: &&str| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    let steps: Vec<&str> = steps.filter(|step| !is_index(step)).collect();
    steps.join(".")
}

/// What a part of the message comes to.
fn outcome(
    inspection: &Inspection,
    protection: &Protection,
    (stage, verdict): (Stage, Verdict),
) -> Result<(), Denial> {
    let is_answer = matches!(stage, Stage::AnswerHead | Stage::AnswerBody);
    let fault = inspection.body_fault();
    let fault = fault.filter(|_| !is_answer && protection.tuning.engine == Engine::On);
    match (verdict, is_answer) {
        (Verdict::Pass, _) => match fault {
            None => Ok(()),
            Some(body::Error::Encoded) => Err(Denial::EncodedBody),
            // A body that is not what it says may be read in another way by the backend.
            Some(_) => Err(Denial::UninspectableBody),
        },
        (Verdict::Refuse(Reason::Rule { .. }), false) => Err(Denial::AttackDetected),
        (Verdict::Refuse(Reason::Budget), false) => Err(Denial::TooMuchToInspect),
        (Verdict::Refuse(Reason::Rule { .. }), true) => Err(Denial::RefusedAnswer),
        (Verdict::Refuse(Reason::Budget), true) => Err(Denial::ResponseTooLarge),
    }
}

fn as_message<'a>(request: pipeline::Request<'a>) -> Request<'a> {
    let pipeline::Request {
        head,
        bytes,
        source,
        ..
    } = request;
    let path = head.path.range();
    let end = head.query.map_or(path.end, |query| query.range().end);
    Request {
        method: head.method(bytes),
        target: &bytes[path.start..end],
        version: match head.version {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
        },
        headers: Headers::Fields(&head.fields, bytes),
        peer: Some((source, 0).into()),
        local: None,
        id: b"",
    }
}
