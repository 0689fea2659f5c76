//! The stage of the pipeline: which rules an operation is inspected by, and what becomes of a hit.

use std::sync::Arc;

use crate::policy::denial::Denial;
use crate::policy::pipeline;
use crate::policy::waf::draft::Engine;
use crate::policy::waf::hit::Hit;
use crate::policy::waf::inspection::{Exclusions, Inspection, Reason, Tuning, Verdict};
use crate::policy::waf::memory::Memory;
use crate::policy::waf::message::{Headers, Processor, Request};
use crate::policy::waf::rule::RuleSet;
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
    /// Whether bodies are inspected, which means that they are collected first.
    pub reads_body: bool,
    /// Bodies are GraphQL requests.
    pub is_graphql: bool,
}

/// What a shard keeps for inspections.
#[derive(Default)]
pub struct Workspace {
    inspection: Inspection,
    /// By the index of the rules.
    memories: Vec<Memory>,
    has_findings: bool,
}

impl Workspace {
    /// What was found in the request that was inspected last, once.
    pub fn take_findings(&mut self) -> Vec<Hit> {
        match std::mem::take(&mut self.has_findings) {
            true => self.inspection.take_hits(),
            false => Vec::new(),
        }
    }

    /// Inspects a request, with its body if there is one.
    pub fn inspect(
        &mut self,
        sets: &[Named],
        protection: &Protection,
        request: pipeline::Request<'_>,
        body: Option<&[u8]>,
    ) -> Result<(), Denial> {
        let Some(Named { rules, .. }) = sets.get(protection.set) else {
            return Ok(());
        };
        if self.memories.len() < sets.len() {
            self.memories.resize_with(sets.len(), Memory::default);
        }
        let memory = &mut self.memories[protection.set];
        let inspection = &mut self.inspection;
        inspection.begin(rules, protection.tuning);
        inspection.exclude(&protection.exclusions);
        let mut verdict = inspection.head(rules, memory, &as_message(request));
        if verdict == Verdict::Pass {
            if protection.is_graphql {
                inspection.read_as(Processor::Graphql);
            }
            // Most rules wait for the body, also where there is none.
            verdict = inspection.body(rules, memory, body.unwrap_or_default());
        }
        inspection.finish(rules, memory);
        self.has_findings = !inspection.hits().is_empty();
        match verdict {
            Verdict::Pass => match inspection.body_fault() {
                // A body that is not what it says may be read in another way by the backend.
                Some(_) if protection.tuning.engine == Engine::On => Err(Denial::UninspectableBody),
                _ => Ok(()),
            },
            Verdict::Refuse(Reason::Rule { .. }) => Err(Denial::AttackDetected),
            Verdict::Refuse(Reason::Budget) => Err(Denial::TooMuchToInspect),
        }
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
        headers: Headers::Head(head, bytes),
        peer: Some((source, 0).into()),
        local: None,
        id: b"",
    }
}
