//! The rule set of version 3 as the distribution packages it: how much of it runs here.

use std::path::Path;

use portcullis::config::rules::disk;
use portcullis::policy::waf::compile::OnUnsupported;
use portcullis::policy::waf::load::Settings;

const RULES: &str = "/usr/share/modsecurity-crs/rules";
const SETUP: &str = "/etc/modsecurity/crs/crs-setup.conf";

/// Rules that run, of a hundred.
const ENOUGH: f64 = 99.0;

/// The rules that do not run, each with the reason. The settings of the package switch the first three
/// off, and folding them at load makes the fourth one whole, so that only one is left out.
const LEFT_OUT: [(u32, &str); 5] = [
    (
        901_420,
        "asks how long the request took so far, which no policy here knows",
    ),
    (910_100, "asks for the country of an address"),
    (
        910_140,
        "asks the domain name system while the request waits",
    ),
    (
        920_480,
        "is a pattern that the settings make, and nothing makes before they are folded",
    ),
    (
        942_130,
        "refers back to what a group captured, which no linear engine can",
    ),
];

/// The rules that run and wait for what earlier requests left, which nothing here keeps: of addresses
/// with a bad reputation and of too many requests, which `limits` are for. The settings of the package
/// switch all of them off.
const UNFED: [u32; 10] = [
    910_000, 910_120, 912_120, 912_130, 912_140, 912_160, 912_161, 912_170, 912_171, 949_100,
];

#[test]
fn the_package_of_the_distribution_loads() {
    if !Path::new(RULES).is_dir() || !Path::new(SETUP).is_file() {
        eprintln!(
            "conformance: the package modsecurity-crs is not installed: NOTHING IS TESTED HERE"
        );
        return;
    }
    for folded in [true, false] {
        let settings = Settings {
            variables: &[("paranoia_level", "4")],
            on_unsupported: OnUnsupported::Skip,
            folded,
        };
        let loaded = disk::including(&[SETUP, &format!("{RULES}/*.conf")], &settings);
        let loaded = loaded.unwrap_or_else(|errors| panic!("the package does not load:\n{errors}"));
        let left_out = loaded.skipped.iter().filter_map(|error| error.rule);
        let expected = LEFT_OUT.map(|(rule, _)| rule);
        let expected = if folded { &expected[4..] } else { &expected };
        assert_eq!(left_out.collect::<Vec<_>>(), expected);
        // Those that are switched off are listed all the same.
        let off = loaded.off.iter().filter_map(|error| error.rule);
        let switched_off = LEFT_OUT.map(|(rule, _)| rule);
        let switched_off = if folded { &switched_off[..3] } else { &[] };
        assert_eq!(off.collect::<Vec<_>>(), switched_off);
        let unfed: Vec<u32> = loaded.unfed.iter().filter_map(|error| error.rule).collect();
        assert_eq!(unfed, UNFED);
        let run = loaded.written - loaded.skipped.len();
        let of_all = |count: usize| 100.0 * count as f64 / loaded.written as f64;
        let rate = of_all(run);
        println!("{run} of {} rules run: {rate:.2} %", loaded.written);
        let live = run - unfed.len();
        let fed = of_all(live);
        println!("{live} of them need nothing of earlier requests: {fed:.2} %");
        assert!(loaded.written > 300, "the package is not whole");
        assert!(!folded || rate >= ENOUGH, "{rate:.2} % of the rules run");
    }
    for (rule, why) in LEFT_OUT {
        println!("left out: {rule} {why}");
    }
}
