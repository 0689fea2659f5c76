//! Reads typed values out of TOML and keeps what is wrong with each of them, so that one mistake
//! does not hide the next. A key that nobody asked for is unknown, which makes the asking code the
//! one definition of what exists.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::{elsewhere, syntax};
use crate::diagnostic::{Diagnostic, Position, distance};
use crate::policy::contract::lint::{Level, Lint};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub position: Position,
}

impl<T> At<T> {
    pub fn map<U>(self, with: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: with(self.value),
            position: self.position,
        }
    }
}

/// One file and what was found wrong in it.
pub struct Reader<'t> {
    path: PathBuf,
    text: &'t str,
    diagnostics: RefCell<Vec<Diagnostic>>,
    /// Where there are such, the rest follows from them and is not told.
    syntax: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Warning>>,
    /// Keys that are there and were told to be wrong, by the place of their table.
    unread: RefCell<Vec<(Position, String)>>,
}

/// Something that is told and does no harm to loading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub lint: Lint,
    pub diagnostic: Diagnostic,
}

impl<'t> Reader<'t> {
    pub fn new(path: &Path, text: &'t str) -> Reader<'t> {
        Reader {
            path: path.to_owned(),
            text,
            diagnostics: RefCell::default(),
            syntax: RefCell::default(),
            warnings: RefCell::default(),
            unread: RefCell::default(),
        }
    }

    /// Takes a finding by its level.
    pub fn lint(&self, level: Level, found: Warning) {
        match level {
            Level::Off => {}
            Level::Warn => self.warnings.borrow_mut().push(found),
            Level::Error => {
                let mut diagnostic = found.diagnostic;
                diagnostic.kind = Some(found.lint.name());
                self.diagnostics.borrow_mut().push(diagnostic);
            }
        }
    }

    /// All warnings so far, in the order of the text.
    pub fn take_warnings(&self) -> Vec<Warning> {
        let mut found = self.warnings.take();
        found.sort_by(|a, b| {
            let key = |each: &Warning| {
                (
                    each.diagnostic.file.clone(),
                    each.diagnostic.position,
                    each.lint,
                )
            };
            key(a).cmp(&key(b))
        });
        found.dedup();
        found
    }

    /// Parses the text and hands its root to `read`.
    pub fn parse<T>(&self, read: impl FnOnce(&Table<'_, '_>) -> T) -> T {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        let faults = syntax::faults(self.text, &errors).into_iter().map(|fault| {
            let position = self.position(fault.span);
            Diagnostic::new(&self.path, position, fault.message).with_hint(fault.hint)
        });
        self.syntax.borrow_mut().extend(faults);
        let table = Table {
            reader: self,
            entries: root.get_ref(),
            position: Position::START,
            name: String::new(),
            asked: RefCell::default(),
            missing: RefCell::default(),
        };
        let value = read(&table);
        table.finish();
        value
    }

    pub fn error(&self, position: Position, message: impl Into<String>, hint: impl Into<String>) {
        let diagnostic = Diagnostic::new(&self.path, position, message).with_hint(hint);
        self.diagnostics.borrow_mut().push(diagnostic);
    }

    /// Something is not said in the table at `table`, by none of these keys. Where one of them is
    /// there and was told to be wrong, that is the one mistake.
    pub fn absent(
        &self,
        table: Position,
        keys: &[&str],
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if !keys.iter().any(|key| self.is_unread(table, key)) {
            self.error(table, message, hint);
        }
    }

    /// Whether a key is there and was told to be wrong.
    pub fn is_unread(&self, table: Position, key: &str) -> bool {
        let unread = self.unread.borrow();
        unread
            .iter()
            .any(|(at, name)| (*at, &**name) == (table, key))
    }

    pub fn extend(&self, found: Vec<Diagnostic>) {
        self.diagnostics.borrow_mut().extend(found);
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path as written in the file: relative to the directory that the file is in.
    pub fn resolve(&self, path: &str) -> PathBuf {
        let directory = self.path.parent().unwrap_or(Path::new(""));
        directory.join(path)
    }

    /// All that was found, in the order of the text.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut found = self.syntax.into_inner();
        if found.is_empty() {
            found = self.diagnostics.into_inner();
        }
        found.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
        found.dedup();
        found
    }

    fn position(&self, span: Range<usize>) -> Position {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Position {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }
}

/// One table of the file.
pub struct Table<'r, 't> {
    pub reader: &'r Reader<'t>,
    entries: &'r DeTable<'t>,
    /// Where its name stands.
    pub position: Position,
    /// Its dotted name, for messages.
    name: String,
    asked: RefCell<Vec<&'static str>>,
    /// Keys that have to be there and are not, with what to write.
    missing: RefCell<Vec<(&'static str, &'static str)>>,
}

/// What a value may be read as.
pub trait Value: Sized {
    /// Such as `"10s"`: what to write.
    const EXAMPLE: &'static str;

    fn read(value: &DeValue<'_>) -> Result<Self, String>;
}

impl Value for String {
    const EXAMPLE: &'static str = "a text in quotes";

    fn read(value: &DeValue<'_>) -> Result<String, String> {
        let text = value.as_str().ok_or_else(|| unexpected(value))?;
        match text {
            "" => Err("an empty text".to_owned()),
            text => Ok(text.to_owned()),
        }
    }
}

impl Value for bool {
    const EXAMPLE: &'static str = "true or false";

    fn read(value: &DeValue<'_>) -> Result<bool, String> {
        value.as_bool().ok_or_else(|| unexpected(value))
    }
}

impl Value for usize {
    const EXAMPLE: &'static str = "a number such as 64";

    fn read(value: &DeValue<'_>) -> Result<usize, String> {
        let number = value.as_integer().ok_or_else(|| unexpected(value))?;
        let digits = number.as_str().replace('_', "");
        usize::from_str_radix(&digits, number.radix())
            .map_err(|_| format!("{number} is out of range"))
    }
}

pub fn unexpected(value: &DeValue<'_>) -> String {
    format!("{} is not expected here", value.type_str())
}

impl<'r, 't> Table<'r, 't> {
    fn entry(&self, key: &'static str) -> Option<&'r Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().push(key);
        self.entries.get(key)
    }

    pub fn has(&self, key: &'static str) -> bool {
        self.entry(key).is_some()
    }

    /// A value that may be left out.
    pub fn optional<T: Value>(&self, key: &'static str) -> Option<At<T>> {
        self.entry(key).and_then(|entry| self.value(key, entry))
    }

    pub fn or<T: Value>(&self, key: &'static str, default: T) -> T {
        self.optional(key).map_or(default, |found| found.value)
    }

    /// A value without which the table means nothing.
    pub fn required<T: Value>(&self, key: &'static str) -> Option<At<T>> {
        let entry = self.entry(key);
        if entry.is_none() {
            self.missing.borrow_mut().push((key, T::EXAMPLE));
        }
        entry.and_then(|entry| self.value(key, entry))
    }

    /// What is there under this key is not what it should be.
    fn refuse(
        &self,
        key: &str,
        position: Position,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let unread = (self.position, key.to_owned());
        self.reader.unread.borrow_mut().push(unread);
        self.reader.error(position, message, hint);
    }

    /// An array of values; none if left out.
    pub fn list<T: Value>(&self, key: &'static str) -> Vec<At<T>> {
        let Some(entry) = self.entry(key) else {
            return Vec::new();
        };
        let Some(items) = entry.get_ref().as_array() else {
            let written = self.reader.text.get(entry.span()).unwrap_or_default();
            let hint = match written.contains('\n') || written.is_empty() {
                true => format!("write it in brackets: {key} = [ ... ]"),
                false => format!("write it in brackets: {key} = [{written}]"),
            };
            let position = self.reader.position(entry.span());
            self.refuse(key, position, format!("`{key}` must be a list"), hint);
            return Vec::new();
        };
        let values = items.iter().filter_map(|item| self.value(key, item));
        values.collect()
    }

    fn value<T: Value>(&self, key: &str, entry: &Spanned<DeValue<'t>>) -> Option<At<T>> {
        let position = self.reader.position(entry.span());
        match T::read(entry.get_ref()) {
            Ok(value) => Some(At { value, position }),
            Err(reason) => {
                let hint = format!("write {}", T::EXAMPLE);
                self.refuse(key, position, format!("`{key}`: {reason}"), hint);
                None
            }
        }
    }

    /// A table below this one.
    pub fn table<T>(&self, key: &'static str, read: impl FnOnce(&Table<'_, '_>) -> T) -> Option<T> {
        let entry = self.entry(key)?;
        self.below(key, self.key_position(key), entry, read)
    }

    /// All tables of `[[key]]`, or of a list of inline tables.
    pub fn tables<T>(&self, key: &'static str, read: impl Fn(&Table<'_, '_>) -> T) -> Vec<T> {
        let Some(entry) = self.entry(key) else {
            return Vec::new();
        };
        let Some(items) = entry.get_ref().as_array() else {
            let position = self.reader.position(entry.span());
            let message = format!("`{key}` must be a list of tables");
            let hint = match self.name.is_empty() {
                true => format!("write [[{key}]], in two pairs of brackets"),
                false => format!("write {key} = [{{ ... }}]"),
            };
            self.refuse(key, position, message, hint);
            return Vec::new();
        };
        let tables = items.iter().filter_map(|item| {
            let position = self.reader.position(item.span());
            self.below(key, position, item, &read)
        });
        tables.collect()
    }

    /// The tables below `[key.NAME]` with their names, in the order of the text.
    pub fn named<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Table<'_, '_>) -> T,
    ) -> Vec<(At<String>, T)> {
        let Some(entry) = self.entry(key) else {
            return Vec::new();
        };
        let Some(entries) = entry.get_ref().as_table() else {
            let position = self.reader.position(entry.span());
            let message = format!("`{key}` must be a table");
            self.refuse(key, position, message, format!("write [{key}.NAME]"));
            return Vec::new();
        };
        let mut found = Vec::new();
        let nameless = entries
            .iter()
            .filter(|(_, value)| value.get_ref().as_table().is_none());
        if let Some((first, _)) = nameless.min_by_key(|(name, _)| name.span().start) {
            let position = self.reader.position(first.span());
            let message = format!("`{}` stands in a table without a name", first.get_ref());
            let hint = format!("write [{key}.NAME] above it, with a name of your choice");
            self.refuse(key, position, message, hint);
            return found;
        }
        for (name, value) in entries.iter() {
            let position = self.reader.position(name.span());
            let path = format!("{key}.{}", name.get_ref());
            if let Some(inner) = self.below(&path, position, value, &read) {
                let value = name.get_ref().to_string();
                found.push((At { value, position }, inner));
            }
        }
        found.sort_by_key(|(name, _)| name.position);
        found
    }

    /// The pairs of a table whose keys are names of somebody else's choice.
    pub fn pairs<T: Value>(&self, key: &'static str) -> Vec<(At<String>, At<T>)> {
        let entry = self.entry(key);
        let Some(entries) = entry.and_then(|entry| entry.get_ref().as_table()) else {
            if let Some(entry) = entry {
                let position = self.reader.position(entry.span());
                let message = format!("`{key}` must be a table");
                self.refuse(
                    key,
                    position,
                    message,
                    format!("write {key} = {{ NAME = VALUE }}"),
                );
            }
            return Vec::new();
        };
        let pairs = entries.iter().filter_map(|(name, value)| {
            let position = self.reader.position(name.span());
            let value = self.value(key, value)?;
            let name = name.get_ref().to_string();
            Some((
                At {
                    value: name,
                    position,
                },
                value,
            ))
        });
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_by_key(|(name, _)| name.position);
        pairs
    }

    fn below<T>(
        &self,
        key: &str,
        position: Position,
        entry: &Spanned<DeValue<'t>>,
        read: impl FnOnce(&Table<'_, '_>) -> T,
    ) -> Option<T> {
        let Some(entries) = entry.get_ref().as_table() else {
            let message = format!("`{key}` must be a table");
            self.refuse(
                key,
                position,
                message,
                format!("write [{}]", self.path(key)),
            );
            return None;
        };
        let name = self.path(key);
        let table = Table {
            reader: self.reader,
            entries,
            position,
            name,
            asked: RefCell::default(),
            missing: RefCell::default(),
        };
        let value = read(&table);
        table.finish();
        Some(value)
    }

    /// The dotted name of what stands below this table.
    fn path(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            above => format!("{above}.{key}"),
        }
    }

