//! What the configuration and the rule files say of the inspection of answers.

use std::sync::Arc;

use crate::config::compile::one_of;
use crate::config::reader::{At, Reader};
use crate::config::units::Size;
use crate::policy::contract::response::UNWANTED;
use crate::policy::waf::inspection::OverBudget;
use crate::policy::waf::outbound::{Outbound, Reach};
use crate::policy::waf::rule::RuleSet;
use crate::policy::waf::seclang::bodies::Bodies;
use crate::policy::waf::values::LONGEST;
use crate::proto::header::SealedNames;

const WORDS: [(&str, Option<Reach>); 3] = [
    ("off", None),
    ("collected", Some(Reach::Collected)),
    ("all", Some(Reach::All)),
];

/// What is known of the answers that a rule set may look at.
#[derive(Clone)]
pub(super) struct Answers {
    name: Box<str>,
    /// Whether any rule looks at answers.
    is_any: bool,
    /// What the rule files say of access to bodies.
    access: Option<bool>,
    /// Nothing of it is said by the rule set: answers are inspected where an API or an operation
    /// says so.
    own: Option<Reach>,
    outbound: Outbound,
}

impl Answers {
    /// `said`: by the rule set of this name.
    pub fn compile(
        reader: &Reader<'_>,
        (name, rules, files): (&str, &RuleSet, &Bodies),
        (said, max_bytes): (Option<&At<String>>, Option<&At<Size>>),
        over_budget: OverBudget,
    ) -> Answers {
        if let Some(at) = max_bytes.filter(|at| at.value.0 > LONGEST) {
            let message =
                "one pattern over so many bytes would let all others wait longer than 20 ms";
            reader.error(at.position, message, "write at most \"512KiB\"");
        }
        let longest = max_bytes.map(|at| at.value.0);
        // Other engines have limits that are larger; beyond this one their action is taken.
        let longest = longest.or(files.limit.map(|limit| limit.min(LONGEST)));
        let beyond = match files.partial {
            Some(true) => OverBudget::Report,
            Some(false) => OverBudget::Refuse,
            None => over_budget,
        };
        let types = files.types.as_ref().map(|types| types.as_slice().into());
        let mut answers = Answers {
            name: name.into(),
            is_any: rules.for_answers() > 0,
            access: files.access,
            own: None,
            outbound: Outbound {
                reach: Reach::Collected,
                types,
                longest: longest.unwrap_or(LONGEST),
                beyond,
                unwanted: Arc::new(SealedNames::new(UNWANTED)),
            },
        };
        answers.own = answers.reach(reader, said);
        answers
    }

    /// How an operation has its answers inspected that says this, or whose API does. None: not.
    pub fn of(&self, reader: &Reader<'_>, said: Option<&At<String>>) -> Option<Outbound> {
        let reach = match said {
            Some(_) => self.reach(reader, said),
            None => self.own,
        };
        Some(Outbound {
            reach: reach?,
            ..self.outbound.clone()
        })
    }

    fn reach(&self, reader: &Reader<'_>, said: Option<&At<String>>) -> Option<Reach> {
        let reach = one_of(reader, said, &WORDS, None)?;
        let said = said?;
        if !self.is_any {
            let message = format!("[waf.{}] has no rules for answers", self.name);
            let hint = "remove it, or name rules of phases 3 and 4, such as RESPONSE-9*.conf of the \
                        Core Rule Set";
            reader.error(said.position, message, hint);
            return None;
        }
        match (self.access, reach) {
            (Some(false), Reach::All) => {
                let message = "a rule file says `SecResponseBodyAccess Off`: bodies of answers are \
                               not looked at";
                let hint =
                    "write \"collected\", which then looks at heads alone, or change the file";
                reader.error(said.position, message, hint);
                None
            }
            (Some(false), _) => Some(Reach::Heads),
            (Some(true) | None, reach) => Some(reach),
        }
    }
}
