//! Rule files to rules: includes, the order of directives, and what later ones change in earlier
//! ones.
//!
//! Nothing is read here: the caller gives the files. Directives that are about the server around
//! other engines (logs, limits, temporary folders) have their place in the configuration of the
//! gateway; each that would change what is looked at is told in the notes.

use crate::policy::waf::draft::{Disruption, Engine, Item, RuleDraft, Which};
use crate::policy::waf::place::{LoadError, Place};
use crate::policy::waf::seclang::bodies::Bodies;
use crate::policy::waf::seclang::effect;
use crate::policy::waf::seclang::fault::Fault;
use crate::policy::waf::seclang::glob;
use crate::policy::waf::seclang::lexer::{self, Line};
use crate::policy::waf::seclang::rule::{Defaults, Rules};
use crate::policy::waf::seclang::traits::Traits;
use crate::policy::waf::seclang::unfed;
use crate::policy::waf::seclang::variables;
use crate::policy::waf::template::Slots;

/// Includes may be nested so deep.
const DEPTH: usize = 16;

/// Where the files come from. Errors are one line without the path.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// The content of a path.
    pub read: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
    /// The paths in a folder.
    pub list: &'a dyn Fn(&str) -> Result<Vec<String>, String>,
}

/// The rules of all files, and what there is to say about them.
#[derive(Debug)]
pub struct Loaded {
    pub items: Vec<Item>,
    pub slots: Slots,
    /// What is said of the bodies of answers.
    pub bodies: Bodies,
    /// What `SecRuleEngine` says, and where it does last.
    pub engine: Option<(Engine, Place)>,
    /// Directives and actions that have no effect here, or another one than is written.
    pub notes: Vec<LoadError>,
    /// Rules that wait for what other requests left, which nothing keeps.
    pub unfed: Vec<LoadError>,
}

/// Directives about what other engines look at: here keys of the configuration say it.
const SURROUNDINGS: &[&str] = &[
    "SecArgumentSeparator",
    "SecArgumentsLimit",
    "SecCookieFormat",
    "SecPcreMatchLimit",
    "SecPcreMatchLimitRecursion",
    "SecRequestBodyAccess",
    "SecRequestBodyInMemoryLimit",
    "SecRequestBodyJsonDepthLimit",
    "SecRequestBodyLimit",
    "SecRequestBodyLimitAction",
    "SecRequestBodyNoFilesLimit",
    "SecUnicodeMapFile",
];

/// Directives about logs, files and names of other engines: nothing is looked at otherwise for them.
const HOUSEKEEPING: &[&str] = &[
    "SecAuditEngine",
    "SecAuditLog",
    "SecAuditLog2",
    "SecAuditLogDirMode",
    "SecAuditLogFileMode",
    "SecAuditLogFormat",
    "SecAuditLogParts",
    "SecAuditLogRelevantStatus",
    "SecAuditLogStorageDir",
    "SecAuditLogType",
    "SecCollectionTimeout",
    "SecComponentSignature",
    "SecDataDir",
    "SecDebugLog",
    "SecDebugLogLevel",
    "SecServerSignature",
    "SecStatusEngine",
    "SecTmpDir",
    "SecTmpSaveUploadedFiles",
    "SecUploadDir",
    "SecUploadFileLimit",
    "SecUploadFileMode",
    "SecUploadKeepFiles",
    "SecWebAppId",
];

/// Reads rule files in order, with what they include.
///
/// # Errors
/// All that is wrong, each with its place.
pub fn load(paths: &[&str], files: Files<'_>) -> Result<Loaded, Vec<LoadError>> {
    let mut loader = Loader {
        files,
        rules: Rules::default(),
        bodies: Bodies::default(),
        engine: None,
        notes: Vec::new(),
        errors: Vec::new(),
    };
    for path in paths {
        let from = Place {
            file: (*path).into(),
            line: 0,
        };
        loader.file(path, &from, 0);
    }
    if !loader.errors.is_empty() {
        return Err(loader.errors);
    }
    let mut notes = loader.notes;
    for (place, id, message) in loader.rules.void {
        notes.push(LoadError::new(&place, message).of_rule(id));
    }
    let unfed = unfed::among(&loader.rules.items, &loader.rules.slots);
    Ok(Loaded {
        unfed,
        engine: loader.engine,
        items: loader.rules.items,
        slots: loader.rules.slots,
        bodies: loader.bodies,
        notes,
    })
}

