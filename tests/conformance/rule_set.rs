//! The OWASP Core Rule Set, version 4, loaded from where it was unpacked.

use std::path::{Path, PathBuf};

use portcullis::config::rules::disk;
use portcullis::policy::waf::load::{Loaded, Settings};

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
    let loaded = disk::core_rule_set(root, settings);
    loaded.unwrap_or_else(|errors| panic!("the rule set does not load:\n{errors}"))
}
