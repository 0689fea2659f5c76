//! Rules as a front end read them: names resolved, nothing compiled.
//!
//! Every front end ends here, so that folding and compiling are the same for all of them.

use crate::policy::waf::place::Place;
use crate::policy::waf::target::{Target, Targets};
use crate::policy::waf::template::{Slot, Template};
use crate::policy::waf::transform::Transformation;

/// When a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    RequestHead = 1,
    RequestBody,
    ResponseHead,
    ResponseBody,
    Logging,
}

pub const PHASES: [Phase; 5] = [
    Phase::RequestHead,
    Phase::RequestBody,
    Phase::ResponseHead,
    Phase::ResponseBody,
    Phase::Logging,
];

/// What comes of a match, besides its effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disruption {
    Pass,
    /// What the default action of the phase says.
    Block,
    /// The request ends; `deny`, `drop` and `redirect` differ in nothing that a gateway sends.
    Deny {
        status: u16,
    },
    /// No further rules, of the phase or of all phases of the request.
    Allow(Scope),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    Phase,
    Request,
}

/// How a variable is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Assign(Template),
    Add(Template),
    Subtract(Template),
    Remove,
}

/// The variable that is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Slot(Slot),
    /// Made at the time of use, such as `counter_%{matched_var_name}`.
    Made(Template),
}

/// Which rules a control is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// From and to, both included.
    Ids(u32, u32),
    Tag(Box<str>),
    Message(Box<str>),
}

/// What runs with every value that matches.
#[derive(Clone, Debug)]
pub enum Effect {
    Set(Name, Change),
    RemoveRules(Which),
    RemoveTarget(Which, Target),
    Engine(Engine),
    BodyProcessor(Box<str>),
    /// `ctl:forceRequestBodyVariable`
    ForceBody(bool),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    Off,
    #[default]
    DetectionOnly,
    On,
}

/// An operator by its name, in lower case, and its argument.
#[derive(Clone, Debug)]
pub struct Condition {
    pub negated: bool,
    pub name: Box<str>,
    pub argument: Template,
    /// For an operator with a file of its own, what is in it.
    pub file: Option<Vec<u8>>,
}

/// One link of a chain; a rule that is not chained has one.
#[derive(Clone, Debug, Default)]
pub struct LinkDraft {
    pub targets: Targets,
    /// `None`: matches whatever comes, once.
    pub condition: Option<Condition>,
    pub transformations: Vec<Transformation>,
    pub multi_match: bool,
    pub capture: bool,
    pub effects: Vec<Effect>,
}

/// Where the evaluation goes on after a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    Rules(u32),
    Marker(Box<str>),
}

#[derive(Clone, Debug)]
pub struct RuleDraft {
    pub place: Place,
    pub id: u32,
    pub phase: Phase,
    pub links: Vec<LinkDraft>,
    pub disruption: Disruption,
    pub skip: Option<Skip>,
    pub log: bool,
    pub message: Template,
    pub log_text: Template,
    /// From 0, emergency, to 7, debug.
    pub severity: Option<u8>,
    /// What its unconditional links do is done once in a request, of however many records.
    pub once: bool,
    pub tags: Vec<Box<str>>,
    /// What cannot be run here, and would have to be if the rule were live.
    pub unsupported: Option<String>,
}

/// What stands in a rule file after everything is resolved.
#[derive(Clone, Debug)]
pub enum Item {
    Rule(Box<RuleDraft>),
    Marker(Box<str>),
}
