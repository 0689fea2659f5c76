//! What callers see of a check: bodies, texts of parameters, and what was wrong.

use serde_json::Value;

use super::direct::{self, Direct};
use super::mask::{Mask, MaskKey};
use super::pattern::Trail;
use super::program::{Program, RuleId};
use super::walk::{self, Fault, Pointer, Undeclared, Walk};
use super::{Schema, text};

/// What a check reuses; one per shard.
#[derive(Default)]
pub struct Scratch {
    /// Whether bodies are kept for [`lookup`](Scratch::lookup).
    keeps: bool,
    /// The body as it goes on; empty where it is not kept.
    original: Vec<u8>,
    memory: Memory,
    /// A parameter as JSON.
    written: String,
    /// The body as it was rewritten last, and as it was before that.
    rewritten: String,
    previous: String,
}

/// How often a body is rewritten: what is taken out may decide what else has to go.
const ROUNDS: usize = 4;

/// What is asked of a body beside the verdict.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub undeclared: Undeclared,
    /// Whether the reader has one of these scopes or roles.
    pub sees: &'a dyn Fn(&[Box<str>]) -> bool,
    /// Values to mask beside those that the schema names.
    pub masks: &'a [(Pointer, Mask)],
    pub key: Option<&'a MaskKey>,
    /// The array whose items are counted.
    pub count: Option<&'a Pointer>,
}

impl Wanted<'_> {
    /// Of a request: nothing is hidden from a backend.
    pub fn of(undeclared: Undeclared) -> Wanted<'static> {
        Wanted {
            undeclared,
            sees: &|_| true,
            masks: &[],
            key: None,
            count: None,
        }
    }
}

/// What became of a body that is valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// Whether it is to be replaced by [`Scratch::rewritten`].
    pub is_changed: bool,
    /// The first undeclared member, if it was taken out or noted.
    pub undeclared: Option<Violation>,
    /// How many items the array has.
    pub items: Option<usize>,
}

/// What the walks fill anew each time.
#[derive(Default)]
pub(super) struct Memory {
    walk: walk::Memory,
    direct: direct::Memory,
    trail: Trail,
    /// How many faults are wanted; none is as good as one.
    most: usize,
    /// Those of the check that ended last, undeclared members that are let pass among them.
    found: Vec<Violation>,
}

impl Memory {
    /// Keeps a fault, and what else is wrong where more is wanted. `again` walks for all.
    fn keep(&mut self, first: &Violation, again: impl FnOnce(&mut Memory) -> Vec<Violation>) {
        let wants_more = self.most > 1 && !walk::is_over(first.keyword);
        self.found = match wants_more {
            true => again(self),
            false => Vec::new(),
        };
        if !self.found.contains(first) {
            self.found.insert(0, first.clone());
        }
        self.found.truncate(self.most.max(1));
    }
}

/// Where and by which keyword a value was refused; never the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer to the value, cut at 256 bytes.
    pub pointer: String,
    pub keyword: &'static str,
    /// Where the schema stands that refused it; empty when no schema did.
    pub schema: String,
}

impl Scratch {
    /// The memory of a check that begins.
    pub(super) fn begin(&mut self) -> &mut Memory {
        self.memory.trail.begin();
        self.memory.found.clear();
        &mut self.memory
    }

    /// How many faults the checks to come are to find of one body.
    pub fn find(&mut self, most: usize) {
        self.memory.most = most;
    }

    /// How many that are; at least one.
    pub fn wanted(&self) -> usize {
        self.memory.most.max(1)
    }

    /// What the check that ended last found: first what it refused for, or all undeclared members
    /// that it let pass.
    pub fn take_found(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.memory.found)
    }

    /// Exchanges what was found for what was put together of several checks.
    pub fn put_found(&mut self, found: Vec<Violation>) {
        self.memory.found = found;
    }

    pub fn pattern_steps(&self) -> usize {
        self.memory.trail.spent()
    }

    /// The body that an edit changed last.
    pub fn rewritten(&self) -> &str {
        &self.rewritten
    }

    /// Exchanges the body that an edit changed last for one that was made of several edits.
    pub fn swap_rewritten(&mut self, text: &mut String) {
        std::mem::swap(&mut self.rewritten, text);
    }

    /// Whether values of the bodies to come will be looked up; a copy of each is kept then.
    pub fn keep_bodies(&mut self, keeps: bool) {
        self.keeps = keeps;
    }

    fn keep(&mut self, body: &[u8]) {
        self.original.clear();
        if self.keeps {
            self.original.extend_from_slice(body);
        }
    }

    /// The text, or the digits of the integer, at a JSON pointer of the body checked last;
    /// nothing where bodies are not kept.
    pub fn lookup(&self, pointer: &str) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.original).ok()?;
        match body.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            Value::Number(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }
}

