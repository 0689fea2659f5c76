//! A schema as rules in one vector; they refer to each other by index. What the direct walk needs of
//! them as it is they share with its plan.

use std::sync::Arc;

use super::format::Format;
use super::literal::Literal;
use super::number::Exact;
use super::pattern::Pattern;

pub type RuleId = usize;

/// The types of JSON Schema as bits. A value that is a whole number is both of the last two.
pub mod types {
    pub const NULL: u8 = 1;
    pub const BOOLEAN: u8 = 2;
    pub const STRING: u8 = 4;
    pub const ARRAY: u8 = 8;
    pub const OBJECT: u8 = 16;
    pub const NUMBER: u8 = 32;
    pub const INTEGER: u8 = 64;
    pub const ALL: u8 = 127;
}

#[derive(Debug, Default)]
pub struct Program {
    pub rules: Vec<Rule>,
    /// Where each rule stands in its document.
    pub places: Vec<Box<str>>,
    /// Whether any reference depends on how its schema was reached.
    pub is_dynamic: bool,
    pub traits: Traits,
}

/// What is so of a rule and all that it leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Whether a value may be looked at more than once, so that its end is worth knowing.
    pub looks_twice: bool,
    /// Whether a member that is undeclared for one rule may be declared by another.
    pub overlaps: bool,
    /// Whether what remains is valid whatever undeclared members are taken out.
    pub strips_safely: bool,
}

/// Everything that one schema object says.
#[derive(Debug)]
pub struct Rule {
    /// The keyword to name when nothing is accepted; for the schema `false` and the like.
    pub never: Option<&'static str>,
    pub types: u8,
    pub number: Option<Arc<NumberRule>>,
    pub string: Option<Arc<StringRule>>,
    pub array: Option<Box<ArrayRule>>,
    pub object: Option<Box<ObjectRule>>,
    /// `enum` and `const`.
    pub values: Vec<Values>,
    pub branches: Option<Box<Branches>>,
    /// The schema resource that it belongs to.
    pub resource: u32,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule {
            never: None,
            types: types::ALL,
            number: None,
            string: None,
            array: None,
            object: None,
            values: Vec::new(),
            branches: None,
            resource: 0,
        }
    }
}

impl Rule {
    pub fn never(keyword: &'static str) -> Rule {
        Rule {
            never: Some(keyword),
            ..Rule::default()
        }
    }

    /// The rules that look at the same value, but for those that only a run finds out.
    pub fn in_place(&self) -> impl Iterator<Item = RuleId> {
        let branches = self
            .branches
            .iter()
            .flat_map(|branches| branches.in_place());
        let object = self.object.iter().flat_map(|object| {
            let dependent = object.rare.iter().flat_map(|rare| &rare.dependent_schemas);
            dependent.map(|(_, id)| *id)
        });
        branches.chain(object)
    }

    /// All rules that it leads to at once, for its value or for what that holds.
    pub fn below(&self) -> impl Iterator<Item = RuleId> {
        let unevaluated = self.branches.iter().flat_map(|branches| {
            let dynamic = branches.dynamic.iter().flat_map(|dynamic| {
                let candidates = dynamic.candidates.iter().map(|(_, id)| *id);
                candidates.chain([dynamic.otherwise])
            });
            let properties = branches.unevaluated_properties.into_iter();
            properties.chain(branches.unevaluated_items).chain(dynamic)
        });
        let array = self.array.iter().flat_map(|array| {
            let contains = array.contains.iter().map(|contains| contains.rule);
            let prefix = array.prefix.iter().copied();
            prefix.chain(array.items).chain(contains)
        });
        let object = self.object.iter().flat_map(|object| {
            let members = object.members.list.iter().filter_map(|member| member.rule);
            let patterns = object.patterns.iter().map(|(_, id)| *id);
            let names = object.rare.iter().filter_map(|rare| rare.names);
            members
                .chain(patterns)
                .chain(names)
                .chain(object.additional.rule())
        });
        self.in_place()
            .chain(unevaluated)
            .chain(array)
            .chain(object)
    }
}

