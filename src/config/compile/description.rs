//! OpenAPI documents: what they say of the operations that can be enforced.

use std::path::Path;
use std::sync::Arc;

use crate::config::compile::kept::{Disk, Making};
use crate::config::compile::{backtracking, tell_unread};
use crate::config::file;
use crate::config::reader::{At, Reader, Warning};
use crate::fingerprint::Fingerprint;
use crate::policy::contract::lint::{Levels, Lint};
use crate::policy::contract::openapi::{Document, Found, Operation};
use crate::policy::contract::schema::Backtracking;

/// What a document says, as far as one API takes it.
pub struct Description {
    pub operations: Vec<Operation>,
    /// What it leaves open, and what of it was left out.
    found: Vec<Found>,
    /// By their order, patterns that may backtrack and that nothing asks for.
    unused: Vec<usize>,
}

/// What an API says about how its document is to be taken.
pub struct Terms<'f> {
    pub api: &'f file::Api,
    pub levels: Levels,
}

/// Reads the document of an API, unless it and the terms are as they were. None if it does not load,
/// which was told.
pub fn compile(
    reader: &Reader<'_>,
    (path, file): (&At<String>, &Path),
    terms: &Terms<'_>,
    making: &Making<'_>,
) -> Option<Arc<Description>> {
    let declared = terms.api.backtracking.as_ref();
    // What is wrong with it is told each time.
    let allowed = backtracking::compile(reader, declared);
    let settings = terms.fingerprint(file);
    let description = making.descriptions.made(settings, |disk| {
        let text = text(reader, path, (file, disk))?;
        terms.read(reader, (file, &text, disk), allowed)
    })?;
    backtracking::check_used(reader, declared, description.unused.iter().copied());
    if description.operations.is_empty() {
        let message = "no operation is left that could be enforced";
        let hint = "see what `check` says with left_out = \"error\"";
        reader.error(path.position, message, hint);
    }
    for Found { lint, diagnostic } in description.found.iter().cloned() {
        let found = Warning { lint, diagnostic };
        reader.lint(terms.levels.of(lint), found);
    }
    Some(description)
}

fn text(reader: &Reader<'_>, path: &At<String>, (file, disk): (&Path, &Disk)) -> Option<String> {
    let read = disk.file(file);
    let text = read.and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| "stream did not contain valid UTF-8".to_owned())
    });
    text.map_err(|why| tell_unread(reader, path, &why)).ok()
}

impl Terms<'_> {
    /// Everything but the document that its description depends on.
    fn fingerprint(&self, file: &Path) -> Fingerprint {
        let backtracking = self.api.backtracking.as_ref().map(|declared| {
            let patterns = declared.patterns.iter().map(|each| each.value.as_str());
            let steps = declared.max_steps.as_ref().map(|steps| steps.value);
            (patterns.collect::<Vec<_>>(), steps)
        });
        let own = self.api.operations.iter();
        let own = own.map(|(name, own)| (name.value.as_str(), &own.answers));
        let words = own.chain([("", &self.api.answers)]);
        let words = words.filter_map(|(name, said)| Some((name, &said.responses.as_ref()?.value)));
        let words: Vec<_> = words.collect();
        let said = format!("{:?}", (self.base(), self.levels, backtracking, words));
        Fingerprint::of([file.as_os_str().as_encoded_bytes(), said.as_bytes()])
    }

    /// The path before all of the document, where it is not that of its servers.
    fn base(&self) -> Option<&str> {
        let base = self.api.base_path.as_ref().map(|at| at.value.as_str());
        base.map(|base| if base == "/" { "" } else { base })
    }

    /// Whether the answers of an operation are not checked.
    fn leaves_unread(&self, id: &str) -> bool {
        let mut operations = self.api.operations.iter();
        let own = operations.find(|(name, _)| name.value == id);
        let own = own.and_then(|(_, own)| own.answers.responses.as_ref());
        let word = own.or(self.api.answers.responses.as_ref());
        word.is_some_and(|word| word.value == "off")
    }

    fn read(
        &self,
        reader: &Reader<'_>,
        (file, text, disk): (&Path, &str, &Disk),
        allowed: Backtracking,
    ) -> Option<Description> {
        let open = |name: &str| disk.below(file, name);
        let read = Document::read_with(file, text, &open).and_then(|document| {
            let document = document.with_levels(self.levels).with_backtracking(allowed);
            let all = document.all_operations(self.base())?;
            let (operations, mut found) = self.sound(reader, all);
            found.extend(document.lints(&operations));
            Ok(Description {
                operations,
                found,
                unused: document.backtracking().unused().collect(),
            })
        });
        read.map_err(|found| reader.extend(found)).ok()
    }

    /// The operations that can be enforced whole. What is wrong with others is an error, or they
    /// are left out, which makes them operations that do not exist.
    fn sound(
        &self,
        reader: &Reader<'_>,
        operations: Vec<Operation>,
    ) -> (Vec<Operation>, Vec<Found>) {
        let is_left_out = self.levels.tolerates(Lint::LeftOut);
        let mut sound = Vec::new();
        let mut told = Vec::new();
        for mut operation in operations {
            if is_left_out
                && let Some(Err(found)) = &mut operation.responses
                && !self.leaves_unread(&operation.id)
            {
                operation.faults.append(found);
            }
            if operation.faults.is_empty() {
                sound.push(operation);
            } else if is_left_out {
                for mut diagnostic in operation.faults {
                    let name = format!("{} {}", operation.method, operation.path);
                    diagnostic.message = format!("{name} is left out: {}", diagnostic.message);
                    let lint = Lint::LeftOut;
                    told.push(Found { lint, diagnostic });
                }
            } else {
                reader.extend(std::mem::take(&mut operation.faults));
                // Its other mistakes are told as well.
                sound.push(operation);
            }
        }
        (sound, told)
    }
}
