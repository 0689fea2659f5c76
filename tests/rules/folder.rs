//! The rules as they stand in the folder, compiled; the binary holds the same.

use std::path::Path;
use std::sync::Arc;

use portcullis::config::rules::{self, builtin};
use portcullis::policy::waf::load::{Settings, assemble};
use portcullis::policy::waf::rule::RuleSet;
use portcullis::policy::waf::template::Slots;

pub fn rule_set() -> Arc<RuleSet> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/waf");
    let mut slots = Slots::default();
    let mut items = Vec::new();
    for (name, _) in builtin::FILES {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let natives = rules::read(&path, &text, &mut slots).unwrap_or_else(|found| {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            panic!("{}", found.join("\n"))
        });
        items.extend(natives.into_iter().map(rules::Native::into_item));
    }
    items.push(rules::verdict(&mut slots));
    let settings = Settings {
        variables: &rules::VARIABLES,
        ..Settings::default()
    };
    Arc::new(assemble(items, slots, &settings).unwrap().rules)
}
