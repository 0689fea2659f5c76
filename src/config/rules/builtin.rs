//! The rules that stand in the binary: what an API is inspected by that names no others.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use crate::config::rules::{self, Native};
use crate::policy::waf::load::{Settings, assemble};
use crate::policy::waf::rule::RuleSet;
use crate::policy::waf::template::Slots;

/// What the configuration calls them.
pub const NAME: &str = "builtin";

/// The files in `config/waf`, with the names that they have there.
pub const FILES: [(&str, &str); 8] = [
    (
        "injection.toml",
        include_str!("../../../config/waf/injection.toml"),
    ),
    (
        "command.toml",
        include_str!("../../../config/waf/command.toml"),
    ),
    ("code.toml", include_str!("../../../config/waf/code.toml")),
    (
        "template.toml",
        include_str!("../../../config/waf/template.toml"),
    ),
    ("file.toml", include_str!("../../../config/waf/file.toml")),
    (
        "object.toml",
        include_str!("../../../config/waf/object.toml"),
    ),
    (
        "protocol.toml",
        include_str!("../../../config/waf/protocol.toml"),
    ),
    ("known.toml", include_str!("../../../config/waf/known.toml")),
];

/// Compiled once: a reload changes nothing in them, and shards keep what they remember of values.
static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
    let mut slots = Slots::default();
    let natives = natives(&mut slots);
    let mut items: Vec<_> = natives.into_iter().map(Native::into_item).collect();
    items.push(rules::verdict(&mut slots));
    let settings = Settings {
        variables: &rules::VARIABLES,
        ..Settings::default()
    };
    let assembled = assemble(items, slots, &settings).expect("no rule is unusable, a test says");
    Arc::new(assembled.rules)
});

/// The built-in rules alone.
pub fn rule_set() -> Arc<RuleSet> {
    Arc::clone(&RULES)
}

/// The built-in rules, to stand among others.
pub fn natives(slots: &mut Slots) -> Vec<Native> {
    let read = |(name, text): (&str, &str)| {
        rules::read(&Path::new(NAME).join(name), text, slots)
            .expect("no rule is wrong, a test says")
    };
    FILES.into_iter().flat_map(read).collect()
}
