//! The WAF: rule files to rule sets, and how each operation is inspected by them.

mod answers;
mod budget;
mod exclusions;
mod rules;
mod thresholds;

use std::sync::Arc;

use crate::config::compile::kept::Making;
use crate::config::compile::waf::answers::Answers;
use crate::config::compile::{one_of, unused};
use crate::config::file::{self, File};
use crate::config::reader::{At, Reader, nearest};
use crate::config::rules::builtin;
use crate::policy::contract::lint::{Level, Lint};
use crate::policy::waf::draft::Engine;
use crate::policy::waf::inspection::{OverBudget, Tuning};
use crate::policy::waf::stage::{Bodies, Named, Protection};
use crate::policy::waf::view::View;
use crate::proto::header::is_token;

const MODES: [(&str, Engine); 2] = [("detect", Engine::DetectionOnly), ("block", Engine::On)];

pub use rules::Rules;

/// The rule sets, and what each says for all operations that it inspects.
pub struct Sets {
    pub named: Vec<Named>,
    defaults: Vec<Defaults>,
    /// What becomes of keys without effect.
    void: Level,
}

/// What a rule set says.
#[derive(Clone)]
struct Defaults {
    protection: Protection,
    /// None: as the mode wants it.
    bodies: Option<bool>,
    answers: Answers,
    /// By `SecRuleEngine` in its files.
    engine: Option<Engine>,
}

impl Sets {
    pub fn compile(reader: &Reader<'_>, file: &File, making: &Making<'_>) -> Sets {
        let void = unused::level(reader, file, Lint::IneffectiveRule);
        let mut sets = Sets {
            named: Vec::new(),
            defaults: Vec::new(),
            void,
        };
        for (name, declared) in &file.waf {
            if name.value == "off" {
                let hint = "choose another name: waf = \"off\" leaves an operation uninspected";
                reader.error(name.position, "\"off\" names no rule set", hint);
            }
            sets.add(reader, name, declared, making);
        }
        if !file.waf.iter().any(|(name, _)| name.value == builtin::NAME) {
            let name = At {
                value: builtin::NAME.to_owned(),
                position: Default::default(),
            };
            sets.add(reader, &name, &file::Waf::default(), making);
        }
        sets
    }

    fn add(
        &mut self,
        reader: &Reader<'_>,
        name: &At<String>,
        declared: &file::Waf,
        making: &Making<'_>,
    ) {
        let void = self.void;
        let mut tuning = tuning(reader, declared);
        let Some(made) = rules::compile(reader, name, (declared, void), making) else {
            return;
        };
        let rules = Arc::clone(&made.rules);
        let of_rules = (name.value.as_str(), &*rules, void);
        let thresholds = (&declared.threshold, &declared.response_threshold);
        thresholds::compile(reader, of_rules, thresholds, &mut tuning);
        let exclusions = exclusions::compile(reader, of_rules, &declared.exclusions);
        let said = (
            declared.responses.as_ref(),
            declared.max_response_bytes.as_ref(),
        );
        rules::engine(reader, &made, (tuning.engine, void));
        let known = (name.value.as_str(), &*rules, &made.bodies);
        let answers = Answers::compile(reader, known, said, tuning.over_budget);
        self.defaults.push(Defaults {
            protection: Protection {
                set: self.named.len(),
                tuning,
                exclusions: Arc::new(exclusions),
                bodies: Bodies::All,
                view: Arc::new(View {
                    headers: names(reader, &declared.headers),
                    files: declared.files.as_ref().is_some_and(|files| files.value),
                }),
                is_graphql: false,
                outbound: None,
                is_decoded: false,
            },
            bodies: declared.bodies.as_ref().map(|bodies| bodies.value),
            answers,
            engine: made.engine.as_ref().map(|(engine, _)| *engine),
        });
        self.named.push(Named {
            name: name.value.as_str().into(),
            rules,
        });
    }

