//! Native rules: TOML to the drafts that rules in SecLang become as well.
//!
//! ```toml
//! [[rule]]
//! id = 1101
//! name = "sql-injection"
//! category = "sql"
//! severity = "critical"
//! targets = ["values", "cookies"]
//! detect = "sql"
//! ```
//!
//! A rule that matches adds its score once to that of its category and to the sum of all; from the
//! threshold on, the last rule of the set refuses. What a key means stands in
//! `config/waf/README.md`.

pub mod builtin;
pub mod disk;
mod operator;
mod targets;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use crate::config::reader::{At, Reader, Table, nearest};
use crate::diagnostic::{Diagnostic, Position};
use crate::policy::waf::collection::Collection;
use crate::policy::waf::draft::{
    Change, Condition, Disruption, Effect, Item, LinkDraft, Name, Phase, RuleDraft,
};
use crate::policy::waf::inspection::THRESHOLD;
use crate::policy::waf::place::Place;
use crate::policy::waf::target::{Selector, Target, Targets};
use crate::policy::waf::template::{Slots, Template};
use crate::policy::waf::transform::Transformation;

/// The rule that refuses what the others add up to.
pub const VERDICT: u32 = 1000;

/// The variable that all scores of native rules add up in.
const SUM: &str = "native_score";

/// Set before the first rule: the score from which a request is an attack.
pub const VARIABLES: [(&str, &str); 1] = [(THRESHOLD, "5")];

/// The lowest id that a native rule may have.
const FIRST: usize = 1001;

/// What a rule does to a value where it says nothing: undoes one more encoding than the protocol
/// asks for.
const CHAIN: [Transformation; 2] = [Transformation::UrlDecodeUni, Transformation::RemoveNulls];

/// The words for how grave a match is: SecLang's number, and what it adds to the score.
const SEVERITIES: [(&str, u8, usize); 4] = [
    ("critical", 2, 5),
    ("error", 3, 4),
    ("warning", 4, 3),
    ("notice", 5, 2),
];

/// Reads one file of native rules.
///
/// # Errors
/// All that is wrong in it, each with its place and what to write instead.
pub fn read(path: &Path, text: &str, slots: &mut Slots) -> Result<Vec<Native>, Vec<Diagnostic>> {
    let reader = Reader::new(path, text);
    let rules = reader.parse(|root| root.tables("rule", declared));
    if rules.is_empty() {
        reader.error(Position::START, "the file holds no rules", "add [[rule]]");
    }
    let file: Arc<str> = path.display().to_string().into();
    let rules = rules.into_iter().flatten();
    let natives: Vec<Native> = rules.map(|rule| rule.drafted(&file, slots)).collect();
    for (at, native) in natives.iter().enumerate() {
        if natives[..at].iter().any(|other| other.id() == native.id()) {
            let message = format!("there are two rules {}", native.id());
            reader.error(native.position, message, "give one of them another id");
        }
    }
    let found = reader.into_diagnostics();
    match found.is_empty() {
        true => Ok(natives),
        false => Err(found),
    }
}

/// A rule, and where its id stands.
#[derive(Clone, Debug)]
pub struct Native {
    pub position: Position,
    pub draft: RuleDraft,
}

impl Native {
    pub fn id(&self) -> u32 {
        self.draft.id
    }

    pub fn into_item(self) -> Item {
        Item::Rule(Box::new(self.draft))
    }
}

/// The rule that compares the sum of all scores with the threshold; it stands behind all others.
pub fn verdict(slots: &mut Slots) -> Item {
    let sum = Target {
        collection: Collection::Tx,
        selector: Selector::Slot(slots.intern(SUM)),
        count: false,
    };
    let condition = Condition {
        negated: false,
        name: "ge".into(),
        argument: Template::parse(&format!("%{{tx.{THRESHOLD}}}"), slots),
        file: None,
    };
    let mut link = LinkDraft::default();
    link.targets.included.push(sum);
    link.condition = Some(condition);
    let message = format!("attack: score %{{tx.{SUM}}} of %{{tx.{THRESHOLD}}}");
    Item::Rule(Box::new(RuleDraft {
        disruption: Disruption::Deny { status: 403 },
        message: Template::parse(&message, slots),
        links: vec![link],
        ..blank("verdict".into(), 0, VERDICT)
    }))
}

/// A rule that runs when everything is there, and does nothing.
fn blank(file: Arc<str>, line: usize, id: u32) -> RuleDraft {
    RuleDraft {
        place: Place {
            file,
            line: u32::try_from(line).unwrap_or(u32::MAX),
        },
        id,
        phase: Phase::RequestBody,
        links: Vec::new(),
        disruption: Disruption::Pass,
        skip: None,
        log: true,
        message: Template::default(),
        log_text: Template::default(),
        severity: None,
        once: false,
        tags: Vec::new(),
        unsupported: None,
    }
}

/// What one `[[rule]]` says.
struct Declared {
    id: At<u32>,
    name: String,
    category: String,
    severity: u8,
    score: usize,
    references: Vec<String>,
    links: Vec<LinkDraft>,
}