/// The values that a keyword allows.
#[derive(Debug)]
pub struct Values {
    pub keyword: &'static str,
    pub texts: Arc<[Box<str>]>,
    /// All that are no strings.
    pub others: Box<[Literal]>,
}

/// The schemas that look at the same value.
#[derive(Debug, Default)]
pub struct Branches {
    /// `$ref` and `allOf`.
    pub all: Vec<RuleId>,
    pub dynamic: Option<Dynamic>,
    pub any_of: Box<[RuleId]>,
    pub one_of: Box<[RuleId]>,
    /// Which one of `anyOf` or `oneOf` can hold at all.
    pub switch: Option<Switch>,
    pub not: Option<RuleId>,
    pub condition: Option<Condition>,
    pub unevaluated_properties: Option<RuleId>,
    pub unevaluated_items: Option<RuleId>,
}

impl Branches {
    fn in_place(&self) -> impl Iterator<Item = RuleId> {
        let condition = self.condition.iter().flat_map(|condition| {
            let ends = condition.then.into_iter().chain(condition.or_else);
            std::iter::once(condition.test).chain(ends)
        });
        let lists = [&self.all[..], &self.any_of, &self.one_of];
        let listed = lists.into_iter().flat_map(|list| list.iter().copied());
        listed.chain(self.not).chain(condition)
    }
}

/// `$dynamicRef`: the first resource on the way here that has the anchor decides.
#[derive(Debug)]
pub struct Dynamic {
    pub otherwise: RuleId,
    /// Resource and rule.
    pub candidates: Box<[(u32, RuleId)]>,
}

#[derive(Debug)]
pub struct Condition {
    pub test: RuleId,
    pub then: Option<RuleId>,
    pub or_else: Option<RuleId>,
}

/// One member whose text tells which alternative is meant.
#[derive(Debug)]
pub struct Switch {
    pub member: Box<str>,
    /// What is named when no alternative is meant.
    pub keyword: &'static str,
    pub cases: Box<[(Box<str>, RuleId)]>,
}

#[derive(Clone, Debug, Default)]
pub struct NumberRule {
    /// Bound and whether the bound itself is outside.
    pub minimum: Option<(Exact, bool)>,
    pub maximum: Option<(Exact, bool)>,
    pub multiple_of: Option<Exact>,
    /// The range of `int32`, `int64`, `float` or `double`.
    pub format: Option<(Exact, Exact)>,
}

#[derive(Clone, Debug, Default)]
pub struct StringRule {
    /// In code points.
    pub min_length: Option<usize>,
    pub max_length: Option<usize>,
    pub pattern: Option<Pattern>,
    pub format: Option<Format>,
}

#[derive(Debug, Default)]
pub struct ArrayRule {
    pub min_items: Option<usize>,
    pub max_items: Option<usize>,
    pub prefix: Box<[RuleId]>,
    /// For those after the prefix.
    pub items: Option<RuleId>,
    pub is_unique: bool,
    pub contains: Option<Contains>,
}

#[derive(Debug)]
pub struct Contains {
    pub rule: RuleId,
    pub least: usize,
    pub most: Option<usize>,
}

#[derive(Debug, Default)]
pub struct ObjectRule {
    pub members: Members,
    pub min_properties: Option<usize>,
    pub max_properties: Option<usize>,
    pub patterns: Box<[(Pattern, RuleId)]>,
    pub additional: Additional,
    pub rare: Option<Box<RareObject>>,
}

pub type Names = Box<[Box<str>]>;

#[derive(Debug, Default)]
pub struct RareObject {
    pub names: Option<RuleId>,
    pub dependent_required: Box<[(Box<str>, Names)]>,
    pub dependent_schemas: Box<[(Box<str>, RuleId)]>,
}

