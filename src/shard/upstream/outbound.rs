//! An answer on its way through the rules of the WAF, slice by slice. Nothing of it has left yet.

use crate::policy::catalogue::Operation;
use crate::policy::denial::Denial;
use crate::policy::egress::Fault;
use crate::policy::pipeline::Cleared;
use crate::policy::snapshot::Snapshot;
use crate::policy::waf::budget::Bound;
use crate::policy::waf::found::Found;
use crate::policy::waf::fuel::Fuel;
use crate::policy::waf::outbound::{Content, Outbound, Reach, as_message};
use crate::policy::waf::stage::{Progress, Protection, Running};
use crate::proto::coding::{self, Coding, Decoder};
use crate::proto::head::ResponseHead;
use crate::shard::Shard;
use crate::shard::load::{Held, Source};

/// How much of a coded body is decoded in one turn: at most a hundred times as much comes out.
const PIECE: usize = 4 * 1024;

/// Where an answer is inspected, and by what.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    pub shard: &'a Shard,
    pub snapshot: &'a Snapshot,
    pub operation: &'a Operation,
}

/// An answer of which the head has passed.
pub struct Inspected<'a> {
    around: Around<'a>,
    protection: &'a Protection,
    outbound: &'a Outbound,
    running: Running,
    content: Content,
}

/// So much of a body as rules can see.
struct Seen<'b> {
    body: std::borrow::Cow<'b, [u8]>,
    /// Why that is not all.
    fault: Option<Fault>,
}

impl<'a> Around<'a> {
    /// Has the head looked at. None: answers of the operation are not inspected.
    pub async fn inspect(
        self,
        cleared: &Cleared,
        (head, bytes): (&ResponseHead, &[u8]),
        found: &mut Found,
    ) -> Result<Option<Inspected<'a>>, Fault> {
        let Some((protection, outbound)) = self.outbound() else {
            return Ok(None);
        };
        let Some(mut running) = cleared.take_inspection() else {
            return Ok(None);
        };
        let content = outbound.content(head, bytes);
        {
            let state = &mut self.shard.state.borrow_mut();
            let response = as_message(head, bytes, content);
            let rules = (&*self.snapshot.waf, protection);
            state.waf.enter_answer(rules, &mut running, &response);
        }
        let running = self.run(protection, running, found).await;
        let running = running.map_err(|denial| fault(denial, ""))?;
        Ok(running.map(|running| Inspected {
            around: self,
            protection,
            outbound,
            running,
            content,
        }))
    }

    /// Ends the inspection of a request that got no answer.
    pub async fn end(self, cleared: &Cleared, found: &mut Found) {
        if let (Some((protection, _)), Some(running)) = (self.outbound(), cleared.take_inspection())
        {
            self.finish(protection, running, found).await;
        }
    }

    fn outbound(self) -> Option<(&'a Protection, &'a Outbound)> {
        let protection = self.operation.waf.as_ref()?;
        Some((protection, protection.outbound.as_ref()?))
    }

    async fn finish(self, protection: &Protection, mut running: Running, found: &mut Found) {
        {
            let waf = &mut self.shard.state.borrow_mut().waf;
            waf.enter_end(&self.snapshot.waf, protection, &mut running);
        }
        // What has been decided stands.
        let _ = self.run(protection, running, found).await;
    }

    /// Inspects what was entered, with turns for the others on this shard in between. None: the
    /// inspection is over.
    async fn run(
        self,
        protection: &Protection,
        mut running: Running,
        found: &mut Found,
    ) -> Result<Option<Running>, Denial> {
        loop {
            {
                let waf = &mut self.shard.state.borrow_mut().waf;
                let fuel = &mut Fuel::slice();
                match waf.advance(&self.snapshot.waf, protection, running, None, fuel) {
                    Progress::Paused(paused) => running = paused,
                    Progress::Waiting(waiting) => return Ok(Some(waiting)),
                    Progress::Done(outcome) => {
                        found.add(waf.take_found());
                        return outcome.map(|()| None);
                    }
                }
            }
            self.shard.give_way().await;
        }
    }
}

