//! The rule set of version 3 as the distribution packages it: how much of it runs here.

use std::path::Path;

use portcullis::policy::waf::compile::OnUnsupported;
use portcullis::policy::waf::load::{Settings, load};
use portcullis::policy::waf::seclang::Files;

const RULES: &str = "/usr/share/modsecurity-crs/rules";
const SETUP: &str = "/etc/modsecurity/crs/crs-setup.conf";

/// Rules that run, of a hundred.
const ENOUGH: f64 = 99.0;

#[test]
fn the_package_of_the_distribution_loads() {
    if !Path::new(RULES).is_dir() || !Path::new(SETUP).is_file() {
        eprintln!(
            "conformance: the package modsecurity-crs is not installed: NOTHING IS TESTED HERE"
        );
        return;
    }
    let main = format!("Include {SETUP}\nInclude {RULES}/*.conf\n");
    let read = |path: &str| match path {
        "main" => Ok(main.clone().into_bytes()),
        path => std::fs::read(path).map_err(|error| error.to_string()),
    };
    let list = |folder: &str| {
        let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path().to_str()?.to_owned()));
        Ok(paths.collect())
    };
    let files = Files {
        read: &read,
        list: &list,
    };
    let settings = Settings {
        variables: &[("paranoia_level", "4")],
        on_unsupported: OnUnsupported::Skip,
        folded: false,
    };
    let loaded = load(&["main"], files, &settings).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("the package does not load:\n{}", errors.join("\n"))
    });
    for skipped in &loaded.skipped {
        println!("left out: {skipped}");
    }
    let live = loaded.written - loaded.skipped.len();
    let rate = 100.0 * live as f64 / loaded.written as f64;
    println!("{live} of {} rules run: {rate:.2} %", loaded.written);
    assert!(loaded.written > 300, "the package is not whole");
    assert!(rate >= ENOUGH, "{rate:.2} % of the rules run");
}
