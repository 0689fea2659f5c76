//! The rules of one set: files in SecLang, native rules, and those that are built in.

use std::path::Path;
use std::sync::Arc;

use crate::config::compile::kept::{Disk, Making};
use crate::config::compile::one_of;
use crate::config::file;
use crate::config::reader::{At, Reader, Warning};
use crate::config::rules::{self, Native, builtin, disk};
use crate::diagnostic::{Diagnostic, Position};
use crate::fingerprint::Fingerprint;
use crate::policy::contract::lint::{Level, Lint};
use crate::policy::waf::compile::OnUnsupported;
use crate::policy::waf::draft::{Engine, Item};
use crate::policy::waf::load::{Settings, assemble};
use crate::policy::waf::place::{LoadError, Place};
use crate::policy::waf::rule::RuleSet;
use crate::policy::waf::seclang::bodies::Bodies;
use crate::policy::waf::seclang::{self, Files, glob};
use crate::policy::waf::template::Slots;

/// The rules of a set, and what its files say beside them.
pub struct Rules {
    pub rules: Arc<RuleSet>,
    /// Of the bodies of answers.
    pub bodies: Bodies,
    /// By `SecRuleEngine`, and where.
    pub engine: Option<(Engine, Place)>,
    /// What has no effect, or another one than is written.
    notes: Vec<LoadError>,
}

/// Reads and compiles what a set names, unless that is as it was; None if something is wrong, which
/// was told.
pub(super) fn compile(
    reader: &Reader<'_>,
    name: &At<String>,
    (declared, void): (&file::Waf, Level),
    making: &Making<'_>,
) -> Option<Arc<Rules>> {
    let sources = sources(reader, name, declared)?;
    let is_builtin = matches!(sources.as_slice(), [Source::Builtin]);
    if is_builtin && declared.variables.is_empty() {
        return Some(Arc::new(Rules {
            rules: builtin::rule_set(),
            bodies: Bodies::default(),
            engine: None,
            notes: Vec::new(),
        }));
    }
    let level = level(reader, declared);
    let known = [
        ("refuse", OnUnsupported::Refuse),
        ("skip", OnUnsupported::Skip),
    ];
    let word = declared.on_unsupported.as_ref();
    let on_unsupported = one_of(reader, word, &known, OnUnsupported::Refuse);
    let own = declared.variables.iter();
    let own = own.map(|(name, value)| (name.value.as_str(), value.value.as_str()));
    let own: Vec<(&str, &str)> = own.collect();
    let said = format!("{:?}", (&sources, &level, on_unsupported, &own));
    let settings = Fingerprint::of([said.as_bytes()]);
    let made = making.rules.made(settings, |disk| {
        let read = items(reader, &sources, disk)?;
        // Rule sets before version 4 have one level for both.
        let mut variables = vec![
            ("blocking_paranoia_level", level.as_str()),
            ("paranoia_level", level.as_str()),
        ];
        if read.has_native {
            variables.extend(rules::VARIABLES);
        }
        variables.extend(&own);
        let settings = Settings {
            variables: &variables,
            on_unsupported,
            folded: true,
        };
        let assembled = assemble(read.items, read.slots, &settings)
            .map_err(|errors| reader.extend(errors.iter().map(as_diagnostic).collect()))
            .ok()?;
        let off = assembled.off.into_iter().map(|mut error| {
            error.message = format!("it is switched off, and could not run: {}", error.message);
            error
        });
        let mut notes = read.notes;
        notes.extend(off);
        Some(Rules {
            rules: Arc::new(assembled.rules),
            bodies: read.bodies,
            engine: read.engine,
            notes,
        })
    })?;
    for note in &made.notes {
        tell(reader, void, note, note.message.clone());
    }
    for error in made.rules.left_out() {
        let message = format!("it is left out: {}", error.message);
        tell(reader, void, error, message);
    }
    Some(made)
}