impl Inspected<'_> {
    /// The longest body that has to be collected for rules to see it.
    pub fn longest(&self) -> Option<usize> {
        self.outbound.collects(self.content)
    }

    /// So much of a body that is longer than `longest` is looked at all the same.
    pub fn beginning(&self, longest: usize) -> usize {
        let tuning = &self.protection.tuning;
        let denial = Denial::ResponseTooLarge;
        match self.outbound.refuses(tuning, denial).is_some() {
            true => 0,
            false => self.outbound.longest.min(longest),
        }
    }

    /// Goes on without a body, where nobody collects it.
    pub async fn uncollected(mut self, found: &mut Found) -> Result<Option<Fault>, Fault> {
        if self.outbound.reach != Reach::All {
            self.content = Content::Nothing;
        }
        let mut held = self.around.shard.load.for_answer(Source::UNBOUNDED);
        self.body((b"", true), &mut held, found).await
    }

    /// Has the body looked at, or so much of it as is there. What is let pass is to be noted.
    pub async fn body(
        mut self,
        (body, is_whole): (&[u8], bool),
        held: &mut Held,
        found: &mut Found,
    ) -> Result<Option<Fault>, Fault> {
        let Around {
            shard, snapshot, ..
        } = self.around;
        let seen = match self.content {
            Content::Coded(coding) => self.decoded(coding, (body, is_whole), held).await,
            Content::Plain => Ok(self.cut(body, is_whole)),
            Content::Nothing => Ok(self.cut(b"", true)),
            Content::Endless => Ok(Seen {
                body: (&[][..]).into(),
                fault: Some(fault(Denial::EndlessAnswer, "it is a stream of events")),
            }),
            Content::Unreadable => Ok(Seen {
                body: (&[][..]).into(),
                fault: Some(fault(Denial::EncodedAnswer, "its coding is not known")),
            }),
        };
        let refused = match &seen {
            Err(fault) => Some(fault.clone()),
            Ok(Seen { fault, .. }) => fault.clone().filter(|fault| {
                let tuning = &self.protection.tuning;
                self.outbound.refuses(tuning, fault.denial).is_some()
            }),
        };
        let seen = match (seen, refused) {
            (Ok(seen), None) => seen,
            (Err(fault), _) | (_, Some(fault)) => {
                if fault.denial == Denial::ResponseTooLarge {
                    found.exceeded.insert(Bound::Bytes);
                }
                self.end(found).await;
                return Err(fault);
            }
        };
        shard.state.borrow_mut().waf.enter_answer_body(
            (&snapshot.waf, self.protection),
            &mut self.running,
            (&seen.body, seen.fault.is_none()),
        );
        let outcome = self.around.run(self.protection, self.running, found).await;
        outcome
            .map(|_| seen.fault)
            .map_err(|denial| fault(denial, ""))
    }

    /// Ends without the body.
    pub async fn end(self, found: &mut Found) {
        self.around
            .finish(self.protection, self.running, found)
            .await;
    }

    /// Gives up on an answer that breaks off, in whose place another one may come.
    pub fn put_back(self, cleared: &Cleared) {
        cleared.put_inspection(self.running);
    }

    fn cut<'b>(&self, body: &'b [u8], is_whole: bool) -> Seen<'b> {
        let longest = self.outbound.longest;
        let is_whole = is_whole && body.len() <= longest;
        let body = &body[..body.len().min(longest)];
        Seen {
            fault: (!is_whole).then(|| too_long(body.len())),
            body: body.into(),
        }
    }

    /// Takes the coding off, with turns for the others on this shard in between.
    async fn decoded<'b>(
        &self,
        coding: Coding,
        (body, is_whole): (&[u8], bool),
        held: &mut Held,
    ) -> Result<Seen<'b>, Fault> {
        let mut decoder = Decoder::new(coding, self.outbound.longest);
        let mut stopped = None;
        let others = held.amount();
        for (index, piece) in body.chunks(PIECE).enumerate() {
            if index > 0 {
                self.around.shard.give_way().await;
            }
            if let Err(fault) = decoder.feed(piece) {
                stopped = Some(fault);
                break;
            }
            if !held.grow_to(others + decoder.decoded()) {
                return Err(fault(Denial::Overloaded, ""));
            }
        }
        let is_ended = decoder.is_ended();
        let content = decoder.into_decoded();
        let fault = match (stopped, is_whole) {
            (Some(coding::Fault::TooLarge), _) | (None, false) => Some(too_long(content.len())),
            (None, true) if is_ended => None,
            (Some(coding::Fault::Malformed), _) | (None, true) => {
                Some(fault(Denial::EncodedAnswer, "it is not in its coding"))
            }
        };
        Ok(Seen {
            body: content.into(),
            fault,
        })
    }
}

fn too_long(seen: usize) -> Fault {
    fault(
        Denial::ResponseTooLarge,
        &format!("rules see {seen} bytes of it"),
    )
}

fn fault(denial: Denial, detail: &str) -> Fault {
    Fault {
        denial,
        detail: detail.to_owned(),
    }
}