    pub fn key_position(&self, key: &str) -> Position {
        let found = self.entries.get_key_value(key);
        found.map_or(self.position, |(name, _)| self.reader.position(name.span()))
    }

    pub fn described(&self) -> String {
        match self.name.as_str() {
            "" => "the configuration".to_owned(),
            name => format!("[{name}]"),
        }
    }

    /// Every key that was not asked for is unknown. One that looks like a key that is missing is that
    /// one.
    fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.entries.iter() {
            let name = key.get_ref();
            if asked.iter().any(|known| known == name) {
                continue;
            }
            let near = nearest(name, asked.iter().copied());
            let hint = match (&*elsewhere::tables_of(name), near) {
                ([], Some(near)) => format!("did you mean `{near}`?"),
                ([], None) => format!("known keys here: {}", asked.join(", ")),
                (tables, _) => format!("`{name}` is a key of {}", tables.join(", ")),
            };
            let message = format!("unknown key `{name}` in {}", self.described());
            let position = self.reader.position(key.span());
            self.refuse(near.unwrap_or(name), position, message, hint);
        }
        for (key, example) in self.missing.take() {
            let message = format!("{} has no `{key}`", self.described());
            let hint = format!("add `{key}`: {example}");
            self.reader.absent(self.position, &[key], message, hint);
        }
    }
}

