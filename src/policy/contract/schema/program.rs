//! A schema as rules in one vector; they refer to each other by index.

use regex::Regex;
use serde_json::Value;

use super::format::Format;
use super::number::Number;

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
}

/// Everything that one schema object says.
#[derive(Debug)]
pub struct Rule {
    /// The keyword to name when nothing is accepted; for the schema `false` and the like.
    pub never: Option<&'static str>,
    pub types: u8,
    pub number: Option<Box<NumberRule>>,
    pub string: Option<Box<StringRule>>,
    pub array: Option<Box<ArrayRule>>,
    pub object: Option<Box<ObjectRule>>,
    /// The values of `enum` or the one of `const`, with its keyword.
    pub values: Option<(&'static str, Box<[Value]>)>,
    pub reference: Option<RuleId>,
    pub all_of: Box<[RuleId]>,
    pub any_of: Box<[RuleId]>,
    pub one_of: Box<[RuleId]>,
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
            values: None,
            reference: None,
            all_of: Box::default(),
            any_of: Box::default(),
            one_of: Box::default(),
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

    /// The rules that look at the same value.
    pub fn in_place(&self) -> impl Iterator<Item = RuleId> {
        let lists = [&self.all_of, &self.any_of, &self.one_of];
        let listed = lists.into_iter().flat_map(|list| list.iter().copied());
        self.reference.into_iter().chain(listed)
    }
}

#[derive(Debug, Default)]
pub struct NumberRule {
    /// Bound and whether the bound itself is outside.
    pub minimum: Option<(Number, bool)>,
    pub maximum: Option<(Number, bool)>,
    /// The range of `int32`, `int64` or `float`.
    pub format: Option<(Number, Number)>,
}

#[derive(Debug, Default)]
pub struct StringRule {
    /// In code points.
    pub min_length: Option<usize>,
    pub max_length: Option<usize>,
    pub pattern: Option<Regex>,
    pub format: Option<Format>,
}

#[derive(Debug, Default)]
pub struct ArrayRule {
    pub min_items: Option<usize>,
    pub max_items: Option<usize>,
    pub items: Option<RuleId>,
}

#[derive(Debug, Default)]
pub struct ObjectRule {
    pub members: Members,
    /// How many members are required.
    pub required: usize,
    pub min_properties: Option<usize>,
    pub max_properties: Option<usize>,
    pub additional: Additional,
}

/// What is done with members that are not named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Additional {
    #[default]
    Allowed,
    Refused,
    Checked(RuleId),
}

/// One named member.
#[derive(Debug)]
pub struct Member {
    pub name: Box<str>,
    /// None: only its presence is asked for.
    pub rule: Option<RuleId>,
    pub is_required: bool,
}

/// Named members, found by the length of the name first.
#[derive(Debug, Default)]
pub struct Members {
    /// Sorted by the length of the name.
    list: Box<[Member]>,
    /// Where names of each length begin, one more at the end.
    starts: Box<[u32]>,
}

impl Members {
    pub fn new(mut list: Vec<Member>) -> Members {
        list.sort_by_key(|member| member.name.len());
        let longest = list.last().map_or(0, |member| member.name.len());
        let start = |length| list.partition_point(|member| member.name.len() < length) as u32;
        Members {
            starts: (0..=longest + 1).map(start).collect(),
            list: list.into(),
        }
    }

    pub fn find(&self, name: &str) -> Option<&Member> {
        let (start, end) = (
            self.starts.get(name.len())?,
            self.starts.get(name.len() + 1)?,
        );
        let same_length = &self.list[*start as usize..*end as usize];
        same_length.iter().find(|member| *member.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_their_whole_name() {
        let names = ["a", "bb", "cc", "dddd", ""];
        let members = names.map(|name| Member {
            name: name.into(),
            rule: None,
            is_required: false,
        });
        let members = Members::new(members.into());
        for name in names {
            assert_eq!(members.find(name).map(|member| &*member.name), Some(name));
        }
        for name in ["b", "c", "ccc", "ddddd", "abcdefgh"] {
            assert!(members.find(name).is_none(), "{name}");
        }
        assert!(Members::default().find("").is_none());
    }
}
