//! `SecRule` and `SecAction`: lines to rules, chains put together.

use crate::policy::waf::draft::{Condition, Disruption, Item, LinkDraft, Phase, RuleDraft};
use crate::policy::waf::place::{LoadError, Place};
use crate::policy::waf::seclang::fault::Fault;
use crate::policy::waf::seclang::lexer::Line;
use crate::policy::waf::seclang::traits::Traits;
use crate::policy::waf::seclang::variables;
use crate::policy::waf::target::Targets;
use crate::policy::waf::template::{Slots, Template};
use crate::policy::waf::transform::Transformation;

/// What `SecDefaultAction` says for one phase.
#[derive(Clone, Debug)]
pub struct Defaults {
    pub disruption: Disruption,
    pub log: bool,
    pub transformations: Vec<Transformation>,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            disruption: Disruption::Pass,
            log: true,
            transformations: Vec::new(),
        }
    }
}

/// Reads the file that an operator names, from beside the rule file.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

/// Puts rules together, line by line.
#[derive(Default)]
pub struct Rules {
    pub slots: Slots,
    pub defaults: [Defaults; 5],
    pub items: Vec<Item>,
    /// Actions that do not what they say: where, and a sentence.
    pub void: Vec<(Place, u32, String)>,
    /// A chain that waits for its next link.
    open: Option<RuleDraft>,
}

/// One line, read but not yet part of a rule.
struct Part {
    link: LinkDraft,
    traits: Traits,
    unsupported: Option<String>,
}

impl Rules {
    /// `SecRule VARIABLES OPERATOR [ACTIONS]`
    pub fn rule(&mut self, line: &Line, file: ReadFile<'_>) -> Result<(), LoadError> {
        let part = match line.words.as_slice() {
            [targets, operator] => self.part(Some((targets.as_str(), operator.as_str())), "", file),
            [targets, operator, actions] => {
                self.part(Some((targets.as_str(), operator.as_str())), actions, file)
            }
            _ => Err(Fault::broken(
                "a rule is variables, an operator and actions",
            )),
        };
        self.take(line, part)
    }

    /// `SecAction ACTIONS`
    pub fn action(&mut self, line: &Line) -> Result<(), LoadError> {
        let part = match line.words.as_slice() {
            [actions] => self.part(None, actions, &|_| {
                Err("no file belongs to an action".into())
            }),
            _ => Err(Fault::broken("an action is one word")),
        };
        self.take(line, part)
    }

    pub fn marker(&mut self, line: &Line) -> Result<(), LoadError> {
        self.closed(&line.place)?;
        let [name] = line.words.as_slice() else {
            return Err(LoadError::new(&line.place, "a marker has one name"));
        };
        let name = name.trim_matches('\'');
        self.items.push(Item::Marker(name.into()));
        Ok(())
    }

    /// Refuses to go on, or to end, within a chain.
    pub fn closed(&self, place: &Place) -> Result<(), LoadError> {
        match &self.open {
            Some(rule) => {
                let message = "the chain has no further rule";
                Err(LoadError::new(place, message).of_rule(rule.id))
            }
            None => Ok(()),
        }
    }

    fn rule_of(&self, id: u32) -> Option<&RuleDraft> {
        self.items.iter().find_map(|item| match item {
            Item::Rule(rule) if rule.id == id => Some(rule.as_ref()),
            _ => None,
        })
    }

    fn take(&mut self, line: &Line, part: Result<Part, Fault>) -> Result<(), LoadError> {
        let place = &line.place;
        let id = self
            .open
            .as_ref()
            .map(|rule| rule.id)
            .or_else(|| id_of(line));
        let at = |fault: Fault| {
            let error = LoadError::new(place, fault.to_string());
            id.map_or(error.clone(), |id| error.of_rule(id))
        };
        let mut part = part.map_err(at)?;
        let mut void = std::mem::take(&mut part.traits.void);
        let chain = part.traits.chain;
        let rule = match self.open.take() {
            Some(rule) => continued(rule, part).map_err(at)?,
            None => {
                if let Some(first) = id.and_then(|id| self.rule_of(id)) {
                    let message = format!("there is one with this id already, at {}", first.place);
                    return Err(at(Fault::broken(message)));
                }
                let phase = part.traits.phase.unwrap_or(Phase::RequestBody);
                void.extend(part.traits.other_status(phase));
                self.started(place, part).map_err(at)?
            }
        };
        let void = void.into_iter().map(|void| (place.clone(), rule.id, void));
        self.void.extend(void);
        if chain {
            self.open = Some(rule);
        } else {
            self.items.push(Item::Rule(Box::new(rule)));
        }
        Ok(())
    }