/// Compares what files say of blocking with the mode, which decides: to block with rules that are
/// written only to detect, or not to run, is an error.
pub(super) fn engine(reader: &Reader<'_>, rules: &Rules, (mode, void): (Engine, Level)) {
    let Some((said, place)) = &rules.engine else {
        return;
    };
    let told = |message: &str| LoadError::new(place, message);
    match (said, mode) {
        (Engine::On, Engine::On) | (Engine::DetectionOnly, Engine::DetectionOnly) => {}
        (Engine::Off | Engine::DetectionOnly, Engine::On) => {
            let error = told("`SecRuleEngine` says that these rules do not block");
            let hint = "write mode = \"detect\", or take the directive out";
            let path = Path::new(&*error.place.file);
            let diagnostic = Diagnostic::new(path, start_of(&error), error.message.clone());
            reader.extend(vec![diagnostic.with_hint(hint)]);
        }
        (Engine::On, _) => {
            let message = "`SecRuleEngine On` does not block here: `mode` decides";
            tell(reader, void, &told(message), message.to_owned());
        }
        (_, _) => {
            let message = "`SecRuleEngine Off` has no effect here: `mode` decides";
            tell(reader, void, &told(message), message.to_owned());
        }
    }
}

/// What stands in a rule file and guards nothing.
fn tell(reader: &Reader<'_>, void: Level, error: &LoadError, message: String) {
    let rule = error.rule.map(|id| format!("rule {id}: "));
    let message = format!("{}{message}", rule.unwrap_or_default());
    let diagnostic = Diagnostic::new(Path::new(&*error.place.file), start_of(error), message);
    let lint = Lint::IneffectiveRule;
    reader.lint(void, Warning { lint, diagnostic });
}

/// What stands in the configuration and does nothing.
pub(super) fn warn(
    reader: &Reader<'_>,
    void: Level,
    position: Position,
    (message, hint): (String, &str),
) {
    let diagnostic = Diagnostic::new(reader.path(), position, message).with_hint(hint);
    let lint = Lint::IneffectiveRule;
    reader.lint(void, Warning { lint, diagnostic });
}

fn start_of(error: &LoadError) -> Position {
    Position {
        line: error.place.line.max(1) as usize,
        column: 1,
    }
}

/// Where rules come from.
#[derive(Debug)]
enum Source {
    Builtin,
    Native(String),
    SecLang(String),
}

fn sources(reader: &Reader<'_>, name: &At<String>, declared: &file::Waf) -> Option<Vec<Source>> {
    if declared.rules.is_empty() {
        if name.value == builtin::NAME {
            return Some(vec![Source::Builtin]);
        }
        let hint = "add rules = [\"builtin\"], or files such as \
                    [\"/etc/modsecurity/crs/crs-setup.conf\", \
                    \"/usr/share/modsecurity-crs/rules/*.conf\"]";
        let message = format!("[waf.{}] names no rules", name.value);
        reader.error(name.position, message, hint);
        return None;
    }
    let mut sources = Vec::new();
    for path in &declared.rules {
        if path.value == builtin::NAME {
            sources.push(Source::Builtin);
            continue;
        }
        for path in expanded(reader, path) {
            sources.push(match path.ends_with(".toml") {
                true => Source::Native(path),
                false => Source::SecLang(path),
            });
        }
    }
    Some(sources)
}

/// What sources hold.
struct Read {
    /// In the order of the engine: SecLang first, since its files change what stands before them,
    /// then native rules, then their verdict.
    items: Vec<Item>,
    slots: Slots,
    bodies: Bodies,
    engine: Option<(Engine, Place)>,
    notes: Vec<LoadError>,
    has_native: bool,
}

fn items(reader: &Reader<'_>, sources: &[Source], disk: &Disk) -> Option<Read> {
    let seclang = sources.iter().filter_map(|source| match source {
        Source::SecLang(path) => Some(path.as_str()),
        Source::Builtin | Source::Native(_) => None,
    });
    let mut loaded = files(reader, &seclang.collect::<Vec<_>>(), disk)?;
    let mut natives = Vec::new();
    let mut is_sound = true;
    for source in sources {
        match source {
            Source::Builtin => natives.extend(builtin::natives(&mut loaded.slots)),
            Source::Native(path) => match native(reader, path, (disk, &mut loaded.slots)) {
                Some(found) => natives.extend(found),
                None => is_sound = false,
            },
            Source::SecLang(_) => {}
        }
    }
    let has_native = !natives.is_empty();
    for native in natives {
        is_sound &= is_new(reader, &loaded.items, &native);
        loaded.items.push(native.into_item());
    }
    if has_native {
        loaded.items.push(rules::verdict(&mut loaded.slots));
    }
    loaded.notes.append(&mut loaded.unfed);
    is_sound.then_some(Read {
        items: loaded.items,
        slots: loaded.slots,
        bodies: loaded.bodies,
        engine: loaded.engine,
        notes: loaded.notes,
        has_native,
    })
}

