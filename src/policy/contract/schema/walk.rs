//! The walk along the index of a body, led by the rules; every value is proved to be JSON on the
//! way, whether a rule asks for it or not.
//!
//! Where a rule looks at values more than once, the whole text is proved first and the end of each
//! array and object kept. Recursion is bounded twice: by the depth of a body, and by a count of
//! rules on the way down.

use ahash::RandomState;
use serde_json::Value;

use super::index::Index;
use super::number::Number;
use super::program::{
    Additional, ArrayRule, BITS, Branches, Contains, NumberRule, ObjectRule, Program, RareObject,
    Rule, RuleId, StringRule, Switch, types,
};
use super::text;

/// Deepest nesting of a body.
const DEPTH: usize = 64;

/// Most rules on the way down to a value.
const NESTING: usize = 320;

/// Steps of one check, and more for each token: alternatives within alternatives could otherwise
/// take for ever.
const STEPS: usize = 1 << 20;
const STEPS_PER_TOKEN: usize = 16;

/// Objects up to here have their names compared one with another, larger ones by their hashes.
const FEW: usize = 12;

/// Longest pointer that is kept for the log.
const POINTER: usize = 256;

/// What a walk fills anew each time.
#[derive(Debug, Default)]
pub struct Memory {
    pub index: Index,
    /// For `{` and `[` the position in the index of what follows the value.
    ends: Vec<u32>,
    /// Names of the objects that are open, as places in the text.
    names: Vec<(u32, u32)>,
    hashes: Vec<u64>,
    /// What has been evaluated, member by member or item by item.
    marks: Vec<bool>,
    decoded: String,
    hasher: RandomState,
    /// Schema resources on the way down.
    scope: Vec<u32>,
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
    /// Ends are known, and everything is known to be JSON.
    is_proved: bool,
    /// Ends are being noted.
    is_proving: bool,
    /// What is left.
    steps: usize,
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

impl<'w> Walk<'w> {
    /// None: the structure is not JSON.
    pub fn new(program: &'w Program, text: &'w str, memory: &'w mut Memory) -> Option<Walk<'w>> {
        memory.index.fill(text.as_bytes())?;
        memory.names.clear();
        memory.hashes.clear();
        memory.marks.clear();
        memory.scope.clear();
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
            is_proved: false,
            is_proving: false,
            steps: STEPS + STEPS_PER_TOKEN * tokens,
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
        let outcome = match self.program.looks_twice {
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

    #[inline]
    fn at(&self, token: usize) -> usize {
        let positions = self.memory.index.positions();
        positions.get(token).map_or(usize::MAX, |&at| at as usize)
    }

    /// The byte of a token; 0, which is none of JSON, after the last.
    #[inline]
    fn byte(&self, token: usize) -> u8 {
        *self.text.as_bytes().get(self.at(token)).unwrap_or(&0)
    }

    /// Where the content of a string begins and ends.
    #[inline]
    fn span(&self, token: usize) -> (usize, usize) {
        (self.at(token) + 1, self.at(token + 1))
    }

    fn raw(&self, (start, end): (usize, usize)) -> &'w str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn has_escape(&self, (start, end): (usize, usize)) -> bool {
        self.memory.index.has_escapes()
            && memchr::memchr(b'\\', self.raw((start, end)).as_bytes()).is_some()
    }

    /// A fault of the text, or of the effort that it takes: nothing makes up for it.
    #[cold]
    fn broken<T>(&mut self, token: usize, keyword: &'static str) -> Option<T> {
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

    /// A fault by the schema. Some: more are asked for.
    #[cold]
    fn fails(&mut self, token: usize, rule: RuleId, keyword: &'static str) -> Option<()> {
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
    fn expect(
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

    /// Calls with the characters of a string.
    fn with_text<T>(
        &mut self,
        token: usize,
        look: impl FnOnce(&mut Walk<'w>, &str) -> Option<T>,
    ) -> Option<T> {
        let span = self.span(token);
        if !self.has_escape(span) {
            let raw = self.raw(span);
            return look(self, raw);
        }
        let mut decoded = std::mem::take(&mut self.memory.decoded);
        decoded.clear();
        let outcome = match text::pieces(self.raw(span), |piece| decoded.push_str(piece)) {
            Some(()) => look(self, &decoded),
            None => self.broken(0, "json"),
        };
        self.memory.decoded = decoded;
        outcome
    }

    /// Checks the escapes of a string and steps over it.
    #[inline]
    fn string(&mut self, token: usize) -> Option<usize> {
        let span = self.span(token);
        if !self.is_proved
            && self.has_escape(span)
            && text::pieces(self.raw(span), |_| {}).is_none()
        {
            return self.broken(0, "json");
        }
        Some(token + 2)
    }

    /// Checks that a literal or number ends where its bytes do.
    #[inline]
    fn scalar(&mut self, token: usize, length: usize) -> Option<usize> {
        let next = self.text.as_bytes().get(self.at(token) + length);
        match next {
            None | Some(b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t') => Some(token + 1),
            // Anything else that is a token of its own is refused as such.
            Some(b'"' | b':' | b'[' | b'{') => Some(token + 1),
            Some(_) => self.broken(0, "json"),
        }
    }

    fn literal(&mut self, token: usize, literal: &str) -> Option<usize> {
        let at = self.at(token);
        let found = self.text.as_bytes().get(at..at + literal.len());
        match found == Some(literal.as_bytes()) {
            true => self.scalar(token, literal.len()),
            false => self.broken(0, "json"),
        }
    }

    #[inline]
    fn number(&mut self, token: usize) -> Option<(Number<'w>, usize)> {
        let bytes = self.text.as_bytes().get(self.at(token)..)?;
        match Number::read(bytes) {
            Some((number, length)) => Some((number, self.scalar(token, length)?)),
            None => self.broken(0, "json"),
        }
    }

    /// Steps over a value of which nothing is asked but to be JSON.
    pub fn skip(&mut self, token: usize) -> Option<usize> {
        match self.byte(token) {
            b'"' => self.string(token),
            b'{' | b'[' if self.is_proved => Some(self.memory.ends[token] as usize),
            b'{' => self.skip_members(token),
            b'[' => self.skip_items(token),
            b't' => self.literal(token, "true"),
            b'f' => self.literal(token, "false"),
            b'n' => self.literal(token, "null"),
            _ => self.number(token).map(|(_, next)| next),
        }
    }

    fn skip_members(&mut self, token: usize) -> Option<usize> {
        self.enter()?;
        let first = self.memory.names.len();
        let mut next = token + 1;
        while self.byte(next) != b'}' {
            let value = self.name(next)?;
            self.keep_name(next);
            let end = self.skip(value)?;
            next = self.comma(end, b'}')?;
        }
        self.unique_names(first, token)?;
        self.leave(token, next + 1)
    }

    fn skip_items(&mut self, token: usize) -> Option<usize> {
        self.enter()?;
        let mut next = token + 1;
        while self.byte(next) != b']' {
            let end = self.skip(next)?;
            next = self.comma(end, b']')?;
        }
        self.leave(token, next + 1)
    }

    #[inline]
    fn enter(&mut self) -> Option<()> {
        self.depth += 1;
        match self.depth <= DEPTH {
            true => Some(()),
            false => self.broken(0, "json"),
        }
    }

    #[inline]
    fn leave(&mut self, token: usize, end: usize) -> Option<usize> {
        self.depth -= 1;
        if self.is_proving {
            self.memory.ends[token] = end as u32;
        }
        Some(end)
    }

    /// After a member or item: the closing bracket, or what stands after the comma, which cannot
    /// be the bracket.
    #[inline]
    fn comma(&mut self, token: usize, close: u8) -> Option<usize> {
        match self.byte(token) {
            b',' if self.byte(token + 1) != close => Some(token + 1),
            byte if byte == close => Some(token),
            _ => self.broken(0, "json"),
        }
    }

    /// Checks a name and its colon; the token of the value.
    #[inline]
    fn name(&mut self, token: usize) -> Option<usize> {
        if self.byte(token) != b'"' || self.byte(token + 2) != b':' {
            return self.broken(0, "json");
        }
        self.string(token)?;
        Some(token + 3)
    }

    #[inline]
    fn keep_name(&mut self, token: usize) {
        if !self.is_proved {
            let (start, end) = self.span(token);
            self.memory.names.push((start as u32, end as u32));
        }
    }

    /// No object may name a member twice (RFC 8259 section 4): which of the two counts is anyone's
    /// guess. The names are those kept from `first` on.
    fn unique_names(&mut self, first: usize, token: usize) -> Option<()> {
        let names = &self.memory.names[first..];
        if names.len() < 2 {
            self.memory.names.truncate(first);
            return Some(());
        }
        let text = self.text.as_bytes();
        let has_escapes = self.memory.index.has_escapes();
        let is_unique = if names.len() <= FEW && !has_escapes {
            let of = |&(start, end): &(u32, u32)| &text[start as usize..end as usize];
            (1..names.len()).all(|at| {
                let name = of(&names[at]);
                names[..at].iter().all(|other| of(other) != name)
            })
        } else {
            // Keyed, so that a client cannot aim for collisions, which count as repetitions.
            let mut hashes = std::mem::take(&mut self.memory.hashes);
            let base = hashes.len();
            for at in first..self.memory.names.len() {
                let (start, end) = self.memory.names[at];
                hashes.push(self.hash_text((start as usize, end as usize)));
            }
            let own = &mut hashes[base..];
            own.sort_unstable();
            let is_unique = own.windows(2).all(|pair| pair[0] != pair[1]);
            hashes.truncate(base);
            self.memory.hashes = hashes;
            is_unique
        };
        self.memory.names.truncate(first);
        match is_unique {
            true => Some(()),
            false => self.broken(token, "unique names"),
        }
    }

    fn hash_text(&self, span: (usize, usize)) -> u64 {
        use std::hash::{BuildHasher as _, Hasher as _};
        let mut state = self.memory.hasher.build_hasher();
        // One byte at a time where there are escapes, so that the pieces do not matter.
        match self.has_escape(span) {
            true => {
                let each = |piece: &str| piece.bytes().for_each(|byte| state.write_u8(byte));
                let _ = text::pieces(self.raw(span), each);
            }
            false => {
                let bytes = self.raw(span).bytes();
                match self.memory.index.has_escapes() {
                    true => bytes.for_each(|byte| state.write_u8(byte)),
                    false => state.write(self.raw(span).as_bytes()),
                }
            }
        }
        state.finish()
    }

    /// Checks the value of a token and returns the token after it.
    pub fn value(&mut self, id: RuleId, token: usize) -> Option<usize> {
        let program = self.program;
        let rule = &program.rules[id];
        self.nesting += 1;
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 || self.nesting > NESTING {
            return self.broken(token, "complexity");
        }
        if program.is_dynamic {
            self.memory.scope.push(rule.resource);
        }
        if let Some(keyword) = rule.never {
            self.fails(token, id, keyword)?;
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
                    self.with_text(token, |walk, text| walk.text(string, text, (id, token)))?;
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
                    self.in_range(own, &number, (id, token))?;
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

    fn text(&mut self, rule: &StringRule, text: &str, (id, token): (RuleId, usize)) -> Option<()> {
        if rule.min_length.is_some() || rule.max_length.is_some() {
            // A code point takes one byte to four, which mostly decides.
            let (most, least) = (text.len(), text.len().div_ceil(4));
            let is_clear = rule.min_length.is_none_or(|bound| least >= bound)
                && rule.max_length.is_none_or(|bound| most <= bound);
            if !is_clear {
                let length = text.chars().count();
                let long = rule.min_length.is_none_or(|bound| length >= bound);
                self.expect(long, token, id, "minLength")?;
                let short = rule.max_length.is_none_or(|bound| length <= bound);
                self.expect(short, token, id, "maxLength")?;
            }
        }
        if let Some(format) = rule.format {
            self.expect(format.accepts(text), token, id, "format")?;
        }
        if let Some(pattern) = &rule.pattern {
            self.expect(pattern.is_match(text), token, id, "pattern")?;
        }
        Some(())
    }

    fn in_range(
        &mut self,
        rule: &NumberRule,
        number: &Number<'_>,
        (id, token): (RuleId, usize),
    ) -> Option<()> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        if let Some((bound, is_open)) = &rule.minimum {
            let (worst, keyword) = match is_open {
                true => (Greater, "exclusiveMinimum"),
                false => (Equal, "minimum"),
            };
            let holds = number.compare(&bound.number()) >= worst;
            self.expect(holds, token, id, keyword)?;
        }
        if let Some((bound, is_open)) = &rule.maximum {
            let (worst, keyword) = match is_open {
                true => (Less, "exclusiveMaximum"),
                false => (Equal, "maximum"),
            };
            let holds = number.compare(&bound.number()) <= worst;
            self.expect(holds, token, id, keyword)?;
        }
        if let Some(divisor) = &rule.multiple_of {
            self.expect(number.is_multiple(divisor), token, id, "multipleOf")?;
        }
        if let Some((least, most)) = &rule.format {
            let holds = number.compare(&least.number()) != Less
                && number.compare(&most.number()) != Greater;
            self.expect(holds, token, id, "format")?;
        }
        Some(())
    }

    fn array(&mut self, rule: &'w ArrayRule, id: RuleId, token: usize) -> Option<usize> {
        self.enter()?;
        let (mut next, mut count) = (token + 1, 0);
        while self.byte(next) != b']' {
            let end = match rule.prefix.get(count).copied().or(rule.items) {
                Some(item) => self.value(item, next)?,
                None => self.skip(next)?,
            };
            count += 1;
            next = self.comma(end, b']')?;
        }
        let enough = rule.min_items.is_none_or(|least| count >= least);
        self.expect(enough, token, id, "minItems")?;
        let few = rule.max_items.is_none_or(|most| count <= most);
        self.expect(few, token, id, "maxItems")?;
        if rule.is_unique {
            let holds = self.has_unique_items(token)?;
            self.expect(holds, token, id, "uniqueItems")?;
        }
        if let Some(contains) = &rule.contains {
            self.contains(contains, id, token)?;
        }
        self.leave(token, next + 1)
    }

    fn contains(&mut self, rule: &Contains, id: RuleId, token: usize) -> Option<()> {
        let mut count = 0;
        let mut next = token + 1;
        while let Some(item) = self.item(&mut next) {
            count += usize::from(self.holds(rule.rule, item)?);
        }
        let keyword = match (rule.least, count) {
            (1, _) | (_, 0) => "contains",
            _ => "minContains",
        };
        self.expect(count >= rule.least, token, id, keyword)?;
        let few = rule.most.is_none_or(|most| count <= most);
        self.expect(few, token, id, "maxContains")
    }

    /// Steps along a proved array; from the token after its bracket on.
    fn item(&mut self, next: &mut usize) -> Option<usize> {
        if matches!(self.byte(*next), b']' | 0) {
            return None;
        }
        let item = *next;
        let end = self.skip(item)?;
        *next = end + usize::from(self.byte(end) == b',');
        Some(item)
    }

    /// Steps along a proved object; the tokens of a name and its value.
    fn member(&mut self, next: &mut usize) -> Option<(usize, usize)> {
        if matches!(self.byte(*next), b'}' | 0) {
            return None;
        }
        let name = *next;
        let end = self.skip(name + 3)?;
        *next = end + usize::from(self.byte(end) == b',');
        Some((name, name + 3))
    }

    /// The value of a member of a proved object.
    fn find(&mut self, token: usize, wanted: &str) -> Option<usize> {
        let mut next = token + 1;
        while let Some((name, value)) = self.member(&mut next) {
            if self.is_text(name, wanted) {
                return Some(value);
            }
        }
        None
    }

    fn is_text(&mut self, token: usize, wanted: &str) -> bool {
        self.with_text(token, |_, text| Some(text == wanted)) == Some(true)
    }

    fn object(&mut self, rule: &'w ObjectRule, id: RuleId, token: usize) -> Option<usize> {
        self.enter()?;
        let first = self.memory.names.len();
        // Beyond the bits every name is kept, and unique ones need only be counted.
        let is_small = rule.members.list.len() <= BITS;
        let (mut next, mut count, mut seen, mut required) = (token + 1, 0_usize, 0_u64, 0);
        while self.byte(next) != b'}' {
            let value = self.name(next)?;
            let known = self.known(rule, next)?;
            count += 1;
            match known {
                Some(at) if is_small => {
                    let bit = 1_u64 << at;
                    if seen & bit != 0 {
                        return self.broken(token, "unique names");
                    }
                    seen |= bit;
                }
                Some(at) => {
                    required += usize::from(rule.members.list[at].is_required);
                    self.keep_name(next);
                }
                None => self.keep_name(next),
            }
            let declared = known.and_then(|at| rule.members.list[at].rule);
            let end = match declared {
                Some(member) if rule.patterns.is_empty() => self.value(member, value)?,
                _ => self.other(rule, (id, declared), next)?,
            };
            next = self.comma(end, b'}')?;
        }
        self.unique_names(first, token)?;
        let is_complete = match is_small {
            true => rule.members.required_bits & !seen == 0,
            false => required == rule.members.required,
        };
        self.expect(is_complete, token, id, "required")?;
        let enough = rule.min_properties.is_none_or(|least| count >= least);
        self.expect(enough, token, id, "minProperties")?;
        let few = rule.max_properties.is_none_or(|most| count <= most);
        self.expect(few, token, id, "maxProperties")?;
        if let Some(rare) = &rule.rare {
            self.rare(rare, id, token)?;
        }
        self.leave(token, next + 1)
    }

    #[inline]
    fn known(&mut self, rule: &ObjectRule, name: usize) -> Option<Option<usize>> {
        let (start, end) = self.span(name);
        match self.has_escape((start, end)) {
            false => Some(rule.members.find(self.text.as_bytes(), start, end)),
            true => self.with_text(name, |_, text| Some(rule.members.named(text))),
        }
    }

    /// A member that more than its own schema, or none of its own, speaks of.
    fn other(
        &mut self,
        rule: &'w ObjectRule,
        (id, declared): (RuleId, Option<RuleId>),
        name: usize,
    ) -> Option<usize> {
        let value = name + 3;
        let mut end = match declared {
            Some(member) => Some(self.value(member, value)?),
            None => None,
        };
        for (pattern, next) in &rule.patterns {
            if self.with_text(name, |_, text| Some(pattern.is_match(text)))? {
                end = Some(self.value(*next, value)?);
            }
        }
        match (end, rule.additional) {
            (Some(end), _) => Some(end),
            (None, Additional::Checked(next)) => self.value(next, value),
            (None, Additional::Open) => self.skip(value),
            (None, Additional::Refused) => {
                // A member that is only required is not declared either.
                self.fails(value, id, "additionalProperties")?;
                self.skip(value)
            }
        }
    }

    fn rare(&mut self, rule: &'w RareObject, id: RuleId, token: usize) -> Option<()> {
        if let Some(names) = rule.names {
            let mut next = token + 1;
            while let Some((name, _)) = self.member(&mut next) {
                let holds = self.holds(names, name)?;
                self.expect(holds, name, id, "propertyNames")?;
            }
        }
        for (name, needed) in &rule.dependent_required {
            if self.find(token, name).is_some() {
                for other in needed {
                    let holds = self.find(token, other).is_some();
                    self.expect(holds, token, id, "dependentRequired")?;
                }
            }
        }
        for (name, next) in &rule.dependent_schemas {
            if self.find(token, name).is_some() {
                self.value(*next, token)?;
            }
        }
        Some(())
    }

    /// Whether a value fits a rule, without a fault if not. None: the walk is over.
    fn holds(&mut self, id: RuleId, token: usize) -> Option<bool> {
        let (depth, nesting) = (self.depth, self.nesting);
        let (names, scope) = (self.memory.names.len(), self.memory.scope.len());
        self.quiet += 1;
        let holds = self.value(id, token).is_some();
        self.quiet -= 1;
        self.depth = depth;
        self.nesting = nesting;
        self.memory.names.truncate(names);
        self.memory.scope.truncate(scope);
        (!self.is_over).then_some(holds)
    }

    /// `done` of the schemas that all must hold have been walked.
    fn branches(
        &mut self,
        rule: &'w Branches,
        (id, done): (RuleId, usize),
        token: usize,
    ) -> Option<()> {
        for &next in rule.all.iter().skip(done) {
            self.value(next, token)?;
        }
        if rule.dynamic.is_some() {
            let next = self.dynamic(rule)?;
            self.value(next, token)?;
        }
        match &rule.switch {
            Some(switch) => self.switch(switch, id, token)?,
            None => self.alternatives(rule, id, token)?,
        }
        if let Some(not) = rule.not {
            let holds = self.holds(not, token)?;
            self.expect(!holds, token, id, "not")?;
        }
        if let Some(condition) = &rule.condition {
            let next = match self.holds(condition.test, token)? {
                true => condition.then,
                false => condition.or_else,
            };
            if let Some(next) = next {
                self.value(next, token)?;
            }
        }
        let unevaluated = match self.byte(token) {
            b'{' => rule.unevaluated_properties,
            b'[' => rule.unevaluated_items,
            _ => None,
        };
        match unevaluated {
            Some(next) => self.unevaluated(next, id, token),
            None => Some(()),
        }
    }

    fn alternatives(&mut self, rule: &Branches, id: RuleId, token: usize) -> Option<()> {
        if !rule.any_of.is_empty() {
            let mut holds = false;
            for &next in &rule.any_of {
                holds = holds || self.holds(next, token)?;
            }
            self.expect(holds, token, id, "anyOf")?;
        }
        if !rule.one_of.is_empty() {
            let mut count = 0;
            for &next in &rule.one_of {
                if count < 2 {
                    count += usize::from(self.holds(next, token)?);
                }
            }
            self.expect(count == 1, token, id, "oneOf")?;
        }
        Some(())
    }

    /// The outermost resource with the anchor wins (JSON Schema 2020-12 core, section 8.2.3.2).
    fn dynamic(&self, rule: &Branches) -> Option<RuleId> {
        let dynamic = rule.dynamic.as_ref()?;
        let found = self.memory.scope.iter().find_map(|resource| {
            let mut candidates = dynamic.candidates.iter();
            candidates.find(|(own, _)| own == resource)
        });
        Some(found.map_or(dynamic.otherwise, |(_, rule)| *rule))
    }

    fn switch(&mut self, rule: &'w Switch, id: RuleId, token: usize) -> Option<()> {
        let case = match self.byte(token) {
            b'{' => self.case(rule, token),
            _ => None,
        };
        match case {
            Some(next) => self.value(next, token).map(|_| ()),
            None => self.fails(token, id, rule.keyword),
        }
    }

    fn case(&mut self, rule: &Switch, token: usize) -> Option<RuleId> {
        let value = self.find(token, &rule.member)?;
        if self.byte(value) != b'"' {
            return None;
        }
        self.with_text(value, |_, text| {
            let mut cases = rule.cases.iter();
            cases
                .find(|(name, _)| **name == *text)
                .map(|(_, next)| *next)
        })
    }

    fn unevaluated(&mut self, rule: RuleId, id: RuleId, token: usize) -> Option<()> {
        let base = self.memory.marks.len();
        self.mark(id, token, base, true)?;
        let is_object = self.byte(token) == b'{';
        let keyword = match is_object {
            true => "unevaluatedProperties",
            false => "unevaluatedItems",
        };
        let (mut next, mut at) = (token + 1, base);
        let mut step = |walk: &mut Self| match is_object {
            true => walk.member(&mut next).map(|(_, value)| value),
            false => walk.item(&mut next),
        };
        while let Some(value) = step(self) {
            let is_marked = self.memory.marks.get(at) == Some(&true);
            at += 1;
            if !is_marked {
                match self.program.rules[rule].never {
                    Some(_) => self.fails(value, id, keyword)?,
                    None => self.value(rule, value).map(|_| ())?,
                }
            }
        }
        self.memory.marks.truncate(base);
        Some(())
    }

    fn set_mark(&mut self, at: usize) {
        if self.memory.marks.len() <= at {
            self.memory.marks.resize(at + 1, false);
        }
        self.memory.marks[at] = true;
    }

    /// Marks what a rule that holds has evaluated; `is_asking` for the one that wants to know.
    fn mark(&mut self, id: RuleId, token: usize, base: usize, is_asking: bool) -> Option<()> {
        let program = self.program;
        let rule = &program.rules[id];
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 {
            return self.broken(token, "complexity");
        }
        if program.is_dynamic {
            self.memory.scope.push(rule.resource);
        }
        let is_object = self.byte(token) == b'{';
        let all = rule
            .branches
            .as_ref()
            .is_some_and(|branches| match is_object {
                true => branches.unevaluated_properties.is_some(),
                false => branches.unevaluated_items.is_some(),
            });
        match is_object {
            true => self.mark_members(rule, token, base, all && !is_asking)?,
            false => self.mark_items(rule, token, base, all && !is_asking)?,
        }
        self.mark_branches(rule, token, base)?;
        if program.is_dynamic {
            self.memory.scope.pop();
        }
        Some(())
    }

    fn mark_members(&mut self, rule: &'w Rule, token: usize, base: usize, all: bool) -> Option<()> {
        let (mut next, mut at) = (token + 1, base);
        while let Some((name, _)) = self.member(&mut next) {
            let is_evaluated = all
                || match &rule.object {
                    Some(object) => self.with_text(name, |_, text| {
                        let own = object.members.named(text);
                        let own = own.and_then(|at| object.members.list[at].rule);
                        let mut patterns = object.patterns.iter();
                        Some(
                            object.additional != Additional::Open
                                || own.is_some()
                                || patterns.any(|(pattern, _)| pattern.is_match(text)),
                        )
                    })?,
                    None => false,
                };
            if is_evaluated {
                self.set_mark(at);
            }
            at += 1;
        }
        Some(())
    }

    fn mark_items(&mut self, rule: &'w Rule, token: usize, base: usize, all: bool) -> Option<()> {
        let (mut next, mut at) = (token + 1, base);
        while let Some(item) = self.item(&mut next) {
            let is_evaluated = all
                || match &rule.array {
                    Some(array) => {
                        let is_contained = match &array.contains {
                            Some(contains) => self.holds(contains.rule, item)?,
                            None => false,
                        };
                        is_contained || array.items.is_some() || at - base < array.prefix.len()
                    }
                    None => false,
                };
            if is_evaluated {
                self.set_mark(at);
            }
            at += 1;
        }
        Some(())
    }

    fn mark_branches(&mut self, rule: &'w Rule, token: usize, base: usize) -> Option<()> {
        let is_object = self.byte(token) == b'{';
        let rare = rule.object.as_ref().and_then(|object| object.rare.as_ref());
        if let Some(rare) = rare.filter(|_| is_object) {
            for (name, next) in &rare.dependent_schemas {
                if self.find(token, name).is_some() {
                    self.mark(*next, token, base, false)?;
                }
            }
        }
        let Some(branches) = &rule.branches else {
            return Some(());
        };
        for &next in &branches.all {
            self.mark(next, token, base, false)?;
        }
        if branches.dynamic.is_some() {
            let next = self.dynamic(branches)?;
            self.mark(next, token, base, false)?;
        }
        for &next in branches.any_of.iter().chain(&branches.one_of) {
            if self.holds(next, token)? {
                self.mark(next, token, base, false)?;
            }
        }
        if let Some(condition) = &branches.condition {
            let next = match self.holds(condition.test, token)? {
                true => {
                    self.mark(condition.test, token, base, false)?;
                    condition.then
                }
                false => condition.or_else,
            };
            if let Some(next) = next {
                self.mark(next, token, base, false)?;
            }
        }
        Some(())
    }

    fn has_unique_items(&mut self, token: usize) -> Option<bool> {
        let base = self.memory.hashes.len();
        let mut next = token + 1;
        while let Some(item) = self.item(&mut next) {
            let hash = self.hash(item)?;
            self.memory.hashes.push(hash);
        }
        // Keyed hashes of 64 bits: a client cannot aim for collisions.
        let own = &mut self.memory.hashes[base..];
        own.sort_unstable();
        let is_unique = own.windows(2).all(|pair| pair[0] != pair[1]);
        self.memory.hashes.truncate(base);
        Some(is_unique)
    }

    /// Equal for equal values: numbers however written, objects in any order.
    fn hash(&mut self, token: usize) -> Option<u64> {
        use std::hash::{BuildHasher as _, Hasher as _};
        let mut state = self.memory.hasher.build_hasher();
        let first = self.byte(token);
        match first {
            b'"' => {
                state.write_u8(first);
                state.write_u64(self.hash_text(self.span(token)));
            }
            b'[' => {
                state.write_u8(first);
                let mut next = token + 1;
                while let Some(item) = self.item(&mut next) {
                    state.write_u64(self.hash(item)?);
                }
            }
            b'{' => {
                let (mut next, mut sum) = (token + 1, 0_u64);
                while let Some((name, value)) = self.member(&mut next) {
                    let pair = (self.hash_text(self.span(name)), self.hash(value)?);
                    sum = sum.wrapping_add(self.memory.hasher.hash_one(pair));
                }
                state.write_u8(first);
                state.write_u64(sum);
            }
            b't' | b'f' | b'n' => state.write_u8(first),
            _ => {
                state.write_u8(b'0');
                self.number(token)?.0.hash(&mut state);
            }
        }
        Some(state.finish())
    }

    fn is_one_of(&mut self, token: usize, texts: &[Box<str>], others: &[Value]) -> Option<bool> {
        if self.byte(token) == b'"' {
            return self.with_text(token, |_, text| {
                Some(texts.iter().any(|other| **other == *text))
            });
        }
        for other in others {
            if self.equals(token, other)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Equality by value with one of the schema.
    fn equals(&mut self, token: usize, value: &Value) -> Option<bool> {
        let first = self.byte(token);
        Some(match value {
            Value::Null => first == b'n',
            Value::Bool(true) => first == b't',
            Value::Bool(false) => first == b'f',
            Value::String(text) => first == b'"' && self.is_text(token, text),
            Value::Number(other) => {
                (first == b'-' || first.is_ascii_digit())
                    && super::number::Exact::from_json(other)
                        .number()
                        .compare(&self.number(token)?.0)
                        == std::cmp::Ordering::Equal
            }
            Value::Array(list) => first == b'[' && self.equals_list(token, list)?,
            Value::Object(map) => first == b'{' && self.equals_map(token, map)?,
        })
    }

    fn equals_list(&mut self, token: usize, list: &[Value]) -> Option<bool> {
        let (mut next, mut count) = (token + 1, 0);
        while let Some(item) = self.item(&mut next) {
            match list.get(count) {
                Some(other) if self.equals(item, other)? => count += 1,
                _ => return Some(false),
            }
        }
        Some(count == list.len())
    }

    fn equals_map(&mut self, token: usize, map: &serde_json::Map<String, Value>) -> Option<bool> {
        let (mut next, mut count) = (token + 1, 0);
        while let Some((name, value)) = self.member(&mut next) {
            let other = self.with_text(name, |_, text| Some(map.get(text)))?;
            match other {
                Some(other) if self.equals(value, other)? => count += 1,
                _ => return Some(false),
            }
        }
        Some(count == map.len())
    }

    /// The JSON pointer to what a fault is about, cut at 256 bytes.
    pub fn pointer(&self, fault: &Fault) -> String {
        enum Step {
            Member(Option<usize>),
            Item(usize),
        }
        let mut path: Vec<Step> = Vec::new();
        let mut token = 0;
        while token < fault.token {
            let byte = self.byte(token);
            match (byte, path.last_mut()) {
                (b'{', _) => path.push(Step::Member(None)),
                (b'[', _) => path.push(Step::Item(0)),
                (b'}' | b']', _) => {
                    path.pop();
                }
                (b',', Some(Step::Item(at))) => *at += 1,
                (b',', Some(Step::Member(name))) => *name = None,
                (b'"', Some(Step::Member(name @ None))) => *name = Some(token),
                _ => {}
            }
            token += if byte == b'"' { 2 } else { 1 };
        }
        let mut out = String::new();
        for step in &path {
            match step {
                Step::Member(None) => {}
                Step::Member(Some(name)) => {
                    let mut decoded = String::new();
                    let _ =
                        text::pieces(self.raw(self.span(*name)), |piece| decoded.push_str(piece));
                    out.push('/');
                    out.push_str(&decoded.replace('~', "~0").replace('/', "~1"));
                }
                Step::Item(at) => out.push_str(&format!("/{at}")),
            }
        }
        let end = out.floor_char_boundary(POINTER);
        out.truncate(end);
        out
    }
}