/// None where something is missing or wrong, which was told.
fn declared(table: &Table<'_, '_>) -> Option<Declared> {
    let id = id(table);
    let name = word(table, "name");
    let category = word(table, "category");
    let severity = severity(table);
    let score = table.optional::<usize>("score");
    if let Some(score) = score.as_ref().filter(|score| score.value > 100) {
        let message = format!("a score of {} is out of range", score.value);
        table
            .reader
            .error(score.position, message, "write 0 to 100");
    }
    // What a rule is for is for those who read the file.
    let _ = table.optional::<String>("description");
    let references = table.list::<String>("references");
    let first = link(table, &["values"], &CHAIN);
    let mut links = vec![first];
    links.extend(table.tables("and", |table| link(table, &["matched"], &[])));
    let (severity, default) = severity?;
    Some(Declared {
        id: id?,
        name: name?,
        category: category?,
        severity,
        score: score.map_or(default, |score| score.value),
        references: references.into_iter().map(|at| at.value).collect(),
        links: links.into_iter().collect::<Option<Vec<LinkDraft>>>()?,
    })
}

impl Declared {
    fn drafted(self, file: &Arc<str>, slots: &mut Slots) -> Native {
        let Declared {
            id,
            name,
            category,
            severity,
            score,
            references,
            mut links,
        } = self;
        let mut add = |variable: &str| {
            let change = Change::Add(Template::text(&score.to_string()));
            Effect::Set(Name::Slot(slots.intern(variable)), change)
        };
        // An unconditional link of its own: the score is added once, however many values matched.
        links.push(LinkDraft {
            effects: vec![add(SUM), add(&format!("{category}_score"))],
            ..LinkDraft::default()
        });
        let tags = std::iter::once(category).chain(references);
        let draft = RuleDraft {
            severity: Some(severity),
            once: true,
            message: Template::text(&name),
            tags: tags.map(Into::into).collect(),
            links,
            ..blank(Arc::clone(file), id.position.line, id.value)
        };
        Native {
            position: id.position,
            draft,
        }
    }
}

fn id(table: &Table<'_, '_>) -> Option<At<u32>> {
    let id = table.required::<usize>("id")?;
    let number = u32::try_from(id.value).ok();
    let Some(value) = number.filter(|_| id.value >= FIRST) else {
        let message = format!("{} is no id of a rule", id.value);
        let hint = format!("write a number from {FIRST} on");
        table.reader.error(id.position, message, hint);
        return None;
    };
    Some(At {
        value,
        position: id.position,
    })
}

/// Small letters, digits and dashes: what can stand in a log and in the name of a variable.
fn word(table: &Table<'_, '_>, key: &'static str) -> Option<String> {
    let word = table.required::<String>(key)?;
    let is_sound = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    if word.value.bytes().all(is_sound) {
        return Some(word.value);
    }
    let message = format!("`{key}` is not made of small letters, digits and dashes");
    table
        .reader
        .error(word.position, message, "write sql-injection");
    None
}

fn severity(table: &Table<'_, '_>) -> Option<(u8, usize)> {
    let word = table.required::<String>("severity")?;
    let known = SEVERITIES.iter().find(|(name, ..)| *name == word.value);
    if known.is_none() {
        let names = SEVERITIES.iter().map(|(name, ..)| *name);
        let hint = nearest(&word.value, names.clone()).map_or_else(
            || format!("write {}", names.collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        let message = format!("there is no severity \"{}\"", word.value);
        table.reader.error(word.position, message, hint);
    }
    known.map(|&(_, number, score)| (number, score))
}

fn link(
    table: &Table<'_, '_>,
    default_targets: &[&str],
    default_chain: &[Transformation],
) -> Option<LinkDraft> {
    let included = targets::list(table, "targets", default_targets);
    let excluded = targets::list(table, "except", &[]);
    let transformations = transformations(table, default_chain);
    let condition = operator::condition(table);
    Some(LinkDraft {
        targets: Targets {
            included: included?,
            excluded: excluded?,
        },
        condition: Some(condition?),
        transformations: transformations?,
        ..LinkDraft::default()
    })
}

fn transformations(
    table: &Table<'_, '_>,
    default: &[Transformation],
) -> Option<Vec<Transformation>> {
    if !table.has("transformations") {
        return Some(default.to_vec());
    }
    let names = table.list::<String>("transformations");
    let found = names.iter().map(|name| {
        let found = Transformation::named(&name.value);
        if found.is_none() {
            let hint = match nearest(&name.value, Transformation::names()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "write \"urlDecodeUni\", \"htmlEntityDecode\", \"lowercase\", ...".into(),
            };
            let message = format!("there is no transformation \"{}\"", name.value);
            table.reader.error(name.position, message, hint);
        }
        found
    });
    // All are looked at, so that all mistakes are told.
    found.collect::<Vec<_>>().into_iter().collect()
}