/// The rules of files in SecLang.
fn files(reader: &Reader<'_>, paths: &[&str], disk: &Disk) -> Option<seclang::Loaded> {
    let read = |path: &str| disk.file(Path::new(path));
    let list = |folder: &str| disk.folder(folder);
    let files = Files {
        read: &read,
        list: &list,
    };
    seclang::load(paths, files)
        .map_err(|errors| reader.extend(errors.iter().map(as_diagnostic).collect()))
        .ok()
}

/// The rules of one file in TOML.
fn native(
    reader: &Reader<'_>,
    path: &str,
    (disk, slots): (&Disk, &mut Slots),
) -> Option<Vec<Native>> {
    let path = Path::new(path);
    let read = disk
        .file(path)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "they are not in UTF-8".to_owned()));
    let found = read
        .map_err(|why| {
            let message = format!("the rules cannot be read: {why}");
            let start = Position { line: 1, column: 1 };
            vec![Diagnostic::new(path, start, message)]
        })
        .and_then(|text| rules::read(path, &text, slots));
    found.map_err(|found| reader.extend(found)).ok()
}

/// Whether no rule before has the id of this one.
fn is_new(reader: &Reader<'_>, items: &[Item], native: &Native) -> bool {
    let same = items.iter().find_map(|item| match item {
        Item::Rule(rule) if rule.id == native.id() => Some(&rule.place),
        Item::Rule(_) | Item::Marker(_) => None,
    });
    if let Some(place) = same {
        let path = Path::new(&*native.draft.place.file);
        let message = format!("there is another rule {}: {place}", native.id());
        let hint = "give one of them another id; those below 10000 are taken by built-in rules";
        let diagnostic = Diagnostic::new(path, native.position, message).with_hint(hint);
        reader.extend(vec![diagnostic]);
    }
    same.is_none()
}

fn level(reader: &Reader<'_>, declared: &file::Waf) -> String {
    let level = declared.paranoia_level.as_ref();
    if let Some(level) = level.filter(|level| !(1..=4).contains(&level.value)) {
        let message = format!("there is no paranoia level {}", level.value);
        reader.error(level.position, message, "write 1 to 4");
    }
    level.map_or(1, |level| level.value).to_string()
}

/// The files that a path with `*` in its last part stands for, in the order of their names.
fn expanded(reader: &Reader<'_>, path: &At<String>) -> Vec<String> {
    let full = reader.resolve(&path.value).display().to_string();
    if !full.contains('*') {
        return vec![full];
    }
    let folder = full.rsplit_once('/').map_or(".", |(folder, _)| folder);
    let found = (disk::FILES.list)(folder).map(|mut found| {
        found.retain(|each| glob::matches(&full, each));
        found.sort();
        found
    });
    match found {
        Ok(found) if !found.is_empty() => found,
        outcome => {
            let why = outcome.err().unwrap_or_else(|| "no file fits".to_owned());
            let message = format!("{full}: {why}");
            reader.error(path.position, message, "name files of rules");
            Vec::new()
        }
    }
}

fn as_diagnostic(error: &LoadError) -> Diagnostic {
    let rule = error.rule.map(|id| format!("rule {id}: "));
    let message = format!("{}{}", rule.unwrap_or_default(), error.message);
    let start = start_of(error);
    let path = Path::new(&*error.place.file);
    let hint = "on_unsupported = \"skip\" leaves out rules that cannot run here, and lists them";
    match error.rule {
        Some(_) => Diagnostic::new(path, start, message).with_hint(hint),
        None => Diagnostic::new(path, start, message),
    }
}
