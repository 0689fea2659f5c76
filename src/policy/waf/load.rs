//! Rule files to rules that run, in one step.

use crate::policy::waf::compile::{OnUnsupported, compile, unusable};
use crate::policy::waf::draft::{
    Change, Disruption, Effect, Item, LinkDraft, Name, Phase, RuleDraft,
};
use crate::policy::waf::fold::{Folded, fold};
use crate::policy::waf::inspection::{RESPONSE_THRESHOLD, THRESHOLD};
use crate::policy::waf::place::{LoadError, Place};
use crate::policy::waf::rule::RuleSet;
use crate::policy::waf::seclang::{self, Files};
use crate::policy::waf::target::Targets;
use crate::policy::waf::template::{Slots, Template};

/// What the gateway's own configuration says about a rule set.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Variables of `TX` that are set before the first rule, such as `blocking_paranoia_level`.
    pub variables: &'a [(&'a str, &'a str)],
    pub on_unsupported: OnUnsupported,
    /// Whether what is certain is done at load. Without it the same rules match, slower.
    pub folded: bool,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Settings {
            variables: &[],
            on_unsupported: OnUnsupported::Skip,
            folded: true,
        }
    }
}

/// Rules, and what an operator of the gateway should know about them.
#[derive(Debug)]
pub struct Loaded {
    pub rules: RuleSet,
    /// How many rules the files hold; those that always do the same do not run.
    pub written: usize,
    /// Rules that cannot be run here, if they are to be skipped.
    pub skipped: Vec<LoadError>,
    /// Rules that the settings switch off, and that cannot be run here either.
    pub off: Vec<LoadError>,
    /// Directives and actions that have no effect here, or another one than is written.
    pub notes: Vec<LoadError>,
    /// Rules that wait for what other requests left, which nothing keeps.
    pub unfed: Vec<LoadError>,
}

/// Reads, folds and compiles rule files.
///
/// # Errors
/// All that is wrong, each with file, line and rule.
pub fn load(
    paths: &[&str],
    files: Files<'_>,
    settings: &Settings<'_>,
) -> Result<Loaded, Vec<LoadError>> {
    let seclang::Loaded {
        items,
        slots,
        bodies: _,
        engine: _,
        notes,
        unfed,
    } = seclang::load(paths, files)?;
    let Assembled {
        rules,
        written,
        skipped,
        off,
    } = assemble(items, slots, settings)?;
    Ok(Loaded {
        rules,
        written,
        skipped,
        off,
        notes,
        unfed,
    })
}

/// Rules of any front end, compiled.
#[derive(Debug)]
pub struct Assembled {
    pub rules: RuleSet,
    pub written: usize,
    pub skipped: Vec<LoadError>,
    /// Rules that the settings switch off, and that cannot be run here either.
    pub off: Vec<LoadError>,
}

/// Folds and compiles what front ends have read.
///
/// # Errors
/// All rules that cannot be run, unless those are to be skipped.
pub fn assemble(
    mut items: Vec<Item>,
    mut slots: Slots,
    settings: &Settings<'_>,
) -> Result<Assembled, Vec<LoadError>> {
    let rules = items.iter().filter(|item| matches!(item, Item::Rule(_)));
    let written = rules.count();
    if !settings.variables.is_empty() {
        items.insert(0, first(settings.variables, &mut slots));
    }
    let (folded, off) = if settings.folded {
        let folded = fold(&items, &slots, &[THRESHOLD, RESPONSE_THRESHOLD]);
        let off = unusable(&items, &folded, &slots);
        (folded, off)
    } else {
        (Folded::nothing(items), Vec::new())
    };
    let compiled = compile(&folded, slots, settings.on_unsupported)?;
    Ok(Assembled {
        rules: compiled.rules,
        written,
        skipped: compiled.skipped,
        off,
    })
}

/// A rule that sets variables whatever comes.
fn first(variables: &[(&str, &str)], slots: &mut Slots) -> Item {
    let effects = variables.iter().map(|(name, value)| {
        let name = Name::Slot(slots.intern(name));
        Effect::Set(name, Change::Assign(Template::text(value)))
    });
    let link = LinkDraft {
        targets: Targets::default(),
        condition: None,
        transformations: Vec::new(),
        multi_match: false,
        capture: false,
        effects: effects.collect(),
    };
    Item::Rule(Box::new(RuleDraft {
        place: Place {
            file: "settings".into(),
            line: 0,
        },
        id: 0,
        phase: Phase::RequestHead,
        links: vec![link],
        disruption: Disruption::Pass,
        skip: None,
        log: false,
        message: Template::default(),
        log_text: Template::default(),
        severity: None,
        once: false,
        tags: Vec::new(),
        unsupported: None,
    }))
}
