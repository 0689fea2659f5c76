//! What the actions of one rule say, together.

use crate::policy::waf::draft::{Disruption, Effect, Phase, Scope, Skip};
use crate::policy::waf::seclang::action;
use crate::policy::waf::seclang::effect;
use crate::policy::waf::seclang::fault::Fault;
use crate::policy::waf::template::{Slots, Template};
use crate::policy::waf::transform::Transformation;

/// The actions of one rule or link, as far as they are there.
#[derive(Debug, Default)]
pub struct Traits {
    pub id: Option<u32>,
    pub phase: Option<Phase>,
    pub disruption: Option<Disruption>,
    pub status: Option<u16>,
    pub skip: Option<Skip>,
    pub log: Option<bool>,
    pub message: Option<Template>,
    pub log_text: Option<Template>,
    pub severity: Option<u8>,
    pub tags: Vec<Box<str>>,
    pub chain: bool,
    pub capture: bool,
    pub multi_match: bool,
    pub effects: Vec<Effect>,
    /// `t:none` stands at a place in this list: what is before it is void.
    pub transformations: Vec<Transformation>,
    /// There was a `t:none`, so that no default transformations apply.
    pub bare: bool,
    /// The first action that nothing here can do.
    pub unsupported: Option<String>,
    /// Actions that do nothing here, or something else than is written: sentences for the notes of the
    /// loader.
    pub void: Vec<String>,
}

impl Traits {
    /// Reads the last word of a rule.
    pub fn read(text: &str, slots: &mut Slots) -> Result<Traits, Fault> {
        let mut traits = Traits::default();
        for action in action::actions(text).map_err(Fault::Broken)? {
            let name = action.name.to_ascii_lowercase();
            let value = action.value.as_deref();
            match traits.take(&name, value, slots) {
                Err(Fault::Unsupported(what)) => {
                    traits.unsupported.get_or_insert(what);
                }
                other => other?,
            }
        }
        Ok(traits)
    }

    fn take(&mut self, name: &str, value: Option<&str>, slots: &mut Slots) -> Result<(), Fault> {
        match value {
            Some(value) => self.take_value(name, value, slots),
            None => self.take_word(name),
        }
    }

    fn take_word(&mut self, name: &str) -> Result<(), Fault> {
        match name {
            "pass" => self.disrupt(Disruption::Pass),
            "block" => self.disrupt(Disruption::Block),
            "deny" => self.disrupt(Disruption::Deny { status: 403 }),
            "drop" => {
                self.disrupt(Disruption::Deny { status: 403 });
                self.void.push("`drop` answers as `deny` does".to_owned());
            }
            "allow" => self.disrupt(Disruption::Allow(Scope::All)),
            "log" => self.log = Some(true),
            "nolog" => self.log = Some(false),
            // There is one log, and `log` says what is in it.
            "auditlog" | "noauditlog" => {}
            "chain" => self.chain = true,
            "capture" => self.capture = true,
            "multimatch" => self.multi_match = true,
            "pause" | "proxy" | "exec" | "setenv" | "append" | "prepend" => {
                return Err(Fault::unsupported(format!("the action `{name}`")));
            }
            "id" | "phase" | "t" | "msg" | "setvar" | "ctl" | "tag" | "severity" | "skip"
            | "skipafter" | "status" | "logdata" | "redirect" => {
                return Err(Fault::broken(format!("the action `{name}` needs a value")));
            }
            _ => return Err(Fault::broken(format!("there is no action `{name}`"))),
        }
        Ok(())
    }

    fn take_value(&mut self, name: &str, value: &str, slots: &mut Slots) -> Result<(), Fault> {
        match name {
            "id" => self.id = Some(number(name, value)?),
            "phase" => self.phase = Some(phase(value)?),
            "status" => self.status = Some(number(name, value)?),
            "severity" => self.severity = Some(severity(value)?),
            "skip" => self.skip = Some(Skip::Rules(number(name, value)?)),
            "skipafter" => self.skip = Some(Skip::Marker(value.into())),
            "msg" => self.message = Some(Template::parse(value, slots)),
            "logdata" => self.log_text = Some(Template::parse(value, slots)),
            "tag" => self.tags.push(value.into()),
            "setvar" => self.effects.push(effect::setvar(value, slots)?),
            "t" => self.transform(value)?,
            "ctl" => match effect::control(value, slots)? {
                Some(effect) => self.effects.push(effect),
                None => self.idle("ctl", value),
            },
            "allow" => self.disrupt(Disruption::Allow(scope(value)?)),
            "redirect" => {
                self.disrupt(Disruption::Deny { status: 302 });
                self.void
                    .push(format!("`redirect:{value}` answers as `deny` does"));
            }
            "initcol" | "expirevar" | "deprecatevar" | "setsid" | "setuid" | "setrsc" => {
                self.idle(name, value);
            }
            // What the rule set says of itself.
            "ver" | "rev" | "maturity" | "accuracy" => {}
            "exec"
            | "proxy"
            | "pause"
            | "setenv"
            | "append"
            | "prepend"
            | "sanitisearg"
            | "sanitisematched"
            | "sanitisematchedbytes"
            | "sanitiserequestheader"
            | "sanitiseresponseheader"
            | "xmlns" => {
                return Err(Fault::unsupported(format!("the action `{name}`")));
            }
            "multimatch" | "capture" | "chain" | "pass" | "block" | "deny" | "log" | "nolog" => {
                return Err(Fault::broken(format!("the action `{name}` takes no value")));
            }
            _ => return Err(Fault::broken(format!("there is no action `{name}`"))),
        }
        Ok(())
    }