impl Schema {
    /// Checks a whole body, which is only read. The first fault.
    pub fn check(&self, body: &[u8], scratch: &mut Scratch) -> Result<(), Violation> {
        scratch.keep(body);
        let text = simdutf8::basic::from_utf8(body).map_err(|_| no_json())?;
        self.run(self.root, text, scratch.begin())
    }

    /// Checks a whole body, takes out what is not to go on and masks what is not to be read. What
    /// remains is valid without being edited again, but for what readers do not see of it.
    pub fn edit(
        &self,
        body: &[u8],
        wanted: Wanted<'_>,
        scratch: &mut Scratch,
    ) -> Result<Edited, Violation> {
        let text = simdutf8::basic::from_utf8(body).map_err(|_| no_json())?;
        let mut edited = Edited::default();
        if self.has_nothing_to_edit(text, &wanted, scratch.begin()) {
            scratch.keep(body);
            return Ok(edited);
        }
        for _ in 0..ROUNDS {
            let is_final = self.round(text, wanted, &mut edited, scratch)?;
            if is_final {
                let rewritten = std::mem::take(&mut scratch.rewritten);
                scratch.keep(match edited.is_changed {
                    true => rewritten.as_bytes(),
                    false => body,
                });
                scratch.rewritten = rewritten;
                return Ok(edited);
            }
        }
        Err(Violation {
            keyword: "complexity",
            ..no_json()
        })
    }

    /// Whether a body is seen at once to be valid and to hold nothing that is taken out or masked.
    fn has_nothing_to_edit(&self, text: &str, wanted: &Wanted<'_>, memory: &mut Memory) -> bool {
        if self.has_views() || !wanted.masks.is_empty() || wanted.count.is_some() {
            return false;
        }
        let mut direct = Direct::new(&self.plan, text, &mut memory.direct, &mut memory.trail);
        direct.accepts(self.root)
            && (wanted.undeclared == Undeclared::Refused || !direct.has_undeclared())
    }

    /// One walk, and the rewrite that it asks for. False: the result has to be looked at.
    fn round(
        &self,
        text: &str,
        wanted: Wanted<'_>,
        edited: &mut Edited,
        scratch: &mut Scratch,
    ) -> Result<bool, Violation> {
        let Scratch {
            memory,
            rewritten,
            previous,
            ..
        } = scratch;
        let is_first = !edited.is_changed;
        std::mem::swap(rewritten, previous);
        let text: &str = if is_first { text } else { previous.as_str() };
        let Memory {
            walk,
            trail,
            most,
            found,
            ..
        } = &mut *memory;
        let most = (*most).max(1);
        let mut walk = Walk::new(&self.program, text, walk, trail).ok_or_else(no_json)?;
        let takes_undeclared = wanted.undeclared != Undeclared::Refused;
        walk.edit(&self.views, takes_undeclared, wanted.sees);
        let outcome = walk.run(self.root);
        if let Err(fault) = outcome {
            let first = told(&self.program, &walk, &fault);
            memory.keep(&first, |memory| match is_first {
                true => self.all(text, (self.root, Some(wanted)), most, memory),
                // Places in what was rewritten are nobody's.
                false => Vec::new(),
            });
            return Err(first);
        }
        let edits = walk.edits();
        edits.decide();
        if is_first {
            if wanted.undeclared != Undeclared::Refused {
                let undeclared = edits.undeclared(most);
                let told = undeclared.iter().map(|at| told(&self.program, &walk, at));
                found.extend(told);
                edited.undeclared = found.first().cloned();
                if let (Undeclared::Forbidden, Some(first)) = (wanted.undeclared, found.first()) {
                    return Err(first.clone());
                }
            }
            edited.items = wanted.count.map(|pointer| walk.count_items(pointer));
        }
        let edits = walk.edits();
        if wanted.undeclared == Undeclared::Stripped {
            edits.cut_undeclared();
        }
        let is_cut = edits.has_cuts();
        if is_cut && !self.program.traits.strips_safely {
            walk.rewrite(None, rewritten);
            edited.is_changed = true;
            return Ok(false);
        }
        for (pointer, mask) in wanted.masks {
            walk.mask_at(pointer, *mask);
        }
        if is_cut || walk.edits().has_views() {
            walk.rewrite(Some(wanted.key), rewritten);
            edited.is_changed = true;
        } else {
            std::mem::swap(rewritten, previous);
        }
        Ok(true)
    }

    /// All faults of a body, at most `limit`; found by a slower walk.
    pub fn violations(&self, body: &[u8], limit: usize, scratch: &mut Scratch) -> Vec<Violation> {
        let Ok(text) = simdutf8::basic::from_utf8(body) else {
            return vec![no_json()];
        };
        self.all(text, (self.root, None), limit.max(1), scratch.begin())
    }

