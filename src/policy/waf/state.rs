//! Where the evaluation of one request stands.

use std::sync::Arc;

use crate::policy::redact;
use crate::policy::waf::body;
use crate::policy::waf::budget::Budget;
use crate::policy::waf::collection::Collection;
use crate::policy::waf::draft::Engine;
use crate::policy::waf::exclusion::Exclusions;
use crate::policy::waf::hit::{self, Found, Hit};
use crate::policy::waf::matched::Matched;
use crate::policy::waf::message::Processor;
use crate::policy::waf::operator::number::number;
use crate::policy::waf::target::Target;
use crate::policy::waf::template::{CAPTURES, Piece, Reference, Template};
use crate::policy::waf::tx::{Place, Tx};
use crate::policy::waf::values::Values;
use crate::policy::waf::view::View;

/// All that changes while rules run. Kept from request to request for its memory.
#[derive(Debug, Default)]
pub struct State {
    pub values: Values,
    pub tx: Tx,
    pub matched: Matched,
    pub engine: Engine,
    pub processor: Processor,
    pub force_body: bool,
    /// As the request names it.
    pub content_type: Vec<u8>,
    /// The fields that name it.
    pub content_types: usize,
    /// The body is compressed.
    pub is_encoded: bool,
    /// None: only what the rule language knows of is looked at.
    pub view: Option<Arc<View>>,
    /// What the client asks is a GraphQL document, in the body or in an argument.
    pub is_graphql: bool,
    /// What values are unpacked with.
    pub inner: body::Scratch,
    /// The rule of its kind that the body breaks.
    pub body_fault: Option<body::Error>,
    pub scratch: body::Scratch,
    /// The body is this item of an array, whose other items are looked at one by one as well.
    pub item: Option<usize>,
    /// What the configuration takes from the rules.
    pub exclusions: Arc<Exclusions>,
    /// Ids of rules that a control removed.
    pub removed: Vec<u32>,
    /// Ids of rules that had their effects, once for all records.
    pub had: Vec<u32>,
    /// Ids of rules and what a control exempted from them.
    pub exempt: Vec<(u32, Arc<Target>)>,
    pub body_length: usize,
    /// What looking at the message has taken.
    pub steps: usize,
    /// The lowest number of all hits; 255 before any.
    pub severity: u8,
    pub hits: Vec<Hit>,
}

impl State {
    pub fn clear(&mut self, slots: usize, budget: Budget) {
        self.values.clear(budget);
        self.tx.clear(slots);
        self.matched.clear();
        self.processor = Processor::None;
        self.force_body = false;
        self.content_type.clear();
        self.content_types = 0;
        self.is_encoded = false;
        self.view = None;
        self.is_graphql = false;
        self.body_fault = None;
        self.item = None;
        self.removed.clear();
        self.had.clear();
        self.exempt.clear();
        self.body_length = 0;
        self.steps = 0;
        self.severity = u8::MAX;
        self.hits.clear();
    }

    /// Whether a rule that has its effects once has not had them, and has them now.
    pub fn is_first(&mut self, rule: u32) -> bool {
        let is_first = !self.had.contains(&rule);
        if is_first {
            self.had.push(rule);
        }
        is_first
    }

    /// Writes a template with what its references stand for now.
    pub fn expand(&self, template: &Template, out: &mut Vec<u8>) {
        for piece in &template.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Reference(reference) => self.refer(reference, out),
            }
        }
    }

    /// Writes a template for people to read: nothing of a secret.
    pub fn tell(&self, template: &Template) -> String {
        let mut told = String::new();
        let mut text = Vec::new();
        for piece in &template.pieces {
            text.clear();
            match piece {
                Piece::Text(piece) => text.extend_from_slice(piece.as_bytes()),
                Piece::Reference(reference) => {
                    self.refer(reference, &mut text);
                    if self.is_masked(reference) {
                        told.push_str(&redact::length(text.len()));
                        continue;
                    }
                }
            }
            told.push_str(&hit::beginning(&text));
        }
        told.truncate(hit::KEPT);
        told
    }

    /// Whether nobody should read what a reference stands for. Of a secret within a value a group
    /// may have captured a part, which alone does not look like one.
    fn is_masked(&self, reference: &Reference) -> bool {
        let holds_secrets =
            |found: Found<'_>| found.is_masked() || !redact::secrets(found.value).is_empty();
        match reference {
            Reference::Tx(slot) if usize::from(slot.0) < CAPTURES => {
                self.matched.last().is_some_and(holds_secrets)
            }
            Reference::Value(Collection::MatchedVar, _) => {
                self.matched.last().is_some_and(|last| last.is_masked())
            }
            Reference::Value(Collection::RequestCookies, _) => true,
            Reference::Value(_, Some(name)) => redact::is_secret_name(name.as_bytes()),
            Reference::Tx(_) | Reference::Value(_, None) | Reference::Unknown(_) => false,
        }
    }

    fn refer(&self, reference: &Reference, out: &mut Vec<u8>) {
        use Collection::{
            ArgsCombinedSize, FilesCombinedSize, HighestSeverity, MatchedVar, MatchedVarName,
            RequestBodyLength,
        };
        let (collection, name) = match reference {
            Reference::Tx(slot) => return self.tx.write(Place::Slot(*slot), out),
            Reference::Value(collection, name) => (*collection, name.as_deref()),
            Reference::Unknown(_) => return,
        };
        match collection {
            MatchedVar => out.extend_from_slice(self.matched.last().map_or(b"", |last| last.value)),
            MatchedVarName => {
                out.extend_from_slice(self.matched.last().map_or(b"", |last| last.variable));
            }
            ArgsCombinedSize | FilesCombinedSize | RequestBodyLength | HighestSeverity => {
                let mut digits = itoa::Buffer::new();
                out.extend_from_slice(digits.format(self.measure(collection)).as_bytes());
            }
            _ => out.extend_from_slice(self.values.first(collection, name).unwrap_or_default()),
        }
    }

    /// The collections that are one number.
    pub fn measure(&self, collection: Collection) -> usize {
        match collection {
            Collection::ArgsCombinedSize => {
                let parts = [Collection::ArgsGet, Collection::ArgsPost].into_iter();
                let names = [Collection::ArgsGetNames, Collection::ArgsPostNames].into_iter();
                parts.chain(names).map(|part| self.values.size(part)).sum()
            }
            Collection::FilesCombinedSize => {
                let ids = self.values.of(Collection::FilesSizes).iter();
                let sizes = ids.map(|&id| {
                    let (_, _, size) = self.values.at(id);
                    usize::try_from(number(size)).unwrap_or(0)
                });
                sizes.fold(0, usize::saturating_add)
            }
            Collection::RequestBodyLength => self.body_length,
            _ => usize::from(self.severity),
        }
    }
}
