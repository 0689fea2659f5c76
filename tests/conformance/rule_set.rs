//! The OWASP Core Rule Set, version 4, loaded from where it was unpacked.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::policy::waf::load::{Loaded, Settings, load};
use portcullis::policy::waf::seclang::Files;

/// Where the suite is; says loudly that there is none.
pub fn root() -> Option<PathBuf> {
    let Some(root) = std::env::var_os("PORTCULLIS_CONFORMANCE").map(PathBuf::from) else {
        eprintln!("conformance: PORTCULLIS_CONFORMANCE is not set: NOTHING IS TESTED HERE");
        return None;
    };
    let root = root.join("crs-v4");
    if !root.join("rules").is_dir() {
        eprintln!(
            "conformance: there is no {}/rules: NOTHING IS TESTED HERE",
            root.display()
        );
        return None;
    }
    Some(root)
}

/// What the suite asks for: all paranoia levels, and limits that are off by default.
pub const SUITE: &[(&str, &str)] = &[
    ("blocking_paranoia_level", "4"),
    ("crs_validate_utf8_encoding", "1"),
    ("arg_name_length", "100"),
    ("arg_length", "400"),
    ("total_arg_length", "64000"),
    ("max_num_args", "255"),
    ("max_file_size", "64100"),
    ("combined_file_sizes", "65535"),
];

/// The rules with these settings.
pub fn loaded(root: &Path, settings: &Settings<'_>) -> Loaded {
    let root = root.display();
    let main = format!("Include {root}/crs-setup.conf.example\nInclude {root}/rules/*.conf\n");
    let read = |path: &str| {
        if path == "main" {
            return Ok(main.clone().into_bytes());
        }
        fs::read(path).map_err(|error| error.to_string())
    };
    let list = |folder: &str| {
        let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path().to_str()?.to_owned()));
        Ok(paths.collect())
    };
    let files = Files {
        read: &read,
        list: &list,
    };
    load(&["main"], files, settings).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("the rule set does not load:\n{}", errors.join("\n"))
    })
}