    /// How an operation is inspected: as it says, or else as its API says, or else by the built-in
    /// rules.
    pub fn protection(
        &self,
        reader: &Reader<'_>,
        api: &file::Inspected,
        own: Option<&file::Inspected>,
    ) -> Option<Protection> {
        let own_set = own.and_then(|own| own.waf.as_ref());
        let name = own_set.or(api.waf.as_ref());
        if name.is_some_and(|name| name.value == "off") {
            refuse_tuning(reader, if own_set.is_some() { own } else { Some(api) });
            return None;
        }
        let set = self.find(reader, name)?;
        let Defaults {
            mut protection,
            mut bodies,
            answers,
            engine,
        } = self.defaults[set].clone();
        for inspected in [Some(api), own].into_iter().flatten() {
            let mode = inspected.mode.as_ref();
            protection.tuning.engine = one_of(reader, mode, &MODES, protection.tuning.engine);
            let is_let = matches!(engine, None | Some(Engine::On));
            if let Some(mode) = mode.filter(|_| protection.tuning.engine == Engine::On && !is_let) {
                let message =
                    "`SecRuleEngine` in the files of its rules says that they do not block";
                let hint = "write \"detect\", or take the directive out";
                reader.error(mode.position, message, hint);
            }
            let Named { name, rules } = &self.named[set];
            let of_rules = (&**name, &**rules, self.void);
            let thresholds = (&inspected.threshold, &inspected.response_threshold);
            thresholds::compile(reader, of_rules, thresholds, &mut protection.tuning);
            if !inspected.exclusions.is_empty() {
                let more = exclusions::compile(reader, of_rules, &inspected.exclusions);
                Arc::make_mut(&mut protection.exclusions).extend(more);
            }
            if !inspected.headers.is_empty() {
                Arc::make_mut(&mut protection.view).headers = names(reader, &inspected.headers);
            }
            bodies = inspected.bodies.as_ref().map(|at| at.value).or(bodies);
        }
        protection.bodies = match bodies {
            Some(true) => Bodies::All,
            Some(false) => Bodies::None,
            None if protection.tuning.engine == Engine::On => Bodies::All,
            None => Bodies::Fitting,
        };
        let said = own.and_then(|own| own.responses.as_ref());
        protection.outbound = answers.of(reader, said.or(api.responses.as_ref()));
        Some(protection)
    }

    fn find(&self, reader: &Reader<'_>, name: Option<&At<String>>) -> Option<usize> {
        let wanted = name.map_or(builtin::NAME, |name| &name.value);
        let mut names = self.named.iter();
        let found = names.position(|each| *each.name == *wanted);
        if let (None, Some(name)) = (found, name) {
            let names = self.named.iter().map(|each| &*each.name);
            let hint = match nearest(&name.value, names) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("add [waf.{}], or write waf = \"off\"", name.value),
            };
            let message = format!("there is no rule set \"{}\"", name.value);
            reader.error(name.position, message, hint);
        }
        found
    }
}

/// Names of header fields, in lower case.
fn names(reader: &Reader<'_>, headers: &[At<String>]) -> Box<[Box<str>]> {
    for name in headers {
        if !is_token(name.value.as_bytes()) {
            let message = format!("no header field has the name \"{}\"", name.value);
            let hint = "letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 section 5.1)";
            reader.error(name.position, message, hint);
        }
    }
    let names = headers.iter().map(|name| name.value.to_ascii_lowercase());
    names.map(Into::into).collect()
}

/// What tunes rules says nothing where there are none.
fn refuse_tuning(reader: &Reader<'_>, inspected: Option<&file::Inspected>) {
    let Some(inspected) = inspected else { return };
    let positions = [
        inspected.mode.as_ref().map(|at| at.position),
        inspected.threshold.as_ref().map(|at| at.position),
        inspected.response_threshold.as_ref().map(|at| at.position),
        inspected.bodies.as_ref().map(|at| at.position),
        inspected.responses.as_ref().map(|at| at.position),
        inspected.headers.first().map(|at| at.position),
        inspected.exclusions.first().map(|first| first.position),
    ];
    for position in positions.into_iter().flatten() {
        let hint = "remove it, or name a rule set instead of \"off\"";
        reader.error(position, "waf = \"off\" leaves nothing to tune", hint);
    }
}

fn tuning(reader: &Reader<'_>, declared: &file::Waf) -> Tuning {
    let over_budget = [
        ("refuse", OverBudget::Refuse),
        ("report", OverBudget::Report),
    ];
    Tuning {
        engine: one_of(
            reader,
            declared.mode.as_ref(),
            &MODES,
            Engine::DetectionOnly,
        ),
        budget: budget::compile(reader, declared),
        over_budget: one_of(
            reader,
            declared.over_budget.as_ref(),
            &over_budget,
            OverBudget::Refuse,
        ),
        threshold: None,
        response_threshold: None,
        exhaustive: false,
    }
}