    fn part(
        &mut self,
        tested: Option<(&str, &str)>,
        actions: &str,
        file: ReadFile<'_>,
    ) -> Result<Part, Fault> {
        let mut unsupported = None;
        let mut traits = Traits::read(actions, &mut self.slots)?;
        let mut targets = Targets::default();
        let mut condition = None;
        if let Some((variables, operator)) = tested {
            match variables::targets(variables, &mut self.slots) {
                Ok(read) => targets = read,
                Err(Fault::Unsupported(what)) => unsupported = Some(what),
                Err(broken) => return Err(broken),
            }
            condition = Some(self.condition(operator, file)?);
        }
        let unsupported = unsupported.or(traits.unsupported.take());
        let link = LinkDraft {
            targets,
            condition,
            transformations: std::mem::take(&mut traits.transformations),
            multi_match: traits.multi_match,
            capture: traits.capture,
            effects: std::mem::take(&mut traits.effects),
        };
        Ok(Part {
            link,
            traits,
            unsupported,
        })
    }

    /// `!@rx pattern`; without a name it is a pattern.
    fn condition(&mut self, text: &str, file: ReadFile<'_>) -> Result<Condition, Fault> {
        let text = text.trim_start();
        let (negated, text) = match text.strip_prefix('!') {
            Some(text) => (true, text.trim_start()),
            None => (false, text),
        };
        let (name, argument) = match text.strip_prefix('@') {
            Some(text) => text
                .split_once(|c: char| c.is_ascii_whitespace())
                .unwrap_or((text, "")),
            None => ("rx", text),
        };
        let name = name.to_ascii_lowercase();
        let argument = match name.as_str() {
            // A blank at the end belongs to a pattern.
            "rx" => argument,
            _ => argument.trim(),
        };
        let file = match name.as_str() {
            "pmfromfile" | "pmf" | "ipmatchfromfile" | "ipmatchf" => {
                Some(files(argument, file).map_err(Fault::Broken)?)
            }
            _ => None,
        };
        Ok(Condition {
            negated,
            name: name.into(),
            argument: Template::parse(argument, &mut self.slots),
            file,
        })
    }

    fn started(&mut self, place: &Place, part: Part) -> Result<RuleDraft, Fault> {
        let Part {
            mut link,
            traits,
            unsupported,
        } = part;
        let id = traits
            .id
            .ok_or_else(|| Fault::broken("the rule has no id"))?;
        let phase = traits.phase.unwrap_or(Phase::RequestBody);
        let defaults = &self.defaults[phase as usize - 1];
        if !traits.bare {
            link.transformations
                .splice(..0, defaults.transformations.iter().copied());
        }
        let disruption = match traits.disruption {
            Some(Disruption::Deny { status }) => Disruption::Deny {
                status: traits.status.unwrap_or(status),
            },
            Some(Disruption::Block) | None => defaults.disruption.clone(),
            Some(other) => other,
        };
        Ok(RuleDraft {
            place: place.clone(),
            id,
            phase,
            links: vec![link],
            disruption,
            skip: traits.skip,
            log: traits.log.unwrap_or(defaults.log),
            message: traits.message.unwrap_or_default(),
            log_text: traits.log_text.unwrap_or_default(),
            severity: traits.severity,
            once: false,
            tags: traits.tags,
            unsupported,
        })
    }
}

fn continued(mut rule: RuleDraft, part: Part) -> Result<RuleDraft, Fault> {
    if let Some(action) = part.traits.of_the_rule() {
        return Err(Fault::broken(format!(
            "the action `{action}` belongs to the first rule of the chain"
        )));
    }
    if part.link.condition.is_none() {
        return Err(Fault::broken("an action cannot continue a chain"));
    }
    rule.links.push(part.link);
    rule.unsupported = rule.unsupported.or(part.unsupported);
    let Traits {
        message,
        log_text,
        severity,
        tags,
        ..
    } = part.traits;
    if rule.message.pieces.is_empty() {
        rule.message = message.unwrap_or_default();
    }
    if rule.log_text.pieces.is_empty() {
        rule.log_text = log_text.unwrap_or_default();
    }
    rule.severity = rule.severity.or(severity);
    rule.tags.extend(tags);
    Ok(rule)
}

/// Several files may be named, with blanks between.
fn files(names: &str, read: ReadFile<'_>) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    for name in names.split_ascii_whitespace() {
        content.extend(read(name)?);
        content.push(b'\n');
    }
    Ok(content)
}

/// The id of a rule whose actions cannot be read, so that the error can name it.
fn id_of(line: &Line) -> Option<u32> {
    let actions = line.words.last()?;
    let start = actions.find("id:")? + 3;
    let digits = actions[start..].trim_start_matches('\'');
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}