    /// `wanted`: of a body that is edited, where it tolerates what will be taken out.
    fn all(
        &self,
        text: &str,
        (rule, wanted): (RuleId, Option<Wanted<'_>>),
        limit: usize,
        memory: &mut Memory,
    ) -> Vec<Violation> {
        let Memory { walk, trail, .. } = memory;
        let Some(mut walk) = Walk::new(&self.program, text, walk, trail) else {
            return vec![no_json()];
        };
        if let Some(wanted) = wanted {
            let takes_undeclared = wanted.undeclared != Undeclared::Refused;
            walk.edit(&self.views, takes_undeclared, wanted.sees);
        }
        let faults = walk.run_all(rule, limit);
        let told = faults.iter().map(|fault| told(&self.program, &walk, fault));
        told.collect()
    }

    /// Checks a value that was written as JSON from a request. The first fault.
    pub fn check_value(&self, json: &str, scratch: &mut Scratch) -> Result<(), Violation> {
        self.run(self.root, json, scratch.begin())
    }

    /// Checks the text of a parameter, taken for any type that JSON could give it.
    pub fn check_text(&self, text: &str, scratch: &mut Scratch) -> Result<(), Violation> {
        let memory = scratch.begin();
        let mut refused = None;
        if is_reading(text) {
            match self.run(self.root, text, memory) {
                Ok(()) => return Ok(()),
                Err(violation) if walk::is_over(violation.keyword) => return Err(violation),
                Err(violation) => refused = Some(violation),
            }
        }
        scratch.written.clear();
        text::quote(text, &mut scratch.written);
        let as_text = self.run(self.root, &scratch.written, &mut scratch.memory);
        // A value of the right type is told what is wrong with it.
        as_text.map_err(|as_text| match refused {
            Some(refused) if refused.keyword != "type" => refused,
            _ => as_text,
        })
    }

    /// Checks the texts of an array parameter.
    pub fn check_texts(&self, texts: &[&str], scratch: &mut Scratch) -> Result<(), Violation> {
        let items = self.items(self.root);
        scratch.begin();
        let mut written = std::mem::take(&mut scratch.written);
        written.clear();
        written.push('[');
        for (index, &text) in texts.iter().enumerate() {
            if index > 0 {
                written.push(',');
            }
            let fits = |rule| {
                let outcome = self.run(rule, text, &mut scratch.memory);
                outcome.map_err(|violation| violation.keyword) != Err("type")
            };
            match is_reading(text) && items.is_none_or(fits) {
                true => written.push_str(text),
                false => text::quote(text, &mut written),
            }
        }
        written.push(']');
        let outcome = self.run(self.root, &written, &mut scratch.memory);
        scratch.written = written;
        outcome
    }

    /// The rule of the items, also behind references.
    fn items(&self, rule: RuleId) -> Option<RuleId> {
        let rule = &self.program.rules[rule];
        let own = rule.array.as_ref().and_then(|array| array.items);
        let branches = rule.branches.as_ref();
        // References do not loop, which was seen to at load.
        own.or_else(|| {
            let mut all = branches?.all.iter();
            all.find_map(|&next| self.items(next))
        })
    }

    pub(super) fn run(
        &self,
        rule: RuleId,
        text: &str,
        memory: &mut Memory,
    ) -> Result<(), Violation> {
        let Memory {
            walk,
            direct,
            trail,
            ..
        } = &mut *memory;
        if Direct::new(&self.plan, text, direct, trail).accepts(rule) {
            return Ok(());
        }
        let Some(mut walk) = Walk::new(&self.program, text, walk, trail) else {
            return Err(no_json());
        };
        let Err(fault) = walk.run(rule) else {
            return Ok(());
        };
        let first = told(&self.program, &walk, &fault);
        let most = memory.most;
        memory.keep(&first, |memory| self.all(text, (rule, None), most, memory));
        Err(first)
    }
}

fn told(program: &Program, walk: &Walk<'_>, fault: &Fault) -> Violation {
    let place = fault.rule.map(|rule| program.places[rule].as_ref());
    Violation {
        pointer: walk.pointer(fault),
        keyword: fault.keyword,
        schema: place.unwrap_or_default().to_owned(),
    }
}

pub(super) fn no_json() -> Violation {
    Violation {
        pointer: String::new(),
        keyword: "json",
        schema: String::new(),
    }
}

/// Whether a text could be a boolean or number, as JSON writes them.
fn is_reading(text: &str) -> bool {
    matches!(text, "true" | "false") || is_number(text)
}

/// Whether a text is a number as JSON writes them (RFC 8259 section 6).
pub fn is_number(text: &str) -> bool {
    let number = super::number::Number::read(text.as_bytes());
    number.is_some_and(|(_, length)| length == text.len())
}