/// The known name that differs least, if it differs by little.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.into_iter().map(|each| (distance(name, each), each));
    let (best, each) = distances.min_by_key(|(distance, _)| *distance)?;
    (best <= 1 + name.len() / 4).then_some(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(text: &str, with: impl FnOnce(&Table<'_, '_>) -> T) -> (T, Vec<String>) {
        let reader = Reader::new(Path::new("x.toml"), text);
        let value = reader.parse(with);
        let found = reader.into_diagnostics();
        (value, found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "a = 1\n\"ñ\" = \"ü\"\nnumbre = 2\n[inner]\nx = []\n";
        let (_, found) = read(text, |table| {
            table.required::<String>("a");
            table.required::<bool>("absent");
            table.optional::<usize>("number");
            table.table("inner", |inner| inner.required::<usize>("x"));
        });
        let starts: Vec<&str> = found
            .iter()
            .map(|text| text.lines().next().unwrap())
            .collect();
        assert_eq!(
            starts,
            [
                "x.toml:1:1: the configuration has no `absent`",
                "x.toml:1:5: `a`: integer is not expected here",
                "x.toml:2:1: unknown key `ñ` in the configuration",
                "x.toml:3:1: unknown key `numbre` in the configuration",
                "x.toml:5:5: `x`: array is not expected here",
            ]
        );
        assert!(found[3].contains("did you mean `number`?"));
    }

    #[test]
    fn nothing_is_judged_that_syntax_errors_may_have_made() {
        let text = "a = = 1\nb = 2\nc = = 1\n";
        let (_, found) = read(text, |table| table.optional::<String>("b"));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("x.toml:1:") && found[1].starts_with("x.toml:3:"));
        let (_, repeated) = read("a = 1\na = 2\n", |table| table.optional::<usize>("a"));
        assert_eq!(repeated.len(), 1, "{repeated:?}");
    }

    /// What is said of an absent key where something stands in its place, or next to it.
    #[test]
    fn a_key_that_is_there_and_wrong_is_not_missing_as_well() {
        for (text, words) in [
            (
                "[t]\nkeys = \"a\"\n",
                "write it in brackets: keys = [\"a\"]",
            ),
            ("[t]\nkeys = [1]\n", "`keys`: integer is not expected here"),
            ("[t]\nkeis = [\"a\"]\n", "did you mean `keys`?"),
            ("[t]\n", "x.toml:1:2: there are no keys"),
        ] {
            let reader = Reader::new(Path::new("x.toml"), text);
            reader.parse(|root| {
                root.table("t", |table| {
                    table.list::<String>("keys");
                })
            });
            let table = Position { line: 1, column: 2 };
            reader.absent(table, &["keys"], "there are no keys", "add some");
            let found: Vec<String> = reader
                .into_diagnostics()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].contains(words), "{text}: {found:?}");
        }
        let (_, found) = read("[t]\nadress = \"a\"\n", |root| {
            root.table("t", |table| table.required::<String>("address"));
        });
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_key_of_another_table_is_told_where_it_belongs() {
        let (_, found) = read("shards = 2\n[api]\nowner = \"a\"\n", |root| {
            root.named("api", |api| api.optional::<String>("owner"));
        });
        assert!(
            found[0].contains("`shards` is a key of [server]"),
            "{found:?}"
        );
        assert!(found[1].contains("write [api.NAME] above it"), "{found:?}");
    }

    #[test]
    fn names_that_differ_by_little_are_near() {
        assert_eq!(nearest("lisener", ["listener", "server"]), Some("listener"));
        assert_eq!(nearest("x", ["listener"]), None);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }
}
