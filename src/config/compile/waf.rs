//! The WAF: rule files to rule sets, and how each operation is inspected by them.

use std::path::Path;
use std::sync::Arc;

use crate::config::compile::one_of;
use crate::config::file::{self, File};
use crate::config::reader::{At, Reader, nearest};
use crate::diagnostic::{Diagnostic, Position};
use crate::policy::waf::collection::Collection;
use crate::policy::waf::compile::OnUnsupported;
use crate::policy::waf::draft::Engine;
use crate::policy::waf::inspection::{Exclusions, OverBudget, Tuning};
use crate::policy::waf::load::{Loaded, Settings, load};
use crate::policy::waf::pattern::Pattern;
use crate::policy::waf::place::LoadError;
use crate::policy::waf::seclang::{Files, glob};
use crate::policy::waf::stage::{Named, Protection};
use crate::policy::waf::target::{Selector, Target};
use crate::policy::waf::values::Budget;

const MODES: [(&str, Engine); 2] = [("detect", Engine::DetectionOnly), ("block", Engine::On)];

/// Bytes and values of one message that are inspected when nothing else is said.
const BYTES: usize = 128 * 1024;
const VALUES: usize = 4096;

/// The rule sets, and what each says for all operations that it inspects.
pub struct Sets {
    pub named: Vec<Named>,
    defaults: Vec<Protection>,
}

impl Sets {
    pub fn compile(reader: &Reader<'_>, file: &File) -> Sets {
        let mut sets = Sets {
            named: Vec::new(),
            defaults: Vec::new(),
        };
        for (name, declared) in &file.waf {
            if name.value == "off" {
                let hint = "choose another name: waf = \"off\" leaves an operation uninspected";
                reader.error(name.position, "\"off\" names no rule set", hint);
            }
            let tuning = tuning(reader, declared);
            let Some(loaded) = rules(reader, name, declared) else {
                continue;
            };
            let rules = Arc::new(loaded.rules);
            let exclusions = exclusions(reader, &rules, &declared.exclusions);
            sets.defaults.push(Protection {
                set: sets.named.len(),
                tuning,
                exclusions: Arc::new(exclusions),
                reads_body: declared.bodies.as_ref().is_none_or(|bodies| bodies.value),
                is_graphql: false,
            });
            sets.named.push(Named {
                name: name.value.as_str().into(),
                rules,
            });
        }
        sets
    }

    /// How an operation is inspected: as it says, or else as its API says.
    pub fn protection(
        &self,
        reader: &Reader<'_>,
        api: &file::Inspected,
        own: Option<&file::Inspected>,
    ) -> Option<Protection> {
        let own_set = own.and_then(|own| own.waf.as_ref());
        let Some(name) = own_set.or(api.waf.as_ref()) else {
            self.refuse_without(reader, api, own);
            return None;
        };
        if name.value == "off" {
            return None;
        }
        let mut names = self.named.iter();
        let Some(set) = names.position(|each| *each.name == name.value) else {
            let names = self.named.iter().map(|each| &*each.name);
            let hint = match nearest(&name.value, names) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("add [waf.{}], or write waf = \"off\"", name.value),
            };
            let message = format!("there is no rule set \"{}\"", name.value);
            reader.error(name.position, message, hint);
            return None;
        };
        let mut protection = self.defaults[set].clone();
        for inspected in [Some(api), own].into_iter().flatten() {
            let mode = inspected.mode.as_ref();
            protection.tuning.engine = one_of(reader, mode, &MODES, protection.tuning.engine);
            if let Some(threshold) = &inspected.threshold {
                protection.tuning.threshold = i64::try_from(threshold.value).ok();
            }
            if !inspected.exclusions.is_empty() {
                let rules = &self.named[set].rules;
                let more = exclusions(reader, rules, &inspected.exclusions);
                let all = Arc::make_mut(&mut protection.exclusions);
                all.rules.extend(more.rules);
                all.targets.extend(more.targets);
            }
        }
        Some(protection)
    }

    /// What tunes a rule set says nothing where there is none.
    fn refuse_without(
        &self,
        reader: &Reader<'_>,
        api: &file::Inspected,
        own: Option<&file::Inspected>,
    ) {
        for inspected in [Some(api), own].into_iter().flatten() {
            let mode = inspected.mode.as_ref().map(|mode| mode.position);
            let threshold = inspected.threshold.as_ref().map(|most| most.position);
            let exclusion = inspected.exclusions.first().map(|first| first.position);
            if let Some(position) = mode.or(threshold).or(exclusion) {
                let hint = "add waf = \"NAME\" with [waf.NAME]";
                reader.error(position, "there is no rule set that this could tune", hint);
            }
        }
    }
}

