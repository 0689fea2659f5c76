//! From the file to a configuration: names are followed, files read, everything judged. Whatever
//! is wrong is told at once; nothing is half loaded.

mod api;
mod backtracking;
mod collection;
mod description;
mod graphql;
mod inspector;
mod issuer;
mod kept;
mod listener;
mod mask;
mod persisted;
mod request;
mod response;
mod server;
mod stream;
mod tls;
mod unused;
mod upstream;
mod upstream_tls;
mod waf;
mod websocket;

use std::io;
use std::path::Path;

use crate::config::compile::kept::Making;
use crate::config::file;
use crate::config::reader::{At, Reader, Warning};
use crate::config::settings::{Listener, Server};
use crate::diagnostic::{Diagnostic, Position};
use crate::policy::snapshot::Snapshot;

pub use kept::Kept;

/// All that a file says.
pub struct Configuration {
    pub server: Server,
    pub listeners: Vec<Listener>,
    pub snapshot: Snapshot,
    /// What the descriptions leave open, by the levels of the file.
    pub warnings: Vec<Warning>,
    /// For the load that comes after this one.
    pub kept: Kept,
}

/// Reads and judges a file. `generation` becomes that of the snapshot and its keys.
pub fn load(path: &Path, generation: u64) -> Result<Configuration, Vec<Diagnostic>> {
    load_after(&Kept::default(), path, generation)
}

/// The same; rule sets and documents that are what they were are taken over.
pub fn load_after(
    kept: &Kept,
    path: &Path,
    generation: u64,
) -> Result<Configuration, Vec<Diagnostic>> {
    let text = std::fs::read_to_string(path).map_err(|error| vec![unreadable(path, &error)])?;
    let reader = Reader::new(path, &text);
    let file = reader.parse(file::file);
    let server = server::compile(&reader, &file);
    let listeners = listener::compile(&reader, &file);
    let making = Making::after(kept);
    let snapshot = api::compile(&reader, &file, generation, &making);
    let warnings = reader.take_warnings();
    let found = reader.into_diagnostics();
    if !found.is_empty() {
        return Err(found);
    }
    Ok(Configuration {
        server,
        listeners,
        snapshot,
        warnings,
        kept: making.into_kept(),
    })
}

/// Why there is no text of the configuration to judge, and what to do.
fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display();
    let (message, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            format!("there is no configuration {shown}"),
            "name one with --config FILE, or write one to begin with: portcullis import \
             openapi.yaml -o gateway.toml",
        ),
        io::ErrorKind::IsADirectory => (
            format!("{shown} is a directory"),
            "name the file in it: --config FILE",
        ),
        io::ErrorKind::InvalidData => (
            format!("{shown} is not in UTF-8"),
            "save it in UTF-8: editors call that an encoding",
        ),
        _ => (
            format!("{shown} cannot be read: {error}"),
            "make it readable for the user that runs this",
        ),
    };
    Diagnostic::new(path, Position::default(), message).with_hint(hint)
}

/// The value of a word out of a fixed list.
fn one_of<T: Copy>(
    reader: &Reader<'_>,
    word: Option<&At<String>>,
    known: &[(&str, T)],
    default: T,
) -> T {
    let Some(word) = word else {
        return default;
    };
    let found = known.iter().find(|(name, _)| *name == word.value);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let message = format!("\"{}\" is not known here", word.value);
        reader.error(
            word.position,
            message,
            format!("write {}", names.join(" or ")),
        );
    }
    found.map_or(default, |(_, value)| *value)
}

/// The text of a file that the configuration names.
fn read_text(reader: &Reader<'_>, path: &At<String>) -> Option<String> {
    let file = reader.resolve(&path.value);
    std::fs::read_to_string(&file)
        .map_err(|error| tell_unread(reader, path, &error.to_string()))
        .ok()
}

fn tell_unread(reader: &Reader<'_>, path: &At<String>, why: &str) {
    let file = reader.resolve(&path.value);
    let message = format!("{} cannot be read: {why}", file.display());
    let hint = match path.value.contains("://") {
        true => "nothing is fetched: download it and name the file",
        false => "paths are relative to the directory of the configuration",
    };
    reader.error(path.position, message, hint);
}
