//! Tables that no API names: a rule set in mode block that nothing uses looks like protection.

use crate::config::compile::api::LEVELS;
use crate::config::compile::one_of;
use crate::config::file::{File, Inspected};
use crate::config::reader::{At, Reader, Warning};
use crate::config::rules::builtin;
use crate::diagnostic::Diagnostic;
use crate::policy::contract::lint::{Level, Levels, Lint};

/// Tells each of them, by the level of the file.
pub fn check(reader: &Reader<'_>, file: &File) {
    let apis = || file.apis.iter().map(|(_, api)| api);
    let inspected: Vec<&Inspected> = apis()
        .flat_map(|api| {
            let operations = api.operations.iter().map(|(_, own)| &own.inspected);
            std::iter::once(&api.inspected).chain(operations)
        })
        .collect();
    let named = |keys: Vec<Option<&At<String>>>| -> Vec<String> {
        keys.into_iter()
            .flatten()
            .map(|at| at.value.clone())
            .collect()
    };
    let inspectors = file.inspectors.iter();
    let asked = inspectors.map(|(_, inspector)| inspector.upstream.as_ref());
    let mut sets = named(inspected.iter().map(|each| each.waf.as_ref()).collect());
    sets.push(builtin::NAME.to_owned());
    let tables = [
        (
            "upstream",
            names(&file.upstreams),
            named(
                apis()
                    .map(|api| api.upstream.as_ref())
                    .chain(asked)
                    .collect(),
            ),
        ),
        (
            "issuer",
            names(&file.issuers),
            named(apis().map(|api| api.issuer.as_ref()).collect()),
        ),
        ("waf", names(&file.waf), sets),
        (
            "inspector",
            names(&file.inspectors),
            named(
                inspected
                    .iter()
                    .map(|each| each.inspector.as_ref())
                    .collect(),
            ),
        ),
    ];
    let lint = Lint::UnusedTable;
    let level = level(reader, file, lint);
    for (kind, declared, used) in tables {
        for name in declared
            .into_iter()
            .filter(|name| !used.contains(&name.value))
        {
            let message = format!("nothing uses [{kind}.{}]", name.value);
            let hint = format!(
                "write {kind} = \"{}\" in [api.NAME], or remove it",
                name.value
            );
            let diagnostic = Diagnostic::new(reader.path(), name.position, message).with_hint(hint);
            reader.lint(level, Warning { lint, diagnostic });
        }
    }
}

/// How serious a kind of finding is that belongs to no API.
pub fn level(reader: &Reader<'_>, file: &File, lint: Lint) -> Level {
    let mut words = file.lint.0.iter().filter(|(named, _)| *named == lint);
    let word = words.next().map(|(_, word)| word);
    one_of(reader, word, &LEVELS, Levels::default().of(lint))
}

fn names<T>(tables: &[(At<String>, T)]) -> Vec<&At<String>> {
    tables.iter().map(|(name, _)| name).collect()
}