fn tuning(reader: &Reader<'_>, declared: &file::Waf) -> Tuning {
    let over_budget = [
        ("refuse", OverBudget::Refuse),
        ("report", OverBudget::Report),
    ];
    let max_bytes = declared.max_bytes.as_ref();
    let max_values = declared.max_values.as_ref();
    let threshold = declared.threshold.as_ref();
    Tuning {
        engine: one_of(
            reader,
            declared.mode.as_ref(),
            &MODES,
            Engine::DetectionOnly,
        ),
        budget: Budget {
            bytes: max_bytes.map_or(BYTES, |at| at.value.0),
            values: max_values.map_or(VALUES, |at| at.value),
        },
        over_budget: one_of(
            reader,
            declared.over_budget.as_ref(),
            &over_budget,
            OverBudget::Refuse,
        ),
        threshold: threshold.and_then(|at| i64::try_from(at.value).ok()),
        exhaustive: false,
    }
}

fn rules(reader: &Reader<'_>, name: &At<String>, declared: &file::Waf) -> Option<Loaded> {
    if declared.rules.is_empty() {
        let hint = "add rules = [\"/etc/modsecurity/crs/crs-setup.conf\", \
                    \"/usr/share/modsecurity-crs/rules/*.conf\"]";
        let message = format!("[waf.{}] names no rules", name.value);
        reader.error(name.position, message, hint);
        return None;
    }
    let level = declared.paranoia_level.as_ref();
    if let Some(level) = level.filter(|level| !(1..=4).contains(&level.value)) {
        let message = format!("there is no paranoia level {}", level.value);
        reader.error(level.position, message, "write 1 to 4");
    }
    let level = level.map_or(1, |level| level.value).to_string();
    // Rule sets before version 4 have one level for both.
    let mut variables = vec![
        ("blocking_paranoia_level", level.as_str()),
        ("paranoia_level", level.as_str()),
    ];
    let own = declared.variables.iter();
    variables.extend(own.map(|(name, value)| (name.value.as_str(), value.value.as_str())));
    let known = [
        ("refuse", OnUnsupported::Refuse),
        ("skip", OnUnsupported::Skip),
    ];
    let word = declared.on_unsupported.as_ref();
    let settings = Settings {
        variables: &variables,
        on_unsupported: one_of(reader, word, &known, OnUnsupported::Refuse),
        folded: true,
    };
    let paths: Vec<String> = declared
        .rules
        .iter()
        .flat_map(|path| expanded(reader, path))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let read = |path: &str| std::fs::read(path).map_err(|error| error.to_string());
    let files = Files {
        read: &read,
        list: &list,
    };
    load(&paths, files, &settings)
        .map_err(|errors| reader.extend(errors.iter().map(as_diagnostic).collect()))
        .ok()
}

/// The files that a path with `*` in its last part stands for, in the order of their names.
fn expanded(reader: &Reader<'_>, path: &At<String>) -> Vec<String> {
    let full = reader.resolve(&path.value).display().to_string();
    if !full.contains('*') {
        return vec![full];
    }
    let folder = full.rsplit_once('/').map_or(".", |(folder, _)| folder);
    let found = list(folder).map(|mut found| {
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

fn list(folder: &str) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path().to_str()?.to_owned()));
    Ok(paths.collect())
}

fn as_diagnostic(error: &LoadError) -> Diagnostic {
    let rule = error.rule.map(|id| format!("rule {id}: "));
    let message = format!("{}{}", rule.unwrap_or_default(), error.message);
    let start = Position {
        line: error.place.line.max(1) as usize,
        column: 1,
    };
    let path = Path::new(&*error.place.file);
    let hint = "on_unsupported = \"skip\" leaves out rules that cannot run here, and lists them";
    match error.rule {
        Some(_) => Diagnostic::new(path, start, message).with_hint(hint),
        None => Diagnostic::new(path, start, message),
    }
}

