//! The walk along the index of a body, led by the rules; every value is proved to be JSON on the
//! way, whether a rule asks for it or not.
//!
//! Where a rule looks at values more than once, the whole text is proved first and the end of each
//! array and object kept. Recursion is bounded by the depth of a body and, at each depth, by the
//! rules that look at one value: most chains of them are known at load, those of `$dynamicRef` are
//! counted on the way.

mod array;
mod branches;
mod cursor;
mod edits;
mod equality;
mod object;
mod place;
mod pointer;
mod rewrite;
mod unevaluated;

use std::collections::HashMap;

use ahash::RandomState;

pub use edits::Undeclared;
pub use place::{Pointer, Step};

use edits::Edits;

use super::CHAIN;
use super::index::Index;
use super::names::Names;
use super::pattern::{Over, Trail};
use super::program::{Program, Rule, RuleId, types};
use super::view::Views;

/// Deepest nesting of a body.
const DEPTH: usize = 64;

/// Steps of one check, and more for each token: alternatives within alternatives could otherwise
/// take for ever.
const STEPS: usize = 1 << 16;
const STEPS_PER_TOKEN: usize = 64;

/// Steps after which it is remembered what fits: alternatives that lead to each other would be
/// tried again and again for one value. Most bodies never get there.
const FORGETFUL: usize = 1 << 11;

/// Most outcomes that are remembered.
const REMEMBERED: usize = 1 << 14;

/// What is named where a value takes more steps than a walk, or a pattern, may take.
const WALK_STEPS: &str = "complexity";
const PATTERN_STEPS: &str = "pattern steps";

/// Whether a keyword says that a value takes more to be checked than it may: nothing is known of
/// it then.
pub fn is_over(keyword: &str) -> bool {
    matches!(keyword, WALK_STEPS | PATTERN_STEPS)
}

/// Longest pointer that is kept for the log.
const POINTER: usize = 256;

/// What a walk fills anew each time.
#[derive(Debug, Default)]
pub struct Memory {
    pub index: Index,
    /// For `{` and `[` the position in the index of what follows the value.
    ends: Vec<u32>,
    names: Names,
    hashes: Vec<u64>,
    /// What has been evaluated, member by member or item by item.
    marks: Vec<bool>,
    decoded: String,
    hasher: RandomState,
    /// Schema resources on the way down.
    scope: Vec<u32>,
    /// What is to be taken out or changed.
    edits: Edits,
    /// Whether a value fits a rule, by both, and whether it was lenient.
    outcomes: HashMap<(RuleId, usize, bool), bool, RandomState>,
}

/// A value that was refused: its token, the rule and the keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    token: usize,
    /// None: not a matter of the schema.
    pub rule: Option<RuleId>,
    pub keyword: &'static str,
}

pub struct Walk<'w> {
    program: &'w Program,
    text: &'w str,
    memory: &'w mut Memory,
    trail: &'w mut Trail,
    /// What is hidden or masked where a value has been judged by a rule; none: nothing is asked of it.
    views: Option<&'w Views>,
    /// Edits are asked for: members that do not leave in this direction count for nothing.
    is_editing: bool,
    /// Edits are noted, and undeclared members may be no fault. Never set within an alternative
    /// that has to hold as it is.
    is_lenient: bool,
    /// Ends are known, and everything is known to be JSON.
    is_proved: bool,
    /// Ends are being noted.
    is_proving: bool,
    /// What is left, and with how little of it outcomes are remembered.
    steps: usize,
    patience: usize,
    depth: usize,
    nesting: usize,
    /// Above zero within an alternative, whose failure may not matter.
    quiet: usize,
    /// Nothing can make up for the fault.
    is_over: bool,
    fault: Fault,
    /// All faults, where more than the first are asked for.
    found: Vec<Fault>,
    limit: usize,
}

