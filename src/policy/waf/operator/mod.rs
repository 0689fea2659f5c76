//! Operators: what a rule asks of a value. One family per file.

pub mod address;
pub mod bytes;
pub mod number;
pub mod phrase;
pub mod text;

use std::ops::Range;

use crate::policy::waf::draft::Condition;
use crate::policy::waf::injection::{self, Fingerprint};
use crate::policy::waf::operator::address::Addresses;
use crate::policy::waf::operator::bytes::ByteTest;
use crate::policy::waf::operator::number::Comparison;
use crate::policy::waf::operator::phrase::Phrases;
use crate::policy::waf::operator::text::TextTest;
use crate::policy::waf::pattern::Pattern;

/// A compiled operator. Those with an argument get it with each value, since it may hold what the
/// request decides.
#[derive(Clone, Debug)]
pub enum Operator {
    Always,
    Never,
    Pattern(Box<Pattern>),
    Phrases(Phrases),
    Text(TextTest),
    Number(Comparison),
    Bytes(ByteTest),
    Addresses(Addresses),
    /// An injection into SQL, by the tokens of the value.
    Sql,
    /// An injection into a page, by what a browser would make of the value.
    Script,
}

/// What the operator wants kept of the value, where a rule captures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Captured {
    Nothing(Spot),
    Part(Range<usize>),
    /// The shape of an injection, and where it ends.
    Shape(Fingerprint, usize),
}

/// Where in a value an operator found what it asks for, as far as it can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spot {
    #[default]
    Unknown,
    Part {
        start: usize,
    },
    /// Somewhere before this.
    End(usize),
}

impl Captured {
    pub fn spot(&self) -> Spot {
        match self {
            Captured::Nothing(spot) => *spot,
            Captured::Part(part) => Spot::Part { start: part.start },
            Captured::Shape(_, end) => Spot::End(*end),
        }
    }
}

/// Operators of other engines that ask what no gateway can answer in time, or at all.
const FOREIGN: &[&str] = &[
    "fuzzyhash",
    "geolookup",
    "gsblookup",
    "inspectfile",
    "rbl",
    "restpath",
    "rsub",
    "rxglobal",
    "validatedtd",
    "validatehash",
    "validateschema",
    "verifycc",
    "verifycpf",
    "verifyssn",
    "verifysvnr",
];

/// Why an operator cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(pub String);

impl Operator {
    /// `groups`: whether what the groups of a pattern match is asked for.
    ///
    /// # Errors
    /// An operator that is unknown or whose argument makes no sense, in one line.
    pub fn compile(condition: &Condition, groups: bool) -> Result<Operator, Unusable> {
        let fixed = || {
            let text = condition.argument.as_text();
            text.ok_or_else(|| {
                Unusable(format!(
                    "@{}: the argument depends on the request",
                    condition.name
                ))
            })
        };
        let because = |why: String| Unusable(format!("@{}: {why}", condition.name));
        Ok(match &*condition.name {
            "unconditionalmatch" => Operator::Always,
            "nomatch" => Operator::Never,
            "rx" => {
                let pattern = Pattern::compile(fixed()?, groups).map_err(because)?;
                Operator::Pattern(Box::new(pattern))
            }
            "pm" => Operator::Phrases(Phrases::of_words(fixed()?).map_err(because)?),
            "pmfromfile" | "pmf" => {
                let lines = condition.file.as_deref().unwrap_or_default();
                Operator::Phrases(Phrases::of_lines(lines).map_err(because)?)
            }
            "ipmatch" => Operator::Addresses(Addresses::of_list(fixed()?).map_err(because)?),
            "ipmatchfromfile" | "ipmatchf" => {
                let lines = condition.file.as_deref().unwrap_or_default();
                Operator::Addresses(Addresses::of_lines(lines).map_err(because)?)
            }
            "validatebyterange" => Operator::Bytes(ByteTest::outside(fixed()?).map_err(because)?),
            "detectsqli" => Operator::Sql,
            "detectxss" => Operator::Script,
            "validateurlencoding" => Operator::Bytes(ByteTest::UrlEncoding),
            "validateutf8encoding" => Operator::Bytes(ByteTest::Utf8),
            name => {
                if let Some(test) = TextTest::named(name) {
                    Operator::Text(test)
                } else if let Some(comparison) = Comparison::named(name) {
                    Operator::Number(comparison)
                } else if FOREIGN.contains(&name) {
                    return Err(Unusable(format!("the operator @{name} is not supported")));
                } else {
                    return Err(Unusable(format!("there is no operator @{name}")));
                }
            }
        })
    }

    /// Whether a value matches; patterns are not asked here, since they need memory to run.
    pub fn find(&self, value: &[u8], argument: &[u8]) -> Option<Captured> {
        let somewhere = |found: bool| found.then_some(Captured::Nothing(Spot::Unknown));
        let from = |start: usize| Captured::Nothing(Spot::Part { start });
        match self {
            Operator::Always => somewhere(true),
            Operator::Never => None,
            Operator::Pattern(pattern) => somewhere(pattern.matches(value)),
            Operator::Phrases(phrases) => phrases.find(value).map(Captured::Part),
            Operator::Text(test) => test.find(value, argument).map(from),
            Operator::Number(comparison) => somewhere(comparison.holds(value, argument)),
            Operator::Bytes(test) => test.find(value).map(from),
            Operator::Addresses(list) => somewhere(list.contains(value)),
            Operator::Sql => {
                let found = injection::find_sqli(value);
                found.map(|(shape, end)| Captured::Shape(shape, end))
            }
            Operator::Script => {
                injection::find_xss(value).map(|end| Captured::Nothing(Spot::End(end)))
            }
        }
    }
}