fn exclusions(
    reader: &Reader<'_>,
    rules: &crate::policy::waf::rule::RuleSet,
    declared: &[file::Exclusion],
) -> Exclusions {
    let mut found = Exclusions::default();
    for exclusion in declared {
        let mut ids = Vec::new();
        for range in &exclusion.rules {
            let Some((from, to)) = ids_of(&range.value) else {
                let message = format!("\"{}\" names no rules", range.value);
                let hint = "write an id, or a range such as \"942000-942999\"";
                reader.error(range.position, message, hint);
                continue;
            };
            let known = rules.rules().iter().map(|rule| rule.id);
            ids.extend(known.filter(|id| (from..=to).contains(id)));
        }
        if exclusion.rules.is_empty() {
            let hint = "add rules = [\"942100\"]";
            reader.error(exclusion.position, "the exclusion names no rules", hint);
        }
        match (&exclusion.target, &exclusion.pointer) {
            (None, None) => found.rules.extend(ids),
            (Some(target), Some(_)) => {
                let message = "`target` and `pointer` exclude each other";
                reader.error(target.position, message, "keep one of them");
            }
            (Some(text), None) => {
                if let Some(target) = target(reader, text) {
                    let target = Arc::new(target);
                    found
                        .targets
                        .extend(ids.iter().map(|&id| (id, Arc::clone(&target))));
                }
            }
            (None, Some(pointer)) => {
                if let Some(target) = member(reader, pointer) {
                    let target = Arc::new(target);
                    found
                        .targets
                        .extend(ids.iter().map(|&id| (id, Arc::clone(&target))));
                }
            }
        }
    }
    found
}

fn ids_of(text: &str) -> Option<(u32, u32)> {
    match text.split_once('-') {
        Some((from, to)) => Some((from.trim().parse().ok()?, to.trim().parse().ok()?)),
        None => text.parse().ok().map(|id| (id, id)),
    }
}

/// `ARGS`, `ARGS:name` or `REQUEST_HEADERS:Referer`, as rules name what they look at.
fn target(reader: &Reader<'_>, text: &At<String>) -> Option<Target> {
    let (name, member) = match text.value.split_once(':') {
        Some((name, member)) => (name, Some(member)),
        None => (text.value.as_str(), None),
    };
    let Some(collection) = Collection::named(name) else {
        let message = format!("there is no variable {name}");
        let hint = "write ARGS:name, REQUEST_HEADERS:name, REQUEST_COOKIES:name or REQUEST_URI";
        reader.error(text.position, message, hint);
        return None;
    };
    Some(Target {
        collection,
        selector: member.map_or(Selector::All, |member| {
            Selector::Name(member.to_ascii_lowercase().into())
        }),
        count: false,
    })
}

/// A JSON pointer (RFC 6901) into the body; `*` stands for any step.
fn member(reader: &Reader<'_>, pointer: &At<String>) -> Option<Target> {
    let Some(steps) = pointer.value.strip_prefix('/') else {
        let message = format!("\"{}\" is no JSON pointer", pointer.value);
        reader.error(pointer.position, message, "write \"/items/*/note\"");
        return None;
    };
    let mut pattern = "^(?i:json".to_owned();
    for step in steps.split('/') {
        pattern.push_str("\\.");
        match step {
            "*" => pattern.push_str("[^.]*"),
            step => {
                let step = step.replace("~1", "/").replace("~0", "~");
                pattern.push_str(&regex::escape(&step));
            }
        }
    }
    pattern.push_str(")$");
    let compiled = Pattern::compile(&pattern, false);
    let pattern = compiled.map_err(|why| {
        let hint = "name fewer or shorter steps";
        reader.error(pointer.position, why, hint);
    });
    Some(Target {
        collection: Collection::Args,
        selector: Selector::Pattern(Box::new(pattern.ok()?)),
        count: false,
    })
}