/// What is done with members that are not named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Additional {
    /// Nothing is said of them.
    #[default]
    Open,
    /// They are said to be welcome.
    Allowed,
    Refused,
    Checked(RuleId),
}

impl Additional {
    fn rule(self) -> Option<RuleId> {
        match self {
            Additional::Checked(id) => Some(id),
            Additional::Open | Additional::Allowed | Additional::Refused => None,
        }
    }
}

/// One named member.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: Box<str>,
    /// None: only its presence is asked for.
    pub rule: Option<RuleId>,
    pub is_required: bool,
    /// The first eight bytes of the name, zeros after it.
    prefix: u64,
}

impl Member {
    pub fn new(name: &str, rule: Option<RuleId>, is_required: bool) -> Member {
        let mut prefix = [0; 8];
        let length = name.len().min(8);
        prefix[..length].copy_from_slice(&name.as_bytes()[..length]);
        Member {
            name: name.into(),
            rule,
            is_required,
            prefix: u64::from_le_bytes(prefix),
        }
    }
}

/// Most members that are told apart by bits.
pub const BITS: usize = 64;

/// Named members, found by the length of the name first.
#[derive(Clone, Debug, Default)]
pub struct Members {
    /// Sorted by the length of the name.
    pub list: Arc<[Member]>,
    /// Where names of each length begin, one more at the end.
    starts: Arc<[u32]>,
    /// How many are required, and which of the first [`BITS`].
    pub required: usize,
    pub required_bits: u64,
}

impl Members {
    pub fn new(mut list: Vec<Member>) -> Members {
        list.sort_by_key(|member| member.name.len());
        let longest = list.last().map_or(0, |member| member.name.len());
        let start = |length| list.partition_point(|member| member.name.len() < length) as u32;
        let required = list.iter().filter(|member| member.is_required).count();
        let bits = list.iter().take(BITS).enumerate();
        Members {
            starts: (0..=longest + 1).map(start).collect(),
            required,
            required_bits: bits.fold(0, |bits, (at, member)| {
                bits | u64::from(member.is_required) << at
            }),
            list: list.into(),
        }
    }

    /// The index of the member whose name stands in `text` from `start` to `end`.
    #[inline]
    pub fn find(&self, text: &[u8], start: usize, end: usize) -> Option<usize> {
        let length = end - start;
        let (first, last) = (
            *self.starts.get(length)? as usize,
            *self.starts.get(length + 1)? as usize,
        );
        let prefix = match text.get(start..start + 8) {
            Some(eight) => {
                let word = u64::from_le_bytes(eight.try_into().ok()?);
                word & u64::MAX
                    .checked_shr(8 * (8 - length.min(8)) as u32)
                    .unwrap_or(0)
            }
            None => {
                let mut word = [0; 8];
                let rest = text.get(start..end)?;
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        (first..last).find(|&at| {
            let member = &self.list[at];
            member.prefix == prefix
                && (length <= 8 || member.name.as_bytes()[8..] == text[start + 8..end])
        })
    }

    pub fn named(&self, name: &str) -> Option<usize> {
        self.find(name.as_bytes(), 0, name.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_their_whole_name() {
        let names = [
            "a",
            "bb",
            "cc",
            "dddd",
            "",
            "eight888",
            "nine99999",
            "nine9999X",
        ];
        let members = names.map(|name| Member::new(name, None, false));
        let members = Members::new(members.into());
        for name in names {
            let within = format!("{name}\" and what follows");
            for (text, end) in [(name, name.len()), (&within, name.len())] {
                let found = members.find(text.as_bytes(), 0, end);
                assert_eq!(found.map(|at| &*members.list[at].name), Some(name));
            }
        }
        for name in [
            "b", "c", "ccc", "ddddd", "abcdefgh", "eight88", "nine9999", "a\0",
        ] {
            assert!(members.named(name).is_none(), "{name}");
        }
        assert!(Members::default().named("").is_none());
    }
}