impl Fault {
    /// A member that no schema declares.
    fn undeclared(value: usize) -> Fault {
        Fault {
            token: value,
            rule: None,
            keyword: "undeclared",
        }
    }
}

impl<'w> Walk<'w> {
    /// None: the structure is not JSON.
    pub fn new(
        program: &'w Program,
        text: &'w str,
        memory: &'w mut Memory,
        trail: &'w mut Trail,
    ) -> Option<Walk<'w>> {
        memory.index.fill(text.as_bytes())?;
        memory.names.clear();
        memory.hashes.clear();
        memory.marks.clear();
        memory.scope.clear();
        memory.outcomes.clear();
        let tokens = memory.index.positions().len();
        let fault = Fault {
            token: 0,
            rule: None,
            keyword: "json",
        };
        Some(Walk {
            program,
            text,
            memory,
            trail,
            views: None,
            is_editing: false,
            is_lenient: false,
            is_proved: false,
            is_proving: false,
            steps: STEPS + STEPS_PER_TOKEN * tokens,
            patience: STEPS + STEPS_PER_TOKEN * tokens - FORGETFUL,
            depth: 0,
            nesting: 0,
            quiet: 0,
            is_over: false,
            fault,
            found: Vec::new(),
            limit: 0,
        })
    }

    /// The first fault.
    pub fn run(&mut self, root: RuleId) -> Result<(), Fault> {
        let outcome = match self.program.traits.looks_twice {
            true => self.prove().and_then(|()| self.value(root, 0).map(|_| ())),
            false => self.value(root, 0).and_then(|end| self.ends_at(end)),
        };
        outcome.ok_or(self.fault)
    }

    /// All faults up to a limit.
    pub fn run_all(&mut self, root: RuleId, limit: usize) -> Vec<Fault> {
        self.limit = limit;
        let outcome = self.prove().and_then(|()| self.value(root, 0));
        if outcome.is_none() && self.found.len() < limit {
            self.found.push(self.fault);
        }
        std::mem::take(&mut self.found)
    }

    fn prove(&mut self) -> Option<()> {
        let count = self.memory.index.positions().len();
        if self.memory.ends.len() < count {
            self.memory.ends.resize(count, 0);
        }
        self.is_proving = true;
        let end = self.skip(0)?;
        self.is_proving = false;
        self.is_proved = true;
        self.ends_at(end)
    }

    fn ends_at(&mut self, end: usize) -> Option<()> {
        match end == self.memory.index.positions().len() {
            true => Some(()),
            false => self.broken(0, "json"),
        }
    }

    /// A fault of the text, or of the effort that it takes: nothing makes up for it.
    #[cold]
    pub(super) fn broken<T>(&mut self, token: usize, keyword: &'static str) -> Option<T> {
        if !self.is_over {
            self.is_over = true;
            self.fault = Fault {
                token,
                rule: None,
                keyword,
            };
        }
        None
    }

    /// The answer of a pattern. Nothing makes up for one that took too many steps: neither it nor
    /// its opposite is known.
    pub(super) fn answer(
        &mut self,
        outcome: Result<bool, Over>,
        token: usize,
        rule: RuleId,
    ) -> Option<bool> {
        if let Ok(holds) = outcome {
            return Some(holds);
        }
        self.broken::<()>(token, PATTERN_STEPS);
        self.fault.rule = Some(rule);
        None
    }

    /// A fault by the schema. Some: more are asked for.
    #[cold]
    pub(super) fn fails(
        &mut self,
        token: usize,
        rule: RuleId,
        keyword: &'static str,
    ) -> Option<()> {
        let fault = Fault {
            token,
            rule: Some(rule),
            keyword,
        };
        if self.limit > 0 && self.quiet == 0 {
            self.found.push(fault);
            return (self.found.len() < self.limit).then_some(());
        }
        self.fault = fault;
        None
    }

    #[inline]
    pub(super) fn expect(
        &mut self,
        holds: bool,
        token: usize,
        rule: RuleId,
        keyword: &'static str,
    ) -> Option<()> {
        match holds {
            true => Some(()),
            false => self.fails(token, rule, keyword),
        }
    }

    /// Checks the value of a token and returns the token after it.
    pub fn value(&mut self, id: RuleId, token: usize) -> Option<usize> {
        let program = self.program;
        let rule = &program.rules[id];
        self.nesting += 1;
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 || self.nesting > CHAIN * (self.depth + 1) {
            return self.broken(token, WALK_STEPS);
        }
        if let Some(keyword) = rule.never {
            if self.takes_out(token, keyword) {
                self.nesting -= 1;
                return self.skip(token);
            }
            self.fails(token, id, keyword)?;
        }
        if program.is_dynamic {
            self.memory.scope.push(rule.resource);
        }
        let next = self.own(rule, id, token)?;
        for values in &rule.values {
            let holds = self.is_one_of(token, &values.texts, &values.others)?;
            self.expect(holds, token, id, values.keyword)?;
        }
        if let Some(branches) = &rule.branches {
            let done = usize::from(self.has_lead(rule, token).is_some());
            self.branches(branches, (id, done), token)?;
        }
        if program.is_dynamic {
            self.memory.scope.pop();
        }
        if self.is_lenient {
            self.note_view(id, token, next)?;
        }
        self.nesting -= 1;
        Some(next)
    }

    /// What the type of a value asks for.
    #[inline]
    fn own(&mut self, rule: &'w Rule, id: RuleId, token: usize) -> Option<usize> {
        match self.byte(token) {
            b'"' => {
                self.expect(rule.types & types::STRING != 0, token, id, "type")?;
                let next = self.string(token)?;
                if let Some(string) = &rule.string {
                    self.with_text(token, |walk, text| {
                        string.check(text, |keyword| walk.fails(token, id, keyword))?;
                        let outcome = string.matches(text, walk.trail);
                        let holds = walk.answer(outcome, token, id)?;
                        walk.expect(holds, token, id, "pattern")
                    })?;
                }
                Some(next)
            }
            b'{' => {
                self.expect(rule.types & types::OBJECT != 0, token, id, "type")?;
                match &rule.object {
                    Some(object) => self.object(object, id, token),
                    None => self.lead(rule, token),
                }
            }
            b'[' => {
                self.expect(rule.types & types::ARRAY != 0, token, id, "type")?;
                match &rule.array {
                    Some(array) => self.array(array, id, token),
                    None => self.lead(rule, token),
                }
            }
            first @ (b't' | b'f' | b'n') => {
                let (literal, kind) = match first {
                    b't' => ("true", types::BOOLEAN),
                    b'f' => ("false", types::BOOLEAN),
                    _ => ("null", types::NULL),
                };
                let next = self.literal(token, literal)?;
                self.expect(rule.types & kind != 0, token, id, "type")?;
                Some(next)
            }
            _ => {
                let (number, next) = self.number(token)?;
                let fits = rule.types & types::NUMBER != 0
                    || rule.types & types::INTEGER != 0 && number.is_whole();
                self.expect(fits, token, id, "type")?;
                if let Some(own) = &rule.number {
                    own.check(&number, |keyword| self.fails(token, id, keyword))?;
                }
                Some(next)
            }
        }
    }

    /// The schema to walk an array or object by that the rule itself says nothing of.
    fn has_lead(&self, rule: &Rule, token: usize) -> Option<RuleId> {
        let is_own = match self.byte(token) {
            b'{' => rule.object.is_some(),
            b'[' => rule.array.is_some(),
            _ => true,
        };
        let branches = rule.branches.as_ref().filter(|_| !is_own)?;
        branches.all.first().copied()
    }

    fn lead(&mut self, rule: &'w Rule, token: usize) -> Option<usize> {
        match self.has_lead(rule, token) {
            Some(first) => self.value(first, token),
            None => self.skip(token),
        }
    }
}