struct Loader<'a> {
    files: Files<'a>,
    rules: Rules,
    bodies: Bodies,
    engine: Option<(Engine, Place)>,
    notes: Vec<LoadError>,
    errors: Vec<LoadError>,
}

impl Loader<'_> {
    fn file(&mut self, path: &str, from: &Place, depth: usize) {
        let read = (self.files.read)(path);
        let text = read
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()));
        let lines = match text {
            Ok(text) => lexer::lines(&text, path),
            Err(why) => {
                let message = format!("cannot read {path}: {why}");
                self.errors.push(LoadError::new(from, message));
                return;
            }
        };
        let lines = match lines {
            Ok(lines) => lines,
            Err(error) => {
                self.errors.push(error);
                return;
            }
        };
        let mut last = from.clone();
        for line in lines {
            last.clone_from(&line.place);
            if let Err(error) = self.directive(&line, depth) {
                self.errors.push(error);
            }
        }
        if let Err(error) = self.rules.closed(&last) {
            self.errors.push(error);
        }
    }

    fn directive(&mut self, line: &Line, depth: usize) -> Result<(), LoadError> {
        let at = |fault: Fault| LoadError::new(&line.place, fault.to_string());
        match line.name.to_ascii_lowercase().as_str() {
            "secrule" => {
                let folder = glob::folder(&line.place.file).to_owned();
                let read = self.files.read;
                self.rules.rule(line, &|name: &str| {
                    let path = glob::beside(&folder, name);
                    read(&path).map_err(|why| format!("cannot read {path}: {why}"))
                })
            }
            "secaction" => self.rules.action(line),
            "secmarker" => self.rules.marker(line),
            "secdefaultaction" => self.default_action(line).map_err(at),
            "secruleengine" => {
                let engine = effect::engine(one(line).map_err(at)?).map_err(at)?;
                self.engine = Some((engine, line.place.clone()));
                Ok(())
            }
            "secruleremovebyid" => {
                for word in line.words.iter().flat_map(|word| word.split([' ', ','])) {
                    let which = effect::ids(word.trim_matches('\'')).map_err(at)?;
                    self.remove(line, &which);
                }
                Ok(())
            }
            "secruleremovebytag" => {
                let which = Which::Tag(one(line).map_err(at)?.into());
                self.remove(line, &which);
                Ok(())
            }
            "secruleremovebymsg" => {
                let which = Which::Message(one(line).map_err(at)?.into());
                self.remove(line, &which);
                Ok(())
            }
            "secruleupdatetargetbyid" => self.update(line, effect::ids).map_err(at),
            "secruleupdatetargetbytag" => self
                .update(line, |tag| Ok(Which::Tag(tag.into())))
                .map_err(at),
            "secruleupdatetargetbymsg" => self
                .update(line, |text| Ok(Which::Message(text.into())))
                .map_err(at),
            "include" => self.include(line, depth, false),
            "includeoptional" => self.include(line, depth, true),
            _ => self.other(line),
        }
    }

    fn other(&mut self, line: &Line) -> Result<(), LoadError> {
        let taken = self.bodies.take(&line.name, &line.words);
        if taken.map_err(|fault| LoadError::new(&line.place, fault.to_string()))? {
            return Ok(());
        }
        let listed = |names: &'static [&str]| {
            let mut names = names.iter();
            names.find(|known| known.eq_ignore_ascii_case(&line.name))
        };
        if listed(HOUSEKEEPING).is_some() {
            return Ok(());
        }
        let Some(known) = listed(SURROUNDINGS) else {
            let message = format!("the directive `{}` is not supported", line.name);
            return Err(LoadError::new(&line.place, message));
        };
        let message = format!("`{known}` has no effect here");
        self.notes.push(LoadError::new(&line.place, message));
        Ok(())
    }

    fn include(&mut self, line: &Line, depth: usize, optional: bool) -> Result<(), LoadError> {
        let at = |message: String| LoadError::new(&line.place, message);
        let pattern = one(line).map_err(|fault| at(fault.to_string()))?;
        if depth == DEPTH {
            return Err(at(format!("files are included more than {DEPTH} deep")));
        }
        let pattern = glob::beside(glob::folder(&line.place.file), pattern);
        let paths = if glob::is_pattern(&pattern) {
            let list = (self.files.list)(glob::folder(&pattern));
            let mut paths = list.map_err(|why| at(format!("cannot read {pattern}: {why}")))?;
            paths.retain(|path| glob::matches(&pattern, path));
            paths.sort();
            paths
        } else if optional && (self.files.read)(&pattern).is_err() {
            Vec::new()
        } else {
            vec![pattern.clone()]
        };
        if paths.is_empty() && !optional {
            return Err(at(format!("no file is named {pattern}")));
        }
        for path in paths {
            self.file(&path, &line.place, depth + 1);
        }
        Ok(())
    }

    fn default_action(&mut self, line: &Line) -> Result<(), Fault> {
        let traits = Traits::read(one(line)?, &mut self.rules.slots)?;
        let phase = traits
            .phase
            .ok_or_else(|| Fault::broken("the phase is missing"))?;
        let said = traits
            .void
            .iter()
            .cloned()
            .chain(traits.other_status(phase));
        let said = said.map(|message| LoadError::new(&line.place, message));
        self.notes.extend(said);
        if let Some(what) = traits.unsupported {
            return Err(Fault::Unsupported(what));
        }
        let disruption = match traits.disruption {
            Some(Disruption::Block) | None => {
                return Err(Fault::broken("a default action says what a match comes to"));
            }
            Some(Disruption::Deny { status }) => Disruption::Deny {
                status: traits.status.unwrap_or(status),
            },
            Some(other) => other,
        };
        self.rules.defaults[phase as usize - 1] = Defaults {
            disruption,
            log: traits.log.unwrap_or(true),
            transformations: traits.transformations,
        };
        Ok(())
    }

    fn remove(&mut self, line: &Line, which: &Which) {
        let before = self.rules.items.len();
        self.rules.items.retain(|item| match item {
            Item::Rule(rule) => !which.is(rule),
            Item::Marker(_) => true,
        });
        if self.rules.items.len() == before {
            self.tell_meant_by_none(line);
        }
    }

    /// What was to be changed stays as it is, which its writer should know.
    fn tell_meant_by_none(&mut self, line: &Line) {
        let words = line.words.join(" ");
        let message = format!(
            "`{} {words}` names no rule that stands before it",
            line.name
        );
        self.notes.push(LoadError::new(&line.place, message));
    }

    /// Adds targets to rules, most of them exempt ones.
    fn update(
        &mut self,
        line: &Line,
        which: impl Fn(&str) -> Result<Which, Fault>,
    ) -> Result<(), Fault> {
        let [rules, list] = line.words.as_slice() else {
            return Err(Fault::broken("rules and targets are needed"));
        };
        let which = which(rules)?;
        let added = variables::targets(list, &mut self.rules.slots)?;
        let mut is_meant = false;
        for item in &mut self.rules.items {
            let Item::Rule(rule) = item else { continue };
            if !which.is(rule) {
                continue;
            }
            is_meant = true;
            if let Some(link) = rule.links.first_mut() {
                link.targets.included.extend(added.included.iter().cloned());
                link.targets.excluded.extend(added.excluded.iter().cloned());
            }
        }
        if !is_meant {
            self.tell_meant_by_none(line);
        }
        Ok(())
    }
}

fn one(line: &Line) -> Result<&str, Fault> {
    match line.words.as_slice() {
        [word] => Ok(word),
        _ => Err(Fault::broken(format!("`{}` takes one word", line.name))),
    }
}

impl Which {
    /// Whether a rule is meant. Tags and messages are compared as a whole.
    pub fn is(&self, rule: &RuleDraft) -> bool {
        match self {
            Which::Ids(from, to) => (*from..=*to).contains(&rule.id),
            Which::Tag(tag) => rule.tags.contains(tag),
            Which::Message(text) => rule.message.as_text() == Some(text),
        }
    }
}
