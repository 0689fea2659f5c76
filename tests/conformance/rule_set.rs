//! The OWASP Core Rule Set, version 4, loaded from where it was unpacked.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::policy::waf::compile::{Compiled, OnUnsupported, compile};
use portcullis::policy::waf::seclang::{Files, Loaded, load};

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
pub const SUITE: &str = "SecAction \"id:900005,phase:1,nolog,pass,\
    setvar:tx.blocking_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,\
    setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,\
    setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535\"\n";

/// The rules with these settings before them.
pub fn drafts(root: &Path, settings: &str) -> Loaded {
    let main = format!(
        "{settings}Include {0}/crs-setup.conf.example\nInclude {0}/rules/*.conf\n",
        root.display()
    );
    let read = |path: &str| {
        if path == "settings" {
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
    load(&["settings"], files).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("the rule set does not load:\n{}", errors.join("\n"))
    })
}

pub fn compiled(root: &Path, settings: &str) -> Compiled {
    let Loaded { items, slots, .. } = drafts(root, settings);
    compile(&items, slots, OnUnsupported::Skip).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("the rule set does not compile:\n{}", errors.join("\n"))
    })
}
