//! What a rule looks at: `REQUEST_HEADERS|!REQUEST_HEADERS:Referer|&ARGS|ARGS:/^id_/`.

use crate::policy::waf::collection::Collection;
use crate::policy::waf::pattern::Pattern;
use crate::policy::waf::template::Slot;

/// Which values of a collection.
#[derive(Clone, Debug)]
pub enum Selector {
    All,
    /// In lower case: names are the same in any case.
    Name(Box<str>),
    Pattern(Box<Pattern>),
    /// A variable of `TX` or of a persistent collection.
    Slot(Slot),
}

#[derive(Clone, Debug)]
pub struct Target {
    pub collection: Collection,
    pub selector: Selector,
    /// How many values there are, instead of the values.
    pub count: bool,
}

/// The targets of a rule, and what is exempt from them.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    pub included: Vec<Target>,
    pub excluded: Vec<Target>,
}

impl Selector {
    pub fn selects(&self, name: &[u8]) -> bool {
        match self {
            Selector::All => true,
            Selector::Name(wanted) => wanted.as_bytes().eq_ignore_ascii_case(name),
            Selector::Pattern(pattern) => pattern.matches(name),
            Selector::Slot(_) => false,
        }
    }
}

impl Target {
    /// Whether a value of `part` with this name is one of these.
    pub fn selects(&self, part: Collection, name: &[u8]) -> bool {
        self.collection.covers(part) && self.selector.selects(name)
    }
}

impl Targets {
    pub fn excludes(&self, part: Collection, name: &[u8]) -> bool {
        self.excluded
            .iter()
            .any(|target| target.selects(part, name))
    }
}
