//! The actions that change something: `setvar`, `ctl` and their like.

use crate::policy::waf::draft::{Change, Effect, Engine, Name, Which};
use crate::policy::waf::seclang::fault::Fault;
use crate::policy::waf::seclang::variables;
use crate::policy::waf::template::{PERSISTENT, Slots, Template};

/// `tx.name=value`, `tx.name=+1`, `!tx.name`, `tx.name`.
pub fn setvar(text: &str, slots: &mut Slots) -> Result<Effect, Fault> {
    let (removed, text) = match text.strip_prefix('!') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (variable, value) = match text.split_once('=') {
        Some((variable, value)) => (variable, Some(value)),
        None => (text, None),
    };
    let (collection, name) = variable
        .split_once('.')
        .ok_or_else(|| Fault::broken(format!("`setvar:{text}` names no collection")))?;
    let collection = collection.trim().to_ascii_lowercase();
    let name = match collection.as_str() {
        "tx" => name.to_owned(),
        store if PERSISTENT.contains(&store) => format!("{store}:{name}"),
        other => {
            return Err(Fault::broken(format!(
                "there is no collection `{other}` to set"
            )));
        }
    };
    let name = name_of(name.trim(), slots);
    let change = match value {
        _ if removed => Change::Remove,
        None => Change::Assign(Template::text("1")),
        Some(value) => {
            if let Some(value) = value.strip_prefix('+') {
                Change::Add(Template::parse(value, slots))
            } else if let Some(value) = value.strip_prefix('-') {
                Change::Subtract(Template::parse(value, slots))
            } else {
                Change::Assign(Template::parse(value, slots))
            }
        }
    };
    Ok(Effect::Set(name, change))
}

fn name_of(name: &str, slots: &mut Slots) -> Name {
    let template = Template::parse(name, slots);
    match template.as_text() {
        Some(name) => Name::Slot(slots.intern(name)),
        None => Name::Made(template),
    }
}

/// `ctl:` with its value; `None` for what has no effect here, which the loader notes.
pub fn control(text: &str, slots: &mut Slots) -> Result<Option<Effect>, Fault> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| Fault::broken(format!("`ctl:{text}` sets nothing")))?;
    let value = value.trim();
    let effect = match name.trim().to_ascii_lowercase().as_str() {
        "ruleremovebyid" => Effect::RemoveRules(ids(value)?),
        "ruleremovebytag" => Effect::RemoveRules(Which::Tag(value.into())),
        "ruleremovebymsg" => Effect::RemoveRules(Which::Message(value.into())),
        "ruleremovetargetbyid" => target(value, ids, slots)?,
        "ruleremovetargetbytag" => target(value, |tag| Ok(Which::Tag(tag.into())), slots)?,
        "ruleremovetargetbymsg" => target(value, |text| Ok(Which::Message(text.into())), slots)?,
        "ruleengine" => Effect::Engine(engine(value)?),
        "requestbodyprocessor" => match value.to_ascii_uppercase().as_str() {
            known @ ("URLENCODED" | "MULTIPART" | "JSON" | "XML") => {
                Effect::BodyProcessor(known.into())
            }
            other => return Err(Fault::unsupported(format!("the body processor `{other}`"))),
        },
        "forcerequestbodyvariable" => Effect::ForceBody(switch(value)?),
        "auditengine" | "auditlogparts" | "debugloglevel" => return Ok(None),
        other => return Err(Fault::unsupported(format!("the control `{other}`"))),
    };
    Ok(Some(effect))
}

fn target(
    text: &str,
    which: impl Fn(&str) -> Result<Which, Fault>,
    slots: &mut Slots,
) -> Result<Effect, Fault> {
    let (rules, target) = text
        .split_once(';')
        .ok_or_else(|| Fault::broken(format!("`{text}` names no target")))?;
    let target = variables::single(target.trim(), slots)?;
    Ok(Effect::RemoveTarget(which(rules.trim())?, target))
}

/// `942100` or `942100-942199`.
pub fn ids(text: &str) -> Result<Which, Fault> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) if from <= to => Ok(Which::Ids(from, to)),
        _ => Err(Fault::broken(format!("`{text}` is no rule id"))),
    }
}

pub fn engine(text: &str) -> Result<Engine, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Ok(Engine::On),
        "off" => Ok(Engine::Off),
        "detectiononly" => Ok(Engine::DetectionOnly),
        _ => Err(Fault::broken(format!(
            "`{text}` is none of On, Off, DetectionOnly"
        ))),
    }
}

fn switch(text: &str) -> Result<bool, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Fault::broken(format!("`{text}` is neither On nor Off"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::waf::template::Slot;

    #[test]
    fn variables_are_set_raised_and_removed() {
        let mut slots = Slots::default();
        let slot = Slot(10);
        for (text, change) in [
            ("tx.a=b=c", Change::Assign(Template::text("b=c"))),
            ("TX.A=+5", Change::Add(Template::text("5"))),
            ("tx.a=-5", Change::Subtract(Template::text("5"))),
            ("tx.a", Change::Assign(Template::text("1"))),
            ("!tx.a", Change::Remove),
        ] {
            let effect = setvar(text, &mut slots).unwrap();
            let Effect::Set(name, found) = effect else {
                panic!("{text}")
            };
            assert_eq!((name, found), (Name::Slot(slot), change), "{text}");
        }
        let made = setvar("tx.n_%{tx.0}=1", &mut slots).unwrap();
        assert!(matches!(made, Effect::Set(Name::Made(_), _)));
        assert!(setvar("a=1", &mut slots).is_err());
        assert!(setvar("args.a=1", &mut slots).is_err());
    }

    #[test]
    fn controls_are_known_or_refused() {
        let mut slots = Slots::default();
        let ids = control("ruleRemoveById=1-9", &mut slots).unwrap();
        assert!(matches!(ids, Some(Effect::RemoveRules(Which::Ids(1, 9)))));
        let target = control("ruleRemoveTargetByTag=a;ARGS:b", &mut slots).unwrap();
        assert!(matches!(
            target,
            Some(Effect::RemoveTarget(Which::Tag(_), _))
        ));
        for text in [
            "ruleRemoveById=a",
            "ruleRemoveById=9-1",
            "ruleEngine",
            "ruleEngine=maybe",
            "sendMail=x",
        ] {
            assert!(control(text, &mut slots).is_err(), "{text}");
        }
    }
}
