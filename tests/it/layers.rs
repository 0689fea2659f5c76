//! Imports point down, and the core neither waits nor looks at a clock: read off the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom to the top; rooms of one row do not import each other.
const LAYERS: &[&[&str]] = &[
    &["time", "problem", "diagnostic", "fingerprint"],
    &["proto"],
    &["policy"],
    &["sensor", "telemetry", "config"],
    &["shard", "control"],
    &["cli"],
];

/// What pure code must not name.
const IMPURE: &[&str] = &[
    ".await",
    "async fn",
    "Instant::now",
    "SystemTime::now",
    "std::thread::sleep",
    "Mutex",
    "RwLock",
    "std::net::Tcp",
    "monoio::",
    "tokio::",
];

fn sources(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).expect("the sources are there") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The room a file belongs to, and its text without tests and comments.
fn rooms() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let texts = files.into_iter().map(|file| {
        let text = fs::read_to_string(&file).expect("a readable source");
        (file, text)
    });
    let rooms: Vec<_> = texts
        .filter(|(_, text)| !text.contains("#![cfg(test)]"))
        .map(|(file, text)| {
            let within = file.strip_prefix(&root).expect("below the root");
            let first = within.components().next().expect("a name");
            let room = Path::new(first.as_os_str()).with_extension("");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code: Vec<&str> = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            (room.display().to_string(), file, code.join("\n"))
        })
        .collect();
    assert!(rooms.len() > 10, "the sources were found");
    rooms
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

fn imports(code: &str) -> impl Iterator<Item = &str> {
    code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn imports_point_down() {
    for (room, file, code) in rooms() {
        let Some(own) = layer(&room) else {
            assert!(room == "lib" || room == "main", "{room} has no layer");
            continue;
        };
        for import in imports(&code) {
            let Some(other) = layer(import) else {
                panic!("{}: crate::{import} has no layer", file.display());
            };
            let down = import == room || other < own;
            assert!(down, "{}: {room} imports {import}", file.display());
        }
    }
}

#[test]
fn the_core_is_pure() {
    for (room, file, code) in rooms() {
        if !LAYERS[..3].concat().contains(&room.as_str()) {
            continue;
        }
        for name in IMPURE {
            assert!(!code.contains(name), "{}: {name}", file.display());
        }
    }
}
