//! Rule files on the disk, and rule sets as their projects unpack them.

use std::path::Path;

use crate::policy::waf::load::{Loaded, Settings, load};
use crate::policy::waf::seclang::Files;

/// Files where their paths say.
pub const FILES: Files<'static> = Files {
    read: &read,
    list: &list,
};

/// What the text of these directives is called.
const MAIN: &str = "main";

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| error.to_string())
}

fn list(folder: &str) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path().to_str()?.to_owned()));
    Ok(paths.collect())
}

/// The Core Rule Set as its project has it, with the example of its settings.
///
/// # Errors
/// All that is wrong, a line each.
pub fn core_rule_set(root: &Path, settings: &Settings<'_>) -> Result<Loaded, String> {
    let root = root.display();
    let setup = format!("{root}/crs-setup.conf.example");
    including(&[&setup, &format!("{root}/rules/*.conf")], settings)
}

/// The rules of these files, which may be patterns, in their order.
///
/// # Errors
/// All that is wrong, a line each.
pub fn including(paths: &[&str], settings: &Settings<'_>) -> Result<Loaded, String> {
    let lines = paths.iter().map(|path| format!("Include {path}\n"));
    let main = lines.collect::<String>().into_bytes();
    let read_main = |path: &str| match path {
        MAIN => Ok(main.clone()),
        path => read(path),
    };
    let files = Files {
        read: &read_main,
        ..FILES
    };
    load(&[MAIN], files, settings).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}