    fn idle(&mut self, name: &str, value: &str) {
        self.void
            .push(format!("`{name}:{value}` has no effect here"));
    }

    /// What there is to say of a status that is not the one of the gateway.
    pub fn other_status(&self, phase: Phase) -> Option<String> {
        let answered = match phase {
            Phase::RequestHead | Phase::RequestBody | Phase::Logging => 403,
            Phase::ResponseHead | Phase::ResponseBody => 502,
        };
        let status = self.status.filter(|&status| status != answered)?;
        Some(format!("`status:{status}` is answered with {answered}"))
    }

    fn disrupt(&mut self, disruption: Disruption) {
        self.disruption = Some(disruption);
    }

    fn transform(&mut self, name: &str) -> Result<(), Fault> {
        let transformation = Transformation::named(name)
            .ok_or_else(|| Fault::broken(format!("there is no transformation `{name}`")))?;
        if transformation == Transformation::None {
            self.transformations.clear();
            self.bare = true;
        } else {
            self.transformations.push(transformation);
        }
        Ok(())
    }

    /// The first action that only the first rule of a chain can have.
    pub fn of_the_rule(&self) -> Option<&'static str> {
        let found = [
            (self.id.is_some(), "id"),
            (self.phase.is_some(), "phase"),
            (self.skip.is_some(), "skip"),
        ];
        found
            .into_iter()
            .find(|(there, _)| *there)
            .map(|(_, name)| name)
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Fault> {
    let number = value.parse();
    number.map_err(|_| Fault::broken(format!("`{value}` is no number for `{name}`")))
}

fn phase(value: &str) -> Result<Phase, Fault> {
    Ok(match value.to_ascii_lowercase().as_str() {
        "1" => Phase::RequestHead,
        "2" | "request" => Phase::RequestBody,
        "3" => Phase::ResponseHead,
        "4" | "response" => Phase::ResponseBody,
        "5" | "logging" => Phase::Logging,
        _ => return Err(Fault::broken(format!("there is no phase `{value}`"))),
    })
}

const SEVERITIES: [&str; 8] = [
    "emergency",
    "alert",
    "critical",
    "error",
    "warning",
    "notice",
    "info",
    "debug",
];

fn severity(value: &str) -> Result<u8, Fault> {
    let lower = value.to_ascii_lowercase();
    let named = SEVERITIES.iter().position(|&name| name == lower);
    let level = named.or_else(|| lower.parse().ok().filter(|&level: &usize| level < 8));
    level
        .and_then(|level| u8::try_from(level).ok())
        .ok_or_else(|| Fault::broken(format!("there is no severity `{value}`")))
}

fn scope(value: &str) -> Result<Scope, Fault> {
    match value.to_ascii_lowercase().as_str() {
        "phase" => Ok(Scope::Phase),
        "request" => Ok(Scope::Request),
        _ => Err(Fault::broken(format!(
            "`allow:{value}` is neither phase nor request"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Traits, Fault> {
        Traits::read(text, &mut Slots::default())
    }

    #[test]
    fn the_last_transformation_none_voids_those_before_it() {
        let traits = read("id:1,t:lowercase,t:none,t:urlDecodeUni,severity:'CRITICAL'").unwrap();
        assert_eq!(traits.transformations, [Transformation::UrlDecodeUni]);
        assert_eq!(
            (traits.id, traits.severity, traits.bare),
            (Some(1), Some(2), true)
        );
    }

    #[test]
    fn unknown_actions_are_broken_and_known_ones_unsupported() {
        for text in [
            "id:a",
            "foo",
            "foo:1",
            "phase:9",
            "id",
            "capture:1",
            "severity:9",
            "t:rot13",
        ] {
            assert!(matches!(read(text), Err(Fault::Broken(_))), "{text}");
        }
        let traits = read("id:1,exec:/bin/a,proxy:b").unwrap();
        assert_eq!(traits.unsupported.as_deref(), Some("the action `exec`"));
    }
}
